/* SPDX-License-Identifier: Apache-2.0 */
/* COPY and ADD as tables: what is there, the instructions, and what is there afterwards. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ops_fixture.h"

/* A row: scripts that make things, the instructions behind "FROM base", a script that looks at the
 * result and what it prints; or an error. */
struct row {
    const char *name;
    const char *base, *other, *context; /* NULL: nothing */
    const char *dockerfile;             /* NULL: `copy` behind "FROM base" */
    const char *copy;
    const char *look, *want;
    enum cob_code code; /* 0: it succeeds */
    const char *error;
    bool needs_root;
};

static bool check_result(struct ops_fixture *f, const struct row *row, struct cob_error *err)
{
    g_autoptr(cob_error) owned = err;
    g_autofree char *text = err ? cob_error_message(err) : g_strdup("none");

    (void)owned;
    if (row->code) {
        bool is_as_wanted =
            err && cob_error_code(err) == row->code && g_pattern_match_simple(row->error, text);
        if (!is_as_wanted)
            g_test_message("got: code %d, %s\nwant: code %d, %s",
                err ? (int)cob_error_code(err) : 0, text, row->code, row->error);
        return is_as_wanted;
    }
    if (err) {
        g_test_message("got: %s", text);
        return false;
    }
    g_autofree char *got = ops_fixture_look(f, row->look);
    g_assert_cmpstr(got, ==, row->want);
    return strcmp(got, row->want) == 0;
}

static void run_rows(const struct row *rows, size_t n)
{
    if (!ops_fixture_can_run())
        return;
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];

        if (row->needs_root && !ops_fixture_is_root)
            continue;
        g_autofree char *simple = g_strconcat("FROM base\n", row->copy, "\n", NULL);
        struct ops_fixture f;

        ops_fixture_init(&f);
        ops_fixture_layer(&f, &f.base, row->base ? row->base : ":");
        ops_fixture_layer(&f, &f.other, row->other ? row->other : ":");
        ops_fixture_context(&f, row->context ? row->context : ":");
        struct cob_error *err = ops_fixture_build(&f, row->dockerfile ? row->dockerfile : simple);
        check_row(check_result(&f, row, err), i, row->name);
        ops_fixture_done(&f);
    }
}

#define LIST "find . -mindepth 1 | sort | tr '\\n' ' '"
#define TREE "mkdir -p d/sub; echo a >a; echo b >b; echo x >d/x; echo y >d/sub/y"

/* --- where things go --- */

