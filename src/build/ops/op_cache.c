/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache mounts of a step. Steps take their locks in the order of the ids, so no two of them can
 * each wait for the other; a step that names an id twice takes it once.
 *
 * A directory that is new has the mode and owner of
 *
 *     uid=, gid=, mode=, or from=         that, as BuildKit's frontend puts it: a directory below
 *                                         the mount's input, whose files are copied, too
 *     else of a directory of the image    that one's, if the image has one where it is mounted
 *     else of the step's user             0755
 *
 * so that a step with a USER can write to its cache without being told how.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

/* What is waited for, and by which step. */
struct cache_wait {
    const struct op_run *run;
    const char *id;
};

/* By id; of one id, the first one's lease serves the others. */
static gint compare_ids(const void *a, const void *b)
{
    const Pb__Mount *const *left = a;
    const Pb__Mount *const *right = b;

    int order = strcmp((*left)->cacheopt->id, (*right)->cacheopt->id);

    return order ? order : (int)(*right)->cacheopt->sharing - (int)(*left)->cacheopt->sharing;
}

static GPtrArray *cache_mounts(const Pb__ExecOp *exec)
{
    GPtrArray *list = g_ptr_array_new();

    for (size_t i = 0; i < exec->n_mounts; i++) {
        if (exec->mounts[i]->mounttype == PB__MOUNT_TYPE__CACHE)
            g_ptr_array_add(list, exec->mounts[i]);
    }
    g_ptr_array_sort(list, compare_ids);
    return list;
}

/* BuildKit's id on the wire is "<namespace>/<id>".  ret: the namespace, the caller's. */
static char *split_id(const char *wire_id, const char **ret_id)
{
    const char *slash = strchr(wire_id, '/');

    *ret_id = slash ? slash + 1 : wire_id;
    return slash ? g_strndup(wire_id, (gsize)(slash - wire_id)) : g_strdup("");
}

static struct cob_ops_cache_id *cache_id_new(const char *wire_id)
{
    struct cob_ops_cache_id *name = g_new(struct cob_ops_cache_id, 1);
    const char *id;
    char *namespace = split_id(wire_id, &id);

    *name = (struct cob_ops_cache_id){.namespace = namespace, .id = g_strdup(id)};
    return name;
}

static void cache_id_free(struct cob_ops_cache_id *name)
{
    g_free(name->namespace);
    g_free(name->id);
    g_free(name);
}

static gint compare_cache_ids(gconstpointer a, gconstpointer b)
{
    const struct cob_ops_cache_id *x = *(const struct cob_ops_cache_id *const *)a;
    const struct cob_ops_cache_id *y = *(const struct cob_ops_cache_id *const *)b;
    int order = strcmp(x->namespace, y->namespace);

    return order ? order : strcmp(x->id, y->id);
}

static void tell_wait(void *arg, const char *holder, unsigned seconds)
{
    const struct cache_wait *wait = arg;
    const struct cob_observer *observer = wait->run->ops->config.observer;
    g_autofree char *since = seconds ? g_strdup_printf(" (%u s)", seconds) : g_strdup("");
    g_autofree char *text = g_strdup_printf("waiting for cache mount \"%s\", held by %s%s\n",
        wait->id, holder ? holder : "another build", since);
    const struct cob_event_log event = {.vertex = wait->run->vertex->digest,
        .stream = 2,
        .data = text,
        .len = strlen(text),
        .at_us = g_get_real_time()};

    observer->log(observer->arg, &event);
}

static struct cob_error *acquire(const struct op_run *run,
    const struct cob_cachemount_request *request, struct cob_cachemount_lease **ret_lease)
{
    struct cache_wait wait = {.run = run, .id = request->id};
    const struct cob_cachemount_patience patience = {
        .cancel = run->cancel, .tell = tell_wait, .arg = &wait};

    return cob_cachemount_acquire(run->ops->config.cachemounts, request, &patience, ret_lease);
}

