/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "build/context/context.h"
#include "check.h"

/* A directory that is a context, and what was remembered of it. */
typedef struct fixture {
    char *path;
    int fd;
    GBytes *cache;
} fixture;

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);

    f->path = check_scratch_new();
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
    return f;
}

static void fixture_free(struct fixture *f)
{
    close(f->fd);
    g_clear_pointer(&f->cache, g_bytes_unref);
    check_scratch_free(f->path);
    g_free(f);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fixture, fixture_free)

/* Make the directories on the way to a path. */
static void make_parents(struct fixture *f, const char *path)
{
    g_autofree char *copy = g_strdup(path);

    for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdirat(f->fd, copy, 0755);
        *slash = '/';
    }
}

/* Times in the past, so that no file is too young for the stat cache but by its ctime. */
static void age(struct fixture *f, const char *path)
{
    const struct timespec times[2] = {{1600000000, 5}, {1600000000, 5}};

    g_assert_cmpint(utimensat(f->fd, path, times, AT_SYMLINK_NOFOLLOW), ==, 0);
}

static void put(struct fixture *f, const char *path, const char *text)
{
    make_parents(f, path);
    int fd = openat(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    close(fd);
    age(f, path);
}

static void put_link(struct fixture *f, const char *path, const char *target)
{
    make_parents(f, path);
    g_assert_cmpint(symlinkat(target, f->fd, path), ==, 0);
}

/* Wait until a file that is there now is old enough for the stat cache. */
static void let_time_pass(void)
{
    g_usleep(50 * 1000);
}

static struct cob_context *open_with(
    struct fixture *f, const char *ignore_text, const char *const *paths)
{
    struct cob_context *context = NULL;
    g_autoptr(cob_ignore) ignore = NULL;

    if (ignore_text) {
        g_autoptr(GBytes) text = g_bytes_new(ignore_text, strlen(ignore_text));
        g_autoptr(cob_srcfile) file = cob_srcfile_new(".dockerignore", text);

        CHECK_OK(cob_ignore_parse(file, &ignore));
    }
    const struct cob_context_request request = {
        .dir_fd = f->fd, .ignore = ignore, .paths = paths, .cache = f->cache};
    CHECK_OK(cob_context_open(&request, NULL, &context));
    g_assert_nonnull(context);
    return context;
}

/* The entries as "a a/b c@ ", with @ behind symlinks and / behind directories. */
static char *list(const struct cob_context *context)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 1; i < cob_context_n_entries(context); i++) {
        struct cob_context_entry entry = cob_context_get(context, i);
        const char *mark = S_ISDIR(entry.mode) ? "/" : S_ISLNK(entry.mode) ? "@" : "";

        g_string_append_printf(out, "%s%s%s", i > 1 ? " " : "", entry.path, mark);
    }
    return g_string_free(out, false);
}

static char *selected(struct cob_context *context, const char *pattern, unsigned flags)
{
    g_autoptr(GArray) entries = NULL;
    GString *out = g_string_new(NULL);

    CHECK_OK(cob_context_select(context, pattern, flags, &entries));
    for (unsigned i = 0; entries && i < entries->len; i++) {
        const char *path =
            cob_context_get(context, g_array_index(entries, struct cob_context_match, i).index)
                .path;

        g_string_append_printf(out, "%s%s", i ? " " : "", *path ? path : "(root)");
    }
    return g_string_free(out, false);
}

static struct cob_sha256 digest(struct cob_context *context, const char *path)
{
    g_autoptr(GArray) entries = NULL;
    struct cob_sha256 sha = {0};

    CHECK_OK(cob_context_select(context, path, 0, &entries));
    g_assert_cmpint(entries->len, ==, 1);
    CHECK_OK(cob_context_digest(context, g_array_index(entries, struct cob_context_match, 0).index,
        NULL, NULL, NULL, &sha));
    return sha;
}

