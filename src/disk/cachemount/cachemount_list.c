/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define NAME_BYTES (2 * COB_LIMIT_CACHEMOUNT_ID_BYTES)

void cob_cachemount_entry_free(struct cob_cachemount_entry *entry)
{
    if (!entry)
        return;
    g_free(entry->namespace);
    g_free(entry->id);
    g_free(entry->dir);
    g_free(entry->last_step);
    g_free(entry);
}

/* The row is lost: take the name from the directory itself. */
static struct cob_error *read_name(int slot_fd, struct cob_cachemount_entry *entry)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize len = 0;

    COB_TRY(cob_fs_read_file(slot_fd, "name", NAME_BYTES, &bytes));
    const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    const char *nul = text ? memchr(text, '\0', len) : NULL;
    if (!nul)
        return NULL;
    entry->namespace = g_strdup(text);
    entry->id = g_strndup(nul + 1, len - (gsize)(nul + 1 - text));
    return NULL;
}

static struct cob_error *fill_entry(
    struct cob_cachemount_pool *pool, int slot_fd, struct cob_cachemount_entry *entry)
{
    g_autoptr(GPtrArray) users = NULL;

    COB_TRY(cob_cachemount_read_row(pool, entry));
    if (!entry->id)
        COB_TRY(read_name(slot_fd, entry));
    COB_TRY(cob_cachemount_read_users(slot_fd, &users));
    entry->is_in_use = users->len > 0;
    entry->is_size_current = !entry->is_in_use && entry->measured_us != 0;
    return NULL;
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
    const struct cob_cachemount_entry *x = *(const struct cob_cachemount_entry *const *)a;
    const struct cob_cachemount_entry *y = *(const struct cob_cachemount_entry *const *)b;
    int order = g_strcmp0(x->namespace, y->namespace);

    if (order == 0)
        order = g_strcmp0(x->id, y->id);
    if (order == 0)
        order = g_strcmp0(x->id ? NULL : x->dir, y->id ? NULL : y->dir);
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

/* One that was removed meanwhile is passed over. */
static struct cob_error *add_entry(
    struct cob_cachemount_pool *pool, const char *dir, unsigned number, GPtrArray *entries)
{
    struct cob_cachemount_entry *entry;
    cob_autoclose int slot_fd =
        openat(pool->root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (slot_fd < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "open directory %s", dir);
    entry = g_new(struct cob_cachemount_entry, 1);
    *entry = (struct cob_cachemount_entry){.dir = g_strdup(dir), .number = number};
    g_ptr_array_add(entries, entry);
    return fill_entry(pool, slot_fd, entry);
}

/* hex: of one id; NULL: of all. */
static struct cob_error *list(
    struct cob_cachemount_pool *pool, const char *hex, GPtrArray **ret_entries)
{
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_cachemount_entry_free);
    int fd = openat(pool->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;
    struct cob_error *err = NULL;
    unsigned number;

    if (!dir) {
        cob_closep(&fd);
        return cob_fail_errno(errno, "open directory");
    }
    while (!err && (item = readdir(dir))) {
        if (cob_cachemount_is_slot(item->d_name, &number) &&
            (!hex || g_str_has_prefix(item->d_name, hex)))
            err = add_entry(pool, item->d_name, number, entries);
    }
    closedir(dir);
    if (err)
        return err;
    g_ptr_array_sort(entries, compare_entries);
    *ret_entries = g_steal_pointer(&entries);
    return NULL;
}

struct cob_error *cob_cachemount_list(struct cob_cachemount_pool *pool, GPtrArray **ret_entries)
{
    return cob_wrap(list(pool, NULL, ret_entries), "list cache mounts");
}

struct cob_error *cob_cachemount_list_id(struct cob_cachemount_pool *pool, const char *namespace,
    const char *id, GPtrArray **ret_entries)
{
    g_autofree char *hex = cob_cachemount_hex(namespace, id);

    return cob_wrap(list(pool, hex, ret_entries), "list cache mount %s", id);
}
