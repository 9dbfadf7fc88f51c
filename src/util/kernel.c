/* SPDX-License-Identifier: Apache-2.0 */
#include "util/kernel.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Each is called with arguments that the kernel refuses before it does or changes anything, with
 * EINVAL. ENOSYS and EPERM come from who does not have it, or forbids it; some, though, look for
 * the right to mount before they look at their arguments. */
static const struct {
    const char *name, *since;
    long number;
    long arguments[5];
    bool needs_right; /* EPERM says nothing without the right to mount */
} calls[] = {
    {"openat2", "5.6", SYS_openat2, {-1, 0, 0, 0, 0}, false},
    {"open_tree", "5.2", SYS_open_tree, {-1, 0, -1, 0, 0}, false},
    {"move_mount", "5.2", SYS_move_mount, {-1, 0, -1, 0, -1}, true},
    {"mount_setattr", "5.12", SYS_mount_setattr, {-1, 0, 0, 0, 0}, false},
    {"fsopen", "5.2", SYS_fsopen, {0, -1, 0, 0, 0}, true},
    {"clone3", "5.3", SYS_clone3, {0, 0, 0, 0, 0}, false},
    {"close_range", "5.9", SYS_close_range, {0, 0, -1, 0, 0}, false},
    {"renameat2", "3.15", SYS_renameat2, {-1, 0, -1, 0, -1}, false},
    {"utimensat", "2.6.22", SYS_utimensat, {-1, 0, 0, -1, 0}, false},
};

static bool may_mount(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & (1U << CAP_SYS_ADMIN)) != 0;
}

static bool is_missing(size_t i)
{
    const long *a = calls[i].arguments;

    if (syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4]) >= 0)
        return false;
    return errno == ENOSYS || (errno == EPERM && (!calls[i].needs_right || may_mount()));
}

/* glibc makes EINVAL of ENOSYS where it knows an older call that can do without the flags. */
static bool may_be_reason(const struct cob_error *err)
{
    int errnum = cob_error_errno(err);
    enum cob_code code = cob_error_code(err);

    return errnum == ENOSYS || errnum == EPERM || errnum == EINVAL ||
           (errnum == 0 && (code == COB_UNIMPLEMENTED || code == COB_DENIED));
}

struct cob_error *cob_kernel_explain(struct cob_error *err)
{
    g_autoptr(GString) names = g_string_new(NULL);

    if (!may_be_reason(err))
        return err;
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (is_missing(i))
            g_string_append_printf(
                names, "%s%s (Linux %s)", names->len ? ", " : "", calls[i].name, calls[i].since);
    }
    if (names->len == 0)
        return err;
    return cob_wrap(err,
        "this kernel, or a filter of system calls around cob, does not allow %s, see "
        "docs/kernel-support.md",
        names->str);
}

struct cob_error *cob_kernel_check_threads(void)
{
    if (syscall(SYS_clone3, NULL, 0L) < 0 && errno == EPERM)
        return cob_fail_errno(EPERM,
            "start a thread: the filter of system calls around cob has to allow clone3, or to "
            "answer it with ENOSYS");
    return NULL;
}
