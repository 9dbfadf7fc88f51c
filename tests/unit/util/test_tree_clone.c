/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/tree.h"

/* A tree with one of each kind in src/, and an empty dst/. */
struct fixture {
    char *path;
    int dir_fd, src_fd, dst_fd;
    bool has_xattrs;
};

static int open_dir(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void fill(struct fixture *f)
{
    const struct timespec times[] = {{11, 0}, {22, 33}};

    g_assert_cmpint(mkdirat(f->src_fd, "d", 0700), ==, 0);
    CHECK_OK(cob_fs_replace_file(f->src_fd, "d/file", 0640, "text", 4));
    g_assert_cmpint(fchmodat(f->src_fd, "d/file", 04750, 0), ==, 0);
    f->has_xattrs = lsetxattr("src/d/file", "user.x", "y", 1, 0) == 0;
    g_assert_cmpint(linkat(f->src_fd, "d/file", f->src_fd, "again", 0), ==, 0);
    g_assert_cmpint(symlinkat("/etc", f->src_fd, "d/link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->src_fd, "d/fifo", 0600), ==, 0);
    g_assert_cmpint(utimensat(f->src_fd, "d/file", times, 0), ==, 0);
    g_assert_cmpint(fchmodat(f->src_fd, "d", 01555, 0), ==, 0);
    g_assert_cmpint(utimensat(f->src_fd, "d", times, 0), ==, 0);
}

static void setup(struct fixture *f, const void *unused)
{
    (void)unused;
    f->path = check_scratch_new();
    g_assert_cmpint(chdir(f->path), ==, 0);
    f->dir_fd = open_dir(AT_FDCWD, ".");
    g_assert_cmpint(mkdirat(f->dir_fd, "src", 0751), ==, 0);
    g_assert_cmpint(mkdirat(f->dir_fd, "dst", 0700), ==, 0);
    f->src_fd = open_dir(f->dir_fd, "src");
    f->dst_fd = open_dir(f->dir_fd, "dst");
    fill(f);
}

static void teardown(struct fixture *f, const void *unused)
{
    (void)unused;
    g_assert_cmpint(chdir("/"), ==, 0);
    close(f->dir_fd);
    close(f->src_fd);
    close(f->dst_fd);
    check_scratch_free(f->path);
}

static struct stat stat_of(int dir_fd, const char *name)
{
    struct stat st = {0};

    g_assert_cmpint(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    return st;
}

static void check_same(const struct fixture *f, bool is_shared)
{
    static const char *const names[] = {".", "d", "d/file", "again", "d/link", "d/fifo"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct stat from = stat_of(f->src_fd, names[i]);
        struct stat to = stat_of(f->dst_fd, names[i]);

        check_row(from.st_mode == to.st_mode &&
                      (from.st_size == to.st_size || S_ISDIR(from.st_mode)) &&
                      from.st_mtim.tv_sec == to.st_mtim.tv_sec &&
                      from.st_mtim.tv_nsec == to.st_mtim.tv_nsec &&
                      (from.st_ino == to.st_ino) == (is_shared && !S_ISDIR(from.st_mode)),
            i, names[i]);
    }
    g_assert_cmpuint(stat_of(f->dst_fd, "again").st_ino, ==, stat_of(f->dst_fd, "d/file").st_ino);
}

static void test_copy(struct fixture *f, const void *unused)
{
    char value[4];

    (void)unused;
    CHECK_OK(cob_tree_clone(f->src_fd, f->dst_fd, 0));
    check_same(f, /* is_shared= */ false);
    if (f->has_xattrs)
        g_assert_cmpint(getxattr("dst/d/file", "user.x", value, sizeof(value)), ==, 1);
}

static void test_share(struct fixture *f, const void *unused)
{
    (void)unused;
    CHECK_OK(cob_tree_clone(f->src_fd, f->dst_fd, COB_TREE_SHARE));
    check_same(f, /* is_shared= */ true);
}

static void test_what_is_there_stays(struct fixture *f, const void *unused)
{
    (void)unused;
    CHECK_OK(cob_fs_replace_file(f->dst_fd, "again", 0600, "mine", 4));
    CHECK_ERROR(
        cob_tree_clone(f->src_fd, f->dst_fd, 0), COB_EXISTS, ".: again: create: File exists");
    g_assert_cmpint(stat_of(f->dst_fd, "again").st_size, ==, 4);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add("/tree-clone/copy", struct fixture, NULL, setup, test_copy, teardown);
    g_test_add("/tree-clone/share", struct fixture, NULL, setup, test_share, teardown);
    g_test_add("/tree-clone/what-is-there-stays", struct fixture, NULL, setup,
        test_what_is_there_stays, teardown);
    return g_test_run();
}
