/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of images share.
 *
 *     images.c        what a name means: from the store, else from a registry; remembered
 *     image_blob.c    a layer as its blob, for others
 *     image_layout.c  the documents and layers of an image in a directory
 *     image_layers.c  where the blobs of its layers are, for build/layerchain
 */
#pragma once

#include "build/images/images.h"
#include "spec/oci/oci.h"

/* An image whose documents are known and fit together. Immutable. */
struct known_image {
    struct cob_ref *ref; /* with the digest of the image's own manifest, if it has one */
    char *name;          /* "docker.io/library/golang:1.21", without a digest */
    char *platform;      /* "linux/amd64" */
    char *digest;        /* what is pinned: of its own manifest, else of the config */
    char *config_digest;
    GBytes *config_bytes;
    struct cob_oci_config *config;
    struct cob_oci_manifest *manifest; /* NULL: built here, or its layers are all here */
    GBytes *manifest_bytes;            /* with manifest */
    char *manifest_digest;             /* NULL: built here */
    char *snapshot;                    /* id of the top snapshot; NULL: not here, or no layers */
    int layout_fd;                     /* of an image in a directory, borrowed; 0: it is in none */
};
void cob_image_known_free(struct known_image *image);

/* Fill in what a layout has under a digest.
 * image: has its platform. */
COB_RESULT struct cob_error *cob_image_layout_know(
    int dir_fd, const char *digest, struct known_image *image);

/* Hand out the bytes of a blob, whose digest is checked at the end. */
COB_RESULT struct cob_error *cob_image_layout_send(int dir_fd,
    const struct cob_oci_descriptor *descriptor,
    struct cob_error *(*write)(void *arg, const void *data, size_t len), void *arg);

/* Do the layers of the manifest and the config fit together? */
COB_RESULT struct cob_error *cob_image_check_layers(const struct known_image *image);

/* Where layers are brought to and from. Borrowed. */
struct cob_image_layers {
    struct cob_store *store;
    struct cob_registry *registry;
};

/* Bring the blob of one layer into the store, by its diff id.
 * ret_layer: the caller's; NULL: the image has no such layer, or no manifest. */
COB_RESULT struct cob_error *cob_image_bring_layer(const struct cob_image_layers *of,
    const struct known_image *image, const char *diff_id, struct cob_cancel *cancel,
    struct cob_oci_descriptor **ret_layer);

/* Bring all layers of an image here.
 * ret_snapshot: the caller's; NULL for an image without layers. */
COB_RESULT struct cob_error *cob_image_fetch_layers(struct cob_store *store,
    struct cob_registry *registry, const struct known_image *image,
    const struct cob_image_watcher *watcher, struct cob_cancel *cancel,
    struct cob_snapshot **ret_snapshot);
