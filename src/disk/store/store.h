/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: cob's folder on this machine, the lease of this process on it, its blobs, and the
 * images that have names.
 *
 *     <root>/cob.db                SQLite: images, blobs, snapshots, cache records, ...
 *     <root>/blobs/sha256/<hex>    content, verified when it was written
 *     <root>/snapshots/<id>/fs     see disk/snapshot; `record` beside it says what it is
 *     <root>/mounts/               see disk/cachemount
 *     <root>/history/              see build/history
 *     <root>/corrupt/              blobs that changed on disk, for a person to look at
 *     <root>/reserve               space that is given up so that a full disk can be tidied
 *     <root>/tmp/<lease>/          what one process is making; its file `lock` is flock()ed while
 *                                  that process lives
 *     <root>/locks                 one file for byte-range locks, see cob_store_try_lock()
 *     <root>/gate                  flock()ed shared by who publishes, see cob_store_begin(), alone
 *                                  by who sweeps
 *
 * Opening takes a lease and removes what dead processes left in tmp/; if there was something, it
 * also sweeps snapshots/ and blobs/ for data that no row names, so a crash costs a little time at
 * the next start and nothing else. Folders are 0700.
 *
 * threads:  any.
 */
#pragma once

#include <stdbool.h>

#include "disk/db/db.h"
#include "util/cancel.h"

struct cob_store;

/* The folder by DESIGN: $COB_ROOT, else /var/lib/cob for root, else $XDG_DATA_HOME/cob, else
 * ~/.local/share/cob. The caller frees it. */
char *cob_store_default_path(void);

/* errors: the path is in the text; no right to write there is said as such. */
COB_RESULT struct cob_error *cob_store_open(const char *path, struct cob_store **ret_store);

/* To be called before the store is opened by who is going to remove things from it: on a full disk
 * the reserve is given up for that. Opening makes it again when there is room. */
void cob_store_spend_reserve(const char *path);

/* Gives the lease back and removes this process's tmp/ folder. */
void cob_store_close(struct cob_store *store);
COB_AUTOPTR(cob_store, cob_store_close)

/* What the user should know about the store that was opened, in one line; NULL: nothing. The
 * caller frees it. */
char *cob_store_warning(const struct cob_store *store);

struct cob_db *cob_store_db(struct cob_store *store);          /* borrowed */
const char *cob_store_path(const struct cob_store *store);     /* absolute; borrowed */
int cob_store_root_fd(const struct cob_store *store);          /* borrowed */
int cob_store_tmp_fd(const struct cob_store *store);           /* tmp/<lease>; borrowed */
const char *cob_store_tmp_path(const struct cob_store *store); /* the same as a path; borrowed */

/* The boot this process runs in, for the `boot` of rows that are written now; borrowed. */
const char *cob_store_boot(const struct cob_store *store);

/* Is the store used unprivileged: overlayfs with userxattr? It never changes for a store. */
bool cob_store_is_userxattr(const struct cob_store *store);

/* Begin to publish: a cob_db_begin() during which no process sweeps. Data is put in place (renamed)
 * and recorded between begin and commit, so that data without a row, seen by one who sweeps, is
 * garbage for certain. Ended as cob_db_begin() is, by one of the two below. */
COB_RESULT struct cob_error *cob_store_begin(struct cob_store *store);
COB_RESULT struct cob_error *cob_store_commit(struct cob_store *store);
void cob_store_rollback(struct cob_store *store);

/* What another module keeps beside an open store: made on the first call, freed by
 * cob_store_close().
 * name: static; the module's.  errors: those of make. */
COB_RESULT struct cob_error *cob_store_attached(struct cob_store *store, const char *name,
    struct cob_error *(*make)(struct cob_store *store, void **ret_data), void (*free_data)(void *),
    void **ret_data);

/* A lock that all processes on this store see and that dies with its holder: two processes that are
 * about to run the same step. It is on a byte of one file, chosen by the key's hash. */
struct cob_store_lock;

/* ret_lock: NULL when another holds it, in this process or elsewhere: try again now and then. */
COB_RESULT struct cob_error *cob_store_try_lock(
    struct cob_store *store, const char *key, struct cob_store_lock **ret_lock);
void cob_store_unlock(struct cob_store_lock *lock);
COB_AUTOPTR(cob_store_lock, cob_store_unlock)

/*
 * Make everything written so far survive a loss of power, and mark its rows as safe. It is one
 * syncfs, which waits for what others wrote to that file system, too: a build does not ask for it.
 *
 * Rows that are not marked carry `boot`, the boot they were written in. A store that is opened in
 * another boot verifies them: snapshots then and there, once, by the fingerprint of their files
 * (why that will do: store_verify.c); blobs by their digest, when they are opened. What is torn is
 * dropped with all that stands on it, and a build makes it again.
 */
COB_RESULT struct cob_error *cob_store_sync(struct cob_store *store);

/* --- the layers of disk/snapshot --- */

/* A number in base 36. */
#define COB_STORE_ID_CHARS 11

/* What is recorded of a layer: in the database, and beside it, for when the database is lost. All
 * is borrowed. */
struct cob_store_layer {
    const char *id;
    const char *parent;                           /* NULL: none */
    unsigned depth;                               /* layers, >= 1 */
    const char *description, *chain_id, *diff_id; /* NULL: none */
    uint64_t tar_bytes, size_bytes, n_entries, fingerprint;
    const char *origin;    /* whose files its own are hard links to; NULL: nobody's */
    uint64_t linked_bytes; /* of size_bytes: in files that are */
    int64_t created_us;
    int64_t used_us; /* 0: created_us */
};

