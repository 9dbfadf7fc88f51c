/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/trace.h"

#include <string.h>

#include "util/text.h"

static void status_free(gpointer data)
{
    struct trace_status *status = data;

    g_free(status->id);
    g_free(status);
}

static void vertex_free(gpointer data)
{
    struct trace_vertex *vertex = data;

    g_free(vertex->name);
    g_free(vertex->error);
    g_ptr_array_unref(vertex->statuses);
    g_ptr_array_unref(vertex->warnings);
    g_ptr_array_unref(vertex->reasons);
    steplog_done(&vertex->log);
    g_free(vertex);
}

void trace_init(struct trace *trace, bool is_queued)
{
    *trace = (struct trace){
        .by_digest = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, vertex_free),
        .vertices = g_ptr_array_new(),
        .started = g_ptr_array_new(),
        .is_queued = is_queued,
    };
    notes_init(&trace->notes);
}

void trace_done(struct trace *trace)
{
    g_clear_pointer(&trace->vertices, g_ptr_array_unref);
    g_clear_pointer(&trace->started, g_ptr_array_unref);
    notes_done(&trace->notes);
    g_clear_pointer(&trace->by_digest, g_hash_table_unref);
}

/* What happened counts towards the vertex' turn to be shown. */
static void note_news(struct trace_vertex *vertex, int64_t now_us)
{
    if (vertex->n_news == 0)
        vertex->news_us = now_us;
    vertex->n_news++;
    vertex->is_changed = true;
}

static struct trace_vertex *vertex_add(struct trace *trace, const char *digest)
{
    struct trace_vertex *vertex = g_new(struct trace_vertex, 1);

    *vertex = (struct trace_vertex){
        .statuses = g_ptr_array_new_with_free_func(status_free),
        .warnings = g_ptr_array_new_with_free_func(g_free),
        .reasons = g_ptr_array_new_with_free_func(g_free),
    };
    steplog_init(&vertex->log, trace->is_queued);
    g_hash_table_insert(trace->by_digest, g_strdup(digest), vertex);
    g_ptr_array_add(trace->vertices, vertex);
    return vertex;
}

/* A step may run again: then the time it took before is kept. */
static void note_times(
    struct trace *trace, struct trace_vertex *vertex, const struct cob_event_vertex *event)
{
    if (event->started_us && !vertex->started_us)
        g_ptr_array_add(trace->started, vertex);
    if (event->started_us != vertex->started_us && vertex->completed_us)
        vertex->spent_us += MAX(vertex->completed_us - vertex->started_us, 0);
    if (!trace->first_us)
        trace->first_us = event->started_us;
    vertex->started_us = event->started_us;
    vertex->completed_us = event->completed_us;
}

void trace_vertex(struct trace *trace, const struct cob_event_vertex *event, int64_t now_us)
{
    struct trace_vertex *vertex = g_hash_table_lookup(trace->by_digest, event->digest);

    if (!vertex)
        vertex = vertex_add(trace, event->digest);
    if (event->started_us || !vertex->started_us) {
        g_free(vertex->name);
        vertex->name = cob_text_visible(event->name ? event->name : "");
        g_free(vertex->error);
        vertex->error = event->error ? cob_text_visible(event->error) : NULL;
        vertex->is_cached = event->is_cached;
        if (event->number)
            vertex->number = event->number;
        note_times(trace, vertex, event);
    }
    if (event->completed_us)
        steplog_end(&vertex->log);
    if (event->started_us)
        note_news(vertex, now_us);
}

static struct trace_status *status_of(struct trace_vertex *vertex, const char *id)
{
    g_autofree char *visible = cob_text_visible(id);

    for (guint i = 0; i < vertex->statuses->len; i++) {
        struct trace_status *status = vertex->statuses->pdata[i];

        if (!strcmp(status->id, visible))
            return status;
    }
    struct trace_status *status = g_new(struct trace_status, 1);

    *status = (struct trace_status){.id = g_steal_pointer(&visible)};
    g_ptr_array_add(vertex->statuses, status);
    return status;
}

void trace_status(struct trace *trace, const struct cob_event_status *event, int64_t now_us)
{
    struct trace_vertex *vertex = g_hash_table_lookup(trace->by_digest, event->vertex);

    if (!vertex)
        return;
    struct trace_status *status = status_of(vertex, event->id);

    status->current = event->current;
    status->total = event->total;
    status->started_us = event->started_us;
    status->completed_us = event->completed_us;
    status->heard_us = now_us;
    status->is_changed = true;
    note_news(vertex, now_us);
}