/* What a new cache begins with is where BuildKit's frontend puts it: a directory of the mount's
 * input.  ret_fd: -1: it is empty. */
static struct cob_error *open_seed(const struct op_run *run, const Pb__Mount *mount, int *ret_fd)
{
    struct cob_snapshot *snapshot = NULL;
    cob_autoclose int mount_fd = -1;

    COB_TRY(cob_ops_input_snapshot(run, mount->input, &snapshot));
    if (!snapshot)
        return NULL;
    COB_TRY(cob_snapshot_mount(snapshot, &mount_fd));
    return cob_wrap(cob_open_in_root(mount_fd, *mount->selector ? mount->selector : "/",
                        O_PATH | O_DIRECTORY, 0, ret_fd),
        "source %s", mount->selector);
}

/* The directory that the mount covers.  Returns false when there is none. */
static bool copy_mode_below(int root_fd, const char *path, struct cob_cachemount_request *request)
{
    const struct cob_rootfs_walk walk = {.root_fd = root_fd, .path = path, .wish = COB_ROOTFS_FIND};
    cob_autoclose int fd = -1;
    g_autoptr(cob_error) none = cob_rootfs_walk(&walk, &fd, NULL);
    struct stat st;

    if (none || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
        return false;
    request->mode = st.st_mode & 07777;
    g_autoptr(cob_error) unknown = cob_rootfs_check_ids(st.st_uid, st.st_gid);
    if (unknown) /* this user namespace cannot give it to them */
        return true;
    request->uid = st.st_uid;
    request->gid = st.st_gid;
    return true;
}

/* A user who is not there is the step's error, not the mount's. */
static void take_owner_of_step(
    const struct op_run *run, int root_fd, struct cob_cachemount_request *request)
{
    struct cob_rootfs_identity identity = {.groups = g_array_new(FALSE, FALSE, sizeof(uint32_t))};
    g_autoptr(cob_error) unknown =
        cob_rootfs_identify(root_fd, run->vertex->op->exec->meta->user, &identity);

    if (!unknown) {
        request->uid = identity.uid;
        request->gid = identity.gid;
    }
    g_array_unref(identity.groups);
}

static struct cob_error *follow_image(
    const struct op_run *run, const Pb__Mount *mount, struct cob_cachemount_request *request)
{
    const Pb__Mount *root = cob_ops_root_mount(run->vertex->op->exec);
    struct cob_snapshot *base = NULL;
    cob_autoclose int root_fd = -1;

    COB_TRY(cob_ops_input_snapshot(run, root->input, &base));
    if (!base)
        return NULL;
    COB_TRY(cob_snapshot_mount(base, &root_fd));
    if (!copy_mode_below(root_fd, mount->dest, request))
        take_owner_of_step(run, root_fd, request);
    return NULL;
}

/* Only for a directory that is to be made: one that is there has all that already. */
static struct cob_error *describe_new(const struct op_run *run, const Pb__Mount *mount,
    struct cob_cachemount_request *request, int *ret_seed_fd)
{
    if (cob_cachemount_is_made(run->ops->config.cachemounts, request))
        return NULL;
    if (mount->input < 0)
        return follow_image(run, mount, request);
    COB_TRY(open_seed(run, mount, ret_seed_fd));
    request->seed_fd = *ret_seed_fd >= 0 ? *ret_seed_fd : 0;
    return NULL;
}

static enum cob_cachemount_sharing sharing_of(const Pb__Mount *mount)
{
    switch (mount->cacheopt->sharing) {
    case PB__CACHE_SHARING_OPT__PRIVATE:
        return COB_CACHEMOUNT_PRIVATE;
    case PB__CACHE_SHARING_OPT__LOCKED:
        return COB_CACHEMOUNT_LOCKED;
    case PB__CACHE_SHARING_OPT__SHARED:
    case _PB__CACHE_SHARING_OPT_IS_INT_SIZE:
        break;
    }
    return COB_CACHEMOUNT_SHARED;
}

/* sharing: of all mounts of the id together. */
static struct cob_error *acquire_mount(const struct op_run *run, const Pb__Mount *mount,
    enum cob_cachemount_sharing sharing, struct cob_cachemount_lease **ret_lease)
{
    const struct cob_ops_config *config = &run->ops->config;
    g_autofree char *user = g_strdup_printf("build %s (%s)", config->build_name, run->vertex->name);
    cob_autoclose int seed_fd = -1;
    const char *id;
    g_autofree char *namespace = split_id(mount->cacheopt->id, &id);
    struct cob_cachemount_request request = {.id = id,
        .namespace = namespace,
        .sharing = sharing,
        .mode = 0755,
        .user = user,
        .step = run->vertex->name,
        .project = config->project ? config->project : ""};

    COB_TRY(describe_new(run, mount, &request, &seed_fd));
    return acquire(run, &request, ret_lease);
}

/* A step that has an id both PRIVATE and otherwise has the primary directory, and alone.
 * list: sorted; at: the first mount of the id. */
static enum cob_cachemount_sharing joint_sharing(const GPtrArray *list, guint at)
{
    const Pb__Mount *first = g_ptr_array_index(list, at);
    const enum cob_cachemount_sharing sharing = sharing_of(first);

    for (guint i = at + 1; i < list->len; i++) {
        const Pb__Mount *mount = g_ptr_array_index(list, i);

        if (strcmp(mount->cacheopt->id, first->cacheopt->id) != 0)
            break;
        if (sharing_of(mount) != sharing)
            return COB_CACHEMOUNT_LOCKED;
    }
    return sharing;
}

GPtrArray *cob_ops_cache_ids(const struct cob_llb_graph *graph)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *ids = g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cache_id_free);

    for (guint i = 0; i < graph->vertices->len; i++) {
        const struct cob_llb_vertex *vertex = graph->vertices->pdata[i];

        if (vertex->op->op_case != PB__OP__OP_EXEC)
            continue;
        g_autoptr(GPtrArray) list = cache_mounts(vertex->op->exec);
        for (guint j = 0; j < list->len; j++) {
            const Pb__Mount *mount = list->pdata[j];

            if (g_hash_table_add(seen, mount->cacheopt->id))
                g_ptr_array_add(ids, cache_id_new(mount->cacheopt->id));
        }
    }
    g_ptr_array_sort(ids, compare_cache_ids);
    return ids;
}

