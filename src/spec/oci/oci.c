/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/oci/oci.h"

#include <inttypes.h>
#include <string.h>

#include "spec/oci/oci_private.h"
#include "util/digest.h"
#include "util/limits.h"

#define ATTESTATION_KEY "vnd.docker.reference.type"

static const struct {
    const char *media_type;
    enum cob_oci_kind kind;
    int packing; /* of a layer; -1: cob cannot read it */
} types[] = {
    {COB_OCI_TYPE_INDEX, COB_OCI_INDEX, -1},
    {COB_DOCKER_TYPE_INDEX, COB_OCI_INDEX, -1},
    {COB_OCI_TYPE_MANIFEST, COB_OCI_MANIFEST, -1},
    {COB_DOCKER_TYPE_MANIFEST, COB_OCI_MANIFEST, -1},
    {COB_OCI_TYPE_CONFIG, COB_OCI_CONFIG, -1},
    {COB_DOCKER_TYPE_CONFIG, COB_OCI_CONFIG, -1},
    {COB_OCI_TYPE_LAYER, COB_OCI_LAYER, COB_OCI_PLAIN},
    {COB_DOCKER_TYPE_LAYER, COB_OCI_LAYER, COB_OCI_PLAIN},
    {COB_OCI_TYPE_LAYER_GZIP, COB_OCI_LAYER, COB_OCI_GZIP},
    {COB_DOCKER_TYPE_LAYER_GZIP, COB_OCI_LAYER, COB_OCI_GZIP},
    {COB_OCI_TYPE_LAYER_ZSTD, COB_OCI_LAYER, COB_OCI_ZSTD},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", COB_OCI_LAYER, COB_OCI_ZSTD},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", COB_OCI_LAYER, -1},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", COB_OCI_LAYER, -1},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", COB_OCI_LAYER, -1},
    {COB_DOCKER_TYPE_LAYER_FOREIGN, COB_OCI_LAYER, -1},
};

enum cob_oci_kind cob_oci_kind_of(const char *media_type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_strcmp0(media_type, types[i].media_type) == 0)
            return types[i].kind;
    return COB_OCI_OTHER;
}

bool cob_oci_layer_packing(const char *media_type, enum cob_oci_packing *ret_packing)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_strcmp0(media_type, types[i].media_type) != 0 || types[i].packing < 0)
            continue;
        *ret_packing = (enum cob_oci_packing)types[i].packing;
        return true;
    }
    return false;
}

/* ---- pieces ---- */

GHashTable *oci_map_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

struct cob_error *oci_take_text(const json_t *object, const char *key, char **ret_text)
{
    const char *text = NULL;

    COB_TRY(cob_json_get_text(object, key, &text));
    *ret_text = g_strdup(text);
    return NULL;
}

struct cob_error *oci_take_map(const json_t *object, const char *key, GHashTable **ret_map)
{
    json_t *members = NULL, *value = NULL;
    const char *name = NULL;
    g_autoptr(GHashTable) map = NULL;

    COB_TRY(cob_json_get_container(object, key, JSON_OBJECT, &members));
    if (!members)
        return NULL;
    map = oci_map_new();
    json_object_foreach(members, name, value)
    {
        const char *text = NULL;

        COB_TRY(cob_wrap(cob_json_get_text(members, name, &text), "%s", key));
        g_hash_table_insert(map, g_strdup(name), g_strdup(text ? text : ""));
    }
    *ret_map = g_steal_pointer(&map);
    return NULL;
}

json_t *oci_text_json(const char *text)
{
    if (g_utf8_validate(text, -1, NULL))
        return json_string(text);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return json_string(valid);
}

void oci_put(json_t *object, const char *key, json_t *value)
{
    if (g_utf8_validate(key, -1, NULL)) {
        json_object_set_new(object, key, value);
        return;
    }
    g_autofree char *valid = g_utf8_make_valid(key, -1);
    json_object_set_new(object, valid, value);
}

