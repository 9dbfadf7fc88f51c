/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops: what the vertices of a build graph mean on this machine. The solver calls them through its
 * table; what they give are snapshots, or, for a build context, the tree that it is.
 *
 *     docker-image://   a pulled or built image's top snapshot     keyed by its digest
 *     oci-layout://     likewise, from a directory                 likewise
 *     local://          the user's directory, walked, not copied   no key: read in every build
 *     https://, git://  a snapshot of the file or the checkout     no key, unless it is pinned
 *     exec              a draft over the root, mounted, run in a sandbox, committed
 *     file              a draft over the base, changed, committed
 *
 * threads:  the solver's: any number of vertices at a time.
 * spec:     BuildKit solver/llbsolver/ops/{exec,file,source}.go.
 */
#pragma once

#include "build/context/context.h"
#include "build/executor/executor.h"
#include "build/images/images.h"
#include "build/remote/remote.h"
#include "build/solver/solver.h"
#include "build/sshagent/sshagent.h"
#include "disk/cachemount/cachemount.h"
#include "disk/snapshot/snapshot.h"

/* A tree of the client's. */
struct cob_ops_local {
    int dir_fd;                      /* a new descriptor, the caller's */
    const struct cob_ignore *ignore; /* borrowed; NULL for none */
    bool keeps_owners;               /* else all belongs to root */
    bool is_transient;               /* it will never be seen again: nothing of it is noted */
};

/* What ops ask of the one who builds: files and secrets of the client. Each function may be called
 * from any thread. */
struct cob_ops_client {
    void *arg;

    /* A local source: "context", or of another name. */
    struct cob_error *(*open_local)(void *arg, const char *name, struct cob_ops_local *ret_local);

    /* ret_secret: the caller's; NULL when there is no such secret. */
    struct cob_error *(*get_secret)(void *arg, const char *id, GBytes **ret_secret);

    /* The ssh agent of an id, borrowed until the ops are freed; NULL: there is none. The function
     * may be NULL: there are none at all. */
    struct cob_sshagent *(*find_ssh)(void *arg, const char *id);
};

/* All borrowed until cob_ops_free(). */
struct cob_ops_config {
    struct cob_store *store;
    struct cob_executor *executor;
    struct cob_image_source *images;
    struct cob_remote_source *remotes;
    struct cob_cachemount_pool *cachemounts;
    const struct cob_observer *observer;
    const struct cob_ops_client *client;
    bool is_host_network_allowed; /* --allow network.host */
    bool is_insecure_allowed;     /* --allow security.insecure */
    const char *build_name;       /* for those who wait for a cache mount that this build holds */
    const char *project;          /* what a cache mount remembers of who used it; NULL: nothing */
};

/* May all steps of a graph have what they want? Whoever gets more than the sandbox is told of in a
 * warning. To be asked before anything is done, since a step that is cached is never run.
 * errors: COB_DENIED, at the step's line. */
COB_RESULT struct cob_error *cob_ops_check_graph(
    const struct cob_ops_config *config, const struct cob_llb_graph *graph);

/* A cache mount that steps name. */
struct cob_ops_cache_id {
    char *namespace, *id;
};

/* Those of all steps of a graph, each once, in order.
 * Returns GPtrArray of struct cob_ops_cache_id, owned; the caller's. */
GPtrArray *cob_ops_cache_ids(const struct cob_llb_graph *graph);

struct cob_ops;

/* config: copied. No result of these ops may be left when they are freed. */
struct cob_ops *cob_ops_new(const struct cob_ops_config *config);
void cob_ops_free(struct cob_ops *ops);
COB_AUTOPTR(cob_ops, cob_ops_free)

/* The build has ended, well or not: keep what was learned of files for the next one. */
COB_RESULT struct cob_error *cob_ops_finish(struct cob_ops *ops);

/* For cob_solver_solve(). Borrowed. */
const struct cob_solver_ops *cob_ops_table(const struct cob_ops *ops);

/* The list of the files that a vertex takes from its input number `input`, in the form that
 * build/why has for them, after they were digested for its key.
 * content: what that gave.  ret_list: the caller's; NULL: there are too many. */
COB_RESULT struct cob_error *cob_ops_files(struct cob_ops *ops, const struct cob_llb_vertex *vertex,
    size_t input, struct cob_solver_result *from, const char *content, GBytes **ret_list);

/* A snapshot as a result of the solver, by its identity; and back: NULL for what is none. The first
 * takes a reference, the second lends one. */
struct cob_solver_result *cob_ops_result_of(struct cob_snapshot *snapshot);
struct cob_snapshot *cob_ops_snapshot_of(const struct cob_solver_result *result);
