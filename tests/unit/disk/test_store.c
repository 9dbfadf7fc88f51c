/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "store_fixture.h"
#include "util/digest.h"
#include "util/fs.h"

static void reopen(struct fixture *f)
{
    cob_store_close(g_steal_pointer(&f->store));
    CHECK_OK(cob_store_open(f->path, &f->store));
}

static char *put_text(struct cob_store *store, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    char *digest = NULL;

    CHECK_OK(cob_store_blob_put(store, bytes, &digest));
    return digest;
}

static bool has_blob(struct cob_store *store, const char *digest)
{
    int fd = -1;

    CHECK_OK(cob_store_blob_open(store, digest, &fd, NULL));
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static char *file_of(const struct fixture *f, const char *digest)
{
    return g_build_filename(f->path, "blobs/sha256", digest + strlen(COB_DIGEST_PREFIX), NULL);
}

static bool exists(const struct fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->path, name, NULL);

    return access(path, F_OK) == 0;
}

static unsigned n_entries(const struct fixture *f, const char *folder)
{
    g_autofree char *path = g_build_filename(f->path, folder, NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    while (dir && g_dir_read_name(dir))
        n++;
    if (dir)
        g_dir_close(dir);
    return n;
}

static void run_sql(struct cob_store *store, const char *sql)
{
    CHECK_OK(cob_db_run(cob_store_db(store), NULL, NULL, sql));
}

static void test_blobs(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *a = put_text(f.store, "hello");
    g_autofree char *b = put_text(f.store, "hello");
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GBytes) none = NULL;
    static const char absent[] =
        "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    g_assert_cmpstr(
        a, ==, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    g_assert_cmpstr(a, ==, b);
    CHECK_OK(cob_store_blob_read(f.store, a, 100, &bytes));
    g_assert_cmpuint(bytes ? g_bytes_get_size(bytes) : 0, ==, 5);
    CHECK_ERROR(cob_store_blob_read(f.store, a, 4, &none), COB_EXHAUSTED, "blob sha256:*limit*");
    CHECK_OK(cob_store_blob_read(f.store, absent, 100, &none));
    g_assert_null(none);
    CHECK_ERROR(cob_store_blob_read(f.store, "sha256:../../x", 1, &none), COB_INVALID,
        "digest sha256:../../x: not of the form*");
    reopen(&f);
    g_assert_true(has_blob(f.store, a));
    g_assert_cmpuint(n_entries(&f, "tmp"), ==, 1);
    fixture_done(&f);
}

static void test_wrong_digest_leaves_nothing(void)
{
    struct fixture f;
    g_autofree char *want = cob_digest_of("a", 1);
    struct cob_store_blob *blob = NULL;

    fixture_init(&f);
    CHECK_OK(cob_store_blob_create(f.store, want, &blob));
    CHECK_OK(cob_store_blob_write(blob, "b", 1));
    CHECK_ERROR(cob_store_blob_commit(blob, NULL, NULL), COB_DATA_LOSS,
        "the content has digest sha256:*, but sha256:* was expected");
    cob_store_blob_free(blob);
    g_assert_false(has_blob(f.store, want));
    g_assert_cmpuint(n_entries(&f, "blobs/sha256"), ==, 0);
    fixture_done(&f);
}

static struct cob_error *try_image(struct cob_store *store, const char *name, const char *platform,
    const char *config, const char *snapshot)
{
    g_autoptr(cob_store_image) image = g_new(struct cob_store_image, 1);

    *image = (struct cob_store_image){
        .name = g_strdup(name),
        .platform = g_strdup(platform),
        .config_digest = g_strdup(config),
        .snapshot = g_strdup(snapshot),
    };
    return cob_store_image_put(store, image);
}

static void put_image(struct fixture *f, const char *name, const char *platform, const char *config)
{
    CHECK_OK(try_image(f->store, name, platform, config, NULL));
}

static void test_changed_blob_is_put_aside(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *digest = put_text(f.store, "hello");
    g_autofree char *path = file_of(&f, digest);
    g_autoptr(GBytes) bytes = NULL;
    struct cob_store_image *found = NULL;

    put_image(&f, "x", "linux/amd64", digest);
    CHECK_OK(cob_fs_replace_file(AT_FDCWD, path, 0600, "jello", 5));
    CHECK_ERROR(cob_store_blob_read(f.store, digest, 100, &bytes), COB_DATA_LOSS,
        "blob sha256:2cf2* changed on disk*/corrupt");
    g_assert_false(has_blob(f.store, digest));
    g_assert_cmpuint(n_entries(&f, "corrupt"), ==, 1);
    CHECK_OK(cob_store_image_find(f.store, "x", NULL, &found));
    g_assert_null(found);
    g_autofree char *again = put_text(f.store, "hello"); /* and it can come again */
    g_assert_true(has_blob(f.store, again));
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_false(has_blob(f.store, again));
    fixture_done(&f);
}

