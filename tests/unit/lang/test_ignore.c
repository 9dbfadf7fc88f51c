/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "lang/ignore/ignore.h"
#include "util/limits.h"

static struct cob_error *parse(const char *text, size_t len, struct cob_ignore **ret_ignore)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, len);
    g_autoptr(cob_srcfile) file = cob_srcfile_new(".dockerignore", bytes);

    return cob_ignore_parse(file, ret_ignore);
}

/* What moby/patternmatcher says. */
static const struct {
    const char *patterns, *path;
    bool is_out;
} rows[] = {
    {"foo", "foo", true},
    {"foo", "foo/bar", true},
    {"foo", "a/foo", false},
    {"foo", "foobar", false},
    {"/foo", "foo", true},
    {"foo/", "foo/x", true},
    {"./foo/../bar//baz/", "bar/baz/x", true},
    {"../foo", "foo", false},
    {".", "foo", false},
    {"", "foo", false},
    {"  foo  ", "foo", true},
    {"# foo\nbar", "# foo", false},
    {" # foo", "# foo", true},
    {"foo\r\nbar\r\n", "bar", true},
    {"\xef\xbb\xbf"
     "foo",
        "foo", true},
    {"*", "foo", true},
    {"*", "a/b/c", true},
    {"*.o", "x.o", true},
    {"*.o", "a/x.o", false},
    {"*/x.o", "a/x.o", true},
    {"*/x.o", "a/b/x.o", false},
    {"a/*", "a", false},
    {"a/*", "a/b", true},
    {"a/*", "a/b/c", true},
    {"a?c", "abc", true},
    {"a?c", "a/c", false},
    {"?", "\xc3\xa9", true},
    {"[a-c]x", "bx", true},
    {"[a-c]x", "dx", false},
    {"[^a-c]x", "dx", true},
    {"[^a-c]x", "ax", false},
    {"a\\*b", "a*b", true},
    {"a\\*b", "axb", false},
    {"a.c", "abc", false},
    {"a+(b)|{c}$", "a+(b)|{c}$", true},
    {"**", "foo", true},
    {"**", "a/b/c", true},
    {"**/foo", "foo", true},
    {"**/foo", "a/b/foo", true},
    {"**/foo", "a/b/foo/c", true},
    {"**/foo", "xfoo", false},
    {"**/foo", "a/xfoo", false},
    {"**/a/b", "a/b", true},
    {"**/a/b", "x/a/b", true},
    {"**/a/b", "xa/b", false},
    {"**foo", "xfoo", true},
    {"**foo", "a/xfoo", true},
    {"**/*.go", "x.go", true},
    {"**/*.go", "a/b/x.go", true},
    {"**/*.go", "x.gox", false},
    {"a/**", "a", false},
    {"a/**", "a/b", true},
    {"a/**", "a/b/c", true},
    {"a/**", "ab/c", false},
    {"a**", "ab/c", true},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "a/xb", false},
    {"a/**/b", "ab", false},
    {"a/**/*.c", "a/x/y/z.c", true},
    {"a/**/*.c", "a/z.h", false},
    {"**/a/**/b", "x/a/y/b", true},
    {"**/**", "a/b", true},
    {"***", "a/b", true},
    {"*/**", "a", false},
    {"*/**", "a/b", true},
    {"foo\n!foo/bar", "foo/bar", false},
    {"foo\n!foo/bar", "foo/bar/x", false},
    {"foo\n!foo/bar", "foo/baz", true},
    {"foo\n!foo/bar\nfoo/bar/x", "foo/bar/x", true},
    {"!foo\nfoo", "foo", true},
    {"*\n!*.md\nREADME*", "a.md", false},
    {"*\n!*.md\nREADME*", "README.md", true},
    {"**\n!src\nsrc/*.tmp", "src/a.c", false},
    {"**\n!src\nsrc/*.tmp", "src/a.tmp", true},
    {"** \n ! src", "src/a.c", false},
    {"foo\n!/foo/bar", "foo/bar", false},
    {"**/node_modules\n!keep/**/node_modules", "a/node_modules/x", true},
    {"**/node_modules\n!keep/**/node_modules", "keep/x/node_modules/x", false},
    {"a*b*c*d", "aXbXcXd", true},
    {"a*b*c*d", "aXbXcX", false},
    {"longhead*tail", "longheadtail", true},
    {"ab*b", "ab", false},
    {"a* /", "abc", true},
    {"/!", "!", true},
    {"**/", "file", true},
    {"**/**", "dir/file", true},
    {"dir/**", "dir/dir2/file", true},
    {"**/dir2/*", "dir/dir2/file", true},
    {"**/dir2/**", "dir/dir2/dir3/file", true},
    {"**file", "dir/dir/file", true},
    {"**/file*txt", "dir/dir/file.txt", true},
    {"**/file*.txt*", "dir/dir/file.txt", true},
    {"**/**/*.txt", "dir/dir/file.txt", true},
    {"**/**/*.txt2", "dir/dir/file.txt", false},
    {"**/**/*.txt", "file.txt", true},
    {"a**/*.txt", "a/file.txt", true},
    {"a**/*.txt", "a/dir/dir/file.txt", true},
    {"a/*.txt", "a/dir/file.txt", false},
    {"a/*.txt**", "a/file.txt", true},
    {"a[b-d]e", "ae", false},
    {"a[b-d]e", "ace", true},
    {"a[^b-d]e", "aze", true},
    {".*", ".foo", true},
    {".*", "foo", false},
    {"abc?def", "abcdef", false},
    {"a\\\\", "a\\", true},
    {"**/foo/bar", "dir/dir2/foo/bar", true},
    {"**/.foo", "bar.foo", false},
    {"a(b)c/def", "a(b)c/xyz", false},
    {"a.|)$(}+{bc", "a.|)$(}+{bc", true},
    {"dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true},
    {"**\n!util/docker/web", "util/docker/web/foo", false},
    {"**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", true},
    {"**\n!dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", false},
    {"!fileutils.go\n*.go", "fileutils.go", true},
    {"docs/*\n!docs/README.md", "docs/README.md", false},
    {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/f", true},
    {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", false},
    {"a*b?c*x", "abxbbxdbxebxczzx", true},
    {"a*b?c*x", "abxbbxdbxebxczzy", false},
    {"ab[^e-g]", "abc", true},
    {"ab[^b-d]", "abc", false},
    {"a?b",
        "a\xe2\x98\xba"
        "b",
        true},
    {"a[^a]b",
        "a\xe2\x98\xba"
        "b",
        true},
    {"a???b",
        "a\xe2\x98\xba"
        "b",
        false},
    {"[a-\xce\xb6]*", "\xce\xb1", true},
    {"*[a-\xce\xb6]", "A", false},
    {"a*b", "a/b", false},
    {"*x", "xxx", true},
};

static void test_patterns(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_ignore) ignore = NULL;
        g_autofree char *name = g_strdup_printf("%s of %s", rows[i].path, rows[i].patterns);

        CHECK_OK(parse(rows[i].patterns, strlen(rows[i].patterns), &ignore));
        check_row(cob_ignore_matches(ignore, rows[i].path) == rows[i].is_out, i, name);
    }
}

