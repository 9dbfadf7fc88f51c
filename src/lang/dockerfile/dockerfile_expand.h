/* SPDX-License-Identifier: Apache-2.0 */
/*
 * $variables and quotes, as BuildKit's frontend/dockerfile/shell reads them:
 *
 *     $v ${v}                    the value, or nothing
 *     ${v:-w} ${v-w}             w when v is unset (with ":", or empty)
 *     ${v:+w} ${v+w}             w when v is set (with ":", and not empty)
 *     ${v:?w} ${v?w}             an error, "v: w", when v is unset (with ":", or empty)
 *     ${v#p} ${v##p}             without the shortest, the longest prefix that matches p
 *     ${v%p} ${v%%p}             without the shortest, the longest suffix that matches p
 *     ${v/p/w} ${v//p/w}         with the first, with every longest match of p replaced
 *
 * A pattern knows * and ?, neither of which matches a newline, and backslash. A result is held to
 * a size, the nesting to COB_LIMIT_EXPAND_DEPTH, and the search for patterns to a number of steps.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

/* Where values come from; NULL for a variable that is not set. */
struct dockerfile_env {
    const char *(*get)(const void *arg, const char *name);
    const void *arg;
};

enum dockerfile_expand_flags {
    DOCKERFILE_EXPAND_KEEP_QUOTES = 1 << 0,  /* quotes work, and stay */
    DOCKERFILE_EXPAND_KEEP_ESCAPES = 1 << 1, /* escapes work, and stay */
    DOCKERFILE_EXPAND_KEEP_UNSET = 1 << 2,   /* $v stays when v is not set */
    DOCKERFILE_EXPAND_NO_QUOTES = 1 << 3,    /* quotes are letters */
};

struct dockerfile_expander {
    struct dockerfile_env env; /* get: NULL, nothing is set */
    char escape;
    unsigned flags;
    size_t max_bytes;     /* of the result; 0: COB_LIMIT_WORD_BYTES */
    GPtrArray *matched;   /* char *: gets the names that are set; NULL: not wanted */
    GPtrArray *unmatched; /* char *: gets the names that are not set; NULL: not wanted */
};

/* Expand into one word. */
COB_RESULT struct cob_error *dockerfile_expand(
    const struct dockerfile_expander *expander, const char *text, char **ret_text);

/* Expand, then split at white space that was not quoted. */
COB_RESULT struct cob_error *dockerfile_expand_words(
    const struct dockerfile_expander *expander, const char *text, GPtrArray **ret_words);

enum dockerfile_trim_end { DOCKERFILE_TRIM_PREFIX, DOCKERFILE_TRIM_SUFFIX };

/* The value without the part at its end that matches the pattern. */
COB_RESULT struct cob_error *dockerfile_pattern_trim(enum dockerfile_trim_end end, bool is_longest,
    const char *pattern, const char *value, char **ret_text);

/* The value with what matches the pattern replaced, once or everywhere.
 * errors: COB_EXHAUSTED past max_bytes. */
COB_RESULT struct cob_error *dockerfile_pattern_replace(bool is_everywhere, const char *pattern,
    const char *value, const char *replacement, size_t max_bytes, char **ret_text);
