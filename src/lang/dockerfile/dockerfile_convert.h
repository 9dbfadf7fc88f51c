/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan on its way to LLB: node by node, step by step. Each step adds to the image config and its
 * history, and those that change files add a vertex.
 */
#pragma once

#include "lang/dockerfile/dockerfile_outline.h"
#include "lang/dockerfile/dockerfile_plan.h"
#include "lang/llb/llb.h"
#include "spec/oci/oci.h"

/* A base image, asked for once. */
struct dockerfile_base {
    char *digest;                  /* NULL: unknown */
    struct cob_oci_config *config; /* as it came */
    bool is_unknown;               /* nobody could say what it is: it is taken for empty */
};

/* A node and what its steps made of it so far. */
struct dockerfile_build {
    const struct dockerfile_node *node;
    bool is_done;
    struct cob_llb_ref root;
    bool is_tree; /* root is a tree of the client's, that no step can stand on */
    struct cob_oci_config *config;
    const struct cob_platform *platform; /* borrowed */
    struct dockerfile_vars *vars;        /* ENV and ARG, as steps see them */
    GPtrArray *args;                     /* char *: names of ARGs, in order, each once */
    struct dockerfile_vars *unseen;      /* of those that no step sees: for the history alone */
    bool has_cmd;                        /* CMD stands in this stage */
    unsigned n_numbered;                 /* steps named so far */
    bool is_base_unknown;                /* of an image that could not be asked for */
    bool has_cached_lists;               /* of packages, by an automatic mount: auto_mounts.c */
    struct dockerfile_lint_stage lint;
    GPtrArray *inputs; /* struct dockerfile_found *, owned; NULL: nobody wants them */
};

struct dockerfile_convert {
    const struct dockerfile_plan *plan;
    const struct cob_image_resolver *resolver;
    GHashTable *bases;        /* "ref platform" -> struct dockerfile_base, owned */
    GHashTable *context_used; /* char *: absolute paths that steps take from the context */
    GHashTable *local_used;   /* the same for each named local one: name -> GHashTable, owned */
    struct cob_llb_builder *builder;
    struct cob_llb_ref context;
    struct dockerfile_build *builds; /* one for each node */
    size_t spent_bytes;              /* of what expansion and environments made */
    struct cob_error *unresolved;    /* the first image that could not be asked for, in a check */
    bool is_outline;                 /* what steps use is noted in builds' inputs */
    GPtrArray
        *taken; /* by node, GPtrArray of char *: what others take of it; NULL: not asked yet */
};

/* One step of one node. */
struct dockerfile_job {
    struct dockerfile_convert *convert;
    struct dockerfile_build *build;
    const struct dockerfile_step *step;
    const struct dockerfile_instruction *instruction;
};

/* What each kind of instruction does. */
struct cob_error *dockerfile_convert_config(struct dockerfile_job *job);
struct cob_error *dockerfile_convert_copy(struct dockerfile_job *job);
struct cob_error *dockerfile_convert_expose(struct dockerfile_job *job);
struct cob_error *dockerfile_convert_run(struct dockerfile_job *job);
struct cob_error *dockerfile_convert_workdir(struct dockerfile_job *job);

/* Expand in the environment of the step. */
COB_RESULT struct cob_error *dockerfile_job_expand(
    struct dockerfile_job *job, const char *text, char **ret_text);

/* Hold what a conversion makes to a sum, since a small file can make much. */
COB_RESULT struct cob_error *dockerfile_spend(struct dockerfile_convert *convert, size_t bytes);

/* The node that a step takes files from, which must be converted by now.
 * errors: unplaced; the text is the caller's to give, by `fmt`. */
bool dockerfile_is_done(
    const struct dockerfile_convert *convert, const struct dockerfile_node *node);

/* The root file system of a converted node. */
struct cob_llb_ref dockerfile_root_of(
    const struct dockerfile_convert *convert, const struct dockerfile_node *node);

