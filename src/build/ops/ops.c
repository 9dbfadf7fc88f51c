/* SPDX-License-Identifier: Apache-2.0 */
#include "build/ops/ops.h"

#include "build/ops/ops_private.h"

/* --- results --- */

static void release_snapshot(void *snapshot)
{
    cob_snapshot_unref(snapshot);
}

/* Marks a result as a context; there is nothing to release. */
static void release_context(void *context)
{
    (void)context;
}

char *cob_ops_platform(const Pb__Op *op)
{
    const Pb__Platform *platform = op->platform;

    if (!platform)
        return NULL;
    return g_strjoin("/", platform->os, platform->architecture,
        *platform->variant ? platform->variant : NULL, NULL);
}

struct cob_solver_result *cob_ops_result_of(struct cob_snapshot *snapshot)
{
    g_autofree char *id = g_strdup_printf("snapshot:%s", cob_snapshot_id(snapshot));

    return cob_solver_result_new(id, cob_snapshot_ref(snapshot), release_snapshot);
}

struct cob_snapshot *cob_ops_snapshot_of(const struct cob_solver_result *result)
{
    return result && result->release == release_snapshot ? result->data : NULL;
}

struct cob_solver_result *cob_ops_result_of_context(struct cob_context *context)
{
    return cob_solver_result_new("context", context, release_context);
}

struct cob_context *cob_ops_context_of(const struct cob_solver_result *result)
{
    return result && result->release == release_context ? result->data : NULL;
}

struct cob_error *cob_ops_input_snapshot(
    const struct op_run *run, int64_t input, struct cob_snapshot **ret_snapshot)
{
    struct cob_solver_result *result = input < 0 ? NULL : run->inputs[input];
    struct cob_snapshot *snapshot = cob_ops_snapshot_of(result);

    if (result && !snapshot)
        return cob_fail(COB_UNIMPLEMENTED, "a build context as a root file system");
    *ret_snapshot = snapshot;
    return NULL;
}

struct cob_error *cob_ops_commit(const struct op_run *run, struct cob_snapshot_draft *draft,
    struct cob_solver_result **ret_result)
{
    g_autoptr(cob_snapshot) snapshot = NULL;
    struct cob_snapshot_facts facts = {.description = run->vertex->name};

    COB_TRY(cob_snapshot_commit(draft, &facts, &snapshot));
    *ret_result = cob_ops_result_of(snapshot);
    return NULL;
}

/* --- the kinds --- */

/* What can be done with a kind of op; all NULL: nothing yet. */
struct op_kind {
    struct cob_error *(*key)(const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key);
    struct cob_error *(*run)(const struct op_run *run, struct cob_solver_result **ret_result);
};

static struct cob_error *find_kind(
    const struct cob_llb_vertex *vertex, const struct op_kind **ret_kind)
{
    static const struct op_kind kinds[] = {
        [PB__OP__OP_SOURCE] = {cob_ops_key_source, cob_ops_run_source},
        [PB__OP__OP_EXEC] = {cob_ops_key_exec, cob_ops_run_exec},
        [PB__OP__OP_FILE] = {cob_ops_key_file, cob_ops_run_file},
        [PB__OP__OP_MERGE] = {cob_ops_key_merge, cob_ops_run_merge},
    };
    const unsigned number = vertex->op->op_case;

    if (number >= G_N_ELEMENTS(kinds) || !kinds[number].run)
        return cob_fail(
            COB_UNIMPLEMENTED, "%s: this kind of op is not supported yet", vertex->name);
    *ret_kind = &kinds[number];
    return NULL;
}

static struct cob_error *key_vertex(
    void *arg, const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    const struct op_kind *kind = NULL;

    (void)arg;
    if (vertex->n_outputs > 1)
        return cob_fail(COB_UNIMPLEMENTED, "%s: more than one output", vertex->name);
    COB_TRY(find_kind(vertex, &kind));
    return kind->key(vertex, ret_key);
}

static struct cob_error *run_vertex(void *arg, const struct cob_llb_vertex *vertex,
    struct cob_solver_result *const *inputs, struct cob_cancel *cancel,
    struct cob_solver_result **ret_result)
{
    const struct op_run run = {.ops = arg, .vertex = vertex, .inputs = inputs, .cancel = cancel};
    const struct op_kind *kind = NULL;

    COB_TRY(find_kind(vertex, &kind));
    return kind->run(&run, ret_result);
}

static void unref_list(void *list)
{
    if (list)
        g_bytes_unref(list);
}

struct cob_ops *cob_ops_new(const struct cob_ops_config *config)
{
    struct cob_ops *ops = g_new(struct cob_ops, 1);

    *ops = (struct cob_ops){
        .config = *config,
        .contexts = g_array_new(FALSE, FALSE, sizeof(struct open_context)),
        .bound = g_ptr_array_new_with_free_func((GDestroyNotify)cob_ops_bound_tree_free),
        .lists = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_list),
        .table = {.arg = ops, .key = key_vertex, .content = cob_ops_content, .run = run_vertex},
    };
    return ops;
}

void cob_ops_free(struct cob_ops *ops)
{
    if (!ops)
        return;
    for (guint i = 0; i < ops->contexts->len; i++) {
        struct open_context *open = &g_array_index(ops->contexts, struct open_context, i);

        cob_context_close(open->context);
        g_free(open->root);
    }
    g_array_unref(ops->contexts);
    g_ptr_array_unref(ops->bound);
    g_hash_table_unref(ops->lists);
    g_mutex_clear(&ops->lists_lock);
    g_mutex_clear(&ops->bound_lock);
    g_mutex_clear(&ops->lock);
    g_free(ops);
}

void cob_ops_keep_context(struct cob_ops *ops, char *root, struct cob_context *context)
{
    struct open_context open = {.root = root, .context = context};

    g_mutex_lock(&ops->lock);
    g_array_append_val(ops->contexts, open);
    g_mutex_unlock(&ops->lock);
}

const struct cob_solver_ops *cob_ops_table(const struct cob_ops *ops)
{
    return &ops->table;
}
