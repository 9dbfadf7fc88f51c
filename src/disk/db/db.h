/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: one SQLite file in WAL mode that all cob processes on a store share.
 *
 * It keeps what cob knows about the files beside it; the files come first: a row is written after
 * its data is in place and deleted before its data is. Each table belongs to one module, whose SQL
 * stands there; the schema of all of them stands in schema_table.c, because it has one version.
 *
 * A store that a newer cob wrote is refused; an older one is brought up to date, in a transaction.
 * A file that is no database any more is moved aside (cob.db.corrupt-<time>) and begun anew.
 *
 * threads:  any; one statement at a time, a transaction holds the connection for its thread.
 * spec:     https://sqlite.org/wal.html
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

struct cob_db;

/* Open, or make, cob.db below the store's folder.
 * root_path:  absolute; SQLite opens by path.
 * errors:  COB_PRECONDITION for a newer schema, naming both versions. */
COB_RESULT struct cob_error *cob_db_open(const char *root_path, struct cob_db **ret_db);
void cob_db_close(struct cob_db *db);
COB_AUTOPTR(cob_db, cob_db_close)

/* When cob_db_open() found the file damaged: the name it now has in the store's folder; else NULL.
 * Borrowed. */
const char *cob_db_replaced(const struct cob_db *db);

/* Begin a transaction for this thread (BEGIN IMMEDIATE); waits for others. Must be ended by one of
 * the two below, in the same thread. Does not nest. */
COB_RESULT struct cob_error *cob_db_begin(struct cob_db *db);
COB_RESULT struct cob_error *cob_db_commit(struct cob_db *db);
void cob_db_rollback(struct cob_db *db);

/* A value that goes into a statement as ?1, ?2, ... */
struct cob_db_value {
    enum { COB_DB_NULL, COB_DB_INT, COB_DB_TEXT, COB_DB_BYTES } kind;
    int64_t number;
    const char *text; /* borrowed; NULL becomes SQL's NULL */
    GBytes *bytes;    /* borrowed */
};
#define COB_DB_I(x) ((struct cob_db_value){.kind = COB_DB_INT, .number = (int64_t)(x)})
#define COB_DB_T(x) ((struct cob_db_value){.kind = COB_DB_TEXT, .text = (x)})
#define COB_DB_B(x) ((struct cob_db_value){.kind = COB_DB_BYTES, .bytes = (x)})

struct cob_db_row; /* one row of an answer, while its callback runs */

/* Columns count from 0. Text is borrowed until the callback returns, NULL for SQL's NULL. */
int64_t cob_db_row_int(const struct cob_db_row *row, int column);
const char *cob_db_row_text(const struct cob_db_row *row, int column);
GBytes *cob_db_row_bytes(const struct cob_db_row *row, int column); /* the caller's; NULL */

/*
 * Run one statement; prepared once, and kept.
 *
 * on_row:  called for each row with arg; may be NULL. It may not use the database.
 * errors:  COB_EXHAUSTED for a full disk; COB_EXISTS for a broken UNIQUE; else COB_INTERNAL with
 *          SQLite's words.
 */
#define cob_db_run(db, on_row, arg, sql, ...)                                                      \
    cob_db_run_values((db), (sql),                                                                 \
        (const struct cob_db_value[]){{.kind = COB_DB_NULL}, ##__VA_ARGS__},                       \
        sizeof((const struct cob_db_value[]){{.kind = COB_DB_NULL}, ##__VA_ARGS__}) /              \
                sizeof(struct cob_db_value) -                                                      \
            1,                                                                                     \
        (on_row), (arg))

/* Behind the macro above. values[0] is not used. */
COB_RESULT struct cob_error *cob_db_run_values(struct cob_db *db, const char *sql,
    const struct cob_db_value *values, size_t n_values,
    struct cob_error *(*on_row)(void *arg, const struct cob_db_row *row), void *arg);

/* How many rows the last statement of this thread changed, inside a transaction. */
int64_t cob_db_n_changed(struct cob_db *db);
