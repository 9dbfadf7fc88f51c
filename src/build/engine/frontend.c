/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "build/engine/engine_private.h"
#include "spec/ref/ref.h"
#include "util/fs.h"
#include "util/limits.h"

void cob_engine_frontend_done(struct frontend *frontend)
{
    cob_dockerfile_result_done(&frontend->result);
    cob_dockerfile_free(frontend->dockerfile);
    cob_ignore_free(frontend->ignore);
    cob_srcfile_unref(frontend->file);
    g_free(frontend->platform);
}

/* --- files --- */

static struct cob_error *read_dockerfile(
    const struct cob_engine_request *request, const char *path, GBytes **ret_bytes)
{
    if (request->dockerfile_bytes) {
        *ret_bytes = g_bytes_ref(request->dockerfile_bytes);
        return NULL;
    }
    COB_TRY(cob_wrap(cob_fs_read_file(AT_FDCWD, path, COB_LIMIT_DOCKERFILE_BYTES, ret_bytes),
        "failed to read dockerfile"));
    if (!*ret_bytes)
        return cob_fail(
            COB_NOT_FOUND, "failed to read dockerfile: open %s: no such file or directory", path);
    return NULL;
}

/* In a context that has no Dockerfile a dockerfile will do, as for buildx. The caller frees it. */
static char *dockerfile_path(const struct cob_engine_request *request)
{
    g_autofree char *usual = NULL;
    g_autofree char *lower = NULL;

    if (request->dockerfile)
        return g_strdup(request->dockerfile);
    usual = g_build_filename(request->context, "Dockerfile", NULL);
    lower = g_build_filename(request->context, "dockerfile", NULL);
    if (access(usual, F_OK) < 0 && errno == ENOENT && access(lower, F_OK) == 0)
        return g_steal_pointer(&lower);
    return g_steal_pointer(&usual);
}

static struct cob_error *load_dockerfile(const struct cob_engine_request *request,
    const struct cob_observer *observer, struct frontend *frontend)
{
    g_autofree char *path = dockerfile_path(request);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *title = g_strdup_printf("[internal] load build definition from %s", base);
    g_autoptr(GBytes) bytes = NULL;
    struct internal_step step = cob_engine_step_begin(observer, title);
    struct cob_error *err = read_dockerfile(request, path, &bytes);

    if (!err) {
        cob_engine_step_status(&step, "transferring dockerfile:", g_bytes_get_size(bytes));
        frontend->file = cob_srcfile_new(base, bytes);
    }
    COB_TRY(cob_engine_step_end(&step, err));
    return cob_dockerfile_parse(frontend->file, &frontend->dockerfile);
}

/* "<Dockerfile>.dockerignore" beside the Dockerfile, else ".dockerignore" in the context. */
static struct cob_error *read_ignore(const struct cob_engine_request *request, GBytes **ret_bytes)
{
    g_autofree char *path = dockerfile_path(request);
    g_autofree char *own = g_strconcat(path, ".dockerignore", NULL);
    g_autofree char *common = g_build_filename(request->context, ".dockerignore", NULL);

    *ret_bytes = NULL;
    if (!request->dockerfile_bytes)
        COB_TRY(cob_fs_read_file(AT_FDCWD, own, COB_LIMIT_IGNORE_BYTES, ret_bytes));
    if (!*ret_bytes)
        COB_TRY(cob_fs_read_file(AT_FDCWD, common, COB_LIMIT_IGNORE_BYTES, ret_bytes));
    return NULL;
}

static struct cob_error *load_ignore(const struct cob_engine_request *request,
    const struct cob_observer *observer, struct frontend *frontend)
{
    g_autoptr(GBytes) bytes = NULL;
    struct internal_step step = cob_engine_step_begin(observer, "[internal] load .dockerignore");
    struct cob_error *err = read_ignore(request, &bytes);

    cob_engine_step_status(&step, "transferring context:", bytes ? g_bytes_get_size(bytes) : 0);
    if (!err && bytes) {
        g_autoptr(cob_srcfile) file = cob_srcfile_new(".dockerignore", bytes);

        err = cob_ignore_parse(file, &frontend->ignore);
    }
    return cob_engine_step_end(&step, err);
}

/* --- base images --- */

/* One image that is looked up beside others. */
struct lookup {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
    const struct frontend *frontend;
    const struct cob_dockerfile_image *image;
    struct cob_error *err;
};

static struct cob_error *resolve(const struct lookup *lookup, const char *ref, const char *platform,
    char **ret_digest, GBytes **ret_config)
{
    return cob_image_resolve(lookup->engine->images, ref, platform,
        lookup->request->is_pulling ? COB_IMAGE_PULL : COB_IMAGE_LOCAL_FIRST, lookup->cancel,
        ret_digest, ret_config);
}

