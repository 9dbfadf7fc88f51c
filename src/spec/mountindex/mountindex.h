/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a cache mount that travels: which files it has, and in which packs their content
 * lies. docs/cache-mount-format.md has every byte of it.
 *
 *     entry --content--> content --refs--> chunk --pack, offset--> pack
 *     a path             a file's bytes    up to 4 MiB of them     up to 32 MiB of chunks, one blob
 *
 * Entries are in the order of a walk, depth first, names by their bytes: each directory before what
 * is in it, no path twice. What is decoded keeps all of that, and every limit of util/limits.h; who
 * uses it need not ask again.
 *
 * threads:  an index that nobody changes may be read by many.
 */
#pragma once

#include <stdbool.h>

#include "util/digest.h"
#include "util/error.h"

#define COB_MOUNTINDEX_MAGIC "cobmnt01"
#define COB_MOUNTINDEX_MAGIC_BYTES 8
#define COB_MOUNTINDEX_NONE UINT32_MAX /* no content: an empty file */

enum cob_mountindex_kind {
    COB_MOUNTINDEX_DIR = 1,
    COB_MOUNTINDEX_FILE = 2,
    COB_MOUNTINDEX_SYMLINK = 3,
};

struct cob_mountindex_pack {
    struct cob_sha256 sha; /* of the blob, as it is stored */
    uint32_t stored_len, plain_len;
};

struct cob_mountindex_chunk {
    struct cob_sha256 sha;
    uint32_t pack, offset, len; /* a number in packs; where in its plain bytes */
};

struct cob_mountindex_content {
    struct cob_sha256 sha; /* of all of it; of one chunk, the chunk's */
    uint64_t size;
    uint32_t first_ref, n_refs; /* >= 1 */
};

struct cob_mountindex_xattr {
    const char *name; /* in the index's texts */
    GBytes *value;    /* owned by the index */
};

struct cob_mountindex_entry {
    const char *path, *target; /* in the index's texts; "" is the mount itself. target: NULL unless
                                * it is a symlink */
    int64_t mtime_ns;
    uint64_t size;
    enum cob_mountindex_kind kind;
    uint32_t mode, uid, gid; /* mode: 07777 at most */
    uint32_t content;        /* COB_MOUNTINDEX_NONE */
    uint32_t group;          /* names of one file have one; 0: it has but one name */
    uint32_t first_xattr, n_xattrs;
};

struct cob_mountindex {
    char *namespace, *id;
    GArray *packs;    /* struct cob_mountindex_pack, by digest, none twice */
    GArray *chunks;   /* struct cob_mountindex_chunk */
    GArray *refs;     /* uint32_t: numbers in chunks */
    GArray *contents; /* struct cob_mountindex_content */
    GArray *entries;  /* struct cob_mountindex_entry; the first one is the mount itself */
    GArray *xattrs;   /* struct cob_mountindex_xattr */
    GStringChunk *texts;
};

/* An empty one, to be filled. */
struct cob_mountindex *cob_mountindex_new(const char *namespace, const char *id);
void cob_mountindex_free(struct cob_mountindex *index);
COB_AUTOPTR(cob_mountindex, cob_mountindex_free)

/* Append an entry; texts and xattrs are copied.
 * xattrs: entry->n_xattrs of them; NULL when that is 0. */
void cob_mountindex_add(struct cob_mountindex *index, const struct cob_mountindex_entry *entry,
    const struct cob_mountindex_xattr *xattrs);

/* The xattrs of an entry; borrowed. NULL when it has none. */
const struct cob_mountindex_xattr *cob_mountindex_xattrs(
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry);

/* Borrowed, until the next one is added. */
static inline const struct cob_mountindex_entry *cob_mountindex_at(
    const struct cob_mountindex *index, size_t i)
{
    return &g_array_index(index->entries, struct cob_mountindex_entry, i);
}

/* The order of entries: '/' before every other byte. */
int cob_mountindex_compare(const char *path, const char *other);

/* May it travel: "security.capability", or "user." something that is not overlayfs's own? */
bool cob_mountindex_xattr_is_allowed(const char *name);

/* The entry of a path; NULL. */
const struct cob_mountindex_entry *cob_mountindex_find(
    const struct cob_mountindex *index, const char *path);

/* The bytes of an index. What it breaks of the rules above is a mistake of ours. */
GBytes *cob_mountindex_encode(const struct cob_mountindex *index);

/*
 * Read one.
 *
 * errors:  COB_INVALID: it is none, with what is wrong and where; COB_EXHAUSTED: past a limit;
 *          COB_UNIMPLEMENTED: of another version.
 */
COB_RESULT struct cob_error *cob_mountindex_decode(
    GBytes *bytes, struct cob_mountindex **ret_index);

/* ---- the document that holds indexes and packs together ---- */

#define COB_MOUNTINDEX_ARTIFACT_TYPE "application/vnd.cob.cachemounts.v1+json"
#define COB_MOUNTINDEX_INDEX_TYPE "application/vnd.cob.cachemount.index.v1+zstd"
#define COB_MOUNTINDEX_PACK_TYPE "application/vnd.cob.cachemount.pack.v1+zstd"
#define COB_MOUNTINDEX_MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define COB_MOUNTINDEX_EMPTY "{}" /* its config, a blob like the others */
#define COB_MOUNTINDEX_EMPTY_TYPE "application/vnd.oci.empty.v1+json"

/* A mount of a document. */
struct cob_mountdoc_mount {
    char *namespace, *id;
    char *digest; /* of its index, compressed */
    uint64_t len;
    uint64_t plain_len; /* of its index */
    uint64_t n_files, n_bytes;
};

struct cob_mountdoc {
    GPtrArray *mounts; /* struct cob_mountdoc_mount, owned, by namespace and id */
    GArray *packs;     /* struct cob_mountindex_pack, by digest; plain_len is not known */
};

/* An empty one, to be filled. */
struct cob_mountdoc *cob_mountdoc_new(void);
void cob_mountdoc_free(struct cob_mountdoc *doc);
void cob_mountdoc_mount_free(struct cob_mountdoc_mount *mount);
COB_AUTOPTR(cob_mountdoc, cob_mountdoc_free)
COB_AUTOPTR(cob_mountdoc_mount, cob_mountdoc_mount_free)

/* NULL: it has none of that name. Borrowed. */
const struct cob_mountdoc_mount *cob_mountdoc_find(
    const struct cob_mountdoc *doc, const char *namespace, const char *id);

/* The document's bytes: keys sorted, no white space. */
GBytes *cob_mountdoc_encode(const struct cob_mountdoc *doc);

/* errors: COB_PRECONDITION: a document, but not of cache mounts; COB_INVALID, COB_EXHAUSTED. */
COB_RESULT struct cob_error *cob_mountdoc_decode(GBytes *bytes, struct cob_mountdoc **ret_doc);
