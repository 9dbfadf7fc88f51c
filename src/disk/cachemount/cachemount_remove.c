/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/fs.h"
#include "util/tree.h"

static struct cob_error *read_flag(void *arg, const struct cob_db_row *row)
{
    *(bool *)arg = cob_db_row_int(row, 0) != 0;
    return NULL;
}

/* The row first: files without one are found by the name beside them. */
static struct cob_error *remove_locked(struct cob_cachemount_pool *pool, int slot_fd,
    const char *dir, unsigned flags, bool *ret_is_removed)
{
    g_autofree char *gone = cob_fs_draft_name(".gone-");
    bool is_pinned = false;

    if (pool->db && !(flags & COB_CACHEMOUNT_ALSO_PINNED))
        COB_TRY(cob_db_run(pool->db, read_flag, &is_pinned,
            "SELECT pin FROM cachemounts WHERE dir = ?1", COB_DB_T(dir)));
    if (is_pinned || faccessat(slot_fd, "fs", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return NULL;
    if (pool->db)
        COB_TRY(cob_db_run(
            pool->db, NULL, NULL, "DELETE FROM cachemounts WHERE dir = ?1", COB_DB_T(dir)));
    if (renameat(slot_fd, "fs", slot_fd, gone) < 0)
        return cob_fail_errno(errno, "rename fs");
    *ret_is_removed = true;
    return cob_tree_remove(slot_fd, gone);
}

struct cob_error *cob_cachemount_remove(struct cob_cachemount_pool *pool, const char *dir,
    unsigned flags, bool *ret_is_removed, uint64_t *ret_freed_bytes)
{
    struct cob_tree_usage usage = {0};
    cob_autoclose int slot_fd =
        openat(pool->root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cob_autoclose int lock_fd =
        slot_fd < 0 ? -1 : openat(slot_fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    *ret_is_removed = false;
    if (lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
        return NULL;
    if (ret_freed_bytes)
        COB_TRY(cob_wrap(cob_tree_measure(slot_fd, "fs", &usage), "cache mount %s", dir));
    struct cob_error *err = remove_locked(pool, slot_fd, dir, flags, ret_is_removed);
    flock(lock_fd, LOCK_UN);
    if (!err && ret_freed_bytes)
        *ret_freed_bytes = *ret_is_removed ? usage.size_bytes : 0;
    return cob_wrap(err, "cache mount %s", dir);
}
