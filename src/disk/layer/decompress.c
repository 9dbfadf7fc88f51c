/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/decompress.h"

#include <string.h>

#include "util/limits.h"

#define DETECT_BYTES 6 /* xz has the longest magic */

struct byte_decoder {
    struct byte_sink sink;
    uint64_t max_bytes, n_in, n_out;
    uint8_t first[DETECT_BYTES];
    size_t n_first;
    bool is_detected;
    const struct codec *codec; /* NULL: plain */
    void *state;
    bool is_whole;
};

struct byte_decoder *byte_decoder_new(const struct byte_sink *sink, uint64_t max_bytes)
{
    struct byte_decoder *decoder = g_new(struct byte_decoder, 1);

    *decoder = (struct byte_decoder){.sink = *sink, .max_bytes = max_bytes, .is_whole = true};
    return decoder;
}

void byte_decoder_free(struct byte_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->state)
        decoder->codec->close(decoder->state);
    g_free(decoder);
}

const struct codec *codec_detect(const uint8_t *data, size_t len)
{
    static const struct codec *const codecs[] = {&codec_gzip, &codec_zstd, &codec_xz, &codec_bzip2};

    for (size_t i = 0; i < G_N_ELEMENTS(codecs); i++) {
        if (len >= codecs[i]->magic_len &&
            memcmp(data, codecs[i]->magic, codecs[i]->magic_len) == 0)
            return codecs[i];
    }
    return NULL;
}

static struct cob_error *count_out(struct byte_decoder *decoder, size_t n)
{
    const struct codec *codec = decoder->codec;

    decoder->n_out += n;
    if (decoder->n_out > decoder->max_bytes)
        return cob_fail(COB_EXHAUSTED, "more than the limit of %" PRIu64 " bytes, uncompressed",
            decoder->max_bytes);
    if (codec && codec->max_ratio && decoder->n_out > COB_LIMIT_RATIO_FREE_BYTES &&
        decoder->n_out / codec->max_ratio > decoder->n_in)
        return cob_fail(COB_EXHAUSTED,
            "%" PRIu64 " bytes of %s became %" PRIu64 ": more than this compression can do",
            decoder->n_in, codec->name, decoder->n_out);
    return NULL;
}

static struct cob_error *make_room(struct byte_decoder *decoder, struct codec_io *io)
{
    io->out = decoder->sink.space(decoder->sink.arg, &io->out_len);
    return io->out ? NULL : cob_fail(COB_CANCELLED, "nobody takes the bytes any more");
}

static struct cob_error *copy_plain(struct byte_decoder *decoder, const uint8_t *data, size_t len)
{
    while (len > 0) {
        struct codec_io io = {0};

        COB_TRY(make_room(decoder, &io));
        size_t n = MIN(len, io.out_len);
        memcpy(io.out, data, n);
        COB_TRY(count_out(decoder, n));
        COB_TRY(decoder->sink.commit(decoder->sink.arg, n));
        data += n;
        len -= n;
    }
    return NULL;
}

/* Run until the input is used up and nothing more comes out. */
static struct cob_error *run_codec(
    struct byte_decoder *decoder, const uint8_t *data, size_t len, bool is_last)
{
    struct codec_io io = {.in = data, .in_len = len, .is_last = is_last};
    bool is_out_full;

    do {
        COB_TRY(make_room(decoder, &io));
        size_t cap = io.out_len, had = io.in_len;

        COB_TRY(cob_wrap(decoder->codec->run(decoder->state, &io), "%s", decoder->codec->name));
        decoder->n_in += had - io.in_len;
        COB_TRY(count_out(decoder, cap - io.out_len));
        COB_TRY(decoder->sink.commit(decoder->sink.arg, cap - io.out_len));
        is_out_full = io.out_len == 0;
    } while (io.in_len > 0 || is_out_full);
    decoder->is_whole = io.is_whole;
    return NULL;
}

static struct cob_error *pass_on(struct byte_decoder *decoder, const uint8_t *data, size_t len)
{
    if (len == 0)
        return NULL;
    if (!decoder->codec)
        return copy_plain(decoder, data, len);
    return run_codec(decoder, data, len, /* is_last= */ false);
}

static struct cob_error *detect(struct byte_decoder *decoder)
{
    struct cob_error *err = NULL;

    decoder->is_detected = true;
    decoder->codec = codec_detect(decoder->first, decoder->n_first);
    if (decoder->codec)
        decoder->state = decoder->codec->open(&err);
    if (err)
        return cob_wrap(err, "%s", decoder->codec->name);
    return pass_on(decoder, decoder->first, decoder->n_first);
}

struct cob_error *byte_decoder_write(struct byte_decoder *decoder, const uint8_t *data, size_t len)
{
    if (!decoder->is_detected) {
        size_t n = MIN(len, DETECT_BYTES - decoder->n_first);

        memcpy(decoder->first + decoder->n_first, data, n);
        decoder->n_first += n;
        if (decoder->n_first < DETECT_BYTES)
            return NULL;
        COB_TRY(detect(decoder));
        data += n;
        len -= n;
    }
    return pass_on(decoder, data, len);
}

struct cob_error *byte_decoder_finish(struct byte_decoder *decoder)
{
    if (!decoder->is_detected)
        COB_TRY(detect(decoder));
    if (decoder->codec)
        COB_TRY(run_codec(decoder, (const uint8_t *)"", 0, /* is_last= */ true));
    if (!decoder->is_whole)
        return cob_fail(COB_INVALID, "%s: cut short after %" PRIu64 " bytes", decoder->codec->name,
            decoder->n_in);
    return NULL;
}
