/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_lint.h"
#include "lang/dockerfile/dockerfile_plan.h"
#include "lang/dockerfile/dockerfile_suggest.h"

#define MAX_KNOWN 1000 /* names among which a mistyped one is looked for */
#define MAX_TRIED 10   /* mistyped ones that an error tries */

/* A FROM's image must be a good name also for who gives no build argument. */
void dockerfile_lint_defaults(const struct dockerfile_plan *plan)
{
    const struct cob_dockerfile *dockerfile = plan->dockerfile;
    struct cob_dockerfile_request without_args = *plan->request;
    g_autoptr(dockerfile_vars) vars = NULL;
    struct cob_error *err;

    if (!dockerfile_lint_wants(plan->lint, DOCKERFILE_RULE_DEFAULT_ARG))
        return;
    without_args.build_args = NULL;
    err = dockerfile_plan_globals(plan, &without_args, &vars);
    for (guint i = 0; !err && i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);
        struct dockerfile_expander expander = {
            .env = dockerfile_vars_env(vars), .escape = dockerfile->escape};
        g_autofree char *name = NULL;
        g_autoptr(cob_ref) ref = NULL;

        err = dockerfile_expand(&expander, stage->from->from.base, &name);
        if (err)
            break;
        struct cob_error *bad = cob_ref_parse(name, &ref);
        if (bad)
            dockerfile_lint_add(plan->lint, DOCKERFILE_RULE_DEFAULT_ARG, stage->from->range,
                "Default value for ARG %s results in empty or invalid base image name",
                stage->from->from.base);
        cob_error_free(bad);
    }
    cob_error_free(err); /* the build meets it too, and says where */
}

/* Names of global arguments, with a value or without one, up to a number of them. */
static GPtrArray *known_args(const struct dockerfile_plan *plan)
{
    GPtrArray *known = g_ptr_array_new();

    for (GList *at = plan->global_args->order.head; at && known->len < MAX_KNOWN; at = at->next)
        g_ptr_array_add(known, ((struct dockerfile_pair *)at->data)->key);
    for (guint i = 0; i < plan->dockerfile->global_args->len && known->len < MAX_KNOWN; i++) {
        const struct dockerfile_instruction *arg =
            g_ptr_array_index(plan->dockerfile->global_args, i);

        for (guint j = 0; j < arg->pairs->len && known->len < MAX_KNOWN; j++)
            g_ptr_array_add(
                known, ((struct dockerfile_pair *)g_ptr_array_index(arg->pairs, j))->key);
    }
    return known;
}

/* The names that no global argument has, each once, in order; borrowed from the lint. */
static GPtrArray *undeclared(const struct dockerfile_plan *plan)
{
    GPtrArray *names = g_ptr_array_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < plan->lint->unmatched->len; i++) {
        char *name = g_ptr_array_index(plan->lint->unmatched, i);

        if (!g_hash_table_contains(plan->declared, name) && g_hash_table_add(seen, name))
            g_ptr_array_add(names, name);
    }
    return names;
}

void dockerfile_lint_base(
    const struct dockerfile_plan *plan, const struct dockerfile_instruction *from)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) known = NULL;

    if (!dockerfile_lint_wants(plan->lint, DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM) ||
        plan->lint->unmatched->len == 0)
        return;
    names = undeclared(plan);
    known = known_args(plan);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        const char *near = dockerfile_suggest(name, known);

        if (!dockerfile_lint_wants(plan->lint, DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM))
            return;
        dockerfile_lint_add(plan->lint, DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM, from->range,
            "FROM argument '%s' is not declared%s%s%s", name, near ? " (did you mean " : "",
            near ? near : "", near ? "?)" : "");
    }
}

/* One variable that is set, however often, and none that is not. */
static bool is_one_variable(const struct dockerfile_lint *lint, const char *name)
{
    for (guint i = 0; i < lint->matched->len; i++) {
        if (strcmp(g_ptr_array_index(lint->matched, i), name) != 0)
            return false;
    }
    return lint->matched->len > 0 && lint->unmatched->len == 0;
}

/* A stage that is named after its platform is meant for that one. */
static void check_constant(const struct dockerfile_plan *plan,
    const struct dockerfile_instruction *from, const char *platform_text)
{
    const char *name = from->from.stage_name ? from->from.stage_name : "";
    g_autoptr(cob_platform) platform = NULL;
    struct cob_error *err = cob_platform_parse(platform_text, plan->build_platform, &platform);

    cob_error_free(err);
    if (err || strstr(name, platform->os) || strstr(name, platform->arch))
        return;
    dockerfile_lint_add(plan->lint, DOCKERFILE_RULE_CONST_PLATFORM, from->range,
        "FROM --platform flag should not use constant value \"%s\"", platform_text);
}

void dockerfile_lint_platform(const struct dockerfile_plan *plan,
    const struct dockerfile_instruction *from, const char *platform)
{
    const struct dockerfile_lint *lint = plan->lint;
    const char *target = dockerfile_vars_get(plan->global_args, "TARGETPLATFORM");

    dockerfile_lint_base(plan, from);
    if (is_one_variable(lint, "TARGETPLATFORM") && g_strcmp0(platform, target) == 0)
        dockerfile_lint_add(plan->lint, DOCKERFILE_RULE_REDUNDANT_PLATFORM, from->range,
            "Setting platform to predefined %s in FROM is redundant as this is the default "
            "behavior",
            from->from.platform);
    if (lint->matched->len == 0 && lint->unmatched->len == 0)
        check_constant(plan, from, platform);
}

struct cob_error *dockerfile_lint_suggesting(
    const struct dockerfile_plan *plan, struct cob_error *err)
{
    g_autoptr(GPtrArray) known = err ? known_args(plan) : NULL;

    for (guint i = 0; err && i < MIN(plan->lint->unmatched->len, MAX_TRIED); i++) {
        const char *name = g_ptr_array_index(plan->lint->unmatched, i);

        if (dockerfile_suggest(name, known))
            return dockerfile_add_suggestion(err, name, known);
    }
    return err;
}
