/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "lang/llb/llb_private.h"
#include "util/limits.h"

static void vertex_free(void *data)
{
    struct cob_llb_vertex *vertex = data;

    g_free(vertex->digest);
    if (vertex->op)
        pb__op__free_unpacked((void *)(uintptr_t)vertex->op, NULL); /* ours, and const to others */
    g_array_unref(vertex->inputs);
    g_free(vertex->name);
    g_free(vertex->group_id);
    g_free(vertex->group_name);
    cob_srcfile_unref(vertex->file);
    g_free(vertex);
}

void cob_llb_graph_free(struct cob_llb_graph *graph)
{
    if (!graph)
        return;
    g_ptr_array_unref(graph->vertices);
    g_array_unref(graph->results);
    g_free(graph);
}

static struct cob_llb_vertex *vertex_new(
    const struct cob_llb_definition *definition, const struct cob_llb_op *op, Pb__Op *message)
{
    struct cob_llb_vertex *vertex = g_new(struct cob_llb_vertex, 1);

    *vertex = (struct cob_llb_vertex){
        .digest = g_strdup(op->digest),
        .op = message,
        .inputs = g_array_new(false, false, sizeof(struct cob_llb_ref)),
        .name = g_strdup(op->name),
        .is_ignoring_cache = op->is_ignoring_cache,
        .group_id = g_strdup(op->group_id),
        .group_name = g_strdup(op->group_name),
        .is_weak_group = op->is_weak_group,
    };
    if (op->places->len > 0) {
        const struct cob_llb_place *place = &g_array_index(op->places, struct cob_llb_place, 0);

        vertex->file = cob_srcfile_ref(g_ptr_array_index(definition->files, place->file));
        vertex->range = place->range;
    }
    return vertex;
}

static const char *action_word(const Pb__FileAction *action, const char **ret_a, const char **ret_b)
{
    switch (action->action_case) {
    case PB__FILE_ACTION__ACTION_COPY:
        *ret_a = action->copy->src;
        *ret_b = action->copy->dest;
        return "copy";
    case PB__FILE_ACTION__ACTION_MKFILE:
        *ret_a = action->mkfile->path;
        return "mkfile";
    case PB__FILE_ACTION__ACTION_MKDIR:
        *ret_a = action->mkdir->path;
        return "mkdir";
    case PB__FILE_ACTION__ACTION_RM:
        *ret_a = action->rm->path;
        return "rm";
    case PB__FILE_ACTION__ACTION_SYMLINK:
        *ret_a = action->symlink->newpath;
        *ret_b = action->symlink->oldpath;
        return "symlink";
    case PB__FILE_ACTION__ACTION__NOT_SET:
    case _PB__FILE_ACTION__ACTION__CASE_IS_INT_SIZE:
        break;
    }
    return "unknown";
}

static char *file_name(const Pb__FileOp *file)
{
    GString *name = g_string_new(NULL);

    for (size_t i = 0; i < file->n_actions; i++) {
        const char *a = "", *b = NULL;
        const char *word = action_word(file->actions[i], &a, &b);
        bool is_link = file->actions[i]->action_case == PB__FILE_ACTION__ACTION_SYMLINK;

        g_string_append_printf(name, "%s%s %s", i ? ", " : "", word, a);
        if (b)
            g_string_append_printf(name, "%s%s", is_link ? " -> " : " ", b);
    }
    return g_string_free(name, false);
}

static char *join(char *const *texts, size_t n, const char *between)
{
    GString *all = g_string_new(NULL);

    for (size_t i = 0; i < n; i++)
        g_string_append_printf(all, "%s%s", i ? between : "", texts[i]);
    return g_string_free(all, false);
}

static char *merge_name(const Pb__Op *op, const char *const *names)
{
    GString *name = g_string_new("merge (");

    for (size_t i = 0; i < op->n_inputs && name->len < COB_LIMIT_PATH_BYTES; i++)
        g_string_append_printf(name, "%s%s", i ? ", " : "", names[i]);
    return g_string_free(g_string_append_c(name, ')'), false);
}

static char *side_name(int64_t input, const char *const *names)
{
    return input < 0 ? g_strdup("scratch") : g_strdup_printf("(%.1000s)", names[input]);
}

