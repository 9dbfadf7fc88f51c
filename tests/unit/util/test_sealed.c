/* SPDX-License-Identifier: Apache-2.0 */
#include "util/sealed.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "util/fs.h"

/* --- what is run behind the seal --- */

static struct cob_error *echo(const char *arg, int in_fd, int out_fd)
{
    char buffer[1000];
    ssize_t n;

    (void)arg;
    while ((n = read(in_fd, buffer, sizeof(buffer))) > 0)
        COB_TRY(cob_fs_write_fd(out_fd, buffer, (size_t)n));
    return NULL;
}

/* A row is a system call of which nothing must remain but a dead process. */
static const struct {
    const char *name;
    long number, args[4];
} forbidden[] = {
#ifdef SYS_open /* older machines alone have these */
    {"open", SYS_open, {(long)"/etc/passwd", O_RDONLY}},
    {"creat", SYS_creat, {(long)"/tmp/x", 0600}},
    {"stat", SYS_stat, {(long)"/"}},
    {"fork", SYS_fork, {0}},
#endif
    {"openat", SYS_openat, {AT_FDCWD, (long)"/etc/passwd", O_RDONLY}},
    {"openat2", SYS_openat2, {AT_FDCWD, (long)"/etc/passwd"}},
    {"readlinkat", SYS_readlinkat, {AT_FDCWD, (long)"/proc/self/exe"}},
    {"unlinkat", SYS_unlinkat, {AT_FDCWD, (long)"/nothing"}},
    {"renameat2", SYS_renameat2, {AT_FDCWD, (long)"/a", AT_FDCWD, (long)"/b"}},
    {"chdir", SYS_chdir, {(long)"/"}},
    {"socket", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
    {"sendmsg", SYS_sendmsg, {0}},
    {"recvmsg", SYS_recvmsg, {0}},
    {"execve", SYS_execve, {(long)"/bin/true"}},
    {"execveat", SYS_execveat, {AT_FDCWD, (long)"/bin/true"}},
    {"clone", SYS_clone, {SIGCHLD}},
    {"clone3", SYS_clone3, {0}},
    {"kill", SYS_kill, {1, 0}},
    {"ptrace", SYS_ptrace, {0}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"mount", SYS_mount, {0}},
    {"unshare", SYS_unshare, {0}},
    {"setns", SYS_setns, {0}},
    {"bpf", SYS_bpf, {0}},
    {"io_uring_setup", SYS_io_uring_setup, {1}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"memfd_create", SYS_memfd_create, {(long)"x"}},
    {"dup", SYS_dup, {0}},
    {"fcntl", SYS_fcntl, {0, F_GETFD}},
    {"ioctl", SYS_ioctl, {0}},
    {"pipe2", SYS_pipe2, {0}},
    {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
    {"setrlimit", SYS_setrlimit, {RLIMIT_NOFILE}},
    {"setuid", SYS_setuid, {0}},
    {"executable mmap", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS}},
    {"executable mprotect", SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}},
};

static struct cob_error *misbehave(const char *arg, int in_fd, int out_fd)
{
    size_t row = g_ascii_strtoull(arg, NULL, 10);
    const long *args = forbidden[row].args;

    (void)in_fd;
    syscall(forbidden[row].number, args[0], args[1], args[2], args[3]);
    return cob_fs_write_fd(out_fd, "alive", 5);
}

static struct cob_error *fail(const char *arg, int in_fd, int out_fd)
{
    char byte;

    (void)out_fd;
    if (strcmp(arg, "crash") == 0)
        *(volatile int *)(uintptr_t)in_fd = 1;
    if (strcmp(arg, "abort") == 0)
        abort();
    if (strcmp(arg, "hang") == 0) {
        while (true)
            ;
    }
    if (strcmp(arg, "wait") == 0) {
        ssize_t n = read(in_fd, &byte, 1);

        return cob_fail(COB_INTERNAL, "read %zd", n);
    }
    if (strcmp(arg, "long") == 0) {
        g_autofree char *text = g_strnfill(100000, 'x');

        return cob_fail(COB_EXHAUSTED, "%s", text);
    }
    return cob_fail(strcmp(arg, "denied") == 0 ? COB_DENIED : COB_INVALID, "byte %d is bad", 7);
}

static struct cob_error *refuse(const char *arg)
{
    return cob_fail(COB_UNIMPLEMENTED, "load %s: it is not there", arg);
}

static const struct cob_sealed_worker echo_worker = {.name = "echo", .run = echo},
                                      bad_worker = {.name = "misbehave", .run = misbehave},
                                      failing_worker = {.name = "fail", .run = fail},
                                      unready_worker = {
                                          .name = "unready", .prepare = refuse, .run = echo};

