/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What explain.c (the reasons of one build) and explain_records.c (what is kept in the database)
 * share with each other and with the engine.
 *
 *     steps        what ran: its facts (build/why), the newest few of each place
 *     file_lists   the files that a content digest was made of
 *     step_files   which steps have which lists
 *     evictions    cache keys that garbage collection removed
 */
#pragma once

#include "build/engine/engine_private.h"
#include "build/history/history.h"
#include "build/why/why.h"

/* What a build hands over. All is borrowed until explain_free(). */
struct explain_request {
    struct cob_store *store;
    const struct cob_engine_request *build;
    const struct contexts *contexts;
    GBytes *dockerfile;
    struct cob_ops *ops;
    struct cob_history_writer *history;
    const struct cob_observer *observer;
};

/* The witness of one build: it tells the reasons while steps run.
 * request: borrowed until explain_free(). */
struct explaining;
struct explaining *explain_new(
    const struct explain_request *request, const struct cob_llb_graph *graph);
void explain_free(struct explaining *explain);
COB_AUTOPTR(explaining, explain_free)
const struct cob_solver_witness *explain_witness(const struct explaining *explain); /* borrowed */

/* --- explain_records.c --- */

/* A step that ran, now or before. */
struct explain_step {
    const struct cob_solver_miss *miss; /* borrowed; NULL: it is over, or of an earlier build */
    const char *project;                /* borrowed; NULL of an earlier one */
    char *stage, *text;                 /* NULL of an earlier one */
    unsigned place;
    json_t *facts;
    GPtrArray *lists; /* GBytes or NULL, one an input; NULL of an earlier one */
    char *keys[2];    /* definition, result */
    bool is_well;
};
void explain_step_free(struct explain_step *step);
COB_AUTOPTR(explain_step, explain_step_free)

/* What tells one project's steps from another's: the directory of its context, or where that comes
 * from, and its Dockerfile. The caller frees it. */
char *explain_project(const struct cob_engine_request *request, const struct contexts *contexts);

/* The step that ran before and differs least; of several the newest. In the same stage of the same
 * project it is one with the same text, or else the newest in the same place, unless its text is
 * another step's now; elsewhere only one with the same text on the same base.
 * texts: "stage\ntext" of the steps of this build.  ret_step: the caller's; NULL: there is none. */
COB_RESULT struct cob_error *explain_find_nearest(struct cob_store *store,
    const struct explain_step *now, GHashTable *texts, struct explain_step **ret_step);

/* The list of files of an input of an earlier step.  ret_files: the caller's; NULL: not kept. */
COB_RESULT struct cob_error *explain_files_of(
    struct cob_store *store, const json_t *facts, size_t input, GBytes **ret_files);

/* Which rule removed what is missed.  ret: its rule is the caller's; NULL: none did. */
struct explain_eviction {
    char *rule;
    int64_t at_us;
};
COB_RESULT struct cob_error *explain_find_eviction(struct cob_store *store,
    const struct cob_solver_miss *miss, struct explain_eviction *ret_eviction);

/* Keep a step that ended, and drop the oldest ones of its place. */
COB_RESULT struct cob_error *explain_save(struct cob_store *store, const struct explain_step *step);

/* Drop steps that ran longer ago. */
COB_RESULT struct cob_error *explain_trim(struct cob_store *store, int64_t max_age_s);
