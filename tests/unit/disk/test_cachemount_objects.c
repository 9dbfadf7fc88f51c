/* SPDX-License-Identifier: Apache-2.0 */
/* Cache mounts as objects: removed, emptied, measured, held to a quota; what is known of them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "check.h"
#include "disk/cachemount/cachemount.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/limits.h"

struct stored {
    char *path;
    struct cob_store *store;
    struct cob_cachemount_pool *pool;
};

static void stored_init(struct stored *s)
{
    *s = (struct stored){.path = check_scratch_new()};
    CHECK_OK(cob_store_open(s->path, &s->store));
    CHECK_OK(cob_cachemount_pool_open(s->store, NULL, NULL, &s->pool));
}

static void stored_done(struct stored *s)
{
    cob_cachemount_pool_free(s->pool);
    cob_store_close(s->store);
    check_scratch_free(s->path);
}

static struct cob_cachemount_lease *ask(
    struct cob_cachemount_pool *pool, struct cob_cachemount_request request)
{
    struct cob_cachemount_lease *lease = NULL;

    request.mode = 0755;
    request.uid = getuid();
    request.gid = getgid();
    CHECK_OK(cob_cachemount_try_acquire(pool, &request, &lease));
    return lease;
}

/* Write a file into a mount that is held.  age_s: how long ago that was. */
static void put(
    const struct cob_cachemount_lease *lease, const char *name, const char *text, int age_s)
{
    const int dir_fd = cob_cachemount_lease_fd(lease);
    struct timespec times[2];

    cob_autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK_OK(cob_fs_write_fd(fd, text, strlen(text)));
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= age_s;
    times[1] = times[0];
    g_assert_cmpint(futimens(fd, times), ==, 0);
}

/* Returns "" for what is not there. The caller frees it. */
static char *get(const struct cob_cachemount_lease *lease, const char *name)
{
    g_autofree char *path =
        g_strdup_printf("/proc/self/fd/%d/%s", cob_cachemount_lease_fd(lease), name);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

static struct cob_cachemount_entry *only(struct stored *s, GPtrArray **entries)
{
    g_clear_pointer(entries, g_ptr_array_unref);
    CHECK_OK(cob_cachemount_list(s->pool, entries));
    g_assert_cmpuint((*entries)->len, ==, 1);
    return (*entries)->pdata[0];
}

/* Is it removed, with these flags, in this state? */
static void test_remove(void)
{
    static const struct {
        const char *name;
        bool is_pinned, is_held;
        unsigned flags;
        bool want;
    } rows[] = {
        {"an idle one", false, false, 0, true},
        {"one in use", false, true, 0, false},
        {"one in use, also by force", false, true, COB_CACHEMOUNT_ALSO_PINNED, false},
        {"a pinned one", true, false, 0, false},
        {"a pinned one, by force", true, false, COB_CACHEMOUNT_ALSO_PINNED, true},
    };
    g_autoptr(GPtrArray) entries = NULL;
    struct stored s;

    stored_init(&s);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct cob_cachemount_request request = {.id = "r"};
        struct cob_cachemount_lease *lease = ask(s.pool, request);
        bool is_there = false, is_removed = false;
        uint64_t freed_bytes = 0;

        put(lease, "f", "text", 0);
        if (!rows[i].is_held)
            cob_cachemount_release(g_steal_pointer(&lease));
        CHECK_OK(cob_cachemount_set_pinned(s.pool, NULL, "r", rows[i].is_pinned, &is_there));
        g_assert_true(is_there);
        const char *dir = only(&s, &entries)->dir;
        CHECK_OK(cob_cachemount_remove(s.pool, dir, rows[i].flags, &is_removed, &freed_bytes));
        g_assert_cmpint(is_removed, ==, rows[i].want);
        g_assert_cmpint(freed_bytes > 0, ==, rows[i].want);
        check_row(is_removed == rows[i].want, i, rows[i].name);
        cob_cachemount_release(lease);
    }
    CHECK_OK(cob_cachemount_measure(s.pool, entries->pdata[0])); /* listed, and gone since */
    g_clear_pointer(&entries, g_ptr_array_unref);
    CHECK_OK(cob_cachemount_list(s.pool, &entries));
    g_assert_cmpuint(entries->len, ==, 0);
    bool is_removed = true;
    CHECK_ERROR(cob_cachemount_remove(s.pool, "../x", 0, &is_removed, NULL), COB_INVALID,
        "../x is not the folder of a cache mount");
    g_assert_true(is_removed);
    stored_done(&s);
}

