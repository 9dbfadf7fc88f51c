/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci and docker: an image with its blobs as one archive, or as a folder.
 *
 *     oci-layout               {"imageLayoutVersion":"1.0.0"}
 *     index.json               a manifest for each name, with the name in its annotations; for
 *                              several platforms, the index of their manifests in its place
 *     blobs/sha256/<hex>       manifest, config, layers
 *     manifest.json            docker only: config, layers and names, by path
 *
 * The layout is put together from hard links to the store's blobs, and then packed as any tree.
 *
 * spec: OCI image-spec image-layout.md; containerd core/images/archive/exporter.go, for the
 *       annotations and manifest.json.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "build/exporters/export_parts.h"
#include "spec/oci/oci.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/tree.h"

#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

/* The image of one platform, whose blobs are all in the store. */
struct image {
    struct cob_exporter_image parts;
    struct cob_oci_manifest *manifest;
    struct cob_oci_config *config;
    char *manifest_digest;
    uint64_t manifest_size;
};

/* All that an archive holds. */
struct archive {
    struct image *images; /* one a platform */
    size_t n_images;
    char *index_digest; /* of the index of several; NULL for one image alone */
    uint64_t index_size;
};

static void archive_done(struct archive *archive)
{
    for (size_t i = 0; i < archive->n_images; i++) {
        cob_exporter_image_done(&archive->images[i].parts);
        cob_oci_manifest_free(archive->images[i].manifest);
        cob_oci_config_free(archive->images[i].config);
        g_free(archive->images[i].manifest_digest);
    }
    g_free(archive->images);
    g_free(archive->index_digest);
}

static struct cob_error *add_layers(const struct export_job *job, struct image *image)
{
    enum cob_layer_compression compression = job->output->compression;

    for (guint i = 0; i < image->parts.layers->len; i++) {
        struct cob_snapshot *layer = g_ptr_array_index(image->parts.layers, i);
        g_autofree char *digest = NULL;
        uint64_t size;

        COB_TRY(export_layer_blob(job, layer, compression, &digest, &size));
        g_ptr_array_add(image->manifest->layers,
            cob_oci_descriptor_new(cob_layer_media_type(compression), digest, size));
    }
    return NULL;
}

/* Tell of something that is there at once. */
static void tell_document(const struct export_job *job, const char *kind, const char *digest)
{
    g_autofree char *id = g_strdup_printf("exporting %s %s", kind, digest);

    export_tell(job, id, export_tell(job, id, 0));
}

static struct cob_error *make_image(
    const struct export_job *job, const struct cob_exporter_part *part, struct image *image)
{
    struct cob_store *store = job->result->store;

    COB_TRY(cob_exporter_complete(job->result, part, job->cancel, &image->parts));
    COB_TRY(cob_oci_config_parse(image->parts.config, &image->config));
    image->manifest = cob_oci_manifest_new();
    COB_TRY(add_layers(job, image));

    COB_TRY(cob_store_blob_put(store, image->parts.config, NULL));
    image->manifest->config = cob_oci_descriptor_new(
        COB_OCI_TYPE_CONFIG, image->parts.digest, g_bytes_get_size(image->parts.config));
    g_autoptr(GBytes) manifest = cob_oci_manifest_bytes(image->manifest);
    image->manifest_size = g_bytes_get_size(manifest);
    return cob_store_blob_put(store, manifest, &image->manifest_digest);
}

/* An image as an index names it. The caller's. */
static struct cob_oci_descriptor *descriptor_of(const struct image *image)
{
    const struct cob_platform *platform = image->config->platform;
    struct cob_oci_descriptor *descriptor =
        cob_oci_descriptor_new(COB_OCI_TYPE_MANIFEST, image->manifest_digest, image->manifest_size);

    if (platform)
        descriptor->platform =
            cob_platform_new(platform->os, platform->arch, platform->variant, platform->os_version);
    return descriptor;
}

