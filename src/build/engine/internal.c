/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/engine_private.h"
#include "util/digest.h"

static void tell(const struct internal_step *step, int64_t completed_us, const char *error)
{
    const struct cob_event_vertex event = {.digest = step->digest,
        .name = step->name,
        .started_us = step->started_us,
        .completed_us = completed_us,
        .error = error};

    step->observer->vertex(step->observer->arg, &event);
}

struct internal_step cob_engine_step_begin(const struct cob_observer *observer, const char *name)
{
    struct internal_step step = {.observer = observer,
        .digest = cob_digest_of(name, strlen(name)),
        .name = g_strdup(name),
        .started_us = g_get_real_time()};

    tell(&step, 0, NULL);
    return step;
}

void cob_engine_step_status(const struct internal_step *step, const char *id, uint64_t n_bytes)
{
    const struct cob_event_status event = {.vertex = step->digest,
        .id = id,
        .current = n_bytes,
        .started_us = step->started_us,
        .completed_us = g_get_real_time()};

    step->observer->status(step->observer->arg, &event);
}

struct cob_error *cob_engine_step_end(struct internal_step *step, struct cob_error *err)
{
    g_autofree char *message = NULL;

    if (err && cob_error_code(err) == COB_CANCELLED)
        message = g_strdup("context canceled");
    else if (err)
        message = cob_error_message(err);
    tell(step, g_get_real_time(), message);
    g_free(step->digest);
    g_free(step->name);
    return err;
}
