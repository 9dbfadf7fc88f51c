/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stages and images a target needs, before any of them is converted.
 *
 * A node is a stage, or an image that a COPY --from or a mount names. Nodes are in the order of the
 * file, images after the stages; a node is converted before the next, and may use only those that
 * are converted.
 */
#pragma once

#include "lang/dockerfile/dockerfile_instructions.h"
#include "lang/dockerfile/dockerfile_lint.h"
#include "spec/ref/ref.h"

/* Names and values in the order in which they were last set: what ENV and ARG make. */
struct dockerfile_vars {
    GHashTable *by_name; /* name, borrowed -> GList * in order */
    GQueue order;        /* struct dockerfile_pair *, owned */
    size_t n_bytes;      /* what a copy of it costs */
};

/* An empty list; a copy; the end of either. */
struct dockerfile_vars *dockerfile_vars_new(void);
struct dockerfile_vars *dockerfile_vars_copy(const struct dockerfile_vars *vars);
void dockerfile_vars_free(struct dockerfile_vars *vars);
COB_AUTOPTR(dockerfile_vars, dockerfile_vars_free)

/* Set a variable, which goes to the end; take one away; look one up, NULL: it is not there. */
void dockerfile_vars_set(struct dockerfile_vars *vars, const char *name, const char *value);
void dockerfile_vars_unset(struct dockerfile_vars *vars, const char *name);
const char *dockerfile_vars_get(const struct dockerfile_vars *vars, const char *name);
struct dockerfile_env dockerfile_vars_env(const struct dockerfile_vars *vars);

/* "NAME=value" of each, NULL-terminated. The caller frees it with g_strfreev(). */
char **dockerfile_vars_list(const struct dockerfile_vars *vars);

struct dockerfile_node;
struct dockerfile_context; /* dockerfile_contexts.h */

struct dockerfile_need { /* a node that another one needs */
    struct dockerfile_node *node;
    struct cob_range range; /* where it says so */
};

/* An instruction of a stage with the nodes it takes files from. */
struct dockerfile_step {
    const struct dockerfile_instruction *instruction;
    GPtrArray *sources; /* struct dockerfile_node *, borrowed: one for COPY --from, one for each
                         * mount of RUN; NULL within: the build context, or nothing */
};

struct dockerfile_node {
    size_t index;
    const struct dockerfile_stage *stage; /* NULL: an image */
    char *name;                           /* "builder", "stage-1"; "": the only stage */
    char *base_name;                      /* expanded */
    struct dockerfile_node *base;         /* an earlier stage; NULL: an image, or scratch */
    bool is_scratch;
    struct dockerfile_context *context; /* what stands in for it, owned; NULL: nothing does */
    bool is_replaced;                   /* all of the stage: no step of it counts */
    struct cob_platform *platform;      /* of --platform; NULL: not said */
    struct cob_range range;
    GPtrArray *triggers; /* struct dockerfile_instruction *, owned: of the base's ONBUILD */
    GPtrArray *steps;    /* struct dockerfile_step *, owned: the triggers, then the stage's own */
    GArray *needs;       /* struct dockerfile_need */
    bool is_reachable;
    bool is_ignoring_cache;
    unsigned n_numbered; /* steps that progress counts, FROM with them */
};

struct dockerfile_plan {
    const struct cob_dockerfile *dockerfile;
    const struct cob_dockerfile_request *request;
    struct cob_platform *build_platform, *target_platform;
    struct dockerfile_lint *lint;
    struct dockerfile_vars *global_args;
    GHashTable *declared; /* names of ARGs before the first FROM, borrowed */
    GHashTable *triggers; /* borrowed, while the plan is made: see dockerfile_plan_new() */
    unsigned n_triggers;  /* of all nodes */
    GPtrArray *nodes;     /* struct dockerfile_node *, owned */
    GHashTable *stages;   /* name in lower case, borrowed -> node, borrowed */
    struct dockerfile_node *target;
};

/*
 * Plan a build.
 *
 * triggers:  index of a stage -> char **, the ONBUILD triggers of the image that it begins with;
 *            borrowed. NULL: none is known yet.
 * errors:    at their lines: unknown stages, cycles, what FROM cannot be.
 */
COB_RESULT struct cob_error *dockerfile_plan_new(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, GHashTable *triggers,
    struct dockerfile_plan **ret_plan);
void dockerfile_plan_free(struct dockerfile_plan *plan);
COB_AUTOPTR(dockerfile_plan, dockerfile_plan_free)

/* The global arguments as they are for a request.  errors: at the ARG. */
COB_RESULT struct cob_error *dockerfile_plan_globals(const struct dockerfile_plan *plan,
    const struct cob_dockerfile_request *request, struct dockerfile_vars **ret_vars);

/* Tie the steps to the nodes that they take files from, refuse loops, and mark what the target
 * needs. */
COB_RESULT struct cob_error *dockerfile_plan_tie(struct dockerfile_plan *plan);

/* A new node at the end of the plan. base_name: taken. */
struct dockerfile_node *dockerfile_plan_add(struct dockerfile_plan *plan,
    const struct dockerfile_stage *stage, char *base_name, struct cob_range range);

/* Does progress give the step a number? */
bool dockerfile_is_numbered(const struct dockerfile_instruction *instruction);

/* A stage by its name, in any case, or NULL. Of two that have it the later one. */
struct dockerfile_node *dockerfile_plan_find(const struct dockerfile_plan *plan, const char *name);

/* The names of all stages, NULL-terminated, for suggestions. Free the array alone. */
const char **dockerfile_plan_names(const struct dockerfile_plan *plan);

/* Does a node begin with an image? Else with a stage, a tree, or nothing. */
bool dockerfile_node_is_image(const struct dockerfile_node *node);

/* The image that a node begins with.
 * ret_ref: normalized. ret_platform: borrowed. */
COB_RESULT struct cob_error *dockerfile_node_image(const struct dockerfile_plan *plan,
    const struct dockerfile_node *node, char **ret_ref, const struct cob_platform **ret_platform);

/* The value of a build argument of the request, NULL when it is not there. */
const char *dockerfile_build_arg(const struct cob_dockerfile_request *request, const char *name);
