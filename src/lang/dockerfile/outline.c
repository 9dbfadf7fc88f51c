/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_outline.h"

#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"

/* --- what steps note --- */

static void found_free(void *data)
{
    struct dockerfile_found *found = data;

    g_free(found->name);
    g_free(found->value);
    g_free(found);
}

static void note(const struct dockerfile_job *job, struct dockerfile_found found)
{
    struct dockerfile_build *build = job->build;
    struct dockerfile_found *copy = g_new(struct dockerfile_found, 1);

    *copy = found;
    copy->range = job->instruction->range;
    if (!build->inputs)
        build->inputs = g_ptr_array_new_with_free_func(found_free);
    g_ptr_array_add(build->inputs, copy);
}

void dockerfile_found_arg(
    const struct dockerfile_job *job, const struct dockerfile_pair *pair, const char *value)
{
    const struct dockerfile_plan *plan = job->convert->plan;
    bool is_global = !pair->value && !dockerfile_build_arg(plan->request, pair->key) &&
                     dockerfile_vars_get(plan->global_args, pair->key);

    if (job->convert->is_outline)
        note(job, (struct dockerfile_found){.kind = DOCKERFILE_FOUND_ARG,
                      .name = g_strdup(pair->key),
                      .value = g_strdup(value),
                      .description = dockerfile_doc_comment(job->instruction, pair->key),
                      .is_global = is_global});
}

static char *secret_name(const struct dockerfile_mount *mount)
{
    if (mount->source && *mount->source)
        return g_strdup(mount->source);
    if (mount->id && *mount->id)
        return g_strdup(mount->id);
    return g_path_get_basename(mount->target ? mount->target : "");
}

void dockerfile_found_mount(const struct dockerfile_job *job, const struct dockerfile_mount *mount)
{
    struct dockerfile_found found = {.is_required = mount->is_required};

    if (!job->convert->is_outline)
        return;
    if (mount->type == DOCKERFILE_MOUNT_SECRET) {
        found.kind = DOCKERFILE_FOUND_SECRET;
        found.name = secret_name(mount);
    } else if (mount->type == DOCKERFILE_MOUNT_SSH) {
        found.kind = DOCKERFILE_FOUND_SSH;
        found.name = g_strdup(mount->id && *mount->id ? mount->id : "default");
    } else {
        return;
    }
    note(job, found);
}

/* --- gathering --- */

/* A global argument: the last ARG of its name. */
struct global {
    const struct dockerfile_instruction *arg;
    const struct dockerfile_pair *pair;
    GHashTable *needs; /* names that its value is made of, owned; NULL: none */
};

struct gather {
    const struct dockerfile_convert *convert;
    struct cob_dockerfile_outline *out;
    GHashTable *globals; /* name, borrowed -> struct global, owned */
    GHashTable *seen[3]; /* names of each kind, borrowed from the outline */
    GHashTable *closed;  /* global names that were followed, borrowed */
    GPtrArray *open;     /* char *: global names to follow, borrowed */
};

static void global_free(void *data)
{
    struct global *global = data;

    g_clear_pointer(&global->needs, g_hash_table_unref);
    g_free(global);
}

static GPtrArray *list_of(const struct gather *gather, enum dockerfile_found_kind kind)
{
    struct cob_dockerfile_outline *out = gather->out;

    return kind == DOCKERFILE_FOUND_ARG      ? out->args
           : kind == DOCKERFILE_FOUND_SECRET ? out->secrets
                                             : out->ssh;
}

/* Add an input, unless there is one of its name: the first one counts. */
static void add(struct gather *gather, const struct dockerfile_found *found, const char *value)
{
    struct cob_dockerfile_input *input;

    if (g_hash_table_contains(gather->seen[found->kind], found->name))
        return;
    input = g_new(struct cob_dockerfile_input, 1);
    *input = (struct cob_dockerfile_input){.name = g_strdup(found->name),
        .value = g_strdup(value),
        .description = g_strdup(found->description),
        .is_required = found->is_required,
        .range = found->range};
    g_ptr_array_add(list_of(gather, found->kind), input);
    g_hash_table_add(gather->seen[found->kind], input->name);
}

static void open_global(struct gather *gather, char *name)
{
    if (g_hash_table_contains(gather->globals, name) && g_hash_table_add(gather->closed, name))
        g_ptr_array_add(gather->open, name);
}

