/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of an export. Where a blob comes from, in this order:
 *
 *     the cache that was read knows it, and it is there already         nothing to do
 *     it was compressed before, or can be from its snapshot             build/exporters
 *     the cache that was read has it                                    from there
 *     it is of an image that another program wrote                      from its registry
 *
 * The last two are for layers whose files do not make the same tar again: their diff id stands for
 * bytes that only their maker had.
 */
#include <string.h>
#include <unistd.h>

#include "build/exporters/exporters.h"
#include "build/remotecache/remotecache_private.h"
#include "util/fs.h"

static void layer_free(void *data)
{
    struct export_layer *layer = data;

    g_free(layer->digest);
    g_free(layer->diff_id);
    g_free(layer->media_type);
    g_free(layer->created);
    g_free(layer->description);
    cob_error_free(layer->err);
    g_free(layer);
}

/* --- which ones --- */

/* key: taken. */
static struct export_layer *add_layer(
    struct exporting *exporting, char *key, const struct export_layer *like)
{
    struct export_layer *layer = g_memdup2(like, sizeof(*like));

    layer->exporting = exporting;
    layer->number = -1;
    g_hash_table_insert(exporting->layers, key, layer);
    g_ptr_array_add(exporting->order, layer);
    return layer;
}

/* The layer of a snapshot, and those below it. */
static struct export_layer *layer_of_snapshot(
    struct exporting *exporting, struct cob_snapshot *snapshot)
{
    struct export_layer *below = NULL;
    g_autoptr(GPtrArray) chain = g_ptr_array_new();

    for (struct cob_snapshot *at = snapshot; at; at = cob_snapshot_parent(at))
        g_ptr_array_add(chain, at);
    for (guint i = chain->len; i-- > 0;) {
        struct cob_snapshot *at = g_ptr_array_index(chain, i);
        struct export_layer *layer = g_hash_table_lookup(exporting->layers, cob_snapshot_id(at));
        const struct export_layer made = {.snapshot = at, .parent = below};

        below = layer ? layer : add_layer(exporting, g_strdup(cob_snapshot_id(at)), &made);
    }
    return below;
}

/* The same for one that is elsewhere. */
static struct export_layer *layer_of_chain(
    struct exporting *exporting, struct cob_remotecache_chain *chain)
{
    g_autofree char *id = NULL;
    struct export_layer *below = NULL;

    for (size_t i = 0; i < chain->n_layers; i++) {
        char *next = cob_layerchain_id(id, chain->layers[i].diff_id);
        const struct export_layer made = {
            .source = chain->source, .there = &chain->layers[i], .parent = below};

        g_free(id);
        id = next;
        below = g_hash_table_lookup(exporting->layers, id);
        if (!below)
            below = add_layer(exporting, g_strdup(id), &made);
    }
    return below;
}

struct export_layer *export_top_of(struct exporting *exporting, const struct plan_step *step)
{
    if (step->snapshot)
        return g_hash_table_lookup(exporting->layers, cob_snapshot_id(step->snapshot));
    return step->chain ? g_hash_table_lookup(exporting->layers, step->chain->id) : NULL;
}

struct cob_error *export_collect(struct exporting *exporting)
{
    const struct cob_remotecache_export *request = exporting->request;
    const GPtrArray *steps = request->plan->steps;
    const bool is_max = request->options->mode == COB_CACHEBACKEND_MAX;

    exporting->layers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, layer_free);
    exporting->order = g_ptr_array_new();
    for (guint i = 0; i < steps->len; i++) {
        const struct plan_step *step = g_ptr_array_index(steps, i);

        if (!is_max && !step->is_result)
            continue;
        if (step->snapshot && (is_max ? step->digest != NULL : true))
            layer_of_snapshot(exporting, step->snapshot);
        else if (!step->snapshot && step->chain)
            layer_of_chain(exporting, step->chain);
    }
    return NULL;
}

/* --- what is known of them --- */

static struct cob_error *take_text(void *arg, const struct cob_db_row *row)
{
    char **text = arg;

    *text = g_strdup(cob_db_row_text(row, 0));
    return NULL;
}

static struct cob_error *describe(struct export_layer *layer)
{
    struct cob_store *store = layer->exporting->request->plan->store;
    struct cob_snapshot_archive archive;

    COB_TRY(cob_snapshot_archive(layer->snapshot, &archive));
    layer->created = plan_time_text(archive.created_us);
    layer->diff_id = g_steal_pointer(&archive.diff_id);
    cob_snapshot_archive_done(&archive);
    return cob_db_run(cob_store_db(store), take_text, &layer->description,
        "SELECT description FROM snapshots WHERE id = ?1",
        COB_DB_T(cob_snapshot_id(layer->snapshot)));
}

/* --- blobs --- */

static enum cob_layer_compression compression_of(const struct cob_cachebackend_options *options)
{
    if (g_strcmp0(options->compression, "uncompressed") == 0)
        return COB_LAYER_PLAIN;
    return g_strcmp0(options->compression, "zstd") == 0 ? COB_LAYER_ZSTD : COB_LAYER_GZIP;
}

static void know_blob(
    struct export_layer *layer, const char *digest, uint64_t size, const char *media_type)
{
    layer->digest = g_strdup(digest);
    layer->size = size;
    layer->media_type = g_strdup(media_type ? media_type : cob_layer_media_type(COB_LAYER_GZIP));
}