__attribute__((constructor)) static void become_worker(int argc, char **argv)
{
    cob_sealed_enter(&echo_worker, argc, argv);
    cob_sealed_enter(&bad_worker, argc, argv);
    cob_sealed_enter(&failing_worker, argc, argv);
    cob_sealed_enter(&unready_worker, argc, argv);
}

/* --- tests --- */

/* All of its output, then its end. */
static struct cob_error *drain(
    struct cob_sealed *sealed, GString *output, struct cob_cancel *cancel)
{
    char room[4096];
    struct cob_sealed_exchange exchange = {.room = room, .cap = sizeof(room)};

    while (!exchange.is_over) {
        COB_TRY(cob_sealed_exchange(sealed, &exchange, cancel));
        g_string_append_len(output, room, (gssize)exchange.n_received);
    }
    return cob_sealed_finish(sealed, cancel);
}

static struct cob_error *run(
    const struct cob_sealed_worker *worker, const char *arg, struct cob_cancel *cancel)
{
    g_autoptr(cob_sealed) sealed = NULL;
    g_autoptr(GString) output = g_string_new(NULL);

    COB_TRY(cob_sealed_spawn(worker, arg, &sealed));
    COB_TRY(drain(sealed, output, cancel));
    return output->len == 0 ? NULL : cob_fail(COB_UNKNOWN, "it says %s", output->str);
}

/* More bytes than both channels hold, so that neither side may wait for the other. */
static void test_bytes_pass(void)
{
    const size_t len = 5 * 1000 * 1000 + 7;
    g_autofree char *data = g_malloc(len);
    g_autoptr(GString) output = g_string_new(NULL);
    g_autoptr(cob_sealed) sealed = NULL;
    char room[70000];

    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 % 251);
    CHECK_OK(cob_sealed_spawn(&echo_worker, "-", &sealed));
    struct cob_sealed_exchange exchange = {
        .data = data, .len = len, .room = room, .cap = sizeof(room)};
    while (exchange.len > 0) {
        CHECK_OK(cob_sealed_exchange(sealed, &exchange, NULL));
        exchange.data = (const char *)exchange.data + exchange.n_sent;
        exchange.len -= exchange.n_sent;
        g_string_append_len(output, room, (gssize)exchange.n_received);
    }
    cob_sealed_close_input(sealed);
    CHECK_OK(drain(sealed, output, NULL));
    g_assert_cmpmem(output->str, output->len, data, len);
}

static void test_forbidden_calls_kill(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        g_autofree char *arg = g_strdup_printf("%zu", i);
        g_autoptr(cob_error) err = run(&bad_worker, arg, NULL);
        g_autofree char *text = err ? cob_error_message(err) : g_strdup("it lives");

        if (!strstr(text, "died of signal 31: it asked the kernel for what is forbidden"))
            g_printerr("%s\n", text);
        check_row(strstr(text, "died of signal 31") != NULL, i, forbidden[i].name);
    }
}

