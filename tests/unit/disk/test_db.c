/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/db/db.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "util/fs.h"

struct fixture {
    char *path;
    struct cob_db *db;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.path = check_scratch_new()};
    CHECK_OK(cob_db_open(f->path, &f->db));
}

static void fixture_done(struct fixture *f)
{
    cob_db_close(f->db);
    check_scratch_free(f->path);
}

static struct cob_error *read_int(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

static int64_t count(struct cob_db *db)
{
    int64_t n = -1;

    CHECK_OK(cob_db_run(db, read_int, &n, "SELECT count(*) FROM contexts"));
    return n;
}

/* Every kind of value comes back as it went in. */
static struct cob_error *check_values(void *arg, const struct cob_db_row *row)
{
    g_autoptr(GBytes) bytes = cob_db_row_bytes(row, 3);
    g_autoptr(GBytes) none = cob_db_row_bytes(row, 4);
    g_autoptr(GBytes) empty = cob_db_row_bytes(row, 5);

    ++*(int *)arg;
    g_assert_cmpint(cob_db_row_int(row, 0), ==, G_MININT64);
    g_assert_cmpstr(cob_db_row_text(row, 1), ==, "a'b");
    g_assert_cmpstr(cob_db_row_text(row, 2), ==, NULL);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 3);
    g_assert_null(none);
    g_assert_nonnull(empty);
    return NULL;
}

static void test_values(void)
{
    struct fixture f;
    g_autoptr(GBytes) bytes = g_bytes_new_static("\0x\xff", 3);
    g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
    int n_rows = 0;

    fixture_init(&f);
    for (int i = 0; i < 2; i++)
        CHECK_OK(cob_db_run(f.db, check_values, &n_rows, "SELECT ?1, ?2, ?3, ?4, ?5, ?6",
            COB_DB_I(G_MININT64), COB_DB_T("a'b"), COB_DB_T(NULL), COB_DB_B(bytes), COB_DB_B(NULL),
            COB_DB_B(empty)));
    g_assert_cmpint(n_rows, ==, 2);
    fixture_done(&f);
}

static struct cob_error *refuse(void *arg, const struct cob_db_row *row)
{
    (void)arg, (void)row;
    return cob_fail(COB_CANCELLED, "enough");
}

static void test_errors(void)
{
    struct fixture f;
    static const char insert[] = "INSERT INTO contexts (root) VALUES (?1)";

    fixture_init(&f);
    CHECK_OK(cob_db_run(f.db, NULL, NULL, insert, COB_DB_T("a")));
    CHECK_ERROR(cob_db_run(f.db, NULL, NULL, insert, COB_DB_T("a")), COB_EXISTS,
        "database: UNIQUE constraint failed: contexts.root");
    CHECK_ERROR(cob_db_run(f.db, NULL, NULL, "SELEC"), COB_INTERNAL, "database: near*syntax error");
    CHECK_ERROR(cob_db_run(f.db, NULL, NULL, insert, COB_DB_T("x"), COB_DB_T("y")), COB_INTERNAL,
        "database: *");
    CHECK_ERROR(cob_db_run(f.db, refuse, NULL, "SELECT * FROM contexts"), COB_CANCELLED, "enough");
    g_assert_cmpint(count(f.db), ==, 1); /* a failed statement is not in the way of the next */
    fixture_done(&f);
}

static void test_transactions(void)
{
    struct fixture f;

    fixture_init(&f);
    CHECK_OK(cob_db_begin(f.db));
    CHECK_OK(cob_db_run(f.db, NULL, NULL, "INSERT INTO contexts (root) VALUES ('a'), ('b')"));
    g_assert_cmpint(cob_db_n_changed(f.db), ==, 2);
    cob_db_rollback(f.db);
    g_assert_cmpint(count(f.db), ==, 0);
    CHECK_OK(cob_db_begin(f.db));
    CHECK_OK(cob_db_run(f.db, NULL, NULL, "INSERT INTO contexts (root) VALUES ('a')"));
    CHECK_OK(cob_db_commit(f.db));
    g_assert_cmpint(count(f.db), ==, 1);
    fixture_done(&f);
}

/* Read, think, write: lost updates show when a transaction does not keep others out. */
static void add_many(struct cob_db *db)
{
    for (int i = 0; i < 50; i++) {
        int64_t n = 0;

        CHECK_OK(cob_db_begin(db));
        CHECK_OK(cob_db_run(db, read_int, &n, "SELECT used_us FROM contexts"));
        CHECK_OK(cob_db_run(db, NULL, NULL, "UPDATE contexts SET used_us = ?1", COB_DB_I(n + 1)));
        CHECK_OK(cob_db_commit(db));
    }
}

static void *add_in_thread(void *arg)
{
    add_many(arg);
    return NULL;
}

static void test_threads_and_processes(void)
{
    struct fixture f;
    GThread *threads[3];
    pid_t pids[3];
    int64_t n = 0;

    fixture_init(&f);
    CHECK_OK(cob_db_run(f.db, NULL, NULL, "INSERT INTO contexts (root, used_us) VALUES ('a', 0)"));
    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            g_autoptr(cob_db) db = NULL;

            CHECK_OK(cob_db_open(f.path, &db));
            add_many(db);
            _exit(g_test_failed() ? 1 : 0);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("add", add_in_thread, f.db);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        int status = -1;

        g_thread_join(threads[i]);
        waitpid(pids[i], &status, 0);
        g_assert_cmpint(status, ==, 0);
    }
    CHECK_OK(cob_db_run(f.db, read_int, &n, "SELECT used_us FROM contexts"));
    g_assert_cmpint(n, ==, 300);
    fixture_done(&f);
}

