/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of a step: an allow-list, everything else is EPERM. The same as docker's and
 * BuildKit's for a process with the fourteen default capabilities.
 *
 * spec: moby/profiles seccomp, default profile; OCI runtime-spec config-linux.md, "Seccomp".
 */
#pragma once

#include "util/seccomp.h"

extern const char *const cob_seccomp_allowed[]; /* NULL-terminated */
extern const char *const cob_seccomp_arches[];  /* this machine's, NULL-terminated */

extern const struct cob_seccomp_rule cob_seccomp_rules[]; /* to a row without a name */

/* All of it as a filter program, in base64; made while cob is built. crun takes it as it is;
 * other runtimes compile the table themselves. */
extern const char cob_seccomp_program[];