static void add_global(struct gather *gather, char *name)
{
    const struct global *global = g_hash_table_lookup(gather->globals, name);
    const struct dockerfile_vars *values = gather->convert->plan->global_args;
    const struct dockerfile_found found = {.kind = DOCKERFILE_FOUND_ARG,
        .name = global->pair->key,
        .description = dockerfile_doc_comment(global->arg, global->pair->key),
        .range = global->arg->range};
    GHashTableIter iter;
    void *need;

    add(gather, &found, dockerfile_vars_get(values, name));
    if (!global->needs)
        return;
    g_hash_table_iter_init(&iter, global->needs);
    while (g_hash_table_iter_next(&iter, &need, NULL)) {
        const struct global *next = g_hash_table_lookup(gather->globals, need);

        if (next)
            open_global(gather, next->pair->key);
    }
}

/* A global argument with those that its value is made of. */
static void follow(struct gather *gather, char *name)
{
    open_global(gather, name);
    while (gather->open->len > 0)
        add_global(gather, g_ptr_array_steal_index(gather->open, gather->open->len - 1));
}

/* The variables of a FROM. */
static struct cob_error *add_words(struct gather *gather, const char *text)
{
    const struct dockerfile_plan *plan = gather->convert->plan;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct dockerfile_expander expander = {.env = dockerfile_vars_env(plan->global_args),
        .escape = plan->dockerfile->escape,
        .matched = names};
    g_autofree char *expanded = NULL;

    COB_TRY(dockerfile_expand(&expander, text, &expanded));
    for (guint i = 0; i < names->len; i++) {
        const struct global *global =
            g_hash_table_lookup(gather->globals, g_ptr_array_index(names, i));

        if (global)
            follow(gather, global->pair->key);
    }
    return NULL;
}

static struct cob_error *add_node(struct gather *gather, const struct dockerfile_node *node)
{
    const GPtrArray *inputs = gather->convert->builds[node->index].inputs;

    for (guint i = inputs ? inputs->len : 0; i-- > 0;) { /* of one name the last ARG counts */
        const struct dockerfile_found *found = g_ptr_array_index(inputs, i);
        const struct global *global = g_hash_table_lookup(gather->globals, found->name);

        if (!found->is_global)
            add(gather, found, found->value);
        else if (global)
            follow(gather, global->pair->key);
    }
    if (!node->stage)
        return NULL;
    COB_TRY(add_words(gather, node->stage->from->from.base));
    const char *platform = node->stage->from->from.platform;
    return platform ? add_words(gather, platform) : NULL;
}

/* The target, then what it needs, deep before wide; without the C stack. */
static struct cob_error *add_nodes(struct gather *gather)
{
    const struct dockerfile_plan *plan = gather->convert->plan;
    g_autoptr(GPtrArray) stack = g_ptr_array_new();
    g_autofree bool *is_added = g_new0(bool, plan->nodes->len);

    g_ptr_array_add(stack, plan->target);
    while (stack->len > 0) {
        struct dockerfile_node *node = g_ptr_array_steal_index(stack, stack->len - 1);

        if (is_added[node->index])
            continue;
        is_added[node->index] = true;
        COB_TRY(add_node(gather, node));
        for (guint i = node->needs->len; i-- > 0;)
            g_ptr_array_add(stack, g_array_index(node->needs, struct dockerfile_need, i).node);
        if (node->base)
            g_ptr_array_add(stack, node->base);
    }
    return NULL;
}

/* What the value of a global argument is made of: ARGs that stand before it. Where it is made of
 * itself, it is made of what it was made of before. */
static struct cob_error *find_needs(
    struct gather *gather, const struct dockerfile_pair *pair, GHashTable **ret_needs)
{
    const struct dockerfile_plan *plan = gather->convert->plan;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) needs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const struct global *old = g_hash_table_lookup(gather->globals, pair->key);
    struct dockerfile_expander expander = {.env = dockerfile_vars_env(plan->global_args),
        .escape = plan->dockerfile->escape,
        .matched = names};
    g_autofree char *expanded = NULL;

    if (!pair->value || dockerfile_build_arg(plan->request, pair->key))
        return NULL;
    COB_TRY(dockerfile_expand(&expander, pair->value, &expanded));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        GHashTableIter iter;
        void *key;

        if (strcmp(name, pair->key) != 0) {
            if (g_hash_table_contains(gather->globals, name))
                g_hash_table_add(needs, g_strdup(name));
            continue;
        }
        if (!old || !old->needs)
            continue;
        g_hash_table_iter_init(&iter, old->needs);
        while (g_hash_table_iter_next(&iter, &key, NULL))
            g_hash_table_add(needs, g_strdup(key));
    }
    *ret_needs = g_steal_pointer(&needs);
    return NULL;
}

