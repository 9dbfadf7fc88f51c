/* SPDX-License-Identifier: Apache-2.0 */
/* A stage that says no more than where a time comes from: FROM scratch, ARGs, one remote ADD.
 * spec: BuildKit dockerfile2llb/epoch.go. */
#include <string.h>

#include "lang/dockerfile/dockerfile_plan.h"

#define MUST_BE "SOURCE_DATE_EPOCH stage must "

static struct cob_error *expand(const struct dockerfile_plan *plan,
    const struct dockerfile_vars *vars, const char *text, char **ret_text)
{
    const struct dockerfile_expander expander = {
        .env = dockerfile_vars_env(vars), .escape = plan->dockerfile->escape};

    return dockerfile_expand(&expander, text, ret_text);
}

static struct cob_error *set_args(const struct dockerfile_plan *plan, struct dockerfile_vars *vars,
    const struct dockerfile_instruction *arg)
{
    for (guint i = 0; i < arg->pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(arg->pairs, i);
        const char *given = dockerfile_build_arg(plan->request, pair->key);
        g_autofree char *value = NULL;

        if (!given && pair->value)
            COB_TRY(expand(plan, vars, pair->value, &value));
        if (given || value)
            dockerfile_vars_set(vars, pair->key, given ? given : value);
    }
    return NULL;
}

static struct cob_error *take_add(const struct dockerfile_plan *plan,
    const struct dockerfile_vars *vars, const struct dockerfile_instruction *add,
    struct cob_dockerfile_epoch *epoch)
{
    if (epoch->source)
        return cob_fail(COB_INVALID, MUST_BE "contain exactly one remote ADD");
    if (add->files.documents->len > 0 || add->files.sources->len != 1)
        return cob_fail(COB_INVALID, MUST_BE "contain exactly one remote ADD source");
    COB_TRY(expand(plan, vars, g_ptr_array_index(add->files.sources, 0), &epoch->source));
    if (add->files.checksum && *add->files.checksum)
        COB_TRY(expand(plan, vars, add->files.checksum, &epoch->checksum));
    return NULL;
}

static struct cob_error *refuse(const struct dockerfile_instruction *instruction)
{
    const char *text = instruction->text;
    g_autofree char *name = g_ascii_strdown(text, (gssize)strcspn(text, " \t"));

    return cob_fail(COB_INVALID,
        "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported %s "
        "instruction",
        name);
}

static struct cob_error *read_stage(const struct dockerfile_plan *plan,
    const struct dockerfile_stage *stage, struct cob_dockerfile_epoch *epoch)
{
    g_autoptr(dockerfile_vars) vars = dockerfile_vars_copy(plan->global_args);
    g_autofree char *base = NULL;

    dockerfile_vars_unset(vars, COB_DOCKERFILE_EPOCH);
    COB_TRY(expand(plan, vars, stage->from->from.base, &base));
    if (strcmp(base, "scratch") != 0)
        return cob_fail(COB_INVALID, MUST_BE "use FROM scratch");
    for (guint i = 0; i < stage->instructions->len; i++) {
        const struct dockerfile_instruction *one = g_ptr_array_index(stage->instructions, i);

        if (one->kind == DOCKERFILE_ARG)
            COB_TRY(set_args(plan, vars, one));
        else if (one->kind == DOCKERFILE_ADD)
            COB_TRY(take_add(plan, vars, one, epoch));
        else
            return refuse(one);
    }
    if (!epoch->source)
        return cob_fail(COB_INVALID, MUST_BE "contain exactly one remote ADD");
    return NULL;
}

static bool has_default(const struct cob_dockerfile *dockerfile)
{
    for (guint i = 0; i < dockerfile->global_args->len; i++) {
        const struct dockerfile_instruction *arg = g_ptr_array_index(dockerfile->global_args, i);

        for (guint j = 0; j < arg->pairs->len; j++) {
            const struct dockerfile_pair *pair = g_ptr_array_index(arg->pairs, j);

            if (pair->value && strcmp(pair->key, COB_DOCKERFILE_EPOCH) == 0)
                return true;
        }
    }
    return false;
}

struct cob_error *cob_dockerfile_epoch_default(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, char **ret_text)
{
    struct cob_dockerfile_request quiet = *request;
    g_autoptr(dockerfile_plan) plan = NULL;

    *ret_text = NULL;
    if (!has_default(dockerfile))
        return NULL;
    quiet.warnings = NULL;
    COB_TRY(dockerfile_plan_new(dockerfile, &quiet, /* triggers= */ NULL, &plan));
    const char *text = dockerfile_vars_get(plan->global_args, COB_DOCKERFILE_EPOCH);
    if (text && *text)
        *ret_text = g_strdup(text);
    return NULL;
}

void cob_dockerfile_epoch_done(struct cob_dockerfile_epoch *epoch)
{
    g_clear_pointer(&epoch->source, g_free);
    g_clear_pointer(&epoch->checksum, g_free);
}

struct cob_error *cob_dockerfile_epoch(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const char *name,
    struct cob_dockerfile_epoch *ret_epoch)
{
    struct cob_dockerfile_request quiet = *request;
    struct cob_dockerfile_epoch epoch = {0};
    g_autoptr(dockerfile_plan) plan = NULL;
    const struct dockerfile_node *node;

    quiet.warnings = NULL;
    COB_TRY(dockerfile_plan_new(dockerfile, &quiet, /* triggers= */ NULL, &plan));
    node = dockerfile_plan_find(plan, name);
    if (!node)
        return cob_fail(COB_INVALID,
            "invalid SOURCE_DATE_EPOCH: %s: it should be seconds since 1970, context, or the name "
            "of a context or a stage",
            name);
    struct cob_error *err =
        cob_error_at(read_stage(plan, node->stage, &epoch), dockerfile->file, node->range);
    if (err)
        cob_dockerfile_epoch_done(&epoch);
    else
        *ret_epoch = epoch;
    return err;
}
