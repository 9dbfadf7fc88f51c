/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"

/* A platform that steps build for while they run on another one, as "->arm64"; "" when it is the
 * same.
 * spec: BuildKit dockerfile2llb/convert.go, formatTargetPlatform. */
static char *target_suffix(const struct dockerfile_build *build)
{
    const struct cob_platform *base = build->platform;
    const char *text = dockerfile_vars_get(build->vars, "TARGETPLATFORM");
    const char *os = dockerfile_vars_get(build->vars, "TARGETOS");
    const char *arch = dockerfile_vars_get(build->vars, "TARGETARCH");
    const char *variant = dockerfile_vars_get(build->vars, "TARGETVARIANT");
    g_autoptr(cob_platform) target = NULL;

    if (text)
        cob_error_free(cob_platform_parse(text, base, &target));
    if (!target && !os && !arch && !variant)
        return g_strdup("");
    if (!target)
        target = cob_platform_new(
            os && *os ? os : base->os, arch && *arch ? arch : base->arch, variant, NULL);
    g_autofree char *shown = cob_platform_text(target);
    if (strcmp(target->os, base->os) != 0)
        return g_strconcat("->", shown, NULL);
    if (strcmp(target->arch, base->arch) == 0)
        return g_strdup("");
    return g_strconcat("->", strchr(shown, '/') + 1, NULL);
}

static int digits_of(unsigned number)
{
    int n = 1;

    while (number >= 10)
        number /= 10, n++;
    return n;
}

/* spec: BuildKit dockerfile2llb/convert.go, prefixCommand. */
static char *number_step(const struct dockerfile_convert *convert, struct dockerfile_build *build,
    const char *text, bool has_target)
{
    const struct dockerfile_node *node = build->node;
    g_autofree char *platform = NULL;
    g_autofree char *target = NULL;

    if (node->n_numbered == 0)
        return g_strdup(text);
    if (convert->plan->request->is_multi_platform) {
        platform = cob_platform_text(build->platform);
        target = has_target ? target_suffix(build) : g_strdup("");
    }
    return g_strdup_printf("[%s%s%s%s%s%*u/%u] %s", platform ? platform : "", target ? target : "",
        platform ? " " : "", node->name, *node->name ? " " : "", digits_of(node->n_numbered),
        ++build->n_numbered, node->n_numbered, text);
}

char *dockerfile_step_name(struct dockerfile_job *job, const char *text)
{
    return number_step(job->convert, job->build, text, /* has_target= */ true);
}

char *dockerfile_from_name(
    const struct dockerfile_convert *convert, struct dockerfile_build *build, const char *ref)
{
    g_autofree char *text = g_strconcat("FROM ", ref, NULL);

    return number_step(convert, build, text, /* has_target= */ false);
}

/* Variables for names: what comes from a secret is not shown. */
struct masked_vars {
    const struct dockerfile_vars *vars;
    const char *const *masked;
};

static const char *get_masked(const void *arg, const char *name)
{
    const struct masked_vars *vars = arg;

    if (vars->masked && g_strv_contains(vars->masked, name))
        return "****";
    return dockerfile_vars_get(vars->vars, name);
}

char *dockerfile_shown_text(
    struct dockerfile_job *job, const char *text, unsigned flags, const char *const *masked)
{
    struct masked_vars vars = {job->build->vars, masked};
    struct dockerfile_expander expander = {
        .env = {.get = get_masked, .arg = &vars},
        .escape = job->convert->plan->dockerfile->escape,
        .flags = flags,
    };
    char *shown = NULL;
    struct cob_error *err = dockerfile_expand(&expander, text, &shown);

    if (err) { /* a name may be raw: what is wrong is said where it matters */
        cob_error_free(err);
        shown = g_strdup(text);
    }
    for (char *at = shown; *at && *at != ' '; at++)
        *at = g_ascii_toupper(*at);
    return shown;
}

struct cob_llb_about dockerfile_about(const struct dockerfile_job *job, const char *name)
{
    return (struct cob_llb_about){
        .name = name,
        .file = job->convert->plan->dockerfile->file,
        .ranges = &job->instruction->range,
        .n_ranges = 1,
    };
}
