/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache's documents: what is asked for is a manifest or an index with a cache config, or the
 * config itself (S3), or one or several images with an inline cache.
 *
 * spec: BuildKit cache/remotecache/import.go.
 */
#include <inttypes.h>
#include <string.h>

#include "build/remotecache/remotecache_private.h"
#include "spec/oci/oci.h"
#include "util/digest.h"
#include "util/limits.h"

static void blob_free(void *data)
{
    struct cache_blob *blob = data;

    g_free(blob->media_type);
    g_free(blob->diff_id);
    g_free(blob);
}

/* A time as Go writes it. What lies before 1970 or ahead of us is none: people are shown it, and
 * images carry it on. */
static int64_t time_of(const char *text)
{
    g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;
    const int64_t at_us =
        time ? g_date_time_to_unix(time) * 1000000 + g_date_time_get_microsecond(time) : 0;

    return at_us > 0 && at_us <= g_get_real_time() ? at_us : 0;
}

static void add_blob(GHashTable *blobs, const char *digest, const char *media_type,
    const char *diff_id, const char *created, uint64_t size)
{
    struct cache_blob *blob = g_new(struct cache_blob, 1);
    const bool is_known = diff_id && cob_digest_is_valid(diff_id);

    *blob = (struct cache_blob){.size = size,
        .media_type = g_strdup(media_type),
        .diff_id = is_known ? g_strdup(diff_id) : NULL,
        .created_us = time_of(created)};
    g_hash_table_replace(blobs, g_strdup(digest), blob);
}

static GHashTable *blobs_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, blob_free);
}

/* config, blobs: taken. */
static void add_source(
    struct cache_import *import, struct cob_cacheconfig *config, GHashTable *blobs)
{
    struct cache_source *source = g_new(struct cache_source, 1);

    *source = (struct cache_source){.backend = import->backend,
        .place = import->place,
        .vertex = import->vertex,
        .is_warned = &import->is_warned,
        .config = config,
        .blobs = blobs};
    g_ptr_array_add(import->sources, source);
}

/* --- small blobs --- */

static struct cob_error *take_bytes(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

static struct cob_error *restart_bytes(void *arg)
{
    g_byte_array_set_size(arg, 0);
    return NULL;
}

static struct cob_error *get_small(struct cache_import *import,
    const struct cob_oci_descriptor *descriptor, uint64_t max_bytes, GBytes **ret_bytes)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    const struct cob_registry_sink sink = {
        .write = take_bytes, .restart = restart_bytes, .arg = bytes};

    if (descriptor->size > max_bytes)
        return cob_fail(COB_EXHAUSTED, "%s has %" PRIu64 " bytes, more than %" PRIu64,
            descriptor->digest, descriptor->size, max_bytes);
    COB_TRY(
        cob_cachebackend_get_blob(import->backend, descriptor->digest, descriptor->size, &sink));
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
    return NULL;
}

/* --- a cache config --- */

static const char *annotation(const struct cob_oci_descriptor *descriptor, const char *key)
{
    return descriptor->annotations ? g_hash_table_lookup(descriptor->annotations, key) : NULL;
}

static void add_descriptors(GHashTable *blobs, const GPtrArray *descriptors)
{
    for (guint i = 0; i < descriptors->len; i++) {
        const struct cob_oci_descriptor *one = g_ptr_array_index(descriptors, i);
        const char *diff_id = annotation(one, COB_CACHECONFIG_DIFF_ID);
        const char *created = annotation(one, COB_CACHECONFIG_CREATED);

        if (g_strcmp0(one->media_type, COB_CACHECONFIG_TYPE) != 0)
            add_blob(blobs, one->digest, one->media_type, diff_id, created, one->size);
    }
}

static struct cob_error *read_config(struct cache_import *import,
    const struct cob_oci_descriptor *descriptor, const GPtrArray *layers)
{
    g_autoptr(GBytes) bytes = NULL;
    struct cob_cacheconfig *config = NULL;
    GHashTable *blobs;

    COB_TRY(get_small(import, descriptor, COB_LIMIT_CACHECONFIG_BYTES, &bytes));
    COB_TRY(cob_cacheconfig_parse(bytes, &config));
    blobs = blobs_new();
    add_descriptors(blobs, layers);
    add_source(import, config, blobs);
    return NULL;
}

/* The config itself, with what there is to know of its blobs. */
static struct cob_error *read_bare(struct cache_import *import, GBytes *bytes)
{
    struct cob_cacheconfig *config = NULL;
    GHashTable *blobs;

    COB_TRY(cob_cacheconfig_parse(bytes, &config));
    blobs = blobs_new();
    for (guint i = 0; i < config->layers->len; i++) {
        const struct cob_cacheconfig_layer *layer = g_ptr_array_index(config->layers, i);

        add_blob(
            blobs, layer->blob, layer->media_type, layer->diff_id, layer->created, layer->size);
    }
    add_source(import, config, blobs);
    return NULL;
}

/* --- inline --- */

/* When each layer was made, by the image's history; entries without a layer have none.
 * ret: borrowed texts, one a layer, NULL: not said; the caller frees the list. */
static const char **layer_times(const struct cob_oci_config *image)
{
    const char **times = g_new0(const char *, image->diff_ids->len + 1);
    guint n = 0;

    for (guint i = 0; i < image->history->len && n < image->diff_ids->len; i++) {
        const struct cob_oci_history *entry = g_ptr_array_index(image->history, i);

        if (!entry->is_empty_layer)
            times[n++] = entry->created;
    }
    return times;
}

