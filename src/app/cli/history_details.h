/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of one build record, as buildx lays it out, or as JSON with its names.
 *
 * spec: buildx commands/history/inspect.go.
 */
#pragma once

#include "build/history/history.h"

/* The last lines that the step printed that failed.  ret_lines: the caller's, g_strfreev(); NULL:
 * none failed. */
COB_RESULT struct cob_error *history_details_log(
    struct cob_store *store, const struct cob_history_build *build, char ***ret_lines);

/* lines: as above.  has_ref: nobody named the build, so its id is told. */
void history_details_append(
    GString *out, const struct cob_history_build *build, const char *const *lines, bool has_ref);

/* format: "json", or a template of text members: {{.Name}}.
 * errors: COB_INVALID: an unknown member. */
COB_RESULT struct cob_error *history_details_format(GString *out,
    const struct cob_history_build *build, const char *const *lines, const char *format);

/* "NotFound", of a cob_code, as Go's gRPC has it. */
const char *history_details_code(int code);

/* The step that failed by itself, the first one; NULL: none did. Borrowed. */
const struct cob_history_step *history_details_failed(const struct cob_history_build *build);

/* The lines of the user's file that the error quotes, without the error itself. The caller frees
 * it; NULL: none. */
char *history_details_excerpt(const struct cob_history_build *build);