void oci_put_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, oci_text_json(text));
}

void oci_put_map(json_t *object, const char *key, GHashTable *map)
{
    GHashTableIter iter;
    void *name = NULL, *value = NULL;

    if (!map)
        return;
    json_t *members = json_object();
    g_hash_table_iter_init(&iter, map);
    while (g_hash_table_iter_next(&iter, &name, &value)) /* written sorted, later */
        oci_put(members, name, oci_text_json(value));
    json_object_set_new(object, key, members);
}

/* ---- descriptors ---- */

struct cob_oci_descriptor *cob_oci_descriptor_new(
    const char *media_type, const char *digest, uint64_t size)
{
    struct cob_oci_descriptor *descriptor = g_new(struct cob_oci_descriptor, 1);

    *descriptor = (struct cob_oci_descriptor){
        .media_type = g_strdup(media_type), .digest = g_strdup(digest), .size = size};
    return descriptor;
}

GHashTable *oci_map_copy(GHashTable *map)
{
    GHashTableIter iter;
    void *name = NULL, *value = NULL;

    if (!map)
        return NULL;
    GHashTable *copy = oci_map_new();
    g_hash_table_iter_init(&iter, map);
    while (g_hash_table_iter_next(&iter, &name, &value))
        g_hash_table_insert(copy, g_strdup(name), g_strdup(value));
    return copy;
}

struct cob_oci_descriptor *cob_oci_descriptor_copy(const struct cob_oci_descriptor *descriptor)
{
    if (!descriptor)
        return NULL;
    const struct cob_platform *platform = descriptor->platform;
    struct cob_oci_descriptor *copy =
        cob_oci_descriptor_new(descriptor->media_type, descriptor->digest, descriptor->size);
    copy->artifact_type = g_strdup(descriptor->artifact_type);
    copy->annotations = oci_map_copy(descriptor->annotations);
    if (platform)
        copy->platform =
            cob_platform_new(platform->os, platform->arch, platform->variant, platform->os_version);
    return copy;
}

void cob_oci_descriptor_free(struct cob_oci_descriptor *descriptor)
{
    if (!descriptor)
        return;
    g_free(descriptor->media_type);
    g_free(descriptor->digest);
    g_free(descriptor->artifact_type);
    cob_platform_free(descriptor->platform);
    g_clear_pointer(&descriptor->annotations, g_hash_table_unref);
    g_free(descriptor);
}

static struct cob_error *parse_platform(const json_t *object, struct cob_platform **ret_platform)
{
    const char *os = NULL, *arch = NULL, *variant = NULL, *version = NULL;

    COB_TRY(cob_json_get_text(object, "os", &os));
    COB_TRY(cob_json_get_text(object, "architecture", &arch));
    COB_TRY(cob_json_get_text(object, "variant", &variant));
    COB_TRY(cob_json_get_text(object, "os.version", &version));
    *ret_platform = cob_platform_new(os ? os : "", arch ? arch : "", variant, version);
    return NULL;
}

static struct cob_error *fill_descriptor(
    struct cob_oci_descriptor *descriptor, const json_t *object)
{
    json_t *platform = NULL;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(oci_take_text(object, "mediaType", &descriptor->media_type));
    COB_TRY(oci_take_text(object, "digest", &descriptor->digest));
    COB_TRY(oci_take_text(object, "artifactType", &descriptor->artifact_type));
    if (!descriptor->digest || !cob_digest_is_valid(descriptor->digest))
        return cob_fail(COB_INVALID, "digest %.100s is not one",
            descriptor->digest ? descriptor->digest : "(none)");
    if (!json_is_integer(json_object_get(object, "size")))
        return cob_fail(COB_INVALID, "size is not a whole number");
    COB_TRY(cob_json_get_size(object, "size", &descriptor->size));
    COB_TRY(oci_take_map(object, "annotations", &descriptor->annotations));
    COB_TRY(cob_json_get_container(object, "platform", JSON_OBJECT, &platform));
    if (platform)
        COB_TRY(cob_wrap(parse_platform(platform, &descriptor->platform), "platform"));
    return NULL;
}

