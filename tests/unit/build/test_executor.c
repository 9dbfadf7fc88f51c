/* SPDX-License-Identifier: Apache-2.0 */
#include "build/executor/executor.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "check.h"
#include "step_fixture.h"
#include "util/cleanup.h"
#include "util/process.h"

static void test_what_a_step_sees(void)
{
    static const struct {
        const char *name, *script, *want; /* a glob */
        const char *user;
        int want_code;
    } rows[] = {
        {"output", "echo one; echo two", "one\ntwo\n", NULL, 0},
        {"errors", "echo one >&2", "one\n", NULL, 0},
        {"exit code", "exit 42", "", NULL, 42},
        {"killed by a signal", "sh -c 'kill -9 $$'; exit $?", "*", NULL, 137},
        {"environment", "env", "*A=b c\n*", NULL, 0},
        {"no more environment", "env | grep -c -v -E '^(A|PATH|PWD|SHLVL|HOME)='", "0\n", NULL, 1},
        {"root", "id", "uid=0(root) gid=0(root) groups=0(root)\n", NULL, 0},
        {"user by name", "id", "uid=1000(app) gid=1001(app) groups=*44(video)*\n", "app", 0},
        {"user by number", "id -u; id -g", "1000\n1001\n", "1000", 0},
        {"user and group", "id -u; id -g; id -G", "1000\n44\n44\n", "app:video", 0},
        {"user of no passwd", "id -u; id -g; id -G", "4711\n0\n0\n", "4711", 0},
        {"first pid", "echo $$", "1\n", NULL, 0},
        {"hostname", "hostname", "buildkitsandbox\n", NULL, 0},
        {"hosts", "cat /etc/hosts",
            "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n",
            NULL, 0},
        {"hosts is read-only", "echo x >/etc/hosts", "*ead-only*", NULL, 1},
        {"resolv.conf is read-only", "echo x >/etc/resolv.conf", "*ead-only*", NULL, 1},
        {"descriptors", "ls /proc/self/fd", "0\n1\n2\n3\n", NULL, 0}, /* 3 is ls's own */
        {"capabilities", "grep Cap /proc/self/status | tr '\\n\\t' '; '",
            "CapInh: 0000000000000000;CapPrm: 00000000a80425fb;CapEff: 00000000a80425fb;"
            "CapBnd: 00000000a80425fb;CapAmb: 0000000000000000;",
            NULL, 0},
        {"capabilities of a user", "grep -E 'CapInh|CapEff|CapAmb' /proc/self/status",
            "CapInh:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n",
            "app", 0},
        {"seccomp", "grep Seccomp: /proc/self/status", "Seccomp:\t2\n", NULL, 0},
        {"privileges may be gained", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n", NULL,
            0},
        {"no new user namespace", "unshare -U true", "*not permitted*", NULL, 1},
        {"no mount", "mount -t tmpfs x /tmp", "*ermission denied*", NULL, 1},
        {"loopback only", "ip -o link | grep -c -v lo:", "0\n", NULL, 1},
        {"masked", "cat /proc/keys /proc/timer_list; ls -A /sys/firmware", "", NULL, 0},
        {"sysctl is read-only", "echo 1 >/proc/sys/kernel/pid_max", "*ead-only*", NULL, 1},
        {"cgroups are read-only", "mkdir /sys/fs/cgroup/x", "*", NULL, 1},
        {"no disk",
            "mknod /dev/disk b 254 0 && cat /dev/disk | head -c 1; mknod /tmp/d b 254 0 && "
            "head -c 1 /tmp/d; mknod /dev/k c 1 2 && head -c1 /dev/k",
            "*ermi*", NULL, 1},
        {"devices", "echo x >/dev/null && head -c 2 /dev/zero | tr '\\0' z", "zz", NULL, 0},
        {"open files", "ulimit -n", "1024\n", NULL, 0},
        {"core files", "ulimit -c; ulimit -Hc", "0\n0\n", NULL, 0},
        {"no devices in the root",
            "grep -cE '^[^/]* /[^ ]* / rw,nodev' "
            "/proc/self/mountinfo",
            "1\n", NULL, 0},
        {"a device of the root", "mknod /n c 1 3 && echo x >/n", "*ermi*", NULL, 1},
        {"no mount of cgroups", "mount -t cgroup -o rdma x /tmp", "*ermission denied*", NULL, 1},
        {"environment of the first", "cat /proc/1/environ | tr '\\0' '\\n'",
            "PATH=/bin\nA=b c\nHOME=/root\n", NULL, 0},
        {"standard input", "cat; echo end", "end\n", NULL, 0},
    };
    struct step_fixture fixture;

    step_fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .user = rows[i].user};
        int code = -1;

        CHECK_OK(step_run(&fixture, request, rows[i].script, &code));
        g_assert_cmpint(code, ==, rows[i].want_code);
        bool is_ok = g_pattern_match_simple(rows[i].want, fixture.out->str);
        if (!is_ok)
            g_test_message("got: %s", fixture.out->str);
        check_row(is_ok && code == rows[i].want_code, i, rows[i].name);
    }
    step_fixture_done(&fixture);
}

