/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_plan.h"
#include "util/limits.h"

/* A node for an image that a step names. */
static struct cob_error *add_image(struct dockerfile_plan *plan, const char *name,
    struct cob_range range, struct dockerfile_node **ret_node)
{
    struct dockerfile_node *node = dockerfile_plan_add(plan, NULL, g_strdup(name), range);

    node->name = g_strdup("");
    node->is_scratch = strcmp(name, "scratch") == 0;
    *ret_node = node;
    return dockerfile_context_place(plan, node);
}

static bool is_number(const char *text)
{
    text += *text == '+' || *text == '-';
    return *text && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text);
}

/* What COPY --from or a mount's from means: a stage by name or number, else an image. */
static struct cob_error *find_source(struct dockerfile_plan *plan, const char *name,
    struct cob_range range, struct dockerfile_node **ret_node)
{
    guint n_stages = plan->dockerfile->stages->len;

    if (is_number(name)) {
        int number = atoi(name);

        if (number < 0 || (guint)number >= n_stages)
            return cob_fail(COB_INVALID, "invalid stage index %d", number);
        *ret_node = g_ptr_array_index(plan->nodes, (guint)number);
        return NULL;
    }
    *ret_node = dockerfile_plan_find(plan, name);
    return *ret_node ? NULL : add_image(plan, name, range, ret_node);
}

static struct cob_error *check_copy_from(const struct dockerfile_plan *plan, const char *from)
{
    struct dockerfile_expander expander = {.escape = plan->dockerfile->escape};
    g_autofree char *expanded = NULL;

    COB_TRY(dockerfile_expand(&expander, from, &expanded));
    if (strcmp(expanded, from) == 0)
        return NULL;
    return cob_fail(COB_INVALID,
        "variable expansion is not supported for --from, define a new stage with FROM using ARG "
        "from global scope as a workaround");
}

static struct cob_error *add_source(struct dockerfile_plan *plan, struct dockerfile_node *node,
    struct dockerfile_step *step, const char *from)
{
    struct dockerfile_need need = {.range = step->instruction->range};

    COB_TRY(find_source(plan, from, need.range, &need.node));
    g_ptr_array_add(step->sources, need.node);
    g_array_append_val(node->needs, need);
    return NULL;
}

static struct cob_error *tie_step(
    struct dockerfile_plan *plan, struct dockerfile_node *node, struct dockerfile_step *step)
{
    const struct dockerfile_instruction *instruction = step->instruction;

    if (instruction->kind == DOCKERFILE_COPY && instruction->files.from &&
        *instruction->files.from) {
        COB_TRY(check_copy_from(plan, instruction->files.from));
        return add_source(plan, node, step, instruction->files.from);
    }
    if (instruction->kind != DOCKERFILE_RUN)
        return NULL;
    for (guint i = 0; i < instruction->run.mounts->len; i++) {
        const struct dockerfile_mount *mount = g_ptr_array_index(instruction->run.mounts, i);

        if (mount->from && *mount->from)
            COB_TRY(add_source(plan, node, step, mount->from));
        else
            g_ptr_array_add(step->sources, NULL);
    }
    return NULL;
}

/* Instructions are the node's next steps. */
static struct cob_error *tie_all(
    struct dockerfile_plan *plan, struct dockerfile_node *node, const GPtrArray *instructions)
{
    for (guint i = 0; i < instructions->len; i++) {
        struct dockerfile_step *step = g_new(struct dockerfile_step, 1);

        *step = (struct dockerfile_step){
            .instruction = g_ptr_array_index(instructions, i), .sources = g_ptr_array_new()};
        g_ptr_array_add(node->steps, step);
        COB_TRY(cob_error_at(
            tie_step(plan, node, step), plan->dockerfile->file, step->instruction->range));
    }
    return NULL;
}

/* Its place in the file is the FROM that sets it off. */
static struct cob_error *add_trigger(
    struct dockerfile_plan *plan, struct dockerfile_node *node, const char *text)
{
    struct dockerfile_instruction *trigger = NULL;

    if (++plan->n_triggers > COB_LIMIT_INSTRUCTIONS)
        return cob_fail(
            COB_EXHAUSTED, "more than %d ONBUILD triggers are set off", COB_LIMIT_INSTRUCTIONS);
    COB_TRY(cob_wrap(dockerfile_trigger_parse(text, plan->dockerfile->escape, &trigger),
        "ONBUILD trigger of %s", node->base_name));
    trigger->range = node->range;
    node->n_numbered += dockerfile_is_numbered(trigger);
    g_ptr_array_add(node->triggers, trigger);
    return NULL;
}

