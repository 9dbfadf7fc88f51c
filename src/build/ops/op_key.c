/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of ops. The op's own part is the digest of its message, less what must not matter: inputs
 * (the solver adds them), proxies, the ids and sharing of cache mounts.
 */
#include <fcntl.h>
#include <string.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

static char *digest_of_op(const Pb__Op *op)
{
    size_t len = pb__op__get_packed_size(op);
    g_autofree uint8_t *bytes = g_malloc(len + 1);

    pb__op__pack(op, bytes);
    return cob_digest_of(bytes, len);
}

/* --- exec --- */

static bool is_root_mount(const Pb__Mount *mount)
{
    return strcmp(mount->dest, "/") == 0;
}

/* A mount whose files can be looked at and cannot be changed for the step's result. */
static bool is_by_content(const Pb__Mount *mount)
{
    return mount->mounttype == PB__MOUNT_TYPE__BIND && !is_root_mount(mount) &&
           (mount->readonly || mount->output < 0);
}

static char *exec_digest(const struct cob_llb_vertex *vertex)
{
    Pb__Op op = *vertex->op;
    Pb__ExecOp exec = *op.exec;
    Pb__Meta meta = *exec.meta;
    g_autofree Pb__Mount *mounts = g_new(Pb__Mount, exec.n_mounts + 1);
    g_autofree Pb__Mount **pointers = g_new(Pb__Mount *, exec.n_mounts + 1);

    for (size_t i = 0; i < exec.n_mounts; i++) {
        mounts[i] = *exec.mounts[i];
        mounts[i].cacheopt = NULL;
        pointers[i] = &mounts[i];
    }
    meta.proxy_env = NULL;
    exec.meta = &meta;
    exec.mounts = pointers;
    op.exec = &exec;
    op.n_inputs = 0;
    return digest_of_op(&op);
}

static uint64_t bit(int64_t input)
{
    return input >= 0 && input < 64 ? UINT64_C(1) << input : 0;
}

struct cob_error *cob_ops_key_exec(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    const Pb__ExecOp *exec = vertex->op->exec;
    uint64_t by_content = 0, others = 0;

    for (size_t i = 0; i < exec->n_mounts; i++) {
        const Pb__Mount *mount = exec->mounts[i];

        if (is_by_content(mount))
            by_content |= bit(mount->input);
        else
            others |= bit(mount->input);
    }
    *ret_key =
        (struct cob_solver_key){.digest = exec_digest(vertex), .by_content = by_content & ~others};
    return NULL;
}

/* --- file --- */

static char *digest_without_inputs(const struct cob_llb_vertex *vertex)
{
    Pb__Op op = *vertex->op;

    op.n_inputs = 0;
    return digest_of_op(&op);
}

struct cob_error *cob_ops_key_file(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    const Pb__FileOp *file = vertex->op->file;
    uint64_t by_content = 0, others = 0;

    for (size_t i = 0; i < file->n_actions; i++) {
        const Pb__FileAction *action = file->actions[i];

        if (action->action_case == PB__FILE_ACTION__ACTION_COPY)
            by_content |= bit(action->secondaryinput);
        others |= bit(action->input);
    }
    *ret_key = (struct cob_solver_key){
        .digest = digest_without_inputs(vertex), .by_content = by_content & ~others};
    return NULL;
}

/* --- source --- */

/* What another server has may be another thing now: unless a digest or a commit says which one is
 * meant, it is asked, and its answer counts. */
static bool may_change(const Pb__SourceOp *source)
{
    const char *fragment = strchr(source->identifier, '#');
    g_autofree char *ref = g_strdup(fragment ? fragment + 1 : "");

    if (g_str_has_prefix(source->identifier, "http://") ||
        g_str_has_prefix(source->identifier, "https://"))
        return !cob_llb_source_attr(source, "http.checksum");
    ref[strcspn(ref, ":")] = '\0';
    return g_str_has_prefix(source->identifier, "git://") && !cob_gitref_is_commit(ref) &&
           g_strcmp0(cob_llb_source_attr(source, "git.fetchbycommit"), "true") != 0;
}

