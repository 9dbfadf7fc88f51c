/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of a step. They filter devices, because a step has CAP_MKNOD; they bound the number of
 * its processes; and they know whether the kernel ended one of them for want of memory.
 *
 *     hierarchy   a step's leaf            is for                    without it
 *     v1 devices  /cob/<leaf>              devices.allow             the runtime filters, by eBPF
 *     v1 memory   <cob's own>/cob/<leaf>   memory.oom_control        the machine's count is asked
 *     v1 pids     <cob's own>/cob/<leaf>   pids.max                  no bound
 *     v2          /cob/<leaf>; in it the   devices, memory.events,   -
 *                 runtime makes "step"     memory.oom.group, pids
 *     rootless    none                     -                         no mknod, by the kernel
 *     emulated    as above, but devices    the runtime makes none    likewise
 *
 * With v1 devices, crun makes no cgroup of its own; runc does. Below cob's own: what bounds cob
 * bounds its steps. A child joins v1 leaves by "tasks": it has one thread, and for that the kernel
 * needs no grace period, which "cgroup.procs" takes 5 to 40 ms to wait for.
 *
 * A leaf is named <pid of cob>-<random> and flock()ed while its cob lives. Those of a killed cob
 * are known by both and removed: a pid alone says nothing to a cob in another pid namespace.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "build/executor/step.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/log.h"

#define CGROUPS "/sys/fs/cgroup"
#define UNIFIED CGROUPS "/unified" /* as systemd has it on machines with both */
#define STEP_NAME "step"           /* the runtime's, in a leaf of v2 */
#define MAX_PROCESSES "16384"
#define STAT_BYTES (64 * COB_KIB)
#define MAKE_TRIES 5
#define REMOVE_TRIES 50
#define REMOVE_WAIT_US 2000

enum hierarchy { DEVICES, MEMORY, PIDS, N_V1, UNIFIED_V2 = N_V1, N_HIERARCHIES };

struct leaf {
    int parent_fd; /* the folder "cob" that it is in; -1 */
    int fd;        /* -1 */
};

struct step_cgroups {
    struct leaf leaves[N_HIERARCHIES];
    char *name;              /* of each leaf */
    char *path;              /* of the runtime's, in v2; NULL: rootless */
    int join_fds[N_V1 + 1];  /* of the leaves that a child joins itself, then -1 */
    uint64_t n_kills_before; /* of the machine */
};

/* Everything is denied; these are what the runtime puts into /dev, and making nodes. */
static const char *const device_rules[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm",
    "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"};

static bool is_cgroup2(const char *path)
{
    struct statfs st;

    return statfs(path, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC;
}

static bool is_cgroup1(const char *path)
{
    struct statfs st;

    return statfs(path, &st) == 0 && st.f_type == CGROUP_SUPER_MAGIC;
}

static struct cob_error *write_at(int dir_fd, const char *name, const char *text)
{
    cob_autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "open %s", name);
    return cob_wrap(cob_fs_write_fd(fd, text, strlen(text)), "%s", name);
}

/* What is good to have: a machine that does not give it still builds. */
static void forgive(struct cob_error *err)
{
    g_autofree char *text = err ? cob_error_message(err) : NULL;

    if (err)
        cob_trace(1, "cgroup: %s", text);
    cob_error_free(err);
}

/* A wish: not every kernel and not every place has it. */
static void try_write_at(int dir_fd, const char *name, const char *text)
{
    forgive(write_at(dir_fd, name, text));
}

static int remove_once(int parent_fd, const char *name)
{
    g_autofree char *inner = g_build_filename(name, STEP_NAME, NULL);

    unlinkat(parent_fd, inner, AT_REMOVEDIR);
    return unlinkat(parent_fd, name, AT_REMOVEDIR);
}

static bool is_abandoned(int parent_fd, const char *name)
{
    int pid = atoi(name);

    if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
        return false;
    cob_autoclose int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* A leaf with processes in it cannot be removed: only those that nobody uses any more go. */
static void sweep(int parent_fd)
{
    int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (is_abandoned(parent_fd, entry->d_name))
            remove_once(parent_fd, entry->d_name);
    }
    if (dir)
        closedir(dir);
}

static struct cob_error *open_parent(struct step *step, const char *folder, int *ret_fd)
{
    struct cob_executor *executor = step->executor;
    g_autofree char *path = g_build_filename(folder, "cob", NULL);

