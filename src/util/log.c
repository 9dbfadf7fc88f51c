/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include <stdarg.h>
#include <stdio.h>

static int level_asked = -1; /* atomic; -1: the environment was not read yet */
static gint64 started_at_us; /* set once, by whoever reads the environment first */

static int read_level(void)
{
    const char *text = g_getenv("COB_TRACE");

    return text && g_ascii_isdigit(text[0]) ? text[0] - '0' : 0;
}

bool cob_log_is_on(int level)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        started_at_us = g_get_monotonic_time();
        g_atomic_int_set(&level_asked, read_level());
        g_once_init_leave(&once, 1);
    }
    return g_atomic_int_get(&level_asked) >= level;
}

void cob_log_write(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    double at = (double)(g_get_monotonic_time() - started_at_us) / 1e6;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "cob %9.6f %s\n", at, text);
}