/* Where an image in a directory lies does not matter. */
static char *digest_of_layout(const struct cob_llb_vertex *vertex)
{
    const char *at = strchr(vertex->op->source->identifier, '@');
    g_autofree char *identifier = g_strconcat("oci-layout://", at, NULL);
    Pb__SourceOp source = *vertex->op->source;
    Pb__Op op = *vertex->op;

    source.identifier = identifier;
    source.n_attrs = 0;
    op.source = &source;
    return digest_of_op(&op);
}

struct cob_error *cob_ops_key_source(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    const char *identifier = vertex->op->source->identifier;

    *ret_key = (struct cob_solver_key){0};
    if (g_str_has_prefix(identifier, "oci-layout://"))
        ret_key->digest = digest_of_layout(vertex);
    else if (!g_str_has_prefix(identifier, "local://") && !may_change(vertex->op->source))
        ret_key->digest = digest_of_op(vertex->op);
    return NULL;
}

/* --- merge --- */

struct cob_error *cob_ops_key_merge(
    const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    *ret_key = (struct cob_solver_key){.digest = digest_without_inputs(vertex)};
    return NULL;
}

/* --- what a vertex takes from an input --- */

/* Scratch has a root, which can be copied and mounted: an empty draft is as good as one. */
static struct cob_error *open_scratch(
    struct cob_ops *ops, struct cob_cancel *cancel, struct op_tree *tree)
{
    COB_TRY(cob_snapshot_draft_new(ops->config.store, NULL, &tree->draft));
    const struct cob_context_request request = {
        .dir_fd = cob_snapshot_draft_fd(tree->draft), .is_image = true};
    tree->is_owned = true;
    return cob_context_open(&request, cancel, &tree->context);
}

struct cob_error *cob_ops_tree_open(struct cob_ops *ops, struct cob_solver_result *from,
    const char *const *paths, struct cob_cancel *cancel, struct op_tree *ret_tree)
{
    struct cob_context *context = cob_ops_context_of(from);
    struct cob_snapshot *snapshot = cob_ops_snapshot_of(from);
    cob_autoclose int mount_fd = -1;
    cob_autoclose int dir_fd = -1;

    if (context) {
        *ret_tree = (struct op_tree){.context = context};
        return NULL;
    }
    if (!snapshot)
        return open_scratch(ops, cancel, ret_tree);
    COB_TRY(cob_snapshot_mount(snapshot, &mount_fd));
    COB_TRY(cob_open_in_root(mount_fd, ".", O_RDONLY | O_DIRECTORY, 0, &dir_fd));
    const struct cob_context_request request = {.dir_fd = dir_fd, .paths = paths, .is_image = true};
    COB_TRY(cob_context_open(&request, cancel, &context));
    *ret_tree = (struct op_tree){.context = context, .is_owned = true};
    return NULL;
}

void cob_ops_tree_done(struct op_tree *tree)
{
    if (tree->is_owned)
        cob_context_close(tree->context);
    cob_snapshot_draft_free(tree->draft);
    *tree = (struct op_tree){0};
}

static struct cob_error *read_patterns(
    char *const *patterns, size_t n, struct cob_ignore **ret_ignore)
{
    g_autofree const char **list = g_new0(const char *, n + 1);

    for (size_t i = 0; i < n; i++)
        list[i] = patterns[i];
    return n > 0 ? cob_ignore_new(list, ret_ignore) : NULL;
}

struct cob_error *cob_ops_copy_filter_init(
    const Pb__FileActionCopy *copy, struct copy_filter *ret_filter)
{
    struct copy_filter filter = {0};
    struct cob_error *err =
        read_patterns(copy->include_patterns, copy->n_include_patterns, &filter.included);

    if (!err)
        err = read_patterns(copy->exclude_patterns, copy->n_exclude_patterns, &filter.excluded);
    if (err)
        cob_ops_copy_filter_done(&filter);
    *ret_filter = filter;
    return err;
}

