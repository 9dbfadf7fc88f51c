/* SPDX-License-Identifier: Apache-2.0 */
#include "build/userns/userns.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/types.h>

#include "util/fs.h"
#include "util/limits.h"
#include "util/process.h"

#define MAX_RANGES 64 /* the kernel takes 340; each is three arguments */
#define WORDS_BYTES (4 * COB_KIB)

struct cob_error *cob_userns_enter_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0)
        return cob_fail_errno(errno, "make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return cob_fail_errno(errno, "make all mounts private");
    return NULL;
}

/* Kinds of ids, that differ in names only. */
struct kind {
    const char *file;    /* who may use which ids */
    const char *program; /* writes the map, with privilege */
    const char *map;
};
static const struct kind uids = {"/etc/subuid", "newuidmap", "/proc/self/uid_map"};
static const struct kind gids = {"/etc/subgid", "newgidmap", "/proc/self/gid_map"};

/* The arguments of newuidmap behind the pid: id 0 is the user, 1.. are the ranges in their order.
 * Three to a range. ret_n_ranges: 0 when the user has none. */
static struct cob_error *read_ranges(
    const struct kind *kind, const char *user, uint32_t own_id, GPtrArray *args, int *ret_n_ranges)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autofree char *uid = g_strdup_printf("%u", getuid());
    guint64 next = 1;
    gsize len = 0;

    *ret_n_ranges = 0;
    g_ptr_array_add(args, g_strdup("0"));
    g_ptr_array_add(args, g_strdup_printf("%u", own_id));
    g_ptr_array_add(args, g_strdup("1"));
    COB_TRY(cob_fs_read_file(AT_FDCWD, kind->file, COB_LIMIT_PASSWD_BYTES, &bytes));
    if (!bytes)
        return NULL;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line && *ret_n_ranges < MAX_RANGES; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, ":", 4);
        guint64 first = 0, count = 0;

        if (g_strv_length(fields) != 3 || (strcmp(fields[0], user) && strcmp(fields[0], uid)) ||
            !g_ascii_string_to_unsigned(fields[1], 10, 1, UINT32_MAX - 1, &first, NULL) ||
            !g_ascii_string_to_unsigned(fields[2], 10, 1, UINT32_MAX - next, &count, NULL))
            continue;
        g_ptr_array_add(args, g_strdup_printf("%" PRIu64, next));
        g_ptr_array_add(args, g_strdup_printf("%" PRIu64, first));
        g_ptr_array_add(args, g_strdup_printf("%" PRIu64, count));
        next += count;
        ++*ret_n_ranges;
    }
    return NULL;
}

/* A helper that waits outside of the user namespace until there is one. */
struct mapper {
    const struct kind *kind;
    struct cob_process *process;
    int go_fd, words_fd;
};

static void mapper_done(struct mapper *mapper)
{
    cob_closep(&mapper->go_fd);
    cob_closep(&mapper->words_fd);
    cob_process_free(mapper->process);
}

/* It is a shell that waits for a line, because the map's program must start after unshare(), but
 * its process before: after it, it would be inside. */
static struct cob_error *mapper_start(struct mapper *mapper, GPtrArray *ranges)
{
    static const char script[] = "read -r go && exec \"$@\"";
    g_autofree char *pid = g_strdup_printf("%d", getpid());
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    cob_autoclose int wait_fd = -1;
    cob_autoclose int err_fd = -1;
    int go[2], words[2];
    const char *const head[] = {"/bin/sh", "-c", script, "sh", mapper->kind->program, pid};

