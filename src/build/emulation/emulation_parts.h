/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the module share.
 *
 *     emulation.c        which platforms run, and how
 *     binfmt.c           the user namespace, and its binfmt_misc
 *     machines_table.c   what a program of each architecture looks like
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "build/emulation/emulation.h"

/* An architecture whose programs can be told, tried and emulated. */
struct emulation_machine {
    const char *arch;     /* as in platforms: "arm64" */
    const char *emulator; /* "qemu-aarch64-static" */
    bool is_64bit, is_big_endian;
    uint16_t elf_machine;
    uint32_t elf_flags;
    const char *exit_code; /* instructions for exit(0) */
    size_t exit_code_len;
};
extern const struct emulation_machine emulation_machines[]; /* ends with a NULL arch */

/* The smallest program of a machine: it ends at once, with 0. */
GBytes *emulation_probe(const struct emulation_machine *machine);

/* A line for binfmt_misc's file "register". The caller frees it. */
char *emulation_rule(const struct emulation_machine *machine, const char *interpreter);

/*
 * Make a user namespace with every id of this one in its place, and tell its binfmt_misc of
 * an emulator.
 *
 * rule:         of emulation_rule().
 * mount_dir:    where the new mount namespace has binfmt_misc; while it is there, so is the rule.
 * ret_mntns_fd: keeps the rule alive; the caller's, as is ret_userns_fd.
 */
COB_RESULT struct cob_error *emulation_namespace(const char *rule, const char *mount_dir,
    struct cob_cancel *cancel, int *ret_userns_fd, int *ret_mntns_fd);
