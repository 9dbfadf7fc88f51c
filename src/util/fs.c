/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#define COPY_BUFFER_BYTES (256 * 1024)

static int openat2_retry(int dir_fd, const char *path, const struct open_how *how)
{
    int fd;

    do { /* EAGAIN: a rename raced with the kernel's check of ".." */
        fd = (int)syscall(SYS_openat2, dir_fd, path, how, sizeof(*how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd;
}

static struct cob_error *open_resolved(
    int dir_fd, const char *path, struct open_how how, int *ret_fd)
{
    int fd = openat2_retry(dir_fd, path, &how);

    if (fd < 0)
        return cob_fail_errno(errno, "open");
    *ret_fd = fd;
    return NULL;
}

struct cob_error *cob_open_in_root(
    int root_fd, const char *path, int flags, mode_t mode, int *ret_fd)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return open_resolved(root_fd, path, how, ret_fd);
}

struct cob_error *cob_open_beneath(
    int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    return open_resolved(dir_fd, path, how, ret_fd);
}

struct cob_error *cob_fs_read_fd(int fd, uint64_t max_bytes, GBytes **ret_bytes)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint8_t buffer[32 * 1024];

    for (;;) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, buffer, sizeof(buffer)));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            break;
        if (bytes->len + (uint64_t)n > max_bytes)
            return cob_fail(COB_EXHAUSTED, "larger than the limit of %" PRIu64 " bytes", max_bytes);
        g_byte_array_append(bytes, buffer, (guint)n);
    }
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
    return NULL;
}

struct cob_error *cob_fs_read_file(
    int dir_fd, const char *name, uint64_t max_bytes, GBytes **ret_bytes)
{
    cob_autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        *ret_bytes = NULL;
        return NULL;
    }
    if (fd < 0)
        return cob_fail_errno(errno, "open %s", name);
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", name);
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "open %s: not a regular file", name);
    return cob_wrap(cob_fs_read_fd(fd, max_bytes, ret_bytes), "read %s", name);
}

struct cob_error *cob_fs_open_in_root(int root_fd, const char *path, int *ret_fd)
{
    cob_autoclose int path_fd = -1;
    struct stat st;
    struct cob_error *err = cob_open_in_root(root_fd, path, O_PATH, 0, &path_fd);

    if (err && (cob_error_errno(err) == ENOENT || cob_error_errno(err) == ENOTDIR)) {
        cob_error_free(err);
        *ret_fd = -1;
        return NULL;
    }
    COB_TRY(err);
    if (fstat(path_fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "open %s: not a regular file", path);
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", path_fd);
    *ret_fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open %s", path) : NULL;
}

struct cob_error *cob_fs_read_in_root(
    int root_fd, const char *path, uint64_t max_bytes, GBytes **ret_bytes)
{
    cob_autoclose int fd = -1;

    *ret_bytes = NULL;
    COB_TRY(cob_fs_open_in_root(root_fd, path, &fd));
    return fd < 0 ? NULL : cob_wrap(cob_fs_read_fd(fd, max_bytes, ret_bytes), "read %s", path);
}

struct cob_error *cob_fs_write_fd(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(write(fd, at, len));

        if (n < 0)
            return cob_fail_errno(errno, "write");
        at += n;
        len -= (size_t)n;
    }
    return NULL;
}

static struct cob_error *write_draft(
    int dir_fd, const char *draft, mode_t mode, const void *data, size_t len)
{
    cob_autoclose int fd =
        openat(dir_fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0)
        return cob_fail_errno(errno, "create %s", draft);
    COB_TRY(cob_wrap(cob_fs_write_fd(fd, data, len), "%s", draft));
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return cob_fail_errno(errno, "sync %s", draft);
    if (close(g_steal_fd(&fd)) < 0)
        return cob_fail_errno(errno, "close %s", draft);
    return NULL;
}

struct cob_error *cob_fs_replace_file(
    int dir_fd, const char *name, mode_t mode, const void *data, size_t len)
{
    g_autofree char *prefix = g_strdup_printf("%s.", name);
    g_autofree char *draft = cob_fs_draft_name(prefix);
    struct cob_error *err = write_draft(dir_fd, draft, mode, data, len);

    if (!err && renameat(dir_fd, draft, dir_fd, name) < 0)
        err = cob_fail_errno(errno, "rename to %s", name);
    if (err)
        unlinkat(dir_fd, draft, 0);
    return err;
}

/* Make one directory, or take the one that is there. */
static struct cob_error *enter_dir(int dir_fd, const char *name, mode_t mode, int *ret_fd)
{
    if (mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s", name);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cob_fail_errno(errno, "open directory %s", name);
    *ret_fd = fd;
    return NULL;
}

struct cob_error *cob_fs_make_dirs(int dir_fd, const char *path, mode_t mode, int *ret_fd)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    cob_autoclose int fd =
        openat(dir_fd, path[0] == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "open directory");
    for (char **part = parts; *part; part++) {
        int next_fd = -1;

        if ((*part)[0] == '\0')
            continue;
        COB_TRY(cob_wrap(enter_dir(fd, *part, mode, &next_fd), "%s", path));
        close(fd);
        fd = next_fd;
    }
    if (ret_fd)
        *ret_fd = g_steal_fd(&fd);
    return NULL;
}

/* The bytes that no call of the kernel would copy for us. */
static struct cob_error *copy_by_hand(int src_fd, int dst_fd, uint64_t len)
{
    g_autofree char *buffer = g_malloc(COPY_BUFFER_BYTES);

    while (len > 0) {
        size_t want = (size_t)MIN(len, (uint64_t)COPY_BUFFER_BYTES);
        ssize_t n = TEMP_FAILURE_RETRY(read(src_fd, buffer, want));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            return cob_fail(COB_ABORTED, "the file became shorter while it was copied");
        COB_TRY(cob_fs_write_fd(dst_fd, buffer, (size_t)n));
        len -= (uint64_t)n;
    }
    return NULL;
}

/* Files that the kernel cannot copy by itself: between file systems before 5.19, in FUSE, behind a
 * filter of system calls, ... */
static bool is_refusal(int errnum)
{
    return errnum == EXDEV || errnum == EINVAL || errnum == EOPNOTSUPP || errnum == ENOSYS ||
           errnum == EPERM || errnum == EBADF || errnum == ETXTBSY;
}

struct cob_error *cob_fs_copy_bytes(int src_fd, int dst_fd, uint64_t len)
{
    while (len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(
            copy_file_range(src_fd, NULL, dst_fd, NULL, (size_t)MIN(len, (uint64_t)1 << 30), 0));

        if (n < 0 && is_refusal(errno))
            return copy_by_hand(src_fd, dst_fd, len);
        if (n < 0)
            return cob_fail_errno(errno, "copy");
        if (n == 0)
            return copy_by_hand(src_fd, dst_fd, len); /* /proc files report no size */
        len -= (uint64_t)n;
    }
    return NULL;
}

struct cob_error *cob_fs_sync_dir(int dir_fd)
{
    return fsync(dir_fd) < 0 ? cob_fail_errno(errno, "sync directory") : NULL;
}

char *cob_fs_draft_name(const char *prefix)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[16];
    char name[sizeof(random) + 1] = {0};
    ssize_t n = TEMP_FAILURE_RETRY(getrandom(random, sizeof(random), 0));

    g_assert(n == (ssize_t)sizeof(random)); /* getrandom(2): up to 256 bytes come whole */
    for (size_t i = 0; i < sizeof(random); i++)
        name[i] = letters[random[i] % 32];
    return g_strconcat(prefix, name, NULL);
}
