/* SPDX-License-Identifier: Apache-2.0 */
#include "build/rootfs/rootfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "util/cleanup.h"

static long peak_kib(void)
{
    struct rusage usage;

    g_assert_cmpint(getrusage(RUSAGE_SELF, &usage), ==, 0);
    return usage.ru_maxrss;
}

/* A folder that is a root for the test. */
struct fixture {
    char *path;
    int fd;
};

static void fixture_init(struct fixture *fixture)
{
    fixture->path = check_scratch_new();
    fixture->fd = open(fixture->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fixture->fd, >=, 0);
    g_assert_cmpint(mkdirat(fixture->fd, "etc", 0755), ==, 0);
}

static void fixture_done(struct fixture *fixture)
{
    close(fixture->fd);
    check_scratch_free(fixture->path);
}

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(fixture->path, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *groups_text(const GArray *groups)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < groups->len; i++)
        g_string_append_printf(text, "%s%u", i ? "," : "", g_array_index(groups, uint32_t, i));
    return g_string_free(text, FALSE);
}

static void test_identify(void)
{
    static const struct {
        const char *user;
        uint32_t uid, gid;
        const char *groups;
    } rows[] = {
        {NULL, 0, 0, "0,44"},
        {"", 0, 0, "0,44"},
        {"root", 0, 0, "0,44"},
        {"app", 1000, 1001, "1001,44,50"},
        {"1000", 1000, 1001, "1001,44,50"},
        {"app:video", 1000, 44, "44"},
        {"app:7", 1000, 7, "7"},
        {"1000:1000", 1000, 1000, "1000"},
        {"2000", 2000, 0, "0"},
        {"2147483647:0", 2147483647, 0, "0"},
        {"007", 7, 0, "0"},
    };
    struct fixture fixture;

    fixture_init(&fixture);
    write_file(&fixture, "etc/passwd",
        "# comment:x:5:5\n\nbroken\nroot:x:0:0::/root:/bin/sh\nbad:x:-1:0::/:\n"
        "app:x:1000:1001::/:/bin/sh\napp:x:3000:3000::/:\n");
    write_file(
        &fixture, "etc/group", "root:x:0:\nvideo:x:44:root,app\nstaff:x:50:other,app\nx:y\n");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_rootfs_identity identity = {.groups = NULL};

        CHECK_OK(cob_rootfs_identify(fixture.fd, rows[i].user, &identity));
        g_autofree char *groups = groups_text(identity.groups);
        g_assert_cmpstr(groups, ==, rows[i].groups);
        check_row(identity.uid == rows[i].uid && identity.gid == rows[i].gid, i,
            rows[i].user ? rows[i].user : "(none)");
        g_array_unref(identity.groups);
    }
    fixture_done(&fixture);
}

static void test_home(void)
{
    static const struct {
        const char *user, *home;
    } rows[] = {
        {NULL, "/root"},
        {"root", "/root"},
        {"0:5", "/root"},
        {"app", "/srv/app"},
        {"1000:1000", "/srv/app"},
        {"app:video", "/srv/app"},
        {"nobody", NULL},
        {"short", NULL},
        {"relative", NULL},
    };
    struct fixture fixture;

    fixture_init(&fixture);
    write_file(&fixture, "etc/passwd",
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1001:a b:/srv/app:/bin/sh\nshort:x:5:5\n"
        "relative:x:6:6::srv:/bin/sh\n");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *home = NULL;

        CHECK_OK(cob_rootfs_home(fixture.fd, rows[i].user, &home));
        g_assert_cmpstr(home, ==, rows[i].home);
    }
    fixture_done(&fixture);
}

