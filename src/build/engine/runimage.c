/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cob run: an image's config and the user's wishes become a step, over a draft that is thrown away.
 *
 * spec: Docker CLI reference, `docker run`; its exit codes 125 to 127.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "build/engine/engine_private.h"
#include "spec/oci/oci.h"
#include "util/fs.h"
#include "util/limits.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* A run on its way. */
struct running {
    struct cob_engine *engine;
    const struct cob_engine_run_request *request;
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
    char *platform; /* of the image */
    struct cob_oci_config *config;
    struct cob_snapshot *snapshot;
    GArray *mounts;   /* struct cob_executor_mount; their text is borrowed from texts */
    GArray *fds;      /* int, owned */
    GPtrArray *texts; /* char *, owned */
};

static void close_fd(void *fd)
{
    cob_closep(fd);
}

static void running_done(struct running *running)
{
    g_free(running->platform);
    cob_oci_config_free(running->config);
    cob_snapshot_unref(running->snapshot);
    g_array_unref(running->mounts);
    g_array_unref(running->fds);
    g_ptr_array_unref(running->texts);
}

/* --- the image --- */

/* Docker's words. */
static void warn_of_platform(const struct running *running, const char *platform, const char *here)
{
    g_autofree char *text =
        g_strdup_printf("The requested image's platform (%s) does not match the detected host "
                        "platform (%s) and no specific platform was requested",
            platform, here);
    const struct cob_event_warning event = {.text = text};

    running->observer->warning(running->observer->arg, &event);
}

/* Of a name's images: the one of the platform that is asked for, else of this machine's, else what
 * there is; an id has but one.  ret_image: NULL: none is here. */
static struct cob_error *find_here(struct running *running, struct cob_store_image **ret_image)
{
    struct cob_store *store = running->engine->store;
    const char *name = running->request->image, *wish = running->request->platform;
    g_autoptr(cob_store_image) image = NULL;
    g_autofree char *platform = NULL;
    g_autoptr(cob_ref) ref = NULL;

    COB_TRY(cob_engine_platform(wish, &platform));
    COB_TRY(cob_store_image_find(store, name, wish ? platform : NULL, &image)); /* an id? */
    if (!image) {
        COB_TRY(cob_ref_parse(name, &ref));
        g_autofree char *text = cob_ref_text(ref);
        COB_TRY(cob_store_image_find(store, text, platform, &image));
        if (!image && !wish)
            COB_TRY(cob_store_image_find(store, text, NULL, &image));
    }
    if (image && !wish && strcmp(image->platform, platform) != 0)
        warn_of_platform(running, image->platform, platform);
    *ret_image = g_steal_pointer(&image);
    return NULL;
}

static struct cob_error *find_image(struct running *running)
{
    struct cob_engine *engine = running->engine;
    const char *name = running->request->image;
    g_autoptr(cob_store_image) image = NULL;
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(find_here(running, &image));
    if (!image)
        COB_TRY(cob_engine_pull(
            engine, name, running->request->platform, running->observer, running->cancel, &image));
    if (!image)
        return cob_fail(COB_NOT_FOUND, "image %s: not found", name);
    running->platform = g_strdup(image->platform);
    COB_TRY(
        cob_store_blob_read(engine->store, image->config_digest, COB_LIMIT_CONFIG_BYTES, &bytes));
    if (!bytes)
        return cob_fail(
            COB_DATA_LOSS, "image %s: its config is gone: build or pull it again", name);
    COB_TRY(cob_oci_config_parse(bytes, &running->config));
    if (image->snapshot)
        COB_TRY(cob_snapshot_get(engine->store, image->snapshot, &running->snapshot));
    if (image->snapshot && !running->snapshot)
        return cob_fail(
            COB_DATA_LOSS, "image %s: its layers are gone: build or pull it again", name);
    return NULL;
}

/* --- what is run --- */

static void add_all(GPtrArray *words, char *const *more)
{
    for (; more && *more; more++)
        g_ptr_array_add(words, *more);
}

/* An entrypoint of the user's leaves the image's Cmd out. */
static struct cob_error *command(const struct running *running, GPtrArray *args)
{
    const struct cob_engine_run_request *request = running->request;

