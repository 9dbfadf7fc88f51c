/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime. It is the first process of a pid namespace: when it ends, or is killed, the
 * kernel ends all that is in there. It is found by trying: one that is not able to start a step is
 * followed by the next, until one has started a step; that one stays.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "build/executor/step.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/limits.h"
#include "util/log.h"
#include "util/process.h"

#define LOG_NAME "log"
#define PID_NAME "pid"
#define WORDS_BYTES (64 * COB_KIB)

/* What the child does before it becomes the runtime. */
struct entrance {
    int alive_read_fd, alive_write_fd;
    int netns_fd, userns_fd; /* to be entered; -1 */
    const int *join_fds;
    bool takes_terminal; /* standard input is a terminal that is to tell it of changes of size */
};

/* spec: only async-signal-safe calls, see util/process.h. */
static int enter(void *arg)
{
    const struct entrance *entrance = arg;
    struct pollfd alive = {.fd = entrance->alive_read_fd, .events = POLLIN};

    /* Did cob die before our PDEATHSIG was set? Then nobody has the other end any more. */
    close(entrance->alive_write_fd);
    if (poll(&alive, 1, 0) != 0)
        return ECHILD;
    for (const int *fd = entrance->join_fds; *fd >= 0; fd++) {
        if (write(*fd, "0", 1) != 1)
            return errno;
    }
    if (entrance->netns_fd >= 0 && setns(entrance->netns_fd, CLONE_NEWNET) < 0)
        return errno;
    if (entrance->takes_terminal && (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0))
        return errno;
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return errno;
    if (entrance->userns_fd >= 0 &&
        (setns(entrance->userns_fd, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0))
        return errno;
    return 0;
}

static char *find_runtime(const char *name)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/local/sbin"};
    char *path = g_find_program_in_path(name);

    for (size_t i = 0; !path && i < G_N_ELEMENTS(folders); i++) { /* not in a user's PATH */
        path = g_build_filename(folders[i], name, NULL);
        if (access(path, X_OK) < 0)
            g_clear_pointer(&path, g_free);
    }
    return path;
}

static bool is_crun(const char *runtime)
{
    g_autofree char *base = g_path_get_basename(runtime);

    return g_str_has_prefix(base, "crun");
}

/* The cgroup that this runtime is to make: none, if it can do without. */
static const char *cgroup_for(const struct step *step, const char *runtime)
{
    bool is_needless = is_crun(runtime) && cgroups_filter_devices(step->cgroups);

    return is_needless ? NULL : cgroups_path(step->cgroups);
}

static void add(GPtrArray *args, const char *arg)
{
    g_ptr_array_add(args, g_strdup(arg));
}

/* An option whose value is a path in the state folder: absolute, because crun goes elsewhere. */
static void add_path(GPtrArray *args, const struct step *step, const char *option, const char *name)
{
    add(args, option);
    g_ptr_array_add(args, g_build_filename(step->executor->state_dir, name, NULL));
}

static GPtrArray *make_args(const struct step *step, const char *runtime, const char *console)
{
    GPtrArray *args = g_ptr_array_new_with_free_func(g_free);

    add(args, runtime);
    add_path(args, step, "--root", "run");
    add_path(args, step, "--log", LOG_NAME);
    add(args, "--log-format");
    add(args, "json");
    if (is_crun(runtime))
        add(args,
            cgroup_for(step, runtime) ? "--cgroup-manager=cgroupfs" : "--cgroup-manager=disabled");
    if (!is_crun(runtime) && step_is_bare(step))
        add(args, "--rootless=true");
    add(args, "run");
    add_path(args, step, "--bundle", "bundle");
    add_path(args, step, "--pid-file", PID_NAME);
    if (console)
        add_path(args, step, "--console-socket", console);
    add(args, step->id);
    g_ptr_array_add(args, NULL);
    return args;
}

static struct cob_error *write_config(const struct step *step, const char *runtime)
{
    json_t *config = bundle_config(step, cgroup_for(step, runtime));
    cob_autoclose int fd = openat(
        step->state_fd, "bundle/config.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (!config)
        return cob_fail(COB_INTERNAL, "make config.json");
    g_autoptr(GBytes) bytes = bundle_bytes(config);
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    json_decref(config);
    if (fd < 0)
        return cob_fail_errno(errno, "create config.json");
    return cob_fs_write_fd(fd, data, len);
}

static struct cob_error *spawn(struct step *step, const char *runtime, struct step_relay *relay,
    struct cob_process **ret_process)
{
    static const char *const env[] = {COB_STEP_PATH, NULL};
    struct entrance entrance = {.alive_read_fd = step->executor->alive_fds[0],
        .alive_write_fd = step->executor->alive_fds[1],
        .netns_fd = step->netns_fd,
        .userns_fd = step->userns_fd,
        .join_fds = cgroups_join_fds(step->cgroups),
        .takes_terminal = step->request->is_terminal && !relay_console(relay)};
    g_autoptr(GPtrArray) args = make_args(step, runtime, relay_console(relay));
    struct cob_process_request request = {.argv = (const char *const *)args->pdata,
        .envp = env,
        .stdin_fd = relay_child_fd(relay, 0),
        .stdout_fd = relay_child_fd(relay, 1),
        .stderr_fd = relay_child_fd(relay, 2),
        .clone_flags = CLONE_NEWPID,
        .in_child = enter,
        .arg = &entrance};
    struct cob_error *err = cob_process_spawn(&request, ret_process);

