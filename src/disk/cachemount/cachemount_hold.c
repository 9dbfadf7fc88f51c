/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock on one directory. Who has to wait is woken by the kernel: inotify tells when somebody
 * closes the lock or leaves the queue, as it does for a process that is killed.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"

/* Of a process that dies, the kernel tells of the file before it unlocks it, so who is woken looks
 * again after 1, 2, 4, ... ms. The longest pause is for what nobody tells of. */
#define FIRST_PAUSE_MS 1
#define LONGEST_PAUSE_MS 250
#define UNTOLD_PAUSE_MS 20 /* without inotify */

/* Who waits no longer than that says nothing of it. */
#define SILENT_US 100000

/* --- tried --- */

/* Open the folder of a directory.  ret_fd: -1 when it is not there. One that is made here may be
 * gone again before it is opened: who joins directories takes any that is idle. */
static struct cob_error *open_slot(int root_fd, const char *name, bool is_made, int *ret_fd)
{
    do {
        if (is_made && mkdirat(root_fd, name, 0700) < 0 && errno != EEXIST)
            return cob_fail_errno(errno, "make directory %s", name);
        *ret_fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    } while (*ret_fd < 0 && errno == ENOENT && is_made);
    return *ret_fd < 0 && errno != ENOENT ? cob_fail_errno(errno, "open directory %s", name) : NULL;
}

static struct cob_error *open_lock(int slot_fd, int *ret_fd)
{
    *ret_fd = openat(slot_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open lock") : NULL;
}

static struct cob_error *try_lock(int fd, unsigned flags, bool *ret_is_locked)
{
    const int kind = flags & COB_CACHEMOUNT_ALONE ? LOCK_EX : LOCK_SH;

