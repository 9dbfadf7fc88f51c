/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/exporters/export_parts.h"
#include "util/digest.h"

int64_t export_tell(const struct export_job *job, const char *id, int64_t started_us)
{
    const struct cob_observer *observer = job->result->observer;
    const int64_t now = g_get_real_time();
    const struct cob_event_status event = {.vertex = job->vertex,
        .id = id,
        .started_us = started_us ? started_us : now,
        .completed_us = started_us ? now : 0};

    observer->status(observer->arg, &event);
    return now;
}

void export_warn(const struct export_job *job, const char *text)
{
    const struct cob_observer *observer = job->result->observer;
    const struct cob_event_warning event = {.vertex = job->vertex, .text = text};

    observer->warning(observer->arg, &event);
}

struct cob_error *cob_exporter_output_write(const struct cob_exporter_output *output,
    const struct cob_exporter_result *result, struct cob_cancel *cancel)
{
    const struct cob_observer *observer = result->observer;
    const char *name = output->impl->vertex_name;
    g_autofree char *key = g_strdup_printf("%s %s", name ? name : "", output->dest);
    g_autofree char *digest = cob_digest_of(key, strlen(key));
    g_autofree char *message = NULL;
    struct cob_event_vertex event = {
        .digest = digest, .name = name, .started_us = g_get_real_time()};
    const struct export_job job = {
        .output = output, .result = result, .vertex = digest, .cancel = cancel};

    if (!name)
        return output->impl->write(&job);
    observer->vertex(observer->arg, &event);
    struct cob_error *err = output->impl->write(&job);
    if (err)
        event.error = message = cob_error_message(err);
    event.completed_us = g_get_real_time();
    observer->vertex(observer->arg, &event);
    return cob_wrap(err, "%s", name);
}