void trace_log(struct trace *trace, const struct cob_event_log *event, int64_t now_us)
{
    struct trace_vertex *vertex = g_hash_table_lookup(trace->by_digest, event->vertex);

    if (!vertex)
        return;
    steplog_add(&vertex->log, event->data, event->len, event->at_us ? event->at_us : now_us);
    note_news(vertex, now_us);
}

void trace_warning(struct trace *trace, const struct cob_event_warning *event, int64_t now_us)
{
    struct trace_vertex *vertex =
        event->vertex ? g_hash_table_lookup(trace->by_digest, event->vertex) : NULL;

    if (vertex) {
        g_ptr_array_add(
            event->is_reason ? vertex->reasons : vertex->warnings, cob_text_visible(event->text));
        note_news(vertex, now_us);
    } else {
        notes_add(&trace->notes, event);
    }
}

bool trace_is_running(const struct trace_vertex *vertex)
{
    return vertex->started_us && !vertex->completed_us;
}

bool trace_has_running(const struct trace *trace)
{
    for (guint i = 0; i < trace->started->len; i++) {
        if (trace_is_running(trace->started->pdata[i]))
            return true;
    }
    return false;
}

bool trace_is_cancelled(const struct trace_vertex *vertex)
{
    return vertex->error && g_str_has_suffix(vertex->error, "context canceled");
}

guint trace_n_completed(const struct trace *trace)
{
    guint n = 0;

    for (guint i = 0; i < trace->started->len; i++)
        n += ((struct trace_vertex *)trace->started->pdata[i])->completed_us != 0;
    return n;
}

int64_t trace_spent_us(const struct trace_vertex *vertex, int64_t now_us)
{
    int64_t end_us = vertex->completed_us ? vertex->completed_us : now_us;

    return vertex->spent_us + (vertex->started_us ? MAX(end_us - vertex->started_us, 0) : 0);
}

void trace_append_time(GString *out, const struct trace_vertex *vertex, int64_t at_us)
{
    double seconds = 0;

    if (vertex->started_us && at_us > vertex->started_us)
        seconds = (double)(at_us - vertex->started_us) / 1e6;
    g_string_append_printf(out, "%.*f", seconds < 10 ? 3 : seconds < 100 ? 2 : 1, seconds);
}

/* "29B", "1.02kB", "10.49MB": powers of 1000, two decimals from kB on. */
static void append_bytes(GString *out, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double size = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        g_string_append_printf(out, "%" G_GUINT64_FORMAT "B", bytes);
        return;
    }
    for (; size >= 1000 && unit + 1 < G_N_ELEMENTS(units); unit++)
        size /= 1000;
    g_string_append_printf(out, "%.2f%s", size, units[unit]);
}

void trace_append_amount(GString *out, const struct trace_status *status)
{
    if (status->total == 0 && status->current == 0)
        return;
    g_string_append_c(out, ' ');
    append_bytes(out, status->current);
    if (status->total == 0)
        return;
    g_string_append(out, " / ");
    append_bytes(out, status->total);
}

void trace_append_reasons(GString *out, const struct trace *trace)
{
    bool has_title = false;

    for (guint i = 0; i < trace->started->len; i++) {
        const struct trace_vertex *vertex = trace->started->pdata[i];

        for (guint k = 0; k < vertex->reasons->len; k++) {
            if (!has_title)
                g_string_append(out, "\nWhy steps ran:\n");
            has_title = true;
            if (k == 0)
                g_string_append_printf(out, " #%d %s\n", vertex->number, vertex->name);
            g_string_append_printf(out, "    %s\n", (const char *)vertex->reasons->pdata[k]);
        }
    }
}

static void append_tail(GString *out, const struct trace_vertex *vertex)
{
    for (const GList *item = vertex->log.tail.head; item; item = item->next) {
        const struct steplog_line *line = item->data;
        size_t len;
        const char *text = g_bytes_get_data(line->text, &len);

        trace_append_time(out, vertex, line->at_us);
        g_string_append_c(out, ' ');
        if (len > 0)
            cob_text_append_visible(out, text, len);
        g_string_append_c(out, '\n');
    }
}

void trace_append_ends(GString *out, const struct trace *trace, bool has_colours)
{
    for (guint i = 0; i < trace->started->len; i++) {
        const struct trace_vertex *vertex = trace->started->pdata[i];

        if (!vertex->error || trace_is_cancelled(vertex))
            continue;
        g_string_append_printf(out, "------\n > %s:\n", vertex->name);
        append_tail(out, vertex);
        g_string_append(out, "------\n");
    }
    notes_append(out, &trace->notes, has_colours);
}
