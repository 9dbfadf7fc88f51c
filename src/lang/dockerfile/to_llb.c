/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_convert.h"
#include "util/json.h"
#include "util/limits.h"

/* What expansion and environments of a build may make, all together. */
#define MAX_SPENT_BYTES ((size_t)128 << 20)

static struct cob_error *(*const converters[])(struct dockerfile_job *job) = {
    [DOCKERFILE_ADD] = dockerfile_convert_copy,
    [DOCKERFILE_ARG] = dockerfile_convert_config,
    [DOCKERFILE_CMD] = dockerfile_convert_config,
    [DOCKERFILE_COPY] = dockerfile_convert_copy,
    [DOCKERFILE_ENTRYPOINT] = dockerfile_convert_config,
    [DOCKERFILE_ENV] = dockerfile_convert_config,
    [DOCKERFILE_EXPOSE] = dockerfile_convert_expose,
    [DOCKERFILE_HEALTHCHECK] = dockerfile_convert_config,
    [DOCKERFILE_LABEL] = dockerfile_convert_config,
    [DOCKERFILE_MAINTAINER] = dockerfile_convert_config,
    [DOCKERFILE_ONBUILD] = dockerfile_convert_config,
    [DOCKERFILE_RUN] = dockerfile_convert_run,
    [DOCKERFILE_SHELL] = dockerfile_convert_config,
    [DOCKERFILE_STOPSIGNAL] = dockerfile_convert_config,
    [DOCKERFILE_USER] = dockerfile_convert_config,
    [DOCKERFILE_VOLUME] = dockerfile_convert_config,
    [DOCKERFILE_WORKDIR] = dockerfile_convert_workdir,
};

struct cob_error *dockerfile_spend(struct dockerfile_convert *convert, size_t bytes)
{
    convert->spent_bytes += bytes;
    if (convert->spent_bytes <= MAX_SPENT_BYTES)
        return NULL;
    return cob_fail(
        COB_EXHAUSTED, "variables and environments grow past %zu bytes", MAX_SPENT_BYTES);
}

struct cob_error *dockerfile_job_expand(
    struct dockerfile_job *job, const char *text, char **ret_text)
{
    struct dockerfile_expander expander = {
        .env = dockerfile_vars_env(job->build->vars),
        .escape = job->convert->plan->dockerfile->escape,
        .unmatched = dockerfile_lint_names(job),
    };
    struct cob_error *err = dockerfile_expand(&expander, text, ret_text);

    dockerfile_lint_undefined(job);
    if (err)
        return err;
    return dockerfile_spend(job->convert, strlen(*ret_text));
}

bool dockerfile_is_done(
    const struct dockerfile_convert *convert, const struct dockerfile_node *node)
{
    return convert->builds[node->index].is_done;
}

struct cob_llb_ref dockerfile_root_of(
    const struct dockerfile_convert *convert, const struct dockerfile_node *node)
{
    return convert->builds[node->index].root;
}

void dockerfile_add_history(struct dockerfile_build *build, char *text, bool is_empty_layer)
{
    struct cob_oci_history *history =
        cob_oci_config_add_history(build->config, NULL, text, "buildkit.dockerfile.v0");

    history->is_empty_layer = is_empty_layer;
    g_free(text);
}

static struct cob_error *convert_step(struct dockerfile_job *job)
{
    struct dockerfile_lint *lint = job->convert->plan->lint;

    dockerfile_lint_enter(lint, job->instruction);
    struct cob_error *err = converters[job->instruction->kind](job);
    dockerfile_lint_step(job);
    dockerfile_lint_leave(lint);
    return err;
}

static struct cob_error *convert_node(
    struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    struct cob_srcfile *file = convert->plan->dockerfile->file;
    GPtrArray *steps = build->node->steps;

    COB_TRY(cob_error_at(dockerfile_build_start(convert, build), file, build->node->range));
    dockerfile_lint_start(convert, build);
    for (guint i = 0; i < steps->len; i++) {
        const struct dockerfile_step *step = g_ptr_array_index(steps, i);
        struct dockerfile_job job = {convert, build, step, step->instruction};

        COB_TRY(cob_error_at(convert_step(&job), file, step->instruction->range));
    }
    build->is_done = true;
    return NULL;
}

/* Images first: no stage has to stand before them. Then the stages, in the order of the file. */
static struct cob_error *convert_nodes(struct dockerfile_convert *convert)
{
    GPtrArray *nodes = convert->plan->nodes;