static struct cob_error *parse_descriptor(
    const json_t *object, struct cob_oci_descriptor **ret_descriptor)
{
    g_autoptr(cob_oci_descriptor) descriptor = cob_oci_descriptor_new(NULL, NULL, 0);

    COB_TRY(fill_descriptor(descriptor, object));
    *ret_descriptor = g_steal_pointer(&descriptor);
    return NULL;
}

/* At most `limit` descriptors of the array `key`, into `list`. */
static struct cob_error *parse_descriptors(
    const json_t *object, const char *key, size_t limit, GPtrArray *list)
{
    json_t *array = NULL;

    COB_TRY(cob_json_get_container(object, key, JSON_ARRAY, &array));
    if (!array)
        return cob_fail(COB_INVALID, "%s is missing", key);
    if (json_array_size(array) > limit)
        return cob_fail(
            COB_EXHAUSTED, "%s has %zu entries, more than %zu", key, json_array_size(array), limit);
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct cob_oci_descriptor *descriptor = NULL;

        COB_TRY(
            cob_wrap(parse_descriptor(json_array_get(array, i), &descriptor), "%s[%zu]", key, i));
        g_ptr_array_add(list, descriptor);
    }
    return NULL;
}

static json_t *platform_json(const struct cob_platform *platform)
{
    json_t *object = json_object();

    oci_put_text(object, "architecture", platform->arch);
    oci_put_text(object, "os", platform->os);
    if (*platform->variant)
        oci_put_text(object, "variant", platform->variant);
    if (*platform->os_version)
        oci_put_text(object, "os.version", platform->os_version);
    return object;
}

static json_t *descriptor_json(const struct cob_oci_descriptor *descriptor)
{
    json_t *object = json_object();

    oci_put_text(object, "mediaType", descriptor->media_type);
    oci_put_text(object, "digest", descriptor->digest);
    json_object_set_new(object, "size", json_integer((json_int_t)descriptor->size));
    oci_put_text(object, "artifactType", descriptor->artifact_type);
    oci_put_map(object, "annotations", descriptor->annotations);
    if (descriptor->platform)
        json_object_set_new(object, "platform", platform_json(descriptor->platform));
    return object;
}

static json_t *descriptors_json(const GPtrArray *list)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < list->len; i++)
        json_array_append_new(array, descriptor_json(g_ptr_array_index(list, i)));
    return array;
}

/* ---- what a document is ---- */

static struct cob_error *parse_document(GBytes *bytes, json_t **ret_document)
{
    size_t len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    json_auto_t *document = NULL;

    if (len > COB_LIMIT_MANIFEST_BYTES)
        return cob_fail(COB_EXHAUSTED, "it has %zu bytes, more than %" PRIu64, len,
            (uint64_t)COB_LIMIT_MANIFEST_BYTES);
    COB_TRY(cob_json_parse(data, len, "it", &document));
    if (!json_is_object(document))
        return cob_fail(COB_INVALID, "it is not an object");
    *ret_document = g_steal_pointer(&document);
    return NULL;
}

static const char *kind_word(enum cob_oci_kind kind)
{
    return kind == COB_OCI_INDEX ? "an index" : "a manifest";
}

/* What servers say who know nothing. */
static bool is_no_type(const char *type)
{
    static const char *const vague[] = {
        "", "application/json", "application/octet-stream", "text/plain", NULL};

    return g_strv_contains(vague, type);
}

/* type: NULL is one that was not said. */
static struct cob_error *check_kind(const char *type, enum cob_oci_kind kind, const char *where)
{
    if (!type || cob_oci_kind_of(type) == kind)
        return NULL;
    return cob_fail(
        COB_INVALID, "its %s is %.200s, and its members are %s's", where, type, kind_word(kind));
}

