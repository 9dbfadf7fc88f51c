/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of a RUN step, opened: each becomes a descriptor that the executor mounts.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

static void close_fd(void *fd)
{
    cob_closep(fd);
}

void cob_ops_mounts_done(struct step_mounts *mounts)
{
    g_clear_pointer(&mounts->mounts, g_array_unref);
    g_clear_pointer(&mounts->doors, g_ptr_array_unref);
    g_clear_pointer(&mounts->fds, g_array_unref); /* mounts of drafts go before the drafts */
    g_clear_pointer(&mounts->drafts, g_ptr_array_unref);
    g_clear_pointer(&mounts->bound, g_ptr_array_unref);
    g_clear_pointer(&mounts->leases, g_ptr_array_unref);
    g_clear_pointer(&mounts->secrets, g_ptr_array_unref);
    g_clear_pointer(&mounts->env, g_ptr_array_unref);
    g_clear_pointer(&mounts->resolved, g_ptr_array_unref);
}

static void mounts_init(struct step_mounts *mounts)
{
    *mounts = (struct step_mounts){
        .mounts = g_array_new(FALSE, FALSE, sizeof(struct cob_executor_mount)),
        .fds = g_array_new(FALSE, FALSE, sizeof(int)),
        .drafts = g_ptr_array_new_with_free_func((GDestroyNotify)cob_snapshot_draft_free),
        .bound = g_ptr_array_new_with_free_func((GDestroyNotify)cob_ops_bound_tree_free),
        .leases = g_ptr_array_new_with_free_func((GDestroyNotify)cob_cachemount_release),
        .secrets = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref),
        .doors = g_ptr_array_new_with_free_func((GDestroyNotify)cob_sshagent_door_close),
        .env = g_ptr_array_new_with_free_func(g_free),
    };
    g_array_set_clear_func(mounts->fds, close_fd);
}

/* fd: taken.  source: a path below it; NULL: itself. */
static void add_bind(struct step_mounts *mounts, const Pb__Mount *mount, int fd, const char *source)
{
    const struct cob_executor_mount bind = {
        .kind = COB_EXECUTOR_MOUNT_BIND,
        .target = mount->dest,
        .is_readonly = mount->readonly,
        .source_fd = fd,
        .source = source,
    };

    g_array_append_val(mounts->fds, fd);
    g_array_append_val(mounts->mounts, bind);
}

/* --- bind --- */

void cob_ops_bound_tree_free(struct bound_tree *bound)
{
    if (!bound)
        return;
    cob_snapshot_draft_free(bound->draft);
    g_free(bound);
}

/* Copy an entry of the build context into a draft: ignored files stay out of a step's sight, and
 * what it writes there stays out of the user's directory. */
static struct cob_error *copy_bound(const struct op_run *run, struct cob_context *context,
    size_t index, struct bound_tree **ret_bound)
{
    struct cob_store *store = run->ops->config.store;
    g_autoptr(GHashTable) links = cob_ops_copy_links_new();
    g_autoptr(bound_tree) bound = g_new0(struct bound_tree, 1);

    *bound = (struct bound_tree){.context = context, .index = index};
    COB_TRY(cob_snapshot_draft_new(store, NULL, &bound->draft));
    const struct copy_target target = {.fd = cob_snapshot_draft_fd(bound->draft),
        .lower_fd = -1,
        .root_fd = cob_snapshot_draft_fd(bound->draft),
        .path = "/"};
    const struct copy_rules rules = {.mode = -1,
        .time_ns = -1,
        .cancel = run->cancel,
        .links = links,
        .opaque_xattr = cob_snapshot_opaque_xattr(store)};
    COB_TRY(cob_ops_copy_entry(context, index, &target, BOUND_NAME, &rules));
    *ret_bound = g_steal_pointer(&bound);
    return NULL;
}

