/* SPDX-License-Identifier: Apache-2.0 */
#include "build/executor/executor.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

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

/* The names, sizes and times of a tree, one a line. */
static char *list(const char *path)
{
    g_autofree char *command =
        g_strdup_printf("find %s -printf '%%p %%s %%m %%U %%T@ %%l\\n'", path);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    char *out = NULL;

    g_assert_true(g_spawn_sync(
        NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, NULL, NULL));
    return out;
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

/* The root gets the program that tries system calls. */
static void install_probe(const struct fixture *fixture)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self);
    g_autofree char *from = g_build_filename(dir, "unit/build/syscall_probe", NULL);
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
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    install_probe(&fixture);
    CHECK_OK(run(&fixture, request, "probe", &code));
    g_assert_cmpstr(fixture.out->str, ==, want);
    fixture_done(&fixture);
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
    struct fixture fixture;

    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .user = rows[i].user};
        int code = -1;

        CHECK_ERROR(run(&fixture, request, "id", &code), COB_INVALID, rows[i].want);
        check_row(code == -1, i, rows[i].user);
    }
    fixture_done(&fixture);
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
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    make_link(&fixture, "/proc/self/fd", "root/fds");
    make_link(&fixture, "loop", "root/loop");
    make_link(&fixture, "/tmp/real", "root/w");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .cwd = rows[i].cwd};

        CHECK_ERROR(run(&fixture, request, "pwd", &code), COB_INVALID, rows[i].want);
        check_row(code == -1, i, rows[i].cwd);
    }
    struct cob_executor_request request = {NO_NETWORK, .cwd = "/w/../real/a/./b"};
    CHECK_OK(run(&fixture, request, "pwd", &code));
    g_assert_cmpstr(fixture.out->str, ==, "/tmp/real/a/b\n");
    fixture_done(&fixture);
}

/* Is there something, not following a last symlink? */
static bool exists(const struct fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);
    struct stat st;

    return lstat(path, &st) == 0;
}

static int open_path(const struct fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);
    int fd = open(path, O_PATH | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_mounts(void)
{
    static const struct {
        const char *name, *source, *target; /* source: of the folder "cache" */
        bool is_readonly;
        const char *script, *want;
    } rows[] = {
        {"a cache is written", NULL, "/var/cache/x", false, "echo hi >/var/cache/x/f && echo ok",
            "ok\n"},
        {"and read again", NULL, "/var/cache/x", false, "cat /var/cache/x/f", "hi\n"},
        {"read-only", NULL, "/c", true, "cat /c/f; touch /c/g", "hi\n*ead-only*"},
        {"part of it", "sub", "/c", false, "cat /c/in-sub", "sub\n"},
        {"a file", "sub/in-sub", "/c/file", true, "cat /c/file; echo x >>/c/file", "sub\n*ead-*"},
        {"a file on a file", "f", "/etc/passwd", false, "cat /etc/passwd", "hi\n"},
        {"a symlink stays inside", "root", "/c", false, "ls /c", "*in-cache*"},
        {"and so does ..", "sub/../../../../f", "/c/f", false, "cat /c/f", "hi\n"},
        {"below /dev", "f", "/dev/pipes/EOF", true, "cat /dev/pipes/EOF", "hi\n"},
        {"through a symlink of the root", NULL, "/link/x", false, "cat /tmp/x/f", "hi\n"},
        {"no devices", NULL, "/c", false, "mknod /c/null c 1 3 && cat /c/null", "*ermi*"},
    };
    struct fixture fixture;

    fixture_init(&fixture);
    make_dir(&fixture, "cache/sub");
    write_file(&fixture, "cache/sub/in-sub", "sub\n");
    write_file(&fixture, "cache/in-cache", "");
    make_link(&fixture, "/", "cache/root");
    make_link(&fixture, "tmp", "root/link");
    cob_autoclose int cache_fd = open_path(&fixture, "cache");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_mount mount = {.target = rows[i].target,
            .source_fd = cache_fd,
            .source = rows[i].source,
            .is_readonly = rows[i].is_readonly};
        struct cob_executor_request request = {NO_NETWORK, .mounts = &mount, .n_mounts = 1};
        int code = -1;

        CHECK_OK(run(&fixture, request, rows[i].script, &code));
        if (!g_pattern_match_simple(rows[i].want, fixture.out->str))
            g_test_message("got: %s", fixture.out->str);
        check_row(g_pattern_match_simple(rows[i].want, fixture.out->str), i, rows[i].name);
        check_row(!exists(&fixture, "root/var") && !exists(&fixture, "root/c") &&
                      !exists(&fixture, "root/tmp/x"),
            i, "its mount points are gone");
    }
    fixture_done(&fixture);
}

