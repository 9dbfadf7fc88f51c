/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document: an OCI image manifest whose layers are the indexes, then the packs. It is what a
 * registry keeps, and what tells it that the blobs are wanted.
 */
#include <inttypes.h>
#include <string.h>

#include "spec/mountindex/mountindex.h"
#include "util/json.h"
#include "util/limits.h"

#define NOTE_NAMESPACE "vnd.cob.mount.namespace"
#define NOTE_ID "vnd.cob.mount.id"
#define NOTE_FILES "vnd.cob.mount.files"
#define NOTE_BYTES "vnd.cob.mount.bytes"
#define NOTE_PLAIN "vnd.cob.mount.index-bytes"

void cob_mountdoc_mount_free(struct cob_mountdoc_mount *mount)
{
    if (!mount)
        return;
    g_free(mount->namespace);
    g_free(mount->id);
    g_free(mount->digest);
    g_free(mount);
}

struct cob_mountdoc *cob_mountdoc_new(void)
{
    struct cob_mountdoc *doc = g_new(struct cob_mountdoc, 1);

    *doc = (struct cob_mountdoc){
        .mounts =
            g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_mountdoc_mount_free),
        .packs = g_array_new(false, false, sizeof(struct cob_mountindex_pack)),
    };
    return doc;
}

void cob_mountdoc_free(struct cob_mountdoc *doc)
{
    if (!doc)
        return;
    g_ptr_array_unref(doc->mounts);
    g_array_unref(doc->packs);
    g_free(doc);
}

const struct cob_mountdoc_mount *cob_mountdoc_find(
    const struct cob_mountdoc *doc, const char *namespace, const char *id)
{
    for (guint i = 0; i < doc->mounts->len; i++) {
        const struct cob_mountdoc_mount *mount = doc->mounts->pdata[i];

        if (strcmp(mount->namespace, namespace) == 0 && strcmp(mount->id, id) == 0)
            return mount;
    }
    return NULL;
}

/* --- writing --- */

static json_t *descriptor(const char *media_type, const char *digest, uint64_t len)
{
    return json_pack(
        "{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest, "size", (json_int_t)len);
}

static void set_number(json_t *notes, const char *key, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" PRIu64, number);

    json_object_set_new(notes, key, json_string(text));
}

static json_t *mount_descriptor(const struct cob_mountdoc_mount *mount)
{
    json_t *json = descriptor(COB_MOUNTINDEX_INDEX_TYPE, mount->digest, mount->len);
    json_t *notes = json_object();

    json_object_set_new(notes, NOTE_NAMESPACE, json_string(mount->namespace));
    json_object_set_new(notes, NOTE_ID, json_string(mount->id));
    set_number(notes, NOTE_FILES, mount->n_files);
    set_number(notes, NOTE_BYTES, mount->n_bytes);
    set_number(notes, NOTE_PLAIN, mount->plain_len);
    json_object_set_new(json, "annotations", notes);
    return json;
}

GBytes *cob_mountdoc_encode(const struct cob_mountdoc *doc)
{
    g_autofree char *empty = cob_digest_of(COB_MOUNTINDEX_EMPTY, strlen(COB_MOUNTINDEX_EMPTY));
    json_t *layers = json_array();
    json_auto_t *json = json_pack("{s:i, s:s, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType",
        COB_MOUNTINDEX_MANIFEST_TYPE, "artifactType", COB_MOUNTINDEX_ARTIFACT_TYPE, "config",
        descriptor(COB_MOUNTINDEX_EMPTY_TYPE, empty, strlen(COB_MOUNTINDEX_EMPTY)), "layers",
        layers);

    for (guint i = 0; i < doc->mounts->len; i++)
        json_array_append_new(layers, mount_descriptor(doc->mounts->pdata[i]));
    for (guint i = 0; i < doc->packs->len; i++) {
        const struct cob_mountindex_pack *pack =
            &g_array_index(doc->packs, struct cob_mountindex_pack, i);
        g_autofree char *digest = cob_sha256_text(&pack->sha);

        json_array_append_new(
            layers, descriptor(COB_MOUNTINDEX_PACK_TYPE, digest, pack->stored_len));
    }
    return cob_json_bytes(json);
}

/* --- reading --- */

static struct cob_error *get_note(const json_t *notes, const char *key, const char **ret_text)
{
    COB_TRY(cob_json_get_text(notes, key, ret_text));
    return *ret_text ? NULL : cob_fail(COB_INVALID, "an index has no %s", key);
}

static struct cob_error *get_note_number(const json_t *notes, const char *key, uint64_t *ret_number)
{
    const char *text = NULL;
    guint64 number = 0;

    COB_TRY(get_note(notes, key, &text));
    if (!g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, &number, NULL))
        return cob_fail(COB_INVALID, "%s is no number: %s", key, text);
    *ret_number = number;
    return NULL;
}

static struct cob_error *fill_mount(const json_t *layer, struct cob_mountdoc_mount *mount)
{
    json_t *notes = NULL;
    const char *namespace = NULL, *id = NULL;

