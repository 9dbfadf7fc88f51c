/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole directory trees of ours: removed, copied, and measured. Nothing here follows a symlink or
 * leaves the tree, and depth costs a little memory, never stack or descriptors.
 */
#pragma once

#include "util/error.h"

/* Remove `name` and all below it. Nothing there is success. Directories that deny access are opened
 * up on the way. */
COB_RESULT struct cob_error *cob_tree_remove(int dir_fd, const char *name);

enum cob_tree_clone_flags {
    COB_TREE_SHARE = 1 << 0, /* files become hard links to the source's: neither may change again */
};

/*
 * Fill dst_fd, an empty directory, with all that src_fd holds, and give it that directory's own
 * metadata: types, content, owners, modes, times, hard links, xattrs (user.*, file capabilities,
 * ACLs, and overlayfs's own where they are seen). Sockets are left out. Nobody else writes to
 * either tree meanwhile.
 *
 * src_fd:  may be O_PATH.
 * errors:  with the path of what could not be copied; dst_fd is left half filled.
 */
COB_RESULT struct cob_error *cob_tree_clone(int src_fd, int dst_fd, unsigned flags);

/* Give one open file or directory another one's owner, mode, times and xattrs, as above. */
COB_RESULT struct cob_error *cob_tree_clone_metadata(int from_fd, int to_fd);

/*
 * How much a tree holds, and a mark of what it is. The fingerprint is the sum, over all entries, of
 * a hash of: path in the tree, type and mode, owner, size, time of change, device number, target of
 * a symlink, and whether a file has holes. No content, no extended attributes; the tree's own name
 * and the order of directories do not matter. It tells accidents, not forgers.
 */
struct cob_tree_usage {
    uint64_t size_bytes;   /* allocated on disk; a file with several names counts once */
    uint64_t linked_bytes; /* of that: in files with several names, here or elsewhere */
    uint64_t n_inodes;
    uint64_t n_entries; /* names, the tree's own one included */
    uint64_t n_dirs;    /* of them */
    uint64_t fingerprint;
};

/* Measure `name` and all below it, in one walk; what vanishes meanwhile is passed over. */
COB_RESULT struct cob_error *cob_tree_measure(
    int dir_fd, const char *name, struct cob_tree_usage *ret_usage);