/* Those that an earlier stage has for whoever begins with it, or that the image has. */
static struct cob_error *add_triggers(struct dockerfile_plan *plan, struct dockerfile_node *node)
{
    char **texts =
        plan->triggers ? g_hash_table_lookup(plan->triggers, GSIZE_TO_POINTER(node->index)) : NULL;
    bool has_above = node->base && !node->base->is_replaced;
    const GPtrArray *above = has_above ? node->base->stage->instructions : NULL;

    for (guint i = 0; above && i < above->len; i++) {
        const struct dockerfile_instruction *instruction = g_ptr_array_index(above, i);

        if (instruction->kind == DOCKERFILE_ONBUILD)
            COB_TRY(add_trigger(plan, node, instruction->trigger));
    }
    for (; texts && *texts; texts++)
        COB_TRY(add_trigger(plan, node, *texts));
    return NULL;
}

static struct cob_error *tie_node(struct dockerfile_plan *plan, struct dockerfile_node *node)
{
    if (node->is_replaced)
        return NULL;
    COB_TRY(cob_error_at(add_triggers(plan, node), plan->dockerfile->file, node->range));
    COB_TRY(tie_all(plan, node, node->triggers));
    return tie_all(plan, node, node->stage->instructions);
}

/* Depth-first over stages, without the C stack: a file may have 100,000 of them in a row. */
struct walk {
    enum { NEW, OPEN, CLOSED } * states; /* of each node */
    GArray *path;                        /* struct visit */
};

struct visit {
    const struct dockerfile_node *node;
    guint next; /* which of its needs comes next; the base is the first */
};

static const struct dockerfile_node *next_need(struct visit *visit, struct cob_range *ret_range)
{
    const struct dockerfile_node *node = visit->node;
    guint at = visit->next++;

    *ret_range = node->range;
    if (at == 0 && node->base)
        return node->base;
    if (at == 0)
        at = visit->next++;
    if (at - 1 >= node->needs->len)
        return NULL;
    *ret_range = g_array_index(node->needs, struct dockerfile_need, at - 1).range;
    return g_array_index(node->needs, struct dockerfile_need, at - 1).node;
}

static void enter(struct walk *walk, const struct dockerfile_node *node)
{
    struct visit visit = {.node = node};

    walk->states[node->index] = OPEN;
    g_array_append_val(walk->path, visit);
}

/* Walk all that a node needs. A way back to a node that is open is a loop. */
static struct cob_error *walk_from(
    struct dockerfile_plan *plan, struct walk *walk, const struct dockerfile_node *start)
{
    enter(walk, start);
    while (walk->path->len > 0) {
        struct visit *top = &g_array_index(walk->path, struct visit, walk->path->len - 1);
        struct cob_range range;
        const struct dockerfile_node *need = next_need(top, &range);

        if (!need) {
            walk->states[top->node->index] = CLOSED;
            g_array_set_size(walk->path, walk->path->len - 1);
        } else if (walk->states[need->index] == OPEN) {
            return cob_error_at(
                cob_fail(COB_INVALID, "circular dependency detected on stage: %s", need->name),
                plan->dockerfile->file, range);
        } else if (walk->states[need->index] == NEW) {
            enter(walk, need);
        }
    }
    return NULL;
}

static struct cob_error *walk_all(struct dockerfile_plan *plan, struct walk *walk)
{
    const char *target = plan->request->target;
    const bool is_every_stage = plan->request->is_check && (!target || !*target);

    for (guint i = 0; i < plan->nodes->len; i++) {
        if (walk->states[i] == NEW)
            COB_TRY(walk_from(plan, walk, g_ptr_array_index(plan->nodes, i)));
    }
    memset(walk->states, 0, plan->nodes->len * sizeof(*walk->states));
    g_array_set_size(walk->path, 0);
    COB_TRY(walk_from(plan, walk, plan->target));
    for (guint i = 0; i < plan->nodes->len; i++) {
        struct dockerfile_node *node = g_ptr_array_index(plan->nodes, i);

        node->is_reachable = walk->states[i] == CLOSED || is_every_stage;
    }
    return NULL;
}

struct cob_error *dockerfile_plan_tie(struct dockerfile_plan *plan)
{
    guint n_stages = plan->dockerfile->stages->len;
    struct walk walk;

    for (guint i = 0; i < n_stages; i++)
        COB_TRY(tie_node(plan, g_ptr_array_index(plan->nodes, i)));
    walk.states = g_malloc0_n(plan->nodes->len, sizeof(*walk.states));
    walk.path = g_array_new(FALSE, FALSE, sizeof(struct visit));
    struct cob_error *err = walk_all(plan, &walk);
    g_array_unref(walk.path);
    g_free(walk.states);
    if (!err && plan->nodes->len == 1) { /* the only stage needs no name in progress */
        struct dockerfile_node *only = g_ptr_array_index(plan->nodes, 0);

        g_free(only->name);
        only->name = g_strdup("");
    }
    return err;
}
