/* SPDX-License-Identifier: Apache-2.0 */
/* All that takes room, as records. Nothing is walked that has a size in a row. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "build/gc/gc_parts.h"
#include "build/remote/remote.h"
#include "disk/cachemount/cachemount.h"
#include "disk/snapshot/snapshot.h"
#include "util/digest.h"
#include "util/tree.h"

#define SHORT_DIGITS 12
#define SECTOR_BYTES 512

void cob_gc_record_free(struct cob_gc_record *record)
{
    if (!record)
        return;
    g_free(record->id);
    g_free(record->name);
    g_free(record->parent);
    g_free(record->description);
    g_free(record->namespace);
    g_free(record->mount);
    g_free(record->group);
    g_free(record);
}

static uint64_t bytes_of(const struct stat *st)
{
    return (uint64_t)st->st_blocks * SECTOR_BYTES;
}

static void add(GPtrArray *records, const struct cob_gc_record *record)
{
    g_ptr_array_add(records, g_memdup2(record, sizeof(*record)));
}

/* --- snapshots --- */

static const char *type_of_snapshot(const struct cob_snapshot_usage *usage)
{
    const bool is_git = usage->is_source && g_str_has_prefix(usage->description, "git ");

    return is_git ? "source.git.checkout" : "regular";
}

static void add_snapshot(GPtrArray *records, const struct cob_snapshot_usage *usage)
{
    add(records, &(struct cob_gc_record){
                     .class = usage->is_source ? COB_GC_SOURCES : COB_GC_LAYERS,
                     .kind = COB_GC_SNAPSHOT,
                     .id = g_strdup(usage->id),
                     .name = g_strdup(usage->id),
                     .parent = g_strdup(usage->parent),
                     .description = g_strdup(usage->description),
                     .type = type_of_snapshot(usage),
                     .group = g_strdup(usage->origin),
                     .size_bytes = usage->size_bytes + usage->extra_bytes,
                     .linked_bytes = usage->linked_bytes,
                     .created_us = usage->created_us,
                     .last_used_us = usage->last_used_us,
                     .n_uses = usage->n_uses,
                     .is_in_use = usage->is_in_use,
                     .is_shared = usage->is_shared,
                 });
}

/* The one that had the files first is of the group, too. */
static void complete_groups(GPtrArray *records)
{
    g_autoptr(GHashTable) linked = g_hash_table_new(g_str_hash, g_str_equal); /* group -> record */

    for (guint i = 0; i < records->len; i++) {
        struct cob_gc_record *record = records->pdata[i];

        if (record->group)
            g_hash_table_insert(linked, record->group, record);
    }
    for (guint i = 0; i < records->len; i++) {
        struct cob_gc_record *record = records->pdata[i];
        const struct cob_gc_record *other = g_hash_table_lookup(linked, record->id);

        if (!record->group && other) {
            record->group = g_strdup(other->group);
            record->linked_bytes = other->linked_bytes;
        }
        record->is_shared |= record->group != NULL;
    }
}

/* Of a group, one pays for what all share: one that stays anyway, else the oldest. The others cost
 * what is their own.  payers: the groups that have one. */
static void settle(GPtrArray *records, bool is_reclaimable, GHashTable *payers)
{
    for (guint i = records->len; i-- > 0;) { /* the list is newest first */
        struct cob_gc_record *record = records->pdata[i];

        if (cob_gc_is_reclaimable(record) != is_reclaimable)
            continue;
        record->disk_bytes = record->size_bytes;
        if (record->group && !g_hash_table_add(payers, record->group))
            record->disk_bytes -= MIN(record->linked_bytes, record->size_bytes);
    }
}

static struct cob_error *add_snapshots(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GHashTable) payers = g_hash_table_new(g_str_hash, g_str_equal);

    COB_TRY(cob_snapshot_list(store, &rows));
    for (guint i = 0; i < rows->len; i++)
        add_snapshot(records, rows->pdata[i]);
    complete_groups(records);
    settle(records, /* is_reclaimable= */ false, payers);
    settle(records, /* is_reclaimable= */ true, payers);
    return NULL;
}

/* --- blobs --- */

static struct cob_error *add_text(void *arg, const struct cob_db_row *row)
{
    g_hash_table_insert(arg, g_strdup(cob_db_row_text(row, 0)), g_strdup(cob_db_row_text(row, 1)));
    return NULL;
}