static void test_empty_keeps_pin_and_quota(void)
{
    const struct cob_cachemount_request request = {.id = "e", .namespace = "n"};
    g_autoptr(GPtrArray) entries = NULL;
    struct stored s;
    bool is_there = false;
    uint64_t freed_bytes = 0;

    stored_init(&s);
    CHECK_OK(cob_cachemount_empty(s.pool, &request, NULL, &freed_bytes)); /* there is none */
    g_assert_cmpuint(freed_bytes, ==, 0);
    struct cob_cachemount_lease *lease = ask(s.pool, request);
    put(lease, "f", "text", 0);
    cob_cachemount_release(lease);
    CHECK_OK(cob_cachemount_set_pinned(s.pool, "n", "e", true, &is_there));
    CHECK_OK(cob_cachemount_set_quota(s.pool, "n", "e", 1000000, &is_there));
    CHECK_OK(cob_cachemount_empty(s.pool, &request, NULL, &freed_bytes));
    g_assert_cmpuint(freed_bytes, >, 0);
    const struct cob_cachemount_entry *entry = only(&s, &entries);
    g_assert_true(entry->is_pinned);
    g_assert_cmpuint(entry->quota_bytes, ==, 1000000);
    g_assert_cmpuint(entry->n_files, ==, 0);
    lease = ask(s.pool, request);
    g_autofree char *left = get(lease, "f");
    g_assert_cmpstr(left, ==, "");
    cob_cachemount_release(lease);
    CHECK_OK(cob_cachemount_set_pinned(s.pool, "n", "none", true, &is_there));
    g_assert_false(is_there);
    stored_done(&s);
}

static void note_excess(void *arg, const struct cob_cachemount_excess *excess)
{
    struct cob_cachemount_excess *last = arg;

    *last = *excess;
}

/* The size is known until somebody uses the mount again. */
static void test_sizes_are_known_after_settling(void)
{
    const struct cob_cachemount_request request = {.id = "s"};
    g_autoptr(GPtrArray) entries = NULL;
    struct stored s;

    stored_init(&s);
    struct cob_cachemount_lease *lease = ask(s.pool, request);
    put(lease, "f", "text", 0);
    g_assert_false(only(&s, &entries)->is_size_current);
    cob_cachemount_release(lease);
    CHECK_OK(cob_cachemount_settle(s.pool, NULL, NULL));
    g_assert_true(only(&s, &entries)->is_size_current);
    g_assert_cmpuint(only(&s, &entries)->n_files, ==, 1);
    cob_cachemount_release(ask(s.pool, request));
    g_assert_false(only(&s, &entries)->is_size_current);
    g_assert_cmpuint(only(&s, &entries)->n_files, ==, 1);
    stored_done(&s);
}