static const struct row place_rows[] = {
    {.name = "file to a new name",
        .context = TREE,
        .copy = "COPY a /f",
        .look = LIST,
        .want = "./f"},
    {.name = "file to a new directory",
        .context = TREE,
        .copy = "COPY a /n/m/",
        .look = LIST,
        .want = "./n ./n/m ./n/m/a"},
    {.name = "file into a directory that is there",
        .base = "mkdir n",
        .context = TREE,
        .copy = "COPY a /n",
        .look = LIST,
        .want = "./n ./n/a"},
    {.name = "file to a new name below new directories",
        .context = TREE,
        .copy = "COPY a /n/m/f",
        .look = LIST,
        .want = "./n ./n/m ./n/m/f"},
    {.name = "contents of a directory into a new one",
        .context = TREE,
        .copy = "COPY d /n",
        .look = LIST,
        .want = "./n ./n/sub ./n/sub/y ./n/x"},
    {.name = "contents of a directory into one that is there",
        .base = "mkdir -p n/sub; >n/old",
        .context = TREE,
        .copy = "COPY d n/",
        .look = LIST,
        .want = "./n ./n/old ./n/sub ./n/sub/y ./n/x"},
    {.name = "all of the context",
        .context = TREE,
        .copy = "COPY . .",
        .look = LIST,
        .want = "./a ./b ./d ./d/sub ./d/sub/y ./d/x"},
    {.name = "several sources",
        .context = TREE,
        .copy = "COPY a d b /n/",
        .look = LIST,
        .want = "./n ./n/a ./n/b ./n/sub ./n/sub/y ./n/x"},
    {.name = "wildcard",
        .context = TREE,
        .copy = "COPY [ab] /n/",
        .look = LIST,
        .want = "./n ./n/a ./n/b"},
    {.name = "wildcard of directories",
        .context = TREE,
        .copy = "COPY d* /n/",
        .look = LIST,
        .want = "./n ./n/sub ./n/sub/y ./n/x"},
    {.name = "wildcard without a match",
        .context = TREE,
        .copy = "COPY a q* /n/",
        .look = LIST,
        .want = "./n ./n/a"},
    {.name = "relative to WORKDIR",
        .context = TREE,
        .copy = "WORKDIR /w\nCOPY a x/",
        .look = LIST,
        .want = "./w ./w/x ./w/x/a"},
    {.name = "through a symlink of the base",
        .base = "mkdir -p usr/lib; ln -s usr/lib lib",
        .context = TREE,
        .copy = "COPY a /lib/",
        .look = LIST,
        .want = "./lib ./usr ./usr/lib ./usr/lib/a"},
    {.name = "through an absolute symlink of the base",
        .base = "mkdir -p data; ln -s /data srv2",
        .context = TREE,
        .copy = "COPY a /srv2/",
        .look = LIST,
        .want = "./data ./data/a ./srv2"},
    {.name = "a symlink that leads out stays inside",
        .base = "ln -s ../../../../out up",
        .context = TREE,
        .copy = "COPY a /up/f",
        .look = LIST,
        .want = "./out ./out/f ./up"},
    {.name = "over a file",
        .base = "echo old >f; chmod 600 f; chown 7:7 f",
        .context = TREE,
        .copy = "COPY a /f",
        .look = "cat f; stat -c '%a %u:%g' f",
        .want = "a\n644 0:0"},
    {.name = "over a symlink, which is replaced",
        .base = "echo old >f; ln -s f l",
        .context = "mkdir d; echo new >d/l",
        .copy = "COPY d /",
        .look = "cat f l; test ! -L l; echo ok",
        .want = "old\nnew\nok"},
    {.name = "to a symlink: what it leads to is replaced",
        .base = "mkdir d; echo old >d/f; ln -s d/f l; ln -s /l m",
        .context = TREE,
        .copy = "COPY a /m",
        .look = "readlink l m; cat d/f",
        .want = "d/f\n/l\na"},
    {.name = "to a symlink that leads nowhere: what it names is made",
        .base = "mkdir d; ln -s ../n/o d/l; ln -s d e",
        .context = TREE,
        .copy = "COPY a /e/l\nCOPY d/x /e/l",
        .look = "readlink d/l; cat n/o",
        .want = "../n/o\nx"},
    {.name = "to symlinks that go round",
        .base = "ln -s l m; ln -s m l",
        .context = TREE,
        .copy = "COPY a /m",
        .code = COB_INVALID,
        .error = "/m: too many levels of symlinks"},
    {.name = "a directory of lower layers keeps what is there",
        .base = "mkdir -p n; >n/1; >n/2",
        .context = TREE,
        .copy = "COPY a /n/\nCOPY b /n/",
        .look = LIST,
        .want = "./n ./n/1 ./n/2 ./n/a ./n/b"},
    {.name = "a symlink as source gives its name and what it leads to",
        .context = "echo real >file; ln -s file link",
        .copy = "COPY link /n/",
        .look = "test ! -L n/link; cat n/link; " LIST,
        .want = "real\n./n ./n/link"},
    {.name = "symlinks that a wildcard finds are copies of their own",
        .context = "echo real >lib.so.1; ln -s lib.so.1 lib.so",
        .copy = "COPY lib.so* /n/",
        .look = "cat n/lib.so n/lib.so.1; test ! -L n/lib.so; echo ok",
        .want = "real\nreal\nok"},
    {.name = "a symlink to a directory gives its contents",
        .context = TREE "; ln -s d l",
        .copy = "COPY l /n",
        .look = LIST,
        .want = "./n ./n/sub ./n/sub/y ./n/x"},
    {.name = "symlinks inside stay",
        .context = TREE "; ln -s ../a d/l; ln -s /etc/x d/m",
        .copy = "COPY d /n",
        .look = "readlink n/l n/m",
        .want = "../a\n/etc/x"},
    {.name = "nothing of the context is anything else",
        .context = TREE,
        .copy = "COPY d/../a /f",
        .look = "cat f",
        .want = "a"},
    {.name = "--exclude",
        .context = TREE,
        .copy = "COPY --exclude=sub --exclude=*.x . /n/",
        .look = LIST,
        .want = "./n ./n/a ./n/b ./n/d ./n/d/sub ./n/d/sub/y ./n/d/x"},
    {.name = "--exclude, and back again",
        .context =
            "mkdir -p d/e/f d/g; chmod 750 d/e; >a; >d/b; >d/e/keep; >d/e/not; >d/e/f/x; >d/g/y",
        .copy = "COPY --exclude=d --exclude=!d/e/keep --exclude=!d/e/f . /n/",
        .look = LIST "; stat -c %a n/d n/d/e",
        .want = "./n ./n/a ./n/d ./n/d/e ./n/d/e/f ./n/d/e/f/x ./n/d/e/keep 755\n750"},
    {.name = "--exclude of all but one",
        .context = "mkdir -p d/e; >a; >d/b; >d/e/keep; >d/e/not",
        .copy = "COPY --exclude=** --exclude=!**/keep . /n/",
        .look = LIST,
        .want = "./n ./n/d ./n/d/e ./n/d/e/keep"},
    {.name = "--exclude, and nothing to bring back",
        .context = "mkdir -p d/e; >a; >d/b",
        .copy = "COPY --exclude=d --exclude=!d/e/keep . /n/",
        .look = LIST,
        .want = "./n ./n/a"},
    {.name = "--exclude of what is deep",
        .context = TREE,
        .copy = "COPY --exclude=**/sub . /n/",
        .look = LIST,
        .want = "./n ./n/a ./n/b ./n/d ./n/d/x"},
    {.name = "here-document",
        .copy = "COPY <<E /n/f\nhello\nE",
        .look = "cat n/f; stat -c %a n/f",
        .want = "hello\n644"},
};

static void test_places(void)
{
    run_rows(place_rows, G_N_ELEMENTS(place_rows));
}

/* --- --parents --- */

#define DEEP                                                                                       \
    "mkdir -p t/a/b/c/d/e t/a/b2/c/d/e t/a/b/c2/d/e t/a/b/c2/d/e2; >t/a/b/c/d/foo; "               \
    ">t/a/b/c/d/e/bay; >t/a/b2/c/d/e/bar; >t/a/b/c2/d/e/baz; >t/a/b/c2/d/e2/baz"
#define FILES "find . -type f | sort | tr '\\n' ' '"

