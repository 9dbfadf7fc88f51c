/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files are cut into pieces of a chunk at most, and pieces gathered into batches. Threads of a pool
 * read and hash batches; this thread takes them in their order, learns digests, and hands what no
 * pack has to the packer. A file that changes meanwhile is read again if it is small; else it is
 * left out.
 *
 *     pieces --> [read, hash] [read, hash] ... --> in order: catalog, packer --> [zstd, send] ...
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/mountcache/mountcache_parts.h"
#include "util/fs.h"

#define BATCH_FILES 256
#define MAX_THREADS 8
#define MAX_TRIES 3
#define SAME_TIME_NS INT64_C(3600000000000) /* written together, it goes together */

enum outcome { READ_OK, READ_VANISHED, READ_CHANGED, READ_FAILED };

struct piece {
    struct mount_source *source;
    guint entry;
    uint64_t offset;
    uint32_t len; /* as the scan saw it; of a small file that grew, as it was read */
    bool is_whole, is_last;
    uint32_t at; /* in the batch's data */
    struct cob_sha256 sha;
    struct stat st;
    GArray *xattrs; /* NULL: none */
    enum outcome outcome;
    int errnum;
};

struct batch {
    GArray *pieces;
    uint8_t *data;
    uint32_t len; /* sum of the pieces */
    bool is_done; /* guarded by the lock */
};

struct reading {
    struct mount_catalog *catalog;
    struct mount_packer *packer;
    struct cob_cancel *cancel;
    GArray *pieces; /* struct piece: all of them; moved into batches */
    guint next;
    GThreadPool *pool;
    GQueue busy; /* struct batch, owned, in order */
    GMutex lock; /* guards is_done of batches */
    GCond done;

    /* Of the large file whose pieces come now. */
    struct cob_hasher *hasher;
    GArray *chunks; /* struct cob_sha256 */
    bool has_failed;
};

static void clear_piece(void *data)
{
    struct piece *piece = data;

    g_clear_pointer(&piece->xattrs, g_array_unref);
}

static void batch_free(gpointer data)
{
    struct batch *batch = data;

    g_array_unref(batch->pieces);
    g_free(batch->data);
    g_free(batch);
}

/* --- in the pool: read and hash --- */

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool is_same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && ns_of(a->st_mtim) == ns_of(b->st_mtim) &&
           ns_of(a->st_ctim) == ns_of(b->st_ctim);
}

static bool is_as_scanned(const struct stat *st, const struct cob_statcache_file *seen)
{
    return (uint64_t)st->st_size == seen->size && st->st_ino == seen->inode &&
           ns_of(st->st_mtim) == seen->mtime_ns && ns_of(st->st_ctim) == seen->ctime_ns;
}

/* All of it, or what there is. */
static ssize_t read_piece(int fd, uint8_t *data, uint32_t len, uint64_t offset)
{
    uint32_t done = 0;

    while (done < len) {
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, data + done, len - done, (off_t)(offset + done)));

        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (uint32_t)n;
    }
    return (ssize_t)done;
}

static int open_file(const struct piece *piece, const char *path, int *ret_errnum)
{
    int fd = -1;
    struct cob_error *err =
        cob_open_beneath(piece->source->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);

    *ret_errnum = err ? cob_error_errno(err) : 0;
    cob_error_free(err);
    return fd;
}

/* One try.  READ_CHANGED: it was written to meanwhile. */
static enum outcome read_once(struct piece *piece, const char *path, uint8_t *data, uint32_t cap)
{
    const struct mount_leaf *leaf = mount_leaf_at(piece->source->tree, piece->entry);
    cob_autoclose int fd = open_file(piece, path, &piece->errnum);
    struct stat after;