/* Does what a document says it is, and what it was called, agree with what it looks like?
 * Parameters ("; charset=utf-8") do not count. */
static struct cob_error *check_types(
    const char *type, const char *content_type, enum cob_oci_kind kind)
{
    g_autofree char *bare =
        content_type ? g_strndup(content_type, strcspn(content_type, "; \t")) : NULL;
    bool is_said = bare && !is_no_type(bare);

    COB_TRY(check_kind(type, kind, "mediaType"));
    COB_TRY(check_kind(is_said ? bare : NULL, kind, "Content-Type"));
    if (type && is_said && strcmp(type, bare) != 0)
        return cob_fail(
            COB_INVALID, "its mediaType is %.200s, and its Content-Type %.200s", type, bare);
    if (!type && bare && !is_said)
        return cob_fail(COB_INVALID, "neither its mediaType nor its Content-Type says what it is");
    return NULL;
}

static struct cob_error *recognise(
    const json_t *document, const char *content_type, enum cob_oci_kind *ret_kind)
{
    bool is_manifest = json_object_get(document, "config") || json_object_get(document, "layers");
    bool is_index = json_object_get(document, "manifests");
    enum cob_oci_kind kind = is_index ? COB_OCI_INDEX : COB_OCI_MANIFEST;
    uint64_t version = 0;
    const char *type = NULL;

    COB_TRY(cob_json_get_size(document, "schemaVersion", &version));
    COB_TRY(cob_json_get_text(document, "mediaType", &type));
    if (version == 1 || json_object_get(document, "fsLayers"))
        return cob_fail(COB_UNIMPLEMENTED,
            "it is of Docker's schema 1, which is no longer read; push the image again");
    if (is_manifest && is_index)
        return cob_fail(COB_INVALID, "it is a manifest and an index at once");
    if (!is_manifest && !is_index)
        return cob_fail(COB_INVALID, "it is neither a manifest nor an index");
    if (version != 2)
        return cob_fail(COB_INVALID, "schemaVersion is %" PRIu64 " and not 2", version);
    COB_TRY(check_types(type, content_type, kind));
    if (!type && !content_type && kind == COB_OCI_MANIFEST &&
        !json_is_object(json_object_get(document, "config")))
        return cob_fail(COB_INVALID, "it has no config");
    *ret_kind = kind;
    return NULL;
}

struct cob_error *cob_oci_recognise(
    GBytes *bytes, const char *content_type, enum cob_oci_kind *ret_kind)
{
    json_auto_t *document = NULL;

    COB_TRY(cob_wrap(parse_document(bytes, &document), "image document"));
    return cob_wrap(recognise(document, content_type, ret_kind), "image document");
}

/* The document, if it is of the kind. */
static struct cob_error *parse_kind(
    GBytes *bytes, const char *content_type, enum cob_oci_kind want, json_t **ret_document)
{
    json_auto_t *document = NULL;
    enum cob_oci_kind kind = COB_OCI_OTHER;

    COB_TRY(parse_document(bytes, &document));
    COB_TRY(recognise(document, content_type, &kind));
    if (kind != want)
        return cob_fail(COB_INVALID, "it is %s", kind_word(kind));
    *ret_document = g_steal_pointer(&document);
    return NULL;
}

/* The type that a document has: its own word, the server's, or OCI's. */
static struct cob_error *take_type(
    const json_t *document, const char *content_type, const char *otherwise, char **ret_type)
{
    const char *type = NULL;
    g_autofree char *bare =
        content_type ? g_strndup(content_type, strcspn(content_type, "; \t")) : NULL;

    COB_TRY(cob_json_get_text(document, "mediaType", &type));
    if (!type && cob_oci_kind_of(bare) != COB_OCI_OTHER)
        type = bare;
    *ret_type = g_strdup(type ? type : otherwise);
    return NULL;
}

/* ---- index ---- */

