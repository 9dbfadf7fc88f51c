/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of bytes that come in pieces. Several streams in a row are one, as all these
 * formats have it.
 */
#pragma once

#include <inttypes.h>

#include "disk/layer/layer.h"

/* Where the bytes go: room is asked for and filled, so that they are not copied once more. */
struct byte_sink {
    uint8_t *(*space)(void *arg, size_t *ret_cap); /* NULL: nobody wants them any more */
    struct cob_error *(*commit)(void *arg, size_t len);
    void *arg;
};

struct byte_decoder;
struct codec;

/* max_bytes: of output.
 * errors: COB_UNIMPLEMENTED when this machine lacks the codec's library. */
COB_RESULT struct cob_error *byte_decoder_new(const struct codec *codec,
    const struct byte_sink *sink, uint64_t max_bytes, struct byte_decoder **ret_decoder);
void byte_decoder_free(struct byte_decoder *decoder);
COB_AUTOPTR(byte_decoder, byte_decoder_free)

/* errors: COB_INVALID for bad data, COB_EXHAUSTED past a limit, COB_CANCELLED when the sink gave no
 * room, and the sink's own. */
COB_RESULT struct cob_error *byte_decoder_write(
    struct byte_decoder *decoder, const uint8_t *data, size_t len);
COB_RESULT struct cob_error *byte_decoder_finish(struct byte_decoder *decoder);

/* One step of a codec: `in` is taken from, `out` put into, both moved on. */
struct codec_io {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    bool is_last;  /* no input will come after this */
    bool is_whole; /* result: no stream is open, the input may end here */
};

/* One way of compression. */
struct codec {
    const char *name;
    uint8_t magic[6];
    unsigned magic_len;
    uint32_t max_ratio; /* 0: as much as the whole may have */
    void *(*open)(struct cob_error **ret_err);
    struct cob_error *(*run)(void *state, struct codec_io *io);
    void (*close)(void *state);
};

extern const struct codec codec_gzip, codec_zstd, codec_xz, codec_bzip2;

#define CODEC_DETECT_BYTES 6 /* xz has the longest magic */

/* Which one begins like this? NULL: none of them. */
const struct codec *codec_detect(const uint8_t *data, size_t len);

/* NULL: there is none of that name. */
const struct codec *codec_named(const char *name);
