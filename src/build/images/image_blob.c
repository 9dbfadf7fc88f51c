/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer of an image as the blob that its registry has: for who must hand it on and cannot make it
 * again, since the tar that its diff id stands for was another program's.
 */
#include <string.h>

#include "build/images/image_private.h"
#include "util/fs.h"
#include "util/limits.h"

/* The manifest of an image, also of one whose layers are all here. NULL: it has none. */
static struct cob_error *manifest_of(struct cob_store *store, const struct known_image *image,
    struct cob_oci_manifest **ret_manifest)
{
    g_autoptr(GBytes) bytes = image->manifest_bytes ? g_bytes_ref(image->manifest_bytes) : NULL;

    if (!bytes && image->manifest_digest)
        COB_TRY(
            cob_store_blob_read(store, image->manifest_digest, COB_LIMIT_MANIFEST_BYTES, &bytes));
    return bytes ? cob_oci_manifest_parse(bytes, NULL, ret_manifest) : NULL;
}

static int find_diff_id(const struct known_image *image, const char *diff_id)
{
    for (guint i = 0; i < image->config->diff_ids->len; i++)
        if (strcmp(g_ptr_array_index(image->config->diff_ids, i), diff_id) == 0)
            return (int)i;
    return -1;
}

static struct cob_error *write_blob(void *arg, const void *data, size_t len)
{
    return cob_store_blob_write(arg, data, len);
}

static struct cob_error *bring(const struct cob_image_layers *of, const struct known_image *image,
    const struct cob_oci_descriptor *layer, struct cob_cancel *cancel)
{
    const struct cob_registry_blob wanted = {
        .ref = image->ref, .digest = layer->digest, .size = layer->size};
    g_autoptr(cob_store_blob) blob = NULL;
    cob_autoclose int here_fd = -1;

    COB_TRY(cob_store_blob_open(of->store, layer->digest, &here_fd, NULL));
    if (here_fd >= 0)
        return NULL;
    COB_TRY(cob_store_blob_create(of->store, layer->digest, &blob));
    const struct cob_registry_sink sink = {.write = write_blob, .arg = blob};
    COB_TRY(image->layout_fd ? cob_image_layout_send(image->layout_fd, layer, write_blob, blob)
                             : cob_registry_get_blob(of->registry, &wanted, &sink, cancel));
    return cob_store_blob_commit(blob, NULL, NULL);
}

struct cob_error *cob_image_bring_layer(const struct cob_image_layers *of,
    const struct known_image *image, const char *diff_id, struct cob_cancel *cancel,
    struct cob_oci_descriptor **ret_layer)
{
    const int number = find_diff_id(image, diff_id);
    g_autoptr(cob_oci_manifest) manifest = NULL;

    *ret_layer = NULL;
    if (number < 0)
        return NULL;
    COB_TRY(manifest_of(of->store, image, &manifest));
    if (!manifest || (guint)number >= manifest->layers->len)
        return NULL;
    const struct cob_oci_descriptor *layer = g_ptr_array_index(manifest->layers, number);
    COB_TRY(bring(of, image, layer, cancel));
    *ret_layer = cob_oci_descriptor_copy(layer);
    return NULL;
}
