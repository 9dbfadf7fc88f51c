/* SPDX-License-Identifier: Apache-2.0 */
/* Killed, out of space, and many at a time: what the store is afterwards. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "disk/snapshot/snapshot.h"
#include "util/digest.h"
#include "util/fs.h"

static struct cob_error *put_number(struct cob_store *store, int number, char **ret_digest)
{
    g_autofree char *text = g_strdup_printf("blob number %d", number);
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

    return cob_store_blob_put(store, bytes, ret_digest);
}

static struct cob_error *put_image(
    struct cob_store *store, const char *name, const char *config, const char *snapshot)
{
    g_autoptr(cob_store_image) image = g_new(struct cob_store_image, 1);

    *image = (struct cob_store_image){
        .name = g_strdup(name),
        .platform = g_strdup("linux/amd64"),
        .config_digest = g_strdup(config),
        .snapshot = g_strdup(snapshot),
    };
    return cob_store_image_put(store, image);
}

/* A layer with one file, and an image of it.  number: makes it unlike the others. */
static struct cob_error *build(struct cob_store *store, int number)
{
    g_autofree char *digest = NULL;
    g_autofree char *name = g_strdup_printf("image:%d", number);
    struct cob_snapshot_draft *draft = NULL;
    g_autoptr(cob_snapshot) a = NULL;
    g_autoptr(cob_snapshot) b = NULL;
    const struct cob_snapshot_facts facts = {.description = "a step"};

    COB_TRY(put_number(store, number, &digest));
    COB_TRY(cob_snapshot_draft_new(store, NULL, &draft));
    COB_TRY(cob_fs_replace_file(cob_snapshot_draft_fd(draft), "file", 0644, name, strlen(name)));
    COB_TRY(cob_snapshot_commit(draft, &facts, &a));
    COB_TRY(cob_snapshot_draft_new(store, a, &draft));
    COB_TRY(cob_snapshot_commit(draft, &facts, &b));
    return put_image(store, name, digest, cob_snapshot_id(b));
}

static GHashTable *names_in(const char *root, const char *folder)
{
    g_autofree char *path = g_build_filename(root, folder, NULL);
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        g_hash_table_add(names, g_strdup(name));
    if (dir)
        g_dir_close(dir);
    return names;
}

static struct cob_error *add_name(void *arg, const struct cob_db_row *row)
{
    g_hash_table_add(arg, g_strdup(cob_db_row_text(row, 0)));
    return NULL;
}

/* The files of a folder are those that the rows name, no more, no less. */
static void check_same(struct cob_store *store, const char *folder, const char *sql)
{
    g_autoptr(GHashTable) files = names_in(cob_store_path(store), folder);
    g_autoptr(GHashTable) rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    void *name;

    CHECK_OK(cob_db_run(cob_store_db(store), add_name, rows, sql));
    g_assert_cmpuint(g_hash_table_size(files), ==, g_hash_table_size(rows));
    g_hash_table_iter_init(&iter, rows);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!g_hash_table_contains(files, name))
            g_test_fail_printf("%s has no %s", folder, (char *)name);
    }
}

static void check_blob(struct cob_store *store, const char *hex)
{
    g_autofree char *digest = g_strconcat(COB_DIGEST_PREFIX, hex, NULL);
    g_autoptr(GBytes) bytes = NULL;

    CHECK_OK(cob_store_blob_read(store, digest, 1000, &bytes)); /* verifies */
}

static void check_image(struct cob_store *store, const struct cob_store_image *image)
{
    g_autoptr(cob_snapshot) snapshot = NULL;

    check_blob(store, image->config_digest + strlen(COB_DIGEST_PREFIX));
    CHECK_OK(cob_snapshot_get(store, image->snapshot, &snapshot));
    g_assert_nonnull(snapshot);
    if (snapshot)
        g_assert_cmpint(faccessat(cob_snapshot_layer_fd(cob_snapshot_parent(snapshot)), "file",
                            F_OK, AT_SYMLINK_NOFOLLOW),
            ==, 0);
}

/* No record without its data, no data without its record, nothing half-made. */
static void check_whole(const char *path, guint *ret_n_images)
{
    g_autoptr(cob_store) store = NULL;
    g_autoptr(GHashTable) leases = NULL;
    g_autoptr(GPtrArray) images = NULL;

    CHECK_OK(cob_store_open(path, &store));
    if (!store)
        return;
    leases = names_in(path, "tmp");
    g_assert_cmpuint(g_hash_table_size(leases), ==, 1);
    check_same(store, "blobs/sha256", "SELECT substr(digest, 8) FROM blobs");
    check_same(store, "snapshots", "SELECT id FROM snapshots");
    CHECK_OK(cob_store_image_list(store, &images));
    for (guint i = 0; i < images->len; i++)
        check_image(store, g_ptr_array_index(images, i));
    *ret_n_images = images->len;
}

