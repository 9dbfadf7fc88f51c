/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is removed is renamed first, out of everybody's way, then forgotten, then taken away. A
 * process that dies on the way leaves a folder that says by its name that it is going; whoever
 * opens the pool next goes on with it. Who removes keeps that folder locked, so that no two do the
 * work.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/tree.h"

#define GONE ".gone-"

static struct cob_error *size_of(int dir_fd, const char *name, uint64_t *ret_bytes)
{
    struct cob_tree_usage usage = {0};

    if (!ret_bytes)
        return NULL;
    COB_TRY(cob_tree_measure(dir_fd, name, &usage));
    *ret_bytes = usage.size_bytes;
    return NULL;
}

struct cob_error *cob_cachemount_remove_held(struct cob_cachemount_pool *pool, const char *name,
    struct cob_cachemount_hold *hold, uint64_t *ret_freed_bytes)
{
    g_autofree char *prefix = g_strdup_printf(GONE "%s-", name);
    g_autofree char *gone = cob_fs_draft_name(prefix);
    struct cob_error *err = size_of(pool->root_fd, name, ret_freed_bytes);

    if (!err && TEMP_FAILURE_RETRY(flock(hold->slot_fd, LOCK_EX)) < 0)
        err = cob_fail_errno(errno, "lock directory %s", name);
    if (!err && renameat(pool->root_fd, name, pool->root_fd, gone) < 0)
        err = cob_fail_errno(errno, "rename %s", name);
    if (!err)
        err = cob_cachemount_forget(pool, name);
    if (!err)
        err = cob_tree_remove(pool->root_fd, gone);
    cob_cachemount_unhold(hold);
    return err;
}

static struct cob_error *remove_unless_pinned(struct cob_cachemount_pool *pool, const char *dir,
    unsigned flags, bool *ret_is_removed, uint64_t *ret_freed_bytes)
{
    struct cob_cachemount_entry *found = g_new(struct cob_cachemount_entry, 1);
    g_autoptr(cob_cachemount_entry) entry = found;
    struct cob_cachemount_hold hold = COB_CACHEMOUNT_NO_HOLD;
    uint64_t freed_bytes = 0;
    struct cob_error *err;

    *found = (struct cob_cachemount_entry){.dir = g_strdup(dir)};
    *ret_is_removed = false;
    COB_TRY(cob_cachemount_try_hold(pool, dir, COB_CACHEMOUNT_ALONE, &hold));
    if (hold.slot_fd < 0)
        return NULL;
    err = cob_cachemount_read_row(pool, entry);
    if (err || (entry->is_pinned && !(flags & COB_CACHEMOUNT_ALSO_PINNED))) {
        g_autofree char *hex = g_strndup(dir, COB_SHA256_HEX);

        cob_cachemount_unhold(&hold);
        cob_cachemount_join(pool, hex);
        return err;
    }
    COB_TRY(cob_cachemount_remove_held(pool, dir, &hold, ret_freed_bytes ? &freed_bytes : NULL));
    *ret_is_removed = true;
    if (ret_freed_bytes)
        *ret_freed_bytes = freed_bytes;
    return NULL;
}

struct cob_error *cob_cachemount_remove(struct cob_cachemount_pool *pool, const char *dir,
    unsigned flags, bool *ret_is_removed, uint64_t *ret_freed_bytes)
{
    bool is_removed = false;

    if (!cob_cachemount_is_slot(dir, NULL))
        return cob_fail(COB_INVALID, "%s is not the folder of a cache mount", dir);
    COB_TRY(cob_wrap(remove_unless_pinned(pool, dir, flags, &is_removed, ret_freed_bytes),
        "remove cache mount %s", dir));
    *ret_is_removed = is_removed;
    return NULL;
}

/* --- emptied --- */