static void test_a_readonly_root(void)
{
    struct cob_executor_mount mount = {.kind = COB_EXECUTOR_MOUNT_TMPFS, .target = "/t/new"};
    struct cob_executor_request request = {
        NO_NETWORK, .is_root_readonly = true, .mounts = &mount, .n_mounts = 1, .cwd = "/made"};
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    CHECK_OK(step_run(&fixture, request,
        "exec 2>/dev/null; touch /t/new/f && ! touch /f && ! touch /made/f && ! mkdir /tmp/d &&"
        "grep -cE '^[^/]* /[^ ]* / ro,nodev' /proc/self/mountinfo",
        &code));
    g_assert_cmpint(code, ==, 0);
    g_assert_cmpstr(fixture.out->str, ==, "1\n");
    g_assert_false(step_exists(&fixture, "root/t"));
    step_fixture_done(&fixture);
}

/* The step is the first to go when memory runs out, and has BuildKit's limit of open files where
 * cob may set it. */
static void test_limits(void)
{
    g_autofree char *own = NULL;
    struct rlimit files;
    struct cob_executor_request request = {NO_NETWORK};
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    g_assert_true(g_file_get_contents("/proc/self/oom_score_adj", &own, NULL, NULL));
    CHECK_OK(step_run(&fixture, request, "cat /proc/self/oom_score_adj; ulimit -Hn", &code));
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &files), ==, 0);
    const struct rlimit more = {files.rlim_cur, 1048576};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        files = more;
    g_autofree char *want = g_strdup_printf(
        "%d\n%ju\n", MIN(atoi(own) + 500, 1000), (uintmax_t)MIN(files.rlim_max, 1048576));
    g_assert_cmpstr(fixture.out->str, ==, want);
    step_fixture_done(&fixture);
}

/* The root gets the program that tries system calls. */
static void install_probe(const struct step_fixture *fixture)
{
    g_autofree char *from = step_probe_path();
    g_autofree char *to = g_build_filename(fixture->root, "bin/probe", NULL);
    g_autofree char *data = NULL;
    gsize len = 0;

    g_assert_true(g_file_get_contents(from, &data, &len, NULL));
    g_assert_true(g_file_set_contents(to, data, (gssize)len, NULL));
    g_chmod(to, 0755);
}

static void test_system_calls(void)
{
    static const char want[] = "AF_ALG EPERM\nAF_VSOCK EPERM\nAF_UNIX allowed\nclone3 ENOSYS\n"
                               "unshare EPERM\nclone EPERM\nkeyctl EPERM\nio_uring EPERM\n"
                               "bpf EPERM\nmount EPERM\nuserfaultfd EPERM\ngetpid allowed\n";
    struct cob_executor_request request = {NO_NETWORK};
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    install_probe(&fixture);
    CHECK_OK(step_run(&fixture, request, "probe", &code));
    g_assert_cmpstr(fixture.out->str, ==, want);
    step_fixture_done(&fixture);
}

