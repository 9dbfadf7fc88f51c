/* SPDX-License-Identifier: Apache-2.0 */
#include "build/cachebackend/timeout.h"

#include <inttypes.h>

struct timeout {
    struct cob_cancel *parent; /* borrowed; NULL: none */
    struct cob_cancel *cancel;
    int64_t seconds;
    GMutex lock; /* guards is_over */
    GCond changed;
    bool is_over;
    GThread *thread;
};

static void *wait_for_end(void *arg)
{
    struct timeout *timeout = arg;
    int64_t until = g_get_monotonic_time() + timeout->seconds * G_USEC_PER_SEC;
    bool is_late = false;

    g_mutex_lock(&timeout->lock);
    while (!timeout->is_over && !is_late)
        is_late = !g_cond_wait_until(&timeout->changed, &timeout->lock, until);
    is_late = !timeout->is_over;
    g_mutex_unlock(&timeout->lock);
    if (is_late)
        cob_cancel_trigger(timeout->cancel);
    return NULL;
}

struct cob_error *cob_timeout_new(
    struct cob_cancel *parent, int64_t seconds, struct timeout **ret_timeout)
{
    struct cob_cancel *cancel = NULL;

    COB_TRY(cob_cancel_new_below(parent, &cancel));
    struct timeout *timeout = g_new(struct timeout, 1);
    *timeout = (struct timeout){.parent = parent, .cancel = cancel, .seconds = seconds};
    g_mutex_init(&timeout->lock);
    g_cond_init(&timeout->changed);
    timeout->thread = g_thread_new("timeout", wait_for_end, timeout);
    *ret_timeout = timeout;
    return NULL;
}

struct cob_cancel *cob_timeout_cancel(struct timeout *timeout)
{
    return timeout->cancel;
}

struct cob_error *cob_timeout_end(struct timeout *timeout, struct cob_error *err)
{
    g_mutex_lock(&timeout->lock);
    timeout->is_over = true;
    g_cond_signal(&timeout->changed);
    g_mutex_unlock(&timeout->lock);
    g_thread_join(timeout->thread);
    if (err && cob_error_code(err) == COB_CANCELLED && !cob_cancel_is_set(timeout->parent)) {
        cob_error_free(err);
        err = cob_fail(COB_TIMEOUT, "no answer within %" PRId64 " s", timeout->seconds);
    }
    cob_cancel_unref(timeout->cancel);
    g_mutex_clear(&timeout->lock);
    g_cond_clear(&timeout->changed);
    g_free(timeout);
    return err;
}
