/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <zstd.h>

#include "disk/layer/sealed_readers.h"

/* --- compress --- */

static struct cob_error *check(size_t code)
{
    return ZSTD_isError(code) ? cob_fail(COB_INTERNAL, "compress: %s", ZSTD_getErrorName(code))
                              : NULL;
}

static struct cob_error *write_frame(
    ZSTD_CCtx *ctx, ZSTD_inBuffer *in, cob_layer_sink sink, void *arg)
{
    const size_t room_len = ZSTD_CStreamOutSize();
    g_autofree uint8_t *room = g_malloc(room_len);
    size_t n_left = 1;

    while (n_left > 0) {
        ZSTD_outBuffer out = {.dst = room, .size = room_len};

        n_left = ZSTD_compressStream2(ctx, &out, in, ZSTD_e_end);
        COB_TRY(check(n_left));
        if (out.pos > 0)
            COB_TRY(sink(arg, room, out.pos));
    }
    return NULL;
}

struct cob_error *cob_layer_zstd_write(
    const void *data, size_t len, int level, cob_layer_sink sink, void *arg)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_inBuffer in = {.src = data, .size = len};

    g_assert(ctx); /* memory is out */
    struct cob_error *err = check(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level));
    if (!err)
        err = check(ZSTD_CCtx_setPledgedSrcSize(ctx, len));
    if (!err)
        err = write_frame(ctx, &in, sink, arg);
    ZSTD_freeCCtx(ctx);
    return err;
}

/* --- and back --- */

struct room {
    uint8_t *at;
    size_t left;
    uint8_t extra; /* one more byte than there may be would go here */
};

static uint8_t *room_space(void *arg, size_t *ret_cap)
{
    struct room *room = arg;

    *ret_cap = room->left ? room->left : 1;
    return room->left ? room->at : &room->extra;
}

static struct cob_error *room_commit(void *arg, size_t len)
{
    struct room *room = arg;

    if (len > room->left)
        return cob_fail(COB_INVALID, "it holds more bytes than it was said to");
    room->at += len;
    room->left -= len;
    return NULL;
}

struct cob_error *cob_layer_zstd_read(
    const void *data, size_t len, void *room_bytes, size_t room_len, struct cob_cancel *cancel)
{
    struct room room = {.at = room_bytes, .left = room_len};
    const struct byte_sink sink = {.space = room_space, .commit = room_commit, .arg = &room};
    g_autoptr(sealed_decoder) decoder = NULL;

    if (codec_detect(data, len) != &codec_zstd)
        return cob_fail(COB_INVALID, "it is not compressed by zstd");
    decoder = sealed_decoder_new(&sink, UINT64_MAX, cancel);
    COB_TRY(sealed_decoder_write(decoder, data, len));
    COB_TRY(sealed_decoder_finish(decoder));
    if (room.left > 0)
        return cob_fail(COB_INVALID, "it holds %zu bytes less than it was said to", room.left);
    return NULL;
}