    for (int wants_stages = 0; wants_stages <= 1; wants_stages++) {
        for (guint i = 0; i < nodes->len; i++) {
            const struct dockerfile_node *node = g_ptr_array_index(nodes, i);

            if (node->is_reachable && (node->stage != NULL) == (wants_stages != 0))
                COB_TRY(convert_node(convert, &convert->builds[i]));
        }
    }
    return NULL;
}

/* Forget what a pass made; what it learned stays. */
static void reset(struct dockerfile_convert *convert)
{
    for (guint i = 0; convert->builds && i < convert->plan->nodes->len; i++)
        dockerfile_build_done(&convert->builds[i]);
    g_clear_pointer(&convert->builds, g_free);
    g_clear_pointer(&convert->taken, g_ptr_array_unref);
    g_clear_pointer(&convert->builder, cob_llb_builder_free);
    convert->spent_bytes = 0;
}

static void set_up(struct dockerfile_convert *convert)
{
    GPtrArray *nodes = convert->plan->nodes;
    struct cob_llb_platform platform = dockerfile_llb_platform(convert->plan->target_platform);

    reset(convert);
    convert->builder = cob_llb_builder_new(&platform);
    convert->builds = g_new0(struct dockerfile_build, nodes->len);
    for (guint i = 0; i < nodes->len; i++)
        convert->builds[i].node = g_ptr_array_index(nodes, i);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What steps take from the context, as JSON; NULL when one of them takes all of it, or none does.
 * spec: BuildKit dockerfile2llb/convert.go, normalizeContextPaths. */
char *dockerfile_follow_paths(GHashTable *used)
{
    guint n;
    g_autofree char **paths = (char **)g_hash_table_get_keys_as_array(used, &n);
    json_auto_t *array = json_array();

    if (n == 0 || g_hash_table_contains(used, "/"))
        return NULL;
    qsort(paths, n, sizeof(*paths), compare_text);
    for (guint i = 0; i < n; i++)
        json_array_append_new(array, json_string(paths[i] + 1));
    g_autoptr(GBytes) bytes = cob_json_bytes(array);
    return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static char *json_of(const char *const *words)
{
    json_auto_t *array = json_array();

    if (!words || !words[0])
        return NULL;
    for (size_t i = 0; words[i]; i++)
        json_array_append_new(array, json_string(words[i]));
    g_autoptr(GBytes) bytes = cob_json_bytes(array);
    return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void add_context(struct dockerfile_convert *convert)
{
    const struct cob_dockerfile_request *request = convert->plan->request;
    g_autofree char *follow = dockerfile_follow_paths(convert->context_used);
    g_autofree char *exclude = json_of(request->context_excludes);
    struct cob_llb_attr attrs[5] = {{"local.sharedkeyhint", "context"}};
    struct cob_llb_about about = {.name = "[internal] load build context"};
    size_t n = 1;

    if (request->context_session)
        attrs[n++] = (struct cob_llb_attr){"local.session", request->context_session};
    if (follow)
        attrs[n++] = (struct cob_llb_attr){"local.followpaths", follow};
    if (exclude)
        attrs[n++] = (struct cob_llb_attr){"local.excludepatterns", exclude};
    convert->context = cob_llb_add_source(convert->builder, "local://context", attrs, NULL, &about);
}

/* The config's labels and platform, as the request wants them. */
static void finish_config(struct dockerfile_convert *convert, struct cob_oci_config *config)
{
    const struct cob_dockerfile_request *request = convert->plan->request;
    const struct cob_platform *platform = convert->plan->target_platform;
    GHashTableIter iter;
    void *key, *value;

    if (request->labels) {
        g_hash_table_iter_init(&iter, request->labels);
        while (g_hash_table_iter_next(&iter, &key, &value))
            cob_oci_config_set_label(config, key, value);
    }
    if (!request->target_platform)
        return;
    cob_platform_free(config->platform);
    config->platform =
        cob_platform_new(platform->os, platform->arch, platform->variant, platform->os_version);
}

struct cob_error *dockerfile_forgive_unresolved(
    struct dockerfile_convert *convert, struct cob_error *err, struct dockerfile_base **ret_base)
{
    if (!err || !convert->plan->request->is_check || cob_error_code(err) == COB_CANCELLED)
        return err;
    if (convert->unresolved)
        cob_error_free(err);
    else
        convert->unresolved = err;
    *ret_base = g_new(struct dockerfile_base, 1);
    **ret_base = (struct dockerfile_base){.config = cob_oci_config_new(), .is_unknown = true};
    return NULL;
}

static struct cob_error *convert_once(struct dockerfile_convert *convert)
{
    set_up(convert);
    add_context(convert);
    return convert_nodes(convert);
}

/* Called in both passes, for the paths that it takes. */
static struct cob_llb_ref target_root(struct dockerfile_convert *convert)
{
    return dockerfile_context_base(convert, &convert->builds[convert->plan->target->index]);
}

/* Two passes: the context is the first vertex, and what it must bring is known at the end. The
 * first one has said all that there is to warn of. */
static struct cob_error *convert_twice(
    struct dockerfile_convert *convert, struct cob_dockerfile_result *ret)
{
    struct dockerfile_build *target;

    COB_TRY(convert_once(convert));
    (void)target_root(convert);
    COB_TRY(dockerfile_lint_verdict(convert->plan->lint));
    convert->plan->lint->out = NULL;
    COB_TRY(convert_once(convert));
    target = &convert->builds[convert->plan->target->index];
    finish_config(convert, target->config);
    *ret = (struct cob_dockerfile_result){
        .definition = cob_llb_builder_finish(convert->builder, target_root(convert)),
        .config = cob_oci_config_bytes(target->config),
    };
    return NULL;
}

static void convert_init(
    struct dockerfile_convert *convert, const struct cob_image_resolver *resolver)
{
    *convert = (struct dockerfile_convert){
        .resolver = resolver,
        .bases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, dockerfile_base_free),
        .context_used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .local_used = g_hash_table_new_full(
            g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref),
    };
}

static void convert_done(struct dockerfile_convert *convert)
{
    reset(convert);
    g_hash_table_unref(convert->bases);
    g_hash_table_unref(convert->context_used);
    g_hash_table_unref(convert->local_used);
    cob_error_free(convert->unresolved);
}

/* Triggers of images may need stages, and these other images: plan until nothing new comes up. */
static struct cob_error *make_plan(struct dockerfile_convert *convert,
    const struct cob_dockerfile *dockerfile, const struct cob_dockerfile_request *request,
    struct dockerfile_plan **ret_plan)
{
    g_autoptr(GHashTable) triggers = g_hash_table_new(NULL, NULL);
    bool is_new = true;

    while (is_new) {
        g_clear_pointer(ret_plan, dockerfile_plan_free);
        convert->plan = NULL;
        COB_TRY(dockerfile_plan_new(dockerfile, request, triggers, ret_plan));
        convert->plan = *ret_plan;
        COB_TRY(dockerfile_learn_triggers(convert, triggers, &is_new));
    }
    return NULL;
}

struct cob_error *cob_dockerfile_to_llb(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver,
    struct cob_dockerfile_result *ret)
{
    g_autoptr(dockerfile_plan) plan = NULL;
    struct dockerfile_convert convert;

    convert_init(&convert, resolver);
    struct cob_error *err = make_plan(&convert, dockerfile, request, &plan);
    if (!err)
        err = convert_twice(&convert, ret);
    convert_done(&convert);
    return err;
}

struct cob_error *cob_dockerfile_check(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver)
{
    g_autoptr(dockerfile_plan) plan = NULL;
    struct dockerfile_convert convert;

    convert_init(&convert, resolver);
    struct cob_error *err = make_plan(&convert, dockerfile, request, &plan);
    if (!err)
        err = convert_once(&convert);
    if (convert.unresolved) { /* what went wrong after it may be its fault */
        cob_error_free(err);
        err = g_steal_pointer(&convert.unresolved);
    }
    if (!err)
        err = dockerfile_lint_verdict(plan->lint);
    convert_done(&convert);
    return err;
}

struct cob_error *cob_dockerfile_outline(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver,
    struct cob_dockerfile_outline *ret)
{
    g_autoptr(dockerfile_plan) plan = NULL;
    struct dockerfile_convert convert;

    convert_init(&convert, resolver);
    convert.is_outline = true;
    struct cob_error *err = make_plan(&convert, dockerfile, request, &plan);
    if (!err)
        err = convert_once(&convert);
    if (!err)
        err = dockerfile_outline_make(&convert, ret);
    convert_done(&convert);
    return err;
}

void cob_dockerfile_result_done(struct cob_dockerfile_result *result)
{
    g_clear_pointer(&result->definition, cob_llb_definition_free);
    g_clear_pointer(&result->config, g_bytes_unref);
}
