/* SPDX-License-Identifier: Apache-2.0 */
/* The database is gone or scribbled over: the layers that are whole are taken up, and no other. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "disk/snapshot/snapshot.h"
#include "util/fs.h"

#define CHAIN "sha256:1111111111111111111111111111111111111111111111111111111111111111"

/* Two layers, one on the other, and a third beside them. */
struct fixture {
    char *path;
    struct cob_store *store;
    char *below, *above, *other; /* ids */
};

/* parent: borrowed. */
static struct cob_snapshot *add_layer(
    struct fixture *f, struct cob_snapshot *parent, const char *name, const char *chain_id)
{
    const struct cob_snapshot_facts facts = {
        .description = name, .chain_id = chain_id, .diff_id = chain_id, .tar_bytes = 7};
    struct cob_snapshot_draft *draft = NULL;
    struct cob_snapshot *snapshot = NULL;

    CHECK_OK(cob_snapshot_draft_new(f->store, parent, &draft));
    CHECK_OK(cob_fs_replace_file(cob_snapshot_draft_fd(draft), name, 0644, name, strlen(name)));
    CHECK_OK(cob_snapshot_commit(draft, &facts, &snapshot));
    return snapshot;
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.path = check_scratch_new()};
    CHECK_OK(cob_store_open(f->path, &f->store));
    g_autoptr(cob_snapshot) below = add_layer(f, NULL, "below", CHAIN);
    g_autoptr(cob_snapshot) above = add_layer(f, below, "above", NULL);
    g_autoptr(cob_snapshot) other = add_layer(f, NULL, "other", NULL);
    f->below = g_strdup(cob_snapshot_id(below));
    f->above = g_strdup(cob_snapshot_id(above));
    f->other = g_strdup(cob_snapshot_id(other));
}

static void fixture_done(struct fixture *f)
{
    cob_store_close(f->store);
    check_scratch_free(f->path);
    g_free(f->below);
    g_free(f->above);
    g_free(f->other);
}

static bool is_there(struct fixture *f, const char *id)
{
    g_autoptr(cob_snapshot) snapshot = NULL;

    CHECK_OK(cob_snapshot_get(f->store, id, &snapshot));
    return snapshot != NULL;
}

static bool has_folder(const struct fixture *f, const char *id)
{
    g_autofree char *path = g_strdup_printf("%s/snapshots/%s", f->path, id);

    return access(path, F_OK) == 0;
}

/* --- what happens to the database while nobody uses it --- */

static void remove_database(int root_fd)
{
    g_assert_cmpint(unlinkat(root_fd, "cob.db", 0), ==, 0);
    unlinkat(root_fd, "cob.db-wal", 0);
    unlinkat(root_fd, "cob.db-shm", 0);
}

static void scribble_database(int root_fd)
{
    static const char noise[] = "this was a database";

    CHECK_OK(cob_fs_replace_file(root_fd, "cob.db", 0600, noise, sizeof(noise)));
}

static void mark_database(int root_fd)
{
    CHECK_OK(cob_fs_replace_file(root_fd, "cob.db.bad", 0600, "", 0));
}

/* --- what happens to the layer below, whose folder this is --- */

static void nothing(int layer_fd)
{
    (void)layer_fd;
}

static void cut_file(int layer_fd)
{
    cob_autoclose int fd = openat(layer_fd, "fs/below", O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(ftruncate(fd, 1), ==, 0);
}

static void add_file(int layer_fd)
{
    CHECK_OK(cob_fs_replace_file(layer_fd, "fs/more", 0644, "x", 1));
}

static void change_mode(int layer_fd)
{
    g_assert_cmpint(fchmodat(layer_fd, "fs/below", 04755, 0), ==, 0);
}

static void remove_record(int layer_fd)
{
    g_assert_cmpint(unlinkat(layer_fd, "record", 0), ==, 0);
}

/* A power cut may leave the name of a file without its bytes. */
static void empty_record(int layer_fd)
{
    CHECK_OK(cob_fs_replace_file(layer_fd, "record", 0600, "", 0));
}

static void cut_record(int layer_fd)
{
    cob_autoclose int fd = openat(layer_fd, "record", O_WRONLY | O_CLOEXEC);
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(ftruncate(fd, st.st_size - 1), ==, 0);
}

/* Of the other layer: right in itself, but not of this one. */
static void swap_record(int layer_fd)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize len;

    CHECK_OK(cob_fs_read_file(layer_fd, "../3/record", 10000, &bytes));
    g_assert_nonnull(bytes);
    const void *data = g_bytes_get_data(bytes, &len);
    CHECK_OK(cob_fs_replace_file(layer_fd, "record", 0600, data, len));
}

static void remove_layer(int layer_fd)
{
    g_assert_cmpint(renameat(layer_fd, "../1", layer_fd, "../../not-a-snapshot"), ==, 0);
}

