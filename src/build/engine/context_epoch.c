/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOURCE_DATE_EPOCH as a number, or as what has a time of its own:
 *
 *     context          the build context, when it is remote
 *     a named context  likewise
 *     a stage          FROM scratch with one ADD of a URL or a git repository
 *
 *     git              when the commit was made
 *     a URL            Last-Modified; else, of an archive, the latest time of a file in it
 *     anything else    none: as if nothing had been given
 *
 * It is a build argument, or else what an ARG of that name before the first FROM says.
 *
 * spec: BuildKit frontend/dockerfile/dockerfile2llb/epoch.go.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/engine/engine_private.h"
#include "spec/gitref/gitref.h"
#include "util/fs.h"

#define MAX_DEPTH 256 /* one descriptor each */

/* Within what a date can be: years 1 to 9999. */
#define MIN_EPOCH_S INT64_C(-62135596800)
#define MAX_EPOCH_S INT64_C(253402300799)

/* --- the latest file --- */

static struct cob_error *scan(int dir_fd, int depth, int64_t *latest_s);

static struct cob_error *look_at(int dir_fd, const char *name, int depth, int64_t *latest_s)
{
    cob_autoclose int fd = -1;
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat %s", name);
    if (S_ISREG(st.st_mode))
        *latest_s = MAX(*latest_s, st.st_mtim.tv_sec);
    if (!S_ISDIR(st.st_mode) || depth >= MAX_DEPTH)
        return NULL;
    COB_TRY(cob_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, &fd));
    return cob_wrap(scan(fd, depth + 1, latest_s), "%s", name);
}

static struct cob_error *scan(int dir_fd, int depth, int64_t *latest_s)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct cob_error *err = NULL;
    const struct dirent *entry;

    if (!dir)
        return cob_fail_errno(errno, "read a directory");
    while (!err && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = look_at(dir_fd, entry->d_name, depth, latest_s);
    }
    closedir(dir);
    return err;
}

static struct cob_error *latest_of(int dir_fd, struct epoch *epoch)
{
    int64_t latest_s = INT64_MIN;

    COB_TRY(scan(dir_fd, 0, &latest_s));
    epoch->is_set = latest_s != INT64_MIN;
    epoch->time_s = epoch->is_set ? latest_s : 0;
    return NULL;
}

static struct cob_error *latest_of_snapshot(struct cob_snapshot *snapshot, struct epoch *epoch)
{
    cob_autoclose int mount_fd = -1;
    cob_autoclose int dir_fd = -1;

    COB_TRY(cob_snapshot_mount(snapshot, &mount_fd));
    COB_TRY(cob_open_beneath(mount_fd, ".", O_RDONLY | O_DIRECTORY, 0, &dir_fd));
    return latest_of(dir_fd, epoch);
}

/* --- who has it --- */

static struct cob_error *of_main(const struct contexts *contexts, struct epoch *epoch)
{
    const struct context_tree *tree = g_ptr_array_index(contexts->trees, 0);

    *epoch = (struct epoch){.is_set = contexts->time_s != 0, .time_s = contexts->time_s};
    if (epoch->is_set || (!tree->snapshot && !tree->draft))
        return NULL;
    return contexts->is_one_file ? NULL : latest_of(tree->dir_fd, epoch);
}

static struct cob_error *of_git(const struct frontend_call *call, const char *text,
    const char *checksum, const struct cob_remote_client *side, struct epoch *epoch)
{
    g_autoptr(cob_gitref) place = NULL;
    g_autoptr(cob_snapshot) snapshot = NULL;

    COB_TRY(cob_gitref_parse(text, &place));
    place->is_mtime_of_commit = true;
    if (checksum && !place->checksum)
        place->checksum = g_strdup(checksum);
    g_clear_pointer(&place->subdir, g_free); /* any file has the time */
    const struct cob_remote_git git = {.place = place,
        .skips_submodules = true,
        .token_secret = "GIT_AUTH_TOKEN",
        .header_secret = "GIT_AUTH_HEADER",
        .ssh_id = "default"};
    COB_TRY(cob_remote_git_fetch(call->engine->remotes, &git, side, call->cancel, &snapshot));
    return latest_of_snapshot(snapshot, epoch);
}