static const struct {
    const char *text;
    size_t len;
    enum cob_code code;
    const char *want;
} bad_rows[] = {
    {"a\n!\n", 4, COB_INVALID, ".dockerignore line 2: illegal exclusion pattern: \"!\""},
    {"a\n! \n", 5, COB_INVALID, "*line 2: illegal exclusion pattern: \"!\""},
    {"!/\n", 3, COB_INVALID, "*line 1: illegal exclusion pattern: \"!\""},
    {"[a", 2, COB_INVALID, "*line 1: syntax error in pattern [a"},
    {"[]a]", 4, COB_INVALID, "*syntax error in pattern []a]"},
    {"[-a]", 4, COB_INVALID, "*syntax error in pattern [-a]"},
    {"[a-]", 4, COB_INVALID, "*syntax error in pattern [a-]"},
    {"a\\", 2, COB_INVALID, "*syntax error in pattern a?"},
    {"a\0b", 3, COB_INVALID, "*line 1: a pattern has a NUL byte"},
};

static void test_bad_patterns(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_rows); i++) {
        g_autoptr(cob_ignore) ignore = NULL;

        CHECK_ERROR(
            parse(bad_rows[i].text, bad_rows[i].len, &ignore), bad_rows[i].code, bad_rows[i].want);
        check_row(ignore == NULL, i, bad_rows[i].text);
    }
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(cob_ignore) ignore = NULL;

    for (int i = 0; i <= COB_LIMIT_IGNORE_PATTERNS; i++)
        g_string_append(text, "a\n");
    CHECK_ERROR(parse(text->str, text->len, &ignore), COB_EXHAUSTED, "*more than 100000 patterns*");
    g_string_set_size(text, COB_LIMIT_IGNORE_BYTES + 1);
    CHECK_ERROR(parse(text->str, text->len, &ignore), COB_EXHAUSTED, "*more than 16777216");
}

