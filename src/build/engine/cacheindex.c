/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache records: a key stands for the snapshot that some build made under it. Both keys of a vertex
 * have a row; a row whose snapshot is gone is as good as none.
 */
#include "build/engine/engine_private.h"
#include "util/json.h"

enum record_kind { RECORD_DEFINITION = 0, RECORD_RESULT = 1 };

static struct cob_error *take_text(void *arg, const struct cob_db_row *row)
{
    char **text = arg;

    *text = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

void cob_engine_uses_init(struct uses *uses, struct cob_store *store)
{
    *uses = (struct uses){
        .store = store, .ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    g_mutex_init(&uses->lock);
}

void cob_engine_uses_done(struct uses *uses)
{
    g_hash_table_unref(uses->ids);
    g_mutex_clear(&uses->lock);
}

static struct cob_error *save_uses(const struct uses *uses)
{
    const int64_t now = g_get_real_time();
    GHashTableIter iter;
    void *id;

    g_hash_table_iter_init(&iter, uses->ids);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        COB_TRY(cob_db_run(cob_store_db(uses->store), NULL, NULL,
            "UPDATE snapshots SET last_used_us = ?2, n_uses = n_uses + 1 WHERE id = ?1",
            COB_DB_T(id), COB_DB_I(now)));
    return NULL;
}

struct cob_error *cob_engine_uses_save(struct uses *uses)
{
    struct cob_db *db = cob_store_db(uses->store);

    if (g_hash_table_size(uses->ids) == 0)
        return NULL;
    COB_TRY(cob_db_begin(db));
    struct cob_error *err = save_uses(uses);
    if (!err)
        return cob_db_commit(db);
    cob_db_rollback(db);
    return err;
}

/* What is used uses its parents, too. */
static void add_use(struct uses *uses, struct cob_snapshot *snapshot)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&uses->lock);
    (void)locker;

    while (snapshot && g_hash_table_add(uses->ids, g_strdup(cob_snapshot_id(snapshot))))
        snapshot = cob_snapshot_parent(snapshot);
}

static struct cob_error *lookup(void *arg, const char *key, struct cob_solver_result **ret_result)
{
    struct uses *uses = arg;
    struct cob_store *store = uses->store;
    g_autofree char *id = NULL;
    g_autoptr(cob_snapshot) snapshot = NULL;

    *ret_result = NULL;
    COB_TRY(cob_db_run(cob_store_db(store), take_text, &id,
        "SELECT snapshot FROM cache WHERE key = ?1", COB_DB_T(key)));
    if (!id)
        return NULL;
    COB_TRY(cob_snapshot_get(store, id, &snapshot));
    if (!snapshot)
        return NULL;
    add_use(uses, snapshot);
    *ret_result = cob_ops_result_of(snapshot);
    return NULL;
}

static struct cob_error *save_key(struct cob_db *db, const char *key, enum record_kind kind,
    const struct cob_solver_record *record, const char *snapshot)
{
    g_autofree char *ingredients = json_dumps(record->ingredients, COB_JSON_DUMP);
    const int64_t now = g_get_real_time();

    if (!key)
        return NULL;
    return cob_db_run(db, NULL, NULL,
        "INSERT OR REPLACE INTO cache(key, kind, snapshot, ingredients, description, created_us,"
        " last_used_us, n_uses, boot)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, (SELECT boot FROM snapshots WHERE id = ?3))",
        COB_DB_T(key), COB_DB_I(kind), COB_DB_T(snapshot), COB_DB_T(ingredients),
        COB_DB_T(record->name), COB_DB_I(now));
}

static struct cob_error *save_keys(
    struct cob_db *db, const struct cob_solver_record *record, const char *snapshot)
{
    COB_TRY(save_key(db, record->definition_key, RECORD_DEFINITION, record, snapshot));
    return save_key(db, record->result_key, RECORD_RESULT, record, snapshot);
}

static struct cob_error *save(void *arg, const struct cob_solver_record *record)
{
    struct cob_db *db = cob_store_db(((const struct uses *)arg)->store);
    struct cob_snapshot *snapshot = cob_ops_snapshot_of(record->result);

    if (!snapshot) /* a context: nothing that outlives the build */
        return NULL;
    COB_TRY(cob_db_begin(db));
    struct cob_error *err = save_keys(db, record, cob_snapshot_id(snapshot));
    if (!err)
        return cob_db_commit(db);
    cob_db_rollback(db);
    return err;
}

static struct cob_error *try_lock(void *arg, const char *key, void **ret_lock)
{
    const struct uses *uses = arg;
    struct cob_store_lock *lock = NULL;

    COB_TRY(cob_store_try_lock(uses->store, key, &lock));
    *ret_lock = lock;
    return NULL;
}

static void unlock(void *arg, void *lock)
{
    (void)arg;
    cob_store_unlock(lock);
}

struct cob_solver_index cob_engine_index(struct uses *uses)
{
    return (struct cob_solver_index){
        .arg = uses, .lookup = lookup, .save = save, .try_lock = try_lock, .unlock = unlock};
}