/* Add a line to the history. text: taken. */
void dockerfile_add_history(struct dockerfile_build *build, char *text, bool is_empty_layer);

/* The command line of a RUN, CMD or ENTRYPOINT: with the shell before it, unless it is JSON.
 * line: in place of the words; NULL: the words. The caller frees it with g_strfreev(). */
char **dockerfile_command_line(const struct dockerfile_build *build,
    const struct dockerfile_command *command, const char *line);

/* "[builder 2/6] RUN ..." of a text; counts the step. The caller frees it. */
char *dockerfile_step_name(struct dockerfile_job *job, const char *text);

/* The same for the FROM of a node. */
char *dockerfile_from_name(
    const struct dockerfile_convert *convert, struct dockerfile_build *build, const char *ref);

/* Variables expanded and the first word in upper case, for names. The caller frees it.
 * flags: of dockerfile_expand().  masked: names that show as ****; NULL: none. */
char *dockerfile_shown_text(
    struct dockerfile_job *job, const char *text, unsigned flags, const char *const *masked);

/* The step as progress and errors have it: its name, its lines, and whether it uses the cache. */
struct cob_llb_about dockerfile_about(const struct dockerfile_job *job, const char *name);

/* The platform as LLB has it; borrowed from it. */
struct cob_llb_platform dockerfile_llb_platform(const struct cob_platform *platform);

/* Is it an argument for a scan of packages? No step sees those. */
bool dockerfile_is_scan_arg(const char *name);

/* A path without "." and "..", from the root. The caller frees it. */
char *dockerfile_clean_path(const char *path);

/* A path that is relative to a directory, made absolute; "/" and "/." at its end stay when
 * `keeps_slash`. The caller frees it. */
char *dockerfile_join_path(const char *dir, const char *path, bool keeps_slash);

/* The mounts of a RUN, its root with them.
 * arena: gets what they borrow.  ret_mounts: of struct cob_llb_mount. */
COB_RESULT struct cob_error *dockerfile_convert_mounts(
    struct dockerfile_job *job, GPtrArray *arena, GArray **ret_mounts, GPtrArray **ret_masked);

/* The id of a cache mount on the wire, its namespace with it. The caller frees it. */
char *dockerfile_cache_id(const struct cob_dockerfile_request *request, const char *id);

/* Add the cache mounts that a RUN is to get by itself, or suggest them: docs/automatic-mounts.md.
 * script: what its shell reads; NULL: the instruction's words are the command.
 * mounts: those that it has already; arena: gets what the new ones borrow. */
void dockerfile_auto_mounts(
    struct dockerfile_job *job, const char *script, GPtrArray *arena, GArray *mounts);

/* Lay words into a sorted list without doubles, many at a time. words: left empty. */
void dockerfile_merge_sorted(GPtrArray **list, GPtrArray *words);

/* Paths that steps take, as JSON; NULL when one of them takes everything, or there is none. */
char *dockerfile_follow_paths(GHashTable *used);

/* Note that a step takes this path from the context. */
void dockerfile_use_context(struct dockerfile_convert *convert, const char *path);

/* In a check, an image that cannot be asked for is noted, and taken for empty.
 * err: taken; NULL: nothing is to be done. */
COB_RESULT struct cob_error *dockerfile_forgive_unresolved(
    struct dockerfile_convert *convert, struct cob_error *err, struct dockerfile_base **ret_base);

/* Ask for the images that the target's stages begin with, and note their ONBUILD triggers in a
 * table for dockerfile_plan_new(), which borrows them from the convert.
 * ret_is_new: some were not known to this plan, which must be made again. */
COB_RESULT struct cob_error *dockerfile_learn_triggers(
    struct dockerfile_convert *convert, GHashTable *triggers, bool *ret_is_new);

/* Start a node: with its base's file system, config and variables. */
COB_RESULT struct cob_error *dockerfile_build_start(
    struct dockerfile_convert *convert, struct dockerfile_build *build);
void dockerfile_build_done(struct dockerfile_build *build);
void dockerfile_base_free(void *base);