    if (fd < 0)
        return piece->errnum == ENOENT ? READ_VANISHED : READ_FAILED;
    if (fstat(fd, &piece->st) < 0 || !S_ISREG(piece->st.st_mode))
        return READ_CHANGED;
    if (!piece->is_whole && !is_as_scanned(&piece->st, &leaf->stat))
        return READ_CHANGED;
    if (piece->is_whole && piece->st.st_size > cap)
        return READ_CHANGED;
    if (piece->is_whole)
        piece->len = (uint32_t)piece->st.st_size;
    ssize_t n = read_piece(fd, data, piece->len, piece->offset);
    if (n < 0) {
        piece->errnum = errno;
        return READ_FAILED;
    }
    if (fstat(fd, &after) < 0 || !is_same_stat(&piece->st, &after) || n < (ssize_t)piece->len)
        return READ_CHANGED;
    if (piece->offset > 0)
        return READ_OK;
    piece->xattrs = mount_xattrs_new();
    struct cob_error *err = mount_read_xattrs(fd, piece->xattrs);
    piece->errnum = err ? cob_error_errno(err) : 0;
    cob_error_free(err);
    return err ? READ_FAILED : READ_OK;
}

/* The room of a piece is what the scan saw: a file that grew past it has changed. */
static void read_into(struct piece *piece, uint8_t *data)
{
    const char *path = cob_mountindex_at(piece->source->tree->index, piece->entry)->path;
    const uint32_t cap = piece->len;

    for (unsigned n = 0; n < MAX_TRIES; n++) {
        g_clear_pointer(&piece->xattrs, g_array_unref);
        piece->outcome = read_once(piece, path, data, cap);
        if (piece->outcome != READ_CHANGED)
            break;
    }
    if (piece->outcome == READ_OK)
        piece->sha = cob_sha256_of(data, piece->len);
}

static void run_batch(gpointer data, gpointer arg)
{
    struct reading *reading = arg;
    struct batch *batch = data;

    batch->data = g_malloc(MAX(batch->len, 1));
    for (guint i = 0; i < batch->pieces->len; i++) {
        struct piece *piece = &g_array_index(batch->pieces, struct piece, i);

        if (!cob_cancel_is_set(reading->cancel))
            read_into(piece, batch->data + piece->at);
    }
    g_mutex_lock(&reading->lock);
    batch->is_done = true;
    g_cond_broadcast(&reading->done);
    g_mutex_unlock(&reading->lock);
}

/* --- in order --- */

static const char *why_left_out(const struct piece *piece)
{
    if (piece->outcome == READ_CHANGED)
        return "it changed while it was read: it is left out";
    return piece->errnum == EACCES ? "no right to read it: it is left out"
                                   : "it cannot be read: it is left out";
}

static void leave_out(const struct piece *piece)
{
    struct mount_leaf *leaf = mount_leaf_at(piece->source->tree, piece->entry);

    if (piece->outcome != READ_VANISHED && leaf->state != MOUNT_LEAF_GONE)
        mount_note(&piece->source->notes,
            cob_mountindex_at(piece->source->tree->index, piece->entry)->path, why_left_out(piece));
    leaf->state = MOUNT_LEAF_GONE;
}

/* The entry says what the file was when it was read. */
static void settle_entry(const struct piece *piece)
{
    struct cob_mountindex *index = piece->source->tree->index;
    struct cob_mountindex_entry *entry =
        &g_array_index(index->entries, struct cob_mountindex_entry, piece->entry);
    struct mount_leaf *leaf = mount_leaf_at(piece->source->tree, piece->entry);

    entry->mode = piece->st.st_mode & 07777;
    entry->uid = piece->st.st_uid;
    entry->gid = piece->st.st_gid;
    entry->mtime_ns = ns_of(piece->st.st_mtim);
    entry->size = (uint64_t)piece->st.st_size;
    leaf->stat = (struct cob_statcache_file){.dev = piece->st.st_dev,
        .inode = piece->st.st_ino,
        .size = entry->size,
        .mtime_ns = entry->mtime_ns,
        .ctime_ns = ns_of(piece->st.st_ctim)};
    if (!piece->xattrs)
        return;
    entry->first_xattr = index->xattrs->len;
    entry->n_xattrs = piece->xattrs->len;
    for (guint i = 0; i < piece->xattrs->len; i++) {
        struct cob_mountindex_xattr xattr =
            g_array_index(piece->xattrs, struct cob_mountindex_xattr, i);

        g_bytes_ref(xattr.value);
        g_array_append_val(index->xattrs, xattr);
    }
}

