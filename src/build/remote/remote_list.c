/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "build/remote/remote_parts.h"
#include "util/fs.h"
#include "util/tree.h"

char *remote_mirror_key(const char *name)
{
    return g_strconcat("git mirror ", name, NULL);
}

struct cob_error *remote_note_mirror(
    struct cob_store *store, int dir_fd, const char *name, const char *remote)
{
    struct cob_tree_usage usage;

    COB_TRY(cob_tree_measure(dir_fd, name, &usage));
    return cob_db_run(cob_store_db(store), NULL, NULL,
        "INSERT INTO mirrors (name, remote, size_bytes, created_us, used_us, n_uses)"
        "  VALUES (?1, ?2, ?3, ?4, ?4, 1)"
        "  ON CONFLICT (name) DO UPDATE SET size_bytes = excluded.size_bytes,"
        "  used_us = excluded.used_us, n_uses = n_uses + 1",
        COB_DB_T(name), COB_DB_T(remote), COB_DB_I(usage.size_bytes), COB_DB_I(g_get_real_time()));
}

void cob_remote_mirror_free(struct cob_remote_mirror *mirror)
{
    if (!mirror)
        return;
    g_free(mirror->name);
    g_free(mirror->remote);
    g_free(mirror);
}

static struct cob_error *add_mirror(void *arg, const struct cob_db_row *row)
{
    struct cob_remote_mirror *mirror = g_new(struct cob_remote_mirror, 1);

    *mirror = (struct cob_remote_mirror){
        .name = g_strdup(cob_db_row_text(row, 0)),
        .remote = g_strdup(cob_db_row_text(row, 1)),
        .size_bytes = (uint64_t)cob_db_row_int(row, 2),
        .created_us = cob_db_row_int(row, 3),
        .last_used_us = cob_db_row_int(row, 4),
        .n_uses = cob_db_row_int(row, 5),
    };
    g_ptr_array_add(arg, mirror);
    return NULL;
}

static bool is_known(const GPtrArray *mirrors, const char *name)
{
    for (guint i = 0; i < mirrors->len; i++) {
        const struct cob_remote_mirror *mirror = g_ptr_array_index(mirrors, i);

        if (strcmp(mirror->name, name) == 0)
            return true;
    }
    return false;
}

static struct cob_error *add_if_unknown(int dir_fd, const char *name, GPtrArray *mirrors)
{
    struct cob_tree_usage usage;
    struct stat st;

    if (strlen(name) != COB_SHA256_HEX || is_known(mirrors, name) ||
        fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return NULL;
    COB_TRY(cob_tree_measure(dir_fd, name, &usage));
    struct cob_remote_mirror *mirror = g_new(struct cob_remote_mirror, 1);
    *mirror = (struct cob_remote_mirror){.name = g_strdup(name),
        .size_bytes = usage.size_bytes,
        .last_used_us = (int64_t)st.st_mtim.tv_sec * G_USEC_PER_SEC};
    g_ptr_array_add(mirrors, mirror);
    return NULL;
}

/* Those that a fetch died in, or that are older than the table. */
static struct cob_error *add_unknown(struct cob_store *store, GPtrArray *mirrors)
{
    int fd =
        openat(cob_store_root_fd(store), "git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct cob_error *err = NULL;
    const struct dirent *entry;

    while (dir && !err && (entry = readdir(dir)))
        err = add_if_unknown(fd, entry->d_name, mirrors);
    if (dir)
        closedir(dir);
    return err;
}

struct cob_error *cob_remote_mirror_list(struct cob_store *store, GPtrArray **ret_mirrors)
{
    g_autoptr(GPtrArray) mirrors =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_remote_mirror_free);

    COB_TRY(cob_db_run(cob_store_db(store), add_mirror, mirrors,
        "SELECT name, remote, size_bytes, created_us, used_us, n_uses FROM mirrors ORDER BY name"));
    COB_TRY(cob_wrap(add_unknown(store, mirrors), "list git mirrors"));
    *ret_mirrors = g_steal_pointer(&mirrors);
    return NULL;
}

/* The row first. The file that says "somebody works on it" is made, so that a crash half-way leaves
 * a mirror that the next user makes anew. */
static struct cob_error *remove_locked(struct cob_store *store, const char *name)
{
    g_autofree char *busy = g_strconcat(name, ".busy", NULL);
    cob_autoclose int dir_fd =
        openat(cob_store_root_fd(store), "git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    COB_TRY(cob_db_run(
        cob_store_db(store), NULL, NULL, "DELETE FROM mirrors WHERE name = ?1", COB_DB_T(name)));
    if (dir_fd < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "open directory git");
    cob_autoclose int fd = openat(dir_fd, busy, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno != ENOSPC && errno != EDQUOT)
        return cob_fail_errno(errno, "create git/%s", busy);
    COB_TRY(cob_tree_remove(dir_fd, name));
    if (unlinkat(dir_fd, busy, 0) < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "remove git/%s", busy);
    return NULL;
}

struct cob_error *cob_remote_mirror_remove(
    struct cob_store *store, const char *name, bool *ret_is_removed)
{
    g_autofree char *key = remote_mirror_key(name);
    g_autoptr(cob_store_lock) lock = NULL;

    COB_TRY(cob_store_try_lock(store, key, &lock));
    if (lock)
        COB_TRY(cob_wrap(remove_locked(store, name), "remove git mirror %s", name));
    *ret_is_removed = lock != NULL;
    return NULL;
}

struct cob_error *cob_remote_tidy(struct cob_store *store)
{
    COB_TRY(cob_db_run(cob_store_db(store), NULL, NULL,
        "DELETE FROM downloads WHERE digest NOT IN (SELECT digest FROM blobs)"));
    return cob_db_run(cob_store_db(store), NULL, NULL,
        "DELETE FROM remotes WHERE snapshot NOT IN (SELECT id FROM snapshots)");
}
