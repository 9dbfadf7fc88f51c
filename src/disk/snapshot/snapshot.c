/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what. A hold is a read lock on one byte of <root>/holds, by the number of the snapshot;
 * it goes with a process that dies. Who wants to remove a snapshot takes the write lock of its byte
 * (through a descriptor of its own), then drops the row, then the data. A row that was read while
 * the byte was held therefore stays, and so do those of its parents, which a child's row protects.
 */
#include "disk/snapshot/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "disk/snapshot/snapshot_parts.h"
#include "util/log.h"

#define ID_BASE 36

static void registry_free(void *data)
{
    struct cob_snapshot_registry *registry = data;

    g_assert(g_hash_table_size(registry->by_id) == 0); /* somebody still has one */
    if (registry->snapshots_fd >= 0)
        close(registry->snapshots_fd);
    if (registry->holds_fd >= 0)
        close(registry->holds_fd);
    g_hash_table_unref(registry->by_id);
    g_hash_table_unref(registry->holds);
    g_mutex_clear(&registry->lock);
    g_free(registry);
}

static struct cob_error *registry_new(struct cob_store *store, void **ret_data)
{
    int root_fd = cob_store_root_fd(store);
    cob_autoclose int snapshots_fd =
        openat(root_fd, "snapshots", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cob_autoclose int holds_fd =
        openat(root_fd, "holds", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (snapshots_fd < 0 || holds_fd < 0)
        return cob_fail_errno(errno, "open the snapshots of %s", cob_store_path(store));
    struct cob_snapshot_registry *registry = g_new(struct cob_snapshot_registry, 1);
    *registry = (struct cob_snapshot_registry){
        .store = store,
        .snapshots_fd = g_steal_fd(&snapshots_fd),
        .holds_fd = g_steal_fd(&holds_fd),
        .by_id = g_hash_table_new(g_str_hash, g_str_equal),
        .holds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    g_mutex_init(&registry->lock);
    *ret_data = registry;
    return NULL;
}

struct cob_error *cob_snapshot_registry_get(
    struct cob_store *store, struct cob_snapshot_registry **ret_registry)
{
    void *data = NULL;

    COB_TRY(cob_store_attached(store, "snapshot", registry_new, registry_free, &data));
    *ret_registry = data;
    return NULL;
}

struct flock cob_snapshot_byte_of(const char *id, short type)
{
    return (struct flock){.l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)g_ascii_strtoll(id, NULL, ID_BASE),
        .l_len = 1};
}

static struct cob_error *hold_locked(struct cob_snapshot_registry *registry, const char *id)
{
    unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(registry->holds, id));
    struct flock range = cob_snapshot_byte_of(id, F_RDLCK);

    if (n == 0 && TEMP_FAILURE_RETRY(fcntl(registry->holds_fd, F_OFD_SETLKW, &range)) < 0)
        return cob_fail_errno(errno, "hold snapshot %s", id);
    g_hash_table_insert(registry->holds, g_strdup(id), GUINT_TO_POINTER(n + 1));
    return NULL;
}

struct cob_error *cob_snapshot_hold(struct cob_snapshot_registry *registry, const char *id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&registry->lock);
    (void)locker;

    return hold_locked(registry, id);
}

static void let_go_locked(struct cob_snapshot_registry *registry, const char *id)
{
    unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(registry->holds, id));
    struct flock range = cob_snapshot_byte_of(id, F_UNLCK);

    g_assert(n > 0);
    if (n > 1) {
        g_hash_table_insert(registry->holds, g_strdup(id), GUINT_TO_POINTER(n - 1));
        return;
    }
    g_hash_table_remove(registry->holds, id);
    fcntl(registry->holds_fd, F_OFD_SETLK, &range);
}

void cob_snapshot_let_go(struct cob_snapshot_registry *registry, const char *id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&registry->lock);
    (void)locker;

    let_go_locked(registry, id);
}

