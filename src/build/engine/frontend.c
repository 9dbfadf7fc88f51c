/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "build/engine/engine_private.h"
#include "spec/ref/ref.h"
#include "util/fs.h"
#include "util/limits.h"

static void target_done(void *data)
{
    struct frontend_target *target = data;

    cob_dockerfile_result_done(&target->result);
    g_free(target->platform);
}

void cob_engine_frontend_done(struct frontend *frontend)
{
    cob_dockerfile_free(frontend->dockerfile);
    cob_srcfile_unref(frontend->file);
    g_clear_pointer(&frontend->warnings, g_ptr_array_unref);
    g_clear_pointer(&frontend->targets, g_array_unref);
}

static struct frontend_target *target_at(const struct frontend *frontend, guint i)
{
    return &g_array_index(frontend->targets, struct frontend_target, i);
}

/* --- files --- */

static struct cob_error *load_dockerfile(
    const struct contexts *contexts, const struct cob_observer *observer, struct frontend *frontend)
{
    g_autofree char *base = g_path_get_basename(contexts->file_name);
    g_autofree char *title = g_strdup_printf("[internal] load build definition from %s", base);
    g_autoptr(GBytes) bytes = NULL;
    struct internal_step step = cob_engine_step_begin(observer, title);
    struct cob_error *err = cob_engine_contexts_dockerfile(contexts, &bytes);

    if (!err) {
        cob_engine_step_status(&step, "transferring dockerfile:", g_bytes_get_size(bytes));
        frontend->file = cob_srcfile_new(base, bytes);
    }
    return cob_engine_step_end(&step, err);
}

/* Several frontends of a build share it. */
static struct cob_error *load_ignore(struct contexts *contexts, const struct cob_observer *observer)
{
    struct context_tree *tree = cob_engine_contexts_find(contexts, "context");
    g_autoptr(cob_srcfile) file = NULL;

    if (contexts->is_ignore_read || cob_engine_contexts_is_remote(contexts))
        return NULL;
    struct internal_step step = cob_engine_step_begin(observer, "[internal] load .dockerignore");
    struct cob_error *err = cob_engine_contexts_ignore(contexts, &file);
    cob_engine_step_status(&step, "transferring context:", file ? g_bytes_get_size(file->data) : 0);
    if (!err && file)
        err = cob_ignore_parse(file, &tree->ignore);
    contexts->is_ignore_read = !err;
    return cob_engine_step_end(&step, err);
}

/* --- base images --- */

/* What is to become of the Dockerfile. */
enum purpose {
    PURPOSE_BUILD,
    PURPOSE_LINT,
    PURPOSE_OUTLINE,
    PURPOSE_TARGETS,
    PURPOSE_NOTHING, /* it is only to be there */
};

/* One image that is looked up beside others. */
struct lookup {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
    struct contexts *contexts;
    GHashTable *agents;
    enum purpose purpose;
    const struct frontend *frontend;
    struct cob_dockerfile_outline *outline;
    GHashTable
        *failed;      /* "ref platform" -> struct cob_error *, owned: what a lint goes on without */
    GHashTable *told; /* "ref platform" of the images whose lookup was shown */
    const struct cob_dockerfile_image *image;
    struct cob_error *err;
};

static char *key_of(const struct cob_dockerfile_image *image)
{
    return g_strconcat(image->ref, " ", image->platform, NULL);
}

static struct cob_error *resolve(const struct lookup *lookup,
    const struct cob_dockerfile_image *image, char **ret_digest, GBytes **ret_config)
{
    return cob_image_resolve(lookup->engine->images, image->ref, image->platform,
        lookup->request->is_pulling ? COB_IMAGE_PULL : COB_IMAGE_LOCAL_FIRST, lookup->cancel,
        ret_digest, ret_config);
}

/* The same, as a step that is shown. */
static struct cob_error *look_up_now(const struct lookup *lookup,
    const struct cob_dockerfile_image *image, char **ret_digest, GBytes **ret_config)
{
    const bool is_multi_platform = lookup->frontend->is_multi_platform;
    g_autofree char *title = image->context ? g_strdup_printf("[context %s] load metadata for %s",
                                                  image->context, image->ref)
                                            : g_strdup_printf("[%s%sinternal] load metadata for %s",
                                                  is_multi_platform ? image->platform : "",
                                                  is_multi_platform ? " " : "", image->ref);
    struct internal_step step = cob_engine_step_begin(lookup->observer, title);

    return cob_engine_step_end(&step, resolve(lookup, image, ret_digest, ret_config));
}

