/* SPDX-License-Identifier: Apache-2.0 */
#include "build/cachebackend/cachebackend.h"

#include <string.h>
#include <sys/mman.h>

#include "build/cachebackend/backend_parts.h"
#include "build/cachebackend/timeout.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

static const struct backend_impl *const impls[] = {
    [COB_CACHEBACKEND_LOCAL] = &cob_backend_local,
    [COB_CACHEBACKEND_REGISTRY] = &cob_backend_registry,
    [COB_CACHEBACKEND_S3] = &cob_backend_s3,
    [COB_CACHEBACKEND_INLINE] = NULL,
};

struct cob_error *cob_cachebackend_open(const struct cob_cachebackend_options *options,
    struct cob_registry *registry, struct cob_cancel *cancel, struct cob_cachebackend **ret_backend)
{
    const struct backend_impl *impl = impls[options->type];

    if (!impl)
        return cob_fail(COB_INVALID, "an inline cache is a part of its image");
    g_autoptr(cob_cachebackend) backend = g_new(struct cob_cachebackend, 1);
    *backend = (struct cob_cachebackend){.impl = impl,
        .options = options,
        .registry = registry,
        .cancel = cancel,
        .there = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    g_mutex_init(&backend->lock);
    COB_TRY(cob_wrap(impl->open(backend), "cache %s", options->text));
    *ret_backend = g_steal_pointer(&backend);
    return NULL;
}

void cob_cachebackend_close(struct cob_cachebackend *backend)
{
    if (!backend)
        return;
    backend->impl->close(backend->own);
    g_hash_table_unref(backend->there);
    g_mutex_clear(&backend->lock);
    g_free(backend);
}

const struct cob_cachebackend_options *cob_cachebackend_options_of(
    const struct cob_cachebackend *backend)
{
    return backend->options;
}

bool cob_cachebackend_is_oci(const struct cob_cachebackend *backend)
{
    return backend->impl->is_oci;
}

struct cob_cachebackend_document *cob_backend_document_new(
    GBytes *bytes, const char *media_type, const char *version)
{
    struct cob_cachebackend_document *document = g_new(struct cob_cachebackend_document, 1);

    *document = (struct cob_cachebackend_document){.bytes = g_bytes_ref(bytes),
        .media_type = g_strdup(media_type ? media_type : ""),
        .digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)),
        .version = g_strdup(version)};
    return document;
}

void cob_cachebackend_document_free(struct cob_cachebackend_document *document)
{
    if (!document)
        return;
    g_bytes_unref(document->bytes);
    g_free(document->media_type);
    g_free(document->digest);
    g_free(document->version);
    g_free(document);
}

/* --- documents --- */

static struct cob_error *get_in_time(struct cob_cachebackend *backend, const char *name,
    struct cob_cachebackend_document **ret_document)
{
    int64_t timeout_s = backend->options->timeout_s;
    struct timeout *timeout = NULL;

    if (backend->options->type == COB_CACHEBACKEND_LOCAL || timeout_s == 0)
        return backend->impl->get_document(backend, name, backend->cancel, ret_document);
    COB_TRY(cob_timeout_new(backend->cancel, timeout_s, &timeout));
    struct cob_error *err =
        backend->impl->get_document(backend, name, cob_timeout_cancel(timeout), ret_document);
    return cob_timeout_end(timeout, err);
}

struct cob_error *cob_cachebackend_get_document(struct cob_cachebackend *backend, const char *name,
    struct cob_cachebackend_document **ret_document)
{
    struct cob_cachebackend_document *document = NULL;

    COB_TRY(cob_wrap(get_in_time(backend, name, &document), "cache %s", backend->options->text));
    *ret_document = document;
    return NULL;
}

struct cob_error *cob_cachebackend_put_document(struct cob_cachebackend *backend, const char *name,
    const char *media_type, GBytes *bytes, const struct cob_cachebackend_document *seen,
    bool *ret_is_put)
{
    bool is_put = true;

    if (g_bytes_get_size(bytes) > COB_LIMIT_CACHE_DOCUMENT_BYTES)
        return cob_fail(COB_EXHAUSTED,
            "cache %s: its description has %zu bytes, more than %" PRIu64, backend->options->text,
            g_bytes_get_size(bytes), (uint64_t)COB_LIMIT_CACHE_DOCUMENT_BYTES);
    COB_TRY(cob_wrap(backend->impl->put_document(
                         backend, name, media_type, bytes, seen, ret_is_put ? &is_put : NULL),
        "cache %s", backend->options->text));
    if (ret_is_put)
        *ret_is_put = is_put;
    return NULL;
}