bool cob_snapshot_is_held(struct cob_snapshot_registry *registry, const char *id)
{
    cob_autoclose int fd =
        openat(cob_store_root_fd(registry->store), "holds", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct flock range = cob_snapshot_byte_of(id, F_WRLCK);

    return fd < 0 || fcntl(fd, F_OFD_GETLK, &range) < 0 || range.l_type != F_UNLCK;
}

struct cob_snapshot *cob_snapshot_ref(struct cob_snapshot *snapshot)
{
    g_atomic_int_inc(&snapshot->refs);
    return snapshot;
}

/* Give one reference back.  ret: true when it was the last, and nobody can find it any more. */
static bool drop_ref(struct cob_snapshot *snapshot)
{
    struct cob_snapshot_registry *registry = snapshot->registry;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&registry->lock);
    (void)locker;

    if (!g_atomic_int_dec_and_test(&snapshot->refs))
        return false;
    g_hash_table_remove(registry->by_id, snapshot->id);
    let_go_locked(registry, snapshot->id);
    return true;
}

/* A long chain is let go of in a loop, not by recursion. */
void cob_snapshot_unref(struct cob_snapshot *snapshot)
{
    while (snapshot && drop_ref(snapshot)) {
        struct cob_snapshot *parent = snapshot->parent;

        close(snapshot->layer_fd);
        g_free(snapshot->id);
        g_free(snapshot);
        snapshot = parent;
    }
}

const char *cob_snapshot_id(const struct cob_snapshot *snapshot)
{
    return snapshot->id;
}

struct cob_snapshot *cob_snapshot_parent(struct cob_snapshot *snapshot)
{
    return snapshot->parent;
}

unsigned cob_snapshot_depth(const struct cob_snapshot *snapshot)
{
    return snapshot->depth;
}

int cob_snapshot_layer_fd(const struct cob_snapshot *snapshot)
{
    return snapshot->layer_fd;
}

/* A reference on what this process has already; NULL. */
static struct cob_snapshot *find_here(struct cob_snapshot_registry *registry, const char *id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&registry->lock);
    (void)locker;
    struct cob_snapshot *snapshot = g_hash_table_lookup(registry->by_id, id);

    return snapshot ? cob_snapshot_ref(snapshot) : NULL;
}

static struct cob_error *adopt_locked(struct cob_snapshot_registry *registry, const char *id,
    struct cob_snapshot **parent, int *fd, struct cob_snapshot **ret_snapshot)
{
    struct cob_snapshot *snapshot = g_hash_table_lookup(registry->by_id, id);

    if (snapshot) { /* another thread was faster */
        *ret_snapshot = cob_snapshot_ref(snapshot);
        return NULL;
    }
    COB_TRY(hold_locked(registry, id));
    snapshot = g_new(struct cob_snapshot, 1);
    *snapshot = (struct cob_snapshot){
        .refs = 1,
        .registry = registry,
        .id = g_strdup(id),
        .parent = *parent,
        .depth = *parent ? (*parent)->depth + 1 : 1,
        .layer_fd = g_steal_fd(fd),
    };
    *parent = NULL;
    g_hash_table_insert(registry->by_id, snapshot->id, snapshot);
    *ret_snapshot = snapshot;
    return NULL;
}

struct cob_error *cob_snapshot_adopt(struct cob_snapshot_registry *registry, const char *id,
    struct cob_snapshot *parent, struct cob_snapshot **ret_snapshot)
{
    g_autoptr(cob_snapshot) kept_parent = parent;
    g_autofree char *path = g_strdup_printf("%s/fs", id);
    cob_autoclose int fd =
        openat(registry->snapshots_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "open snapshots/%s", path);
    if (fd < 0) {
        *ret_snapshot = NULL;
        return NULL;
    }
    g_mutex_lock(&registry->lock);
    struct cob_error *err = adopt_locked(registry, id, &kept_parent, &fd, ret_snapshot);
    g_mutex_unlock(&registry->lock);
    return err;
}

/* The answer to "which row has this id?". */
struct found {
    bool is_there;
    char *parent;
};

static struct cob_error *read_found(void *arg, const struct cob_db_row *row)
{
    *(struct found *)arg = (struct found){true, g_strdup(cob_db_row_text(row, 0))};
    return NULL;
}

/* Drop the row of a snapshot whose files are gone, and what stands on it. */
static struct cob_error *forget_rows(struct cob_db *db, const char *id)
{
    COB_TRY(cob_db_run(db, NULL, NULL,
        "DELETE FROM snapshots WHERE id IN (WITH RECURSIVE lost(id) AS (SELECT ?1"
        "  UNION SELECT s.id FROM snapshots s JOIN lost ON s.parent = lost.id)"
        "  SELECT id FROM lost)",
        COB_DB_T(id)));
    COB_TRY(cob_db_run(db, NULL, NULL,
        "DELETE FROM cache"
        "  WHERE snapshot IS NOT NULL AND snapshot NOT IN (SELECT id FROM snapshots)"));
    return cob_db_run(db, NULL, NULL,
        "DELETE FROM images"
        "  WHERE snapshot IS NOT NULL AND snapshot NOT IN (SELECT id FROM snapshots)");
}

