/* SPDX-License-Identifier: Apache-2.0 */
#include "util/tree.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "util/cleanup.h"

#define DEPTH 3000 /* deeper than a path can be long, and than there are descriptors */

static void make_file(int dir_fd, const char *name)
{
    cob_autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
}

/* d/d/d/..., in each a file that is read before the directory or after it, and an empty sibling. */
static void make_deep(int dir_fd, const char *name)
{
    cob_autoclose int fd = dup(dir_fd);

    for (int i = 0; i < DEPTH; i++) {
        const char *next_name = i ? "d" : name;

        g_assert_cmpint(mkdirat(fd, next_name, i % 7 ? 0755 : 0), ==, 0);
        g_assert_cmpint(fchmodat(fd, next_name, 0700, 0), ==, 0);
        int next = openat(fd, next_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(next, >=, 0);
        close(fd);
        fd = next;
        make_file(fd, "a");
        make_file(fd, "z");
        g_assert_cmpint(mkdirat(fd, "sibling", 0755), ==, 0);
    }
}

static void test_deep(void)
{
    char *scratch = check_scratch_new();
    cob_autoclose int fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct cob_tree_usage usage = {0};
    struct rlimit files, few;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &files), ==, 0);
    few = files;
    few.rlim_cur = MIN(files.rlim_max, 256);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
    make_deep(fd, "tree");
    CHECK_OK(cob_tree_measure(fd, "tree", &usage));
    g_assert_cmpuint(usage.n_inodes, ==, 4 * DEPTH);
    CHECK_OK(cob_tree_remove(fd, "tree"));
    g_assert_cmpint(faccessat(fd, "tree", F_OK, AT_SYMLINK_NOFOLLOW), ==, -1);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &files), ==, 0);
    check_scratch_free(scratch);
}

static void test_remove(void)
{
    static const struct {
        const char *name, *type;
    } rows[] = {
        {"nothing", ""},
        {"file", "f"},
        {"symlink to a directory", "l"},
        {"empty directory", "d"},
        {"full directory", "D"},
    };
    char *scratch = check_scratch_new();
    cob_autoclose int fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(mkdirat(fd, "canary", 0755), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        switch (*rows[i].type) {
        case 'f':
            make_file(fd, "x");
            break;
        case 'l':
            g_assert_cmpint(symlinkat("canary", fd, "x"), ==, 0);
            break;
        case 'D':
        case 'd':
            g_assert_cmpint(mkdirat(fd, "x", 0755), ==, 0);
            break;
        default:
            break;
        }
        if (*rows[i].type == 'D') {
            make_file(fd, "x/f");
            g_assert_cmpint(symlinkat("../canary", fd, "x/l"), ==, 0);
            g_assert_cmpint(mkdirat(fd, "x/d", 0755), ==, 0);
        }
        CHECK_OK(cob_tree_remove(fd, "x"));
        check_row(faccessat(fd, "x", F_OK, AT_SYMLINK_NOFOLLOW) < 0, i, rows[i].name);
        check_row(faccessat(fd, "canary", F_OK, AT_SYMLINK_NOFOLLOW) == 0, i, rows[i].name);
    }
    check_scratch_free(scratch);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/tree/deep", test_deep);
    g_test_add_func("/tree/remove", test_remove);
    return g_test_run();
}