static void settle_leaf(const struct piece *piece, const struct cob_sha256 *sha)
{
    struct mount_leaf *leaf = mount_leaf_at(piece->source->tree, piece->entry);
    struct cob_mountcache_row *row = piece->source->notes.row;

    leaf->sha = *sha;
    leaf->state = MOUNT_LEAF_KNOWN;
    row->n_read++;
    row->read_bytes += leaf->stat.size;
}

static struct cob_error *take_whole(
    struct reading *reading, const struct piece *piece, const uint8_t *data)
{
    if (piece->outcome != READ_OK) {
        leave_out(piece);
        return NULL;
    }
    settle_entry(piece);
    settle_leaf(piece, &piece->sha);
    return piece->len > 0 ? packer_add(reading->packer, &piece->sha, data, piece->len) : NULL;
}

/* The first piece of a large file begins it, the last one ends it. */
static struct cob_error *take_part(
    struct reading *reading, const struct piece *piece, const uint8_t *data)
{
    if (piece->offset == 0) {
        reading->has_failed = false;
        g_array_set_size(reading->chunks, 0);
        cob_hasher_finish(reading->hasher);
    }
    if (piece->outcome != READ_OK) {
        leave_out(piece);
        reading->has_failed = true;
    }
    if (reading->has_failed)
        return NULL;
    if (piece->offset == 0)
        settle_entry(piece);
    cob_hasher_update(reading->hasher, data, piece->len);
    g_array_append_val(reading->chunks, piece->sha);
    COB_TRY(packer_add(reading->packer, &piece->sha, data, piece->len));
    if (!piece->is_last)
        return NULL;
    struct cob_sha256 sha = cob_hasher_finish(reading->hasher);
    catalog_add_content(reading->catalog, &sha, piece->offset + piece->len,
        (const struct cob_sha256 *)(const void *)reading->chunks->data, reading->chunks->len);
    settle_leaf(piece, &sha);
    return NULL;
}

static struct cob_error *take_batch(struct reading *reading)
{
    struct batch *batch = g_queue_pop_head(&reading->busy);
    struct cob_error *err = NULL;

    g_mutex_lock(&reading->lock);
    while (!batch->is_done)
        g_cond_wait(&reading->done, &reading->lock);
    g_mutex_unlock(&reading->lock);
    err = cob_cancel_check(reading->cancel);
    for (guint i = 0; i < batch->pieces->len && !err; i++) {
        const struct piece *piece = &g_array_index(batch->pieces, struct piece, i);
        const uint8_t *data = batch->data + piece->at;

        err = piece->is_whole ? take_whole(reading, piece, data) : take_part(reading, piece, data);
    }
    batch_free(batch);
    return err;
}

/* --- batches --- */

static struct batch *next_batch(struct reading *reading)
{
    struct batch *batch = g_new(struct batch, 1);

    *batch = (struct batch){.pieces = g_array_new(false, false, sizeof(struct piece))};
    g_array_set_clear_func(batch->pieces, clear_piece);
    while (reading->next < reading->pieces->len && batch->pieces->len < BATCH_FILES) {
        struct piece piece = g_array_index(reading->pieces, struct piece, reading->next);

        if (batch->len > 0 && batch->len + piece.len > MOUNT_CHUNK_BYTES)
            break;
        piece.at = batch->len;
        batch->len += piece.len;
        g_array_append_val(batch->pieces, piece);
        reading->next++;
    }
    return batch;
}

static struct cob_error *read_all(struct reading *reading, unsigned n_threads)
{
    while (reading->next < reading->pieces->len) {
        struct batch *batch = next_batch(reading);

        g_queue_push_tail(&reading->busy, batch);
        g_thread_pool_push(reading->pool, batch, NULL);
        while (g_queue_get_length(&reading->busy) > n_threads + 1)
            COB_TRY(take_batch(reading));
    }
    while (!g_queue_is_empty(&reading->busy))
        COB_TRY(take_batch(reading));
    return NULL;
}

