/* SPDX-License-Identifier: Apache-2.0 */
#include "build/executor/executor.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/mount.h>

#include "build/userns/userns.h"
#include "check.h"
#include "util/cleanup.h"
#include "util/process.h"

/* A root with busybox, and an executor on it. */
struct fixture {
    char *scratch, *root;
    struct cob_executor *executor;
    int root_fd;
    GString *out; /* what the last step said, both streams */
};

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_chmod(path, 0644);
}

static void make_dir(const struct fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);

    g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
}

static void make_link(const struct fixture *fixture, const char *target, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void install_busybox(const struct fixture *fixture)
{
    static const char *const applets[] = {"sh", "cat", "ls", "id", "echo", "env", "sleep", "touch",
        "mkdir", "rm", "mv", "ln", "stat", "grep", "mount", "unshare", "mknod", "hostname", "ip",
        "nslookup", "setsid", "nohup", "head", "tr", "true", "readlink", "tty", "stty", "nc"};
    g_autofree char *busybox = g_build_filename(fixture->root, "bin/busybox", NULL);
    g_autofree char *data = NULL;
    gsize len = 0;

    g_assert_true(g_file_get_contents("/bin/busybox", &data, &len, NULL));
    g_assert_true(g_file_set_contents(busybox, data, (gssize)len, NULL));
    g_chmod(busybox, 0755);
    for (size_t i = 0; i < G_N_ELEMENTS(applets); i++) {
        g_autofree char *name = g_strdup_printf("root/bin/%s", applets[i]);
        make_link(fixture, "busybox", name);
    }
}

static void fixture_init(struct fixture *fixture)
{
    static const char *const dirs[] = {"state", "root/bin", "root/etc", "root/proc", "root/sys",
        "root/dev", "root/tmp", "root/root", "canary"};

    fixture->scratch = check_scratch_new();
    fixture->root = g_build_filename(fixture->scratch, "root", NULL);
    fixture->out = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
        make_dir(fixture, dirs[i]);
    install_busybox(fixture);
    write_file(fixture, "root/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n");
    write_file(fixture, "root/etc/group", "root:x:0:\nvideo:x:44:app,other\napp:x:1001:\n");
    write_file(fixture, "root/etc/hosts", "");
    write_file(fixture, "root/etc/resolv.conf", "");
    fixture->root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_autofree char *state = g_build_filename(fixture->scratch, "state", NULL);
    struct cob_executor_config config = {.state_dir = state,
        .runtime = g_getenv("COB_TEST_RUNTIME"),
        .is_rootless = g_getenv("COB_TEST_ROOTLESS") != NULL};
    CHECK_OK(cob_executor_new(&config, &fixture->executor));
}

static void fixture_done(struct fixture *fixture)
{
    cob_executor_free(fixture->executor);
    close(fixture->root_fd);
    g_string_free(fixture->out, TRUE);
    check_scratch_free(fixture->scratch);
    g_free(fixture->root);
}

static void note(void *arg, int stream, const void *data, size_t len)
{
    struct fixture *fixture = arg;

    (void)stream;
    g_string_append_len(fixture->out, data, (gssize)len);
}

/* Run a shell script; the rest of the request is the test's. */
static struct cob_error *run(struct fixture *fixture, struct cob_executor_request request,
    const char *script, int *ret_exit_code)
{
    static const char *const env[] = {"PATH=/bin", "A=b c", NULL};
    const char *const args[] = {"/bin/sh", "-c", script, NULL};

    request.root_fd = fixture->root_fd;
    if (!request.args)
        request.args = args;
    request.env = env;
    request.log = note;
    request.log_arg = fixture;
    g_string_truncate(fixture->out, 0);
    return cob_executor_run(fixture->executor, &request, NULL, ret_exit_code);
}

#define NO_NETWORK .network = COB_EXECUTOR_NETWORK_NONE

static void test_what_a_step_sees(void)
{
    static const struct {
        const char *name, *script, *want; /* a glob */
        const char *user;
        int want_code;
    } rows[] = {
        {"output", "echo one; echo two >&2", "*one*two*", NULL, 0},
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
        {"standard input", "cat; echo end", "end\n", NULL, 0},
    };
    struct fixture fixture;

    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .user = rows[i].user};
        int code = -1;

        CHECK_OK(run(&fixture, request, rows[i].script, &code));
        g_assert_cmpint(code, ==, rows[i].want_code);
        bool is_ok = g_pattern_match_simple(rows[i].want, fixture.out->str);
        if (!is_ok)
            g_test_message("got: %s", fixture.out->str);
        check_row(is_ok && code == rows[i].want_code, i, rows[i].name);
    }
    fixture_done(&fixture);
}

static int become_cobtest(void *arg)
{
    const struct passwd *user = arg;

    if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return errno;
    return 0;
}

/* The same tests as a user who is nobody: in a process of its own, since it may not come back. */
static void test_rootless(void)
{
    g_autofree char *runtime = g_strdup_printf("COB_TEST_RUNTIME=%s", g_getenv("COB_TEST_RUNTIME"));
    const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "COB_TEST_ROOTLESS=1",
        g_getenv("COB_TEST_RUNTIME") ? runtime : NULL, NULL};
    static const char *const argv[] = {"/proc/self/exe", NULL};
    struct cob_process_request request = {
        .argv = argv, .envp = env, .stdout_fd = 2, .stderr_fd = 2, .in_child = become_cobtest};
    g_autoptr(cob_process) process = NULL;
    int status = -1;

    if (geteuid() != 0)
        return check_skip("it takes root to become somebody else");
    if (!getpwnam("cobtest"))
        g_spawn_command_line_sync("useradd --create-home cobtest", NULL, NULL, NULL, NULL);
    g_chmod("/dev/net/tun", 0666); /* as udev does */
    const struct passwd *user = getpwnam("cobtest");
    g_assert_nonnull(user);
    request.arg = (void *)(uintptr_t)user;
    CHECK_OK(cob_process_spawn(&request, &process));
    CHECK_OK(cob_process_wait(process, NULL, &status));
    g_assert_cmpint(status, ==, 0);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    if (g_getenv("COB_TEST_ROOTLESS")) {
        g_autofree char *notice = NULL;
        CHECK_OK(cob_userns_enter(&notice));
        g_assert_null(notice);
    } else {
        g_test_add_func("/executor/rootless", test_rootless);
    }
    g_test_add_func("/executor/what-a-step-sees", test_what_a_step_sees);
    return g_test_run();
}
