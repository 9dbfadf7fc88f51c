/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec: BuildKit cache/remotecache/export.go, s3/s3.go there; solver/llbsolver/export.go.
 */
#include <inttypes.h>
#include <string.h>

#include "build/remotecache/remotecache_private.h"
#include "spec/oci/oci.h"
#include "util/digest.h"
#include "util/json.h"

/* How many layers are compressed, or sent, at a time, where the options do not say. */
#define PARALLEL_LAYERS 4
/* BuildKit does not read documents above this. */
#define BUILDKIT_MAX_BYTES (1024 * (size_t)1024)

static void exporting_done(struct exporting *exporting)
{
    cob_cachebackend_close(exporting->backend);
    g_clear_pointer(&exporting->order, g_ptr_array_unref);
    g_clear_pointer(&exporting->layers, g_hash_table_unref);
    g_free(exporting->vertex);
}

/* --- layers, side by side --- */

static void prepare_in_pool(void *layer, void *unused)
{
    (void)unused;
    export_prepare_layer(layer);
}

static void send_in_pool(void *data, void *unused)
{
    struct export_layer *layer = data;
    const struct exporting *exporting = layer->exporting;
    const struct cob_observer *observer = exporting->request->observer;
    g_autofree char *id = g_strdup_printf("writing layer %s", layer->digest);
    const int64_t started_us = cache_tell_status(observer, exporting->vertex, id, 0);

    (void)unused;
    layer->err = cob_wrap(export_send_layer(layer), "writing layer %s", layer->digest);
    cache_tell_status(observer, exporting->vertex, id, started_us);
}

static void do_layers(const struct exporting *exporting, const GPtrArray *layers, GFunc work)
{
    const unsigned asked = exporting->request->options->n_parallel;
    GThreadPool *pool = g_thread_pool_new(work, NULL,
        (gint)(asked ? MIN(asked, 64u) : PARALLEL_LAYERS), /* exclusive= */ FALSE, NULL);

    for (guint i = 0; i < layers->len; i++)
        g_thread_pool_push(pool, g_ptr_array_index(layers, i), NULL);
    g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait= */ TRUE);
}

/* A layer that cannot be had takes those above it along; the rest is exported. */
static void drop_layers(struct exporting *exporting)
{
    const struct cob_remotecache_export *request = exporting->request;

    for (guint i = 0; i < exporting->order->len; i++) {
        struct export_layer *layer = g_ptr_array_index(exporting->order, i);

        if (!layer->err && layer->parent && layer->parent->err)
            layer->err = cob_fail(COB_NOT_FOUND, "the layer below is left out");
        else if (layer->err && cob_error_code(layer->err) != COB_CANCELLED) {
            g_autofree char *message = cob_error_message(layer->err);
            g_autofree char *text = g_strdup_printf("--cache-to %s: %s: steps that need it are "
                                                    "left out",
                request->options->text, message);

            cache_warn(request->observer, exporting->vertex, text);
        }
    }
}

/* Blobs, each once, though several layers may have the same. */
static GPtrArray *blobs_of(const struct exporting *exporting)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *blobs = g_ptr_array_new();

    for (guint i = 0; i < exporting->order->len; i++) {
        struct export_layer *layer = g_ptr_array_index(exporting->order, i);

        if (!layer->err && g_hash_table_add(seen, layer->digest))
            g_ptr_array_add(blobs, layer);
    }
    return blobs;
}

static struct cob_error *prepare_layers(struct exporting *exporting)
{
    const struct cob_observer *observer = exporting->request->observer;
    static const char id[] = "preparing build cache for export";
    const int64_t started_us = cache_tell_status(observer, exporting->vertex, id, 0);

    COB_TRY(export_collect(exporting));
    do_layers(exporting, exporting->order, prepare_in_pool);
    COB_TRY(cob_cancel_check(exporting->cancel));
    drop_layers(exporting);
    cache_tell_status(observer, exporting->vertex, id, started_us);
    return NULL;
}

static struct cob_error *send_layers(const struct exporting *exporting, const GPtrArray *blobs)
{
    struct cob_error *err = NULL;

