/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as BuildKit keeps them: messages StatusResponse, each behind its length in four bytes,
 * little endian.
 *
 * spec: BuildKit api/services/control/control.proto; solver/llbsolver/history, ImportStatus.
 */
#include <string.h>

#include "build/history/history_export.h"

/* --- protobuf's wire format --- */

enum wire { WIRE_NUMBER = 0, WIRE_BYTES = 2 };

static void put_varint(GByteArray *out, uint64_t number)
{
    guint8 text[10];
    guint n = 0;

    for (; number >= 0x80; number >>= 7)
        text[n++] = (guint8)(number | 0x80);
    text[n++] = (guint8)number;
    g_byte_array_append(out, text, n);
}

/* Zero and nothing are what is not written. */
static void put_number(GByteArray *out, unsigned field, int64_t number)
{
    if (number == 0)
        return;
    put_varint(out, field << 3 | WIRE_NUMBER);
    put_varint(out, (uint64_t)number);
}

static void put_bytes(GByteArray *out, unsigned field, const void *data, size_t len)
{
    if (len == 0)
        return;
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, len);
    g_byte_array_append(out, data, (guint)len);
}

static void put_text(GByteArray *out, unsigned field, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid)
        put_bytes(out, field, valid, strlen(valid));
}

/* message: taken. */
static void put_message(GByteArray *out, unsigned field, GByteArray *message)
{
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, message->len);
    g_byte_array_append(out, message->data, message->len);
    g_byte_array_unref(message);
}

/* google.protobuf.Timestamp; nothing for what did not happen yet. */
static void put_time(GByteArray *out, unsigned field, int64_t at_us)
{
    GByteArray *time;

    if (at_us == 0)
        return;
    time = g_byte_array_new();
    put_number(time, 1, at_us / G_USEC_PER_SEC);
    put_number(time, 2, at_us % G_USEC_PER_SEC * 1000);
    put_message(out, field, time);
}

/* --- events --- */

enum response_field { VERTEXES = 1, STATUSES = 2, LOGS = 3, WARNINGS = 4 };

/* message: taken. */
static void put_response(GByteArray *out, enum response_field field, GByteArray *message)
{
    g_autoptr(GByteArray) response = g_byte_array_new();
    uint32_t len;

    put_message(response, field, message);
    len = GUINT32_TO_LE(response->len);
    g_byte_array_append(out, (const guint8 *)&len, sizeof(len));
    g_byte_array_append(out, response->data, response->len);
}

static void on_vertex(void *arg, const struct cob_event_vertex *event)
{
    GByteArray *message = g_byte_array_new();

    put_text(message, 1, event->digest);
    put_text(message, 3, event->name);
    put_number(message, 4, event->is_cached);
    put_time(message, 5, event->started_us);
    put_time(message, 6, event->completed_us);
    put_text(message, 7, event->error);
    put_response(arg, VERTEXES, message);
}

static void on_status(void *arg, const struct cob_event_status *event)
{
    GByteArray *message = g_byte_array_new();

    put_text(message, 1, event->id);
    put_text(message, 2, event->vertex);
    put_number(message, 4, (int64_t)event->current);
    put_number(message, 5, (int64_t)event->total);
    put_time(message, 6, event->completed_us);
    put_time(message, 7, event->started_us);
    put_time(message, 8, event->completed_us);
    put_response(arg, STATUSES, message);
}

static void on_log(void *arg, const struct cob_event_log *event)
{
    GByteArray *message = g_byte_array_new();

    put_text(message, 1, event->vertex);
    put_time(message, 2, event->at_us);
    put_number(message, 3, event->stream);
    put_bytes(message, 4, event->data, event->len);
    put_response(arg, LOGS, message);
}

static void on_warning(void *arg, const struct cob_event_warning *event)
{
    GByteArray *message;

    if (event->is_reason) /* no other program would take it for what it is */
        return;
    message = g_byte_array_new();
    put_text(message, 1, event->vertex);
    put_number(message, 2, 1);
    put_text(message, 3, event->text);
    put_text(message, 4, event->detail);
    put_text(message, 5, event->url);
    put_response(arg, WARNINGS, message);
}

struct cob_error *history_status_bytes(
    struct cob_store *store, const struct cob_history_build *build, GBytes **ret_bytes)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    const struct cob_observer observer = {out, on_vertex, on_status, on_log, on_warning};

    COB_TRY(cob_history_replay(store, build, &observer));
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&out));
    return NULL;
}
