/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of disk/cachemount share.
 *
 *     cachemount.c         the pool; leases, by the table of sharing rules
 *     cachemount_hold.c    the lock on one directory, tried and waited for
 *     cachemount_queue.c   who waits, in which order
 *     cachemount_user.c    who has a directory, for people
 *     cachemount_record.c  rows: uses, sizes, pins, quotas
 *     cachemount_list.c    what there is
 *     cachemount_remove.c  removed, emptied, and what the dead left of that
 *     cachemount_join.c    PRIVATE directories joined with the primary
 *     cachemount_walk.c    where the bytes of a mount are
 *     cachemount_trim.c    after a build: measured, and held to its quota
 */
#pragma once

#include <sys/stat.h>

#include "disk/cachemount/cachemount.h"
#include "util/limits.h"

#define COB_CACHEMOUNT_USER_BYTES 4096 /* of a request's `user`, as others may read it */

/* What several processes must agree on is on disk. */
struct cob_cachemount_pool {
    int root_fd;
    int owned_fd;      /* the same, when it is the pool's own; else -1 */
    struct cob_db *db; /* borrowed; NULL: no records */
    void (*on_release)(void *arg);
    void *arg;
    int n_leases;        /* atomic */
    GMutex lock;         /* guards touched, watchers */
    GHashTable *touched; /* "<namespace>" NUL "<id>" as GBytes, owned: used since the last settle */
    GArray *watchers;    /* int, owned: inotify descriptors that watch nothing now */
};

/* "<64 hex digits>", which with "-0", "-1", ... are the folders of an id. The caller frees it. */
char *cob_cachemount_hex(const char *namespace, const char *id);

/* "<64 hex digits>-<number>"?  ret_number: may be NULL. */
bool cob_cachemount_is_slot(const char *name, unsigned *ret_number);

/* --- cachemount_queue.c --- */

/* A place in the queue of a directory, given up by closing it, or by dying. */
struct cob_cachemount_ticket {
    int fd; /* -1: none */
    off_t number;
};
COB_RESULT struct cob_error *cob_cachemount_queue_join(
    int slot_fd, struct cob_cachemount_ticket *ret_ticket);
void cob_cachemount_queue_leave(struct cob_cachemount_ticket *ticket);

/* Does nobody wait who came before?  ticket: NULL: before now. */
COB_RESULT struct cob_error *cob_cachemount_queue_is_first(
    int slot_fd, const struct cob_cachemount_ticket *ticket, bool *ret_is_first);

/* --- cachemount_hold.c --- */

/* The lock on one directory. */
struct cob_cachemount_hold {
    int slot_fd; /* its folder, O_RDONLY|O_DIRECTORY; -1: not held */
    int lock_fd; /* flock()ed */
};
#define COB_CACHEMOUNT_NO_HOLD ((struct cob_cachemount_hold){.slot_fd = -1, .lock_fd = -1})

enum cob_cachemount_hold_flags {
    COB_CACHEMOUNT_ALONE = 1 << 0, /* as a writer; else with other readers */
    COB_CACHEMOUNT_MAKE = 1 << 1,  /* make the folder where it is missing */
};

/* ret_hold: slot_fd is -1 when somebody has it or waits for it, or, without COB_CACHEMOUNT_MAKE,
 * when it is not there. */
COB_RESULT struct cob_error *cob_cachemount_try_hold(struct cob_cachemount_pool *pool,
    const char *name, unsigned flags, struct cob_cachemount_hold *ret_hold);
COB_RESULT struct cob_error *cob_cachemount_wait_hold(struct cob_cachemount_pool *pool,
    const char *name, unsigned flags, const struct cob_cachemount_patience *patience,
    struct cob_cachemount_hold *ret_hold);
void cob_cachemount_unhold(struct cob_cachemount_hold *hold);

/* --- cachemount_user.c --- */

/* Who uses a directory, for as long as it is open. It is only for people: what goes wrong here is
 * passed over. */
struct cob_cachemount_presence {
    int fd; /* -1: not shown */
    char *name;
};
void cob_cachemount_enter(
    int slot_fd, const char *user, struct cob_cachemount_presence *ret_presence);
void cob_cachemount_leave(int slot_fd, struct cob_cachemount_presence *presence);

/* Those who live.  ret_users: GPtrArray of struct cob_cachemount_user, owned, oldest first. */
COB_RESULT struct cob_error *cob_cachemount_read_users(int slot_fd, GPtrArray **ret_users);

/* Their texts in one; NULL: nobody. The caller frees it. */
char *cob_cachemount_users_text(const GPtrArray *users);

/* --- cachemount_record.c --- */

/* Note that a directory is used now, and whose it is. */
COB_RESULT struct cob_error *cob_cachemount_record(struct cob_cachemount_pool *pool,
    const char *dir, int slot_fd, const struct cob_cachemount_request *request);

/* What is known of entry->dir, into the entry; nothing where there is no row. */
COB_RESULT struct cob_error *cob_cachemount_read_row(
    struct cob_cachemount_pool *pool, struct cob_cachemount_entry *entry);

/* What was done in one directory counts for another, whose size is not known any more. */
COB_RESULT struct cob_error *cob_cachemount_join_rows(
    struct cob_cachemount_pool *pool, const char *from_dir, const char *to_dir);

/* The row goes, and with the last one of its id the uses. */
COB_RESULT struct cob_error *cob_cachemount_forget(
    struct cob_cachemount_pool *pool, const char *dir);

/* --- cachemount_list.c --- */

/* All directories of one id. ret_entries: as of cob_cachemount_list(). */
COB_RESULT struct cob_error *cob_cachemount_list_id(struct cob_cachemount_pool *pool,
    const char *namespace, const char *id, GPtrArray **ret_entries);

/* --- cachemount_remove.c --- */

/* Remove a directory that is held alone. hold: given up.  ret_freed_bytes: may be NULL. */
COB_RESULT struct cob_error *cob_cachemount_remove_held(struct cob_cachemount_pool *pool,
    const char *name, struct cob_cachemount_hold *hold, uint64_t *ret_freed_bytes);

/* Go on with what a dead process was removing. */
COB_RESULT struct cob_error *cob_cachemount_sweep(struct cob_cachemount_pool *pool);

/* --- cachemount_join.c --- */

/* Join the idle PRIVATE directories of an id with its primary, if that is idle, too. To be called
 * by whoever held a directory of the id alone, when it is free again. What goes wrong is left for
 * the next time. */
void cob_cachemount_join(struct cob_cachemount_pool *pool, const char *hex);

/* --- cachemount_walk.c --- */

/* Visit all below fs_fd, a directory before what is in it; path begins with "./". What vanishes
 * meanwhile, or lies deeper than a path can say, is passed over. */
void cob_cachemount_walk(
    int fs_fd, void (*visit)(void *arg, const char *path, const struct stat *st), void *arg);
