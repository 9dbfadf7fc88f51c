/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "build/mountcache/mountcache_parts.h"
#include "disk/layer/layer.h"
#include "util/limits.h"

/* --- blobs --- */

static struct cob_error *append(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

static struct cob_error *begin_anew(void *arg)
{
    g_byte_array_set_size(arg, 0);
    return NULL;
}

struct cob_error *remote_get(struct cob_cachebackend *backend, const char *digest, uint64_t len,
    uint64_t max_bytes, GBytes **ret_bytes)
{
    g_autoptr(GByteArray) bytes = NULL;

    if (len > max_bytes)
        return cob_fail(COB_EXHAUSTED, "larger than the limit of %" PRIu64 " bytes", max_bytes);
    bytes = g_byte_array_sized_new((guint)len);
    const struct cob_registry_sink sink = {.write = append, .restart = begin_anew, .arg = bytes};
    COB_TRY(cob_cachebackend_get_blob(backend, digest, len, &sink));
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
    return NULL;
}

/* --- packs --- */

/*
 * Memory for a pack: of large pages, and not inherited by the sealed processes that are started
 * meanwhile. A fork would copy its page table, and each page would be copied when it is written to.
 */
struct pack_room {
    uint8_t *data;
    size_t len, filled;
};

static struct pack_room *room_new(size_t len)
{
    struct pack_room *room = g_new(struct pack_room, 1);
    void *data =
        mmap(NULL, MAX(len, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    g_assert(data != MAP_FAILED); /* memory is out */
    madvise(data, MAX(len, 1), MADV_HUGEPAGE);
    madvise(data, MAX(len, 1), MADV_DONTFORK);
    *room = (struct pack_room){.data = data, .len = len};
    return room;
}

static void room_free(struct pack_room *room)
{
    if (!room)
        return;
    munmap(room->data, MAX(room->len, 1));
    g_free(room);
}
COB_AUTOPTR(pack_room, room_free)

static struct cob_error *fill_room(void *arg, const void *data, size_t len)
{
    struct pack_room *room = arg;

    if (len > room->len - room->filled)
        return cob_fail(COB_DATA_LOSS, "it is longer than it was said to be");
    memcpy(room->data + room->filled, data, len);
    room->filled += len;
    return NULL;
}

static struct cob_error *empty_room(void *arg)
{
    struct pack_room *room = arg;

    room->filled = 0;
    return NULL;
}

struct cob_error *remote_with_pack(const struct cob_mountcache_request *request,
    const struct cob_mountindex_pack *pack,
    struct cob_error *(*use)(void *arg, const uint8_t *plain), void *arg)
{
    g_autofree char *digest = cob_sha256_text(&pack->sha);
    g_autoptr(pack_room) stored = room_new(pack->stored_len);
    g_autoptr(pack_room) plain = NULL;
    const struct cob_registry_sink sink = {
        .write = fill_room, .restart = empty_room, .arg = stored};

    COB_TRY(cob_wrap(
        cob_cachebackend_get_blob(request->backend, digest, pack->stored_len, &sink), "pack"));
    plain = room_new(pack->plain_len);
    COB_TRY(cob_wrap(cob_layer_zstd_read(stored->data, stored->filled, plain->data, pack->plain_len,
                         request->cancel),
        "pack %s", digest));
    return use(arg, plain->data);
}

/* --- documents --- */

struct cob_error *remote_get_doc(const struct cob_mountcache_request *request,
    struct cob_cachebackend_document **ret_document, struct cob_mountdoc **ret_doc)
{
    g_autoptr(cob_cachebackend_document) document = NULL;

    COB_TRY(cob_cachebackend_get_document(request->backend, request->document, &document));
    if (document)
        COB_TRY(cob_mountdoc_decode(document->bytes, ret_doc));
    *ret_document = g_steal_pointer(&document);
    return NULL;
}

struct cob_error *remote_read_index(const struct cob_mountcache_request *request,
    const struct cob_mountdoc_mount *mount, GBytes *stored, struct cob_mountindex **ret_index)
{
    g_autofree uint8_t *plain = NULL;
    g_autoptr(cob_mountindex) index = NULL;

    if (mount->plain_len == 0 || mount->plain_len > COB_LIMIT_MOUNT_INDEX_BYTES)
        return cob_fail(COB_EXHAUSTED, "its index is larger than the limit of %" PRIu64 " MiB",
            COB_LIMIT_MOUNT_INDEX_BYTES / COB_MIB);
    plain = g_try_malloc(mount->plain_len);
    if (!plain)
        return cob_fail(
            COB_EXHAUSTED, "no memory for an index of %" PRIu64 " bytes", mount->plain_len);
    COB_TRY(cob_layer_zstd_read(g_bytes_get_data(stored, NULL), g_bytes_get_size(stored), plain,
        mount->plain_len, request->cancel));
    g_autoptr(GBytes) bytes = g_bytes_new_take(g_steal_pointer(&plain), mount->plain_len);
    COB_TRY(cob_mountindex_decode(bytes, &index));
    if (strcmp(index->id, mount->id) != 0 || strcmp(index->namespace, mount->namespace) != 0)
        return cob_fail(COB_INVALID, "its index is of the mount %s", index->id);
    *ret_index = g_steal_pointer(&index);
    return NULL;
}

struct cob_error *remote_get_index(const struct cob_mountcache_request *request,
    const struct cob_mountdoc_mount *mount, GBytes **ret_stored, struct cob_mountindex **ret_index)
{
    g_autoptr(GBytes) stored = NULL;

    COB_TRY(remote_get(
        request->backend, mount->digest, mount->len, COB_LIMIT_MOUNT_INDEX_BYTES, &stored));
    COB_TRY(remote_read_index(request, mount, stored, ret_index));
    *ret_stored = g_steal_pointer(&stored);
    return NULL;
}

struct cob_error *remote_pack_index(
    const struct cob_mountindex *index, GBytes **ret_stored, struct cob_mountdoc_mount **ret_mount)
{
    g_autoptr(GBytes) plain = cob_mountindex_encode(index);
    GByteArray *stored = g_byte_array_new();
    struct cob_mountdoc_mount *mount;

    struct cob_error *err = cob_layer_zstd_write(
        g_bytes_get_data(plain, NULL), g_bytes_get_size(plain), MOUNT_INDEX_LEVEL, append, stored);
    if (err) {
        g_byte_array_unref(stored);
        return err;
    }
    mount = g_new(struct cob_mountdoc_mount, 1);
    *mount = (struct cob_mountdoc_mount){.namespace = g_strdup(index->namespace),
        .id = g_strdup(index->id),
        .digest = cob_digest_of(stored->data, stored->len),
        .len = stored->len,
        .plain_len = g_bytes_get_size(plain)};
    for (guint i = 0; i < index->entries->len; i++) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(index, i);

        mount->n_files += entry->kind != COB_MOUNTINDEX_DIR;
        mount->n_bytes += entry->size;
    }
    *ret_stored = g_byte_array_free_to_bytes(stored);
    *ret_mount = mount;
    return NULL;
}

/* --- its name --- */

static const char *document_name(const struct cob_mountcache_request *request)
{
    const struct cob_cachebackend_options *options = cob_cachebackend_options_of(request->backend);

    if (request->document)
        return request->document;
    if (options->type == COB_CACHEBACKEND_REGISTRY)
        return options->ref->tag;
    return options->type == COB_CACHEBACKEND_LOCAL ? options->tag : options->name;
}

char *remote_place(const struct cob_mountcache_request *request)
{
    const struct cob_cachebackend_options *options = cob_cachebackend_options_of(request->backend);
    const char *name = document_name(request);

    switch (options->type) {
    case COB_CACHEBACKEND_LOCAL: {
        g_autofree char *path = g_canonicalize_filename(options->folder, NULL);

        return g_strdup_printf("local %s %s", path, name ? name : "");
    }
    case COB_CACHEBACKEND_REGISTRY: {
        g_autofree char *ref = cob_ref_name(options->ref);

        return g_strdup_printf("registry %s %s", ref, name ? name : "");
    }
    case COB_CACHEBACKEND_S3:
        return g_strdup_printf("s3 %s %s %s %s", options->endpoint_url ? options->endpoint_url : "",
            options->bucket, options->prefix ? options->prefix : "", name ? name : "");
    case COB_CACHEBACKEND_INLINE:
        break;
    }
    g_assert_not_reached();
}

char *cob_mountcache_name_beside(const struct cob_cachebackend_options *options)
{
    const char *name = NULL;

    switch (options->type) {
    case COB_CACHEBACKEND_LOCAL:
        name = options->tag;
        break;
    case COB_CACHEBACKEND_REGISTRY:
        name = options->ref->tag;
        break;
    case COB_CACHEBACKEND_S3:
        name = options->name ? options->name : "buildkit";
        break;
    case COB_CACHEBACKEND_INLINE:
        break;
    }
    return g_strdup_printf("%s-mounts", name ? name : "latest");
}