    if (request->entrypoint)
        g_ptr_array_add(args, (void *)(uintptr_t)request->entrypoint);
    else
        add_all(args, running->config->entrypoint);
    if (request->args && *request->args)
        add_all(args, (char *const *)(uintptr_t)request->args);
    else if (!request->entrypoint)
        add_all(args, running->config->cmd);
    if (args->len == 0)
        return cob_fail(COB_INVALID, "image %s has no command: name one", request->image);
    g_ptr_array_add(args, NULL);
    return NULL;
}

static bool has_variable(const GPtrArray *env, const char *name)
{
    g_autofree char *prefix = g_strconcat(name, "=", NULL);

    for (guint i = 0; i < env->len; i++) {
        if (g_str_has_prefix(g_ptr_array_index(env, i), prefix))
            return true;
    }
    return false;
}

/* Put "NAME=value" in place of an earlier one. line: taken. */
static void set_variable(GPtrArray *env, char *line)
{
    size_t len = strcspn(line, "=") + 1;

    for (guint i = 0; i < env->len; i++) {
        if (strncmp(g_ptr_array_index(env, i), line, len) == 0) {
            g_free(g_ptr_array_index(env, i));
            g_ptr_array_index(env, i) = line;
            return;
        }
    }
    g_ptr_array_add(env, line);
}

static GPtrArray *environment(const struct running *running)
{
    GPtrArray *env = g_ptr_array_new_with_free_func(g_free);

    for (char **line = running->config->env; line && *line; line++)
        set_variable(env, g_strdup(*line));
    if (!has_variable(env, "PATH"))
        g_ptr_array_add(env, g_strdup(DEFAULT_PATH));
    if (running->request->is_terminal && !has_variable(env, "TERM"))
        g_ptr_array_add(env, g_strdup("TERM=xterm"));
    for (const char *const *wish = running->request->env; wish && *wish; wish++) {
        const char *value = strchr(*wish, '=') ? NULL : g_getenv(*wish);

        if (strchr(*wish, '='))
            set_variable(env, g_strdup(*wish));
        else if (value)
            set_variable(env, g_strdup_printf("%s=%s", *wish, value));
    }
    g_ptr_array_add(env, NULL);
    return env;
}

/* --- volumes --- */

/* "host-path:path[:ro|rw]" */
/* As for docker, a relative path begins with a dot: another word would name a volume. */
static bool is_host_path(const char *path)
{
    return path[0] == '/' || strcmp(path, ".") == 0 || strcmp(path, "..") == 0 ||
           g_str_has_prefix(path, "./") || g_str_has_prefix(path, "../");
}

static struct cob_error *add_volume(struct running *running, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 3);
    size_t n = g_strv_length(parts);
    bool is_readonly = n == 3 && strcmp(parts[2], "ro") == 0;

    if (n < 2 || !is_host_path(parts[0]) || parts[1][0] != '/')
        return cob_fail(COB_INVALID, "a volume is /host/path:/path[:ro] or ./host/path:/path[:ro]");
    if (n == 3 && !is_readonly && strcmp(parts[2], "rw") != 0)
        return cob_fail(COB_INVALID, "unknown volume option %s (did you mean ro?)", parts[2]);
    int fd = open(parts[0], O_PATH | O_CLOEXEC);
    if (fd < 0)
        return cob_fail_errno(errno, "open %s", parts[0]);
    g_array_append_val(running->fds, fd);
    g_ptr_array_add(running->texts, g_strdup(parts[1]));
    const struct cob_executor_mount mount = {.kind = COB_EXECUTOR_MOUNT_BIND,
        .target = g_ptr_array_index(running->texts, running->texts->len - 1),
        .is_readonly = is_readonly,
        .source_fd = fd};
    g_array_append_val(running->mounts, mount);
    return NULL;
}

static gint compare_targets(const void *a, const void *b)
{
    const struct cob_executor_mount *left = a, *right = b;

    return strcmp(left->target, right->target);
}

static struct cob_error *add_volumes(struct running *running)
{
    for (const char *const *text = running->request->volumes; text && *text; text++)
        COB_TRY(cob_wrap(add_volume(running, *text), "volume %s", *text));
    g_array_sort(running->mounts, compare_targets);
    return NULL;
}

