/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of build/mountcache share. */
#pragma once

#include "build/mountcache/mountcache.h"
#include "spec/mountindex/mountindex.h"
#include "util/statcache.h"

#define MOUNT_CHUNK_BYTES (4 * (uint32_t)1024 * 1024)
#define MOUNT_PACK_BYTES (16 * (uint32_t)1024 * 1024) /* plain: one is closed before it is larger */
#define MOUNT_INDEX_LEVEL 6
#define MOUNT_PACK_LEVEL 1
#define MOUNT_SMALL_LEVEL 9 /* of a pack that costs little time */
#define MOUNT_SMALL_BYTES (1024 * 1024)

/* ---- mount_tree.c: a mount as entries and digests ---- */

enum mount_leaf_state {
    MOUNT_LEAF_NONE = 0, /* no file */
    MOUNT_LEAF_UNREAD,
    MOUNT_LEAF_KNOWN, /* its digest is */
    MOUNT_LEAF_GONE,  /* it could not be read: the entry is left out */
};

struct mount_leaf {
    struct cob_sha256 sha;
    struct cob_statcache_file stat; /* of a scan */
    enum mount_leaf_state state;
};

struct mount_tree {
    struct cob_mountindex *index; /* its entries and xattrs; their contents are not used */
    GArray *leaves;               /* struct mount_leaf, one for each entry */
    int64_t start_ns;             /* of a scan */
};

/* An empty one, to be filled. */
struct mount_tree *mount_tree_new(const char *namespace, const char *id);
void mount_tree_free(struct mount_tree *tree);
COB_AUTOPTR(mount_tree, mount_tree_free)

/* Borrowed, until the next one is added. */
static inline struct mount_leaf *mount_leaf_at(const struct mount_tree *tree, size_t i)
{
    return &g_array_index(tree->leaves, struct mount_leaf, i);
}

/* Append an entry of another tree, or of a scan. */
void mount_tree_add(struct mount_tree *tree, const struct cob_mountindex_entry *entry,
    const struct cob_mountindex_xattr *xattrs, const struct mount_leaf *leaf);

/* Of a decoded index. */
struct mount_tree *mount_tree_of_index(const struct cob_mountindex *index);

/*
 * What is to be exported: the table in mountcache.h.
 *
 * there, base:  NULL: none.
 */
struct mount_tree *mount_tree_merge(
    const struct mount_tree *here, const struct mount_tree *there, const struct mount_tree *base);

/* ---- mount_scan.c ---- */

struct mount_notes {
    const struct cob_mountcache_request *request;
    struct cob_mountcache_row *row;
};

/* Tell what was left out; counted. Of each reason the first few are named. */
void mount_note(const struct mount_notes *notes, const char *path, const char *why);

/* Walk a mount. Files that the stat cache knows have their digests, the others are unread. */
COB_RESULT struct cob_error *mount_scan(int root_fd, struct cob_statcache *known,
    const struct mount_notes *notes, struct mount_tree *tree);

/* Read the xattrs that may travel. xattrs: struct cob_mountindex_xattr; names are interned. */
COB_RESULT struct cob_error *mount_read_xattrs(int fd, GArray *ret_xattrs);
GArray *mount_xattrs_new(void);

/* The stat cache after a scan and the reading. */
GBytes *mount_scan_cache(const struct mount_tree *tree);

/* ---- mount_catalog.c: which content is in which pack ---- */

struct catalog_pack {
    struct cob_sha256 sha;
    uint32_t stored_len, plain_len;
    uint32_t live_len; /* of chunks that the result uses */
    uint32_t number;   /* in the index that is being written */
    bool is_new;       /* from here */
    bool is_victim;    /* to be packed anew */
};

struct catalog_chunk {
    struct cob_sha256 sha;
    struct catalog_pack *pack;
    uint32_t offset, len;
    uint32_t number; /* in the index that is being written, from 1; 0: not used in it */
    bool is_live;
};

struct catalog_content {
    struct cob_sha256 sha;
    uint64_t size;
    uint32_t n_chunks; /* > 1 */
    struct cob_sha256 *chunks;
};