/* The index of the images of all platforms, which is a blob like them. */
static struct cob_error *join_images(const struct export_job *job, struct archive *archive)
{
    g_autoptr(cob_oci_index) index = cob_oci_index_new();

    for (size_t i = 0; i < archive->n_images; i++)
        g_ptr_array_add(index->manifests, descriptor_of(&archive->images[i]));
    g_autoptr(GBytes) bytes = cob_oci_index_bytes(index);
    archive->index_size = g_bytes_get_size(bytes);
    COB_TRY(cob_store_blob_put(job->result->store, bytes, &archive->index_digest));
    tell_document(job, "manifest list", archive->index_digest);
    return NULL;
}

static struct cob_error *make_images(const struct export_job *job, struct archive *archive)
{
    const struct cob_exporter_result *result = job->result;
    int64_t since = export_tell(job, "exporting layers", 0);

    archive->images = g_new0(struct image, result->n_parts);
    archive->n_images = result->n_parts;
    for (size_t i = 0; i < result->n_parts; i++)
        COB_TRY(make_image(job, &result->parts[i], &archive->images[i]));
    export_tell(job, "exporting layers", since);
    for (size_t i = 0; i < result->n_parts; i++) {
        tell_document(job, "manifest", archive->images[i].manifest_digest);
        tell_document(job, "config", archive->images[i].parts.digest);
    }
    return result->is_multi_platform ? join_images(job, archive) : NULL;
}

static const char *const *names_of(const struct export_job *job)
{
    static const char *const none[] = {NULL};

    if (job->output->names)
        return (const char *const *)job->output->names;
    return job->result->names ? job->result->names : none;
}

/* --- documents --- */

static void annotate(struct cob_oci_descriptor *descriptor, const char *key, const char *value)
{
    if (!descriptor->annotations)
        descriptor->annotations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(descriptor->annotations, g_strdup(key), g_strdup(value));
}

/* What index.json names. The caller's. */
static struct cob_oci_descriptor *top_descriptor(const struct archive *archive)
{
    const char *created = archive->images[0].config->created;
    struct cob_oci_descriptor *descriptor =
        archive->index_digest
            ? cob_oci_descriptor_new(COB_OCI_TYPE_INDEX, archive->index_digest, archive->index_size)
            : descriptor_of(&archive->images[0]);

    if (created)
        annotate(descriptor, "org.opencontainers.image.created", created);
    return descriptor;
}

/* name: NULL for an image without one. */
static struct cob_error *add_to_index(
    struct cob_oci_index *index, const struct archive *archive, const char *name)
{
    struct cob_oci_descriptor *descriptor = top_descriptor(archive);

    g_ptr_array_add(index->manifests, descriptor);
    if (!name)
        return NULL;
    g_autoptr(cob_ref) ref = NULL;
    COB_TRY(cob_ref_parse(name, &ref));
    g_autofree char *full = cob_ref_text(ref);
    annotate(descriptor, "io.containerd.image.name", full);
    if (ref->tag)
        annotate(descriptor, "org.opencontainers.image.ref.name", ref->tag);
    return NULL;
}

static struct cob_error *make_index(
    const struct export_job *job, const struct archive *archive, GBytes **ret_bytes)
{
    g_autoptr(cob_oci_index) index = cob_oci_index_new();
    const char *const *names = names_of(job);

    if (!*names)
        COB_TRY(add_to_index(index, archive, NULL));
    for (; *names; names++)
        COB_TRY(add_to_index(index, archive, *names));
    *ret_bytes = cob_oci_index_bytes(index);
    return NULL;
}

static json_t *blob_path_json(const char *digest)
{
    return json_sprintf("blobs/sha256/%s", digest + strlen(COB_DIGEST_PREFIX));
}

