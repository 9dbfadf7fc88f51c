/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that is kept for removing things: on a full disk not even a row can be deleted, since the
 * database's log grows by that, and a lease is a folder.
 *
 *     <root>/reserve    allocated, never written
 *
 * It is made by an open that finds plenty of room, not by the first one of a store, and given up by
 * who is about to remove things and finds none. A small disk has no reserve, and works without.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "disk/store/store_parts.h"
#include "util/limits.h"
#include "util/log.h"

#define RESERVE "reserve"
#define ROOM_BYTES (8 * COB_LIMIT_RESERVE_BYTES) /* what has to be free for it to be made */
#define PROBE_BYTES (1 * COB_MIB)                /* less than this is a full disk */

static bool has_room(int root_fd)
{
    struct statvfs fs;

    return fstatvfs(root_fd, &fs) == 0 &&
           (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize >= ROOM_BYTES;
}

/* A draft is in the lease's folder, which takes it along when this fails. */
void cob_store_keep_reserve(const struct cob_store *store)
{
    if (faccessat(store->root_fd, RESERVE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
        !has_room(store->root_fd))
        return;
    cob_autoclose int fd =
        openat(store->tmp_fd, RESERVE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fallocate(fd, 0, 0, (off_t)COB_LIMIT_RESERVE_BYTES) < 0 ||
        renameat2(store->tmp_fd, RESERVE, store->root_fd, RESERVE, RENAME_NOREPLACE) < 0) {
        cob_trace(1, "no reserve in %s: %s", store->path, g_strerror(errno));
        unlinkat(store->tmp_fd, RESERVE, 0);
    }
}

/* Ask by taking: quotas and reserved blocks do not show in statvfs. */
static bool is_full(int root_fd)
{
    cob_autoclose int fd = openat(root_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd >= 0 && fallocate(fd, 0, 0, (off_t)PROBE_BYTES) == 0)
        return false;
    return errno == ENOSPC || errno == EDQUOT;
}

void cob_store_spend_reserve(const char *path)
{
    cob_autoclose int root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root_fd >= 0 && is_full(root_fd) && unlinkat(root_fd, RESERVE, 0) == 0)
        cob_trace(1, "the reserve of %s is given up: its disk is full", path);
}
