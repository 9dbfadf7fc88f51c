/* SPDX-License-Identifier: Apache-2.0 */
/* Files into a mount that others may use at the same time; mount_place.c says how. */
#pragma once

#include "build/mountcache/mountcache_parts.h"

struct mount_placer;

/* One for each thread. staging_fd: a directory on the mount's file system. */
struct mount_placer *placer_new(int root_fd, int staging_fd, bool ignore_owners);
void placer_free(struct mount_placer *placer);
COB_AUTOPTR(mount_placer, placer_free)

enum mount_verdict {
    MOUNT_MISSING, /* nothing is there */
    MOUNT_OLDER,   /* what is there is to be replaced */
    MOUNT_KEPT,    /* what is there stays */
    MOUNT_BLOCKED, /* something of another kind is there, or on the way */
};

/* What is to be done about an entry.
 * ret_is_same: a file is there with the same size and time. */
COB_RESULT struct cob_error *placer_judge(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, enum mount_verdict *ret_verdict, bool *ret_is_same);

/* A file that is older, but has these bytes: it gets the newer time.  ret_is_same: it had. */
COB_RESULT struct cob_error *placer_refresh(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, const struct cob_sha256 *sha, bool *ret_is_same);

/* One that somebody else made in the meantime stays. */
COB_RESULT struct cob_error *placer_make_dir(struct mount_placer *placer,
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry);
COB_RESULT struct cob_error *placer_make_symlink(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, enum mount_verdict *verdict);

/* A file of these bytes. verdict: as it was judged before; what it is now, if others were there. */
COB_RESULT struct cob_error *placer_make_file(struct mount_placer *placer,
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry, const void *data,
    size_t len, enum mount_verdict *verdict);

/* A file from one that lies in the staging directory, whose bytes were verified. */
COB_RESULT struct cob_error *placer_move_file(struct mount_placer *placer,
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry,
    const char *staged, enum mount_verdict *verdict);

/* Another name of a file that is in place. */
COB_RESULT struct cob_error *placer_link(struct mount_placer *placer,
    const struct cob_mountindex_entry *first, const struct cob_mountindex_entry *entry,
    enum mount_verdict *verdict);

/* A directory that was made here gets its times back, after all that was put into it. */
COB_RESULT struct cob_error *placer_end_dir(
    struct mount_placer *placer, const struct cob_mountindex_entry *entry);