static const struct row parents_rows[] = {
    {.name = "a file",
        .context = "mkdir -p d/e; chmod 700 d; chmod 750 d/e; >d/e/f; >d/e/g; >d/h",
        .copy = "COPY --parents d/e/f /",
        .look = LIST "; stat -c %a d d/e",
        .want = "./d ./d/e ./d/e/f 700\n750"},
    {.name = "a wildcard, into WORKDIR",
        .context = "mkdir -p d/e; >d/e/ba; >d/e/bb; >d/e/c",
        .copy = "WORKDIR /w\nCOPY --parents d/e/b* .",
        .look = FILES,
        .want = "./w/d/e/ba ./w/d/e/bb"},
    {.name = "pivot",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/b/./c/d /out/",
        .look = LIST,
        .want = "./out ./out/c ./out/c/d ./out/c/d/e ./out/c/d/e/bay ./out/c/d/foo"},
    {.name = "no pivot in a last dot",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/b/c/d/. /out/",
        .look = FILES,
        .want = "./out/t/a/b/c/d/e/bay ./out/t/a/b/c/d/foo"},
    {.name = "no pivot in a first dot",
        .other = DEEP,
        .copy = "COPY --from=other --parents ./t/a/b/c/d /out/",
        .look = FILES,
        .want = "./out/t/a/b/c/d/e/bay ./out/t/a/b/c/d/foo"},
    {.name = "the first of two pivots",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/./b/./c /out/",
        .look = FILES,
        .want = "./out/b/c/d/e/bay ./out/b/c/d/foo"},
    {.name = "wildcard behind a pivot",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/./*/c /out/",
        .look = FILES,
        .want = "./out/b/c/d/e/bay ./out/b/c/d/foo ./out/b2/c/d/e/bar"},
    {.name = "wildcards before and behind a pivot",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/b*/./c/**/e /out/",
        .look = LIST,
        .want = "./out ./out/c ./out/c/d ./out/c/d/e ./out/c/d/e/bar ./out/c/d/e/bay"},
    {.name = "two sources with wildcards",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/b/c*/./d/**/baz /t/a/b*/./c/**/bar /out/",
        .look = FILES,
        .want = "./out/c/d/e/bar ./out/d/e/baz ./out/d/e2/baz"},
    {.name = "two asterisks for all folders of the context",
        .context = DEEP "; >foo; mkdir x; >x/baz",
        .copy = "COPY --parents **/foo **/baz /",
        .look = LIST,
        .want = "./foo ./t ./t/a ./t/a/b ./t/a/b/c ./t/a/b/c/d ./t/a/b/c/d/foo ./t/a/b/c2 "
                "./t/a/b/c2/d ./t/a/b/c2/d/e ./t/a/b/c2/d/e/baz ./t/a/b/c2/d/e2 "
                "./t/a/b/c2/d/e2/baz ./x ./x/baz"},
    {.name = "a wildcard without a match makes the destination",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/q*/c /out/",
        .look = LIST,
        .want = "./out"},
    {.name = "a wildcard behind a pivot without a match, too",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/a/b/./q* /out/",
        .look = LIST,
        .want = "./out"},
    {.name = "with --exclude",
        .context = DEEP,
        .copy = "COPY --parents --exclude=t/a/b/c2 --exclude=**/foo t/a/b /out/",
        .look = LIST,
        .want = "./out ./out/t ./out/t/a ./out/t/a/b ./out/t/a/b/c ./out/t/a/b/c/d "
                "./out/t/a/b/c/d/e ./out/t/a/b/c/d/e/bay"},
    {.name = "new parents are the source's, but for those of the destination",
        .other = "mkdir -p d/e; >d/e/f; chown 3:4 d d/e; chmod 2750 d; touch -d @1000 d/e d",
        .copy = "COPY --from=other --parents d/e/f /new/",
        .look = "stat -c '%a %u:%g %Y' new/d new/d/e; stat -c '%a %u:%g' new",
        .want = "2750 3:4 1000\n755 3:4 1000\n755 0:0"},
    {.name = "--chown and --chmod are for new parents, too",
        .context = "mkdir -p d/e; >d/e/f",
        .copy = "COPY --parents --chown=3:4 --chmod=711 d/e/f /new/",
        .look = "stat -c '%a %u:%g' new new/d new/d/e new/d/e/f",
        .want = "711 3:4\n711 3:4\n711 3:4\n711 3:4"},
    {.name = "parents that are there only get the mode",
        .base = "mkdir -p d/e; >d/old; chown 7:8 d d/e; chmod 700 d d/e; setfattr -n user.x -v y d",
        .context = "mkdir -p d/e; >d/e/f; chmod 751 d",
        .copy = "COPY --parents --chown=3:4 d/e/f /",
        .look = "stat -c '%a %u:%g' d d/e d/e/f; getfattr --only-values -n user.x d; ls d",
        .want = "751 7:8\n755 7:8\n644 3:4\nye\nold"},
    {.name = "symlinks on the way are none",
        .context = "mkdir -p d/e; >d/e/f; ln -s d l",
        .copy = "COPY --parents l/e/f /",
        .code = COB_NOT_FOUND,
        .error = "*: \"/l/e/f\": not found"},
    {.name = "a symlink stays one",
        .context = "mkdir -p d/e; >d/e/f; ln -s f d/e/l",
        .copy = "COPY --parents d/e/l /",
        .look = LIST "; readlink d/e/l",
        .want = "./d ./d/e ./d/e/l f"},
    {.name = "missing",
        .other = DEEP,
        .copy = "COPY --from=other --parents /t/nope /out/",
        .code = COB_NOT_FOUND,
        .error = "failed to compute cache key: failed to calculate checksum of ref snapshot:*: "
                 "\"/t/nope\": not found"},
    {.name = "missing behind a pivot",
        .context = DEEP,
        .copy = "COPY --parents t/a/./nope/x /out/",
        .code = COB_NOT_FOUND,
        .error = "*: \"/t/a/nope/x\": not found"},
    {.name = "missing before a pivot",
        .context = DEEP,
        .copy = "COPY --parents t/q/./nope/x /out/",
        .code = COB_NOT_FOUND,
        .error = "*: \"/t/q/nope/x\": not found"},
    {.name = "all of it excluded",
        .context = DEEP,
        .copy = "COPY --parents --exclude=t t/a /out/",
        .code = COB_NOT_FOUND,
        .error = "*: \"/t/a\": not found"},
    {.name = "the root names nothing",
        .context = DEEP,
        .copy = "COPY --parents . /out/",
        .code = COB_NOT_FOUND,
        .error = "*: \"/\": not found"},
};