    *ret_is_locked = TEMP_FAILURE_RETRY(flock(fd, kind | LOCK_NB)) == 0;
    return *ret_is_locked || errno == EWOULDBLOCK ? NULL : cob_fail_errno(errno, "lock");
}

/* Whoever removes a directory renames it first, with its lock: is this one still in its place? */
static bool is_in_place(int root_fd, const char *name, int lock_fd)
{
    g_autofree char *path = g_strconcat(name, "/lock", NULL);
    struct stat st, now;

    return fstat(lock_fd, &st) == 0 && fstatat(root_fd, path, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_dev == now.st_dev && st.st_ino == now.st_ino;
}

/* An open directory whose lock may or may not be held. */
struct attempt {
    struct cob_cachemount_pool *pool;
    const char *name;
    unsigned flags;
    struct cob_cachemount_hold hold; /* slot_fd -1: the directory is not there */
    bool is_locked, is_lost;         /* lost: it was removed; all begins again */
};

static struct cob_error *attempt_open(struct attempt *attempt)
{
    const bool is_made = attempt->flags & COB_CACHEMOUNT_MAKE;
    struct cob_error *err = NULL;
    bool is_gone;

    attempt->is_locked = attempt->is_lost = false;
    do {
        attempt->hold = COB_CACHEMOUNT_NO_HOLD;
        COB_TRY(open_slot(attempt->pool->root_fd, attempt->name, is_made, &attempt->hold.slot_fd));
        if (attempt->hold.slot_fd < 0)
            return NULL;
        err = open_lock(attempt->hold.slot_fd, &attempt->hold.lock_fd);
        is_gone = err && cob_error_errno(err) == ENOENT; /* removed since it was opened */
        if (err)
            cob_cachemount_unhold(&attempt->hold);
        if (is_gone)
            g_clear_pointer(&err, cob_error_free);
    } while (is_gone);
    return err;
}

/* ticket: NULL: one who has just come. */
static struct cob_error *attempt_lock(
    struct attempt *attempt, const struct cob_cachemount_ticket *ticket)
{
    bool is_first = false;

    COB_TRY(cob_cachemount_queue_is_first(attempt->hold.slot_fd, ticket, &is_first));
    if (is_first)
        COB_TRY(try_lock(attempt->hold.lock_fd, attempt->flags, &attempt->is_locked));
    attempt->is_lost = !is_in_place(attempt->pool->root_fd, attempt->name, attempt->hold.lock_fd);
    return NULL;
}

struct cob_error *cob_cachemount_try_hold(struct cob_cachemount_pool *pool, const char *name,
    unsigned flags, struct cob_cachemount_hold *ret_hold)
{
    struct attempt attempt = {.pool = pool, .name = name, .flags = flags};
    struct cob_error *err;

    do {
        COB_TRY(attempt_open(&attempt));
        if (attempt.hold.slot_fd < 0)
            break;
        err = attempt_lock(&attempt, NULL);
        if (err || attempt.is_lost || !attempt.is_locked)
            cob_cachemount_unhold(&attempt.hold);
        COB_TRY(cob_wrap(err, "%s", name));
    } while (attempt.is_lost);
    *ret_hold = attempt.hold;
    return NULL;
}

void cob_cachemount_unhold(struct cob_cachemount_hold *hold)
{
    if (hold->lock_fd >= 0)
        flock(hold->lock_fd, LOCK_UN); /* close() alone would not: a child before exec has it too */
    cob_closep(&hold->lock_fd);
    cob_closep(&hold->slot_fd);
    *hold = COB_CACHEMOUNT_NO_HOLD;
}

/* --- waited for --- */

struct wait {
    struct attempt attempt;
    const struct cob_cachemount_patience *patience;
    struct cob_cachemount_ticket ticket;
    int events_fd;  /* inotify; -1: none could be had */
    int watches[2]; /* -1: none */
    int64_t begun_us, next_tell_us;
    int pause_ms;
};

/* One is kept for the next time: to close it takes the kernel 15 ms, and that just when the lock is
 * handed over. */
static int take_watcher(struct cob_cachemount_pool *pool)
{
    int fd = -1;

    g_mutex_lock(&pool->lock);
    if (pool->watchers->len > 0) {
        int *last = &g_array_index(pool->watchers, int, pool->watchers->len - 1);

        fd = g_steal_fd(last);
        g_array_set_size(pool->watchers, pool->watchers->len - 1);
    }
    g_mutex_unlock(&pool->lock);
    return fd >= 0 ? fd : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

static void give_watcher_back(struct wait *wait)
{
    struct cob_cachemount_pool *pool = wait->attempt.pool;

    if (wait->events_fd < 0)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(wait->watches); i++) {
        if (wait->watches[i] >= 0)
            inotify_rm_watch(wait->events_fd, wait->watches[i]);
    }
    g_mutex_lock(&pool->lock);
    g_array_append_val(pool->watchers, wait->events_fd);
    g_mutex_unlock(&pool->lock);
    wait->events_fd = -1;
}

static int watch(const struct wait *wait, int fd)
{
    char path[64];

    g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return inotify_add_watch(wait->events_fd, path, IN_CLOSE_WRITE);
}

static void tell(struct wait *wait)
{
    const int64_t now_us = g_get_monotonic_time();
    g_autoptr(GPtrArray) users = NULL;
    g_autofree char *text = NULL;

    if (!wait->patience->tell || now_us < wait->next_tell_us)
        return;
    cob_error_free(cob_cachemount_read_users(wait->attempt.hold.slot_fd, &users));
    text = users ? cob_cachemount_users_text(users) : NULL;
    wait->patience->tell(
        wait->patience->arg, text, (unsigned)((now_us - wait->begun_us) / G_USEC_PER_SEC));
    wait->next_tell_us += COB_CACHEMOUNT_TELL_S * G_USEC_PER_SEC;
}

/* Until something may have changed. */
static void pause_for_news(struct wait *wait)
{
    char events[4096];
    struct pollfd fds[2] = {{.fd = wait->events_fd, .events = POLLIN},
        {.fd = cob_cancel_fd(wait->patience->cancel), .events = POLLIN}};

    const bool is_told = wait->watches[0] >= 0 && wait->watches[1] >= 0;

    poll(fds, G_N_ELEMENTS(fds), wait->pause_ms);
    wait->pause_ms = MIN(wait->pause_ms * 2, is_told ? LONGEST_PAUSE_MS : UNTOLD_PAUSE_MS);
    if (wait->events_fd >= 0 && read(wait->events_fd, events, sizeof(events)) > 0)
        wait->pause_ms = FIRST_PAUSE_MS;
}

/* In the queue of a directory that is open: until it is ours, or was removed. */
static struct cob_error *wait_in_queue(struct wait *wait)
{
    struct attempt *attempt = &wait->attempt;

    COB_TRY(cob_cachemount_queue_join(attempt->hold.slot_fd, &wait->ticket));
    wait->watches[0] = watch(wait, attempt->hold.lock_fd);
    wait->watches[1] = watch(wait, wait->ticket.fd);
    wait->pause_ms = FIRST_PAUSE_MS;
    for (;;) {
        COB_TRY(attempt_lock(attempt, &wait->ticket));
        if (attempt->is_locked || attempt->is_lost)
            return NULL;
        COB_TRY(cob_cancel_check(wait->patience->cancel));
        tell(wait);
        pause_for_news(wait);
    }
}

/* A directory that is not there needs no lock: ret_hold stays empty. */
static struct cob_error *wait_for_hold(struct wait *wait)
{
    struct attempt *attempt = &wait->attempt;
    struct cob_error *err;

    do {
        COB_TRY(attempt_open(attempt));
        if (attempt->hold.slot_fd < 0)
            return NULL;
        wait->events_fd = take_watcher(attempt->pool);
        wait->watches[0] = wait->watches[1] = -1;
        err = wait_in_queue(wait);
        cob_cachemount_queue_leave(&wait->ticket);
        give_watcher_back(wait);
        if (err || attempt->is_lost)
            cob_cachemount_unhold(&attempt->hold);
        COB_TRY(cob_wrap(err, "%s", attempt->name));
    } while (attempt->is_lost);
    return NULL;
}

struct cob_error *cob_cachemount_wait_hold(struct cob_cachemount_pool *pool, const char *name,
    unsigned flags, const struct cob_cachemount_patience *patience,
    struct cob_cachemount_hold *ret_hold)
{
    static const struct cob_cachemount_patience none = {0};
    struct wait wait = {.attempt = {.pool = pool, .name = name, .flags = flags},
        .patience = patience ? patience : &none,
        .ticket = {.fd = -1},
        .events_fd = -1,
        .begun_us = g_get_monotonic_time(),
        .next_tell_us = g_get_monotonic_time() + SILENT_US};

    COB_TRY(cob_cachemount_try_hold(pool, name, flags, &wait.attempt.hold));
    if (wait.attempt.hold.slot_fd < 0)
        COB_TRY(wait_for_hold(&wait));
    *ret_hold = wait.attempt.hold;
    return NULL;
}