static void look_up(void *data, void *unused)
{
    struct lookup *lookup = data;
    g_autofree char *digest = NULL;
    g_autoptr(GBytes) config = NULL;

    (void)unused;
    lookup->err = look_up_now(lookup, lookup->image, &digest, &config);
}

/* Keep an error for who asks for the image again, if the purpose goes on without it. err: taken. */
static struct cob_error *put_off(const struct lookup *lookup, struct cob_error *err)
{
    const struct cob_dockerfile_image *image = lookup->image;

    if (!err || lookup->purpose != PURPOSE_LINT || cob_error_code(err) == COB_CANCELLED)
        return err;
    g_hash_table_insert(lookup->failed, key_of(image), err);
    return NULL;
}

/* Ask for all base images side by side; the answers are remembered by the image source. */
static struct cob_error *look_up_all(const struct lookup *shared, const GPtrArray *images)
{
    g_autofree struct lookup *lookups = g_new0(struct lookup, images->len + 1);
    GThreadPool *pool = images->len > 1 ? g_thread_pool_new(look_up, NULL, 8, FALSE, NULL) : NULL;
    struct cob_error *err = NULL;

    for (guint i = 0; i < images->len; i++) {
        lookups[i] = *shared;
        lookups[i].image = g_ptr_array_index(images, i);
        g_hash_table_add(shared->told, key_of(lookups[i].image));
        if (pool)
            g_thread_pool_push(pool, &lookups[i], NULL);
        else
            look_up(&lookups[i], NULL);
    }
    if (pool)
        g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait= */ TRUE);
    for (guint i = 0; i < images->len; i++) {
        struct cob_error *one = put_off(&lookups[i],
            cob_error_at(lookups[i].err, shared->frontend->file, lookups[i].image->range));

        if (!err)
            err = one;
        else
            cob_error_free(one);
    }
    return err;
}

/* The answer for an image that was looked up is there; what a trigger names, nobody knew of. */
static struct cob_error *resolve_again(
    void *arg, const struct cob_dockerfile_image *image, char **ret_digest, GBytes **ret_config)
{
    const struct lookup *lookup = arg;
    g_autofree char *key = key_of(image);
    void *err;

    if (g_hash_table_steal_extended(lookup->failed, key, NULL, &err))
        return err;
    if (g_hash_table_contains(lookup->told, key))
        return resolve(lookup, image, ret_digest, ret_config);
    g_hash_table_add(lookup->told, g_steal_pointer(&key));
    return look_up_now(lookup, image, ret_digest, ret_config);
}

/* --- the request, in the frontend's words --- */

/* "NAME=value" puts a value; "NAME" takes it from the environment, if it is there. */
static GHashTable *table_of(const char *const *list)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (; list && *list; list++) {
        const char *equals = strchr(*list, '=');
        const char *value = equals ? equals + 1 : g_getenv(*list);

        if (value)
            g_hash_table_replace(table,
                equals ? g_strndup(*list, (gsize)(equals - *list)) : g_strdup(*list),
                g_strdup(value));
    }
    return table;
}

char *cob_engine_host_platform(void)
{
    struct utsname names;

    uname(&names);
    g_autoptr(cob_platform) host = cob_platform_of_machine(names.machine);
    return cob_platform_text(host);
}

struct cob_error *cob_engine_platform(const char *text, char **ret_platform)
{
    g_autofree char *host_text = cob_engine_host_platform();
    g_autoptr(cob_platform) host = NULL;
    g_autoptr(cob_platform) platform = NULL;

    COB_TRY(cob_platform_parse(host_text, NULL, &host));
    COB_TRY(cob_wrap(
        cob_platform_parse(text ? text : host_text, host, &platform), "--platform %s", text));
    *ret_platform = cob_platform_text(platform);
    return NULL;
}

/* Each platform that is asked for, as it is normally written, once.
 * spec: buildx util/platformutil/parse.go. */
static struct cob_error *read_platforms(
    const struct cob_engine_request *request, struct frontend *frontend)
{
    static const char *const none[] = {"local", NULL};
    const char *const *text = request->platforms && *request->platforms ? request->platforms : none;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (; *text; text++) {
        struct frontend_target target = {0};

        COB_TRY(cob_engine_platform(*text, &target.platform));
        if (g_hash_table_add(seen, target.platform))
            g_array_append_val(frontend->targets, target);
        else
            g_free(target.platform);
    }
    return cob_engine_multi_platform(request, frontend->targets->len, &frontend->is_multi_platform);
}

/* The request as it is for one of the platforms. Only the first one's warnings are told: BuildKit
 * does the same. */