static void test_users_that_are_refused(void)
{
    static const struct {
        const char *user, *want;
    } rows[] = {
        {"4294967296", "user 4294967296: uids and gids must be in range 0-2147483647*"},
        {"2147483648", "user 2147483648: uids and gids must be in range 0-2147483647*"},
        {"99999999999999999999", "*must be in range*"},
        {"0:4294967296", "*must be in range*"},
        {"-1", "user -1: unable to find user -1: no matching entries in passwd file*"},
        {"0x0", "*unable to find user 0x0*"},
        {" 0", "*unable to find user  0*"},
        {"1:", "*a user is name|uid*"},
        {":1", "*a user is name|uid*"},
        {"root:x", "*unable to find group x: no matching entries in group file*"},
        {"nobody", "*unable to find user nobody*"},
    };
    struct step_fixture fixture;

    step_fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .user = rows[i].user};
        int code = -1;

        CHECK_ERROR(step_run(&fixture, request, "id", &code), COB_INVALID, rows[i].want);
        check_row(code == -1, i, rows[i].user);
    }
    step_fixture_done(&fixture);
}

static void test_working_directories(void)
{
    static const struct {
        const char *cwd, *want;
    } rows[] = {
        {"/proc/self/fd/7", "working directory /proc/self/fd/7: /proc belongs to the sandbox*"},
        {"/tmp/../proc/self", "*belongs to the sandbox*"},
        {"/fds/7", "*belongs to the sandbox*"},
        {"/sys", "*belongs to the sandbox*"},
        {"relative", "working directory relative: it is not an absolute path*"},
        {"/etc/passwd", "*is not a directory*"},
        {"/loop/x", "*too many levels of symlinks*"},
    };
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    step_make_link(&fixture, "/proc/self/fd", "root/fds");
    step_make_link(&fixture, "loop", "root/loop");
    step_make_link(&fixture, "/tmp/real", "root/w");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .cwd = rows[i].cwd};

        CHECK_ERROR(step_run(&fixture, request, "pwd", &code), COB_INVALID, rows[i].want);
        check_row(code == -1, i, rows[i].cwd);
    }
    struct cob_executor_request request = {NO_NETWORK, .cwd = "/w/../real/a/./b"};
    CHECK_OK(step_run(&fixture, request, "pwd", &code));
    g_assert_cmpstr(fixture.out->str, ==, "/tmp/real/a/b\n");
    step_fixture_done(&fixture);
}

static void test_programs_that_are_not_there(void)
{
    static const char *const args[] = {"nope", "x", NULL};
    struct cob_executor_request request = {NO_NETWORK, .args = args};
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    CHECK_ERROR(step_run(&fixture, request, NULL, &code), COB_NOT_FOUND,
        "exec: \"nope\": executable file not found in $PATH*");
    g_assert_cmpint(code, ==, -1);
    step_fixture_done(&fixture);
}

static void test_what_must_be_installed(void)
{
    struct step_fixture fixture;
    struct cob_executor_config config = {
        .runtime = "no-such-runtime", .is_rootless = g_getenv("COB_TEST_ROOTLESS") != NULL};
    struct cob_executor_request request = {NO_NETWORK};
    int code = -1;

    step_fixture_init(&fixture);
    g_autofree char *state = g_build_filename(fixture.scratch, "state", NULL);
    config.state_dir = state;
    cob_executor_free(g_steal_pointer(&fixture.executor));
    CHECK_OK(cob_executor_new(&config, &fixture.executor));
    CHECK_ERROR(step_run(&fixture, request, "true", &code), COB_PRECONDITION,
        "a step needs no-such-runtime: install it*");
    config.runtime = NULL;
    config.network = "no-such-helper";
    cob_executor_free(g_steal_pointer(&fixture.executor));
    CHECK_OK(cob_executor_new(&config, &fixture.executor));
    request.network = COB_EXECUTOR_NETWORK_DEFAULT;
    CHECK_ERROR(step_run(&fixture, request, "true", &code), COB_PRECONDITION,
        "network: a step with a network needs slirp4netns or pasta: install slirp4netns*--network="
        "none*");
    g_assert_cmpint(code, ==, -1);
    step_fixture_done(&fixture);
}