static struct cob_error *of_url(const struct frontend_call *call, const char *url,
    const char *checksum, const struct cob_remote_client *side, struct epoch *epoch)
{
    const struct cob_remote_file file = {.url = url, .checksum = checksum, .filename = "context"};
    struct cob_remote_context found = {0};

    COB_TRY(cob_remote_context_fetch(call->engine->remotes, &file, side, call->cancel, &found));
    g_autoptr(cob_snapshot) snapshot = found.snapshot;
    *epoch = (struct epoch){.is_set = found.mtime_s != 0, .time_s = found.mtime_s};
    if (epoch->is_set || !found.is_archive)
        return NULL;
    return latest_of_snapshot(snapshot, epoch);
}

/* A URL or a git reference, shown as a step. */
static struct cob_error *of_remote(const struct frontend_call *call,
    const struct cob_dockerfile_epoch *source, const char *title, struct epoch *epoch)
{
    enum cob_contextref_kind kind;
    struct client client = {.request = call->request, .agents = call->agents};

    COB_TRY(cob_contextref_kind(source->source, &kind));
    if (kind != COB_CONTEXTREF_HTTP && kind != COB_CONTEXTREF_GIT)
        return cob_fail(
            COB_INVALID, "SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD");
    struct internal_step step = cob_engine_step_begin(call->observer, title);
    const struct cob_remote_client side =
        cob_engine_remote_client(&client, call->observer, step.digest);
    return cob_engine_step_end(&step, (kind == COB_CONTEXTREF_GIT ? of_git : of_url)(
                                          call, source->source, source->checksum, &side, epoch));
}

static struct cob_error *of_named(
    const struct frontend_call *call, const char *name, const char *input, struct epoch *epoch)
{
    g_autofree char *title =
        g_strdup_printf("[internal] resolve SOURCE_DATE_EPOCH named context %s", name);
    const struct cob_dockerfile_epoch source = {.source = (char *)(uintptr_t)input};
    enum cob_contextref_kind kind;

    COB_TRY(cob_contextref_kind(input, &kind));
    if (kind != COB_CONTEXTREF_HTTP && kind != COB_CONTEXTREF_GIT)
        return NULL;
    return of_remote(call, &source, title, epoch);
}

static struct cob_error *of_stage(const struct frontend_call *call,
    const struct cob_dockerfile *dockerfile, const struct cob_dockerfile_request *wish,
    const char *name, struct epoch *epoch)
{
    g_autofree char *title =
        g_strdup_printf("[internal] resolve SOURCE_DATE_EPOCH source stage %s", name);
    struct cob_dockerfile_epoch source = {0};

    COB_TRY(cob_dockerfile_epoch(dockerfile, wish, name, &source));
    struct cob_error *err = of_remote(call, &source, title, epoch);
    cob_dockerfile_epoch_done(&source);
    return err;
}

/* What the text means.  epoch: has no time yet. */
static struct cob_error *read_text(const struct frontend_call *call,
    const struct cob_dockerfile *dockerfile, const struct cob_dockerfile_request *wish,
    const char *text, struct epoch *epoch)
{
    const char *input = g_hash_table_lookup(call->contexts->named, text);

    if (g_ascii_string_to_signed(text, 10, MIN_EPOCH_S, MAX_EPOCH_S, &epoch->time_s, NULL)) {
        epoch->is_set = true;
        return NULL;
    }
    if (strcmp(text, "context") == 0)
        return of_main(call->contexts, epoch);
    if (input)
        return of_named(call, text, input, epoch);
    return of_stage(call, dockerfile, wish, text, epoch);
}

struct cob_error *cob_engine_epoch(const struct frontend_call *call,
    const struct cob_dockerfile *dockerfile, struct cob_dockerfile_request *wish,
    struct epoch *ret_epoch)
{
    const char *given = g_hash_table_lookup(wish->build_args, COB_DOCKERFILE_EPOCH);
    g_autofree char *preset = NULL;
    struct epoch epoch = {0};

    if (!given)
        COB_TRY(cob_dockerfile_epoch_default(dockerfile, wish, &preset));
    const char *text = given ? given : preset;
    const bool is_said = text != NULL;
    if (text && *text)
        COB_TRY(read_text(call, dockerfile, wish, text, &epoch));
    if (epoch.is_set)
        g_snprintf(epoch.text, sizeof(epoch.text), "%" G_GINT64_FORMAT, epoch.time_s);
    if (given && epoch.is_set)
        g_hash_table_replace(
            wish->build_args, g_strdup(COB_DOCKERFILE_EPOCH), g_strdup(epoch.text));
    else if (given)
        g_hash_table_remove(wish->build_args, COB_DOCKERFILE_EPOCH);
    *ret_epoch = epoch;
    wish->epoch = is_said ? ret_epoch->text : NULL;
    return NULL;
}