    COB_TRY(cob_json_get_container(layer, "annotations", JSON_OBJECT, &notes));
    if (!notes)
        return cob_fail(COB_INVALID, "an index has no annotations");
    COB_TRY(get_note(notes, NOTE_NAMESPACE, &namespace));
    COB_TRY(get_note(notes, NOTE_ID, &id));
    COB_TRY(get_note_number(notes, NOTE_FILES, &mount->n_files));
    COB_TRY(get_note_number(notes, NOTE_BYTES, &mount->n_bytes));
    COB_TRY(get_note_number(notes, NOTE_PLAIN, &mount->plain_len));
    if (mount->plain_len > COB_LIMIT_MOUNT_INDEX_BYTES || mount->len > COB_LIMIT_MOUNT_INDEX_BYTES)
        return cob_fail(COB_EXHAUSTED, "an index is larger than the limit of %" PRIu64 " MiB",
            COB_LIMIT_MOUNT_INDEX_BYTES / COB_MIB);
    if (!id[0])
        return cob_fail(COB_INVALID, "an index has no id");
    mount->namespace = g_strdup(namespace);
    mount->id = g_strdup(id);
    return NULL;
}

static struct cob_error *add_mount(
    struct cob_mountdoc *doc, const json_t *layer, const char *digest, uint64_t len)
{
    g_autoptr(cob_mountdoc_mount) mount = g_new(struct cob_mountdoc_mount, 1);

    *mount = (struct cob_mountdoc_mount){.digest = g_strdup(digest), .len = len};
    COB_TRY(fill_mount(layer, mount));
    if (cob_mountdoc_find(doc, mount->namespace, mount->id))
        return cob_fail(COB_INVALID, "the mount %s is there twice", mount->id);
    if (doc->mounts->len >= COB_LIMIT_MOUNTS)
        return cob_fail(COB_EXHAUSTED, "more mounts than the limit of %d", COB_LIMIT_MOUNTS);
    g_ptr_array_add(doc->mounts, g_steal_pointer(&mount));
    return NULL;
}

static struct cob_error *add_pack(struct cob_mountdoc *doc, const char *digest, uint64_t len)
{
    struct cob_mountindex_pack pack = {.stored_len = (uint32_t)len};

    if (len > COB_LIMIT_MOUNT_PACK_BYTES)
        return cob_fail(COB_EXHAUSTED, "a pack is larger than the limit of %" PRIu64 " MiB",
            COB_LIMIT_MOUNT_PACK_BYTES / COB_MIB);
    if (doc->packs->len >= COB_LIMIT_MOUNT_PACKS)
        return cob_fail(COB_EXHAUSTED, "more packs than the limit of %d", COB_LIMIT_MOUNT_PACKS);
    if (!cob_sha256_parse(digest, &pack.sha))
        return cob_fail(COB_INVALID, "a pack's digest is none: %s", digest);
    g_array_append_val(doc->packs, pack);
    return NULL;
}

/* Layers of other kinds are passed over: a later version may have added them. */
static struct cob_error *add_layer(struct cob_mountdoc *doc, const json_t *layer)
{
    const char *media_type = NULL, *digest = NULL;
    uint64_t len = 0;

    COB_TRY(cob_json_get_text(layer, "mediaType", &media_type));
    COB_TRY(cob_json_get_text(layer, "digest", &digest));
    COB_TRY(cob_json_get_size(layer, "size", &len));
    if (!media_type || !digest || !cob_digest_is_valid(digest))
        return cob_fail(COB_INVALID, "a layer has no type or no digest");
    if (strcmp(media_type, COB_MOUNTINDEX_INDEX_TYPE) == 0)
        return add_mount(doc, layer, digest, len);
    if (strcmp(media_type, COB_MOUNTINDEX_PACK_TYPE) == 0)
        return add_pack(doc, digest, len);
    return NULL;
}

static struct cob_error *read_doc(const json_t *json, struct cob_mountdoc *doc)
{
    const char *artifact_type = NULL;
    json_t *layers = NULL;
    const json_t *layer;
    size_t i;

    COB_TRY(cob_json_get_text(json, "artifactType", &artifact_type));
    if (!artifact_type || strcmp(artifact_type, COB_MOUNTINDEX_ARTIFACT_TYPE) != 0)
        return cob_fail(COB_PRECONDITION, "it holds something else than cache mounts");
    COB_TRY(cob_json_get_container(json, "layers", JSON_ARRAY, &layers));
    json_array_foreach(layers, i, layer) COB_TRY(add_layer(doc, layer));
    return NULL;
}

struct cob_error *cob_mountdoc_decode(GBytes *bytes, struct cob_mountdoc **ret_doc)
{
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autoptr(cob_mountdoc) doc = cob_mountdoc_new();
    json_auto_t *json = NULL;

    if (len > COB_LIMIT_MANIFEST_BYTES)
        return cob_fail(
            COB_EXHAUSTED, "larger than the limit of %" PRIu64 " bytes", COB_LIMIT_MANIFEST_BYTES);
    COB_TRY(cob_json_parse(data, len, "document of cache mounts", &json));
    COB_TRY(read_doc(json, doc));
    *ret_doc = g_steal_pointer(&doc);
    return NULL;
}
