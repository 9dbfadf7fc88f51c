/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the engine share.
 *
 *     engine.c      the store opened, the parts made when they are needed
 *     build.c       a request through all its stations
 *     buildcache.c  --cache-from and --cache-to
 *     frontend.c    Dockerfile, .dockerignore and base images: bytes in, LLB out
 *     cacheindex.c  the solver's index: cache records in the database, locks in the store
 *     cachemounts.c cache mounts before a build, emptied, and after it, held to their quotas
 *     client.c      what ops ask of the user's side: directories and secrets
 *     explain.c     why steps run; explain_records.c what is kept for that
 *     record.c      what the history keeps of a request
 *     internal.c    steps that cob adds, shown as vertices: "[internal] load .dockerignore"
 *     runimage.c    cob run
 *     subrequest.c  what the frontend says of a Dockerfile, as JSON and as text
 */
#pragma once

#include "build/engine/engine.h"
#include "build/executor/executor.h"
#include "build/history/history.h"
#include "build/images/images.h"
#include "build/ops/ops.h"
#include "build/solver/solver.h"
#include "disk/cachemount/cachemount.h"
#include "lang/dockerfile/dockerfile.h"
#include "lang/ignore/ignore.h"
#include "spec/contextref/contextref.h"

struct cob_engine {
    struct cob_store *store;
    struct cob_registry *registry;
    struct cob_image_source *images;
    struct cob_remote_source *remotes;
    struct cob_executor *executor;           /* NULL until something runs */
    struct cob_cachemount_pool *cachemounts; /* likewise */
    struct cob_history_limits history_limits;
};

/* The executor and the pool of cache mounts, made at the first call. Borrowed. */
COB_RESULT struct cob_error *cob_engine_executor(
    struct cob_engine *engine, struct cob_executor **ret_executor);
COB_RESULT struct cob_error *cob_engine_cachemounts(
    struct cob_engine *engine, struct cob_cachemount_pool **ret_pool);

/* --- attests.c --- */

/* Is no attestation asked for?  errors: COB_UNIMPLEMENTED, COB_INVALID. */
COB_RESULT struct cob_error *cob_engine_check_attests(const struct cob_engine_request *request);

/* --- build_args.c --- */

/* The value of a build argument, from the environment where the request says so; NULL: not given.
 * Borrowed. */
const char *cob_engine_build_arg(const struct cob_engine_request *request, const char *name);

/* The same, NULL for an empty one, too. */
const char *cob_engine_build_arg_set(const struct cob_engine_request *request, const char *name);

/* Is it given as true, in Go's words? */
bool cob_engine_is_asked(const struct cob_engine_request *request, const char *name);

/* Has the result the form of several platforms?  errors: COB_INVALID: BUILDKIT_MULTI_PLATFORM says
 * something else than the platforms, or nothing. */
COB_RESULT struct cob_error *cob_engine_multi_platform(
    const struct cob_engine_request *request, size_t n_platforms, bool *ret);

/* Refuse arguments for what is gone. */
COB_RESULT struct cob_error *cob_engine_check_build_args(const struct cob_engine_request *request);

/* --- internal.c --- */

/* A step of cob's own, on show while it lasts. */
struct internal_step {
    const struct cob_observer *observer;
    char *digest, *name;
    int64_t started_us;
};
struct internal_step cob_engine_step_begin(const struct cob_observer *observer, const char *name);

/* How much of what a step reads. */
void cob_engine_step_status(const struct internal_step *step, const char *id, uint64_t n_bytes);

/* Ends it, well or with `err`, which is handed through. */
COB_RESULT struct cob_error *cob_engine_step_end(struct internal_step *step, struct cob_error *err);

/* --- contexts.c --- */

/* A tree that steps copy from, open. */
struct context_tree {
    char *name;                       /* "context"; of a named one, as "local:NAME" has it */
    int dir_fd;                       /* -1: none yet */
    struct cob_snapshot *snapshot;    /* where it lies; NULL: in a directory of the user's, */
    struct cob_snapshot_draft *draft; /* or in one that is dropped afterwards */
    struct cob_ignore *ignore;        /* NULL: nothing is left out */
    bool keeps_owners;                /* they are an archive's */
};