static void test_mounts_that_are_refused(void)
{
    static const struct {
        const char *source, *target, *want;
    } rows[] = {
        {NULL, "/proc", "mount /proc: /proc belongs to the sandbox*"},
        {NULL, "/proc/sys", "*belongs to the sandbox*"},
        {NULL, "/sys/fs", "*belongs to the sandbox*"},
        {NULL, "/dev", "*belongs to the sandbox*"},
        {NULL, "/dev/", "*belongs to the sandbox*"},
        {NULL, "/dev/null", "*only /dev/shm and new names below /dev*"},
        {NULL, "/dev/../proc", "*belongs to the sandbox*"},
        {NULL, "/tmp/../proc/x", "*belongs to the sandbox*"},
        {NULL, "/to-proc/x", "*belongs to the sandbox*"},
        {NULL, "/", "*nothing can be mounted on the root*"},
        {NULL, "relative", "*not an absolute path*"},
        {NULL, "/etc/passwd", "*/etc/passwd is not a directory*"},
        {"evil", "/c", "mount /c: source evil: open /*"},
        {"evil/../../..", "/c", "*open /*"},
        {"nowhere", "/c", "*nowhere*"},
    };
    struct fixture fixture;

    fixture_init(&fixture);
    make_dir(&fixture, "cache");
    g_autofree char *canary = g_build_filename(fixture.scratch, "canary", NULL);
    make_link(&fixture, canary, "cache/evil");
    make_link(&fixture, "/proc", "root/to-proc");
    cob_autoclose int cache_fd = open_path(&fixture, "cache");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_mount mount = {
            .target = rows[i].target, .source_fd = cache_fd, .source = rows[i].source};
        struct cob_executor_request request = {NO_NETWORK, .mounts = &mount, .n_mounts = 1};
        int code = -1;

        CHECK_ERROR(run(&fixture, request, "true", &code),
            rows[i].source ? COB_NOT_FOUND : COB_INVALID, rows[i].want);
        check_row(code == -1, i, rows[i].source ? rows[i].source : rows[i].target);
    }
    g_assert_false(exists(&fixture, "root/c"));
    fixture_done(&fixture);
}

static void test_tmpfs_and_secrets(void)
{
    g_autoptr(GBytes) secret = g_bytes_new_static("tops3cret", 9);
    struct cob_executor_mount mounts[] = {
        {.kind = COB_EXECUTOR_MOUNT_TMPFS, .target = "/scratch/t", .size_bytes = 1 << 20},
        {.kind = COB_EXECUTOR_MOUNT_SECRET,
            .target = "/run/secrets/key",
            .secret = secret,
            .mode = 0440,
            .uid = 1000,
            .gid = 44},
        {.kind = COB_EXECUTOR_MOUNT_SECRET,
            .target = "/root/.netrc",
            .secret = secret,
            .mode = 0400},
        {.kind = COB_EXECUTOR_MOUNT_TMPFS, .target = "/dev/shm", .size_bytes = 2 << 20},
    };
    struct cob_executor_request request = {
        NO_NETWORK, .mounts = mounts, .n_mounts = G_N_ELEMENTS(mounts), .user = "app"};
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    CHECK_OK(run(&fixture, request,
        "stat -c '%a %u %g' /run/secrets/key; cat /run/secrets/key; echo; cat /root/.netrc;"
        "echo x >/run/secrets/key; head -c 2000000 /dev/zero >/scratch/t/f;"
        "stat -c %s /scratch/t/f; head -c 1500000 /dev/zero >/dev/shm/f && echo fits;"
        "mount | grep -c cob",
        &code));
    bool is_ok = g_pattern_match_simple(
        "440 1000 44\ntops3cret\n*denied*\n*ead-only*\n*I/O error*\n1048576\nfits\n*",
        fixture.out->str);
    if (!is_ok)
        g_test_message("got: %s", fixture.out->str);
    g_assert_true(is_ok);
    g_assert_false(exists(&fixture, "root/run"));
    g_assert_false(exists(&fixture, "root/scratch"));
    g_assert_false(exists(&fixture, "root/root/.netrc"));
    fixture_done(&fixture);
}