/* The digest of a path in a context of its own; how many files had to be read is told. */
static struct cob_sha256 digest_now(struct fixture *f, const char *path, uint64_t *ret_n_read)
{
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    struct cob_sha256 sha = digest(context, path);
    GBytes *cache = cob_context_cache(context);

    if (ret_n_read)
        *ret_n_read = cob_context_effort(context).n_files_read;
    if (cache) {
        g_clear_pointer(&f->cache, g_bytes_unref);
        f->cache = cache;
    }
    return sha;
}

static bool is_equal(struct cob_sha256 a, struct cob_sha256 b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static void make_tree(struct fixture *f)
{
    put(f, "go.mod", "module x\n");
    put(f, "src/main.go", "package main\n");
    put(f, "src/lib/lib.go", "package lib\n");
    put(f, "src/lib.txt", "x");
    put(f, "docs/a.md", "a");
    put(f, "docs/b.md", "b");
    put_link(f, "link", "src/lib");
    put_link(f, "abs", "/docs/a.md");
    put_link(f, "out", "../../../../etc/passwd");
    put_link(f, "loop", "loop");
    put_link(f, "up", "src/../docs");
}

static const struct {
    const char *ignore, *paths[4], *want;
} walk_rows[] = {
    {NULL, {NULL},
        "abs@ docs/ docs/a.md docs/b.md go.mod link@ loop@ out@ src/ src/lib/ src/lib/lib.go "
        "src/lib.txt src/main.go up@"},
    {NULL, {"go.mod"}, "go.mod"},
    {NULL, {"/go.mod", "docs/"}, "docs/ docs/a.md docs/b.md go.mod"},
    {NULL, {"*.mod"}, "go.mod"},
    {NULL, {"*/*.md"}, "abs@ docs/ docs/a.md docs/b.md link@ loop@ out@ src/ up@"},
    {NULL, {"src/lib"}, "src/ src/lib/ src/lib/lib.go"},
    {NULL, {"src/**/lib.go"}, "src/ src/lib/ src/lib/lib.go src/lib.txt src/main.go"},
    {NULL, {"nothing", "[broken"}, ""},
    {NULL, {"src/../go.mod"}, "go.mod"},
    {NULL, {"link/lib.go"}, "link@ src/ src/lib/ src/lib/lib.go"},
    {NULL, {"abs"}, "abs@ docs/ docs/a.md"},
    {NULL, {"out"}, "out@"},
    {NULL, {"loop"}, "loop@"},
    {NULL, {"up/b.md"}, "docs/ docs/b.md up@"},
    {"docs\nl*\nout\nup\nabs", {NULL},
        "go.mod src/ src/lib/ src/lib/lib.go src/lib.txt src/main.go"},
    {"*\n!src/lib", {NULL}, "src/ src/lib/ src/lib/lib.go"},
    {"*\n!src/nothing", {NULL}, ""},
    {"**\n!**/*.md", {NULL}, "docs/ docs/a.md docs/b.md"},
    {"docs", {"docs", "go.mod"}, "go.mod"},
};

static void test_walk(void)
{
    g_autoptr(fixture) f = fixture_new();

    make_tree(f);
    for (size_t i = 0; i < G_N_ELEMENTS(walk_rows); i++) {
        const char *const *paths = walk_rows[i].paths;
        g_autoptr(cob_context) context = open_with(f, walk_rows[i].ignore, *paths ? paths : NULL);
        g_autofree char *got = list(context);

        g_assert_cmpstr(got, ==, walk_rows[i].want);
        check_row(strcmp(got, walk_rows[i].want) == 0, i, walk_rows[i].want);
        g_assert_cmpint(cob_context_end(context, 0), ==, cob_context_n_entries(context));
    }
}

static const struct {
    const char *pattern;
    unsigned flags;
    const char *want;
} select_rows[] = {
    {".", 0, "(root)"}, {"/", 0, "(root)"}, {"go.mod", 0, "go.mod"}, {"/go.mod/", 0, "go.mod"},
    {"go.mod/x", 0, ""}, {"nothing", 0, ""}, {"../../go.mod", 0, "go.mod"},
    {"src/../docs/./a.md", 0, "docs/a.md"}, {"docs/*.md", 0, ""},
    {"docs/*.md", COB_CONTEXT_WILDCARD, "docs/a.md docs/b.md"},
    {"*/*.[a-m]*", COB_CONTEXT_WILDCARD, "docs/a.md docs/b.md src/main.go"}, {"link", 0, "link"},
    {"link", COB_CONTEXT_FOLLOW_LINKS, "src/lib"}, {"link/lib.go", 0, "src/lib/lib.go"},
    {"link/../lib.txt", 0, "src/lib.txt"}, {"link/*", COB_CONTEXT_WILDCARD, "src/lib/lib.go"},
    {"l*k/*", COB_CONTEXT_WILDCARD, ""},
    {"a*", COB_CONTEXT_WILDCARD | COB_CONTEXT_FOLLOW_LINKS, "docs/a.md"},
    {"abs", COB_CONTEXT_FOLLOW_LINKS, "docs/a.md"}, {"up", COB_CONTEXT_FOLLOW_LINKS, "docs"},
    {"out", 0, "out"}, {"out", COB_CONTEXT_FOLLOW_LINKS, ""}, /* looked for within, and not there */
};

static void test_select(void)
{
    g_autoptr(fixture) f = fixture_new();

    make_tree(f);
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(select_rows); i++) {
        g_autofree char *got = selected(context, select_rows[i].pattern, select_rows[i].flags);

        g_assert_cmpstr(got, ==, select_rows[i].want);
        check_row(strcmp(got, select_rows[i].want) == 0, i, select_rows[i].pattern);
    }
    g_autoptr(GArray) entries = NULL;
    CHECK_ERROR(cob_context_select(
                    context, "ou*", COB_CONTEXT_WILDCARD | COB_CONTEXT_FOLLOW_LINKS, &entries),
        COB_NOT_FOUND, "symlink out leads to ../../../../etc/passwd: not found");
    CHECK_ERROR(cob_context_select(context, "loop", COB_CONTEXT_FOLLOW_LINKS, &entries),
        COB_INVALID, "loop: too many levels of symbolic links");
    CHECK_ERROR(cob_context_select(context, "[a", COB_CONTEXT_WILDCARD, &entries), COB_INVALID,
        "syntax error in pattern [a");
}

