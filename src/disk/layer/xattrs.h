/* SPDX-License-Identifier: Apache-2.0 */
/* Which xattrs travel in layers, and how. */
#pragma once

#include <stdbool.h>

#include "disk/layer/tar.h"

/* security.capability, and user.* but for user.overlay.*, which could steer overlayfs. */
bool xattr_is_allowed(const char *name);

/* A file capability as it is on disk -> as it is in layers, where it is of version 2: version 3
 * differs in naming the user namespace it counts in, which is of this machine alone.
 * ret_value: NULL when it is no capability at all; the caller's. */
GBytes *xattr_portable_capability(GBytes *value);

/* All that travel of an open file or directory, into entry.
 * opaque_xattr: NULL, or the name of that of overlayfs.
 * ret_is_opaque: has it that one? */
COB_RESULT struct cob_error *xattr_read_all(
    int fd, const char *opaque_xattr, struct tar_entry *entry, bool *ret_is_opaque);
