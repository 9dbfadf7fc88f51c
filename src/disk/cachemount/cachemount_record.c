/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "disk/cachemount/cachemount_parts.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/tree.h"

/* --- uses --- */

static const char *namespace_of(const struct cob_cachemount_request *request)
{
    return request->namespace ? request->namespace : "";
}

/* What a list says when the database is gone. Both are text, so a NUL parts them. Nobody waits for
 * it to reach the disk: one that a power cut left empty is written again. */
static struct cob_error *write_name(int slot_fd, const struct cob_cachemount_request *request)
{
    g_autoptr(GString) name = g_string_new(namespace_of(request));
    struct stat st;

    g_string_append_c(name, '\0');
    g_string_append(name, request->id);
    if (fstatat(slot_fd, "name", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == (off_t)name->len)
        return NULL;
    cob_autoclose int fd =
        openat(slot_fd, "name", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create name");
    return cob_wrap(cob_fs_write_fd(fd, name->str, name->len), "write name");
}

/* An id that is pinned, or has a quota, has it in all its directories. */
static struct cob_error *upsert_row(
    struct cob_cachemount_pool *pool, const char *dir, const struct cob_cachemount_request *request)
{
    return cob_db_run(pool->db, NULL, NULL,
        "INSERT INTO cachemounts (namespace, id, dir, created_us, last_used_us, last_step, n_uses,"
        "  pin, quota)"
        "  VALUES (?1, ?2, ?3, ?4, ?4, ?5, 1,"
        "    (SELECT coalesce(max(pin), 0) FROM cachemounts WHERE namespace = ?1 AND id = ?2),"
        "    (SELECT coalesce(max(quota), 0) FROM cachemounts WHERE namespace = ?1 AND id = ?2))"
        "  ON CONFLICT (namespace, id, dir) DO UPDATE SET last_used_us = excluded.last_used_us,"
        "  last_step = coalesce(excluded.last_step, last_step), n_uses = n_uses + 1,"
        "  measured_us = 0",
        COB_DB_T(namespace_of(request)), COB_DB_T(request->id), COB_DB_T(dir),
        COB_DB_I(g_get_real_time()), COB_DB_T(request->step ? request->step : request->user));
}

static struct cob_error *count_use(
    struct cob_cachemount_pool *pool, const struct cob_cachemount_request *request)
{
    if (!request->step || !request->project)
        return NULL;
    COB_TRY(cob_db_run(pool->db, NULL, NULL,
        "INSERT INTO cachemount_uses (namespace, id, step, project, first_us, last_us, n_uses)"
        "  VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)"
        "  ON CONFLICT (namespace, id, step, project) DO UPDATE SET last_us = excluded.last_us,"
        "  n_uses = n_uses + 1",
        COB_DB_T(namespace_of(request)), COB_DB_T(request->id), COB_DB_T(request->step),
        COB_DB_T(request->project), COB_DB_I(g_get_real_time())));
    return cob_db_run(pool->db, NULL, NULL,
        "DELETE FROM cachemount_uses WHERE namespace = ?1 AND id = ?2 AND last_us <="
        "  (SELECT last_us FROM cachemount_uses WHERE namespace = ?1 AND id = ?2"
        "    ORDER BY last_us DESC LIMIT 1 OFFSET ?3)",
        COB_DB_T(namespace_of(request)), COB_DB_T(request->id),
        COB_DB_I(COB_LIMIT_CACHEMOUNT_USES));
}

struct cob_error *cob_cachemount_record(struct cob_cachemount_pool *pool, const char *dir,
    int slot_fd, const struct cob_cachemount_request *request)
{
    if (!pool->db)
        return NULL;
    COB_TRY(write_name(slot_fd, request));
    if (request->is_look)
        return NULL;
    COB_TRY(upsert_row(pool, dir, request));
    return count_use(pool, request);
}

void cob_cachemount_use_free(struct cob_cachemount_use *use)
{
    if (!use)
        return;
    g_free(use->step);
    g_free(use->project);
    g_free(use);
}

static struct cob_error *add_use(void *arg, const struct cob_db_row *row)
{
    struct cob_cachemount_use *use = g_new(struct cob_cachemount_use, 1);

    *use = (struct cob_cachemount_use){.step = g_strdup(cob_db_row_text(row, 0)),
        .project = g_strdup(cob_db_row_text(row, 1)),
        .first_us = cob_db_row_int(row, 2),
        .last_us = cob_db_row_int(row, 3),
        .n_uses = cob_db_row_int(row, 4)};
    g_ptr_array_add(arg, use);
    return NULL;
}

struct cob_error *cob_cachemount_uses(
    struct cob_cachemount_pool *pool, const char *namespace, const char *id, GPtrArray **ret_uses)
{
    g_autoptr(GPtrArray) uses =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_cachemount_use_free);

    if (pool->db)
        COB_TRY(cob_db_run(pool->db, add_use, uses,
            "SELECT step, project, first_us, last_us, n_uses FROM cachemount_uses"
            "  WHERE namespace = ?1 AND id = ?2 ORDER BY last_us DESC, step, project",
            COB_DB_T(namespace ? namespace : ""), COB_DB_T(id)));
    *ret_uses = g_steal_pointer(&uses);
    return NULL;
}

/* --- rows --- */

static struct cob_error *read_row(void *arg, const struct cob_db_row *row)
{
    struct cob_cachemount_entry *entry = arg;

