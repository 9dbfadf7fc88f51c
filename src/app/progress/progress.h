/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person sees of a build while it runs: BuildKit's lines, from the events of build/event.h.
 *
 *     plain    "#5 [builder 2/6] WORKDIR /app", "#5 CACHED": one line after the other, for pipes,
 *              logs and files; whatever changed last is written at once
 *     tty      "[+] Building 1.2s (5/7)" and one line a step, drawn again ten times a second
 *     rawjson  the events themselves, an object a line
 *     quiet    nothing
 *
 * The events only update what is known; a thread of its own writes, so that a terminal that was
 * stopped does not stop the build. It starts with the first event.
 *
 * Why a step ran is told, where the build says so: in plain as "#7 why: main.go changed", on a
 * terminal at the end, in rawjson as a warning with "reason": true and "why: " before its text.
 *
 * What steps print is made harmless: nothing of it is obeyed by a terminal, and no line of it can
 * pass for one of cob's own. Of one step at most 2 MiB are shown, at 200 KiB a second; the last
 * lines of a step that failed are shown always.
 *
 * threads:  the observer's functions: any. new, finish, free: one thread.
 * spec:     BuildKit util/progress/progressui (display.go, printer.go), util/progress/logs.
 */
#pragma once

#include "build/event.h"

enum cob_progress_mode {
    COB_PROGRESS_AUTO, /* tty on a terminal, else plain */
    COB_PROGRESS_TTY,
    COB_PROGRESS_PLAIN,
    COB_PROGRESS_QUIET,
    COB_PROGRESS_RAWJSON,
};

/* errors: COB_INVALID for another word than auto, tty, plain, quiet, none (quiet) and rawjson. */
COB_RESULT struct cob_error *cob_progress_mode_parse(
    const char *word, enum cob_progress_mode *ret_mode);

struct cob_progress; /* one build's view */

/* out_fd: borrowed until cob_progress_finish(). */
struct cob_progress *cob_progress_new(enum cob_progress_mode mode, int out_fd);

/* Show all that is known of warnings about the build as a whole: what their rules want, where that
 * is explained, and the lines. */
void cob_progress_expand(struct cob_progress *progress);

/* Who shows it; borrowed, until cob_progress_free(). */
const struct cob_observer *cob_progress_observer(struct cob_progress *progress);

/*
 * Show the end: what was not shown yet, and for each step that failed its last lines. No event may
 * come after it. The error itself is the caller's to show.
 *
 * err:  how the build ended; borrowed. NULL: well.
 */
void cob_progress_finish(struct cob_progress *progress, const struct cob_error *err);

/* Without finish, nothing more is shown. */
void cob_progress_free(struct cob_progress *progress);
COB_AUTOPTR(cob_progress, cob_progress_free)