static void test_a_terminal(void)
{
    struct cob_executor_request request = {NO_NETWORK, .is_terminal = true};
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    CHECK_OK(step_run(&fixture, request, "tty; exit 7", &code));
    g_assert_cmpint(code, ==, 7);
    g_assert_true(g_pattern_match_simple("/dev/*\r\n", fixture.out->str));
    step_fixture_done(&fixture);
}

/* Is a process running whose command line has this? Scans all that we see. */
static bool is_running(const char *marker)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    bool is_found = false;

    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename("/proc", name, "cmdline", NULL);
        g_autofree char *text = NULL;
        gsize len = 0;

        if (!g_ascii_isdigit(*name) || !g_file_get_contents(path, &text, &len, NULL))
            continue;
        for (gsize i = 0; i < len; i++) {
            if (text[i] == '\0')
                text[i] = ' ';
        }
        is_found |= g_strstr_len(text, (gssize)len, marker) != NULL;
    }
    return is_found;
}

/* What does not want to die. */
static char *stubborn(const char *nap)
{
    return g_strdup_printf("trap '' TERM INT HUP; (trap '' TERM HUP; setsid %s & ) ; "
                           "setsid nohup %s >/dev/null 2>&1 & echo ready; %s",
        nap, nap, nap);
}

/* What the step of this test program does, and no other's on this machine. The caller frees it. */
static char *own_nap(const char *part)
{
    return g_strdup_printf("sleep 98765.%s%d", part, (int)getpid());
}

struct cancelling {
    struct step_fixture fixture;
    struct cob_cancel *cancel;
    int64_t at_us;
};

static void cancel_when_ready(void *arg, int stream, const void *data, size_t len)
{
    struct cancelling *cancelling = arg;

    (void)stream, (void)data, (void)len;
    cancelling->at_us = g_get_monotonic_time();
    cob_cancel_trigger(cancelling->cancel);
}

static void test_cancel(void)
{
    g_autofree char *nap = own_nap("1");
    g_autofree char *script = stubborn(nap);
    const char *const args[] = {"/bin/sh", "-c", script, NULL};
    static const char *const env[] = {"PATH=/bin", NULL};
    struct cancelling cancelling = {.cancel = NULL};
    struct cob_executor_outcome outcome = {.exit_code = -1};

    step_fixture_init(&cancelling.fixture);
    CHECK_OK(cob_cancel_new(&cancelling.cancel));
    struct cob_executor_request request = {NO_NETWORK, .root_fd = cancelling.fixture.root_fd,
        .args = args, .env = env, .log = cancel_when_ready, .log_arg = &cancelling};
    CHECK_ERROR(
        cob_executor_run(cancelling.fixture.executor, &request, cancelling.cancel, &outcome),
        COB_CANCELLED, "*");
    g_assert_cmpint(g_get_monotonic_time() - cancelling.at_us, <, G_USEC_PER_SEC);
    g_assert_false(is_running(nap));
    cob_cancel_unref(cancelling.cancel);
    step_fixture_done(&cancelling.fixture);
}

/* In the victim: a step that goes on until it is killed. The runner waits for a line from it. */
static int be_victim(void)
{
    struct step_fixture fixture;
    struct cob_executor_outcome outcome = {.exit_code = -1};

    step_fixture_init(&fixture);
    g_autofree char *script = stubborn(g_getenv("COB_TEST_NAP"));
    const char *const args[] = {"/bin/sh", "-c", script, NULL};
    static const char *const env[] = {"PATH=/bin", NULL};
    struct cob_executor_request request = {NO_NETWORK, .root_fd = fixture.root_fd, .args = args,
        .env = env, .stdout_fd = 1, .stderr_fd = 2};
    CHECK_OK(cob_executor_run(fixture.executor, &request, NULL, &outcome));
    return 0;
}