static void test_quota_takes_the_oldest(void)
{
    const struct cob_cachemount_request request = {.id = "q"};
    g_autofree char *text = g_strnfill(100000, 'x');
    struct cob_cachemount_excess excess = {.id = NULL};
    struct stored s;
    bool is_there = false;

    stored_init(&s);
    struct cob_cachemount_lease *lease = ask(s.pool, request);
    g_assert_cmpint(mkdirat(cob_cachemount_lease_fd(lease), "d", 0755), ==, 0);
    put(lease, "new", text, 10);
    put(lease, "old", text, 1000);
    put(lease, "d/oldest", text, 2000);
    CHECK_OK(cob_cachemount_set_quota(s.pool, NULL, "q", 150000, &is_there));
    CHECK_OK(cob_cachemount_settle(s.pool, note_excess, &excess));
    g_assert_true(excess.is_in_use);
    g_assert_cmpuint(excess.n_trimmed, ==, 0);
    cob_cachemount_release(lease);
    cob_cachemount_release(ask(s.pool, request));
    CHECK_OK(cob_cachemount_settle(s.pool, note_excess, &excess));
    g_assert_cmpuint(excess.n_trimmed, ==, 2);
    g_assert_cmpuint(excess.size_bytes, >, 300000);
    lease = ask(s.pool, request);
    const int fd = cob_cachemount_lease_fd(lease);
    g_assert_cmpint(faccessat(fd, "new", F_OK, 0), ==, 0);
    g_assert_cmpint(faccessat(fd, "old", F_OK, 0), <, 0);
    g_assert_cmpint(faccessat(fd, "d", F_OK, 0), <, 0);
    cob_cachemount_release(lease);
    excess = (struct cob_cachemount_excess){.id = NULL};
    CHECK_OK(cob_cachemount_settle(s.pool, note_excess, &excess));
    g_assert_null(excess.id);
    stored_done(&s);
}

static void test_uses_are_counted_and_bounded(void)
{
    struct cob_cachemount_request request = {.id = "u", .step = "RUN a", .project = "/p"};
    g_autoptr(GPtrArray) uses = NULL;
    struct stored s;

    stored_init(&s);
    for (int i = 0; i < 100; i++) {
        g_autofree char *step = g_strdup_printf("RUN %d", i);

        request.step = step;
        cob_cachemount_release(ask(s.pool, request));
    }
    request.step = "RUN 99";
    cob_cachemount_release(ask(s.pool, request));
    request.is_look = true;
    cob_cachemount_release(ask(s.pool, request));
    CHECK_OK(cob_cachemount_uses(s.pool, NULL, "u", &uses));
    g_assert_cmpuint(uses->len, ==, COB_LIMIT_CACHEMOUNT_USES);
    const struct cob_cachemount_use *last = uses->pdata[0];
    g_assert_cmpstr(last->step, ==, "RUN 99");
    g_assert_cmpstr(last->project, ==, "/p");
    g_assert_cmpint(last->n_uses, ==, 2);
    stored_done(&s);
}

/* What a process was removing when it was killed is gone when the next one opens the pool. */
static void test_what_the_dead_removed_is_gone(void)
{
    const struct cob_cachemount_request request = {.id = "d"};
    g_autoptr(GPtrArray) entries = NULL;
    struct stored s;

    stored_init(&s);
    cob_cachemount_release(ask(s.pool, request));
    g_autofree char *dir = g_strdup(only(&s, &entries)->dir);
    g_autofree char *from = g_build_filename(s.path, "mounts", dir, NULL);
    g_autofree char *name = g_strdup_printf(".gone-%s-0123456789abcdef", dir);
    g_autofree char *to = g_build_filename(s.path, "mounts", name, NULL);
    g_assert_cmpint(rename(from, to), ==, 0);
    g_clear_pointer(&s.pool, cob_cachemount_pool_free);
    CHECK_OK(cob_cachemount_pool_open(s.store, NULL, NULL, &s.pool));
    g_assert_cmpint(access(to, F_OK), <, 0);
    cob_cachemount_release(ask(s.pool, request));
    g_assert_cmpint(only(&s, &entries)->n_uses, ==, 1); /* its row was forgotten */
    stored_done(&s);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cachemount-objects/remove", test_remove);
    g_test_add_func("/cachemount-objects/empty-keeps-pin", test_empty_keeps_pin_and_quota);
    g_test_add_func("/cachemount-objects/sizes-are-known", test_sizes_are_known_after_settling);
    g_test_add_func("/cachemount-objects/quota-takes-oldest", test_quota_takes_the_oldest);
    g_test_add_func("/cachemount-objects/uses-are-bounded", test_uses_are_counted_and_bounded);
    g_test_add_func("/cachemount-objects/the-dead-are-swept", test_what_the_dead_removed_is_gone);
    return g_test_run();
}
