/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree copied into a layer. The target is written directly, with no overlay mount over it; what
 * the layers below have in the same place is looked at on the side, and only where the directory is
 * there at all: below a new directory nothing is asked.
 *
 * spec: fsutil copy/copy.go.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

/* A directory of the target that the copy is inside of. */
struct level {
    int fd;       /* in the layer */
    int lower_fd; /* in the layers below; -1: not there */
    size_t index; /* the entry it is a copy of */
    size_t end;   /* entries from here on are not below it */
};

struct copier {
    struct cob_context *from;
    const struct copy_rules *rules;
    size_t root;    /* the selected entry: filters see paths from it */
    GArray *levels; /* struct level; the first is the caller's */
};

static struct level *top(const struct copier *copier)
{
    return &g_array_index(copier->levels, struct level, copier->levels->len - 1);
}

/* --- metadata --- */

static struct cob_error *new_mode(
    const struct copy_rules *rules, const struct cob_context_entry *entry, mode_t *ret_mode)
{
    mode_t mode = entry->mode & 07777;

    if (rules->mode_text)
        return cob_ops_mode_apply(rules->mode_text, mode, S_ISDIR(entry->mode), ret_mode);
    *ret_mode = rules->mode >= 0 ? (mode_t)rules->mode & 07777 : mode;
    return NULL;
}

static struct cob_error *set_xattr(void *arg, const char *name, const void *value, size_t len)
{
    const int *fd = arg;

    if (fsetxattr(*fd, name, value, len, 0) < 0 && errno != ENOTSUP && errno != EPERM)
        return cob_fail_errno(errno, "set xattr %s", name);
    return NULL;
}

/* Owner, mode, xattrs and times of an open file or directory; in this order, since a change of
 * owner clears setuid bits and file capabilities. */
static struct cob_error *dress(struct copier *copier, size_t index, int fd)
{
    const struct copy_rules *rules = copier->rules;
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    uid_t uid = rules->has_owner ? rules->uid : entry.uid;
    gid_t gid = rules->has_owner ? rules->gid : entry.gid;
    int64_t time_ns = rules->time_ns >= 0 ? rules->time_ns : entry.mtime_ns;
    const struct timespec time = {time_ns / 1000000000, time_ns % 1000000000};
    const struct timespec times[] = {time, time};
    mode_t mode;

    COB_TRY(new_mode(rules, &entry, &mode));
    if ((uid != 0 || gid != 0) && fchown(fd, uid, gid) < 0)
        return cob_fail_errno(errno, "change the owner of %s to %u:%u", entry.path, uid, gid);
    if (fchmod(fd, mode) < 0)
        return cob_fail_errno(errno, "set the mode of %s", entry.path);
    COB_TRY(cob_wrap(cob_context_xattrs(copier->from, index, set_xattr, &fd), "%s", entry.path));
    if (futimens(fd, times) < 0)
        return cob_fail_errno(errno, "set the times of %s", entry.path);
    return NULL;
}

/* The same for what cannot be opened: symlinks and special files. */
static struct cob_error *dress_by_name(struct copier *copier, size_t index, const char *name)
{
    const struct copy_rules *rules = copier->rules;
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    uid_t uid = rules->has_owner ? rules->uid : entry.uid;
    gid_t gid = rules->has_owner ? rules->gid : entry.gid;
    int64_t time_ns = rules->time_ns >= 0 ? rules->time_ns : entry.mtime_ns;
    const struct timespec time = {time_ns / 1000000000, time_ns % 1000000000};
    const struct timespec times[] = {time, time};
    int fd = top(copier)->fd;

    if ((uid != 0 || gid != 0) && fchownat(fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "change the owner of %s to %u:%u", entry.path, uid, gid);
    if (utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set the times of %s", entry.path);
    return NULL;
}

/* --- what is in the way --- */

/* What is at a name already: in the layer, else below it. 0: nothing. */
static struct cob_error *type_there(
    const struct level *level, const char *name, mode_t *ret_type, bool *ret_is_in_layer)
{
    struct stat st;

    *ret_type = 0;
    *ret_is_in_layer = fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_is_in_layer && (errno != ENOENT || level->lower_fd < 0))
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (!*ret_is_in_layer && fstatat(level->lower_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) /* a whiteout: nothing */
        return NULL;
    *ret_type = st.st_mode & S_IFMT;
    return NULL;
}

/* Make room for a file. What the layers below have is covered by it. */
static struct cob_error *make_room(struct copier *copier, const char *name, const char *path)
{
    struct level *level = top(copier);
    bool is_in_layer = false;
    mode_t type;

    COB_TRY(type_there(level, name, &type, &is_in_layer));
    if (S_ISDIR(type) && !copier->rules->is_replacing)
        return cob_fail(
            COB_INVALID, "cannot copy %s: cannot replace to directory %s with file", path, name);
    if (!is_in_layer)
        return NULL;
    if (unlinkat(level->fd, name, S_ISDIR(type) ? AT_REMOVEDIR : 0) < 0)
        return cob_fail_errno(errno, "replace %s", name);
    return NULL;
}

/* --- one entry of each type --- */

static struct cob_error *create_file(
    struct copier *copier, const char *name, const char *path, int *ret_fd)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct level *level = top(copier);

    if (level->lower_fd >= 0)
        COB_TRY(make_room(copier, name, path));
    int fd = openat(level->fd, name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        COB_TRY(make_room(copier, name, path));
        fd = openat(level->fd, name, flags, 0600);
    }
    if (fd < 0)
        return cob_fail_errno(errno, "create %s", path);
    *ret_fd = fd;
    return NULL;
}

static struct cob_error *copy_file(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    cob_autoclose int src_fd = -1;
    cob_autoclose int dst_fd = -1;

    COB_TRY(cob_context_open_file(copier->from, index, &src_fd));
    COB_TRY(create_file(copier, name, entry.path, &dst_fd));
    COB_TRY(cob_wrap(cob_fs_copy_bytes(src_fd, dst_fd, entry.size), "%s", entry.path));
    COB_TRY(cob_context_check_file(copier->from, index, src_fd));
    COB_TRY(dress(copier, index, dst_fd));
    if (close(g_steal_fd(&dst_fd)) < 0)
        return cob_fail_errno(errno, "close %s", entry.path);
    return NULL;
}

static struct cob_error *copy_link(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);

