/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exporters: where the result of a build goes.
 *
 *     image    the local store, under its names           config and name; layers stay snapshots
 *     oci      an OCI layout, as a tar file or a folder    layers as gzip blobs, made once and kept
 *     docker   what `docker load` reads                    likewise
 *     tar      the root file system as one archive
 *     local    the root file system as files in a folder
 *
 * Of several platforms, an OCI layout has an index with a manifest each, a tar or a folder has a
 * subfolder each ("linux_arm64/"); the docker format cannot hold them.
 *
 * A destination is what it was before, or complete: files are drafts until they are renamed.
 *
 * threads:  one export at a time on a result; it uses threads of its own.
 * spec:     BuildKit exporter/; buildx docs, `--output`; OCI image-spec image-layout.md.
 */
#pragma once

#include "build/event.h"
#include "disk/layer/layer.h"
#include "disk/snapshot/snapshot.h"
#include "util/cancel.h"

/* What was built for one platform. All borrowed. */
struct cob_exporter_part {
    struct cob_snapshot *snapshot; /* its top; NULL: scratch */
    GBytes *config;                /* image config JSON: history without times, rootfs empty */
    const char *platform;          /* "linux/amd64" */
    const char *inline_cache;      /* base64, for the config; NULL: none. See build/remotecache */
};

/* What was built. All borrowed. */
struct cob_exporter_result {
    struct cob_store *store;
    const struct cob_exporter_part *parts; /* one a platform */
    size_t n_parts;                        /* at least one */
    bool is_multi_platform;                /* several, or one in the form of several */
    const char *const *names;              /* full image names, NULL-terminated; NULL: none */
    bool has_epoch;  /* SOURCE_DATE_EPOCH: nothing new is later than epoch_s; in */
    int64_t epoch_s; /* a tar or a folder all times are it. Since 1970 */
    const struct cob_observer *observer;
};

/* An image config that is whole: diff ids, and history with times. */
struct cob_exporter_image {
    char *digest; /* of config: the image's id */
    GBytes *config;
    GPtrArray *layers;   /* struct cob_snapshot, borrowed from the result; the lowest first */
    uint64_t size_bytes; /* of the layers' tars */
};
void cob_exporter_image_done(struct cob_exporter_image *image);

/* Complete the config: measures the layers whose diff ids are not known, and remembers them. The
 * same result has the same config, whenever it is asked for. */
COB_RESULT struct cob_error *cob_exporter_complete(const struct cob_exporter_result *result,
    const struct cob_exporter_part *part, struct cob_cancel *cancel,
    struct cob_exporter_image *ret_image);

/* Keep the image of each platform in the store, under each of its names; without one, as an unnamed
 * image. Writes nothing that is there already. Tells the observer of a vertex "exporting to image".
 * ret_image_ids: char *, one a part; the caller's. */
COB_RESULT struct cob_error *cob_exporter_store(
    const struct cob_exporter_result *result, struct cob_cancel *cancel, char ***ret_image_ids);

/* How a layer becomes a blob. */
struct cob_exporter_packing {
    struct cob_store *store;
    enum cob_layer_compression compression;
    bool has_level; /* of blobs that are made; those that are there stay as they are */
    int level;
    bool is_forced;            /* make it anew in any case */
    struct cob_cancel *cancel; /* NULL: never */
};
struct cob_exporter_blob {
    char *digest, *diff_id; /* the caller's */
    uint64_t size;
};

/* A layer as a blob of the store, which is made when it is not there, and remembered.
 * threads:  any; of several that want the same layer one makes it.
 * errors:   COB_DATA_LOSS when its files do not make the tar that its diff id stands for: a layer
 *           of an image that another program wrote. */
COB_RESULT struct cob_error *cob_exporter_layer_blob(const struct cob_exporter_packing *packing,
    struct cob_snapshot *layer, struct cob_exporter_blob *ret_blob);

/* One --output, parsed. */
struct cob_exporter_output;

/* Parse "type=oci,dest=x.tar", or the short forms "dir" (local) and "-" (tar on standard output).
 * errors: COB_INVALID: unknown type or option, with what was meant; no dest. */
COB_RESULT struct cob_error *cob_exporter_output_parse(
    const char *text, struct cob_exporter_output **ret_output);
void cob_exporter_output_free(struct cob_exporter_output *output);
COB_AUTOPTR(cob_exporter_output, cob_exporter_output_free)

/* Could several platforms be written there?  errors: COB_INVALID. */
COB_RESULT struct cob_error *cob_exporter_output_check_platforms(
    const struct cob_exporter_output *output, bool is_multi_platform);

/* Write the result there. Tells the observer of a vertex "exporting to oci image format" and so on,
 * in BuildKit's words.
 * errors: COB_EXISTS and the like for a destination that may not be replaced. */
COB_RESULT struct cob_error *cob_exporter_output_write(const struct cob_exporter_output *output,
    const struct cob_exporter_result *result, struct cob_cancel *cancel);