/* An image that bends paths: what cob and the runtime write must not leave the root. */
static void test_hostile_roots(void)
{
    static const struct {
        const char *name, *path, *link; /* "@": the canary; NULL: a FIFO */
        const char *user, *want_error;  /* NULL: it runs */
    } rows[] = {
        {"/dev", "root/dev", "@", NULL, "*/dev of the image is a symlink*"},
        {"/proc", "root/proc", "@", NULL, "*/proc of the image is a symlink*"},
        {"/sys", "root/sys", "@", NULL, "*/sys of the image is a symlink*"},
        {"/dev is a file's", "root/dev", "/etc/passwd", NULL, "*/dev*is not a directory*"},
        {"/etc", "root/etc", "@", NULL, NULL},
        {"/etc/resolv.conf", "root/etc/resolv.conf", "@/f", NULL, NULL},
        {"/etc/hosts", "root/etc/hosts", "@/f", NULL, NULL},
        {"/etc/hosts upwards", "root/etc/hosts", "../../../../../../@/f", NULL, NULL},
        {"/etc/hosts a FIFO", "root/etc/hosts", NULL, NULL, NULL},
        {"/etc/passwd a FIFO", "root/etc/passwd", NULL, "app", "*not a regular file*"},
        {"/etc/passwd", "root/etc/passwd", "@/f", "app", "*unable to find user app*"},
        {"/etc/group a FIFO", "root/etc/group", NULL, "app", "*not a regular file*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_request request = {NO_NETWORK, .user = rows[i].user};
        struct fixture fixture;
        int code = -1;

        fixture_init(&fixture);
        write_file(&fixture, "canary/f", "app:x:0:0::/:\n");
        g_autofree char *canary = g_build_filename(fixture.scratch, "canary", NULL);
        g_autofree char *path = g_build_filename(fixture.scratch, rows[i].path, NULL);
        g_autofree char *old = g_strdup_printf("%s.old", path);
        g_autofree char *before = list(canary);
        g_assert_cmpint(rename(path, old), ==, 0);
        if (rows[i].link) {
            g_auto(GStrv) parts = g_strsplit(rows[i].link, "@", -1);
            g_autofree char *link = g_strjoinv(canary, parts);
            g_assert_cmpint(symlink(link, path), ==, 0);
        } else {
            g_assert_cmpint(mkfifo(path, 0666), ==, 0);
        }
        if (rows[i].want_error)
            CHECK_ERROR(run(&fixture, request, "true", &code), COB_INVALID, rows[i].want_error);
        else
            CHECK_OK(run(&fixture, request, "cat /etc/hosts /etc/resolv.conf >/dev/null", &code));
        g_autofree char *after = list(canary);
        g_assert_cmpstr(after, ==, before);
        check_row(code == (rows[i].want_error ? -1 : 0), i, rows[i].name);
        fixture_done(&fixture);
    }
}

/* CVE-2024-23652: the step bends the way to a mount point that is to be taken away. */
static void test_stubs_are_not_followed(void)
{
    struct cob_executor_mount mount = {.kind = COB_EXECUTOR_MOUNT_TMPFS, .target = "/a/b/c"};
    struct cob_executor_request request = {NO_NETWORK, .mounts = &mount, .n_mounts = 1};
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    make_dir(&fixture, "canary/b/c");
    g_autofree char *canary = g_build_filename(fixture.scratch, "canary", NULL);
    g_autofree char *before = list(canary);
    g_autofree char *script = g_strdup_printf("mv /a/b /a/old && ln -s %s/b /a/b", canary);
    CHECK_OK(run(&fixture, request, script, &code));
    g_assert_cmpint(code, ==, 0);
    g_autofree char *after = list(canary);
    g_assert_cmpstr(after, ==, before);
    g_assert_true(exists(&fixture, "canary/b/c"));
    g_assert_true(exists(&fixture, "root/a/b")); /* the step's own: it stays */
    fixture_done(&fixture);
}

/* An overlay, detached, as the snapshots give it. */
static int mount_overlay(const struct fixture *fixture)
{
    g_autofree char *merged = g_build_filename(fixture->scratch, "merged", NULL);
    g_autofree char *options =
        g_strdup_printf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work%s", fixture->root,
            fixture->scratch, fixture->scratch, g_getenv("COB_TEST_ROOTLESS") ? ",userxattr" : "");

    g_assert_cmpint(mount("overlay", merged, "overlay", 0, options), ==, 0);
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, merged, 1 | O_CLOEXEC); /* OPEN_TREE_CLONE */
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(umount2(merged, MNT_DETACH), ==, 0);
    return fd;
}

