/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build tells while it runs: BuildKit's four kinds of news.
 *
 * A vertex is told of again whenever something about it changes: when it is known, when it starts,
 * when it ends. Everything in an event is borrowed for the call.
 *
 * threads:  an observer is called from any thread of the build, several at a time; it locks.
 * spec:     BuildKit api/services/control/control.proto: Vertex, VertexStatus, VertexLog,
 *           VertexWarning.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/* A step of the build. Times are wall-clock microseconds since 1970; 0: not yet. */
struct cob_event_vertex {
    const char *digest; /* its identity in a build */
    const char *name;   /* "[builder 2/6] WORKDIR /app" */
    int64_t started_us, completed_us;
    bool is_cached;
    const char *error; /* NULL: none; a step that was stopped has "context canceled" */
    int number;        /* "#5": in the order in which steps start; 0: the observer counts */
};

/* Progress inside a vertex: a layer that arrives, a context that is read. */
struct cob_event_status {
    const char *vertex;      /* digest */
    const char *id;          /* "sha256:...", "transferring context:" */
    uint64_t current, total; /* bytes; total 0: not known, or not in bytes */
    int64_t started_us, completed_us;
};

/* What a step prints, as it comes: any bytes, not in lines. */
struct cob_event_log {
    const char *vertex;
    int stream; /* 1 or 2 */
    const void *data;
    size_t len;
    int64_t at_us;
};

/* Something to mend that does not stop the build. */
struct cob_event_warning {
    const char *vertex;       /* NULL: the build as a whole */
    const char *text;         /* one line, with its place where that matters */
    const char *detail;       /* more of it; NULL: nothing */
    const char *url;          /* where to read on; NULL: nowhere */
    struct cob_srcfile *file; /* NULL: no place */
    struct cob_range range;
    bool is_reason; /* no warning: why the vertex, which is not cached, had to run */
};

/* Who hears it. Every function is set. */
struct cob_observer {
    void *arg;
    void (*vertex)(void *arg, const struct cob_event_vertex *event);
    void (*status)(void *arg, const struct cob_event_status *event);
    void (*log)(void *arg, const struct cob_event_log *event);
    void (*warning)(void *arg, const struct cob_event_warning *event);
};
