/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "disk/store/store.h"
#include "disk/store/store_parts.h"
#include "util/digest.h"

#define SECTOR_BYTES 512

void cob_store_blob_usage_free(struct cob_store_blob_usage *usage)
{
    if (!usage)
        return;
    g_free(usage->digest);
    g_free(usage->description);
    g_free(usage);
}

static struct cob_error *add_usage(void *arg, const struct cob_db_row *row)
{
    struct cob_store_blob_usage *usage = g_new(struct cob_store_blob_usage, 1);

    *usage = (struct cob_store_blob_usage){
        .digest = g_strdup(cob_db_row_text(row, 0)),
        .created_us = cob_db_row_int(row, 1),
        .last_used_us = cob_db_row_int(row, 2),
        .description = g_strdup(cob_db_row_text(row, 3)),
        .is_in_use = cob_db_row_int(row, 4) > 0,
    };
    g_ptr_array_add(arg, usage);
    return NULL;
}

/* What it takes on disk; one that is gone takes nothing. */
static uint64_t bytes_on_disk(const struct cob_store *store, const char *digest)
{
    struct stat st;

    if (fstatat(store->blobs_fd, digest + strlen(COB_DIGEST_PREFIX), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return (uint64_t)st.st_blocks * SECTOR_BYTES;
}

struct cob_error *cob_store_blob_list(struct cob_store *store, GPtrArray **ret_rows)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_store_blob_usage_free);

    COB_TRY(cob_db_run(store->db, add_usage, rows,
        "SELECT digest, created_us, last_used_us,"
        "  coalesce("
        "    (SELECT 'config of ' || coalesce(name, 'an image without a name') FROM images"
        "      WHERE config_digest = b.digest ORDER BY name IS NULL, name LIMIT 1),"
        "    (SELECT 'manifest of ' || coalesce(name, 'an image without a name') FROM images"
        "      WHERE manifest_digest = b.digest ORDER BY name IS NULL, name LIMIT 1),"
        "    (SELECT 'archive of layer ' || diff_id FROM archives a WHERE a.digest = b.digest)),"
        "  (SELECT count(*) FROM images WHERE name IS NOT NULL"
        "    AND (config_digest = b.digest OR manifest_digest = b.digest))"
        "  FROM blobs b ORDER BY seq DESC"));
    for (guint i = 0; i < rows->len; i++) {
        struct cob_store_blob_usage *usage = g_ptr_array_index(rows, i);

        usage->size_bytes = bytes_on_disk(store, usage->digest);
    }
    *ret_rows = g_steal_pointer(&rows);
    return NULL;
}