static void test_parents(void)
{
    run_rows(parents_rows, G_N_ELEMENTS(parents_rows));
}

/* --- what cannot be done --- */

static const struct row error_rows[] = {
    {.name = "missing source",
        .context = TREE,
        .copy = "COPY nope /f",
        .code = COB_NOT_FOUND,
        .error = "failed to compute cache key: failed to calculate checksum of ref context: "
                 "\"/nope\": not found"},
    {.name = "missing source of several",
        .context = TREE,
        .copy = "COPY a nope /f/",
        .code = COB_NOT_FOUND,
        .error = "*: \"/nope\": not found"},
    {.name = "missing source of an image",
        .copy = "COPY --from=other /nope /f",
        .code = COB_NOT_FOUND,
        .error = "failed to compute cache key: failed to calculate checksum of ref snapshot:*: "
                 "\"/nope\": not found"},
    {.name = "missing source of scratch",
        .dockerfile = "FROM scratch AS e\nFROM base\nCOPY --from=e /nope /f\n",
        .code = COB_NOT_FOUND,
        .error = "*\"/nope\": not found"},
    {.name = "symlink out of the context",
        .context = "ln -s ../../etc/passwd l",
        .copy = "COPY l /f",
        .code = COB_NOT_FOUND,
        .error = "*\"/l\": not found"},
    {.name = "directory over a file",
        .base = ">f",
        .context = TREE,
        .copy = "COPY d /f",
        .code = COB_INVALID,
        .error = "cannot copy to non-directory: /f"},
    {.name = "directory over a file inside",
        .base = "mkdir n; >n/sub",
        .context = TREE,
        .copy = "COPY d /n",
        .code = COB_INVALID,
        .error = "cannot copy d/sub: cannot copy to non-directory: /n/sub"},
    {.name = "file over a directory",
        .base = "mkdir -p n/a",
        .context = TREE,
        .copy = "COPY a /n/",
        .code = COB_INVALID,
        .error = "cannot copy a: cannot replace to directory /n/a with file"},
    {.name = "file below a file",
        .base = ">f",
        .context = TREE,
        .copy = "COPY a /f/",
        .code = COB_INVALID,
        .error = "/f/: /f is not a directory"},
    {.name = "a user's name without a base",
        .context = TREE,
        .dockerfile = "FROM scratch\nCOPY --chown=app a /f\n",
        .code = COB_INVALID,
        .error = "owner: invalid user index: -1: there is no base to look \"app\" up in: use a "
                 "number"},
    {.name = "a group's name with --link, which has no base",
        .base = "mkdir etc; echo web:x:56: >etc/group",
        .context = TREE,
        .copy = "COPY --link --chown=1:web a /f",
        .code = COB_INVALID,
        .error = "owner: invalid user index: -1: there is no base to look \"web\" up in: use a "
                 "number"},
    {.name = "WORKDIR of a user without a base",
        .dockerfile = "FROM scratch\nUSER app\nWORKDIR /w\n",
        .code = COB_INVALID,
        .error = "*invalid user index: -1: *"},
    {.name = "a broken pattern",
        .context = TREE,
        .copy = "COPY [a /f",
        .code = COB_INVALID,
        .error = "*: syntax error in pattern ?a"},
    {.name = "a broken --exclude",
        .context = TREE,
        .copy = "COPY --exclude=[a . /f",
        .code = COB_INVALID,
        .error = "*: syntax error in pattern ?a"},
};

static void test_errors(void)
{
    run_rows(error_rows, G_N_ELEMENTS(error_rows));
}

/* --- what files are like --- */

#define USERS "mkdir etc; echo app:x:12:34::/:/x >etc/passwd; echo web:x:56: >etc/group"

