/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/snapshot/snapshot.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "check.h"
#include "store_fixture.h"
#include "util/fs.h"

#define DESCRIBED(text) (&(const struct cob_snapshot_facts){.description = (text)})

static bool can_mount(void)
{
    return geteuid() == 0 && prctl(PR_CAPBSET_READ, 21 /* CAP_SYS_ADMIN */) == 1;
}

static void put(int dir_fd, const char *name, const char *text)
{
    CHECK_OK(cob_fs_replace_file(dir_fd, name, 0644, text, strlen(text)));
}

/* What a file says; NULL: there is none. */
static char *get(int dir_fd, const char *name)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize len;

    CHECK_OK(cob_fs_read_file(dir_fd, name, 4096, &bytes));
    if (!bytes)
        return NULL;
    const char *data = g_bytes_get_data(bytes, &len);
    return g_strndup(data ? data : "", len);
}

static void check_text(int dir_fd, const char *name, const char *want)
{
    g_autofree char *got = get(dir_fd, name);

    g_assert_cmpstr(got, ==, want);
}

/* A layer with one file. parent: taken. */
static struct cob_snapshot *add_layer(
    struct fixture *f, struct cob_snapshot *parent, const char *name, const char *text)
{
    g_autoptr(cob_snapshot) below = parent;
    struct cob_snapshot_draft *draft = NULL;
    struct cob_snapshot *snapshot = NULL;

    CHECK_OK(cob_snapshot_draft_new(f->store, below, &draft));
    put(cob_snapshot_draft_fd(draft), name, text);
    CHECK_OK(cob_snapshot_commit(draft, DESCRIBED(name), &snapshot));
    return snapshot;
}

static void test_commit_and_get(void)
{
    struct fixture f;
    g_autofree char *id = NULL;

    fixture_init(&f);
    {
        g_autoptr(cob_snapshot) a = add_layer(&f, NULL, "a", "1");
        g_autoptr(cob_snapshot) b = add_layer(&f, cob_snapshot_ref(a), "b", "2");
        g_autoptr(cob_snapshot) same = NULL;
        g_autoptr(cob_snapshot) none = NULL;

        g_assert_cmpuint(cob_snapshot_depth(b), ==, 2);
        g_assert_true(cob_snapshot_parent(b) == a);
        check_text(cob_snapshot_layer_fd(b), "b", "2");
        CHECK_OK(cob_snapshot_get(f.store, cob_snapshot_id(b), &same));
        g_assert_true(same == b);
        CHECK_OK(cob_snapshot_get(f.store, "zz", &none));
        g_assert_null(none);
        CHECK_OK(cob_snapshot_get(f.store, "../x", &none));
        g_assert_null(none);
        id = g_strdup(cob_snapshot_id(b));
    }
    cob_store_close(f.store);
    CHECK_OK(cob_store_open(f.path, &f.store));
    g_autoptr(cob_snapshot) again = NULL;
    CHECK_OK(cob_snapshot_get(f.store, id, &again));
    g_assert_nonnull(again);
    if (again)
        check_text(cob_snapshot_layer_fd(cob_snapshot_parent(again)), "a", "1");
    g_clear_pointer(&again, cob_snapshot_unref);
    fixture_done(&f);
}

