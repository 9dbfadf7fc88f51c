/* SPDX-License-Identifier: Apache-2.0 */
#include "util/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* A directory that the walk is inside of. */
struct level {
    DIR *dir;
    char *name; /* in its parent */
};

static void level_free(struct level *level)
{
    if (level->dir)
        closedir(level->dir);
    g_free(level->name);
    g_free(level);
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int open_dir(int dir_fd, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name, flags);

    if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0)
        fd = openat(dir_fd, name, flags);
    return fd;
}

/* Go down into a directory.  ret: false when it is none, or gone; errno says which. */
static bool push(GPtrArray *levels, int dir_fd, const char *name)
{
    int fd = open_dir(dir_fd, name);

    if (fd < 0)
        return false;
    struct level *level = g_new(struct level, 1);
    *level = (struct level){.dir = fdopendir(fd), .name = g_strdup(name)};
    g_assert(level->dir != NULL);
    g_ptr_array_add(levels, level);
    return true;
}

static struct level *top(const GPtrArray *levels)
{
    return levels->len ? g_ptr_array_index(levels, levels->len - 1) : NULL;
}

static const struct dirent *next_entry(const struct level *level)
{
    const struct dirent *entry;

    do {
        entry = readdir(level->dir);
    } while (entry && is_dots(entry->d_name));
    return entry;
}

/* Remove one name that may be a directory: a file at once, a directory by going down into it. */
static struct cob_error *remove_or_push(GPtrArray *levels, int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return NULL;
    if (errno == EACCES && fchmod(dir_fd, 0700) == 0 && unlinkat(dir_fd, name, 0) == 0)
        return NULL;
    if (errno != EISDIR && errno != EPERM && errno != EACCES)
        return cob_fail_errno(errno, "remove %s", name);
    if (!push(levels, dir_fd, name))
        return cob_fail_errno(errno, "remove %s", name);
    return NULL;
}

struct cob_error *cob_tree_remove(int dir_fd, const char *name)
{
    g_autoptr(GPtrArray) levels = g_ptr_array_new_with_free_func((GDestroyNotify)level_free);

    COB_TRY(remove_or_push(levels, dir_fd, name));
    while (top(levels)) {
        const struct dirent *entry = next_entry(top(levels));

        if (entry) {
            COB_TRY(remove_or_push(levels, dirfd(top(levels)->dir), entry->d_name));
            continue;
        }
        g_autofree char *done = g_strdup(top(levels)->name);
        g_ptr_array_set_size(levels, (gint)levels->len - 1);
        int parent_fd = top(levels) ? dirfd(top(levels)->dir) : dir_fd;
        if (unlinkat(parent_fd, done, AT_REMOVEDIR) < 0 && errno != ENOENT)
            return cob_fail_errno(errno, "remove directory %s", done);
    }
    return NULL;
}
