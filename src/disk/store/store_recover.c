/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start takes back from the dead.
 *
 * (1) Whoever puts data in place does so between cob_store_begin() and cob_store_commit(), with the
 *     gate held shared. Whoever sweeps holds it alone. So at that moment nobody stands between the
 *     rename and the INSERT, and data without a row is garbage, whoever else is at work: no age, no
 *     guess about other processes is needed.
 * (2) A lease's folder is made and locked with the gate held shared. So with the gate held alone, a
 *     folder that can be locked, or has no lock file, is a dead one's.
 * (3) A dead one's folder is taken over by locking it, and removed in place: when that fails half
 *     way, the next start finds it again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/store/store.h"
#include "disk/store/store_parts.h"
#include "util/digest.h"
#include "util/limits.h"
#include "util/log.h"
#include "util/tree.h"

/* What is to be done, as far as one can see without the gate. */
struct survey {
    GPtrArray *dead;  /* names in tmp/, owned */
    GPtrArray *good;  /* ids of layers that a restart did not tear, owned */
    bool is_new;      /* the database has just begun: what blobs/ holds is to be adopted */
    bool is_new_boot; /* rows of another boot may be torn */
    bool is_userxattr;
};

static struct survey *survey_new(void)
{
    struct survey *findings = g_new0(struct survey, 1);

    findings->dead = g_ptr_array_new_with_free_func(g_free);
    findings->good = g_ptr_array_new_with_free_func(g_free);
    return findings;
}

static void survey_free(struct survey *findings)
{
    g_ptr_array_unref(findings->dead);
    g_ptr_array_unref(findings->good);
    g_free(findings);
}
COB_AUTOPTR(survey, survey_free)

struct cob_error *cob_store_list_names(int dir_fd, const char *name, GPtrArray **ret_names)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir)
        return cob_fail_errno(errno, "open directory %s", name);
    *ret_names = g_ptr_array_new_with_free_func(g_free);
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(*ret_names, g_strdup(entry->d_name));
    }
    closedir(dir);
    return NULL;
}

