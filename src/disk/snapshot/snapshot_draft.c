/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "disk/snapshot/snapshot.h"
#include "disk/snapshot/snapshot_parts.h"
#include "util/log.h"
#include "util/tree.h"

#define IDS_AT_ONCE 8

/* Overlayfs shows the upper root's own mode, owner and time: they are the parent's until somebody
 * changes them. */
static struct cob_error *copy_root(int from_fd, int to_fd)
{
    struct stat st;

    if (fstat(from_fd, &st) < 0)
        return cob_fail_errno(errno, "stat the parent's root directory");
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (fchown(to_fd, st.st_uid, st.st_gid) < 0)
        return cob_fail_errno(errno, "give the root directory to %u:%u", st.st_uid, st.st_gid);
    if (fchmod(to_fd, st.st_mode & 07777) < 0) /* after fchown, which clears setuid and setgid */
        return cob_fail_errno(errno, "set the mode of the root directory");
    if (futimens(to_fd, times) < 0)
        return cob_fail_errno(errno, "set the time of the root directory");
    return NULL;
}

/* The draft's folder and its fs/. What is made stays for _free() to remove. */
static struct cob_error *make_folders(struct cob_snapshot_draft *draft)
{
    int tmp_fd = cob_store_tmp_fd(draft->registry->store);

