/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this module share.
 *
 *     toml.c         tables, keys, arrays
 *     toml_scalar.c  numbers and booleans
 *     toml_text.c    strings
 */
#pragma once

#include "lang/toml/toml.h"

struct toml_reader {
    struct cob_srcfile *file;
    const char *at, *end;
    int32_t line;
    unsigned depth;
    unsigned n_values;
};

/* An error at the line that is being read. */
#define toml_fail(reader, ...) toml_fail_at((reader), cob_fail(COB_INVALID, __VA_ARGS__))
COB_RESULT struct cob_error *toml_fail_at(struct toml_reader *reader, struct cob_error *err);

/* The next byte; '\0' at the end: no document has that. */
char toml_peek(const struct toml_reader *reader);

/* Does this come next? */
bool toml_sees(const struct toml_reader *reader, const char *text);

/* A string in one of the four kinds of quotes, which comes next.
 * is_key: it may not have several lines.  ret_text: the caller's. */
COB_RESULT struct cob_error *toml_read_text(
    struct toml_reader *reader, bool is_key, char **ret_text);

/* Fill in a number, true, or false. */
COB_RESULT struct cob_error *toml_read_scalar(
    struct toml_reader *reader, struct cob_toml_value *value);
