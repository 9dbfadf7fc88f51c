/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/db/db.h"

#include <fcntl.h>

#include "disk/db/db_parts.h"

struct cob_db_row {
    sqlite3_stmt *statement;
};

/* Let the next start know: it moves the file aside. No more can be done while it is in use. */
static void mark_bad(const struct cob_db *db)
{
    g_autofree char *path = g_strdup_printf("%s/%s", db->root_path, COB_DB_BAD_MARK);
    cob_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    (void)fd;
}

/* SQLite goes on without the right to write when it cannot open a file for that, whatever the
 * reason, and says so only when it is to write. Ask the file system for the reason. */
static struct cob_error *read_only_error(const struct cob_db *db)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *path = g_strdup_printf("%s/cob.db%s", db->root_path, suffixes[i]);
        cob_autoclose int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0 && errno != ENOENT)
            return cob_fail_errno(errno, "open %s to write", path);
    }
    return cob_fail(COB_UNAVAILABLE,
        "the database %s/cob.db could not be opened to write a moment ago (a full disk, or too "
        "many "
        "open files): run cob again",
        db->root_path);
}

/* What SQLite was doing when the system refused it. */
static const char *action_of(int extended)
{
    switch (extended) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
        return "read the database";
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
        return "sync the database";
    case SQLITE_IOERR_LOCK:
    case SQLITE_IOERR_UNLOCK:
    case SQLITE_IOERR_RDLOCK:
    case SQLITE_IOERR_SHMLOCK:
        return "lock the database";
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_SHMSIZE:
    case SQLITE_IOERR_SHMMAP:
    case SQLITE_IOERR_SHMOPEN:
        return "write to the database";
    default:
        return "open the database";
    }
}

struct cob_error *cob_db_error(struct cob_db *db, int rc)
{
    const int left_errno = errno;
    int extended = sqlite3_extended_errcode(db->conn);
    int errnum = sqlite3_system_errno(db->conn);
    const char *text = sqlite3_errmsg(db->conn);

    if (errnum ==
        0) /* it forgets the reason when a commit failed: SQLite calls no more after that */
        errnum = left_errno;

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return cob_fail_errno(ENOSPC, "write to the database %s/cob.db", db->root_path);
    case SQLITE_CANTOPEN:
        if (errnum == ENOENT) /* of its second try, to read what it could not make */
            return read_only_error(db);
        G_GNUC_FALLTHROUGH;
    case SQLITE_IOERR:
        if (errnum)
            return cob_fail_errno(errnum, "%s %s/cob.db", action_of(extended), db->root_path);
        return cob_fail(COB_UNKNOWN, "%s %s/cob.db: %s", action_of(extended), db->root_path, text);
    case SQLITE_CONSTRAINT:
        if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY)
            return cob_fail(COB_EXISTS, "database: %s", text);
        return cob_fail(COB_INTERNAL, "database: %s", text);
    case SQLITE_BUSY:
        return cob_fail(
            COB_UNAVAILABLE, "database %s/cob.db: another process keeps it locked", db->root_path);
    case SQLITE_READONLY:
        return read_only_error(db);
    case SQLITE_PERM:
        return cob_fail(COB_DENIED, "database %s/cob.db: %s", db->root_path, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        mark_bad(db);
        return cob_fail(COB_DATA_LOSS,
            "the database %s/cob.db is damaged (%s); run cob again, and it begins a new one",
            db->root_path, text);
    default:
        return cob_fail(COB_INTERNAL, "database: %s", text);
    }
}

/* Wait until no other thread uses the connection, and take it.
 * ret: whether it was taken now; false inside a transaction, which has it already. */
static bool take_connection(struct cob_db *db)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->lock);
    (void)locker;
    GThread *self = g_thread_self();

    if (db->owner == self) {
        g_assert(db->is_begun && !db->is_running);
        return false;
    }
    while (db->owner)
        g_cond_wait(&db->is_free, &db->lock);
    db->owner = self;
    return true;
}

static void give_connection(struct cob_db *db)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->lock);
    (void)locker;

    g_assert(db->owner == g_thread_self());
    db->owner = NULL;
    db->is_begun = false;
    g_cond_signal(&db->is_free);
}

static struct cob_error *find_statement(struct cob_db *db, const char *sql, sqlite3_stmt **ret)
{
    sqlite3_stmt *statement = g_hash_table_lookup(db->statements, sql);

    if (!statement) {
        int rc = sqlite3_prepare_v3(db->conn, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);

        if (rc != SQLITE_OK)
            return cob_db_error(db, rc);
        g_hash_table_insert(db->statements, g_strdup(sql), statement);
    }
    *ret = statement;
    return NULL;
}

