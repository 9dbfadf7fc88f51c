/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What git is told, and what is believed of what it says: `git` is a script here that notes its
 * arguments and environment and answers as the row wants. Real repositories: tests/cli/remote.bats.
 */
#include "net/git/git.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define URL "https://h.example/r.git"

struct fixture {
    char *scratch, *path, *mirror, *answer, *noted;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.scratch = check_scratch_new()};
    f->mirror = g_build_filename(f->scratch, "mirror", NULL);
    f->answer = g_build_filename(f->scratch, "answer", NULL);
    f->noted = g_build_filename(f->scratch, "noted", NULL);
    g_autofree char *program = g_build_filename(f->scratch, "git", NULL);
    g_autofree char *script = g_strdup_printf(
        "#!/bin/sh\necho \"$*\" >>%s\nenv | sort >>%s\n. %s\n", f->noted, f->noted, f->answer);

    g_assert_true(g_file_set_contents(program, script, -1, NULL));
    g_assert_cmpint(chmod(program, 0755), ==, 0);
    f->path = g_strdup(g_getenv("PATH"));
    g_autofree char *path = g_strconcat(f->scratch, ":", f->path, NULL);
    g_setenv("PATH", path, TRUE);
}

static void fixture_done(struct fixture *f)
{
    g_setenv("PATH", f->path, TRUE);
    check_scratch_free(f->scratch);
    g_free(f->path);
    g_free(f->mirror);
    g_free(f->answer);
    g_free(f->noted);
}

static struct cob_error *resolve(
    struct fixture *f, const char *text, const char *answer, struct cob_git_commit *ret)
{
    g_autoptr(cob_gitref) place = NULL;
    const char *secret = "basic c2VzYW1l";

    unlink(f->noted);
    g_assert_true(g_file_set_contents(f->answer, answer, -1, NULL));
    COB_TRY(cob_gitref_parse(text, &place));
    const struct cob_git_remote remote = {
        .place = place, .authorization = secret, .mirror = f->mirror};
    return cob_git_resolve(&remote, NULL, ret);
}

static void test_resolve_table(void)
{
    static const struct {
        const char *text, *answer;
        enum cob_code code; /* 0: it works */
        const char *want;   /* "ref id commit", or the error */
    } rows[] = {
        {URL, "printf 'ref: refs/heads/main\\tHEAD\\n" A "\\tHEAD\\n'", 0,
            "refs/heads/main " A " " A},
        {URL, "printf '" A "\\tHEAD\\n'", 0, "HEAD " A " " A},
        {URL "#main", "printf '" A "\\trefs/heads/main\\n" B "\\trefs/tags/main\\n'", 0,
            "refs/heads/main " A " " A},
        {URL "#v1", "printf '" A "\\trefs/tags/v1\\n" B "\\trefs/tags/v1^{}\\n'", 0,
            "refs/tags/v1 " A " " B},
        {URL "#pull/7/head", "printf '" A "\\trefs/pull/7/head\\n'", 0,
            "refs/pull/7/head " A " " A},
        {URL "#refs/heads/x", "printf '" A "\\trefs/heads/refs/heads/x\\n'", COB_NOT_FOUND,
            URL ": repository does not contain ref refs/heads/x"},
        {URL "#" A, "exit 1", 0, "- " A " " A},
        {URL "?fetch-by-commit&commit=" A "#main", "exit 1", 0, "refs/heads/main " A " " A},
        {URL "?fetch-by-commit#main", "exit 1", COB_INVALID,
            "*fetch-by-commit requires a full commit as checksum"},
        {URL "?checksum=aaaa#main", "printf '" A "\\trefs/heads/main\\n'", 0,
            "refs/heads/main " A " " A},
        {URL "?checksum=BBBB#v1", "printf '" A "\\trefs/tags/v1\\n" B "\\trefs/tags/v1^{}\\n'", 0,
            "refs/tags/v1 " A " " B},
        {URL "?checksum=cccc#v1", "printf '" A "\\trefs/tags/v1\\n" B "\\trefs/tags/v1^{}\\n'",
            COB_PRECONDITION, URL ": expected checksum to match cccc, got " A " or " B},
        {URL "?checksum=cccc#main", "printf '" A "\\trefs/heads/main\\n'", COB_PRECONDITION,
            URL ": expected checksum to match cccc, got " A},
        {URL, "printf 'ref: refs/heads/--upload-pack=x y\\tHEAD\\n" A "\\tHEAD\\n'", COB_DATA_LOSS,
            "*the server's HEAD is \"refs/heads/--upload-pack=x y\", which is no ref"},
        {URL, "printf 'ref: --upload-pack=x\\tHEAD\\n" A "\\tHEAD\\n'", COB_DATA_LOSS,
            "*the server's HEAD is \"--upload-pack=x\", which is no ref"},
        {URL, "printf 'ref: refs/../../x\\tHEAD\\n" A "\\tHEAD\\n'", COB_DATA_LOSS,
            "*which is no ref"},
        {URL, "printf -- '--exec=x\\tHEAD\\n'", COB_NOT_FOUND,
            "*the repository has no HEAD: name a branch, tag or commit"},
        {URL "#main", "printf -- '-x\\trefs/heads/main\\nabc\\trefs/heads/main\\n\\n\\t\\n'",
            COB_NOT_FOUND, "*repository does not contain ref main"},
        {URL "#main", "echo 'fatal: Authentication failed for x' >&2; exit 128",
            COB_UNAUTHENTICATED,
            "*git ls-remote: Authentication failed for x; the server refused the secret that was "
            "sent"},
        {URL "#main", "echo 'remote: you sent c2VzYW1l' >&2; exit 1", COB_UNKNOWN,
            "*git ls-remote: remote: you sent ********"},
        {URL "#main", "exec yes", COB_EXHAUSTED, "*"},
        {URL "#main", "exit 3", COB_UNKNOWN, "*git ls-remote: it failed and said nothing"},
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_git_commit commit = {0};
        struct cob_error *err = resolve(&f, rows[i].text, rows[i].answer, &commit);

        if (rows[i].code) {
            CHECK_ERROR(err, rows[i].code, rows[i].want);
            continue;
        }
        CHECK_OK(err);
        g_autofree char *got =
            g_strdup_printf("%s %s %s", commit.ref ? commit.ref : "-", commit.id, commit.commit);
        check_row(strcmp(got, rows[i].want) == 0, i, got);
        cob_git_commit_done(&commit);
    }
    fixture_done(&f);
}

