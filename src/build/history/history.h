/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of builds: what was asked for, what each step did, and what it printed.
 *
 *     <root>/history/<started>-<id>     one file a build; started: microseconds, 16 digits
 *
 * A file has an object a line: it is written while the build runs, and never changed afterwards:
 *
 *     {"begin": {"id", "started_us", "pid", "about": {...}}}
 *     {"vertex": {"digest", "name", "number", "started_us", "completed_us", "cached", "error"}}
 *     {"status": ...}  {"log": {"vertex", "stream", "at_us", "text" or "base64"}}  {"warning": ...}
 *     {"reason": {"vertex", "text"}}                      why it ran; see build/why
 *     {"end": {"completed_us", "code", "message", "text", "n_total", "n_completed", "n_cached",
 *              "n_warnings", "result": {...}}}
 *
 * The writer holds a flock() on it, which dies with the process: a file without an end that nobody
 * has locked is of a build that was killed. It is found then, and nothing has to be repaired. A new
 * file appears under its name when it is locked and has its first line.
 *
 * Recording never fails a build: on a full disk the record ends early. What a step printed is kept
 * as it came; who shows it escapes it.
 *
 * threads:  a writer's observer and its functions from any; reading from any.
 * spec:     BuildKit solver/llbsolver/history for what is kept, and the 2 MiB of a step's output.
 */
#pragma once

#include <jansson.h>

#include "build/event.h"
#include "disk/store/store.h"

/* How many builds are kept, and how long. */
struct cob_history_limits {
    int64_t max_age_s;
    unsigned max_entries;
};
#define COB_HISTORY_MAX_AGE_S (30 * 24 * 3600) /* without a cob.toml */
#define COB_HISTORY_MAX_ENTRIES 200

/* --- writing --- */

struct cob_history_writer;

/* Begin to record.
 * about: of the request; kept.  next: who else hears of all events, with their numbers; borrowed.
 * Returns a writer in any case. */
struct cob_history_writer *cob_history_begin(
    struct cob_store *store, json_t *about, const struct cob_observer *next);

/* A text that is nobody's business: names and errors of steps are kept with "***" in its place. One
 * of less than four bytes would make them unreadable, and is not looked for. */
void cob_history_hide(struct cob_history_writer *writer, const char *text);

/* What the build is to tell, borrowed. It numbers steps in the order in which they start. */
const struct cob_observer *cob_history_observer(struct cob_history_writer *writer);

/* "k3v0..." of 25 letters and digits; borrowed. */
const char *cob_history_id(const struct cob_history_writer *writer);

/* The number of a step by its digest; 0: it did not start. */
int cob_history_number(struct cob_history_writer *writer, const char *digest);

/* Where a cache could not be read from that was to be imported, the first one: "local:/cache". The
 * caller frees it; NULL: there was none. */
char *cob_history_failed_import(struct cob_history_writer *writer);

/* A step that is going to be solved, if nothing fails before. */
void cob_history_expect(struct cob_history_writer *writer, const char *digest);

/* Why a step runs. The text is one line. */
void cob_history_reason(struct cob_history_writer *writer, const char *digest, const char *text);

/* The build ended; no event may come any more. Frees the writer.
 * err: borrowed; NULL: well.  result: of a build that ended well, such as its image; kept. */
void cob_history_end(
    struct cob_history_writer *writer, const struct cob_error *err, json_t *result);

/* --- reading --- */

enum cob_history_status {
    COB_HISTORY_RUNNING,
    COB_HISTORY_COMPLETED,
    COB_HISTORY_ERROR, /* also: it was killed */
    COB_HISTORY_CANCELED,
};

struct cob_history_step {
    char *digest, *name, *error; /* error: NULL: none */
    int number;                  /* 0: it did not start */
    int64_t started_us, completed_us;
    bool is_cached;
    GPtrArray *reasons; /* char *, owned */
};

struct cob_history_build {
    char *id, *file_name;
    json_t *about, *result; /* owned; result: NULL: none */
    enum cob_history_status status;
    int64_t started_us, completed_us; /* completed_us: of a killed one, when it was last heard of;
                                       * 0: it runs */
    int code;                         /* an enum cob_code; 0: no error */
    char *message, *error_text;       /* NULL: no error. error_text: with the lines quoted */
    unsigned n_total, n_completed, n_cached, n_warnings;
    GPtrArray *steps; /* struct cob_history_step, owned, in the order of their numbers; NULL when
                       * only the outlines were asked for */
};
void cob_history_build_free(struct cob_history_build *build);
COB_AUTOPTR(cob_history_build, cob_history_build_free)

/* All builds, without their steps: those that run first, then the newest first. A file that cannot
 * be read is left out.  ret_builds: struct cob_history_build, owned; the caller unrefs it. */
COB_RESULT struct cob_error *cob_history_list(struct cob_store *store, GPtrArray **ret_builds);

/* One build with its steps.
 * name: an id, the beginning of one, with or without "BUILDER/NODE/" before it; "^N": the N-th
 *       before the last one; NULL: the last one.
 * errors: COB_NOT_FOUND; COB_INVALID: the beginning of several. */
COB_RESULT struct cob_error *cob_history_find(
    struct cob_store *store, const char *name, struct cob_history_build **ret_build);

/* The same of a build that cob_history_list() gave. */
COB_RESULT struct cob_error *cob_history_load(
    struct cob_store *store, const char *file_name, struct cob_history_build **ret_build);

/* Tell an observer all that a build told. */
COB_RESULT struct cob_error *cob_history_replay(struct cob_store *store,
    const struct cob_history_build *build, const struct cob_observer *observer);

/* The word of a status: "Running", "Completed", "Error", "Canceled". */
const char *cob_history_status_word(enum cob_history_status status);

/* Builds with their steps as an archive for other programs: see history_export.c. None may run.
 * builds: struct cob_history_build; not empty.  ret_archive: the caller's. */
COB_RESULT struct cob_error *cob_history_export(
    struct cob_store *store, const GPtrArray *builds, GBytes **ret_archive);

/* --- removing --- */

/* errors: COB_PRECONDITION: it runs. */
COB_RESULT struct cob_error *cob_history_remove(
    struct cob_store *store, const struct cob_history_build *build);

/* Remove what is past the limits; what runs stays.  ret_n_removed: may be NULL. */
COB_RESULT struct cob_error *cob_history_trim(
    struct cob_store *store, const struct cob_history_limits *limits, unsigned *ret_n_removed);