    COB_TRY(make_room(copier, name, entry.path));
    if (symlinkat(entry.target, top(copier)->fd, name) < 0)
        return cob_fail_errno(errno, "make symlink %s", entry.path);
    return dress_by_name(copier, index, name);
}

static struct cob_error *copy_special(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    mode_t mode;

    COB_TRY(new_mode(copier->rules, &entry, &mode));
    COB_TRY(make_room(copier, name, entry.path));
    if (mknodat(top(copier)->fd, name, (entry.mode & S_IFMT) | mode, entry.rdev) < 0)
        return cob_fail_errno(errno, "make device %s", entry.path);
    return dress_by_name(copier, index, name);
}

/* Go into a directory of the target, made if need be, and note that it is the copy of an entry. */
static struct cob_error *enter_dir(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    struct level *level = top(copier);
    struct level next = {
        .fd = -1, .lower_fd = -1, .index = index, .end = cob_context_end(copier->from, index)};
    bool is_in_layer = false;
    mode_t type;

    COB_TRY(type_there(level, name, &type, &is_in_layer));
    if (type && !S_ISDIR(type))
        return cob_fail(
            COB_INVALID, "cannot copy %s: cannot copy to non-directory: %s", entry.path, name);
    if (mkdirat(level->fd, name, 0700) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s", entry.path);
    if (type && level->lower_fd >= 0)
        next.lower_fd =
            openat(level->lower_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    next.fd = openat(level->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next.fd < 0) {
        cob_closep(&next.lower_fd);
        return cob_fail_errno(errno, "open directory %s", entry.path);
    }
    g_array_append_val(copier->levels, next);
    return NULL;
}

static struct cob_error *leave_dir(struct copier *copier)
{
    struct level *level = top(copier);
    struct cob_error *err = dress(copier, level->index, level->fd);

    close(level->fd);
    cob_closep(&level->lower_fd);
    g_array_set_size(copier->levels, copier->levels->len - 1);
    return err;
}

static struct cob_error *copy_by_type(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);

    switch (entry.mode & S_IFMT) {
    case S_IFREG:
        return copy_file(copier, index, name);
    case S_IFDIR:
        return enter_dir(copier, index, name);
    case S_IFLNK:
        return copy_link(copier, index, name);
    case S_IFBLK:
    case S_IFCHR:
    case S_IFIFO:
        return copy_special(copier, index, name);
    default:
        return cob_fail(COB_INVALID, "cannot copy %s: it is a socket", entry.path);
    }
}

/* --- the walk --- */

static bool is_wanted(const struct copier *copier, size_t index)
{
    struct cob_context_entry root = cob_context_get(copier->from, copier->root);
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    size_t skip = strlen(root.path);

    if (!copier->rules->filter || index == copier->root)
        return true;
    return cob_ops_copy_filter(
        copier->rules->filter, entry.path + skip + (skip > 0), S_ISDIR(entry.mode));
}

/* first_name: what the selected entry is called in the target; NULL: it is the target itself. */
static struct cob_error *walk(struct copier *copier, const char *first_name)
{
    const size_t end = cob_context_end(copier->from, copier->root);

    for (size_t i = copier->root + (first_name == NULL); i < end; i++) {
        while (copier->levels->len > 1 && i >= top(copier)->end)
            COB_TRY(leave_dir(copier));
        COB_TRY(cob_cancel_check(copier->rules->cancel));
        if (is_wanted(copier, i))
            COB_TRY(copy_by_type(
                copier, i, i == copier->root ? first_name : cob_context_get(copier->from, i).name));
        else
            i = cob_context_end(copier->from, i) - 1;
    }
    while (copier->levels->len > 1)
        COB_TRY(leave_dir(copier));
    return NULL;
}

struct cob_error *cob_ops_copy_entry(struct cob_context *from, size_t index,
    const struct copy_target *target, const char *name, const struct copy_rules *rules)
{
    const struct level first = {
        .fd = target->fd, .lower_fd = target->lower_fd, .index = index, .end = SIZE_MAX};
    struct copier copier = {.from = from,
        .rules = rules,
        .root = index,
        .levels = g_array_new(FALSE, FALSE, sizeof(struct level))};

    g_array_append_val(copier.levels, first);
    struct cob_error *err = walk(&copier, name);
    while (copier.levels->len > 1) { /* after an error */
        struct level *level = top(&copier);

        close(level->fd);
        cob_closep(&level->lower_fd);
        g_array_set_size(copier.levels, copier.levels->len - 1);
    }
    g_array_unref(copier.levels);
    return err;
}
