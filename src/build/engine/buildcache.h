/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caches of a build that travel, for build.c: asked for, read, handed to the solver, written.
 */
#pragma once

#include "build/engine/engine_private.h"
#include "build/remotecache/remotecache.h"

/* The caches of one build that travel. */
struct build_caches {
    GPtrArray *from, *to; /* struct cob_cachebackend_options, owned; without inline ones */
    bool has_inline;
    struct cob_remotecache *cache; /* what was read; NULL: nothing is to be */
    struct cob_solver_elsewhere elsewhere;

    /* Borrowed, for when the solver has ended; then there is a plan. */
    struct cob_store *store;
    const struct cob_llb_graph *graph;
    const struct cob_solver_index *index;
    struct cob_remotecache_plan *plan;
    struct cob_error *plan_err;
    GArray *result_steps; /* int, one a result of the graph; -1: scratch */
    GPtrArray *exports;   /* that run; private */
};

/* Read what was asked for.
 * caches: for cob_engine_caches_close() in any case.
 * errors: COB_INVALID, with the option. */
COB_RESULT struct cob_error *cob_engine_caches_open(
    const struct cob_engine_request *request, struct build_caches *caches);
void cob_engine_caches_close(struct build_caches *caches);

/* Read --cache-from. What cannot be read is a warning. */
COB_RESULT struct cob_error *cob_engine_caches_import(struct build_caches *caches,
    struct cob_engine *engine, const struct cob_observer *observer, struct cob_cancel *cancel);

/* Have the solver ask them, and tell them how it ended. A build without them is not changed.
 * request: all it names lives until the solver has ended. */
void cob_engine_caches_attach(
    struct build_caches *caches, struct cob_store *store, struct cob_solver_request *request);

/* The cache inside an image, in base64; NULL: none. The caller frees it.
 * part: number of a result of the graph. */
char *cob_engine_caches_inline(const struct build_caches *caches, guint part);

/* Write --cache-to, each in a thread, and wait for them.
 * ret_manifest: JSON of the descriptor of what was written, in place of what is there; may be NULL.
 * errors:       those of a --cache-to with ignore-error=false; others are warnings. */
void cob_engine_caches_start_exports(struct build_caches *caches, struct cob_engine *engine,
    const struct cob_observer *observer, struct cob_cancel *cancel);
COB_RESULT struct cob_error *cob_engine_caches_end_exports(
    struct build_caches *caches, const struct cob_observer *observer, char **ret_manifest);

/* --- mountcaches.c --- */

/* Cache mounts that go along. All borrowed. */
struct build_mounts {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_llb_graph *graph; /* NULL for an import */
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
};

/* Import or export those that are named by mounts= in each of the options.
 * all_options: struct cob_cachebackend_options: those of --cache-from, or of --cache-to.
 * errors:      COB_CANCELLED; those of an export with ignore-error=false. Others are warnings. */
COB_RESULT struct cob_error *cob_engine_mounts_travel(
    const struct build_mounts *mounts, const GPtrArray *all_options);