static void test_ends_are_told(void)
{
    static const struct {
        const char *arg;
        enum cob_code code;
        const char *text;
    } rows[] = {
        {"bad", COB_INVALID, "byte 7 is bad"},
        {"denied", COB_INTERNAL, "byte 7 is bad"}, /* a code that it has no reason to use */
        {"long", COB_EXHAUSTED, "xxxxx*"},
        {"crash", COB_INTERNAL, "the sealed worker fail *"},
        {"abort", COB_INTERNAL, "the sealed worker fail *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        CHECK_ERROR(run(&failing_worker, rows[i].arg, NULL), rows[i].code, rows[i].text);
    CHECK_ERROR(
        run(&unready_worker, "libx", NULL), COB_UNIMPLEMENTED, "load libx: it is not there");
}

static void test_reports_are_cut(void)
{
    g_autoptr(cob_error) err = run(&failing_worker, "long", NULL);
    g_autofree char *text = cob_error_message(err);

    g_assert_cmpint(strlen(text), ==, COB_SEALED_TEXT_BYTES);
}

/* The pid of this process's one child; 0: none. */
static pid_t find_child(void)
{
    g_autofree char *text = NULL;
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", getpid());

    return g_file_get_contents(path, &text, NULL, NULL) ? (pid_t)atoi(text) : 0;
}

static void test_a_killed_one_is_told(void)
{
    g_autoptr(cob_sealed) sealed = NULL;
    g_autoptr(GString) output = g_string_new(NULL);

    CHECK_OK(cob_sealed_spawn(&failing_worker, "wait", &sealed));
    g_assert_cmpint(kill(find_child(), SIGKILL), ==, 0);
    CHECK_ERROR(drain(sealed, output, NULL), COB_INTERNAL,
        "the sealed worker fail died of signal 9: killed from outside, or memory is out");
    g_assert_cmpint(find_child(), ==, 0);
}

static gpointer cancel_soon(gpointer cancel)
{
    g_usleep(50 * 1000);
    cob_cancel_trigger(cancel);
    return NULL;
}

/* One that never ends does not keep cob from ending, and no zombie stays. */
static void test_cancel_ends_it(void)
{
    g_autoptr(cob_cancel) cancel = NULL;

    CHECK_OK(cob_cancel_new(&cancel));
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    CHECK_ERROR(run(&failing_worker, "hang", cancel), COB_CANCELLED, "*");
    g_thread_join(thread);
    g_assert_cmpint(find_child(), ==, 0);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

/* The value of a line of /proc/PID/status. The caller frees it. */
static char *status_of(pid_t pid, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
    g_autofree char *text = NULL;
    g_autofree char *needle = g_strdup_printf("\n%s:\t", key);

    g_file_get_contents(path, &text, NULL, NULL);
    const char *at = text ? strstr(text, needle) : NULL;
    return at ? g_strndup(at + strlen(needle), strcspn(at + strlen(needle), "\n")) : g_strdup("?");
}

/* One echoed byte says that the seal is made. */
static void wait_for_seal(struct cob_sealed *sealed)
{
    char room[4];
    struct cob_sealed_exchange exchange = {.data = "x", .len = 1, .room = room, .cap = 4};

    do {
        CHECK_OK(cob_sealed_exchange(sealed, &exchange, NULL));
        exchange.len -= exchange.n_sent;
    } while (exchange.n_received == 0 && !exchange.is_over);
}

/* A user namespace may have fewer ids. Not asked of those that have some but not all. */
static bool has_nobody(void)
{
    g_autofree char *map = NULL;

    return g_file_get_contents("/proc/self/uid_map", &map, NULL, NULL) && strstr(map, "4294967295");
}

static void test_nothing_is_left(void)
{
    static const struct {
        const char *key, *value;
    } rows[] = {{"CapPrm", "0000000000000000"}, {"CapEff", "0000000000000000"},
        {"CapInh", "0000000000000000"}, {"CapAmb", "0000000000000000"}, {"NoNewPrivs", "1"},
        {"Seccomp", "2"}};
    g_autoptr(cob_sealed) sealed = NULL;

    CHECK_OK(cob_sealed_spawn(&echo_worker, "-", &sealed));
    wait_for_seal(sealed);
    pid_t pid = find_child();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *value = status_of(pid, rows[i].key);

        check_row(strcmp(value, rows[i].value) == 0, i, rows[i].key);
    }
    if (geteuid() == 0 && has_nobody()) {
        g_autofree char *uid = status_of(pid, "Uid"), *gid = status_of(pid, "Gid");
        g_autofree char *groups = status_of(pid, "Groups"), *bounding = status_of(pid, "CapBnd");

        g_assert_cmpstr(uid, ==, "65534\t65534\t65534\t65534");
        g_assert_cmpstr(gid, ==, "65534\t65534\t65534\t65534");
        g_assert_cmpstr(g_strstrip(groups), ==, "");
        g_assert_cmpstr(bounding, ==, "0000000000000000");
    }
}

/* Its input, its output, and standard error; whatever is open here, with or without CLOEXEC. */
static void test_descriptors_stay_here(void)
{
    int open_fd = open("/etc/passwd", O_RDONLY); /* inherited by whoever does not care */
    g_autoptr(cob_sealed) sealed = NULL;

    CHECK_OK(cob_sealed_spawn(&echo_worker, "-", &sealed));
    wait_for_seal(sealed);
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", find_child());
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;
    while (dir && g_dir_read_name(dir))
        n++;
    if (dir)
        g_assert_cmpint(n, ==, 3);
    close(open_fd);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/sealed/bytes-pass", test_bytes_pass);
    g_test_add_func("/sealed/forbidden-calls-kill", test_forbidden_calls_kill);
    g_test_add_func("/sealed/ends-are-told", test_ends_are_told);
    g_test_add_func("/sealed/reports-are-cut", test_reports_are_cut);
    g_test_add_func("/sealed/a-killed-one-is-told", test_a_killed_one_is_told);
    g_test_add_func("/sealed/cancel-ends-it", test_cancel_ends_it);
    g_test_add_func("/sealed/nothing-is-left", test_nothing_is_left);
    g_test_add_func("/sealed/descriptors-stay-here", test_descriptors_stay_here);
    return g_test_run();
}
