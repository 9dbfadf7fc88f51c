/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of layer chains, as detached mount trees.
 *
 * Linux 6.7 takes lower layers one by one ("lowerdir+"), each as a path of at most 255 bytes: that
 * of a descriptor in /proc. Before that they stand in one string of at most a page, so their names
 * are relative to snapshots/, and the mount is made in a thread with a mount namespace of its own,
 * where it is attached for a moment; a copy of it, attached nowhere, is what comes out.
 *
 * Either way the store's folders must be in the mount namespace of the calling thread: a process
 * makes its namespace first and opens the store then.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "disk/snapshot/snapshot.h"
#include "disk/snapshot/snapshot_parts.h"

#define MAX_LAYERS 500 /* OVL_MAX_STACK in the kernel's fs/overlayfs */
#define MAX_OPTIONS 4095

/* What makes fs/ the whole difference to the parent, and lets an image's own attributes lead
 * nowhere: redirects are neither made nor followed. */
static const char *const fixed_options[][2] = {
    {"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "nofollow"}};

/* A copy of a directory's mount. */
static struct cob_error *clone_dir(int dir_fd, bool is_read_only, int *ret_mount_fd)
{
    cob_autoclose int fd =
        open_tree(dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

    if (fd < 0)
        return cob_fail_errno(errno, "clone the mount of a layer");
    if (is_read_only && mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
        return cob_fail_errno(errno, "make the mount of a layer read-only");
    *ret_mount_fd = g_steal_fd(&fd);
    return NULL;
}

/* A workdir that no mount has used.  ret_name: in the draft's folder; the caller frees it. */
static struct cob_error *make_workdir(
    struct cob_snapshot_draft *draft, char **ret_name, int *ret_fd)
{
    g_autofree char *name = g_strdup_printf("work%d", draft->n_mounts);

    if (mkdirat(draft->dir_fd, name, 0755) < 0)
        return cob_fail_errno(errno, "make directory %s/%s", draft->name, name);
    draft->n_mounts++;
    *ret_fd = openat(draft->dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return cob_fail_errno(errno, "open directory %s/%s", draft->name, name);
    *ret_name = g_steal_pointer(&name);
    return NULL;
}

/* The kernel's own words about a file system context, if it has any. */
static struct cob_error *fail_context(int context_fd, const char *what)
{
    int errnum = errno;
    char words[512];
    ssize_t n = read(context_fd, words, sizeof(words));

    if (n > 2) /* "e " and the message */
        return cob_fail_errno(errnum, "%s: %.*s", what, (int)n - 2, words + 2);
    return cob_fail_errno(errnum, "%s", what);
}

static int set_text(int context_fd, const char *key, const char *value)
{
    return fsconfig(context_fd, FSCONFIG_SET_STRING, key, value, 0);
}

static int set_dir(int context_fd, const char *key, int dir_fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", dir_fd);

    return set_text(context_fd, key, path);
}

static struct cob_error *set_upper(int context_fd, struct cob_snapshot_draft *draft)
{
    g_autofree char *name = NULL;
    cob_autoclose int work_fd = -1;

    COB_TRY(make_workdir(draft, &name, &work_fd));
    if (set_dir(context_fd, "upperdir", draft->fs_fd) < 0 ||
        set_dir(context_fd, "workdir", work_fd) < 0 ||
        fsconfig(context_fd, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
        return fail_context(context_fd, "set the upper directory");
    return NULL;
}

static struct cob_error *set_options(const struct cob_snapshot_stack *stack, int context_fd)
{
    int rc = set_text(context_fd, "source", "cob");

    for (size_t i = 0; i < G_N_ELEMENTS(fixed_options) && rc == 0; i++)
        rc = set_text(context_fd, fixed_options[i][0], fixed_options[i][1]);
    if (rc == 0 && cob_store_is_userxattr(stack->registry->store))
        rc = fsconfig(context_fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0);
    return rc < 0 ? fail_context(context_fd, "set the options of overlayfs") : NULL;
}

/* ret_is_known: false when the kernel does not take layers one by one. */
static struct cob_error *set_lowers(
    const struct cob_snapshot_stack *stack, int context_fd, bool *ret_is_known)
{
    for (const struct cob_snapshot *each = stack->top; each; each = each->parent) {
        int rc = set_dir(context_fd, "lowerdir+", each->layer_fd);

        *ret_is_known = rc == 0 || each != stack->top || errno != EINVAL;
        if (!*ret_is_known)
            return NULL;
        if (rc < 0)
            return cob_wrap(fail_context(context_fd, "set a lower directory"), "%s", each->id);
    }
    return NULL;
}

/* By file system context.  ret_mount_fd: -1 when the kernel is too old for it. */
static struct cob_error *mount_by_context(const struct cob_snapshot_stack *stack, int *ret_mount_fd)
{
    cob_autoclose int context_fd = fsopen("overlay", FSOPEN_CLOEXEC);
    bool is_known = false;

    if (context_fd < 0 && errno == ENOSYS)
        return NULL;
    if (context_fd < 0 && errno == ENODEV)
        return cob_fail_errno(errno, "overlayfs (the kernel has no module for it)");
    if (context_fd < 0)
        return cob_fail_errno(errno, "begin an overlayfs mount");
    COB_TRY(set_lowers(stack, context_fd, &is_known));
    if (!is_known)
        return NULL;
    COB_TRY(set_options(stack, context_fd));
    if (stack->over)
        COB_TRY(set_upper(context_fd, stack->over));
    if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail_context(context_fd, "create an overlayfs");
    *ret_mount_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, stack->over ? 0 : MOUNT_ATTR_RDONLY);
    if (*ret_mount_fd < 0)
        return cob_fail_errno(errno, "mount an overlayfs");
    return NULL;
}

/* --- before Linux 6.7 --- */

/* What the thread needs, and what it brings back. */
struct old_mount {
    int snapshots_fd;
    const char *options;
    bool is_read_only;
    int mount_fd;
    struct cob_error *err;
};

/* In a thread of its own. First the working directory, then the namespace: making that one takes
 * the working directory along, but no descriptor. */
static struct cob_error *mount_in_thread(struct old_mount *job)
{
    unsigned long flags = job->is_read_only ? MS_RDONLY : 0;

    if (unshare(CLONE_FS) < 0 || fchdir(job->snapshots_fd) < 0 || unshare(CLONE_NEWNS) < 0)
        return cob_fail_errno(errno, "make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return cob_fail_errno(errno, "make mounts private");
    if (mount("cob", "../snapshots", "overlay", flags, job->options) < 0)
        return cob_fail_errno(errno, "mount an overlayfs with %.300s", job->options);
    job->mount_fd = open_tree(AT_FDCWD, "../snapshots", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (job->mount_fd < 0)
        return cob_fail_errno(errno, "clone the mount of an overlayfs");
    return NULL;
}

static void *run_old_mount(void *arg)
{
    struct old_mount *job = arg;

    job->err = mount_in_thread(job);
    return NULL;
}

static struct cob_error *add_upper(struct cob_snapshot_draft *draft, GString *options)
{
    const char *tmp = cob_store_tmp_path(draft->registry->store);
    const char *lease = strrchr(tmp, '/') + 1;
    g_autofree char *work = NULL;
    cob_autoclose int work_fd = -1;

    COB_TRY(make_workdir(draft, &work, &work_fd));
    g_string_append_printf(options, ",upperdir=../tmp/%s/%s/fs,workdir=../tmp/%s/%s/%s,volatile",
        lease, draft->name, lease, draft->name, work);
    return NULL;
}

static struct cob_error *make_options(const struct cob_snapshot_stack *stack, GString *options)
{
    for (const struct cob_snapshot *each = stack->top; each; each = each->parent)
        g_string_append_printf(
            options, "%s%s/fs", each == stack->top ? "lowerdir=" : ":", each->id);
    for (size_t i = 0; i < G_N_ELEMENTS(fixed_options); i++)
        g_string_append_printf(options, ",%s=%s", fixed_options[i][0], fixed_options[i][1]);
    if (cob_store_is_userxattr(stack->registry->store))
        g_string_append(options, ",userxattr");
    if (stack->over)
        COB_TRY(add_upper(stack->over, options));
    if (options->len > MAX_OPTIONS)
        return cob_fail(COB_OUT_OF_RANGE,
            "a chain of %u layers is too long for the mount options of this kernel; Linux 6.7 "
            "takes up to %d",
            stack->top->depth, MAX_LAYERS);
    return NULL;
}

static struct cob_error *mount_by_string(const struct cob_snapshot_stack *stack, int *ret_mount_fd)
{
    g_autoptr(GString) options = g_string_new(NULL);

    COB_TRY(make_options(stack, options));
    struct old_mount job = {.snapshots_fd = stack->registry->snapshots_fd,
        .options = options->str,
        .is_read_only = !stack->over,
        .mount_fd = -1};
    g_thread_join(g_thread_new("mount", run_old_mount, &job));
    if (!job.err)
        *ret_mount_fd = job.mount_fd;
    return job.err;
}

struct cob_error *cob_snapshot_mount_stack(
    const struct cob_snapshot_stack *stack, int *ret_mount_fd)
{
    int mount_fd = -1;

    if (!stack->top)
        return clone_dir(stack->over->fs_fd, /* is_read_only= */ false, ret_mount_fd);
    if (stack->top->depth > MAX_LAYERS)
        return cob_fail(COB_OUT_OF_RANGE,
            "a chain of %u layers; overlayfs stacks at most %d: squash some of them",
            stack->top->depth, MAX_LAYERS);
    if (!stack->over && stack->top->depth == 1)
        return clone_dir(stack->top->layer_fd, /* is_read_only= */ true, ret_mount_fd);
    COB_TRY(mount_by_context(stack, &mount_fd));
    if (mount_fd < 0)
        COB_TRY(mount_by_string(stack, &mount_fd));
    *ret_mount_fd = mount_fd;
    return NULL;
}
