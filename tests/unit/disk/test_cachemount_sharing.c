/* SPDX-License-Identifier: Apache-2.0 */
/* Cache mounts under load: real processes, waiting, order, death. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "disk/cachemount/cachemount.h"
#include "util/fs.h"

#define SHARED COB_CACHEMOUNT_SHARED
#define PRIVATE COB_CACHEMOUNT_PRIVATE
#define LOCKED COB_CACHEMOUNT_LOCKED

#define N_PROCESSES 8
#define N_TURNS 12

/* What the processes of a test see of each other. */
struct board {
    int n_shared, n_locked, n_private_in_primary; /* atomic; who is inside */
    int n_wrong;                                  /* atomic */
    int order[64], n_order;                       /* atomic: who came in */
    int64_t released_us, taken_us;
};

struct fixture {
    char *path;
    int fd;
    struct board *board;
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new(struct fixture, 1);
    char *path = check_scratch_new();
    struct board *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    g_assert_true(board != MAP_FAILED);
    *f = (struct fixture){
        .path = path, .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .board = board};
    return f;
}

static void fixture_free(struct fixture *f)
{
    close(f->fd);
    munmap(f->board, sizeof(*f->board));
    check_scratch_free(f->path);
    g_free(f);
}
COB_AUTOPTR(fixture, fixture_free)

static struct cob_cachemount_request request_of(const char *id, enum cob_cachemount_sharing sharing)
{
    return (struct cob_cachemount_request){
        .id = id, .sharing = sharing, .mode = 0755, .uid = getuid(), .gid = getgid()};
}

static struct cob_cachemount_lease *wait_for(
    struct cob_cachemount_pool *pool, const char *id, enum cob_cachemount_sharing sharing)
{
    const struct cob_cachemount_request request = request_of(id, sharing);
    struct cob_cachemount_lease *lease = NULL;

    CHECK_OK(cob_cachemount_acquire(pool, &request, NULL, &lease));
    return lease;
}

static bool has_file(const struct cob_cachemount_lease *lease, const char *name)
{
    return faccessat(cob_cachemount_lease_fd(lease), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put_file(const struct cob_cachemount_lease *lease, const char *name)
{
    g_autofree char *path =
        g_strdup_printf("/proc/self/fd/%d/%s", cob_cachemount_lease_fd(lease), name);

    g_assert_true(g_file_set_contents(path, name, -1, NULL));
}

/* Start a process that does something with a pool of its own. */
static pid_t start(struct fixture *f,
    void (*work)(struct fixture *f, struct cob_cachemount_pool *pool, int number), int number)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct cob_cachemount_pool *pool = cob_cachemount_pool_new(f->fd, NULL, NULL);

        work(f, pool, number);
        cob_cachemount_pool_free(pool);
        _exit(0);
    }
    g_assert_cmpint(pid, >, 0);
    return pid;
}