/* One copy serves all steps that cannot write to it.  ret_bound: borrowed from the ops. */
static struct cob_error *share_bound_locked(const struct op_run *run, struct cob_context *context,
    size_t index, struct bound_tree **ret_bound)
{
    GPtrArray *all = run->ops->bound;

    for (guint i = 0; i < all->len; i++) {
        *ret_bound = g_ptr_array_index(all, i);
        if ((*ret_bound)->context == context && (*ret_bound)->index == index)
            return NULL;
    }
    COB_TRY(copy_bound(run, context, index, ret_bound));
    g_ptr_array_add(all, *ret_bound);
    return NULL;
}

static struct cob_error *find_bound(const struct op_run *run, const Pb__Mount *mount,
    struct cob_context *context, struct step_mounts *mounts, struct bound_tree **ret_bound)
{
    const char *path = *mount->selector ? mount->selector : "/";
    g_autoptr(GArray) matches = NULL;
    struct cob_error *err;

    COB_TRY(cob_context_select(context, path, COB_CONTEXT_FOLLOW_LINKS, &matches));
    if (matches->len == 0)
        return cob_fail(COB_NOT_FOUND, "\"%s\": not found", path);
    size_t index = g_array_index(matches, struct cob_context_match, 0).index;
    if (mount->readonly) {
        g_mutex_lock(&run->ops->bound_lock);
        err = share_bound_locked(run, context, index, ret_bound);
        g_mutex_unlock(&run->ops->bound_lock);
        return err;
    }
    COB_TRY(copy_bound(run, context, index, ret_bound));
    g_ptr_array_add(mounts->bound, *ret_bound);
    return NULL;
}

static struct cob_error *bind_context(const struct op_run *run, const Pb__Mount *mount,
    struct cob_context *context, struct step_mounts *mounts)
{
    struct bound_tree *bound = NULL;
    int fd = -1;

    COB_TRY(find_bound(run, mount, context, mounts, &bound));
    COB_TRY(cob_open_beneath(cob_snapshot_draft_fd(bound->draft), BOUND_NAME, O_PATH, 0, &fd));
    add_bind(mounts, mount, fd, NULL);
    return NULL;
}

static struct cob_error *bind_snapshot(const struct op_run *run, const Pb__Mount *mount,
    struct cob_snapshot *snapshot, struct step_mounts *mounts)
{
    g_autoptr(cob_snapshot_draft) draft = NULL;
    int fd = -1;

    if (mount->readonly && snapshot) {
        COB_TRY(cob_snapshot_mount(snapshot, &fd));
    } else { /* what is written is dropped with the draft */
        COB_TRY(cob_snapshot_draft_new(run->ops->config.store, snapshot, &draft));
        COB_TRY(cob_snapshot_draft_mount(draft, &fd));
        g_ptr_array_add(mounts->drafts, g_steal_pointer(&draft));
    }
    add_bind(mounts, mount, fd, *mount->selector ? mount->selector : NULL);
    return NULL;
}

static struct cob_error *add_bind_of_input(
    const struct op_run *run, const Pb__Mount *mount, struct step_mounts *mounts)
{
    struct cob_solver_result *input = mount->input < 0 ? NULL : run->inputs[mount->input];
    struct cob_context *context = cob_ops_context_of(input);

    if (mount->output > 0)
        return cob_fail(COB_UNIMPLEMENTED, "mounts as results are not supported yet");
    if (context)
        return bind_context(run, mount, context, mounts);
    return bind_snapshot(run, mount, cob_ops_snapshot_of(input), mounts);
}

/* --- secrets --- */

static struct cob_error *get_secret(
    const struct op_run *run, const char *id, bool is_optional, GBytes **ret_secret)
{
    const struct cob_ops_client *client = run->ops->config.client;
    g_autoptr(GBytes) secret = NULL;

    COB_TRY(client->get_secret(client->arg, id, &secret));
    if (!secret && !is_optional)
        return cob_fail(COB_NOT_FOUND, "secret %s: not found: add --secret id=%s", id, id);
    *ret_secret = g_steal_pointer(&secret);
    return NULL;
}

