/* SPDX-License-Identifier: Apache-2.0 */
/* spec: BuildKit README, "Export cache"; cache/remotecache/{local,registry,s3}. "mounts" is cob's
 * own. */
#include <stddef.h>

#include "build/cachebackend/options_parts.h"

#define AT(member) offsetof(struct cob_cachebackend_options, member)
#define ON_BLOBS (ON_LOCAL | ON_REGISTRY)
#define ON_STORES (ON_BLOBS | ON_S3)
#define ON_ALL (ON_STORES | ON_INLINE)
#define BOTH (ON_EXPORT | ON_IMPORT)

const struct option_row cob_cachebackend_options_table[] = {
    {"dest", ON_LOCAL, ON_EXPORT, OPTION_TEXT, AT(folder)},
    {"src", ON_LOCAL, ON_IMPORT, OPTION_TEXT, AT(folder)},
    {"tag", ON_LOCAL, BOTH, OPTION_TAG, AT(tag)},
    {"digest", ON_LOCAL, ON_IMPORT, OPTION_DIGEST, AT(digest)},
    {"reset", ON_LOCAL, ON_EXPORT, OPTION_FLAG, AT(is_reset)},
    {"ref", ON_REGISTRY, BOTH, OPTION_REF, AT(ref)},
    {"registry.insecure", ON_REGISTRY, BOTH, OPTION_FLAG, AT(is_insecure)},
    {"bucket", ON_S3, BOTH, OPTION_TEXT, AT(bucket)},
    {"region", ON_S3, BOTH, OPTION_TEXT, AT(region)},
    {"name", ON_S3, BOTH, OPTION_NAMES, AT(name)},
    {"prefix", ON_S3, BOTH, OPTION_TEXT, AT(prefix)},
    {"blobs_prefix", ON_S3, BOTH, OPTION_TEXT, AT(blobs_prefix)},
    {"manifests_prefix", ON_S3, BOTH, OPTION_TEXT, AT(manifests_prefix)},
    {"endpoint_url", ON_S3, BOTH, OPTION_URL, AT(endpoint_url)},
    {"use_path_style", ON_S3, BOTH, OPTION_FLAG, AT(is_path_style)},
    {"access_key_id", ON_S3, BOTH, OPTION_SECRET, AT(access_key_id)},
    {"secret_access_key", ON_S3, BOTH, OPTION_SECRET, AT(secret_access_key)},
    {"session_token", ON_S3, BOTH, OPTION_SECRET, AT(session_token)},
    {"touch_refresh", ON_S3, BOTH, OPTION_DURATION, AT(touch_refresh_s)},
    {"upload_parallelism", ON_S3, BOTH, OPTION_COUNT, AT(n_parallel)},
    {"retry_max_attempts", ON_S3, BOTH, OPTION_COUNT, AT(n_tries)},
    {"retry_mode", ON_S3, BOTH, OPTION_RETRY_MODE, 0},
    {"disable_accept_encoding", ON_S3, BOTH, OPTION_UNUSED_FLAG, 0},
    {"timeout", ON_REGISTRY | ON_S3, BOTH, OPTION_DURATION, AT(timeout_s)},
    {"mode", ON_ALL, ON_EXPORT, OPTION_MODE, AT(mode)},
    {"image-manifest", ON_BLOBS, ON_EXPORT, OPTION_FLAG, AT(is_image_manifest)},
    {"oci-mediatypes", ON_BLOBS, ON_EXPORT, OPTION_FLAG, AT(is_oci_types)},
    {"compression", ON_STORES, ON_EXPORT, OPTION_COMPRESSION, AT(compression)},
    {"compression-level", ON_STORES, ON_EXPORT, OPTION_LEVEL, AT(compression_level)},
    {"force-compression", ON_STORES, ON_EXPORT, OPTION_FLAG, AT(is_force_compression)},
    {"ignore-error", ON_ALL, ON_EXPORT, OPTION_FLAG, AT(is_ignoring_errors)},
    {"mounts", ON_STORES, BOTH, OPTION_MOUNTS, 0},
    {.key = NULL},
};
