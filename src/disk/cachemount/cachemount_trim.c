/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a build: the mounts that it used are measured, and one above its quota loses files, those
 * first that were neither read nor written for the longest time. Nobody has it meanwhile, and what
 * is left is no file cut short: a file goes whole or stays.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"

/* A mount with more files than that is not measured after each build: at some 300,000 a second. */
#define CHEAP_FILES 20000

#define SECTOR_BYTES 512

/* A file that may go. */
struct old_file {
    char *path; /* below fs/; owned */
    int64_t used_ns;
    uint64_t size_bytes;
};

struct trim {
    int fs_fd;
    GArray *files; /* struct old_file, owned */
    uint64_t over_bytes;
    uint64_t n_trimmed, trimmed_bytes;
};

static void old_file_clear(void *file)
{
    g_free(((struct old_file *)file)->path);
}

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static void note_file(void *arg, const char *path, const struct stat *st)
{
    struct trim *trim = arg;
    const struct old_file file = {.path = g_strdup(path),
        .used_ns = MAX(ns_of(&st->st_atim), ns_of(&st->st_mtim)),
        .size_bytes = (uint64_t)st->st_blocks * SECTOR_BYTES / MAX(st->st_nlink, 1)};

    if (S_ISDIR(st->st_mode))
        g_free(file.path);
    else
        g_array_append_val(trim->files, file);
}

static gint compare_ages(gconstpointer a, gconstpointer b)
{
    const struct old_file *x = a, *y = b;

    if (x->used_ns != y->used_ns)
        return x->used_ns < y->used_ns ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* The file, and the directories above that it was the last one in. */
static void remove_file(struct trim *trim, const struct old_file *file)
{
    g_autofree char *parent = g_path_get_dirname(file->path);
    g_autofree char *name = g_path_get_basename(file->path);
    cob_autoclose int fd = -1;
    g_autoptr(cob_error) gone =
        cob_open_beneath(trim->fs_fd, parent, O_RDONLY | O_DIRECTORY, 0, &fd);

    if (gone || unlinkat(fd, name, 0) < 0)
        return;
    trim->n_trimmed++;
    trim->trimmed_bytes += file->size_bytes;
    while (strcmp(parent, ".") != 0) {
        g_autofree char *up = g_path_get_dirname(parent);
        g_autofree char *last = g_path_get_basename(parent);
        cob_autoclose int up_fd = -1;
        g_autoptr(cob_error) no_way =
            cob_open_beneath(trim->fs_fd, up, O_RDONLY | O_DIRECTORY, 0, &up_fd);

        if (no_way || unlinkat(up_fd, last, AT_REMOVEDIR) < 0)
            return;
        g_free(parent);
        parent = g_steal_pointer(&up);
    }
}

/* fs_fd: of a directory that is held alone. */
static void trim_tree(struct trim *trim)
{
    trim->files = g_array_new(FALSE, FALSE, sizeof(struct old_file));
    g_array_set_clear_func(trim->files, old_file_clear);
    cob_cachemount_walk(trim->fs_fd, note_file, trim);
    g_array_sort(trim->files, compare_ages);
    for (guint i = 0; i < trim->files->len && trim->trimmed_bytes < trim->over_bytes; i++)
        remove_file(trim, &g_array_index(trim->files, struct old_file, i));
    g_array_unref(trim->files);
}

/* excess: what came of it is added. */
static struct cob_error *trim_entry(struct cob_cachemount_pool *pool,
    struct cob_cachemount_entry *entry, struct cob_cachemount_excess *excess)
{
    struct cob_cachemount_hold hold = COB_CACHEMOUNT_NO_HOLD;
    struct cob_cachemount_presence presence = {.fd = -1};
    struct trim trim = {
        .over_bytes = excess->size_bytes - excess->quota_bytes - excess->trimmed_bytes};

    COB_TRY(cob_cachemount_try_hold(pool, entry->dir, COB_CACHEMOUNT_ALONE, &hold));
    if (hold.slot_fd < 0) {
        excess->is_in_use = true;
        return NULL;
    }
    cob_cachemount_enter(hold.slot_fd, "cob (files above the quota)", &presence);
    trim.fs_fd = openat(hold.slot_fd, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (trim.fs_fd >= 0)
        trim_tree(&trim);
    cob_closep(&trim.fs_fd);
    cob_cachemount_leave(hold.slot_fd, &presence);
    excess->n_trimmed += trim.n_trimmed;
    excess->trimmed_bytes += trim.trimmed_bytes;
    struct cob_error *err = cob_cachemount_measure(pool, entry);
    cob_cachemount_unhold(&hold);
    return err;
}

/* Measure the directories of an id.  ret_excess: of all of them. */
static struct cob_error *measure_all(struct cob_cachemount_pool *pool, const GPtrArray *entries,
    struct cob_cachemount_excess *ret_excess)
{
    for (guint i = 0; i < entries->len; i++) {
        struct cob_cachemount_entry *entry = entries->pdata[i];

        if (!entry->is_size_current && (entry->quota_bytes || entry->n_files <= CHEAP_FILES))
            COB_TRY(cob_cachemount_measure(pool, entry));
        ret_excess->size_bytes += entry->size_bytes;
        ret_excess->quota_bytes = MAX(ret_excess->quota_bytes, entry->quota_bytes);
    }
    return NULL;
}

static struct cob_error *settle(struct cob_cachemount_pool *pool, const char *namespace,
    const char *id, struct cob_cachemount_excess *ret_excess)
{
    g_autofree char *hex = cob_cachemount_hex(namespace, id);
    g_autoptr(GPtrArray) entries = NULL;

    COB_TRY(cob_cachemount_list_id(pool, namespace, id, &entries));
    COB_TRY(measure_all(pool, entries, ret_excess));
    if (ret_excess->quota_bytes == 0)
        return NULL;
    for (guint i = 0; i < entries->len; i++) {
        if (ret_excess->size_bytes > ret_excess->quota_bytes + ret_excess->trimmed_bytes)
            COB_TRY(trim_entry(pool, entries->pdata[i], ret_excess));
    }
    cob_cachemount_join(pool, hex);
    return NULL;
}

static gint compare_keys(gconstpointer a, gconstpointer b)
{
    return g_bytes_compare(*(const GBytes *const *)a, *(const GBytes *const *)b);
}

/* What was used since the last time, in order.  Returns GPtrArray of GBytes, owned. */
static GPtrArray *take_touched(struct cob_cachemount_pool *pool)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    GHashTableIter iter;
    gpointer key;

    g_mutex_lock(&pool->lock);
    g_hash_table_iter_init(&iter, pool->touched);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(keys, g_bytes_ref(key));
    g_hash_table_remove_all(pool->touched);
    g_mutex_unlock(&pool->lock);
    g_ptr_array_sort(keys, compare_keys);
    return keys;
}

struct cob_error *cob_cachemount_settle(struct cob_cachemount_pool *pool,
    void (*on_excess)(void *arg, const struct cob_cachemount_excess *excess), void *arg)
{
    g_autoptr(GPtrArray) keys = take_touched(pool);

    for (guint i = 0; i < keys->len; i++) {
        const char *namespace = g_bytes_get_data(keys->pdata[i], NULL);
        const char *id = namespace + strlen(namespace) + 1;
        struct cob_cachemount_excess excess = {.namespace = namespace, .id = id};

        COB_TRY(cob_wrap(settle(pool, namespace, id, &excess), "cache mount %s: measure it", id));
        if (on_excess && excess.quota_bytes && excess.size_bytes > excess.quota_bytes)
            on_excess(arg, &excess);
    }
    return NULL;
}