/* Links that would make a lookup with recursion deep, or with wildcards endless. */
static void test_hostile_links(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GString) target = g_string_new(NULL);

    for (int i = 0; i < 600; i++)
        g_string_append(target, "dd/../");
    g_string_append(target, "deep");
    put(f, "dd/x", "x");
    put_link(f, "deep", target->str);
    for (char name[] = "a"; *name <= 'f'; (*name)++)
        put_link(f, name, ".");
    const char *const paths[] = {"deep", "*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*", NULL};
    g_autoptr(cob_context) context = open_with(f, NULL, paths);
    g_autoptr(GArray) entries = NULL;
    CHECK_ERROR(cob_context_select(context, "deep", COB_CONTEXT_FOLLOW_LINKS, &entries),
        COB_INVALID, "*too many levels of symbolic links*");
    CHECK_OK(cob_context_select(context, paths[1], COB_CONTEXT_WILDCARD, &entries));
    g_assert_cmpint(entries->len, ==, 0);
}

/* ---- digests ---- */

static void change_text(struct fixture *f)
{
    put(f, "src/main.go", "package mian\n"); /* as long, and as old by mtime */
}

static void change_mode(struct fixture *f)
{
    fchmodat(f->fd, "src/main.go", 0755, 0);
}

static void change_name(struct fixture *f)
{
    renameat(f->fd, "src/lib.txt", f->fd, "src/lib2.txt");
}

