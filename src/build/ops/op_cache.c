/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache mounts of a step. Steps take their locks in the order of the ids, so no two of them can
 * each wait for the other; a step that names an id twice takes it once.
 */
#include <fcntl.h>
#include <string.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

/* What is waited for, and by which step. */
struct cache_wait {
    const struct op_run *run;
    const char *id;
};

/* By id; of one id, the mount that shares least comes first, and its lease serves the others. */
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

/* What a new cache begins with, and its owner and mode, come from where BuildKit's frontend puts
 * them: a directory of the mount's input.  ret_fd: -1 without one. */
static struct cob_error *open_seed(const struct op_run *run, const Pb__Mount *mount, int *ret_fd)
{
    struct cob_snapshot *snapshot = NULL;
    cob_autoclose int mount_fd = -1;

    *ret_fd = -1;
    if (mount->input < 0)
        return NULL;
    COB_TRY(cob_ops_input_snapshot(run, mount->input, &snapshot));
    if (!snapshot)
        return NULL;
    COB_TRY(cob_snapshot_mount(snapshot, &mount_fd));
    return cob_wrap(cob_open_in_root(mount_fd, *mount->selector ? mount->selector : "/",
                        O_PATH | O_DIRECTORY, 0, ret_fd),
        "source %s", mount->selector);
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

static struct cob_error *acquire_mount(
    const struct op_run *run, const Pb__Mount *mount, struct cob_cachemount_lease **ret_lease)
{
    g_autofree char *user =
        g_strdup_printf("build %s (%s)", run->ops->config.build_name, run->vertex->name);
    cob_autoclose int seed_fd = -1;
    const char *id;
    g_autofree char *namespace = split_id(mount->cacheopt->id, &id);
    struct cob_cachemount_request request = {
        .id = id, .namespace = namespace, .sharing = sharing_of(mount), .mode = 0755, .user = user};

    COB_TRY(open_seed(run, mount, &seed_fd));
    request.seed_fd = seed_fd >= 0 ? seed_fd : 0;
    return acquire(run, &request, ret_lease);
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

    for (guint i = 0; i < list->len; i++) {
        const Pb__Mount *mount = g_ptr_array_index(list, i);

        if (g_strcmp0(last_id, mount->cacheopt->id) != 0) {
            COB_TRY(cob_wrap(acquire_mount(run, mount, &lease), "mount %s", mount->dest));
            g_ptr_array_add(mounts->leases, lease);
            last_id = mount->cacheopt->id;
        }
        add_cache(mounts, mount, lease);
    }
    return NULL;
}
