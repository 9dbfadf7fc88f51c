/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "disk/store/store.h"
#include "disk/store/store_parts.h"
#include "util/digest.h"

/* OFD locks belong to the open file description. Each lock has one of its own, so that threads of
 * one process are in each other's way just as processes are. */
struct cob_store_lock {
    int fd;
    off_t offset;
};

static struct flock byte_at(off_t offset, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
}

static off_t offset_of(const char *key)
{
    struct cob_sha256 sha = cob_sha256_of(key, strlen(key));
    uint64_t number;

    memcpy(&number, sha.bytes, sizeof(number));
    return (off_t)(number >> 2); /* far from the largest offset, which has no byte behind it */
}

struct cob_error *cob_store_try_lock(
    struct cob_store *store, const char *key, struct cob_store_lock **ret_lock)
{
    cob_autoclose int fd =
        openat(store->root_fd, "locks", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    off_t offset = offset_of(key);
    struct flock range = byte_at(offset, F_WRLCK);

    if (fd < 0)
        return cob_fail_errno(errno, "open %s/locks", store->path);
    if (fcntl(fd, F_OFD_SETLK, &range) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return cob_fail_errno(errno, "lock a byte of %s/locks", store->path);
        *ret_lock = NULL;
        return NULL;
    }
    *ret_lock = g_new(struct cob_store_lock, 1);
    **ret_lock = (struct cob_store_lock){.fd = g_steal_fd(&fd), .offset = offset};
    return NULL;
}

void cob_store_unlock(struct cob_store_lock *lock)
{
    if (!lock)
        return;
    struct flock range = byte_at(lock->offset, F_UNLCK);

    fcntl(lock->fd, F_OFD_SETLK, &range); /* close() alone would not: a child before exec has it */
    close(lock->fd);
    g_free(lock);
}
