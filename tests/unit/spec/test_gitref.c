/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/gitref/gitref.h"

#include <string.h>

#include "check.h"

#define H "https://h.example/a.git"

/* "remote|ref|subdir|checksum|flags": what a reference says, for a table. */
static char *describe(const struct cob_gitref *ref)
{
    static const char *const choices[] = {"", "-", "+"};

    return g_strdup_printf("%s|%s|%s|%s|%s%s%s%s%s%s", ref->remote, ref->ref ? ref->ref : "",
        ref->subdir ? ref->subdir : "", ref->checksum ? ref->checksum : "",
        choices[ref->keep_git_dir], ref->keep_git_dir ? "keep" : "", choices[ref->submodules],
        ref->submodules ? "sub" : "", ref->is_mtime_of_commit ? "mtime" : "",
        ref->is_by_commit ? "by" : "");
}

static void test_table(void)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: not a reference */
    } rows[] = {
        {"https://h.example/", NULL},
        {"https://h.example/a", NULL},
        {"https://h.example/a.git/", NULL},
        {"https://h.example/a.git.bar", NULL},
        {"http://h.example/a.git:#branch", NULL},
        {"https://h.example/a.git.tar?x=.git#.git", NULL},
        {"./a.git", NULL},
        {".git", NULL},
        {"custom.example/a.git", NULL},
        {"dir/git@x:y", NULL},
        {"git@h?x:y", NULL},
        {"git@h#x:y", NULL},
        {"file:///srv/a.git", NULL},
        {"ext::sh -c id", NULL},
        {H, H "||||"},
        {"HTTPS://H.example/a.git", H "||||"},
        {H "#deadbeef", H "|deadbeef|||"},
        {H "#release/1.2", H "|release/1.2|||"},
        {H "#refs/pull/1/head", H "|refs/pull/1/head|||"},
        {H "#a/b:c/d", H "|a/b|c/d||"},
        {H "#:sub", H "||sub||"},
        {H "#:/x//./y/", H "||x/y||"},
        {H "#:../..", H "||||"},
        {H "#:a/../../b", H "||b||"},
        {H "#v%31", H "|v1|||"},
        {H "?ref=v1&subdir=/sub", H "|v1|sub||"},
        {H "?subdir=sub#v1", H "|v1|sub||"},
        {H "?tag=v1", H "|refs/tags/v1|||"},
        {H "?branch=refs/heads/b", H "|refs/heads/b|||"},
        {H "?checksum=dead#v1", H "|v1||dead|"},
        {H "?commit=dead", H "|||dead|"},
        {H "?keep-git-dir&submodules=0&mtime=commit", H "||||+keep-submtime"},
        {H "?keep-git-dir=false&submodules=true", H "||||-keep+sub"},
        {H "?mtime=checkout&fetch-by-commit=true&checksum=dead", H "|||dead|by"},
        {"https://user:pa%3Ass@h.example/a.git", H "||||"},
        {"https://h.example:8443/a.git", "https://h.example:8443/a.git||||"},
        {"http://[::1]:80/a.git", "http://[::1]:80/a.git||||"},
        {"git://h.example/a", "git://h.example/a||||"},
        {"ssh://git@h.example:22/a/b#x", "ssh://git@h.example:22/a/b|x|||"},
        {"git@h.example:a/b.git?subdir=s#v1", "git@h.example:a/b.git|v1|s||"},
        {"git@h.example:a", "git@h.example:a||||"},
        {"github.com/moby/buildkit#master", "https://github.com/moby/buildkit|master|||"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_gitref) ref = NULL;
        g_autofree char *got = NULL;

        CHECK_OK(cob_gitref_parse(rows[i].text, &ref));
        got = ref ? describe(ref) : NULL;
        check_row(g_strcmp0(got, rows[i].want) == 0, i, got ? got : rows[i].text);
    }
}

