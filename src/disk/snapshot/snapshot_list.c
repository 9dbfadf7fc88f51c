/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "disk/snapshot/snapshot.h"
#include "disk/snapshot/snapshot_parts.h"

static struct cob_error *read_archive(void *arg, const struct cob_db_row *row)
{
    *(struct cob_snapshot_archive *)arg = (struct cob_snapshot_archive){
        .diff_id = g_strdup(cob_db_row_text(row, 0)),
        .tar_bytes = (uint64_t)cob_db_row_int(row, 1),
        .size_bytes = (uint64_t)cob_db_row_int(row, 2),
        .created_us = cob_db_row_int(row, 3),
    };
    return NULL;
}

struct cob_error *cob_snapshot_archive(
    struct cob_snapshot *snapshot, struct cob_snapshot_archive *ret_archive)
{
    struct cob_snapshot_archive archive = {0};

    COB_TRY(cob_wrap(
        cob_db_run(cob_store_db(snapshot->registry->store), read_archive, &archive,
            "SELECT diff_id, tar_bytes, size_bytes, created_us FROM snapshots WHERE id = ?1",
            COB_DB_T(snapshot->id)),
        "snapshot %s", snapshot->id));
    *ret_archive = archive;
    return NULL;
}

struct cob_error *cob_snapshot_set_archive(
    struct cob_snapshot *snapshot, const char *diff_id, uint64_t tar_bytes)
{
    return cob_wrap(cob_db_run(cob_store_db(snapshot->registry->store), NULL, NULL,
                        "UPDATE snapshots SET diff_id = ?2, tar_bytes = ?3 WHERE id = ?1",
                        COB_DB_T(snapshot->id), COB_DB_T(diff_id), COB_DB_I(tar_bytes)),
        "snapshot %s", snapshot->id);
}

void cob_snapshot_archive_done(struct cob_snapshot_archive *archive)
{
    g_clear_pointer(&archive->diff_id, g_free);
}

void cob_snapshot_usage_free(struct cob_snapshot_usage *usage)
{
    if (!usage)
        return;
    g_free(usage->id);
    g_free(usage->parent);
    g_free(usage->description);
    g_free(usage->origin);
    g_free(usage);
}

static struct cob_error *add_usage(void *arg, const struct cob_db_row *row)
{
    struct cob_snapshot_usage *usage = g_new(struct cob_snapshot_usage, 1);

    *usage = (struct cob_snapshot_usage){
        .id = g_strdup(cob_db_row_text(row, 0)),
        .parent = g_strdup(cob_db_row_text(row, 1)),
        .description = g_strdup(cob_db_row_text(row, 2)),
        .size_bytes = (uint64_t)cob_db_row_int(row, 3),
        .created_us = cob_db_row_int(row, 4),
        .last_used_us = cob_db_row_int(row, 5),
        .n_uses = cob_db_row_int(row, 6),
        .is_in_use = cob_db_row_int(row, 7) > 0,
        .is_shared = cob_db_row_int(row, 7) + cob_db_row_int(row, 8) > 1,
        .is_source = cob_db_row_int(row, 9) > 0,
        .origin = g_strdup(cob_db_row_text(row, 10)),
        .linked_bytes = (uint64_t)cob_db_row_int(row, 11),
    };
    g_ptr_array_add(arg, usage);
    return NULL;
}

/* A process or an image that uses a snapshot uses its parents, too. */
static void mark_in_use(struct cob_snapshot_registry *registry, GPtrArray *rows)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < rows->len; i++) {
        struct cob_snapshot_usage *row = g_ptr_array_index(rows, i);

        row->is_in_use = row->is_in_use || cob_snapshot_is_held(registry, row->id);
        g_hash_table_insert(by_id, row->id, row);
    }
    for (guint i = 0; i < rows->len; i++) {
        const struct cob_snapshot_usage *row = g_ptr_array_index(rows, i);
        struct cob_snapshot_usage *up =
            row->is_in_use && row->parent ? g_hash_table_lookup(by_id, row->parent) : NULL;

        while (up && !up->is_in_use) {
            up->is_in_use = true;
            up = up->parent ? g_hash_table_lookup(by_id, up->parent) : NULL;
        }
    }
}

static uint64_t bytes_of(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static void measure_extra(struct cob_snapshot_registry *registry, GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        struct cob_snapshot_usage *row = g_ptr_array_index(rows, i);
        g_autofree char *record = g_strconcat(row->id, "/record", NULL);

        row->extra_bytes =
            bytes_of(registry->snapshots_fd, row->id) + bytes_of(registry->snapshots_fd, record);
    }
}

/* Uses are counted by the cache records that gave a snapshot out. */
struct cob_error *cob_snapshot_list(struct cob_store *store, GPtrArray **ret_rows)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_snapshot_usage_free);
    struct cob_snapshot_registry *registry = NULL;

    COB_TRY(cob_snapshot_registry_get(store, &registry));
    COB_TRY(cob_db_run(cob_store_db(store), add_usage, rows,
        "SELECT id, parent, description, size_bytes, created_us,"
        "  max(last_used_us,"
        "    coalesce((SELECT max(last_used_us) FROM cache c WHERE c.snapshot = s.id), 0)),"
        "  n_uses + coalesce((SELECT sum(n_uses) FROM cache c WHERE c.snapshot = s.id), 0),"
        "  (SELECT count(*) FROM images i WHERE i.snapshot = s.id AND i.name IS NOT NULL),"
        "  (SELECT count(*) FROM snapshots k WHERE k.parent = s.id),"
        "  EXISTS (SELECT 1 FROM remotes r WHERE r.snapshot = s.id), origin, linked_bytes"
        "  FROM snapshots s ORDER BY seq DESC"));
    mark_in_use(registry, rows);
    measure_extra(registry, rows);
    *ret_rows = g_steal_pointer(&rows);
    return NULL;
}
