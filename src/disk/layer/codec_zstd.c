/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "disk/layer/decompress.h"
#include "util/limits.h"

struct zstd {
    ZSTD_DCtx *ctx;
    bool is_open; /* inside a frame */
};

static void *open_zstd(struct cob_error **ret_err)
{
    struct zstd *zstd = g_new(struct zstd, 1);

    *zstd = (struct zstd){.ctx = ZSTD_createDCtx()};
    g_assert(zstd->ctx); /* memory is out */
    size_t code = ZSTD_DCtx_setParameter(zstd->ctx, ZSTD_d_windowLogMax, COB_LIMIT_ZSTD_WINDOW_LOG);
    if (ZSTD_isError(code))
        *ret_err = cob_fail(COB_INTERNAL, "limit the window: %s", ZSTD_getErrorName(code));
    return zstd;
}

static struct cob_error *run_zstd(void *state, struct codec_io *io)
{
    struct zstd *zstd = state;
    ZSTD_inBuffer in = {.src = io->in, .size = io->in_len};
    ZSTD_outBuffer out = {.dst = io->out, .size = io->out_len};

    if (io->in_len > 0 || zstd->is_open) {
        size_t code = ZSTD_decompressStream(zstd->ctx, &out, &in);

        if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
            return cob_fail(COB_EXHAUSTED, "its window is larger than the limit of %" PRIu64 " MiB",
                ((uint64_t)1 << COB_LIMIT_ZSTD_WINDOW_LOG) / COB_MIB);
        if (ZSTD_isError(code))
            return cob_fail(COB_INVALID, "%s", ZSTD_getErrorName(code));
        zstd->is_open = code != 0;
    }
    io->in += in.pos;
    io->in_len -= in.pos;
    io->out += out.pos;
    io->out_len -= out.pos;
    io->is_whole = !zstd->is_open;
    return NULL;
}

static void close_zstd(void *state)
{
    struct zstd *zstd = state;

    ZSTD_freeDCtx(zstd->ctx);
    g_free(zstd);
}

const struct codec codec_zstd = {.name = "zstd",
    .magic = {0x28, 0xb5, 0x2f, 0xfd},
    .magic_len = 4,
    .open = open_zstd,
    .run = run_zstd,
    .close = close_zstd};
