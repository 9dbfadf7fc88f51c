/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_convert.h"
#include "lang/dockerfile/dockerfile_suggest.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void dockerfile_base_free(void *data)
{
    struct dockerfile_base *base = data;

    g_free(base->digest);
    cob_oci_config_free(base->config);
    g_free(base);
}

void dockerfile_build_done(struct dockerfile_build *build)
{
    g_clear_pointer(&build->config, cob_oci_config_free);
    g_clear_pointer(&build->vars, dockerfile_vars_free);
    g_clear_pointer(&build->unseen, dockerfile_vars_free);
    dockerfile_lint_stage_done(&build->lint);
    g_clear_pointer(&build->args, g_ptr_array_unref);
    g_clear_pointer(&build->inputs, g_ptr_array_unref);
}

/* A name that no registry knows may be a stage's, or a well-known image's, mistyped. */
static struct cob_error *wrap_unresolved(const struct dockerfile_convert *convert,
    const struct dockerfile_node *node, struct cob_error *err)
{
    static const char *const images[] = {
        "alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"};
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);

    if (!err)
        return NULL;
    const enum cob_code code = cob_error_code(err);
    err = cob_wrap(err, "%s", node->base_name);
    if (code == COB_NOT_FOUND || code == COB_DENIED || code == COB_UNAUTHENTICATED) {
        g_autofree const char **names = dockerfile_plan_names(convert->plan);

        for (const char **name = names; *name; name++)
            g_ptr_array_add(known, g_strdup(*name));
        for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
            g_ptr_array_add(known, g_strdup(images[i]));
            g_ptr_array_add(known, g_strconcat(images[i], ":latest", NULL));
        }
        err = dockerfile_add_suggestion(err, node->base_name, known);
    }
    return cob_error_at(err, convert->plan->dockerfile->file, node->range);
}

static struct cob_error *ask(const struct dockerfile_convert *convert,
    const struct dockerfile_node *node, char *ref, char *platform,
    struct dockerfile_base **ret_base)
{
    const struct cob_dockerfile_image image = {.ref = ref,
        .platform = platform,
        .context = node->context ? node->context->key : NULL,
        .range = node->range};
    g_autoptr(GBytes) bytes = NULL;
    g_autofree char *digest = NULL;
    struct cob_oci_config *config = NULL;

    COB_TRY(convert->resolver->resolve(convert->resolver->arg, &image, &digest, &bytes));
    COB_TRY(cob_wrap(cob_oci_config_parse(bytes, &config), "parse image config"));
    *ret_base = g_new(struct dockerfile_base, 1);
    **ret_base = (struct dockerfile_base){.digest = g_steal_pointer(&digest), .config = config};
    return NULL;
}

/* An image's digest and config, asked for once. */
static struct cob_error *resolve(struct dockerfile_convert *convert,
    const struct dockerfile_node *node, char *ref, const struct cob_platform *platform,
    const struct dockerfile_base **ret_base)
{
    g_autofree char *text = cob_platform_text(platform);
    char *key = g_strconcat(ref, " ", text, NULL);
    struct dockerfile_base *base = g_hash_table_lookup(convert->bases, key);

    if (base) {
        g_free(key);
    } else {
        struct cob_error *err =
            wrap_unresolved(convert, node, ask(convert, node, ref, text, &base));

        err = dockerfile_forgive_unresolved(convert, err, &base);
        if (err) {
            g_free(key);
            return err;
        }
        g_hash_table_insert(convert->bases, key, base);
    }
    *ret_base = base;
    return NULL;
}

static bool has_layers(const struct cob_oci_config *config)
{
    if (config->diff_ids && config->diff_ids->len > 0)
        return true;
    for (guint i = 0; config->history && i < config->history->len; i++) {
        const struct cob_oci_history *entry = g_ptr_array_index(config->history, i);

        if (!entry->is_empty_layer)
            return true;
    }
    return false;
}

/* The reference of an image with its digest. The caller frees it. */
static struct cob_error *pin(const char *ref_text, const char *digest, char **ret_full)
{
    g_autoptr(cob_ref) ref = NULL;

    COB_TRY(cob_ref_parse(ref_text, &ref));
    if (digest && !ref->digest) {
        g_autoptr(cob_ref) pinned = cob_ref_with(ref, ref->tag, digest);

        *ret_full = cob_ref_text(pinned);
    } else {
        *ret_full = cob_ref_text(ref);
    }
    return NULL;
}

static struct cob_error *add_image(struct dockerfile_convert *convert,
    struct dockerfile_build *build, const char *ref, const char *digest)
{
    struct cob_llb_platform platform = dockerfile_llb_platform(build->platform);
    const struct dockerfile_context *context = build->node->context;
    g_autofree char *full = NULL;

    if (context && context->kind == DOCKERFILE_CONTEXT_LAYOUT)
        full = g_strdup(ref);
    else
        COB_TRY(pin(ref, digest, &full));
    if (context) {
        build->root = dockerfile_context_add_image(convert, build, full);
        return NULL;
    }
    g_autofree char *identifier = g_strconcat("docker-image://", full, NULL);
    g_autofree char *name = dockerfile_from_name(convert, build, full);
    struct cob_llb_about about = {.name = name,
        .file = convert->plan->dockerfile->file,
        .ranges = &build->node->range,
        .n_ranges = 1};
    build->root = cob_llb_add_source(convert->builder, identifier, NULL, &platform, &about);
    return NULL;
}