    if (mkdirat(tmp_fd, draft->name, 0700) < 0)
        return cob_fail_errno(errno, "make directory %s", draft->name);
    draft->dir_fd = openat(tmp_fd, draft->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (draft->dir_fd < 0)
        return cob_fail_errno(errno, "open directory %s", draft->name);
    if (mkdirat(draft->dir_fd, "fs", 0755) < 0)
        return cob_fail_errno(errno, "make directory %s/fs", draft->name);
    draft->fs_fd = openat(draft->dir_fd, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (draft->fs_fd < 0)
        return cob_fail_errno(errno, "open directory %s/fs", draft->name);
    if (draft->parent)
        return copy_root(draft->parent->layer_fd, draft->fs_fd);
    if (fchmod(draft->fs_fd, 0755) < 0) /* whatever the umask */
        return cob_fail_errno(errno, "set the mode of %s/fs", draft->name);
    return NULL;
}

struct cob_error *cob_snapshot_draft_new(
    struct cob_store *store, struct cob_snapshot *parent, struct cob_snapshot_draft **ret_draft)
{
    g_autoptr(cob_snapshot_draft) draft = NULL;
    struct cob_snapshot_registry *registry = NULL;

    COB_TRY(cob_snapshot_registry_get(store, &registry));
    draft = g_new(struct cob_snapshot_draft, 1);
    *draft = (struct cob_snapshot_draft){
        .registry = registry,
        .parent = parent ? cob_snapshot_ref(parent) : NULL,
        .name = g_strdup_printf("d%d", g_atomic_int_add(&registry->n_drafts, 1)),
        .dir_fd = -1,
        .fs_fd = -1,
    };
    COB_TRY(cob_wrap(make_folders(draft), "begin a snapshot in %s", cob_store_tmp_path(store)));
    *ret_draft = g_steal_pointer(&draft);
    return NULL;
}

bool cob_snapshot_has_drafted(struct cob_store *store)
{
    struct cob_snapshot_registry *registry = NULL;
    g_autoptr(cob_error) err = cob_snapshot_registry_get(store, &registry);

    return !err && g_atomic_int_get(&registry->n_drafts) > 0;
}

int cob_snapshot_draft_fd(const struct cob_snapshot_draft *draft)
{
    return draft->fs_fd;
}

void cob_snapshot_draft_set_parent(struct cob_snapshot_draft *draft, struct cob_snapshot *parent)
{
    cob_snapshot_unref(draft->parent);
    draft->parent = parent ? cob_snapshot_ref(parent) : NULL;
}

static struct cob_error *read_origin(void *arg, const struct cob_db_row *row)
{
    *(char **)arg = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

/* All that share files with each other name the same one, also when it is gone. */
static struct cob_error *find_origin(struct cob_snapshot_draft *draft, const char *id)
{
    g_free(g_steal_pointer(&draft->origin));
    COB_TRY(cob_db_run(cob_store_db(draft->registry->store), read_origin, &draft->origin,
        "SELECT coalesce(origin, id) FROM snapshots WHERE id = ?1", COB_DB_T(id)));
    return NULL;
}

struct cob_error *cob_snapshot_draft_graft(
    struct cob_snapshot_draft *draft, const struct cob_snapshot *snapshot)
{
    COB_TRY(cob_wrap(cob_tree_clone(snapshot->layer_fd, draft->fs_fd, COB_TREE_SHARE),
        "share the files of snapshot %s", snapshot->id));
    COB_TRY(find_origin(draft, snapshot->id));
    return draft->parent ? copy_root(draft->parent->layer_fd, draft->fs_fd) : NULL;
}

struct cob_error *cob_snapshot_draft_mount(struct cob_snapshot_draft *draft, int *ret_mount_fd)
{
    struct cob_snapshot_stack stack = {
        .registry = draft->registry, .top = draft->parent, .over = draft};

    return cob_wrap(cob_snapshot_mount_stack(&stack, ret_mount_fd), "mount a new snapshot");
}

void cob_snapshot_draft_free(struct cob_snapshot_draft *draft)
{
    if (!draft)
        return;
    if (draft->name) {
        g_autoptr(cob_error) err =
            cob_tree_remove(cob_store_tmp_fd(draft->registry->store), draft->name);

        if (err)
            cob_trace(1, "draft %s stays until the store is closed", draft->name);
    }
    if (draft->dir_fd >= 0)
        close(draft->dir_fd);
    if (draft->fs_fd >= 0)
        close(draft->fs_fd);
    cob_snapshot_unref(draft->parent);
    g_free(draft->origin);
    g_free(draft->name);
    g_free(draft);
}

static struct cob_error *read_number(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

/* A number nobody else got. It stays used when the commit fails: a folder of that name may be
 * there, which nothing but a sweep would remove. */
static struct cob_error *reserve_number(struct cob_snapshot_registry *registry, int64_t *ret_number)
{
    int64_t end = 0;

    g_mutex_lock(&registry->lock);
    *ret_number = registry->next_id < registry->end_id ? registry->next_id++ : 0;
    g_mutex_unlock(&registry->lock);
    if (*ret_number)
        return NULL;
    COB_TRY(cob_db_run(cob_store_db(registry->store), read_number, &end,
        "UPDATE meta SET value = value + ?1 WHERE key = 'next_id' RETURNING value",
        COB_DB_I(IDS_AT_ONCE)));
    *ret_number = end - IDS_AT_ONCE;
    g_mutex_lock(&registry->lock);
    registry->next_id = *ret_number + 1;
    registry->end_id = end;
    g_mutex_unlock(&registry->lock);
    return NULL;
}

static char *id_of(int64_t number)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char text[16] = {0};
    size_t at = sizeof(text) - 1;

    do {
        text[--at] = digits[number % 36];
        number /= 36;
    } while (number > 0);
    return g_strdup(&text[at]);
}

static struct cob_error *remove_workdirs(const struct cob_snapshot_draft *draft)
{
    for (int i = 0; i < draft->n_mounts; i++) {
        g_autofree char *name = g_strdup_printf("work%d", i);

        COB_TRY(cob_tree_remove(draft->dir_fd, name));
    }
    return NULL;
}

/* Between begin and commit. */
static struct cob_error *publish(
    struct cob_snapshot_draft *draft, const struct cob_store_layer *layer)
{
    struct cob_snapshot_registry *registry = draft->registry;
    int tmp_fd = cob_store_tmp_fd(registry->store);

    COB_TRY(cob_store_layer_insert(registry->store, layer));
    if (renameat2(tmp_fd, draft->name, registry->snapshots_fd, layer->id, RENAME_NOREPLACE) < 0)
        return cob_fail_errno(errno, "rename %s to snapshots/%s", draft->name, layer->id);
    return NULL;
}

/* errors: COB_EXISTS when another has the chain_id. */
static struct cob_error *publish_whole(
    struct cob_snapshot_draft *draft, const struct cob_store_layer *layer)
{
    struct cob_snapshot_registry *registry = draft->registry;

    COB_TRY(cob_store_begin(registry->store));
    struct cob_error *err = publish(draft, layer);
    if (err) {
        cob_store_rollback(registry->store);
        return err;
    }
    err = cob_store_commit(registry->store);
    if (err) /* the id is nobody else's: it can go back to be dropped with the draft */
        renameat2(registry->snapshots_fd, layer->id, cob_store_tmp_fd(registry->store), draft->name,
            RENAME_NOREPLACE);
    else
        g_clear_pointer(&draft->name, g_free);
    return err;
}

static struct cob_error *record_and_publish(
    struct cob_snapshot_draft *draft, const char *id, const struct cob_snapshot_facts *facts)
{
    const int64_t now = g_get_real_time();
    const struct cob_store_layer layer = {
        .id = id,
        .parent = draft->parent ? draft->parent->id : NULL,
        .depth = draft->parent ? draft->parent->depth + 1 : 1,
        .description = facts->description,
        .chain_id = facts->chain_id,
        .diff_id = facts->diff_id,
        .tar_bytes = facts->tar_bytes,
        .size_bytes = draft->usage.size_bytes,
        .n_entries = draft->usage.n_entries,
        .fingerprint = draft->usage.fingerprint,
        .origin = draft->origin,
        .linked_bytes = draft->origin ? draft->usage.linked_bytes : 0,
        .created_us = facts->created_us ? facts->created_us : now,
        .used_us = now,
    };

    COB_TRY(cob_wrap(cob_store_layer_write(draft->registry->store, draft->dir_fd, &layer), "%s/%s",
        cob_store_tmp_path(draft->registry->store), draft->name));
    return publish_whole(draft, &layer);
}

/* The new snapshot is held before anybody else can see it. */
static struct cob_error *commit_new(struct cob_snapshot_draft *draft,
    const struct cob_snapshot_facts *facts, struct cob_snapshot **ret_snapshot)
{
    struct cob_snapshot_registry *registry = draft->registry;
    struct cob_snapshot *parent = NULL;
    int64_t number = 0;

    COB_TRY(reserve_number(registry, &number));
    g_autofree char *id = id_of(number);
    COB_TRY(cob_snapshot_hold(registry, id));
    struct cob_error *err = record_and_publish(draft, id, facts);
    if (!err) {
        parent = draft->parent ? cob_snapshot_ref(draft->parent) : NULL;
        err = cob_snapshot_adopt(registry, id, parent, ret_snapshot);
    }
    if (!err && !*ret_snapshot)
        err = cob_fail(COB_DATA_LOSS, "the files of snapshot %s vanished", id);
    cob_snapshot_let_go(registry, id);
    return err;
}

/* The one that has the chain_id may vanish between two looks: then ours takes its place. */
static struct cob_error *commit_or_find(struct cob_snapshot_draft *draft,
    const struct cob_snapshot_facts *facts, struct cob_snapshot **ret_snapshot)
{
    for (int tries = 0;; tries++) {
        struct cob_snapshot *snapshot = NULL;
        struct cob_error *err = NULL;

        if (facts->chain_id)
            COB_TRY(cob_snapshot_get_chain(draft->registry->store, facts->chain_id, &snapshot));
        if (!snapshot)
            err = commit_new(draft, facts, &snapshot);
        if (err && cob_error_code(err) == COB_EXISTS && facts->chain_id && tries < 3) {
            cob_error_free(err);
            continue;
        }
        if (!err)
            *ret_snapshot = snapshot;
        return err;
    }
}

static struct cob_error *commit(struct cob_snapshot_draft *draft,
    const struct cob_snapshot_facts *facts, struct cob_snapshot **ret_snapshot)
{
    COB_TRY(remove_workdirs(draft));
    COB_TRY(cob_tree_measure(draft->dir_fd, "fs", &draft->usage));
    return commit_or_find(draft, facts, ret_snapshot);
}

struct cob_error *cob_snapshot_commit(struct cob_snapshot_draft *draft,
    const struct cob_snapshot_facts *facts, struct cob_snapshot **ret_snapshot)
{
    struct cob_error *err = commit(draft, facts, ret_snapshot);

    cob_snapshot_draft_free(draft);
    return cob_wrap(err, "commit a snapshot");
}