/* docker's own list: one image, all its names. */
static struct cob_error *make_docker_list(
    const struct export_job *job, const struct image *image, GBytes **ret_bytes)
{
    json_t *layers = json_array(), *tags = json_array();
    json_auto_t *list = json_pack("[{s:o,s:o,s:o}]", "Config", blob_path_json(image->parts.digest),
        "Layers", layers, "RepoTags", tags);

    for (guint i = 0; i < image->manifest->layers->len; i++) {
        const struct cob_oci_descriptor *layer = g_ptr_array_index(image->manifest->layers, i);

        json_array_append_new(layers, blob_path_json(layer->digest));
    }
    for (const char *const *name = names_of(job); *name; name++) {
        g_autoptr(cob_ref) ref = NULL;

        COB_TRY(cob_ref_parse(*name, &ref));
        g_autofree char *familiar = cob_ref_familiar(ref);
        json_array_append_new(tags, json_string(familiar));
    }
    *ret_bytes = cob_json_bytes(list);
    return NULL;
}

/* --- the layout --- */

static struct cob_error *enter_dir(int dir_fd, const char *name, int *ret_fd)
{
    if (mkdirat(dir_fd, name, 0755) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s", name);
    *ret_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open directory %s", name) : NULL;
}

static struct cob_error *copy_blob(
    struct cob_store *store, const char *digest, int blobs_fd, const char *hex)
{
    g_autofree char *draft = cob_fs_draft_name(".");
    cob_autoclose int from_fd = -1;
    uint64_t size = 0;

