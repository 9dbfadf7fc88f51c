/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wish to stop that comes by itself after a time.
 *
 * threads:  one; it has one of its own that waits.
 */
#pragma once

#include "util/cancel.h"

struct timeout;

/* Begin to wait.  parent: a wish to stop that is passed on; NULL: none.
 * errors: no descriptor left. */
COB_RESULT struct cob_error *cob_timeout_new(
    struct cob_cancel *parent, int64_t seconds, struct timeout **ret_timeout);
struct cob_cancel *cob_timeout_cancel(struct timeout *timeout); /* borrowed */

/* Stop waiting. An error that is its own doing becomes COB_TIMEOUT.  err: taken; may be NULL. */
COB_RESULT struct cob_error *cob_timeout_end(struct timeout *timeout, struct cob_error *err);
