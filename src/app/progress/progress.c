/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/progress.h"

#include <string.h>
#include <sys/ioctl.h>

#include "app/progress/plain.h"
#include "app/progress/rawjson.h"
#include "app/progress/tty.h"
#include "util/fs.h"

#define FRAME_US (100 * 1000) /* tty: between two frames */
#define PAUSE_US (50 * 1000)  /* plain: what happens within it is sorted before it is printed */
#define TICK_US (150 * 1000)  /* plain: whose turn it is may change although nothing happens */

struct cob_progress {
    enum cob_progress_mode mode; /* not AUTO */
    int out_fd;
    struct cob_observer observer;
    GThread *writer; /* NULL until the first event */

    GMutex lock; /* guards all below */
    GCond changed;
    bool is_dirty;  /* something was not drawn yet */
    bool is_ending; /* the writer is to return */
    struct trace trace;
    struct plain plain;
    struct tty tty;
    GString *out; /* to be written */
};

struct cob_error *cob_progress_mode_parse(const char *word, enum cob_progress_mode *ret_mode)
{
    static const struct {
        const char *word;
        enum cob_progress_mode mode;
    } modes[] = {
        {"auto", COB_PROGRESS_AUTO},
        {"tty", COB_PROGRESS_TTY},
        {"plain", COB_PROGRESS_PLAIN},
        {"quiet", COB_PROGRESS_QUIET},
        {"none", COB_PROGRESS_QUIET},
        {"rawjson", COB_PROGRESS_RAWJSON},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (!strcmp(word, modes[i].word)) {
            *ret_mode = modes[i].mode;
            return NULL;
        }
    }
    return cob_fail(
        COB_INVALID, "unknown progress mode %s: use auto, tty, plain, quiet or rawjson", word);
}

/* The size of the terminal now; of a usual one when it does not say. */
static struct tty_size size_of(int fd)
{
    struct winsize size = {0};

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return (struct tty_size){.columns = 80, .rows = 24};
    return (struct tty_size){.columns = size.ws_col, .rows = size.ws_row};
}

/* Draw what changed. On a terminal the timers of what runs change always; when nothing runs, it is
 * left alone: another program may be using it. */
static void draw_locked(struct cob_progress *progress)
{
    const int64_t now_us = g_get_real_time();
    const bool is_tty_due = progress->is_dirty || trace_has_running(&progress->trace);

    if (progress->mode == COB_PROGRESS_PLAIN)
        plain_print(&progress->plain, &progress->trace, now_us, progress->out);
    else if (progress->mode == COB_PROGRESS_TTY && is_tty_due)
        tty_draw(
            &progress->tty, &progress->trace, now_us, size_of(progress->out_fd), progress->out);
    progress->is_dirty = false;
}

/* Write what is to be written, without the lock. A reader that went away is no reason to end a
 * build. */
static void write_unlocked(struct cob_progress *progress)
{
    g_autoptr(GString) out = progress->out;
    struct cob_error *err;

    progress->out = g_string_new(NULL);
    g_mutex_unlock(&progress->lock);
    err = out->len > 0 ? cob_fs_write_fd(progress->out_fd, out->str, out->len) : NULL;
    cob_error_free(err);
    g_mutex_lock(&progress->lock);
}

/* Wait for an event, a tick, or the end; then long enough that one drawing serves many events. */
static void wait_locked(struct cob_progress *progress)
{
    const bool is_tty = progress->mode == COB_PROGRESS_TTY;
    const int64_t began_us = g_get_monotonic_time();
    const int64_t tick_us = began_us + (is_tty ? FRAME_US : TICK_US);
    const int64_t pause_us = began_us + (is_tty ? FRAME_US : PAUSE_US);

    while (!progress->is_ending && !progress->is_dirty) {
        if (!g_cond_wait_until(&progress->changed, &progress->lock, tick_us))
            break;
    }
    while (!progress->is_ending && g_get_monotonic_time() < pause_us)
        g_cond_wait_until(&progress->changed, &progress->lock, pause_us);
}

static gpointer run_writer(gpointer data)
{
    struct cob_progress *progress = data;

    g_mutex_lock(&progress->lock);
    while (!progress->is_ending) {
        draw_locked(progress);
        write_unlocked(progress);
        wait_locked(progress);
    }
    g_mutex_unlock(&progress->lock);
    return NULL;
}

/* Every event ends here, with the lock held. */
static void wake_writer_locked(struct cob_progress *progress)
{
    progress->is_dirty = true;
    if (!progress->writer)
        progress->writer = g_thread_new("progress", run_writer, progress);
    g_cond_signal(&progress->changed);
}

static void on_vertex(void *arg, const struct cob_event_vertex *event)
{
    struct cob_progress *progress = arg;

    g_mutex_lock(&progress->lock);
    if (progress->mode == COB_PROGRESS_RAWJSON)
        rawjson_vertex(progress->out, event);
    else
        trace_vertex(&progress->trace, event, g_get_real_time());
    wake_writer_locked(progress);
    g_mutex_unlock(&progress->lock);
}

