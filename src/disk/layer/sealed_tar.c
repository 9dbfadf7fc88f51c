/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "disk/layer/frames.h"
#include "disk/layer/sealed_readers.h"

#define REPLY_BYTES (64 * (size_t)1024)

struct sealed_reader {
    const struct tar_events *events;
    void *arg;
    struct cob_cancel *cancel;
    struct cob_sealed *sealed; /* NULL: not yet */
    struct tar_entry entry;
    struct frame_check check;
    uint64_t unneeded; /* of the bytes to come */
    GByteArray *reply; /* what it said, from reply_at on not yet obeyed */
    size_t reply_at;
};

struct sealed_reader *sealed_reader_new(
    const struct tar_events *events, void *arg, struct cob_cancel *cancel)
{
    struct sealed_reader *reader = g_new(struct sealed_reader, 1);

    *reader = (struct sealed_reader){
        .events = events, .arg = arg, .cancel = cancel, .reply = g_byte_array_new()};
    tar_entry_init(&reader->entry);
    reader->check.entry = &reader->entry;
    return reader;
}

void sealed_reader_free(struct sealed_reader *reader)
{
    if (!reader)
        return;
    cob_sealed_free(reader->sealed);
    tar_entry_done(&reader->entry);
    g_byte_array_unref(reader->reply);
    g_free(reader);
}

static struct cob_error *send_all(struct sealed_reader *reader, const void *data, size_t len)
{
    struct cob_sealed_exchange exchange = {.data = data, .len = len};

    while (exchange.len > 0) {
        COB_TRY(cob_sealed_exchange(reader->sealed, &exchange, reader->cancel));
        exchange.data = (const uint8_t *)exchange.data + exchange.n_sent;
        exchange.len -= exchange.n_sent;
    }
    return NULL;
}

/* More of the reply, behind what there is; what was obeyed makes room. */
static struct cob_error *hear(struct sealed_reader *reader)
{
    GByteArray *reply = reader->reply;

    g_byte_array_remove_range(reply, 0, (guint)reader->reply_at);
    reader->reply_at = 0;
    guint had = reply->len;
    g_byte_array_set_size(reply, had + (guint)REPLY_BYTES);
    struct cob_sealed_exchange exchange = {.room = reply->data + had, .cap = REPLY_BYTES};
    struct cob_error *err = cob_sealed_exchange(reader->sealed, &exchange, reader->cancel);
    g_byte_array_set_size(reply, had + (guint)exchange.n_received);
    COB_TRY(err);
    if (!exchange.is_over)
        return NULL;
    COB_TRY(cob_sealed_finish(reader->sealed, reader->cancel));
    return cob_fail(COB_INTERNAL, "the sealed worker ended early");
}

/* The next whole frame.
 * ret_data: borrowed until the next call. */
static struct cob_error *next_frame(
    struct sealed_reader *reader, struct frame_head *head, const uint8_t **ret_data)
{
    size_t want = sizeof(*head);

    for (;;) {
        const uint8_t *at = reader->reply->data + reader->reply_at;
        size_t len = reader->reply->len - reader->reply_at;

        if (len >= sizeof(*head)) {
            memcpy(head, at, sizeof(*head));
            if (head->len > FRAME_MAX_BYTES)
                return cob_fail(COB_INTERNAL, "the sealed worker says too much");
            want = sizeof(*head) + head->len;
        }
        if (len >= want) {
            *ret_data = at + sizeof(*head);
            reader->reply_at += want;
            return NULL;
        }
        COB_TRY(hear(reader));
    }
}

static struct cob_error *obey_data(
    struct sealed_reader *reader, const uint8_t *chunk, const uint8_t *frame)
{
    struct frame_data place;

    memcpy(&place, frame, sizeof(place));
    return reader->events->data(reader->arg, place.offset, chunk + place.at, place.len);
}

/* Do what a frame says, which was found to be by the rules. */
static struct cob_error *obey(struct sealed_reader *reader, const struct frame_head *head,
    const uint8_t *chunk, const uint8_t *frame)
{
    struct frame_done done;

    switch ((enum frame_type)head->type) {
    case FRAME_ENTRY:
        return cob_wrap(reader->events->entry(reader->arg, &reader->entry), "entry %s",
            reader->entry.name->str);
    case FRAME_DATA:
        return obey_data(reader, chunk, frame);
    case FRAME_END:
        return reader->events->end(reader->arg);
    case FRAME_DONE:
        memcpy(&done, frame, sizeof(done));
        reader->unneeded = done.unneeded;
        return NULL;
    }
    g_assert_not_reached();
}

static struct cob_error *take_replies(struct sealed_reader *reader, const uint8_t *chunk)
{
    struct frame_head head = {0};
    const uint8_t *frame = NULL;

    do {
        COB_TRY(next_frame(reader, &head, &frame));
        COB_TRY(frame_check_next(&reader->check, &head, frame));
        COB_TRY(cob_wrap(obey(reader, &head, chunk, frame), "archive, at byte %" PRIu64,
            head.at / TAR_BLOCK * TAR_BLOCK));
    } while (head.type != FRAME_DONE);
    return NULL;
}

struct cob_error *sealed_reader_start(struct sealed_reader *reader)
{
    return reader->sealed ? NULL : cob_sealed_spawn(&layer_untar_worker, "-", &reader->sealed);
}

static struct cob_error *write_chunk(
    struct sealed_reader *reader, const uint8_t *data, uint32_t len)
{
    const uint32_t passed_over = (uint32_t)MIN((uint64_t)len, reader->unneeded);
    const struct frame_chunk chunk = {.passed_over = passed_over, .sent_len = len - passed_over};

    reader->check.chunk_len = len;
    reader->check.chunk_end = 0;
    COB_TRY(send_all(reader, &chunk, sizeof(chunk)));
    COB_TRY(send_all(reader, data + passed_over, len - passed_over));
    return take_replies(reader, data);
}

struct cob_error *sealed_reader_write(struct sealed_reader *reader, const uint8_t *data, size_t len)
{
    COB_TRY(sealed_reader_start(reader));
    while (len > 0 && reader->unneeded != UINT64_MAX) {
        size_t n = MIN(len, FRAME_CHUNK_BYTES);

        COB_TRY(write_chunk(reader, data, (uint32_t)n));
        data += n;
        len -= n;
    }
    return NULL;
}

/* An entry that never ends is the worker's fault: its reader would have told. */
struct cob_error *sealed_reader_finish(struct sealed_reader *reader)
{
    const struct frame_chunk last = {.is_last = 1};

    COB_TRY(sealed_reader_start(reader));
    COB_TRY(send_all(reader, &last, sizeof(last)));
    COB_TRY(take_replies(reader, NULL));
    if (reader->check.is_in_entry)
        return cob_fail(COB_INTERNAL, "the sealed worker leaves an entry open");
    return cob_sealed_finish(reader->sealed, reader->cancel);
}
