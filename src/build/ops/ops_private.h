/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of ops share.
 *
 *     ops.c         the table, results, which kind goes where
 *     op_key.c      how each kind is keyed, and the content that it takes from its inputs
 *     op_files.c    the same content as a list, to tell what changed in it
 *     op_source.c   images and the context
 *     op_exec.c     RUN; op_mounts.c its mounts, op_cache.c its cache mounts and who waits for
 *                   them, op_cache_auto.c those that nobody wrote
 *     entitlements.c  who may have more than the sandbox
 *     op_ssh.c      the ssh agents of a RUN
 *     op_file.c     COPY, ADD, WORKDIR, heredocs; copy_tree.c how a tree is copied into a layer,
 *                   file_mode.c --chmod, file_owner.c --chown
 *     op_merge.c    COPY --link
 */
#pragma once

#include "build/ops/ops.h"
#include "build/rootfs/rootfs.h"

/* A build context that is open; its stat cache is saved when the build ends. */
struct open_context {
    char *root; /* its key in the database */
    struct cob_context *context;
};

/* A copy of a part of a context, for steps to bind. */
struct bound_tree {
    const struct cob_context *context;
    size_t index;
    struct cob_snapshot_draft *draft; /* has it as BOUND_NAME */
};
#define BOUND_NAME "bound"
void cob_ops_bound_tree_free(struct bound_tree *bound);
COB_AUTOPTR(bound_tree, cob_ops_bound_tree_free)

struct cob_ops {
    struct cob_ops_config config;
    struct cob_solver_ops table;
    GMutex lock;       /* guards contexts */
    GArray *contexts;  /* struct open_context, owned */
    GMutex bound_lock; /* guards bound, also while a copy is made */
    GPtrArray *bound;  /* struct bound_tree, owned: what steps bind of contexts, read-only */
    GMutex lists_lock; /* guards lists */
    GHashTable *lists; /* content digest -> GBytes or NULL, owned: of trees that are mounted only
                        * while they are digested */
};

/* A vertex that is being run. */
struct op_run {
    struct cob_ops *ops;
    const struct cob_llb_vertex *vertex;
    struct cob_solver_result *const *inputs; /* one an input; borrowed */
    struct cob_cancel *cancel;
};

/* "linux/arm64"; NULL: the op says none. The caller frees it. */
char *cob_ops_platform(const Pb__Op *op);

/* --- ops.c --- */

/* Of the result of a local source; NULL for others. Borrowed. */
struct cob_context *cob_ops_context_of(const struct cob_solver_result *result);

/* The context stays the ops', which live as long as any result. */
struct cob_solver_result *cob_ops_result_of_context(struct cob_context *context);

/* root, context: taken. */
void cob_ops_keep_context(struct cob_ops *ops, char *root, struct cob_context *context);

/* The snapshot of an input by its index as the op has it; NULL for scratch (-1). Borrowed.
 * errors: COB_UNIMPLEMENTED when the input is a context. */
COB_RESULT struct cob_error *cob_ops_input_snapshot(
    const struct op_run *run, int64_t input, struct cob_snapshot **ret_snapshot);

/* --- op_key.c --- */

/* The key of a vertex of the kind. */
COB_RESULT struct cob_error *cob_ops_key_source(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key);
COB_RESULT struct cob_error *cob_ops_key_exec(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key);
COB_RESULT struct cob_error *cob_ops_key_file(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key);
COB_RESULT struct cob_error *cob_ops_key_merge(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key);

/* One of the solver's table: see struct cob_solver_ops. */
struct cob_error *cob_ops_content(void *arg, const struct cob_llb_vertex *vertex, size_t input,
    struct cob_solver_result *from, struct cob_cancel *cancel, char **ret_digest);

/* A tree to copy from: a context as it is, or a snapshot, mounted and walked where `paths` say. */
struct op_tree {
    struct cob_context *context; /* borrowed from the result, or owned */
    bool is_owned;
    struct cob_snapshot_draft *draft; /* what is walked for scratch: nothing; NULL: not scratch */
};

