/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File actions. A draft is mounted to find the way in it (symlinks of the base, missing parents,
 * users' names) and for small changes. Trees are copied into the draft's own directory, with the
 * mount gone: overlayfs takes its time for each new file.
 *
 * spec: BuildKit solver/llbsolver/file/backend.go for what each action means.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "build/ops/ops_private.h"
#include "disk/layer/layer.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/tree.h"

#define MAX_LINKS 40 /* as the kernel has it */

/* Where a file action works. */
struct place {
    const struct op_run *run;
    struct cob_snapshot *base; /* NULL: scratch */
    struct cob_snapshot_draft *draft;
};

static void tell(void *arg, const char *text)
{
    const struct place *place = arg;
    const struct cob_observer *observer = place->run->ops->config.observer;
    const struct cob_event_warning event = {.vertex = place->run->vertex->digest, .text = text};

    if (observer)
        observer->warning(observer->arg, &event);
}

static struct cob_error *set_times(int dir_fd, const char *name, int64_t time_ns)
{
    const struct timespec time = {time_ns / 1000000000, time_ns % 1000000000};
    const struct timespec times[] = {time, time};

    if (time_ns >= 0 && utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set the times of %s", name);
    return NULL;
}

/* How a directory is made, with what is missing above it. */
struct dir_wish {
    const char *path;
    const Pb__ChownOpt *owner;
    int64_t time_ns;
    int mode; /* -1: 0755; of others only the permissions count, as in fsutil's MkdirAll() */
};

/* What a walk made of directories gets the action's owner, mode and time. */
static struct cob_error *dress_made(int root_fd, GArray *made, const struct dir_wish *wish)
{
    struct file_owner owner;

    COB_TRY(cob_ops_owner(wish->owner, root_fd, &owner));
    for (guint i = 0; i < made->len; i++) {
        const struct cob_rootfs_made *row = &g_array_index(made, struct cob_rootfs_made, i);
        cob_autoclose int fd = -1;

        COB_TRY(cob_open_beneath(
            root_fd, *row->parent ? row->parent + 1 : ".", O_RDONLY | O_DIRECTORY, 0, &fd));
        if (owner.is_set && fchownat(fd, row->name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
            return cob_fail_errno(errno, "change the owner of %s/%s", row->parent, row->name);
        if (wish->mode >= 0 && fchmodat(fd, row->name, (mode_t)wish->mode & 0777, 0) < 0)
            return cob_fail_errno(errno, "set the mode of %s/%s", row->parent, row->name);
        COB_TRY(set_times(fd, row->name, wish->time_ns));
    }
    return NULL;
}

/* ret_fd: O_PATH on the directory in the mount; ret_path: its way in the root. */
static struct cob_error *make_dir(
    int root_fd, const struct dir_wish *wish, int *ret_fd, char **ret_path)
{
    g_autoptr(GArray) made = cob_rootfs_made_new();
    const struct cob_rootfs_walk walk = {
        .root_fd = root_fd, .path = wish->path, .wish = COB_ROOTFS_MAKE_DIR, .made = made};

    COB_TRY(cob_rootfs_walk(&walk, ret_fd, ret_path));
    return dress_made(root_fd, made, wish);
}

/* The directory above a path, and the last part of the path, less slashes at its end. */
static void split_path(const char *path, char **ret_dir, char **ret_name)
{
    g_autofree char *clean = g_strdup(path);
    size_t len = strlen(clean);

    while (len > 1 && clean[len - 1] == '/')
        clean[--len] = '\0';
    char *slash = strrchr(clean, '/');
    *ret_name = g_strdup(slash ? slash + 1 : clean);
    if (slash)
        slash[slash == clean] = '\0';
    *ret_dir = g_strdup(slash ? clean : "/");
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* --- mkdir, mkfile, rm, symlink: through the mount --- */

/* The parent directory of an action's path, open for changes, and the name in it. */
static struct cob_error *open_parent(
    int root_fd, const char *path, enum cob_rootfs_wish wish, int *ret_fd, char **ret_name)
{
    g_autofree char *dir = NULL;
    g_autofree char *name = NULL;
    g_autofree char *real = NULL;
    cob_autoclose int path_fd = -1;

    split_path(path, &dir, &name);
    if (!*name || is_dots(name))
        return cob_fail(COB_INVALID, "%s is not the name of a file", path);
    const struct cob_rootfs_walk walk = {.root_fd = root_fd, .path = dir, .wish = wish};
    COB_TRY(cob_wrap(cob_rootfs_walk(&walk, &path_fd, &real), "%s", path));
    COB_TRY(cob_open_beneath(path_fd, ".", O_RDONLY | O_DIRECTORY, 0, ret_fd));
    *ret_name = g_steal_pointer(&name);
    return NULL;
}

static struct cob_error *do_mkdir(int root_fd, const Pb__FileActionMkDir *action)
{
    const struct dir_wish wish = {
        action->path, action->owner, action->timestamp, action->mode & 07777};
    g_autofree char *path = NULL;
    cob_autoclose int fd = -1;

    if (!action->makeparents) {
        g_autofree char *name = NULL;
        cob_autoclose int parent_fd = -1;

        COB_TRY(open_parent(root_fd, action->path, COB_ROOTFS_FIND, &parent_fd, &name));
    }
    return make_dir(root_fd, &wish, &fd, &path);
}

static struct cob_error *do_mkfile(int root_fd, const Pb__FileActionMkFile *action)
{
    cob_autoclose int dir_fd = -1;
    cob_autoclose int fd = -1;
    g_autofree char *name = NULL;
    struct file_owner owner;

    COB_TRY(cob_ops_owner(action->owner, root_fd, &owner));
    COB_TRY(open_parent(root_fd, action->path, COB_ROOTFS_MAKE_DIR, &dir_fd, &name));
    if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "replace %s", action->path);
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create %s", action->path);
    COB_TRY(cob_wrap(cob_fs_write_fd(fd, action->data.data, action->data.len), "%s", action->path));
    if (fchown(fd, owner.uid, owner.gid) < 0 || fchmod(fd, (mode_t)action->mode & 07777) < 0)
        return cob_fail_errno(errno, "set the mode of %s", action->path);
    return set_times(dir_fd, name, action->timestamp);
}

static struct cob_error *do_symlink(int root_fd, const Pb__FileActionSymlink *action)
{
    cob_autoclose int dir_fd = -1;
    g_autofree char *name = NULL;
    struct file_owner owner;

    COB_TRY(cob_ops_owner(action->owner, root_fd, &owner));
    COB_TRY(open_parent(root_fd, action->newpath, COB_ROOTFS_MAKE_DIR, &dir_fd, &name));
    if (symlinkat(action->oldpath, dir_fd, name) < 0)
        return cob_fail_errno(errno, "make symlink %s", action->newpath);
    if (owner.is_set && fchownat(dir_fd, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "change the owner of %s", action->newpath);
    return set_times(dir_fd, name, action->timestamp);
}

static struct cob_error *do_rm(int root_fd, const Pb__FileActionRm *action)
{
    cob_autoclose int dir_fd = -1;
    g_autofree char *name = NULL;

    if (action->allowwildcard)
        return cob_fail(COB_UNIMPLEMENTED, "rm with wildcards is not supported yet");
    COB_TRY(open_parent(root_fd, action->path, COB_ROOTFS_FIND, &dir_fd, &name));
    if (!action->allownotfound && faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "remove %s", action->path);
    return cob_tree_remove(dir_fd, name);
}

/* --- copy --- */

/* A copy, planned: where it goes, found in the mount, to be written without it. */
struct copy_plan {
    const Pb__FileActionCopy *copy;
    struct copy_rules rules;
    bool is_dir; /* the destination is there, or is to be a directory */
    char *dir;   /* its way in the root: the destination, or the directory above it */
    char *name;  /* the name of the copy in `dir`; NULL when the destination is a directory */
};

static void copy_plan_done(struct copy_plan *plan)
{
    g_free(plan->dir);
    g_free(plan->name);
}

/* Only a directory may be called so. */
static bool is_dir_name(const char *path)
{
    return g_str_has_suffix(path, "/") || g_str_has_suffix(path, "/.");
}

/* What is at the destination? 0: nothing. */
static mode_t type_of_dest(int root_fd, const char *path)
{
    cob_autoclose int fd = -1;
    g_autofree char *real = NULL;
    const struct cob_rootfs_walk walk = {.root_fd = root_fd, .path = path, .wish = COB_ROOTFS_FIND};
    g_autoptr(cob_error) err = cob_rootfs_walk(&walk, &fd, &real);
    struct stat st;

    return !err && fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

/* Make overlayfs put a directory of the base into the draft, as it is. */
static struct cob_error *copy_up(int path_fd, const char *path)
{
    struct stat st;

    if (fstat(path_fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", path);
    if (fchownat(path_fd, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) == 0)
        return NULL;
    if (errno == EPERM || errno == EOVERFLOW)
        return cob_fail_errno(errno,
            "bring %s into the new layer: it belongs to an id that whoever runs cob has not: add "
            "it to /etc/subuid and /etc/subgid",
            path);
    return cob_fail_errno(errno, "bring %s into the new layer", path);
}

/* A symlink as the last part of a destination is followed, also to where nothing is yet.
 * ret_path: the path without it; the caller's. */
static struct cob_error *follow_dest(int root_fd, const char *dest, char **ret_path)
{
    g_autofree char *path = g_strdup(dest);

    for (int n = 0;; n++) {
        g_autofree char *dir = NULL, *name = NULL, *real = NULL;
        cob_autoclose int fd = -1;
        char target[COB_LIMIT_PATH_BYTES];

        split_path(path, &dir, &name);
        const struct cob_rootfs_walk walk = {
            .root_fd = root_fd, .path = dir, .wish = COB_ROOTFS_FIND};
        g_autoptr(cob_error) gone = cob_rootfs_walk(&walk, &fd, &real);
        ssize_t len = gone || !*name ? -1 : readlinkat(fd, name, target, sizeof(target) - 1);
        if (len < 0)
            break;
        if (n >= MAX_LINKS)
            return cob_fail(COB_INVALID, "too many levels of symlinks");
        target[len] = '\0';
        g_free(path);
        path = *target == '/' ? g_strdup(target) : g_strconcat(real, "/", target, NULL);
    }
    *ret_path = g_steal_pointer(&path);
    return NULL;
}

/* spec: fsutil copy/copy.go, prepareTargetDir: a file goes into a directory that is there, and so
 * does a directory when not only its contents are wanted. */
static struct cob_error *plan_copy(int root_fd, bool takes_contents, struct copy_plan *plan)
{
    const Pb__FileActionCopy *copy = plan->copy;
    struct dir_wish wish = {
        copy->dest, copy->owner, copy->timestamp, *copy->modestr ? -1 : copy->mode};
    const mode_t type = type_of_dest(root_fd, copy->dest);
    g_autofree char *path = NULL;
    g_autofree char *dir = NULL;
    g_autofree char *name = NULL;
    cob_autoclose int fd = -1;

    if (takes_contents && type && !S_ISDIR(type))
        return cob_fail(COB_INVALID, "cannot copy to non-directory: %s", copy->dest);
    plan->is_dir = takes_contents || is_dir_name(copy->dest) || S_ISDIR(type);
    COB_TRY(cob_wrap(follow_dest(root_fd, copy->dest, &path), "%s", copy->dest));
    split_path(path, &dir, &name);
    if (!plan->is_dir && (!*name || is_dots(name)))
        return cob_fail(COB_INVALID, "%s is not the name of a file", copy->dest);
    if (!plan->is_dir)
        wish.path = dir;
    COB_TRY(cob_ops_owner(copy->owner, root_fd, &plan->rules.owner));
    COB_TRY(cob_wrap(make_dir(root_fd, &wish, &fd, &plan->dir), "%s", copy->dest));
    COB_TRY(copy_up(fd, plan->dir));
    if (!plan->is_dir)
        plan->name = g_steal_pointer(&name);
    return NULL;
}

static struct cob_error *plan_in_mount(
    const struct place *place, bool takes_contents, struct copy_plan *plan)
{
    cob_autoclose int root_fd = -1;

    COB_TRY(cob_snapshot_draft_mount(place->draft, &root_fd));
    return plan_copy(root_fd, takes_contents, plan);
}

/* The planned directory in the draft and in the layers below, if they show there.
 * ret_lower_fd: -1: they do not. */
static struct cob_error *open_target(
    const struct place *place, const char *path, int *ret_fd, int *ret_lower_fd)
{
    const char *below = path[1] ? path + 1 : ".";
    const char *opaque = cob_snapshot_opaque_xattr(place->run->ops->config.store);
    cob_autoclose int fd = -1;
    cob_autoclose int mount_fd = -1;
    char value;

    COB_TRY(cob_open_beneath(
        cob_snapshot_draft_fd(place->draft), below, O_RDONLY | O_DIRECTORY, 0, &fd));
    *ret_lower_fd = -1;
    if (place->base && fgetxattr(fd, opaque, &value, 1) < 0) {
        COB_TRY(cob_snapshot_mount(place->base, &mount_fd));
        g_autoptr(cob_error) gone =
            cob_open_beneath(mount_fd, below, O_PATH | O_DIRECTORY, 0, ret_lower_fd);
        if (gone && cob_error_code(gone) != COB_NOT_FOUND && cob_error_errno(gone) != ENOTDIR)
            return g_steal_pointer(&gone);
    }
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

/* An archive goes into its destination as a directory, whose mode --chmod does not concern.
 * spec: BuildKit solver/llbsolver/file/unpack.go. */
static struct cob_error *unpack_archive(
    const struct place *place, const Pb__FileActionCopy *copy, int archive_fd)
{
    const struct dir_wish wish = {copy->dest, copy->owner, copy->timestamp, -1};
    cob_autoclose int root_fd = -1;
    cob_autoclose int path_fd = -1;
    cob_autoclose int dir_fd = -1;
    g_autofree char *real = NULL;
    struct file_owner owner;

    COB_TRY(cob_snapshot_draft_mount(place->draft, &root_fd));
    COB_TRY(cob_ops_owner(copy->owner, root_fd, &owner));
    COB_TRY(make_dir(root_fd, &wish, &path_fd, &real));
    COB_TRY(cob_open_beneath(path_fd, ".", O_RDONLY | O_DIRECTORY, 0, &dir_fd));
    const struct cob_layer_unpack_request request = {.dir_fd = dir_fd,
        .is_archive = true,
        .has_owner = owner.is_set,
        .uid = owner.uid,
        .gid = owner.gid,
        .cancel = place->run->cancel,
        .on_warning = tell,
        .warning_arg = (void *)(uintptr_t)place};
    g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(&request);
    COB_TRY(cob_layer_unpack_write_fd(unpack, archive_fd));
    return cob_layer_unpack_finish(unpack, NULL);
}

/* ADD unpacks what is an archive.  ret_is_done: it was one. */
static struct cob_error *try_unpack(const struct place *place, const Pb__FileActionCopy *copy,
    struct cob_context *from, size_t index, bool *ret_is_done)
{
    const struct cob_context_entry entry = cob_context_get(from, index);
    cob_autoclose int fd = -1;

    *ret_is_done = false;
    if (!copy->attemptunpackdockercompatibility || !S_ISREG(entry.mode))
        return NULL;
    COB_TRY(cob_context_open_file(from, index, &fd));
    COB_TRY(cob_wrap(cob_layer_is_archive(fd, ret_is_done), "%s", entry.path));
    if (!*ret_is_done)
        return NULL;
    COB_TRY(cob_wrap(unpack_archive(place, copy, fd), "%s", entry.path));
    return cob_context_check_file(from, index, fd);
}

/* Write what is planned, as `name` when the plan says none. */
static struct cob_error *copy_as_planned(const struct place *place, const struct copy_plan *plan,
    struct cob_context *from, size_t index, const char *name)
{
    cob_autoclose int fd = -1;
    cob_autoclose int lower_fd = -1;

    COB_TRY(open_target(place, plan->dir, &fd, &lower_fd));
    const struct copy_target target = {.fd = fd,
        .lower_fd = lower_fd,
        .root_fd = cob_snapshot_draft_fd(place->draft),
        .path = plan->dir};
    return cob_ops_copy_entry(from, index, &target, plan->name ? plan->name : name, &plan->rules);
}

static struct cob_error *copy_one(const struct place *place, const struct copy_plan *wish,
    struct cob_context *from, const struct cob_context_match *match)
{
    const struct cob_context_entry entry = cob_context_get(from, match->index);
    /* a root has no name that it could have at the destination */
    bool takes_contents = S_ISDIR(entry.mode) && (wish->copy->dircopycontents || !*entry.path);
    const char *name = takes_contents ? NULL : cob_context_get(from, match->named).name;
    struct copy_plan plan = *wish;
    bool is_done = false;

    COB_TRY(try_unpack(place, wish->copy, from, match->index, &is_done));
    if (is_done)
        return NULL;
    struct cob_error *err = plan_in_mount(place, takes_contents, &plan);

    if (!err)
        err = copy_as_planned(place, &plan, from, match->index, name);
    copy_plan_done(&plan);
    return err;
}

static struct cob_error *copy_all(
    const struct place *place, const Pb__FileActionCopy *copy, struct op_tree *tree)
{
    g_autoptr(GArray) matches = NULL;
    g_autoptr(GHashTable) links = cob_ops_copy_links_new();
    struct copy_filter filter;
    struct cob_error *err = NULL;

    COB_TRY(cob_ops_copy_sources(tree, copy, &matches));
    COB_TRY(cob_ops_copy_filter_init(copy, &filter));
    const struct copy_plan wish = {.copy = copy,
        .rules = {.mode = copy->mode,
            .mode_text = *copy->modestr ? copy->modestr : NULL,
            .time_ns = copy->timestamp,
            .is_replacing = copy->alwaysreplaceexistingdestpaths,
            .filter = filter.excluded || filter.included ? &filter : NULL,
            .cancel = place->run->cancel,
            .links = links,
            .opaque_xattr = cob_snapshot_opaque_xattr(place->run->ops->config.store)}};
    for (guint i = 0; i < matches->len && !err; i++)
        err = copy_one(
            place, &wish, tree->context, &g_array_index(matches, struct cob_context_match, i));
    if (!err)
        err = cob_ops_copy_filter_check(&filter, copy);
    cob_ops_copy_filter_done(&filter);
    return err;
}

static struct cob_error *do_copy(
    const struct place *place, const Pb__FileActionCopy *copy, int64_t input)
{
    const char *const paths[] = {copy->src, NULL};
    struct op_tree tree = {0};

    if (input >= (int64_t)place->run->vertex->inputs->len)
        return cob_fail(COB_UNIMPLEMENTED, "copies from an earlier action are not supported yet");
    struct cob_error *err = cob_ops_tree_open(place->run->ops,
        input < 0 ? NULL : place->run->inputs[input], paths, place->run->cancel, &tree);
    if (!err)
        err = copy_all(place, copy, &tree);
    cob_ops_tree_done(&tree);
    return err;
}

/* --- a chain of actions --- */

static struct cob_error *do_in_mount(const struct place *place, const Pb__FileAction *action)
{
    cob_autoclose int root_fd = -1;

    COB_TRY(cob_snapshot_draft_mount(place->draft, &root_fd));
    switch (action->action_case) {
    case PB__FILE_ACTION__ACTION_MKDIR:
        return do_mkdir(root_fd, action->mkdir);
    case PB__FILE_ACTION__ACTION_MKFILE:
        return do_mkfile(root_fd, action->mkfile);
    case PB__FILE_ACTION__ACTION_SYMLINK:
        return do_symlink(root_fd, action->symlink);
    case PB__FILE_ACTION__ACTION_RM:
        return do_rm(root_fd, action->rm);
    case PB__FILE_ACTION__ACTION_COPY:
    case PB__FILE_ACTION__ACTION__NOT_SET:
    case _PB__FILE_ACTION__ACTION__CASE_IS_INT_SIZE:
        break;
    }
    return cob_fail(COB_INVALID, "a file action without an action");
}

/* Each action works on what the one before it left; forks are for nobody so far. */
static struct cob_error *check_chain(const struct op_run *run)
{
    const Pb__FileOp *file = run->vertex->op->file;

    for (size_t i = 1; i < file->n_actions; i++) {
        if (file->actions[i]->input != (int64_t)(run->vertex->inputs->len + i - 1))
            return cob_fail(COB_UNIMPLEMENTED, "file actions that are no chain");
    }
    return NULL;
}

static const Pb__ChownOpt *owner_of(const Pb__FileAction *action)
{
    switch (action->action_case) {
    case PB__FILE_ACTION__ACTION_MKDIR:
        return action->mkdir->owner;
    case PB__FILE_ACTION__ACTION_MKFILE:
        return action->mkfile->owner;
    case PB__FILE_ACTION__ACTION_SYMLINK:
        return action->symlink->owner;
    case PB__FILE_ACTION__ACTION_COPY:
        return action->copy->owner;
    case PB__FILE_ACTION__ACTION_RM:
    case PB__FILE_ACTION__ACTION__NOT_SET:
    case _PB__FILE_ACTION__ACTION__CASE_IS_INT_SIZE:
        break;
    }
    return NULL;
}

static struct cob_error *check_owner(const struct place *place, const Pb__ChownOpt *owner)
{
    g_autofree char *warning = NULL;
    cob_autoclose int root_fd = -1;

    if (!cob_ops_owner_has_name(owner))
        return NULL;
    COB_TRY(cob_snapshot_draft_mount(place->draft, &root_fd));
    COB_TRY(cob_ops_owner_check(owner, root_fd, &warning));
    if (warning)
        tell((void *)(uintptr_t)place, warning);
    return NULL;
}

struct cob_error *cob_ops_run_file(const struct op_run *run, struct cob_solver_result **ret_result)
{
    const Pb__FileOp *file = run->vertex->op->file;
    g_autoptr(cob_snapshot_draft) draft = NULL;
    struct place place = {.run = run};

    COB_TRY(check_chain(run));
    COB_TRY(cob_ops_input_snapshot(run, file->actions[0]->input, &place.base));
    COB_TRY(cob_snapshot_draft_new(run->ops->config.store, place.base, &draft));
    place.draft = draft;
    for (size_t i = 0; i < file->n_actions; i++) {
        const Pb__FileAction *action = file->actions[i];

        COB_TRY(cob_cancel_check(run->cancel));
        COB_TRY(check_owner(&place, owner_of(action)));
        if (action->action_case == PB__FILE_ACTION__ACTION_COPY)
            COB_TRY(do_copy(&place, action->copy, action->secondaryinput));
        else
            COB_TRY(do_in_mount(&place, action));
    }
    return cob_ops_commit(run, g_steal_pointer(&draft), ret_result);
}
