/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which failures are worth another try, and how long to wait before it.
 *
 *     answer or break                             tries (of timing.n_tries)
 *     408 425 429 500 502 503 504                 all, and Retry-After counts
 *     broken on the way, too slow, too short      all; from the start when bytes came since
 *     no connection, no such host                 2
 *     anything else                               1
 */
#pragma once

#include "net/registry/http.h"

/* The tries of one request at one server. Zero with its timing is the start. */
struct retry {
    const struct cob_registry_timing *timing;
    unsigned n_failed;
    unsigned n_unreachable;
    int64_t obeyed_ms; /* how long the server made us wait */
};

/* Is this answer one of those above? */
bool registry_is_retryable(const struct http_response *response);

/*
 * After a failure: wait, or find that it was the last try.
 *
 * ret_again:  try again.
 * errors:     COB_CANCELLED.
 */
COB_RESULT struct cob_error *registry_retry_wait(struct retry *retry, const struct curl_api *api,
    const struct http_response *response, struct cob_cancel *cancel, bool *ret_again);