static void test_a_detached_overlay(void)
{
    g_autoptr(GBytes) secret = g_bytes_new_static("x", 1);
    struct cob_executor_mount mounts[] = {
        {.kind = COB_EXECUTOR_MOUNT_SECRET, .target = "/opt/secrets/key", .secret = secret},
        {.kind = COB_EXECUTOR_MOUNT_TMPFS, .target = "/opt/made"}};
    struct cob_executor_request request = {
        NO_NETWORK, .mounts = mounts, .n_mounts = G_N_ELEMENTS(mounts)};
    struct fixture fixture;
    struct stat st;
    int code = -1;

    fixture_init(&fixture);
    make_dir(&fixture, "upper");
    make_dir(&fixture, "work");
    make_dir(&fixture, "merged");
    make_dir(&fixture, "root/opt");
    g_autofree char *opt = g_build_filename(fixture.scratch, "root/opt", NULL);
    g_autofree char *upper_opt = g_build_filename(fixture.scratch, "upper/opt", NULL);
    struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 12345}};
    g_assert_cmpint(utimensat(AT_FDCWD, opt, times, 0), ==, 0);
    close(fixture.root_fd);
    fixture.root_fd = mount_overlay(&fixture);
    CHECK_OK(run(&fixture, request, "echo new >/tmp/new; stat -c %Y /opt", &code));
    g_assert_cmpstr(fixture.out->str, ==, "12345\n");
    close(fixture.root_fd);
    fixture.root_fd = open_path(&fixture, "root");
    g_assert_true(exists(&fixture, "upper/tmp/new"));
    g_assert_false(exists(&fixture, "upper/opt/secrets"));
    g_assert_false(exists(&fixture, "upper/opt/made"));
    g_assert_cmpint(lstat(upper_opt, &st), ==, 0);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 12345);
    fixture_done(&fixture);
}

static void test_programs_that_are_not_there(void)
{
    static const char *const args[] = {"nope", "x", NULL};
    struct cob_executor_request request = {NO_NETWORK, .args = args};
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    CHECK_ERROR(run(&fixture, request, NULL, &code), COB_NOT_FOUND,
        "exec: \"nope\": executable file not found in $PATH*");
    g_assert_cmpint(code, ==, -1);
    fixture_done(&fixture);
}

static void test_what_must_be_installed(void)
{
    struct fixture fixture;
    struct cob_executor_config config = {
        .runtime = "no-such-runtime", .is_rootless = g_getenv("COB_TEST_ROOTLESS") != NULL};
    struct cob_executor_request request = {NO_NETWORK};
    int code = -1;

    fixture_init(&fixture);
    g_autofree char *state = g_build_filename(fixture.scratch, "state", NULL);
    config.state_dir = state;
    cob_executor_free(g_steal_pointer(&fixture.executor));
    CHECK_OK(cob_executor_new(&config, &fixture.executor));
    CHECK_ERROR(run(&fixture, request, "true", &code), COB_PRECONDITION,
        "a step needs no-such-runtime: install it*");
    config.runtime = NULL;
    config.network = "no-such-helper";
    cob_executor_free(g_steal_pointer(&fixture.executor));
    CHECK_OK(cob_executor_new(&config, &fixture.executor));
    request.network = COB_EXECUTOR_NETWORK_DEFAULT;
    CHECK_ERROR(run(&fixture, request, "true", &code), COB_PRECONDITION,
        "network: a step with a network needs slirp4netns or pasta: install slirp4netns*--network="
        "none*");
    g_assert_cmpint(code, ==, -1);
    fixture_done(&fixture);
}

