/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache mounts that travel: exported to a cache backend as a document, indexes and packs
 * (docs/cache-mount-format.md), and imported into what is here.
 *
 *     cache mount --scan--> entries --read, hash--> chunks --16 MiB--> packs --zstd--> backend
 *                              |                      only those that no pack there has
 *                              +--merge with what is there, and with the last seen--> index
 *
 *     at export, a path is   here        not here, and
 *                                        last seen there   never seen
 *     there, as last seen    from here   dropped           (cannot be)
 *     there, changed         the newer   kept              kept
 *     not there              from here
 *
 *     at import, a path is   not here    a file here             another kind
 *     a file                 made        the newer one stays     stays as it is
 *     a directory            made        stays                   stays as it is
 *
 * A user of a mount at the same time sees each file whole, or not at all: files are made below the
 * store's tmp/ and renamed into place.
 *
 * threads:  one call at a time for each backend; each uses threads of its own meanwhile.
 */
#pragma once

#include "build/cachebackend/cachebackend.h"
#include "disk/cachemount/cachemount.h"

/* What happened to one mount. */
struct cob_mountcache_row {
    char *namespace, *id;
    uint64_t n_files, n_bytes;       /* of the mount, as it is exported or was found there */
    uint64_t n_read, read_bytes;     /* export: files that had to be read */
    uint64_t n_placed, placed_bytes; /* import: files that were made or replaced */
    uint64_t n_kept;                 /* import: those that stayed, being the same or newer */
    uint64_t n_left_out;
    bool is_unchanged; /* export: the index is the one that was there */
};

struct cob_mountcache_result {
    GPtrArray *rows;               /* struct cob_mountcache_row, owned */
    uint64_t n_packs, n_new_packs; /* export: of the document; those that were sent */
    uint64_t n_fetched_packs;      /* import */
    uint64_t moved_bytes;          /* sent or fetched, all of it */
    unsigned n_tries;              /* export: others were faster in between */
};
void cob_mountcache_result_free(struct cob_mountcache_result *result);
COB_AUTOPTR(cob_mountcache_result, cob_mountcache_result_free)

struct cob_mountcache_request {
    struct cob_store *store;          /* borrowed, as all here */
    struct cob_cachebackend *backend; /* opened for the right way */
    const char *document;             /* NULL: the name of the backend's options */
    const char *namespace;  /* of the ids; NULL: "", or it stands before the id: "ci/npm" */
    const char *const *ids; /* NULL: all, of all namespaces */
    bool is_replacing;      /* export: what is there of these mounts is not merged */
    bool is_lenient;        /* of ids that are not there, a note; else an error */
    void (*on_note)(void *arg, const char *text); /* what the user should know; may be NULL */
    void *arg;
    struct cob_cancel *cancel; /* NULL: never */
};

/*
 * Export cache mounts. A mount that is used alone is waited for.
 *
 * errors:  COB_NOT_FOUND: there is no such mount, with those there are; COB_PRECONDITION: something
 *          else has the document's name.
 */
COB_RESULT struct cob_error *cob_mountcache_export(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result);

/*
 * Import cache mounts.
 *
 * errors:  COB_NOT_FOUND: there is no document, or it has no such mount, with those it has;
 *          COB_INVALID, COB_EXHAUSTED, COB_DATA_LOSS: what is there is damaged or hostile; files
 *          that are in place by then are whole, and stay.
 */
COB_RESULT struct cob_error *cob_mountcache_import(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result);

/* ---- beside a build cache ---- */

/* The name that the document of cache mounts has beside a build cache's: "<tag>-mounts", for s3
 * "<name>-mounts". The caller frees it. */
char *cob_mountcache_name_beside(const struct cob_cachebackend_options *options);

/* The document beside a build cache, whatever the request says of a document; ids that are not
 * there are a note. Before the solve, for each --cache-from with mounts=; after it, for each
 * --cache-to.
 * namespace: BUILDKIT_CACHE_MOUNT_NS; NULL: "". */
COB_RESULT struct cob_error *cob_mountcache_import_beside(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result);
COB_RESULT struct cob_error *cob_mountcache_export_beside(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result);

/* One line for people: "/root/.cache/go-build: 1,024 files, 55.1MB". The caller frees it. */
char *cob_mountcache_row_text(const struct cob_mountcache_row *row, enum cob_cachebackend_way way);