static void on_status(void *arg, const struct cob_event_status *event)
{
    struct cob_progress *progress = arg;

    g_mutex_lock(&progress->lock);
    if (progress->mode == COB_PROGRESS_RAWJSON)
        rawjson_status(progress->out, event);
    else
        trace_status(&progress->trace, event, g_get_real_time());
    wake_writer_locked(progress);
    g_mutex_unlock(&progress->lock);
}

static void on_log(void *arg, const struct cob_event_log *event)
{
    struct cob_progress *progress = arg;

    g_mutex_lock(&progress->lock);
    if (progress->mode == COB_PROGRESS_RAWJSON)
        rawjson_log(progress->out, event);
    else
        trace_log(&progress->trace, event, g_get_real_time());
    wake_writer_locked(progress);
    g_mutex_unlock(&progress->lock);
}

static void on_warning(void *arg, const struct cob_event_warning *event)
{
    struct cob_progress *progress = arg;

    g_mutex_lock(&progress->lock);
    if (progress->mode == COB_PROGRESS_RAWJSON)
        rawjson_warning(progress->out, event);
    else
        trace_warning(&progress->trace, event, g_get_real_time());
    wake_writer_locked(progress);
    g_mutex_unlock(&progress->lock);
}

static void ignore_vertex(void *arg, const struct cob_event_vertex *event)
{
    (void)arg, (void)event;
}

static void ignore_status(void *arg, const struct cob_event_status *event)
{
    (void)arg, (void)event;
}

static void ignore_log(void *arg, const struct cob_event_log *event)
{
    (void)arg, (void)event;
}

static void ignore_warning(void *arg, const struct cob_event_warning *event)
{
    (void)arg, (void)event;
}

static enum cob_progress_mode resolve_mode(enum cob_progress_mode mode, int fd)
{
    const char *term = g_getenv("TERM");

    if (mode != COB_PROGRESS_AUTO)
        return mode;
    return isatty(fd) && g_strcmp0(term, "dumb") ? COB_PROGRESS_TTY : COB_PROGRESS_PLAIN;
}

struct cob_progress *cob_progress_new(enum cob_progress_mode mode, int out_fd)
{
    struct cob_progress *progress = g_new(struct cob_progress, 1);
    const char *no_color = g_getenv("NO_COLOR");

    *progress = (struct cob_progress){
        .mode = resolve_mode(mode, out_fd),
        .out_fd = out_fd,
        .observer = {progress, on_vertex, on_status, on_log, on_warning},
        .out = g_string_new(NULL),
    };
    if (progress->mode == COB_PROGRESS_QUIET)
        progress->observer = (struct cob_observer){
            progress, ignore_vertex, ignore_status, ignore_log, ignore_warning};
    trace_init(&progress->trace, progress->mode == COB_PROGRESS_PLAIN);
    tty_init(&progress->tty, !no_color || !*no_color);
    g_mutex_init(&progress->lock);
    g_cond_init(&progress->changed);
    return progress;
}

void cob_progress_expand(struct cob_progress *progress)
{
    g_mutex_lock(&progress->lock);
    progress->trace.notes.is_expanded = true;
    g_mutex_unlock(&progress->lock);
}

const struct cob_observer *cob_progress_observer(struct cob_progress *progress)
{
    return &progress->observer;
}

static void stop_writer(struct cob_progress *progress)
{
    g_mutex_lock(&progress->lock);
    progress->is_ending = true;
    g_cond_signal(&progress->changed);
    g_mutex_unlock(&progress->lock);
    g_clear_pointer(&progress->writer, g_thread_join);
}

void cob_progress_finish(struct cob_progress *progress, const struct cob_error *err)
{
    const int64_t now_us = g_get_real_time();

    stop_writer(progress);
    g_mutex_lock(&progress->lock);
    if (progress->mode == COB_PROGRESS_PLAIN) {
        plain_print_rest(&progress->plain, &progress->trace, now_us, progress->out);
        trace_append_ends(progress->out, &progress->trace, /* has_colours= */ false);
    } else if (progress->mode == COB_PROGRESS_TTY) {
        tty_draw_last(&progress->tty, &progress->trace, now_us, size_of(progress->out_fd), !err,
            progress->out);
    }
    write_unlocked(progress);
    g_mutex_unlock(&progress->lock);
}

void cob_progress_free(struct cob_progress *progress)
{
    if (!progress)
        return;
    stop_writer(progress);
    trace_done(&progress->trace);
    tty_done(&progress->tty);
    g_string_free(progress->out, TRUE);
    g_cond_clear(&progress->changed);
    g_mutex_clear(&progress->lock);
    g_free(progress);
}