char *llb_op_name(const Pb__Op *op, const char *const *names)
{
    switch (op->op_case) {
    case PB__OP__OP_SOURCE:
        return g_strdup(op->source->identifier);
    case PB__OP__OP_EXEC:
        return join(op->exec->meta->args, op->exec->meta->n_args, " ");
    case PB__OP__OP_FILE:
        return file_name(op->file);
    case PB__OP__OP_BUILD:
        return g_strdup("build");
    case PB__OP__OP_MERGE:
        return merge_name(op, names);
    case PB__OP__OP_DIFF: {
        g_autofree char *lower = side_name(op->diff->lower->input, names);
        g_autofree char *upper = side_name(op->diff->upper->input, names);

        return g_strdup_printf("diff %s -> %s", lower, upper);
    }
    case PB__OP__OP_PASSTHROUGH:
        return g_strdup_printf("passthrough %s", op->passthrough->id);
    case PB__OP__OP__NOT_SET:
    case _PB__OP__OP__CASE_IS_INT_SIZE:
        break;
    }
    return g_strdup("unknown");
}

/* Find the inputs of an op among the vertices before it. */
static struct cob_error *resolve(
    GPtrArray *vertices, GHashTable *by_digest, const Pb__Op *op, GArray *refs)
{
    for (size_t i = 0; i < op->n_inputs; i++) {
        const Pb__Input *input = op->inputs[i];
        int number = GPOINTER_TO_INT(g_hash_table_lookup(by_digest, input->digest)) - 1;

        if (number < 0)
            return cob_fail(COB_INVALID, "input %zu: no op before it has the digest %.100s", i,
                *input->digest ? input->digest : "\"\"");
        const struct cob_llb_vertex *vertex = g_ptr_array_index(vertices, number);
        if (input->index < 0 || input->index >= vertex->n_outputs)
            return cob_fail(COB_INVALID, "input %zu: op %s has %d outputs, and no output %" PRId64,
                i, vertex->digest, vertex->n_outputs, input->index);
        struct cob_llb_ref ref = {.vertex = number, .output = (int)input->index};
        g_array_append_val(refs, ref);
    }
    return NULL;
}

static void name_vertex(GPtrArray *vertices, struct cob_llb_vertex *vertex)
{
    g_autofree const char **names = g_new(const char *, vertex->inputs->len + 1);

    if (vertex->name)
        return;
    for (unsigned i = 0; i < vertex->inputs->len; i++) {
        int number = g_array_index(vertex->inputs, struct cob_llb_ref, i).vertex;

        names[i] = ((const struct cob_llb_vertex *)g_ptr_array_index(vertices, number))->name;
    }
    vertex->name = llb_op_name(vertex->op, names);
}

static struct cob_error *add_vertex(struct cob_llb_graph *graph, GHashTable *by_digest,
    const struct cob_llb_definition *definition, const struct cob_llb_op *op)
{
    Pb__Op *message = NULL;

    if (g_hash_table_contains(by_digest, op->digest))
        return NULL;
    COB_TRY(llb_op_decode(op->bytes, &message));
    struct cob_llb_vertex *vertex = vertex_new(definition, op, message);
    struct cob_error *err = llb_op_check(message, &vertex->n_outputs);
    if (!err)
        err = resolve(graph->vertices, by_digest, message, vertex->inputs);
    if (err) {
        vertex_free(vertex);
        return err;
    }
    name_vertex(graph->vertices, vertex);
    g_ptr_array_add(graph->vertices, vertex);
    g_hash_table_insert(by_digest, vertex->digest, GINT_TO_POINTER(graph->vertices->len));
    return NULL;
}

/* The last op only says which output of which op is the result. */
static struct cob_error *set_result(
    struct cob_llb_graph *graph, GHashTable *by_digest, const struct cob_llb_op *op)
{
    g_autoptr(GArray) refs = g_array_new(false, false, sizeof(struct cob_llb_ref));
    Pb__Op *message = NULL;

    COB_TRY(llb_op_decode(op->bytes, &message));
    struct cob_error *err = resolve(graph->vertices, by_digest, message, refs);
    if (!err && message->op_case != PB__OP__OP__NOT_SET)
        err = cob_fail(COB_INVALID, "the last op is not to do anything");
    pb__op__free_unpacked(message, NULL);
    if (err)
        return err;
    if (refs->len == 0)
        return cob_fail(COB_INVALID, "the last op has no input to be the result");
    g_array_append_val(graph->results, g_array_index(refs, struct cob_llb_ref, 0));
    return NULL;
}