struct mount_catalog {
    GPtrArray *packs;     /* struct catalog_pack, owned */
    GHashTable *pack_of;  /* its sha -> struct catalog_pack */
    GHashTable *chunks;   /* sha -> struct catalog_chunk, owned */
    GHashTable *contents; /* sha -> struct catalog_content, owned */
};

/* An empty one. */
struct mount_catalog *catalog_new(void);
void catalog_free(struct mount_catalog *catalog);
COB_AUTOPTR(mount_catalog, catalog_free)

/* Learn what an index says. Of a chunk that is in several packs the first one counts. */
void catalog_add_index(struct mount_catalog *catalog, const struct cob_mountindex *index);

/* A pack that is being made here; catalog_name_pack() once its digest is known. */
struct catalog_pack *catalog_add_pack(struct mount_catalog *catalog);
void catalog_name_pack(struct mount_catalog *catalog, struct catalog_pack *pack);

/* A chunk in a pack; one that is there moves to it. */
void catalog_add_chunk(struct mount_catalog *catalog, const struct cob_sha256 *sha,
    struct catalog_pack *pack, uint32_t offset, uint32_t len);
void catalog_add_content(struct mount_catalog *catalog, const struct cob_sha256 *sha, uint64_t size,
    const struct cob_sha256 *chunks, uint32_t n_chunks);
struct catalog_chunk *catalog_chunk(
    const struct mount_catalog *catalog, const struct cob_sha256 *sha);

/* Is all of a file's content in packs? */
bool catalog_has(const struct mount_catalog *catalog, const struct cob_sha256 *sha, uint64_t size);

/* Call for each chunk of a content that the catalog has. */
void catalog_each_chunk(const struct mount_catalog *catalog, const struct cob_sha256 *sha,
    void (*on_chunk)(void *arg, struct catalog_chunk *chunk), void *arg);

/* The tables of a tree's index filled from the catalog. ret_index: the caller's. */
void catalog_build_index(const struct mount_catalog *catalog, const struct mount_tree *tree,
    struct cob_mountindex **ret_index);

/* ---- mount_packer.c: plain bytes -> packs -> backend ---- */

struct mount_packer;

/* catalog, request: borrowed. */
struct mount_packer *packer_new(
    struct mount_catalog *catalog, const struct cob_mountcache_request *request);
void packer_free(struct mount_packer *packer);
COB_AUTOPTR(mount_packer, packer_free)

/* Put a chunk into the pack that is being filled, unless the catalog has it. */
COB_RESULT struct cob_error *packer_add(
    struct mount_packer *packer, const struct cob_sha256 *sha, const void *data, uint32_t len);
/* The same although it has. */
COB_RESULT struct cob_error *packer_move(
    struct mount_packer *packer, const struct cob_sha256 *sha, const void *data, uint32_t len);

/* Close the last one, and wait until all are there. */
COB_RESULT struct cob_error *packer_finish(struct mount_packer *packer);
void packer_count(const struct mount_packer *packer, uint64_t *n_packs, uint64_t *n_bytes);

/* ---- mount_read.c: files -> chunks ---- */

/* A mount that is being exported. */
struct mount_source {
    int root_fd;
    struct mount_tree *tree;
    struct mount_notes notes;
};

/* Read all files whose digest is unknown or whose content no pack has. sources: struct mount_source
 * pointers. */
COB_RESULT struct cob_error *mount_read(GPtrArray *sources, struct mount_catalog *catalog,
    struct mount_packer *packer, struct cob_cancel *cancel);

/* ---- mount_repack.c ---- */

/* Choose packs with too much that nobody uses, or that are too small, and put what is alive in
 * them into new ones.  trees: struct mount_tree, all of the result. */
COB_RESULT struct cob_error *mount_repack(GPtrArray *trees, struct mount_catalog *catalog,
    struct mount_packer *packer, const struct cob_mountcache_request *request,
    uint64_t *fetched_bytes);

