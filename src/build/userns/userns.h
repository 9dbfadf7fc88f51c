/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces for cob itself: what lets it mount where nobody sees it, and lets an unprivileged user
 * build at all.
 *
 * Both functions are called once, at the start of a command that builds or runs, while the process
 * has one thread. They change the process they are called in; they do not start another.
 *
 *     who calls           user namespace                      mount namespace
 *     root                none                                its own, private
 *     user with subuids   0 = the user, 1.. = the ranges      its own, private
 *     user without        0 = the user, nobody else           its own, private
 *
 * threads:  the process has one thread.
 * spec:     user_namespaces(7), subuid(5), newuidmap(1).
 */
#pragma once

#include "util/error.h"

/* Leave the system's mount namespace for a private one: no mount of ours is seen outside, and none
 * survives us. For root. */
COB_RESULT struct cob_error *cob_userns_enter_mounts(void);

/*
 * Become root in a user namespace of our own, with a private mount namespace. For other users.
 *
 * ret_notice:  NULL, or a text for the user that says what will not work because only one id can be
 *              used, and what to do about it. The caller frees it.
 * errors:      COB_PRECONDITION when the system allows no user namespace; the text says what to do.
 */
COB_RESULT struct cob_error *cob_userns_enter(char **ret_notice);
