/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view for a terminal, drawn on a small terminal of the test's own: what it prints is read as
 * a terminal reads it, into a grid of cells. Whatever it does not know, or a row that wraps, is an
 * error.
 */
#include <string.h>

#include "app/progress/cells.h"
#include "app/progress/tty.h"
#include "check.h"

#define T0 1000000000000000
#define MAX_ROWS 400

struct screen {
    int columns, rows, row, column, top; /* top: the first row that did not scroll out */
    bool is_cursor_hidden;
    int n_wraps, n_unknown;
    GString *line[MAX_ROWS]; /* also those that scrolled out */
    int width[MAX_ROWS];
};

static struct screen *screen_new(int columns, int rows)
{
    struct screen *s = g_new0(struct screen, 1);

    s->columns = columns;
    s->rows = rows;
    for (int i = 0; i < MAX_ROWS; i++)
        s->line[i] = g_string_new(NULL);
    return s;
}

static void screen_free(struct screen *s)
{
    for (int i = 0; i < MAX_ROWS; i++)
        g_string_free(s->line[i], TRUE);
    g_free(s);
}
COB_AUTOPTR(screen, screen_free)

static void clear_row(struct screen *s, int row)
{
    g_string_truncate(s->line[row], 0);
    s->width[row] = 0;
}

/* Rows are written from their first column only, so a write at column 0 replaces the row. */
static void put_char(struct screen *s, const char *at)
{
    gunichar c = g_utf8_get_char(at);
    int width = g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;

    if (s->column == 0)
        clear_row(s, s->row);
    if (s->column + width > s->columns)
        s->n_wraps++;
    g_string_append_unichar(s->line[s->row], c);
    s->column += width;
    s->width[s->row] = s->column;
}

static void control(struct screen *s, const char *parameters, char final)
{
    int n = atoi(parameters);

    if (final == 'A')
        s->row = MAX(s->row - n, s->top);
    else if (final == 'J')
        for (int row = s->row; row < MAX_ROWS; row++)
            clear_row(s, row);
    else if (final == 'h' || final == 'l')
        s->is_cursor_hidden = final == 'l';
    else if (final != 'm' && final != 'K')
        s->n_unknown++;
}

static void feed(struct screen *s, const char *text)
{
    while (*text) {
        if (g_str_has_prefix(text, "\033[")) {
            const char *parameters = text + 2 + (text[2] == '?');

            text = parameters + strspn(parameters, "0123456789;");
            control(s, parameters, *text++);
        } else if (*text == '\n') {
            s->row++;
            s->column = 0;
            s->top = MAX(s->top, s->row - s->rows + 1);
            text++;
        } else if (*text == '\r') {
            s->column = 0;
            text++;
        } else {
            s->n_unknown += g_ascii_iscntrl(*text);
            put_char(s, text);
            text += g_utf8_skip[(unsigned char)*text];
        }
    }
}

/* All rows above the cursor. The caller frees it. */
static char *text_of(const struct screen *s)
{
    GString *out = g_string_new(NULL);

    for (int row = 0; row < s->row; row++)
        g_string_append_printf(out, "%s\n", s->line[row]->str);
    return g_string_free(out, FALSE);
}

struct fixture {
    struct trace trace;
    struct tty tty;
    struct screen *screen;
};

static void fixture_init(struct fixture *f, int columns, int rows, bool has_colours)
{
    trace_init(&f->trace, false);
    tty_init(&f->tty, has_colours);
    f->screen = screen_new(columns, rows);
}

static void fixture_done(struct fixture *f)
{
    trace_done(&f->trace);
    tty_done(&f->tty);
    screen_free(f->screen);
}

static void vertex(
    struct fixture *f, const char *digest, const char *name, double start, double end)
{
    struct cob_event_vertex event = {
        .digest = digest,
        .name = name,
        .started_us = start < 0 ? 0 : T0 + (int64_t)(start * 1e6),
        .completed_us = end < 0 ? 0 : T0 + (int64_t)(end * 1e6),
    };

    trace_vertex(&f->trace, &event, T0);
}

static void say(struct fixture *f, const char *digest, const char *text)
{
    struct cob_event_log event = {digest, 1, text, strlen(text), T0};

    trace_log(&f->trace, &event, T0);
}

static void layer(struct fixture *f, const char *digest, const char *id, uint64_t current)
{
    struct cob_event_status event = {
        .vertex = digest, .id = id, .current = current, .total = 29130000, .started_us = T0};

    trace_status(&f->trace, &event, T0);
}