static void change_target(struct fixture *f)
{
    unlinkat(f->fd, "src/l", 0);
    put_link(f, "src/l", "lib3");
}

static void change_kind(struct fixture *f)
{
    unlinkat(f->fd, "src/lib.txt", 0);
    mkdirat(f->fd, "src/lib.txt", 0755);
}

static void change_nesting(struct fixture *f)
{
    renameat(f->fd, "src/lib.txt", f->fd, "src/lib/lib.txt");
}

static void change_mtime(struct fixture *f)
{
    const struct timespec times[2] = {{1500000000, 0}, {1500000000, 0}};

    utimensat(f->fd, "src/main.go", times, 0);
}

static void change_outside(struct fixture *f)
{
    put(f, "go.mod", "other");
}

static const struct {
    const char *name;
    void (*change)(struct fixture *f);
    bool is_other;
} digest_rows[] = {
    {"text", change_text, true},
    {"mode", change_mode, true},
    {"name", change_name, true},
    {"target", change_target, true},
    {"kind", change_kind, true},
    {"nesting", change_nesting, true},
    {"mtime", change_mtime, false},
    {"outside", change_outside, false},
};

static void test_what_a_digest_holds(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(digest_rows); i++) {
        g_autoptr(fixture) f = fixture_new();

        make_tree(f);
        put_link(f, "src/l", "lib2");
        struct cob_sha256 before = digest_now(f, "src", NULL);
        digest_rows[i].change(f);
        struct cob_sha256 after = digest_now(f, "src", NULL);
        check_row(is_equal(before, after) != digest_rows[i].is_other, i, digest_rows[i].name);
    }
}

/* Where a directory is does not count; the name of a file does. */
static void test_digest_is_relative(void)
{
    g_autoptr(fixture) f = fixture_new();

    put(f, "a/x", "1");
    put(f, "b/c/x", "1");
    put(f, "b/c/y/z", "2");
    put(f, "a/y/z", "2");
    put(f, "a2", "1");
    put(f, "b2", "1");
    g_assert_true(is_equal(digest_now(f, "a", NULL), digest_now(f, "b/c", NULL)));
    g_assert_false(is_equal(digest_now(f, "a2", NULL), digest_now(f, "b2", NULL)));
    g_assert_true(is_equal(digest_now(f, "a/x", NULL), digest_now(f, "b/c/x", NULL)));
}

static enum cob_context_verdict has_no_md(void *arg, const char *path, bool is_dir)
{
    (void)arg;
    return is_dir || !g_str_has_suffix(path, ".md");
}

static void test_filter(void)
{
    g_autoptr(fixture) f = fixture_new();
    struct cob_sha256 before, after;

    make_tree(f);
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    CHECK_OK(cob_context_digest(context, 0, has_no_md, NULL, NULL, &before));
    put(f, "docs/a.md", "other");
    g_autoptr(cob_context) again = open_with(f, NULL, NULL);
    CHECK_OK(cob_context_digest(again, 0, has_no_md, NULL, NULL, &after));
    g_assert_true(is_equal(before, after));
}

/* ---- the stat cache ---- */

static void test_unchanged_files_are_not_read(void)
{
    g_autoptr(fixture) f = fixture_new();
    uint64_t n_read = 0;

    make_tree(f);
    let_time_pass();
    struct cob_sha256 first = digest_now(f, ".", &n_read);
    g_assert_cmpint(n_read, ==, 6);
    g_assert_nonnull(f->cache);
    g_assert_true(is_equal(first, digest_now(f, ".", &n_read)));
    g_assert_cmpint(n_read, ==, 0);
    put(f, "src/main.go", "package other\n");
    digest_now(f, ".", &n_read);
    g_assert_cmpint(n_read, ==, 1);
}

