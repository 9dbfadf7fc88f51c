/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side: give everything up, then work. It has one thread, and starts before main(). */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/fs.h"
#include "util/limits.h"
#include "util/sealed.h"
#include "util/seccomp.h"

#define NOBODY 65534
#define MEMORY_BYTES (1 * COB_GIB) /* xz and zstd may need 128 MiB each, libraries are mapped */

static struct cob_error *limit_to(int what, uint64_t most)
{
    const struct rlimit limit = {most, most};

    return setrlimit(what, &limit) < 0 ? cob_fail_errno(errno, "set limit %d", what) : NULL;
}

static struct cob_error *set_limits(void)
{
    COB_TRY(limit_to(RLIMIT_CORE, 0));
    COB_TRY(limit_to(RLIMIT_FSIZE, 0)); /* pipes and sockets are not meant */
    COB_TRY(limit_to(RLIMIT_NPROC, 0));
    COB_TRY(limit_to(RLIMIT_NOFILE, 0));
#ifndef COB_IS_SANITIZED /* those reserve terabytes */
    COB_TRY(limit_to(RLIMIT_AS, MEMORY_BYTES));
#endif
    return NULL;
}

/* Where the user is not in the map of this user namespace, or the right to change it was taken from
 * the whole container, it stays; then the rest of the seal has to do. */
static void become_nobody(void)
{
    if (geteuid() != 0)
        return;
    setgroups(0, NULL);
    if (setresgid(NOBODY, NOBODY, NOBODY) == 0)
        (void)!setresuid(NOBODY, NOBODY, NOBODY);
}

static struct cob_error *drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) < 0)
        return cob_fail_errno(errno, "drop the capabilities");
    return NULL;
}

/* What only a process with capabilities can do; where there are none, nothing is to be done. */
static void drop_bounding_set(void)
{
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

/* By the kernel's version of it, as the headers may be older. */
static const struct {
    uint64_t files, ports, scopes;
} landlock_rights[] = {
    {(1 << 13) - 1, 0, 0}, /* 1: Linux 5.13 */
    {(1 << 14) - 1, 0, 0}, /* 2: rename between directories */
    {(1 << 15) - 1, 0, 0}, /* 3: truncate */
    {(1 << 15) - 1, 3, 0}, /* 4: bind and connect */
    {(1 << 16) - 1, 3, 0}, /* 5: ioctl of devices */
    {(1 << 16) - 1, 3, 3}, /* 6: abstract sockets, signals */
};

/* The rights of that version, and no rule that gives one back. */
static struct cob_error *enter_landlock(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (version < 1)
        return NULL; /* not in this kernel, or not switched on */
    size_t row = MIN((size_t)version, G_N_ELEMENTS(landlock_rights)) - 1;
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    cob_autoclose int fd =
        (int)syscall(SYS_landlock_create_ruleset, &landlock_rights[row], size, 0);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return cob_fail_errno(errno, "restrict itself by Landlock");
    return NULL;
}

static struct cob_error *forbid_calls(void)
{
    gsize len;
    g_autofree guchar *program = g_base64_decode(cob_sealed_program, &len);
    const struct sock_fprog filter = {.len = (unsigned short)(len / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(gpointer)program};

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
        return cob_fail_errno(errno, "forbid system calls (seccomp): cob needs a kernel with "
                                     "CONFIG_SECCOMP_FILTER");
    return NULL;
}

/* A change of user forgets that it should die with its parent; that is asked for once more. A
 * parent that died in between is seen at the input's end. */
static struct cob_error *seal(void)
{
    if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
        return cob_fail_errno(errno, "close what it inherited");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return cob_fail_errno(errno, "give up new privileges");
    drop_bounding_set();
    become_nobody();
    COB_TRY(drop_capabilities());
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return cob_fail_errno(errno, "die with its parent");
    COB_TRY(enter_landlock());
    COB_TRY(set_limits());
    return forbid_calls();
}

static void report(int fd, const struct cob_error *err)
{
    g_autofree char *text = cob_error_message(err);
    const struct cob_sealed_report head = {.code = (uint32_t)cob_error_code(err),
        .len = (uint32_t)MIN(strlen(text), (size_t)COB_SEALED_TEXT_BYTES)};
    char bytes[sizeof(head) + COB_SEALED_TEXT_BYTES];

    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), text, head.len);
    cob_error_free(cob_fs_write_fd(fd, bytes, sizeof(head) + head.len));
}

static struct cob_error *prepare(const struct cob_sealed_worker *worker, const char *arg)
{
    if (worker->prepare)
        COB_TRY(worker->prepare(arg));
    return cob_wrap(seal(), "seal the worker %s", worker->name);
}

void cob_sealed_enter(const struct cob_sealed_worker *worker, int argc, char **argv)
{
    if (argc != 4 || strcmp(argv[1], COB_SEALED_FLAG) != 0 || strcmp(argv[2], worker->name) != 0)
        return;
    struct cob_error *err = prepare(worker, argv[3]);
    if (!err)
        err = worker->run(argv[3], STDIN_FILENO, STDOUT_FILENO);
    if (err)
        report(STDIN_FILENO, err);
    _exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
