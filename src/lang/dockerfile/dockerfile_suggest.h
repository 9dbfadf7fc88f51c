/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words that somebody may have meant. Upper and lower case are not the same.
 */
#pragma once

#include "lang/dockerfile/dockerfile.h"

/* The name within two typing errors of `name`, NULL when there is none, or `name` itself is one.
 * known: const char *. */
const char *dockerfile_suggest(const char *name, const GPtrArray *known);

/* An error with " (did you mean WORD?)" behind it when `word` is near one of `known`. */
COB_RESULT struct cob_error *dockerfile_fail_suggesting(
    const char *word, const char *const *known, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* The same behind an error that is there.  err: taken, may be NULL. */
COB_RESULT struct cob_error *dockerfile_add_suggestion(
    struct cob_error *err, const char *word, const GPtrArray *known);