/* ret: a descriptor with the lock of that lease; -1 when it lives, or has no lock file. */
static int try_lease(struct cob_store *store, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/lock", name);
    cob_autoclose int fd = openat(store->leases_fd, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    return g_steal_fd(&fd);
}

/* A lock file is never written to: its time is that of its making. The file system's clock may be a
 * little behind. */
struct cob_error *cob_store_others_since(struct cob_store *store, int64_t *ret_us)
{
    g_autoptr(GPtrArray) names = NULL;
    int64_t since_us = G_MAXINT64;

    COB_TRY(cob_store_list_names(store->root_fd, "tmp", &names));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = g_strdup_printf("%s/lock", name);
        struct stat st;

        if (strcmp(name, store->lease) == 0 ||
            fstatat(store->leases_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        cob_autoclose int fd = try_lease(store, name);
        if (fd < 0)
            since_us = MIN(since_us, ((int64_t)st.st_mtim.tv_sec - 1) * G_USEC_PER_SEC);
    }
    *ret_us = since_us;
    return NULL;
}

static bool has_lock_file(const struct cob_store *store, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/lock", name);

    return faccessat(store->leases_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct cob_error *find_dead(struct cob_store *store, struct survey *findings)
{
    g_autoptr(GPtrArray) names = NULL;

    COB_TRY(cob_store_list_names(store->root_fd, "tmp", &names));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (strcmp(name, store->lease) == 0)
            continue;
        cob_autoclose int fd = try_lease(store, name);
        if (fd >= 0 || !has_lock_file(store, name))
            g_ptr_array_add(findings->dead, g_strdup(name));
    }
    return NULL;
}

static struct cob_error *read_meta(void *arg, const struct cob_db_row *row)
{
    struct survey *findings = arg;

    findings->is_new = false;
    findings->is_new_boot = cob_db_row_int(row, 0) == 0;
    findings->is_userxattr = g_strcmp0(cob_db_row_text(row, 1), "user") == 0;
    return NULL;
}

static struct cob_error *look(struct cob_store *store, struct survey *findings)
{
    findings->is_new = true;
    findings->is_userxattr = store->is_userxattr;
    return cob_db_run(store->db, read_meta, findings,
        "SELECT (SELECT value = ?1 FROM meta WHERE key = 'boot'),"
        "       (SELECT value FROM meta WHERE key = 'overlay')"
        "  FROM meta WHERE key = 'ready'",
        COB_DB_T(store->boot));
}

static struct cob_error *check_overlay(const struct cob_store *store, const struct survey *findings)
{
    if (findings->is_userxattr == store->is_userxattr)
        return NULL;
    return cob_fail(COB_PRECONDITION,
        findings->is_userxattr
            ? "it belongs to an unprivileged cob, and root would break it: run cob as its owner, "
              "or name another folder with COB_ROOT"
            : "it belongs to root's cob: run cob as root, or name another folder with COB_ROOT");
}

static struct cob_error *add_name(void *arg, const struct cob_db_row *row)
{
    g_hash_table_add(arg, g_strdup(cob_db_row_text(row, 0)));
    return NULL;
}

static struct cob_error *sweep_folder(
    struct cob_store *store, const char *folder, const char *prefix, const char *sql)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = NULL;

    COB_TRY(cob_db_run(store->db, add_name, known, sql));
    COB_TRY(cob_store_list_names(store->root_fd, folder, &names));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *key = g_strconcat(prefix, name, NULL);
        g_autofree char *from = g_strdup_printf("%s/%s", folder, name);
        g_autofree char *to = g_strdup_printf("trash/%s-%s", prefix[0] ? "blob" : "layer", name);

        if (g_hash_table_contains(known, key))
            continue;
        cob_trace(1, "sweep %s, which has no row", from);
        if (renameat(store->root_fd, from, store->tmp_fd, to) < 0)
            return cob_fail_errno(errno, "rename %s to tmp/%s/%s", from, store->lease, to);
    }
    return NULL;
}

/* The gate is held alone (1). What is found is moved away; removing it takes longer and is done
 * later. */
static struct cob_error *sweep(struct cob_store *store)
{
    if (mkdirat(store->tmp_fd, "trash", 0700) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory trash");
    COB_TRY(sweep_folder(store, "snapshots", "", "SELECT id FROM snapshots"));
    return sweep_folder(store, "blobs/sha256", COB_DIGEST_PREFIX, "SELECT digest FROM blobs");
}

/* Drop the layers of another boot that were not known to be on disk, and are not as they were. */
static struct cob_error *drop_torn(struct cob_store *store, const GPtrArray *good)
{
    static const char *const statements[] = {
        "DELETE FROM snapshots WHERE id IN (WITH RECURSIVE torn(id) AS ("
        "  SELECT id FROM snapshots WHERE boot IS NOT NULL AND boot <> ?1"
        "  UNION SELECT s.id FROM snapshots s JOIN torn ON s.parent = torn.id)"
        "  SELECT id FROM torn)",
        "UPDATE cache SET boot = NULL WHERE boot IS NOT NULL AND boot <> ?1",
        "INSERT OR REPLACE INTO meta VALUES ('boot', ?1)",
    };

    for (guint i = 0; i < good->len; i++)
        COB_TRY(cob_db_run(store->db, NULL, NULL, "UPDATE snapshots SET boot = NULL WHERE id = ?1",
            COB_DB_T(g_ptr_array_index(good, i))));
    for (size_t i = 0; i < G_N_ELEMENTS(statements); i++)
        COB_TRY(cob_db_run(store->db, NULL, NULL, statements[i], COB_DB_T(store->boot)));
    return NULL;
}

/* Drop what stood on rows that are gone. */
static struct cob_error *drop_dependents(struct cob_store *store)
{
    static const char *const statements[] = {
        "DELETE FROM cache"
        "  WHERE snapshot IS NOT NULL AND snapshot NOT IN (SELECT id FROM snapshots)",
        "DELETE FROM archives WHERE digest NOT IN (SELECT digest FROM blobs)",
        "DELETE FROM images WHERE config_digest NOT IN (SELECT digest FROM blobs)"
        "  OR snapshot IS NOT NULL AND snapshot NOT IN (SELECT id FROM snapshots)",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(statements); i++)
        COB_TRY(cob_db_run(store->db, NULL, NULL, statements[i]));
    return NULL;
}

struct cob_error *cob_store_digest_fd(int fd, char **ret_digest, uint64_t *ret_size)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autofree char *buffer = g_malloc(256 * COB_KIB);
    uint64_t size = 0;
    ssize_t n;

    while ((n = TEMP_FAILURE_RETRY(read(fd, buffer, 256 * COB_KIB))) > 0) {
        cob_hasher_update(hasher, buffer, (size_t)n);
        size += (uint64_t)n;
    }
    if (n < 0)
        return cob_fail_errno(errno, "read");
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    *ret_digest = cob_sha256_text(&sha);
    *ret_size = size;
    return NULL;
}

/* A blob that is what its name says gets its row again. */
static struct cob_error *adopt_blob(struct cob_store *store, const char *name)
{
    cob_autoclose int fd = openat(store->blobs_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    g_autofree char *digest = g_strconcat(COB_DIGEST_PREFIX, name, NULL);
    g_autofree char *got = NULL;
    uint64_t size = 0;

    if (fd < 0)
        return NULL;
    g_autoptr(cob_error) err = cob_store_digest_fd(fd, &got, &size);
    if (err || strcmp(got, digest) != 0)
        return NULL; /* swept, then */
    return cob_db_run(store->db, NULL, NULL,
        "INSERT OR IGNORE INTO blobs (digest, size_bytes, created_us, last_used_us, boot)"
        "  VALUES (?1, ?2, ?3, ?3, ?4)",
        COB_DB_T(digest), COB_DB_I(size), COB_DB_I(g_get_real_time()), COB_DB_T(store->boot));
}

/* A new database beside old data, because the old one was lost; or a new store. */
static struct cob_error *adopt(struct cob_store *store)
{
    g_autoptr(GPtrArray) names = NULL;
    int64_t next_id = 1;

    COB_TRY(cob_store_list_names(store->root_fd, "blobs/sha256", &names));
    for (guint i = 0; i < names->len; i++)
        COB_TRY(adopt_blob(store, g_ptr_array_index(names, i)));
    COB_TRY(cob_store_adopt_layers(store, &next_id));
    store->is_database_lost = names->len > 0 || next_id > 1;
    return cob_db_run(store->db, NULL, NULL,
        "INSERT OR REPLACE INTO meta VALUES ('ready', 1), ('overlay', ?1), ('next_id', ?2)",
        COB_DB_T(store->is_userxattr ? "user" : "trusted"), COB_DB_I(next_id));
}

static struct cob_error *mend_rows(struct cob_store *store, const struct survey *findings)
{
    if (findings->is_new)
        COB_TRY(cob_wrap(adopt(store), "take up the data of a lost database"));
    if (!findings->is_new && !findings->is_new_boot)
        return NULL;
    COB_TRY(cob_wrap(drop_torn(store, findings->good), "drop what a restart may have torn"));
    return drop_dependents(store);
}

/* The gate is held alone; another process may have done it all meanwhile. */
static struct cob_error *recover_gated(
    struct cob_store *store, struct survey *findings, GArray *locks)
{
    bool is_crash = false;

    for (guint i = 0; i < findings->dead->len; i++) {
        const char *name = g_ptr_array_index(findings->dead, i);
        int fd = try_lease(store, name);

        is_crash |= fd >= 0;
        if (fd < 0 && has_lock_file(store, name)) /* another start has it (3) */
            g_ptr_array_remove_index(findings->dead, i--);
        else
            g_array_append_val(locks, fd);
    }
    COB_TRY(look(store, findings));
    if (findings->is_new_boot)
        COB_TRY(cob_wrap(cob_store_verify(store, findings->good), "verify snapshots"));
    COB_TRY(cob_db_begin(store->db));
    struct cob_error *err = mend_rows(store, findings);
    if (err) {
        cob_db_rollback(store->db);
        return err;
    }
    COB_TRY(cob_db_commit(store->db));
    if (is_crash || findings->is_new || findings->is_new_boot)
        return sweep(store);
    return NULL;
}

/* The dead one's folder is locked by the caller. */
static bool clear_folder(const struct cob_store *store, const char *name)
{
    cob_autoclose int fd =
        openat(store->leases_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(cob_error) err = cob_store_list_names(store->leases_fd, name, &names);
    bool was_there = false;

    for (guint i = 0; !err && fd >= 0 && i < names->len; i++) {
        const char *each = g_ptr_array_index(names, i);

        if (strcmp(each, "lock") == 0)
            continue;
        err = cob_tree_remove(fd, each);
        was_there |= !err;
    }
    return was_there;
}

bool cob_store_clear_dead(struct cob_store *store)
{
    g_autoptr(survey) findings = survey_new();
    int gate_fd = -1;
    g_autoptr(cob_error) err = cob_store_gate_acquire(store, LOCK_EX, &gate_fd);
    bool was_there = false;

    if (!err)
        err = find_dead(store, findings);
    for (guint i = 0; !err && i < findings->dead->len; i++) {
        const char *name = g_ptr_array_index(findings->dead, i);
        cob_autoclose int fd = try_lease(store, name);

        if (fd >= 0)
            was_there |= clear_folder(store, name);
    }
    cob_store_gate_release(gate_fd);
    return was_there;
}

/* What cannot be removed (files of a user namespace's other users, seen from outside) stays for a
 * start that can. */
static void remove_leavings(struct cob_store *store, const struct survey *findings)
{
    for (guint i = 0; i <= findings->dead->len; i++) {
        g_autoptr(cob_error) err =
            i < findings->dead->len
                ? cob_tree_remove(store->leases_fd, g_ptr_array_index(findings->dead, i))
                : cob_tree_remove(store->tmp_fd, "trash");

        if (err)
            cob_trace(1, "leavings in %s cannot be removed yet", store->path);
    }
}

static void close_locks(GArray *locks)
{
    for (guint i = 0; i < locks->len; i++) {
        int fd = g_array_index(locks, int, i);

        cob_store_gate_release(fd);
    }
    g_array_unref(locks);
}

struct cob_error *cob_store_recover(struct cob_store *store)
{
    g_autoptr(survey) findings = survey_new();
    int gate_fd = -1;

    COB_TRY(look(store, findings));
    COB_TRY(check_overlay(store, findings));
    COB_TRY(find_dead(store, findings));
    if (!findings->is_new)
        cob_store_keep_reserve(store);
    if (!findings->is_new && !findings->is_new_boot && findings->dead->len == 0)
        return NULL;
    COB_TRY(cob_store_gate_acquire(store, LOCK_EX, &gate_fd));
    GArray *locks = g_array_new(FALSE, FALSE, sizeof(int));
    struct cob_error *err = recover_gated(store, findings, locks);
    cob_store_gate_release(gate_fd);
    if (!err)
        remove_leavings(store, findings);
    close_locks(locks);
    return cob_wrap(err, "recover");
}

/* Rows of this boot up to one that was there before the data was flushed are safe; later ones may
 * not be. */
struct safe {
    int64_t last_blob, last_snapshot;
    bool has_cache; /* records that stand on safe data, or on none */
};

static struct cob_error *read_safe(void *arg, const struct cob_db_row *row)
{
    *(struct safe *)arg =
        (struct safe){cob_db_row_int(row, 0), cob_db_row_int(row, 1), cob_db_row_int(row, 2) != 0};
    return NULL;
}

static struct cob_error *mark_safe(struct cob_store *store, const struct safe *safe)
{
    COB_TRY(cob_db_run(store->db, NULL, NULL,
        "UPDATE blobs SET boot = NULL WHERE boot = ?2 AND seq <= ?1", COB_DB_I(safe->last_blob),
        COB_DB_T(store->boot)));
    COB_TRY(cob_db_run(store->db, NULL, NULL,
        "UPDATE snapshots SET boot = NULL WHERE boot = ?2 AND seq <= ?1",
        COB_DB_I(safe->last_snapshot), COB_DB_T(store->boot)));
    return cob_db_run(store->db, NULL, NULL,
        "UPDATE cache SET boot = NULL WHERE boot IS NOT NULL AND (snapshot IS NULL OR snapshot IN"
        "  (SELECT id FROM snapshots WHERE boot IS NULL))");
}

/* The marks are in SQLite's log, which it flushes only now and then. */
static struct cob_error *flush_log(struct cob_store *store)
{
    cob_autoclose int fd = openat(store->root_fd, "cob.db-wal", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fdatasync(fd) < 0)
        return cob_fail_errno(errno, "sync %s/cob.db-wal", store->path);
    return NULL;
}

struct cob_error *cob_store_sync(struct cob_store *store)
{
    struct safe safe = {0};

    COB_TRY(cob_db_run(store->db, read_safe, &safe,
        "SELECT (SELECT max(seq) FROM blobs WHERE boot = ?1),"
        "       (SELECT max(seq) FROM snapshots WHERE boot = ?1),"
        "       EXISTS (SELECT 1 FROM cache WHERE boot = ?1)",
        COB_DB_T(store->boot)));
    if (safe.last_blob == 0 && safe.last_snapshot == 0 && !safe.has_cache)
        return NULL;
    if (syncfs(store->root_fd) < 0)
        return cob_fail_errno(errno, "sync the store %s", store->path);
    COB_TRY(cob_db_begin(store->db));
    struct cob_error *err = mark_safe(store, &safe);
    if (err) {
        cob_db_rollback(store->db);
        return err;
    }
    COB_TRY(cob_db_commit(store->db));
    return flush_log(store);
}
