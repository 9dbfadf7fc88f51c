/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registries: manifests and blobs fetched and pushed by the distribution protocol, over libcurl.
 *
 * Bytes go to the caller, who stores them; nothing here knows a store. A manifest is held against
 * its digest and a blob against its digest and size before a call succeeds.
 *
 *     caller                      here                                      servers
 *     get_manifest, get_blob  ->  mirrors in order, then the registry   ->  GET /v2/...
 *                                   401: credentials, token, once more  ->  the realm
 *                                   30x: followed, Authorization kept to its own origin
 *                                   429, 5xx, a break: wait, go on where it broke
 *
 *     push_blob, push_manifest -> the registry itself, no mirror    ->  POST, PATCH, PUT /v2/...
 *                                   a break: asked how much came, gone on there, or begun anew
 *
 * Credentials: docker's config.json (auths, credHelpers, credsStore), looked up when a registry
 * asks for them, and sent to that registry or the realm it names, nowhere else.
 * Per registry: mirrors, plain HTTP, CAs and client certificates; see docs/registries.md.
 * Plain HTTP is for localhost, 127.0.0.0/8, ::1 and what is configured so; HTTPS never falls back.
 * libcurl is loaded by the first request: a build with nothing to fetch does not pay for it.
 *
 * threads:  any; calls run side by side, each in its caller's thread, and layers come in parallel
 *           by calling from several.
 * spec:     OCI distribution-spec, "Pull" and "Push"; distribution docs/spec/auth/{token,oauth}.md.
 */
#pragma once

#include "net/http/http.h"
#include "spec/ref/ref.h"
#include "util/cancel.h"
#include "util/error.h"

/* Where settings are. All borrowed for the call of cob_registry_new(). NULL: the usual place; "":
 * none. */
struct cob_registry_config {
    const char *docker_config;    /* a file: $DOCKER_CONFIG/config.json, ~/.docker/config.json */
    const char *registries;       /* a file: $COB_CONFIG/registries.json, else
                                    * $XDG_CONFIG_HOME/cob/registries.json, else /etc/cob/... */
    const char *const *cert_dirs; /* NULL-terminated; of each, <host:port>/{*.crt,*.cert,*.key}:
                                    * /etc/containers/certs.d, /etc/docker/certs.d */
    struct cob_http_timing timing;
    unsigned helper_ms; /* for a credential helper; 0: 60000 */
    unsigned total_ms;  /* all tries of a request, and 1 s more for 8 KiB of a blob; 0: 600000 */
    uint64_t one_put_bytes; /* a blob to push that is longer can be resumed; 0: 64 MiB */
};

struct cob_registry; /* what is known of registries: settings, tokens, idle connections */

/* config: NULL is all defaults. Nothing is read or loaded yet. */
struct cob_registry *cob_registry_new(const struct cob_registry_config *config);

/* No call may be running. NULL is passed over. */
void cob_registry_free(struct cob_registry *registry);
COB_AUTOPTR(cob_registry, cob_registry_free)

/* A manifest or an index, as the registry has it. */
struct cob_registry_manifest {
    GBytes *bytes;
    char *media_type; /* the Content-Type, without parameters, or ""; the document may differ */
    char *digest;     /* of the bytes, as computed here */
};

/* NULL is passed over. */
void cob_registry_manifest_free(struct cob_registry_manifest *manifest);
COB_AUTOPTR(cob_registry_manifest, cob_registry_manifest_free)

/*
 * Fetch the manifest or index that a reference names, by its digest when it has one.
 *
 * cancel:        NULL: never.
 * ret_manifest:  the caller's.
 * errors:        each begins with the reference. COB_NOT_FOUND; COB_DENIED when there is no access,
 *                which is also what registries say of repositories that do not exist;
 *                COB_UNAVAILABLE when tries ran out; COB_EXHAUSTED past COB_LIMIT_MANIFEST_BYTES;
 *                COB_DATA_LOSS for a wrong digest; COB_CANCELLED.
 */
COB_RESULT struct cob_error *cob_registry_get_manifest(struct cob_registry *registry,
    const struct cob_ref *ref, struct cob_cancel *cancel,
    struct cob_registry_manifest **ret_manifest);

/* Which blob is meant: a descriptor, and where to look for it. */
struct cob_registry_blob {
    const struct cob_ref *ref; /* its domain and path count */
    const char *digest;        /* "sha256:<hex>"; others are refused */
    uint64_t size;             /* exactly so many bytes */
};

