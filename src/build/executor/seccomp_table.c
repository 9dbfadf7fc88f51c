/* SPDX-License-Identifier: Apache-2.0 */
/* What a step may ask of the kernel: the table behind seccomp.c. */
#include "build/executor/seccomp_table.h"

#include <stddef.h>

/* Allowed whatever the arguments. Not in it, so EPERM: mounts, namespaces, modules, keys, bpf,
 * io_uring, userfaultfd, clocks, and what else the capabilities of a step would not cover. */
const char *const cob_seccomp_allowed[] = {
    /* clang-format off */
    "_llseek", "_newselect", "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk",
    "cachestat", "capget", "capset", "chdir", "chmod", "chown", "chown32", "chroot",
    "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "close", "close_range",
    "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old",
    "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2",
    "fadvise64", "fadvise64_64", "fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat",
    "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr",
    "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64",
    "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32",
    "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer",
    "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom",
    "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid",
    "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr",
    "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
    "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup",
    "io_submit", "ioctl", "ioprio_get", "ioprio_set", "ipc", "kill", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link",
    "linkat", "listen", "listmount", "listxattr", "listxattrat", "llistxattr", "lremovexattr",
    "lseek", "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack", "membarrier",
    "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock",
    "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify", "mq_open",
    "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink",
    "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall",
    "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "open", "openat", "openat2", "pause",
    "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
    "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read",
    "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename",
    "renameat", "renameat2", "restart_syscall", "riscv_hwprobe", "rmdir", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield",
    "seccomp", "select", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send",
    "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto", "set_robust_list", "set_thread_area",
    "set_tid_address", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32",
    "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32",
    "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit",
    "setsid", "setsockopt", "setuid", "setuid32", "setxattr", "setxattrat", "shmat", "shmctl",
    "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "sigprocmask",
    "sigreturn", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs", "statfs64",
    "statmount", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo",
    "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
    "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
    "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate",
    "truncate64", "ugetrlimit", "umask", "uname", "unlink", "unlinkat", "uretprobe", "utime",
    "utimensat", "utimensat_time64", "utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid",
    "write", "writev",
    "arch_prctl", "modify_ldt", "process_vm_readv", "process_vm_writev", "ptrace",
    "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "riscv_flush_icache",
    "s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr", "set_tls", "swapcontext",
    "sync_file_range2",
    /* clang-format on */
    NULL,
};

/* Allowed where an argument fits; several rows of one call are alternatives. */
const struct cob_seccomp_rule cob_seccomp_rules[] = {
    /* every address family but AF_ALG (38) and AF_VSOCK (40) */
    {"socket", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_LT", 38, 0, 0},
    {"socket", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_EQ", 39, 0, 0},
    {"socket", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_GT", 40, 0, 0},
    /* PER_LINUX, PER_LINUX32, both with UNAME26, and the question which it is */
    {"personality", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_EQ", 0x0, 0, 0},
    {"personality", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_EQ", 0x8, 0, 0},
    {"personality", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_EQ", 0x20000, 0, 0},
    {"personality", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_EQ", 0x20008, 0, 0},
    {"personality", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_EQ", 0xffffffff, 0, 0},
/* No new namespaces by clone(2). s390 has the flags second. */
#if defined(__s390__)
    {"clone", "SCMP_ACT_ALLOW", 1, "SCMP_CMP_MASKED_EQ", 0x7e020000, 0, 0},
#else
    {"clone", "SCMP_ACT_ALLOW", 0, "SCMP_CMP_MASKED_EQ", 0x7e020000, 0, 0},
#endif
    /* its flags lie in memory, where no filter sees them: libc falls back to clone(2) */
    {"clone3", "SCMP_ACT_ERRNO", 0, NULL, 0, 0, 38},
    {NULL, NULL, 0, NULL, 0, 0, 0},
};

#if defined(__x86_64__)
const char *const cob_seccomp_arches[] = {
    "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", NULL};
#elif defined(__aarch64__)
const char *const cob_seccomp_arches[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", NULL};
#elif defined(__s390x__)
const char *const cob_seccomp_arches[] = {"SCMP_ARCH_S390X", "SCMP_ARCH_S390", NULL};
#elif defined(__powerpc64__)
const char *const cob_seccomp_arches[] = {"SCMP_ARCH_PPC64LE", NULL};
#else
const char *const cob_seccomp_arches[] = {"SCMP_ARCH_RISCV64", NULL};
#endif

const struct cob_seccomp_table cob_seccomp_table = {
    .arches = cob_seccomp_arches, .allowed = cob_seccomp_allowed, .rules = cob_seccomp_rules};
