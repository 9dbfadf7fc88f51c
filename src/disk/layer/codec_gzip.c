/* SPDX-License-Identifier: Apache-2.0 */
#include <isa-l/igzip_lib.h>

#include "disk/layer/decompress.h"
#include "util/limits.h"

struct gzip {
    struct inflate_state inflate;
    bool is_open; /* inside a member */
};

static void *open_gzip(struct cob_error **ret_err)
{
    struct gzip *gzip = g_new0(struct gzip, 1);

    (void)ret_err;
    isal_inflate_init(&gzip->inflate);
    gzip->inflate.crc_flag = ISAL_GZIP;
    return gzip;
}

static struct cob_error *explain(int code)
{
    if (code == ISAL_INCORRECT_CHECKSUM)
        return cob_fail(COB_INVALID, "its checksum is wrong");
    if (code == ISAL_INVALID_WRAPPER || code == ISAL_UNSUPPORTED_METHOD)
        return cob_fail(COB_INVALID, "something else follows, or its header is bad");
    return cob_fail(COB_INVALID, "its data is damaged");
}

static struct cob_error *run_gzip(void *state, struct codec_io *io)
{
    struct gzip *gzip = state;
    struct inflate_state *inflate = &gzip->inflate;

    if (io->in_len > 0 && !gzip->is_open) {
        isal_inflate_reset(inflate);
        inflate->crc_flag = ISAL_GZIP;
        gzip->is_open = true;
    }
    inflate->next_in = (uint8_t *)(uintptr_t)io->in; /* read only, its type does not say so */
    inflate->avail_in = (uint32_t)MIN(io->in_len, (size_t)UINT32_MAX / 2);
    inflate->next_out = io->out;
    inflate->avail_out = (uint32_t)MIN(io->out_len, (size_t)UINT32_MAX / 2);
    int code = gzip->is_open ? isal_inflate(inflate) : ISAL_DECOMP_OK;
    if (code < 0 || code == ISAL_NEED_DICT)
        return explain(code);
    io->in_len -= (size_t)(inflate->next_in - io->in);
    io->in = inflate->next_in;
    io->out_len -= (size_t)(inflate->next_out - io->out);
    io->out = inflate->next_out;
    if (gzip->is_open && inflate->block_state == ISAL_BLOCK_FINISH)
        gzip->is_open = false;
    io->is_whole = !gzip->is_open;
    return NULL;
}

const struct codec codec_gzip = {.name = "gzip",
    .magic = {0x1f, 0x8b, 0x08},
    .magic_len = 3,
    .max_ratio = COB_LIMIT_RATIO,
    .open = open_gzip,
    .run = run_gzip,
    .close = g_free};
