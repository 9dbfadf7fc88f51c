/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/decompress.h"

#include <string.h>

#include "util/limits.h"

static const struct codec *const codecs[] = {&codec_gzip, &codec_zstd, &codec_xz, &codec_bzip2};

struct byte_decoder {
    struct byte_sink sink;
    uint64_t max_bytes, n_in, n_out;
    const struct codec *codec;
    void *state;
    bool is_whole;
};

struct cob_error *byte_decoder_new(const struct codec *codec, const struct byte_sink *sink,
    uint64_t max_bytes, struct byte_decoder **ret_decoder)
{
    struct cob_error *err = NULL;
    void *state = codec->open(&err);

    if (err) {
        codec->close(state);
        return cob_wrap(err, "%s", codec->name);
    }
    *ret_decoder = g_new(struct byte_decoder, 1);
    **ret_decoder = (struct byte_decoder){
        .sink = *sink, .max_bytes = max_bytes, .codec = codec, .state = state};
    return NULL;
}

void byte_decoder_free(struct byte_decoder *decoder)
{
    if (!decoder)
        return;
    decoder->codec->close(decoder->state);
    g_free(decoder);
}

const struct codec *codec_detect(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(codecs); i++) {
        if (len >= codecs[i]->magic_len &&
            memcmp(data, codecs[i]->magic, codecs[i]->magic_len) == 0)
            return codecs[i];
    }
    return NULL;
}

const struct codec *codec_named(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(codecs); i++) {
        if (strcmp(codecs[i]->name, name) == 0)
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
    if (codec->max_ratio && decoder->n_out > COB_LIMIT_RATIO_FREE_BYTES &&
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

struct cob_error *byte_decoder_write(struct byte_decoder *decoder, const uint8_t *data, size_t len)
{
    return len > 0 ? run_codec(decoder, data, len, /* is_last= */ false) : NULL;
}

struct cob_error *byte_decoder_finish(struct byte_decoder *decoder)
{
    COB_TRY(run_codec(decoder, (const uint8_t *)"", 0, /* is_last= */ true));
    if (!decoder->is_whole)
        return cob_fail(COB_INVALID, "%s: cut short after %" PRIu64 " bytes", decoder->codec->name,
            decoder->n_in);
    return NULL;
}