static void test_a_terminal(void)
{
    struct cob_executor_request request = {NO_NETWORK, .is_terminal = true};
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    CHECK_OK(run(&fixture, request, "tty; exit 7", &code));
    g_assert_cmpint(code, ==, 7);
    g_assert_true(g_pattern_match_simple("/dev/*\r\n", fixture.out->str));
    fixture_done(&fixture);
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
#define STUBBORN(seconds)                                                                          \
    "trap '' TERM INT HUP; (trap '' TERM HUP; setsid sleep " seconds " & ) ; "                     \
    "setsid nohup sleep " seconds " >/dev/null 2>&1 & echo ready; sleep " seconds

struct cancelling {
    struct fixture fixture;
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
    static const char *const args[] = {"/bin/sh", "-c", STUBBORN("98765.1"), NULL};
    static const char *const env[] = {"PATH=/bin", NULL};
    struct cancelling cancelling = {.cancel = NULL};
    int code = -1;

    fixture_init(&cancelling.fixture);
    CHECK_OK(cob_cancel_new(&cancelling.cancel));
    struct cob_executor_request request = {NO_NETWORK, .root_fd = cancelling.fixture.root_fd,
        .args = args, .env = env, .log = cancel_when_ready, .log_arg = &cancelling};
    CHECK_ERROR(cob_executor_run(cancelling.fixture.executor, &request, cancelling.cancel, &code),
        COB_CANCELLED, "*");
    g_assert_cmpint(g_get_monotonic_time() - cancelling.at_us, <, G_USEC_PER_SEC);
    g_assert_false(is_running("sleep 98765.1"));
    cob_cancel_unref(cancelling.cancel);
    fixture_done(&cancelling.fixture);
}

/* In the victim: a step that goes on until it is killed. The runner waits for a line from it. */
static int be_victim(void)
{
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    static const char *const args[] = {"/bin/sh", "-c", STUBBORN("98765.2"), NULL};
    static const char *const env[] = {"PATH=/bin", NULL};
    struct cob_executor_request request = {NO_NETWORK, .root_fd = fixture.root_fd, .args = args,
        .env = env, .stdout_fd = 1, .stderr_fd = 2};
    CHECK_OK(cob_executor_run(fixture.executor, &request, NULL, &code));
    return 0;
}

/* Hear until a word comes; false: the end came first, or nothing for 2 s. */
static bool read_until(int fd, const char *word)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct pollfd heard = {.fd = fd, .events = POLLIN};
    char byte;

    while (poll(&heard, 1, 2000) == 1 && read(fd, &byte, 1) == 1) {
        g_string_append_c(text, byte);
        if (strstr(text->str, word))
            return true;
    }
    return false;
}

static void test_a_step_dies_with_cob(void)
{
    static const char *const argv[] = {"/proc/self/exe", "victim", NULL};
    g_autofree char *scratch = check_scratch_new();
    g_autofree char *tmp = g_strdup_printf("TMPDIR=%s", scratch);
    g_autofree char *rootless =
        g_strdup_printf("COB_TEST_ROOTLESS=%s", g_getenv("COB_TEST_ROOTLESS"));
    const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", tmp,
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
    g_assert_true(is_running("sleep 98765.2"));
    cob_process_kill(process, SIGKILL);
    CHECK_OK(cob_process_wait(process, NULL, &status));
    g_assert_false(read_until(read_fd, "nobody is left who could write"));
    g_assert_false(is_running("sleep 98765.2"));
    g_autofree char *mounts = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL));
    g_assert_null(strstr(mounts, scratch));
    check_scratch_free(g_steal_pointer(&scratch));
}

static bool has_names(void)
{
    struct addrinfo *found = NULL;
    bool is_ok = getaddrinfo("mirror.example", "80", NULL, &found) == 0;

    if (is_ok)
        freeaddrinfo(found);
    return is_ok;
}