/* Only what is asked for is read, and what is not asked for is not forgotten. */
static void test_digests_are_lazy(void)
{
    g_autoptr(fixture) f = fixture_new();
    const char *const paths[] = {"docs", NULL};
    uint64_t n_read = 0;

    make_tree(f);
    let_time_pass();
    digest_now(f, "docs", &n_read);
    g_assert_cmpint(n_read, ==, 2);
    digest_now(f, "src", &n_read);
    g_assert_cmpint(n_read, ==, 3);
    put(f, "docs/c.md", "c");
    let_time_pass();
    g_autoptr(cob_context) part = open_with(f, NULL, paths);
    digest(part, "docs");
    g_clear_pointer(&f->cache, g_bytes_unref);
    f->cache = cob_context_cache(part);
    digest_now(f, ".", &n_read);
    g_assert_cmpint(n_read, ==, 1); /* go.mod, which nobody ever asked for */
}

/* A file as long as before, with the mtime it had before. */
static void rewrite_in_place(struct fixture *f)
{
    put(f, "a/x", "two");
}

static void rewrite_by_rename(struct fixture *f)
{
    put(f, "new", "two");
    g_assert_cmpint(renameat(f->fd, "new", f->fd, "a/x"), ==, 0);
}

static void test_equal_size_and_mtime_are_no_proof(void)
{
    void (*const ways[])(struct fixture * f) = {rewrite_in_place, rewrite_by_rename};

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(ways); i++) {
        g_autoptr(fixture) f = fixture_new();
        uint64_t n_read = 0;

        put(f, "a/x", "one");
        put(f, "a/y", "yes");
        if (i % 2)
            let_time_pass(); /* else all happens within a tick of the clock */
        struct cob_sha256 before = digest_now(f, "a", &n_read);
        ways[i / 2](f);
        struct cob_sha256 after = digest_now(f, "a", &n_read);
        check_row(!is_equal(before, after), i, i / 2 ? "by rename" : "in place");
    }
}

/* Written, digested and written again as fast as can be: never the digest of before. */
static void test_racy_files(void)
{
    g_autoptr(fixture) f = fixture_new();
    struct cob_sha256 last = {0};

    for (int i = 0; i < 200; i++) {
        g_autofree char *text = g_strdup_printf("%03d", i);

        put(f, "x", text);
        struct cob_sha256 sha = digest_now(f, "x", NULL);
        check_row(!is_equal(sha, last), (size_t)i, text);
        last = sha;
    }
}

static void test_broken_caches(void)
{
    g_autoptr(fixture) f = fixture_new();
    uint64_t n_read = 0;

    make_tree(f);
    let_time_pass();
    struct cob_sha256 want = digest_now(f, ".", NULL);
    g_autoptr(GBytes) good = g_bytes_ref(f->cache);
    const struct {
        size_t offset, len;
    } rows[] = {{0, 0}, {0, 7}, {0, 8}, {1, 88}, {0, 100}, {8, 80}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_clear_pointer(&f->cache, g_bytes_unref);
        f->cache = g_bytes_new_from_bytes(good, rows[i].offset, rows[i].len);
        check_row(is_equal(want, digest_now(f, ".", &n_read)) && n_read == 6, i, "broken cache");
    }
}

/* ---- copying ---- */

static size_t find(struct cob_context *context, const char *path)
{
    g_autoptr(GArray) entries = NULL;

    CHECK_OK(cob_context_select(context, path, 0, &entries));
    g_assert_cmpint(entries->len, ==, 1);
    return entries->len ? g_array_index(entries, struct cob_context_match, 0).index : 0;
}

