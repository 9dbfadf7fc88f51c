/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build caches that travel: what --cache-to writes and --cache-from reads, in BuildKit's format.
 *
 *     --cache-from                                                  --cache-to
 *       document ----> config: records, layers    outcomes of all vertices ----> plan
 *                         |        (spec/cacheconfig)                             |
 *       solver asks:      v                                                       v
 *       match(step) -> records of it               snapshots -> layers as blobs (build/exporters),
 *       find(records) -> a chain of layers         those that are there already are left alone
 *         not needed: nothing is fetched                                          |
 *         needed: build/layerchain, verified                                      v
 *                     |                            config, then the document; or, inline, records
 *                     v                            in the image's own config
 *                 snapshot, and cache rows as of any build
 *
 * Keys of results hold names of this machine, and cannot travel. What travels is BuildKit's graph
 * of records: a step is its op and what it stood on. cob's ops have digests of their own, so a
 * cache that BuildKit wrote is read, but its steps are not cob's; likewise the other way.
 *
 *     mode    records    results with layers
 *     min     all        steps whose layers are among those of the build's result
 *     max     all        every step
 *
 * A cache is as trusted as who wrote it: what a step gave is its word. It cannot say more than
 * that: bytes are held against digest and diff id before they become a layer, and a cache that
 * cannot be had, is damaged or lies is ignored with one warning, and the build goes on.
 *
 * threads:  cob_remotecache_fetch() from any; the rest from one at a time. Several exports of one
 *           plan may run side by side.
 * spec:     BuildKit cache/remotecache/, solver/exporter.go; README, "Cache".
 */
#pragma once

#include "build/cachebackend/cachebackend.h"
#include "build/event.h"
#include "build/solver/solver.h"
#include "disk/snapshot/snapshot.h"

/* --- import --- */

struct cob_remotecache; /* all caches that a build may read */

/* store, registry, observer: borrowed until it is freed. */
struct cob_remotecache *cob_remotecache_new(
    struct cob_store *store, struct cob_registry *registry, const struct cob_observer *observer);
void cob_remotecache_free(struct cob_remotecache *cache);
COB_AUTOPTR(cob_remotecache, cob_remotecache_free)

/* Read the documents of caches, side by side: no layers. What cannot be read is told in a warning.
 * all: borrowed until the cache is freed; the first of them is asked first. */
COB_RESULT struct cob_error *cob_remotecache_import(struct cob_remotecache *cache,
    const struct cob_cachebackend_options *const *all, size_t n_all, struct cob_cancel *cancel);

/* The records of a step: see struct cob_solver_elsewhere.  Elements are guint, sorted. */
GArray *cob_remotecache_match(
    const struct cob_remotecache *cache, const struct cob_solver_step *step);

/* What a record gave: layers that may be had. */
struct cob_remotecache_chain;

/*
 * The newest result of some records, of the first cache that has one.
 *
 * ret_chain:     borrowed; NULL: there is none.
 * ret_snapshot:  the caller's; NULL: it is not here.
 */
COB_RESULT struct cob_error *cob_remotecache_find(struct cob_remotecache *cache,
    const GArray *records, struct cob_remotecache_chain **ret_chain,
    struct cob_snapshot **ret_snapshot);

/* An identity for results: equal ones are of equal layers. Borrowed. */
const char *cob_remotecache_chain_id(const struct cob_remotecache_chain *chain);

/* Bring it here.
 * vertex:        digest; who is told of layers that arrive.
 * ret_snapshot:  the caller's; NULL when it cannot be had: that was told, and it is not found
 *                again.
 * errors:        COB_CANCELLED. */
COB_RESULT struct cob_error *cob_remotecache_fetch(struct cob_remotecache *cache,
    struct cob_remotecache_chain *chain, const char *vertex, struct cob_cancel *cancel,
    struct cob_snapshot **ret_snapshot);

/* --- export --- */

/* One input of a step that is exported. All borrowed. */
struct cob_remotecache_input {
    int step;            /* number in the plan; -1: none that could be found again */
    const char *content; /* digest of the files that were taken from it; NULL: not known */
};

/* A step that is exported. All borrowed. */
struct cob_remotecache_step {
    const char *op; /* digest; NULL: it is no record, but a place for inputs to point at */
    const struct cob_remotecache_input *inputs;
    size_t n_inputs;
    const GArray *records;               /* its records in the caches that were read; NULL: none */
    struct cob_snapshot *snapshot;       /* what it gave; NULL: not here */
    struct cob_remotecache_chain *chain; /* what it gave, elsewhere; NULL: nowhere */
};

struct cob_remotecache_plan; /* what of a build is to be exported */

/* cache: what was imported; borrowed until the plan is freed. NULL: nothing. */
struct cob_remotecache_plan *cob_remotecache_plan_new(
    struct cob_store *store, struct cob_remotecache *cache);
void cob_remotecache_plan_free(struct cob_remotecache_plan *plan);
COB_AUTOPTR(cob_remotecache_plan, cob_remotecache_plan_free)

/* Add a step; its inputs are there already.  Returns its number. */
int cob_remotecache_plan_add(
    struct cob_remotecache_plan *plan, const struct cob_remotecache_step *step);

/* The step's result is one of the build's. */
void cob_remotecache_plan_mark(struct cob_remotecache_plan *plan, int step);

/* Brings layers of images that were not made here, as they are in their registry.
 * ret_digest: of the blob, which is in the store then; NULL: nobody knows that layer. */
struct cob_remotecache_origin {
    void *arg;
    struct cob_error *(*get_layer)(void *arg, const char *diff_id, struct cob_cancel *cancel,
        char **ret_digest, uint64_t *ret_size, char **ret_media_type);
};

struct cob_remotecache_export {
    const struct cob_remotecache_plan *plan;
    const struct cob_cachebackend_options *options;
    struct cob_registry *registry;
    const struct cob_remotecache_origin *origin; /* NULL: there are no such layers */
    const struct cob_observer *observer;
};

/*
 * Write a cache. Tells the observer of a vertex "exporting cache to ..." in BuildKit's words.
 *
 * ret_manifest:  the descriptor of what was written, as JSON; the caller's. NULL: nothing was worth
 *                it, or the backend has no manifests.
 * errors:        also those that options->is_ignoring_errors turns into a warning: it is the
 *                caller's to look at that.
 */
COB_RESULT struct cob_error *cob_remotecache_export(
    const struct cob_remotecache_export *request, struct cob_cancel *cancel, char **ret_manifest);

/* The cache of one result for its own image: what "moby.buildkit.cache.v0" holds, not in base64.
 * step: the one whose result the image is. NULL: there is nothing to tell. The caller unrefs it. */
GBytes *cob_remotecache_inline(const struct cob_remotecache_plan *plan, int step);