/* Is it known, and there already? Then no byte of it is touched. */
static struct cob_error *try_known(struct export_layer *layer)
{
    const struct exporting *exporting = layer->exporting;
    const struct cob_remotecache *cache = exporting->request->plan->cache;
    const struct cache_blob *blob = NULL;
    const char *digest = NULL;
    bool has = false;

    layer->source = cache_find_blob(cache, layer->diff_id, &digest, &blob);
    if (!layer->source || exporting->request->options->is_force_compression)
        return NULL;
    COB_TRY(cob_cachebackend_has_blob(exporting->backend, digest, blob->size, &has));
    if (has)
        know_blob(layer, digest, blob->size, blob->media_type);
    return NULL;
}

static struct cob_error *try_pack(struct export_layer *layer)
{
    const struct exporting *exporting = layer->exporting;
    const struct cob_cachebackend_options *options = exporting->request->options;
    const struct cob_exporter_packing packing = {.store = exporting->request->plan->store,
        .compression = compression_of(options),
        .has_level = options->compression_level >= 0,
        .level = options->compression_level,
        .is_forced = options->is_force_compression,
        .cancel = exporting->cancel};
    struct cob_exporter_blob blob;

    COB_TRY(cob_exporter_layer_blob(&packing, layer->snapshot, &blob));
    know_blob(layer, blob.digest, blob.size, cob_layer_media_type(packing.compression));
    g_free(layer->diff_id);
    layer->diff_id = blob.diff_id;
    g_free(blob.digest);
    return NULL;
}

/* From the cache that was read; it is brought when it is sent. */
static bool try_source(struct export_layer *layer)
{
    const struct cache_blob *blob = NULL;
    const char *digest = NULL;

    layer->source =
        cache_find_blob(layer->exporting->request->plan->cache, layer->diff_id, &digest, &blob);
    if (layer->source)
        know_blob(layer, digest, blob->size, blob->media_type);
    return layer->source != NULL;
}

static struct cob_error *try_origin(struct export_layer *layer)
{
    const struct exporting *exporting = layer->exporting;
    const struct cob_remotecache_origin *origin = exporting->request->origin;
    g_autofree char *digest = NULL;
    g_autofree char *media_type = NULL;
    uint64_t size = 0;

    if (origin)
        COB_TRY(origin->get_layer(
            origin->arg, layer->diff_id, exporting->cancel, &digest, &size, &media_type));
    if (!digest)
        return cob_fail(COB_NOT_FOUND,
            "layer %s: its bytes are not here, and nobody is known who has them", layer->diff_id);
    know_blob(layer, digest, size, media_type);
    return NULL;
}

static struct cob_error *prepare(struct export_layer *layer)
{
    COB_TRY(cob_cancel_check(layer->exporting->cancel));
    if (!layer->snapshot) {
        layer->diff_id = g_strdup(layer->there->diff_id);
        know_blob(layer, layer->there->digest, layer->there->size, layer->there->media_type);
        return NULL;
    }
    COB_TRY(describe(layer));
    COB_TRY(try_known(layer));
    if (layer->digest)
        return NULL;
    struct cob_error *err = try_pack(layer);
    if (!err || cob_error_code(err) != COB_DATA_LOSS || !layer->diff_id)
        return err;
    cob_error_free(err);
    return try_source(layer) ? NULL : try_origin(layer);
}

void export_prepare_layer(struct export_layer *layer)
{
    layer->err = prepare(layer);
}

/* --- sending --- */

static struct cob_error *write_blob(void *arg, const void *data, size_t len)
{
    return cob_store_blob_write(arg, data, len);
}

/* From the cache that was read into the store. */
static struct cob_error *bring_blob(const struct export_layer *layer)
{
    g_autoptr(cob_store_blob) blob = NULL;

    if (!layer->source)
        return cob_fail(COB_NOT_FOUND, "layer %s is not here any more", layer->digest);
    COB_TRY(cob_store_blob_create(layer->exporting->request->plan->store, layer->digest, &blob));
    const struct cob_registry_sink sink = {.write = write_blob, .arg = blob};
    COB_TRY(cob_cachebackend_get_blob(layer->source->backend, layer->digest, layer->size, &sink));
    return cob_store_blob_commit(blob, NULL, NULL);
}

struct cob_error *export_send_layer(struct export_layer *layer)
{
    const struct exporting *exporting = layer->exporting;
    struct cob_store *store = exporting->request->plan->store;
    cob_autoclose int fd = -1;
    bool has = false;

    COB_TRY(cob_cancel_check(exporting->cancel));
    COB_TRY(cob_cachebackend_has_blob(exporting->backend, layer->digest, layer->size, &has));
    if (has)
        return NULL;
    COB_TRY(cob_store_blob_open(store, layer->digest, &fd, NULL));
    if (fd < 0) {
        COB_TRY(bring_blob(layer));
        COB_TRY(cob_store_blob_open(store, layer->digest, &fd, NULL));
    }
    if (fd < 0)
        return cob_fail(COB_NOT_FOUND, "layer %s is not here any more", layer->digest);
    return cob_cachebackend_put_blob(exporting->backend, layer->digest, layer->size, fd, NULL);
}
