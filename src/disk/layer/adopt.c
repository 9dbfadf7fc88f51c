/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/xattr.h>

#include "disk/layer/layer.h"
#include "disk/layer/xattrs.h"
#include "util/fs.h"

/* ret_fd: -1 when it is not there, or is no directory, or a symlink is on the way. */
static struct cob_error *open_dir(int root_fd, const char *path, int *ret_fd)
{
    struct cob_error *err = cob_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd);
    int errnum = err ? cob_error_errno(err) : 0;

    if (errnum != ENOENT && errnum != ENOTDIR && errnum != ELOOP)
        return err;
    cob_error_free(err);
    *ret_fd = -1;
    return NULL;
}

static struct cob_error *copy_xattrs(int from_fd, int to_fd)
{
    struct tar_entry entry;
    struct cob_error *err;
    bool is_opaque;

    tar_entry_init(&entry);
    err = xattr_read_all(from_fd, NULL, &entry, &is_opaque);
    for (guint i = 0; !err && i < entry.xattrs->len; i++) {
        const struct tar_xattr *xattr = g_ptr_array_index(entry.xattrs, i);
        gsize len;
        const void *value = g_bytes_get_data(xattr->value, &len);

        if (fsetxattr(to_fd, xattr->name, value, len, 0) < 0 && errno != EOPNOTSUPP)
            err = cob_fail_errno(errno, "set xattr %s", xattr->name);
    }
    tar_entry_done(&entry);
    return err;
}

static struct cob_error *copy_metadata(int from_fd, int to_fd)
{
    struct stat from, to;

    if (fstat(from_fd, &from) < 0 || fstat(to_fd, &to) < 0)
        return cob_fail_errno(errno, "stat");
    if ((from.st_uid != to.st_uid || from.st_gid != to.st_gid) &&
        fchown(to_fd, from.st_uid, from.st_gid) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", from.st_uid, from.st_gid);
    COB_TRY(copy_xattrs(from_fd, to_fd));
    if (fchmod(to_fd, from.st_mode & 07777) < 0)
        return cob_fail_errno(errno, "set its mode");
    if (futimens(to_fd, (struct timespec[2]){from.st_mtim, from.st_mtim}) < 0)
        return cob_fail_errno(errno, "set its times");
    return NULL;
}

static struct cob_error *adopt_one(int dir_fd, const char *path, int lower_fd)
{
    cob_autoclose int from_fd = -1;
    cob_autoclose int to_fd = -1;

    COB_TRY(open_dir(lower_fd, path, &from_fd));
    COB_TRY(open_dir(dir_fd, path, &to_fd));
    return from_fd >= 0 && to_fd >= 0 ? copy_metadata(from_fd, to_fd) : NULL;
}

struct cob_error *cob_layer_adopt_parents(int dir_fd, const GPtrArray *implied, int lower_fd)
{
    for (guint i = implied->len; i > 0; i--) { /* a parent after what is in it */
        const char *path = g_ptr_array_index(implied, i - 1);

        COB_TRY(cob_wrap(adopt_one(dir_fd, path, lower_fd), "directory %s", path));
    }
    return NULL;
}
