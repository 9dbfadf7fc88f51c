/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of a step. What they are for is the filter of devices: a step has CAP_MKNOD.
 *
 *     machine                          who makes the step's cgroup     and filters devices
 *     cgroup2 alone                    the runtime, in /cob/<id>       the runtime, by eBPF
 *     with a v1 hierarchy of devices   cob, there: .../cob/<id>        cob, by devices.allow; crun
 *                                                                      makes no other; runc does
 *     neither                          the runtime, in a cgroup2 that the step's namespace shows
 *     rootless                         nobody                          the kernel: no mknod
 *
 * A leaf is named <pid of cob>-<random>, so that those of a killed cob are known and removed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "build/executor/step.h"
#include "util/fs.h"

#define CGROUPS "/sys/fs/cgroup"
#define UNIFIED CGROUPS "/unified" /* as systemd has it on machines with both */
#define DEVICES_V1 CGROUPS "/devices"
#define N_HIERARCHIES 2 /* at most: one of devices, and cgroup2 */
#define REMOVE_TRIES 50
#define REMOVE_WAIT_US 2000

struct step_cgroups {
    int devices_fd;   /* the folder "cob" of the v1 hierarchy of devices; -1 */
    int unified_fd;   /* the folder "cob" of cgroup2; -1 */
    char *leaf;       /* name in them */
    char *path;       /* in cgroup2, for the runtime; NULL: rootless */
    int procs_fds[2]; /* cgroup.procs to be joined, then -1 */
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

/* A leaf with processes in it cannot be removed: only those that nobody uses any more go. */
static void sweep(int parent_fd)
{
    int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int pid = atoi(entry->d_name);

        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
            unlinkat(parent_fd, entry->d_name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
}

static struct cob_error *open_parent(struct step *step, const char *hierarchy, int *ret_fd)
{
    struct cob_executor *executor = step->executor;
    g_autofree char *path = g_build_filename(hierarchy, "cob", NULL);

    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make cgroup %s", path);
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

static struct cob_error *make_devices_leaf(struct step_cgroups *cgroups)
{
    cob_autoclose int fd = -1;

    if (mkdirat(cgroups->devices_fd, cgroups->leaf, 0755) < 0)
        return cob_fail_errno(errno, "make it");
    fd = openat(cgroups->devices_fd, cgroups->leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cob_fail_errno(errno, "open it");
    COB_TRY(write_at(fd, "devices.deny", "a"));
    for (size_t i = 0; i < G_N_ELEMENTS(device_rules); i++)
        COB_TRY(write_at(fd, "devices.allow", device_rules[i]));
    cgroups->procs_fds[0] = openat(fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    return cgroups->procs_fds[0] < 0 ? cob_fail_errno(errno, "open cgroup.procs") : NULL;
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

static struct cob_error *fill(struct step *step, struct step_cgroups *cgroups)
{
    if (step->executor->is_rootless) {
        hide_cgroups();
        return NULL;
    }
    if (is_cgroup1(DEVICES_V1)) {
        COB_TRY(open_parent(step, DEVICES_V1, &cgroups->devices_fd));
        COB_TRY(
            cob_wrap(make_devices_leaf(cgroups), "cgroup " DEVICES_V1 "/cob/%s", cgroups->leaf));
    }
    COB_TRY(show_cgroup2());
    COB_TRY(open_parent(step, CGROUPS, &cgroups->unified_fd));
    cgroups->path = g_build_filename("/cob", cgroups->leaf, NULL);
    return NULL;
}

struct cob_error *cgroups_new(struct step *step, struct step_cgroups **ret_cgroups)
{
    struct step_cgroups *cgroups = g_new(struct step_cgroups, 1);

    *cgroups = (struct step_cgroups){
        .devices_fd = -1, .unified_fd = -1, .leaf = g_strdup(step->id), .procs_fds = {-1, -1}};
    *ret_cgroups = cgroups;
    return fill(step, cgroups);
}

const char *cgroups_path(const struct step_cgroups *cgroups)
{
    return cgroups->path;
}

bool cgroups_filter_devices(const struct step_cgroups *cgroups)
{
    return cgroups->devices_fd >= 0;
}

const int *cgroups_procs_fds(const struct step_cgroups *cgroups)
{
    return cgroups->procs_fds;
}

/* The kernel needs a moment to count out the last process. */
static void remove_leaf(int parent_fd, const char *leaf)
{
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (unlinkat(parent_fd, leaf, AT_REMOVEDIR) == 0 || errno != EBUSY)
            return;
        g_usleep(REMOVE_WAIT_US);
    }
}

void cgroups_remove(struct step_cgroups *cgroups)
{
    if (!cgroups)
        return;
    if (cgroups->devices_fd >= 0)
        remove_leaf(cgroups->devices_fd, cgroups->leaf);
    if (cgroups->unified_fd >= 0)
        remove_leaf(cgroups->unified_fd, cgroups->leaf);
    cob_closep(&cgroups->devices_fd);
    cob_closep(&cgroups->unified_fd);
    cob_closep(&cgroups->procs_fds[0]);
    g_free(cgroups->leaf);
    g_free(cgroups->path);
    g_free(cgroups);
}