static char *find_config(struct fixture *f, const char *name, const char *platform)
{
    g_autoptr(cob_store_image) image = NULL;

    CHECK_OK(cob_store_image_find(f->store, name, platform, &image));
    return image ? g_strdup(image->config_digest) : NULL;
}

static void test_images(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *one = put_text(f.store, "hello");
    g_autofree char *two = put_text(f.store, "world");
    const struct {
        const char *name, *platform, *want;
    } rows[] = {
        {"a:1", "linux/amd64", two},
        {"a:1", "linux/arm64", one},
        {"b:1", "linux/amd64", one},
        {"b:1", "linux/arm64", NULL},
        {"none", NULL, NULL},
        {one, NULL, one},
        {"2cf2", NULL, one},
        {"2cf", NULL, NULL},
        {"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", NULL, one},
        {"2CF2", NULL, NULL},
        {"2cf2%", NULL, NULL},
    };
    g_autoptr(GPtrArray) all = NULL;
    bool was_there = false;

    put_image(&f, "a:1", "linux/amd64", one);
    put_image(&f, "a:1", "linux/amd64", two); /* takes the name */
    put_image(&f, "a:1", "linux/arm64", one);
    put_image(&f, "b:1", "linux/amd64", one);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = find_config(&f, rows[i].name, rows[i].platform);

        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].name);
    }
    CHECK_ERROR(try_image(f.store, "bad", "p", one, "zz"), COB_PRECONDITION,
        "put image bad: its snapshot zz is not in the store");
    CHECK_OK(cob_store_image_list(f.store, &all));
    g_assert_cmpuint(all->len, ==, 3);
    CHECK_OK(cob_store_image_remove(f.store, "a:1", NULL, &was_there));
    g_assert_true(was_there);
    CHECK_OK(cob_store_image_remove(f.store, "a:1", NULL, &was_there));
    g_assert_false(was_there);
    put_image(&f, "x", "p", two);
    put_image(&f, "x", "p", one); /* leaves the other without a name */
    CHECK_OK(cob_store_image_remove_unnamed(f.store, one, &was_there));
    g_assert_false(was_there);
    CHECK_OK(cob_store_image_remove_unnamed(f.store, two, &was_there));
    g_assert_true(was_there);
    g_autofree char *left = find_config(&f, "x", NULL);
    g_assert_cmpstr(left, ==, one);
    fixture_done(&f);
}

static void *lock_in_thread(void *arg)
{
    struct cob_store_lock *lock = NULL;

    CHECK_OK(cob_store_try_lock(arg, "step", &lock));
    return lock;
}

static bool can_lock_in_child(const struct fixture *f)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        struct cob_store *store = NULL;
        struct cob_store_lock *lock = NULL;

        CHECK_OK(cob_store_open(f->path, &store));
        CHECK_OK(cob_store_try_lock(store, "step", &lock));
        _exit(lock ? 0 : 1);
    }
    g_assert_cmpint(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), ==, pid);
    return status == 0;
}

static void test_locks(void)
{
    struct fixture f;
    struct cob_store_lock *lock = NULL;
    struct cob_store_lock *other = NULL;

    fixture_init(&f);
    CHECK_OK(cob_store_try_lock(f.store, "step", &lock));
    g_assert_nonnull(lock);
    g_assert_null(g_thread_join(g_thread_new("lock", lock_in_thread, f.store)));
    g_assert_false(can_lock_in_child(&f));
    CHECK_OK(cob_store_try_lock(f.store, "another step", &other));
    g_assert_nonnull(other);
    cob_store_unlock(other);
    cob_store_unlock(lock);
    g_assert_true(can_lock_in_child(&f)); /* and dies with it */
    CHECK_OK(cob_store_try_lock(f.store, "step", &lock));
    g_assert_nonnull(lock);
    cob_store_unlock(lock);
    fixture_done(&f);
}

