/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/progress.h"
#include "app/progress/rawjson.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "app/progress/plain.h"
#include "check.h"

#define T0 1000000000000000 /* when every script begins, in microseconds */

/* One thing that happens. Times are seconds since the beginning; 0.001 stands for "at once". */
struct act {
    enum { START, DONE, CACHED, FAIL, CANCEL, STATUS, ARRIVED, LOG, WARN, PRINT } kind;
    double at;
    const char *vertex; /* its digest; the name is that of `names` */
    const char *text;   /* of the error, status, log or warning */
    uint64_t current, total;
};

static const struct {
    const char *digest, *name;
} names[] = {
    {"a", "[internal] load build definition from Dockerfile"},
    {"b", "[builder 1/3] FROM docker.io/library/golang:1.21"},
    {"c", "[builder 2/3] WORKDIR /app"},
    {"d", "[builder 3/3] RUN make"},
    {"e", "[stage-1 2/3] RUN mkdir /app"},
};

static const char *name_of(const char *digest)
{
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(names[i].digest, digest))
            return names[i].name;
    }
    return digest;
}

/* A vertex keeps the time it started at from one act to the next. */
static void act_vertex(struct trace *trace, const struct act *act, int64_t now_us)
{
    const struct trace_vertex *known = g_hash_table_lookup(trace->by_digest, act->vertex);
    bool is_start = act->kind == START;
    struct cob_event_vertex event = {
        .digest = act->vertex,
        .name = name_of(act->vertex),
        .started_us = !is_start && known && known->started_us ? known->started_us : now_us,
        .completed_us = is_start ? 0 : now_us,
        .is_cached = act->kind == CACHED,
        .error = act->kind == FAIL ? act->text : NULL,
    };

    if (act->kind == CANCEL)
        event.error = "context canceled";
    trace_vertex(trace, &event, now_us);
}

static void act_status(struct trace *trace, const struct act *act, int64_t now_us)
{
    struct cob_event_status event = {
        .vertex = act->vertex,
        .id = act->text,
        .current = act->current,
        .total = act->total,
        .started_us = T0 + 100000,
        .completed_us = act->kind == ARRIVED ? now_us : 0,
    };

    trace_status(trace, &event, now_us);
}

static void play_act(struct trace *trace, struct plain *plain, const struct act *act, GString *out)
{
    const int64_t now_us = T0 + (int64_t)(act->at * 1e6 + 0.5);

    switch (act->kind) {
    case START:
    case DONE:
    case CACHED:
    case FAIL:
    case CANCEL:
        act_vertex(trace, act, now_us);
        break;
    case STATUS:
    case ARRIVED:
        act_status(trace, act, now_us);
        break;
    case LOG: {
        struct cob_event_log event = {act->vertex, 1, act->text, strlen(act->text), now_us};

        trace_log(trace, &event, now_us);
        break;
    }
    case WARN: {
        struct cob_event_warning event = {.vertex = act->vertex, .text = act->text};

        trace_warning(trace, &event, now_us);
        break;
    }
    case PRINT:
        plain_print(plain, trace, now_us, out);
        break;
    }
}

/* What the plain view prints for a script that is printed after each act, and at its end. */
static char *play(const struct act *acts, size_t n_acts)
{
    GString *out = g_string_new(NULL);
    struct trace trace;
    struct plain plain = {0};
    int64_t now_us = T0;

    trace_init(&trace, true);
    for (size_t i = 0; i < n_acts; i++) {
        now_us = T0 + (int64_t)(acts[i].at * 1e6 + 0.5);
        play_act(&trace, &plain, &acts[i], out);
        plain_print(&plain, &trace, now_us, out);
    }
    plain_print_rest(&plain, &trace, now_us, out);
    trace_append_ends(out, &trace, false);
    trace_done(&trace);
    return g_string_free(out, FALSE);
}

#define PLAY(acts) play(acts, G_N_ELEMENTS(acts))