/* Processes that begin the same database at once all get it. */
static void test_begun_by_many(void)
{
    for (int round = 0; round < 40; round++) {
        char *path = check_scratch_new();
        pid_t pids[4];

        for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                g_autoptr(cob_db) db = NULL;

                CHECK_OK(cob_db_open(path, &db));
                CHECK_OK(cob_db_run(
                    db, NULL, NULL, "INSERT INTO contexts (root) VALUES (?1)", COB_DB_I(getpid())));
                _exit(g_test_failed() ? 1 : 0);
            }
        }
        for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
            int status = -1;

            waitpid(pids[i], &status, 0);
            g_assert_cmpint(status, ==, 0);
        }
        g_autoptr(cob_db) db = NULL;
        CHECK_OK(cob_db_open(path, &db));
        g_assert_cmpint(count(db), ==, 4);
        g_clear_pointer(&db, cob_db_close);
        check_scratch_free(path);
    }
}

static struct cob_error *add_page(void *arg, const struct cob_db_row *row)
{
    const long page = cob_db_row_int(row, 0);

    g_array_append_val((GArray *)arg, page);
    return NULL;
}

/* The pages that a table and its index begin on.  Returns GArray of long. */
static GArray *pages_of(struct cob_db *db, const char *table)
{
    GArray *pages = g_array_new(FALSE, FALSE, sizeof(long));

    CHECK_OK(cob_db_run(db, add_page, pages,
        "SELECT rootpage FROM sqlite_master WHERE tbl_name = ?1", COB_DB_T(table)));
    return pages;
}

/* Damage that shows only in use is an error that says what to do, and the next start does it. */
static void test_damage_in_use(void)
{
    struct fixture f;
    g_autofree char *noise = g_strnfill(4096, 'x');

    fixture_init(&f);
    CHECK_OK(cob_db_run(f.db, NULL, NULL, "INSERT INTO contexts (root) VALUES ('a')"));
    CHECK_OK(cob_db_run(f.db, NULL, NULL, "PRAGMA wal_checkpoint(TRUNCATE)"));
    g_autofree char *file = g_build_filename(f.path, "cob.db", NULL);
    g_autoptr(GArray) pages = pages_of(f.db, "contexts");
    g_assert_cmpuint(pages->len, >, 0);
    cob_db_close(g_steal_pointer(&f.db));
    FILE *stream = fopen(file, "r+");
    for (guint i = 0; i < pages->len; i++) {
        fseek(stream, (g_array_index(pages, long, i) - 1) * 4096, SEEK_SET);
        g_assert_cmpuint(fwrite(noise, 1, 4096, stream), ==, 4096);
    }
    fclose(stream);
    struct cob_error *err = cob_db_open(f.path, &f.db);
    if (!err)
        err = cob_db_run(f.db, NULL, NULL, "INSERT INTO contexts (root) VALUES ('b')");
    if (err)
        CHECK_ERROR(err, COB_DATA_LOSS,
            "the database */cob.db is damaged (*); run cob again, and it begins a new one");
    cob_db_close(g_steal_pointer(&f.db));
    CHECK_OK(cob_db_open(f.path, &f.db));
    g_assert_cmpint(count(f.db), ==, 0);
    CHECK_OK(cob_db_run(f.db, NULL, NULL, "INSERT INTO contexts (root) VALUES ('b')"));
    fixture_done(&f);
}

/* A database that cannot be opened by some name of its folder is never taken for a missing one. */
static void test_names_of_the_folder(void)
{
    static const struct {
        const char *name, *path; /* below the scratch folder */
    } rows[] = {
        {"a symlink", "link"},
        {"below a symlink", "up/real"},
        {"a name that is not UTF-8, with a newline", "odd\n\xff'\"%s?x=1#"},
    };
    struct fixture f;

    fixture_init(&f);
    g_autofree char *real = g_build_filename(f.path, "real", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_build_filename(f.path, rows[i].path, NULL);
        g_autofree char *up = g_build_filename(f.path, "up", NULL);
        g_autoptr(cob_db) before = NULL;
        g_autoptr(cob_db) after = NULL;

        g_assert_true(mkdir(real, 0700) == 0 || i > 0);
        g_assert_true(symlink(".", up) == 0 || i > 0);
        if (!strchr(rows[i].path, '/'))
            g_assert_cmpint(symlink("real", path), ==, 0);
        CHECK_OK(cob_db_open(i == 0 ? real : path, &before));
        CHECK_OK(cob_db_run(
            before, NULL, NULL, "INSERT INTO contexts (root) VALUES (?1)", COB_DB_T(rows[i].path)));
        cob_db_close(g_steal_pointer(&before));
        CHECK_OK(cob_db_open(path, &after));
        check_row(count(after) == (int64_t)i + 1, i, rows[i].name);
    }
    fixture_done(&f);
}

static void test_a_path_too_long(void)
{
    struct fixture f;
    struct cob_db *db = NULL;
    g_autofree char *name = g_strnfill(200, 'L');

    fixture_init(&f);
    g_autofree char *path = g_build_filename(f.path, name, name, name, NULL);
    g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    CHECK_ERROR(cob_db_open(path, &db), COB_INVALID,
        "the path */LLL* is longer than 480 bytes: choose another folder with COB_ROOT");
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/db/values", test_values);
    g_test_add_func("/db/errors", test_errors);
    g_test_add_func("/db/transactions", test_transactions);
    g_test_add_func("/db/threads-and-processes", test_threads_and_processes);
    g_test_add_func("/db/begun-by-many", test_begun_by_many);
    g_test_add_func("/db/damage-in-use", test_damage_in_use);
    g_test_add_func("/db/names-of-the-folder", test_names_of_the_folder);
    g_test_add_func("/db/a-path-too-long", test_a_path_too_long);
    return g_test_run();
}