/* downloads: digest -> the file's name. */
static void add_blob(
    GPtrArray *records, const struct cob_store_blob_usage *usage, GHashTable *downloads)
{
    const char *filename = g_hash_table_lookup(downloads, usage->digest);
    const char *text = usage->description ? usage->description : "blob";

    add(records,
        &(struct cob_gc_record){
            .class = filename ? COB_GC_SOURCES : COB_GC_BLOBS,
            .kind = COB_GC_BLOB,
            .id = g_strndup(usage->digest + strlen(COB_DIGEST_PREFIX), SHORT_DIGITS),
            .name = g_strdup(usage->digest),
            .description = filename ? g_strconcat("downloaded ", filename, NULL) : g_strdup(text),
            .type = "regular",
            .size_bytes = usage->size_bytes,
            .disk_bytes = usage->size_bytes,
            .created_us = usage->created_us,
            .last_used_us = usage->last_used_us,
            .is_in_use = usage->is_in_use,
        });
}

static struct cob_error *add_blobs(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GHashTable) downloads =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    COB_TRY(cob_db_run(cob_store_db(store), add_text, downloads,
        "SELECT digest, coalesce(filename, '') FROM downloads"));
    COB_TRY(cob_store_blob_list(store, &rows));
    for (guint i = 0; i < rows->len; i++)
        add_blob(records, rows->pdata[i], downloads);
    return NULL;
}

/* --- cache mounts --- */

/* "0123456789ab-0", of a folder's 64 digits. The caller frees it. */
static char *short_dir(const char *dir)
{
    const char *number = strrchr(dir, '-');

    return g_strdup_printf("%.*s%s", SHORT_DIGITS, dir, number ? number : "");
}