static void test_network(void)
{
    struct cob_executor_request request = {.network = COB_EXECUTOR_NETWORK_DEFAULT};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t len = sizeof(address);
    cob_autoclose int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct fixture fixture;
    int code = -1;

    fixture_init(&fixture);
    g_assert_cmpint(bind(listen_fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(listen(listen_fd, 1), ==, 0);
    g_assert_cmpint(getsockname(listen_fd, (struct sockaddr *)&address, &len), ==, 0);
    g_autofree char *script = g_strdup_printf("cat /etc/resolv.conf | grep nameserver;"
                                              "for a in 10.0.2.2 127.0.0.1; do"
                                              "  nc -w 1 $a %d </dev/null && echo reached; done;"
                                              "ip -o link | grep -c tap0",
        ntohs(address.sin_port));
    CHECK_OK(run(&fixture, request, script, &code));
    g_assert_null(strstr(fixture.out->str, "reached"));
    g_assert_true(g_str_has_prefix(fixture.out->str, "nameserver 10.0.2.3\n"));
    g_assert_true(g_str_has_suffix(fixture.out->str, "1\n"));
    if (has_names()) {
        CHECK_OK(run(&fixture, request, "nslookup mirror.example | grep -A1 Name:", &code));
        g_assert_nonnull(strstr(fixture.out->str, "Address"));
    } else {
        g_test_message("no names can be looked up on this machine: not tried");
    }
    fixture_done(&fixture);
}

static void *run_one(void *arg)
{
    static const char *const args[] = {"/bin/sh", "-c", "sleep 0.2; exit 5", NULL};
    static const char *const env[] = {"PATH=/bin", NULL};
    struct fixture *fixture = arg;
    struct cob_executor_request request = {
        .root_fd = fixture->root_fd, .args = args, .env = env, NO_NETWORK};
    int code = -1;

    CHECK_OK(cob_executor_run(fixture->executor, &request, NULL, &code));
    return GINT_TO_POINTER(code);
}

static void test_steps_at_the_same_time(void)
{
    GThread *threads[8];
    struct fixture fixture;

    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("run", run_one, &fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(threads[i])), ==, 5);
    fixture_done(&fixture);
}

static void test_free_takes_null(void)
{
    cob_executor_free(NULL);
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
    bool is_victim = argc == 2 && strcmp(argv[1], "victim") == 0;

    check_init(&argc, &argv);
    if (is_victim) /* whoever started it has entered the namespaces already */
        return be_victim();
    if (g_getenv("COB_TEST_ROOTLESS")) {
        g_autofree char *notice = NULL;
        CHECK_OK(cob_userns_enter(&notice));
        g_assert_null(notice);
    } else if (geteuid() == 0) {
        CHECK_OK(cob_userns_enter_mounts());
        g_test_add_func("/executor/rootless", test_rootless);
    } else {
        check_skip("run it as root: it becomes an ordinary user by itself");
        return g_test_run();
    }
    g_test_add_func("/executor/what-a-step-sees", test_what_a_step_sees);
    g_test_add_func("/executor/system-calls", test_system_calls);
    g_test_add_func("/executor/users-that-are-refused", test_users_that_are_refused);
    g_test_add_func("/executor/working-directories", test_working_directories);
    g_test_add_func("/executor/mounts", test_mounts);
    g_test_add_func("/executor/mounts-that-are-refused", test_mounts_that_are_refused);
    g_test_add_func("/executor/tmpfs-and-secrets", test_tmpfs_and_secrets);
    g_test_add_func("/executor/hostile-roots", test_hostile_roots);
    g_test_add_func("/executor/stubs-are-not-followed", test_stubs_are_not_followed);
    g_test_add_func("/executor/a-detached-overlay", test_a_detached_overlay);
    g_test_add_func("/executor/programs-that-are-not-there", test_programs_that_are_not_there);
    g_test_add_func("/executor/what-must-be-installed", test_what_must_be_installed);
    g_test_add_func("/executor/a-terminal", test_a_terminal);
    g_test_add_func("/executor/cancel", test_cancel);
    g_test_add_func("/executor/a-step-dies-with-cob", test_a_step_dies_with_cob);
    g_test_add_func("/executor/network", test_network);
    g_test_add_func("/executor/steps-at-the-same-time", test_steps_at_the_same_time);
    g_test_add_func("/executor/free-takes-null", test_free_takes_null);
    return g_test_run();
}