static void look_up(void *data, void *unused)
{
    struct lookup *lookup = data;
    g_autofree char *title = g_strdup_printf("[internal] load metadata for %s", lookup->image->ref);
    g_autofree char *digest = NULL;
    g_autoptr(GBytes) config = NULL;
    struct internal_step step = cob_engine_step_begin(lookup->observer, title);

    (void)unused;
    lookup->err = cob_engine_step_end(
        &step, resolve(lookup, lookup->image->ref, lookup->image->platform, &digest, &config));
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
        if (pool)
            g_thread_pool_push(pool, &lookups[i], NULL);
        else
            look_up(&lookups[i], NULL);
    }
    if (pool)
        g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait= */ TRUE);
    for (guint i = 0; i < images->len; i++) {
        struct cob_error *one =
            cob_error_at(lookups[i].err, shared->frontend->file, lookups[i].image->range);

        if (!err)
            err = one;
        else
            cob_error_free(one);
    }
    return err;
}

static struct cob_error *resolve_again(
    void *arg, const char *ref, const char *platform, char **ret_digest, GBytes **ret_config)
{
    return resolve(arg, ref, platform, ret_digest, ret_config);
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

static char *host_platform(void)
{
    struct utsname names;

    uname(&names);
    g_autoptr(cob_platform) host = cob_platform_of_machine(names.machine);
    return cob_platform_text(host);
}

/* The platform as it is normally written. */
static struct cob_error *target_platform(
    const struct cob_engine_request *request, const char *host_text, char **ret_text)
{
    g_autoptr(cob_platform) host = NULL;
    g_autoptr(cob_platform) platform = NULL;

    COB_TRY(cob_platform_parse(host_text, NULL, &host));
    COB_TRY(cob_platform_parse(request->platform ? request->platform : host_text, host, &platform));
    *ret_text = cob_platform_text(platform);
    return NULL;
}

/* Within what a date can be: years 1 to 9999. */
#define MIN_EPOCH_S INT64_C(-62135596800)
#define MAX_EPOCH_S INT64_C(253402300799)

static struct cob_error *read_epoch(GHashTable *args, struct frontend *frontend)
{
    const char *text = g_hash_table_lookup(args, "SOURCE_DATE_EPOCH");

    frontend->has_epoch = text && *text;
    if (!frontend->has_epoch ||
        g_ascii_string_to_signed(text, 10, MIN_EPOCH_S, MAX_EPOCH_S, &frontend->epoch_s, NULL))
        return NULL;
    return cob_fail(
        COB_INVALID, "invalid SOURCE_DATE_EPOCH: %s: it should be seconds since 1970", text);
}

static struct cob_error *convert(struct lookup *lookup, const char *host, struct frontend *frontend)
{
    const struct cob_engine_request *request = lookup->request;
    g_autoptr(GHashTable) args = table_of(request->build_args);
    g_autoptr(GHashTable) labels = table_of(request->labels);
    g_autoptr(GPtrArray) images = NULL;
    const struct cob_image_resolver resolver = {.arg = lookup, .resolve = resolve_again};
    const struct cob_dockerfile_request wish = {
        .target = request->target,
        .build_args = args,
        .labels = labels,
        .target_platform = frontend->platform,
        .build_platform = host,
        .is_no_cache = request->is_no_cache,
        .no_cache_stages = request->no_cache_stages,
        .network = request->network,
        .extra_hosts = request->extra_hosts,
        .shm_size_bytes = request->shm_size_bytes,
        .cgroup_parent = request->cgroup_parent,
        .ulimits = request->ulimits,
        .n_ulimits = request->n_ulimits,
        .cache_mount_namespace = g_hash_table_lookup(args, "BUILDKIT_CACHE_MOUNT_NS"),
        .hostname = g_hash_table_lookup(args, "BUILDKIT_SANDBOX_HOSTNAME"),
    };

    COB_TRY(read_epoch(args, frontend));
    COB_TRY(cob_dockerfile_images(frontend->dockerfile, &wish, &images));
    COB_TRY(look_up_all(lookup, images));
    COB_TRY(load_ignore(request, lookup->observer, frontend));
    return cob_dockerfile_to_llb(frontend->dockerfile, &wish, &resolver, &frontend->result);
}

static void tell_warnings(const struct frontend *frontend, const struct cob_observer *observer)
{
    for (guint i = 0; frontend->result.warnings && i < frontend->result.warnings->len; i++) {
        const struct cob_dockerfile_warning *warning =
            g_ptr_array_index(frontend->result.warnings, i);
        g_autofree char *text = g_strdup_printf("%s: %s", warning->rule, warning->text);
        const struct cob_event_warning event = {
            .text = text, .file = frontend->file, .range = warning->range};

        observer->warning(observer->arg, &event);
    }
}

struct cob_error *cob_engine_frontend(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, struct frontend *ret_frontend)
{
    struct frontend frontend = {0};
    struct lookup lookup = {.engine = engine,
        .request = request,
        .observer = observer,
        .cancel = cancel,
        .frontend = &frontend};
    g_autofree char *host = host_platform();
    struct cob_error *err = target_platform(request, host, &frontend.platform);

    if (!err)
        err = load_dockerfile(request, observer, &frontend);
    if (!err)
        err = convert(&lookup, host, &frontend);
    if (err) {
        cob_engine_frontend_done(&frontend);
        return err;
    }
    tell_warnings(&frontend, observer);
    *ret_frontend = frontend;
    return NULL;
}