static struct cob_error *read_records(struct cache_import *import,
    const struct cob_oci_manifest *manifest, const struct cob_oci_config *image)
{
    const guint n = manifest->layers->len;
    g_autofree const char **times = layer_times(image);
    g_autofree const char **digests = g_new0(const char *, n + 1);
    g_autoptr(GHashTable) blobs = blobs_new();
    struct cob_cacheconfig *config = NULL;
    gsize len = 0;
    guchar *decoded = g_base64_decode(image->inline_cache, &len);
    g_autoptr(GBytes) bytes = g_bytes_new_take(decoded, len);

    for (guint i = 0; i < n; i++) {
        const struct cob_oci_descriptor *layer = g_ptr_array_index(manifest->layers, i);

        digests[i] = layer->digest;
        add_blob(blobs, layer->digest, layer->media_type, g_ptr_array_index(image->diff_ids, i),
            times[i], layer->size);
    }
    COB_TRY(cob_cacheconfig_parse_inline(bytes, digests, n, &config));
    add_source(import, config, g_steal_pointer(&blobs));
    return NULL;
}

/* An image without an inline cache gives nothing, and is no error: another one of its index may. */
static struct cob_error *read_image(
    struct cache_import *import, const struct cob_oci_manifest *manifest)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(cob_oci_config) image = NULL;

    if (cob_oci_kind_of(manifest->config->media_type) != COB_OCI_CONFIG ||
        manifest->layers->len == 0)
        return NULL;
    COB_TRY(get_small(import, manifest->config, COB_LIMIT_CONFIG_BYTES, &bytes));
    COB_TRY(cob_oci_config_parse(bytes, &image));
    if (!image->inline_cache)
        return NULL;
    if (image->diff_ids->len != manifest->layers->len)
        return cob_fail(COB_INVALID, "the manifest has %u layers, the config %u",
            manifest->layers->len, image->diff_ids->len);
    return read_records(import, manifest, image);
}

/* --- the document --- */

static struct cob_error *read_manifest(struct cache_import *import, GBytes *bytes, const char *type)
{
    g_autoptr(cob_oci_manifest) manifest = NULL;

    COB_TRY(cob_oci_manifest_parse(bytes, type, &manifest));
    if (g_strcmp0(manifest->config->media_type, COB_CACHECONFIG_TYPE) == 0)
        return read_config(import, manifest->config, manifest->layers);
    return read_image(import, manifest);
}

/* A member of an index: a local layout has it as a blob, a registry as another document. */
static struct cob_error *get_member(
    struct cache_import *import, const struct cob_oci_descriptor *descriptor, GBytes **ret_bytes)
{
    g_autoptr(cob_cachebackend_document) document = NULL;

    if (import->options->type != COB_CACHEBACKEND_REGISTRY)
        return get_small(import, descriptor, COB_LIMIT_MANIFEST_BYTES, ret_bytes);
    COB_TRY(cob_cachebackend_get_document(import->backend, descriptor->digest, &document));
    if (!document)
        return cob_fail(COB_NOT_FOUND, "there is no %s", descriptor->digest);
    if (strcmp(document->digest, descriptor->digest) != 0)
        return cob_fail(COB_DATA_LOSS, "%s: its bytes have another digest", descriptor->digest);
    *ret_bytes = g_bytes_ref(document->bytes);
    return NULL;
}

static const struct cob_oci_descriptor *find_config(const struct cob_oci_index *index)
{
    for (guint i = 0; i < index->manifests->len; i++) {
        const struct cob_oci_descriptor *one = g_ptr_array_index(index->manifests, i);

        if (g_strcmp0(one->media_type, COB_CACHECONFIG_TYPE) == 0)
            return one;
    }
    return NULL;
}

static struct cob_error *read_index(struct cache_import *import, GBytes *bytes, const char *type)
{
    g_autoptr(cob_oci_index) index = NULL;
    const struct cob_oci_descriptor *config;

    COB_TRY(cob_oci_index_parse(bytes, type, &index));
    config = find_config(index);
    if (config)
        return read_config(import, config, index->manifests);
    if (index->manifests->len > COB_LIMIT_CACHE_IMAGES)
        return cob_fail(COB_EXHAUSTED, "it is an index of %u images, more than %d",
            index->manifests->len, COB_LIMIT_CACHE_IMAGES);
    for (guint i = 0; i < index->manifests->len; i++) {
        const struct cob_oci_descriptor *one = g_ptr_array_index(index->manifests, i);
        g_autoptr(GBytes) member = NULL;

        if (cob_oci_kind_of(one->media_type) != COB_OCI_MANIFEST)
            continue;
        COB_TRY(get_member(import, one, &member));
        COB_TRY(read_manifest(import, member, NULL));
    }
    return NULL;
}

static struct cob_error *read_document(
    struct cache_import *import, const struct cob_cachebackend_document *document)
{
    const char *type = *document->media_type ? document->media_type : NULL;
    enum cob_oci_kind kind = COB_OCI_OTHER;

    if (!cob_cachebackend_is_oci(import->backend))
        return read_bare(import, document->bytes);
    COB_TRY(cob_oci_recognise(document->bytes, type, &kind));
    return kind == COB_OCI_INDEX ? read_index(import, document->bytes, type)
                                 : read_manifest(import, document->bytes, type);
}

struct cob_error *cache_read(struct cache_import *import)
{
    g_autoptr(cob_cachebackend_document) document = NULL;

    COB_TRY(cob_cachebackend_get_document(import->backend, NULL, &document));
    if (!document)
        return cob_fail(COB_NOT_FOUND, "there is no cache");
    COB_TRY(read_document(import, document));
    if (import->sources->len == 0)
        return cob_fail(COB_NOT_FOUND, "it holds no build cache");
    return NULL;
}