/* Which vertices the results need, as 0 or 1. */
static int *mark_needed(const struct cob_llb_graph *graph)
{
    unsigned n = graph->vertices->len;
    int *is_needed = g_new0(int, n + 1);

    for (unsigned i = 0; i < graph->results->len; i++) {
        const struct cob_llb_ref *ref = &g_array_index(graph->results, struct cob_llb_ref, i);

        if (ref->vertex >= 0)
            is_needed[ref->vertex] = 1;
    }
    for (int i = (int)n - 1; i >= 0; i--) {
        const struct cob_llb_vertex *vertex = g_ptr_array_index(graph->vertices, i);

        for (unsigned k = 0; is_needed[i] && k < vertex->inputs->len; k++)
            is_needed[g_array_index(vertex->inputs, struct cob_llb_ref, k).vertex] = 1;
    }
    return is_needed;
}

/* number: of each vertex, its new one + 1. */
static void renumber(GArray *refs, const int *number)
{
    for (unsigned k = 0; k < refs->len; k++) {
        struct cob_llb_ref *ref = &g_array_index(refs, struct cob_llb_ref, k);

        if (ref->vertex >= 0)
            ref->vertex = number[ref->vertex] - 1;
    }
}

/* Drop what no result needs. */
static void prune(struct cob_llb_graph *graph)
{
    unsigned n = graph->vertices->len;
    g_autofree int *number = mark_needed(graph); /* 0: not needed; later: new number + 1 */
    GPtrArray *kept = g_ptr_array_new_with_free_func(vertex_free);

    for (unsigned i = 0; i < n; i++) {
        struct cob_llb_vertex *vertex = graph->vertices->pdata[i];

        if (!number[i])
            continue;
        renumber(vertex->inputs, number);
        g_ptr_array_add(kept, vertex);
        graph->vertices->pdata[i] = NULL;
        number[i] = (int)kept->len;
    }
    renumber(graph->results, number);
    for (unsigned i = 0; i < n; i++)
        if (graph->vertices->pdata[i])
            vertex_free(graph->vertices->pdata[i]);
    g_ptr_array_set_free_func(graph->vertices, NULL);
    g_ptr_array_unref(graph->vertices);
    graph->vertices = kept;
}

/* Add the ops of a definition that are not there yet, and its result. */
static struct cob_error *add_definition(
    struct cob_llb_graph *graph, GHashTable *by_digest, const struct cob_llb_definition *definition)
{
    const struct cob_llb_ref scratch = COB_LLB_SCRATCH;
    unsigned n = definition->ops->len;

    if (n > COB_LIMIT_LLB_OPS)
        return cob_fail(COB_EXHAUSTED, "LLB has %u ops, more than %d", n, COB_LIMIT_LLB_OPS);
    for (unsigned i = 0; i + 1 < n; i++) {
        const struct cob_llb_op *op = g_ptr_array_index(definition->ops, i);

        COB_TRY(cob_wrap(add_vertex(graph, by_digest, definition, op), "LLB op %u", i));
    }
    if (n == 0) {
        g_array_append_val(graph->results, scratch);
        return NULL;
    }
    const struct cob_llb_op *last = g_ptr_array_index(definition->ops, n - 1);
    return cob_wrap(set_result(graph, by_digest, last), "LLB op %u", n - 1);
}

struct cob_error *cob_llb_graph_join(
    const struct cob_llb_definition *const *definitions, size_t n, struct cob_llb_graph **ret_graph)
{
    g_autoptr(cob_llb_graph) graph = g_new(struct cob_llb_graph, 1);
    g_autoptr(GHashTable) by_digest = g_hash_table_new(g_str_hash, g_str_equal);

    *graph = (struct cob_llb_graph){.vertices = g_ptr_array_new_with_free_func(vertex_free),
        .results = g_array_new(false, false, sizeof(struct cob_llb_ref))};
    for (size_t i = 0; i < n; i++)
        COB_TRY(add_definition(graph, by_digest, definitions[i]));
    prune(graph);
    *ret_graph = g_steal_pointer(&graph);
    return NULL;
}

struct cob_error *cob_llb_graph_new(
    const struct cob_llb_definition *definition, struct cob_llb_graph **ret_graph)
{
    return cob_llb_graph_join(&definition, 1, ret_graph);
}