static void test_open_and_check(void)
{
    g_autoptr(fixture) f = fixture_new();
    cob_autoclose int fd = -1;
    int other = -1;

    make_tree(f);
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    size_t main_go = find(context, "src/main.go"), go_mod = find(context, "go.mod");
    struct cob_context_entry entry = cob_context_get(context, main_go);
    g_assert_cmpstr(entry.name, ==, "main.go");
    g_assert_cmpint(entry.size, ==, 13);
    g_assert_cmpint(entry.uid, ==, 0);
    CHECK_OK(cob_context_open_file(context, main_go, &fd));
    CHECK_OK(cob_context_check_file(context, main_go, fd));
    let_time_pass();
    change_text(f);
    CHECK_ERROR(cob_context_check_file(context, main_go, fd), COB_ABORTED,
        "src/main.go: file changed while it was copied");
    CHECK_ERROR(cob_context_open_file(context, main_go, &other), COB_ABORTED,
        "src/main.go: file changed while it was copied");
    unlinkat(f->fd, "go.mod", 0);
    CHECK_ERROR(cob_context_open_file(context, go_mod, &other), COB_ABORTED,
        "go.mod: file changed while it was copied");
    g_assert_cmpint(mkfifoat(f->fd, "go.mod", 0644), ==, 0);
    CHECK_ERROR(cob_context_open_file(context, go_mod, &other), COB_ABORTED,
        "go.mod: file changed while it was copied");
    CHECK_ERROR(cob_context_open_file(context, find(context, "link"), &other), COB_INVALID,
        "link: not a regular file");
    g_assert_cmpint(other, ==, -1);
}

/* What lies outside is never read, whatever becomes of the way to a file after the walk. */
static void test_no_way_out(void)
{
    g_autoptr(fixture) f = fixture_new(), outside = fixture_new();
    int fd = -1;

    put(f, "dir/secret", "mine");
    put(outside, "secret", "not yours");
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    size_t secret = find(context, "dir/secret");
    g_assert_cmpint(renameat(f->fd, "dir", f->fd, "dir2"), ==, 0);
    put_link(f, "dir", outside->path);
    CHECK_ERROR(cob_context_open_file(context, secret, &fd), COB_ABORTED,
        "dir/secret: file changed while it was copied");
    g_assert_cmpint(fd, ==, -1);
}

static void test_special_files(void)
{
    g_autoptr(fixture) f = fixture_new();
    int fd = -1;

    put(f, "a/x", "1");
    g_autoptr(cob_context) before = open_with(f, NULL, NULL);
    mkfifoat(f->fd, "a/pipe", 0644);
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    g_assert_false(is_equal(digest(before, "a"), digest(context, "a")));
    CHECK_ERROR(cob_context_open_file(context, find(context, "a/pipe"), &fd), COB_INVALID,
        "a/pipe: not a regular file");
}

static void test_unreadable(void)
{
    g_autoptr(fixture) f = fixture_new();
    struct cob_sha256 sha;

    if (geteuid() == 0) {
        /* root reads everything: a file that vanished is what it cannot read */
        put(f, "a/x", "1");
        g_autoptr(cob_context) context = open_with(f, NULL, NULL);
        unlinkat(f->fd, "a/x", 0);
        CHECK_ERROR(cob_context_digest(context, 0, NULL, NULL, NULL, &sha), COB_ABORTED,
            "a/x: file changed*");
        return;
    }
    put(f, "a/x", "1");
    fchmodat(f->fd, "a/x", 0, 0);
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    CHECK_ERROR(cob_context_digest(context, 0, NULL, NULL, NULL, &sha), COB_DENIED,
        "a/x: open: Permission denied");
}

static void test_cancel(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cancel) cancel = NULL;
    struct cob_context *context = NULL;
    const struct cob_context_request request = {.dir_fd = f->fd};

    CHECK_OK(cob_cancel_new(&cancel));
    cob_cancel_trigger(cancel);
    CHECK_ERROR(cob_context_open(&request, cancel, &context), COB_CANCELLED, "*");
    g_assert_null(context);
    cob_context_close(NULL);
}