static char *draw_at(struct fixture *f, double at, bool is_last)
{
    struct tty_size size = {f->screen->columns, f->screen->rows};
    g_autoptr(GString) out = g_string_new(NULL);

    if (is_last)
        tty_draw_last(&f->tty, &f->trace, T0 + (int64_t)(at * 1e6), size, /* is_good= */ true, out);
    else
        tty_draw(&f->tty, &f->trace, T0 + (int64_t)(at * 1e6), size, out);
    feed(f->screen, out->str);
    g_assert_cmpint(f->screen->n_wraps, ==, 0);
    g_assert_cmpint(f->screen->n_unknown, ==, 0);
    g_assert_false(f->screen->is_cursor_hidden);
    return text_of(f->screen);
}

static void test_frame_is_buildkits(void)
{
    struct fixture f;
    g_autofree char *first = NULL;
    g_autofree char *last = NULL;

    fixture_init(&f, 61, 24, /* has_colours= */ true);
    vertex(&f, "a", "[builder 1/3] FROM golang", 0, -1);
    vertex(&f, "d", "[builder 2/3] RUN make", -1, -1);
    layer(&f, "a", "sha256:1234567890123456", 10490000);
    first = draw_at(&f, 1.25, false);
    g_assert_cmpstr(first, ==,
        "[+] Building 1.2s (0/2)\n"
        " => [builder 1/3] FROM golang                           1.2s\n"
        " => => sha256:1234567890123456 10.49MB / 29.13MB        1.2s\n");

    vertex(&f, "a", "[builder 1/3] FROM golang", 0, 2);
    vertex(&f, "d", "[builder 2/3] RUN make", 2, -1);
    say(&f, "d", "cc \033[31mmain.c\033[0m\n50%\r60%");
    g_free(g_steal_pointer(&first));
    first = draw_at(&f, 3, false);
    g_assert_cmpstr(first, ==,
        "[+] Building 3.0s (1/2)\n"
        " => [builder 1/3] FROM golang                           2.0s\n"
        " => => sha256:1234567890123456 10.49MB / 29.13MB        3.0s\n"
        " => [builder 2/3] RUN make                              1.0s\n"
        " => => # cc main.c\n"
        " => => # 60%\n");

    vertex(&f, "d", "[builder 2/3] RUN make", 2, 4);
    last = draw_at(&f, 4, true);
    g_assert_cmpstr(last, ==,
        "[+] Building 4.0s (2/2) FINISHED\n"
        " => [builder 1/3] FROM golang                           2.0s\n"
        " => => sha256:1234567890123456 10.49MB / 29.13MB        4.0s\n"
        " => [builder 2/3] RUN make                              2.0s\n");
    fixture_done(&f);
}

static void test_outcomes_are_named(void)
{
    struct fixture f;
    g_autofree char *got = NULL;
    struct cob_event_vertex event = {
        .digest = "a", .name = "[1/3] RUN a", .started_us = T0, .completed_us = T0};

    fixture_init(&f, 41, 24, /* has_colours= */ false);
    event.is_cached = true;
    trace_vertex(&f.trace, &event, T0);
    event = (struct cob_event_vertex){.digest = "b",
        .name = "[2/3] RUN b",
        .error = "exit code: 1",
        .started_us = T0,
        .completed_us = T0 + 1000000};
    trace_vertex(&f.trace, &event, T0);
    say(&f, "b", "no such\033]0;x\a file\n");
    event = (struct cob_event_vertex){.digest = "c",
        .name = "[3/3] RUN c",
        .error = "x: context canceled",
        .started_us = T0,
        .completed_us = T0};
    trace_vertex(&f.trace, &event, T0);
    got = draw_at(&f, 1, true);
    g_assert_cmpstr(got, ==,
        "[+] Building 1.0s (3/3) FINISHED\n"
        " => CACHED [1/3] RUN a              0.0s\n"
        " => ERROR [2/3] RUN b               1.0s\n"
        " => CANCELED [3/3] RUN c            0.0s\n"
        "------\n > [2/3] RUN b:\n0.000 no such\\x1b]0;x\\x07 file\n------\n");
    fixture_done(&f);
}

/* At any width no row is wider than the terminal, and two frames lie exactly over each other. */
static void test_any_width_fits(void)
{
    static const char wide[] = "RUN echo \344\270\255\346\226\207\344\270\255\346\226\207 "
                               "\360\237\230\200 e\314\201 and so on, and on, for quite a while";

    for (int columns = 1; columns <= 300; columns++) {
        struct fixture f;
        g_autofree char *got = NULL;
        g_autofree char *again = NULL;

        fixture_init(&f, columns, 12, /* has_colours= */ true);
        for (int i = 0; i < 30; i++) {
            g_autofree char *digest = g_strdup_printf("v%d", i);

            vertex(&f, digest, wide, 0, i % 3 ? 1 : -1);
            layer(&f, digest, "sha256:1234567890123456789012345678901234567890", 500000);
            say(&f, digest, "\344\270\255\346\226\207\t\033[5Cx\377\n\n\nlong long long long");
        }
        got = draw_at(&f, 2, false);
        again = draw_at(&f, 2, false);
        g_assert_cmpstr(got, ==, again);
        g_assert_cmpint(f.screen->top, ==, 0);
        g_assert_cmpint(f.screen->row, ==, 11);
        check_row(!strcmp(got, again) && f.screen->row == 11, (size_t)columns, "columns");
        fixture_done(&f);
    }
}

