/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of disk/snapshot share. */
#pragma once

#include <fcntl.h>

#include "disk/snapshot/snapshot.h"
#include "util/tree.h"

/* The snapshots that this process holds; one beside each open store. */
struct cob_snapshot_registry {
    struct cob_store *store; /* borrowed: it owns us */
    int snapshots_fd;        /* <root>/snapshots */
    int holds_fd;            /* <root>/holds: byte n is read-locked while snapshot n is held */
    int n_drafts;            /* atomic */
    GMutex lock;             /* guards the rest; no database call under it */
    GHashTable *by_id;       /* id -> struct cob_snapshot, borrowed */
    GHashTable *holds;       /* id -> how often held, owned keys */
    int64_t next_id, end_id; /* ids that this process may give out */
};

struct cob_snapshot {
    int refs; /* guarded by the registry's lock when it falls, atomic when it rises */
    struct cob_snapshot_registry *registry;
    char *id;
    struct cob_snapshot *parent; /* a reference; NULL */
    unsigned depth;
    int layer_fd;
};

struct cob_snapshot_draft {
    struct cob_snapshot_registry *registry;
    struct cob_snapshot *parent; /* a reference; NULL */
    char *name;                  /* in the lease's folder; NULL once it is committed */
    int dir_fd;
    int fs_fd;
    int n_mounts; /* each has a workdir of its own: "volatile" forbids to use one twice */
    struct cob_tree_usage usage; /* of fs/, measured when it is committed */
    char *origin;                /* whose files it was filled with; NULL: with none */
};

/* The one of a store, made on the first call; borrowed until the store is closed. */
COB_RESULT struct cob_error *cob_snapshot_registry_get(
    struct cob_store *store, struct cob_snapshot_registry **ret_registry);

/* Keep all processes from removing a snapshot, or let them again. To be called before its row is
 * looked at: who removes it locks it first, and drops the row before the data. */
COB_RESULT struct cob_error *cob_snapshot_hold(
    struct cob_snapshot_registry *registry, const char *id);
void cob_snapshot_let_go(struct cob_snapshot_registry *registry, const char *id);

/* The byte of <root>/holds that stands for a snapshot: its number. */
struct flock cob_snapshot_byte_of(const char *id, short type);

/* Does any process hold it, this one included? */
bool cob_snapshot_is_held(struct cob_snapshot_registry *registry, const char *id);

/* Make the object of a snapshot that is there, or take the one this process has.
 * parent: a reference, taken.  ret_snapshot: NULL when its files are gone. */
COB_RESULT struct cob_error *cob_snapshot_adopt(struct cob_snapshot_registry *registry,
    const char *id, struct cob_snapshot *parent, struct cob_snapshot **ret_snapshot);

/* What is to be mounted. */
struct cob_snapshot_stack {
    struct cob_snapshot_registry *registry;
    struct cob_snapshot *top;        /* of the lower layers; NULL: none */
    struct cob_snapshot_draft *over; /* the writable one above; NULL: none */
};

/* Make the mount, detached; read-only unless there is one to be written. */
COB_RESULT struct cob_error *cob_snapshot_mount_stack(
    const struct cob_snapshot_stack *stack, int *ret_mount_fd);
