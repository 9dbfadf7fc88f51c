/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "disk/db/db.h"
#include "disk/db/db_parts.h"
#include "disk/db/db_schema.h"
#include "util/log.h"

#define BUSY_MS 60000
#define MAX_ROOT_BYTES 480 /* SQLite's 512, less the names in there */
#define WAL_KEEP_BYTES (2 * 1024 * 1024)
#define WAL_MUCH_BYTES (128 * 1024)

/* SQLite cuts its log by itself only when nobody had the chance to for long: 16 MiB. */
#define OPEN_SCRIPT "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4096; PRAGMA user_version"

/* What an open found. */
enum state {
    STATE_READY,
    STATE_OLD, /* scripts are to be run */
    STATE_BAD, /* none, an empty one, not a database, or a damaged one */
};

/* Ask the file system, not SQLite: who hears that there is none makes a new one in its place. */
static bool is_missing(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 && errno == ENOENT;
}

/* ret_state: BAD when there is no file. */
static struct cob_error *connect_file(struct cob_db *db, const char *name, enum state *ret_state)
{
    g_autofree char *path = g_strdup_printf("%s/%s", db->root_path, name);

    errno = 0;
    int rc = sqlite3_open_v2(path, &db->conn,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
            SQLITE_OPEN_PRIVATECACHE,
        NULL);

    if (rc == SQLITE_CANTOPEN && is_missing(path)) {
        *ret_state = STATE_BAD;
        return NULL;
    }
    if (rc != SQLITE_OK)
        return cob_wrap(cob_db_error(db, rc), "open");
    sqlite3_busy_timeout(db->conn, BUSY_MS);
    /* A checkpoint costs two fsyncs; a process that comes and goes does not pay for it. */
    sqlite3_db_config(db->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return NULL;
}

static void disconnect(struct cob_db *db)
{
    if (db->statements)
        g_hash_table_remove_all(db->statements);
    sqlite3_close(db->conn);
    db->conn = NULL;
}

static int keep_version(void *arg, int n_columns, char **values, char **names)
{
    (void)n_columns, (void)names;
    *(int *)arg = values[0] ? (int)g_ascii_strtoll(values[0], NULL, 10) : 0;
    return 0;
}

/* Run SQL outside of any cache.  ret_state: BAD when the file turned out to be no database. */
static struct cob_error *run_script(
    struct cob_db *db, const char *sql, int *ret_version, enum state *ret_state)
{
    errno = 0;
    int rc = sqlite3_exec(db->conn, sql, ret_version ? keep_version : NULL, ret_version, NULL);

    if (rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT) {
        *ret_state = STATE_BAD;
        return NULL;
    }
    return rc == SQLITE_OK ? NULL : cob_db_error(db, rc);
}

static struct cob_error *check_version(const struct cob_db *db, int version, enum state *ret_state)
{
    if (version > cob_db_schema_version)
        return cob_fail(COB_PRECONDITION,
            "the store %s was written by a newer cob (schema %d, this cob knows %d): use that "
            "cob, or another folder with COB_ROOT",
            db->root_path, version, cob_db_schema_version);
    if (version < cob_db_schema_version)
        *ret_state = version > 0 ? STATE_OLD : STATE_BAD;
    return NULL;
}

/* Connect and see what is there. The SELECT makes SQLite read the whole schema. */
static struct cob_error *look(struct cob_db *db, enum state *ret_state)
{
    enum state state = STATE_READY;
    int version = 0;

    COB_TRY(connect_file(db, "cob.db", &state));
    if (state == STATE_READY)
        COB_TRY(run_script(db, OPEN_SCRIPT, &version, &state));
    if (state == STATE_READY)
        COB_TRY(check_version(db, version, &state));
    if (state == STATE_READY)
        COB_TRY(run_script(db, "SELECT value FROM meta WHERE key = 'ready'", NULL, &state));
    *ret_state = state;
    return NULL;
}

static struct cob_error *upgrade(struct cob_db *db)
{
    enum state state = STATE_READY;
    int version = 0;
    g_autofree char *set = g_strdup_printf("PRAGMA user_version=%d; COMMIT", cob_db_schema_version);

    COB_TRY(run_script(db, "BEGIN IMMEDIATE; PRAGMA user_version", &version, &state));
    for (int i = version; i < cob_db_schema_version; i++)
        COB_TRY(run_script(db, cob_db_schema[i], NULL, &state));
    COB_TRY(run_script(db, set, NULL, &state));
    if (state == STATE_BAD)
        return cob_fail(COB_DATA_LOSS, "the database is damaged");
    return NULL;
}

/* Move the file, and its log, which must never meet another file, out of the way. */
static struct cob_error *move_aside(struct cob_db *db, int root_fd)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""};
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *when = g_date_time_format(now, "%Y%m%dT%H%M%S");

    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *from = g_strconcat("cob.db", suffixes[i], NULL);
        g_autofree char *to = g_strdup_printf("cob.db.corrupt-%s%s", when, suffixes[i]);

        if (renameat(root_fd, from, root_fd, to) < 0) {
            if (errno != ENOENT)
                return cob_fail_errno(errno, "rename %s to %s", from, to);
        } else if (!suffixes[i][0]) {
            db->replaced = g_steal_pointer(&to);
        }
    }
    unlinkat(root_fd, COB_DB_BAD_MARK, 0);
    return NULL;
}