    if (pipe2(go, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    wait_fd = go[0], mapper->go_fd = go[1];
    if (pipe2(words, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    mapper->words_fd = words[0], err_fd = words[1];
    for (size_t i = 0; i < G_N_ELEMENTS(head); i++)
        g_ptr_array_add(argv, (char *)(uintptr_t)head[i]);
    for (guint i = 0; i < ranges->len; i++)
        g_ptr_array_add(argv, g_ptr_array_index(ranges, i));
    g_ptr_array_add(argv, NULL);
    struct cob_process_request request = {
        .argv = (const char *const *)argv->pdata, .stdin_fd = wait_fd, .stderr_fd = err_fd};
    return cob_process_spawn(&request, &mapper->process);
}

static struct cob_error *mapper_go(struct mapper *mapper)
{
    g_autoptr(GBytes) words = NULL;
    int status = 0;
    gsize len = 0;

    COB_TRY(cob_fs_write_fd(mapper->go_fd, "go\n", 3));
    COB_TRY(cob_process_wait(mapper->process, NULL, &status));
    if (status == 0)
        return NULL;
    COB_TRY(cob_fs_read_fd(mapper->words_fd, WORDS_BYTES, &words));
    const char *data = g_bytes_get_data(words, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);
    return cob_fail(COB_PRECONDITION, "%s (the range of this user in %s must be its alone)",
        g_strstrip(text), mapper->kind->file);
}

static struct cob_error *leave_for_new_namespaces(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
        return NULL;
    if (errno == EPERM || errno == ENOSPC || errno == EUSERS || errno == EACCES)
        return cob_fail(COB_PRECONDITION,
            "this system lets users make no user namespaces (%s): as root, set sysctl "
            "user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, "
            "kernel.apparmor_restrict_unprivileged_userns=0, where they exist; or run cob as root",
            g_strerror(errno));
    return cob_fail_errno(errno, "make a user namespace");
}

static struct cob_error *become_root(void)
{
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return cob_fail_errno(errno, "become root of the user namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return cob_fail_errno(errno, "make all mounts private");
    return NULL;
}

static struct cob_error *enter_with_ranges(GPtrArray *uid_args, GPtrArray *gid_args)
{
    struct mapper mappers[] = {
        {.kind = &uids, .go_fd = -1, .words_fd = -1}, {.kind = &gids, .go_fd = -1, .words_fd = -1}};
    struct cob_error *err = mapper_start(&mappers[0], uid_args);

    if (!err)
        err = mapper_start(&mappers[1], gid_args);
    if (!err)
        err = leave_for_new_namespaces();
    for (size_t i = 0; i < G_N_ELEMENTS(mappers); i++) {
        if (!err)
            err = cob_wrap(mapper_go(&mappers[i]), "map the ids of this user");
        mapper_done(&mappers[i]);
    }
    return err ? err : become_root();
}

static struct cob_error *write_own(const char *path, const char *text)
{
    cob_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "open %s", path);
    return cob_wrap(cob_fs_write_fd(fd, text, strlen(text)), "%s", path);
}

static struct cob_error *enter_with_one_id(void)
{
    g_autofree char *uid_map = g_strdup_printf("0 %u 1\n", getuid());
    g_autofree char *gid_map = g_strdup_printf("0 %u 1\n", getgid());

    COB_TRY(leave_for_new_namespaces());
    COB_TRY(write_own("/proc/self/setgroups", "deny"));
    COB_TRY(write_own(uids.map, uid_map));
    COB_TRY(write_own(gids.map, gid_map));
    return become_root();
}

static bool are_mappers_installed(void)
{
    g_autofree char *uid_program = g_find_program_in_path(uids.program);
    g_autofree char *gid_program = g_find_program_in_path(gids.program);

    return uid_program && gid_program;
}

struct cob_error *cob_userns_enter(char **ret_notice)
{
    g_autoptr(GPtrArray) uid_args = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) gid_args = g_ptr_array_new_with_free_func(g_free);
    const struct passwd *self = getpwuid(getuid());
    g_autofree char *name = self ? g_strdup(self->pw_name) : g_strdup_printf("%u", getuid());
    int n_uids = 0, n_gids = 0;

    COB_TRY(read_ranges(&uids, name, getuid(), uid_args, &n_uids));
    COB_TRY(read_ranges(&gids, name, getgid(), gid_args, &n_gids));
    bool has_ranges = n_uids > 0 && n_gids > 0, has_programs = are_mappers_installed();
    if (has_ranges && has_programs) {
        COB_TRY(enter_with_ranges(uid_args, gid_args));
        *ret_notice = NULL;
        return NULL;
    }
    COB_TRY(enter_with_one_id());
    *ret_notice = g_strdup_printf(
        "only one user id can be used: USER, chown and packages that make users will not work; %s",
        has_ranges ? "install newuidmap and newgidmap (Debian: apt-get install uidmap)"
                   : "as root, give this user ranges: usermod --add-subuids 100000-165535 "
                     "--add-subgids 100000-165535");
    return NULL;
}