static void add_cache(
    struct step_mounts *mounts, const Pb__Mount *mount, const struct cob_cachemount_lease *lease)
{
    const struct cob_executor_mount row = {
        .kind = COB_EXECUTOR_MOUNT_BIND,
        .target = mount->dest,
        .is_readonly = mount->readonly,
        .source_fd = cob_cachemount_lease_fd(lease),
    };

    g_array_append_val(mounts->mounts, row);
}

struct cob_error *cob_ops_cache_acquire(const struct op_run *run, struct step_mounts *mounts)
{
    g_autoptr(GPtrArray) list = cache_mounts(run->vertex->op->exec);
    struct cob_cachemount_lease *lease = NULL;
    const char *last_id = NULL;

    COB_TRY(cob_ops_cache_resolve(run, list, mounts));
    g_ptr_array_sort(list, compare_ids);
    for (guint i = 0; i < list->len; i++) {
        const Pb__Mount *mount = g_ptr_array_index(list, i);

        if (g_strcmp0(last_id, mount->cacheopt->id) != 0) {
            COB_TRY(cob_wrap(acquire_mount(run, mount, joint_sharing(list, i), &lease), "mount %s",
                mount->dest));
            g_ptr_array_add(mounts->leases, lease);
            last_id = mount->cacheopt->id;
        }
        add_cache(mounts, mount, lease);
    }
    return NULL;
}
