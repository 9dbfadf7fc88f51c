/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image itself: its config made whole, and its names in the store.
 *
 * Times in the history are those of the snapshots, never the clock's: what was built once is the
 * same image whenever it is built again.
 *
 * spec: BuildKit exporter/containerimage/writer.go, normalizeLayersAndHistory.
 */
#include <fcntl.h>
#include <string.h>

#include "build/exporters/exporters.h"
#include "disk/layer/layer.h"
#include "spec/oci/oci.h"
#include "util/digest.h"
#include "util/fs.h"

void cob_exporter_image_done(struct cob_exporter_image *image)
{
    g_free(image->digest);
    g_clear_pointer(&image->config, g_bytes_unref);
    g_clear_pointer(&image->layers, g_ptr_array_unref);
}

/* The chain of a snapshot, the lowest first. */
static GPtrArray *layers_of(struct cob_snapshot *top)
{
    GPtrArray *layers = g_ptr_array_new();

    for (; top; top = cob_snapshot_parent(top))
        g_ptr_array_insert(layers, 0, top);
    return layers;
}

/* --- diff ids --- */

/* A layer whose tar is measured beside others. */
struct measuring {
    struct cob_snapshot *layer;
    const char *opaque_xattr;
    struct cob_cancel *cancel;
    struct cob_error *err;
};

static struct cob_error *measure(const struct measuring *measuring)
{
    cob_autoclose int fd = -1;
    struct cob_layer_pack_result found;

    COB_TRY(cob_open_beneath(
        cob_snapshot_layer_fd(measuring->layer), ".", O_RDONLY | O_DIRECTORY, 0, &fd));
    const struct cob_layer_pack_request request = {
        .dir_fd = fd, .opaque_xattr = measuring->opaque_xattr, .cancel = measuring->cancel};
    COB_TRY(cob_layer_measure(&request, &found));
    struct cob_error *err =
        cob_snapshot_set_archive(measuring->layer, found.diff_id, found.tar_bytes);
    cob_layer_pack_result_done(&found);
    return err;
}

static void measure_in_pool(void *data, void *unused)
{
    struct measuring *measuring = data;

    (void)unused;
    measuring->err = cob_wrap(measure(measuring), "layer %s", cob_snapshot_id(measuring->layer));
}

static void archive_done(void *archive)
{
    cob_snapshot_archive_done(archive);
}

/* What is known of each layer.  ret_archives: of struct cob_snapshot_archive; the caller's. */
static struct cob_error *read_archives(const GPtrArray *layers, GArray **ret_archives)
{
    g_autoptr(GArray) archives = g_array_new(FALSE, TRUE, sizeof(struct cob_snapshot_archive));

    g_array_set_clear_func(archives, archive_done);
    for (guint i = 0; i < layers->len; i++) {
        struct cob_snapshot_archive archive;

        COB_TRY(cob_snapshot_archive(g_ptr_array_index(layers, i), &archive));
        g_array_append_val(archives, archive);
    }
    *ret_archives = g_steal_pointer(&archives);
    return NULL;
}

/* Measure side by side; more than one is rare. */
static struct cob_error *measure_these(struct measuring *all, size_t n)
{
    struct cob_error *err = NULL;

    if (n == 1)
        measure_in_pool(&all[0], NULL);
    if (n > 1) {
        GThreadPool *pool =
            g_thread_pool_new(measure_in_pool, NULL, (gint)g_get_num_processors(), FALSE, NULL);

        for (size_t i = 0; i < n; i++)
            g_thread_pool_push(pool, &all[i], NULL);
        g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait= */ TRUE);
    }
    for (size_t i = 0; i < n; i++) {
        if (!err)
            err = all[i].err;
        else
            cob_error_free(all[i].err);
    }
    return err;
}

/* The same as read_archives(), with no diff id left out: layers that were never measured are. */
static struct cob_error *measure_all(const struct cob_exporter_result *result, GPtrArray *layers,
    struct cob_cancel *cancel, GArray **ret_archives)
{
    g_autofree struct measuring *all = g_new0(struct measuring, layers->len + 1);
    g_autoptr(GArray) archives = NULL;
    size_t n = 0;

    COB_TRY(read_archives(layers, &archives));
    for (guint i = 0; i < layers->len; i++) {
        if (!g_array_index(archives, struct cob_snapshot_archive, i).diff_id)
            all[n++] = (struct measuring){.layer = g_ptr_array_index(layers, i),
                .opaque_xattr = cob_snapshot_opaque_xattr(result->store),
                .cancel = cancel};
    }
    if (n > 0) {
        COB_TRY(measure_these(all, n));
        g_clear_pointer(&archives, g_array_unref);
        COB_TRY(read_archives(layers, &archives));
    }
    *ret_archives = g_steal_pointer(&archives);
    return NULL;
}