/* --- blobs --- */

/* Only sha256 becomes part of a path or a URL. */
static struct cob_error *check_digest(const char *digest)
{
    struct cob_sha256 sha;

    if (!cob_sha256_parse(digest, &sha))
        return cob_fail(COB_INVALID, "blob %.100s: not a digest of sha256", digest);
    return NULL;
}

static bool is_known(struct cob_cachebackend *backend, const char *digest)
{
    g_mutex_lock(&backend->lock);
    bool is_there = g_hash_table_contains(backend->there, digest);
    g_mutex_unlock(&backend->lock);
    return is_there;
}

/* That a blob is there is remembered, that one is not is not: another may put it any time. */
static void set_known(struct cob_cachebackend *backend, const char *digest)
{
    g_mutex_lock(&backend->lock);
    g_hash_table_add(backend->there, g_strdup(digest));
    g_mutex_unlock(&backend->lock);
}

static struct cob_error *has_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has)
{
    COB_TRY(check_digest(digest));
    *ret_has = is_known(backend, digest);
    if (*ret_has)
        return NULL;
    COB_TRY(backend->impl->has_blob(backend, digest, size, ret_has));
    if (*ret_has)
        set_known(backend, digest);
    return NULL;
}

struct cob_error *cob_cachebackend_has_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has)
{
    bool has = false;

    COB_TRY(cob_wrap(has_blob(backend, digest, size, &has), "cache %s", backend->options->text));
    *ret_has = has;
    return NULL;
}

static struct cob_error *get_blob(struct cob_cachebackend *backend, const char *digest,
    uint64_t size, const struct cob_registry_sink *sink)
{
    COB_TRY(check_digest(digest));
    if (size > COB_LIMIT_LAYER_BYTES)
        return cob_fail(COB_EXHAUSTED, "its %" PRIu64 " bytes are past the limit of %" PRIu64, size,
            (uint64_t)COB_LIMIT_LAYER_BYTES);
    return cob_wrap(backend->impl->get_blob(backend, digest, size, sink), "blob %s", digest);
}

struct cob_error *cob_cachebackend_get_blob(struct cob_cachebackend *backend, const char *digest,
    uint64_t size, const struct cob_registry_sink *sink)
{
    return cob_wrap(get_blob(backend, digest, size, sink), "cache %s", backend->options->text);
}

static struct cob_error *put_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, int fd, bool *ret_is_new)
{
    COB_TRY(check_digest(digest));
    if (is_known(backend, digest))
        return NULL;
    COB_TRY(cob_wrap(
        backend->impl->put_blob(backend, digest, size, fd, ret_is_new), "blob %s", digest));
    set_known(backend, digest);
    return NULL;
}

struct cob_error *cob_cachebackend_put_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, int fd, bool *ret_is_new)
{
    bool is_new = false;

    COB_TRY(
        cob_wrap(put_blob(backend, digest, size, fd, &is_new), "cache %s", backend->options->text));
    if (ret_is_new)
        *ret_is_new = is_new;
    return NULL;
}

struct cob_error *cob_backend_read_fd(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n)
{
    const int *fd = arg;
    ssize_t n = TEMP_FAILURE_RETRY(pread(*fd, buffer, len, (off_t)offset));

    if (n < 0)
        return cob_fail_errno(errno, "read");
    if (n == 0)
        return cob_fail(COB_ABORTED, "the file became shorter while it was sent");
    *ret_n = (size_t)n;
    return NULL;
}

/* Bytes as a file that has no name. */
static struct cob_error *make_memory_file(const void *data, size_t len, int *ret_fd)
{
    cob_autoclose int fd = memfd_create("document", MFD_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "make a file in memory");
    COB_TRY(cob_fs_write_fd(fd, data, len));
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

struct cob_error *cob_cachebackend_put_bytes(
    struct cob_cachebackend *backend, GBytes *bytes, char **ret_digest)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autofree char *digest = cob_digest_of(data, len);
    cob_autoclose int fd = -1;

    COB_TRY(make_memory_file(data, len, &fd));
    COB_TRY(cob_cachebackend_put_blob(backend, digest, len, fd, NULL));
    if (ret_digest)
        *ret_digest = g_steal_pointer(&digest);
    return NULL;
}

struct cob_error *cob_cachebackend_sweep(struct cob_cachebackend *backend)
{
    if (!backend->impl->sweep)
        return NULL;
    g_mutex_lock(&backend->lock);
    g_hash_table_remove_all(backend->there);
    g_mutex_unlock(&backend->lock);
    return cob_wrap(backend->impl->sweep(backend), "cache %s", backend->options->text);
}