static struct cob_error *read_globals(struct gather *gather)
{
    const GPtrArray *args = gather->convert->plan->dockerfile->global_args;

    for (guint i = 0; i < args->len; i++) {
        const struct dockerfile_instruction *arg = g_ptr_array_index(args, i);

        for (guint j = 0; j < arg->pairs->len; j++) {
            struct dockerfile_pair *pair = g_ptr_array_index(arg->pairs, j);
            struct global *global;
            GHashTable *needs = NULL;

            COB_TRY(find_needs(gather, pair, &needs));
            global = g_new(struct global, 1);
            *global = (struct global){.arg = arg, .pair = pair, .needs = needs};
            g_hash_table_replace(gather->globals, pair->key, global);
        }
    }
    return NULL;
}

static void input_free(void *data)
{
    struct cob_dockerfile_input *input = data;

    g_free(input->name);
    g_free(input->value);
    g_free(input->description);
    g_free(input);
}

void cob_dockerfile_outline_done(struct cob_dockerfile_outline *outline)
{
    g_clear_pointer(&outline->name, g_free);
    g_clear_pointer(&outline->description, g_free);
    g_clear_pointer(&outline->args, g_ptr_array_unref);
    g_clear_pointer(&outline->secrets, g_ptr_array_unref);
    g_clear_pointer(&outline->ssh, g_ptr_array_unref);
}

static int by_line(const void *a, const void *b)
{
    const struct cob_dockerfile_input *const *one = a, *const *other = b;
    int32_t difference = (*one)->range.first_line - (*other)->range.first_line;

    return difference ? (difference > 0) - (difference < 0) : strcmp((*one)->name, (*other)->name);
}

static struct cob_error *gather_all(struct gather *gather)
{
    COB_TRY(read_globals(gather));
    COB_TRY(add_nodes(gather));
    for (size_t kind = 0; kind < G_N_ELEMENTS(gather->seen); kind++)
        g_ptr_array_sort(list_of(gather, (enum dockerfile_found_kind)kind), by_line);
    return NULL;
}

struct cob_error *dockerfile_outline_make(
    const struct dockerfile_convert *convert, struct cob_dockerfile_outline *ret)
{
    const struct dockerfile_instruction *from = convert->plan->target->stage->from;
    const char *name = from->from.stage_name;
    struct cob_dockerfile_outline out = {.name = g_strdup(name),
        .description = g_strdup(name ? dockerfile_doc_comment(from, name) : NULL),
        .args = g_ptr_array_new_with_free_func(input_free),
        .secrets = g_ptr_array_new_with_free_func(input_free),
        .ssh = g_ptr_array_new_with_free_func(input_free)};
    struct gather gather = {.convert = convert,
        .out = &out,
        .globals = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, global_free),
        .closed = g_hash_table_new(g_str_hash, g_str_equal),
        .open = g_ptr_array_new()};

    for (size_t kind = 0; kind < G_N_ELEMENTS(gather.seen); kind++)
        gather.seen[kind] = g_hash_table_new(g_str_hash, g_str_equal);
    struct cob_error *err = gather_all(&gather);
    for (size_t kind = 0; kind < G_N_ELEMENTS(gather.seen); kind++)
        g_hash_table_unref(gather.seen[kind]);
    g_hash_table_unref(gather.globals);
    g_hash_table_unref(gather.closed);
    g_ptr_array_unref(gather.open);
    if (err)
        cob_dockerfile_outline_done(&out);
    else
        *ret = out;
    return err;
}

void cob_dockerfile_targets(const struct cob_dockerfile *dockerfile, GArray **ret_targets)
{
    GArray *targets = g_array_new(FALSE, FALSE, sizeof(struct cob_dockerfile_target));

    for (guint i = 0; i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);
        const struct dockerfile_from *from = &stage->from->from;
        const struct cob_dockerfile_target target = {.name = from->stage_name,
            .description =
                from->stage_name ? dockerfile_doc_comment(stage->from, from->stage_name) : NULL,
            .base = from->base,
            .platform = from->platform,
            .is_default = i + 1 == dockerfile->stages->len,
            .range = stage->from->range};

        g_array_append_val(targets, target);
    }
    *ret_targets = targets;
}