static const struct row metadata_rows[] = {
    {.name = "the context's owners do not count",
        .context = "echo a >a; chown 7:8 a",
        .copy = "COPY a /",
        .look = "stat -c %u:%g a",
        .want = "0:0"},
    {.name = "below a setgid directory, too",
        .base = "mkdir n; chown 0:50 n; chmod 2775 n",
        .context = TREE,
        .copy = "COPY d /n/",
        .look = "stat -c %u:%g:%a n n/x n/sub n/sub/y",
        .want = "0:50:2775\n0:0:644\n0:0:755\n0:0:644"},
    {.name = "an image's owners do",
        .other = "echo a >a; chown 7:8 a",
        .copy = "COPY --from=other a /",
        .look = "stat -c %u:%g a",
        .want = "7:8"},
    {.name = "--chown by name",
        .base = USERS,
        .context = TREE,
        .copy = "COPY --chown=app d /n/m",
        .look = "stat -c %u:%g n n/m n/m/x",
        .want = "12:34\n12:34\n12:34"},
    {.name = "--chown by names of user and group",
        .base = USERS,
        .context = TREE,
        .copy = "COPY --chown=app:web a /f",
        .look = "stat -c %u:%g f",
        .want = "12:56"},
    {.name = "--chown by number",
        .context = TREE "; ln -s a l; mkdir m; mv l m",
        .copy = "COPY --chown=3:4 a m /n/",
        .look = "stat -c %u:%g n/a n/l",
        .want = "3:4\n3:4"},
    {.name = "--chown by a group alone",
        .base = USERS,
        .context = TREE,
        .copy = "COPY --chown=:web a /f",
        .look = "stat -c %u:%g f",
        .want = "0:56"},
    {.name = "--chown by a user and no group",
        .base = USERS,
        .context = TREE,
        .copy = "COPY --chown=app: a /f\nCOPY --chown=3: a /g",
        .look = "stat -c %u:%g f g",
        .want = "12:34\n3:3"},
    {.name = "--chown by a number that has a name, and a group's name",
        .base = USERS,
        .context = TREE,
        .copy = "COPY --chown=12 a /f\nCOPY --chown=12:web a /g\nCOPY --chown=app:7 a /h",
        .look = "stat -c %u:%g f g h",
        .want = "12:12\n12:56\n12:7"},
    {.name = "--chown by names that are not there: root",
        .base = USERS,
        .context = TREE,
        .copy = "COPY --chown=nobody9 a /f\nCOPY --chown=app:nogroup9 a /g\n"
                "COPY --chown=nobody9:web a /h",
        .look = "stat -c %u:%g f g h",
        .want = "0:0\n12:34\n0:56"},
    {.name = "--chown=root needs no /etc/passwd, with --link neither",
        .context = TREE,
        .copy = "COPY --link --chown=root:root a /f",
        .look = "stat -c %u:%g f",
        .want = "0:0"},
    {.name = "--chown by variables",
        .base = USERS,
        .context = TREE,
        .copy = "ENV owner=app\nARG group=web\nCOPY --chown=${owner}:${group} a /f",
        .look = "stat -c %u:%g f",
        .want = "12:56"},
    {.name = "--chown by one number",
        .context = TREE,
        .copy = "COPY --chown=3 a /f",
        .look = "stat -c %u:%g f",
        .want = "3:3"},
    {.name = "modes are kept, setuid and all",
        .context = "mkdir d; >d/a; chmod 4711 d/a; mkdir "
                   "d/t; chmod 1777 d/t; >d/r; chmod 400 d/r",
        .copy = "COPY d /n",
        .look = "stat -c %a n/a n/t n/r",
        .want = "4711\n1777\n400"},
    {.name = "setuid survives an owner",
        .other = ">a; chown 3:4 a; chmod 6755 a",
        .copy = "COPY --from=other a /",
        .look = "stat -c '%a %u' a",
        .want = "6755 3"},
    {.name = "--chmod in octal",
        .context = TREE,
        .copy = "COPY --chmod=4705 a d /n/",
        .look = "stat -c %a n/a n/sub n/sub/y",
        .want = "4705\n4705\n4705"},
    {.name = "--chmod with letters",
        .context = TREE,
        .copy = "COPY --chmod=u=rwX,go=rX a d /n/",
        .look = "stat -c %a n/a n/sub n/sub/y",
        .want = "644\n755\n644"},
    {.name = "--chmod of new parents: permissions only",
        .context = TREE,
        .copy = "COPY --chmod=7751 a /n/m/",
        .look = "stat -c %a n n/m n/m/a",
        .want = "751\n751\n7751"},
    {.name = "--chmod of new parents, in octal only",
        .context = TREE,
        .copy = "COPY --chmod=750 a /n/m/\nCOPY --chmod=go-r a /o/",
        .look = "stat -c %a n n/m o o/a",
        .want = "750\n750\n755\n600"},
    {.name = "a directory that only gets contents keeps its mode and owner",
        .base = "mkdir n; chmod 700 n; chown 5:6 n",
        .context = TREE,
        .copy = "COPY d /n",
        .look = "stat -c '%a %u:%g' n",
        .want = "700 5:6"},
    {.name = "directories inside become as the source's",
        .base = "mkdir -p n/sub; chmod 700 n/sub; chown 5:6 n/sub; >n/sub/old",
        .context = TREE,
        .copy = "COPY d /n",
        .look = "stat -c '%a %u:%g' n/sub; ls n/sub",
        .want = "755 0:0\nold\ny"},
    {.name = "times are kept",
        .context = TREE "; ln -s a d/l; touch -hd @1000 d/l; touch -d "
                        "@1000.5 d/x; touch -d @2000 d/sub d",
        .copy = "COPY d /n",
        .look = "stat -c %.1Y n/x n/l n/sub n",
        .want = "1000.5\n1000.0\n2000.0\n2000.0"},
    {.name = "names of one file stay one file",
        .context = "mkdir -p d/e; echo 1 >d/a; ln d/a d/e/b; "
                   "ln d/a c; echo 1 >d/other",
        .copy = "COPY d /n\nCOPY c /",
        .look = "stat -c %h n/a n/e/b n/other c; cat n/e/b",
        .want = "2\n2\n1\n1\n1"},
    {.name = "also among those that a wildcard finds",
        .context = "echo 1 >a1; ln a1 a2",
        .copy = "COPY a* /n/",
        .look = "stat -c %h n/a1 n/a2",
        .want = "2\n2"},
    {.name = "hard links over what is there",
        .base = "mkdir n; >n/a; >n/b",
        .context = "mkdir d; echo 1 >d/a; ln d/a d/b",
        .copy = "COPY d /n",
        .look = "cat n/a n/b; stat -c %h n/b",
        .want = "1\n1\n2"},
    {.name = "a FIFO of the context",
        .context = "mkdir d; mkfifo -m 640 d/p; touch -d @1000 d/p",
        .copy = "COPY d /n",
        .look = "stat -c '%F %a %u:%g %Y' n/p",
        .want = "fifo 640 0:0 1000"},
    {.name = "a device of the context",
        .needs_root = true,
        .context = "mkdir d; mknod -m 620 d/p c 1 3",
        .copy = "COPY d /n",
        .look = "stat -c '%F %a %t:%T' n/p",
        .want = "character special file 620 1:3"},
    {.name = "a socket becomes an empty file",
        .copy = "COPY d /n",
        .context = "mkdir d; python3 -c 'import socket as s; s.socket(s.AF_UNIX).bind(\"d/s\")'; "
                   "chmod 600 d/s",
        .look = "stat -c '%F %a %s' n/s",
        .want = "regular empty file 600 0"},
    {.name = "xattrs of the context",
        .needs_root = true,
        .context = "mkdir d; cp /bin/busybox d/b; setfattr -n user.note -v hi d/b; setfattr -n "
                   "user.dir -v ho d; setfattr -n trusted.no -v x d/b; setfattr -n "
                   "security.capability -v 0x0100000200040000000000000000000000000000 d/b",
        .copy = "COPY . /n",
        .look = "getfattr -d -m - n/d/b | grep -v '^#'; getfattr -d n/d | grep -v '^#'",
        .want = "security.capability=0sAQAAAgAEAAAAAAAAAAAAAAAAAAA=\nuser.note=\"hi\"\n\nuser.dir="
                "\"ho\""},
    {.name = "devices, FIFOs and capabilities of an image; sockets are empty files",
        .needs_root = true,
        .other =
            "mkdir d; mknod d/c c 1 3; chmod 620 d/c; mkfifo d/p; chown 1:2 d/p; cp "
            "/bin/busybox d/b; setfattr -n user.note -v hi d/b; setfattr -n "
            "security.capability -v 0x0100000200040000000000000000000000000000 d/b; python3 -c "
            "'import socket as s; s.socket(s.AF_UNIX).bind(\"d/s\")'",
        .copy = "COPY --from=other d /n",
        .look = "stat -c '%F %a %u %t' n/c n/p; getfattr --only-values -n user.note n/b; echo; "
                "getfattr -e hex --only-values -n security.capability n/b | od -An -tx1 | tr -d ' "
                "\\n'; test -f n/s; echo",
        .want = "character special file 620 0 1\nfifo 644 1 0\nhi\n"
                "0100000200040000000000000000000000000000"},
};

