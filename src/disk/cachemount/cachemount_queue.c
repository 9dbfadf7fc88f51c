/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for a directory, in which order. The queue is a file without content: who waits has
 * locked the byte whose offset is the time of his coming. First is whose byte has no locked one
 * before it. The kernel unlocks a byte whose process died, so nobody waits behind the dead.
 *
 *      byte  1800 (process 7)   1807 (process 9)   1844 (process 7, another thread)
 *            first              waits              waits
 */
#include <fcntl.h>
#include <time.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"

static struct flock bytes_at(off_t start, off_t len)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

/* Nanoseconds since the machine started, in all its processes the same. */
static off_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_BOOTTIME, &time);
    return (off_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct cob_error *open_queue(int slot_fd, int *ret_fd)
{
    *ret_fd = openat(slot_fd, "queue", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open queue") : NULL;
}

struct cob_error *cob_cachemount_queue_join(int slot_fd, struct cob_cachemount_ticket *ret_ticket)
{
    cob_autoclose int fd = -1;
    off_t number = now();

    COB_TRY(open_queue(slot_fd, &fd));
    for (;; number++) {
        struct flock byte = bytes_at(number, 1);

        if (fcntl(fd, F_OFD_SETLK, &byte) == 0)
            break;
        if (errno != EAGAIN && errno != EACCES)
            return cob_fail_errno(errno, "lock a byte of queue");
    }
    *ret_ticket = (struct cob_cachemount_ticket){.fd = g_steal_fd(&fd), .number = number};
    return NULL;
}

void cob_cachemount_queue_leave(struct cob_cachemount_ticket *ticket)
{
    struct flock byte = bytes_at(ticket->number, 1);

    if (ticket->fd < 0)
        return;
    byte.l_type = F_UNLCK;
    fcntl(ticket->fd, F_OFD_SETLK, &byte); /* close() alone would not: a child before exec has it */
    cob_closep(&ticket->fd);
    ticket->fd = -1;
}

struct cob_error *cob_cachemount_queue_is_first(
    int slot_fd, const struct cob_cachemount_ticket *ticket, bool *ret_is_first)
{
    struct flock before = bytes_at(0, ticket ? ticket->number : 0); /* 0: all that there are */
    cob_autoclose int fd = -1;

    if (!ticket) {
        fd = openat(slot_fd, "queue", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) { /* nobody ever waited */
            *ret_is_first = true;
            return NULL;
        }
        if (fd < 0)
            return cob_fail_errno(errno, "open queue");
    }
    if (fcntl(ticket ? ticket->fd : fd, F_OFD_GETLK, &before) < 0)
        return cob_fail_errno(errno, "look at queue");
    *ret_is_first = before.l_type == F_UNLCK;
    return NULL;
}