/* Build without end: open, build, close. */
G_GNUC_NORETURN
static void build_forever(const char *path, int seed)
{
    for (int i = 0;; i++) {
        struct cob_store *store = NULL;
        struct cob_error *err = cob_store_open(path, &store);

        for (int n = 0; n < 3 && !err; n++)
            err = build(store, seed * 100000 + i * 10 + n);
        if (err) {
            g_autofree char *text = cob_error_text(err);
            fprintf(stderr, "%s", text);
            _exit(1);
        }
        cob_store_close(store);
    }
}

static pid_t start_builder(const char *path, int seed)
{
    pid_t pid = fork();

    if (pid == 0)
        build_forever(path, seed);
    return pid;
}

static void kill_builder(pid_t pid)
{
    int status = 0;

    kill(pid, SIGKILL);
    g_assert_cmpint(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), ==, pid);
    g_assert_true(WIFSIGNALED(status)); /* it had not failed before */
}

/* kill -9 at growing delays, one builder beside another that lives on. */
static void test_killed_anywhere(void)
{
    char *path = check_scratch_new();
    guint n_images = 0;

    for (int round = 0; round < 60; round++) {
        pid_t pid = start_builder(path, round);
        pid_t other = round % 3 == 0 ? start_builder(path, 1000 + round) : 0;

        g_usleep((gulong)(round * 700));
        kill_builder(pid);
        if (other) {
            g_autoptr(cob_store) store = NULL;

            CHECK_OK(cob_store_open(path, &store)); /* recovers beside a living one */
            if (store)
                CHECK_OK(build(store, 5000000 + round));
            kill_builder(other);
        }
        check_whole(path, &n_images);
    }
    g_assert_cmpuint(n_images, >, 20);
    check_scratch_free(path);
}

/* Many processes put the same and different things at the same time. */
static void test_many_processes(void)
{
    char *path = check_scratch_new();
    pid_t pids[6];
    guint n_images = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct cob_store *store = NULL;

            CHECK_OK(cob_store_open(path, &store));
            for (int n = 0; n < 20 && store; n++)
                CHECK_OK(build(store, n));
            cob_store_close(store);
            _exit(g_test_failed() ? 1 : 0);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        int status = -1;

        waitpid(pids[i], &status, 0);
        g_assert_cmpint(status, ==, 0);
    }
    check_whole(path, &n_images);
    g_assert_cmpuint(n_images, ==, 20);
    check_scratch_free(path);
}

static void *build_in_thread(void *arg)
{
    for (int n = 0; n < 20; n++)
        CHECK_OK(build(arg, n));
    return NULL;
}

static void test_many_threads(void)
{
    char *path = check_scratch_new();
    struct cob_store *store = NULL;
    GThread *threads[4];
    guint n_images = 0;

    CHECK_OK(cob_store_open(path, &store));
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("build", build_in_thread, store);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    cob_store_close(store);
    check_whole(path, &n_images);
    g_assert_cmpuint(n_images, ==, 20);
    check_scratch_free(path);
}

/* Fill the store's disk; ret: how many builds it took until one failed, as a full disk should. */
static int build_until_full(struct cob_store *store)
{
    g_autoptr(cob_error) err = NULL;
    int n = 0;

    while (!err && n < 100000)
        err = build(store, n++);
    g_assert_nonnull(err);
    if (err) {
        g_autofree char *text = cob_error_text(err);

        g_test_message("%s", text);
        g_assert_cmpint(cob_error_code(err), ==, COB_EXHAUSTED);
    }
    return n;
}

static void check_full_disk(const char *path, const char *size)
{
    g_autofree char *store_path = g_build_filename(path, "store", NULL);
    g_autofree char *ballast = g_build_filename(path, "ballast", NULL);
    g_autofree char *options = g_strdup_printf("size=%s,mode=0700", size);
    struct cob_store *store = NULL;
    guint n_images = 0;

    g_assert_cmpint(mount("test", path, "tmpfs", 0, options), ==, 0);
    cob_autoclose int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(posix_fallocate(fd, 0, (off_t)128 * 1024), ==, 0);
    CHECK_OK(cob_store_open(store_path, &store));
    int n = build_until_full(store);
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    CHECK_OK(build(store, n)); /* it goes on when there is space again */
    cob_store_close(store);
    check_whole(store_path, &n_images);
    g_assert_cmpuint(n_images, >, 0);
    umount2(path, MNT_DETACH);
}

static void test_full_disk(void)
{
    static const char *const sizes[] = {"900k", "1000k", "1501k"};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        char *path = check_scratch_new();
        pid_t pid = fork();
        int status = -1;

        if (pid == 0) {
            if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(77);
            check_full_disk(path, sizes[i]);
            _exit(g_test_failed() ? 1 : 0);
        }
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            check_skip("needs the right to mount");
        else
            check_row(status == 0, i, sizes[i]);
        check_scratch_free(path);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/store-faults/killed-anywhere", test_killed_anywhere);
    g_test_add_func("/store-faults/many-processes", test_many_processes);
    g_test_add_func("/store-faults/many-threads", test_many_threads);
    g_test_add_func("/store-faults/full-disk", test_full_disk);
    return g_test_run();
}