static void test_plain_is_buildkits(void)
{
    static const struct act acts[] = {
        {START, 0.001, "a", NULL, 0, 0},
        {STATUS, 0.1, "a", "transferring dockerfile:", 30, 0},
        {ARRIVED, 0.15, "a", "transferring dockerfile:", 312, 0},
        {DONE, 0.2, "a", NULL, 0, 0},
        {CACHED, 0.3, "c", NULL, 0, 0},
        {START, 1, "d", NULL, 0, 0},
        {LOG, 1.123, "d", "cc -c main.c\ncc -c", 0, 0},
        {LOG, 1.2, "d", " util.c\n", 0, 0},
        {LOG, 16.5, "d", "ld\n", 0, 0},
        {LOG, 200.06, "d", "ok\n", 0, 0},
        {WARN, 201, "d", "slow", 0, 0},
        {DONE, 202.25, "d", NULL, 0, 0},
    };
    g_autofree char *got = PLAY(acts);

    g_assert_cmpstr(got, ==,
        "#1 [internal] load build definition from Dockerfile\n"
        "#1 transferring dockerfile: 30B\n"
        "#1 transferring dockerfile: 312B 0.1s done\n"
        "#1 DONE 0.2s\n"
        "\n"
        "#2 [builder 2/3] WORKDIR /app\n"
        "#2 CACHED\n"
        "\n"
        "#3 [builder 3/3] RUN make\n"
        "#3 0.123 cc -c main.c\n"
        "#3 0.123 cc -c util.c\n"
        "#3 15.50 ld\n"
        "#3 199.1 ok\n"
        "#3 WARN: slow\n"
        "#3 DONE 201.2s\n");
}

