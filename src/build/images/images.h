/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as sources: a name becomes a digest and a config, and, once somebody needs the files, a
 * snapshot. The local store is asked first; a registry when the image is not there, or always, when
 * the user says --pull.
 *
 * Layers come as build/layerchain has it; one that is here already is not fetched.
 *
 * threads:  any.
 * spec:     OCI image-spec config.md, "Layer ChainID"; distribution-spec "Pull".
 */
#pragma once

#include "build/event.h"
#include "disk/snapshot/snapshot.h"
#include "net/registry/registry.h"
#include "util/cancel.h"

struct cob_image_source;

/* store, registry: borrowed until cob_image_source_free(). */
struct cob_image_source *cob_image_source_new(
    struct cob_store *store, struct cob_registry *registry);
void cob_image_source_free(struct cob_image_source *source);
COB_AUTOPTR(cob_image_source, cob_image_source_free)

/*
 * An image may also lie in a directory, an OCI image layout. Its name is then
 * "oci-layout://STORE@sha256:...": a store is a directory under a name that the caller gives it.
 *
 * dir_fd: duplicated.
 */
void cob_image_source_add_layout(struct cob_image_source *source, const char *store, int dir_fd);

/* The digest that a tag has in a layout; the only image in it may be asked for by any.
 * ret_digest: the caller's.
 * errors:     COB_NOT_FOUND, with the tags that there are; COB_INVALID for what is no layout. */
COB_RESULT struct cob_error *cob_image_layout_find(int dir_fd, const char *tag, char **ret_digest);

enum cob_image_policy {
    COB_IMAGE_LOCAL_FIRST,
    COB_IMAGE_PULL, /* ask the registry although a tag of that name is here */
};

/*
 * Find out what a name means now. The answer is remembered: cob_image_fetch() of the same name and
 * platform gets just that image.
 *
 * name:        "docker.io/library/golang:1.21", "oci-layout://STORE@sha256:...".
 * ret_digest:  of its own manifest, also when an index led there, so that keys are the same once it
 *              is found in the store; for one built here, of its config. The caller's.
 * ret_config:  the image config; the caller unrefs it.
 * errors:      those of net/registry; COB_INVALID for documents that do not fit together.
 */
COB_RESULT struct cob_error *cob_image_resolve(struct cob_image_source *source, const char *name,
    const char *platform, enum cob_image_policy policy, struct cob_cancel *cancel,
    char **ret_digest, GBytes **ret_config);

/* Who is told of layers that arrive. */
struct cob_image_watcher {
    const struct cob_observer *observer;
    const char *vertex; /* digest */
};

/*
 * Bring the files of an image here, and give it its name in the store.
 *
 * name:          as resolved, "@<digest>" behind it or not; one that was not resolved is, now.
 * platform:      NULL: this machine's.
 * ret_snapshot:  the caller's; NULL for an image without layers.
 * errors:        also COB_DATA_LOSS for a layer whose bytes are not what the manifest or the config
 *                says: nothing of it is kept.
 */
COB_RESULT struct cob_error *cob_image_fetch(struct cob_image_source *source, const char *name,
    const char *platform, const struct cob_image_watcher *watcher, struct cob_cancel *cancel,
    struct cob_snapshot **ret_snapshot);

/*
 * Bring the blob of a layer into the store, from where one of the images that were resolved has it.
 *
 * ret_digest, ret_media_type: the caller's; NULL when none of them has such a layer.
 */
COB_RESULT struct cob_error *cob_image_get_layer(struct cob_image_source *source,
    const char *diff_id, struct cob_cancel *cancel, char **ret_digest, uint64_t *ret_size,
    char **ret_media_type);
