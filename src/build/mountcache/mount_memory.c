/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine remembers: the stat cache of each mount that was exported, and the index that a
 * place had when a mount was last in step with it. Both are of one directory: a mount that was
 * removed and made anew under the same name has other ones. Neither is needed; without the first,
 * files are read again, without the second, nothing that is there is taken for removed here.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "build/mountcache/mountcache_parts.h"
#include "util/fs.h"
#include "util/limits.h"

#define KEEP_ROWS 100

/* --- taking a mount --- */

void mount_lease_done(struct mount_lease *lease)
{
    cob_closep(&lease->root_fd);
    lease->root_fd = -1;
    g_clear_pointer(&lease->key, g_free);
    g_clear_pointer(&lease->lease, cob_cachemount_release);
}

/* Who waits, for the callback that tells of it. */
struct waiting {
    const struct cob_mountcache_request *request;
    const char *id;
};

static void tell_wait(void *arg, const char *holder, unsigned seconds)
{
    const struct waiting *waiting = arg;
    g_autofree char *text = g_strdup_printf("waiting for cache mount \"%s\", held by %s",
        waiting->id, holder ? holder : "another build");

    if (waiting->request->on_note && seconds == 0)
        waiting->request->on_note(waiting->request->arg, text);
}

/* Which directory it is: its number, and when it was born, since numbers are used again. */
static struct cob_error *name_key(struct mount_lease *lease, const char *namespace, const char *id)
{
    struct statx stx;

    if (statx(lease->root_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
        return cob_fail_errno(errno, "stat");
    lease->key =
        g_strdup_printf("%" PRIu64 " %" PRId64 ".%09" PRIu32 " %s/%s", (uint64_t)stx.stx_ino,
            (int64_t)stx.stx_btime.tv_sec, (uint32_t)stx.stx_btime.tv_nsec, namespace, id);
    return NULL;
}

struct cob_error *mount_lease_take(const struct cob_mountcache_request *request,
    struct cob_cachemount_pool *pool, const char *namespace, const char *id,
    const struct cob_mountindex_entry *root, struct mount_lease *ret_lease)
{
    const struct cob_cachemount_request wanted = {.id = id,
        .namespace = namespace,
        .sharing = COB_CACHEMOUNT_SHARED,
        .mode = root ? root->mode : 0755,
        .uid = root ? root->uid : 0,
        .gid = root ? root->gid : 0,
        .user = root ? "cob cache import" : "cob cache export",
        .is_look = !root};
    struct waiting waiting = {.request = request, .id = id};
    const struct cob_cachemount_patience patience = {
        .cancel = request->cancel, .tell = tell_wait, .arg = &waiting};
    struct mount_lease lease = {.root_fd = -1};

    COB_TRY(cob_cachemount_acquire(pool, &wanted, &patience, &lease.lease));
    struct cob_error *err = cob_open_beneath(
        cob_cachemount_lease_fd(lease.lease), ".", O_RDONLY | O_DIRECTORY, 0, &lease.root_fd);
    if (!err)
        err = name_key(&lease, namespace, id);
    if (err)
        mount_lease_done(&lease);
    else
        *ret_lease = lease;
    return cob_wrap(err, "cache mount %s", id);
}

/* --- rows --- */

struct base {
    char *digest;
    uint64_t plain_len;
    GBytes *stored;
};

static struct cob_error *read_bytes(void *arg, const struct cob_db_row *row)
{
    GBytes **bytes = arg;

    *bytes = cob_db_row_bytes(row, 0);
    return NULL;
}

static struct cob_error *read_base(void *arg, const struct cob_db_row *row)
{
    struct base *base = arg;

    base->digest = g_strdup(cob_db_row_text(row, 0));
    base->plain_len = (uint64_t)cob_db_row_int(row, 1);
    base->stored = cob_db_row_bytes(row, 2);
    return NULL;
}

struct cob_error *memory_get_cache(
    struct cob_store *store, const struct mount_lease *lease, GBytes **ret_cache)
{
    *ret_cache = NULL;
    return cob_db_run(cob_store_db(store), read_bytes, ret_cache,
        "SELECT cache FROM mount_stats WHERE mount = ?1", COB_DB_T(lease->key));
}

struct cob_error *memory_put_cache(
    struct cob_store *store, const struct mount_lease *lease, GBytes *cache)
{
    struct cob_db *db = cob_store_db(store);

    COB_TRY(cob_db_run(db, NULL, NULL,
        "INSERT OR REPLACE INTO mount_stats (mount, cache, used_us) VALUES (?1, ?2, ?3)",
        COB_DB_T(lease->key), COB_DB_B(cache), COB_DB_I(g_get_real_time())));
    return cob_db_run(db, NULL, NULL,
        "DELETE FROM mount_stats WHERE mount IN"
        "  (SELECT mount FROM mount_stats ORDER BY used_us DESC LIMIT -1 OFFSET ?1)",
        COB_DB_I(KEEP_ROWS));
}

struct cob_error *memory_get_base(struct cob_store *store, const struct mount_lease *lease,
    const char *place, struct cob_mountdoc_mount **ret_mount, GBytes **ret_stored)
{
    struct base base = {0};

    *ret_mount = NULL;
    *ret_stored = NULL;
    COB_TRY(cob_db_run(cob_store_db(store), read_base, &base,
        "SELECT digest, plain_len, stored FROM mount_places WHERE mount = ?1 AND place = ?2",
        COB_DB_T(lease->key), COB_DB_T(place)));
    if (!base.stored)
        return NULL;
    *ret_mount = g_new(struct cob_mountdoc_mount, 1);
    **ret_mount = (struct cob_mountdoc_mount){
        .digest = base.digest, .len = g_bytes_get_size(base.stored), .plain_len = base.plain_len};
    *ret_stored = base.stored;
    return NULL;
}

struct cob_error *memory_put_base(struct cob_store *store, const struct mount_lease *lease,
    const char *place, const struct cob_mountdoc_mount *mount, GBytes *stored)
{
    struct cob_db *db = cob_store_db(store);

    COB_TRY(cob_db_run(db, NULL, NULL, "DELETE FROM mount_places WHERE mount = ?1 AND place = ?2",
        COB_DB_T(lease->key), COB_DB_T(place)));
    if (!stored)
        return NULL;
    COB_TRY(cob_db_run(db, NULL, NULL,
        "INSERT OR REPLACE INTO mount_places (mount, place, digest, plain_len, stored, used_us)"
        "  VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        COB_DB_T(lease->key), COB_DB_T(place), COB_DB_T(mount->digest), COB_DB_I(mount->plain_len),
        COB_DB_B(stored), COB_DB_I(g_get_real_time())));
    return cob_db_run(db, NULL, NULL,
        "DELETE FROM mount_places WHERE rowid IN"
        "  (SELECT rowid FROM mount_places ORDER BY used_us DESC LIMIT -1 OFFSET ?1)",
        COB_DB_I(KEEP_ROWS));
}
