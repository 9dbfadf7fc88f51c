/* SPDX-License-Identifier: Apache-2.0 */
/* COPY and ADD as tables: what is there, the instructions, and what is there afterwards. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "copy_table.h"
#include "ops_fixture.h"

static bool check_result(struct ops_fixture *f, const struct copy_row *row, struct cob_error *err)
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

static void run_rows(const struct copy_row *rows, size_t n)
{
    struct ops_fixture f;

    if (!ops_fixture_can_run())
        return;
    ops_fixture_init(&f);
    for (size_t i = 0; i < n; i++) {
        const struct copy_row *row = &rows[i];

        if (row->needs_root && !ops_fixture_is_root)
            continue;
        g_autofree char *simple = g_strconcat("FROM base\n", row->copy, "\n", NULL);

        ops_fixture_reset(&f);
        ops_fixture_layer(&f, &f.base, row->base ? row->base : ":");
        if (row->other)
            ops_fixture_layer(&f, &f.other, row->other);
        if (row->context)
            ops_fixture_context(&f, row->context);
        struct cob_error *err = ops_fixture_build(&f, row->dockerfile ? row->dockerfile : simple);
        check_row(check_result(&f, row, err), i, row->name);
    }
    ops_fixture_done(&f);
}

/* --- where things go --- */

static void test_places(void)
{
    run_rows(copy_place_rows, copy_n_place_rows);
}

/* --- symlinks, slashes, dots --- */

static void test_paths(void)
{
    run_rows(copy_path_rows, copy_n_path_rows);
}

/* --- --link --- */

static void test_link(void)
{
    run_rows(copy_link_rows, copy_n_link_rows);
}

/* --- --parents --- */

static void test_parents(void)
{
    run_rows(copy_parents_rows, copy_n_parents_rows);
}

/* --- what cannot be done --- */

static void test_errors(void)
{
    run_rows(copy_error_rows, copy_n_error_rows);
}

/* --- what files are like --- */

static void test_metadata(void)
{
    run_rows(copy_metadata_rows, copy_n_metadata_rows);
}

/* --- archives --- */

static void test_archives(void)
{
    run_rows(copy_archive_rows, copy_n_archive_rows);
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
    g_test_add_func("/copy/paths", test_paths);
    g_test_add_func("/copy/link", test_link);
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
