/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/tty.h"

#include <string.h>

#include "app/progress/cells.h"

#define LOG_ROWS 6      /* of one running step, at most */
#define NAME_COLUMNS 12 /* an amount must leave so many to the name */
#define BESIDE_ROWS 2   /* the header, and where the cursor stands */

#define BLUE "\033[34m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define FAINT "\033[2m"
#define RESET "\033[0m"

/* What stands in one row below the header. */
struct row {
    char *name;
    char *amount; /* " 1.02kB / 4kB", or "" */
    int64_t spent_us;
    const char *colour; /* NULL: none */
    bool is_running;
    int n_log_rows;                    /* below it */
    const struct trace_vertex *vertex; /* whose log may be shown; NULL: a status or warning */
};

/* Where rows are put. */
struct canvas {
    struct tty *tty;
    GString *out;
    int columns; /* for use; one less than the terminal has */
};

static void row_clear(gpointer data)
{
    struct row *row = data;

    g_free(row->name);
    g_free(row->amount);
}

void tty_init(struct tty *tty, bool has_colours)
{
    *tty = (struct tty){
        .has_colours = has_colours,
        .widths = g_array_new(FALSE, FALSE, sizeof(int)),
    };
}

void tty_done(struct tty *tty)
{
    g_clear_pointer(&tty->widths, g_array_unref);
}

static void add_vertex_row(GArray *rows, const struct trace_vertex *vertex, int64_t now_us)
{
    const char *prefix = "", *colour = vertex->completed_us ? BLUE : NULL;

    if (trace_is_cancelled(vertex)) {
        prefix = "CANCELED ";
        colour = YELLOW;
    } else if (vertex->error) {
        prefix = "ERROR ";
        colour = RED;
    } else if (vertex->is_cached) {
        prefix = "CACHED ";
    }
    struct row row = {
        .name = g_strconcat(prefix, vertex->name, NULL),
        .amount = g_strdup(""),
        .spent_us = trace_spent_us(vertex, now_us),
        .colour = colour,
        .is_running = !vertex->completed_us,
        .vertex = vertex,
    };

    g_strdelimit(row.name, "\t", ' ');
    g_array_append_val(rows, row);
}

static void add_status_row(GArray *rows, const struct trace_status *status, int64_t now_us)
{
    GString *amount = g_string_new(NULL);
    int64_t end_us = status->completed_us ? status->completed_us : now_us;

    trace_append_amount(amount, status);
    struct row row = {
        .name = g_strdup_printf("=> %s", status->id),
        .amount = g_string_free(amount, FALSE),
        .spent_us = MAX(end_us - status->started_us, 0),
        .colour = status->completed_us ? BLUE : NULL,
        .is_running = !status->completed_us,
    };

    g_strdelimit(row.name, "\t", ' ');
    g_array_append_val(rows, row);
}

static void add_warning_row(GArray *rows, const char *text)
{
    struct row row = {
        .name = g_strdup_printf("WARN: %s", text),
        .amount = g_strdup(""),
        .colour = YELLOW,
    };

    g_strdelimit(row.name, "\t", ' ');
    g_array_append_val(rows, row);
}

/* All rows there are, in the order in which the steps started. */
static GArray *collect_rows(const struct trace *trace, int64_t now_us)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct row));

    g_array_set_clear_func(rows, row_clear);
    for (guint i = 0; i < trace->started->len; i++) {
        const struct trace_vertex *vertex = trace->started->pdata[i];

        add_vertex_row(rows, vertex, now_us);
        for (guint j = 0; j < vertex->statuses->len; j++) {
            const struct trace_status *status = vertex->statuses->pdata[j];

            if (status->started_us)
                add_status_row(rows, status, now_us);
        }
        for (guint j = 0; j < vertex->warnings->len; j++)
            add_warning_row(rows, vertex->warnings->pdata[j]);
    }
    return rows;
}

/* Take rows from the top until the rest fits: first those of what has ended, then any. */
static void fit_rows(GArray *rows, guint limit)
{
    for (int pass = 0; pass < 2; pass++) {
        guint kept = 0, n_excess = rows->len > limit ? rows->len - limit : 0;

        for (guint i = 0; i < rows->len; i++) {
            struct row *row = &g_array_index(rows, struct row, i);

            if (n_excess > 0 && (!row->is_running || pass == 1)) {
                row_clear(row);
                n_excess--;
            } else {
                g_array_index(rows, struct row, kept++) = *row;
            }
        }
        g_array_set_clear_func(rows, NULL); /* what lies beyond `kept` has moved */
        g_array_set_size(rows, kept);
        g_array_set_clear_func(rows, row_clear);
    }
}

static int n_log_lines(const struct trace_vertex *vertex)
{
    return (int)vertex->log.tail.length + (vertex->log.open->len > 0);
}

/* Give the rows that are left to the logs of what runs, the latest step first. */
static void share_log_rows(GArray *rows, int n_free)
{
    for (guint i = rows->len; i > 0 && n_free > 0; i--) {
        struct row *row = &g_array_index(rows, struct row, i - 1);

        if (!row->vertex || !row->is_running)
            continue;
        row->n_log_rows = MIN(MIN(n_log_lines(row->vertex), LOG_ROWS), n_free);
        n_free -= row->n_log_rows;
    }
}

/* End a row, of which so many columns are taken. */
static void end_row(struct canvas *canvas, int columns)
{
    g_string_append(canvas->out, "\033[K\n");
    g_array_append_val(canvas->tty->widths, columns);
}

