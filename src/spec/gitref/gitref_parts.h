/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this module share.
 */
#pragma once

#include "spec/gitref/gitref.h"

/* Text with %41 for A, and in a query '+' for a space. NULL when it cannot be read, or has a
 * control character. The caller frees it. */
char *gitref_unescape(const char *text, bool is_query);

/* Take "#ref:subdir" and the query, each without its first character; NULL: there is none. */
COB_RESULT struct cob_error *gitref_take_options(
    struct cob_gitref *ref, const char *query, const char *fragment);
