/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/xattr.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "util/fs.h"
#include "util/limits.h"
#include "util/tree.h"

/* A copy under way. Directories are done one after the other, by path, so that depth costs neither
 * stack nor descriptors. */
struct clone {
    int src_root, dst_root;
    unsigned flags;
    GPtrArray *dirs;   /* paths of directories, owned; those before the current one are filled */
    GHashTable *files; /* "device:inode" -> path in the copy, of files with several names */
};

/* The directory that is being filled. */
struct place {
    struct clone *clone;
    const char *path;
    int src_fd, dst_fd;
};

/* --- metadata --- */

/* Names of overlayfs itself are seen in a layer's own directory only: through a mount they are not
 * there. */
static bool is_kept(const char *xattr)
{
    return g_str_has_prefix(xattr, "user.") || g_str_has_prefix(xattr, "trusted.overlay.") ||
           g_str_has_prefix(xattr, "system.posix_acl_") || strcmp(xattr, XATTR_NAME_CAPS) == 0;
}

static struct cob_error *copy_xattr(int from_fd, int to_fd, const char *name)
{
    char value[COB_LIMIT_XATTR_BYTES];
    ssize_t len = is_kept(name) ? fgetxattr(from_fd, name, value, sizeof(value)) : -1;

    if (len < 0)
        return NULL;
    if (fsetxattr(to_fd, name, value, (size_t)len, 0) < 0 && errno != ENOTSUP)
        return cob_fail_errno(errno, "set xattr %s", name);
    return NULL;
}

static struct cob_error *copy_xattrs(int from_fd, int to_fd)
{
    char names[COB_LIMIT_XATTR_BYTES];
    ssize_t len = flistxattr(from_fd, names, sizeof(names));

    if (len < 0 && errno != ENOTSUP)
        return cob_fail_errno(errno, "list xattrs");
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(&names[at]) + 1)
        COB_TRY(copy_xattr(from_fd, to_fd, &names[at]));
    return NULL;
}

/* Of an open file or directory. In this order, since a change of owner clears setuid bits and file
 * capabilities. */
struct cob_error *cob_tree_clone_metadata(int from_fd, int to_fd)
{
    struct stat st;

