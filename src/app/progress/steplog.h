/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one step prints, made into lines.
 *
 * A line ends with a newline. A carriage return takes back what stands on the line, as it does on
 * a terminal: of "10%\r20%\r30%\n" only "30%" is a line, and "a\r\n" is the line "a".
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define STEPLOG_TAIL 10 /* lines that are kept for an error */

struct steplog_line {
    int64_t at_us; /* when it began */
    GBytes *text;  /* as it came, without its end */
};

struct steplog {
    GQueue lines;  /* struct steplog_line, owned: ended, to be printed; empty unless is_queued */
    GQueue tail;   /* struct steplog_line, owned: the last that ended */
    GString *open; /* the line that has not ended */
    int64_t open_at_us;
    bool is_queued;      /* somebody prints `lines` */
    bool is_returned;    /* the last byte was a carriage return */
    bool is_rewritten;   /* the open line took the place of another */
    size_t n_shown;      /* bytes of the oldest line, ended or open, that were printed already */
    int64_t snapshot_us; /* when a line that is being rewritten was last printed */
    int64_t first_us;    /* of the first byte; 0: none came */
    uint64_t n_bytes;    /* came so far */
    bool is_clipped;     /* past the limit now */
    uint64_t n_lines;    /* ended so far */
};

/* is_queued: keep every line until steplog_pop(). */
void steplog_init(struct steplog *log, bool is_queued);
void steplog_done(struct steplog *log);

/* Add what came, in any pieces. */
void steplog_add(struct steplog *log, const char *data, size_t len, int64_t at_us);

/* The step ended: so does its last line. */
void steplog_end(struct steplog *log);

/* The oldest line to be printed, the caller's; NULL when there is none. */
struct steplog_line *steplog_pop(struct steplog *log);
void steplog_line_free(struct steplog_line *line);

/* How much of the open line is whole characters: a character may arrive in two parts. */
size_t steplog_open_len(const struct steplog *log);