/* The values are borrowed: the statement lets go of them before the call is over. */
static int bind_value(sqlite3_stmt *statement, int at, const struct cob_db_value *value)
{
    gsize len;
    const void *data;

    switch (value->kind) {
    case COB_DB_INT:
        return sqlite3_bind_int64(statement, at, value->number);
    case COB_DB_TEXT: /* NULL is bound as NULL */
        return sqlite3_bind_text(statement, at, value->text, -1, SQLITE_STATIC);
    case COB_DB_BYTES:
        if (!value->bytes)
            return sqlite3_bind_null(statement, at);
        data = g_bytes_get_data(value->bytes, &len);
        return sqlite3_bind_blob64(statement, at, data ? data : "", len, SQLITE_STATIC);
    case COB_DB_NULL:
        return sqlite3_bind_null(statement, at);
    }
    g_assert_not_reached();
}

static struct cob_error *step_all(struct cob_db *db, sqlite3_stmt *statement,
    struct cob_error *(*on_row)(void *arg, const struct cob_db_row *row), void *arg)
{
    struct cob_db_row row = {statement};
    int rc;

    errno = 0;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (on_row)
            COB_TRY(on_row(arg, &row));
        errno = 0;
    }
    return rc == SQLITE_DONE ? NULL : cob_db_error(db, rc);
}

/* What one call runs. */
struct run {
    const char *sql;
    const struct cob_db_value *values;
    size_t n_values;
    struct cob_error *(*on_row)(void *arg, const struct cob_db_row *row);
    void *arg;
};

/* The caller has the connection. */
static struct cob_error *run_taken(struct cob_db *db, const struct run *run)
{
    sqlite3_stmt *statement = NULL;
    struct cob_error *err = NULL;

    COB_TRY(find_statement(db, run->sql, &statement));
    for (size_t i = 1; i <= run->n_values && !err; i++) {
        int rc = bind_value(statement, (int)i, &run->values[i]);

        if (rc != SQLITE_OK)
            err = cob_db_error(db, rc);
    }
    if (!err) {
        db->is_running = true;
        err = step_all(db, statement, run->on_row, run->arg);
        db->is_running = false;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return err;
}

struct cob_error *cob_db_run_values(struct cob_db *db, const char *sql,
    const struct cob_db_value *values, size_t n_values,
    struct cob_error *(*on_row)(void *arg, const struct cob_db_row *row), void *arg)
{
    struct run run = {sql, values, n_values, on_row, arg};
    bool is_alone = take_connection(db);
    struct cob_error *err = run_taken(db, &run);

    if (is_alone)
        give_connection(db);
    return err;
}

static struct cob_error *run_plain(struct cob_db *db, const char *sql)
{
    struct run run = {.sql = sql};

    return run_taken(db, &run);
}

struct cob_error *cob_db_begin(struct cob_db *db)
{
    bool is_alone = take_connection(db);

    g_assert(is_alone); /* transactions do not nest */
    struct cob_error *err = run_plain(db, "BEGIN IMMEDIATE");
    if (err)
        give_connection(db);
    else
        db->is_begun = true;
    return err;
}

/* SQLite may have rolled back by itself, when the disk was full. */
static void undo(struct cob_db *db)
{
    if (!sqlite3_get_autocommit(db->conn))
        cob_error_free(run_plain(db, "ROLLBACK"));
}

struct cob_error *cob_db_commit(struct cob_db *db)
{
    g_assert(db->is_begun && db->owner == g_thread_self());
    struct cob_error *err = sqlite3_get_autocommit(db->conn)
                                ? cob_fail(COB_ABORTED, "database: the transaction is gone")
                                : run_plain(db, "COMMIT");

    if (err)
        undo(db);
    give_connection(db);
    return err;
}

void cob_db_rollback(struct cob_db *db)
{
    g_assert(db->is_begun && db->owner == g_thread_self());
    undo(db);
    give_connection(db);
}

int64_t cob_db_n_changed(struct cob_db *db)
{
    return sqlite3_changes64(db->conn);
}

int64_t cob_db_row_int(const struct cob_db_row *row, int column)
{
    return sqlite3_column_int64(row->statement, column);
}

const char *cob_db_row_text(const struct cob_db_row *row, int column)
{
    return (const char *)sqlite3_column_text(row->statement, column);
}

GBytes *cob_db_row_bytes(const struct cob_db_row *row, int column)
{
    if (sqlite3_column_type(row->statement, column) == SQLITE_NULL)
        return NULL;
    const void *data = sqlite3_column_blob(row->statement, column);
    return g_bytes_new(data, (gsize)sqlite3_column_bytes(row->statement, column));
}