    entry->namespace = g_strdup(cob_db_row_text(row, 0));
    entry->id = g_strdup(cob_db_row_text(row, 1));
    entry->created_us = cob_db_row_int(row, 2);
    entry->last_used_us = cob_db_row_int(row, 3);
    entry->last_step = g_strdup(cob_db_row_text(row, 4));
    entry->n_uses = cob_db_row_int(row, 5);
    entry->is_pinned = cob_db_row_int(row, 6) != 0;
    entry->quota_bytes = (uint64_t)cob_db_row_int(row, 7);
    entry->size_bytes = (uint64_t)cob_db_row_int(row, 8);
    entry->n_files = (uint64_t)cob_db_row_int(row, 9);
    entry->measured_us = cob_db_row_int(row, 10);
    return NULL;
}

struct cob_error *cob_cachemount_read_row(
    struct cob_cachemount_pool *pool, struct cob_cachemount_entry *entry)
{
    if (!pool->db)
        return NULL;
    return cob_db_run(pool->db, read_row, entry,
        "SELECT namespace, id, created_us, last_used_us, last_step, n_uses, pin, quota, size_bytes,"
        "  n_files, measured_us FROM cachemounts WHERE dir = ?1",
        COB_DB_T(entry->dir));
}

struct cob_error *cob_cachemount_join_rows(
    struct cob_cachemount_pool *pool, const char *from_dir, const char *to_dir)
{
    if (!pool->db)
        return NULL;
    return cob_db_run(pool->db, NULL, NULL,
        "UPDATE cachemounts SET measured_us = 0,"
        "  n_uses = n_uses + (SELECT n_uses FROM cachemounts WHERE dir = ?1),"
        "  last_step = (SELECT last_step FROM cachemounts WHERE dir IN (?1, ?2)"
        "    ORDER BY last_used_us DESC LIMIT 1),"
        "  last_used_us = (SELECT max(last_used_us) FROM cachemounts WHERE dir IN (?1, ?2))"
        "  WHERE dir = ?2 AND EXISTS (SELECT 1 FROM cachemounts WHERE dir = ?1)",
        COB_DB_T(from_dir), COB_DB_T(to_dir));
}

struct cob_error *cob_cachemount_forget(struct cob_cachemount_pool *pool, const char *dir)
{
    if (!pool->db)
        return NULL;
    COB_TRY(
        cob_db_run(pool->db, NULL, NULL, "DELETE FROM cachemounts WHERE dir = ?1", COB_DB_T(dir)));
    return cob_db_run(pool->db, NULL, NULL,
        "DELETE FROM cachemount_uses WHERE NOT EXISTS (SELECT 1 FROM cachemounts AS c"
        "  WHERE c.namespace = cachemount_uses.namespace AND c.id = cachemount_uses.id)");
}

static struct cob_error *read_count(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

/* How often a directory was used up to now.  ret_n_uses: -1 when there is no row. */
static struct cob_error *count_uses(
    struct cob_cachemount_pool *pool, const char *dir, int64_t *ret_n_uses)
{
    *ret_n_uses = -1;
    if (!pool->db)
        return NULL;
    return cob_db_run(pool->db, read_count, ret_n_uses,
        "SELECT n_uses FROM cachemounts WHERE dir = ?1", COB_DB_T(dir));
}

struct cob_error *cob_cachemount_measure(
    struct cob_cachemount_pool *pool, struct cob_cachemount_entry *entry)
{
    int64_t n_uses = -1;
    struct cob_tree_usage usage = {0};
    g_autoptr(GPtrArray) users = NULL;
    cob_autoclose int slot_fd =
        openat(pool->root_fd, entry->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (slot_fd < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "open directory %s", entry->dir);
    if (slot_fd < 0) { /* removed or joined since it was listed */
        entry->size_bytes = entry->n_files = 0;
        return NULL;
    }
    COB_TRY(count_uses(pool, entry->dir, &n_uses));
    COB_TRY(cob_wrap(cob_tree_measure(slot_fd, "fs", &usage), "measure %s", entry->dir));
    COB_TRY(cob_cachemount_read_users(slot_fd, &users));
    entry->size_bytes = usage.size_bytes;
    entry->n_files = usage.n_entries - usage.n_dirs;
    if (users->len > 0)
        return NULL;
    entry->measured_us = g_get_real_time();
    entry->is_size_current = true;
    if (n_uses < 0)
        return NULL;
    return cob_db_run(pool->db, NULL, NULL,
        "UPDATE cachemounts SET size_bytes = ?2, n_files = ?3, measured_us = ?4"
        "  WHERE dir = ?1 AND n_uses = ?5",
        COB_DB_T(entry->dir), COB_DB_I(usage.size_bytes), COB_DB_I(entry->n_files),
        COB_DB_I(entry->measured_us), COB_DB_I(n_uses));
}

/* --- what people decide --- */

/* A directory whose row was lost has one again, so that something can be said in it. */
static struct cob_error *ensure_rows(
    struct cob_cachemount_pool *pool, const char *namespace, const char *id, bool *ret_is_there)
{
    g_autoptr(GPtrArray) entries = NULL;

    COB_TRY(cob_cachemount_list_id(pool, namespace, id, &entries));
    for (guint i = 0; i < entries->len && pool->db; i++) {
        const struct cob_cachemount_entry *entry = entries->pdata[i];

        COB_TRY(cob_db_run(pool->db, NULL, NULL,
            "INSERT INTO cachemounts (namespace, id, dir, created_us, last_used_us)"
            "  VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT DO NOTHING",
            COB_DB_T(namespace ? namespace : ""), COB_DB_T(id), COB_DB_T(entry->dir),
            COB_DB_I(g_get_real_time())));
    }
    *ret_is_there = entries->len > 0;
    return NULL;
}

struct cob_error *cob_cachemount_set_pinned(struct cob_cachemount_pool *pool, const char *namespace,
    const char *id, bool is_pinned, bool *ret_is_there)
{
    COB_TRY(ensure_rows(pool, namespace, id, ret_is_there));
    if (!pool->db)
        return NULL;
    return cob_db_run(pool->db, NULL, NULL,
        "UPDATE cachemounts SET pin = ?3 WHERE namespace = ?1 AND id = ?2",
        COB_DB_T(namespace ? namespace : ""), COB_DB_T(id), COB_DB_I(is_pinned));
}

struct cob_error *cob_cachemount_set_quota(struct cob_cachemount_pool *pool, const char *namespace,
    const char *id, uint64_t quota_bytes, bool *ret_is_there)
{
    COB_TRY(ensure_rows(pool, namespace, id, ret_is_there));
    if (!pool->db)
        return NULL;
    return cob_db_run(pool->db, NULL, NULL,
        "UPDATE cachemounts SET quota = ?3 WHERE namespace = ?1 AND id = ?2",
        COB_DB_T(namespace ? namespace : ""), COB_DB_T(id), COB_DB_I(quota_bytes));
}
