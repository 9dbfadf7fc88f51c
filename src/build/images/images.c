/* SPDX-License-Identifier: Apache-2.0 */
#include "build/images/images.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build/images/image_private.h"
#include "util/limits.h"

struct cob_image_source {
    struct cob_store *store;
    struct cob_registry *registry;
    GMutex lock; /* guards known and images */
    GHashTable
        *known; /* "<name> <platform>" -> struct known_image, its key owned. An image that was
                        * found by its tag is there with its digest behind it, too */
    GPtrArray *images;   /* struct known_image, owned */
    GHashTable *layouts; /* name of a store -> descriptor, owned */
};

void cob_image_known_free(struct known_image *image)
{
    if (!image)
        return;
    cob_ref_free(image->ref);
    g_free(image->name);
    g_free(image->platform);
    g_free(image->digest);
    g_free(image->config_digest);
    g_clear_pointer(&image->config_bytes, g_bytes_unref);
    cob_oci_config_free(image->config);
    cob_oci_manifest_free(image->manifest);
    g_clear_pointer(&image->manifest_bytes, g_bytes_unref);
    g_free(image->manifest_digest);
    g_free(image->snapshot);
    g_free(image);
}
COB_AUTOPTR(known_image, cob_image_known_free)

static void close_layout(void *fd)
{
    close(GPOINTER_TO_INT(fd));
}

struct cob_image_source *cob_image_source_new(
    struct cob_store *store, struct cob_registry *registry)
{
    struct cob_image_source *source = g_new(struct cob_image_source, 1);

    *source = (struct cob_image_source){
        .store = store,
        .registry = registry,
        .known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .images = g_ptr_array_new_with_free_func((GDestroyNotify)cob_image_known_free),
        .layouts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_layout),
    };
    return source;
}

void cob_image_source_free(struct cob_image_source *source)
{
    if (!source)
        return;
    g_hash_table_unref(source->known);
    g_ptr_array_unref(source->images);
    g_hash_table_unref(source->layouts);
    g_mutex_clear(&source->lock);
    g_free(source);
}

/* --- from the store --- */

/* What the store has under a name.  ret_image: NULL when there is nothing. */
static struct cob_error *find_here(struct cob_image_source *source, const struct cob_ref *ref,
    const char *platform, struct known_image **ret_image)
{
    g_autofree char *text = cob_ref_text(ref);
    g_autoptr(cob_store_image) stored = NULL;
    g_autoptr(known_image) image = g_new0(struct known_image, 1);

    COB_TRY(cob_store_image_find(source->store, text, platform, &stored));
    if (!stored)
        return NULL;
    COB_TRY(cob_store_blob_read(
        source->store, stored->config_digest, COB_LIMIT_CONFIG_BYTES, &image->config_bytes));
    if (!image->config_bytes)
        return NULL; /* its config is lost: as good as not here */
    COB_TRY(
        cob_wrap(cob_oci_config_parse(image->config_bytes, &image->config), "config of %s", text));
    image->ref = cob_ref_with(ref, ref->tag, ref->digest);
    image->name = g_strdup(text);
    image->platform = g_strdup(platform);
    image->config_digest = g_strdup(stored->config_digest);
    image->manifest_digest = g_strdup(stored->manifest_digest);
    image->digest = g_strdup(stored->manifest_digest ?: stored->config_digest);
    image->snapshot = g_strdup(stored->snapshot);
    *ret_image = g_steal_pointer(&image);
    return NULL;
}

/* --- from a registry --- */

struct cob_error *cob_image_check_layers(const struct known_image *image)
{
    const GPtrArray *layers = image->manifest->layers;

    if (layers->len > COB_LIMIT_LAYERS)
        return cob_fail(
            COB_EXHAUSTED, "layers has %u entries, more than %d", layers->len, COB_LIMIT_LAYERS);
    if (image->config->diff_ids->len != layers->len)
        return cob_fail(COB_INVALID, "the manifest has %u layers, the config %u", layers->len,
            image->config->diff_ids->len);
    for (guint i = 0; i < layers->len; i++) {
        const struct cob_oci_descriptor *layer = g_ptr_array_index(layers, i);

        if (cob_oci_kind_of(layer->media_type) != COB_OCI_LAYER)
            return cob_fail(COB_UNIMPLEMENTED, "layer %s is of type %s, which cob cannot unpack",
                layer->digest, layer->media_type ? layer->media_type : "(none)");
    }
    return NULL;
}

/* Take what the registry said apart. */
static struct cob_error *take_documents(
    struct known_image *image, const struct cob_registry_image *answer)
{
    g_autoptr(cob_ref) asked = g_steal_pointer(&image->ref);

    image->ref = cob_ref_with(asked, NULL, answer->manifest->digest);
    image->manifest_digest = g_strdup(answer->manifest->digest);
    image->digest = g_strdup(image->manifest_digest); /* what the store says of it later, too */
    image->manifest_bytes = g_bytes_ref(answer->manifest->bytes);
    image->config_bytes = g_bytes_ref(answer->config);
    COB_TRY(cob_oci_manifest_parse(
        answer->manifest->bytes, answer->manifest->media_type, &image->manifest));
    COB_TRY(cob_wrap(cob_oci_config_parse(image->config_bytes, &image->config), "config"));
    image->config_digest = g_strdup(image->manifest->config->digest);
    return cob_image_check_layers(image);
}

