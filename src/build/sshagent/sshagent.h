/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSH agents that steps may ask for signatures: RUN --mount=type=ssh, git over ssh.
 *
 *     step  --socket-->  a door  --list and sign alone-->  an agent
 *
 * An agent is the user's own, reached by its socket, or one that holds the keys of named files:
 * Debian's ssh-agent, started for the build with a socket where nobody else may enter, which ends
 * with cob. Keys are in its memory alone.
 *
 * A door is a listening socket of one step. Whoever knocks is not trusted: what is passed on is a
 * request for the list of keys or for a signature, and nothing that the agent says but their
 * answers; to all else the door itself says no.
 *
 * threads:  any; the thread that opens an agent outlives it.
 * spec:     draft-ietf-sshm-ssh-agent; BuildKit session/sshforward/sshprovider/agentprovider.go.
 */
#pragma once

#include <sys/types.h>

#include "util/cancel.h"

struct cob_sshagent;

/*
 * Open an agent.
 *
 * paths:   NULL-terminated: one socket, or files with private keys, without a passphrase. NULL, or
 *          one that is empty: $SSH_AUTH_SOCK.
 * errors:  COB_PRECONDITION: SSH_AUTH_SOCK is not set, or ssh-agent not installed; COB_NOT_FOUND;
 *          COB_INVALID: a file that is no key, sockets and keys mixed.
 */
COB_RESULT struct cob_error *cob_sshagent_open(
    const char *const *paths, struct cob_cancel *cancel, struct cob_sshagent **ret_agent);
void cob_sshagent_close(struct cob_sshagent *agent);
COB_AUTOPTR(cob_sshagent, cob_sshagent_close)

/* For a program of cob's own that is trusted with all that an agent does. Borrowed. */
const char *cob_sshagent_socket(const struct cob_sshagent *agent);

struct cob_sshagent_door;

/* Who may knock. */
struct cob_sshagent_owner {
    uid_t uid;
    gid_t gid;
    mode_t mode;
};

/* Make a socket and serve it until the door is closed.
 * agent:     borrowed by the door.
 * dir_fd:    of a directory of cob's own; the socket is `name` in it, and the caller's to remove.
 */
COB_RESULT struct cob_error *cob_sshagent_door_open(struct cob_sshagent *agent, int dir_fd,
    const char *name, const struct cob_sshagent_owner *owner, struct cob_sshagent_door **ret_door);

/* Whoever is inside is sent away. */
void cob_sshagent_door_close(struct cob_sshagent_door *door);
COB_AUTOPTR(cob_sshagent_door, cob_sshagent_door_close)
