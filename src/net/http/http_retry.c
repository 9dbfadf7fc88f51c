/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <poll.h>

#include "net/http/http_private.h"
#include "util/log.h"

#define MAX_UNREACHABLE 2

bool cob_http_is_retryable(const struct cob_http_response *response)
{
    static const long statuses[] = {408, 425, 429, 500, 502, 503, 504};

    if (response->fate != COB_HTTP_ANSWERED)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++) {
        if (response->status == statuses[i])
            return true;
    }
    return false;
}

/* What Retry-After asks for: seconds, or a date. 0: nothing that can be read. */
static int64_t asked_ms(const struct cob_http *http, const char *header)
{
    guint64 seconds = 0;

    if (!header)
        return 0;
    if (g_ascii_string_to_unsigned(header, 10, 0, G_MAXINT32, &seconds, NULL))
        return (int64_t)seconds * 1000;
    int64_t when = cob_http_date(http, header);
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    return when > now ? MIN(when - now, G_MAXINT32) * 1000 : 0;
}

/* Doubled with each failure; the second half of it at random, so that many do not come at once. */
static int64_t backoff_ms(const struct cob_http_timing *timing, const struct cob_http_retry *retry)
{
    uint64_t full = (uint64_t)timing->backoff_ms << MIN(retry->n_failed - 1, 20U);
    uint64_t capped = MIN(full, timing->backoff_max_ms);

    return (int64_t)(capped / 2) + g_random_int_range(0, (gint32)(capped / 2) + 1);
}

static struct cob_error *sleep_ms(int64_t ms, struct cob_cancel *cancel)
{
    struct pollfd wish = {.fd = cob_cancel_fd(cancel), .events = POLLIN};
    int64_t end = g_get_monotonic_time() + ms * 1000;
    int64_t left_us;

    while ((left_us = end - g_get_monotonic_time()) > 0 && !cob_cancel_is_set(cancel))
        poll(&wish, 1, (int)MIN(left_us / 1000 + 1, G_MAXINT)); /* a signal only wakes it early */
    return cob_cancel_check(cancel);
}

struct cob_error *cob_http_retry_wait(struct cob_http *http, struct cob_http_retry *retry,
    const struct cob_http_response *response, struct cob_cancel *cancel, bool *ret_again)
{
    const struct cob_http_timing *timing = &http->timing;
    int64_t asked = asked_ms(http, cob_http_header(response, "retry-after"));

    *ret_again = false;
    retry->n_failed++;
    if (response->fate == COB_HTTP_UNREACHABLE)
        retry->n_unreachable++;
    if (retry->n_failed >= timing->n_tries || retry->n_unreachable >= MAX_UNREACHABLE ||
        retry->obeyed_ms + asked > timing->retry_after_ms)
        return NULL;
    int64_t wait_ms = MAX(asked, backoff_ms(timing, retry));
    retry->obeyed_ms += asked;
    cob_trace(1, "http: try %u failed, again in %" PRId64 " ms", retry->n_failed, wait_ms);
    COB_TRY(sleep_ms(wait_ms, cancel));
    *ret_again = true;
    return NULL;
}