/* All trees of a build, and where its Dockerfile is. */
struct contexts {
    GPtrArray *trees;   /* struct context_tree, owned; the build context first */
    GHashTable *named;  /* key -> specifier, as the frontend wants them, owned */
    GBytes *dockerfile; /* NULL: it is a file */
    int file_dir_fd;    /* the directory that has it; -1: the build context */
    char *file_name;    /* in there */
    char *file_path;    /* for people */
    bool is_ignore_read;
    bool is_one_file; /* the build context is a file by URL, of the name that is here: */
#define COB_ENGINE_ONE_FILE "context"
    int64_t time_s; /* of a remote build context; 0: not known */
};

struct frontend_call;

/* Open them; what is on other servers is fetched, unless it is here.
 * contexts: for cob_engine_contexts_close() in any case.
 * errors:   those that the user made begin as buildx has them, others with "failed to solve". */
COB_RESULT struct cob_error *cob_engine_contexts_open(
    const struct frontend_call *call, struct contexts *contexts);
void cob_engine_contexts_close(struct contexts *contexts);

/* The build context, or a named one; NULL: there is none of that name. Borrowed. */
struct context_tree *cob_engine_contexts_find(const struct contexts *contexts, const char *name);

/* Read the Dockerfile. */
COB_RESULT struct cob_error *cob_engine_contexts_dockerfile(
    const struct contexts *contexts, GBytes **ret_bytes);

/* Is the build context none of the user's directories? Then nothing in it is left out, whatever
 * its ".dockerignore" says: that is for what a client sends, and this is there already.
 * spec: BuildKit frontend/dockerui/config.go, MainContext and DockerIgnorePatterns. */
bool cob_engine_contexts_is_remote(const struct contexts *contexts);

/* Read "<Dockerfile>.dockerignore" beside it, else ".dockerignore" of the build context.
 * ret_file: the caller's; NULL: neither is there. */
COB_RESULT struct cob_error *cob_engine_contexts_ignore(
    const struct contexts *contexts, struct cob_srcfile **ret_file);

/* --- context_epoch.c --- */

/* SOURCE_DATE_EPOCH. */
struct epoch {
    bool is_set;
    int64_t time_s;
    char text[24]; /* the number; "": it is not set */
};

/* Find out which time the build argument, or a global ARG, means, and put the number in the place
 * of both.  ret_epoch: wish borrows from it. */
COB_RESULT struct cob_error *cob_engine_epoch(const struct frontend_call *call,
    const struct cob_dockerfile *dockerfile, struct cob_dockerfile_request *wish,
    struct epoch *ret_epoch);

/* --- context_main.c --- */

/* Add an empty tree, to be filled.  Returns it, borrowed. */
struct context_tree *cob_engine_contexts_add(struct contexts *contexts, const char *name);

/* Open the build context, whatever it is. */
COB_RESULT struct cob_error *cob_engine_contexts_open_main(
    const struct frontend_call *call, struct contexts *contexts);

/* A Dockerfile by its URL. */
COB_RESULT struct cob_error *cob_engine_contexts_get_dockerfile(
    const struct frontend_call *call, const char *url, GBytes **ret_bytes);

/* --- frontend.c --- */

/* What asks the frontend. */
struct frontend_call {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
    struct contexts *contexts; /* open */
    GHashTable *agents;        /* of cob_engine_agents(); NULL: none */
};

/* What is built for one platform. */
struct frontend_target {
    char *platform; /* "linux/amd64" */
    struct cob_dockerfile_result result;
};

/* What the frontend made of a request. */
struct frontend {
    struct cob_srcfile *file;
    struct cob_dockerfile *dockerfile;
    GArray *targets;        /* struct frontend_target, owned: one a platform, each once */
    bool is_multi_platform; /* several, or one that is to look like it: BUILDKIT_MULTI_PLATFORM */
    GPtrArray *warnings;    /* struct cob_dockerfile_warning *, owned */
    struct epoch epoch;     /* SOURCE_DATE_EPOCH */
};
COB_RESULT struct cob_error *cob_engine_frontend(
    const struct frontend_call *call, struct frontend *ret_frontend);

