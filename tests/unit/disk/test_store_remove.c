/* SPDX-License-Identifier: Apache-2.0 */
/* Removing snapshots and blobs: what may go, what stays, and what is noted of it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "disk/snapshot/snapshot.h"
#include "store_fixture.h"
#include "util/fs.h"

static struct cob_snapshot *add_layer(struct fixture *f, struct cob_snapshot *parent)
{
    struct cob_snapshot_draft *draft = NULL;
    struct cob_snapshot *snapshot = NULL;

    CHECK_OK(cob_snapshot_draft_new(f->store, parent, &draft));
    CHECK_OK(cob_fs_replace_file(cob_snapshot_draft_fd(draft), "f", 0644, "text", 4));
    CHECK_OK(cob_snapshot_commit(
        draft, &(const struct cob_snapshot_facts){.description = "a layer"}, &snapshot));
    return snapshot;
}

static struct cob_error *read_text(void *arg, const struct cob_db_row *row)
{
    *(char **)arg = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

/* The first column of the first row; NULL: there is none. */
static char *ask(struct fixture *f, const char *sql)
{
    char *text = NULL;

    CHECK_OK(cob_db_run(cob_store_db(f->store), read_text, &text, sql));
    return text;
}

static void run_sql(struct fixture *f, const char *sql, const char *value)
{
    struct cob_db *db = cob_store_db(f->store);

    CHECK_OK(
        value ? cob_db_run(db, NULL, NULL, sql, COB_DB_T(value)) : cob_db_run(db, NULL, NULL, sql));
}

static bool is_there(struct fixture *f, const char *format, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s%s", f->path, format, name);

    return access(path, F_OK) == 0;
}

static bool remove_snapshot(struct fixture *f, const char *id, const char *rule)
{
    bool is_removed = false;

    CHECK_OK(cob_snapshot_remove(f->store, id, rule, &is_removed));
    return is_removed;
}

static void test_snapshot(void)
{
    struct fixture f;

    fixture_init(&f);
    struct cob_snapshot *below = add_layer(&f, NULL);
    struct cob_snapshot *above = add_layer(&f, below);
    g_autofree char *low = g_strdup(cob_snapshot_id(below));
    g_autofree char *high = g_strdup(cob_snapshot_id(above));

    run_sql(&f,
        "INSERT INTO cache (key, snapshot, description) VALUES ('k1', ?1, 'RUN a'),"
        "  ('k2', ?1, 'RUN b')",
        high);
    run_sql(&f, "INSERT INTO remotes (key, snapshot, used_us) VALUES ('r', ?1, 1)", high);
    run_sql(&f,
        "INSERT INTO images (name, platform, config_digest, snapshot, size_bytes, created_us)"
        "  VALUES ('named', 'linux/x', 'c', ?1, 1, 1)",
        high);
    g_assert_false(remove_snapshot(&f, high, "prune")); /* this process has it, and it has a name */
    cob_snapshot_unref(below);
    cob_snapshot_unref(above);
    g_assert_false(remove_snapshot(&f, high, "prune")); /* it has a name */
    run_sql(&f, "UPDATE images SET name = NULL", NULL);
    g_assert_false(remove_snapshot(&f, low, "prune")); /* another one stands on it */
    g_assert_true(remove_snapshot(&f, high, "max-used-space 1MB of layers"));
    g_assert_false(remove_snapshot(&f, high, "prune")); /* gone already */
    g_assert_false(is_there(&f, "snapshots/", high));
    g_assert_true(is_there(&f, "snapshots/", low));

    g_autofree char *noted =
        ask(&f, "SELECT group_concat(key || ' ' || description || ' ' || rule, '; ') FROM"
                "  (SELECT * FROM evictions ORDER BY key)");
    g_assert_cmpstr(
        noted, ==, "k1 RUN a max-used-space 1MB of layers; k2 RUN b max-used-space 1MB of layers");
    g_autofree char *left =
        ask(&f, "SELECT (SELECT count(*) FROM cache) + (SELECT count(*) FROM remotes)"
                "  + (SELECT count(*) FROM images) + (SELECT count(*) FROM snapshots)");
    g_assert_cmpstr(left, ==, "1");
    g_assert_true(remove_snapshot(&f, low, "prune"));
    g_assert_false(is_there(&f, "snapshots/", low));
    fixture_done(&f);
}

static bool remove_blob(struct fixture *f, const char *digest)
{
    bool is_removed = false;

    CHECK_OK(cob_store_blob_remove(f->store, digest, &is_removed));
    return is_removed;
}