static void lose(struct fixture *f, void (*lose_database)(int), void (*change_layer)(int))
{
    cob_store_close(g_steal_pointer(&f->store));
    cob_autoclose int root_fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *name = g_strdup_printf("snapshots/%s", f->below);
    cob_autoclose int layer_fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    change_layer(layer_fd);
    lose_database(root_fd);
    CHECK_OK(cob_store_open(f->path, &f->store));
}

/* What is not taken up is swept; what is made from now on has a name that nothing had before. */
static void check_lost(
    void (*lose_database)(int), void (*change_layer)(int), bool is_kept, size_t i, const char *name)
{
    struct fixture f;
    g_autoptr(cob_snapshot) chain = NULL;
    g_autoptr(cob_snapshot) more = NULL;

    fixture_init(&f);
    lose(&f, lose_database, change_layer);
    g_autofree char *warning = cob_store_warning(f.store);
    check_row(warning && strstr(warning, "the layers that are whole are kept"), i, name);
    check_row(is_there(&f, f.below) == is_kept, i, name);
    check_row(is_there(&f, f.above) == is_kept, i, name);
    check_row(has_folder(&f, f.below) == is_kept, i, name);
    check_row(has_folder(&f, f.above) == is_kept, i, name);
    check_row(is_there(&f, f.other), i, name);
    CHECK_OK(cob_snapshot_get_chain(f.store, CHAIN, &chain));
    check_row((chain != NULL) == is_kept, i, name);
    more = add_layer(&f, chain, "more", NULL);
    check_row(more && g_ascii_strtoll(cob_snapshot_id(more), NULL, 36) >
                          g_ascii_strtoll(f.other, NULL, 36),
        i, name);
    g_clear_pointer(&chain, cob_snapshot_unref);
    g_clear_pointer(&more, cob_snapshot_unref);
    fixture_done(&f);
}

static void test_databases(void)
{
    static const struct {
        const char *name;
        void (*lose)(int root_fd);
    } rows[] = {
        {"it is gone", remove_database},
        {"it is noise", scribble_database},
        {"it was found bad while in use", mark_database},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        check_lost(rows[i].lose, nothing, true, i, rows[i].name);
}

static void test_layers(void)
{
    static const struct {
        const char *name;
        void (*change)(int layer_fd);
        bool is_kept;
    } rows[] = {
        {"nothing changed", nothing, true},
        {"a file is too short", cut_file, false},
        {"there is one file more", add_file, false},
        {"a mode changed", change_mode, false},
        {"no record", remove_record, false},
        {"an empty record", empty_record, false},
        {"a torn record", cut_record, false},
        {"the record of another layer", swap_record, false},
        {"no layer", remove_layer, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        check_lost(remove_database, rows[i].change, rows[i].is_kept, i, rows[i].name);
}

static struct cob_error *keep_text(void *arg, const struct cob_db_row *row)
{
    *(char **)arg = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

static char *rows_of(struct fixture *f)
{
    char *text = NULL;

    CHECK_OK(cob_db_run(cob_store_db(f->store), keep_text, &text,
        "SELECT group_concat(id || ',' || coalesce(parent, '-') || ',' || depth || ',' ||"
        "  description || ',' || coalesce(chain_id, '-') || ',' || coalesce(diff_id, '-') || ',' ||"
        "  tar_bytes || ',' || size_bytes || ',' || n_entries || ',' || fingerprint || ',' ||"
        "  created_us || ',' || boot, ' ') FROM (SELECT * FROM snapshots ORDER BY id)"));
    return text;
}

/* Rows that were taken up are those that were lost, to the last column; and again. */
static void test_rows_are_the_same(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *before = rows_of(&f);
    lose(&f, remove_database, nothing);
    g_autofree char *after = rows_of(&f);
    g_assert_cmpstr(after, ==, before);
    lose(&f, scribble_database, nothing);
    g_autofree char *again = rows_of(&f);
    g_assert_cmpstr(again, ==, before);
    fixture_done(&f);
}

/* A store that has just begun lost nothing. */
static void test_a_new_store_warns_of_nothing(void)
{
    char *path = check_scratch_new();
    struct cob_store *store = NULL;

    CHECK_OK(cob_store_open(path, &store));
    g_autofree char *warning = cob_store_warning(store);
    g_assert_cmpstr(warning, ==, NULL);
    cob_store_close(store);
    check_scratch_free(path);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/lost-database/databases", test_databases);
    g_test_add_func("/lost-database/layers", test_layers);
    g_test_add_func("/lost-database/rows-are-the-same", test_rows_are_the_same);
    g_test_add_func(
        "/lost-database/a-new-store-warns-of-nothing", test_a_new_store_warns_of_nothing);
    return g_test_run();
}
