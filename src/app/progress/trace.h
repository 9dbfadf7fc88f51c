/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is known of a build by now: its steps, in the order in which they were heard of.
 *
 * The views draw from it and keep in it, per step, what they have drawn already.
 */
#pragma once

#include "app/progress/notes.h"
#include "app/progress/steplog.h"
#include "build/event.h"

/* A layer that arrives, a context that is read. */
struct trace_status {
    char *id;
    uint64_t current, total;
    int64_t started_us, completed_us;
    int64_t heard_us; /* when it last changed */
    bool is_changed;  /* since it was drawn */
    int64_t drawn_us; /* 0: never */
    uint64_t drawn_current;
};

struct trace_vertex {
    char *name, *error; /* error: NULL: none */
    int64_t started_us, completed_us;
    int64_t spent_us; /* in runs before the one that started_us is about */
    bool is_cached;
    GPtrArray *statuses; /* struct trace_status, owned; in the order in which they began */
    GPtrArray *warnings; /* char *, owned */
    GPtrArray *reasons;  /* char *, owned: why it ran */
    struct steplog log;
    bool is_changed; /* since it was drawn */

    /* for the plain view */
    int number;      /* "#5"; 0: none yet */
    guint n_warned;  /* of the warnings, drawn already */
    guint n_told;    /* of the reasons, likewise */
    unsigned n_news; /* since the view last turned to another step */
    int64_t news_us; /* when the first of these came */
};

struct trace {
    GHashTable *by_digest; /* digest, owned -> struct trace_vertex, owned */
    GPtrArray *vertices;   /* struct trace_vertex, as they were heard of */
    GPtrArray *started;    /* struct trace_vertex, as they started */
    struct notes notes;    /* warnings of the build as a whole */
    int64_t first_us;      /* when the first step started; 0: none did */
    bool is_queued;        /* keep all that steps print, for a view that prints it */
};

/* is_queued: see the struct. */
void trace_init(struct trace *trace, bool is_queued);
void trace_done(struct trace *trace);

/* Note an event. */
void trace_vertex(struct trace *trace, const struct cob_event_vertex *event, int64_t now_us);
void trace_status(struct trace *trace, const struct cob_event_status *event, int64_t now_us);
void trace_log(struct trace *trace, const struct cob_event_log *event, int64_t now_us);
void trace_warning(struct trace *trace, const struct cob_event_warning *event, int64_t now_us);

/* It started and did not end. */
bool trace_is_running(const struct trace_vertex *vertex);

/* Does any step run? */
bool trace_has_running(const struct trace *trace);

/* It was stopped, and did not fail by itself. */
bool trace_is_cancelled(const struct trace_vertex *vertex);

/* How many have ended. */
guint trace_n_completed(const struct trace *trace);

/* How long it has run, all its runs together. */
int64_t trace_spent_us(const struct trace_vertex *vertex, int64_t now_us);

/* "0.123", "12.34" or "123.4": a line's time since its step began. */
void trace_append_time(GString *out, const struct trace_vertex *vertex, int64_t at_us);

/* " 10.49MB / 29.13MB", or nothing. */
void trace_append_amount(GString *out, const struct trace_status *status);

/* Why each step ran that did, for a view that did not say so while it drew; nothing where nobody
 * asked. */
void trace_append_reasons(GString *out, const struct trace *trace);

/* The end of all steps that failed: their names and last lines; then the build's warnings. */
void trace_append_ends(GString *out, const struct trace *trace, bool has_colours);