static void test_wrong_table(void)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {H "?ref=a#b", "git reference " H ": ref conflicts: \"b\" vs \"a\""},
        {H "?ref=a&tag=b", "*ref conflicts: \"a\" vs \"refs/tags/b\""},
        {H "?tag=a&branch=b", "*branch conflicts with tag"},
        {H "?subdir=a#:b", "*subdir conflicts: \"b\" vs \"a\""},
        {H "?mtime=x", "*invalid mtime value: \"x\" (must be \"checkout\" or \"commit\")"},
        {H "?submodules=x", "*invalid submodules value: \"x\""},
        {H "?invalid=1", "*unexpected query \"invalid\""},
        {H "?ref=a&ref=a", "*query \"ref\" has multiple values"},
        {H "?ref", "*query \"ref\" has no value"},
        {H "?checksum=xyz", "*invalid checksum xyz for Git URL, expected hex commit hash"},
        {H "#--upload-pack=touch x:dir", "*is not the name of a branch, tag or commit"},
        {H "?ref=-x", "*is not the name of a branch, tag or commit"},
        {H "?ref=a:b", "*is not the name of a branch, tag or commit"},
        {H "?ref=%2Ba", "*is not the name of a branch, tag or commit"},
        {H "#a..b", "*is not the name of a branch, tag or commit"},
        {H "#a%0ab", "*what follows '#' cannot be read"},
        {H "#HEAD^", "*is not the name of a branch, tag or commit"},
        {H "#*", "*is not the name of a branch, tag or commit"},
        {H "#a%zz", "*what follows '#' cannot be read"},
        {"ssh://-oProxyCommand=touch%20x/a",
            "*\"-oproxycommand=touch%20x\" is not the name of a host"},
        {"git@-oProxyCommand:a", "*it must be user@host:path"},
        {"-l@h.example:a", "*it must be user@host:path"},
        {"ssh://-l@h.example/a", "*the user before the host cannot be read"},
        {"git@h.example:-a", "*it must be user@host:path"},
        {"ssh://h.example", "*\"\" is not the path of a repository"},
        {"git://h.example/a b", "*is not the path of a repository"},
        {"git://h.example:99999999/a", "*is not the name of a host"},
        {"https://h_x$/a.git", "*is not the name of a host"},
        {"ssh://user:hunter2@h.example/a", "*a password is for http and https alone*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_gitref *ref = NULL;
        struct cob_error *err = cob_gitref_parse(rows[i].text, &ref);
        g_autofree char *text = err ? cob_error_text(err) : g_strdup("no error");

        check_row(!strstr(text, "hunter2"), i, text);
        CHECK_ERROR(err, COB_INVALID, rows[i].error);
        check_row(!ref, i, rows[i].text);
    }
}

static void test_password_leaves_the_url(void)
{
    g_autoptr(cob_gitref) ref = NULL;

    CHECK_OK(cob_gitref_parse("https://user:pa%3Ass@h.example/a.git", &ref));
    g_assert_cmpstr(ref->user, ==, "user");
    g_assert_cmpstr(ref->password, ==, "pa:ss");
    g_assert_cmpstr(ref->remote, ==, H);
}

static void test_submodule_table(void)
{
    static const struct {
        const char *parent, *url, *want; /* NULL: refused */
    } rows[] = {
        {"https://h.example/o/a.git", "../b.git", "https://h.example/o/b.git"},
        {"https://h.example/o/a.git", "../../p/b", "https://h.example/p/b"},
        {"https://h.example/o/a.git", "../../../../b", "https://h.example/b"},
        {"https://h.example/o/a.git", "./b", "https://h.example/o/a.git/b"},
        {"git@h.example:o/a.git", "../b.git", "git@h.example:o/b.git"},
        {"git@h.example:a.git", "../b.git", "git@h.example:b.git"},
        {"https://h.example/o/a.git", "https://x.example/b", "https://x.example/b"},
        {"https://h.example/o/a.git", "git@x.example:b", "git@x.example:b"},
        {"https://h.example/o/a.git", "file:///etc", NULL},
        {"https://h.example/o/a.git", "/etc", NULL},
        {"https://h.example/o/a.git", "ext::sh -c id", NULL},
        {"https://h.example/o/a.git", "-u./payload", NULL},
        {"https://h.example/o/a.git", "ssh://-oProxyCommand=id/x", NULL},
        {"https://h.example/o/a.git", "../b\r", NULL},
        {"https://h.example/o/a.git", "", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_gitref) parent = NULL;
        g_autoptr(cob_gitref) ref = NULL;

        CHECK_OK(cob_gitref_parse(rows[i].parent, &parent));
        g_autoptr(cob_error) err = cob_gitref_of_url(parent, rows[i].url, &ref);
        check_row(g_strcmp0(ref ? ref->remote : NULL, rows[i].want) == 0, i, rows[i].url);
        check_row(!err == !!rows[i].want, i, rows[i].url);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/gitref/table", test_table);
    g_test_add_func("/gitref/wrong-table", test_wrong_table);
    g_test_add_func("/gitref/password-leaves-the-url", test_password_leaves_the_url);
    g_test_add_func("/gitref/submodule-table", test_submodule_table);
    return g_test_run();
}