/* After a loss of power: what was synced stays, the rest goes with what stands on it. */
static struct cob_error *read_count(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

/* How many blobs of another boot nobody has digested. */
static int64_t n_suspects(struct cob_store *store)
{
    int64_t n = -1;

    CHECK_OK(cob_db_run(
        cob_store_db(store), read_count, &n, "SELECT count(*) FROM blobs WHERE boot = 'before'"));
    return n;
}

/* The content comes again before anybody opened what a restart tore. */
static void test_torn_blob_is_replaced(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *digest = put_text(f.store, "text");
    g_autofree char *path = file_of(&f, digest);
    CHECK_OK(cob_fs_replace_file(AT_FDCWD, path, 0600, "\0\0\0\0", 4));
    run_sql(f.store, "UPDATE blobs SET boot = 'before'");
    g_free(put_text(f.store, "text"));
    g_autoptr(GBytes) bytes = NULL;
    CHECK_OK(cob_store_blob_read(f.store, digest, 100, &bytes));
    g_assert_nonnull(bytes);
    fixture_done(&f);
}

static void test_other_boot(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *kept = put_text(f.store, "kept");
    g_autofree char *torn = put_text(f.store, "torn");
    g_autofree char *path = file_of(&f, torn);
    put_image(&f, "kept", "p", kept);
    put_image(&f, "torn", "p", torn);
    CHECK_OK(cob_fs_replace_file(AT_FDCWD, path, 0600, "TORN", 4)); /* as long as it was */
    g_assert_true(has_blob(f.store, torn)); /* the same boot: nobody looks */
    run_sql(f.store, "UPDATE blobs SET boot = 'before'");
    run_sql(f.store, "UPDATE meta SET value = 'before' WHERE key = 'boot'");
    reopen(&f);
    CHECK_OK(cob_store_sync(f.store)); /* does not speak for another boot */
    g_assert_true(has_blob(f.store, kept));
    g_assert_false(has_blob(f.store, torn));
    g_assert_cmpint(access(path, F_OK), <, 0);
    g_assert_cmpint(n_suspects(f.store), ==, 0); /* digested once */
    g_autofree char *image = find_config(&f, "kept", NULL);
    g_autofree char *lost = find_config(&f, "torn", NULL);
    g_assert_cmpstr(image, ==, kept);
    g_assert_cmpstr(lost, ==, NULL);
    fixture_done(&f);
}

static bool scribble(const char *path)
{
    static const char noise[] = "no database at all, and no log of one";

    return !cob_fs_replace_file(AT_FDCWD, path, 0600, noise, sizeof(noise));
}

/* A new database takes up the blobs that are what their names say. */
static void test_lost_database(void)
{
    static const char *const rows[] = {"scribbled", "gone", "marked bad"};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fixture f;

        fixture_init(&f);
        g_autofree char *good = put_text(f.store, "good");
        g_autofree char *bad = put_text(f.store, "bad");
        g_autofree char *bad_path = file_of(&f, bad);
        g_autofree char *database = g_build_filename(f.path, "cob.db", NULL);
        g_autofree char *log = g_build_filename(f.path, "cob.db-wal", NULL);
        g_autofree char *mark = g_build_filename(f.path, "cob.db.bad", NULL);

        CHECK_OK(cob_fs_replace_file(AT_FDCWD, bad_path, 0600, "BAD", 3));
        cob_store_close(g_steal_pointer(&f.store));
        if (i == 0)
            check_row(scribble(database) && scribble(log), i, rows[i]);
        else if (i == 1)
            check_row(unlink(database) == 0 && unlink(log) == 0, i, rows[i]);
        else
            CHECK_OK(cob_fs_replace_file(AT_FDCWD, mark, 0600, "", 0));
        CHECK_OK(cob_store_open(f.path, &f.store));
        g_autofree char *warning = cob_store_warning(f.store);
        const char *want = i == 1
                               ? "the database of the store * was gone, and a new one was begun: *"
                               : "the database of the store * was damaged, and a new one was "
                                 "begun: * is now cob.db.corrupt-*";
        check_row(warning && g_pattern_match_simple(want, warning), i, rows[i]);
        check_row(has_blob(f.store, good), i, rows[i]);
        check_row(!has_blob(f.store, bad) && access(bad_path, F_OK) < 0, i, rows[i]);
        check_row(!exists(&f, "cob.db.bad"), i, rows[i]);
        fixture_done(&f);
    }
}