struct cob_oci_index *cob_oci_index_new(void)
{
    struct cob_oci_index *index = g_new(struct cob_oci_index, 1);

    *index = (struct cob_oci_index){
        .media_type = g_strdup(COB_OCI_TYPE_INDEX),
        .manifests = g_ptr_array_new_with_free_func((GDestroyNotify)cob_oci_descriptor_free),
    };
    return index;
}

void cob_oci_index_free(struct cob_oci_index *index)
{
    if (!index)
        return;
    g_free(index->media_type);
    g_ptr_array_unref(index->manifests);
    g_clear_pointer(&index->annotations, g_hash_table_unref);
    g_free(index);
}

static struct cob_error *fill_index(
    struct cob_oci_index *index, GBytes *bytes, const char *content_type)
{
    json_auto_t *document = NULL;

    COB_TRY(parse_kind(bytes, content_type, COB_OCI_INDEX, &document));
    g_clear_pointer(&index->media_type, g_free);
    COB_TRY(take_type(document, content_type, COB_OCI_TYPE_INDEX, &index->media_type));
    COB_TRY(oci_take_map(document, "annotations", &index->annotations));
    return parse_descriptors(document, "manifests", COB_LIMIT_DESCRIPTORS, index->manifests);
}

struct cob_error *cob_oci_index_parse(
    GBytes *bytes, const char *content_type, struct cob_oci_index **ret_index)
{
    g_autoptr(cob_oci_index) index = cob_oci_index_new();

    COB_TRY(cob_wrap(fill_index(index, bytes, content_type), "image index"));
    *ret_index = g_steal_pointer(&index);
    return NULL;
}

GBytes *cob_oci_index_bytes(const struct cob_oci_index *index)
{
    json_auto_t *document = json_object();

    json_object_set_new(document, "schemaVersion", json_integer(2));
    oci_put_text(document, "mediaType", index->media_type);
    json_object_set_new(document, "manifests", descriptors_json(index->manifests));
    oci_put_map(document, "annotations", index->annotations);
    return cob_json_bytes(document);
}

/* Is an entry an image, as far as its descriptor says? */
static bool is_image(const struct cob_oci_descriptor *descriptor)
{
    const char *type = descriptor->annotations
                           ? g_hash_table_lookup(descriptor->annotations, ATTESTATION_KEY)
                           : NULL;
    enum cob_oci_kind kind = cob_oci_kind_of(descriptor->media_type);

    if (g_strcmp0(type, "attestation-manifest") == 0)
        return false;
    return !descriptor->media_type || kind == COB_OCI_MANIFEST || kind == COB_OCI_INDEX;
}

/* What there is instead, as text; the caller frees it. */
static char *list_platforms(const struct cob_oci_index *index)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < index->manifests->len && texts->len < 20; i++) {
        const struct cob_oci_descriptor *descriptor = g_ptr_array_index(index->manifests, i);

        if (is_image(descriptor) && descriptor->platform)
            g_ptr_array_add(texts, cob_platform_text(descriptor->platform));
    }
    if (texts->len == 0)
        return g_strdup("none that says its platform");
    g_ptr_array_add(texts, NULL);
    return g_strjoinv(", ", (char **)texts->pdata);
}

struct cob_error *cob_oci_index_choose(const struct cob_oci_index *index,
    const struct cob_platform *platform, const struct cob_oci_descriptor **ret_descriptor)
{
    const struct cob_oci_descriptor *best = NULL, *unnamed = NULL;
    int best_rank = -1, n_images = 0;

    for (unsigned i = 0; i < index->manifests->len; i++) {
        const struct cob_oci_descriptor *descriptor = g_ptr_array_index(index->manifests, i);
        int rank = -1;

        if (!is_image(descriptor))
            continue;
        n_images++;
        if (descriptor->platform)
            rank = cob_platform_rank(platform, descriptor->platform);
        else
            unnamed = descriptor;
        if (rank >= 0 && (!best || rank < best_rank)) {
            best = descriptor;
            best_rank = rank;
        }
    }
    if (!best && n_images == 1)
        best = unnamed;
    if (!best) {
        g_autofree char *want = cob_platform_text(platform), *have = list_platforms(index);

        return cob_fail(COB_NOT_FOUND, "no image for %s; there are %s", want, have);
    }
    *ret_descriptor = best;
    return NULL;
}

