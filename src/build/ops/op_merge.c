/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root file systems laid over each other: COPY --link. The layers of the upper ones are stacked
 * again on the lowest one, each a tree of hard links to the files it was made with: a new base
 * image costs no copy.
 */
#include "build/ops/ops_private.h"

/* Stack one layer on `*base`, which becomes the new top. */
static struct cob_error *stack(
    const struct op_run *run, const struct cob_snapshot *layer, struct cob_snapshot **base)
{
    const struct cob_snapshot_facts facts = {.description = run->vertex->name};
    g_autoptr(cob_snapshot_draft) draft = NULL;
    struct cob_snapshot *top = NULL;

    COB_TRY(cob_cancel_check(run->cancel));
    COB_TRY(cob_snapshot_draft_new(run->ops->config.store, *base, &draft));
    COB_TRY(cob_snapshot_draft_graft(draft, layer));
    COB_TRY(cob_snapshot_commit(g_steal_pointer(&draft), &facts, &top));
    cob_snapshot_unref(*base);
    *base = top;
    return NULL;
}

/* All layers of a snapshot, the lowest first. */
static struct cob_error *stack_all(
    const struct op_run *run, struct cob_snapshot *upper, struct cob_snapshot **base)
{
    g_autoptr(GPtrArray) layers = g_ptr_array_new();

    for (; upper; upper = cob_snapshot_parent(upper))
        g_ptr_array_add(layers, upper);
    for (guint i = layers->len; i > 0; i--)
        COB_TRY(stack(run, g_ptr_array_index(layers, i - 1), base));
    return NULL;
}

struct cob_error *cob_ops_run_merge(const struct op_run *run, struct cob_solver_result **ret_result)
{
    const Pb__MergeOp *merge = run->vertex->op->merge;
    g_autoptr(cob_snapshot) top = NULL;

    for (size_t i = 0; i < merge->n_inputs; i++) {
        struct cob_snapshot *input = NULL;

        COB_TRY(cob_ops_input_snapshot(run, merge->inputs[i]->input, &input));
        if (!top)
            top = input ? cob_snapshot_ref(input) : NULL;
        else
            COB_TRY(stack_all(run, input, &top));
    }
    *ret_result = top ? cob_ops_result_of(top) : NULL;
    return NULL;
}