/* ---- mount_remote.c: what is at the backend ---- */

/* Get a blob whole, verified.  max_bytes: a limit, asked before anything is fetched. */
COB_RESULT struct cob_error *remote_get(struct cob_cachebackend *backend, const char *digest,
    uint64_t len, uint64_t max_bytes, GBytes **ret_bytes);

/* Get a pack, and use its plain bytes: plain_len of them, borrowed for the call. */
COB_RESULT struct cob_error *remote_with_pack(const struct cob_mountcache_request *request,
    const struct cob_mountindex_pack *pack,
    struct cob_error *(*use)(void *arg, const uint8_t *plain), void *arg);

/* The document and its mounts.  ret_document: NULL when there is none. */
COB_RESULT struct cob_error *remote_get_doc(const struct cob_mountcache_request *request,
    struct cob_cachebackend_document **ret_document, struct cob_mountdoc **ret_doc);

/* An index from its compressed bytes, checked against what the document says of it. */
COB_RESULT struct cob_error *remote_read_index(const struct cob_mountcache_request *request,
    const struct cob_mountdoc_mount *mount, GBytes *stored, struct cob_mountindex **ret_index);
COB_RESULT struct cob_error *remote_get_index(const struct cob_mountcache_request *request,
    const struct cob_mountdoc_mount *mount, GBytes **ret_stored, struct cob_mountindex **ret_index);

/* Compress an index.  ret_mount: filled for the document; the caller frees it. */
COB_RESULT struct cob_error *remote_pack_index(
    const struct cob_mountindex *index, GBytes **ret_stored, struct cob_mountdoc_mount **ret_mount);

/* What a place is called in memory, the same for export and import. The caller frees it. */
char *remote_place(const struct cob_mountcache_request *request);

/* ---- mount_memory.c: what this machine remembers of mounts and places ---- */

/* A mount that was taken. */
struct mount_lease {
    struct cob_cachemount_lease *lease;
    int root_fd; /* O_RDONLY|O_DIRECTORY */
    char *key;   /* of the row: namespace, id, and which directory it is */
};
void mount_lease_done(struct mount_lease *lease);

/* Wait for a mount and take it as a shared user does.  root: mode and owner if it is made here. */
COB_RESULT struct cob_error *mount_lease_take(const struct cob_mountcache_request *request,
    struct cob_cachemount_pool *pool, const char *namespace, const char *id,
    const struct cob_mountindex_entry *root, struct mount_lease *ret_lease);

/* ret_cache: NULL when there is none. */
COB_RESULT struct cob_error *memory_get_cache(
    struct cob_store *store, const struct mount_lease *lease, GBytes **ret_cache);
COB_RESULT struct cob_error *memory_put_cache(
    struct cob_store *store, const struct mount_lease *lease, GBytes *cache);

/* The index that a place had when this mount was last in step with it, compressed.
 * ret_mount: its digest and sizes; the caller's. NULL when that never was, as ret_stored. */
COB_RESULT struct cob_error *memory_get_base(struct cob_store *store,
    const struct mount_lease *lease, const char *place, struct cob_mountdoc_mount **ret_mount,
    GBytes **ret_stored);
/* stored: NULL: forget it. */
COB_RESULT struct cob_error *memory_put_base(struct cob_store *store,
    const struct mount_lease *lease, const char *place, const struct cob_mountdoc_mount *mount,
    GBytes *stored);

/* ---- mountcache.c ---- */

/* A new one, empty. */
struct cob_mountcache_row *mount_row_new(
    struct cob_mountcache_result *result, const char *namespace, const char *id);
struct cob_mountcache_result *mount_result_new(void);

/* The names that were asked for among those that are there: struct mount_name.
 * what: "this machine", "the cache": where they are not, in the error. */
struct mount_name {
    char *namespace, *id;
    uint64_t quota_bytes;
};
void mount_name_free(gpointer name);
COB_RESULT struct cob_error *mount_choose(const struct cob_mountcache_request *request,
    const GPtrArray *known, const char *where, GPtrArray **ret_chosen);