/* Where the bytes of a blob go. All of it is called from the thread of the call, in order. */
struct cob_registry_sink {
    /* Take the next bytes. An error ends the fetch and is its error. */
    struct cob_error *(*write)(void *arg, const void *data, size_t len);
    /* What was written is of no use: begin anew. NULL: cannot be done. Asked for only when a mirror
     * gave wrong bytes to the last and another server may have the right ones. */
    struct cob_error *(*restart)(void *arg);
    /* So many bytes of the blob were written. May be NULL. */
    void (*progress)(void *arg, uint64_t n_done);
    void *arg;
};

/*
 * Fetch a blob, piece by piece. What the sink was given is to be trusted only once this succeeds.
 *
 * A transfer that breaks goes on where it broke, at the same server or the next, with the hash
 * running on. "urls" of foreign layers are never looked at.
 *
 * errors:  as for manifests; each begins with the reference's name and the digest. COB_DATA_LOSS
 *          for a wrong digest or size.
 */
COB_RESULT struct cob_error *cob_registry_get_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, const struct cob_registry_sink *sink,
    struct cob_cancel *cancel);

/* A small blob as a whole: an image config.
 * errors: also COB_EXHAUSTED when its size is past max_bytes, before anything is asked. */
COB_RESULT struct cob_error *cob_registry_get_bytes(struct cob_registry *registry,
    const struct cob_registry_blob *blob, uint64_t max_bytes, struct cob_cancel *cancel,
    GBytes **ret_bytes);

/* An image for one platform: the documents that say what it is. Layers are not among them. */
struct cob_registry_image {
    struct cob_registry_manifest *top;      /* what the reference names: an index, or the next */
    struct cob_registry_manifest *manifest; /* of the image itself */
    GBytes *config;                         /* its image config */
};

/* NULL is passed over. */
void cob_registry_image_free(struct cob_registry_image *image);
COB_AUTOPTR(cob_registry_image, cob_registry_image_free)

/*
 * From a reference to the image for a platform: through indexes to a manifest, and its config.
 *
 * ret_image:  the caller's. Every document was held against its digest, by the one above it.
 * errors:     those of get_manifest and get_bytes; COB_INVALID for what is not an image;
 *             COB_NOT_FOUND when no entry of an index fits, which lists those that are there.
 */
COB_RESULT struct cob_error *cob_registry_resolve(struct cob_registry *registry,
    const struct cob_ref *ref, const struct cob_platform *platform, struct cob_cancel *cancel,
    struct cob_registry_image **ret_image);

/* --- pushing: to the registry itself, never to a mirror --- */

/*
 * For this registry take any certificate, and plain HTTP when it speaks no TLS: "insecure", as the
 * user said. It is asked once which of the two it is.
 *
 * errors: COB_UNAVAILABLE when it does not answer.
 */
COB_RESULT struct cob_error *cob_registry_allow_insecure(
    struct cob_registry *registry, const char *domain, struct cob_cancel *cancel);

/* A manifest as the registry itself has it, past its mirrors: what a push is to be merged with.
 * Otherwise as cob_registry_get_manifest(). */
COB_RESULT struct cob_error *cob_registry_get_pushed(struct cob_registry *registry,
    const struct cob_ref *ref, struct cob_cancel *cancel,
    struct cob_registry_manifest **ret_manifest);

/* Does the registry itself have a blob, in the repository of its reference? */
COB_RESULT struct cob_error *cob_registry_has_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, struct cob_cancel *cancel, bool *ret_has);

/* Where the bytes of a blob come from. */
struct cob_registry_source {
    /* Bytes from `offset` on, up to `len`, at least one. It may be asked again from any earlier
     * place. An error ends the push and is its error. */
    struct cob_error *(*read)(void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n);
    /* So many bytes were sent; fewer than before when it begins anew. May be NULL. */
    void (*progress)(void *arg, uint64_t n_done);
    void *arg;
    const char *mount_from; /* a repository of the same registry that may have it; NULL: none */
};

/*
 * Push a blob, unless it is there.
 *
 * ret_is_new:  bytes were sent. May be NULL.
 * errors:      each begins with the reference's name and the digest. COB_DENIED; COB_NOT_FOUND: no
 *              such repository, and it is not made; COB_EXHAUSTED: it is too large for the
 *              registry; COB_DATA_LOSS: the registry says that it has other bytes now;
 *              COB_UNAVAILABLE when tries ran out; COB_CANCELLED.
 */
COB_RESULT struct cob_error *cob_registry_push_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, const struct cob_registry_source *source,
    struct cob_cancel *cancel, bool *ret_is_new);

/* Push a manifest or an index under a reference's digest, which must be its own, else under its
 * tag. What it names must be there. Otherwise as cob_registry_push_blob(). */
COB_RESULT struct cob_error *cob_registry_push_manifest(struct cob_registry *registry,
    const struct cob_ref *ref, const char *media_type, GBytes *bytes, struct cob_cancel *cancel);