static struct cob_error *add_secret(
    const struct op_run *run, const Pb__Mount *mount, struct step_mounts *mounts)
{
    const Pb__SecretOpt *option = mount->secretopt;
    g_autoptr(GBytes) secret = NULL;

    COB_TRY(get_secret(run, option->id, option->optional, &secret));
    if (!secret)
        return NULL;
    const struct cob_executor_mount row = {
        .kind = COB_EXECUTOR_MOUNT_SECRET,
        .target = mount->dest,
        .is_readonly = true,
        .secret = secret,
        .mode = option->mode,
        .uid = option->uid,
        .gid = option->gid,
    };
    g_ptr_array_add(mounts->secrets, g_steal_pointer(&secret));
    g_array_append_val(mounts->mounts, row);
    return NULL;
}

static struct cob_error *add_secret_env(
    const struct op_run *run, const Pb__SecretEnv *wish, struct step_mounts *mounts)
{
    g_autoptr(GBytes) secret = NULL;
    gsize len = 0;

    COB_TRY(get_secret(run, wish->id, wish->optional, &secret));
    if (!secret)
        return NULL;
    const char *data = g_bytes_get_data(secret, &len);
    if (memchr(data ? data : "", '\0', len))
        return cob_fail(COB_INVALID, "secret %s: a variable cannot hold a NUL byte", wish->id);
    g_ptr_array_add(
        mounts->env, g_strdup_printf("%s=%.*s", wish->name, (int)len, data ? data : ""));
    return NULL;
}

/* --- all --- */

static struct cob_error *add_tmpfs(const Pb__Mount *mount, struct step_mounts *mounts)
{
    const struct cob_executor_mount row = {
        .kind = COB_EXECUTOR_MOUNT_TMPFS,
        .target = mount->dest,
        .is_readonly = mount->readonly,
        .size_bytes = mount->tmpfsopt ? (uint64_t)mount->tmpfsopt->size : 0,
    };

    g_array_append_val(mounts->mounts, row);
    return NULL;
}

static struct cob_error *add_mount(
    const struct op_run *run, const Pb__Mount *mount, struct step_mounts *mounts)
{
    switch (mount->mounttype) {
    case PB__MOUNT_TYPE__BIND:
        return add_bind_of_input(run, mount, mounts);
    case PB__MOUNT_TYPE__SECRET:
        return add_secret(run, mount, mounts);
    case PB__MOUNT_TYPE__TMPFS:
        return add_tmpfs(mount, mounts);
    case PB__MOUNT_TYPE__CACHE: /* last, and in an order of their own: op_cache.c */
        return NULL;
    case PB__MOUNT_TYPE__SSH:
        return cob_ops_ssh_mount(run, mount, mounts);
    case _PB__MOUNT_TYPE_IS_INT_SIZE:
        break;
    }
    return cob_fail(COB_UNIMPLEMENTED, "this type of mount is not supported yet");
}

static gint compare_targets(const void *a, const void *b)
{
    const struct cob_executor_mount *left = a, *right = b;

    return strcmp(left->target, right->target);
}

static struct cob_error *open_all(const struct op_run *run, struct step_mounts *mounts)
{
    const Pb__ExecOp *exec = run->vertex->op->exec;

    for (size_t i = 0; i < exec->n_mounts; i++) {
        const Pb__Mount *mount = exec->mounts[i];

        if (strcmp(mount->dest, "/") != 0)
            COB_TRY(cob_wrap(add_mount(run, mount, mounts), "mount %s", mount->dest));
    }
    for (size_t i = 0; i < exec->n_secretenv; i++)
        COB_TRY(add_secret_env(run, exec->secretenv[i], mounts));
    COB_TRY(cob_ops_cache_acquire(run, mounts));
    g_array_sort(mounts->mounts, compare_targets);
    return NULL;
}

struct cob_error *cob_ops_mounts_open(const struct op_run *run, struct step_mounts *ret_mounts)
{
    mounts_init(ret_mounts);
    struct cob_error *err = open_all(run, ret_mounts);
    if (err)
        cob_ops_mounts_done(ret_mounts);
    return err;
}