static void test_plain_failure_ends_with_the_last_lines(void)
{
    static const struct act acts[] = {
        {START, 0.001, "d", NULL, 0, 0},
        {LOG, 0.5, "d", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", 0, 0},
        {LOG, 0.6, "d", "make: *** [all] Error 2", 0, 0},
        {START, 0.61, "e", NULL, 0, 0},
        {FAIL, 0.7, "d", "process \"/bin/sh -c make\" did not complete successfully: exit code: 2",
            0, 0},
        {CANCEL, 0.8, "e", NULL, 0, 0},
    };
    g_autofree char *got = PLAY(acts);

    g_assert_cmpstr(got, ==,
        "#1 [builder 3/3] RUN make\n"
        "#1 0.499 1\n#1 0.499 2\n#1 0.499 3\n#1 0.499 4\n#1 0.499 5\n"
        "#1 0.499 6\n#1 0.499 7\n#1 0.499 8\n#1 0.499 9\n#1 0.499 10\n"
        "#1 0.599 make: *** [all] Error 2\n"
        "#1 ERROR: process \"/bin/sh -c make\" did not complete successfully: exit code: 2\n"
        "\n"
        "#2 [stage-1 2/3] RUN mkdir /app\n"
        "#2 CANCELED\n"
        "------\n"
        " > [builder 3/3] RUN make:\n"
        "0.499 2\n0.499 3\n0.499 4\n0.499 5\n0.499 6\n0.499 7\n0.499 8\n0.499 9\n0.499 10\n"
        "0.599 make: *** [all] Error 2\n"
        "------\n");
}

static void test_plain_layers_are_throttled(void)
{
    static const struct act acts[] = {
        {START, 0.001, "b", NULL, 0, 0},
        {STATUS, 0.2, "b", "sha256:1234", 1000000, 29130000},
        {STATUS, 0.3, "b", "sha256:1234", 1100000, 29130000},  /* 0.3 % more: not yet */
        {STATUS, 1.3, "b", "sha256:1234", 10490000, 29130000}, /* a third more */
        {STATUS, 2.3, "b", "sha256:1234", 10490001, 29130000}, /* hardly any, and too soon */
        {STATUS, 6.4, "b", "sha256:1234", 10500000, 29130000}, /* hardly any, after five seconds */
        {ARRIVED, 6.5, "b", "sha256:1234", 29130000, 29130000},
        {DONE, 6.6, "b", NULL, 0, 0},
    };
    g_autofree char *got = PLAY(acts);

    g_assert_cmpstr(got, ==,
        "#1 [builder 1/3] FROM docker.io/library/golang:1.21\n"
        "#1 sha256:1234 1.00MB / 29.13MB 0.1s\n"
        "#1 sha256:1234 10.49MB / 29.13MB 1.2s\n"
        "#1 sha256:1234 10.50MB / 29.13MB 6.3s\n"
        "#1 sha256:1234 29.13MB / 29.13MB 6.4s done\n"
        "#1 DONE 6.6s\n");
}

static void test_plain_steps_take_turns(void)
{
    static const struct act acts[] = {
        {START, 0.001, "d", NULL, 0, 0},
        {START, 0.001, "e", NULL, 0, 0},
        {LOG, 1, "d", "d1\n", 0, 0},
        {LOG, 2, "e", "e1\n", 0, 0}, /* d's turn */
        {LOG, 3, "d", "d2 without end", 0, 0},
        {LOG, 10.5, "e", "e2\n", 0, 0}, /* e has waited for ten seconds */
        {LOG, 11, "d", ", now with one\n", 0, 0},
        {DONE, 12, "d", NULL, 0, 0}, /* what ended comes first */
        {LOG, 12.5, "e", "e3\n", 0, 0},
        {DONE, 13, "e", NULL, 0, 0},
    };
    g_autofree char *got = PLAY(acts);

    g_assert_cmpstr(got, ==,
        "#1 [builder 3/3] RUN make\n"
        "#1 0.999 d1\n"
        "#1 2.999 d2 without end\n"
        "#1 ...\n"
        "\n"
        "#2 [stage-1 2/3] RUN mkdir /app\n"
        "#2 1.999 e1\n"
        "#2 10.50 e2\n"
        "#2 ...\n"
        "\n"
        "#1 [builder 3/3] RUN make\n"
        "#1 2.999 d2 without end, now with one\n"
        "#1 DONE 12.0s\n"
        "\n"
        "#2 [stage-1 2/3] RUN mkdir /app\n"
        "#2 12.50 e3\n"
        "#2 DONE 13.0s\n");
}

/* What a step prints all at once, and what is shown of it, less "#1 0.000 " of each line. */
static const struct {
    const char *name, *printed, *shown;
} hostile_rows[] = {
    {"escape", "a\033[2Jb\n", "a\\x1b[2Jb"},
    {"title", "\033]0;owned\a\n", "\\x1b]0;owned\\x07"},
    {"clipboard", "\033]52;c;cm0=\033\\\n", "\\x1b]52;c;cm0=\\x1b\\"},
    {"c1",
        "\302\233"
        "31m\n",
        "\\xc2\\x9b31m"},
    {"nul-less-bytes", "\377\376\n", "\\xff\\xfe"},
    {"right-to-left", "a\342\200\256b\n", "a\\xe2\\x80\\xaeb"},
    {"line-separator", "a\342\200\250#9 DONE 1.0s\n", "a\\xe2\\x80\\xa8#9 DONE 1.0s"},
    {"vertical-tab", "a\v#9 DONE\n", "a\\x0b#9 DONE"},
    {"forged-end", "\r#9 DONE 1.0s\n", "#9 DONE 1.0s"},
    {"progress-bar", "10%\r20%\r30%\n", "30%"},
    {"dos-line", "one\r\n", "one"},
    {"wide", "\344\270\255\346\226\207\n", "\344\270\255\346\226\207"},
    {"empty", "\n", ""},
};

static void test_plain_is_harmless(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hostile_rows); i++) {
        const struct act acts[] = {
            {START, 0.001, "d", NULL, 0, 0},
            {LOG, 0.001, "d", hostile_rows[i].printed, 0, 0},
        };
        g_autofree char *got = PLAY(acts);
        g_autofree char *want =
            g_strdup_printf("#1 [builder 3/3] RUN make\n#1 0.000 %s\n", hostile_rows[i].shown);

        g_assert_cmpstr(got, ==, want);
        check_row(!strcmp(got, want), i, hostile_rows[i].name);
    }
}

/* No cut of a byte stream into events changes what is hidden. */
static void test_plain_pieces_are_harmless(void)
{
    static const char text[] = "ab\033]0;x\a\r\n#2 \344\270\255\r#9 DONE\n\342\200\256\n";
    GString *out;

    for (size_t cut = 1; cut + 1 < sizeof(text); cut++) {
        g_autofree char *head = g_strndup(text, cut);
        const struct act acts[] = {
            {START, 0.001, "d", NULL, 0, 0},
            {LOG, 0.001, "d", head, 0, 0},
            {LOG, 0.001, "d", text + cut, 0, 0},
        };
        g_autofree char *got = PLAY(acts);
        g_auto(GStrv) lines = g_strsplit(got, "\n", -1);
        bool is_ok = g_str_is_ascii(got) || strstr(got, "\344\270\255");

        for (char **line = lines; *line; line++)
            is_ok = is_ok && (**line == '\0' || g_str_has_prefix(*line, "#1 "));
        out = g_string_new(got);
        is_ok = is_ok && !strchr(got, '\033') && !strchr(got, '\r') && !strchr(got, '\a');
        g_assert_true(is_ok);
        check_row(is_ok, cut, out->str);
        g_string_free(out, TRUE);
    }
}

