/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_plan.h"
#include "lang/dockerfile/dockerfile_suggest.h"

static void step_free(void *data)
{
    struct dockerfile_step *step = data;

    g_clear_pointer(&step->sources, g_ptr_array_unref);
    g_free(step);
}

static void node_free(void *data)
{
    struct dockerfile_node *node = data;

    g_free(node->name);
    g_free(node->base_name);
    dockerfile_context_free(node->context);
    cob_platform_free(node->platform);
    g_ptr_array_unref(node->steps);
    g_ptr_array_unref(node->triggers);
    g_array_unref(node->needs);
    g_free(node);
}

void dockerfile_plan_free(struct dockerfile_plan *plan)
{
    if (!plan)
        return;
    cob_platform_free(plan->build_platform);
    cob_platform_free(plan->target_platform);
    dockerfile_lint_free(plan->lint);
    dockerfile_vars_free(plan->global_args);
    g_hash_table_unref(plan->declared);
    g_ptr_array_unref(plan->nodes);
    g_hash_table_unref(plan->stages);
    g_free(plan);
}

const char *dockerfile_build_arg(const struct cob_dockerfile_request *request, const char *name)
{
    return request->build_args ? g_hash_table_lookup(request->build_args, name) : NULL;
}

struct dockerfile_node *dockerfile_plan_add(struct dockerfile_plan *plan,
    const struct dockerfile_stage *stage, char *base_name, struct cob_range range)
{
    struct dockerfile_node *node = g_new(struct dockerfile_node, 1);

    *node = (struct dockerfile_node){
        .index = plan->nodes->len,
        .stage = stage,
        .base_name = base_name,
        .range = range,
        .triggers = g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_instruction_free),
        .steps = g_ptr_array_new_with_free_func(step_free),
        .needs = g_array_new(FALSE, FALSE, sizeof(struct dockerfile_need)),
    };
    g_ptr_array_add(plan->nodes, node);
    return node;
}

struct dockerfile_node *dockerfile_plan_find(const struct dockerfile_plan *plan, const char *name)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);

    return g_hash_table_lookup(plan->stages, lower);
}

const char **dockerfile_plan_names(const struct dockerfile_plan *plan)
{
    const char **names = g_new0(const char *, plan->nodes->len + 1);
    size_t n = 0;

    for (guint i = 0; i < plan->nodes->len; i++) {
        const struct dockerfile_node *node = g_ptr_array_index(plan->nodes, i);

        if (node->stage && node->stage->from->from.stage_name)
            names[n++] = node->stage->from->from.stage_name;
    }
    return names;
}

/* The machine that cob was built for: its own by default. */
static const char *machine(void)
{
#if defined(__aarch64__)
    return "aarch64";
#elif defined(__arm__)
    return "armv7l";
#elif defined(__riscv)
    return "riscv64";
#elif defined(__powerpc64__)
    return "ppc64le";
#elif defined(__s390x__)
    return "s390x";
#else
    return "x86_64";
#endif
}

static struct cob_error *read_platforms(struct dockerfile_plan *plan)
{
    const struct cob_dockerfile_request *request = plan->request;
    g_autoptr(cob_platform) host = cob_platform_of_machine(machine());
    const char *build = request->build_platform ? request->build_platform : "local";
    const char *target = request->target_platform ? request->target_platform : "local";

    COB_TRY(cob_platform_parse(build, host, &plan->build_platform));
    return cob_platform_parse(target, plan->build_platform, &plan->target_platform);
}

/* Global arguments on their way. */
struct globals {
    const struct dockerfile_plan *plan;
    const struct cob_dockerfile_request *request;
    struct dockerfile_vars *vars;
};

static void set_global(const struct globals *globals, const char *name, const char *value)
{
    const char *given = dockerfile_build_arg(globals->request, name);

    dockerfile_vars_set(globals->vars, name, given ? given : value);
}

/* The arguments that are there without an ARG. A build argument of their name replaces them, for
 * whatever request the others are wanted.
 * spec: BuildKit dockerfile2llb/platform.go, defaultArgs. */
