/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that lacks a system call:  old_kernel ERRNO NAME PROGRAM [ARGUMENT...]
 *
 * ERRNO is what the call returns: 38 (ENOSYS) of an old kernel, 1 (EPERM) of a container's filter.
 * The program and all that it starts live with it. Exit code 77: this machine allows no filters.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int number = argc > 3 ? seccomp_syscall_resolve_name(argv[2]) : __NR_SCMP_ERROR;

    if (!filter || number == __NR_SCMP_ERROR) {
        fprintf(stderr, "usage: old_kernel ERRNO NAME PROGRAM [ARGUMENT...]\n");
        return 1;
    }
    /* Root needs no promise for this, and one would take newuidmap its rights away. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, geteuid() != 0);
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)atoi(argv[1])), number, 0) < 0 ||
        seccomp_load(filter) < 0)
        return 77;
    execvp(argv[3], &argv[3]);
    perror(argv[3]);
    return 127;
}