static void test_hostile_names_are_one_line(void)
{
    static const struct act acts[] = {
        {START, 0.001, "x\n#9 DONE", NULL, 0, 0},
        {STATUS, 0.1, "x\n#9 DONE", "layer\033[2J\n#8 DONE", 0, 0},
        {WARN, 0.2, "x\n#9 DONE", "w\n#7 DONE", 0, 0},
        {FAIL, 0.3, "x\n#9 DONE", "e\n#6 DONE", 0, 0},
    };
    g_autofree char *got = PLAY(acts);

    g_assert_cmpstr(got, ==,
        "#1 x\\x0a#9 DONE\n"
        "#1 layer\\x1b[2J\\x0a#8 DONE\n"
        "#1 WARN: w\\x0a#7 DONE\n"
        "#1 ERROR: e\\x0a#6 DONE\n"
        "------\n > x\\x0a#9 DONE:\n------\n");
}

static void test_much_output_is_clipped(void)
{
    GString *much = g_string_new(NULL);
    const char *notice = "[output clipped, log limit 200KiB/s reached]\n";
    g_autofree char *got = NULL;

    for (int i = 0; i < 30000; i++) /* 300 kB in no time */
        g_string_append_printf(much, "line%05d\n", i);
    const struct act acts[] = {
        {START, 0.001, "d", NULL, 0, 0},
        {LOG, 0.002, "d", much->str, 0, 0},
        {LOG, 9, "d", "later\n", 0, 0},
        {FAIL, 9.5, "d", "exit code: 1", 0, 0},
    };

    got = PLAY(acts);
    g_assert_cmpuint(strlen(got), <, 450000);
    g_assert_nonnull(strstr(got, "#1 0.001 line20000\n"));
    g_assert_null(strstr(got, "#1 0.001 line29999\n"));
    g_assert_nonnull(strstr(got, notice));
    g_assert_null(strstr(strstr(got, notice) + 1, notice));
    g_assert_nonnull(strstr(got, "#1 8.999 later\n"));    /* slow again */
    g_assert_nonnull(strstr(got, "\n0.001 line29999\n")); /* an error shows the last lines */
    g_string_free(much, TRUE);
}

static void test_endless_output_is_clipped(void)
{
    g_autofree char *line = g_strnfill(1000, 'x');
    struct steplog log;
    size_t n_shown = 0, n_notices = 0;
    struct steplog_line *popped;

    line[999] = '\n';
    steplog_init(&log, true);
    for (int i = 0; i < 4000; i++) { /* 4 MB, 100 kB a second */
        steplog_add(&log, line, 1000, T0 + (int64_t)i * 10000);
        while ((popped = steplog_pop(&log))) {
            n_shown += g_bytes_get_size(popped->text);
            n_notices += g_bytes_get_size(popped->text) == 40;
            steplog_line_free(popped);
        }
    }
    steplog_done(&log);
    g_assert_cmpuint(n_shown, <=, 2 * 1024 * 1024 + 100);
    g_assert_cmpuint(n_shown, >, 2 * 1024 * 1024 - 5000);
    g_assert_cmpuint(n_notices, ==, 1);
}

static void test_long_line_is_broken(void)
{
    struct steplog log;

    steplog_init(&log, false);
    for (int i = 0; i < 100; i++) {
        g_autofree char *piece = g_strnfill(5000, 'x');

        steplog_add(&log, piece, 5000, T0);
    }
    g_assert_cmpuint(log.n_lines, ==, 7);
    g_assert_cmpuint(log.open->len, <, 65536);
    steplog_done(&log);
}