    do_layers(exporting, blobs, send_in_pool);
    for (guint i = 0; i < blobs->len && !err; i++)
        err = g_steal_pointer(&((struct export_layer *)g_ptr_array_index(blobs, i))->err);
    return err;
}

/* --- the config --- */

/* What plan_add_records() asks for layers. */
struct config_layers {
    struct exporting *exporting;
    struct cob_cacheconfig *config;
    GHashTable *numbers; /* "<blob> <parent>" -> number + 1, owned */
};

/* The number of a layer in the config; layers with one blob on one parent are one. */
static int number_of(struct config_layers *layers, struct export_layer *layer)
{
    const int parent = layer->parent ? layer->parent->number : -1;
    char *key = g_strdup_printf("%s %d", layer->digest, parent);

    layer->number = GPOINTER_TO_INT(g_hash_table_lookup(layers->numbers, key)) - 1;
    if (layer->number >= 0) {
        g_free(key);
        return layer->number;
    }
    layer->number = cob_cacheconfig_add_layer(layers->config, layer->digest, parent);
    g_hash_table_insert(layers->numbers, key, GINT_TO_POINTER(layer->number + 1));
    return layer->number;
}

static int layer_in_config(void *arg, const struct plan_step *step)
{
    struct config_layers *layers = arg;
    struct export_layer *top = export_top_of(layers->exporting, step);
    g_autoptr(GPtrArray) chain = g_ptr_array_new();

    if (!top || top->err)
        return -1;
    for (struct export_layer *at = top; at && at->number < 0; at = at->parent)
        g_ptr_array_add(chain, at);
    for (guint i = chain->len; i-- > 0;)
        number_of(layers, g_ptr_array_index(chain, i));
    return top->number;
}

/* S3 has no manifest that would describe the blobs. */
static void annotate(const struct exporting *exporting, struct cob_cacheconfig *config)
{
    for (guint i = 0; i < exporting->order->len; i++) {
        const struct export_layer *layer = g_ptr_array_index(exporting->order, i);

        if (layer->number < 0)
            continue;
        struct cob_cacheconfig_layer *in = g_ptr_array_index(config->layers, layer->number);
        if (in->diff_id)
            continue;
        in->diff_id = g_strdup(layer->diff_id);
        in->media_type = g_strdup(layer->media_type);
        in->created = g_strdup(layer->created);
        in->size = layer->size;
    }
}

static struct cob_cacheconfig *make_config(struct exporting *exporting)
{
    struct cob_cacheconfig *config = cob_cacheconfig_new();
    struct config_layers layers = {.exporting = exporting,
        .config = config,
        .numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};

    plan_add_records(exporting->request->plan, /* last= */ -1, config, layer_in_config, &layers);
    g_hash_table_unref(layers.numbers);
    if (!cob_cachebackend_is_oci(exporting->backend))
        annotate(exporting, config);
    cob_cacheconfig_sort(config);
    return config;
}

/* --- documents --- */

/* The type of a layer in the family of the manifest. */
static const char *layer_type(const struct exporting *exporting, const char *media_type)
{
    enum cob_oci_packing packing = COB_OCI_GZIP;

    if (!cob_oci_layer_packing(media_type, &packing))
        return media_type;
    if (exporting->request->options->is_oci_types)
        return packing == COB_OCI_PLAIN  ? COB_OCI_TYPE_LAYER
               : packing == COB_OCI_ZSTD ? COB_OCI_TYPE_LAYER_ZSTD
                                         : COB_OCI_TYPE_LAYER_GZIP;
    return packing == COB_OCI_PLAIN  ? COB_DOCKER_TYPE_LAYER
           : packing == COB_OCI_ZSTD ? COB_DOCKER_TYPE_LAYER ".zstd"
                                     : COB_DOCKER_TYPE_LAYER_GZIP;
}

static void put_annotation(
    struct cob_oci_descriptor *descriptor, const char *key, const char *value)
{
    if (value)
        g_hash_table_insert(descriptor->annotations, g_strdup(key), g_strdup(value));
}

