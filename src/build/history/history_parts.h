/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of history share.
 *
 *     history_write.c   an observer that writes a file
 *     history_lines.c   events <-> lines
 *     history_read.c    files -> builds
 *     history_find.c    lists, names, limits
 *     history_export.c  records as an archive; history_export.h says what is in there
 */
#pragma once

#include "build/history/history.h"

#define HISTORY_DIR "history"
#define HISTORY_ID_CHARS 25

/* The folder, made when it is not there. */
COB_RESULT struct cob_error *history_open_dir(struct cob_store *store, int *ret_fd);

/* A build without its steps.  errors: COB_NOT_FOUND, or it is damaged. */
COB_RESULT struct cob_error *history_outline(
    int dir_fd, const char *file_name, struct cob_history_build **ret_build);

/* Events as lines with a line's end. The number of a vertex is in its event. */
void history_put_vertex(GString *out, const struct cob_event_vertex *event);
void history_put_status(GString *out, const struct cob_event_status *event);
void history_put_log(GString *out, const struct cob_event_log *event);
void history_put_warning(GString *out, const struct cob_event_warning *event);
void history_put_reason(GString *out, const char *vertex, const char *text);

/* An object as a line, {kind: object}.  object: taken. */
void history_put(GString *out, const char *kind, json_t *object);

/* The other way round: a line of a kind, told to an observer. Others are passed over. */
void history_tell(const json_t *line, const struct cob_observer *observer);

/* Members that may be missing. Text is borrowed; "" and 0 in place of what is not there. */
const char *history_text(const json_t *object, const char *key);
int64_t history_number(const json_t *object, const char *key);
