/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of disk/db share. */
#pragma once

#include <sqlite3.h>

#include "disk/db/db.h"

struct cob_db {
    sqlite3 *conn;
    char *root_path;
    char *replaced;         /* the name of the damaged file that this one took the place of; NULL */
    int64_t log_bytes;      /* of the log, when it was opened */
    GHashTable *statements; /* SQL -> sqlite3_stmt, owned */
    GMutex lock;            /* guards the four below */
    GCond is_free;
    GThread *owner;  /* NULL: nobody uses the connection */
    bool is_running; /* the owner is inside a statement */
    bool is_begun;   /* the owner is inside a transaction */
};

/* The error for what SQLite said last. errno is what it left, or 0. A damaged file is marked for
 * the next cob_db_open(). */
COB_RESULT struct cob_error *cob_db_error(struct cob_db *db, int rc);

/* Beside the database: it was found damaged while in use. */
#define COB_DB_BAD_MARK "cob.db.bad"