/* ---- manifest ---- */

struct cob_oci_manifest *cob_oci_manifest_new(void)
{
    struct cob_oci_manifest *manifest = g_new(struct cob_oci_manifest, 1);

    *manifest = (struct cob_oci_manifest){
        .media_type = g_strdup(COB_OCI_TYPE_MANIFEST),
        .layers = g_ptr_array_new_with_free_func((GDestroyNotify)cob_oci_descriptor_free),
    };
    return manifest;
}

void cob_oci_manifest_free(struct cob_oci_manifest *manifest)
{
    if (!manifest)
        return;
    g_free(manifest->media_type);
    cob_oci_descriptor_free(manifest->config);
    g_ptr_array_unref(manifest->layers);
    g_clear_pointer(&manifest->annotations, g_hash_table_unref);
    g_free(manifest);
}

static struct cob_error *fill_manifest(
    struct cob_oci_manifest *manifest, GBytes *bytes, const char *content_type)
{
    json_auto_t *document = NULL;
    json_t *config = NULL;

    COB_TRY(parse_kind(bytes, content_type, COB_OCI_MANIFEST, &document));
    g_clear_pointer(&manifest->media_type, g_free);
    COB_TRY(take_type(document, content_type, COB_OCI_TYPE_MANIFEST, &manifest->media_type));
    COB_TRY(oci_take_map(document, "annotations", &manifest->annotations));
    COB_TRY(cob_json_get_container(document, "config", JSON_OBJECT, &config));
    if (!config)
        return cob_fail(COB_INVALID, "config is missing");
    COB_TRY(cob_wrap(parse_descriptor(config, &manifest->config), "config"));
    if (manifest->config->size > COB_LIMIT_CONFIG_BYTES)
        return cob_fail(COB_EXHAUSTED, "config has %" PRIu64 " bytes, more than %" PRIu64,
            manifest->config->size, (uint64_t)COB_LIMIT_CONFIG_BYTES);
    COB_TRY(parse_descriptors(document, "layers", COB_LIMIT_DESCRIPTORS, manifest->layers));
    for (unsigned i = 0; i < manifest->layers->len; i++) {
        const struct cob_oci_descriptor *layer = g_ptr_array_index(manifest->layers, i);

        if (layer->size > COB_LIMIT_LAYER_BYTES)
            return cob_fail(COB_EXHAUSTED, "layers[%u] has %" PRIu64 " bytes, more than %" PRIu64,
                i, layer->size, (uint64_t)COB_LIMIT_LAYER_BYTES);
    }
    return NULL;
}

struct cob_error *cob_oci_manifest_parse(
    GBytes *bytes, const char *content_type, struct cob_oci_manifest **ret_manifest)
{
    g_autoptr(cob_oci_manifest) manifest = cob_oci_manifest_new();

    COB_TRY(cob_wrap(fill_manifest(manifest, bytes, content_type), "image manifest"));
    *ret_manifest = g_steal_pointer(&manifest);
    return NULL;
}

GBytes *cob_oci_manifest_bytes(const struct cob_oci_manifest *manifest)
{
    json_auto_t *document = json_object();

    json_object_set_new(document, "schemaVersion", json_integer(2));
    oci_put_text(document, "mediaType", manifest->media_type);
    json_object_set_new(document, "config", descriptor_json(manifest->config));
    json_object_set_new(document, "layers", descriptors_json(manifest->layers));
    oci_put_map(document, "annotations", manifest->annotations);
    return cob_json_bytes(document);
}
