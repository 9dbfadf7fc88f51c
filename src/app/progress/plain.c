/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/plain.h"

#include "util/text.h"

#define TURN_US (5 * G_USEC_PER_SEC)    /* a block is not left before */
#define HUNGER_US (10 * G_USEC_PER_SEC) /* nobody waits longer for a turn */
#define STATUS_US (5 * G_USEC_PER_SEC)  /* a status that hardly moves is printed so often */
#define STATUS_SHARE 0.05               /* of its total: a status that moves more is printed */

/* Turn to a vertex: leave the other's block, open this one's. */
static void open_block(struct plain *plain, struct trace_vertex *vertex, GString *out)
{
    struct trace_vertex *old = plain->current;

    if (vertex->number == 0)
        vertex->number = ++plain->n_numbers;
    if (old == vertex)
        return;
    if (old) {
        if (old->log.n_shown > 0)
            g_string_append_c(out, '\n');
        old->log.n_shown = 0;
        old->n_news = 0;
        g_string_append_printf(out, "#%d ...\n", old->number);
    }
    if (plain->has_printed)
        g_string_append_c(out, '\n');
    plain->has_printed = true;
    g_string_append_printf(out, "#%d %s\n", vertex->number, vertex->name);
}

/* Did it move enough, or rest long enough, to be printed again? */
static bool is_status_due(const struct trace_status *status)
{
    double moved = 0;

    if (!status->is_changed || !status->started_us)
        return false;
    if (status->drawn_us == 0 || status->completed_us)
        return true;
    if (status->total > 0)
        moved = ((double)status->current - (double)status->drawn_current) / (double)status->total;
    return moved >= STATUS_SHARE || status->heard_us - status->drawn_us >= STATUS_US;
}

static void print_status(
    const struct trace_vertex *vertex, struct trace_status *status, GString *out)
{
    int64_t end_us = status->completed_us ? status->completed_us : status->heard_us;
    double seconds = (double)(end_us - status->started_us) / 1e6;

    g_string_append_printf(out, "#%d %s", vertex->number, status->id);
    trace_append_amount(out, status);
    if (seconds > 0.01)
        g_string_append_printf(out, " %.1fs", seconds);
    g_string_append(out, status->completed_us ? " done\n" : "\n");
    status->is_changed = false;
    status->drawn_us = status->heard_us;
    status->drawn_current = status->current;
}

/* A piece of a line, from its n_shown'th byte; the line's number and time come before its first. */
static void print_piece(
    struct trace_vertex *vertex, const char *text, size_t len, int64_t at_us, GString *out)
{
    const size_t from = MIN(vertex->log.n_shown, len);

    if (from == 0) {
        g_string_append_printf(out, "#%d ", vertex->number);
        trace_append_time(out, vertex, at_us);
        g_string_append_c(out, ' ');
    }
    if (len > from)
        cob_text_append_visible(out, text + from, len - from);
}

/* The line that has not ended: a prompt is printed at once; a line that is rewritten again and
 * again, as progress bars are, as it stands now and then. */
static void print_open_line(struct trace_vertex *vertex, int64_t now_us, GString *out)
{
    struct steplog *log = &vertex->log;
    const size_t len = steplog_open_len(log);

    if (len <= log->n_shown)
        return;
    if (!log->is_rewritten && !log->is_returned) {
        print_piece(vertex, log->open->str, len, log->open_at_us, out);
        log->n_shown = len;
    } else if (log->n_shown == 0 && now_us - log->snapshot_us >= STATUS_US) {
        print_piece(vertex, log->open->str, len, log->open_at_us, out);
        g_string_append_c(out, '\n');
        log->snapshot_us = now_us;
    }
}

static void print_log(struct trace_vertex *vertex, int64_t now_us, GString *out)
{
    struct steplog_line *line;

    while ((line = steplog_pop(&vertex->log))) {
        size_t len;
        const char *text = g_bytes_get_data(line->text, &len);

        print_piece(vertex, text, len, line->at_us, out);
        g_string_append_c(out, '\n');
        vertex->log.n_shown = 0;
        steplog_line_free(line);
    }
    print_open_line(vertex, now_us, out);
}

static void print_end(const struct trace_vertex *vertex, int64_t now_us, GString *out)
{
    g_string_append_printf(out, "#%d ", vertex->number);
    if (trace_is_cancelled(vertex))
        g_string_append(out, "CANCELED\n");
    else if (vertex->error)
        g_string_append_printf(out, "ERROR: %s\n", vertex->error);
    else if (vertex->is_cached)
        g_string_append(out, "CACHED\n");
    else
        g_string_append_printf(out, "DONE %.1fs\n", (double)trace_spent_us(vertex, now_us) / 1e6);
}