struct cob_error *cob_engine_network(const char *name, enum cob_executor_network *ret_network)
{
    if (!name || strcmp(name, "default") == 0)
        *ret_network = COB_EXECUTOR_NETWORK_DEFAULT;
    else if (strcmp(name, "none") == 0)
        *ret_network = COB_EXECUTOR_NETWORK_NONE;
    else if (strcmp(name, "host") == 0)
        *ret_network = COB_EXECUTOR_NETWORK_HOST;
    else
        return cob_fail(COB_INVALID, "unknown network %s: there are default, host and none", name);
    return NULL;
}

/* --- run --- */

#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NO_PROGRAM 127

static struct cob_error *execute(struct running *running, int root_fd, int *ret_exit_code)
{
    const struct cob_engine_run_request *request = running->request;
    struct cob_executor *executor = NULL;
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    g_autoptr(GPtrArray) env = environment(running);
    const char *workdir = request->workdir ?: running->config->working_dir;
    struct cob_executor_request wish = {
        .root_fd = root_fd,
        .platform = running->platform,
        .cwd = workdir && *workdir ? workdir : "/",
        .user = request->user ?: running->config->user,
        .hostname = request->hostname,
        .mounts = (const struct cob_executor_mount *)(void *)running->mounts->data,
        .n_mounts = running->mounts->len,
        .stdout_fd = STDOUT_FILENO,
        .stderr_fd = STDERR_FILENO,
        .is_terminal = request->is_terminal,
    };

    COB_TRY(command(running, args));
    COB_TRY(cob_engine_network(request->network, &wish.network));
    COB_TRY(cob_engine_executor(running->engine, &executor));
    cob_autoclose int stdin_fd = -1;
    if (request->is_interactive) /* 0 would mean /dev/null there */
        stdin_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    wish.stdin_fd = stdin_fd > 0 ? stdin_fd : 0;
    wish.args = (const char *const *)args->pdata;
    wish.env = (const char *const *)env->pdata;
    struct cob_executor_outcome outcome = {0};
    struct cob_error *err = cob_executor_run(executor, &wish, running->cancel, &outcome);
    if (!err)
        *ret_exit_code = outcome.exit_code;
    if (err && cob_error_code(err) == COB_NOT_FOUND)
        *ret_exit_code = EXIT_NO_PROGRAM;
    else if (err && cob_error_code(err) == COB_DENIED)
        *ret_exit_code = EXIT_NOT_EXECUTABLE;
    return err;
}

static struct cob_error *run_in_draft(
    struct running *running, struct cob_snapshot_draft *draft, int *ret_exit_code)
{
    cob_autoclose int root_fd = -1;

    COB_TRY(add_volumes(running));
    COB_TRY(cob_snapshot_draft_mount(draft, &root_fd));
    return execute(running, root_fd, ret_exit_code);
}

/* Without --rm, what the program left is a snapshot that `cob du` shows and nobody names. */
static struct cob_error *keep(struct running *running, struct cob_snapshot_draft *draft)
{
    g_autofree char *description = g_strdup_printf("run of %s", running->request->image);
    const struct cob_snapshot_facts facts = {.description = description};
    g_autoptr(cob_snapshot) snapshot = NULL;

    return cob_snapshot_commit(draft, &facts, &snapshot);
}

static struct cob_error *run(struct running *running, int *ret_exit_code)
{
    g_autoptr(cob_snapshot_draft) draft = NULL;

    COB_TRY(find_image(running));
    COB_TRY(cob_snapshot_draft_new(running->engine->store, running->snapshot, &draft));
    COB_TRY(run_in_draft(running, draft, ret_exit_code));
    return running->request->is_kept ? keep(running, g_steal_pointer(&draft)) : NULL;
}

struct cob_error *cob_engine_run(struct cob_engine *engine,
    const struct cob_engine_run_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, int *ret_exit_code)
{
    struct running running = {.engine = engine,
        .request = request,
        .observer = observer,
        .cancel = cancel,
        .mounts = g_array_new(FALSE, FALSE, sizeof(struct cob_executor_mount)),
        .fds = g_array_new(FALSE, FALSE, sizeof(int)),
        .texts = g_ptr_array_new_with_free_func(g_free)};

    g_array_set_clear_func(running.fds, close_fd);
    struct cob_error *err = run(&running, ret_exit_code);
    running_done(&running);
    return err;
}
