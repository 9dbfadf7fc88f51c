/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache backends: where caches go to and come from when they leave this machine. What is kept there
 * is for others to say (build/remotecache: the build cache; build/mountcache: cache mounts); this
 * module knows blobs by their digests, and documents by a name.
 *
 *     type       a document's name          where                         a blob
 *     local      tag in index.json          an OCI layout folder          blobs/sha256/<hex>
 *     registry   tag                        a repository, as a manifest   a blob of the repository
 *     s3         name                       <prefix><manifests_prefix>N   <prefix><blobs_prefix>D
 *
 * A document is put only after every blob that it names. What comes back is hostile: blobs are held
 * against digest and size, documents against a limit.
 *
 * threads:  blobs may be got and put from several threads at a time.
 * spec:     BuildKit cache/remotecache/{local,registry,s3}; README "--cache-to", "--cache-from".
 */
#pragma once

#include "net/registry/registry.h"
#include "util/cancel.h"

enum cob_cachebackend_type {
    COB_CACHEBACKEND_LOCAL,
    COB_CACHEBACKEND_REGISTRY,
    COB_CACHEBACKEND_S3,
    COB_CACHEBACKEND_INLINE, /* with the image: nothing to open */
};

enum cob_cachebackend_way { COB_CACHEBACKEND_EXPORT, COB_CACHEBACKEND_IMPORT };

enum cob_cachebackend_mode { COB_CACHEBACKEND_MIN, COB_CACHEBACKEND_MAX };

/* One --cache-to or --cache-from, as it was written: "type=local,dest=x,mode=max". */
struct cob_cachebackend_options {
    enum cob_cachebackend_type type;
    enum cob_cachebackend_way way;
    char *text; /* without secrets, for people */

    /* local: dest or src, and for import what is in it by tag or digest. Absolute or as given. */
    char *folder;
    char *tag;     /* also of export; "latest" */
    char *digest;  /* NULL: by tag */
    bool is_reset; /* export: afterwards nothing else is in the folder */

    /* registry */
    struct cob_ref *ref; /* NULL for other types */
    bool is_insecure;    /* plain HTTP, or TLS that is not verified */

    /* s3; secrets may be NULL: from the environment, then from the usual files */
    char *bucket, *region, *prefix, *blobs_prefix, *manifests_prefix, *endpoint_url;
    char *access_key_id, *secret_access_key, *session_token;
    bool is_path_style;
    char *name;              /* of the document; "buildkit" */
    char **other_names;      /* which an export writes, too; NULL: none */
    int64_t touch_refresh_s; /* a blob this old is made new, for rules of expiry; 24 h */
    unsigned n_tries;        /* of one request; 0: the usual number */

    unsigned n_parallel; /* transfers at a time that the user asked for; 4 */
    int64_t timeout_s;   /* for a document to come, of a registry or s3; 60 */

    /* of export */
    enum cob_cachebackend_mode mode;
    bool is_image_manifest; /* an image manifest, not an index; true */
    bool is_oci_types;      /* true */
    char *compression;      /* NULL: gzip; "uncompressed", "gzip", "zstd" */
    int compression_level;  /* -1: default */
    bool is_force_compression;
    bool is_ignoring_errors; /* true: a failed export is a warning */

    /* Which cache mounts go along: "mounts=true", or "mounts=ID;ID". */
    bool has_all_mounts;
    char **mounts; /* NULL: none by name */

    struct cob_cachebackend_puts *puts; /* private: documents that were put with these options */
};

/*
 * Read one.
 *
 * text:    CSV of key=value, as buildx takes it; a bare word is a reference to a registry.
 * errors:  COB_INVALID: an unknown type or key, with the one that may have been meant; a key that
 *          must be there; a value that is none.
 */
COB_RESULT struct cob_error *cob_cachebackend_options_parse(
    const char *text, enum cob_cachebackend_way way, struct cob_cachebackend_options **ret_options);
void cob_cachebackend_options_free(struct cob_cachebackend_options *options);
COB_AUTOPTR(cob_cachebackend_options, cob_cachebackend_options_free)