static void expect_end(pid_t pid)
{
    int status = -1;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

/* --- every pair of modes --- */

static enum cob_cachemount_sharing pair[2];

static void check_inside(struct board *board, enum cob_cachemount_sharing sharing, bool is_primary)
{
    const int n_shared = g_atomic_int_get(&board->n_shared);
    const int n_locked = g_atomic_int_get(&board->n_locked);
    const int n_private = g_atomic_int_get(&board->n_private_in_primary);
    bool is_right = true;

    if (sharing == SHARED)
        is_right = is_primary && n_locked == 0 && n_private == 0;
    else if (sharing == LOCKED)
        is_right = is_primary && n_locked == 1 && n_shared == 0 && n_private == 0;
    else if (is_primary)
        is_right = n_private == 1 && n_shared == 0 && n_locked == 0;
    if (!is_right)
        g_atomic_int_inc(&board->n_wrong);
}

static int *count_of(struct board *board, enum cob_cachemount_sharing sharing)
{
    return sharing == SHARED   ? &board->n_shared
           : sharing == LOCKED ? &board->n_locked
                               : &board->n_private_in_primary;
}

static void take_turns(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    const enum cob_cachemount_sharing sharing = pair[number % 2];

    for (int turn = 0; turn < N_TURNS; turn++) {
        g_autofree char *name = g_strdup_printf("by-%d-%d", number, turn);
        struct cob_cachemount_lease *lease = wait_for(pool, "pair", sharing);
        const bool is_primary = has_file(lease, "primary");

        if (is_primary || sharing != PRIVATE)
            g_atomic_int_inc(count_of(f->board, sharing));
        check_inside(f->board, sharing, is_primary);
        put_file(lease, name);
        g_usleep(500);
        check_inside(f->board, sharing, is_primary);
        if (is_primary || sharing != PRIVATE)
            g_atomic_int_add(count_of(f->board, sharing), -1);
        cob_cachemount_release(lease);
    }
}

/* Afterwards there is one directory, and it has what everybody wrote. */
static void check_joined(struct fixture *f, const char *name)
{
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    g_autoptr(cob_cachemount_lease) lease = wait_for(pool, "pair", LOCKED);
    g_autoptr(GPtrArray) entries = NULL;
    unsigned n_missing = 0;

    for (int number = 0; number < N_PROCESSES; number++) {
        for (int turn = 0; turn < N_TURNS; turn++) {
            g_autofree char *file = g_strdup_printf("by-%d-%d", number, turn);

            n_missing += !has_file(lease, file);
        }
    }
    CHECK_OK(cob_cachemount_list(pool, &entries));
    check_row(n_missing == 0, n_missing, name);
    check_row(entries->len == 1, entries->len, name);
    g_assert_cmpuint(n_missing, ==, 0);
    g_assert_cmpuint(entries->len, ==, 1);
}

static void test_pairs(void)
{
    static const struct {
        enum cob_cachemount_sharing first, second;
        const char *name;
    } rows[] = {
        {SHARED, SHARED, "shared and shared"},
        {SHARED, LOCKED, "shared and locked"},
        {SHARED, PRIVATE, "shared and private"},
        {LOCKED, LOCKED, "locked and locked"},
        {LOCKED, PRIVATE, "locked and private"},
        {PRIVATE, PRIVATE, "private and private"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(fixture) f = fixture_new();
        g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
        struct cob_cachemount_lease *first = wait_for(pool, "pair", LOCKED);
        pid_t pids[N_PROCESSES];

        put_file(first, "primary");
        pair[0] = rows[i].first;
        pair[1] = rows[i].second;
        for (int n = 0; n < N_PROCESSES; n++)
            pids[n] = start(f, take_turns, n);
        cob_cachemount_release(first);
        for (int n = 0; n < N_PROCESSES; n++)
            expect_end(pids[n]);
        check_row(f->board->n_wrong == 0, i, rows[i].name);
        g_assert_cmpint(f->board->n_wrong, ==, 0);
        check_joined(f, rows[i].name);
    }
}

/* --- order --- */

static void come_in(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    struct cob_cachemount_lease *lease = wait_for(pool, "order", number % 3 == 1 ? SHARED : LOCKED);
    const int place = g_atomic_int_add(&f->board->n_order, 1);

    f->board->order[place] = number;
    g_usleep(2000);
    cob_cachemount_release(lease);
}

/* How many wait: bytes of the queue that are locked. */
static unsigned n_waiting(const struct fixture *f)
{
    g_autofree char *locks = NULL;
    g_autoptr(GDir) dir = g_dir_open(f->path, 0, NULL);
    const char *name = g_dir_read_name(dir);
    g_autofree char *queue = g_build_filename(f->path, name, "queue", NULL);
    struct stat st;
    unsigned n = 0;

    if (stat(queue, &st) < 0)
        return 0;
    g_assert_true(g_file_get_contents("/proc/locks", &locks, NULL, NULL));
    g_autofree char *inode = g_strdup_printf(":%lu ", (unsigned long)st.st_ino);
    for (const char *at = strstr(locks, inode); at; at = strstr(at + 1, inode))
        n++;
    return n;
}

static void wait_until_waiting(const struct fixture *f, unsigned n)
{
    const gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (n_waiting(f) < n && g_get_monotonic_time() < end)
        g_usleep(1000);
    g_assert_cmpuint(n_waiting(f), ==, n);
}

static void test_waiters_come_in_their_order(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    struct cob_cachemount_lease *first = wait_for(pool, "order", LOCKED);
    pid_t pids[N_PROCESSES];

    for (int n = 0; n < N_PROCESSES; n++) {
        pids[n] = start(f, come_in, n);
        wait_until_waiting(f, (unsigned)n + 1);
    }
    cob_cachemount_release(first);
    for (int n = 0; n < N_PROCESSES; n++)
        expect_end(pids[n]);
    for (int n = 0; n < N_PROCESSES; n++)
        g_assert_cmpint(f->board->order[n], ==, n);
}

static int is_over; /* atomic; of the process that asks */

static void on_alarm(int signum)
{
    (void)signum;
    g_atomic_int_set(&is_over, 1);
}

/* SHARED users without a pause, each other's directory always taken. */
static void stream(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    (void)number;
    signal(SIGALRM, on_alarm);
    alarm(20);
    while (!g_atomic_int_get(&is_over) && g_atomic_int_get(&f->board->n_order) == 0) {
        struct cob_cachemount_lease *lease = wait_for(pool, "stream", SHARED);

        g_usleep(3000);
        cob_cachemount_release(lease);
    }
    if (g_atomic_int_get(&is_over))
        g_atomic_int_inc(&f->board->n_wrong);
}

static void test_a_stream_of_shared_starves_no_locked(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    pid_t pids[N_PROCESSES - 1];

    for (size_t n = 0; n < G_N_ELEMENTS(pids); n++)
        pids[n] = start(f, stream, (int)n);
    g_usleep(50000);
    for (int turn = 0; turn < 5; turn++)
        cob_cachemount_release(wait_for(pool, "stream", LOCKED));
    g_atomic_int_inc(&f->board->n_order);
    for (size_t n = 0; n < G_N_ELEMENTS(pids); n++)
        expect_end(pids[n]);
    g_assert_cmpint(f->board->n_wrong, ==, 0);
}

static void test_who_comes_later_does_not_overtake(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    struct cob_cachemount_lease *first = wait_for(pool, "order", SHARED);
    const struct cob_cachemount_request request = request_of("order", SHARED);
    struct cob_cachemount_lease *late = NULL;

    pid_t pid = start(f, come_in, 0); /* LOCKED */
    wait_until_waiting(f, 1);
    CHECK_OK(cob_cachemount_try_acquire(pool, &request, &late));
    g_assert_null(late);
    cob_cachemount_release(first);
    expect_end(pid);
    CHECK_OK(cob_cachemount_try_acquire(pool, &request, &late));
    g_assert_nonnull(late);
    cob_cachemount_release(late);
}

/* --- death --- */

static void hold_for_ever(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    struct cob_cachemount_lease *lease = wait_for(pool, "order", LOCKED);

    (void)number;
    g_atomic_int_inc(&f->board->n_locked);
    for (;;)
        pause();
    cob_cachemount_release(lease);
}

static void note_time(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    struct cob_cachemount_lease *lease = wait_for(pool, "order", LOCKED);

    (void)number;
    f->board->taken_us = g_get_monotonic_time();
    cob_cachemount_release(lease);
}

static void wait_for_count(int *count, int want)
{
    const gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (g_atomic_int_get(count) < want && g_get_monotonic_time() < end)
        g_usleep(500);
    g_assert_cmpint(g_atomic_int_get(count), ==, want);
}

/* Who holds it dies, and so does who waits first: the next one has it at once. */
static void test_the_dead_hold_up_nobody(void)
{
    g_autoptr(fixture) f = fixture_new();
    pid_t holder = start(f, hold_for_ever, 0);

    wait_for_count(&f->board->n_locked, 1);
    pid_t waiter = start(f, hold_for_ever, 1);
    wait_until_waiting(f, 1);
    pid_t next = start(f, note_time, 2);
    wait_until_waiting(f, 2);
    kill(waiter, SIGKILL);
    waitpid(waiter, NULL, 0);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    f->board->released_us = g_get_monotonic_time();
    expect_end(next);
    g_test_message("handed over by death in %.1f ms",
        (double)(f->board->taken_us - f->board->released_us) / 1000);
    g_assert_cmpint(f->board->taken_us - f->board->released_us, <, G_USEC_PER_SEC / 4);
}

/* Comes when it is told to: one that is forked while the lease is held would have its lock, too. */
static void note_time_when_told(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    wait_for_count(&f->board->n_locked, 1);
    note_time(f, pool, number);
}

static int compare_times(gconstpointer a, gconstpointer b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* How long from a release to the next one's lease? */
static void test_hand_over_time(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    int64_t times_us[21];

    for (size_t turn = 0; turn < G_N_ELEMENTS(times_us); turn++) {
        pid_t pid = start(f, note_time_when_told, 0);
        struct cob_cachemount_lease *lease = wait_for(pool, "order", LOCKED);

        g_atomic_int_inc(&f->board->n_locked);
        wait_until_waiting(f, 1);
        g_usleep(60000); /* the waiter's own looks are far apart by now */
        f->board->released_us = g_get_monotonic_time();
        cob_cachemount_release(lease);
        expect_end(pid);
        g_atomic_int_set(&f->board->n_locked, 0);
        times_us[turn] = f->board->taken_us - f->board->released_us;
    }
    qsort(times_us, G_N_ELEMENTS(times_us), sizeof(times_us[0]), compare_times);
    g_test_message("handed over in %.2f ms (median), %.2f ms (longest)",
        (double)times_us[G_N_ELEMENTS(times_us) / 2] / 1000,
        (double)times_us[G_N_ELEMENTS(times_us) - 1] / 1000);
    g_assert_cmpint(times_us[G_N_ELEMENTS(times_us) / 2], <, 30000);
}

/* --- cancel --- */

struct waiting {
    struct cob_cachemount_pool *pool;
    struct cob_cancel *cancel;
    int n_told; /* atomic */
    char *told;
    struct cob_error *err;
    int64_t ended_us;
};

static void note_told(void *arg, const char *holder, unsigned seconds)
{
    struct waiting *waiting = arg;

    g_assert_cmpuint(seconds, ==, 0);
    waiting->told = g_strdup(holder);
    g_atomic_int_inc(&waiting->n_told);
}

static void *wait_in_vain(void *arg)
{
    struct waiting *waiting = arg;
    const struct cob_cachemount_request request = request_of("order", LOCKED);
    const struct cob_cachemount_patience patience = {
        .cancel = waiting->cancel, .tell = note_told, .arg = waiting};
    struct cob_cachemount_lease *lease = NULL;

    waiting->err = cob_cachemount_acquire(waiting->pool, &request, &patience, &lease);
    waiting->ended_us = g_get_monotonic_time();
    return NULL;
}

static void test_waiting_is_told_and_ends_when_cancelled(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    struct cob_cachemount_request request = request_of("order", SHARED);
    struct cob_cachemount_lease *lease = NULL;
    struct waiting waiting = {.pool = pool};

    request.user = "build 1 (RUN make)";
    CHECK_OK(cob_cachemount_acquire(pool, &request, NULL, &lease));
    CHECK_OK(cob_cancel_new(&waiting.cancel));
    GThread *thread = g_thread_new("waiter", wait_in_vain, &waiting);
    wait_for_count(&waiting.n_told, 1);
    g_assert_cmpstr(waiting.told, ==, "build 1 (RUN make)");
    const int64_t cancelled_us = g_get_monotonic_time();
    cob_cancel_trigger(waiting.cancel);
    g_thread_join(thread);
    CHECK_ERROR(waiting.err, COB_CANCELLED, "cache mount order: *");
    g_assert_cmpint(waiting.ended_us - cancelled_us, <, G_USEC_PER_SEC / 5);
    g_assert_cmpuint(n_waiting(f), ==, 0);
    cob_cachemount_release(lease);
    g_free(waiting.told);
    cob_cancel_unref(waiting.cancel);
}

/* --- several locks --- */

/* In the order that every step takes them. */
static void take_two(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    (void)f;
    for (int turn = 0; turn < 30; turn++) {
        struct cob_cachemount_lease *a = wait_for(pool, "a", (number + turn) % 2 ? LOCKED : SHARED);
        struct cob_cachemount_lease *b = wait_for(pool, "b", (number + turn) % 3 ? LOCKED : SHARED);

        cob_cachemount_release(number % 2 ? a : b);
        cob_cachemount_release(number % 2 ? b : a);
    }
}

static void test_two_locks_of_many_end(void)
{
    g_autoptr(fixture) f = fixture_new();
    pid_t pids[N_PROCESSES];

    for (int n = 0; n < N_PROCESSES; n++)
        pids[n] = start(f, take_two, n);
    for (int n = 0; n < N_PROCESSES; n++)
        expect_end(pids[n]);
}

/* --- removed and emptied under load --- */

static void use_again_and_again(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    for (int turn = 0; turn < 40; turn++) {
        struct cob_cachemount_lease *lease = wait_for(pool, "gone", number % 2 ? SHARED : LOCKED);

        put_file(lease, "f");
        g_usleep(200);
        if (!has_file(lease, "f")) /* taken away from under its user */
            g_atomic_int_inc(&f->board->n_wrong);
        cob_cachemount_release(lease);
    }
}

static void remove_again_and_again(struct fixture *f, struct cob_cachemount_pool *pool, int number)
{
    const struct cob_cachemount_request request = request_of("gone", LOCKED);
    g_autoptr(GDir) dir = g_dir_open(f->path, 0, NULL);
    g_autofree char *name = g_strdup(g_dir_read_name(dir));
    bool is_removed = false;

    for (int turn = 0; turn < 200; turn++) {
        if (number == 0)
            CHECK_OK(cob_cachemount_remove(pool, name, 0, &is_removed, NULL));
        else if (turn < 20)
            CHECK_OK(cob_cachemount_empty(pool, &request, NULL, NULL));
        g_usleep(300);
    }
}

static void test_nothing_is_removed_in_use(void)
{
    g_autoptr(fixture) f = fixture_new();
    g_autoptr(cob_cachemount_pool) pool = cob_cachemount_pool_new(f->fd, NULL, NULL);
    pid_t pids[6];

    cob_cachemount_release(wait_for(pool, "gone", SHARED));
    for (int n = 0; n < 4; n++)
        pids[n] = start(f, use_again_and_again, n);
    for (int n = 0; n < 2; n++)
        pids[4 + n] = start(f, remove_again_and_again, n);
    for (size_t n = 0; n < G_N_ELEMENTS(pids); n++)
        expect_end(pids[n]);
    g_assert_cmpint(f->board->n_wrong, ==, 0);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cachemount-sharing/pairs", test_pairs);
    g_test_add_func("/cachemount-sharing/order", test_waiters_come_in_their_order);
    g_test_add_func("/cachemount-sharing/no-starving", test_a_stream_of_shared_starves_no_locked);
    g_test_add_func("/cachemount-sharing/no-overtaking", test_who_comes_later_does_not_overtake);
    g_test_add_func("/cachemount-sharing/the-dead", test_the_dead_hold_up_nobody);
    g_test_add_func("/cachemount-sharing/hand-over-time", test_hand_over_time);
    g_test_add_func("/cachemount-sharing/cancel", test_waiting_is_told_and_ends_when_cancelled);
    g_test_add_func("/cachemount-sharing/two-locks", test_two_locks_of_many_end);
    g_test_add_func("/cachemount-sharing/nothing-removed-in-use", test_nothing_is_removed_in_use);
    return g_test_run();
}
