/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the engine share.
 *
 *     engine.c      the store opened, the parts made when they are needed
 *     build.c       a request through all its stations
 *     frontend.c    Dockerfile, .dockerignore and base images: bytes in, LLB out
 *     cacheindex.c  the solver's index: cache records in the database, locks in the store
 *     client.c      what ops ask of the user's side: directories and secrets
 *     internal.c    steps that cob adds, shown as vertices: "[internal] load .dockerignore"
 *     runimage.c    cob run
 *     subrequest.c  what the frontend says of a Dockerfile, as JSON and as text
 */
#pragma once

#include "build/engine/engine.h"
#include "build/executor/executor.h"
#include "build/images/images.h"
#include "build/ops/ops.h"
#include "build/solver/solver.h"
#include "disk/cachemount/cachemount.h"
#include "lang/dockerfile/dockerfile.h"
#include "lang/ignore/ignore.h"

struct cob_engine {
    struct cob_store *store;
    struct cob_registry *registry;
    struct cob_image_source *images;
    struct cob_remote_source *remotes;
    struct cob_executor *executor;           /* NULL until something runs */
    struct cob_cachemount_pool *cachemounts; /* likewise */
};

/* The executor and the pool of cache mounts, made at the first call. Borrowed. */
COB_RESULT struct cob_error *cob_engine_executor(
    struct cob_engine *engine, struct cob_executor **ret_executor);
COB_RESULT struct cob_error *cob_engine_cachemounts(
    struct cob_engine *engine, struct cob_cachemount_pool **ret_pool);

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

/* --- frontend.c --- */

/* What asks the frontend. */
struct frontend_call {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
};

/* What the frontend made of a request. */
struct frontend {
    struct cob_srcfile *file;
    struct cob_dockerfile *dockerfile;
    struct cob_ignore *ignore; /* NULL: no such file */
    struct cob_dockerfile_result result;
    char *platform;      /* "linux/amd64": the target's */
    GPtrArray *warnings; /* struct cob_dockerfile_warning *, owned */
    bool has_epoch;      /* SOURCE_DATE_EPOCH is given: */
    int64_t epoch_s;
};
COB_RESULT struct cob_error *cob_engine_frontend(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, struct frontend *ret_frontend);

/* The same without a result: up to what answers a question.
 * ret_outline: of COB_ENGINE_OUTLINE.
 * ret_error:   of COB_ENGINE_LINT: what is wrong with the Dockerfile; the caller's. */
COB_RESULT struct cob_error *cob_engine_frontend_ask(const struct frontend_call *call,
    enum cob_engine_method method, struct frontend *ret_frontend,
    struct cob_dockerfile_outline *ret_outline, struct cob_error **ret_error);
void cob_engine_frontend_done(struct frontend *frontend);

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

/* --- client.c --- */

/* The user's side of a build; all borrowed. */
struct client {
    const struct cob_engine_request *request;
    const struct cob_ignore *ignore;
    GHashTable *agents; /* of cob_engine_agents() */
};
struct cob_ops_client cob_engine_client(struct client *client);

/* The ssh agents that a request names. The last of an id counts.
 * ret_agents: id -> struct cob_sshagent, owned; the caller unrefs it. */
COB_RESULT struct cob_error *cob_engine_agents(
    const struct cob_engine_request *request, struct cob_cancel *cancel, GHashTable **ret_agents);

/* --- runimage.c --- */

/* What the name of a network means; NULL is "default".
 * errors: COB_INVALID for another name than default, host and none. */
COB_RESULT struct cob_error *cob_engine_network(
    const char *name, enum cob_executor_network *ret_network);
