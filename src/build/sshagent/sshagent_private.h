/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of sshagent share.
 *
 *     sshagent.c   agents: the user's, or one of files
 *     door.c       the socket of a step, and who is at it
 *     messages.c   which messages may pass
 *     message_io.c whole messages, over sockets
 *
 * A message is its length (4 bytes, big-endian), its type (1 byte), and what belongs to the type.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "build/sshagent/sshagent.h"
#include "util/limits.h"

/* Types of messages.
 * spec: draft-ietf-sshm-ssh-agent, section 6.1 */
enum {
    SSHAGENT_FAILURE = 5,
    SSHAGENT_LIST = 11,
    SSHAGENT_LIST_ANSWER = 12,
    SSHAGENT_SIGN = 13,
    SSHAGENT_SIGN_ANSWER = 14,
};

struct cob_sshagent {
    char *socket_path;
    char *own_dir;               /* of the socket of our own agent; NULL: it is the user's */
    struct cob_process *process; /* our own agent; NULL */
};

/* --- messages.c --- */

/* May a request pass? Its length must be exactly that of its parts. */
bool sshagent_may_ask(const uint8_t *data, size_t len);

/* May an answer to a request that passed? */
bool sshagent_may_answer(uint8_t request_type, const uint8_t *data, size_t len);

/* --- message_io.c --- */

/* One message, without its length. Sockets do not block.
 * message:  its old content goes.
 * errors:   COB_CANCELLED; COB_EXHAUSTED: it is too long; COB_NOT_FOUND: the other side is gone. */
COB_RESULT struct cob_error *sshagent_receive(
    int fd, struct cob_cancel *cancel, GByteArray *message);
COB_RESULT struct cob_error *sshagent_send(
    int fd, struct cob_cancel *cancel, const GByteArray *message);

/* --- sshagent.c --- */

/* One for each who is let in. The caller closes it. */
COB_RESULT struct cob_error *sshagent_connect(const struct cob_sshagent *agent, int *ret_fd);