static struct cob_dockerfile_request wish_for(
    const struct cob_dockerfile_request *wish, const struct frontend *frontend, guint i)
{
    struct cob_dockerfile_request own = *wish;

    own.target_platform = target_at(frontend, i)->platform;
    own.is_multi_platform = frontend->is_multi_platform;
    if (i > 0)
        own.warnings = NULL;
    return own;
}

/* The images of all platforms, each once.  ret_images: borrows from `lists`. */
static struct cob_error *list_images(const struct cob_dockerfile_request *wish,
    const struct frontend *frontend, GPtrArray *lists, GPtrArray **ret_images)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (guint i = 0; i < frontend->targets->len; i++) {
        const struct cob_dockerfile_request own = wish_for(wish, frontend, i);
        GPtrArray *images = NULL;

        COB_TRY(cob_dockerfile_images(frontend->dockerfile, &own, &images));
        g_ptr_array_add(lists, images);
        for (guint k = 0; k < images->len; k++) {
            const struct cob_dockerfile_image *image = g_ptr_array_index(images, k);

            if (g_hash_table_add(seen, key_of(image)))
                g_ptr_array_add(all, (void *)(uintptr_t)image);
        }
    }
    *ret_images = g_steal_pointer(&all);
    return NULL;
}

/* With several platforms, an error says which one it is about. */
static struct cob_error *to_llb(const struct cob_image_resolver *resolver,
    const struct cob_dockerfile_request *wish, const struct frontend *frontend)
{
    for (guint i = 0; i < frontend->targets->len; i++) {
        const struct cob_dockerfile_request own = wish_for(wish, frontend, i);
        struct frontend_target *target = target_at(frontend, i);
        struct cob_error *err =
            cob_dockerfile_to_llb(frontend->dockerfile, &own, resolver, &target->result);

        if (err)
            return frontend->targets->len > 1 ? cob_wrap(err, "%s", target->platform) : err;
    }
    return NULL;
}

static struct cob_error *use(
    struct lookup *lookup, const struct cob_dockerfile_request *wish, struct frontend *frontend)
{
    const struct cob_image_resolver resolver = {.arg = lookup, .resolve = resolve_again};
    const struct cob_dockerfile *dockerfile = frontend->dockerfile;

    switch (lookup->purpose) {
    case PURPOSE_LINT:
        return cob_dockerfile_check(dockerfile, wish, &resolver);
    case PURPOSE_OUTLINE:
        return cob_dockerfile_outline(dockerfile, wish, &resolver, lookup->outline);
    case PURPOSE_BUILD:
        return to_llb(&resolver, wish, frontend);
    case PURPOSE_TARGETS:
    case PURPOSE_NOTHING:
        return NULL;
    }
    g_assert_not_reached();
}

static struct cob_error *prepare(
    struct lookup *lookup, struct cob_dockerfile_request *wish, struct frontend *frontend)
{
    const struct frontend_call call = {lookup->engine, lookup->request, lookup->observer,
        lookup->cancel, lookup->contexts, lookup->agents};
    g_autoptr(GPtrArray) lists =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))g_ptr_array_unref);
    g_autoptr(GPtrArray) images = NULL;
    const char *syntax = g_hash_table_lookup(wish->build_args, "BUILDKIT_SYNTAX");
    struct cob_error *err = cob_dockerfile_parse_as(frontend->file, syntax, &frontend->dockerfile);

    if (err) {
        cob_dockerfile_warn_unparsed(frontend->file, wish);
        return err;
    }
    if (lookup->purpose == PURPOSE_TARGETS)
        return NULL;
    COB_TRY(cob_engine_epoch(&call, frontend->dockerfile, wish, &frontend->epoch));
    COB_TRY(list_images(wish, frontend, lists, &images));
    COB_TRY(look_up_all(lookup, images));
    COB_TRY(load_ignore(lookup->contexts, lookup->observer));
    wish->ignore = cob_engine_contexts_find(lookup->contexts, "context")->ignore;
    return NULL;
}