static uint64_t add_diff_ids(struct cob_oci_config *config, const GArray *archives)
{
    uint64_t size_bytes = 0;

    g_ptr_array_set_size(config->diff_ids, 0);
    for (guint i = 0; i < archives->len; i++) {
        const struct cob_snapshot_archive *archive =
            &g_array_index(archives, struct cob_snapshot_archive, i);

        g_ptr_array_add(config->diff_ids, g_strdup(archive->diff_id));
        size_bytes += archive->tar_bytes;
    }
    return size_bytes;
}

/* --- history --- */

/* The caller frees it. */
static char *time_text(int64_t time_us)
{
    g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(time_us / 1000000);
    g_autoptr(GDateTime) time = g_date_time_add(seconds, time_us % 1000000);

    return g_date_time_format(
        time, time_us % 1000000 ? "%Y-%m-%dT%H:%M:%S.%fZ" : "%Y-%m-%dT%H:%M:%SZ");
}

/* The time of something new: SOURCE_DATE_EPOCH, or its own if that is earlier. */
static char *new_time(const struct cob_exporter_result *result, int64_t time_us)
{
    if (result->has_epoch && time_us / 1000000 >= result->epoch_s)
        time_us = result->epoch_s * 1000000;
    return time_text(time_us);
}

/* As many entries with a layer as there are layers: superfluous ones lose theirs, missing ones are
 * added. */
static void fit_history(struct cob_oci_config *config, const GArray *layers)
{
    guint n = 0;

    for (guint i = 0; i < config->history->len; i++) {
        struct cob_oci_history *entry = g_ptr_array_index(config->history, i);

        entry->is_empty_layer |= n >= layers->len;
        n += !entry->is_empty_layer;
    }
    for (; n < layers->len; n++)
        cob_oci_config_add_history(config, NULL, NULL, "buildkit.exporter.image.v0");
}

/* The first time behind an entry that has none: that of the first new layer. Without one, the last
 * time there is; NULL: there is none. Borrowed. */
static const char *first_new_time(const struct cob_oci_config *config)
{
    const char *time = NULL;
    bool has_gap = false;

    for (guint i = 0; i < config->history->len; i++) {
        const struct cob_oci_history *entry = g_ptr_array_index(config->history, i);

        if (!entry->created)
            has_gap = true;
        else
            time = entry->created;
        if (entry->created && has_gap)
            break;
    }
    return time;
}

/* Entries with a layer get its time; the others that of the first new layer, or of the new layer
 * before them.
 * spec: BuildKit exporter/containerimage/writer.go, normalizeLayersAndHistory. */
static void date_history(
    const struct cob_exporter_result *result, struct cob_oci_config *config, const GArray *layers)
{
    bool has_gap = false;
    guint at = 0;

    for (guint i = 0; i < config->history->len; i++) {
        struct cob_oci_history *entry = g_ptr_array_index(config->history, i);
        const struct cob_snapshot_archive *layer =
            entry->is_empty_layer ? NULL
                                  : &g_array_index(layers, struct cob_snapshot_archive, at++);

        if (!entry->created && layer)
            entry->created = new_time(result, layer->created_us);
    }
    const char *time = first_new_time(config);
    for (guint i = 0; i < config->history->len; i++) {
        struct cob_oci_history *entry = g_ptr_array_index(config->history, i);

        if (entry->created && has_gap)
            time = entry->created;
        has_gap |= !entry->created;
        if (!entry->created)
            entry->created = g_strdup(time ? time : config->created);
    }
    if (config->history->len > 0) {
        const struct cob_oci_history *last =
            g_ptr_array_index(config->history, config->history->len - 1);

        g_free(config->created);
        config->created = g_strdup(last->created);
    }
}

static struct cob_error *complete(const struct cob_exporter_result *result,
    const struct cob_exporter_part *part, struct cob_cancel *cancel,
    struct cob_exporter_image *image)
{
    g_autoptr(cob_oci_config) config = NULL;
    g_autoptr(GArray) archives = NULL;

    COB_TRY(cob_oci_config_parse(part->config, &config));
    g_free(config->inline_cache); /* of the base image */
    config->inline_cache = g_strdup(part->inline_cache);
    COB_TRY(measure_all(result, image->layers, cancel, &archives));
    image->size_bytes = add_diff_ids(config, archives);
    fit_history(config, archives);
    date_history(result, config, archives);
    image->config = cob_oci_config_bytes(config);
    image->digest =
        cob_digest_of(g_bytes_get_data(image->config, NULL), g_bytes_get_size(image->config));
    return NULL;
}