static void test_metadata(void)
{
    run_rows(metadata_rows, G_N_ELEMENTS(metadata_rows));
}

/* --- archives --- */

#define TAR                                                                                        \
    "mkdir t; echo 1 >t/f; chown 7:8 t/f; chmod 640 t/f; ln -s f t/l; tar -C t -cf a.tar f l"
#define LOOK_TAR "cat n/f; readlink n/l; stat -c '%u:%g %a' n/f"

static const struct row archive_rows[] = {
    {.name = "plain",
        .context = TAR,
        .copy = "ADD a.tar /n/",
        .look = LOOK_TAR,
        .want = "1\nf\n7:8 640"},
    {.name = "gzip",
        .context = TAR "; gzip a.tar",
        .copy = "ADD a.tar.gz /n",
        .look = LOOK_TAR,
        .want = "1\nf\n7:8 640"},
    {.name = "xz",
        .context = TAR "; xz a.tar",
        .copy = "ADD a.tar.xz /n",
        .look = LOOK_TAR,
        .want = "1\nf\n7:8 640"},
    {.name = "bzip2",
        .context = TAR "; bzip2 a.tar",
        .copy = "ADD a.tar.bz2 /n",
        .look = LOOK_TAR,
        .want = "1\nf\n7:8 640"},
    {.name = "zstd, whatever its name",
        .context = TAR "; zstd -q a.tar -o b",
        .copy = "ADD b /n/",
        .look = LOOK_TAR,
        .want = "1\nf\n7:8 640"},
    {.name = "--chown",
        .context = TAR,
        .copy = "ADD --chown=3:4 a.tar /n/",
        .look = LOOK_TAR,
        .want = "1\nf\n3:4 640"},
    {.name = "into a directory that is there, over a file",
        .base = "mkdir n; echo old >n/f; >n/keep",
        .context = TAR,
        .copy = "ADD a.tar /n/",
        .look = LOOK_TAR "; ls n",
        .want = "1\nf\n7:8 640\nf\nkeep\nl"},
    {.name = "--chmod is not for archives, nor for where they go",
        .context = TAR,
        .copy = "ADD --chmod=700 a.tar /n/m/",
        .look = "stat -c %a n n/m n/m/f",
        .want = "755\n755\n640"},
    {.name = "to where nothing is: a directory, with a slash or without",
        .context = TAR,
        .copy = "ADD a.tar /n/m",
        .look = "stat -c '%F %a' n n/m; cat n/m/f",
        .want = "directory 755\ndirectory 755\n1"},
    {.name = "through a symlink of the base",
        .base = "mkdir d; ln -s /d l",
        .context = TAR,
        .copy = "ADD a.tar /l",
        .look = LIST,
        .want = "./d ./d/f ./d/l ./l"},
    {.name = "to a file",
        .base = ">n",
        .context = TAR,
        .copy = "ADD a.tar /n",
        .code = COB_INVALID,
        .error = "a.tar: /n is not a directory"},
    {.name = "parents that the archive does not name",
        .context = "mkdir -p t/etc/x; echo 1 >t/etc/x/f; tar -C t -czf a.tgz etc/x; chmod 700 t",
        .copy = "ADD a.tgz /",
        .look = "cat etc/x/f; stat -c %a etc",
        .want = "1\n755"},
    {.name = "below an absolute symlink of the base, with a hard link",
        .base = "mkdir run var; ln -s /run var/run",
        .context = "mkdir -p t/var/run/a; echo 1 >t/var/run/a/f; ln t/var/run/a/f t/var/run/a/g; "
                   "tar -C t -cf a.tar var/run/a",
        .copy = "ADD a.tar /",
        .look = "cat run/a/f; stat -c %h run/a/g; readlink var/run",
        .want = "1\n2\n/run"},
    {.name = "a file over a directory, a directory over a file",
        .base = "mkdir -p n/f/x; >n/d",
        .context = "mkdir -p t/d; >t/d/y; >t/f; tar -C t -cf a.tar d f",
        .copy = "ADD a.tar /n",
        .look = LIST,
        .want = "./n ./n/d ./n/d/y ./n/f"},
    {.name = "a directory over a directory: merged, its metadata the archive's",
        .base = "mkdir -p n/d; >n/d/old; chown 5:6 n/d; chmod 700 n/d",
        .context = "mkdir -p t/d; >t/d/y; chmod 751 t/d; tar --owner=7 --group=8 --mtime=@1000 -C "
                   "t -cf a.tar d",
        .copy = "ADD a.tar /n",
        .look = "stat -c '%a %u:%g %Y' n/d; ls n/d",
        .want = "751 7:8 1000\nold\ny"},
    {.name = "devices and FIFOs",
        .needs_root = true,
        .context = "mkdir t; mknod -m 620 t/c c 1 3; mkfifo -m 600 t/p; tar -C t -cf a.tar c p",
        .copy = "ADD a.tar /n/",
        .look = "stat -c '%F %a %t:%T' n/c n/p",
        .want = "character special file 620 1:3\nfifo 600 0:0"},
    {.name = "--unpack=false",
        .context = TAR,
        .copy = "ADD --unpack=false a.tar /n/",
        .look = LIST,
        .want = "./n ./n/a.tar"},
    {.name = "--unpack, --unpack=true",
        .context = TAR,
        .copy = "ADD --unpack a.tar /n/\nADD --unpack=true a.tar /m",
        .look = LIST,
        .want = "./m ./m/f ./m/l ./n ./n/f ./n/l"},
    {.name = "--unpack of what is no archive",
        .context = "echo text >f",
        .copy = "ADD --unpack f /n/",
        .look = "cat n/f",
        .want = "text"},
    {.name = "--link",
        .base = "mkdir d; ln -s d n",
        .context = TAR,
        .copy = "ADD --link --chown=1:2 a.tar /n/",
        .look = "stat -c '%F %u:%g' n n/f; ls d",
        .want = "directory 1:2\nregular file 1:2"},
    {.name = "by wildcard, beside a file",
        .context = TAR "; cp a.tar b.tar; echo x >c.tar",
        .copy = "ADD *.tar /n/",
        .look = LIST,
        .want = "./n ./n/c.tar ./n/f ./n/l"},
    {.name = "through a symlink of the context",
        .context = TAR "; ln -s a.tar link",
        .copy = "ADD link /n/",
        .look = LIST,
        .want = "./n ./n/f ./n/l"},
    {.name = "of an image? only COPY has --from",
        .context = TAR,
        .copy = "ADD --from=other a.tar /n/",
        .code = COB_INVALID,
        .error = "*unknown flag: --from*"},
    {.name = "COPY does not unpack",
        .context = TAR,
        .copy = "COPY a.tar /n/",
        .look = LIST,
        .want = "./n ./n/a.tar"},
    {.name = "what is no archive is copied",
        .context = "echo text >a.tar",
        .copy = "ADD a.tar /n/",
        .look = "cat n/a.tar",
        .want = "text"},
    {.name = "two archives and a file",
        .context = TAR "; echo x >g; tar -cf b.tar g; echo y >h",
        .copy = "ADD a.tar b.tar h /n/",
        .look = LIST,
        .want = "./n ./n/f ./n/g ./n/h ./n/l"},
    {.name = "an archive that leads out",
        .context = "echo 1 >f; tar -P --transform 's,f,../../out,' -cf a.tar f",
        .copy = "ADD a.tar /n/",
        .code = COB_INVALID,
        .error = "a.tar: *../../out*"},
    {.name = "an archive that is cut short",
        .context = TAR "; gzip a.tar; truncate -s -20 a.tar.gz",
        .copy = "ADD a.tar.gz /n/",
        .code = COB_INVALID,
        .error = "a.tar.gz: *"},
};

