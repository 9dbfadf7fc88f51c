/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/rawjson.h"

#include <jansson.h>
#include <string.h>

#include "util/json.h"

#define MAX_SOURCE_BYTES (64 * 1024) /* that go along with each warning */

static void set_text(json_t *object, const char *key, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid)
        json_object_set_new(object, key, json_string(valid));
}

/* at_us: 0: not yet, and not written. */
static void set_time(json_t *object, const char *key, int64_t at_us)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(at_us / G_USEC_PER_SEC);
    g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : NULL;
    g_autofree char *whole = NULL;

    if (!text || at_us == 0)
        return;
    whole = g_strdup_printf("%s.%06dZ", text, (int)(at_us % G_USEC_PER_SEC));
    json_object_set_new(object, key, json_string(whole));
}

static void set_bytes(json_t *object, const char *key, const void *data, size_t len)
{
    g_autofree char *text = g_base64_encode(data, len);

    json_object_set_new(object, key, json_string(text));
}

/* Append {"<kind>":[item]} and a newline. item: taken. */
static void append_item(GString *out, const char *kind, json_t *item)
{
    json_auto_t *object = json_pack("{s:[o]}", kind, item);
    g_autoptr(GBytes) bytes = cob_json_bytes(object);
    size_t len;
    const char *text = g_bytes_get_data(bytes, &len);

    g_string_append_len(out, text, (gssize)len);
    g_string_append_c(out, '\n');
}

void rawjson_vertex(GString *out, const struct cob_event_vertex *event)
{
    json_t *item = json_object();

    set_text(item, "digest", event->digest);
    set_text(item, "name", event->name);
    set_time(item, "started", event->started_us);
    set_time(item, "completed", event->completed_us);
    if (event->is_cached)
        json_object_set_new(item, "cached", json_true());
    set_text(item, "error", event->error);
    append_item(out, "vertexes", item);
}

void rawjson_status(GString *out, const struct cob_event_status *event)
{
    json_t *item = json_object();

    set_text(item, "id", event->id);
    set_text(item, "vertex", event->vertex);
    json_object_set_new(item, "current", json_integer((json_int_t)event->current));
    if (event->total > 0)
        json_object_set_new(item, "total", json_integer((json_int_t)event->total));
    set_time(item, "timestamp", g_get_real_time());
    set_time(item, "started", event->started_us);
    set_time(item, "completed", event->completed_us);
    append_item(out, "statuses", item);
}

void rawjson_log(GString *out, const struct cob_event_log *event)
{
    json_t *item = json_object();

    set_text(item, "vertex", event->vertex);
    json_object_set_new(item, "stream", json_integer(event->stream));
    set_bytes(item, "data", event->data, event->len);
    set_time(item, "timestamp", event->at_us);
    append_item(out, "logs", item);
}

static json_t *position_json(int line)
{
    return json_pack("{si}", "line", line);
}

/* The place of a warning; a file that is large only by name. */
static void set_place(json_t *item, const struct cob_event_warning *event)
{
    json_t *source = json_object();
    gsize len;
    const void *data = g_bytes_get_data(event->file->data, &len);

    set_text(source, "filename", event->file->name);
    if (len <= MAX_SOURCE_BYTES)
        set_bytes(source, "data", data, len);
    set_text(source, "language", "Dockerfile");
    json_object_set_new(item, "sourceInfo", source);
    json_object_set_new(item, "range",
        json_pack("[{soso}]", "start", position_json(event->range.first_line), "end",
            position_json(event->range.last_line)));
    json_object_set_new(item, "level", json_integer(1));
}

void rawjson_warning(GString *out, const struct cob_event_warning *event)
{
    json_t *item = json_object();
    g_autofree char *marked = event->is_reason ? g_strdup_printf("why: %s", event->text) : NULL;
    const char *text = marked ? marked : event->text;

    set_text(item, "vertex", event->vertex);
    if (marked)
        json_object_set_new(item, "reason", json_true());
    set_bytes(item, "short", text, strlen(text));
    if (event->detail) {
        g_autofree char *detail =
            g_base64_encode((const guchar *)event->detail, strlen(event->detail));

        json_object_set_new(item, "detail", json_pack("[s]", detail));
    }
    set_text(item, "url", event->url);
    if (event->file && event->range.first_line > 0)
        set_place(item, event);
    append_item(out, "warnings", item);
}
