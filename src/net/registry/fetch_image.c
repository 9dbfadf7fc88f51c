/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/registry.h"
#include "spec/oci/oci.h"
#include "util/limits.h"

#define MAX_INDEX_DEPTH 4 /* an index may name another one */

void cob_registry_image_free(struct cob_registry_image *image)
{
    if (!image)
        return;
    cob_registry_manifest_free(image->top);
    cob_registry_manifest_free(image->manifest);
    g_clear_pointer(&image->config, g_bytes_unref);
    g_free(image);
}

static struct cob_registry_manifest *copy_manifest(const struct cob_registry_manifest *manifest)
{
    struct cob_registry_manifest *copy = g_new(struct cob_registry_manifest, 1);

    *copy = (struct cob_registry_manifest){.bytes = g_bytes_ref(manifest->bytes),
        .media_type = g_strdup(manifest->media_type),
        .digest = g_strdup(manifest->digest)};
    return copy;
}

static struct cob_error *fetch_entry(struct cob_registry *registry, const struct cob_ref *ref,
    const struct cob_oci_descriptor *entry, struct cob_cancel *cancel,
    struct cob_registry_manifest **ret_manifest)
{
    g_autoptr(cob_ref) by_digest = cob_ref_with(ref, NULL, entry->digest);
    g_autoptr(cob_registry_manifest) manifest = NULL;
    enum cob_oci_kind kind = COB_OCI_OTHER;

    COB_TRY(cob_registry_get_manifest(registry, by_digest, cancel, &manifest));
    if (g_bytes_get_size(manifest->bytes) != entry->size)
        return cob_fail(
            COB_DATA_LOSS, "manifest %s is not of the size that its index says", entry->digest);
    COB_TRY(cob_wrap(cob_oci_recognise(manifest->bytes, manifest->media_type, &kind), "manifest %s",
        entry->digest));
    if (entry->media_type && cob_oci_kind_of(entry->media_type) != kind)
        return cob_fail(COB_INVALID, "manifest %s is not the %s that its index says", entry->digest,
            entry->media_type);
    *ret_manifest = g_steal_pointer(&manifest);
    return NULL;
}

/* One step down: from an index to the entry for a platform.
 * manifest: replaced by that entry's. */
static struct cob_error *descend(struct cob_registry *registry, const struct cob_ref *ref,
    const struct cob_platform *platform, struct cob_cancel *cancel,
    struct cob_registry_manifest **manifest)
{
    g_autoptr(cob_oci_index) index = NULL;
    const struct cob_oci_descriptor *entry = NULL;
    struct cob_registry_manifest *next = NULL;

    COB_TRY(cob_oci_index_parse((*manifest)->bytes, (*manifest)->media_type, &index));
    COB_TRY(cob_oci_index_choose(index, platform, &entry));
    COB_TRY(fetch_entry(registry, ref, entry, cancel, &next));
    cob_registry_manifest_free(*manifest);
    *manifest = next;
    return NULL;
}

static struct cob_error *find_manifest(struct cob_registry *registry, const struct cob_ref *ref,
    const struct cob_platform *platform, struct cob_cancel *cancel,
    struct cob_registry_manifest **manifest)
{
    for (int depth = 0; depth <= MAX_INDEX_DEPTH; depth++) {
        enum cob_oci_kind kind = COB_OCI_OTHER;

        COB_TRY(cob_oci_recognise((*manifest)->bytes, (*manifest)->media_type, &kind));
        if (kind != COB_OCI_INDEX)
            return NULL;
        COB_TRY(descend(registry, ref, platform, cancel, manifest));
    }
    return cob_fail(COB_EXHAUSTED, "indexes inside indexes, deeper than %d", MAX_INDEX_DEPTH);
}

static struct cob_error *fetch_config(struct cob_registry *registry, const struct cob_ref *ref,
    const struct cob_registry_manifest *manifest, struct cob_cancel *cancel, GBytes **ret_config)
{
    g_autoptr(cob_oci_manifest) parsed = NULL;

    COB_TRY(cob_oci_manifest_parse(manifest->bytes, manifest->media_type, &parsed));
    if (cob_oci_kind_of(parsed->config->media_type) != COB_OCI_CONFIG)
        return cob_fail(COB_INVALID, "not an image: its config is of type %s",
            parsed->config->media_type ? parsed->config->media_type : "(none)");
    struct cob_registry_blob blob = {ref, parsed->config->digest, parsed->config->size};
    return cob_registry_get_bytes(registry, &blob, COB_LIMIT_CONFIG_BYTES, cancel, ret_config);
}

struct cob_error *cob_registry_resolve(struct cob_registry *registry, const struct cob_ref *ref,
    const struct cob_platform *platform, struct cob_cancel *cancel,
    struct cob_registry_image **ret_image)
{
    g_autoptr(cob_registry_image) image = g_new0(struct cob_registry_image, 1);
    g_autofree char *name = cob_ref_text(ref);

    COB_TRY(cob_registry_get_manifest(registry, ref, cancel, &image->top));
    image->manifest = copy_manifest(image->top);
    COB_TRY(cob_wrap(find_manifest(registry, ref, platform, cancel, &image->manifest), "%s", name));
    COB_TRY(
        cob_wrap(fetch_config(registry, ref, image->manifest, cancel, &image->config), "%s", name));
    *ret_image = g_steal_pointer(&image);
    return NULL;
}
