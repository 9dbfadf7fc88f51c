/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this module share: a backend is a table of functions.
 *
 * threads:  everything but open and close may be called by several at a time.
 */
#pragma once

#include "build/cachebackend/cachebackend.h"

/* One type of backend. Arguments are those of the public functions; digests were checked. */
struct backend_impl {
    bool is_oci;
    struct cob_error *(*open)(struct cob_cachebackend *backend); /* sets backend->own */
    void (*close)(void *own);                                    /* NULL is passed over */
    struct cob_error *(*get_document)(struct cob_cachebackend *backend, const char *name,
        struct cob_cancel *cancel, struct cob_cachebackend_document **ret_document);
    struct cob_error *(*put_document)(struct cob_cachebackend *backend, const char *name,
        const char *media_type, GBytes *bytes, const struct cob_cachebackend_document *seen,
        bool *ret_is_put);
    struct cob_error *(*has_blob)(
        struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has);
    struct cob_error *(*get_blob)(struct cob_cachebackend *backend, const char *digest,
        uint64_t size, const struct cob_registry_sink *sink);
    struct cob_error *(*put_blob)(struct cob_cachebackend *backend, const char *digest,
        uint64_t size, int fd, bool *ret_is_new);
    struct cob_error *(*sweep)(struct cob_cachebackend *backend); /* NULL: nothing to do */
};

extern const struct backend_impl cob_backend_local;
extern const struct backend_impl cob_backend_registry;
extern const struct backend_impl cob_backend_s3;

struct cob_cachebackend {
    const struct backend_impl *impl;
    const struct cob_cachebackend_options *options; /* borrowed */
    struct cob_registry *registry;                  /* borrowed; NULL: none */
    struct cob_cancel *cancel;                      /* borrowed; NULL: never */
    void *own;                                      /* of the type */
    GMutex lock;                                    /* guards what follows */
    GHashTable *there;                              /* char *, owned: blobs known to be there */
};

/* Names of documents that were put. threads: any. */
struct cob_cachebackend_puts *cob_backend_puts_new(void);
void cob_backend_puts_free(struct cob_cachebackend_puts *puts);
void cob_backend_puts_add(struct cob_cachebackend_puts *puts, const char *name);
bool cob_backend_puts_has(struct cob_cachebackend_puts *puts, const char *name);

/* A document of bytes; takes a reference on them. media_type, version: copied; NULL is "" or NULL.
 */
struct cob_cachebackend_document *cob_backend_document_new(
    GBytes *bytes, const char *media_type, const char *version);

/* Read a blob for an upload, by pread().  arg: the descriptor, an int *.
 * errors: COB_ABORTED when it ends early. */
COB_RESULT struct cob_error *cob_backend_read_fd(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n);