/* from: NULL: scratch.  ret_tree: for cob_ops_tree_done() in any case. */
COB_RESULT struct cob_error *cob_ops_tree_open(struct cob_ops *ops, struct cob_solver_result *from,
    const char *const *paths, struct cob_cancel *cancel, struct op_tree *ret_tree);
void cob_ops_tree_done(struct op_tree *tree);

/* The entries that a copy takes: `src` of the action.
 * ret_matches: GArray of struct cob_context_match; the caller's.
 * errors: COB_NOT_FOUND `"/x": not found`, in BuildKit's words. */
COB_RESULT struct cob_error *cob_ops_copy_sources(
    struct op_tree *tree, const Pb__FileActionCopy *copy, GArray **ret_matches);

/* --parents and --exclude of a copy, for a digest or a walk. */
struct copy_filter {
    struct cob_ignore *included; /* NULL: everything is */
    struct cob_ignore *excluded; /* NULL: nothing is */
    uint64_t n_taken;            /* of those that were asked about */
};
COB_RESULT struct cob_error *cob_ops_copy_filter_init(
    const Pb__FileActionCopy *copy, struct copy_filter *ret_filter);

/* A cob_context_filter; filter: struct copy_filter. */
enum cob_context_verdict cob_ops_copy_filter(void *filter, const char *path, bool is_dir);

/* Afterwards: was there what the copy needs?
 * errors: as cob_ops_copy_sources(). */
COB_RESULT struct cob_error *cob_ops_copy_filter_check(
    const struct copy_filter *filter, const Pb__FileActionCopy *copy);
void cob_ops_copy_filter_done(struct copy_filter *filter);

/* The path that a bind mount takes. Borrowed. */
const char *cob_ops_selector(const Pb__Mount *mount);

/* --- op_files.c --- */

/* Keep the list of what was digested in a tree that is about to be closed. */
void cob_ops_keep_list(struct cob_ops *ops, struct op_tree *tree,
    const struct cob_llb_vertex *vertex, size_t input, const char *content);

/* --- op_source.c, op_exec.c, op_file.c, op_merge.c --- */

/* The mount that is a step's root. */
const Pb__Mount *cob_ops_root_mount(const Pb__ExecOp *exec);

/* Run a vertex of the kind; ret_result is the caller's. */
COB_RESULT struct cob_error *cob_ops_run_source(
    const struct op_run *run, struct cob_solver_result **ret_result);
COB_RESULT struct cob_error *cob_ops_run_exec(
    const struct op_run *run, struct cob_solver_result **ret_result);
COB_RESULT struct cob_error *cob_ops_run_file(
    const struct op_run *run, struct cob_solver_result **ret_result);
COB_RESULT struct cob_error *cob_ops_run_merge(
    const struct op_run *run, struct cob_solver_result **ret_result);

/* Commit a draft as the vertex's result. draft: taken. */
COB_RESULT struct cob_error *cob_ops_commit(const struct op_run *run,
    struct cob_snapshot_draft *draft, struct cob_solver_result **ret_result);

/* --- op_mounts.c --- */

/* What a step has open while it runs. */
struct step_mounts {
    GArray *mounts;      /* struct cob_executor_mount, sorted by target */
    GArray *fds;         /* int, owned: what they are mounted from */
    GPtrArray *drafts;   /* struct cob_snapshot_draft, owned: where dropped writes go */
    GPtrArray *bound;    /* struct bound_tree, owned: those that the step may write to */
    GPtrArray *leases;   /* struct cob_cachemount_lease, owned */
    GPtrArray *secrets;  /* GBytes, owned */
    GPtrArray *doors;    /* struct cob_sshagent_door, owned */
    GPtrArray *env;      /* char *, owned: NAME=value of secrets, to be added */
    GPtrArray *resolved; /* struct resolved_mount, owned: automatic cache mounts; NULL: none */
};
COB_RESULT struct cob_error *cob_ops_mounts_open(
    const struct op_run *run, struct step_mounts *ret_mounts);