static void set_platform_args(const struct globals *globals)
{
    const struct dockerfile_plan *plan = globals->plan;
    const struct globals own = {plan, plan->request, globals->vars};
    const struct cob_platform *build = plan->build_platform, *target = plan->target_platform;
    GPtrArray *stages = plan->dockerfile->stages;
    const struct dockerfile_stage *last = g_ptr_array_index(stages, stages->len - 1);
    const char *stage = plan->request->target ? plan->request->target : last->from->from.stage_name;
    g_autofree char *build_text = cob_platform_text(build);
    g_autofree char *target_text = cob_platform_text(target);

    set_global(&own, "BUILDPLATFORM", build_text);
    set_global(&own, "BUILDOS", build->os);
    set_global(&own, "BUILDOSVERSION", build->os_version);
    set_global(&own, "BUILDARCH", build->arch);
    set_global(&own, "BUILDVARIANT", build->variant);
    set_global(&own, "TARGETPLATFORM", target_text);
    set_global(&own, "TARGETOS", target->os);
    set_global(&own, "TARGETOSVERSION", target->os_version);
    set_global(&own, "TARGETARCH", target->arch);
    set_global(&own, "TARGETVARIANT", target->variant);
    set_global(&own, "TARGETSTAGE", stage && *stage ? stage : "default");
}

static struct dockerfile_expander global_expander(const struct dockerfile_plan *plan)
{
    return (struct dockerfile_expander){
        .env = dockerfile_vars_env(plan->global_args), .escape = plan->dockerfile->escape};
}

static struct cob_error *set_global_args(
    const struct globals *globals, const struct dockerfile_instruction *arg)
{
    const struct dockerfile_expander expander = {
        .env = dockerfile_vars_env(globals->vars), .escape = globals->plan->dockerfile->escape};

    for (guint i = 0; i < arg->pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(arg->pairs, i);
        const char *given = dockerfile_build_arg(globals->request, pair->key);
        g_autofree char *value = NULL;

        if (!given && pair->value)
            COB_TRY(dockerfile_expand(&expander, pair->value, &value));
        if (given || value)
            dockerfile_vars_set(globals->vars, pair->key, given ? given : value);
    }
    return NULL;
}

/* A time that was found out stands for the name of what has it; none takes that away. */
static void set_epoch(const struct cob_dockerfile_request *request, struct dockerfile_vars *vars)
{
    if (!request->epoch || !dockerfile_vars_get(vars, COB_DOCKERFILE_EPOCH))
        return;
    if (*request->epoch)
        dockerfile_vars_set(vars, COB_DOCKERFILE_EPOCH, request->epoch);
    else
        dockerfile_vars_unset(vars, COB_DOCKERFILE_EPOCH);
}

struct cob_error *dockerfile_plan_globals(const struct dockerfile_plan *plan,
    const struct cob_dockerfile_request *request, struct dockerfile_vars **ret_vars)
{
    const struct cob_dockerfile *dockerfile = plan->dockerfile;
    g_autoptr(dockerfile_vars) vars = dockerfile_vars_new();
    const struct globals globals = {plan, request, vars};

    set_platform_args(&globals);
    for (guint i = 0; i < dockerfile->global_args->len; i++) {
        const struct dockerfile_instruction *arg = g_ptr_array_index(dockerfile->global_args, i);

        COB_TRY(cob_error_at(set_global_args(&globals, arg), dockerfile->file, arg->range));
    }
    set_epoch(request, vars);
    *ret_vars = g_steal_pointer(&vars);
    return NULL;
}

static void note_declared(struct dockerfile_plan *plan)
{
    for (guint i = 0; i < plan->dockerfile->global_args->len; i++) {
        const struct dockerfile_instruction *arg =
            g_ptr_array_index(plan->dockerfile->global_args, i);

        for (guint j = 0; j < arg->pairs->len; j++) {
            const struct dockerfile_pair *pair = g_ptr_array_index(arg->pairs, j);

            g_hash_table_add(plan->declared, pair->key);
        }
    }
}

static bool is_ignoring_cache(const struct cob_dockerfile_request *request, const char *stage_name)
{
    if (request->is_no_cache)
        return true;
    for (size_t i = 0; request->no_cache_stages && request->no_cache_stages[i]; i++) {
        if (stage_name && g_ascii_strcasecmp(request->no_cache_stages[i], stage_name) == 0)
            return true;
    }
    return false;
}

bool dockerfile_is_numbered(const struct dockerfile_instruction *instruction)
{
    return instruction->kind == DOCKERFILE_ADD || instruction->kind == DOCKERFILE_COPY ||
           instruction->kind == DOCKERFILE_RUN || instruction->kind == DOCKERFILE_WORKDIR;
}

static struct cob_error *read_platform(struct dockerfile_plan *plan, struct dockerfile_node *node)
{
    const char *text = node->stage->from->from.platform;
    struct dockerfile_expander expander = global_expander(plan);
    g_autofree char *value = NULL;

