/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binfmt_misc of cob's own. Since Linux 6.7 each user namespace may have one, which the kernel
 * asks in place of the machine's when a program is run in there.
 *
 *     holder     a process in a new user and a new mount namespace; it waits for its end
 *     registrar  enters both, mounts binfmt_misc, and writes the rule
 *
 * They are two because the ids of a user namespace are mapped from outside of it, and a rule can be
 * written only afterwards; and processes of their own because a process with threads can neither
 * make nor enter a user namespace. Both end at once; open descriptors keep the namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "build/emulation/emulation_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/process.h"

#define MAX_MAP_BYTES (64 * COB_KIB)
#define MAX_RANGE 65536

/* Every id in its place. A range is split up: runtimes take one of 4294967295 ids for the machine's
 * own user namespace. */
static struct cob_error *identity_map(const char *path, char **ret_text)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GString) map = g_string_new(NULL);
    gsize len = 0;

    COB_TRY(cob_fs_read_file(AT_FDCWD, path, MAX_MAP_BYTES, &bytes));
    const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
    guint64 row[3];
    size_t n = 0;
    for (char **word = words; *word; word++) {
        if (!**word)
            continue;
        if (!g_ascii_string_to_unsigned(*word, 10, 0, UINT32_MAX, &row[n++], NULL))
            return cob_fail(COB_INTERNAL, "%s: \"%s\" is no number", path, *word);
        if (n < G_N_ELEMENTS(row))
            continue;
        const guint64 first = MIN(row[2], MAX_RANGE);
        g_string_append_printf(map, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", row[0], row[0], first);
        if (row[2] > first)
            g_string_append_printf(map, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", row[0] + first,
                row[0] + first, row[2] - first);
        n = 0;
    }
    *ret_text = g_strdup(map->str);
    return NULL;
}

static struct cob_error *write_map(pid_t pid, const char *name)
{
    g_autofree char *own = g_strdup_printf("/proc/self/%s", name);
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    g_autofree char *text = NULL;

    COB_TRY(identity_map(own, &text));
    cob_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return cob_fail_errno(errno, "write %s", path);
    return NULL;
}

static struct cob_error *open_ns(pid_t pid, const char *name, int *ret_fd)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/%s", (int)pid, name);

    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open %s", path) : NULL;
}

/* What the registrar does. */
struct registrar {
    int userns_fd, mntns_fd;
    const char *mount_dir;
    const char *rule;
};

/* spec: only async-signal-safe calls, see util/process.h. */
static int mount_binfmt(const char *mount_dir, int *ret_fd)
{
    int fs_fd = (int)syscall(SYS_fsopen, "binfmt_misc", FSOPEN_CLOEXEC);

    if (fs_fd < 0 || syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return errno;
    *ret_fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, 0);
    if (*ret_fd < 0 ||
        syscall(SYS_move_mount, *ret_fd, "", AT_FDCWD, mount_dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return errno;
    return 0;
}

/* spec: likewise. */
static int register_rule(void *arg)
{
    const struct registrar *registrar = arg;
    int mount_fd = -1;

    if (setns(registrar->userns_fd, CLONE_NEWUSER) < 0 ||
        setns(registrar->mntns_fd, CLONE_NEWNS) < 0)
        return errno;
    int errnum = mount_binfmt(registrar->mount_dir, &mount_fd);
    if (errnum)
        return errnum;
    int fd = openat(mount_fd, "register", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, registrar->rule, strlen(registrar->rule)) < 0)
        return errno;
    close(fd);
    return 0;
}

static struct cob_error *run_registrar(struct registrar *registrar, struct cob_cancel *cancel)
{
    static const char *const argv[] = {"/bin/sh", "-c", ":", NULL};
    const struct cob_process_request request = {
        .argv = argv, .in_child = register_rule, .arg = registrar};
    g_autoptr(cob_process) process = NULL;
    int status = 0;

    COB_TRY(cob_process_spawn(&request, &process));
    return cob_process_wait(process, cancel, &status);
}

static struct cob_error *fill_namespace(
    const struct cob_process *holder, struct registrar *registrar, struct cob_cancel *cancel)
{
    pid_t pid = cob_process_pid(holder);

    COB_TRY(write_map(pid, "uid_map"));
    COB_TRY(write_map(pid, "gid_map"));
    COB_TRY(open_ns(pid, "user", &registrar->userns_fd));
    COB_TRY(open_ns(pid, "mnt", &registrar->mntns_fd));
    return run_registrar(registrar, cancel);
}

struct cob_error *emulation_namespace(const char *rule, const char *mount_dir,
    struct cob_cancel *cancel, int *ret_userns_fd, int *ret_mntns_fd)
{
    static const char *const argv[] = {"/bin/sh", "-c", "read -r end", NULL};
    struct registrar registrar = {
        .userns_fd = -1, .mntns_fd = -1, .mount_dir = mount_dir, .rule = rule};
    g_autoptr(cob_process) holder = NULL;
    cob_autoclose int wait_fd = -1;
    cob_autoclose int go_fd = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    wait_fd = ends[0], go_fd = ends[1];
    const struct cob_process_request request = {
        .argv = argv, .stdin_fd = wait_fd, .clone_flags = CLONE_NEWUSER | CLONE_NEWNS};
    struct cob_error *err = cob_process_spawn(&request, &holder);
    if (!err)
        err = fill_namespace(holder, &registrar, cancel);
    if (err) {
        cob_closep(&registrar.userns_fd);
        cob_closep(&registrar.mntns_fd);
        return cob_wrap(err, "make a user namespace with a binfmt_misc of its own");
    }
    *ret_userns_fd = registrar.userns_fd;
    *ret_mntns_fd = registrar.mntns_fd;
    return NULL;
}
