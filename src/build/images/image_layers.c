/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of an image: where their blobs are. How they come here is build/layerchain's.
 */
#include "build/images/image_private.h"
#include "build/layerchain/layerchain.h"

/* Where the blobs of an image are. */
struct place {
    struct cob_registry *registry;
    const struct known_image *image;
};

/* A layer that its makers ask not to be kept in other registries. Where its "urls" point is for a
 * registry to choose: they are not followed. */
static bool is_foreign(const struct cob_layerchain_layer *layer)
{
    enum cob_oci_packing packing;

    return !cob_oci_layer_packing(layer->media_type, &packing);
}

static struct cob_error *get_layer(void *arg, const struct cob_layerchain_layer *layer,
    const struct cob_registry_sink *sink, struct cob_cancel *cancel)
{
    const struct place *place = arg;
    const struct known_image *image = place->image;
    const struct cob_registry_blob blob = {
        .ref = image->ref, .digest = layer->digest, .size = layer->size};
    const struct cob_oci_descriptor descriptor = {
        .digest = (char *)(uintptr_t)layer->digest, .size = layer->size};

    struct cob_error *err =
        image->layout_fd
            ? cob_image_layout_send(image->layout_fd, &descriptor, sink->write, sink->arg)
            : cob_registry_get_blob(place->registry, &blob, sink, cancel);
    if (err && cob_error_code(err) == COB_NOT_FOUND && is_foreign(layer))
        return cob_wrap(err, "it is a foreign layer, and its urls are not asked");
    return err;
}

struct cob_error *cob_image_fetch_layers(struct cob_store *store, struct cob_registry *registry,
    const struct known_image *image, const struct cob_image_watcher *watcher,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot)
{
    const GPtrArray *descriptors = image->manifest->layers;
    struct place place = {.registry = registry, .image = image};
    g_autofree char *description = g_strdup_printf("pulled from %s", image->name);
    g_autofree struct cob_layerchain_layer *layers =
        g_new0(struct cob_layerchain_layer, descriptors->len + 1);

    for (guint i = 0; i < descriptors->len; i++) {
        const struct cob_oci_descriptor *descriptor = g_ptr_array_index(descriptors, i);

        layers[i] = (struct cob_layerchain_layer){.digest = descriptor->digest,
            .size = descriptor->size,
            .media_type = descriptor->media_type,
            .diff_id = g_ptr_array_index(image->config->diff_ids, i)};
    }
    const struct cob_layerchain_request request = {.store = store,
        .layers = layers,
        .n_layers = descriptors->len,
        .description = description,
        .get = get_layer,
        .arg = &place,
        .observer = watcher->observer,
        .vertex = watcher->vertex};
    return cob_layerchain_bring(&request, cancel, ret_snapshot);
}