static void test_archives(void)
{
    run_rows(archive_rows, G_N_ELEMENTS(archive_rows));
}

/* --- layers below --- */

static void test_over_whiteouts(void)
{
    struct ops_fixture f;

    if (!ops_fixture_can_run())
        return;
    ops_fixture_init(&f);
    ops_fixture_layer(&f, &f.base, "mkdir -p d/sub e g; >d/1; >d/2; >d/sub/3; >e/4; >g/5; >h");
    ops_fixture_layer(&f, &f.base, "rm d/1; rm -r d/sub e g h; mkdir g h; >h/6");
    ops_fixture_context(&f, "mkdir -p d/sub d/e; >d/1; >d/sub/new; >d/e/x; >h");
    CHECK_OK(
        ops_fixture_build(&f, "FROM base\nCOPY d /d\nCOPY d/e /e\nCOPY d/e /g\nCOPY d/e /h\n"));
    g_autofree char *got = ops_fixture_look(&f, LIST);
    g_assert_cmpstr(got, ==,
        "./d ./d/1 ./d/2 ./d/e ./d/e/x ./d/sub ./d/sub/new ./e ./e/x ./g ./g/x ./h ./h/6 ./h/x");

    /* removed by a layer, made again by a copy: a later layer sees only what is new */
    ops_fixture_layer(&f, &f.result, "rm -r d/sub; mkdir d/sub");
    g_autofree char *after = ops_fixture_look(&f, "ls d/sub");
    g_assert_cmpstr(after, ==, "");
    ops_fixture_done(&f);
}

/* --- what happens meanwhile --- */

static struct cob_error *change_file(struct ops_fixture *f)
{
    ops_fixture_context(f, "echo other >a; touch -d @1000 a");
    return NULL;
}

static struct cob_error *replace_by_fifo(struct ops_fixture *f)
{
    ops_fixture_context(f, "rm a; mkfifo a");
    return NULL;
}