void cob_ops_mounts_done(struct step_mounts *mounts);

/* --- entitlements.c --- */

/* May one step have what it wants?  errors: COB_DENIED. */
COB_RESULT struct cob_error *cob_ops_check_exec(
    const struct cob_ops_config *config, const Pb__ExecOp *exec);

/* --- op_ssh.c --- */

/* Open a door to the agent that a mount names; nothing where there is none and need be none. */
COB_RESULT struct cob_error *cob_ops_ssh_mount(
    const struct op_run *run, const Pb__Mount *mount, struct step_mounts *mounts);

/* --- op_cache.c --- */

/* Take the cache mounts of a step, in one order for all steps, waiting where others have them. */
COB_RESULT struct cob_error *cob_ops_cache_acquire(
    const struct op_run *run, struct step_mounts *mounts);

/* --- op_cache_auto.c --- */

/* Put mounts that are as they are for this image in place of the automatic ones in a list of cache
 * mounts, and leave those out that it has no place for. Tells of those that stay.
 * list: const Pb__Mount *; the new ones are the step's. */
COB_RESULT struct cob_error *cob_ops_cache_resolve(
    const struct op_run *run, GPtrArray *list, struct step_mounts *mounts);

/* --- copy_tree.c --- */

/* Who a file action gives its files to. */
struct file_owner {
    bool is_set;
    uid_t uid;
    gid_t gid;
};

/* What a copy makes of the files it finds. */
struct copy_rules {
    struct file_owner owner; /* not set: the source's */
    int mode;                /* -1: the source's */
    const char *mode_text;   /* symbolic; NULL: `mode` */
    int64_t time_ns;         /* -1: the source's */
    bool is_replacing;       /* what is there and of another type */
    struct copy_filter *filter;
    struct cob_cancel *cancel;
    GHashTable *links; /* cob_ops_copy_links_new(); hard links among all copies with it are kept */
    const char *opaque_xattr;
};

/* Where files with several names were copied to. */
GHashTable *cob_ops_copy_links_new(void);

/* A directory of a layer that is being written, and what lies below it. */
struct copy_target {
    int fd;           /* in the layer: O_RDONLY|O_DIRECTORY; borrowed */
    int lower_fd;     /* the same directory in the layers below, O_PATH; -1: not there. Borrowed */
    int root_fd;      /* of the layer, as fd */
    const char *path; /* of the directory in the root: "/a/b", "/" */
};

/* Copy entry `index` of a tree, with all below it, as `name` in the target. A NULL name: only what
 * is in it, into the target itself. */
COB_RESULT struct cob_error *cob_ops_copy_entry(struct cob_context *from, size_t index,
    const struct copy_target *target, const char *name, const struct copy_rules *rules);

/* --- file_mode.c, file_owner.c --- */

/* The permissions that a symbolic mode ("u=rwX,go-w") makes of others.
 * spec: POSIX chmod, "Extended Description". */
COB_RESULT struct cob_error *cob_ops_mode_apply(
    const char *text, mode_t mode, bool is_dir, mode_t *ret_mode);

/* --chown, by the image's own users: a name that is not there is root.
 * errors: COB_INVALID for a name without a base image; COB_PRECONDITION: this user namespace has
 *         no such id. */
COB_RESULT struct cob_error *cob_ops_owner(
    const Pb__ChownOpt *owner, int root_fd, struct file_owner *ret_owner);

/* What to say of names that are not there; NULL: nothing. For an owner with names.
 * ret_warning: the caller's. */
COB_RESULT struct cob_error *cob_ops_owner_check(
    const Pb__ChownOpt *owner, int root_fd, char **ret_warning);
bool cob_ops_owner_has_name(const Pb__ChownOpt *owner);
