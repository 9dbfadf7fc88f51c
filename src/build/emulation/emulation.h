/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of another platform: how this machine runs them.
 *
 *     the processor runs them, or binfmt_misc has     nothing is to be done
 *     an emulator that is loaded already (flag F)
 *     qemu-<arch>-static is on PATH, Linux >= 6.7     they get a user namespace of cob's own, whose
 *                                                     binfmt_misc knows the emulator
 *     neither                                         an error that says what to install
 *
 * Which it is, is found by trying: a program of a few instructions that ends at once, in a root of
 * its own, where an emulator that is not loaded beforehand would not be found. The machine's own
 * binfmt_misc is never written to. In the user namespace every id is itself; who enters it has no
 * privilege outside, so cannot make devices or own the network namespace of other steps.
 *
 * threads:  any.
 * spec:     Documentation/admin-guide/binfmt-misc.rst, user_namespaces(7); docs/kernel-support.md.
 */
#pragma once

#include <stdbool.h>

#include "util/cancel.h"

struct cob_emulation;

/* Starts nothing yet. scratch_dir: absolute path of a folder of this process alone, there at the
 * first use. */
struct cob_emulation *cob_emulation_new(const char *scratch_dir);
void cob_emulation_free(struct cob_emulation *emulation);
COB_AUTOPTR(cob_emulation, cob_emulation_free)

/*
 * Make a platform's programs run.
 *
 * platform:       "linux/arm64"; NULL: this machine's.
 * ret_userns_fd:  the user namespace that its programs must be in, borrowed; -1: any will do.
 * errors:         COB_PRECONDITION: no emulator, or a kernel that is too old; the text says what to
 *                 install.
 */
COB_RESULT struct cob_error *cob_emulation_prepare(struct cob_emulation *emulation,
    const char *platform, struct cob_cancel *cancel, int *ret_userns_fd);