static void draw_row(struct canvas *canvas, const struct row *row)
{
    const int64_t spent_us = row->spent_us < 50000 ? 0 : row->spent_us;
    g_autofree char *timer = g_strdup_printf(" %.1fs", (double)spent_us / 1e6);
    const bool is_coloured = canvas->tty->has_colours && row->colour;
    int room = canvas->columns - 4 - (int)strlen(timer);
    int used = 0;

    g_string_append(canvas->out, is_coloured ? row->colour : "");
    if (room < 1) { /* no place for a timer */
        g_autofree char *plain = g_strconcat(" => ", row->name, NULL);

        used = cells_append(canvas->out, plain, canvas->columns);
    } else {
        const int amount_len = (int)strlen(row->amount);
        const bool has_amount = room - amount_len >= NAME_COLUMNS;

        g_string_append(canvas->out, " => ");
        used = cells_append(canvas->out, row->name, has_amount ? room - amount_len : room);
        if (has_amount) {
            g_string_append(canvas->out, row->amount);
            used += amount_len;
        }
        g_string_append_printf(canvas->out, "%*s%s", room - used, "", timer);
        used = canvas->columns;
    }
    g_string_append(canvas->out, is_coloured ? RESET : "");
    end_row(canvas, used);
}

static void draw_log_line(struct canvas *canvas, const char *text, size_t len)
{
    static const char prefix[] = " => => # ";
    int used;

    g_string_append(canvas->out, canvas->tty->has_colours ? FAINT : "");
    used = cells_append(canvas->out, prefix, canvas->columns);
    used += cells_append_raw(canvas->out, text, len, canvas->columns - used);
    g_string_append(canvas->out, canvas->tty->has_colours ? RESET : "");
    end_row(canvas, used);
}

/* The last lines of a step. */
static void draw_log(struct canvas *canvas, const struct row *row)
{
    const struct steplog *log;
    int skip;

    if (!row->vertex || row->n_log_rows == 0)
        return;
    log = &row->vertex->log;
    skip = n_log_lines(row->vertex) - row->n_log_rows;
    for (const GList *item = log->tail.head; item; item = item->next) {
        const struct steplog_line *line = item->data;
        size_t len;
        const char *text = g_bytes_get_data(line->text, &len);

        if (skip-- <= 0)
            draw_log_line(canvas, text ? text : "", len);
    }
    if (log->open->len > 0)
        draw_log_line(canvas, log->open->str, log->open->len);
}

static void draw_header(
    struct canvas *canvas, const struct trace *trace, int64_t now_us, const char *outcome)
{
    const guint n_done = trace_n_completed(trace);
    double seconds = trace->first_us ? (double)MAX(now_us - trace->first_us, 0) / 1e6 : 0;
    g_autofree char *text = g_strdup_printf(
        "[+] Building %.1fs (%u/%u)%s", seconds, n_done, trace->vertices->len, outcome);

    end_row(canvas, cells_append(canvas->out, text, canvas->columns));
}

/* How many rows up the last frame begins. Rows that became wider than the terminal, because it was
 * made narrower, take more than one. */
static int n_rows_up(const struct tty *tty, int columns)
{
    int n = 0;

    for (guint i = 0; i < tty->widths->len; i++) {
        int width = g_array_index(tty->widths, int, i);

        n += MAX((width + columns - 1) / columns, 1);
    }
    return n;
}

static void draw(struct canvas *canvas, const struct trace *trace, GArray *rows, int64_t now_us,
    int terminal_columns, const char *outcome)
{
    int n_up = n_rows_up(canvas->tty, terminal_columns);

    g_string_append(canvas->out, "\033[?25l\r");
    if (n_up > 0)
        g_string_append_printf(canvas->out, "\033[%dA", n_up);
    g_array_set_size(canvas->tty->widths, 0);
    draw_header(canvas, trace, now_us, outcome);
    for (guint i = 0; i < rows->len; i++) {
        draw_row(canvas, &g_array_index(rows, struct row, i));
        draw_log(canvas, &g_array_index(rows, struct row, i));
    }
    g_string_append(canvas->out, "\033[J\033[?25h");
}

void tty_draw(
    struct tty *tty, const struct trace *trace, int64_t now_us, struct tty_size size, GString *out)
{
    g_autoptr(GArray) rows = collect_rows(trace, now_us);
    struct canvas canvas = {.tty = tty, .out = out, .columns = MAX(size.columns - 1, 1)};
    int limit = MAX(size.rows - BESIDE_ROWS, 0);

    if (trace->vertices->len == 0)
        return;
    fit_rows(rows, (guint)limit);
    share_log_rows(rows, limit - (int)rows->len);
    draw(&canvas, trace, rows, now_us, MAX(size.columns, 1), "");
}

void tty_draw_last(struct tty *tty, const struct trace *trace, int64_t now_us, struct tty_size size,
    bool is_good, GString *out)
{
    g_autoptr(GArray) rows = collect_rows(trace, now_us);
    struct canvas canvas = {.tty = tty, .out = out, .columns = MAX(size.columns - 1, 1)};

    if (trace->vertices->len > 0)
        draw(&canvas, trace, rows, now_us, MAX(size.columns, 1), is_good ? " FINISHED" : "");
    trace_append_reasons(out, trace);
    trace_append_ends(out, trace, tty->has_colours);
}
