/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/history/history_parts.h"
#include "util/json.h"

/* --- events -> lines --- */

void history_put(GString *out, const char *kind, json_t *object)
{
    json_auto_t *line = json_pack("{s:o}", kind, object);
    g_autoptr(GBytes) bytes = cob_json_bytes(line);
    gsize len;
    const char *text = g_bytes_get_data(bytes, &len);

    g_string_append_len(out, text, (gssize)len);
    g_string_append_c(out, '\n');
}

static void set_text(json_t *object, const char *key, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid)
        json_object_set_new(object, key, json_string(valid));
}

static void set_number(json_t *object, const char *key, int64_t number)
{
    if (number)
        json_object_set_new(object, key, json_integer((json_int_t)number));
}

void history_put_vertex(GString *out, const struct cob_event_vertex *event)
{
    json_t *object = json_object();

    set_text(object, "digest", event->digest);
    set_text(object, "name", event->name);
    set_number(object, "number", event->number);
    set_number(object, "started_us", event->started_us);
    set_number(object, "completed_us", event->completed_us);
    if (event->is_cached)
        json_object_set_new(object, "cached", json_true());
    set_text(object, "error", event->error);
    history_put(out, "vertex", object);
}

void history_put_status(GString *out, const struct cob_event_status *event)
{
    json_t *object = json_object();

    set_text(object, "vertex", event->vertex);
    set_text(object, "id", event->id);
    set_number(object, "current", (int64_t)event->current);
    set_number(object, "total", (int64_t)event->total);
    set_number(object, "started_us", event->started_us);
    set_number(object, "completed_us", event->completed_us);
    history_put(out, "status", object);
}

/* Text as it is, other bytes as base64. */
void history_put_log(GString *out, const struct cob_event_log *event)
{
    json_t *object = json_object();

    set_text(object, "vertex", event->vertex);
    set_number(object, "stream", event->stream);
    set_number(object, "at_us", event->at_us);
    if (g_utf8_validate_len(event->data, event->len, NULL)) {
        json_object_set_new(object, "text", json_stringn(event->data, event->len));
    } else {
        g_autofree char *base64 = g_base64_encode(event->data, event->len);

        json_object_set_new(object, "base64", json_string(base64));
    }
    history_put(out, "log", object);
}

void history_put_warning(GString *out, const struct cob_event_warning *event)
{
    json_t *object = json_object();

    set_text(object, "vertex", event->vertex);
    set_text(object, "text", event->text);
    set_text(object, "detail", event->detail);
    set_text(object, "url", event->url);
    history_put(out, "warning", object);
}

void history_put_reason(GString *out, const char *vertex, const char *text)
{
    json_t *object = json_object();

    set_text(object, "vertex", vertex);
    set_text(object, "text", text);
    history_put(out, "reason", object);
}

/* --- lines -> events --- */

const char *history_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

int64_t history_number(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

/* NULL where history_text() has "". */
static const char *text_or_null(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void tell_vertex(const json_t *object, const struct cob_observer *observer)
{
    const struct cob_event_vertex event = {.digest = history_text(object, "digest"),
        .name = history_text(object, "name"),
        .number = (int)history_number(object, "number"),
        .started_us = history_number(object, "started_us"),
        .completed_us = history_number(object, "completed_us"),
        .is_cached = json_is_true(json_object_get(object, "cached")),
        .error = text_or_null(object, "error")};

    observer->vertex(observer->arg, &event);
}

static void tell_status(const json_t *object, const struct cob_observer *observer)
{
    const struct cob_event_status event = {.vertex = history_text(object, "vertex"),
        .id = history_text(object, "id"),
        .current = (uint64_t)history_number(object, "current"),
        .total = (uint64_t)history_number(object, "total"),
        .started_us = history_number(object, "started_us"),
        .completed_us = history_number(object, "completed_us")};

    observer->status(observer->arg, &event);
}

static void tell_log(const json_t *object, const struct cob_observer *observer)
{
    const json_t *text = json_object_get(object, "text");
    gsize len = text ? json_string_length(text) : 0;
    g_autofree guchar *bytes = text ? NULL : g_base64_decode(history_text(object, "base64"), &len);
    const struct cob_event_log event = {.vertex = history_text(object, "vertex"),
        .stream = (int)history_number(object, "stream"),
        .data = text ? (const void *)json_string_value(text) : bytes,
        .len = len,
        .at_us = history_number(object, "at_us")};

    if (len > 0)
        observer->log(observer->arg, &event);
}

static void tell_warning(const json_t *object, const struct cob_observer *observer, bool is_reason)
{
    const struct cob_event_warning event = {.vertex = text_or_null(object, "vertex"),
        .text = history_text(object, "text"),
        .detail = text_or_null(object, "detail"),
        .url = text_or_null(object, "url"),
        .is_reason = is_reason};

    observer->warning(observer->arg, &event);
}

void history_tell(const json_t *line, const struct cob_observer *observer)
{
    const json_t *object;

    if ((object = json_object_get(line, "vertex")))
        tell_vertex(object, observer);
    else if ((object = json_object_get(line, "status")))
        tell_status(object, observer);
    else if ((object = json_object_get(line, "log")))
        tell_log(object, observer);
    else if ((object = json_object_get(line, "warning")))
        tell_warning(object, observer, /* is_reason= */ false);
    else if ((object = json_object_get(line, "reason")))
        tell_warning(object, observer, /* is_reason= */ true);
}