static void test_newer_store_is_refused(void)
{
    struct fixture f;
    struct cob_store *store = NULL;

    fixture_init(&f);
    run_sql(f.store, "PRAGMA user_version=999");
    CHECK_ERROR(cob_store_open(f.path, &store), COB_PRECONDITION,
        "open the store *: the store * was written by a newer cob (schema 999, this cob knows *");
    fixture_done(&f);
}

static void test_foreign_store_is_refused(void)
{
    struct fixture f;
    struct cob_store *store = NULL;

    fixture_init(&f);
    run_sql(f.store, cob_store_is_userxattr(f.store)
                         ? "UPDATE meta SET value = 'trusted' WHERE key = 'overlay'"
                         : "UPDATE meta SET value = 'user' WHERE key = 'overlay'");
    CHECK_ERROR(
        cob_store_open(f.path, &store), COB_PRECONDITION, "open the store *: it belongs to*");
    fixture_done(&f);
}

static void test_folders_are_private(void)
{
    static const char *const rows[] = {
        "tmp", "blobs", "blobs/sha256", "snapshots", "mounts", "cob.db", "cob.db-wal", "gate"};
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_build_filename(f.path, rows[i], NULL);
        struct stat st = {0};

        check_row(stat(path, &st) == 0 && (st.st_mode & 077) == 0, i, rows[i]);
    }
    fixture_done(&f);
}

/* The target is 1.5 ms; sanitizers and a busy machine take their part. */
static void test_open_is_cheap(void)
{
    struct fixture f;
    int64_t best = G_MAXINT64;

    fixture_init(&f);
    g_free(put_text(f.store, "hello"));
    for (int i = 0; i < 20; i++) {
        cob_store_close(g_steal_pointer(&f.store));
        int64_t began = g_get_monotonic_time();
        CHECK_OK(cob_store_open(f.path, &f.store));
        best = MIN(best, g_get_monotonic_time() - began);
    }
    g_test_minimized_result((double)best / 1000, "open: %" G_GINT64_FORMAT " us", best);
    g_assert_cmpint(best, <, 15000);
    fixture_done(&f);
}

/* Rows of cob_store_blob_list(), which come newest first. */
static void test_blob_list(void)
{
    struct fixture f;
    g_autoptr(GPtrArray) rows = NULL;

    fixture_init(&f);
    g_autofree char *config = put_text(f.store, "a config");
    g_autofree char *other = put_text(f.store, "nobody's");
    g_autofree char *lost = put_text(f.store, "a config whose name is gone");
    CHECK_OK(try_image(f.store, "docker.io/library/old:1", "linux/amd64", lost, NULL));
    CHECK_OK(try_image(f.store, "docker.io/library/old:1", "linux/amd64", config, NULL));
    CHECK_OK(cob_store_blob_list(f.store, &rows));
    const struct {
        const char *digest, *description;
        bool is_in_use;
    } wanted[] = {
        {lost, "config of an image without a name", false},
        {other, NULL, false},
        {config, "config of docker.io/library/old:1", true},
    };
    g_assert_cmpuint(rows->len, ==, G_N_ELEMENTS(wanted));
    for (guint i = 0; i < MIN(rows->len, G_N_ELEMENTS(wanted)); i++) {
        const struct cob_store_blob_usage *row = rows->pdata[i];

        g_assert_cmpstr(row->digest, ==, wanted[i].digest);
        g_assert_cmpstr(row->description, ==, wanted[i].description);
        g_assert_true(row->is_in_use == wanted[i].is_in_use);
        g_assert_cmpuint(row->size_bytes % 512, ==, 0);
        g_assert_cmpint(row->created_us, >, 0);
    }
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/store/blobs", test_blobs);
    g_test_add_func("/store/wrong-digest", test_wrong_digest_leaves_nothing);
    g_test_add_func("/store/changed-blob", test_changed_blob_is_put_aside);
    g_test_add_func("/store/images", test_images);
    g_test_add_func("/store/blob-list", test_blob_list);
    g_test_add_func("/store/locks", test_locks);
    g_test_add_func("/store/other-boot", test_other_boot);
    g_test_add_func("/store/torn-blob-is-replaced", test_torn_blob_is_replaced);
    g_test_add_func("/store/lost-database", test_lost_database);
    g_test_add_func("/store/newer-store", test_newer_store_is_refused);
    g_test_add_func("/store/foreign-store", test_foreign_store_is_refused);
    g_test_add_func("/store/folders-are-private", test_folders_are_private);
    g_test_add_func("/store/open-is-cheap", test_open_is_cheap);
    return g_test_run();
}