    if (err && cob_error_errno(err) == EPERM)
        return cob_wrap(err, "a step needs a /proc of its own (inside a container, that one needs "
                             "--security-opt systempaths=unconfined)");
    return err;
}

/* The last error in the runtime's log; NULL when it has none. */
static char *read_words(const struct step *step)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(cob_error) err = cob_fs_read_file(step->state_fd, LOG_NAME, WORDS_BYTES, &bytes);
    char *words = NULL;
    gsize len = 0;

    if (err || !bytes)
        return NULL;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        json_auto_t *entry = json_loads(*line, 0, NULL);
        const char *level = json_string_value(json_object_get(entry, "level"));
        const char *message = json_string_value(json_object_get(entry, "msg"));

        if (message && level && (strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0)) {
            g_free(words);
            words = g_strdup(message);
        }
    }
    return words;
}

/* The runtime could not start the process: say why, in the words that users of BuildKit know. */
static struct cob_error *explain(const struct step *step, const char *runtime, const char *words)
{
    g_autofree char *name = g_path_get_basename(runtime);

    if (strstr(words, "executable file"))
        return cob_fail(COB_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH",
            step->request->args[0]);
    if (strstr(words, "open executable") || strstr(words, "permission denied"))
        return cob_fail(COB_DENIED, "exec: \"%s\": permission denied", step->request->args[0]);
    if (step->executor->is_rootless && strstr(words, "nvalid argument"))
        return cob_fail(COB_PRECONDITION,
            "%s: %s: whoever runs cob may lack an id or a group that the step has: add more to "
            "/etc/subuid and /etc/subgid",
            name, words);
    return cob_fail(COB_UNKNOWN, "%s: %s", name, words);
}

/* The runtime writes a process id once the sandbox stands, and that is how we know. */
static bool has_started(const struct step *step)
{
    return faccessat(step->state_fd, PID_NAME, F_OK, 0) == 0;
}

/* One try with one runtime.  ret_words: what went wrong before the step ran; NULL: it ran. */
static struct cob_error *try_runtime(struct step *step, const char *runtime, char **ret_words)
{
    g_autoptr(cob_process) process = NULL;
    g_autoptr(step_relay) relay = NULL;
    int status = 0;

    COB_TRY(write_config(step, runtime));
    COB_TRY(relay_new(step, is_crun(runtime) ? RELAY_TERMINAL_SENT : RELAY_TERMINAL_GIVEN, &relay));
    COB_TRY(spawn(step, runtime, relay, &process));
    relay_close_child_fds(relay);
    struct cob_error *err = relay_until_end(relay, cob_process_fd(process), step->cancel);
    if (err) {
        cob_process_kill(process, SIGKILL);
        cob_error_free(cob_process_wait(process, NULL, &status));
        return err;
    }
    COB_TRY(cob_process_wait(process, NULL, &status));
    step->outcome.exit_code = status;
    if (status)
        *ret_words = read_words(step);
    if (status && !*ret_words && !has_started(step))
        *ret_words = g_strdup("it did not start the process, and said so on its standard error");
    return NULL;
}

/* Which runtimes to try: one that has started a step is the only one. */
static GPtrArray *candidates(struct cob_executor *executor, bool *ret_is_proven)
{
    static const char *const names[] = {"crun", "runc"};
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

    g_mutex_lock(&executor->lock);
    *ret_is_proven = executor->is_runtime_proven;
    if (executor->is_runtime_proven)
        g_ptr_array_add(paths, g_strdup(executor->runtime));
    g_mutex_unlock(&executor->lock);
    for (size_t i = 0; i < G_N_ELEMENTS(names) && !*ret_is_proven; i++) {
        const char *wish = executor->runtime_wish;
        char *path = !wish                         ? find_runtime(names[i])
                     : i == 0 && strchr(wish, '/') ? g_strdup(wish)
                     : i == 0                      ? find_runtime(wish)
                                                   : NULL;
        if (path)
            g_ptr_array_add(paths, path);
    }
    return paths;
}

static void remember(struct cob_executor *executor, const char *runtime)
{
    g_mutex_lock(&executor->lock);
    if (!executor->is_runtime_proven) {
        executor->runtime = g_strdup(runtime);
        executor->is_runtime_proven = true;
        cob_trace(1, "runtime %s", runtime);
    }
    g_mutex_unlock(&executor->lock);
}

/* Make room for the next try. */
static void forget_try(const struct step *step)
{
    unlinkat(step->state_fd, LOG_NAME, 0);
    unlinkat(step->state_fd, PID_NAME, 0);
    unlinkat(step->state_fd, "console", 0);
}

struct cob_error *runtime_run(struct step *step)
{
    bool is_proven = false;
    g_autoptr(GPtrArray) paths = candidates(step->executor, &is_proven);
    struct cob_error *first = NULL;

    for (guint i = 0; i < paths->len; i++) {
        const char *runtime = g_ptr_array_index(paths, i);
        g_autofree char *words = NULL;
        struct cob_error *err = try_runtime(step, runtime, &words);

        if (!err && !words) {
            remember(step->executor, runtime);
            cob_error_free(first);
            return NULL;
        }
        if (!err)
            err = explain(step, runtime, words);
        bool is_final =
            cob_error_code(err) == COB_NOT_FOUND || cob_error_code(err) == COB_CANCELLED;
        if (first && !is_final) {
            cob_error_free(err);
        } else {
            cob_error_free(first);
            first = err;
        }
        if (is_final)
            return first;
        forget_try(step);
    }
    if (!first)
        return cob_fail(COB_PRECONDITION,
            "a step needs %s: install it (Debian: apt-get install %s)",
            step->executor->runtime_wish ? step->executor->runtime_wish : "crun or runc",
            step->executor->runtime_wish ? step->executor->runtime_wish : "crun");
    return first;
}