/* --- what is to be read, in which order --- */

/* What was written at about the same time will go at the same time; within that, neighbours are
 * alike, and compress well together. */
static gint by_age(gconstpointer a, gconstpointer b)
{
    const struct piece *x = a, *y = b;
    const struct cob_mountindex_entry *p = cob_mountindex_at(x->source->tree->index, x->entry);
    const struct cob_mountindex_entry *q = cob_mountindex_at(y->source->tree->index, y->entry);
    int64_t p_time = p->mtime_ns / SAME_TIME_NS, q_time = q->mtime_ns / SAME_TIME_NS;

    if (p_time != q_time)
        return p_time < q_time ? -1 : 1;
    if (x->entry != y->entry)
        return x->entry < y->entry ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool is_wanted(const struct mount_catalog *catalog, const struct mount_tree *tree, guint i)
{
    const struct mount_leaf *leaf = mount_leaf_at(tree, i);

    if (leaf->state == MOUNT_LEAF_KNOWN)
        return !catalog_has(catalog, &leaf->sha, leaf->stat.size);
    return leaf->state == MOUNT_LEAF_UNREAD;
}

static void add_pieces(GArray *pieces, struct mount_source *source, guint entry)
{
    uint64_t size = mount_leaf_at(source->tree, entry)->stat.size, offset = 0;

    do {
        const struct piece piece = {.source = source,
            .entry = entry,
            .offset = offset,
            .len = (uint32_t)MIN(size - offset, MOUNT_CHUNK_BYTES),
            .is_whole = size <= MOUNT_CHUNK_BYTES,
            .is_last = offset + MOUNT_CHUNK_BYTES >= size,
            .outcome = READ_CHANGED};

        g_array_append_val(pieces, piece);
        offset += piece.len;
    } while (offset < size);
}

static GArray *list_pieces(struct mount_source *source, const struct mount_catalog *catalog)
{
    GArray *pieces = g_array_new(false, false, sizeof(struct piece));

    for (guint i = 0; i < source->tree->leaves->len; i++) {
        if (is_wanted(catalog, source->tree, i))
            add_pieces(pieces, source, i);
    }
    g_array_sort(pieces, by_age);
    return pieces;
}

static struct cob_error *read_source(
    struct reading *reading, struct mount_source *source, unsigned n_threads)
{
    struct cob_error *err;

    reading->pieces = list_pieces(source, reading->catalog);
    reading->next = 0;
    err = read_all(reading, n_threads);
    g_array_unref(reading->pieces);
    return err;
}

struct cob_error *mount_read(GPtrArray *sources, struct mount_catalog *catalog,
    struct mount_packer *packer, struct cob_cancel *cancel)
{
    const unsigned n_threads = MIN(g_get_num_processors(), MAX_THREADS);
    struct reading reading = {.catalog = catalog,
        .packer = packer,
        .cancel = cancel,
        .hasher = cob_hasher_new(),
        .chunks = g_array_new(false, false, sizeof(struct cob_sha256))};
    struct cob_error *err = NULL;

    g_queue_init(&reading.busy);
    g_mutex_init(&reading.lock);
    g_cond_init(&reading.done);
    reading.pool = g_thread_pool_new(run_batch, &reading, (int)n_threads, FALSE, NULL);
    for (guint i = 0; i < sources->len && !err; i++)
        err = read_source(&reading, sources->pdata[i], n_threads);
    g_thread_pool_free(reading.pool, /* immediate= */ FALSE, /* wait_= */ TRUE);
    g_queue_clear_full(&reading.busy, batch_free);
    g_mutex_clear(&reading.lock);
    g_cond_clear(&reading.done);
    cob_hasher_free(reading.hasher);
    g_array_unref(reading.chunks);
    return err;
}