/* Insert its row, between begin and commit. */
COB_RESULT struct cob_error *cob_store_layer_insert(
    struct cob_store *store, const struct cob_store_layer *layer);

/* Write its record into the folder that will be snapshots/<id>. */
COB_RESULT struct cob_error *cob_store_layer_write(
    const struct cob_store *store, int dir_fd, const struct cob_store_layer *layer);

/* --- blobs --- */

struct cob_store_blob; /* a blob being written */

/* expect_digest: NULL: whatever comes. */
COB_RESULT struct cob_error *cob_store_blob_create(
    struct cob_store *store, const char *expect_digest, struct cob_store_blob **ret_blob);
COB_RESULT struct cob_error *cob_store_blob_write(
    struct cob_store_blob *blob, const void *data, size_t len);

/* Check the digest, put the blob in place and record it; one that is there already is kept.
 * ret_digest, ret_size: may be NULL; the digest is the caller's.
 * errors: COB_DATA_LOSS when the digest is not the expected one, with both in the text. */
COB_RESULT struct cob_error *cob_store_blob_commit(
    struct cob_store_blob *blob, char **ret_digest, uint64_t *ret_size);
void cob_store_blob_free(struct cob_store_blob *blob); /* an uncommitted one leaves nothing */
COB_AUTOPTR(cob_store_blob, cob_store_blob_free)

/* Bytes that are at hand. ret_digest: the caller's; may be NULL. */
COB_RESULT struct cob_error *cob_store_blob_put(
    struct cob_store *store, GBytes *bytes, char **ret_digest);

/* Open for reading.  ret_fd: -1 when there is no such blob, or a restart tore it. ret_size may be
 * NULL. */
COB_RESULT struct cob_error *cob_store_blob_open(
    struct cob_store *store, const char *digest, int *ret_fd, uint64_t *ret_size);

/* All of a small blob, verified again.  ret_bytes: NULL when there is no such blob.
 * errors: COB_DATA_LOSS when the file changed under us: it is moved to corrupt/ and forgotten. */
COB_RESULT struct cob_error *cob_store_blob_read(
    struct cob_store *store, const char *digest, uint64_t max_bytes, GBytes **ret_bytes);

/* One row of `cob du`. */
struct cob_store_blob_usage {
    char *digest;
    char *description;   /* what it is to an image or a layer; NULL: nothing now */
    uint64_t size_bytes; /* on disk */
    int64_t created_us, last_used_us;
    bool is_in_use; /* an image with a name needs it. An archive of a layer can be made again. */
};
void cob_store_blob_usage_free(struct cob_store_blob_usage *usage);

/* ret_rows: GPtrArray of struct cob_store_blob_usage, owned, newest first. */
COB_RESULT struct cob_error *cob_store_blob_list(struct cob_store *store, GPtrArray **ret_rows);

/* Note that a blob is used now: who still wants to open it does this first, and it is not removed
 * under his hands.  ret_is_there: whether the store knows it. */
COB_RESULT struct cob_error *cob_store_blob_touch(
    struct cob_store *store, const char *digest, bool *ret_is_there);

/* Remove a blob, and images without a name that cannot be without it. One that an image with a name
 * needs stays, and so does one that was put or touched while a process ran that still does.
 * ret_is_removed: false: it stays, or was not there. */
COB_RESULT struct cob_error *cob_store_blob_remove(
    struct cob_store *store, const char *digest, bool *ret_is_removed);

/* --- images --- */

/* An image of the local store. Its layers are snapshots; blobs of them exist only if somebody
 * needed them. */
struct cob_store_image {
    char *name;            /* full: "docker.io/library/hello:latest"; NULL: it lost its name */
    char *platform;        /* "linux/amd64" */
    char *config_digest;   /* the image id; the config is a blob */
    char *manifest_digest; /* NULL: built here, never pushed or pulled */
    char *snapshot;        /* id of its top snapshot; NULL: no layers */
    uint64_t size_bytes;   /* of its layers, uncompressed */
    int64_t created_us;    /* when the name was put here */
};
void cob_store_image_free(struct cob_store_image *image);
COB_AUTOPTR(cob_store_image, cob_store_image_free)

/* Give `image->name` to this image; another image loses it (and stays as an unnamed one that
 * prune may take).
 * errors: COB_PRECONDITION when its config or its snapshot is not in the store. */
COB_RESULT struct cob_error *cob_store_image_put(
    struct cob_store *store, const struct cob_store_image *image);

/* By full name and platform, or by a config digest (also "sha256:" left out, or a prefix of >= 4
 * hex digits when it is unambiguous).
 * platform: NULL: the newest of any.  ret_image: the caller's; NULL when there is none.
 * errors: COB_INVALID for a prefix that fits several images. */
COB_RESULT struct cob_error *cob_store_image_find(struct cob_store *store, const char *name,
    const char *platform, struct cob_store_image **ret_image);

/* All, newest first.  ret_images: GPtrArray of struct cob_store_image, owned. */
COB_RESULT struct cob_error *cob_store_image_list(struct cob_store *store, GPtrArray **ret_images);

/* Take a name away. Its data goes with a later prune.
 * config_digest: from this image alone; NULL: from those of all platforms.
 * ret_was_there: false when nobody had it. */
COB_RESULT struct cob_error *cob_store_image_remove(
    struct cob_store *store, const char *name, const char *config_digest, bool *ret_was_there);

/* Forget an image that lost its name; under names that it also has it stays. */
COB_RESULT struct cob_error *cob_store_image_remove_unnamed(
    struct cob_store *store, const char *config_digest, bool *ret_was_there);