static void test_modes_have_names(void)
{
    enum cob_progress_mode mode = COB_PROGRESS_AUTO;

    CHECK_OK(cob_progress_mode_parse("rawjson", &mode));
    g_assert_cmpint(mode, ==, COB_PROGRESS_RAWJSON);
    CHECK_ERROR(cob_progress_mode_parse("fancy", &mode), COB_INVALID,
        "unknown progress mode fancy: use auto, tty, plain, quiet or rawjson*");
    g_assert_cmpint(mode, ==, COB_PROGRESS_RAWJSON);
}

/* Read until the text has come; the test's own time-out is the limit. */
static void read_until(int fd, GString *got, const char *text)
{
    char buffer[4096];
    ssize_t n;

    while (!strstr(got->str, text) && (n = read(fd, buffer, sizeof(buffer))) > 0)
        g_string_append_len(got, buffer, n);
    g_assert_nonnull(strstr(got->str, text));
}

static struct cob_progress *start_on_pipe(enum cob_progress_mode mode, int *ret_read_fd, int *fd)
{
    int fds[2] = {-1, -1};

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    *ret_read_fd = fds[0];
    *fd = fds[1];
    return cob_progress_new(mode, fds[1]);
}

static void test_pipe_sees_lines_live(void)
{
    cob_autoclose int read_fd = -1;
    cob_autoclose int fd = -1;
    g_autoptr(cob_progress) progress = start_on_pipe(COB_PROGRESS_AUTO, &read_fd, &fd);
    const struct cob_observer *observer = cob_progress_observer(progress);
    g_autoptr(GString) got = g_string_new(NULL);
    struct cob_event_vertex vertex = {.digest = "d", .name = "RUN make", .started_us = T0};

    observer->vertex(observer->arg, &vertex);
    observer->log(observer->arg, &(struct cob_event_log){"d", 1, "one\n", 4, T0});
    read_until(read_fd, got, "#1 0.000 one\n");
    vertex.completed_us = T0 + 1000000;
    observer->vertex(observer->arg, &vertex);
    read_until(read_fd, got, "#1 DONE 1.0s\n");
    cob_progress_finish(progress, NULL);
    g_assert_cmpstr(got->str, ==, "#1 RUN make\n#1 0.000 one\n#1 DONE 1.0s\n");
}

static void test_rawjson_is_an_object_a_line(void)
{
    cob_autoclose int read_fd = -1;
    cob_autoclose int fd = -1;
    g_autoptr(cob_progress) progress = start_on_pipe(COB_PROGRESS_RAWJSON, &read_fd, &fd);
    const struct cob_observer *observer = cob_progress_observer(progress);
    g_autoptr(GString) got = g_string_new(NULL);

    observer->vertex(observer->arg,
        &(struct cob_event_vertex){
            .digest = "d", .name = "RUN \"x\"", .started_us = T0, .is_cached = true});
    observer->log(observer->arg, &(struct cob_event_log){"d", 2, "\xff\n", 2, T0 + 5});
    observer->warning(observer->arg, &(struct cob_event_warning){.text = "w"});
    cob_progress_finish(progress, NULL);
    read_until(read_fd, got, "warnings");
    g_assert_cmpstr(got->str, ==,
        "{\"vertexes\":[{\"cached\":true,\"digest\":\"d\",\"name\":\"RUN \\\"x\\\"\","
        "\"started\":\"2001-09-09T01:46:40.000000Z\"}]}\n"
        "{\"logs\":[{\"data\":\"/wo=\",\"stream\":2,"
        "\"timestamp\":\"2001-09-09T01:46:40.000005Z\",\"vertex\":\"d\"}]}\n"
        "{\"warnings\":[{\"short\":\"dw==\"}]}\n");
}

/* Twice the same, in no order, of a line that obeys a terminal. */
static void warn_of_lines(struct notes *notes)
{
    static const char text[] = "FROM a\nCMD b\n";
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    const struct cob_event_warning second = {.text = "B: b\033[2J (line 2)",
        .detail = "no b",
        .url = "https://b",
        .file = file,
        .range = {2, 2}};
    const struct cob_event_warning first = {.text = "A: a (line 1)", .range = {1, 1}};

    notes_add(notes, &second);
    notes_add(notes, &first);
    notes_add(notes, &second);
}

