/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lang/llb/llb_private.h"

static int by_key(const void *a, const void *b)
{
    const Pb__TextEntry *const *one = a, *const *other = b;

    return strcmp((*one)->key, (*other)->key);
}

struct cob_llb_ref cob_llb_add_source(struct cob_llb_builder *builder, const char *identifier,
    const struct cob_llb_attr *attrs, const struct cob_llb_platform *platform,
    const struct cob_llb_about *about)
{
    struct llb_draft draft = llb_draft_begin(builder);
    Pb__SourceOp *source = g_new(Pb__SourceOp, 1);
    size_t n = 0;

    pb__source_op__init(source);
    llb_set_text(&source->identifier, identifier);
    while (attrs && attrs[n].key)
        n++;
    source->attrs = n ? g_new(Pb__TextEntry *, n) : NULL;
    source->n_attrs = n;
    for (size_t i = 0; i < n; i++) {
        source->attrs[i] = g_new(Pb__TextEntry, 1);
        pb__text_entry__init(source->attrs[i]);
        source->attrs[i]->key = g_strdup(attrs[i].key);
        source->attrs[i]->value = g_strdup(attrs[i].value);
    }
    if (n > 1)
        qsort(source->attrs, n, sizeof(*source->attrs), by_key);
    draft.op->op_case = PB__OP__OP_SOURCE;
    draft.op->source = source;
    if (g_str_has_prefix(identifier, "docker-image://") ||
        g_str_has_prefix(identifier, "oci-layout://"))
        llb_draft_set_platform(&draft, platform);
    return (struct cob_llb_ref){.vertex = llb_draft_end(&draft, about)};
}

struct cob_llb_ref cob_llb_add_merge(struct cob_llb_builder *builder,
    const struct cob_llb_ref *refs, size_t n_refs, const struct cob_llb_about *about)
{
    size_t n = 0;
    struct cob_llb_ref last = COB_LLB_SCRATCH;

    for (size_t i = 0; i < n_refs; i++) {
        if (refs[i].vertex < 0)
            continue;
        last = refs[i];
        n++;
    }
    if (n < 2)
        return last;
    struct llb_draft draft = llb_draft_begin(builder);
    Pb__MergeOp *merge = g_new(Pb__MergeOp, 1);
    pb__merge_op__init(merge);
    merge->inputs = g_new(Pb__MergeInput *, n);
    for (size_t i = 0; i < n_refs; i++) {
        if (refs[i].vertex < 0)
            continue;
        Pb__MergeInput *input = g_new(Pb__MergeInput, 1);

        pb__merge_input__init(input);
        input->input = llb_draft_new_input(&draft, refs[i]);
        merge->inputs[merge->n_inputs++] = input;
    }
    draft.op->op_case = PB__OP__OP_MERGE;
    draft.op->merge = merge;
    return (struct cob_llb_ref){.vertex = llb_draft_end(&draft, about)};
}

struct cob_llb_ref cob_llb_add_diff(struct cob_llb_builder *builder, struct cob_llb_ref lower,
    struct cob_llb_ref upper, const struct cob_llb_about *about)
{
    if (lower.vertex < 0)
        return upper;
    struct llb_draft draft = llb_draft_begin(builder);
    Pb__DiffOp *diff = g_new(Pb__DiffOp, 1);
    pb__diff_op__init(diff);
    diff->lower = g_new(Pb__LowerDiffInput, 1);
    pb__lower_diff_input__init(diff->lower);
    diff->lower->input = llb_draft_new_input(&draft, lower);
    diff->upper = g_new(Pb__UpperDiffInput, 1);
    pb__upper_diff_input__init(diff->upper);
    diff->upper->input = upper.vertex < 0 ? -1 : llb_draft_new_input(&draft, upper);
    draft.op->op_case = PB__OP__OP_DIFF;
    draft.op->diff = diff;
    return (struct cob_llb_ref){.vertex = llb_draft_end(&draft, about)};
}

const char *cob_llb_source_attr(const Pb__SourceOp *source, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < source->n_attrs; i++) /* of a key that is there twice, the last counts */
        if (g_strcmp0(source->attrs[i]->key, key) == 0)
            value = source->attrs[i]->value ? source->attrs[i]->value : "";
    return value;
}