/* Hear until a word comes; false: the end came first, or nothing for 20 s. */
static bool read_until(int fd, const char *word)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct pollfd heard = {.fd = fd, .events = POLLIN};
    char byte;

    while (poll(&heard, 1, 20000) == 1 && read(fd, &byte, 1) == 1) {
        g_string_append_c(text, byte);
        if (strstr(text->str, word))
            return true;
    }
    return false;
}

/* The kernel ends a pid namespace one process after the other; a second is what cob promises. */
static bool ends_within_a_second(const char *marker)
{
    for (int i = 0; i < 100 && is_running(marker); i++)
        g_usleep(10000);
    return !is_running(marker);
}

static void test_a_step_dies_with_cob(void)
{
    static const char *const argv[] = {"/proc/self/exe", "victim", NULL};
    g_autofree char *scratch = check_scratch_new();
    g_autofree char *tmp = g_strdup_printf("TMPDIR=%s", scratch);
    g_autofree char *rootless =
        g_strdup_printf("COB_TEST_ROOTLESS=%s", g_getenv("COB_TEST_ROOTLESS"));
    g_autofree char *nap = own_nap("2");
    g_autofree char *nap_variable = g_strdup_printf("COB_TEST_NAP=%s", nap);
    const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", tmp, nap_variable,
        g_getenv("COB_TEST_ROOTLESS") ? rootless : NULL, NULL};
    g_autoptr(cob_process) process = NULL;
    cob_autoclose int read_fd = -1;
    int ends[2], status = 0;

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    read_fd = ends[0];
    struct cob_process_request request = {
        .argv = argv, .envp = env, .stdout_fd = ends[1], .stderr_fd = 2};
    CHECK_OK(cob_process_spawn(&request, &process));
    close(ends[1]);
    g_assert_true(read_until(read_fd, "ready"));
    g_assert_true(is_running(nap));
    cob_process_kill(process, SIGKILL);
    CHECK_OK(cob_process_wait(process, NULL, &status));
    g_assert_false(read_until(read_fd, "nobody is left who could write"));
    g_assert_true(ends_within_a_second(nap));
    g_autofree char *mounts = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL));
    g_assert_null(strstr(mounts, scratch));
    check_scratch_free(g_steal_pointer(&scratch));
}

/* The name of the host that this machine's apt gets its packages from, if it can be looked up; the
 * caller frees it. NULL: no names here. */
static char *mirror_name(void)
{
    static const char *const argv[] = {"apt-get", "indextargets", "--format", "$(SITE)", NULL};
    const struct cob_process_request request = {.argv = argv};
    struct cob_process_output output = {0};
    struct addrinfo *found = NULL;
    g_autoptr(cob_error) err = cob_process_run(&request, NULL, 1 << 20, NULL, &output);

    if (err)
        return NULL;
    g_autofree char *sites =
        g_strndup(g_bytes_get_data(output.out, NULL), g_bytes_get_size(output.out));
    g_auto(GStrv) parts = g_strsplit_set(sites, "/\n", 4); /* "http:", "", host, rest */
    char *name = g_strv_length(parts) > 2 ? g_strdup(parts[2]) : NULL;
    g_bytes_unref(output.out);
    g_bytes_unref(output.err);
    if (name && getaddrinfo(name, "80", NULL, &found) != 0)
        g_clear_pointer(&name, g_free);
    if (found)
        freeaddrinfo(found);
    return name;
}