static void test_identify_refuses(void)
{
    static const struct {
        const char *name, *user, *passwd; /* NULL: a FIFO; "+": larger than the limit */
        const char *want;
    } rows[] = {
        {"not there", "app", "", "user app: unable to find user app*"},
        {"a FIFO", "app", NULL, "user app: /etc/passwd of the image is not a regular file*"},
        {"too large", "app", "+", "*/etc/passwd of the image*larger than the limit*"},
        {"too large a number", "4294967296", "", "*must be in range 0-2147483647*"},
        {"a number that wraps", "18446744073709551616", "", "*must be in range*"},
        {"a uid in the file that wraps", "app", "app:x:4294967296:0::/:\n", "*unable to find*"},
        {"a gid in the file that wraps", "app", "app:x:1:4294967296::/:\n", "*unable to find*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_rootfs_identity identity = {.groups = NULL};
        struct fixture fixture;

        fixture_init(&fixture);
        if (!rows[i].passwd) {
            g_assert_cmpint(mkfifoat(fixture.fd, "etc/passwd", 0644), ==, 0);
        } else if (strcmp(rows[i].passwd, "+") == 0) {
            g_autofree char *path = g_build_filename(fixture.path, "etc/passwd", NULL);
            write_file(&fixture, "etc/passwd", "");
            g_assert_cmpint(truncate(path, (10 << 20) + 1), ==, 0);
        } else {
            write_file(&fixture, "etc/passwd", rows[i].passwd);
        }
        struct cob_error *err = cob_rootfs_identify(fixture.fd, rows[i].user, &identity);
        bool is_refused = err != NULL;
        CHECK_ERROR(err, cob_error_code(err), rows[i].want);
        check_row(is_refused && !identity.groups, i, rows[i].name);
        fixture_done(&fixture);
    }
}

/* The largest file that is read, all of it fields, lines or members: it is parsed where it lies. */
static void test_identify_in_small_memory(void)
{
    static const struct {
        const char *name, *file, *start, *end;
        char filling;
    } rows[] = {
        {"ten million lines", "etc/passwd", "", "\napp:x:7:8::/:\n", '\n'},
        {"ten million fields", "etc/passwd", "x:", "\napp:x:7:8::/:\n", ':'},
        {"ten million members", "etc/group", "many:x:9:", ",app\n", ','},
        {"NUL bytes", "etc/passwd", "", "\napp:x:7:8::/:\n", '\0'},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_rootfs_identity identity = {.groups = NULL};
        struct fixture fixture;
        g_autoptr(GString) text = g_string_new(rows[i].start);
        size_t len = 10 * 1000 * 1000;

        fixture_init(&fixture);
        write_file(&fixture, "etc/passwd", "app:x:7:8::/:\n");
        g_string_set_size(text, strlen(rows[i].start) + len);
        memset(text->str + strlen(rows[i].start), rows[i].filling, len);
        g_string_append(text, rows[i].end);
        g_autofree char *path = g_build_filename(fixture.path, rows[i].file, NULL);
        g_assert_true(g_file_set_contents(path, text->str, (gssize)text->len, NULL));
        long before = peak_kib();
        CHECK_OK(cob_rootfs_identify(fixture.fd, "app", &identity));
        check_row(identity.uid == 7 && identity.gid == 8, i, rows[i].name);
        check_row(peak_kib() - before < 100 * 1024, i, rows[i].name);
        g_array_unref(identity.groups);
        fixture_done(&fixture);
    }
}

static void test_walk(void)
{
    static const struct {
        const char *path;
        enum cob_rootfs_wish wish;
        const char *want_path, *want_error; /* one of them */
    } rows[] = {
        {"/", COB_ROOTFS_FIND, "/", NULL},
        {"", COB_ROOTFS_FIND, "/", NULL},
        {"a/b", COB_ROOTFS_FIND, "/a/b", NULL},
        {"/a//./b/../b", COB_ROOTFS_FIND, "/a/b", NULL},
        {"/../../a", COB_ROOTFS_FIND, "/a", NULL},
        {"/absolute/b", COB_ROOTFS_FIND, "/a/b", NULL},
        {"/up/a", COB_ROOTFS_FIND, "/a", NULL},
        {"/a/none", COB_ROOTFS_FIND, NULL, "open /a/none: *"},
        {"/loop", COB_ROOTFS_FIND, NULL, "too many levels of symlinks*"},
        {"/file/x", COB_ROOTFS_FIND, NULL, "open /file: Not a directory*"},
        {"/new/deep", COB_ROOTFS_MAKE_DIR, "/new/deep", NULL},
        {"/dangling/x", COB_ROOTFS_MAKE_FILE, "/later/on/x", NULL},
        {"/file", COB_ROOTFS_MAKE_DIR, NULL, "/file is not a directory*"},
        {"/a", COB_ROOTFS_MAKE_FILE, NULL, "/a is a directory*"},
    };
    struct fixture fixture;
    g_autoptr(GArray) made = cob_rootfs_made_new();
    mode_t mask = umask(077);

    fixture_init(&fixture);
    g_assert_cmpint(mkdirat(fixture.fd, "a", 0755), ==, 0);
    g_assert_cmpint(mkdirat(fixture.fd, "a/b", 0755), ==, 0);
    g_assert_cmpint(symlinkat("/a", fixture.fd, "absolute"), ==, 0);
    g_assert_cmpint(symlinkat("../../..", fixture.fd, "up"), ==, 0);
    g_assert_cmpint(symlinkat("loop", fixture.fd, "loop"), ==, 0);
    g_assert_cmpint(symlinkat("later/on", fixture.fd, "dangling"), ==, 0);
    write_file(&fixture, "file", "");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_rootfs_walk walk = {
            .root_fd = fixture.fd, .path = rows[i].path, .wish = rows[i].wish, .made = made};
        g_autofree char *path = NULL;
        cob_autoclose int fd = -1;
        struct cob_error *err = cob_rootfs_walk(&walk, &fd, &path);

        if (rows[i].want_error)
            CHECK_ERROR(err, err ? cob_error_code(err) : COB_UNKNOWN, rows[i].want_error);
        else
            CHECK_OK(err);
        check_row(g_strcmp0(path, rows[i].want_path) == 0, i, rows[i].path);
    }
    struct stat st;
    g_assert_cmpint(fstatat(fixture.fd, "new/deep", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0755);
    cob_rootfs_unmake(fixture.fd, made);
    g_assert_cmpint(faccessat(fixture.fd, "new", F_OK, 0), ==, -1);
    g_assert_cmpint(faccessat(fixture.fd, "later", F_OK, 0), ==, -1);
    g_assert_cmpint(faccessat(fixture.fd, "a/b", F_OK, 0), ==, 0);
    umask(mask);
    fixture_done(&fixture);
}

/* One that bends the way while it is walked (CVE-2024-23651). */
struct swapper {
    int fd;
    int is_stopped; /* atomic */
};

static void *swap(void *arg)
{
    struct swapper *swapper = arg;

    while (!g_atomic_int_get(&swapper->is_stopped))
        renameat2(swapper->fd, "sub", swapper->fd, "link", RENAME_EXCHANGE);
    return NULL;
}

static void test_swapped_while_walked(void)
{
    struct fixture fixture, canary;
    unsigned n_found = 0;
    struct stat st, want;

    fixture_init(&fixture);
    fixture_init(&canary);
    g_assert_cmpint(mkdirat(fixture.fd, "sub", 0755), ==, 0);
    g_assert_cmpint(mkdirat(fixture.fd, "sub/etc", 0755), ==, 0);
    g_assert_cmpint(symlinkat(canary.path, fixture.fd, "link"), ==, 0);
    g_assert_cmpint(fstatat(fixture.fd, "sub/etc", &want, 0), ==, 0);
    struct swapper swapper = {.fd = fixture.fd};
    GThread *thread = g_thread_new("swap", swap, &swapper);
    for (int i = 0; i < 20000; i++) {
        struct cob_rootfs_walk walk = {.root_fd = fixture.fd, .path = "/sub/etc"};
        cob_autoclose int fd = -1;
        g_autoptr(cob_error) err = cob_rootfs_walk(&walk, &fd, NULL);

        if (err)
            continue;
        n_found++;
        if (fstat(fd, &st) < 0 || st.st_ino != want.st_ino)
            g_assert_cmpuint(st.st_ino, ==, want.st_ino);
    }
    g_atomic_int_set(&swapper.is_stopped, 1);
    g_thread_join(thread);
    g_assert_cmpuint(n_found, >, 0);
    fixture_done(&fixture);
    fixture_done(&canary);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/rootfs/identify", test_identify);
    g_test_add_func("/rootfs/home", test_home);
    g_test_add_func("/rootfs/identify-refuses", test_identify_refuses);
    g_test_add_func("/rootfs/identify-in-small-memory", test_identify_in_small_memory);
    g_test_add_func("/rootfs/walk", test_walk);
    g_test_add_func("/rootfs/swapped-while-walked", test_swapped_while_walked);
    return g_test_run();
}
