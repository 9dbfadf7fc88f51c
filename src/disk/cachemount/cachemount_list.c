/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/tree.h"

static const char *namespace_of(const struct cob_cachemount_request *request)
{
    return request->namespace ? request->namespace : "";
}

/* What a list says when the database is gone. Both are text, so a NUL parts them. Nobody waits for
 * it to reach the disk: one that a power cut left empty is written again. */
static struct cob_error *write_name(int slot_fd, const struct cob_cachemount_request *request)
{
    g_autoptr(GString) name = g_string_new(namespace_of(request));
    struct stat st;

    g_string_append_c(name, '\0');
    g_string_append(name, request->id);
    if (fstatat(slot_fd, "name", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == (off_t)name->len)
        return NULL;
    cob_autoclose int fd =
        openat(slot_fd, "name", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create name");
    return cob_wrap(cob_fs_write_fd(fd, name->str, name->len), "write name");
}

struct cob_error *cob_cachemount_record(struct cob_cachemount_pool *pool, const char *dir,
    int slot_fd, const struct cob_cachemount_request *request)
{
    if (!pool->db)
        return NULL;
    COB_TRY(write_name(slot_fd, request));
    return cob_db_run(pool->db, NULL, NULL,
        "INSERT INTO cachemounts (namespace, id, dir, created_us, last_used_us, last_step, n_uses)"
        "  VALUES (?1, ?2, ?3, ?4, ?4, ?5, 1)"
        "  ON CONFLICT (namespace, id, dir) DO UPDATE SET last_used_us = excluded.last_used_us,"
        "  last_step = coalesce(excluded.last_step, last_step), n_uses = n_uses + 1",
        COB_DB_T(namespace_of(request)), COB_DB_T(request->id), COB_DB_T(dir),
        COB_DB_I(g_get_real_time()), COB_DB_T(request->user));
}

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

static struct cob_error *read_row(void *arg, const struct cob_db_row *row)
{
    struct cob_cachemount_entry *entry = arg;

    entry->namespace = g_strdup(cob_db_row_text(row, 0));
    entry->id = g_strdup(cob_db_row_text(row, 1));
    entry->created_us = cob_db_row_int(row, 2);
    entry->last_used_us = cob_db_row_int(row, 3);
    entry->last_step = g_strdup(cob_db_row_text(row, 4));
    entry->n_uses = cob_db_row_int(row, 5);
    entry->is_pinned = cob_db_row_int(row, 6) != 0;
    entry->quota_bytes = (uint64_t)cob_db_row_int(row, 7);
    return NULL;
}

/* The row is lost: take the name from the directory itself. */
static struct cob_error *read_name(int slot_fd, struct cob_cachemount_entry *entry)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize len = 0;

    COB_TRY(cob_fs_read_file(slot_fd, "name", COB_MIB, &bytes));
    const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    const char *nul = text ? memchr(text, '\0', len) : NULL;
    if (!nul)
        return NULL;
    entry->namespace = g_strdup(text);
    entry->id = g_strndup(nul + 1, len - (gsize)(nul + 1 - text));
    return NULL;
}

/* A lock is not tried here: that would be in the way of somebody who asks just now. */
static bool is_locked(const char *locks, int slot_fd)
{
    struct stat st;

    if (fstatat(slot_fd, "lock", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    g_autofree char *name = g_strdup_printf(
        " %02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino);
    return strstr(locks, name) != NULL;
}

static struct cob_error *fill_entry(
    struct cob_cachemount_pool *pool, const char *locks, struct cob_cachemount_entry *entry)
{
    struct cob_tree_usage usage = {0};
    cob_autoclose int slot_fd =
        openat(pool->root_fd, entry->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (slot_fd < 0)
        return cob_fail_errno(errno, "open directory %s", entry->dir);
    if (pool->db)
        COB_TRY(cob_db_run(pool->db, read_row, entry,
            "SELECT namespace, id, created_us, last_used_us, last_step, n_uses, pin, quota"
            "  FROM cachemounts WHERE dir = ?1",
            COB_DB_T(entry->dir)));
    if (!entry->id)
        COB_TRY(read_name(slot_fd, entry));
    COB_TRY(cob_tree_measure(slot_fd, "fs", &usage));
    entry->size_bytes = usage.size_bytes;
    entry->is_in_use = is_locked(locks, slot_fd);
    return NULL;
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
    const struct cob_cachemount_entry *x = *(const struct cob_cachemount_entry *const *)a;
    const struct cob_cachemount_entry *y = *(const struct cob_cachemount_entry *const *)b;
    int order = g_strcmp0(x->namespace, y->namespace);

    if (order == 0)
        order = g_strcmp0(x->id, y->id);
    return order ? order : strcmp(x->dir, y->dir);
}

/* "<64 hex digits>-<number>" */
static bool is_slot(const char *name)
{
    size_t n_hex = strspn(name, "0123456789abcdef");

    return n_hex == COB_SHA256_HEX && name[n_hex] == '-' &&
           name[n_hex + 1 + strspn(name + n_hex + 1, "0123456789")] == '\0';
}

static struct cob_error *list_slots(struct cob_cachemount_pool *pool, GPtrArray *entries)
{
    int fd = openat(pool->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;

    if (!dir)
        return cob_fail_errno(errno, "open directory");
    while ((item = readdir(dir))) {
        struct cob_cachemount_entry *entry;

        if (!is_slot(item->d_name))
            continue;
        entry = g_new(struct cob_cachemount_entry, 1);
        *entry = (struct cob_cachemount_entry){.dir = g_strdup(item->d_name)};
        g_ptr_array_add(entries, entry);
    }
    closedir(dir);
    return NULL;
}

struct cob_error *cob_cachemount_list(struct cob_cachemount_pool *pool, GPtrArray **ret_entries)
{
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_cachemount_entry_free);
    g_autoptr(GBytes) bytes = NULL;
    gsize len = 0;

    COB_TRY(cob_fs_read_file(AT_FDCWD, "/proc/locks", 16 * COB_MIB, &bytes));
    const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    g_autofree char *locks = g_strndup(data ? data : "", len);
    COB_TRY(cob_wrap(list_slots(pool, entries), "list cache mounts"));
    for (guint i = 0; i < entries->len; i++)
        COB_TRY(
            cob_wrap(fill_entry(pool, locks, g_ptr_array_index(entries, i)), "list cache mounts"));
    g_ptr_array_sort(entries, compare_entries);
    *ret_entries = g_steal_pointer(&entries);
    return NULL;
}