struct cob_error *cob_exporter_complete(const struct cob_exporter_result *result,
    const struct cob_exporter_part *part, struct cob_cancel *cancel,
    struct cob_exporter_image *ret_image)
{
    struct cob_exporter_image image = {.layers = layers_of(part->snapshot)};
    struct cob_error *err = complete(result, part, cancel, &image);

    if (err)
        cob_exporter_image_done(&image);
    else
        *ret_image = image;
    return err;
}

/* --- the store --- */

static struct cob_error *is_stored(
    struct cob_store *store, const struct cob_store_image *wanted, bool *ret_is_stored)
{
    g_autoptr(cob_store_image) there = NULL;

    COB_TRY(cob_store_image_find(store, wanted->name, wanted->platform, &there));
    *ret_is_stored = there && strcmp(there->config_digest, wanted->config_digest) == 0 &&
                     g_strcmp0(there->snapshot, wanted->snapshot) == 0;
    return NULL;
}

/* Tell of a step inside the export, begun and ended now. */
static void tell_status(
    const struct cob_exporter_result *result, const char *vertex, const char *id)
{
    const int64_t now = g_get_real_time();
    const struct cob_event_status event = {
        .vertex = vertex, .id = id, .started_us = now, .completed_us = now};

    result->observer->status(result->observer->arg, &event);
}

/* The image of one platform on its way into the store. */
struct storing {
    const struct cob_exporter_result *result;
    const struct cob_exporter_part *part;
    const char *vertex;
    struct cob_exporter_image image;
};

static struct cob_error *put_name(const struct storing *storing, const char *name)
{
    const struct cob_exporter_result *result = storing->result;
    struct cob_snapshot *top = storing->part->snapshot;
    struct cob_store_image row = {
        .name = (char *)(uintptr_t)name,
        .platform = (char *)(uintptr_t)storing->part->platform,
        .config_digest = storing->image.digest,
        .snapshot = top ? (char *)(uintptr_t)cob_snapshot_id(top) : NULL,
        .size_bytes = storing->image.size_bytes,
        .created_us = g_get_real_time(),
    };
    g_autofree char *id = name ? g_strdup_printf("naming to %s", name) : NULL;
    bool is_there = false;

    if (name)
        COB_TRY(is_stored(result->store, &row, &is_there));
    if (!is_there)
        COB_TRY(cob_store_image_put(result->store, &row));
    if (name)
        tell_status(result, storing->vertex, id);
    return NULL;
}

static struct cob_error *put_names(const struct storing *storing)
{
    const struct cob_exporter_result *result = storing->result;
    g_autofree char *id = g_strdup_printf("writing image %s", storing->image.digest);

    COB_TRY(cob_store_blob_put(result->store, storing->image.config, NULL));
    tell_status(result, storing->vertex, id);
    if (!result->names || !*result->names)
        return put_name(storing, NULL);
    for (const char *const *name = result->names; *name; name++)
        COB_TRY(put_name(storing, *name));
    return NULL;
}

static struct cob_error *store_image(struct storing *storing, struct cob_cancel *cancel)
{
    COB_TRY(cob_exporter_complete(storing->result, storing->part, cancel, &storing->image));
    tell_status(storing->result, storing->vertex, "exporting layers");
    return put_names(storing);
}

/* ids: char *, owned; gets one for each part. */
static struct cob_error *store_images(const struct cob_exporter_result *result, const char *vertex,
    struct cob_cancel *cancel, GPtrArray *ids)
{
    for (size_t i = 0; i < result->n_parts; i++) {
        struct storing storing = {.result = result, .part = &result->parts[i], .vertex = vertex};
        struct cob_error *err = store_image(&storing, cancel);

        if (!err)
            g_ptr_array_add(ids, g_strdup(storing.image.digest));
        cob_exporter_image_done(&storing.image);
        COB_TRY(err);
    }
    g_ptr_array_add(ids, NULL);
    return NULL;
}

struct cob_error *cob_exporter_store(
    const struct cob_exporter_result *result, struct cob_cancel *cancel, char ***ret_image_ids)
{
    g_autofree char *digest = cob_digest_of("exporting to image", strlen("exporting to image"));
    struct cob_event_vertex event = {
        .digest = digest, .name = "exporting to image", .started_us = g_get_real_time()};
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *message = NULL;

    result->observer->vertex(result->observer->arg, &event);
    struct cob_error *err = store_images(result, digest, cancel, ids);
    if (err)
        event.error = message = cob_error_message(err);
    event.completed_us = g_get_real_time();
    result->observer->vertex(result->observer->arg, &event);
    if (!err)
        *ret_image_ids = (char **)g_ptr_array_steal(ids, NULL);
    return cob_wrap(err, "exporting to image");
}
