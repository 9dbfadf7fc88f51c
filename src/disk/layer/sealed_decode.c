/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "disk/layer/sealed_readers.h"

struct sealed_decoder {
    struct byte_sink sink;
    uint64_t max_bytes, n_out;
    struct cob_cancel *cancel;
    uint8_t first[CODEC_DETECT_BYTES];
    size_t n_first;
    bool is_detected;
    struct cob_sealed *sealed; /* NULL: plain */
};

struct sealed_decoder *sealed_decoder_new(
    const struct byte_sink *sink, uint64_t max_bytes, struct cob_cancel *cancel)
{
    struct sealed_decoder *decoder = g_new(struct sealed_decoder, 1);

    *decoder = (struct sealed_decoder){.sink = *sink, .max_bytes = max_bytes, .cancel = cancel};
    return decoder;
}

void sealed_decoder_free(struct sealed_decoder *decoder)
{
    if (!decoder)
        return;
    cob_sealed_free(decoder->sealed);
    g_free(decoder);
}

static struct cob_error *make_room(struct sealed_decoder *decoder, uint8_t **ret_room, size_t *cap)
{
    *ret_room = decoder->sink.space(decoder->sink.arg, cap);
    return *ret_room ? NULL : cob_fail(COB_CANCELLED, "nobody takes the bytes any more");
}

static struct cob_error *put_out(struct sealed_decoder *decoder, size_t n)
{
    decoder->n_out += n;
    if (decoder->n_out > decoder->max_bytes)
        return cob_fail(COB_EXHAUSTED, "more than the limit of %" PRIu64 " bytes, uncompressed",
            decoder->max_bytes);
    return decoder->sink.commit(decoder->sink.arg, n);
}

static struct cob_error *copy_plain(struct sealed_decoder *decoder, const uint8_t *data, size_t len)
{
    while (len > 0) {
        uint8_t *room;
        size_t cap;

        COB_TRY(make_room(decoder, &room, &cap));
        size_t n = MIN(len, cap);
        memcpy(room, data, n);
        COB_TRY(put_out(decoder, n));
        data += n;
        len -= n;
    }
    return NULL;
}

/* Give it the bytes, and take what comes meanwhile; without bytes, take until there is no more. */
static struct cob_error *talk(struct sealed_decoder *decoder, const uint8_t *data, size_t len)
{
    struct cob_sealed_exchange exchange = {.data = data, .len = len};
    bool is_all = len == 0;

    while (is_all || exchange.len > 0) {
        uint8_t *room;

        COB_TRY(make_room(decoder, &room, &exchange.cap));
        exchange.room = room;
        COB_TRY(cob_sealed_exchange(decoder->sealed, &exchange, decoder->cancel));
        exchange.data = (const uint8_t *)exchange.data + exchange.n_sent;
        exchange.len -= exchange.n_sent;
        if (exchange.n_received > 0)
            COB_TRY(put_out(decoder, exchange.n_received));
        if (!exchange.is_over)
            continue;
        COB_TRY(cob_sealed_finish(decoder->sealed, decoder->cancel));
        return is_all ? NULL : cob_fail(COB_INTERNAL, "the sealed worker ended early");
    }
    return NULL;
}

static struct cob_error *pass_on(struct sealed_decoder *decoder, const uint8_t *data, size_t len)
{
    if (len == 0)
        return NULL;
    return decoder->sealed ? talk(decoder, data, len) : copy_plain(decoder, data, len);
}

static struct cob_error *detect(struct sealed_decoder *decoder)
{
    const struct codec *codec = codec_detect(decoder->first, decoder->n_first);

    decoder->is_detected = true;
    if (codec)
        COB_TRY(cob_sealed_spawn(&layer_decode_worker, codec->name, &decoder->sealed));
    return pass_on(decoder, decoder->first, decoder->n_first);
}

struct cob_error *sealed_decoder_write(
    struct sealed_decoder *decoder, const uint8_t *data, size_t len)
{
    if (!decoder->is_detected) {
        size_t n = MIN(len, CODEC_DETECT_BYTES - decoder->n_first);

        memcpy(decoder->first + decoder->n_first, data, n);
        decoder->n_first += n;
        if (decoder->n_first < CODEC_DETECT_BYTES)
            return NULL;
        COB_TRY(detect(decoder));
        data += n;
        len -= n;
    }
    return pass_on(decoder, data, len);
}

struct cob_error *sealed_decoder_finish(struct sealed_decoder *decoder)
{
    if (!decoder->is_detected)
        COB_TRY(detect(decoder));
    if (!decoder->sealed)
        return NULL;
    cob_sealed_close_input(decoder->sealed);
    return talk(decoder, NULL, 0);
}