static struct cob_error *convert(struct lookup *lookup, const char *host, struct frontend *frontend)
{
    const struct cob_engine_request *request = lookup->request;
    g_autoptr(GHashTable) args = table_of(request->build_args);
    g_autoptr(GHashTable) labels = table_of(request->labels);
    struct cob_dockerfile_request wish = {
        .target = request->target,
        .build_args = args,
        .labels = labels,
        .contexts = lookup->contexts->named,
        .target_platform = target_at(frontend, 0)->platform,
        .build_platform = host,
        .is_no_cache = request->is_no_cache,
        .no_cache_stages = request->no_cache_stages,
        .network = request->network,
        .extra_hosts = request->extra_hosts,
        .shm_size_bytes = request->shm_size_bytes,
        .cgroup_parent = request->cgroup_parent,
        .ulimits = request->ulimits,
        .n_ulimits = request->n_ulimits,
        .cache_mount_namespace = cob_engine_build_arg_set(request, "BUILDKIT_CACHE_MOUNT_NS"),
        .hostname = cob_engine_build_arg_set(request, "BUILDKIT_SANDBOX_HOSTNAME"),
        .warnings = lookup->purpose == PURPOSE_TARGETS ? NULL : frontend->warnings,
        .is_check = lookup->purpose == PURPOSE_LINT,
        .has_auto_mounts = request->has_auto_mounts,
    };

    COB_TRY(prepare(lookup, &wish, frontend));
    return use(lookup, &wish, frontend);
}

static void tell_warnings(const struct frontend *frontend, const struct cob_observer *observer)
{
    for (guint i = 0; i < frontend->warnings->len; i++) {
        const struct cob_dockerfile_warning *warning = g_ptr_array_index(frontend->warnings, i);
        g_autofree char *text = g_strdup_printf(
            "%s: %s (line %d)", warning->rule, warning->text, warning->range.first_line);
        const struct cob_event_warning event = {.text = text,
            .detail = warning->description,
            .url = warning->url,
            .file = frontend->file,
            .range = warning->range};

        observer->warning(observer->arg, &event);
    }
}

static void free_error(void *err)
{
    cob_error_free(err);
}

/* ret_wrong: of a lint, what is wrong with the Dockerfile; else that is an error, too. */
static struct cob_error *run(
    struct lookup *lookup, struct frontend *frontend, struct cob_error **ret_wrong)
{
    g_autofree char *host = cob_engine_host_platform();
    struct cob_error *err;

    COB_TRY(read_platforms(lookup->request, frontend));
    COB_TRY(cob_engine_check_build_args(lookup->request));
    COB_TRY(cob_engine_check_attests(lookup->request));
    COB_TRY(load_dockerfile(lookup->contexts, lookup->observer, frontend));
    if (lookup->purpose == PURPOSE_NOTHING)
        return NULL;
    lookup->failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_error);
    lookup->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    err = convert(lookup, host, frontend);
    g_hash_table_unref(lookup->failed);
    g_hash_table_unref(lookup->told);
    if (lookup->purpose != PURPOSE_LINT) {
        tell_warnings(frontend, lookup->observer);
        return err;
    }
    if (err && cob_error_code(err) == COB_CANCELLED)
        return err;
    *ret_wrong = err;
    return NULL;
}

static struct cob_error *start(const struct frontend_call *call, enum purpose purpose,
    struct frontend *ret_frontend, struct cob_dockerfile_outline *ret_outline,
    struct cob_error **ret_wrong)
{
    struct frontend frontend = {.warnings = cob_dockerfile_warnings_new(),
        .targets = g_array_new(FALSE, FALSE, sizeof(struct frontend_target))};
    struct lookup lookup = {.engine = call->engine,
        .request = call->request,
        .observer = call->observer,
        .cancel = call->cancel,
        .contexts = call->contexts,
        .agents = call->agents,
        .purpose = purpose,
        .frontend = &frontend,
        .outline = ret_outline};

    g_array_set_clear_func(frontend.targets, target_done);
    struct cob_error *err = run(&lookup, &frontend, ret_wrong);
    if (err) {
        cob_engine_frontend_done(&frontend);
        return err;
    }
    *ret_frontend = frontend;
    return NULL;
}

struct cob_error *cob_engine_frontend(
    const struct frontend_call *call, struct frontend *ret_frontend)
{
    return start(call, PURPOSE_BUILD, ret_frontend, NULL, NULL);
}

struct cob_error *cob_engine_frontend_ask(const struct frontend_call *call,
    enum cob_engine_method method, struct frontend *ret_frontend,
    struct cob_dockerfile_outline *ret_outline, struct cob_error **ret_error)
{
    static const enum purpose purposes[] = {[COB_ENGINE_LINT] = PURPOSE_LINT,
        [COB_ENGINE_OUTLINE] = PURPOSE_OUTLINE,
        [COB_ENGINE_TARGETS] = PURPOSE_TARGETS,
        [COB_ENGINE_CONVERT_LLB] = PURPOSE_BUILD,
        [COB_ENGINE_DESCRIBE] = PURPOSE_NOTHING};

    return start(call, purposes[method], ret_frontend, ret_outline, ret_error);
}