static struct cob_error *forget(struct cob_snapshot_registry *registry, const char *id)
{
    cob_trace(1, "the files of snapshot %s are gone: its row goes, too", id);
    COB_TRY(cob_store_begin(registry->store));
    struct cob_error *err = forget_rows(cob_store_db(registry->store), id);
    if (err) {
        cob_store_rollback(registry->store);
        return err;
    }
    return cob_store_commit(registry->store);
}

/* The ids from the one asked for down to the first that this process has, or to the bottom.
 * ret_base: a reference on that first; NULL.  ret_ids: empty when there is no such snapshot. */
static struct cob_error *read_chain(struct cob_snapshot_registry *registry, const char *id,
    GPtrArray *ids, struct cob_snapshot **ret_base)
{
    g_autofree char *next = g_strdup(id);

    while (next) {
        struct found found = {0};

        *ret_base = find_here(registry, next);
        if (*ret_base)
            return NULL;
        COB_TRY(cob_db_run(cob_store_db(registry->store), read_found, &found,
            "SELECT parent FROM snapshots WHERE id = ?1", COB_DB_T(next)));
        if (!found.is_there) {
            g_ptr_array_set_size(ids, 0);
            return NULL;
        }
        g_ptr_array_add(ids, g_steal_pointer(&next));
        next = found.parent;
    }
    return NULL;
}

/* The top is held by the caller. */
static struct cob_error *load_chain(
    struct cob_snapshot_registry *registry, const char *id, struct cob_snapshot **ret_snapshot)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(cob_snapshot) at = NULL;

    COB_TRY(read_chain(registry, id, ids, &at));
    for (guint i = ids->len; i > 0; i--) {
        const char *each = g_ptr_array_index(ids, i - 1);
        struct cob_snapshot *above = NULL;

        COB_TRY(cob_snapshot_adopt(registry, each, g_steal_pointer(&at), &above));
        at = above;
        if (!at)
            COB_TRY(forget(registry, each));
        if (!at)
            break;
    }
    *ret_snapshot = g_steal_pointer(&at);
    return NULL;
}

/* Is it one of ours? Ids also come from callers' records. */
static bool is_id(const char *id)
{
    return id[0] && strlen(id) <= COB_STORE_ID_CHARS &&
           strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz") == strlen(id);
}

struct cob_error *cob_snapshot_get(
    struct cob_store *store, const char *id, struct cob_snapshot **ret_snapshot)
{
    struct cob_snapshot_registry *registry = NULL;

    if (!is_id(id)) {
        *ret_snapshot = NULL;
        return NULL;
    }
    COB_TRY(cob_snapshot_registry_get(store, &registry));
    COB_TRY(cob_snapshot_hold(registry, id));
    struct cob_error *err = load_chain(registry, id, ret_snapshot);
    cob_snapshot_let_go(registry, id);
    return cob_wrap(err, "snapshot %s", id);
}

static struct cob_error *read_id(void *arg, const struct cob_db_row *row)
{
    *(char **)arg = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

struct cob_error *cob_snapshot_get_chain(
    struct cob_store *store, const char *chain_id, struct cob_snapshot **ret_snapshot)
{
    g_autofree char *id = NULL;

    COB_TRY(cob_db_run(cob_store_db(store), read_id, &id,
        "SELECT id FROM snapshots WHERE chain_id = ?1", COB_DB_T(chain_id)));
    if (id)
        return cob_snapshot_get(store, id, ret_snapshot);
    *ret_snapshot = NULL;
    return NULL;
}

struct cob_error *cob_snapshot_mount(struct cob_snapshot *snapshot, int *ret_mount_fd)
{
    struct cob_snapshot_stack stack = {.registry = snapshot->registry, .top = snapshot};

    return cob_wrap(
        cob_snapshot_mount_stack(&stack, ret_mount_fd), "mount snapshot %s", snapshot->id);
}

const char *cob_snapshot_opaque_xattr(const struct cob_store *store)
{
    return cob_store_is_userxattr(store) ? "user.overlay.opaque" : "trusted.overlay.opaque";
}