static void print_vertex(
    struct plain *plain, struct trace_vertex *vertex, int64_t now_us, GString *out)
{
    open_block(plain, vertex, out);
    for (guint i = 0; i < vertex->statuses->len; i++) {
        struct trace_status *status = vertex->statuses->pdata[i];

        if (is_status_due(status))
            print_status(vertex, status, out);
    }
    for (; vertex->n_warned < vertex->warnings->len; vertex->n_warned++)
        g_string_append_printf(out, "#%d WARN: %s\n", vertex->number,
            (const char *)vertex->warnings->pdata[vertex->n_warned]);
    for (; vertex->n_told < vertex->reasons->len; vertex->n_told++)
        g_string_append_printf(out, "#%d why: %s\n", vertex->number,
            (const char *)vertex->reasons->pdata[vertex->n_told]);
    print_log(vertex, now_us, out);

    plain->current = vertex;
    vertex->is_changed = false;
    if (!vertex->completed_us)
        return;
    print_end(vertex, now_us, out);
    plain->current = NULL;
    vertex->n_news = 0;
}

static gint by_completion(gconstpointer a, gconstpointer b)
{
    const struct trace_vertex *x = *(struct trace_vertex *const *)a;
    const struct trace_vertex *y = *(struct trace_vertex *const *)b;

    if (x->completed_us != y->completed_us)
        return x->completed_us < y->completed_us ? -1 : 1;
    return 0;
}

/* Print what has ended, the current block's vertex first. */
static void print_ended(struct plain *plain, struct trace *trace, int64_t now_us, GString *out)
{
    g_autoptr(GPtrArray) ended = g_ptr_array_new();

    if (plain->current && plain->current->completed_us && plain->current->is_changed)
        print_vertex(plain, plain->current, now_us, out);
    for (guint i = 0; i < trace->started->len; i++) {
        struct trace_vertex *vertex = trace->started->pdata[i];

        if (vertex->completed_us && vertex->is_changed)
            g_ptr_array_add(ended, vertex);
    }
    g_ptr_array_sort(ended, by_completion);
    for (guint i = 0; i < ended->len; i++)
        print_vertex(plain, ended->pdata[i], now_us, out);
}

static int64_t waited_us(const struct trace_vertex *vertex, int64_t now_us)
{
    return MAX(now_us - vertex->news_us, 1);
}

static double news_a_second(const struct trace_vertex *vertex, int64_t now_us)
{
    return (double)vertex->n_news * 1e6 / (double)waited_us(vertex, now_us);
}

static bool is_hungry(const struct plain *plain, const struct trace_vertex *vertex, int64_t now_us)
{
    return vertex != plain->current && vertex->n_news > 0 && waited_us(vertex, now_us) > HUNGER_US;
}

/* Is the current block's time over? The more of all the news is its own, the longer it stays. */
static bool is_turn_over(const struct plain *plain, double all_news, int64_t now_us)
{
    double others = all_news - news_a_second(plain->current, now_us);

    if (others <= 0)
        return false;
    return (double)TURN_US * all_news / others < (double)waited_us(plain->current, now_us);
}

/* Which running vertex with news is to be printed; NULL: the current one keeps its turn. */
static struct trace_vertex *next_turn(
    const struct plain *plain, const struct trace *trace, int64_t now_us)
{
    struct trace_vertex *best = NULL;
    double all_news = 0;

    for (guint i = 0; i < trace->started->len; i++) {
        struct trace_vertex *vertex = trace->started->pdata[i];

        if (!trace_is_running(vertex) || (!vertex->is_changed && vertex != plain->current))
            continue;
        if (is_hungry(plain, vertex, now_us))
            return vertex;
        all_news += news_a_second(vertex, now_us);
        if (!best || news_a_second(best, now_us) < news_a_second(vertex, now_us))
            best = vertex;
    }
    if (!plain->current || is_turn_over(plain, all_news, now_us))
        return best;
    return NULL;
}

static struct trace_vertex *first_running(const struct trace *trace)
{
    for (guint i = 0; i < trace->started->len; i++) {
        if (trace_is_running(trace->started->pdata[i]))
            return trace->started->pdata[i];
    }
    return NULL;
}

void plain_print(struct plain *plain, struct trace *trace, int64_t now_us, GString *out)
{
    struct trace_vertex *next;

    print_ended(plain, trace, now_us, out);
    if (plain->current && plain->current->is_changed)
        print_vertex(plain, plain->current, now_us, out);
    next = next_turn(plain, trace, now_us);
    if (!next && !plain->current)
        next = first_running(trace);
    if (next)
        print_vertex(plain, next, now_us, out);
}

void plain_print_rest(struct plain *plain, struct trace *trace, int64_t now_us, GString *out)
{
    plain_print(plain, trace, now_us, out);
    for (guint i = 0; i < trace->started->len; i++) {
        struct trace_vertex *vertex = trace->started->pdata[i];

        steplog_end(&vertex->log);
        if (vertex->is_changed || !g_queue_is_empty(&vertex->log.lines))
            print_vertex(plain, vertex, now_us, out);
    }
    if (plain->current && plain->current->log.n_shown > 0)
        g_string_append_c(out, '\n');
}
