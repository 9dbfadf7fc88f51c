/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive of records as `docker buildx history export` writes it, a .dockerbuild file:
 *
 *     oci-layout, index.json
 *     blobs/sha256/<manifest>   config: the record (vnd.buildkit.historyrecord.v0), as JSON;
 *                               layer: its events (vnd.buildkit.status.v0)
 *     blobs/sha256/<index>      of several manifests
 *
 * spec: buildx util/desktop/bundle/export.go; the members of the record are those of
 *       BuildHistoryRecord as Go's encoding/json writes them.
 */
#include "build/history/history_export.h"

#include <fcntl.h>
#include <string.h>

#include "disk/layer/layer.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/tree.h"

#define TYPE_RECORD "application/vnd.buildkit.historyrecord.v0"
#define TYPE_STATUS "application/vnd.buildkit.status.v0"
#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

/* --- the record --- */

static json_t *time_json(int64_t at_us)
{
    return json_pack("{s:I, s:I}", "seconds", (json_int_t)(at_us / G_USEC_PER_SEC), "nanos",
        (json_int_t)(at_us % G_USEC_PER_SEC * 1000));
}

/* "build-arg:NAME" and its like; what is not kept is left out. */
static void add_attrs(json_t *attrs, const char *prefix, json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        g_autofree char *key = g_strconcat(prefix, name, NULL);

        if (json_is_string(value))
            json_object_set(attrs, key, value);
    }
}

static void add_attr(json_t *attrs, const char *key, const json_t *about, const char *member)
{
    json_t *value = json_object_get(about, member);

    if (json_is_string(value))
        json_object_set(attrs, key, value);
}

static json_t *attrs_json(const struct cob_history_build *build)
{
    json_t *attrs = json_object();

    add_attr(attrs, "filename", build->about, "dockerfile");
    add_attr(attrs, "target", build->about, "target");
    add_attr(attrs, "force-network-mode", build->about, "network");
    if (!json_is_true(json_object_get(build->about, "is_dir")))
        add_attr(attrs, "context", build->about, "context");
    if (json_is_true(json_object_get(build->about, "no_cache")))
        json_object_set_new(attrs, "no-cache", json_string(""));
    add_attrs(attrs, "build-arg:", json_object_get(build->about, "args"));
    add_attrs(attrs, "label:", json_object_get(build->about, "labels"));
    add_attrs(attrs, "context:", json_object_get(build->about, "contexts"));
    return attrs;
}

static json_t *record_json(const struct cob_history_build *build, json_t *logs)
{
    json_t *record = json_pack("{s:s, s:s, s:o, s:o, s:o, s:O, s:i, s:i, s:i, s:i}", "Ref",
        build->id, "Frontend", "dockerfile.v0", "FrontendAttrs", attrs_json(build), "CreatedAt",
        time_json(build->started_us), "CompletedAt", time_json(build->completed_us), "logs", logs,
        "numCachedSteps", (int)build->n_cached, "numTotalSteps", (int)build->n_total,
        "numCompletedSteps", (int)build->n_completed, "numWarnings", (int)build->n_warnings);

    if (build->code)
        json_object_set_new(record, "error",
            json_pack("{s:i, s:s?}", "code", build->code, "message", build->message));
    json_object_set_new(record, "localState",
        json_pack("{s:s, s:s, s:s}", "Target", history_text(build->about, "target"), "LocalPath",
            history_text(build->about, "context"), "DockerfilePath",
            history_text(build->about, "dockerfile")));
    return record;
}

/* --- the layout --- */

/* Where blobs go. */
struct layout {
    struct cob_store *store;
    int dir_fd, blobs_fd;
};

static struct cob_error *put_blob(
    const struct layout *layout, const char *type, GBytes *bytes, json_t **ret_descriptor)
{
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autofree char *digest = cob_digest_of(data, len);

    COB_TRY(
        cob_fs_replace_file(layout->blobs_fd, digest + strlen(COB_DIGEST_PREFIX), 0644, data, len));
    *ret_descriptor =
        json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size", (json_int_t)len);
    return NULL;
}

/* json: taken. */
static struct cob_error *put_json(
    const struct layout *layout, const char *type, json_t *json, json_t **ret_descriptor)
{
    g_autoptr(GBytes) bytes = cob_json_bytes(json);

    json_decref(json);
    return put_blob(layout, type, bytes, ret_descriptor);
}

