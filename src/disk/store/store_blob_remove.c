/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a blob. Nobody holds blobs: a process puts one, and names it in an image a little later.
 * So what was put or touched since the oldest process that still runs began is left alone.
 */
#include "disk/store/store.h"
#include "disk/store/store_parts.h"
#include "util/log.h"

static struct cob_error *note_row(void *arg, const struct cob_db_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return NULL;
}

struct cob_error *cob_store_blob_touch(
    struct cob_store *store, const char *digest, bool *ret_is_there)
{
    *ret_is_there = false;
    return cob_db_run(store->db, note_row, ret_is_there,
        "UPDATE blobs SET last_used_us = ?2 WHERE digest = ?1 RETURNING digest", COB_DB_T(digest),
        COB_DB_I(g_get_real_time()));
}

/* Between begin and commit. */
static struct cob_error *drop_rows(
    struct cob_store *store, const char *digest, int64_t before_us, bool *ret_is_removed)
{
    static const char *const statements[] = {
        "DELETE FROM archives WHERE digest = ?1",
        "DELETE FROM images WHERE config_digest = ?1 AND name IS NULL",
        "UPDATE images SET manifest_digest = NULL WHERE manifest_digest = ?1",
    };

    COB_TRY(cob_db_run(store->db, note_row, ret_is_removed,
        "DELETE FROM blobs WHERE digest = ?1 AND max(created_us, last_used_us) < ?2"
        "  AND NOT EXISTS (SELECT 1 FROM images WHERE name IS NOT NULL"
        "    AND (config_digest = ?1 OR manifest_digest = ?1)) RETURNING digest",
        COB_DB_T(digest), COB_DB_I(before_us)));
    for (size_t i = 0; *ret_is_removed && i < G_N_ELEMENTS(statements); i++)
        COB_TRY(cob_db_run(store->db, NULL, NULL, statements[i], COB_DB_T(digest)));
    return NULL;
}

/* The rows first. The file goes when nobody has put the same bytes there meanwhile. */
struct cob_error *cob_store_blob_remove(
    struct cob_store *store, const char *digest, bool *ret_is_removed)
{
    int64_t before_us = 0;
    bool is_removed = false;

    COB_TRY(cob_store_begin(store));
    struct cob_error *err = cob_store_others_since(store, &before_us);
    if (!err)
        err = drop_rows(store, digest, before_us, &is_removed);
    if (!err && is_removed)
        err = cob_store_commit(store);
    else
        cob_store_rollback(store);
    if (err)
        return cob_wrap(err, "remove blob %s", digest);
    if (is_removed) {
        cob_trace(2, "blob %s goes", digest);
        cob_store_blob_withdraw(store, digest);
    }
    *ret_is_removed = is_removed;
    return NULL;
}