/* Which directories that are left out must be walked all the same. */
static const struct {
    const char *patterns, *dir;
    bool may_return;
} return_rows[] = {
    {"a", "a", false},
    {"a\n!b", "a", false},
    {"a\n!a/b/c", "a", true},
    {"a\n!a/b/c", "a/b", true},
    {"a\n!a/b/c", "a/x", false},
    {"a\n!a/b/c", "ab", false},
    {"a\n!a/b/*.c", "a", true},
    {"a\n!a/b/*.c", "a/b/x", true},
    {"a\n!a/b/*.c", "a/x", false},
    {"a\n!*.c", "a", true},
    {"a\n!**/x", "a/b/c", true},
};

static void test_pruning(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(return_rows); i++) {
        g_autoptr(cob_ignore) ignore = NULL;
        g_autofree char *name =
            g_strdup_printf("%s of %s", return_rows[i].dir, return_rows[i].patterns);

        CHECK_OK(parse(return_rows[i].patterns, strlen(return_rows[i].patterns), &ignore));
        check_row(cob_ignore_may_return(ignore, return_rows[i].dir) == return_rows[i].may_return, i,
            name);
    }
}

static const struct {
    const char *pattern, *text;
    int want; /* -1: a bad pattern */
} wildcard_rows[] = {
    {"abc", "abc", 1},
    {"*", "abc", 1},
    {"*c", "abc", 1},
    {"a*", "a", 1},
    {"a*", "ab/c", 0},
    {"a*/b", "abc/b", 1},
    {"a*/b", "a/c/b", 0},
    {"a**b", "axxb", 1},
    {"a**b", "a/b", 0},
    {"a*b*c*d*e*/f", "axbxcxdxe/f", 1},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", 0},
    {"ab[c]", "abc", 1},
    {"ab[b-d]", "abc", 1},
    {"ab[e-g]", "abc", 0},
    {"ab[^c]", "abc", 0},
    {"ab[^e-g]", "abc", 1},
    {"a\\*b", "a*b", 1},
    {"a\\*b", "ab", 0},
    {"a?b",
        "a\xe2\x98\xba"
        "b",
        1},
    {"a[^a]b",
        "a\xe2\x98\xba"
        "b",
        1},
    {"a???b",
        "a\xe2\x98\xba"
        "b",
        0},
    {"[a-\xce\xb6]*", "\xce\xb1", 1},
    {"*[a-\xce\xb6]", "A", 0},
    {"a?b", "a/b", 0},
    {"a*b", "a/b", 0},
    {"[\\]a]", "]", 1},
    {"[\\-]", "-", 1},
    {"[x\\-]", "z", 0},
    {"[z-a]", "m", 0},
    {"", "", 1},
    {"", "a", 0},
    {"[]a]", "]", -1},
    {"[-]", "-", -1},
    {"[x-]", "x", -1},
    {"[^-]", "x", -1},
    {"[a-b-c]", "a", -1},
    {"[", "a", -1},
    {"[^", "a", -1},
    {"[^bc", "a", -1},
    {"a[", "ab", -1},
    {"\\", "a", -1},
    {"*x", "xxx", 1},
    {"a\xff?", "a\xff\xfe", 1},
};

