/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of disk/store share. */
#pragma once

#include <sys/file.h>

#include <jansson.h>

#include "disk/store/store.h"

struct cob_store {
    char *path;
    char *tmp_path; /* of the lease */
    char *lease;    /* its name in tmp/ */
    char *boot;
    bool is_userxattr;
    int root_fd;
    int leases_fd; /* tmp/ */
    int tmp_fd;    /* tmp/<lease>/ */
    int lease_fd;  /* its lock, held */
    int blobs_fd;  /* blobs/sha256/ */
    int gate_fd;   /* between begin and commit; the owner of the transaction has it */
    int n_drafts;  /* atomic; names in tmp_fd */
    struct cob_db *db;
    bool is_database_lost; /* there was data, and a database of nothing */
    GMutex lock;           /* guards attached */
    GHashTable *attached;  /* name (static) -> struct attached, owned */
};

/* Open and lock the gate. Closing is not enough to unlock: a child before exec has it, too.
 * how: LOCK_SH to publish, LOCK_EX to sweep. */
COB_RESULT struct cob_error *cob_store_gate_acquire(
    struct cob_store *store, int how, int *ret_gate_fd);
void cob_store_gate_release(int gate_fd);

/* A layer to be held against what was measured when it was committed. */
struct cob_store_look {
    char *id;
    uint64_t n_entries, fingerprint;
    json_t *record; /* what lies beside it; NULL when a row asked */
    bool is_good;   /* what the look found */
};
GPtrArray *cob_store_looks_new(void); /* of struct cob_store_look, owned */

/* Look at all of them, side by side. */
void cob_store_look_at_all(struct cob_store *store, const GPtrArray *looks);

/* Give the layers that can be believed by their records their rows again, in a transaction.
 * ret_next_id: the first number that no folder in snapshots/ has. */
COB_RESULT struct cob_error *cob_store_adopt_layers(struct cob_store *store, int64_t *ret_next_id);

/* The entries of a folder of ours.  ret_names: char *, owned. */
COB_RESULT struct cob_error *cob_store_list_names(
    int dir_fd, const char *name, GPtrArray **ret_names);

/* Find the layers of another boot that are as they were committed.  good: their ids are added,
 * owned. */
COB_RESULT struct cob_error *cob_store_verify(struct cob_store *store, GPtrArray *good);

/* Digest an open file from where it stands.  ret_digest: the caller's. */
COB_RESULT struct cob_error *cob_store_digest_fd(int fd, char **ret_digest, uint64_t *ret_size);

/* When the oldest of the other processes that have the store open began; later than now when there
 * is none. Microseconds of the wall clock. */
COB_RESULT struct cob_error *cob_store_others_since(struct cob_store *store, int64_t *ret_us);

/* Remove the file of a blob that has no row, unless another process records it meanwhile. */
void cob_store_blob_withdraw(struct cob_store *store, const char *digest);

/* Remove what the dead left, but for their folders and locks, which are for a recovery: on a disk
 * that they filled no lease can be made.  ret: whether there was anything. */
bool cob_store_clear_dead(struct cob_store *store);

/* Make the reserve if there is none, and room for it. */
void cob_store_keep_reserve(const struct cob_store *store);

/* Take back what the dead left, and what a loss of power may have torn. */
COB_RESULT struct cob_error *cob_store_recover(struct cob_store *store);
