/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"
#include "step_fixture.h"
#include "util/cleanup.h"

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
    struct step_fixture fixture;

    step_fixture_init(&fixture);
    step_make_dir(&fixture, "cache/sub");
    step_write_file(&fixture, "cache/sub/in-sub", "sub\n");
    step_write_file(&fixture, "cache/in-cache", "");
    step_make_link(&fixture, "/", "cache/root");
    step_make_link(&fixture, "tmp", "root/link");
    cob_autoclose int cache_fd = step_open(&fixture, "cache");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_mount mount = {.target = rows[i].target,
            .source_fd = cache_fd,
            .source = rows[i].source,
            .is_readonly = rows[i].is_readonly};
        struct cob_executor_request request = {NO_NETWORK, .mounts = &mount, .n_mounts = 1};
        int code = -1;

        g_autofree char *script = g_strconcat("exec 2>&1; ", rows[i].script, NULL);
        CHECK_OK(step_run(&fixture, request, script, &code));
        if (!g_pattern_match_simple(rows[i].want, fixture.out->str))
            g_test_message("got: %s", fixture.out->str);
        check_row(g_pattern_match_simple(rows[i].want, fixture.out->str), i, rows[i].name);
        check_row(!step_exists(&fixture, "root/var") && !step_exists(&fixture, "root/c") &&
                      !step_exists(&fixture, "root/tmp/x"),
            i, "its mount points are gone");
    }
    step_fixture_done(&fixture);
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
        {NULL, "/dev/./null", "*only /dev/shm and new names below /dev*"},
        {NULL, "/dev//null", "*only /dev/shm and new names below /dev*"},
        {NULL, "/dev/null/", "*only /dev/shm and new names below /dev*"},
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
    struct step_fixture fixture;

    step_fixture_init(&fixture);
    step_make_dir(&fixture, "cache");
    g_autofree char *canary = g_build_filename(fixture.scratch, "canary", NULL);
    step_make_link(&fixture, canary, "cache/evil");
    step_make_link(&fixture, "/proc", "root/to-proc");
    cob_autoclose int cache_fd = step_open(&fixture, "cache");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_executor_mount mount = {
            .target = rows[i].target, .source_fd = cache_fd, .source = rows[i].source};
        struct cob_executor_request request = {NO_NETWORK, .mounts = &mount, .n_mounts = 1};
        int code = -1;

        CHECK_ERROR(step_run(&fixture, request, "true", &code),
            rows[i].source ? COB_NOT_FOUND : COB_INVALID, rows[i].want);
        check_row(code == -1, i, rows[i].source ? rows[i].source : rows[i].target);
    }
    g_assert_false(step_exists(&fixture, "root/c"));
    step_fixture_done(&fixture);
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
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    CHECK_OK(step_run(&fixture, request,
        "exec 2>&1; stat -c '%a %u %g' /run/secrets/key; cat /run/secrets/key; echo; cat "
        "/root/.netrc;"
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
    g_assert_false(step_exists(&fixture, "root/run"));
    g_assert_false(step_exists(&fixture, "root/scratch"));
    g_assert_false(step_exists(&fixture, "root/root/.netrc"));
    step_fixture_done(&fixture);
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
        struct step_fixture fixture;
        int code = -1;

        step_fixture_init(&fixture);
        step_write_file(&fixture, "canary/f", "app:x:0:0::/:\n");
        g_autofree char *canary = g_build_filename(fixture.scratch, "canary", NULL);
        g_autofree char *path = g_build_filename(fixture.scratch, rows[i].path, NULL);
        g_autofree char *old = g_strdup_printf("%s.old", path);
        g_autofree char *before = step_list(canary);
        g_assert_cmpint(rename(path, old), ==, 0);
        if (rows[i].link) {
            g_auto(GStrv) parts = g_strsplit(rows[i].link, "@", -1);
            g_autofree char *link = g_strjoinv(canary, parts);
            g_assert_cmpint(symlink(link, path), ==, 0);
        } else {
            g_assert_cmpint(mkfifo(path, 0666), ==, 0);
        }
        if (rows[i].want_error)
            CHECK_ERROR(
                step_run(&fixture, request, "true", &code), COB_INVALID, rows[i].want_error);
        else
            CHECK_OK(
                step_run(&fixture, request, "cat /etc/hosts /etc/resolv.conf >/dev/null", &code));
        g_autofree char *after = step_list(canary);
        g_assert_cmpstr(after, ==, before);
        check_row(code == (rows[i].want_error ? -1 : 0), i, rows[i].name);
        step_fixture_done(&fixture);
    }
}

