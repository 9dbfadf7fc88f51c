/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as Go reads and writes them: Dockerfiles have its booleans and durations, and the history
 * of an image its quotes.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

/* 1, t, T, true, True, TRUE and their opposites. */
bool dockerfile_go_bool(const char *text, bool *ret_value);

/* "1h30m", "1.5s", "-3ms".  errors: COB_INVALID, with Go's text. */
COB_RESULT struct cob_error *dockerfile_go_duration(const char *text, int64_t *ret_ns);

/* "1h30m0s", "100ms", "0s". The caller frees it. */
char *dockerfile_go_duration_text(int64_t ns);

/* Append the text in double quotes, as %q does. */
void dockerfile_go_quote(GString *out, const char *text);

/* Append [a b c], or with quotes ["a" "b" "c"]. */
void dockerfile_go_list(GString *out, char *const *words, bool is_quoted);
