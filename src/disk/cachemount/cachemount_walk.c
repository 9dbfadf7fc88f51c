/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through the files of a mount, and what it says of where its bytes are.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define SECTOR_BYTES 512
#define DEPTH_OF_PARTS 2 /* "a", "a/b": what lies deeper counts for these */

struct walk {
    int fs_fd;
    void (*visit)(void *arg, const char *path, const struct stat *st);
    void *arg;
    GPtrArray *todo; /* char *, owned: directories to be read */
};

static void visit_directory(struct walk *walk, const char *path)
{
    int fd = -1;
    g_autoptr(cob_error) gone = cob_open_beneath(walk->fs_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;
    struct stat st;

    (void)gone;
    if (!dir)
        cob_closep(&fd);
    while (dir && (item = readdir(dir))) {
        g_autofree char *below = g_build_filename(path, item->d_name, NULL);

        if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, "..") ||
            fstatat(dirfd(dir), item->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        walk->visit(walk->arg, below, &st);
        if (S_ISDIR(st.st_mode))
            g_ptr_array_add(walk->todo, g_steal_pointer(&below));
    }
    if (dir)
        closedir(dir);
}

void cob_cachemount_walk(
    int fs_fd, void (*visit)(void *arg, const char *path, const struct stat *st), void *arg)
{
    struct walk walk = {
        .fs_fd = fs_fd, .visit = visit, .arg = arg, .todo = g_ptr_array_new_with_free_func(g_free)};

    g_ptr_array_add(walk.todo, g_strdup("."));
    while (walk.todo->len > 0) {
        g_autofree char *path = g_ptr_array_steal_index(walk.todo, walk.todo->len - 1);

        visit_directory(&walk, path);
    }
    g_ptr_array_unref(walk.todo);
}

/* --- where the bytes are --- */

void cob_cachemount_part_free(struct cob_cachemount_part *part)
{
    if (!part)
        return;
    g_free(part->path);
    g_free(part);
}

/* Add to one of the parts that a path lies in.  len: of the part's own path. */
static void count_part(GHashTable *parts, const char *path, size_t len, const struct stat *st)
{
    g_autofree char *key = g_strndup(path, len);
    struct cob_cachemount_part *part = g_hash_table_lookup(parts, key);

    if (!part) {
        part = g_new(struct cob_cachemount_part, 1);
        *part = (struct cob_cachemount_part){.path = g_steal_pointer(&key)};
        g_hash_table_insert(parts, part->path, part);
    }
    part->size_bytes += (uint64_t)st->st_blocks * SECTOR_BYTES / MAX(st->st_nlink, 1);
    part->n_files += !S_ISDIR(st->st_mode);
}

/* A directory's own blocks count, too; its many links are those of the directories in it. */
static void count_entry(void *arg, const char *path, const struct stat *st)
{
    struct stat once = *st;
    const char *at = path + strlen("./");

    if (S_ISDIR(st->st_mode))
        once.st_nlink = 1;
    path = at;
    for (int depth = 0; depth < DEPTH_OF_PARTS; depth++) {
        const char *slash = strchr(at, '/');

        if (!slash && !S_ISDIR(st->st_mode))
            return;
        count_part(arg, path, slash ? (size_t)(slash - path) : strlen(path), &once);
        if (!slash)
            return;
        at = slash + 1;
    }
}

static gint compare_parts(gconstpointer a, gconstpointer b)
{
    const struct cob_cachemount_part *x = *(const struct cob_cachemount_part *const *)a;
    const struct cob_cachemount_part *y = *(const struct cob_cachemount_part *const *)b;

    if (x->size_bytes != y->size_bytes)
        return x->size_bytes > y->size_bytes ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* parts: emptied. */
static GPtrArray *take_biggest(GHashTable *parts, guint n)
{
    GPtrArray *all =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_cachemount_part_free);
    GHashTableIter iter;
    gpointer part;

    g_hash_table_iter_init(&iter, parts);
    while (g_hash_table_iter_next(&iter, NULL, &part)) {
        g_hash_table_iter_steal(&iter);
        g_ptr_array_add(all, part);
    }
    g_ptr_array_sort(all, compare_parts);
    g_ptr_array_set_size(all, (gint)MIN(all->len, n));
    return all;
}

struct cob_error *cob_cachemount_biggest(
    struct cob_cachemount_pool *pool, const char *dir, unsigned n, GPtrArray **ret_parts)
{
    g_autofree char *path = g_strconcat(dir, "/fs", NULL);
    g_autoptr(GHashTable) parts = g_hash_table_new_full(
        g_str_hash, g_str_equal, NULL, (GDestroyNotify)(void (*)(void))cob_cachemount_part_free);
    cob_autoclose int fs_fd =
        openat(pool->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fs_fd < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "open directory %s", path);
    if (fs_fd >= 0)
        cob_cachemount_walk(fs_fd, count_entry, parts);
    *ret_parts = take_biggest(parts, n);
    return NULL;
}
