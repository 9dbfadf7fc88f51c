/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/remotecache/remotecache_private.h"

void cache_tell_vertex(const struct cob_observer *observer, const char *digest, const char *name,
    int64_t started_us, int64_t completed_us, const struct cob_error *err)
{
    g_autofree char *message = NULL;

    if (err && cob_error_code(err) == COB_CANCELLED)
        message = g_strdup("context canceled");
    else if (err)
        message = cob_error_message(err);
    const struct cob_event_vertex event = {.digest = digest,
        .name = name,
        .started_us = started_us,
        .completed_us = completed_us,
        .error = message};

    observer->vertex(observer->arg, &event);
}

int64_t cache_tell_status(
    const struct cob_observer *observer, const char *vertex, const char *id, int64_t started_us)
{
    const int64_t now = g_get_real_time();
    const struct cob_event_status event = {.vertex = vertex,
        .id = id,
        .started_us = started_us ? started_us : now,
        .completed_us = started_us ? now : 0};

    observer->status(observer->arg, &event);
    return event.started_us;
}

void cache_tell_line(const struct cob_observer *observer, const char *vertex, const char *text)
{
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    const struct cob_event_log event = {.vertex = vertex,
        .stream = 2,
        .data = line,
        .len = strlen(line),
        .at_us = g_get_real_time()};

    observer->log(observer->arg, &event);
}

void cache_warn(const struct cob_observer *observer, const char *vertex, const char *text)
{
    const struct cob_event_warning event = {.vertex = vertex, .text = text};

    observer->warning(observer->arg, &event);
}
