/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a snapshot, in the order that every crash survives:
 * (1) inside of a transaction, its byte of <root>/holds is write-locked without waiting: nobody has
 *     it, and who wants it now waits for us and then finds no row;
 * (2) what stands on it is looked for again, in the same transaction;
 * (3) the rows go: the keys that led to it, with a note why, and its own;
 * (4) the folder is moved to the lease's, and removed there. Who dies before that leaves a folder
 *     without a row, or one in a dead one's lease, and the next start takes either away.
 */
#include <fcntl.h>
#include <stdio.h>

#include "disk/snapshot/snapshot.h"
#include "disk/snapshot/snapshot_parts.h"
#include "util/log.h"
#include "util/tree.h"

static struct cob_error *read_flag(void *arg, const struct cob_db_row *row)
{
    *(bool *)arg = cob_db_row_int(row, 0) != 0;
    return NULL;
}

/* Its row is there, and neither a snapshot nor a name stands on it. */
static struct cob_error *ask_is_free(struct cob_db *db, const char *id, bool *ret_is_free)
{
    *ret_is_free = false;
    return cob_db_run(db, read_flag, ret_is_free,
        "SELECT EXISTS (SELECT 1 FROM snapshots WHERE id = ?1)"
        "  AND NOT EXISTS (SELECT 1 FROM snapshots WHERE parent = ?1)"
        "  AND NOT EXISTS (SELECT 1 FROM images WHERE snapshot = ?1 AND name IS NOT NULL)",
        COB_DB_T(id));
}

static struct cob_error *drop_rows(struct cob_db *db, const char *id, const char *rule)
{
    static const char *const statements[] = {
        "DELETE FROM cache WHERE snapshot = ?1",
        "DELETE FROM remotes WHERE snapshot = ?1",
        "DELETE FROM images WHERE snapshot = ?1 AND name IS NULL",
        "DELETE FROM snapshots WHERE id = ?1",
    };

    COB_TRY(cob_db_run(db, NULL, NULL,
        "INSERT OR REPLACE INTO evictions (key, description, rule, at_us)"
        "  SELECT key, description, ?2, ?3 FROM cache WHERE snapshot = ?1",
        COB_DB_T(id), COB_DB_T(rule), COB_DB_I(g_get_real_time())));
    for (size_t i = 0; i < G_N_ELEMENTS(statements); i++)
        COB_TRY(cob_db_run(db, NULL, NULL, statements[i], COB_DB_T(id)));
    return NULL;
}

/* ret_holds_fd: has the write lock until it is closed; -1: somebody has the snapshot. */
static struct cob_error *lock_alone(
    struct cob_snapshot_registry *registry, const char *id, int *ret_holds_fd)
{
    cob_autoclose int fd =
        openat(cob_store_root_fd(registry->store), "holds", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct flock range = cob_snapshot_byte_of(id, F_WRLCK);

    if (fd < 0)
        return cob_fail_errno(errno, "open holds");
    if (fcntl(fd, F_OFD_SETLK, &range) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return cob_fail_errno(errno, "lock a byte of holds");
        close(g_steal_fd(&fd));
    }
    *ret_holds_fd = g_steal_fd(&fd);
    return NULL;
}

/* Between begin and commit. */
static struct cob_error *remove_locked(
    struct cob_snapshot_registry *registry, const char *id, const char *rule, bool *ret_is_removed)
{
    struct cob_db *db = cob_store_db(registry->store);

    COB_TRY(ask_is_free(db, id, ret_is_removed));
    return *ret_is_removed ? drop_rows(db, id, rule) : NULL;
}

static struct cob_error *remove_rows(
    struct cob_snapshot_registry *registry, const char *id, const char *rule, bool *ret_is_removed)
{
    int holds_fd = -1;

    COB_TRY(cob_store_begin(registry->store));
    struct cob_error *err = lock_alone(registry, id, &holds_fd);
    if (!err && holds_fd >= 0)
        err = remove_locked(registry, id, rule, ret_is_removed);
    if (!err && *ret_is_removed)
        err = cob_store_commit(registry->store);
    else
        cob_store_rollback(registry->store);
    if (holds_fd >= 0) /* closing unlocks: the lock is this open file's alone */
        close(holds_fd);
    return err;
}

/* A sweep by another start may have been faster. */
static struct cob_error *remove_folder(struct cob_snapshot_registry *registry, const char *id)
{
    int tmp_fd = cob_store_tmp_fd(registry->store);
    g_autofree char *gone = g_strconcat("gone-", id, NULL);

    if (renameat(registry->snapshots_fd, id, tmp_fd, gone) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "move it to %s", gone);
    return cob_tree_remove(tmp_fd, gone);
}

struct cob_error *cob_snapshot_remove(
    struct cob_store *store, const char *id, const char *rule, bool *ret_is_removed)
{
    struct cob_snapshot_registry *registry = NULL;
    bool is_removed = false;

    COB_TRY(cob_snapshot_registry_get(store, &registry));
    COB_TRY(cob_wrap(remove_rows(registry, id, rule, &is_removed), "remove snapshot %s", id));
    *ret_is_removed = is_removed;
    if (!is_removed)
        return NULL;
    cob_trace(2, "snapshot %s goes: %s", id, rule);
    return cob_wrap(remove_folder(registry, id), "remove snapshot %s", id);
}