static void test_change_after_the_key_is_noticed(void)
{
    static struct cob_error *(*const changes[])(struct ops_fixture *) = {
        change_file, replace_by_fifo};

    if (!ops_fixture_can_run())
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        struct ops_fixture f;

        ops_fixture_init(&f);
        ops_fixture_layer(&f, &f.base, ":");
        ops_fixture_context(&f, "echo first >a; touch -d @1000 a");
        f.before_copy = changes[i];
        CHECK_ERROR(ops_fixture_build(&f, "FROM base\nCOPY a /\n"), COB_ABORTED,
            "a: file changed while it was copied");
        f.before_copy = NULL;
        ops_fixture_context(&f, "rm -f a; echo third >a");
        CHECK_OK(ops_fixture_build(&f, "FROM base\nCOPY a /\n"));
        g_autofree char *got = ops_fixture_look(&f, "cat a");
        g_assert_cmpstr(got, ==, "third");
        ops_fixture_done(&f);
    }
}

static struct cob_error *stop(struct ops_fixture *f)
{
    cob_cancel_trigger(f->cancel);
    return NULL;
}

/* The wish comes when the copy has been started: not a file of it is left in the store. */
static void test_stopped_copy_leaves_nothing(void)
{
    struct ops_fixture f;

    if (!ops_fixture_can_run())
        return;
    ops_fixture_init(&f);
    ops_fixture_layer(&f, &f.base, ":");
    ops_fixture_context(&f, "truncate -s 300M big");
    CHECK_OK(cob_cancel_new(&f.cancel));
    f.before_copy = stop;
    CHECK_ERROR(ops_fixture_build(&f, "FROM base\nCOPY big /\n"), COB_CANCELLED, "*");
    g_autofree char *command = g_strdup_printf("find %s/store -name big", f.scratch);
    g_autofree char *out = NULL;
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
    g_assert_cmpstr(out, ==, "");
    cob_cancel_unref(f.cancel);
    ops_fixture_done(&f);
}

/* --- keys --- */

#define RAN(f, instruction) (strstr((f)->ran->str, (instruction)) != NULL)

struct key_row {
    const char *name, *change;
    bool is_run;
};

static void run_key_rows(const char *copy, const struct key_row *rows, size_t n)
{
    struct ops_fixture f;

    if (!ops_fixture_can_run())
        return;
    ops_fixture_init(&f);
    ops_fixture_layer(&f, &f.base, ":");
    ops_fixture_context(&f, TREE);
    CHECK_OK(ops_fixture_build(&f, copy));
    for (size_t i = 0; i < n; i++) {
        ops_fixture_context(&f, rows[i].change);
        CHECK_OK(ops_fixture_build(&f, copy));
        check_row(RAN(&f, "COPY ") == rows[i].is_run, i, rows[i].name);
    }
    ops_fixture_done(&f);
}

static void test_keys(void)
{
    static const struct key_row rows[] = {
        {"nothing changed", ":", false},
        {"another time", "touch -d @5000 d/x d", false},
        {"what is not copied", "echo more >>a", false},
        {"equal size and time, other bytes", "cp -p d/x t; echo z >d/x; touch -r t d/x", true},
        {"another mode", "chmod 600 d/x", true},
        {"a new file", ">d/new", true},
        {"a file is gone", "rm d/new", false},
        {"another owner, which does not count", "chown 9:9 d/x", false},
        {"an xattr", "setfattr -n user.a -v b d/x", true},
        {"another value of it", "setfattr -n user.a -v c d/x", true},
        {"one of a directory", "setfattr -n user.a -v c d/sub", true},
        {"a FIFO", "mkfifo d/p", true},
    };

    run_key_rows("FROM base\nCOPY d /n\n", rows, G_N_ELEMENTS(rows));
}

/* Only what is taken counts, and the directories on its way. */
static void test_keys_of_parents(void)
{
    static const struct key_row rows[] = {
        {"nothing changed", ":", false},
        {"a file beside it", ">d/sub/z; >d/z", false},
        {"a directory that leads nowhere", "mkdir d/other; chmod 700 d/other", false},
        {"the file", "echo more >>d/sub/y", true},
        {"the mode of a directory on the way", "chmod 700 d", true},
        {"what is left out", "echo 1 >d/sub/yet", false},
        {"one more", "mkdir -p e/sub; >e/sub/y", true},
    };

    run_key_rows(
        "FROM base\nCOPY --parents --exclude=**/yet */sub/y* /n\n", rows, G_N_ELEMENTS(rows));
}

static void test_keys_of_excludes(void)
{
    static const struct key_row rows[] = {
        {"a file that is left out", "echo more >>d/x", false},
        {"one that is brought back", ">d/sub/keep", true},
        {"the same in a directory that is left out", "mkdir d/e; >d/e/not", false},
        {"whose mode does not count", "chmod 700 d/e", false},
        {"until something in it does", ">d/e/keep", true},
        {"from then on it does", "chmod 750 d/e", true},
    };

    run_key_rows(
        "FROM base\nCOPY --exclude=** --exclude=!**/keep d /n\n", rows, G_N_ELEMENTS(rows));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/copy/places", test_places);
    g_test_add_func("/copy/parents", test_parents);
    g_test_add_func("/copy/errors", test_errors);
    g_test_add_func("/copy/metadata", test_metadata);
    g_test_add_func("/copy/archives", test_archives);
    g_test_add_func("/copy/over-whiteouts", test_over_whiteouts);
    g_test_add_func("/copy/change-after-the-key-is-noticed", test_change_after_the_key_is_noticed);
    g_test_add_func("/copy/stopped-copy-leaves-nothing", test_stopped_copy_leaves_nothing);
    g_test_add_func("/copy/keys", test_keys);
    g_test_add_func("/copy/keys-of-parents", test_keys_of_parents);
    g_test_add_func("/copy/keys-of-excludes", test_keys_of_excludes);
    return g_test_run();
}
