/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as buildx's users write them, one line of CSV: "type=local,dest=out", and the field
 * "dest=a,b" in quotes.
 *
 * threads:  any.
 * spec:     RFC 4180, as go-csvvalue reads it; Go's strconv.ParseBool.
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

/* Append the fields of a line to an array of char * that owns them.
 * errors: COB_INVALID for quotes that are not well placed; no field is in the text. */
COB_RESULT struct cob_error *cob_csv_split(const char *text, GPtrArray *fields);

/* Append a field to a line, with quotes where it needs them. */
void cob_csv_append(GString *line, const char *field);

/* The value of a flag: 1, t, true, 0, f, false, and the same in capitals.
 * key: for the error, COB_INVALID. */
COB_RESULT struct cob_error *cob_csv_read_flag(const char *key, const char *value, bool *ret_flag);

/* The error for a word that is none of a list, with the one that may have been meant, else all.
 * what: "type".  known: NULL-terminated. */
COB_RESULT struct cob_error *cob_csv_unknown(
    const char *what, const char *word, const char *const *known);
