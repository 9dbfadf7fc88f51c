/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the solver stand on: graphs as tables of nodes, ops that only note what they
 * are asked, and an index in memory that all solves of a world share.
 */
#pragma once

#include <glib.h>

#include "build/solver/solver.h"

struct world;

enum node_flags {
    NODE_KEYLESS = 1 << 0,
    NODE_BY_CONTENT = 1 << 1, /* of its last input it takes only files */
    NODE_NO_CACHE = 1 << 2,
    NODE_LATE_CONTENT = 1 << 3, /* what it takes is digested after another node's */
};

/* A vertex. Rows end with a NULL name; the last one is the result. */
struct node {
    const char *name;
    const char *inputs;  /* numbers of rows, one digit each; "-" is scratch; NULL: none */
    const char *version; /* part of its key; NULL: "1" */
    const char *files;   /* what is in its result; NULL: something new in every run */
    unsigned flags;
    struct cob_error *(*run)(struct world *world, struct cob_cancel *cancel); /* NULL: succeeds */
};

/* What was told of a vertex. */
struct told {
    int n_started, n_ended, n_cached;
    char *error; /* NULL: none */
};

struct world {
    GMutex lock;         /* guards everything below */
    GCond news;          /* something below changed */
    GHashTable *records; /* key -> struct cob_solver_result, owned */
    GHashTable *locks;   /* keys */
    GHashTable *runs;    /* name -> count */
    GHashTable *told;    /* name -> struct told, owned */
    GString *order;      /* names in the order of their ends, each with a blank behind */
    int n_results;       /* of all runs: results differ by it */
    int n_refused_locks;
    int n_inside; /* a test's own: nodes that are running */
    int n_lookups;
    int n_digested; /* contents, of all nodes */
    bool is_index_broken;
    const struct cob_solver_elsewhere *elsewhere; /* NULL: none */
    void (*ended)(void *arg, const struct cob_solver_outcome *outcomes, size_t n_outcomes);
    void *ended_arg;
};
void world_init(struct world *world);
void world_done(struct world *world);

/* Solve a table of nodes.  n_parallel: 0: the solver's own choice. */
COB_RESULT struct cob_error *world_try(
    struct world *world, const struct node *nodes, unsigned n_parallel, struct cob_cancel *cancel);

/* The same, forgetting before what was told and run; it must succeed. Returns the names of what
 * was run, sorted, with blanks between; the caller frees it. */
char *world_solve(struct world *world, const struct node *nodes);

/* What was told of a node since; never NULL. */
const struct told *world_told(struct world *world, const char *name);
int world_runs(struct world *world, const char *name);

/* Wait until a counter of the world is at least n; false after half a minute. */
bool world_wait(struct world *world, const int *counter, int n);
void world_add(struct world *world, int *counter);

/* A graph by hand, for a test that is too large for a table. inputs: numbers of vertices. */
struct cob_llb_graph *world_graph(const struct node *nodes, size_t n);
void world_graph_free(struct cob_llb_graph *graph);
void world_link(struct cob_llb_graph *graph, size_t vertex, int input);
COB_RESULT struct cob_error *world_try_graph(struct world *world, const struct cob_llb_graph *graph,
    const struct node *nodes, unsigned n_parallel, struct cob_cancel *cancel);
