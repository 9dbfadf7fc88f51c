/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of layers: from wherever they are into snapshots. Images and imported build caches come
 * this way.
 *
 *     layer 0   fetch + unpack --+
 *     layer 1   fetch + unpack --+-- commit 0, 1, 2: each over the one below
 *     layer 2   fetch + unpack --+
 *
 * The chain of the lowest layers that are here already is not fetched. A layer is recorded only
 * when its compressed bytes had the digest that was named and its uncompressed ones the diff id;
 * its snapshot is found by the chain of diff ids, and by nothing else.
 *
 * threads:  any.
 * spec:     OCI image-spec config.md, "Layer ChainID".
 */
#pragma once

#include "build/event.h"
#include "disk/snapshot/snapshot.h"
#include "net/registry/registry.h"
#include "util/cancel.h"

/* A layer to be had. All borrowed. */
struct cob_layerchain_layer {
    const char *digest; /* of the blob */
    uint64_t size;
    const char *media_type; /* NULL: not known */
    const char *diff_id;
    int64_t created_us; /* since 1970; 0: not known */
};

struct cob_layerchain_request {
    struct cob_store *store;
    const struct cob_layerchain_layer *layers; /* the lowest first */
    size_t n_layers;
    const char *description; /* of the snapshots: "pulled from ..." */

    /* Hands out the bytes of a blob, which are to be trusted only when it succeeds. Called from
     * several threads at a time. */
    struct cob_error *(*get)(void *arg, const struct cob_layerchain_layer *layer,
        const struct cob_registry_sink *sink, struct cob_cancel *cancel);
    void *arg;

    const struct cob_observer *observer; /* hears how far layers are */
    const char *vertex;                  /* digest */
};

/*
 * Bring a chain here.
 *
 * ret_snapshot:  its top, the caller's; NULL for no layers at all.
 * errors:        those of get; COB_DATA_LOSS for a layer whose bytes are not what was said: nothing
 *                of it is kept.
 */
COB_RESULT struct cob_error *cob_layerchain_bring(const struct cob_layerchain_request *request,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot);

/* The chainID of a layer over a chain; the caller frees it.  parent_chain: NULL: there is none. */
char *cob_layerchain_id(const char *parent_chain, const char *diff_id);
