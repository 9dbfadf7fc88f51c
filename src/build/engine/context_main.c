/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The build context, by what the user wrote for it:
 *
 *     a directory            as it is
 *     an archive on stdin    unpacked into a draft, dropped with the build
 *     an archive by URL      unpacked into a snapshot, found again by the archive's digest
 *     another URL            a snapshot with that one file, the Dockerfile
 *     a git reference        a snapshot of the commit's files, found again by the commit
 *
 * spec: buildx build/opt.go, loadInputs; BuildKit frontend/dockerui/context.go.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "build/engine/engine_private.h"
#include "disk/layer/layer.h"
#include "spec/gitref/gitref.h"
#include "util/fs.h"
#include "util/limits.h"

#define FAILED "failed to solve" /* as the whole build */
#define WEB_STEP "[internal] load remote build context"
#define BUFFER_BYTES (256 * (size_t)1024)

/* --- directories --- */

/* In docker's words. */
static struct cob_error *refuse_path(const char *path)
{
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return cob_fail(COB_NOT_FOUND, "unable to prepare context: path \"%s\" not found", path);
    return cob_fail(COB_INVALID,
        "unable to prepare context: path \"%s\" is not a directory: name a Dockerfile by --file",
        path);
}

static struct cob_error *open_directory(const char *path, struct context_tree *tree)
{
    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return refuse_path(path);
    tree->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return tree->dir_fd < 0 ? cob_fail_errno(errno, "open build context %s", path) : NULL;
}

/* Nothing at all: a draft that stays empty. */
static struct cob_error *open_empty(struct cob_store *store, struct context_tree *tree)
{
    COB_TRY(cob_snapshot_draft_new(store, NULL, &tree->draft));
    tree->dir_fd = fcntl(cob_snapshot_draft_fd(tree->draft), F_DUPFD_CLOEXEC, 3);
    return tree->dir_fd < 0 ? cob_fail_errno(errno, "duplicate a descriptor") : NULL;
}

/* snapshot: taken. */
static struct cob_error *open_snapshot(struct context_tree *tree, struct cob_snapshot *snapshot)
{
    cob_autoclose int mount_fd = -1;

    tree->snapshot = snapshot;
    COB_TRY(cob_snapshot_mount(snapshot, &mount_fd));
    return cob_open_beneath(mount_fd, ".", O_RDONLY | O_DIRECTORY, 0, &tree->dir_fd);
}

/* --- an archive on standard input --- */

static void tell_left_out(void *arg, const char *text)
{
    const struct internal_step *step = arg;
    const struct cob_event_warning event = {.vertex = step->digest, .text = text};

    step->observer->warning(step->observer->arg, &event);
}

/* The next bytes, when they come.  ret_len: 0: there are no more. */
static struct cob_error *read_some(const struct frontend_call *call, char *buffer, gsize *ret_len)
{
    struct pollfd fds[] = {{.fd = call->request->context_fd, .events = POLLIN},
        {.fd = cob_cancel_fd(call->cancel), .events = POLLIN}};
    ssize_t n;

    TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), -1));
    COB_TRY(cob_cancel_check(call->cancel));
    n = TEMP_FAILURE_RETRY(read(call->request->context_fd, buffer, BUFFER_BYTES));
    if (n < 0)
        return cob_fail_errno(errno, "read standard input");
    *ret_len = (gsize)n;
    return NULL;
}

static struct cob_error *unpack(const struct frontend_call *call, struct internal_step *step,
    const struct context_tree *tree, uint64_t *ret_n_bytes)
{
    const struct cob_layer_unpack_request request = {
        .dir_fd = cob_snapshot_draft_fd(tree->draft),
        .is_archive = true,
        .cancel = call->cancel,
        .on_warning = tell_left_out,
        .warning_arg = step,
    };
    g_autoptr(cob_layer_unpack) unpacker = cob_layer_unpack_new(&request);
    g_autofree char *buffer = g_malloc(BUFFER_BYTES);
    gsize len;
    const void *head = g_bytes_get_data(call->request->context_head, &len);

    for (*ret_n_bytes = 0; len > 0; head = buffer) {
        COB_TRY(cob_layer_unpack_write(unpacker, head, len));
        *ret_n_bytes += len;
        COB_TRY(read_some(call, buffer, &len));
    }
    return cob_layer_unpack_finish(unpacker, NULL);
}

static struct cob_error *open_stdin(const struct frontend_call *call, struct context_tree *tree)
{
    uint64_t n_bytes = 0;

    COB_TRY(open_empty(call->engine->store, tree));
    if (!call->request->context_head)
        return NULL;
    struct internal_step step = cob_engine_step_begin(call->observer, WEB_STEP);
    struct cob_error *err = unpack(call, &step, tree, &n_bytes);
    cob_engine_step_status(&step, "transferring context:", n_bytes);
    COB_TRY(cob_engine_step_end(&step, cob_wrap(err, "unpack the archive on standard input")));
    tree->keeps_owners = true;
    return NULL;
}