void cob_ops_copy_filter_done(struct copy_filter *filter)
{
    g_clear_pointer(&filter->included, cob_ignore_free);
    g_clear_pointer(&filter->excluded, cob_ignore_free);
}

enum cob_context_verdict cob_ops_copy_filter(void *data, const char *path, bool is_dir)
{
    struct copy_filter *filter = data;
    bool is_in = !filter->included || cob_ignore_matches(filter->included, path);
    bool is_out = filter->excluded && cob_ignore_matches(filter->excluded, path);

    filter->n_taken += is_in && !is_out;
    if (is_in && !is_out)
        return COB_CONTEXT_TAKE;
    if (!is_dir || (is_out && !cob_ignore_may_return(filter->excluded, path)))
        return COB_CONTEXT_LEAVE;
    return COB_CONTEXT_PASS;
}

static struct cob_error *fail_not_found(const char *path)
{
    return cob_fail(COB_NOT_FOUND, "\"%s\": not found", path);
}

struct cob_error *cob_ops_copy_filter_check(
    const struct copy_filter *filter, const Pb__FileActionCopy *copy)
{
    if (copy->n_required_paths == 0 || filter->n_taken > 0)
        return NULL;
    return fail_not_found(copy->required_paths[0]);
}

struct cob_error *cob_ops_copy_sources(
    struct op_tree *tree, const Pb__FileActionCopy *copy, GArray **ret_matches)
{
    unsigned flags = (copy->allowwildcard ? COB_CONTEXT_WILDCARD : 0u) |
                     (copy->followsymlink ? COB_CONTEXT_FOLLOW_LINKS : 0u);
    bool is_wildcard = copy->allowwildcard && cob_wildcard_is_one(copy->src);
    g_autoptr(GArray) matches = NULL;

    COB_TRY(cob_context_select(tree->context, copy->src, flags, &matches));
    if (matches->len == 0 && !(is_wildcard && copy->allowemptywildcard))
        return fail_not_found(copy->n_required_paths > 0 ? copy->required_paths[0] : copy->src);
    *ret_matches = g_steal_pointer(&matches);
    return NULL;
}

/* What a copy takes, and the names that it gives to files. */
static struct cob_error *add_match(struct op_tree *tree, const struct cob_context_match *match,
    struct copy_filter *filter, struct cob_cancel *cancel, struct cob_hasher *hasher)
{
    struct cob_context_entry named = cob_context_get(tree->context, match->named);
    struct cob_sha256 sha;

    if (match->named != match->index)
        cob_hasher_update_text(hasher, named.name);
    bool is_filtered = filter->included || filter->excluded;
    COB_TRY(cob_context_digest(tree->context, match->index,
        is_filtered ? cob_ops_copy_filter : NULL, filter, cancel, &sha));
    cob_hasher_update(hasher, sha.bytes, sizeof(sha.bytes));
    return NULL;
}

static struct cob_error *add_copy(struct op_tree *tree, const Pb__FileActionCopy *copy,
    struct cob_cancel *cancel, struct cob_hasher *hasher)
{
    g_autoptr(GArray) matches = NULL;
    struct copy_filter filter;
    struct cob_error *err = NULL;

    COB_TRY(cob_ops_copy_sources(tree, copy, &matches));
    COB_TRY(cob_ops_copy_filter_init(copy, &filter));
    cob_hasher_update_number(hasher, matches->len);
    for (guint i = 0; i < matches->len && !err; i++)
        err = add_match(
            tree, &g_array_index(matches, struct cob_context_match, i), &filter, cancel, hasher);
    if (!err)
        err = cob_ops_copy_filter_check(&filter, copy);
    cob_ops_copy_filter_done(&filter);
    return err;
}

static struct cob_error *add_selector(struct op_tree *tree, const char *selector,
    struct cob_cancel *cancel, struct cob_hasher *hasher)
{
    g_autoptr(GArray) matches = NULL;
    struct cob_sha256 sha;

