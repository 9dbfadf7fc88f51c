/* SPDX-License-Identifier: Apache-2.0 */
#include "util/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "util/fs.h"

struct fixture {
    char *path;
    int fd;
};

static void put(int dir_fd, const char *name, const char *text)
{
    cob_autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    CHECK_OK(cob_fs_write_fd(fd, text, strlen(text)));
}

/* All times are the same, so that only what a row changes differs. */
static void set_times(int dir_fd)
{
    static const char *const names[] = {"t/a", "t/b", "t/dir/c", "t/dir/link", "t/dir", "t"};
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        utimensat(dir_fd, names[i], times, AT_SYMLINK_NOFOLLOW);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.path = check_scratch_new()};
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(mkdirat(f->fd, "t", 0755) | mkdirat(f->fd, "t/dir", 0755), ==, 0);
    put(f->fd, "t/a", "aaaa");
    put(f->fd, "t/dir/c", "cccc");
    g_assert_cmpint(linkat(f->fd, "t/a", f->fd, "t/b", 0), ==, 0);
    g_assert_cmpint(symlinkat("target", f->fd, "t/dir/link"), ==, 0);
    set_times(f->fd);
}

static void fixture_done(struct fixture *f)
{
    close(f->fd);
    check_scratch_free(f->path);
}

static struct cob_tree_usage measure(const struct fixture *f, const char *name)
{
    struct cob_tree_usage usage = {0};

    CHECK_OK(cob_tree_measure(f->fd, name, &usage));
    return usage;
}

static void longer(int fd)
{
    put(fd, "t/dir/c", "ccccc");
}

static void same_length(int fd)
{
    put(fd, "t/dir/c", "CCCC");
}

static void removed(int fd)
{
    unlinkat(fd, "t/dir/c", 0);
}

static void added(int fd)
{
    put(fd, "t/dir/new", "");
}

static void renamed(int fd)
{
    renameat(fd, "t/dir/c", fd, "t/dir/d");
}

static void moved(int fd)
{
    renameat(fd, "t/dir/c", fd, "t/c");
}

static void chmoded(int fd)
{
    fchmodat(fd, "t/dir", 0700, 0);
}

static void touched(int fd)
{
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000, .tv_nsec = 1}};

    utimensat(fd, "t/a", times, 0);
}

static void relinked(int fd)
{
    unlinkat(fd, "t/dir/link", 0);
    g_assert_cmpint(symlinkat("tarpit", fd, "t/dir/link"), ==, 0);
}

/* As a file that was made long first, when what was written into it got lost. */
static void emptied(int fd)
{
    cob_autoclose int file_fd = openat(fd, "t/dir/c", O_WRONLY | O_TRUNC | O_CLOEXEC);

    g_assert_cmpint(ftruncate(file_fd, 4), ==, 0);
}

static void untouched(int fd)
{
    (void)fd;
}

static void other_name(int fd)
{
    renameat(fd, "t", fd, "u");
    renameat(fd, "u", fd, "t");
}

static void test_fingerprint(void)
{
    static const struct {
        const char *name;
        void (*change)(int fd);
        bool is_same_time; /* times are set back after the change */
        bool is_same;
    } rows[] = {
        {"untouched", untouched, false, true},
        {"renamed as a whole", other_name, false, true},
        {"longer", longer, true, false},
        {"same length, another time", same_length, false, false},
        {"same length, same time", same_length, true, true},
        {"removed", removed, true, false},
        {"added", added, true, false},
        {"renamed", renamed, true, false},
        {"moved", moved, true, false},
        {"another mode", chmoded, true, false},
        {"a nanosecond later", touched, false, false},
        {"another target of the same length", relinked, true, false},
        {"holes instead of bytes", emptied, true, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fixture f;

        fixture_init(&f);
        struct cob_tree_usage before = measure(&f, "t");
        rows[i].change(f.fd);
        if (rows[i].is_same_time)
            set_times(f.fd);
        struct cob_tree_usage after = measure(&f, "t");
        check_row((before.fingerprint == after.fingerprint) == rows[i].is_same, i, rows[i].name);
        fixture_done(&f);
    }
}

static void test_usage(void)
{
    struct fixture f;

    fixture_init(&f);
    struct cob_tree_usage usage = measure(&f, "t");
    g_assert_cmpuint(usage.n_entries, ==, 6);
    g_assert_cmpuint(usage.n_inodes, ==, 5); /* a and b are one */
    g_assert_cmpuint(usage.size_bytes, >, 0);
    usage = measure(&f, "missing");
    g_assert_cmpuint(usage.n_entries, ==, 0);
    usage = measure(&f, "t/dir/link");
    g_assert_cmpuint(usage.n_entries, ==, 1);
    fixture_done(&f);
}

/* Deep and wide: more than one read of a directory, and more than one level waiting. */
static void test_many(void)
{
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 4000; i++) {
        g_autofree char *name = g_strdup_printf("t/dir/a-rather-long-name-%d", i);

        if (i % 40 == 0)
            g_assert_cmpint(mkdirat(f.fd, name, 0755), ==, 0);
        else
            put(f.fd, name, "");
    }
    g_autoptr(GString) deep = g_string_new("t/dir");
    for (int i = 0; i < 200; i++) {
        g_string_append(deep, "/d");
        g_assert_cmpint(mkdirat(f.fd, deep->str, 0755), ==, 0);
    }
    struct cob_tree_usage usage = measure(&f, "t");
    g_assert_cmpuint(usage.n_entries, ==, 6 + 4000 + 200);
    CHECK_OK(cob_tree_remove(f.fd, "t"));
    g_assert_cmpuint(measure(&f, "t").n_entries, ==, 0);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/tree/fingerprint", test_fingerprint);
    g_test_add_func("/tree/usage", test_usage);
    g_test_add_func("/tree/many", test_many);
    return g_test_run();
}
