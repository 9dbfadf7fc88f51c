/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view for a terminal: a frame that is drawn over the one before.
 *
 *     [+] Building 1.2s (5/7)
 *      => CACHED [builder 2/6] WORKDIR /app                          0.0s
 *      => [builder 5/6] RUN make                                     0.9s
 *      => => # cc -c main.c
 *
 * A frame is one string, the cursor stands below it and is shown, so that nothing has to be put
 * right when cob ends between two of them. No row is as wide as the terminal.
 *
 * spec: BuildKit util/progress/progressui/display.go, ttyDisplay.
 */
#pragma once

#include "app/progress/trace.h"

struct tty {
    bool has_colours;
    GArray *widths; /* int: columns of each row of the last frame */
};

struct tty_size {
    int columns, rows;
};

/* has_colours: the completed, failed and stopped are told apart by colour, too. */
void tty_init(struct tty *tty, bool has_colours);
void tty_done(struct tty *tty);

/* Append a frame. */
void tty_draw(
    struct tty *tty, const struct trace *trace, int64_t now_us, struct tty_size size, GString *out);

/* Append the last frame: all steps, even if they do not fit; then how the failed ones ended.
 * is_good: the build did not fail. */
void tty_draw_last(struct tty *tty, const struct trace *trace, int64_t now_us, struct tty_size size,
    bool is_good, GString *out);