/* Deeper than descriptors may be open, and named beyond ASCII. */
static void test_deep_tree(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(GString) path = g_string_new("d");

    for (int i = 0; i < 200; i++)
        g_string_append(path, i % 2 ? "/d" : "/\xff");
    g_autofree char *z = g_strconcat(path->str, "/z", NULL);
    put(f, z, "1");
    put(f, "d/z", "2");
    put(f, "\xff/z", "3");
    g_autoptr(cob_context) context = open_with(f, NULL, NULL);
    g_assert_cmpint(cob_context_n_entries(context), ==, 1 + 201 + 1 + 1 + 2);
    size_t last = find(context, z);
    g_assert_cmpstr(cob_context_get(context, last).path, ==, z);
    digest(context, ".");
}

static void test_images_keep_owners(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_context) context = NULL;
    const struct cob_context_request request = {.dir_fd = f->fd, .is_image = true};

    put(f, "x", "1");
    CHECK_OK(cob_context_open(&request, NULL, &context));
    g_assert_cmpint(cob_context_get(context, find(context, "x")).uid, ==, getuid());
}

/* COB_BENCH_FILES=50000 measures; otherwise a hundredth of it checks that it works. */
static void test_many_files(void)
{
    g_autoptr(fixture) f = fixture_new();
    const char *asked = g_getenv("COB_BENCH_FILES");
    unsigned n = asked ? (unsigned)g_ascii_strtoull(asked, NULL, 10) : 500;
    struct rusage usage;
    uint64_t n_read = 0;

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("dir%03u/sub%u/file-%05u.txt", i % 100, i % 7, i);

        put(f, path, path);
    }
    let_time_pass();
    for (int i = 0; i < 3; i++) {
        gint64 start_us = g_get_monotonic_time();
        g_autoptr(cob_context) context = open_with(f, NULL, NULL);
        gint64 walked_us = g_get_monotonic_time();
        digest(context, ".");
        gint64 end_us = g_get_monotonic_time();
        n_read = cob_context_effort(context).n_files_read;
        GBytes *cache = cob_context_cache(context);
        getrusage(RUSAGE_SELF, &usage);
        g_test_message("%u files: walk %.1f ms, digest %.1f ms (%" PRIu64
                       " read), cache %zu bytes, peak %ld kB",
            n, (double)(walked_us - start_us) / 1000, (double)(end_us - walked_us) / 1000, n_read,
            cache ? g_bytes_get_size(cache) : 0, usage.ru_maxrss);
        if (cache) {
            g_clear_pointer(&f->cache, g_bytes_unref);
            f->cache = cache;
        }
    }
    g_assert_cmpint(n_read, ==, 0);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/context/walk", test_walk);
    g_test_add_func("/context/select", test_select);
    g_test_add_func("/context/hostile-links", test_hostile_links);
    g_test_add_func("/context/what-a-digest-holds", test_what_a_digest_holds);
    g_test_add_func("/context/digest-is-relative", test_digest_is_relative);
    g_test_add_func("/context/filter", test_filter);
    g_test_add_func("/context/unchanged-files-are-not-read", test_unchanged_files_are_not_read);
    g_test_add_func("/context/digests-are-lazy", test_digests_are_lazy);
    g_test_add_func("/context/equal-size-and-mtime", test_equal_size_and_mtime_are_no_proof);
    g_test_add_func("/context/racy-files", test_racy_files);
    g_test_add_func("/context/broken-caches", test_broken_caches);
    g_test_add_func("/context/open-and-check", test_open_and_check);
    g_test_add_func("/context/no-way-out", test_no_way_out);
    g_test_add_func("/context/special-files", test_special_files);
    g_test_add_func("/context/unreadable", test_unreadable);
    g_test_add_func("/context/cancel", test_cancel);
    g_test_add_func("/context/deep-tree", test_deep_tree);
    g_test_add_func("/context/images-keep-owners", test_images_keep_owners);
    g_test_add_func("/context/many-files", test_many_files);
    return g_test_run();
}
