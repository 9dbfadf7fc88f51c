/* SPDX-License-Identifier: Apache-2.0 */
/* Runs inside a step: tries what the filter of system calls forbids, and prints what it got. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEW_USER 0x10000000 /* CLONE_NEWUSER */

static void tell(const char *name, long result)
{
    printf("%s %s\n", name, result >= 0 ? "allowed" : strerrorname_np(errno));
}

int main(void)
{
    tell("AF_ALG", socket(38, SOCK_SEQPACKET, 0));
    tell("AF_VSOCK", socket(40, SOCK_STREAM, 0));
    tell("AF_UNIX", socket(AF_UNIX, SOCK_STREAM, 0));
    tell("clone3", syscall(SYS_clone3, NULL, 0L));
    tell("unshare", syscall(SYS_unshare, NEW_USER));
    tell("clone", syscall(SYS_clone, NEW_USER, NULL, NULL, NULL, NULL));
    tell("keyctl", syscall(SYS_keyctl, 0L, -3L, 0L));
    tell("io_uring", syscall(SYS_io_uring_setup, 1L, NULL));
    tell("bpf", syscall(SYS_bpf, 0L, NULL, 0L));
    tell("mount", syscall(SYS_mount, "a", "/tmp", "tmpfs", 0L, NULL));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0L));
    tell("getpid", syscall(SYS_getpid));
    return 0;
}
