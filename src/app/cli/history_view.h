/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands about earlier builds have in common: how a record is shown, and which ones a
 * filter means.
 *
 * spec: buildx commands/history/{ls,utils}.go, formatDuration, dockerFiltersToBuildkit.
 */
#pragma once

#include <jansson.h>

#include "build/history/history.h"

/* "1.2s", "2m  5s"; of a build that runs, with "+" behind it. The caller frees it. */
char *history_view_duration(const struct cob_history_build *build);

/* A time as JSON has it: RFC 3339 with microseconds. The caller frees it. */
char *history_view_time(int64_t at_us);

/* A member of what is known of the request; "" when it is not there. Borrowed. */
const char *history_view_about(const struct cob_history_build *build, const char *key);

/* The ref as buildx gives it to others, "default/default/ID". The caller frees it. */
char *history_view_ref(const struct cob_history_build *build);

/* The URL of the repository that the context belongs to: of a git context itself, of a directory
 * the one that its .git/config names. The caller frees it; NULL: none. */
char *history_view_repository(const struct cob_history_build *build);

/* The closest directory at or above `dir` that has a .git, or `dir`. The caller frees it. */
char *history_view_top(const char *dir);

/* Was the context a directory at or below `top`? */
bool history_view_is_below(const struct cob_history_build *build, const char *top);

/*
 * Does a build pass all filters?
 *
 *     ref=BEGINNING  repository=PART  status=completed|running|error|canceled      also with !=
 *     startedAt>=2h  completedAt<2026-01-02T03:04:05Z  duration>30s                < <= > >=
 *
 * filters: NULL: none.  errors: COB_INVALID, naming the filter.
 */
COB_RESULT struct cob_error *history_view_matches(
    const struct cob_history_build *build, const char *const *filters, bool *ret_is_match);