static struct cob_error *find_there(struct cob_image_source *source, const struct cob_ref *ref,
    const char *platform_text, struct cob_cancel *cancel, struct known_image **ret_image)
{
    g_autoptr(cob_platform) platform = NULL;
    g_autoptr(cob_registry_image) answer = NULL;
    g_autoptr(known_image) image = g_new0(struct known_image, 1);

    COB_TRY(cob_platform_parse(platform_text, NULL, &platform));
    image->ref = cob_ref_with(ref, ref->tag, ref->digest);
    image->name = cob_ref_text(ref);
    image->platform = g_strdup(platform_text);
    COB_TRY(cob_registry_resolve(source->registry, image->ref, platform, cancel, &answer));
    COB_TRY(cob_wrap(take_documents(image, answer), "%s", image->name));
    *ret_image = g_steal_pointer(&image);
    return NULL;
}

/* --- from a directory --- */

#define LAYOUT "oci-layout://"

void cob_image_source_add_layout(struct cob_image_source *source, const char *store, int dir_fd)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0)
        return; /* then it is not found */
    g_mutex_lock(&source->lock);
    g_hash_table_replace(source->layouts, g_strdup(store), GINT_TO_POINTER(fd));
    g_mutex_unlock(&source->lock);
}

static int layout_of(struct cob_image_source *source, const char *store)
{
    g_mutex_lock(&source->lock);
    int fd = GPOINTER_TO_INT(g_hash_table_lookup(source->layouts, store));
    g_mutex_unlock(&source->lock);
    return fd;
}

/* name: without "oci-layout://". */
static struct cob_error *find_in_layout(struct cob_image_source *source, const char *name,
    const struct cob_ref *ref, const char *platform, struct known_image **ret_image)
{
    g_autofree char *store = g_strndup(name, strcspn(name, "@"));
    g_autoptr(known_image) image = g_new0(struct known_image, 1);
    int dir_fd = layout_of(source, store);

    if (dir_fd <= 0 || !ref->digest)
        return cob_fail(COB_NOT_FOUND, "%s%s: there is no such image layout", LAYOUT, name);
    image->ref = cob_ref_with(ref, ref->tag, ref->digest);
    image->name = g_strconcat(LAYOUT, name, NULL);
    image->platform = g_strdup(platform);
    image->layout_fd = dir_fd;
    COB_TRY(cob_wrap(cob_image_layout_know(dir_fd, ref->digest, image), "%s", image->name));
    *ret_image = g_steal_pointer(&image);
    return NULL;
}

/* --- both --- */

/* The platform of this machine, or the one that is asked for. The caller frees it. */
static char *platform_or_host(const char *platform)
{
    g_autoptr(cob_platform) host = NULL;
    struct utsname names;

    if (platform)
        return g_strdup(platform);
    uname(&names);
    host = cob_platform_of_machine(names.machine);
    return cob_platform_text(host);
}

/* The name that is remembered. The caller frees it. */
static char *key_of(const struct cob_ref *ref, const char *platform)
{
    g_autofree char *text = cob_ref_text(ref);

    return g_strdup_printf("%s %s", text, platform);
}

/* The name by which a build asks for the files of what it resolved. The caller frees it. */
static char *pinned_key_of(const struct cob_ref *ref, const struct known_image *image)
{
    g_autoptr(cob_ref) pinned = cob_ref_with(ref, ref->tag, image->digest);

    return key_of(pinned, image->platform);
}

static const struct known_image *remembered(struct cob_image_source *source, const char *key)
{
    g_mutex_lock(&source->lock);
    const struct known_image *image = g_hash_table_lookup(source->known, key);
    g_mutex_unlock(&source->lock);
    return image;
}

/* Remember it by its key, and one of a registry by its digest, too: the first of its name is kept.
 * key, image: taken.  Returns the one that is kept. */
static const struct known_image *remember(struct cob_image_source *source, char *key,
    const struct cob_ref *ref, struct known_image *image)
{
    g_mutex_lock(&source->lock);
    struct known_image *first = g_hash_table_lookup(source->known, key);
    if (!first) {
        g_ptr_array_add(source->images, image);
        if (!image->layout_fd)
            g_hash_table_insert(source->known, pinned_key_of(ref, image), image);
        g_hash_table_insert(source->known, g_steal_pointer(&key), image);
    }
    g_mutex_unlock(&source->lock);
    g_free(key);
    if (!first)
        return image;
    cob_image_known_free(image);
    return first;
}

