/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and descriptors: what the C library leaves to every caller, done once.
 *
 * Paths are (dir_fd, name); every descriptor is O_CLOEXEC. What lies below a root file system, a
 * build context or a cache mount is opened through cob_open_in_root() alone.
 *
 * threads:  any.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "util/error.h"

/*
 * Open what `path` names when root_fd is the root directory: absolute paths, "..", and symlinks on
 * the way stay inside, as in a chroot; magic links such as /proc/self/fd/1 are refused.
 *
 * flags:     as for open(2); O_CLOEXEC is added. With O_NOFOLLOW a last symlink is not followed.
 *            A reader that must not block on a FIFO opens O_PATH first, or adds O_NONBLOCK.
 * mode:      for O_CREAT, else 0.
 * errors:    COB_NOT_FOUND and the like from the kernel; the text has no path: wrap it.
 * spec:      openat2(2), RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS.
 */
COB_RESULT struct cob_error *cob_open_in_root(
    int root_fd, const char *path, int flags, mode_t mode, int *ret_fd);

/* Open below dir_fd without following any symlink at all, also not on the way. */
COB_RESULT struct cob_error *cob_open_beneath(
    int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd);

/* All bytes of an open file, from where it stands.
 * errors: COB_EXHAUSTED past max_bytes. */
COB_RESULT struct cob_error *cob_fs_read_fd(int fd, uint64_t max_bytes, GBytes **ret_bytes);

/* All bytes of a regular file; a final symlink is followed, a FIFO or device refused unopened.
 * ret_bytes: NULL when there is no such file. */
COB_RESULT struct cob_error *cob_fs_read_file(
    int dir_fd, const char *name, uint64_t max_bytes, GBytes **ret_bytes);

/* Open a regular file for reading, resolved as cob_open_in_root() does; anything else is refused
 * unopened.  ret_fd: -1 when there is no such file. */
COB_RESULT struct cob_error *cob_fs_open_in_root(int root_fd, const char *path, int *ret_fd);

/* All bytes of such a file.  ret_bytes: NULL when there is no such file. */
COB_RESULT struct cob_error *cob_fs_read_in_root(
    int root_fd, const char *path, uint64_t max_bytes, GBytes **ret_bytes);

/* Write all of it, over short writes and signals. */
COB_RESULT struct cob_error *cob_fs_write_fd(int fd, const void *data, size_t len);

/* Put a whole new file in place of `name`: a draft beside it, written, synced, renamed. A crash
 * leaves the old file or the new one. */
COB_RESULT struct cob_error *cob_fs_replace_file(
    int dir_fd, const char *name, mode_t mode, const void *data, size_t len);

/* Make a directory and its parents where they are missing; symlinks on the way are followed, so
 * this is for cob's own folders and the user's, never inside an image.
 * ret_fd: O_RDONLY|O_DIRECTORY on the last one. NULL: not wanted. */
COB_RESULT struct cob_error *cob_fs_make_dirs(
    int dir_fd, const char *path, mode_t mode, int *ret_fd);

/* Copy `len` bytes of src_fd, from its offset, to dst_fd, from its offset: as a reflink, inside the
 * kernel, or by hand, whichever works first.
 * errors: COB_ABORTED when src_fd ends early: somebody cut the file short. */
COB_RESULT struct cob_error *cob_fs_copy_bytes(int src_fd, int dst_fd, uint64_t len);

/* Flush a directory's entries, after a rename that must survive. */
COB_RESULT struct cob_error *cob_fs_sync_dir(int dir_fd);

/* A new name for a draft: `prefix`, then 16 random letters and digits. The caller frees it. */
char *cob_fs_draft_name(const char *prefix);
