/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: file systems as chains of overlayfs layers. A committed one never changes; a draft is
 * being written by one process and is either committed or gone.
 *
 *     <root>/snapshots/<id>/fs          a committed layer's own files: an overlay lowerdir
 *     <root>/tmp/<lease>/<id>/fs, work  a draft: an overlay upperdir, and overlayfs's workdir
 *
 * Ids are short (base 36 of a counter in the database), because chains of hundreds of them have to
 * fit into mount options. Whiteouts are 0:0 character devices, opaque directories have the xattr
 * trusted.overlay.opaque, or user.overlay.opaque in a store that is used unprivileged (mounted with
 * userxattr); one store never mixes the two. redirect_dir, metacopy and index are off, so that
 * what lies in fs/ is the whole difference to the parent.
 *
 * Mounts are detached mount trees (fsmount, open_tree): a descriptor, attached nowhere, gone when
 * it is closed. Linux 6.7 takes the layers one by one; before that mount(2) with relative names.
 * The store must have been opened in the mount namespace of the thread that mounts: make the
 * namespace first. Each snapshot in use costs a descriptor. All snapshots and drafts are given back
 * before the store is closed.
 *
 * threads:  any; a draft belongs to one thread at a time. cob_snapshot is shared, by reference.
 */
#pragma once

#include "disk/store/store.h"

struct cob_snapshot; /* a committed snapshot, held: it is not removed while somebody has it */

/* Hold it once more; let go of it. */
struct cob_snapshot *cob_snapshot_ref(struct cob_snapshot *snapshot);
void cob_snapshot_unref(struct cob_snapshot *snapshot);
COB_AUTOPTR(cob_snapshot, cob_snapshot_unref)

const char *cob_snapshot_id(const struct cob_snapshot *snapshot);        /* borrowed */
struct cob_snapshot *cob_snapshot_parent(struct cob_snapshot *snapshot); /* borrowed; NULL */
unsigned cob_snapshot_depth(const struct cob_snapshot *snapshot);        /* layers, >= 1 */

/* The layer's own files, an O_PATH descriptor on fs/; borrowed. */
int cob_snapshot_layer_fd(const struct cob_snapshot *snapshot);

/* ret_snapshot: the caller's reference; NULL when there is none (or its files are gone: then its
 * row is, too). */
COB_RESULT struct cob_error *cob_snapshot_get(
    struct cob_store *store, const char *id, struct cob_snapshot **ret_snapshot);

/* The snapshot of a chain of verified layers, by its chainID (OCI config.md, "Layer ChainID"). */
COB_RESULT struct cob_error *cob_snapshot_get_chain(
    struct cob_store *store, const char *chain_id, struct cob_snapshot **ret_snapshot);

/* Mount it read-only.  ret_mount_fd: the root of a detached mount; the caller closes it. */
COB_RESULT struct cob_error *cob_snapshot_mount(struct cob_snapshot *snapshot, int *ret_mount_fd);

struct cob_snapshot_draft;

/* parent: a reference is taken; NULL: from nothing. */
COB_RESULT struct cob_error *cob_snapshot_draft_new(
    struct cob_store *store, struct cob_snapshot *parent, struct cob_snapshot_draft **ret_draft);

/* Did this process begin any? */
bool cob_snapshot_has_drafted(struct cob_store *store);

/* The draft's own files, O_RDONLY|O_DIRECTORY on fs/; borrowed. May be written while no mount of
 * the draft exists. */
int cob_snapshot_draft_fd(const struct cob_snapshot_draft *draft);

/* Mount it, with its parents below, to be written. */
COB_RESULT struct cob_error *cob_snapshot_draft_mount(
    struct cob_snapshot_draft *draft, int *ret_mount_fd);

/* Lay a draft that was made from nothing over a parent after all: layers arrive side by side. A
 * reference is taken. While no mount of the draft exists. */
