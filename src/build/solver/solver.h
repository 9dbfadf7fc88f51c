/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The solver: walks a build graph from its results back, and runs what no earlier build has run.
 *
 * A vertex has two cache keys. Its *definition key* is made of its op and its inputs' definition
 * keys: known before anything runs. Its *result key* is made of its op and what its inputs turned
 * out to be: the identity of a result, or, where an op takes only files from an input (COPY), the
 * digest of those files. A definition key that hits ends the matter, for the vertex and all before
 * it; else the inputs are solved and the result key is asked.
 *
 *              demanded                  all inputs done                no record
 *     KEYING ----------> (definition key) ------------> (result key) ------------> RUNNING
 *                             | hit                          | hit                   |
 *                             v                              v                       v
 *                            DONE  <------------------------DONE                    DONE
 *
 * A source that cannot be named before it is read (the build context) has no key of its own: it is
 * solved first, and the files that a vertex takes from it are part of that vertex's definition key.
 *
 * A vertex that must ignore the cache is run, and what follows from it does not trust definition
 * keys, only results.
 *
 * Caches elsewhere are asked where this machine's index knows nothing. They know a step by what it
 * stands on: its op, and for each input the step before it, as they know that one, or the files
 * that were taken from it. What they give is a result in name only; it is brought here when a step
 * that runs needs its files, or when it is what the build is for. One that cannot be had is
 * forgotten, and its step goes on as if it had never been found:
 *
 *     DONE (elsewhere) ----wanted----> FETCHING ----> DONE
 *                                          | cannot be had
 *                                          v
 *                                   waits for its inputs' results, then (result key), RUNNING
 *
 * It knows no file system and no network: what a vertex means is said by a table of ops, what was
 * done before by an index, and what happens is told to an observer.
 *
 * threads:  cob_solver_solve() may run in several threads, each with a graph of its own; the tables
 *           are called from many threads at a time.
 * spec:     BuildKit docs/dev/solver.md; solver/jobs.go. There a definition key's record may still
 *           be used after a step before it ran with no-cache; here not.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "build/event.h"
#include "lang/llb/llb.h"
#include "util/cancel.h"

/* What a vertex gave. The solver hands it on and never looks inside. Shared and immutable. */
struct cob_solver_result {
    int refs;                    /* atomic */
    char *id;                    /* its identity in result keys; equal ids are equal results */
    void *data;                  /* the ops' own */
    void (*release)(void *data); /* NULL: nothing to release */
};

/* id: copied. data: taken. */
struct cob_solver_result *cob_solver_result_new(
    const char *id, void *data, void (*release)(void *data));
struct cob_solver_result *cob_solver_result_ref(struct cob_solver_result *result);
void cob_solver_result_unref(struct cob_solver_result *result);
COB_AUTOPTR(cob_solver_result, cob_solver_result_unref)

/* How a vertex is keyed. */
struct cob_solver_key {
    char *digest; /* of the op less its inputs; NULL: solve the vertex before its users' keys */
    uint64_t
        by_content; /* bit i: of input i it takes only files, and their digest may stand for it */
};

/* What the vertices of a graph mean. */
struct cob_solver_ops {
    void *arg;

    /* Says how a vertex is keyed. Does no I/O. */
    struct cob_error *(*key)(
        void *arg, const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key);

    /* Digests the files that a vertex takes from its input number `input`. */
    struct cob_error *(*content)(void *arg, const struct cob_llb_vertex *vertex, size_t input,
        struct cob_solver_result *from, struct cob_cancel *cancel, char **ret_digest);

    /* Runs a vertex. inputs: one a vertex input, borrowed; NULL is scratch.
     * ret_result: the caller's. */
    struct cob_error *(*run)(void *arg, const struct cob_llb_vertex *vertex,
        struct cob_solver_result *const *inputs, struct cob_cancel *cancel,
        struct cob_solver_result **ret_result);
};

/* What one execution leaves for later builds. */
struct cob_solver_record {
    const char *definition_key;
    const char *result_key; /* NULL: the vertex has no inputs that a result key could be made of */
    const char *name;       /* of the vertex */
    const json_t *ingredients; /* what the keys were made of, so that a miss can be explained */
    struct cob_solver_result *result;
};

/* What earlier builds did. */
struct cob_solver_index {
    void *arg;

    /* ret_result: the caller's; NULL when there is no such record. */
    struct cob_error *(*lookup)(void *arg, const char *key, struct cob_solver_result **ret_result);

    /* Keeps a record under both keys, in place of what was there. */
    struct cob_error *(*save)(void *arg, const struct cob_solver_record *record);

    /* Excludes others, in all processes, from running what has this key.
     * ret_lock: NULL when somebody else does so now. */
    struct cob_error *(*try_lock)(void *arg, const char *key, void **ret_lock);
    void (*unlock)(void *arg, void *lock);
};

