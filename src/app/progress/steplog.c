/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/steplog.h"

#include <string.h>

#include "util/limits.h"

#define LIMIT_BYTES (2 * COB_MIB)         /* of one step */
#define LIMIT_SPEED_BYTES (200 * COB_KIB) /* a second */

void steplog_init(struct steplog *log, bool is_queued)
{
    *log = (struct steplog){.open = g_string_new(NULL), .is_queued = is_queued};
}

void steplog_line_free(struct steplog_line *line)
{
    if (!line)
        return;
    g_bytes_unref(line->text);
    g_free(line);
}

static void free_line(gpointer line)
{
    steplog_line_free(line);
}

void steplog_done(struct steplog *log)
{
    g_queue_clear_full(&log->lines, free_line);
    g_queue_clear_full(&log->tail, free_line);
    if (log->open)
        g_string_free(log->open, TRUE);
    log->open = NULL;
}

static void push_line(GQueue *lines, int64_t at_us, GBytes *text)
{
    struct steplog_line *line = g_new(struct steplog_line, 1);

    *line = (struct steplog_line){.at_us = at_us, .text = g_bytes_ref(text)};
    g_queue_push_tail(lines, line);
}

/* Is the step past a limit with all it printed until then? *ret_is_fast: past that of its speed. */
static bool is_past_limit(const struct steplog *log, int64_t at_us, bool *ret_is_fast)
{
    const int64_t elapsed_us = MAX(at_us - log->first_us, 0);
    const uint64_t seconds = MAX((uint64_t)((elapsed_us + 999999) / 1000000), 1);
    const uint64_t allowed = seconds < LIMIT_BYTES / LIMIT_SPEED_BYTES + 1
                                 ? MIN(seconds * LIMIT_SPEED_BYTES, LIMIT_BYTES)
                                 : LIMIT_BYTES;

    *ret_is_fast = allowed < LIMIT_BYTES;
    return log->n_bytes > allowed;
}

/* Queue a line for whoever prints, or say once that there are too many. A line of which a part was
 * shown is never dropped. */
static void queue_line(struct steplog *log, GBytes *text)
{
    static const char fast[] = "[output clipped, log limit 200KiB/s reached]";
    static const char much[] = "[output clipped, log limit 2MiB reached]";
    bool is_fast = false;
    bool was_clipped = log->is_clipped;

    log->is_clipped = is_past_limit(log, log->open_at_us, &is_fast);
    if (!log->is_clipped || (log->n_shown > 0 && g_queue_is_empty(&log->lines)))
        push_line(&log->lines, log->open_at_us, text);
    if (log->is_clipped && !was_clipped) {
        const char *notice = is_fast ? fast : much;
        g_autoptr(GBytes) bytes = g_bytes_new_static(notice, strlen(notice));

        push_line(&log->lines, log->open_at_us, bytes);
    }
}

static void end_line(struct steplog *log)
{
    g_autoptr(GBytes) text = g_bytes_new(log->open->str, log->open->len);

    push_line(&log->tail, log->open_at_us, text);
    if (log->tail.length > STEPLOG_TAIL)
        steplog_line_free(g_queue_pop_head(&log->tail));
    if (log->is_queued)
        queue_line(log, text);
    log->n_lines++;
    g_string_truncate(log->open, 0);
    log->is_returned = log->is_rewritten = false;
}

/* Something follows a carriage return: the line begins anew. What was printed of it stays, and is
 * ended there. */
static void rewrite_line(struct steplog *log)
{
    if (log->n_shown > 0 && g_queue_is_empty(&log->lines))
        end_line(log);
    g_string_truncate(log->open, 0);
    log->is_returned = false;
    log->is_rewritten = true;
}

static void add_piece(struct steplog *log, const char *data, size_t len, int64_t at_us)
{
    if (len == 0)
        return;
    if (log->is_returned)
        rewrite_line(log);
    if (log->open->len == 0)
        log->open_at_us = at_us;
    g_string_append_len(log->open, data, (gssize)len);
    if (log->open->len >= COB_LIMIT_LOG_LINE_BYTES)
        end_line(log);
}

void steplog_add(struct steplog *log, const char *data, size_t len, int64_t at_us)
{
    const char *const end = data + len;

    if (log->first_us == 0)
        log->first_us = at_us;
    while (data < end) {
        const size_t left = (size_t)(end - data);
        const size_t room = MIN(left, (size_t)COB_LIMIT_LOG_LINE_BYTES - log->open->len);
        size_t n = 0;

        while (n < room && data[n] != '\n' && data[n] != '\r')
            n++;
        add_piece(log, data, n, at_us);
        log->n_bytes += n;
        data += n;
        if (n == room)
            continue;
        if (log->open->len == 0)
            log->open_at_us = at_us;
        if (*data == '\n')
            end_line(log);
        else
            log->is_returned = true;
        log->n_bytes++;
        data++;
    }
}

void steplog_end(struct steplog *log)
{
    if (log->open->len > 0)
        end_line(log);
}

struct steplog_line *steplog_pop(struct steplog *log)
{
    return g_queue_pop_head(&log->lines);
}

size_t steplog_open_len(const struct steplog *log)
{
    const char *text = log->open->str;
    const size_t len = log->open->len;

    for (size_t back = 1; back <= MIN(len, 4); back++) {
        const unsigned char c = (unsigned char)text[len - back];

        if (c < 0x80)
            return len;
        if (c >= 0xc0) /* begins a character, of so many bytes */
            return (size_t)g_utf8_skip[c] > back ? len - back : len;
    }
    return len;
}