void cob_snapshot_draft_set_parent(struct cob_snapshot_draft *draft, struct cob_snapshot *parent);

/* Fill a draft that is still empty with what another snapshot's own layer holds, by hard links: no
 * data is copied. The draft's root directory stays as it is. While no mount of the draft exists. */
COB_RESULT struct cob_error *cob_snapshot_draft_graft(
    struct cob_snapshot_draft *draft, const struct cob_snapshot *snapshot);

/* The name of the xattr that makes a directory opaque in this store. Static. */
const char *cob_snapshot_opaque_xattr(const struct cob_store *store);

/* What is recorded with a commit. */
struct cob_snapshot_facts {
    const char *description; /* for du: "pulled from ...", "[builder 2/6] RUN make" */
    const char *chain_id;    /* NULL: it does not come from verified layers */
    const char *diff_id;     /* NULL: its tar was not made yet */
    uint64_t tar_bytes;      /* with diff_id: the size of that tar */
    int64_t created_us;      /* when somebody else made it, since 1970; 0: now, here */
};

/* Make it permanent: measured, renamed into snapshots/, recorded, its workdir gone. No mount of it
 * may exist. Nothing is flushed to disk: after a restart the store verifies it.
 * When the chain_id is there already, that one is given back and the draft is dropped.
 * draft: taken, always. */
COB_RESULT struct cob_error *cob_snapshot_commit(struct cob_snapshot_draft *draft,
    const struct cob_snapshot_facts *facts, struct cob_snapshot **ret_snapshot);

/* Drop it, with its files. */
void cob_snapshot_draft_free(struct cob_snapshot_draft *draft);
COB_AUTOPTR(cob_snapshot_draft, cob_snapshot_draft_free)

/* What is known of a layer as an archive. Filled when somebody needs it, and kept. */
struct cob_snapshot_archive {
    char *diff_id;       /* NULL: not known yet */
    uint64_t tar_bytes;  /* with diff_id */
    uint64_t size_bytes; /* on disk */
    int64_t created_us;  /* wall clock; when it was committed */
};
COB_RESULT struct cob_error *cob_snapshot_archive(
    struct cob_snapshot *snapshot, struct cob_snapshot_archive *ret_archive);
COB_RESULT struct cob_error *cob_snapshot_set_archive(
    struct cob_snapshot *snapshot, const char *diff_id, uint64_t tar_bytes);
void cob_snapshot_archive_done(struct cob_snapshot_archive *archive);

/* One row of `cob du`, whatever the kind: a snapshot, a cache mount, a blob. */
struct cob_snapshot_usage {
    char *id;
    char *parent;
    char *description;
    uint64_t size_bytes;
    int64_t created_us, last_used_us;
    int64_t n_uses;
    bool is_in_use; /* an image or a living process holds it: not reclaimable */
    bool is_shared; /* more than one other snapshot or image stands on it */
    bool is_source; /* it was brought from a URL or a git repository */
    char *origin;   /* those with the same one share files by hard links, linked_bytes of them; the
                       id of the one that had them first, which may be gone. NULL: none */
    uint64_t linked_bytes; /* 0 also in the origin itself */
    uint64_t extra_bytes;  /* on disk beside size_bytes: its folder and its record */
};
void cob_snapshot_usage_free(struct cob_snapshot_usage *usage);

/* ret_rows: GPtrArray of struct cob_snapshot_usage, owned, newest first. */
COB_RESULT struct cob_error *cob_snapshot_list(struct cob_store *store, GPtrArray **ret_rows);

/* Remove a snapshot, the keys that led to it, and images without a name that are it. One that
 * another snapshot, a name or a process needs stays. Its keys are noted in the table of evictions.
 * rule:            why: "max-used-space 10GB of layers".
 * ret_is_removed:  false: it is needed, or was not there. */
COB_RESULT struct cob_error *cob_snapshot_remove(
    struct cob_store *store, const char *id, const char *rule, bool *ret_is_removed);