    if (fstat(from_fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    if (fchown(to_fd, st.st_uid, st.st_gid) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", st.st_uid, st.st_gid);
    if (fchmod(to_fd, st.st_mode & 07777) < 0)
        return cob_fail_errno(errno, "set its mode");
    COB_TRY(copy_xattrs(from_fd, to_fd));
    if (futimens(to_fd, times) < 0)
        return cob_fail_errno(errno, "set its times");
    return NULL;
}

/* Of what cannot be opened: symlinks and special files. */
static struct cob_error *dress_by_name(int dir_fd, const char *name, const struct stat *st)
{
    const struct timespec times[] = {st->st_atim, st->st_mtim};

    if (fchownat(dir_fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", st->st_uid, st->st_gid);
    if (!S_ISLNK(st->st_mode) && fchmodat(dir_fd, name, st->st_mode & 07777, 0) < 0)
        return cob_fail_errno(errno, "set its mode");
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set its times");
    return NULL;
}

/* --- one file --- */

static struct cob_error *copy_file(const struct place *place, const char *name, uint64_t size)
{
    cob_autoclose int from =
        openat(place->src_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    cob_autoclose int to =
        openat(place->dst_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (from < 0)
        return cob_fail_errno(errno, "open");
    if (to < 0)
        return cob_fail_errno(errno, "create");
    COB_TRY(cob_fs_copy_bytes(from, to, size));
    return cob_tree_clone_metadata(from, to);
}

static struct cob_error *copy_symlink(
    const struct place *place, const char *name, const struct stat *st)
{
    char target[COB_LIMIT_PATH_BYTES + 1];
    ssize_t n = readlinkat(place->src_fd, name, target, sizeof(target) - 1);

    if (n < 0)
        return cob_fail_errno(errno, "read symlink");
    target[n] = '\0';
    if (symlinkat(target, place->dst_fd, name) < 0)
        return cob_fail_errno(errno, "make symlink");
    return dress_by_name(place->dst_fd, name, st);
}

static struct cob_error *copy_any(
    const struct place *place, const char *name, const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        return copy_file(place, name, (uint64_t)st->st_size);
    if (S_ISLNK(st->st_mode))
        return copy_symlink(place, name, st);
    if (mknodat(place->dst_fd, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0)
        return cob_fail_errno(errno, "make special file");
    return dress_by_name(place->dst_fd, name, st);
}

/* Another name of a file that was copied already.  ret_is_done: false when it was not. */
static struct cob_error *try_link(
    const struct place *place, const char *name, const struct stat *st, bool *ret_is_done)
{
    struct clone *clone = place->clone;
    g_autofree char *key = NULL;
    cob_autoclose int dir_fd = -1;

    *ret_is_done = false;
    if (st->st_nlink < 2)
        return NULL;
    key = g_strdup_printf("%" PRIu64 ":%" PRIu64, (uint64_t)st->st_dev, (uint64_t)st->st_ino);
    const char *first = g_hash_table_lookup(clone->files, key);
    if (!first) {
        g_hash_table_insert(
            clone->files, g_steal_pointer(&key), g_build_filename(place->path, name, NULL));
        return NULL;
    }
    g_autofree char *dir = g_path_get_dirname(first);
    g_autofree char *base = g_path_get_basename(first);
    COB_TRY(cob_open_beneath(clone->dst_root, dir, O_PATH | O_DIRECTORY, 0, &dir_fd));
    if (linkat(dir_fd, base, place->dst_fd, name, 0) < 0)
        return cob_fail_errno(errno, "link it to %s", first);
    *ret_is_done = true;
    return NULL;
}

/* A file system has a limit for the names of one file; past it there is a copy. */
static struct cob_error *share(const struct place *place, const char *name, bool *ret_is_done)
{
    *ret_is_done = linkat(place->src_fd, name, place->dst_fd, name, 0) == 0;
    if (!*ret_is_done && errno != EMLINK)
        return cob_fail_errno(errno, "link");
    return NULL;
}

/* Copy one name; a directory is made, and put on the list to be filled and dressed. */
static struct cob_error *clone_one(const struct place *place, const char *name)
{
    struct stat st;
    bool is_done = false;

    if (fstatat(place->src_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat");
    if (S_ISDIR(st.st_mode)) {
        if (mkdirat(place->dst_fd, name, 0700) < 0)
            return cob_fail_errno(errno, "make directory");
        g_ptr_array_add(place->clone->dirs, g_build_filename(place->path, name, NULL));
        return NULL;
    }
    if (S_ISSOCK(st.st_mode))
        return NULL;
    if (place->clone->flags & COB_TREE_SHARE)
        COB_TRY(share(place, name, &is_done));
    else
        COB_TRY(try_link(place, name, &st, &is_done));
    return is_done ? NULL : copy_any(place, name, &st);
}

/* --- the tree --- */

static struct cob_error *fill_dir(struct clone *clone, const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const struct dirent *entry;
    struct cob_error *err = NULL;
    cob_autoclose int dst_fd = -1;
    int src_fd = -1;

    COB_TRY(cob_open_beneath(clone->dst_root, path, flags, 0, &dst_fd));
    COB_TRY(cob_open_beneath(clone->src_root, path, flags, 0, &src_fd));
    DIR *dir = fdopendir(src_fd);
    g_assert(dir != NULL);
    const struct place place = {clone, path, src_fd, dst_fd};
    while (!err && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = cob_wrap(clone_one(&place, entry->d_name), "%s", entry->d_name);
    }
    closedir(dir);
    return err;
}

static struct cob_error *dress_dir(const struct clone *clone, const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    cob_autoclose int from = -1;
    cob_autoclose int to = -1;

    COB_TRY(cob_open_beneath(clone->src_root, path, flags, 0, &from));
    COB_TRY(cob_open_beneath(clone->dst_root, path, flags, 0, &to));
    return cob_tree_clone_metadata(from, to);
}

static struct cob_error *clone_all(struct clone *clone)
{
    g_ptr_array_add(clone->dirs, g_strdup("."));
    for (guint i = 0; i < clone->dirs->len; i++) {
        const char *path = g_ptr_array_index(clone->dirs, i);

        COB_TRY(cob_wrap(fill_dir(clone, path), "%s", path));
    }
    for (guint i = clone->dirs->len; i > 0; i--) { /* a directory's times after what is in it */
        const char *path = g_ptr_array_index(clone->dirs, i - 1);

        COB_TRY(cob_wrap(dress_dir(clone, path), "%s", path));
    }
    return NULL;
}

struct cob_error *cob_tree_clone(int src_fd, int dst_fd, unsigned flags)
{
    struct clone clone = {
        .src_root = src_fd,
        .dst_root = dst_fd,
        .flags = flags,
        .dirs = g_ptr_array_new_with_free_func(g_free),
        .files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
    };
    struct cob_error *err = clone_all(&clone);

    g_ptr_array_unref(clone.dirs);
    g_hash_table_unref(clone.files);
    return err;
}
