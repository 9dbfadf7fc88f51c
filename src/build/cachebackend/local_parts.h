/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI layout of a local backend: what its files share.
 */
#pragma once

#include "build/cachebackend/backend_parts.h"
#include "spec/oci/oci.h"
#include "util/json.h"

#define COB_LOCAL_REF_NAME "org.opencontainers.image.ref.name"

struct layout_folder {
    int folder_fd;
    int blobs_fd;  /* of an export, blobs/sha256; -1: none */
    int ingest_fd; /* likewise, ingest */
    int layout_fd; /* likewise: carries the lock */
    int is_locked; /* atomic; layout_fd is, shared */
};

/* flock(), and a wish to stop is obeyed while another holds it. */
COB_RESULT struct cob_error *cob_local_lock_file(int fd, int kind, struct cob_cancel *cancel);

/* Open a regular file below the folder, no symlink on the way; FIFOs and the like are refused
 * unopened.  ret_fd: -1 when there is none. */
COB_RESULT struct cob_error *cob_local_open_file(int folder_fd, const char *path, int *ret_fd);

/* "blobs/sha256/<hex>" of a digest. The caller frees it. */
char *cob_local_blob_path(const char *digest);

/* A blob as a whole, verified.  ret_bytes: NULL when there is none.
 * errors: COB_DATA_LOSS; COB_EXHAUSTED past `max_bytes`. */
COB_RESULT struct cob_error *cob_local_read_blob(
    int folder_fd, const char *digest, uint64_t max_bytes, GBytes **ret_bytes);

/* Lock index.json as BuildKit does, for as long as ret_fd is open. Needs a folder to write to. */
COB_RESULT struct cob_error *cob_local_lock_index(
    int folder_fd, struct cob_cancel *cancel, int *ret_fd);

/* Wait until nobody writes index.json: BuildKit does so in place. */
COB_RESULT struct cob_error *cob_local_wait_for_writers(int folder_fd, struct cob_cancel *cancel);

/* index.json, checked.  ret_index: an object with an array "manifests"; the caller's. An empty one
 * when there is no file. */
COB_RESULT struct cob_error *cob_local_read_index(int folder_fd, json_t **ret_index);

/* Put another in its place, whole. */
COB_RESULT struct cob_error *cob_local_write_index(int folder_fd, const json_t *index);

/* The tag of an entry of it, or NULL. */
const char *cob_local_name_of(const json_t *entry);

/* The sweep of a backend. */
COB_RESULT struct cob_error *cob_local_sweep(struct cob_cachebackend *backend);
