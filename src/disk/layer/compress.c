/* SPDX-License-Identifier: Apache-2.0 */
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <zstd.h>

#include "disk/layer/layer.h"
#include "util/digest.h"

/*
 * The input is cut into blocks of one size. Each is compressed by itself, by one of several
 * threads; the results go out in the order of the blocks. For gzip they are parts of one deflate
 * stream, each ended on a byte by a full flush; for zstd they are frames.
 */
#define BLOCK_BYTES (1024 * (size_t)1024)
#define MAX_THREADS 8
#define ZSTD_LEVEL 3
#define GZIP_LEVEL 1 /* ISA-L's, which has 0 to 3 */

struct block {
    uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    bool is_last, is_done; /* is_done: guarded by the compressor's lock */
    bool has_failed;
    int level;
};

struct cob_layer_compressor {
    enum cob_layer_compression compression;
    int level; /* of ISA-L or of zstd */
    cob_layer_sink sink;
    void *arg;
    struct cob_hasher *hasher;
    uint64_t n_in, n_out;
    uint32_t crc;
    unsigned n_threads;
    GThreadPool *pool;     /* made with the second block */
    GQueue busy;           /* struct block, owned, in order */
    struct block *filling; /* NULL: none */
    bool has_begun;
    GMutex lock; /* guards is_done of the blocks */
    GCond done;
};

static const uint8_t gzip_header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};

static void block_free(gpointer pointer)
{
    struct block *block = pointer;

    if (!block)
        return;
    g_free(block->in);
    g_free(block->out);
    g_free(block);
}

/* What a level of ISA-L works in. */
static uint32_t level_buffer_bytes(int level)
{
    static const uint32_t bytes[] = {
        ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};

    return bytes[level];
}

static void deflate_block(struct block *block)
{
    size_t cap = block->in_len + block->in_len / 8 + 1024; /* what does not shrink is stored */
    struct isal_zstream stream;
    g_autofree uint8_t *level_buffer = g_malloc(level_buffer_bytes(block->level) + 1);

    block->out = g_malloc(cap);
    isal_deflate_init(&stream);
    stream.level = (uint32_t)block->level;
    stream.level_buf = level_buffer;
    stream.level_buf_size = level_buffer_bytes(block->level);
    stream.gzip_flag = IGZIP_DEFLATE;
    stream.flush = block->is_last ? NO_FLUSH : FULL_FLUSH;
    stream.end_of_stream = block->is_last;
    stream.next_in = block->in;
    stream.avail_in = (uint32_t)block->in_len;
    stream.next_out = block->out;
    stream.avail_out = (uint32_t)cap;
    block->has_failed =
        isal_deflate(&stream) != COMP_OK || stream.avail_in > 0 || stream.avail_out == 0;
    block->out_len = cap - stream.avail_out;
}

static void zstd_block(struct block *block)
{
    size_t cap = ZSTD_compressBound(block->in_len);

    block->out = g_malloc(cap);
    size_t n = ZSTD_compress(block->out, cap, block->in, block->in_len, block->level);
    block->has_failed = ZSTD_isError(n);
    block->out_len = block->has_failed ? 0 : n;
}

static void compress_block(gpointer data, gpointer arg)
{
    struct cob_layer_compressor *compressor = arg;
    struct block *block = data;

    if (compressor->compression == COB_LAYER_GZIP)
        deflate_block(block);
    else
        zstd_block(block);
    g_mutex_lock(&compressor->lock);
    block->is_done = true;
    g_cond_broadcast(&compressor->done);
    g_mutex_unlock(&compressor->lock);
}

struct cob_layer_compressor *cob_layer_compressor_new(
    enum cob_layer_compression compression, cob_layer_sink sink, void *arg)
{
    struct cob_layer_compressor *compressor = g_new0(struct cob_layer_compressor, 1);

    g_assert(compression == COB_LAYER_PLAIN || compression == COB_LAYER_GZIP ||
             compression == COB_LAYER_ZSTD);
    compressor->compression = compression;
    compressor->level = compression == COB_LAYER_GZIP ? GZIP_LEVEL : ZSTD_LEVEL;
    compressor->sink = sink;
    compressor->arg = arg;
    compressor->hasher = cob_hasher_new();
    compressor->n_threads = MIN(g_get_num_processors(), MAX_THREADS);
    g_queue_init(&compressor->busy);
    g_mutex_init(&compressor->lock);
    g_cond_init(&compressor->done);
    return compressor;
}

void cob_layer_compressor_set_level(struct cob_layer_compressor *compressor, int level)
{
    if (compressor->compression == COB_LAYER_GZIP)
        compressor->level = CLAMP((level + 2) / 3, 0, 3);
    else
        compressor->level = CLAMP(level, 1, 22);
}