static char *describe_mount(const struct cob_cachemount_entry *entry)
{
    g_autoptr(GString) text = g_string_new("cached mount");

    if (entry->last_step)
        g_string_append_printf(text, " from %s", entry->last_step);
    g_string_append_printf(text, " with id \"%s\"", entry->id ? entry->id : "unknown");
    if (entry->namespace && entry->namespace[0])
        g_string_append_printf(text, " of \"%s\"", entry->namespace);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The folder that has its files, and its name. */
static uint64_t bytes_beside_mount(struct cob_store *store, const char *dir)
{
    static const char *const names[] = {"", "/name", "/queue", "/lock"};
    uint64_t sum = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strconcat("mounts/", dir, names[i], NULL);
        struct stat st;

        if (fstatat(cob_store_root_fd(store), path, &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += bytes_of(&st);
    }
    return sum;
}

static void add_mount(
    struct cob_store *store, GPtrArray *records, const struct cob_cachemount_entry *entry)
{
    const uint64_t size = entry->size_bytes + bytes_beside_mount(store, entry->dir);

    add(records, &(struct cob_gc_record){
                     .class = COB_GC_CACHE_MOUNTS,
                     .kind = COB_GC_CACHE_MOUNT,
                     .id = short_dir(entry->dir),
                     .name = g_strdup(entry->dir),
                     .description = describe_mount(entry),
                     .type = "exec.cachemount",
                     .namespace = g_strdup(entry->namespace),
                     .mount = g_strdup(entry->id),
                     .size_bytes = size,
                     .disk_bytes = size,
                     .created_us = entry->created_us,
                     .last_used_us = entry->last_used_us,
                     .n_uses = entry->n_uses,
                     .is_mutable = true,
                     .is_in_use = entry->is_in_use,
                     .is_pinned = entry->is_pinned,
                 });
}

static struct cob_error *add_mounts(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(cob_cachemount_pool) pool = NULL;
    g_autoptr(GPtrArray) entries = NULL;

    COB_TRY(cob_cachemount_pool_open(store, NULL, NULL, &pool));
    COB_TRY(cob_cachemount_list(pool, &entries));
    for (guint i = 0; i < entries->len; i++) {
        struct cob_cachemount_entry *entry = entries->pdata[i];

        if (!entry->is_size_current)
            COB_TRY(cob_cachemount_measure(pool, entry));
        add_mount(store, records, entry);
    }
    return NULL;
}

/* --- sources --- */

static struct cob_error *add_mirrors(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(GPtrArray) mirrors = NULL;

    COB_TRY(cob_remote_mirror_list(store, &mirrors));
    for (guint i = 0; i < mirrors->len; i++) {
        const struct cob_remote_mirror *mirror = mirrors->pdata[i];

        add(records, &(struct cob_gc_record){
                         .class = COB_GC_SOURCES,
                         .kind = COB_GC_GIT_MIRROR,
                         .id = g_strndup(mirror->name, SHORT_DIGITS),
                         .name = g_strdup(mirror->name),
                         .description = g_strdup_printf("git mirror of %s",
                             mirror->remote ? mirror->remote : "what is not known"),
                         .type = "source.git.checkout",
                         .size_bytes = mirror->size_bytes,
                         .disk_bytes = mirror->size_bytes,
                         .created_us = mirror->created_us,
                         .last_used_us = mirror->last_used_us,
                         .n_uses = mirror->n_uses,
                         .is_mutable = true,
                     });
    }
    return NULL;
}

static struct cob_error *add_stat_cache(void *arg, const struct cob_db_row *row)
{
    const char *root = cob_db_row_text(row, 0);
    const uint64_t size = (uint64_t)cob_db_row_int(row, 1);

    add(arg, &(struct cob_gc_record){
                 .class = COB_GC_SOURCES,
                 .kind = COB_GC_STAT_CACHE,
                 .id = g_strconcat("context-", root, NULL),
                 .name = g_strdup(root),
                 .description = g_strdup_printf("what is known of the files of context %s", root),
                 .type = "source.local",
                 .size_bytes = size,
                 .disk_bytes = size,
                 .last_used_us = cob_db_row_int(row, 2),
                 .is_mutable = true,
             });
    return NULL;
}

/* --- the store's own --- */

static uint64_t sum_of(const GPtrArray *records, enum cob_gc_kind kind)
{
    uint64_t sum = 0;

    for (guint i = 0; i < records->len; i++) {
        const struct cob_gc_record *record = records->pdata[i];

        sum += record->kind == kind ? record->disk_bytes : 0;
    }
    return sum;
}

static void add_fixed(GPtrArray *records, const char *id, const char *text, uint64_t size)
{
    if (size == 0)
        return;
    add(records, &(struct cob_gc_record){
                     .class = COB_GC_INTERNAL,
                     .kind = COB_GC_FIXED,
                     .id = g_strdup(id),
                     .name = g_strdup(id),
                     .description = g_strdup(text),
                     .type = "internal",
                     .size_bytes = size,
                     .disk_bytes = size,
                     .last_used_us = g_get_real_time(),
                     .is_mutable = true,
                     .is_in_use = true,
                 });
}

/* Blobs that were moved there when they were found to be wrong, for a person to look at. */
static void add_quarantined(GPtrArray *records, int dir_fd, const char *name)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return;
    add(records, &(struct cob_gc_record){
                     .class = COB_GC_INTERNAL,
                     .kind = COB_GC_QUARANTINE,
                     .id = g_strndup(name, SHORT_DIGITS),
                     .name = g_strdup(name),
                     .description = g_strdup_printf("blob %s, which changed on disk", name),
                     .type = "internal",
                     .size_bytes = bytes_of(&st),
                     .disk_bytes = bytes_of(&st),
                     .created_us = (int64_t)st.st_ctim.tv_sec * G_USEC_PER_SEC,
                     .last_used_us = (int64_t)st.st_ctim.tv_sec * G_USEC_PER_SEC,
                 });
}

static void add_quarantine(struct cob_store *store, GPtrArray *records)
{
    int fd = openat(
        cob_store_root_fd(store), "corrupt", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        add_quarantined(records, fd, entry->d_name);
    if (dir)
        closedir(dir);
}

/* What of the files and folders right below the root has no record of its own. */
static struct cob_error *add_rest(struct cob_store *store, GPtrArray *records)
{
    static const char *const names[] = {".", "blobs", "blobs/sha256", "snapshots", "mounts", "git",
        "corrupt", "cob.db", "cob.db-wal", "cob.db-shm", "locks", "gate", "holds"};
    struct cob_tree_usage usage;
    struct stat st;
    uint64_t sum = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (fstatat(cob_store_root_fd(store), names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += bytes_of(&st);
    }
    sum -= MIN(sum, sum_of(records, COB_GC_STAT_CACHE)); /* they stand in the database */
    add_fixed(records, "cob.db", "the database, and the store's own folders", sum);
    if (fstatat(cob_store_root_fd(store), "reserve", &st, AT_SYMLINK_NOFOLLOW) == 0)
        add_fixed(records, "reserve", "kept so that a full disk can be tidied", bytes_of(&st));
    if (fstatat(cob_store_root_fd(store), "history", &st, AT_SYMLINK_NOFOLLOW) == 0) {
        COB_TRY(cob_tree_measure(cob_store_root_fd(store), "history", &usage));
        add_fixed(records, "history", "records of builds, see cob history", usage.size_bytes);
    }
    COB_TRY(cob_tree_measure(cob_store_root_fd(store), "tmp", &usage));
    add_fixed(records, "tmp", "what is being made now", usage.size_bytes);
    return NULL;
}

struct cob_error *cob_gc_list(struct cob_store *store, GPtrArray **ret_records)
{
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_gc_record_free);

    COB_TRY(add_snapshots(store, records));
    COB_TRY(add_blobs(store, records));
    COB_TRY(add_mounts(store, records));
    COB_TRY(add_mirrors(store, records));
    COB_TRY(cob_db_run(cob_store_db(store), add_stat_cache, records,
        "SELECT root, length(cache), used_us FROM contexts ORDER BY root"));
    add_quarantine(store, records);
    COB_TRY(add_rest(store, records));
    *ret_records = g_steal_pointer(&records);
    return NULL;
}