static void test_network(void)
{
    struct cob_executor_request request = {.network = COB_EXECUTOR_NETWORK_DEFAULT};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t len = sizeof(address);
    cob_autoclose int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    g_assert_cmpint(bind(listen_fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(listen(listen_fd, 1), ==, 0);
    g_assert_cmpint(getsockname(listen_fd, (struct sockaddr *)&address, &len), ==, 0);
    g_autofree char *script = g_strdup_printf("cat /etc/resolv.conf | grep nameserver;"
                                              "for a in 10.0.2.2 127.0.0.1; do"
                                              "  nc -w 1 $a %d </dev/null && echo reached; done;"
                                              "echo taps: $(ip -o link | grep -c eth0)",
        ntohs(address.sin_port));
    CHECK_OK(step_run(&fixture, request, script, &code));
    g_assert_null(strstr(fixture.out->str, "reached"));
    g_assert_nonnull(strstr(fixture.out->str, "nameserver 10.0.2.3\n"));
    g_assert_nonnull(strstr(fixture.out->str, "taps: 1\n"));
    g_autofree char *mirror = mirror_name();
    g_autofree char *look_up = g_strdup_printf("nslookup %s | grep -A1 Name:", mirror);
    if (mirror) {
        CHECK_OK(step_run(&fixture, request, look_up, &code));
        g_assert_nonnull(strstr(fixture.out->str, "Address"));
    } else {
        g_test_message("no names can be looked up on this machine: not tried");
    }
    step_fixture_done(&fixture);
}

static void test_whose_network(void)
{
    static const struct {
        const char *name;
        enum cob_executor_network network;
        bool is_hosts;
    } rows[] = {
        {"default", COB_EXECUTOR_NETWORK_DEFAULT, false},
        {"none", COB_EXECUTOR_NETWORK_NONE, false},
        {"host", COB_EXECUTOR_NETWORK_HOST, true},
    };
    g_autofree char *own = g_file_read_link("/proc/self/ns/net", NULL);
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {.network = rows[i].network};

        CHECK_OK(step_run(&fixture, request, "readlink /proc/self/ns/net", &code));
        g_strchomp(fixture.out->str);
        check_row(
            code == 0 && (strcmp(fixture.out->str, own) == 0) == rows[i].is_hosts, i, rows[i].name);
    }
    struct cob_executor_request request = {.network = 3};
    CHECK_ERROR(step_run(&fixture, request, "true", &code), COB_INVALID, "invalid network mode 3*");
    step_fixture_done(&fixture);
}

static void *run_one(void *arg)
{
    static const char *const args[] = {"/bin/sh", "-c", "sleep 0.2; exit 5", NULL};
    static const char *const env[] = {"PATH=/bin", NULL};
    struct step_fixture *fixture = arg;
    struct cob_executor_request request = {
        .root_fd = fixture->root_fd, .args = args, .env = env, NO_NETWORK};
    struct cob_executor_outcome outcome = {.exit_code = -1};

    CHECK_OK(cob_executor_run(fixture->executor, &request, NULL, &outcome));
    return GINT_TO_POINTER(outcome.exit_code);
}

static void test_steps_at_the_same_time(void)
{
    GThread *threads[8];
    struct step_fixture fixture;

    step_fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("run", run_one, &fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(threads[i])), ==, 5);
    step_fixture_done(&fixture);
}

static void test_free_takes_null(void)
{
    cob_executor_free(NULL);
}

static void add_tests(void)
{
    g_test_add_func("/executor/what-a-step-sees", test_what_a_step_sees);
    g_test_add_func("/executor/a-readonly-root", test_a_readonly_root);
    g_test_add_func("/executor/limits", test_limits);
    g_test_add_func("/executor/system-calls", test_system_calls);
    g_test_add_func("/executor/users-that-are-refused", test_users_that_are_refused);
    g_test_add_func("/executor/working-directories", test_working_directories);
    g_test_add_func("/executor/programs-that-are-not-there", test_programs_that_are_not_there);
    g_test_add_func("/executor/what-must-be-installed", test_what_must_be_installed);
    g_test_add_func("/executor/a-terminal", test_a_terminal);
    g_test_add_func("/executor/cancel", test_cancel);
    g_test_add_func("/executor/a-step-dies-with-cob", test_a_step_dies_with_cob);
    g_test_add_func("/executor/network", test_network);
    g_test_add_func("/executor/whose-network", test_whose_network);
    g_test_add_func("/executor/steps-at-the-same-time", test_steps_at_the_same_time);
    g_test_add_func("/executor/free-takes-null", test_free_takes_null);
}

int main(int argc, char **argv)
{
    return step_main(argc, argv, add_tests, be_victim);
}