static struct cob_oci_descriptor *descriptor_of(
    const struct exporting *exporting, const struct export_layer *layer)
{
    struct cob_oci_descriptor *descriptor = cob_oci_descriptor_new(
        layer_type(exporting, layer->media_type), layer->digest, layer->size);

    descriptor->annotations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    put_annotation(descriptor, COB_CACHECONFIG_DIFF_ID, layer->diff_id);
    put_annotation(descriptor, COB_CACHECONFIG_CREATED, layer->created);
    put_annotation(descriptor, COB_CACHECONFIG_DESCRIPTION, layer->description);
    return descriptor;
}

/* Each blob of the config, in its order, once. */
static void add_descriptors(const struct exporting *exporting, const struct cob_cacheconfig *config,
    const GPtrArray *blobs, GPtrArray *descriptors)
{
    g_autoptr(GHashTable) by_digest = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < blobs->len; i++) {
        struct export_layer *layer = g_ptr_array_index(blobs, i);

        g_hash_table_insert(by_digest, layer->digest, layer);
    }
    for (guint i = 0; i < config->layers->len; i++) {
        const struct cob_cacheconfig_layer *in = g_ptr_array_index(config->layers, i);
        const struct export_layer *layer = g_hash_table_lookup(by_digest, in->blob);

        if (layer && g_hash_table_remove(by_digest, in->blob))
            g_ptr_array_add(descriptors, descriptor_of(exporting, layer));
    }
}

/* BuildKit writes a list of blobs where no image manifest is wanted, in either family of types. */
static GBytes *make_manifest(const struct exporting *exporting,
    const struct cob_cacheconfig *config, const GPtrArray *blobs,
    struct cob_oci_descriptor *config_descriptor, const char **ret_type)
{
    const struct cob_cachebackend_options *options = exporting->request->options;
    g_autoptr(cob_oci_manifest) manifest = NULL;
    g_autoptr(cob_oci_index) index = NULL;

    if (options->is_image_manifest) {
        manifest = cob_oci_manifest_new();
        add_descriptors(exporting, config, blobs, manifest->layers);
        manifest->config = config_descriptor;
        *ret_type = COB_OCI_TYPE_MANIFEST;
        return cob_oci_manifest_bytes(manifest);
    }
    index = cob_oci_index_new();
    *ret_type = options->is_oci_types ? COB_OCI_TYPE_INDEX : COB_DOCKER_TYPE_INDEX;
    g_free(index->media_type);
    index->media_type = g_strdup(*ret_type);
    add_descriptors(exporting, config, blobs, index->manifests);
    g_ptr_array_add(index->manifests, config_descriptor);
    return cob_oci_index_bytes(index);
}

static void warn_of_size(const struct exporting *exporting, const char *what, GBytes *bytes)
{
    g_autofree char *text = NULL;

    if (g_bytes_get_size(bytes) <= BUILDKIT_MAX_BYTES)
        return;
    text = g_strdup_printf("--cache-to %s: the %s has %zu bytes: cob reads it, BuildKit reads no "
                           "more than 1 MiB",
        exporting->request->options->text, what, g_bytes_get_size(bytes));
    cache_warn(exporting->request->observer, exporting->vertex, text);
}

static struct cob_error *put_config(
    const struct exporting *exporting, GBytes *bytes, struct cob_oci_descriptor **ret_descriptor)
{
    const struct cob_observer *observer = exporting->request->observer;
    g_autofree char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_autofree char *id = g_strdup_printf("writing config %s", digest);
    const int64_t started_us = cache_tell_status(observer, exporting->vertex, id, 0);

    warn_of_size(exporting, "config", bytes);
    COB_TRY(cob_wrap(
        cob_cachebackend_put_bytes(exporting->backend, bytes, NULL), "writing config %s", digest));
    cache_tell_status(observer, exporting->vertex, id, started_us);
    *ret_descriptor = cob_oci_descriptor_new(COB_CACHECONFIG_TYPE, digest, g_bytes_get_size(bytes));
    return NULL;
}

static struct cob_error *put_document(
    const struct exporting *exporting, const char *type, GBytes *bytes, char **ret_digest)
{
    const struct cob_observer *observer = exporting->request->observer;
    char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_autofree char *id = g_strdup_printf("writing cache %smanifest %s",
        exporting->request->options->is_image_manifest ? "image " : "", digest);
    const int64_t started_us = cache_tell_status(observer, exporting->vertex, id, 0);

    *ret_digest = digest;
    COB_TRY(
        cob_wrap(cob_cachebackend_put_document(exporting->backend, NULL, type, bytes, NULL, NULL),
            "writing cache manifest %s", digest));
    cache_tell_status(observer, exporting->vertex, id, started_us);
    return NULL;
}

