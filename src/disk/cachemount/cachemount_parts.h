/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of disk/cachemount share. */
#pragma once

#include "disk/cachemount/cachemount.h"

#define COB_CACHEMOUNT_USER_BYTES 4096 /* of a request's `user`, as others may read it */

/* Everything that several processes must agree on is on disk: a pool has no state to guard. */
struct cob_cachemount_pool {
    int root_fd;
    int owned_fd;      /* the same, when it is the pool's own; else -1 */
    struct cob_db *db; /* borrowed; NULL: no records */
    void (*on_release)(void *arg);
    void *arg;
    int n_leases; /* atomic */
};

/* Note that a directory is used now, and whose it is. */
COB_RESULT struct cob_error *cob_cachemount_record(struct cob_cachemount_pool *pool,
    const char *dir, int slot_fd, const struct cob_cachemount_request *request);