static void test_running_steps_stay_visible(void)
{
    struct fixture f;
    g_autofree char *got = NULL;

    fixture_init(&f, 31, 6, /* has_colours= */ false);
    vertex(&f, "r", "running", 0, -1);
    for (int i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("done %d", i);

        vertex(&f, name, name, 0, 1);
    }
    got = draw_at(&f, 2, false);
    g_assert_cmpstr(got, ==,
        "[+] Building 2.0s (20/21)\n"
        " => running               2.0s\n"
        " => done 17               1.0s\n"
        " => done 18               1.0s\n"
        " => done 19               1.0s\n");
    g_free(g_steal_pointer(&got));
    got = draw_at(&f, 2, true);
    g_assert_cmpint(f.screen->row, ==, 22);
    fixture_done(&f);
}

/* A terminal that was made narrower has folded the rows of the last frame. */
static void test_narrower_terminal_is_drawn_over(void)
{
    struct fixture f;
    g_autoptr(GString) out = g_string_new(NULL);

    fixture_init(&f, 81, 24, /* has_colours= */ false);
    vertex(&f, "r", "running", 0, -1);
    tty_draw(&f.tty, &f.trace, T0, (struct tty_size){81, 24}, out);
    g_string_truncate(out, 0);
    tty_draw(&f.tty, &f.trace, T0, (struct tty_size){40, 24}, out);
    g_assert_nonnull(strstr(out->str, "\033[3A")); /* 23 and 80 columns: one row, two rows */
    fixture_done(&f);
}

static const struct {
    const char *name, *printed, *shown;
    int columns;
} raw_rows[] = {
    {"colours", "\033[1;31mred\033[m", "red", 10},
    {"title", "a\033]0;owned\ab", "ab", 10},
    {"title-st", "a\033]0;owned\033\\b", "ab", 10},
    {"dcs", "a\033Pqpayload\033\\b", "ab", 10},
    {"unfinished", "a\033[12", "a", 10},
    {"unfinished-title", "a\033]0;ow", "a", 10},
    {"esc-at-end", "a\033", "a", 10},
    {"charset", "a\033(0b", "ab", 10},
    {"c1-csi", "a\302\2332Jb", "ab", 10},
    {"c1-osc", "a\302\2350;x\ab", "ab", 10},
    {"backspace-bell", "a\b\ab", "ab", 10},
    {"bidi", "a\342\200\256b", "ab", 10},
    {"bad-utf8", "a\377b\342\202", "a\357\277\275b\357\277\275\357\277\275", 10},
    {"tab", "a\tb", "a       b", 10},
    {"tab-at-edge", "a\tb", "a  ", 3},
    {"wide-at-edge", "ab\344\270\255", "ab", 3},
    {"zero-columns", "ab", "", 0},
};

static void test_raw_text_is_tamed(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(raw_rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        int used = cells_append_raw(
            out, raw_rows[i].printed, strlen(raw_rows[i].printed), raw_rows[i].columns);

        g_assert_cmpstr(out->str, ==, raw_rows[i].shown);
        g_assert_cmpint(used, ==, cells_width(out->str));
        check_row(!strcmp(out->str, raw_rows[i].shown), i, raw_rows[i].name);
    }
}

static void test_nothing_known_draws_nothing(void)
{
    struct fixture f;
    g_autofree char *got = NULL;

    fixture_init(&f, 80, 24, /* has_colours= */ true);
    got = draw_at(&f, 0, false);
    g_assert_cmpstr(got, ==, "");
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/tty/frame-is-buildkits", test_frame_is_buildkits);
    g_test_add_func("/tty/outcomes-are-named", test_outcomes_are_named);
    g_test_add_func("/tty/any-width-fits", test_any_width_fits);
    g_test_add_func("/tty/running-steps-stay-visible", test_running_steps_stay_visible);
    g_test_add_func("/tty/narrower-is-drawn-over", test_narrower_terminal_is_drawn_over);
    g_test_add_func("/tty/raw-text-is-tamed", test_raw_text_is_tamed);
    g_test_add_func("/tty/nothing-known-draws-nothing", test_nothing_known_draws_nothing);
    return g_test_run();
}
