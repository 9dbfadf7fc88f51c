/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stat cache: digests of files that were read before, known by what stat() says of them. As
 * bytes of this machine's order:
 *
 *     header   8 bytes "cobstat1"
 *     records  80 bytes each: device, inode, size, mtime, ctime (8 bytes each), digest (32 bytes),
 *              a note of the owner's (8 bytes); those of the last walk first, in its order, then
 *              older ones
 *
 * A file that was written at about the time of a walk could be written again without its times
 * showing it. Such a file gets no record, so a record is always to be trusted.
 *
 * spec:  git's Documentation/technical/racy-git.txt, for the idea.
 */
#pragma once

#include <stdbool.h>

#include "util/digest.h"

/* What is compared of a file. */
struct cob_statcache_file {
    uint64_t dev, inode, size;
    int64_t mtime_ns, ctime_ns;
};

struct cob_statcache;

/* bytes: NULL, or any: what is no stat cache of this version is taken for an empty one. */
struct cob_statcache *cob_statcache_new(GBytes *bytes);
void cob_statcache_free(struct cob_statcache *cache);
COB_AUTOPTR(cob_statcache, cob_statcache_free)

/* The digest of a file, if it is the one that was known. Asked in the order of the walk, it answers
 * at once; out of order it builds an index first.
 * ret_note: may be NULL.
 * threads: one at a time. */
bool cob_statcache_find(struct cob_statcache *cache, const struct cob_statcache_file *file,
    struct cob_sha256 *ret_sha, uint64_t *ret_note);

/* What is asked next is the first file of the walk. */
void cob_statcache_rewind(struct cob_statcache *cache);

/* Did the file's times lie so close before the walk that it may have changed since, unseen?
 * start_ns: of the walk, by the clock that file systems stamp with. */
bool cob_statcache_is_racy(const struct cob_statcache_file *file, int64_t start_ns);

/* That clock, now. */
int64_t cob_statcache_now_ns(void);

/* A stat cache being written, in the order of a walk. */
struct cob_statcache_draft;

/* An empty one. */
struct cob_statcache_draft *cob_statcache_draft_new(void);
void cob_statcache_draft_free(struct cob_statcache_draft *draft);
COB_AUTOPTR(cob_statcache_draft, cob_statcache_draft_free)

/* The walk met this file; without a digest it gets no record, and loses an older one. */
void cob_statcache_draft_add(struct cob_statcache_draft *draft,
    const struct cob_statcache_file *file, const struct cob_sha256 *sha, uint64_t note);

/* Its bytes. known: records of files that the walk did not meet are kept; NULL: none are. */
GBytes *cob_statcache_draft_finish(
    struct cob_statcache_draft *draft, const struct cob_statcache *known);