/* The logs as a record names them: a descriptor with protobuf's names. */
static json_t *logs_json(const json_t *descriptor)
{
    return json_pack("{s:O, s:O, s:O}", "media_type", json_object_get(descriptor, "mediaType"),
        "digest", json_object_get(descriptor, "digest"), "size",
        json_object_get(descriptor, "size"));
}

static struct cob_error *put_build(
    const struct layout *layout, const struct cob_history_build *build, json_t **ret_descriptor)
{
    g_autoptr(GBytes) status = NULL;
    json_auto_t *logs = NULL;
    json_auto_t *config = NULL;

    COB_TRY(history_status_bytes(layout->store, build, &status));
    COB_TRY(put_blob(layout, TYPE_STATUS, status, &logs));
    json_auto_t *named = logs_json(logs);
    COB_TRY(put_json(layout, TYPE_RECORD, record_json(build, named), &config));
    return put_json(layout, TYPE_MANIFEST,
        json_pack("{s:i, s:s, s:O, s:[O]}", "schemaVersion", 2, "mediaType", TYPE_MANIFEST,
            "config", config, "layers", logs),
        ret_descriptor);
}

/* The manifest of one build; an index of those of several. */
static struct cob_error *put_builds(
    const struct layout *layout, const GPtrArray *builds, json_t **ret_descriptor)
{
    json_auto_t *manifests = json_array();

    for (guint i = 0; i < builds->len; i++) {
        const struct cob_history_build *build = g_ptr_array_index(builds, i);
        json_t *descriptor = NULL;

        COB_TRY(put_build(layout, build, &descriptor));
        if (builds->len > 1)
            json_object_set_new(descriptor, "annotations",
                json_pack("{s:s}", "vnd.buildkit.history.reference", build->id));
        json_array_append_new(manifests, descriptor);
    }
    if (builds->len == 1) {
        *ret_descriptor = json_incref(json_array_get(manifests, 0));
        return NULL;
    }
    return put_json(layout, TYPE_INDEX,
        json_pack(
            "{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType", TYPE_INDEX, "manifests", manifests),
        ret_descriptor);
}

static struct cob_error *put_layout(const struct layout *layout, const GPtrArray *builds)
{
    json_t *top = NULL;

    COB_TRY(put_builds(layout, builds, &top));
    json_auto_t *index = json_pack("{s:i, s:[o]}", "schemaVersion", 2, "manifests", top);
    g_autoptr(GBytes) bytes = cob_json_bytes(index);
    COB_TRY(
        cob_fs_replace_file(layout->dir_fd, "oci-layout", 0644, LAYOUT_TEXT, strlen(LAYOUT_TEXT)));
    return cob_fs_replace_file(
        layout->dir_fd, "index.json", 0644, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

/* --- the archive --- */

static struct cob_error *take_bytes(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

static struct cob_error *pack(int dir_fd, GByteArray *out)
{
    const struct cob_layer_pack_request request = {
        .dir_fd = dir_fd, .has_max_mtime = true, .max_mtime = 0};
    g_autoptr(cob_layer_compressor) compressor =
        cob_layer_compressor_new(COB_LAYER_GZIP, take_bytes, out);
    struct cob_layer_compressed compressed = {0};

    COB_TRY(cob_layer_pack(&request, cob_layer_compressor_write, compressor, NULL));
    COB_TRY(cob_layer_compressor_finish(compressor, &compressed));
    g_free(compressed.digest);
    return NULL;
}

static struct cob_error *export_staged(
    struct cob_store *store, const char *stage, const GPtrArray *builds, GByteArray *out)
{
    cob_autoclose int dir_fd = -1;
    cob_autoclose int blobs_fd = -1;

    COB_TRY(cob_fs_make_dirs(cob_store_tmp_fd(store), stage, 0700, &dir_fd));
    COB_TRY(cob_fs_make_dirs(dir_fd, "blobs/sha256", 0755, &blobs_fd));
    const struct layout layout = {.store = store, .dir_fd = dir_fd, .blobs_fd = blobs_fd};
    COB_TRY(put_layout(&layout, builds));
    return pack(dir_fd, out);
}

struct cob_error *cob_history_export(
    struct cob_store *store, const GPtrArray *builds, GBytes **ret_archive)
{
    g_autofree char *stage = cob_fs_draft_name("history-");
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct cob_error *err = export_staged(store, stage, builds, out);

    cob_error_free(cob_tree_remove(cob_store_tmp_fd(store), stage)); /* else with the lease */
    if (!err)
        *ret_archive = g_byte_array_free_to_bytes(g_steal_pointer(&out));
    return err;
}
