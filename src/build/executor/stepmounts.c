/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "build/executor/step.h"
#include "util/fs.h"

/* <sys/mount.h> and <linux/mount.h> cannot be had together in glibc 2.36. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
    const void *data);
int umount2(const char *target, int flags);
#define MNT_DETACH 2

#define STATE_OPTIONS "mode=0700,size=64m"

static int sys_open_tree(int fd, unsigned flags)
{
    return (int)syscall(SYS_open_tree, fd, "", flags | AT_EMPTY_PATH | OPEN_TREE_CLOEXEC);
}

static int sys_move_mount(int fd, int to_fd)
{
    return (int)syscall(
        SYS_move_mount, fd, "", to_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static struct cob_error *set_attributes(int fd, uint64_t attributes)
{
    struct mount_attr attr = {.attr_set = attributes, .propagation = MS_PRIVATE};

    if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return cob_fail_errno(errno, "set the attributes of a mount");
    return NULL;
}

/* A detached copy of a mount, from an open directory or file on. -1 with EINVAL: `fd` is itself
 * detached, and the kernel cannot copy such a one (before Linux 6.15). */
static int clone_mount(int fd)
{
    return sys_open_tree(fd, OPEN_TREE_CLONE | AT_RECURSIVE);
}

/* The directory or file in the source that a mount is about. */
static struct cob_error *open_source(int source_fd, const char *source, int *ret_fd)
{
    if (!source || strcmp(source, "") == 0 || strcmp(source, "/") == 0) {
        *ret_fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 3);
        return *ret_fd < 0 ? cob_fail_errno(errno, "open the source") : NULL;
    }
    struct cob_rootfs_walk request = {
        .root_fd = source_fd, .path = source, .wish = COB_ROOTFS_FIND};
    return cob_wrap(cob_rootfs_walk(&request, ret_fd, NULL), "source %s", source);
}

static struct cob_error *clone_source(const struct cob_executor_mount *mount, int *ret_fd)
{
    cob_autoclose int fd = -1;

    COB_TRY(open_source(mount->source_fd, mount->source, &fd));
    *ret_fd = clone_mount(fd);
    if (*ret_fd < 0 && errno != EINVAL)
        return cob_fail_errno(errno, "copy the mount of the source");
    return NULL;
}

struct cob_error *stepmounts_clone_sources(struct step *step)
{
    const struct cob_executor_request *request = step->request;

    step->root_clone_fd = clone_mount(request->root_fd);
    if (step->root_clone_fd < 0 && errno != EINVAL)
        return cob_fail_errno(errno, "copy the mount of the root");
    for (size_t i = 0; i < request->n_mounts; i++) {
        const struct cob_executor_mount *mount = &request->mounts[i];

        if (mount->kind == COB_EXECUTOR_MOUNT_BIND)
            COB_TRY(cob_wrap(clone_source(mount, &step->source_fds[i]), "mount %s", mount->target));
    }
    return NULL;
}

static struct cob_error *make_state_dirs(const struct step *step)
{
    static const char *const dirs[] = {
        "bundle", "bundle/rootfs", "run", "files", "secrets", "dev", "sources"};

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        if (mkdirat(step->state_fd, dirs[i], 0700) < 0)
            return cob_fail_errno(errno, "make directory %s", dirs[i]);
    }
    return NULL;
}