static void check_overlay(struct fixture *f)
{
    g_autoptr(cob_snapshot) a = add_layer(f, NULL, "kept", "1");
    g_autoptr(cob_snapshot_draft) draft = NULL;
    g_autoptr(cob_snapshot) b = NULL;
    cob_autoclose int fd = -1;
    cob_autoclose int again = -1;
    cob_autoclose int read_only = -1;
    struct stat st;

    fchmodat(cob_snapshot_layer_fd(a), ".", 0711, 0);
    put(cob_snapshot_layer_fd(a), "gone", "1");
    mkdirat(cob_snapshot_layer_fd(a), "dir", 0755);
    g_assert_cmpint(symlinkat("x", cob_snapshot_layer_fd(a), "dir/old"), ==, 0);
    CHECK_OK(cob_snapshot_draft_new(f->store, a, &draft));
    CHECK_OK(cob_snapshot_draft_mount(draft, &fd));
    if (fd < 0)
        return;
    check_text(fd, "kept", "1");
    put(fd, "new", "2");
    g_assert_cmpint(unlinkat(fd, "gone", 0), ==, 0);
    g_assert_cmpint(unlinkat(fd, "dir/old", 0), ==, 0);
    g_assert_cmpint(unlinkat(fd, "dir", AT_REMOVEDIR), ==, 0);
    g_assert_cmpint(mkdirat(fd, "dir", 0755), ==, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, 0711);
    close(g_steal_fd(&fd));
    CHECK_OK(cob_snapshot_draft_mount(draft, &again)); /* a second time */
    check_text(again, "new", "2");
    close(g_steal_fd(&again));

    int draft_fd = cob_snapshot_draft_fd(draft);
    g_assert_cmpint(fstatat(draft_fd, "gone", &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    g_assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
    cob_autoclose int dir_fd = openat(draft_fd, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char value[4] = {0};
    g_assert_cmpint(
        fgetxattr(dir_fd, cob_snapshot_opaque_xattr(f->store), value, sizeof(value)), ==, 1);
    g_assert_cmpstr(value, ==, "y");

    CHECK_OK(cob_snapshot_commit(g_steal_pointer(&draft), DESCRIBED("b"), &b));
    CHECK_OK(cob_snapshot_mount(b, &read_only));
    check_text(read_only, "new", "2");
    check_text(read_only, "gone", NULL);
    check_text(read_only, "kept", "1");
    g_assert_cmpint(fstatat(read_only, "dir/old", &st, AT_SYMLINK_NOFOLLOW), <, 0);
    g_assert_cmpint(mkdirat(read_only, "x", 0755), <, 0);
    g_assert_cmpint(errno, ==, EROFS);
}

static void check_one_layer(struct fixture *f)
{
    g_autoptr(cob_snapshot) a = add_layer(f, NULL, "a", "1");
    g_autoptr(cob_snapshot_draft) draft = NULL;
    cob_autoclose int fd = -1;
    cob_autoclose int draft_fd = -1;

    CHECK_OK(cob_snapshot_mount(a, &fd));
    check_text(fd, "a", "1");
    g_assert_cmpint(mkdirat(fd, "x", 0755), <, 0);
    g_assert_cmpint(errno, ==, EROFS);
    CHECK_OK(cob_snapshot_draft_new(f->store, NULL, &draft));
    CHECK_OK(cob_snapshot_draft_mount(draft, &draft_fd));
    put(draft_fd, "b", "2");
    check_text(cob_snapshot_draft_fd(draft), "b", "2");
}

static void check_long_chain(struct fixture *f)
{
    g_autoptr(cob_snapshot) top = NULL;
    cob_autoclose int fd = -1;
    cob_autoclose int draft_fd = -1;
    g_autoptr(cob_snapshot_draft) draft = NULL;

    for (int i = 0; i < 300; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        top = add_layer(f, g_steal_pointer(&top), name, name);
    }
    CHECK_OK(cob_snapshot_mount(top, &fd));
    check_text(fd, "f0", "f0");
    check_text(fd, "f299", "f299");
    CHECK_OK(cob_snapshot_draft_new(f->store, top, &draft));
    CHECK_OK(cob_snapshot_draft_mount(draft, &draft_fd));
    put(draft_fd, "new", "1");
    check_text(draft_fd, "f150", "f150");
    check_text(cob_snapshot_draft_fd(draft), "new", "1");
}

static void check_mounts(void)
{
    struct fixture f;

    fixture_init(&f);
    check_one_layer(&f);
    check_overlay(&f);
    check_long_chain(&f);
    fixture_done(&f);
}

/* The second commit of a chain gives the first one back, and leaves nothing. */
static void test_same_chain_is_one(void)
{
    struct fixture f;
    const struct cob_snapshot_facts facts = {
        .chain_id = "sha256:c", .diff_id = "sha256:d", .tar_bytes = 7};
    struct cob_snapshot_draft *draft = NULL;
    struct cob_snapshot *found[3] = {NULL};
    struct cob_snapshot_archive archive = {0};

    fixture_init(&f);
    CHECK_OK(cob_snapshot_get_chain(f.store, "sha256:c", &found[0]));
    g_assert_null(found[0]);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(cob_snapshot_draft_new(f.store, NULL, &draft));
        put(cob_snapshot_draft_fd(draft), "file", "some bytes");
        CHECK_OK(cob_snapshot_commit(draft, &facts, &found[i]));
    }
    CHECK_OK(cob_snapshot_get_chain(f.store, "sha256:c", &found[2]));
    g_assert_true(found[0] == found[1] && found[1] == found[2]);
    CHECK_OK(cob_snapshot_archive(found[0], &archive));
    g_assert_cmpstr(archive.diff_id, ==, "sha256:d");
    g_assert_cmpuint(archive.tar_bytes, ==, 7);
    g_assert_cmpuint(archive.size_bytes, >, 0);
    cob_snapshot_archive_done(&archive);
    for (int i = 0; i < 3; i++)
        cob_snapshot_unref(found[i]);
    fixture_done(&f);
}

/* Many threads commit the same chain: all get the same snapshot. */
static void *commit_chain(void *arg)
{
    const struct cob_snapshot_facts facts = {.chain_id = "sha256:c"};
    struct cob_snapshot *last = NULL;

    for (int i = 0; i < 20; i++) {
        struct cob_snapshot_draft *draft = NULL;

        cob_snapshot_unref(g_steal_pointer(&last));
        CHECK_OK(cob_snapshot_draft_new(arg, NULL, &draft));
        CHECK_OK(cob_snapshot_commit(draft, &facts, &last));
    }
    return last;
}

static void test_threads_commit_the_same_chain(void)
{
    struct fixture f;
    GThread *threads[4];
    struct cob_snapshot *got[4];

    fixture_init(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("commit", commit_chain, f.store);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        got[i] = g_thread_join(threads[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        check_row(got[i] == got[0], i, "the same one");
        cob_snapshot_unref(got[i]);
    }
    fixture_done(&f);
}

/* A row whose files somebody removed goes away, with all that stands on it. */
static void test_lost_files(void)
{
    struct fixture f;

    fixture_init(&f);
    struct cob_snapshot *a = add_layer(&f, NULL, "a", "1");
    struct cob_snapshot *b = add_layer(&f, cob_snapshot_ref(a), "b", "2");
    g_autofree char *a_id = g_strdup(cob_snapshot_id(a));
    g_autofree char *b_id = g_strdup(cob_snapshot_id(b));
    g_autofree char *from = g_build_filename(f.path, "snapshots", a_id, NULL);
    g_autofree char *to = g_build_filename(f.path, "elsewhere", NULL);
    struct cob_snapshot *got = NULL;
    g_autoptr(GPtrArray) rows = NULL;

    cob_snapshot_unref(a);
    cob_snapshot_unref(b);
    g_assert_cmpint(rename(from, to), ==, 0);
    CHECK_OK(cob_snapshot_get(f.store, b_id, &got));
    g_assert_null(got);
    CHECK_OK(cob_snapshot_list(f.store, &rows));
    g_assert_cmpuint(rows->len, ==, 0);
    fixture_done(&f);
}

static bool is_in_use(struct cob_store *store, const char *id)
{
    g_autoptr(GPtrArray) rows = NULL;

    CHECK_OK(cob_snapshot_list(store, &rows));
    for (guint i = 0; i < rows->len; i++) {
        const struct cob_snapshot_usage *row = g_ptr_array_index(rows, i);

        if (strcmp(row->id, id) == 0)
            return row->is_in_use;
    }
    g_test_fail_printf("no row of %s", id);
    return false;
}

static void run_sql(struct fixture *f, const char *sql)
{
    CHECK_OK(cob_db_run(cob_store_db(f->store), NULL, NULL, sql));
}

static struct cob_error *read_count(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

static int64_t count(struct fixture *f, const char *sql)
{
    int64_t n = -1;

    CHECK_OK(cob_db_run(cob_store_db(f->store), read_count, &n, sql));
    return n;
}

/* Another boot, as far as the store can see. */
static void reboot(struct fixture *f)
{
    run_sql(f, "UPDATE snapshots SET boot = 'before' WHERE boot IS NOT NULL");
    run_sql(f, "UPDATE cache SET boot = 'before' WHERE boot IS NOT NULL");
    run_sql(f, "UPDATE meta SET value = 'before' WHERE key = 'boot'");
    cob_store_close(f->store);
    CHECK_OK(cob_store_open(f->path, &f->store));
}

static bool is_there(struct fixture *f, const char *id)
{
    g_autoptr(cob_snapshot) snapshot = NULL;

    CHECK_OK(cob_snapshot_get(f->store, id, &snapshot));
    return snapshot != NULL;
}

/* What may be found in the place of the layer below after a power cut. */
static void lose_nothing(int fs_fd)
{
    (void)fs_fd;
}

static void lose_a_byte(int fs_fd)
{
    cob_autoclose int fd = openat(fs_fd, "below", O_WRONLY | O_CLOEXEC);
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(ftruncate(fd, st.st_size - 1), ==, 0);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    g_assert_cmpint(futimens(fd, times), ==, 0);
}

static void lose_a_file(int fs_fd)
{
    struct stat st;

    g_assert_cmpint(fstat(fs_fd, &st), ==, 0);
    g_assert_cmpint(unlinkat(fs_fd, "below", 0), ==, 0);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    g_assert_cmpint(utimensat(fs_fd, ".", times, 0), ==, 0);
}

static void lose_all(int fs_fd)
{
    lose_a_file(fs_fd);
    g_assert_cmpint(unlinkat(fs_fd, "../fs", AT_REMOVEDIR), ==, 0);
}

static void check_after_reboot(void (*lose)(int fs_fd), bool is_kept, size_t i, const char *name)
{
    struct fixture f;
    g_autofree char *below = NULL;
    g_autofree char *above = NULL;
    g_autofree char *other = NULL;
    cob_autoclose int fd = -1;

    fixture_init(&f);
    {
        g_autoptr(cob_snapshot) a = add_layer(&f, NULL, "below", "12345");
        g_autoptr(cob_snapshot) b = add_layer(&f, cob_snapshot_ref(a), "above", "2");
        g_autoptr(cob_snapshot) c = add_layer(&f, NULL, "other", "3");

        below = g_strdup(cob_snapshot_id(a));
        above = g_strdup(cob_snapshot_id(b));
        other = g_strdup(cob_snapshot_id(c));
        fd = openat(cob_snapshot_layer_fd(a), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    run_sql(&f, "INSERT INTO cache (key, snapshot, boot) SELECT id, id, boot FROM snapshots");
    lose(fd);
    reboot(&f);
    check_row(is_there(&f, below) == is_kept, i, name);
    check_row(is_there(&f, above) == is_kept, i, name);
    check_row(is_there(&f, other), i, name);
    check_row(count(&f, "SELECT count(*) FROM cache") == (is_kept ? 3 : 1), i, name);
    check_row(count(&f, "SELECT count(*) FROM snapshots WHERE boot IS NOT NULL") == 0, i, name);
    check_row(count(&f, "SELECT count(*) FROM cache WHERE boot IS NOT NULL") == 0, i, name);
    fixture_done(&f);
}

static void test_other_boot(void)
{
    static const struct {
        const char *name;
        void (*lose)(int fs_fd);
        bool is_kept;
    } rows[] = {
        {"nothing is lost", lose_nothing, true},
        {"a file is too short", lose_a_byte, false},
        {"a file is gone", lose_a_file, false},
        {"all is gone", lose_all, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        check_after_reboot(rows[i].lose, rows[i].is_kept, i, rows[i].name);
}

/* What was verified once is known to be on disk: it is not looked at after the next restart. */
static void test_verified_once(void)
{
    struct fixture f;
    g_autofree char *id = NULL;

    fixture_init(&f);
    {
        g_autoptr(cob_snapshot) a = add_layer(&f, NULL, "below", "12345");

        id = g_strdup(cob_snapshot_id(a));
    }
    reboot(&f);
    {
        g_autoptr(cob_snapshot) a = NULL;

        CHECK_OK(cob_snapshot_get(f.store, id, &a));
        if (a)
            lose_a_byte(cob_snapshot_layer_fd(a));
    }
    reboot(&f);
    g_assert_true(is_there(&f, id));
    fixture_done(&f);
}

/* A row of a cob that measured no fingerprint is not trusted. */
static void test_no_fingerprint(void)
{
    struct fixture f;
    g_autofree char *id = NULL;

    fixture_init(&f);
    {
        g_autoptr(cob_snapshot) a = add_layer(&f, NULL, "below", "12345");

        id = g_strdup(cob_snapshot_id(a));
    }
    run_sql(&f, "UPDATE snapshots SET fingerprint = NULL, n_entries = NULL");
    reboot(&f);
    g_assert_false(is_there(&f, id));
    fixture_done(&f);
}

/* A hold is seen by every process, covers the parents, and goes with the process that dies. */
static void test_holds(void)
{
    struct fixture f;
    int fds[2];
    char byte = 0;

    fixture_init(&f);
    struct cob_snapshot *a = add_layer(&f, NULL, "a", "1");
    struct cob_snapshot *b = add_layer(&f, cob_snapshot_ref(a), "b", "2");
    g_autofree char *a_id = g_strdup(cob_snapshot_id(a));
    g_autofree char *b_id = g_strdup(cob_snapshot_id(b));

    cob_snapshot_unref(a);
    g_assert_true(is_in_use(f.store, a_id));
    cob_snapshot_unref(b);
    g_assert_false(is_in_use(f.store, a_id));
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cob_store *store = NULL;
        struct cob_snapshot *held = NULL;

        CHECK_OK(cob_store_open(f.path, &store));
        CHECK_OK(cob_snapshot_get(store, b_id, &held));
        if (held && write(fds[1], "y", 1) == 1)
            pause();
        _exit(1);
    }
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 1);
    g_assert_true(is_in_use(f.store, a_id));
    g_assert_true(is_in_use(f.store, b_id));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    g_assert_false(is_in_use(f.store, a_id));
    g_assert_false(is_in_use(f.store, b_id));
    close(fds[0]);
    close(fds[1]);
    fixture_done(&f);
}

static void check_long_error(const char *glob, unsigned n_layers)
{
    struct fixture f;
    g_autoptr(cob_snapshot) top = NULL;
    int fd = -1;

    fixture_init(&f);
    for (unsigned i = 0; i < n_layers; i++)
        top = add_layer(&f, g_steal_pointer(&top), "x", "x");
    CHECK_ERROR(cob_snapshot_mount(top, &fd), COB_OUT_OF_RANGE, glob);
    g_assert_cmpint(fd, ==, -1);
    g_clear_pointer(&top, cob_snapshot_unref);
    fixture_done(&f);
}

static void test_too_many_layers(void)
{
    check_long_error("mount snapshot *: a chain of 501 layers; overlayfs stacks at most 500*", 501);
}

/* Run a check in a child, which may give up rights. */
static void in_child(bool (*prepare)(void), void (*check)(void))
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        if (!prepare())
            _exit(77);
        check();
        _exit(g_test_failed() ? 1 : 0);
    }
    g_assert_cmpint(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        check_skip("the kernel does not let this child be prepared");
    else
        g_assert_cmpint(status, ==, 0);
}

/* An old kernel: no fsopen. */
static bool without_fsopen(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsopen, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = G_N_ELEMENTS(filter), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool write_text(const char *path, const char *text)
{
    cob_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool in_user_namespace(void)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", "0 0 1") && write_text("/proc/self/gid_map", "0 0 1");
}

static bool in_user_namespace_without_fsopen(void)
{
    return in_user_namespace() && without_fsopen();
}

static void test_mounts(void)
{
    if (!can_mount())
        check_skip("needs root");
    else
        check_mounts();
}

static void test_mounts_on_an_old_kernel(void)
{
    if (!can_mount())
        check_skip("needs root");
    else
        in_child(without_fsopen, check_mounts);
}

static void test_mounts_in_a_user_namespace(void)
{
    in_child(in_user_namespace, check_mounts);
}

static void test_mounts_in_a_user_namespace_on_an_old_kernel(void)
{
    in_child(in_user_namespace_without_fsopen, check_mounts);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    /* First, while there is one thread: their children start others, and a fork of a process that
     * has several is one that ThreadSanitizer cannot follow. */
    g_test_add_func("/snapshot/mounts-on-an-old-kernel", test_mounts_on_an_old_kernel);
    g_test_add_func("/snapshot/mounts-in-a-user-namespace", test_mounts_in_a_user_namespace);
    g_test_add_func("/snapshot/mounts-in-a-user-namespace-on-an-old-kernel",
        test_mounts_in_a_user_namespace_on_an_old_kernel);
    g_test_add_func("/snapshot/commit-and-get", test_commit_and_get);
    g_test_add_func("/snapshot/same-chain-is-one", test_same_chain_is_one);
    g_test_add_func("/snapshot/threads-commit-one-chain", test_threads_commit_the_same_chain);
    g_test_add_func("/snapshot/lost-files", test_lost_files);
    g_test_add_func("/snapshot/other-boot", test_other_boot);
    g_test_add_func("/snapshot/verified-once", test_verified_once);
    g_test_add_func("/snapshot/no-fingerprint", test_no_fingerprint);
    g_test_add_func("/snapshot/holds", test_holds);
    g_test_add_func("/snapshot/too-many-layers", test_too_many_layers);
    g_test_add_func("/snapshot/mounts", test_mounts);
    return g_test_run();
}