    COB_TRY(cob_store_blob_open(store, digest, &from_fd, &size));
    if (from_fd < 0)
        return cob_fail(COB_NOT_FOUND, "it is not in the store any more");
    cob_autoclose int to_fd =
        openat(blobs_fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (to_fd < 0)
        return cob_fail_errno(errno, "create a file");
    struct cob_error *err = cob_fs_copy_bytes(from_fd, to_fd, size);
    if (!err && close(g_steal_fd(&to_fd)) < 0)
        err = cob_fail_errno(errno, "close");
    if (!err && renameat(blobs_fd, draft, blobs_fd, hex) < 0)
        err = cob_fail_errno(errno, "rename");
    if (err)
        unlinkat(blobs_fd, draft, 0);
    return err;
}

/* As a hard link where the layout is a passing one, else as a copy of its own. */
static struct cob_error *place_blob(
    const struct export_job *job, const char *digest, int blobs_fd, bool may_link)
{
    struct cob_store *store = job->result->store;
    const char *hex = digest + strlen(COB_DIGEST_PREFIX);
    g_autofree char *path = g_strconcat("blobs/sha256/", hex, NULL);

    COB_TRY(cob_cancel_check(job->cancel));
    if (may_link && (linkat(cob_store_root_fd(store), path, blobs_fd, hex, 0) == 0 ||
                        errno == EEXIST)) /* two equal layers */
        return NULL;
    return cob_wrap(copy_blob(store, digest, blobs_fd, hex), "blob %s", digest);
}

static struct cob_error *place_bytes(int dir_fd, const char *name, GBytes *bytes)
{
    return cob_fs_replace_file(
        dir_fd, name, 0644, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static struct cob_error *place_image(
    const struct export_job *job, const struct image *image, int sha_fd, bool may_link)
{
    COB_TRY(place_blob(job, image->manifest_digest, sha_fd, may_link));
    COB_TRY(place_blob(job, image->parts.digest, sha_fd, may_link));
    for (guint i = 0; i < image->manifest->layers->len; i++) {
        const struct cob_oci_descriptor *layer = g_ptr_array_index(image->manifest->layers, i);

        COB_TRY(place_blob(job, layer->digest, sha_fd, may_link));
    }
    return NULL;
}

static struct cob_error *place_blobs(
    const struct export_job *job, const struct archive *archive, int dir_fd, bool may_link)
{
    cob_autoclose int blobs_fd = -1;
    cob_autoclose int sha_fd = -1;

    COB_TRY(enter_dir(dir_fd, "blobs", &blobs_fd));
    COB_TRY(enter_dir(blobs_fd, "sha256", &sha_fd));
    for (size_t i = 0; i < archive->n_images; i++)
        COB_TRY(place_image(job, &archive->images[i], sha_fd, may_link));
    if (archive->index_digest)
        COB_TRY(place_blob(job, archive->index_digest, sha_fd, may_link));
    return NULL;
}

/* What makes it a layout comes last. */
static struct cob_error *place_layout(
    const struct export_job *job, const struct archive *archive, int dir_fd, bool may_link)
{
    g_autoptr(GBytes) layout = g_bytes_new_static(LAYOUT_TEXT, strlen(LAYOUT_TEXT));
    g_autoptr(GBytes) index = NULL;
    g_autoptr(GBytes) list = NULL;

    COB_TRY(make_index(job, archive, &index));
    COB_TRY(make_docker_list(job, &archive->images[0], &list));
    COB_TRY(place_blobs(job, archive, dir_fd, may_link));
    COB_TRY(place_bytes(dir_fd, "oci-layout", layout));
    if (job->output->impl == &cob_exporter_docker)
        COB_TRY(place_bytes(dir_fd, "manifest.json", list));
    return place_bytes(dir_fd, "index.json", index);
}

/* --- where it goes --- */

static struct cob_error *write_folder(const struct export_job *job, const struct archive *archive)
{
    const char *path = job->output->dest;
    cob_autoclose int dir_fd = -1;

    COB_TRY(cob_wrap(cob_fs_make_dirs(AT_FDCWD, path, 0755, &dir_fd), "dest %s", path));
    return cob_wrap(place_layout(job, archive, dir_fd, /* may_link= */ false), "dest %s", path);
}

/* The times of the files are those of this export, so they are left out: equal images make equal
 * archives. */
static struct cob_error *pack_layout(
    const struct export_job *job, int dir_fd, struct export_dest *dest)
{
    const struct cob_layer_pack_request request = {
        .dir_fd = dir_fd, .has_max_mtime = true, .max_mtime = 0, .cancel = job->cancel};
    int64_t since = export_tell(job, "sending tarball", 0);

    COB_TRY(cob_layer_pack(&request, export_dest_write, dest, NULL));
    COB_TRY(export_dest_commit(dest));
    export_tell(job, "sending tarball", since);
    return NULL;
}

static struct cob_error *write_staged(
    const struct export_job *job, const struct archive *archive, struct export_dest *dest)
{
    int tmp_fd = cob_store_tmp_fd(job->result->store);
    g_autofree char *stage = cob_fs_draft_name("export-");
    cob_autoclose int dir_fd = -1;
    struct cob_error *err = enter_dir(tmp_fd, stage, &dir_fd);

    if (!err)
        err = place_layout(job, archive, dir_fd, /* may_link= */ true);
    if (!err)
        err = pack_layout(job, dir_fd, dest);
    struct cob_error *removed = cob_tree_remove(tmp_fd, stage);
    if (err)
        cob_error_free(removed);
    return err ? err : removed;
}

static struct cob_error *write_archive(const struct export_job *job)
{
    struct export_dest dest = {.dir_fd = -1, .fd = -1};
    struct archive archive = {.images = NULL};
    struct cob_error *err = NULL;

    if (!job->output->is_folder) /* before the work: a dest that cannot be is told at once */
        err = export_dest_open(job->output->dest, &dest);
    if (!err)
        err = make_images(job, &archive);
    if (!err)
        err = job->output->is_folder ? write_folder(job, &archive)
                                     : write_staged(job, &archive, &dest);
    export_dest_done(&dest);
    archive_done(&archive);
    return err;
}

static const char *const options[] = {"name", "tar", "compression", NULL};

const struct cob_exporter_impl cob_exporter_oci = {.type = "oci",
    .vertex_name = "exporting to oci image format",
    .options = options,
    .needs_dest = true,
    .write = write_archive};

const struct cob_exporter_impl cob_exporter_docker = {.type = "docker",
    .vertex_name = "exporting to docker image format",
    .options = options,
    .needs_dest = true,
    .write = write_archive};