/* A step as caches elsewhere know it. All borrowed. */
struct cob_solver_input {
    const char *content;   /* digest of the files that are taken from it; NULL: not known */
    const GArray *records; /* what match() found for the step that it comes from; NULL: nothing */
};
struct cob_solver_step {
    const char *op; /* digest, see struct cob_solver_key */
    const struct cob_solver_input *inputs;
    size_t n_inputs;
};

/* What others did, and keep elsewhere. match() and find() are called from one thread. */
struct cob_solver_elsewhere {
    void *arg;

    /* Finds all records of a step. What they are is for the table to know.
     * ret_records: the caller's; NULL when there is none. */
    struct cob_error *(*match)(void *arg, const struct cob_solver_step *step, GArray **ret_records);

    /* Finds a result that one of the records has.
     * ret_result:   the caller's; NULL when there is none.
     * ret_is_here:  it is a result as any other, and need not be fetched. */
    struct cob_error *(*find)(
        void *arg, const GArray *records, struct cob_solver_result **ret_result, bool *ret_is_here);

    /* Brings a result here.
     * ret_result: the caller's; NULL when it cannot be had, which find() knows from then on.
     * errors:     COB_CANCELLED, and what ends the build: this machine's own trouble. */
    struct cob_error *(*fetch)(void *arg, const struct cob_llb_vertex *vertex,
        struct cob_solver_result *there, struct cob_cancel *cancel,
        struct cob_solver_result **ret_result);
};

/* What became of a vertex. All borrowed for the call. */
struct cob_solver_outcome {
    const struct cob_llb_vertex *vertex;
    const char *op;              /* digest; NULL: it is read in every build */
    const char *definition_key;  /* NULL: as well, or not known when the build ended */
    const char *const *contents; /* one an input: digests of the files taken; NULL: not looked at */
    uint64_t by_content;         /* see struct cob_solver_key */
    const GArray *records;       /* what match() found */
    struct cob_solver_result *result; /* NULL: not asked for, not done well, or scratch */
    bool is_elsewhere;                /* result: it was never fetched */
};

/* An input of a vertex that is going to run, and what of it is in the vertex' keys. */
struct cob_solver_ingredient {
    const struct cob_llb_vertex *vertex; /* NULL: scratch */
    const char *definition;              /* its definition key; NULL: it has none */
    const char *content;                 /* the digest of the files taken from it; NULL: the whole
                                          * result counts */
    struct cob_solver_result *result;
    bool has_run; /* in this build; else it was found */
};

/* A vertex that no record was found for, or wanted. */
struct cob_solver_miss {
    const struct cob_llb_vertex *vertex;
    const char *op;                             /* the digest of the op itself */
    const char *definition_key;                 /* set, but not asked where is_tainted */
    const char *result_key;                     /* NULL: there is none */
    const struct cob_solver_ingredient *inputs; /* one a vertex input */
    size_t n_inputs;
    bool is_tainted; /* it stands on a vertex that ignores the cache, or is one */
};

/* Who wants to know why vertices run. All is borrowed for the call. It cannot fail a build. */
struct cob_solver_witness {
    void *arg;

    /* A vertex is about to run. Returns what is handed to `ran`. */
    void *(*missed)(void *arg, const struct cob_solver_miss *miss, struct cob_cancel *cancel);

    /* It ended.  note: of `missed`, taken. */
    void (*ran)(void *arg, void *note, bool is_well);
};

struct cob_solver_request {
    const struct cob_llb_graph *graph;
    const struct cob_solver_ops *ops;
    const struct cob_solver_index *index;
    const struct cob_observer *observer;
    const struct cob_solver_witness *witness; /* NULL: nobody */
    unsigned n_parallel; /* vertices at a time; 0: four a core, at least eight */
    const struct cob_solver_elsewhere *elsewhere; /* NULL: no such caches */

    /* Hears of all vertices in the graph's order when the work has ended, well or not. NULL: nobody
     * does. */
    void (*ended)(void *arg, const struct cob_solver_outcome *outcomes, size_t n_outcomes);
    void *ended_arg;
};

/*
 * Solve the graph's results, all at a time: what several of them need is solved once.
 *
 * A failing vertex stops the others; the error is the first one's, with the vertex's place in the
 * user's file.
 *
 * ret_results:  struct cob_solver_result, owned, one for each of the graph's; NULL where that is
 *               scratch. The caller's.
 * errors:       COB_CANCELLED when `cancel` was set; what the ops and the index say.
 */
COB_RESULT struct cob_error *cob_solver_solve(
    const struct cob_solver_request *request, struct cob_cancel *cancel, GPtrArray **ret_results);
