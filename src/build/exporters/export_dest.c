/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "build/exporters/export_parts.h"
#include "util/fs.h"

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFLNK:
        return "a symlink";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

static struct cob_error *open_stdout(struct export_dest *dest)
{
    if (isatty(STDOUT_FILENO))
        return cob_fail(
            COB_INVALID, "refusing to write an archive to a terminal; send it to a file or a pipe");
    dest->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return dest->fd < 0 ? cob_fail_errno(errno, "open standard output") : NULL;
}

/* Only a file is replaced: writing through anything else would end up where nobody looked. */
static struct cob_error *check_place(int dir_fd, const char *name)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat");
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_EXISTS, "it is %s; give the name of a file", kind_of(st.st_mode));
    return NULL;
}

static struct cob_error *open_draft(const char *path, struct export_dest *dest)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *prefix = g_strdup_printf(".%.200s.", name);
    cob_autoclose int dir_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir_fd < 0)
        return cob_fail_errno(errno, "open directory %s", parent);
    if (g_str_has_suffix(path, "/"))
        return cob_fail(COB_INVALID, "it is the name of a directory; give the name of a file");
    COB_TRY(check_place(dir_fd, name));
    dest->draft = cob_fs_draft_name(prefix);
    dest->fd =
        openat(dir_fd, dest->draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (dest->fd < 0) {
        g_clear_pointer(&dest->draft, g_free);
        return cob_fail_errno(errno, "create a file in %s", parent);
    }
    dest->dir_fd = g_steal_fd(&dir_fd);
    dest->name = g_steal_pointer(&name);
    return NULL;
}

struct cob_error *export_dest_open(const char *path, struct export_dest *ret_dest)
{
    *ret_dest = (struct export_dest){.dir_fd = -1, .fd = -1};
    if (strcmp(path, "-") == 0)
        return open_stdout(ret_dest);
    return cob_wrap(open_draft(path, ret_dest), "dest %s", path);
}

struct cob_error *export_dest_commit(struct export_dest *dest)
{
    if (close(g_steal_fd(&dest->fd)) < 0)
        return cob_fail_errno(errno, "close %s", dest->name ? dest->name : "standard output");
    if (!dest->draft)
        return NULL;
    COB_TRY(cob_wrap(check_place(dest->dir_fd, dest->name), "dest %s", dest->name));
    if (renameat(dest->dir_fd, dest->draft, dest->dir_fd, dest->name) < 0)
        return cob_fail_errno(errno, "rename to %s", dest->name);
    g_clear_pointer(&dest->draft, g_free);
    return NULL;
}

void export_dest_done(struct export_dest *dest)
{
    if (dest->fd >= 0)
        close(dest->fd);
    if (dest->draft)
        unlinkat(dest->dir_fd, dest->draft, 0);
    if (dest->dir_fd >= 0)
        close(dest->dir_fd);
    g_free(dest->name);
    g_free(dest->draft);
}

struct cob_error *export_dest_write(void *arg, const void *data, size_t len)
{
    const struct export_dest *dest = arg;

    return cob_wrap(
        cob_fs_write_fd(dest->fd, data, len), "%s", dest->name ? dest->name : "standard output");
}