void cob_layer_compressor_free(struct cob_layer_compressor *compressor)
{
    if (!compressor)
        return;
    if (compressor->pool)
        g_thread_pool_free(compressor->pool, /* immediate= */ FALSE, /* wait_= */ TRUE);
    g_queue_clear_full(&compressor->busy, block_free);
    block_free(compressor->filling);
    cob_hasher_free(compressor->hasher);
    g_mutex_clear(&compressor->lock);
    g_cond_clear(&compressor->done);
    g_free(compressor);
}

static struct cob_error *put(struct cob_layer_compressor *compressor, const void *data, size_t len)
{
    cob_hasher_update(compressor->hasher, data, len);
    compressor->n_out += len;
    return compressor->sink(compressor->arg, data, len);
}

static struct cob_error *put_block(
    struct cob_layer_compressor *compressor, const struct block *block)
{
    if (block->has_failed)
        return cob_fail(COB_INTERNAL, "compress");
    if (!compressor->has_begun && compressor->compression == COB_LAYER_GZIP)
        COB_TRY(put(compressor, gzip_header, sizeof(gzip_header)));
    compressor->has_begun = true;
    return put(compressor, block->out, block->out_len);
}

/* Wait for the oldest block, and pass it on. */
static struct cob_error *pop_block(struct cob_layer_compressor *compressor)
{
    struct block *block = g_queue_pop_head(&compressor->busy);

    g_mutex_lock(&compressor->lock);
    while (!block->is_done)
        g_cond_wait(&compressor->done, &compressor->lock);
    g_mutex_unlock(&compressor->lock);
    struct cob_error *err = put_block(compressor, block);
    block_free(block);
    return err;
}

static struct cob_error *submit_block(struct cob_layer_compressor *compressor)
{
    struct block *block = g_steal_pointer(&compressor->filling);

    compressor->n_in += block->in_len;
    compressor->crc = crc32_gzip_refl(compressor->crc, block->in, block->in_len);
    g_queue_push_tail(&compressor->busy, block);
    if (block->is_last && !compressor->pool) {
        compress_block(block, compressor); /* all of it in one: no thread is worth it */
        return NULL;
    }
    if (!compressor->pool)
        compressor->pool =
            g_thread_pool_new(compress_block, compressor, (int)compressor->n_threads, FALSE, NULL);
    g_thread_pool_push(compressor->pool, block, NULL);
    while (g_queue_get_length(&compressor->busy) > compressor->n_threads)
        COB_TRY(pop_block(compressor));
    return NULL;
}

static void begin_block(struct cob_layer_compressor *compressor)
{
    compressor->filling = g_new0(struct block, 1);
    compressor->filling->level = compressor->level;
    compressor->filling->in = g_malloc(BLOCK_BYTES);
}

struct cob_error *cob_layer_compressor_write(void *arg, const void *data, size_t len)
{
    struct cob_layer_compressor *compressor = arg;
    const uint8_t *at = data;

    if (compressor->compression == COB_LAYER_PLAIN)
        return put(compressor, data, len);
    while (len > 0) {
        if (compressor->filling && compressor->filling->in_len == BLOCK_BYTES)
            COB_TRY(submit_block(compressor)); /* not sooner: the last one is marked as such */
        if (!compressor->filling)
            begin_block(compressor);
        size_t n = MIN(len, BLOCK_BYTES - compressor->filling->in_len);
        memcpy(compressor->filling->in + compressor->filling->in_len, at, n);
        compressor->filling->in_len += n;
        at += n;
        len -= n;
    }
    return NULL;
}

static struct cob_error *put_trailer(struct cob_layer_compressor *compressor)
{
    uint32_t trailer[2] = {
        GUINT32_TO_LE(compressor->crc), GUINT32_TO_LE((uint32_t)compressor->n_in)};

    return put(compressor, trailer, sizeof(trailer));
}

struct cob_error *cob_layer_compressor_finish(
    struct cob_layer_compressor *compressor, struct cob_layer_compressed *ret_compressed)
{
    if (compressor->compression != COB_LAYER_PLAIN) {
        if (!compressor->filling)
            begin_block(compressor);
        compressor->filling->is_last = true;
        COB_TRY(submit_block(compressor));
        while (!g_queue_is_empty(&compressor->busy))
            COB_TRY(pop_block(compressor));
    }
    if (compressor->compression == COB_LAYER_GZIP)
        COB_TRY(put_trailer(compressor));
    struct cob_sha256 sha = cob_hasher_finish(compressor->hasher);
    *ret_compressed = (struct cob_layer_compressed){
        .digest = cob_sha256_text(&sha), .size_bytes = compressor->n_out};
    return NULL;
}

const char *cob_layer_media_type(enum cob_layer_compression compression)
{
    switch (compression) {
    case COB_LAYER_PLAIN:
        return "application/vnd.oci.image.layer.v1.tar";
    case COB_LAYER_ZSTD:
        return "application/vnd.oci.image.layer.v1.tar+zstd";
    case COB_LAYER_GZIP:
        return "application/vnd.oci.image.layer.v1.tar+gzip";
    case COB_LAYER_XZ:
    case COB_LAYER_BZIP2:
        break;
    }
    g_assert_not_reached();
}