    if (!text || !*text)
        return NULL;
    dockerfile_lint_watch(plan->lint, &expander);
    COB_TRY(cob_wrap(dockerfile_expand(&expander, text, &value),
        "failed to process arguments for platform %s", text));
    dockerfile_lint_platform(plan, node->stage->from, value);
    if (!*value)
        return dockerfile_lint_suggesting(
            plan, cob_fail(COB_INVALID, "empty platform value from expression %s", text));
    return dockerfile_lint_suggesting(
        plan, cob_wrap(cob_platform_parse(value, plan->build_platform, &node->platform),
                  "failed to parse platform %s", text));
}

/* An earlier stage by its number: cob takes one for FROM as for COPY --from. */
static struct dockerfile_node *find_by_number(const struct dockerfile_plan *plan, const char *text)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &number, NULL) ||
        number >= plan->nodes->len)
        return NULL;
    return g_ptr_array_index(plan->nodes, (guint)number);
}

static struct cob_error *add_stage(
    struct dockerfile_plan *plan, const struct dockerfile_stage *stage)
{
    const struct dockerfile_from *from = &stage->from->from;
    struct dockerfile_expander expander = global_expander(plan);
    char *base_name = NULL;
    struct dockerfile_node *base;

    dockerfile_lint_watch(plan->lint, &expander);
    COB_TRY(dockerfile_expand(&expander, from->base, &base_name));
    dockerfile_lint_base(plan, stage->from);
    if (!*base_name) {
        g_free(base_name);
        return cob_fail(COB_INVALID, "base name (%s) should not be blank", from->base);
    }
    base = dockerfile_plan_find(plan, base_name);
    if (!base)
        base = find_by_number(plan, base_name);
    struct dockerfile_node *node = dockerfile_plan_add(plan, stage, base_name, stage->from->range);
    node->base = base;
    node->is_scratch = !base && strcmp(base_name, "scratch") == 0;
    node->is_ignoring_cache = is_ignoring_cache(plan->request, from->stage_name);
    node->n_numbered = !base && !node->is_scratch;
    node->name =
        from->stage_name ? g_strdup(from->stage_name) : g_strdup_printf("stage-%zu", node->index);
    if (from->stage_name)
        g_hash_table_insert(plan->stages, from->stage_name, node);
    for (guint i = 0; i < stage->instructions->len; i++)
        node->n_numbered += dockerfile_is_numbered(g_ptr_array_index(stage->instructions, i));
    COB_TRY(read_platform(plan, node));
    return dockerfile_context_place(plan, node);
}

static struct cob_error *find_target(struct dockerfile_plan *plan)
{
    const char *target = plan->request->target;

    if (!target || !*target) {
        plan->target = g_ptr_array_index(plan->nodes, plan->nodes->len - 1);
        return NULL;
    }
    plan->target = dockerfile_plan_find(plan, target);
    if (!plan->target)
        plan->target = find_by_number(plan, target);
    if (plan->target)
        return NULL;
    g_autofree const char **names = dockerfile_plan_names(plan);
    return dockerfile_fail_suggesting(
        target, names, "target stage \"%s\" could not be found", target);
}

static struct cob_error *read_stages(struct dockerfile_plan *plan)
{
    const struct cob_dockerfile *dockerfile = plan->dockerfile;

    for (guint i = 0; i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);

        dockerfile_lint_enter(plan->lint, stage->from);
        COB_TRY(cob_error_at(add_stage(plan, stage), dockerfile->file, stage->from->range));
        dockerfile_lint_leave(plan->lint);
    }
    return NULL;
}

struct cob_error *dockerfile_plan_new(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, GHashTable *triggers,
    struct dockerfile_plan **ret_plan)
{
    g_autoptr(dockerfile_plan) plan = g_new(struct dockerfile_plan, 1);

    *plan = (struct dockerfile_plan){
        .dockerfile = dockerfile,
        .request = request,
        .declared = g_hash_table_new(g_str_hash, g_str_equal),
        .triggers = triggers,
        .nodes = g_ptr_array_new_with_free_func(node_free),
        .stages = g_hash_table_new(g_str_hash, g_str_equal),
    };
    COB_TRY(dockerfile_lint_new(dockerfile, request, &plan->lint));
    dockerfile_lint_instructions(plan->lint, dockerfile);
    dockerfile_lint_stages(plan->lint, dockerfile);
    COB_TRY(read_platforms(plan));
    dockerfile_lint_defaults(plan);
    COB_TRY(dockerfile_plan_globals(plan, request, &plan->global_args));
    note_declared(plan);
    COB_TRY(read_stages(plan));
    COB_TRY(find_target(plan));
    COB_TRY(dockerfile_plan_tie(plan));
    plan->triggers = NULL;
    *ret_plan = g_steal_pointer(&plan);
    return NULL;
}