/* The same without a result: up to what answers a question.
 * ret_outline: of COB_ENGINE_OUTLINE.
 * ret_error:   of COB_ENGINE_LINT: what is wrong with the Dockerfile; the caller's. */
COB_RESULT struct cob_error *cob_engine_frontend_ask(const struct frontend_call *call,
    enum cob_engine_method method, struct frontend *ret_frontend,
    struct cob_dockerfile_outline *ret_outline, struct cob_error **ret_error);
void cob_engine_frontend_done(struct frontend *frontend);

/* The platform of this machine. The caller frees it. */
char *cob_engine_host_platform(void);

/* What a user calls a platform ("arm64", "linux/arm64/v8"), as it is normally written.
 * text: NULL: this machine's. ret_platform: the caller's. */
COB_RESULT struct cob_error *cob_engine_platform(const char *text, char **ret_platform);

/* --- subrequest.c, subrequest_table.c --- */

/* A question as BuildKit describes it. */
struct subrequest {
    const char *name, *version, *description;
    bool has_opts;          /* a list of them, maybe empty, and not null */
    const char *option[2];  /* the one that it has, and what that means; NULL: none */
    const char *results[4]; /* the names of what it answers with, then NULL */
};
extern const struct subrequest cob_engine_subrequests[]; /* by enum cob_engine_method */

/* Answer COB_ENGINE_DESCRIBE. */
void cob_engine_describe(struct cob_engine_answer *answer);

/* Append rows of cells as Go's tabwriter lays them out: all but the last as wide as the widest of
 * its column and a gap.  cells: char *, n_columns for each row. */
void cob_engine_append_table(GString *out, const GPtrArray *cells, guint n_columns, size_t gap);

/* --- cacheindex.c --- */

/* What an index gave out in one build, so that its uses are recorded once, at the end. */
struct uses {
    struct cob_store *store; /* borrowed */
    GMutex lock;             /* guards ids */
    GHashTable *ids;         /* of snapshots, owned */
};
void cob_engine_uses_init(struct uses *uses, struct cob_store *store);
void cob_engine_uses_done(struct uses *uses);

/* Record them, in one transaction. */
COB_RESULT struct cob_error *cob_engine_uses_save(struct uses *uses);

/* The index over a store; `uses` is borrowed as long as it is used. */
struct cob_solver_index cob_engine_index(struct uses *uses);

/* --- cachemounts.c --- */

/* Empty the cache mounts that the request says, of those that steps of the graph name.
 * errors: COB_INVALID: no step names it, with those that there are. */
COB_RESULT struct cob_error *cob_engine_empty_cachemounts(struct cob_cachemount_pool *pool,
    const struct cob_engine_request *request, const struct cob_llb_graph *graph,
    const struct cob_observer *observer, struct cob_cancel *cancel);

/* Measure what was used, and warn of what is above its quota. */
COB_RESULT struct cob_error *cob_engine_settle_cachemounts(
    struct cob_cachemount_pool *pool, const struct cob_observer *observer);

/* --- client.c --- */

/* The user's side of a build; all borrowed. */
struct client {
    const struct cob_engine_request *request;
    const struct contexts *contexts; /* NULL: not open yet */
    GHashTable *agents;              /* of cob_engine_agents(); NULL: none */
};
struct cob_ops_client cob_engine_client(struct client *client);

/* The same for what is fetched before the build.
 * vertex: digest; borrowed. */
struct cob_remote_client cob_engine_remote_client(
    struct client *client, const struct cob_observer *observer, const char *vertex);

/* The ssh agents that a request names. The last of an id counts.
 * ret_agents: id -> struct cob_sshagent, owned; the caller unrefs it. */
COB_RESULT struct cob_error *cob_engine_agents(
    const struct cob_engine_request *request, struct cob_cancel *cancel, GHashTable **ret_agents);

/* --- runimage.c --- */

/* What the name of a network means; NULL is "default".
 * errors: COB_INVALID for another name than default, host and none. */
COB_RESULT struct cob_error *cob_engine_network(
    const char *name, enum cob_executor_network *ret_network);