static bool is_marked_bad(const struct cob_db *db)
{
    g_autofree char *path = g_strdup_printf("%s/%s", db->root_path, COB_DB_BAD_MARK);

    return access(path, F_OK) == 0;
}

/* Make a new database under another name, and let nobody see it before it is whole: the step to WAL
 * would be refused while others look. Its mode is that of the log, too, which SQLite makes. */
static struct cob_error *make_new(struct cob_db *db, int root_fd)
{
    enum state state = STATE_READY;

    unlinkat(root_fd, "cob.db.new", 0);
    unlinkat(root_fd, "cob.db.new-wal", 0);
    cob_autoclose int fd =
        openat(root_fd, "cob.db.new", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create cob.db.new");
    COB_TRY(connect_file(db, "cob.db.new", &state));
    COB_TRY(run_script(db, "PRAGMA journal_mode=WAL", NULL, &state));
    COB_TRY(upgrade(db));
    COB_TRY(run_script(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, &state));
    disconnect(db);
    unlinkat(root_fd, "cob.db.new-wal", 0);
    unlinkat(root_fd, "cob.db.new-shm", 0);
    if (renameat(root_fd, "cob.db.new", root_fd, "cob.db") < 0)
        return cob_fail_errno(errno, "rename cob.db.new to cob.db");
    return NULL;
}

/* Make the file what it has to be; one process at a time, and perhaps another one just did. */
static struct cob_error *mend(struct cob_db *db)
{
    cob_autoclose int root_fd = open(db->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum state state = STATE_BAD;

    if (root_fd < 0)
        return cob_fail_errno(errno, "open directory %s", db->root_path);
    if (TEMP_FAILURE_RETRY(flock(root_fd, LOCK_EX)) < 0)
        return cob_fail_errno(errno, "lock %s", db->root_path);
    disconnect(db);
    if (!is_marked_bad(db))
        COB_TRY(look(db, &state));
    if (state == STATE_BAD) {
        disconnect(db);
        COB_TRY(move_aside(db, root_fd));
        COB_TRY(make_new(db, root_fd));
        COB_TRY(look(db, &state));
    }
    return state == STATE_READY ? NULL : upgrade(db);
}

static int64_t log_bytes(const struct cob_db *db)
{
    g_autofree char *path = g_strdup_printf("%s/cob.db-wal", db->root_path);
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* The folder's path without symlinks, which SQLite takes for an attack wherever they stand. */
static struct cob_error *resolve(const char *root_path, char **ret_path)
{
    char *path = realpath(root_path, NULL);

    if (!path)
        return cob_fail_errno(errno, "open directory %s", root_path);
    *ret_path = g_strdup(path);
    free(path);
    if (strlen(*ret_path) > MAX_ROOT_BYTES)
        return cob_fail(COB_INVALID,
            "the path %s is longer than %d bytes: choose another folder with COB_ROOT", *ret_path,
            MAX_ROOT_BYTES);
    return NULL;
}

struct cob_error *cob_db_open(const char *root_path, struct cob_db **ret_db)
{
    g_autoptr(cob_db) db = g_new(struct cob_db, 1);
    enum state state = STATE_BAD;

    *db = (struct cob_db){
        .statements = g_hash_table_new_full(
            g_str_hash, g_str_equal, g_free, (GDestroyNotify)(void (*)(void))sqlite3_finalize),
    };
    g_mutex_init(&db->lock);
    g_cond_init(&db->is_free);
    COB_TRY(resolve(root_path, &db->root_path));
    if (!is_marked_bad(db))
        COB_TRY(look(db, &state));
    if (state != STATE_READY)
        COB_TRY(cob_wrap(mend(db), "prepare the database %s/cob.db", root_path));
    db->log_bytes = log_bytes(db);
    *ret_db = g_steal_pointer(&db);
    return NULL;
}

/* A log that grew is read whole by the next process that opens the file: cut it, unless others are
 * at work. That waits for the disk, so it is left to those who wrote much: they took their time. A
 * log's first page is flushed when it is written, also for the next process's sake: hence the
 * UPDATE. */
static void trim_log(struct cob_db *db)
{
    int64_t now = db->conn ? log_bytes(db) : 0;

    if (now < WAL_KEEP_BYTES || now - db->log_bytes < WAL_MUCH_BYTES)
        return;
    sqlite3_busy_timeout(db->conn, 0);
    if (sqlite3_wal_checkpoint_v2(db->conn, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
        SQLITE_OK)
        sqlite3_exec(
            db->conn, "UPDATE meta SET value = value WHERE key = 'ready'", NULL, NULL, NULL);
}

void cob_db_close(struct cob_db *db)
{
    if (!db)
        return;
    g_assert(!db->owner);
    trim_log(db);
    disconnect(db);
    g_hash_table_unref(db->statements);
    g_mutex_clear(&db->lock);
    g_cond_clear(&db->is_free);
    g_free(db->replaced);
    g_free(db->root_path);
    g_free(db);
}

const char *cob_db_replaced(const struct cob_db *db)
{
    return db->replaced;
}
