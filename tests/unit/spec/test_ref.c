/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/ref/ref.h"

#include <string.h>

#include "check.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* given, full form, familiar form */
static void test_normalise_table(void)
{
    static const struct {
        const char *given, *full, *familiar;
    } rows[] = {
        {"hello", "docker.io/library/hello:latest", "hello:latest"},
        {"hello:1.2", "docker.io/library/hello:1.2", "hello:1.2"},
        {"library/hello", "docker.io/library/hello:latest", "hello:latest"},
        {"user/app:1", "docker.io/user/app:1", "user/app:1"},
        {"docker.io/hello", "docker.io/library/hello:latest", "hello:latest"},
        {"index.docker.io/hello", "docker.io/library/hello:latest", "hello:latest"},
        {"docker.io/a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"},
        {"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
        {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
        {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
        {"localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"},
        {"reg.example/app:t", "reg.example/app:t", "reg.example/app:t"},
        {"Reg/app", "Reg/app:latest", "Reg/app:latest"},
        {"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
        {"[2001:db8::1]/a", "[2001:db8::1]/a:latest", "[2001:db8::1]/a:latest"},
        {"xn--n3h.com/a__b/c-d.e", "xn--n3h.com/a__b/c-d.e:latest",
            "xn--n3h.com/a__b/c-d.e:latest"},
        {"a---b", "docker.io/library/a---b:latest", "a---b:latest"},
        {"a@sha256:" HEX, "docker.io/library/a@sha256:" HEX, "a@sha256:" HEX},
        {"a:t@sha256:" HEX, "docker.io/library/a:t@sha256:" HEX, "a:t@sha256:" HEX},
        {"a@sha512:" HEX HEX, "docker.io/library/a@sha512:" HEX HEX, "a@sha512:" HEX HEX},
        {"docker.io/localhost/a", "docker.io/localhost/a:latest", "docker.io/localhost/a:latest"},
        {"a:_t", "docker.io/library/a:_t", "a:_t"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_ref) ref = NULL;

        CHECK_OK(cob_ref_parse(rows[i].given, &ref));
        g_autofree char *full = ref ? cob_ref_text(ref) : NULL;
        g_autofree char *familiar = ref ? cob_ref_familiar(ref) : NULL;
        g_assert_cmpstr(full, ==, rows[i].full);
        g_assert_cmpstr(familiar, ==, rows[i].familiar);
        check_row(g_strcmp0(full, rows[i].full) == 0, i, rows[i].given);
    }
}

static void test_bad_references_table(void)
{
    static const struct {
        const char *given, *why;
    } rows[] = {
        {"", "invalid reference format: \"\": it is empty"},
        {"Foo", "invalid reference format: repository name (library/Foo) must be lowercase"},
        {"a/Foo", "invalid reference format: repository name (a/Foo) must be lowercase"},
        {"a:", "*: a tag has 1 to 128 *"},
        {"a:.x", "*: a tag has *"},
        {"a:-x", "*: a tag has *"},
        {"a:b\r\nHost: evil", "*\\x0d\\x0a*: a tag has *"},
        {"a\r\n", "*: a repository has *"},
        {"a b", "*: a repository has *"},
        {"a/b?c=d", "*: a repository has *"},
        {"a/b#c", "*: a repository has *"},
        {"a/%2e%2e", "*: a repository has *"},
        {"a/../b", "*: a repository has *"},
        {"../a", "*is not the name of a registry"},
        {"a//b", "*: a repository has *"},
        {"/a", "*: a repository has *"},
        {"a/", "*: a repository has *"},
        {"a_", "*: a repository has *"},
        {"a___b", "*: a repository has *"},
        {"a..b", "*: a repository has *"},
        {"a.-b", "*: a repository has *"},
        {"-a", "*: a repository has *"},
        {"\xc3\xa4", "*: a repository has *"},
        {"a\x1b[2J", "*\\x1b*"},
        {"reg.example:/a", "*\"reg.example:\" is not the name of a registry"},
        {"reg.example:99999/a", "*is not the name of a registry"},
        {"reg.example:+80/a", "*is not the name of a registry"},
        {"user@reg.example/a", "*: the digest must be *"},
        {"reg..example/a", "*is not the name of a registry"},
        {"-reg.example/a", "*is not the name of a registry"},
        {"reg-.example/a", "*is not the name of a registry"},
        {"[::1/a", "*is not the name of a registry"},
        {"[fe80::1%25lo]/a", "*is not the name of a registry"},
        {"http://reg.example/a", "*"},
        {"a@sha256:" HEX "0", "*: the digest must be *"},
        {"a@sha256:ABC", "*: the digest must be *"},
        {"a@md5:d41d8cd98f00b204e9800998ecf8427e", "*: the digest must be *"},
        {"a@", "*: the digest must be *"},
        {"a@sha256:" HEX "@sha256:" HEX, "*: the digest must be *"},
        {HEX, "invalid repository name (" HEX "), cannot specify 64-byte hexadecimal strings"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_ref *ref = NULL;
        g_autoptr(cob_error) err = cob_ref_parse(rows[i].given, &ref);
        g_autofree char *text = err ? g_strchomp(cob_error_text(err)) : g_strdup("ERROR: none");
        bool is_ok = err && cob_error_code(err) == COB_INVALID &&
                     g_pattern_match_simple(rows[i].why, text + strlen("ERROR: "));

        if (!is_ok)
            g_test_message("got: %s", text);
        g_assert_null(ref);
        check_row(is_ok, i, rows[i].given);
    }
}

static void test_long_references_are_refused(void)
{
    struct cob_ref *ref = NULL;
    g_autofree char *path = g_strnfill(256, 'a');
    g_autofree char *huge = g_strnfill(100000, 'a');
    g_autofree char *tag = g_strdup_printf("a:%.129s", path);

    CHECK_ERROR(cob_ref_parse(path, &ref), COB_INVALID, "*longer than 255 bytes");
    CHECK_ERROR(cob_ref_parse(huge, &ref), COB_INVALID, "*longer than 1024 bytes");
    CHECK_ERROR(cob_ref_parse(tag, &ref), COB_INVALID, "*: a tag has 1 to 128 *");
    g_assert_null(ref);
}

static void test_with_replaces_the_tail(void)
{
    g_autoptr(cob_ref) ref = NULL;

    CHECK_OK(cob_ref_parse("user/app:1", &ref));
    g_autoptr(cob_ref) by_digest = cob_ref_with(ref, NULL, "sha256:" HEX);
    g_autofree char *text = cob_ref_text(by_digest);
    g_autofree char *name = cob_ref_name(by_digest);
    g_assert_cmpstr(text, ==, "docker.io/user/app@sha256:" HEX);
    g_assert_cmpstr(name, ==, "docker.io/user/app");
}

static void test_platform_parse_table(void)
{
    static const struct {
        const char *given, *want; /* want: NULL for an error */
    } rows[] = {
        {"linux/amd64", "linux/amd64"},
        {"linux/x86_64", "linux/amd64"},
        {"Linux/X86-64", "linux/amd64"},
        {"linux/amd64/v1", "linux/amd64"},
        {"linux/amd64/v3", "linux/amd64/v3"},
        {"linux/arm64", "linux/arm64"},
        {"linux/arm64/v8", "linux/arm64"},
        {"linux/aarch64", "linux/arm64"},
        {"linux/arm", "linux/arm/v7"},
        {"linux/arm/7", "linux/arm/v7"},
        {"linux/arm/v6", "linux/arm/v6"},
        {"linux/armhf", "linux/arm/v7"},
        {"linux/armel", "linux/arm/v6"},
        {"linux/i386", "linux/386"},
        {"linux/riscv64", "linux/riscv64"},
        {"macos/arm64", "darwin/arm64"},
        {"windows", "windows/arm64"},
        {"linux", "linux/arm64"},
        {"amd64", "linux/amd64"},
        {"armhf", "linux/arm/v7"},
        {"local", "linux/arm64"},
        {"unknown/unknown", "unknown/unknown"},
        {"", NULL},
        {"potato", NULL},
        {"linux/", NULL},
        {"/amd64", NULL},
        {"linux/amd64/v1/x", NULL},
        {"linux/am d64", NULL},
        {"linux/amd64\n", NULL},
        {"a/b/../..", NULL},
        {"linux/*", NULL},
        {"li.nux/amd64", NULL},
        {"windows(10.0.17763.1)/amd64", "windows(10.0.17763.1)/amd64"},
        {"windows(10)", "windows(10)/arm64"},
        {"linux(1%2b%28x%25)/arm", "linux(1%2B%28x%25)/arm/v7"},
        {"linux()/arm64", "linux/arm64"},
        {"linux(1/arm64", NULL},
        {"linux(1)x/arm64", NULL},
        {"linux(1+f)/arm64", NULL},
        {"linux(a b)/arm64", NULL},
        {"linux(%zz)/arm64", NULL},
        {"linux/arm64(1)", NULL},
        {"(1)/arm64", NULL},
        {"amd64(1)", NULL},
    };
    g_autoptr(cob_platform) host = cob_platform_of_machine("aarch64");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_platform) platform = NULL;
        g_autoptr(cob_error) err = cob_platform_parse(rows[i].given, host, &platform);
        g_autofree char *got = platform ? cob_platform_text(platform) : NULL;

        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0 && !err == !!got, i, rows[i].given);
    }
}

/* What is right by containerd's rule is not called wrong. */
static void test_features_are_not_supported(void)
{
    static const struct {
        const char *given;
        int code;
    } rows[] = {
        {"linux(1+f)", COB_UNIMPLEMENTED},
        {"linux(+f)/amd64", COB_UNIMPLEMENTED},
        {"windows(10.0+a+b.c)/amd64", COB_UNIMPLEMENTED},
        {"linux(1%2Bf)x", COB_INVALID},
        {"linux(1+)/amd64", COB_INVALID},
        {"linux(1+f/amd64", COB_INVALID},
        {"(+f)/amd64", COB_INVALID},
    };
    g_autoptr(cob_platform) host = cob_platform_of_machine("aarch64");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_platform) platform = NULL;
        g_autoptr(cob_error) err = cob_platform_parse(rows[i].given, host, &platform);

        g_assert_nonnull(err);
        check_row((int)cob_error_code(err) == rows[i].code, i, rows[i].given);
    }
}