    COB_TRY(cob_wrap(cob_fs_make_dirs(AT_FDCWD, path, 0755, NULL), "make cgroup %s", path));
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return cob_fail_errno(errno, "open cgroup %s", path);
    g_mutex_lock(&executor->lock);
    bool is_first = executor->n_cgroups_swept < N_HIERARCHIES;
    executor->n_cgroups_swept += is_first;
    g_mutex_unlock(&executor->lock);
    if (is_first)
        sweep(*ret_fd);
    return NULL;
}

/* -1: it is gone, or about to go. */
static int open_locked(int parent_fd, const char *name)
{
    struct stat st;
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && (flock(fd, LOCK_SH | LOCK_NB) < 0 || fstatat(parent_fd, name, &st, 0) < 0))
        cob_closep(&fd), fd = -1;
    return fd;
}

static struct cob_error *make_leaf(
    struct step *step, struct step_cgroups *cgroups, enum hierarchy which, const char *folder)
{
    struct leaf *leaf = &cgroups->leaves[which];

    COB_TRY(open_parent(step, folder, &leaf->parent_fd));
    for (int i = 0; i < MAKE_TRIES && leaf->fd < 0; i++) { /* swept before it was locked: again */
        if (mkdirat(leaf->parent_fd, cgroups->name, 0755) < 0 && errno != EEXIST)
            return cob_fail_errno(errno, "make cgroup %s/cob/%s", folder, cgroups->name);
        leaf->fd = open_locked(leaf->parent_fd, cgroups->name);
    }
    return leaf->fd < 0 ? cob_fail_errno(errno, "open cgroup %s/cob/%s", folder, cgroups->name)
                        : NULL;
}

static struct cob_error *join_later(struct step_cgroups *cgroups, enum hierarchy which)
{
    const char *name = which == UNIFIED_V2 ? "cgroup.procs" : "tasks";
    int *fd = cgroups->join_fds;

    while (*fd >= 0)
        fd++;
    *fd = openat(cgroups->leaves[which].fd, name, O_WRONLY | O_CLOEXEC);
    return *fd < 0 ? cob_fail_errno(errno, "open %s", name) : NULL;
}

/* A folder of a hierarchy, or where --cgroup-parent says in it. The caller frees it. */
static char *below_parent(const struct step *step, const char *folder)
{
    return g_build_filename(
        folder, step->request->cgroup_parent ? step->request->cgroup_parent : "", NULL);
}

static struct cob_error *make_devices_leaf(struct step *step, struct step_cgroups *cgroups)
{
    g_autofree char *folder = below_parent(step, CGROUPS "/devices");

    if (!is_cgroup1(CGROUPS "/devices"))
        return NULL;
    COB_TRY(make_leaf(step, cgroups, DEVICES, folder));
    if (step->request->is_insecure)
        return join_later(cgroups, DEVICES);
    COB_TRY(write_at(cgroups->leaves[DEVICES].fd, "devices.deny", "a"));
    for (size_t i = 0; i < G_N_ELEMENTS(device_rules); i++)
        COB_TRY(write_at(cgroups->leaves[DEVICES].fd, "devices.allow", device_rules[i]));
    return join_later(cgroups, DEVICES);
}

/* Where cob itself is in a v1 hierarchy; the caller frees it. In a container that does not see the
 * way from the top, that is the top. NULL: there is no such hierarchy. */
static char *own_folder(const char *controller)
{
    g_autofree char *top = g_build_filename(CGROUPS, controller, NULL);
    g_autofree char *text = NULL;

    if (!is_cgroup1(top) || !g_file_get_contents("/proc/self/cgroup", &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3); /* number, controllers, path */
        g_auto(GStrv) names = g_strsplit(g_strv_length(parts) == 3 ? parts[1] : "", ",", -1);

        if (g_strv_contains((const char *const *)names, controller)) {
            g_autofree char *folder = g_build_filename(top, parts[2], NULL);

            if (g_str_has_prefix(parts[2], "/..")) /* not in what the cgroup namespace shows */
                return NULL;
            return access(folder, F_OK) == 0 ? g_steal_pointer(&folder) : g_steal_pointer(&top);
        }
    }
    return NULL;
}