static struct cob_error *know(struct cob_image_source *source, const char *name,
    const char *platform, enum cob_image_policy policy, struct cob_cancel *cancel,
    const struct known_image **ret_image)
{
    bool is_layout = g_str_has_prefix(name, LAYOUT);
    const char *plain = is_layout ? name + strlen(LAYOUT) : name;
    g_autoptr(cob_ref) ref = NULL;
    struct known_image *image = NULL;

    COB_TRY(cob_ref_parse(plain, &ref));
    g_autofree char *key =
        is_layout ? g_strconcat(name, " ", platform, NULL) : key_of(ref, platform);
    *ret_image = remembered(source, key);
    if (*ret_image)
        return NULL;
    if (is_layout)
        COB_TRY(find_in_layout(source, plain, ref, platform, &image));
    else if (policy == COB_IMAGE_LOCAL_FIRST)
        COB_TRY(find_here(source, ref, platform, &image));
    if (!image)
        COB_TRY(find_there(source, ref, platform, cancel, &image));
    *ret_image = remember(source, g_steal_pointer(&key), ref, image);
    return NULL;
}

struct cob_error *cob_image_resolve(struct cob_image_source *source, const char *name,
    const char *platform, enum cob_image_policy policy, struct cob_cancel *cancel,
    char **ret_digest, GBytes **ret_config)
{
    const struct known_image *image = NULL;
    g_autofree char *text = platform_or_host(platform);

    COB_TRY(know(source, name, text, policy, cancel, &image));
    *ret_digest = g_strdup(image->digest);
    *ret_config = g_bytes_ref(image->config_bytes);
    return NULL;
}

/* --- files --- */

/* The documents, then the name: a name never stands for what is not here. */
static struct cob_error *put_image(
    struct cob_image_source *source, const struct known_image *image, struct cob_snapshot *snapshot)
{
    struct cob_store_image row = {
        .name = image->name,
        .platform = image->platform,
        .config_digest = image->config_digest,
        .manifest_digest = image->manifest_digest,
        .snapshot = snapshot ? (char *)(uintptr_t)cob_snapshot_id(snapshot) : NULL,
        .created_us = g_get_real_time(),
    };

    for (struct cob_snapshot *at = snapshot; at; at = cob_snapshot_parent(at)) {
        struct cob_snapshot_archive archive;

        COB_TRY(cob_snapshot_archive(at, &archive));
        row.size_bytes += archive.tar_bytes;
        cob_snapshot_archive_done(&archive);
    }
    COB_TRY(cob_store_blob_put(source->store, image->config_bytes, NULL));
    COB_TRY(cob_store_blob_put(source->store, image->manifest_bytes, NULL));
    return cob_store_image_put(source->store, &row);
}

static struct cob_error *fetch(struct cob_image_source *source, const struct known_image *image,
    const struct cob_image_watcher *watcher, struct cob_cancel *cancel,
    struct cob_snapshot **ret_snapshot)
{
    g_autoptr(cob_snapshot) snapshot = NULL;

    if (image->snapshot)
        COB_TRY(cob_snapshot_get(source->store, image->snapshot, &snapshot));
    if (!image->manifest && !snapshot && image->config->diff_ids->len > 0)
        return cob_fail(COB_DATA_LOSS,
            "%s: its layers are gone from the store: build it again, or pull it", image->name);
    if (image->manifest) {
        COB_TRY(cob_wrap(cob_image_fetch_layers(
                             source->store, source->registry, image, watcher, cancel, &snapshot),
            "%s", image->name));
        if (!image->layout_fd) /* which has no name to keep */
            COB_TRY(put_image(source, image, snapshot));
    }
    *ret_snapshot = g_steal_pointer(&snapshot);
    return NULL;
}

struct cob_error *cob_image_fetch(struct cob_image_source *source, const char *name,
    const char *platform, const struct cob_image_watcher *watcher, struct cob_cancel *cancel,
    struct cob_snapshot **ret_snapshot)
{
    const struct known_image *image = NULL;
    g_autofree char *text = platform_or_host(platform);

    COB_TRY(know(source, name, text, COB_IMAGE_LOCAL_FIRST, cancel, &image));
    return fetch(source, image, watcher, cancel, ret_snapshot);
}

/* --- layers for others --- */

/* The images that are remembered. They live as long as the source. */
static GPtrArray *all_images(struct cob_image_source *source)
{
    GPtrArray *images = g_ptr_array_new();

    g_mutex_lock(&source->lock);
    for (guint i = 0; i < source->images->len; i++)
        g_ptr_array_add(images, g_ptr_array_index(source->images, i));
    g_mutex_unlock(&source->lock);
    return images;
}

struct cob_error *cob_image_get_layer(struct cob_image_source *source, const char *diff_id,
    struct cob_cancel *cancel, char **ret_digest, uint64_t *ret_size, char **ret_media_type)
{
    const struct cob_image_layers of = {.store = source->store, .registry = source->registry};
    g_autoptr(GPtrArray) images = all_images(source);

    for (guint i = 0; i < images->len; i++) {
        g_autoptr(cob_oci_descriptor) layer = NULL;

        COB_TRY(cob_image_bring_layer(&of, g_ptr_array_index(images, i), diff_id, cancel, &layer));
        if (!layer)
            continue;
        *ret_digest = g_strdup(layer->digest);
        *ret_media_type = g_strdup(layer->media_type);
        *ret_size = layer->size;
        return NULL;
    }
    return NULL;
}
