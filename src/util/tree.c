/* SPDX-License-Identifier: Apache-2.0 */
#include "util/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* So many directories of a walk are open at a time; those above them are found again by "..", so
 * that a tree that somebody made very deep costs no more descriptors than another. */
#define MAX_OPEN 64

/* A directory that the walk is inside of. */
struct level {
    DIR *dir;   /* NULL: closed for now */
    char *name; /* in its parent */
    dev_t dev;
    ino_t ino;
    long at; /* how far it was read when it was closed */
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

/* Close the one that has been open longest, unless it rests already: a walk comes up again. */
static void rest(const GPtrArray *levels)
{
    struct level *level =
        levels->len >= MAX_OPEN ? g_ptr_array_index(levels, levels->len - MAX_OPEN) : NULL;

    if (!level || !level->dir)
        return;
    level->at = telldir(level->dir);
    closedir(g_steal_pointer(&level->dir));
}

/* Go down into a directory.  ret: false when it is none, or gone; errno says which. */
static bool push(GPtrArray *levels, int dir_fd, const char *name)
{
    g_autofree char *own_name = g_strdup(name); /* rest() may free the entry it comes from */
    int fd = open_dir(dir_fd, name);
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0) {
        close(fd);
        return false;
    }
    struct level *level = g_new(struct level, 1);
    *level = (struct level){.dir = fdopendir(fd),
        .name = g_steal_pointer(&own_name),
        .dev = st.st_dev,
        .ino = st.st_ino};
    g_assert(level->dir != NULL);
    rest(levels);
    g_ptr_array_add(levels, level);
    return true;
}

static struct level *top(const GPtrArray *levels)
{
    return levels->len ? g_ptr_array_index(levels, levels->len - 1) : NULL;
}

/* Leave the directory on top, and open again the one above it if it rests. It must be the one that
 * was left: nobody but us moves things here, and if somebody does, we stop.
 * is_resumed: read on from where it was; else anew, as is right where all that was read is gone. */
static struct cob_error *pop(GPtrArray *levels, bool is_resumed)
{
    struct level *above = levels->len > 1 ? g_ptr_array_index(levels, levels->len - 2) : NULL;
    struct stat st;

    if (above && !above->dir) {
        int fd = openat(dirfd(top(levels)->dir), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            return cob_fail_errno(errno, "open directory %s", above->name);
        if (fstat(fd, &st) < 0 || st.st_ino != above->ino || st.st_dev != above->dev) {
            close(fd);
            return cob_fail(COB_ABORTED, "directory %s was moved", above->name);
        }
        above->dir = fdopendir(fd);
        g_assert(above->dir != NULL);
        if (is_resumed)
            seekdir(above->dir, above->at);
    }
    g_ptr_array_set_size(levels, (gint)levels->len - 1);
    return NULL;
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
        COB_TRY(pop(levels, false));
        int parent_fd = top(levels) ? dirfd(top(levels)->dir) : dir_fd;
        if (unlinkat(parent_fd, done, AT_REMOVEDIR) < 0 && errno != ENOENT)
            return cob_fail_errno(errno, "remove directory %s", done);
    }
    return NULL;
}