/* Put the root where the runtime is to find it. */
static struct cob_error *attach_root(struct step *step)
{
    cob_autoclose int place_fd =
        openat(step->state_fd, "bundle/rootfs", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = step->root_clone_fd >= 0 ? step->root_clone_fd : step->request->root_fd;

    if (place_fd < 0)
        return cob_fail_errno(errno, "open bundle/rootfs");
    /* Devices are in /dev, which the runtime makes; one that an image brings opens nothing. */
    if (!step->request->is_insecure)
        COB_TRY(cob_wrap(set_attributes(fd, MOUNT_ATTR_NODEV), "root"));
    if (sys_move_mount(fd, place_fd) < 0)
        return cob_fail_errno(errno, "mount the root");
    step->rootfs_fd = openat(step->state_fd, "bundle/rootfs", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return step->rootfs_fd < 0 ? cob_fail_errno(errno, "open the root") : NULL;
}

/* What the runtime mounts on must be there, and must not lead elsewhere: runtimes of old follow a
 * /dev that is a symlink. */
static struct cob_error *make_sandbox_place(struct step *step, const char *name)
{
    struct cob_rootfs_walk request = {
        .root_fd = step->rootfs_fd, .path = name, .wish = COB_ROOTFS_MAKE_DIR, .made = step->stubs};
    g_autofree char *path = NULL;
    cob_autoclose int fd = -1;

    COB_TRY(cob_wrap(cob_rootfs_walk(&request, &fd, &path), "prepare %s", name));
    if (strcmp(path, name) != 0)
        return cob_fail(COB_INVALID, "%s of the image is a symlink: it must be a directory", name);
    return NULL;
}

struct cob_error *stepmounts_enter(struct step *step)
{
    const char *state_dir = step->executor->state_dir;

    if (unshare(CLONE_FS | CLONE_NEWNS) < 0)
        return cob_fail_errno(errno, "make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return cob_fail_errno(errno, "make all mounts private");
    if (mount("cob", state_dir, "tmpfs", MS_NOSUID | MS_NODEV, STATE_OPTIONS) < 0)
        return cob_fail_errno(errno, "mount a tmpfs on %s", state_dir);
    step->state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (step->state_fd < 0 || fchdir(step->state_fd) < 0)
        return cob_fail_errno(errno, "open %s", state_dir);
    COB_TRY(make_state_dirs(step));
    COB_TRY(attach_root(step));
    COB_TRY(make_sandbox_place(step, "/proc"));
    COB_TRY(make_sandbox_place(step, "/sys"));
    return make_sandbox_place(step, "/dev");
}

/* A kernel that cannot copy a detached mount: attach it here, and copy from that. */
static struct cob_error *clone_attached(
    struct step *step, const struct cob_executor_mount *mount, int *ret_fd)
{
    g_autofree char *name = cob_fs_draft_name("sources/");
    cob_autoclose int place_fd = -1;
    cob_autoclose int root_fd = -1;
    cob_autoclose int fd = -1;

    if (mkdirat(step->state_fd, name, 0700) < 0)
        return cob_fail_errno(errno, "make directory %s", name);
    place_fd = openat(step->state_fd, name, O_PATH | O_CLOEXEC);
    if (place_fd < 0 || sys_move_mount(mount->source_fd, place_fd) < 0)
        return cob_fail_errno(errno, "mount the source");
    root_fd = openat(step->state_fd, name, O_PATH | O_CLOEXEC);
    if (root_fd < 0)
        return cob_fail_errno(errno, "open the source");
    COB_TRY(open_source(root_fd, mount->source, &fd));
    *ret_fd = clone_mount(fd);
    return *ret_fd < 0 ? cob_fail_errno(errno, "copy the mount of the source") : NULL;
}

static struct cob_error *new_tmpfs(const char *const *options, uint64_t attributes, int *ret_fd)
{
    cob_autoclose int fs_fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

    if (fs_fd < 0)
        return cob_fail_errno(errno, "make a tmpfs");
    for (; *options; options += 2) {
        if (syscall(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, options[0], options[1], 0) < 0)
            return cob_fail_errno(errno, "set %s of a tmpfs", options[0]);
    }
    if (syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return cob_fail_errno(errno, "make a tmpfs");
    *ret_fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, attributes);
    return *ret_fd < 0 ? cob_fail_errno(errno, "make a mount of a tmpfs") : NULL;
}

static struct cob_error *mount_tmpfs(const struct cob_executor_mount *mount, int *ret_fd)
{
    g_autofree char *size = g_strdup_printf("%" PRIu64, mount->size_bytes);
    const char *options[] = {"mode", "1777", mount->size_bytes ? "size" : NULL, size, NULL};

    return new_tmpfs(options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, ret_fd);
}

/* A new file below the state folder, and a detached read-only mount of it. */
struct file_mount {
    const char *name;
    const void *data;
    size_t len;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

static struct cob_error *mount_file(
    const struct step *step, const struct file_mount *file, int *ret_fd)
{
    cob_autoclose int fd =
        openat(step->state_fd, file->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return cob_fail_errno(errno, "create %s", file->name);
    COB_TRY(cob_fs_write_fd(fd, file->data, file->len));
    if (fchown(fd, file->uid, file->gid) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", file->uid, file->gid);
    if (fchmod(fd, file->mode) < 0)
        return cob_fail_errno(errno, "set its mode to %o", file->mode);
    *ret_fd = clone_mount(fd);
    return *ret_fd < 0 ? cob_fail_errno(errno, "make a mount of it") : NULL;
}

/* Secrets lie in memory, in this mount namespace, and are gone with it. */
static struct cob_error *ensure_secrets(const struct step *step)
{
    static const char *const options[] = {"mode", "0700", NULL};
    cob_autoclose int place_fd = openat(step->state_fd, "secrets", O_PATH | O_CLOEXEC);
    cob_autoclose int fd = -1;
    struct stat state, place;

    if (place_fd < 0 || fstat(step->state_fd, &state) < 0 || fstat(place_fd, &place) < 0)
        return cob_fail_errno(errno, "open the place of secrets");
    if (state.st_dev != place.st_dev)
        return NULL;
    COB_TRY(new_tmpfs(options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &fd));
    if (sys_move_mount(fd, place_fd) < 0)
        return cob_fail_errno(errno, "mount the place of secrets");
    return NULL;
}

static struct cob_error *mount_secret(
    const struct step *step, const struct cob_executor_mount *mount, int *ret_fd)
{
    g_autofree char *name = cob_fs_draft_name("secrets/");
    size_t len = 0;
    const void *data = mount->secret ? g_bytes_get_data(mount->secret, &len) : NULL;
    struct file_mount file = {.name = name,
        .data = data,
        .len = len,
        .mode = mount->mode & 07777,
        .uid = mount->uid,
        .gid = mount->gid};

    COB_TRY(ensure_secrets(step));
    COB_TRY(mount_file(step, &file, ret_fd));
    return set_attributes(
        *ret_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static struct cob_error *make_mount(struct step *step, size_t i, int *ret_fd)
{
    const struct cob_executor_mount *mount = &step->request->mounts[i];
    uint64_t attributes = MOUNT_ATTR_NODEV | (mount->is_readonly ? MOUNT_ATTR_RDONLY : 0);

    switch (mount->kind) {
    case COB_EXECUTOR_MOUNT_BIND:
        if (step->source_fds[i] < 0)
            COB_TRY(clone_attached(step, mount, &step->source_fds[i]));
        *ret_fd = g_steal_fd(&step->source_fds[i]);
        break;
    case COB_EXECUTOR_MOUNT_TMPFS:
        COB_TRY(mount_tmpfs(mount, ret_fd));
        break;
    case COB_EXECUTOR_MOUNT_SECRET:
        return mount_secret(step, mount, ret_fd);
    }
    return set_attributes(*ret_fd, attributes);
}

/* What of /dev is the runtime's, so nobody else's. */
static bool is_own_device(const char *name)
{
    static const char *const own[] = {"null", "zero", "full", "random", "urandom", "tty", "console",
        "ptmx", "pts", "fd", "stdin", "stdout", "stderr", "core", "mqueue", NULL};
    g_auto(GStrv) parts = g_strsplit(name, "/", 2);

    return g_strv_contains(own, parts[0]);
}

/* No name on the way is empty, "." or "..": it leads where it seems to. */
static bool is_plain(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);

    return !g_strv_contains((const char *const *)parts, "") &&
           !g_strv_contains((const char *const *)parts, ".") &&
           !g_strv_contains((const char *const *)parts, "..");
}

/* The caller frees it. */
static char *without_last_slashes(const char *path)
{
    size_t len = strlen(path);

    while (len > strlen("/dev/") && path[len - 1] == '/')
        len--;
    return g_strndup(path, len);
}

/* A mount below /dev, such as /dev/shm: /dev is made later, by the runtime, which then binds it
 * from here. Only names without tricks: nothing of the image is in the way there. */
static struct cob_error *attach_in_dev(struct step *step, size_t i, int mount_fd, bool is_dir)
{
    const struct cob_executor_mount *mount = &step->request->mounts[i];
    g_autofree char *target = without_last_slashes(mount->target);
    const char *name = target + strlen("/dev/");
    g_autofree char *place = g_strdup_printf("dev/%zu", i);
    cob_autoclose int place_fd = -1;

    if (is_own_device(name) || !is_plain(name))
        return cob_fail(COB_INVALID,
            "it belongs to the sandbox: only /dev/shm and new names below /dev can be mounted on");
    if (is_dir ? mkdirat(step->state_fd, place, 0700)
               : mknodat(step->state_fd, place, S_IFREG | 0600, 0))
        return cob_fail_errno(errno, "make %s", place);
    place_fd = openat(step->state_fd, place, O_PATH | O_CLOEXEC);
    if (place_fd < 0 || sys_move_mount(mount_fd, place_fd) < 0)
        return cob_fail_errno(errno, "mount it");
    struct step_dev_mount *dev_mount = g_new(struct step_dev_mount, 1);
    *dev_mount = (struct step_dev_mount){.target = g_steal_pointer(&target),
        .source = g_build_filename(step->executor->state_dir, place, NULL),
        .is_readonly = mount->is_readonly || mount->kind == COB_EXECUTOR_MOUNT_SECRET};
    g_ptr_array_add(step->dev_mounts, dev_mount);
    return NULL;
}

static struct cob_error *attach_at(struct step *step, const char *target, int mount_fd, bool is_dir)
{
    struct cob_rootfs_walk request = {.root_fd = step->rootfs_fd,
        .path = target,
        .wish = is_dir ? COB_ROOTFS_MAKE_DIR : COB_ROOTFS_MAKE_FILE,
        .is_guarded = true,
        .made = step->stubs};
    g_autofree char *path = NULL;
    cob_autoclose int target_fd = -1;

    COB_TRY(cob_rootfs_walk(&request, &target_fd, &path));
    if (strcmp(path, "/") == 0)
        return cob_fail(COB_INVALID, "nothing can be mounted on the root itself");
    if (sys_move_mount(mount_fd, target_fd) < 0)
        return cob_fail_errno(errno, "mount it");
    return NULL;
}

static struct cob_error *attach(struct step *step, size_t i)
{
    const char *target = step->request->mounts[i].target;
    cob_autoclose int mount_fd = -1;
    struct stat st;

    if (*target != '/')
        return cob_fail(COB_INVALID, "the target is not an absolute path");
    COB_TRY(make_mount(step, i, &mount_fd));
    if (fstat(mount_fd, &st) < 0)
        return cob_fail_errno(errno, "stat the source");
    if (g_str_has_prefix(target, "/dev/") && target[strlen("/dev/")] != '\0')
        return attach_in_dev(step, i, mount_fd, S_ISDIR(st.st_mode));
    return attach_at(step, target, mount_fd, S_ISDIR(st.st_mode));
}

/* A file of ours over the image's: read-only, and nothing in it runs. */
static struct cob_error *attach_text(
    struct step *step, const char *name, const char *target, const char *text)
{
    struct file_mount file = {
        .name = name, .data = text, .len = strlen(text), .mode = 0644, .uid = 0, .gid = 0};
    cob_autoclose int fd = -1;

    COB_TRY(mount_file(step, &file, &fd));
    COB_TRY(set_attributes(
        fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    return attach_at(step, target, fd, false);
}

struct cob_error *stepmounts_attach_all(struct step *step)
{
    const struct cob_executor_request *request = step->request;
    g_autofree char *hosts = etcfiles_hosts(request);
    g_autofree char *resolv_conf = etcfiles_resolv_conf(request->network, step->nameserver);

    COB_TRY(cob_wrap(attach_text(step, "files/hosts", "/etc/hosts", hosts), "mount /etc/hosts"));
    COB_TRY(cob_wrap(attach_text(step, "files/resolv.conf", "/etc/resolv.conf", resolv_conf),
        "mount /etc/resolv.conf"));
    for (size_t i = 0; i < request->n_mounts; i++)
        COB_TRY(cob_wrap(attach(step, i), "mount %s", request->mounts[i].target));
    return NULL;
}

void stepmounts_leave(struct step *step)
{
    if (step->state_fd < 0)
        return;
    cob_closep(&step->rootfs_fd);
    cob_closep(&step->state_fd);
    step->rootfs_fd = step->state_fd = -1;
    if (chdir("/") == 0)
        umount2(step->executor->state_dir, MNT_DETACH);
}
