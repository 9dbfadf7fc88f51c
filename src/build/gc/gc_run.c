/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "build/gc/gc_parts.h"
#include "build/remote/remote.h"
#include "disk/cachemount/cachemount.h"
#include "disk/snapshot/snapshot.h"
#include "util/limits.h"
#include "util/log.h"
#include "util/tree.h"

#define DAY_US (24 * 3600 * (int64_t)G_USEC_PER_SEC)

/* Of the database, so much must be empty, and at least a quarter of it, before it is written
 * anew. */
#define WASTE_BYTES (1 * COB_MIB)

static struct cob_error *remove_mount(
    struct cob_store *store, const struct cob_gc_record *record, bool *ret_is_removed)
{
    g_autoptr(cob_cachemount_pool) pool = NULL;

    COB_TRY(cob_cachemount_pool_open(store, NULL, NULL, &pool));
    return cob_cachemount_remove(pool, record->name, 0, ret_is_removed, NULL);
}

static struct cob_error *remove_quarantine(
    struct cob_store *store, const struct cob_gc_record *record, bool *ret_is_removed)
{
    g_autofree char *path = g_strconcat("corrupt/", record->name, NULL);

    if (unlinkat(cob_store_root_fd(store), path, 0) < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "remove %s", path);
    *ret_is_removed = true;
    return NULL;
}

static struct cob_error *remove_stat_cache(
    struct cob_store *store, const struct cob_gc_record *record, bool *ret_is_removed)
{
    *ret_is_removed = true;
    return cob_db_run(cob_store_db(store), NULL, NULL, "DELETE FROM contexts WHERE root = ?1",
        COB_DB_T(record->name));
}

static struct cob_error *remove_one(
    struct cob_store *store, const struct cob_gc_removal *removal, bool *ret_is_removed)
{
    const struct cob_gc_record *record = removal->record;

    switch (record->kind) {
    case COB_GC_SNAPSHOT:
        return cob_snapshot_remove(store, record->name, removal->rule, ret_is_removed);
    case COB_GC_CACHE_MOUNT:
        return remove_mount(store, record, ret_is_removed);
    case COB_GC_BLOB:
        return cob_store_blob_remove(store, record->name, ret_is_removed);
    case COB_GC_GIT_MIRROR:
        return cob_remote_mirror_remove(store, record->name, ret_is_removed);
    case COB_GC_STAT_CACHE:
        return remove_stat_cache(store, record, ret_is_removed);
    case COB_GC_QUARANTINE:
        return remove_quarantine(store, record, ret_is_removed);
    case COB_GC_FIXED:
        return NULL;
    }
    g_assert_not_reached();
}

/* --- afterwards --- */

struct pages {
    int64_t n_free, n_all, size;
};

static struct cob_error *read_pages(void *arg, const struct cob_db_row *row)
{
    *(struct pages *)arg =
        (struct pages){cob_db_row_int(row, 0), cob_db_row_int(row, 1), cob_db_row_int(row, 2)};
    return NULL;
}

/* SQLite keeps the pages of rows that are gone. Writing it anew needs room, and nobody who writes:
 * where it does not work, another time will do. */
static void shrink_database(struct cob_db *db)
{
    struct pages pages = {0};
    struct cob_error *err = cob_db_run(db, read_pages, &pages,
        "SELECT freelist_count, page_count, page_size"
        "  FROM pragma_freelist_count, pragma_page_count, pragma_page_size");

    if (!err &&
        (pages.n_free * pages.size < (int64_t)WASTE_BYTES || pages.n_free * 4 < pages.n_all))
        return;
    if (!err)
        err = cob_db_run(db, NULL, NULL, "VACUUM");
    if (!err)
        err = cob_db_run(db, NULL, NULL, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (err)
        cob_trace(1, "the database stays as large as it is");
    cob_error_free(err);
}

static struct cob_error *trim_evictions(struct cob_db *db)
{
    COB_TRY(cob_db_run(db, NULL, NULL, "DELETE FROM evictions WHERE at_us < ?1",
        COB_DB_I(g_get_real_time() - COB_LIMIT_EVICTION_DAYS * DAY_US)));
    return cob_db_run(db, NULL, NULL,
        "DELETE FROM evictions WHERE key IN (SELECT key FROM evictions ORDER BY at_us DESC"
        "  LIMIT -1 OFFSET ?1)",
        COB_DB_I(COB_LIMIT_EVICTIONS));
}

static struct cob_error *tidy(struct cob_store *store)
{
    COB_TRY(trim_evictions(cob_store_db(store)));
    COB_TRY(cob_remote_tidy(store));
    shrink_database(cob_store_db(store));
    return NULL;
}

struct cob_error *cob_gc_run(struct cob_store *store, const GPtrArray *removals,
    void (*on_removed)(void *arg, const struct cob_gc_removal *removal), void *arg,
    struct cob_cancel *cancel)
{
    struct cob_error *first = NULL;
    bool has_removed = false;

    for (guint i = 0; i < removals->len && !cob_cancel_is_set(cancel); i++) {
        bool is_removed = false;
        struct cob_error *err = remove_one(store, removals->pdata[i], &is_removed);

        if (is_removed && on_removed)
            on_removed(arg, removals->pdata[i]);
        has_removed |= is_removed;
        if (first)
            cob_error_free(err);
        else
            first = err;
    }
    if (!first && has_removed)
        first = tidy(store);
    return first ? first : cob_cancel_check(cancel);
}

struct cob_error *cob_gc_try_lock(struct cob_store *store, struct cob_store_lock **ret_lock)
{
    return cob_store_try_lock(store, "garbage collection", ret_lock);
}
