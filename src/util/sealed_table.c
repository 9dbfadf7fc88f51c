/* SPDX-License-Identifier: Apache-2.0 */
/* What a sealed worker may still ask of the kernel: memory, its two descriptors, and to end. Not in
 * it, so the end of the process: everything that takes a path, makes a descriptor, a process or
 * executable memory, or reaches another process. */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "util/seccomp.h"

static const char *const allowed[] = {
    /* clang-format off */
    "brk", "clock_gettime", "clock_gettime64", "exit", "exit_group", "futex", "futex_time64",
    "getpid", "gettid", "madvise", "mremap", "munmap", "read", "restart_syscall", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "write",
#ifdef COB_IS_SANITIZED /* what their run time does on the side */
    "clock_nanosleep", "nanosleep", "sched_yield", "sigaltstack",
#endif
    /* clang-format on */
    NULL,
};

static const struct cob_seccomp_rule rules[] = {
    {"mmap", "SCMP_ACT_ALLOW", 2, "SCMP_CMP_MASKED_EQ", PROT_EXEC, 0, 0},
    {"mprotect", "SCMP_ACT_ALLOW", 2, "SCMP_CMP_MASKED_EQ", PROT_EXEC, 0, 0},
    /* abort() asks for it, and when refused crashes in another way: no forbidden call then */
    {"tgkill", "SCMP_ACT_ERRNO", 0, NULL, 0, 0, EPERM},
    {NULL, NULL, 0, NULL, 0, 0, 0},
};

static const char *const arches[] = {NULL}; /* the machine's own, and no other */

const struct cob_seccomp_table cob_seccomp_table = {
    .kills = true, .arches = arches, .allowed = allowed, .rules = rules};