static struct cob_error *put_manifest(struct exporting *exporting,
    const struct cob_cacheconfig *config, const GPtrArray *blobs, char **ret_manifest)
{
    g_autoptr(GBytes) config_bytes = cob_cacheconfig_bytes(config);
    struct cob_oci_descriptor *descriptor = NULL;
    const char *type = NULL;
    g_autofree char *digest = NULL;

    COB_TRY(put_config(exporting, config_bytes, &descriptor));
    g_autoptr(GBytes) bytes = make_manifest(exporting, config, blobs, descriptor, &type);
    warn_of_size(exporting, "manifest", bytes);
    COB_TRY(put_document(exporting, type, bytes, &digest));
    json_auto_t *written = json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
        (json_int_t)g_bytes_get_size(bytes));
    *ret_manifest = json_dumps(written, COB_JSON_DUMP);
    return NULL;
}

/* --- all of it --- */

static struct cob_error *write_documents(struct exporting *exporting,
    const struct cob_cacheconfig *config, const GPtrArray *blobs, char **ret_manifest)
{
    g_autofree char *digest = NULL;

    if (cob_cachebackend_is_oci(exporting->backend))
        return put_manifest(exporting, config, blobs, ret_manifest);
    g_autoptr(GBytes) bytes = cob_cacheconfig_bytes(config);
    return put_document(exporting, COB_CACHECONFIG_TYPE, bytes, &digest);
}

static struct cob_error *export(struct exporting *exporting, char **ret_manifest)
{
    const struct cob_remotecache_export *request = exporting->request;
    static const char sending[] = "sending cache export";
    g_autoptr(cob_cacheconfig) config = NULL;
    g_autoptr(GPtrArray) blobs = NULL;

    COB_TRY(cob_cachebackend_open(
        request->options, request->registry, exporting->cancel, &exporting->backend));
    COB_TRY(prepare_layers(exporting));
    config = make_config(exporting);
    if (config->layers->len == 0) {
        cache_tell_status(request->observer, exporting->vertex,
            "skipping cache export for empty result", g_get_real_time());
        return NULL;
    }
    blobs = blobs_of(exporting);
    const int64_t started_us = cache_tell_status(request->observer, exporting->vertex, sending, 0);
    COB_TRY(send_layers(exporting, blobs));
    COB_TRY(write_documents(exporting, config, blobs, ret_manifest));
    if (request->options->is_reset)
        COB_TRY(cob_cachebackend_sweep(exporting->backend));
    cache_tell_status(request->observer, exporting->vertex, sending, started_us);
    return NULL;
}

/* In BuildKit's words. */
static const char *name_of(enum cob_cachebackend_type type)
{
    switch (type) {
    case COB_CACHEBACKEND_LOCAL:
        return "exporting cache to client directory";
    case COB_CACHEBACKEND_REGISTRY:
        return "exporting cache to registry";
    case COB_CACHEBACKEND_S3:
        return "exporting cache to Amazon S3";
    case COB_CACHEBACKEND_INLINE:
        break;
    }
    return "exporting inline cache";
}

struct cob_error *cob_remotecache_export(
    const struct cob_remotecache_export *request, struct cob_cancel *cancel, char **ret_manifest)
{
    const char *name = name_of(request->options->type);
    g_autofree char *place = cache_place(request->options);
    g_autofree char *identity = g_strdup_printf("%s %s", name, place);
    struct exporting exporting = {.request = request, .cancel = cancel};
    const int64_t started_us = g_get_real_time();

    exporting.vertex = cob_digest_of(identity, strlen(identity));
    cache_tell_vertex(request->observer, exporting.vertex, name, started_us, 0, NULL);
    *ret_manifest = NULL;
    struct cob_error *err = export(&exporting, ret_manifest);
    cache_tell_vertex(request->observer, exporting.vertex, name, started_us, g_get_real_time(),
        request->options->is_ignoring_errors ? NULL : err);
    exporting_done(&exporting);
    return err;
}