/* CVE-2024-23652: the step bends the way to a mount point that is to be taken away. */
static void test_stubs_are_not_followed(void)
{
    struct cob_executor_mount mount = {.kind = COB_EXECUTOR_MOUNT_TMPFS, .target = "/a/b/c"};
    struct cob_executor_request request = {NO_NETWORK, .mounts = &mount, .n_mounts = 1};
    struct step_fixture fixture;
    int code = -1;

    step_fixture_init(&fixture);
    step_make_dir(&fixture, "canary/b/c");
    g_autofree char *canary = g_build_filename(fixture.scratch, "canary", NULL);
    g_autofree char *before = step_list(canary);
    g_autofree char *script = g_strdup_printf("mv /a/b /a/old && ln -s %s/b /a/b", canary);
    CHECK_OK(step_run(&fixture, request, script, &code));
    g_assert_cmpint(code, ==, 0);
    g_autofree char *after = step_list(canary);
    g_assert_cmpstr(after, ==, before);
    g_assert_true(step_exists(&fixture, "canary/b/c"));
    g_assert_true(step_exists(&fixture, "root/a/b")); /* the step's own: it stays */
    step_fixture_done(&fixture);
}

/* An overlay, detached, as the snapshots give it. */
static int mount_overlay(const struct step_fixture *fixture)
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
    struct step_fixture fixture;
    struct stat st;
    int code = -1;

    step_fixture_init(&fixture);
    step_make_dir(&fixture, "upper");
    step_make_dir(&fixture, "work");
    step_make_dir(&fixture, "merged");
    step_make_dir(&fixture, "root/opt");
    g_autofree char *opt = g_build_filename(fixture.scratch, "root/opt", NULL);
    g_autofree char *upper_opt = g_build_filename(fixture.scratch, "upper/opt", NULL);
    struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 12345}};
    g_assert_cmpint(utimensat(AT_FDCWD, opt, times, 0), ==, 0);
    close(fixture.root_fd);
    fixture.root_fd = mount_overlay(&fixture);
    CHECK_OK(step_run(&fixture, request, "echo new >/tmp/new; stat -c %Y /opt", &code));
    g_assert_cmpstr(fixture.out->str, ==, "12345\n");
    close(fixture.root_fd);
    fixture.root_fd = step_open(&fixture, "root");
    g_assert_true(step_exists(&fixture, "upper/tmp/new"));
    g_assert_false(step_exists(&fixture, "upper/opt/secrets"));
    g_assert_false(step_exists(&fixture, "upper/opt/made"));
    g_assert_cmpint(lstat(upper_opt, &st), ==, 0);
    g_assert_cmpint(st.st_mtim.tv_sec, ==, 12345);
    step_fixture_done(&fixture);
}

static void add_tests(void)
{
    g_test_add_func("/executor/mounts", test_mounts);
    g_test_add_func("/executor/mounts-that-are-refused", test_mounts_that_are_refused);
    g_test_add_func("/executor/tmpfs-and-secrets", test_tmpfs_and_secrets);
    g_test_add_func("/executor/hostile-roots", test_hostile_roots);
    g_test_add_func("/executor/stubs-are-not-followed", test_stubs_are_not_followed);
    g_test_add_func("/executor/a-detached-overlay", test_a_detached_overlay);
}

int main(int argc, char **argv)
{
    return step_main(argc, argv, add_tests, NULL);
}
