/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tracing for developers, to stderr, asked for by COB_TRACE=<level>. Users never need it: what they
 * should know is an error, or an event of the build.
 *
 *     0  nothing (the default)
 *     1  decisions: a cache hit or miss and its key, the runtime that was chosen, a retry
 *     2  acts: each snapshot, mount, child process and request
 *     3  details: each file, each row
 *
 * No secret is ever traced, at any level.
 *
 * threads:  any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Is this level asked for? */
bool cob_log_is_on(int level);

/* cob_trace(1, "cache hit %s", key): one line, with the time since the start. */
#define cob_trace(level, ...)                                                                      \
    do {                                                                                           \
        if (cob_log_is_on(level))                                                                  \
            cob_log_write(__VA_ARGS__);                                                            \
    } while (0)

/* Behind the macro above. */
void cob_log_write(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
