/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.0, for cob's own configuration: bytes in, values or an error at its line out.
 *
 * All of it is read but dates and times, which are refused. What TOML forbids is an error: a key
 * twice, a table that is defined again, control characters, bytes that are not UTF-8, leading
 * zeros, numbers past 64 bits. Sizes and depths have limits.
 *
 * spec:  https://toml.io/en/v1.0.0
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

enum cob_toml_type {
    COB_TOML_TEXT,
    COB_TOML_INT,
    COB_TOML_FLOAT,
    COB_TOML_BOOL,
    COB_TOML_ARRAY,
    COB_TOML_TABLE,
};

/* How a table came to be, which decides who may add to it. */
enum cob_toml_origin {
    COB_TOML_IMPLIED, /* by a longer name: [a.b] makes a; may be defined once */
    COB_TOML_DOTTED,  /* by a dotted key: more of those may follow */
    COB_TOML_DEFINED, /* by its own header */
    COB_TOML_CLOSED,  /* written in braces or brackets */
};

struct cob_toml_value {
    enum cob_toml_type type;
    int32_t line;        /* where it stands, from 1 */
    char *text;          /* UTF-8, without NUL */
    int64_t number;      /* of an INT, and 0 or 1 of a BOOL */
    double real;         /* of a FLOAT */
    GPtrArray *items;    /* of an ARRAY: struct cob_toml_value, owned */
    GPtrArray *keys;     /* of a TABLE: char *, owned, in the order of the file */
    GHashTable *members; /* of a TABLE: key (in keys) -> struct cob_toml_value, owned */
    enum cob_toml_origin origin;
};
void cob_toml_free(struct cob_toml_value *value);
COB_AUTOPTR(cob_toml_value, cob_toml_free)

/* Parse a whole document.
 * ret_table: the caller's.  errors: COB_INVALID, at the line. */
COB_RESULT struct cob_error *cob_toml_parse(
    struct cob_srcfile *file, struct cob_toml_value **ret_table);

/* A member of a table; NULL: there is none. Borrowed. */
const struct cob_toml_value *cob_toml_get(const struct cob_toml_value *table, const char *key);

/* "a string", "an integer": for errors. Static. */
const char *cob_toml_type_text(enum cob_toml_type type);