static void test_machine_table(void)
{
    static const struct {
        const char *machine, *want;
    } rows[] = {
        {"x86_64", "linux/amd64"},
        {"i686", "linux/386"},
        {"aarch64", "linux/arm64"},
        {"armv7l", "linux/arm/v7"},
        {"armv6l", "linux/arm/v6"},
        {"armv8l", "linux/arm/v8"},
        {"ppc64le", "linux/ppc64le"},
        {"s390x", "linux/s390x"},
        {"loongarch64", "linux/loong64"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_platform) platform = cob_platform_of_machine(rows[i].machine);
        g_autofree char *got = cob_platform_text(platform);

        g_assert_cmpstr(got, ==, rows[i].want);
    }
}

/* Entries of an index, worst first; the last one is the best for `want`; "!" does not match. */
static void test_rank_table(void)
{
    static const struct {
        const char *want, *worst_first[8];
    } rows[] = {
        {"linux/amd64",
            {"!linux/arm64", "!windows/amd64", "!linux/amd64/v2", "linux/386", "linux/amd64"}},
        {"linux/amd64/v3",
            {"!linux/amd64/v4", "linux/386", "linux/amd64", "linux/amd64/v2", "linux/amd64/v3"}},
        {"linux/arm/v7",
            {"!linux/arm/v8", "!linux/arm64", "linux/arm/v5", "linux/arm/v6", "linux/arm"}},
        {"linux/arm/v5", {"!linux/arm/v6", "!linux/arm", "linux/arm/v5"}},
        {"linux/arm64", {"!linux/amd64", "!unknown/unknown", "linux/arm/v6", "linux/arm/v7",
                            "linux/arm/v8", "linux/arm64/v8"}},
        {"linux/386", {"!linux/amd64", "linux/i386"}},
        {"linux/riscv64", {"!linux/amd64", "linux/riscv64"}},
    };
    g_autoptr(cob_platform) host = cob_platform_of_machine("x86_64");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_platform) want = NULL;
        int last = 1000;

        CHECK_OK(cob_platform_parse(rows[i].want, host, &want));
        for (size_t j = 0; rows[i].worst_first[j]; j++) {
            const char *entry = rows[i].worst_first[j];
            bool is_match = entry[0] != '!';
            g_autoptr(cob_platform) have = NULL;

            CHECK_OK(cob_platform_parse(entry + !is_match, host, &have));
            int rank = cob_platform_rank(want, have);
            check_row(is_match ? rank >= 0 && rank < last : rank == -1, i, entry);
            g_assert_true(cob_platform_matches(want, have) == is_match);
            last = is_match ? rank : last;
        }
        g_assert_cmpint(last, ==, 0);
    }
}

static void test_null_is_freed(void)
{
    cob_ref_free(NULL);
    cob_platform_free(NULL);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/ref/normalise-table", test_normalise_table);
    g_test_add_func("/ref/bad-references-table", test_bad_references_table);
    g_test_add_func("/ref/long-references-are-refused", test_long_references_are_refused);
    g_test_add_func("/ref/with-replaces-the-tail", test_with_replaces_the_tail);
    g_test_add_func("/ref/platform-parse-table", test_platform_parse_table);
    g_test_add_func("/ref/features-are-not-supported", test_features_are_not_supported);
    g_test_add_func("/ref/machine-table", test_machine_table);
    g_test_add_func("/ref/rank-table", test_rank_table);
    g_test_add_func("/ref/null-is-freed", test_null_is_freed);
    return g_test_run();
}