static char *put_blob(struct fixture *f, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    char *digest = NULL;

    CHECK_OK(cob_store_blob_put(f->store, bytes, &digest));
    return digest;
}

static void test_blob(void)
{
    struct fixture f;

    fixture_init(&f);
    g_autofree char *named = put_blob(&f, "a config");
    g_autofree char *loose = put_blob(&f, "an archive");
    struct cob_store_image image = {.name = (char *)(uintptr_t) "n",
        .platform = (char *)(uintptr_t) "linux/x",
        .config_digest = named};

    CHECK_OK(cob_store_image_put(f.store, &image));
    run_sql(&f, "INSERT INTO archives VALUES ('d', 'm', ?1, 1)", loose);
    g_assert_false(remove_blob(&f, named));
    g_assert_true(remove_blob(&f, loose));
    g_assert_false(remove_blob(&f, loose));
    g_assert_false(is_there(&f, "blobs/sha256/", strchr(loose, ':') + 1));
    g_autofree char *n_archives = ask(&f, "SELECT count(*) FROM archives");
    g_assert_cmpstr(n_archives, ==, "0");
    run_sql(&f, "UPDATE images SET name = NULL", NULL);
    g_assert_true(remove_blob(&f, named)); /* and the image that nobody can name */
    g_autofree char *n_images = ask(&f, "SELECT count(*) FROM images");
    g_assert_cmpstr(n_images, ==, "0");
    fixture_done(&f);
}

/* A process that runs may have put it, and name it in a moment. */
static void test_blob_of_others(void)
{
    struct fixture f;
    struct cob_store *other = NULL;
    bool is_known = false;

    fixture_init(&f);
    g_autofree char *old = put_blob(&f, "from before");
    g_autofree char *touched = put_blob(&f, "touched");
    run_sql(&f, "UPDATE blobs SET created_us = 1, last_used_us = 1", NULL);
    CHECK_OK(cob_store_open(f.path, &other));
    g_autofree char *fresh = put_blob(&f, "fresh");
    CHECK_OK(cob_store_blob_touch(other, touched, &is_known));
    g_assert_true(is_known);
    CHECK_OK(cob_store_blob_touch(other, "sha256:none", &is_known));
    g_assert_false(is_known);
    g_assert_true(remove_blob(&f, old));
    g_assert_false(remove_blob(&f, fresh));
    g_assert_false(remove_blob(&f, touched));
    cob_store_close(other);
    g_assert_true(remove_blob(&f, fresh));
    g_assert_true(remove_blob(&f, touched));
    fixture_done(&f);
}

static struct cob_snapshot_usage *find(GPtrArray *rows, const char *id)
{
    for (guint i = 0; i < rows->len; i++) {
        if (strcmp(((struct cob_snapshot_usage *)rows->pdata[i])->id, id) == 0)
            return rows->pdata[i];
    }
    g_assert_not_reached();
}

/* Who shares files by hard links says whose they were, also by two steps. */
static void test_origin(void)
{
    struct fixture f;
    g_autoptr(GPtrArray) rows = NULL;
    struct cob_snapshot *chain[3] = {NULL};

    fixture_init(&f);
    chain[0] = add_layer(&f, NULL);
    for (int i = 1; i < 3; i++) {
        struct cob_snapshot_draft *draft = NULL;

        CHECK_OK(cob_snapshot_draft_new(f.store, NULL, &draft));
        CHECK_OK(cob_snapshot_draft_graft(draft, chain[i - 1]));
        CHECK_OK(cob_snapshot_commit(
            draft, &(const struct cob_snapshot_facts){.description = "graft"}, &chain[i]));
    }
    CHECK_OK(cob_snapshot_list(f.store, &rows));
    g_assert_null(find(rows, cob_snapshot_id(chain[0]))->origin);
    for (int i = 1; i < 3; i++) {
        const struct cob_snapshot_usage *usage = find(rows, cob_snapshot_id(chain[i]));

        g_assert_cmpstr(usage->origin, ==, cob_snapshot_id(chain[0]));
        g_assert_cmpuint(usage->linked_bytes, ==, 4096);
        g_assert_cmpuint(usage->size_bytes, >=, usage->linked_bytes);
    }
    for (int i = 0; i < 3; i++)
        cob_snapshot_unref(chain[i]);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/remove/snapshot", test_snapshot);
    g_test_add_func("/remove/blob", test_blob);
    g_test_add_func("/remove/blob-of-others", test_blob_of_others);
    g_test_add_func("/remove/origin", test_origin);
    return g_test_run();
}
