/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository of a registry: documents are manifests under tags, blobs are its blobs.
 *
 * Registries do not compare before they replace. Two exporters that do it here by turns:
 *
 *     A: get, is it what I have seen? ---- put ---- wait ---- get: is it mine?   yes: done
 *     B:      get, ... ---------------------- put ---- wait ---- get ...         no: merge again
 *
 * The wait is longer than the time from a get to a put, so that who was overwritten finds out.
 */
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "build/cachebackend/backend_parts.h"
#include "util/digest.h"

#define WAIT_LEAST_US (100 * 1000)
#define WAIT_MOST_US (2 * 1000 * 1000)
#define WAIT_FACTOR 4

/* What a backend knows beside its options. */
struct repository {
    int is_met; /* atomic; an insecure one was asked what it speaks */
};

static struct cob_error *registry_open(struct cob_cachebackend *backend)
{
    g_assert(backend->registry != NULL);
    backend->own = g_new0(struct repository, 1);
    return NULL;
}

static void registry_close(void *own)
{
    g_free(own);
}

/* registry.insecure: which of plain HTTP and TLS that nobody vouches for is it? Two threads that
 * come here first both ask. */
static struct cob_error *meet(struct cob_cachebackend *backend, struct cob_cancel *cancel)
{
    struct repository *repository = backend->own;

    if (!backend->options->is_insecure || g_atomic_int_get(&repository->is_met))
        return NULL;
    COB_TRY(cob_registry_allow_insecure(backend->registry, backend->options->ref->domain, cancel));
    g_atomic_int_set(&repository->is_met, 1);
    return NULL;
}

/* --- documents --- */

/* name: NULL: the options' own; a tag or a digest. */
static struct cob_error *find_ref(
    const struct cob_cachebackend *backend, const char *name, struct cob_ref **ret_ref)
{
    const struct cob_ref *own = backend->options->ref;

    if (!name)
        *ret_ref = cob_ref_with(own, own->tag, own->digest);
    else if (cob_digest_is_valid(name))
        *ret_ref = cob_ref_with(own, NULL, name);
    else if (cob_ref_tag_is_valid(name))
        *ret_ref = cob_ref_with(own, name, NULL);
    else
        return cob_fail(COB_INVALID, "\"%.100s\" is not a tag", name);
    return NULL;
}

static struct cob_error *get_ref(struct cob_cachebackend *backend, const struct cob_ref *ref,
    struct cob_cancel *cancel, struct cob_cachebackend_document **ret_document)
{
    bool is_export = backend->options->way == COB_CACHEBACKEND_EXPORT;
    g_autoptr(cob_registry_manifest) manifest = NULL;
    struct cob_error *err =
        is_export ? cob_registry_get_pushed(backend->registry, ref, cancel, &manifest)
                  : cob_registry_get_manifest(backend->registry, ref, cancel, &manifest);

    if (err && cob_error_code(err) == COB_NOT_FOUND) {
        cob_error_free(err);
        *ret_document = NULL;
        return NULL;
    }
    COB_TRY(err);
    *ret_document = cob_backend_document_new(manifest->bytes, manifest->media_type, NULL);
    return NULL;
}

static struct cob_error *registry_get_document(struct cob_cachebackend *backend, const char *name,
    struct cob_cancel *cancel, struct cob_cachebackend_document **ret_document)
{
    g_autoptr(cob_ref) ref = NULL;

    COB_TRY(meet(backend, cancel));
    COB_TRY(find_ref(backend, name, &ref));
    return get_ref(backend, ref, cancel, ret_document);
}

static struct cob_error *sleep_us(int64_t us, struct cob_cancel *cancel)
{
    struct pollfd wish = {.fd = cob_cancel_fd(cancel), .events = POLLIN};

    poll(&wish, 1, (int)(us / 1000)); /* a signal only wakes it early */
    return cob_cancel_check(cancel);
}

static struct cob_error *is_digest_there(
    struct cob_cachebackend *backend, const struct cob_ref *ref, const char *digest, bool *ret_is)
{
    g_autoptr(cob_cachebackend_document) now = NULL;

    COB_TRY(get_ref(backend, ref, backend->cancel, &now));
    *ret_is = g_strcmp0(now ? now->digest : NULL, digest) == 0;
    return NULL;
}

static struct cob_error *compare_and_put(struct cob_cachebackend *backend,
    const struct cob_ref *ref, const char *media_type, GBytes *bytes,
    const struct cob_cachebackend_document *seen, bool *ret_is_put)
{
    g_autofree char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    int64_t before = g_get_monotonic_time();

    if (seen && strcmp(seen->digest, digest) == 0) /* nothing new: to look is enough */
        return is_digest_there(backend, ref, digest, ret_is_put);
    COB_TRY(is_digest_there(backend, ref, seen ? seen->digest : NULL, ret_is_put));
    if (!*ret_is_put)
        return NULL;
    COB_TRY(cob_registry_push_manifest(backend->registry, ref, media_type, bytes, backend->cancel));
    int64_t took = g_get_monotonic_time() - before;
    COB_TRY(sleep_us(CLAMP(took * WAIT_FACTOR, WAIT_LEAST_US, WAIT_MOST_US), backend->cancel));
    return is_digest_there(backend, ref, digest, ret_is_put);
}

static struct cob_error *registry_put_document(struct cob_cachebackend *backend, const char *name,
    const char *media_type, GBytes *bytes, const struct cob_cachebackend_document *seen,
    bool *ret_is_put)
{
    g_autoptr(cob_ref) ref = NULL;

    COB_TRY(meet(backend, backend->cancel));
    COB_TRY(find_ref(backend, name, &ref));
    if (ret_is_put)
        return compare_and_put(backend, ref, media_type, bytes, seen, ret_is_put);
    return cob_registry_push_manifest(backend->registry, ref, media_type, bytes, backend->cancel);
}

/* --- blobs --- */

static struct cob_registry_blob blob_of(
    const struct cob_cachebackend *backend, const char *digest, uint64_t size)
{
    return (struct cob_registry_blob){.ref = backend->options->ref, .digest = digest, .size = size};
}

static struct cob_error *registry_has_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has)
{
    const struct cob_registry_blob blob = blob_of(backend, digest, size);

    COB_TRY(meet(backend, backend->cancel));
    return cob_registry_has_blob(backend->registry, &blob, backend->cancel, ret_has);
}

static struct cob_error *registry_get_blob(struct cob_cachebackend *backend, const char *digest,
    uint64_t size, const struct cob_registry_sink *sink)
{
    const struct cob_registry_blob blob = blob_of(backend, digest, size);

    COB_TRY(meet(backend, backend->cancel));
    return cob_registry_get_blob(backend->registry, &blob, sink, backend->cancel);
}

static struct cob_error *registry_put_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, int fd, bool *ret_is_new)
{
    const struct cob_registry_blob blob = blob_of(backend, digest, size);
    const struct cob_registry_source source = {.read = cob_backend_read_fd, .arg = &fd};

    COB_TRY(meet(backend, backend->cancel));
    return cob_registry_push_blob(backend->registry, &blob, &source, backend->cancel, ret_is_new);
}

const struct backend_impl cob_backend_registry = {.is_oci = true,
    .open = registry_open,
    .close = registry_close,
    .get_document = registry_get_document,
    .put_document = registry_put_document,
    .has_blob = registry_has_blob,
    .get_blob = registry_get_blob,
    .put_blob = registry_put_blob};