static void test_warnings_of_the_build_come_at_its_end(void)
{
    g_autoptr(GString) got = g_string_new(NULL);
    struct notes notes;

    notes_init(&notes);
    notes_append(got, &notes, true);
    g_assert_cmpstr(got->str, ==, "");
    warn_of_lines(&notes);
    notes_append(got, &notes, true);
    g_assert_cmpstr(got->str, ==,
        "\n \033[33m2 warnings found (use cob --debug to expand):\n\033[0m"
        " - A: a (line 1)\n - B: b\\x1b[2J (line 2)\n");
    g_string_truncate(got, 0);
    notes.is_expanded = true;
    notes_append(got, &notes, false);
    g_assert_cmpstr(got->str, ==,
        "\n 2 warnings found:\n - A: a (line 1)\n\n - B: b\\x1b[2J (line 2)\nno b\n"
        "More info: https://b\nDockerfile:2\n--------------------\n   1 |     FROM a\n"
        "   2 | >>> CMD b\n   3 |     \n--------------------\n\n");
    notes_done(&notes);
}

static void test_rawjson_warning_has_its_place(void)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static("x\n", 2);
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(GString) got = g_string_new(NULL);
    const struct cob_event_warning event = {
        .text = "w", .detail = "d", .url = "https://u", .file = file, .range = {1, 1}};

    rawjson_warning(got, &event);
    g_assert_cmpstr(got->str, ==,
        "{\"warnings\":[{\"detail\":[\"ZA==\"],\"level\":1,\"range\":[{\"end\":{\"line\":1},"
        "\"start\":{\"line\":1}}],\"short\":\"dw==\",\"sourceInfo\":{\"data\":\"eAo=\","
        "\"filename\":\"Dockerfile\",\"language\":\"Dockerfile\"},\"url\":\"https://u\"}]}\n");
}

static void test_quiet_says_nothing(void)
{
    cob_autoclose int read_fd = -1;
    cob_autoclose int fd = -1;
    g_autoptr(cob_progress) progress = start_on_pipe(COB_PROGRESS_QUIET, &read_fd, &fd);
    const struct cob_observer *observer = cob_progress_observer(progress);
    struct pollfd polled;

    observer->vertex(observer->arg,
        &(struct cob_event_vertex){.digest = "d", .name = "n", .started_us = T0, .error = "e"});
    observer->log(observer->arg, &(struct cob_event_log){"d", 1, "one\n", 4, T0});
    cob_progress_finish(progress, NULL);
    polled = (struct pollfd){.fd = read_fd, .events = POLLIN};
    g_assert_cmpint(poll(&polled, 1, 0), ==, 0);
}

static void test_null_is_fine(void)
{
    cob_progress_free(NULL);
    cob_progress_free(cob_progress_new(COB_PROGRESS_PLAIN, -1));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/progress/plain-is-buildkits", test_plain_is_buildkits);
    g_test_add_func(
        "/progress/failure-ends-with-last-lines", test_plain_failure_ends_with_the_last_lines);
    g_test_add_func("/progress/layers-are-throttled", test_plain_layers_are_throttled);
    g_test_add_func("/progress/steps-take-turns", test_plain_steps_take_turns);
    g_test_add_func("/progress/plain-is-harmless", test_plain_is_harmless);
    g_test_add_func("/progress/pieces-are-harmless", test_plain_pieces_are_harmless);
    g_test_add_func("/progress/hostile-names-are-one-line", test_hostile_names_are_one_line);
    g_test_add_func("/progress/much-output-is-clipped", test_much_output_is_clipped);
    g_test_add_func("/progress/endless-output-is-clipped", test_endless_output_is_clipped);
    g_test_add_func("/progress/long-line-is-broken", test_long_line_is_broken);
    g_test_add_func("/progress/modes-have-names", test_modes_have_names);
    g_test_add_func("/progress/pipe-sees-lines-live", test_pipe_sees_lines_live);
    g_test_add_func("/progress/rawjson-is-an-object-a-line", test_rawjson_is_an_object_a_line);
    g_test_add_func("/progress/warnings-of-the-build-come-at-its-end",
        test_warnings_of_the_build_come_at_its_end);
    g_test_add_func("/progress/rawjson-warning-has-its-place", test_rawjson_warning_has_its_place);
    g_test_add_func("/progress/quiet-says-nothing", test_quiet_says_nothing);
    g_test_add_func("/progress/null-is-fine", test_null_is_fine);
    return g_test_run();
}