/* Drop what the base has of its own: times, layers, and triggers, which are steps by now. */
static void clean_config(struct cob_oci_config *config)
{
    g_clear_pointer(&config->on_build, g_strfreev);
    g_clear_pointer(&config->created, g_free);
    if (config->diff_ids)
        g_ptr_array_set_size(config->diff_ids, 0);
}

struct cob_error *dockerfile_learn_triggers(
    struct dockerfile_convert *convert, GHashTable *triggers, bool *ret_is_new)
{
    GPtrArray *nodes = convert->plan->nodes;

    *ret_is_new = false;
    for (guint i = 0; i < nodes->len; i++) {
        const struct dockerfile_node *node = g_ptr_array_index(nodes, i);
        const struct cob_platform *platform;
        const struct dockerfile_base *base;
        g_autofree char *ref = NULL;

        if (!node->is_reachable || !node->stage || node->is_replaced ||
            !dockerfile_node_is_image(node) ||
            g_hash_table_contains(triggers, GSIZE_TO_POINTER(node->index)))
            continue;
        COB_TRY(dockerfile_node_image(convert->plan, node, &ref, &platform));
        COB_TRY(resolve(convert, node, ref, platform, &base));
        *ret_is_new |= base->config->on_build && base->config->on_build[0];
        g_hash_table_insert(triggers, GSIZE_TO_POINTER(node->index), base->config->on_build);
    }
    return NULL;
}

static struct cob_error *start_image(
    struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    const struct dockerfile_base *base = NULL;
    g_autofree char *ref = NULL;

    COB_TRY(dockerfile_node_image(convert->plan, build->node, &ref, &build->platform));
    COB_TRY(resolve(convert, build->node, ref, build->platform, &base));
    build->root = COB_LLB_SCRATCH;
    if (has_layers(base->config))
        COB_TRY(add_image(convert, build, ref, base->digest));
    build->config = cob_oci_config_copy(base->config);
    build->is_base_unknown = base->is_unknown;
    if (build->node->stage) /* else only files are taken from it */
        clean_config(build->config);
    return NULL;
}

static void start_scratch(struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    const struct cob_platform *said = build->node->platform;
    const struct cob_platform *platform =
        said && build->node->context ? said : convert->plan->target_platform;

    build->root = COB_LLB_SCRATCH;
    build->platform = platform;
    build->config = cob_oci_config_new();
    build->config->platform =
        cob_platform_new(platform->os, platform->arch, platform->variant, platform->os_version);
    build->config->working_dir = g_strdup("/");
}

static void start_stage(struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    const struct dockerfile_build *base = &convert->builds[build->node->base->index];

    build->root = dockerfile_context_base(convert, base);
    build->platform = base->platform;
    build->config = cob_oci_config_copy(base->config);
    build->is_base_unknown = base->is_base_unknown;
    clean_config(build->config);
    for (guint i = 0; i < base->args->len; i++)
        g_ptr_array_add(build->args, g_strdup(g_ptr_array_index(base->args, i)));
}

/* Variables of the config become those of the steps; ARGs of a base stage are there already. */
static void start_vars(struct dockerfile_build *build)
{
    if (!cob_oci_config_env(build->config, "PATH"))
        cob_oci_config_set_env(build->config, "PATH", DEFAULT_PATH);
    for (size_t i = 0; build->config->env[i]; i++) {
        const char *equals = strchr(build->config->env[i], '=');
        g_autofree char *name =
            equals ? g_strndup(build->config->env[i], (size_t)(equals - build->config->env[i]))
                   : g_strdup(build->config->env[i]);

        dockerfile_vars_set(build->vars, name, equals ? equals + 1 : "");
    }
}

struct cob_error *dockerfile_build_start(
    struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    const struct dockerfile_node *base = build->node->base;

    build->args = g_ptr_array_new_with_free_func(g_free);
    build->vars =
        base ? dockerfile_vars_copy(convert->builds[base->index].vars) : dockerfile_vars_new();
    build->unseen =
        base ? dockerfile_vars_copy(convert->builds[base->index].unseen) : dockerfile_vars_new();
    COB_TRY(dockerfile_spend(convert, build->vars->n_bytes));
    build->has_cached_lists = base && convert->builds[base->index].has_cached_lists;
    if (base)
        start_stage(convert, build);
    else if (!dockerfile_node_is_image(build->node))
        start_scratch(convert, build);
    else
        COB_TRY(start_image(convert, build));
    if (build->node->context && !dockerfile_node_is_image(build->node))
        COB_TRY(dockerfile_context_start(convert, build));
    if (!build->config->platform)
        build->config->platform = cob_platform_new(build->platform->os, build->platform->arch,
            build->platform->variant, build->platform->os_version);
    start_vars(build);
    if (build->config->working_dir && *build->config->working_dir) {
        char *clean = dockerfile_join_path("/", build->config->working_dir, false);

        g_free(build->config->working_dir);
        build->config->working_dir = clean;
    }
    return NULL;
}
