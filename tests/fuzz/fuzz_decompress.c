/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a compressed stream, in pieces whose size the first byte says. */
#include "disk/layer/decompress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t *space(void *arg, size_t *ret_cap)
{
    *ret_cap = 4096;
    return arg;
}

static struct cob_error *commit(void *arg, size_t len)
{
    (void)arg;
    g_assert(len <= 4096);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t room[4096];
    const struct byte_sink sink = {.space = space, .commit = commit, .arg = room};
    const struct codec *codec = len > 1 ? codec_detect(data + 1, len - 1) : NULL;
    g_autoptr(byte_decoder) decoder = NULL;
    struct cob_error *err = NULL;

    if (!codec)
        return 0;
    err = byte_decoder_new(codec, &sink, 16 << 20, &decoder);
    for (size_t at = 1, piece = 1 + data[0]; at < len && !err; at += piece)
        err = byte_decoder_write(decoder, data + at, MIN(piece, len - at));
    if (!err)
        err = byte_decoder_finish(decoder);
    cob_error_free(err);
    return 0;
}
