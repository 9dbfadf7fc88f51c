/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images in a directory: index.json has names, blobs/sha256 the rest, each by its digest.
 *
 * spec: OCI image-spec image-layout.md. Of several images one is chosen as buildx does it: by its
 *       org.opencontainers.image.ref.name, or by the tag of its io.containerd.image.name.
 */
#include <string.h>
#include <unistd.h>

#include "build/images/image_private.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

#define REF_NAME "org.opencontainers.image.ref.name"
#define IMAGE_NAME "io.containerd.image.name"
#define MAX_INDEX_DEPTH 4 /* indexes in indexes */
#define BUFFER_BYTES (256 * (size_t)1024)

/* --- blobs --- */

static struct cob_error *open_blob(int dir_fd, const char *digest, int *ret_fd)
{
    g_autofree char *path = g_strconcat("blobs/sha256/", digest + strlen(COB_DIGEST_PREFIX), NULL);

    COB_TRY(cob_fs_open_in_root(dir_fd, path, ret_fd));
    return *ret_fd < 0 ? cob_fail(COB_NOT_FOUND, "there is no %s", path) : NULL;
}

static struct cob_error *refuse_digest(const char *digest)
{
    return cob_fail(COB_DATA_LOSS, "blob %s: its bytes have another digest", digest);
}

static struct cob_error *read_blob(
    int dir_fd, const char *digest, uint64_t max_bytes, GBytes **ret_bytes)
{
    cob_autoclose int fd = -1;
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(open_blob(dir_fd, digest, &fd));
    COB_TRY(cob_wrap(cob_fs_read_fd(fd, max_bytes, &bytes), "blob %s", digest));
    g_autofree char *real = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    if (strcmp(real, digest) != 0)
        return refuse_digest(digest);
    *ret_bytes = g_steal_pointer(&bytes);
    return NULL;
}

struct cob_error *cob_image_layout_send(int dir_fd, const struct cob_oci_descriptor *descriptor,
    struct cob_error *(*write)(void *arg, const void *data, size_t len), void *arg)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autofree char *buffer = g_malloc(BUFFER_BYTES);
    cob_autoclose int fd = -1;
    uint64_t left = descriptor->size;

    COB_TRY(open_blob(dir_fd, descriptor->digest, &fd));
    for (;;) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, buffer, BUFFER_BYTES));

        if (n < 0)
            return cob_fail_errno(errno, "read blob %s", descriptor->digest);
        if (n == 0)
            break;
        if ((uint64_t)n > left)
            return cob_fail(
                COB_DATA_LOSS, "blob %s is longer than the manifest says", descriptor->digest);
        left -= (uint64_t)n;
        cob_hasher_update(hasher, buffer, (size_t)n);
        COB_TRY(write(arg, buffer, (size_t)n));
    }
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    g_autofree char *real = cob_sha256_text(&sha);
    return strcmp(real, descriptor->digest) == 0 ? NULL : refuse_digest(descriptor->digest);
}

/* --- names --- */

static const char *annotation(const struct cob_oci_descriptor *descriptor, const char *key)
{
    return descriptor->annotations ? g_hash_table_lookup(descriptor->annotations, key) : NULL;
}

static bool is_named(const struct cob_oci_descriptor *descriptor, const char *tag)
{
    const char *name = annotation(descriptor, IMAGE_NAME);
    const char *colon = name ? strrchr(name, ':') : NULL;

    return g_strcmp0(annotation(descriptor, REF_NAME), tag) == 0 ||
           (colon && strcmp(colon + 1, tag) == 0);
}

static struct cob_error *refuse_tag(const struct cob_oci_index *index, const char *tag)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint i = 0; i < index->manifests->len && names->len < 10; i++) {
        const char *name = annotation(g_ptr_array_index(index->manifests, i), REF_NAME);

        if (name)
            g_ptr_array_add(names, (void *)(uintptr_t)name);
    }
    g_ptr_array_add(names, NULL);
    g_autofree char *list = g_strjoinv(", ", (char **)names->pdata);
    return cob_fail(
        COB_NOT_FOUND, "index.json has no tag %s; there are: %s", tag, *list ? list : "none");
}

struct cob_error *cob_image_layout_find(int dir_fd, const char *tag, char **ret_digest)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(cob_oci_index) index = NULL;
    const struct cob_oci_descriptor *found = NULL;

    COB_TRY(cob_fs_read_in_root(dir_fd, "index.json", COB_LIMIT_MANIFEST_BYTES, &bytes));
    if (!bytes)
        return cob_fail(COB_NOT_FOUND, "there is no index.json: it is no OCI image layout");
    COB_TRY(cob_wrap(cob_oci_index_parse(bytes, NULL, &index), "index.json"));
    for (guint i = 0; i < index->manifests->len && !found; i++) {
        const struct cob_oci_descriptor *one = g_ptr_array_index(index->manifests, i);

        found = is_named(one, tag) ? one : NULL;
    }
    if (!found && index->manifests->len == 1)
        found = g_ptr_array_index(index->manifests, 0);
    if (!found)
        return refuse_tag(index, tag);
    *ret_digest = g_strdup(found->digest);
    return NULL;
}

/* --- documents --- */

/* The manifest for the platform, by way of indexes. */
static struct cob_error *find_manifest(
    int dir_fd, const char *digest, const struct cob_platform *platform, struct known_image *image)
{
    g_autofree char *at = g_strdup(digest);

    for (int depth = 0; depth < MAX_INDEX_DEPTH; depth++) {
        g_autoptr(GBytes) bytes = NULL;
        g_autoptr(cob_oci_index) index = NULL;
        const struct cob_oci_descriptor *chosen = NULL;
        enum cob_oci_kind kind;

        COB_TRY(read_blob(dir_fd, at, COB_LIMIT_MANIFEST_BYTES, &bytes));
        COB_TRY(cob_wrap(cob_oci_recognise(bytes, NULL, &kind), "blob %s", at));
        if (kind != COB_OCI_INDEX) {
            image->manifest_bytes = g_steal_pointer(&bytes);
            image->manifest_digest = g_steal_pointer(&at);
            return NULL;
        }
        COB_TRY(cob_wrap(cob_oci_index_parse(bytes, NULL, &index), "blob %s", at));
        COB_TRY(cob_oci_index_choose(index, platform, &chosen));
        g_free(at);
        at = g_strdup(chosen->digest);
    }
    return cob_fail(COB_INVALID, "indexes lie in indexes more than %d deep", MAX_INDEX_DEPTH);
}

struct cob_error *cob_image_layout_know(int dir_fd, const char *digest, struct known_image *image)
{
    g_autoptr(cob_platform) platform = NULL;

    COB_TRY(cob_platform_parse(image->platform, NULL, &platform));
    COB_TRY(find_manifest(dir_fd, digest, platform, image));
    image->digest = g_strdup(image->manifest_digest);
    COB_TRY(cob_oci_manifest_parse(image->manifest_bytes, NULL, &image->manifest));
    image->config_digest = g_strdup(image->manifest->config->digest);
    COB_TRY(read_blob(dir_fd, image->config_digest, COB_LIMIT_CONFIG_BYTES, &image->config_bytes));
    COB_TRY(cob_wrap(cob_oci_config_parse(image->config_bytes, &image->config), "config"));
    return cob_image_check_layers(image);
}