struct cob_cachebackend; /* one that is open */

/*
 * Open one. Of an import, nothing is asked of a server yet.
 *
 * options:   borrowed until it is closed.
 * registry:  borrowed likewise; NULL for types that need none.
 * errors:    COB_NOT_FOUND for a local folder to import from that is not there.
 */
COB_RESULT struct cob_error *cob_cachebackend_open(const struct cob_cachebackend_options *options,
    struct cob_registry *registry, struct cob_cancel *cancel,
    struct cob_cachebackend **ret_backend);
void cob_cachebackend_close(struct cob_cachebackend *backend);
COB_AUTOPTR(cob_cachebackend, cob_cachebackend_close)

/* What it was opened with; borrowed. */
const struct cob_cachebackend_options *cob_cachebackend_options_of(
    const struct cob_cachebackend *backend);

/* Documents here are OCI manifests and indexes (local, registry); else any JSON will do (s3). */
bool cob_cachebackend_is_oci(const struct cob_cachebackend *backend);

/* A document as it is there now. */
struct cob_cachebackend_document {
    GBytes *bytes;
    char *media_type; /* "" when the backend does not say */
    char *digest;     /* of the bytes */
    char *version;    /* the backend's own mark of it (an ETag); NULL: the digest is it */
};
void cob_cachebackend_document_free(struct cob_cachebackend_document *document);
COB_AUTOPTR(cob_cachebackend_document, cob_cachebackend_document_free)

/*
 * Get what has a name now.
 *
 * name:          NULL: the one of the options (tag, digest or name).
 * ret_document:  the caller's; NULL when there is none.
 * errors:        COB_TIMEOUT after timeout_s, whatever was in the way.
 */
COB_RESULT struct cob_error *cob_cachebackend_get_document(struct cob_cachebackend *backend,
    const char *name, struct cob_cachebackend_document **ret_document);

/*
 * Put a document under a name, if what is there is still what the caller has seen.
 *
 * seen:       NULL: there was nothing. The document that was got before.
 * ret_is_put: false: somebody else was faster, nothing was changed; get, merge, and try again.
 *             local compares under a lock, s3 by If-Match; registries have no such thing: there the
 *             document is read back, and what another put over it in between is seen by him.
 *             NULL: whatever is there is replaced.
 */
COB_RESULT struct cob_error *cob_cachebackend_put_document(struct cob_cachebackend *backend,
    const char *name, const char *media_type, GBytes *bytes,
    const struct cob_cachebackend_document *seen, bool *ret_is_put);

/* Is a blob there?  size: what it must have. */
COB_RESULT struct cob_error *cob_cachebackend_has_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has);

/* Get a blob, verified: what the sink was given may be trusted once this succeeds.
 * errors: COB_NOT_FOUND; COB_DATA_LOSS for wrong bytes. */
COB_RESULT struct cob_error *cob_cachebackend_get_blob(struct cob_cachebackend *backend,
    const char *digest, uint64_t size, const struct cob_registry_sink *sink);

/* Put a blob that is not there yet; one that is costs a question and no bytes.
 * fd: from its beginning, by pread(): it may be read again. Borrowed.
 * ret_is_new: bytes were sent; may be NULL. */
COB_RESULT struct cob_error *cob_cachebackend_put_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, int fd, bool *ret_is_new);

/* The same with bytes that are at hand.  ret_digest: the caller's; may be NULL. */
COB_RESULT struct cob_error *cob_cachebackend_put_bytes(
    struct cob_cachebackend *backend, GBytes *bytes, char **ret_digest);

/* Remove every blob that no document of the folder leads to, and with is_reset every document but
 * those that were put with these options, through any backend. local alone can do it; others do
 * nothing. No other call may be running on this backend. Beside another
 * exporter nothing is removed: he who ends last does it.
 * Follows manifests, indexes and their configs' and layers' descriptors. */
COB_RESULT struct cob_error *cob_cachebackend_sweep(struct cob_cachebackend *backend);