static void make_own_leaf(
    struct step *step, struct step_cgroups *cgroups, enum hierarchy which, const char *controller)
{
    g_autofree char *own = own_folder(controller);
    g_autofree char *top = g_build_filename(CGROUPS, controller, NULL);
    g_autofree char *folder =
        step->request->cgroup_parent ? below_parent(step, top) : g_strdup(own);

    if (!own)
        return;
    struct cob_error *err = make_leaf(step, cgroups, which, folder);
    forgive(err ? err : join_later(cgroups, which));
}

/* Runtimes refuse a mixture of cgroup1 and 2: in this mount namespace there is none. Where the
 * machine has cgroup2 in a corner, that is shown: a new mount of it takes the kernel 10 ms. */
static struct cob_error *show_cgroup2(void)
{
    if (is_cgroup2(CGROUPS))
        return NULL;
    if (is_cgroup2(UNIFIED) && mount(UNIFIED, CGROUPS, NULL, MS_BIND, NULL) == 0)
        return NULL;
    if (mount("cgroup2", CGROUPS, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return cob_fail_errno(errno, "mount cgroup2 on " CGROUPS);
    return NULL;
}

/* Without privilege: a cgroup2 seen from a cgroup namespace of our own, else nothing at all. Where
 * neither can be had, the runtime says what it thinks of it. */
static void hide_cgroups(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    if (is_cgroup2(CGROUPS))
        return;
    if (unshare(CLONE_NEWCGROUP) < 0 || mount("cgroup2", CGROUPS, "cgroup2", flags, NULL) < 0)
        mount("cob", CGROUPS, "tmpfs", flags, "size=0");
}

/* Controllers come down a hierarchy one level at a time; most machines have done that already. */
static void enable_below(int parent_fd, const char *controller)
{
    g_autofree char *wish = g_strdup_printf("+%s", controller);
    cob_autoclose int top_fd = open(CGROUPS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    try_write_at(top_fd, "cgroup.subtree_control", wish);
    try_write_at(parent_fd, "cgroup.subtree_control", wish);
}

static void set_if_known(
    const struct leaf *leaf, const char *controller, const char *file, const char *value)
{
    if (faccessat(leaf->fd, file, F_OK, 0) < 0)
        enable_below(leaf->parent_fd, controller);
    if (faccessat(leaf->fd, file, F_OK, 0) == 0)
        try_write_at(leaf->fd, file, value);
}

static struct cob_error *make_unified_leaf(struct step *step, struct step_cgroups *cgroups)
{
    const struct leaf *leaf = &cgroups->leaves[UNIFIED_V2];

    COB_TRY(show_cgroup2());
    g_autofree char *folder = below_parent(step, CGROUPS);
    COB_TRY(make_leaf(step, cgroups, UNIFIED_V2, folder));
    if (cgroups->leaves[MEMORY].fd < 0)
        set_if_known(leaf, "memory", "memory.oom.group", "1");
    if (cgroups->leaves[PIDS].fd < 0)
        set_if_known(leaf, "pids", "pids.max", MAX_PROCESSES);
    g_autofree char *parent = below_parent(step, "/");
    cgroups->path = g_build_filename(parent, "cob", cgroups->name, STEP_NAME, NULL);
    return NULL;
}

static struct cob_error *check_parent(const struct step *step)
{
    const char *parent = step->request->cgroup_parent;
    g_auto(GStrv) parts = g_strsplit(parent ? parent : "", "/", -1);

    if (!parent)
        return NULL;
    if (step->executor->is_rootless)
        return cob_fail(COB_PRECONDITION,
            "cgroup parent %s: only root can put steps into cgroups: leave --cgroup-parent out",
            parent);
    if (g_strv_contains((const char *const *)parts, ".."))
        return cob_fail(COB_INVALID, "cgroup parent %s: it must not have .. in it", parent);
    return NULL;
}

static void make_own_leaves(struct step *step, struct step_cgroups *cgroups)
{
    make_own_leaf(step, cgroups, MEMORY, "memory");
    make_own_leaf(step, cgroups, PIDS, "pids");
    if (cgroups->leaves[PIDS].fd >= 0)
        try_write_at(cgroups->leaves[PIDS].fd, "pids.max", MAX_PROCESSES);
}

/* The runtime is in a user namespace, and makes none: it begins its life in cob's. */
static void fill_for_userns(struct step *step, struct step_cgroups *cgroups)
{
    make_own_leaves(step, cgroups);
    if (is_cgroup2(CGROUPS)) {
        struct cob_error *err = make_unified_leaf(step, cgroups);

        g_clear_pointer(&cgroups->path, g_free);
        forgive(err ? err : join_later(cgroups, UNIFIED_V2));
    }
    hide_cgroups();
}

static struct cob_error *fill(struct step *step, struct step_cgroups *cgroups)
{
    COB_TRY(check_parent(step));
    if (step->executor->is_rootless) {
        hide_cgroups();
        return NULL;
    }
    if (step_is_bare(step)) {
        fill_for_userns(step, cgroups);
        return NULL;
    }
    COB_TRY(make_devices_leaf(step, cgroups));
    make_own_leaves(step, cgroups);
    return make_unified_leaf(step, cgroups);
}

/* The number in the line "oom_kill <number>" of a file; false: it has none. */
static bool read_kills(int dir_fd, const char *name, uint64_t *ret_n)
{
    cob_autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(cob_error) err = fd < 0 ? NULL : cob_fs_read_fd(fd, STAT_BYTES, &bytes);
    gsize len = 0;

    if (err || !bytes)
        return false;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (g_str_has_prefix(*line, "oom_kill "))
            return g_ascii_string_to_unsigned(
                g_strstrip(*line + strlen("oom_kill ")), 10, 0, G_MAXUINT64, ret_n, NULL);
    }
    return false;
}

struct cob_error *cgroups_new(struct step *step, struct step_cgroups **ret_cgroups)
{
    struct step_cgroups *cgroups = g_new(struct step_cgroups, 1);

    *cgroups = (struct step_cgroups){.name = g_strdup(step->id)};
    for (int i = 0; i < N_HIERARCHIES; i++)
        cgroups->leaves[i] = (struct leaf){.parent_fd = -1, .fd = -1};
    for (size_t i = 0; i < G_N_ELEMENTS(cgroups->join_fds); i++)
        cgroups->join_fds[i] = -1;
    *ret_cgroups = cgroups;
    read_kills(AT_FDCWD, "/proc/vmstat", &cgroups->n_kills_before);
    return fill(step, cgroups);
}

const char *cgroups_path(const struct step_cgroups *cgroups)
{
    return cgroups->path;
}

bool cgroups_filter_devices(const struct step_cgroups *cgroups)
{
    return cgroups->leaves[DEVICES].fd >= 0;
}

const int *cgroups_join_fds(const struct step_cgroups *cgroups)
{
    return cgroups->join_fds;
}

/* The step's own count, where there is one; else whether the machine's has grown meanwhile, and the
 * step ended as one does whom the kernel killed. */
enum cob_executor_oom cgroups_oom(const struct step_cgroups *cgroups, int exit_code)
{
    uint64_t n = 0;

    if (read_kills(cgroups->leaves[MEMORY].fd, "memory.oom_control", &n) ||
        read_kills(cgroups->leaves[UNIFIED_V2].fd, "memory.events", &n))
        return n > 0 ? COB_EXECUTOR_OOM_CERTAIN : COB_EXECUTOR_OOM_NONE;
    if (exit_code == 128 + SIGKILL && read_kills(AT_FDCWD, "/proc/vmstat", &n) &&
        n > cgroups->n_kills_before)
        return COB_EXECUTOR_OOM_LIKELY;
    return COB_EXECUTOR_OOM_NONE;
}

/* The kernel needs a moment to count out the last process. */
static void remove_leaf(const struct leaf *leaf, const char *name)
{
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (remove_once(leaf->parent_fd, name) == 0 || errno != EBUSY)
            return;
        g_usleep(REMOVE_WAIT_US);
    }
}

void cgroups_remove(struct step_cgroups *cgroups)
{
    if (!cgroups)
        return;
    for (int i = 0; i < N_HIERARCHIES; i++) {
        if (cgroups->leaves[i].parent_fd >= 0)
            remove_leaf(&cgroups->leaves[i], cgroups->name);
        cob_closep(&cgroups->leaves[i].parent_fd);
        cob_closep(&cgroups->leaves[i].fd);
    }
    for (int *fd = cgroups->join_fds; *fd >= 0; fd++)
        cob_closep(fd);
    g_free(cgroups->name);
    g_free(cgroups->path);
    g_free(cgroups);
}