/* Nothing of the user's or the machine's reaches git, and the secret only by its environment. */
static void test_git_is_sealed_off(void)
{
    static const char *const wanted[] = {"HOME=/dev/null\n", "GIT_CONFIG_NOSYSTEM=1\n",
        "GIT_CONFIG_GLOBAL=/dev/null\n", "GIT_TERMINAL_PROMPT=0\n", "LC_ALL=C\n",
        "GIT_ALLOW_PROTOCOL=https:http:ssh:git\n", "=core.hooksPath\n", "=protocol.file.allow\n",
        "=http.https://h.example/.extraHeader\n", "=Authorization: basic c2VzYW1l\n",
        "=http.followRedirects\n"};
    struct fixture f;
    struct cob_git_commit commit = {0};
    g_autofree char *noted = NULL;

    fixture_init(&f);
    g_setenv("GIT_DIR", "/elsewhere", TRUE);
    g_setenv("GIT_SSH", "/elsewhere", TRUE);
    g_setenv("GIT_EXEC_PATH", "/elsewhere", TRUE);
    CHECK_OK(resolve(&f, URL "#main", "printf '" A "\\trefs/heads/main\\n'", &commit));
    g_unsetenv("GIT_DIR");
    g_unsetenv("GIT_SSH");
    g_unsetenv("GIT_EXEC_PATH");
    g_assert_true(g_file_get_contents(f.noted, &noted, NULL, NULL));
    char *end = strchr(noted, '\n');
    g_assert_nonnull(end);
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
        check_row(strstr(noted, wanted[i]) != NULL, i, wanted[i]);
    g_assert_null(strstr(noted, "/elsewhere"));
    *end = '\0';
    g_assert_cmpstr(noted, ==, "ls-remote --quiet -- " URL " main main^{}");
    cob_git_commit_done(&commit);
    fixture_done(&f);
}

static void test_no_git(void)
{
    g_autofree char *path = g_strdup(g_getenv("PATH"));
    g_autoptr(cob_gitref) place = NULL;
    struct cob_git_commit commit = {0};

    CHECK_OK(cob_gitref_parse(URL "#main", &place));
    const struct cob_git_remote remote = {.place = place, .mirror = "/nowhere"};
    g_setenv("PATH", "/nowhere", TRUE);
    struct cob_error *err = cob_git_resolve(&remote, NULL, &commit);
    g_setenv("PATH", path, TRUE);
    CHECK_ERROR(err, COB_NOT_FOUND, URL ": install the package git: *git*");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/git/resolve-table", test_resolve_table);
    g_test_add_func("/git/git-is-sealed-off", test_git_is_sealed_off);
    g_test_add_func("/git/no-git", test_no_git);
    return g_test_run();
}
