/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PRIVATE directories that are idle are joined with their primary: what it lacks moves there, and
 * of two files the one that was written last stays. It is all renames, so a crash between any two
 * of them loses nothing, and whoever releases a directory of the id next goes on.
 *
 *     primary        PRIVATE one        becomes
 *     nothing        anything           what the PRIVATE one has
 *     directory      directory          both, entry by entry
 *     file, symlink  newer file         the newer one
 *     file, symlink  older file         the primary's
 *     otherwise                         the primary's
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/fs.h"

/* Those who take and release directories without a pause join them, too: somebody else goes on. */
#define MAX_ROUNDS 100

/* Two trees, and the directories that both have and that are still to be joined. */
struct join {
    int from_fd, to_fd; /* the fs/ of each */
    GPtrArray *todo;    /* char *, owned: paths below both */
};

static bool is_newer(const struct stat *a, const struct stat *b)
{
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
        return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
    return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

static void join_entry(
    struct join *join, const char *path, int from_fd, int to_fd, const char *name)
{
    struct stat from, to;
    bool is_moved;

    if (fstatat(from_fd, name, &from, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (fstatat(to_fd, name, &to, AT_SYMLINK_NOFOLLOW) < 0) {
        is_moved = errno == ENOENT;
    } else if (S_ISDIR(from.st_mode) && S_ISDIR(to.st_mode)) {
        g_ptr_array_add(join->todo, g_build_filename(path, name, NULL));
        return;
    } else {
        is_moved = !S_ISDIR(from.st_mode) && !S_ISDIR(to.st_mode) && is_newer(&from, &to);
    }
    if (is_moved && renameat(from_fd, name, to_fd, name) < 0)
        return; /* what cannot be moved goes with the PRIVATE directory */
}

/* They are read first, since they move away under the reader.  fd: borrowed. */
static GPtrArray *names_in(int fd)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    const struct dirent *item;

    if (!dir)
        cob_closep(&own_fd);
    while (dir && (item = readdir(dir))) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(item->d_name));
    }
    if (dir)
        closedir(dir);
    return names;
}

static void join_directory(struct join *join, const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY;
    cob_autoclose int from_fd = -1;
    cob_autoclose int to_fd = -1;
    g_autoptr(cob_error) no_from = cob_open_beneath(join->from_fd, path, flags, 0, &from_fd);
    g_autoptr(cob_error) no_to = cob_open_beneath(join->to_fd, path, flags, 0, &to_fd);
    g_autoptr(GPtrArray) names = NULL;

    if (no_from || no_to)
        return;
    names = names_in(from_fd);
    for (guint i = 0; i < names->len; i++)
        join_entry(join, path, from_fd, to_fd, names->pdata[i]);
}

static void join_trees(int from_fd, int to_fd)
{
    struct join join = {
        .from_fd = from_fd, .to_fd = to_fd, .todo = g_ptr_array_new_with_free_func(g_free)};

    g_ptr_array_add(join.todo, g_strdup("."));
    while (join.todo->len > 0) {
        g_autofree char *path = g_ptr_array_steal_index(join.todo, join.todo->len - 1);

        join_directory(&join, path);
    }
    g_ptr_array_unref(join.todo);
}

/* Both are held alone. */
static void join_held(int from_slot_fd, int to_slot_fd)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    cob_autoclose int from_fd = openat(from_slot_fd, "fs", flags);
    cob_autoclose int to_fd = openat(to_slot_fd, "fs", flags);

    if (from_fd >= 0 && to_fd >= 0)
        join_trees(from_fd, to_fd);
    else if (from_fd >= 0 && renameat(from_slot_fd, "fs", to_slot_fd, "fs") == 0)
        renameat(from_slot_fd, "name", to_slot_fd, "name"); /* there was no primary */
}

static void join_fork(struct cob_cachemount_pool *pool, const char *name, const char *primary_name,
    const struct cob_cachemount_hold *primary)
{
    struct cob_cachemount_hold fork = COB_CACHEMOUNT_NO_HOLD;

    cob_error_free(cob_cachemount_try_hold(pool, name, COB_CACHEMOUNT_ALONE, &fork));
    if (fork.slot_fd < 0)
        return;
    join_held(fork.slot_fd, primary->slot_fd);
    cob_error_free(cob_cachemount_join_rows(pool, name, primary_name));
    cob_error_free(cob_cachemount_remove_held(pool, name, &fork, NULL));
}

/* ret_names: char *, owned: the PRIVATE directories of an id. */
static GPtrArray *forks_of(const struct cob_cachemount_pool *pool, const char *hex)
{
    GPtrArray *names = names_in(pool->root_fd);

    for (guint i = names->len; i-- > 0;) {
        unsigned number = 0;

        if (!g_str_has_prefix(names->pdata[i], hex) ||
            !cob_cachemount_is_slot(names->pdata[i], &number) || number == 0)
            g_ptr_array_remove_index_fast(names, i);
    }
    return names;
}

/* Join those that are idle now.  Returns false when the primary is in use. */
static bool join_idle(struct cob_cachemount_pool *pool, const char *name, const GPtrArray *forks)
{
    struct cob_cachemount_hold primary = COB_CACHEMOUNT_NO_HOLD;

    cob_error_free(
        cob_cachemount_try_hold(pool, name, COB_CACHEMOUNT_ALONE | COB_CACHEMOUNT_MAKE, &primary));
    if (primary.slot_fd < 0)
        return false;
    for (guint i = 0; i < forks->len; i++)
        join_fork(pool, forks->pdata[i], name, &primary);
    cob_cachemount_unhold(&primary);
    return true;
}

static bool is_one_idle(struct cob_cachemount_pool *pool, const GPtrArray *forks)
{
    bool is_idle = false;

    for (guint i = 0; i < forks->len && !is_idle; i++) {
        struct cob_cachemount_hold fork = COB_CACHEMOUNT_NO_HOLD;

        cob_error_free(cob_cachemount_try_hold(pool, forks->pdata[i], COB_CACHEMOUNT_ALONE, &fork));
        is_idle = fork.slot_fd >= 0;
        cob_cachemount_unhold(&fork);
    }
    return is_idle;
}

/* Who releases a PRIVATE directory while the primary is held here finds that in use and goes; so
 * when it is free again, we look once more. Whichever of the two comes second sees the other's. */
void cob_cachemount_join(struct cob_cachemount_pool *pool, const char *hex)
{
    g_autofree char *name = g_strconcat(hex, "-0", NULL);
    bool is_left = true;

    for (int round = 0; is_left && round < MAX_ROUNDS; round++) {
        g_autoptr(GPtrArray) forks = forks_of(pool, hex);
        g_autoptr(GPtrArray) left = NULL;

        if (forks->len == 0 || !join_idle(pool, name, forks))
            return;
        left = forks_of(pool, hex);
        is_left = is_one_idle(pool, left);
    }
}