/* --- other people's servers --- */

static struct cob_error *open_http(
    const struct frontend_call *call, struct contexts *contexts, struct context_tree *tree)
{
    const struct cob_remote_file file = {
        .url = call->request->context, .filename = COB_ENGINE_ONE_FILE};
    struct internal_step step = cob_engine_step_begin(call->observer, WEB_STEP);
    struct client client = {.request = call->request, .agents = call->agents};
    const struct cob_remote_client side =
        cob_engine_remote_client(&client, call->observer, step.digest);
    struct cob_remote_context found = {0};

    COB_TRY(cob_engine_step_end(&step,
        cob_remote_context_fetch(call->engine->remotes, &file, &side, call->cancel, &found)));
    tree->keeps_owners = found.is_archive;
    contexts->time_s = found.mtime_s;
    contexts->is_one_file = !found.is_archive;
    return open_snapshot(tree, found.snapshot);
}

struct cob_error *cob_engine_contexts_get_dockerfile(
    const struct frontend_call *call, const char *url, GBytes **ret_bytes)
{
    const struct cob_remote_file file = {.url = url};
    g_autofree char *title = g_strdup_printf("[internal] load remote dockerfile");
    struct internal_step step = cob_engine_step_begin(call->observer, title);
    struct client client = {.request = call->request, .agents = call->agents};
    const struct cob_remote_client side =
        cob_engine_remote_client(&client, call->observer, step.digest);
    struct cob_remote_blob blob = {0};
    struct cob_error *err =
        cob_remote_download(call->engine->remotes, &file, &side, call->cancel, &blob);

    if (!err)
        err = cob_store_blob_read(
            call->engine->store, blob.digest, COB_LIMIT_DOCKERFILE_BYTES, ret_bytes);
    if (!err && !*ret_bytes)
        err = cob_fail(COB_ABORTED, "blob %s was removed meanwhile", blob.digest);
    cob_remote_blob_done(&blob);
    return cob_engine_step_end(&step, cob_wrap(err, "failed to read dockerfile"));
}

static struct cob_error *open_git(const struct frontend_call *call, struct context_tree *tree)
{
    const char *epoch = cob_engine_build_arg(call->request, "SOURCE_DATE_EPOCH");
    g_autoptr(cob_gitref) place = NULL;
    struct client client = {.request = call->request, .agents = call->agents};
    struct cob_snapshot *snapshot = NULL;

    COB_TRY(cob_gitref_parse(call->request->context, &place));
    if (epoch && *epoch)
        place->is_mtime_of_commit = true;
    const struct cob_remote_git git = {.place = place,
        .keeps_git_dir = place->keep_git_dir == COB_GITREF_YES ||
                         cob_engine_is_asked(call->request, "BUILDKIT_CONTEXT_KEEP_GIT_DIR"),
        .skips_submodules = place->submodules == COB_GITREF_NO,
        .token_secret = "GIT_AUTH_TOKEN",
        .header_secret = "GIT_AUTH_HEADER",
        .ssh_id = "default"};
    g_autofree char *title = g_strdup_printf("[internal] load git source %s%s%s%s%s", place->remote,
        place->ref || place->subdir ? "#" : "", place->ref ? place->ref : "",
        place->subdir ? ":" : "", place->subdir ? place->subdir : "");
    struct internal_step step = cob_engine_step_begin(call->observer, title);
    const struct cob_remote_client side =
        cob_engine_remote_client(&client, call->observer, step.digest);
    struct cob_error *err =
        cob_remote_git_fetch(call->engine->remotes, &git, &side, call->cancel, &snapshot);
    COB_TRY(cob_engine_step_end(&step, err));
    return open_snapshot(tree, snapshot);
}

struct cob_error *cob_engine_contexts_open_main(
    const struct frontend_call *call, struct contexts *contexts)
{
    struct context_tree *tree = cob_engine_contexts_add(contexts, "context");
    const char *text = call->request->context;
    enum cob_contextref_kind kind;

    if (strcmp(text, "-") == 0)
        return cob_wrap(open_stdin(call, tree), FAILED);
    if (g_file_test(text, G_FILE_TEST_IS_DIR))
        return open_directory(text, tree);
    COB_TRY(cob_wrap(cob_contextref_kind(text, &kind), "unable to prepare context"));
    if (kind == COB_CONTEXTREF_HTTP)
        return cob_wrap(open_http(call, contexts, tree), FAILED);
    if (kind == COB_CONTEXTREF_GIT || kind == COB_CONTEXTREF_MAYBE_GIT)
        return cob_wrap(open_git(call, tree), FAILED);
    return refuse_path(text);
}
