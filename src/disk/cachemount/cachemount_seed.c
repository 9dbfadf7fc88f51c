/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/fs.h"
#include "util/limits.h"

/* A copy under way. Directories are done one after the other, by path, so that depth costs neither
 * stack nor descriptors. */
struct copy {
    int src_root, dst_root;
    GPtrArray *dirs; /* paths of directories, owned; those before the current one are filled */
};

static struct cob_error *set_metadata(int dir_fd, const char *name, const struct stat *st)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};

    if (fchownat(dir_fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "give %s to %u:%u", name, st->st_uid, st->st_gid);
    if (!S_ISLNK(st->st_mode) && fchmodat(dir_fd, name, st->st_mode & 07777, 0) < 0)
        return cob_fail_errno(errno, "set mode of %s", name);
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set time of %s", name);
    return NULL;
}

static struct cob_error *copy_file(int src_fd, int dst_fd, const char *name, uint64_t size)
{
    cob_autoclose int from =
        openat(src_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    cob_autoclose int to =
        openat(dst_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (from < 0)
        return cob_fail_errno(errno, "open %s", name);
    if (to < 0)
        return cob_fail_errno(errno, "create %s", name);
    return cob_wrap(cob_fs_copy_bytes(from, to, size), "%s", name);
}

static struct cob_error *copy_symlink(int src_fd, int dst_fd, const char *name)
{
    char target[COB_LIMIT_PATH_BYTES + 1];
    ssize_t n = readlinkat(src_fd, name, target, sizeof(target) - 1);

    if (n < 0)
        return cob_fail_errno(errno, "read symlink %s", name);
    target[n] = '\0';
    if (symlinkat(target, dst_fd, name) < 0)
        return cob_fail_errno(errno, "make symlink %s", name);
    return NULL;
}

/* Copy one name; a directory is made, and put on the list to be filled. */
static struct cob_error *copy_one(
    struct copy *copy, const char *dir, int src_fd, int dst_fd, const char *name)
{
    struct stat st;

    if (fstatat(src_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat %s", name);
    if (S_ISDIR(st.st_mode)) {
        if (mkdirat(dst_fd, name, 0700) < 0)
            return cob_fail_errno(errno, "make directory %s", name);
        g_ptr_array_add(copy->dirs, g_strdup_printf("%s/%s", dir, name));
        return NULL; /* its metadata comes when it is full */
    }
    if (S_ISSOCK(st.st_mode))
        return NULL;
    if (S_ISREG(st.st_mode))
        COB_TRY(copy_file(src_fd, dst_fd, name, (uint64_t)st.st_size));
    else if (S_ISLNK(st.st_mode))
        COB_TRY(copy_symlink(src_fd, dst_fd, name));
    else if (mknodat(dst_fd, name, (st.st_mode & S_IFMT) | 0600, st.st_rdev) < 0)
        return cob_fail_errno(errno, "make special file %s", name);
    return set_metadata(dst_fd, name, &st);
}

static struct cob_error *fill_dir(struct copy *copy, const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const struct dirent *entry;
    struct cob_error *err = NULL;
    cob_autoclose int dst_fd = -1;
    int src_fd = -1;

    COB_TRY(cob_open_beneath(copy->dst_root, path, flags, 0, &dst_fd));
    COB_TRY(cob_open_beneath(copy->src_root, path, flags, 0, &src_fd));
    DIR *dir = fdopendir(src_fd);
    g_assert(dir != NULL);
    while (!err && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = copy_one(copy, path, src_fd, dst_fd, entry->d_name);
    }
    closedir(dir);
    return err;
}

/* Directories get their times last, the deep ones first. */
static struct cob_error *finish_dirs(const struct copy *copy)
{
    for (guint i = copy->dirs->len; i > 0; i--) {
        const char *path = g_ptr_array_index(copy->dirs, i - 1);
        cob_autoclose int fd = -1;
        struct stat st;

        COB_TRY(cob_open_beneath(copy->src_root, path, O_PATH | O_NOFOLLOW, 0, &fd));
        if (fstat(fd, &st) < 0)
            return cob_fail_errno(errno, "stat %s", path);
        COB_TRY(set_metadata(copy->dst_root, path, &st));
    }
    return NULL;
}

struct cob_error *cob_cachemount_seed(int seed_fd, int dst_fd)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    struct copy copy = {.src_root = seed_fd, .dst_root = dst_fd, .dirs = dirs};

    g_ptr_array_add(dirs, g_strdup("."));
    for (guint i = 0; i < dirs->len; i++)
        COB_TRY(cob_wrap(fill_dir(&copy, g_ptr_array_index(dirs, i)), "%s",
            (const char *)g_ptr_array_index(dirs, i)));
    return finish_dirs(&copy);
}