    COB_TRY(cob_context_select(tree->context, selector, COB_CONTEXT_FOLLOW_LINKS, &matches));
    if (matches->len == 0)
        return fail_not_found(selector);
    COB_TRY(cob_context_digest(tree->context,
        g_array_index(matches, struct cob_context_match, 0).index, NULL, NULL, cancel, &sha));
    cob_hasher_update(hasher, sha.bytes, sizeof(sha.bytes));
    return NULL;
}

const char *cob_ops_selector(const Pb__Mount *mount)
{
    return *mount->selector ? mount->selector : "/";
}

/* What --parents takes is found by a pattern below the source. */
static void add_paths(GPtrArray *paths, const Pb__FileActionCopy *copy)
{
    if (copy->n_include_patterns == 0)
        g_ptr_array_add(paths, g_strdup(copy->src));
    for (size_t i = 0; i < copy->n_include_patterns; i++)
        g_ptr_array_add(paths, g_strconcat(copy->src, "/", copy->include_patterns[i], NULL));
}

/* All paths that a vertex takes from one of its inputs, so that no more is walked. */
static GPtrArray *paths_of(const struct cob_llb_vertex *vertex, size_t input)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    const Pb__Op *op = vertex->op;

    for (size_t i = 0; op->op_case == PB__OP__OP_FILE && i < op->file->n_actions; i++) {
        const Pb__FileAction *action = op->file->actions[i];

        if (action->action_case == PB__FILE_ACTION__ACTION_COPY &&
            action->secondaryinput == (int64_t)input)
            add_paths(paths, action->copy);
    }
    for (size_t i = 0; op->op_case == PB__OP__OP_EXEC && i < op->exec->n_mounts; i++) {
        const Pb__Mount *mount = op->exec->mounts[i];

        if (mount->input == (int64_t)input)
            g_ptr_array_add(paths, g_strdup(cob_ops_selector(mount)));
    }
    g_ptr_array_add(paths, NULL);
    return paths;
}

static struct cob_error *add_all(struct op_tree *tree, const struct cob_llb_vertex *vertex,
    size_t input, struct cob_cancel *cancel, struct cob_hasher *hasher)
{
    const Pb__Op *op = vertex->op;

    for (size_t i = 0; op->op_case == PB__OP__OP_FILE && i < op->file->n_actions; i++) {
        const Pb__FileAction *action = op->file->actions[i];

        if (action->action_case == PB__FILE_ACTION__ACTION_COPY &&
            action->secondaryinput == (int64_t)input)
            COB_TRY(add_copy(tree, action->copy, cancel, hasher));
    }
    for (size_t i = 0; op->op_case == PB__OP__OP_EXEC && i < op->exec->n_mounts; i++) {
        const Pb__Mount *mount = op->exec->mounts[i];

        if (mount->input == (int64_t)input)
            COB_TRY(add_selector(tree, cob_ops_selector(mount), cancel, hasher));
    }
    return NULL;
}

struct cob_error *cob_ops_content(void *arg, const struct cob_llb_vertex *vertex, size_t input,
    struct cob_solver_result *from, struct cob_cancel *cancel, char **ret_digest)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autoptr(GPtrArray) paths = paths_of(vertex, input);
    struct op_tree tree = {0};
    struct cob_error *err;

    cob_hasher_update_text(hasher, "cob.content.v1");
    err = cob_ops_tree_open(arg, from, (const char *const *)paths->pdata, cancel, &tree);
    if (!err)
        err = add_all(&tree, vertex, input, cancel, hasher);
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    g_autofree char *digest = cob_sha256_text(&sha);
    if (!err && tree.is_owned)
        cob_ops_keep_list(arg, &tree, vertex, input, digest);
    cob_ops_tree_done(&tree);
    if (err)
        return cob_wrap(err, "failed to compute cache key: failed to calculate checksum of ref %s",
            from ? from->id : "scratch");
    *ret_digest = g_steal_pointer(&digest);
    return NULL;
}
