/* SPDX-License-Identifier: Apache-2.0 */
/* spec: BuildKit cache/remotecache/s3: keys of objects, and touch_refresh. */
#include <string.h>

#include "build/cachebackend/backend_parts.h"
#include "net/s3/s3.h"
#include "util/limits.h"
#include "util/log.h"

#define COPY_BYTES (5 * COB_GIB) /* the longest object that S3 copies at once */

static struct cob_error *s3_open(struct cob_cachebackend *backend)
{
    const struct cob_cachebackend_options *options = backend->options;
    const struct cob_s3_config config = {.bucket = options->bucket,
        .region = options->region,
        .endpoint_url = options->endpoint_url,
        .is_path_style = options->is_path_style,
        .access_key_id = options->access_key_id,
        .secret_access_key = options->secret_access_key,
        .session_token = options->session_token,
        .timing = {.n_tries = options->n_tries}};
    struct cob_s3 *s3 = NULL;

    COB_TRY(cob_s3_open(&config, &s3));
    backend->own = s3;
    return NULL;
}

static void s3_close(void *own)
{
    cob_s3_close(own);
}

/* --- documents --- */

static char *document_key(const struct cob_cachebackend_options *options, const char *name)
{
    return g_strconcat(
        options->prefix, options->manifests_prefix, name ? name : options->name, NULL);
}

static struct cob_error *s3_get_document(struct cob_cachebackend *backend, const char *name,
    struct cob_cancel *cancel, struct cob_cachebackend_document **ret_document)
{
    g_autofree char *key = document_key(backend->options, name);
    g_autofree char *etag = NULL;
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(
        cob_s3_get_bytes(backend->own, key, COB_LIMIT_CACHE_DOCUMENT_BYTES, cancel, &bytes, &etag));
    *ret_document = bytes ? cob_backend_document_new(bytes, NULL, etag) : NULL;
    return NULL;
}

static struct cob_error *put_named(struct cob_cachebackend *backend, const char *name,
    GBytes *bytes, const struct cob_s3_condition *condition, bool *ret_is_put)
{
    g_autofree char *key = document_key(backend->options, name);

    return cob_s3_put_bytes(
        backend->own, key, "application/json", bytes, condition, backend->cancel, ret_is_put);
}

/* Only the first name is compared: it is the one that is imported, and merged with. */
static struct cob_error *s3_put_document(struct cob_cachebackend *backend, const char *name,
    const char *media_type, GBytes *bytes, const struct cob_cachebackend_document *seen,
    bool *ret_is_put)
{
    static const struct cob_s3_condition any = {.is_any = true};
    const struct cob_s3_condition condition = {
        .is_any = !ret_is_put, .etag = seen ? seen->version : NULL};
    char **other = name ? NULL : backend->options->other_names;
    bool is_put = false, is_other_put = false;

    (void)media_type;
    if (seen && ret_is_put && !seen->version)
        return cob_fail(COB_UNIMPLEMENTED, "the server gives its objects no ETag");
    COB_TRY(put_named(backend, name, bytes, &condition, &is_put));
    if (ret_is_put)
        *ret_is_put = is_put;
    for (; is_put && other && *other; other++)
        COB_TRY(put_named(backend, *other, bytes, &any, &is_other_put));
    return NULL;
}

/* --- blobs --- */

static char *blob_key(const struct cob_cachebackend *backend, const char *digest)
{
    const struct cob_cachebackend_options *options = backend->options;

    return g_strconcat(options->prefix, options->blobs_prefix, digest, NULL);
}

/* ret_age_s: since it was written; 0 when that is not known. */
static struct cob_error *find_blob(struct cob_cachebackend *backend, const char *key, uint64_t size,
    bool *ret_has, int64_t *ret_age_s)
{
    struct cob_s3_object object;

    COB_TRY(cob_s3_head(backend->own, key, backend->cancel, &object));
    *ret_has = object.is_there && (object.size < 0 || (uint64_t)object.size == size);
    *ret_age_s =
        object.modified_s >= 0 ? g_get_real_time() / G_USEC_PER_SEC - object.modified_s : 0;
    cob_s3_object_done(&object);
    return NULL;
}

/* A blob that is used stays young, for rules that remove what is old. One that cannot be made so
 * is there all the same. */
static struct cob_error *refresh(struct cob_cachebackend *backend, const char *key)
{
    struct cob_error *err = cob_s3_touch(backend->own, key, backend->cancel);

    if (err && cob_error_code(err) != COB_CANCELLED) {
        cob_trace(1, "s3: %s was not made new", key);
        g_clear_pointer(&err, cob_error_free);
    }
    return err;
}

static struct cob_error *s3_has_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has)
{
    g_autofree char *key = blob_key(backend, digest);
    int64_t age_s = 0;

    COB_TRY(find_blob(backend, key, size, ret_has, &age_s));
    bool is_export = backend->options->way == COB_CACHEBACKEND_EXPORT;
    if (*ret_has && is_export && age_s > backend->options->touch_refresh_s && size <= COPY_BYTES)
        return refresh(backend, key);
    return NULL;
}

static struct cob_error *s3_get_blob(struct cob_cachebackend *backend, const char *digest,
    uint64_t size, const struct cob_registry_sink *sink)
{
    g_autofree char *key = blob_key(backend, digest);
    struct cob_http_receiver receiver = {.who = "bucket",
        .digest = digest,
        .size = size,
        .write = sink->write,
        .progress = sink->progress,
        .arg = sink->arg};

    return cob_s3_get(backend->own, key, &receiver, backend->cancel);
}

static struct cob_error *s3_put_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, int fd, bool *ret_is_new)
{
    g_autofree char *key = blob_key(backend, digest);
    const struct cob_http_body body = {.size = size, .read = cob_backend_read_fd, .arg = &fd};
    bool has = false;

    COB_TRY(s3_has_blob(backend, digest, size, &has));
    *ret_is_new = !has;
    return has ? NULL : cob_s3_put(backend->own, key, digest, &body, backend->cancel);
}

const struct backend_impl cob_backend_s3 = {.is_oci = false,
    .open = s3_open,
    .close = s3_close,
    .get_document = s3_get_document,
    .put_document = s3_put_document,
    .has_blob = s3_has_blob,
    .get_blob = s3_get_blob,
    .put_blob = s3_put_blob};