static void test_wildcards(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(wildcard_rows); i++) {
        g_autoptr(cob_wildcard) wildcard = NULL;
        g_autofree char *name =
            g_strdup_printf("%s of %s", wildcard_rows[i].text, wildcard_rows[i].pattern);

        if (wildcard_rows[i].want < 0) {
            CHECK_ERROR(cob_wildcard_new(wildcard_rows[i].pattern, &wildcard), COB_INVALID,
                "syntax error in pattern *");
            continue;
        }
        CHECK_OK(cob_wildcard_new(wildcard_rows[i].pattern, &wildcard));
        check_row(cob_wildcard_matches(wildcard, wildcard_rows[i].text) == wildcard_rows[i].want, i,
            name);
    }
}

/* A pattern that makes a matcher with backtracking try 2^40 ways. */
static void test_no_blow_up(void)
{
    g_autoptr(GString) pattern = g_string_new(NULL);
    g_autofree char *text = g_strnfill(2000, 'a');
    g_autoptr(cob_ignore) ignore = NULL;

    for (int i = 0; i < 200; i++)
        g_string_append(pattern, i % 2 ? "**/a*" : "a*");
    g_string_append(pattern, "b");
    CHECK_OK(parse(pattern->str, pattern->len, &ignore));
    gint64 start_us = g_get_monotonic_time();
    g_assert_false(cob_ignore_matches(ignore, text));
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 10 * G_USEC_PER_SEC);
}

/* 100,000 patterns of all kinds against paths: a fiftieth of the files a large context has. */
static void test_many_patterns(void)
{
    static const char *const forms[] = {"dir%d/file%d", "**/name%d-%d", "dir%d/*.ext%d",
        "*.ext%d-%d", "out%d/x%d/**", "dir%d/**/tail%d"};
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(cob_ignore) ignore = NULL;
    unsigned n_out = 0, n_paths = 2000;

    for (int i = 0; i < COB_LIMIT_IGNORE_PATTERNS; i++) {
        g_auto(GStrv) parts = g_strsplit(forms[i % G_N_ELEMENTS(forms)], "%d", 3);

        g_string_append_printf(text, "%s%d%s%d%s\n", parts[0], i % 1000, parts[1], i, parts[2]);
    }
    CHECK_OK(parse(text->str, text->len, &ignore));
    gint64 start_us = g_get_monotonic_time();
    for (unsigned i = 0; i < n_paths; i++) {
        g_autofree char *path = g_strdup_printf("dir%u/sub%u/file.ext%u", i % 1000, i, i);

        n_out += cob_ignore_matches(ignore, path);
    }
    g_assert_cmpint(n_out, ==, 0);
    g_test_message("%.1f us a path", (double)(g_get_monotonic_time() - start_us) / n_paths);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 20 * G_USEC_PER_SEC);
}

static void test_null_is_fine(void)
{
    cob_ignore_free(NULL);
    cob_wildcard_free(NULL);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/ignore/patterns", test_patterns);
    g_test_add_func("/ignore/bad-patterns", test_bad_patterns);
    g_test_add_func("/ignore/limits", test_limits);
    g_test_add_func("/ignore/pruning", test_pruning);
    g_test_add_func("/ignore/wildcards", test_wildcards);
    g_test_add_func("/ignore/no-blow-up", test_no_blow_up);
    g_test_add_func("/ignore/many-patterns", test_many_patterns);
    g_test_add_func("/ignore/null-is-fine", test_null_is_fine);
    return g_test_run();
}
