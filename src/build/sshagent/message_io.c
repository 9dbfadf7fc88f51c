/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "build/sshagent/sshagent_private.h"

static struct cob_error *wait_until(int fd, short events, struct cob_cancel *cancel)
{
    struct pollfd polls[] = {{.fd = fd, .events = events}, {cob_cancel_fd(cancel), POLLIN, 0}};

    if (poll(polls, G_N_ELEMENTS(polls), -1) < 0 && errno != EINTR)
        return cob_fail_errno(errno, "wait for a socket");
    return cob_cancel_check(cancel);
}

static bool is_to_be_tried_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static struct cob_error *receive_all(int fd, struct cob_cancel *cancel, uint8_t *data, size_t len)
{
    while (len > 0) {
        COB_TRY(wait_until(fd, POLLIN, cancel));
        ssize_t n = recv(fd, data, len, 0);
        if (n == 0)
            return cob_fail(COB_NOT_FOUND, "the other side has closed its socket");
        if (n < 0 && !is_to_be_tried_again())
            return cob_fail_errno(errno, "receive a message");
        data += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return NULL;
}

static struct cob_error *send_all(
    int fd, struct cob_cancel *cancel, const uint8_t *data, size_t len)
{
    while (len > 0) {
        COB_TRY(wait_until(fd, POLLOUT, cancel));
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && !is_to_be_tried_again())
            return cob_fail_errno(errno, "send a message");
        data += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return NULL;
}

struct cob_error *sshagent_receive(int fd, struct cob_cancel *cancel, GByteArray *message)
{
    uint32_t len;

    COB_TRY(receive_all(fd, cancel, (uint8_t *)&len, sizeof(len)));
    len = GUINT32_FROM_BE(len);
    if (len == 0 || len > COB_LIMIT_SSHAGENT_BYTES)
        return cob_fail(COB_EXHAUSTED, "a message of %u bytes: it may have 1 to %u", len,
            (unsigned)COB_LIMIT_SSHAGENT_BYTES);
    g_byte_array_set_size(message, len);
    return receive_all(fd, cancel, message->data, len);
}

struct cob_error *sshagent_send(int fd, struct cob_cancel *cancel, const GByteArray *message)
{
    uint32_t len = GUINT32_TO_BE(message->len);

    COB_TRY(send_all(fd, cancel, (const uint8_t *)&len, sizeof(len)));
    return send_all(fd, cancel, message->data, message->len);
}