/* ret_fd: locked; -1: there are none. */
static struct cob_error *move_files_away(
    struct cob_cachemount_pool *pool, int slot_fd, const char *gone, int *ret_fd)
{
    cob_autoclose int fd = openat(slot_fd, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    *ret_fd = -1;
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        return cob_fail_errno(errno, "open directory fs");
    if (TEMP_FAILURE_RETRY(flock(fd, LOCK_EX)) < 0)
        return cob_fail_errno(errno, "lock directory fs");
    if (renameat(slot_fd, "fs", pool->root_fd, gone) < 0)
        return cob_fail_errno(errno, "rename fs");
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

static struct cob_error *empty_held(struct cob_cachemount_pool *pool, const char *name,
    const struct cob_cachemount_hold *hold, uint64_t *freed_bytes)
{
    g_autofree char *gone = cob_fs_draft_name(GONE "fs-");
    cob_autoclose int gone_fd = -1;
    uint64_t size_bytes = 0;

    COB_TRY(move_files_away(pool, hold->slot_fd, gone, &gone_fd));
    if (pool->db)
        COB_TRY(cob_db_run(pool->db, NULL, NULL,
            "UPDATE cachemounts SET size_bytes = 0, n_files = 0, measured_us = ?2 WHERE dir = ?1",
            COB_DB_T(name), COB_DB_I(g_get_real_time())));
    if (gone_fd < 0)
        return NULL;
    COB_TRY(size_of(pool->root_fd, gone, &size_bytes));
    *freed_bytes += size_bytes;
    return cob_tree_remove(pool->root_fd, gone);
}

/* A PRIVATE directory goes as a whole. */
static struct cob_error *empty_fork(struct cob_cachemount_pool *pool, const char *dir,
    const struct cob_cachemount_patience *patience, uint64_t *freed_bytes)
{
    struct cob_cachemount_hold hold = COB_CACHEMOUNT_NO_HOLD;
    uint64_t size_bytes = 0;

    COB_TRY(cob_cachemount_wait_hold(pool, dir, COB_CACHEMOUNT_ALONE, patience, &hold));
    if (hold.slot_fd < 0)
        return NULL;
    COB_TRY(cob_cachemount_remove_held(pool, dir, &hold, &size_bytes));
    *freed_bytes += size_bytes;
    return NULL;
}

static struct cob_error *empty_all(struct cob_cachemount_pool *pool,
    const struct cob_cachemount_request *request, const struct cob_cachemount_patience *patience,
    const char *primary, const struct cob_cachemount_hold *hold, uint64_t *freed_bytes)
{
    g_autoptr(GPtrArray) entries = NULL;

    if (hold->slot_fd >= 0)
        COB_TRY(empty_held(pool, primary, hold, freed_bytes));
    COB_TRY(cob_cachemount_list_id(pool, request->namespace, request->id, &entries));
    for (guint i = 0; i < entries->len; i++) {
        const struct cob_cachemount_entry *entry = entries->pdata[i];

        if (entry->number > 0)
            COB_TRY(empty_fork(pool, entry->dir, patience, freed_bytes));
    }
    return NULL;
}

/* Whoever comes meanwhile waits: the primary is held until the PRIVATE ones are gone, too, so that
 * nothing of theirs joins it afterwards. */
struct cob_error *cob_cachemount_empty(struct cob_cachemount_pool *pool,
    const struct cob_cachemount_request *request, const struct cob_cachemount_patience *patience,
    uint64_t *ret_freed_bytes)
{
    g_autofree char *hex = cob_cachemount_hex(request->namespace, request->id);
    g_autofree char *primary = g_strconcat(hex, "-0", NULL);
    struct cob_cachemount_hold hold = COB_CACHEMOUNT_NO_HOLD;
    struct cob_cachemount_presence presence = {.fd = -1};
    uint64_t freed_bytes = 0;
    struct cob_error *err;

    COB_TRY(cob_wrap(cob_cachemount_wait_hold(pool, primary, COB_CACHEMOUNT_ALONE, patience, &hold),
        "empty cache mount %s", request->id));
    if (hold.slot_fd >= 0)
        cob_cachemount_enter(hold.slot_fd, request->user, &presence);
    err = empty_all(pool, request, patience, primary, &hold, &freed_bytes);
    cob_cachemount_leave(hold.slot_fd, &presence);
    cob_cachemount_unhold(&hold);
    cob_cachemount_join(pool, hex);
    if (!err && ret_freed_bytes)
        *ret_freed_bytes = freed_bytes;
    return cob_wrap(err, "empty cache mount %s", request->id);
}

/* --- what the dead left --- */

/* ".gone-<64 digits>-<number>-...": the row of a folder that is there no more goes, too. */
static struct cob_error *forget_gone(struct cob_cachemount_pool *pool, const char *gone)
{
    const char *name = gone + strlen(GONE);
    const char *last = strrchr(name, '-');
    g_autofree char *dir = last ? g_strndup(name, (gsize)(last - name)) : g_strdup("");

    if (!cob_cachemount_is_slot(dir, NULL) ||
        faccessat(pool->root_fd, dir, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return NULL;
    return cob_cachemount_forget(pool, dir);
}

static struct cob_error *sweep_one(struct cob_cachemount_pool *pool, const char *gone)
{
    cob_autoclose int fd =
        openat(pool->root_fd, gone, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return NULL;
    COB_TRY(forget_gone(pool, gone));
    return cob_tree_remove(pool->root_fd, gone);
}

struct cob_error *cob_cachemount_sweep(struct cob_cachemount_pool *pool)
{
    int fd = openat(pool->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;
    struct cob_error *err = NULL;

    if (!dir) {
        cob_closep(&fd);
        return cob_fail_errno(errno, "open directory");
    }
    while (!err && (item = readdir(dir))) {
        if (g_str_has_prefix(item->d_name, GONE))
            err = sweep_one(pool, item->d_name);
    }
    closedir(dir);
    return err;
}
