/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of an import share. */
#pragma once

#include "build/mountcache/mount_place.h"
#include "build/mountcache/mountcache_parts.h"

#define BLOCK_BYTES 4096 /* what a file takes is counted in these */

/* A file of several chunks, which come in any order. */
struct large {
    guint entry;
    uint32_t n_left; /* guarded by the import's lock */
};

/* A chunk, and the file it belongs to. */
struct want {
    uint32_t chunk;
    guint entry;
    uint64_t offset;     /* in the file */
    struct large *large; /* NULL: it is the whole file */
    enum mount_verdict verdict;
};

struct link {
    guint first, entry;
    enum mount_verdict verdict;
};

struct importing {
    const struct cob_mountcache_request *request;
    struct cob_mountcache_result *result;
    struct mount_notes notes;
    const struct cob_mountdoc_mount *mount;
    GBytes *stored; /* its index, compressed */
    struct cob_mountindex *index;
    struct mount_lease lease;
    char *staging; /* a directory in the store's tmp/ */
    int staging_fd;
    bool ignore_owners;
    struct mount_placer *placer; /* of this thread */

    GArray *wants;       /* struct want; sorted by pack and place before they are fetched */
    GArray *links;       /* struct link */
    GArray *made_dirs;   /* guint: entries */
    GPtrArray *larges;   /* struct large, owned */
    GHashTable *leaders; /* group -> the first of its names that will be there, + 1 */
    bool has_quota;
    uint64_t quota_left, n_over_quota;

    GMutex lock; /* guards the row and result while packs are fetched, and what is below */
    struct cob_cachemount_pool *pool;
    struct cob_mountcache_row *row;
    struct cob_error *error; /* the first */
};

/* An entry was dealt with.  threads: any. */
void import_count(struct importing *importing, const struct cob_mountindex_entry *entry,
    enum mount_verdict verdict);

/* Fetch the packs that have what is wanted, and place it. */
COB_RESULT struct cob_error *import_packs(struct importing *importing);
