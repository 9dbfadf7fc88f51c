/* SPDX-License-Identifier: Apache-2.0 */
/* Names, sizes and durations as people write them. */
#include <string.h>

#include "build/gc/gc_parts.h"
#include "util/text.h"

const char *cob_gc_class_name(enum cob_gc_class class)
{
    switch (class) {
    case COB_GC_BLOBS:
        return "blobs";
    case COB_GC_SOURCES:
        return "sources";
    case COB_GC_LAYERS:
        return "layers";
    case COB_GC_CACHE_MOUNTS:
        return "cache-mounts";
    case COB_GC_INTERNAL:
        return "internal";
    }
    g_assert_not_reached();
}

struct cob_error *cob_gc_space_parse(const char *text, struct cob_gc_space *ret_space)
{
    const size_t n_digits = strspn(text, "0123456789");
    struct cob_gc_space space = {.is_set = true};
    int64_t bytes = 0;
    guint64 percent = 0;

    if (n_digits > 0 && strcmp(text + n_digits, "%") == 0) {
        g_autofree char *number = g_strndup(text, n_digits);

        if (!g_ascii_string_to_unsigned(number, 10, 0, 100, &percent, NULL))
            return cob_fail(COB_INVALID, "\"%s\" is more than the whole disk", text);
        space.percent = (unsigned)percent;
    } else if (!cob_text_read_size(text, &bytes)) {
        return cob_fail(COB_INVALID,
            "\"%s\" is no amount of disk space: expected one like 10GB, 512MB or 20%%", text);
    }
    space.bytes = (uint64_t)bytes;
    *ret_space = space;
    return NULL;
}

uint64_t gc_space_bytes(const struct cob_gc_space *space, const struct cob_gc_disk *disk)
{
    const uint64_t share = disk->total_bytes / 100 * space->percent;

    if (space->percent && space->bytes)
        return MIN(share, space->bytes);
    return space->percent ? share : space->bytes;
}

char *gc_space_text(const struct cob_gc_space *space)
{
    g_autofree char *size = gc_size_text(space->bytes);

    if (space->percent && space->bytes)
        return g_strdup_printf("min(%u%%, %s)", space->percent, size);
    return space->percent ? g_strdup_printf("%u%%", space->percent) : g_steal_pointer(&size);
}

/* As it was written where that is possible: powers of 1024 count, as in docker's options. */
char *gc_size_text(uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    size_t unit = 0;

    while (bytes && bytes % 1024 == 0 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    return g_strdup_printf("%" PRIu64 "%s", bytes, units[unit]);
}

static const struct {
    const char *unit;
    double us;
} time_units[] = {{"d", 24 * 3600e6}, {"h", 3600e6}, {"ms", 1e3}, {"m", 60e6}, {"s", 1e6},
    {"us", 1}, {"ns", 1e-3}};

/* One number with its unit.  at: moved behind it. */
static bool read_part(const char **at, double *sum_us)
{
    const size_t len = strspn(*at, ".0123456789");
    g_autofree char *number = g_strndup(*at, len);
    char *end = NULL;
    const double value = g_ascii_strtod(number, &end);

    if (len == 0 || !end || *end)
        return false;
    *at += len;
    for (size_t i = 0; i < G_N_ELEMENTS(time_units); i++) {
        if (!g_str_has_prefix(*at, time_units[i].unit))
            continue;
        *sum_us += value * time_units[i].us;
        *at += strlen(time_units[i].unit);
        return true;
    }
    return false;
}

struct cob_error *cob_gc_duration_parse(const char *text, int64_t *ret_us)
{
    const char *at = text;
    double sum_us = 0;
    bool is_good = *text != '\0';

    if (strcmp(text, "0") == 0) {
        *ret_us = 0;
        return NULL;
    }
    while (*at && is_good)
        is_good = read_part(&at, &sum_us);
    if (!is_good || sum_us > 1e18)
        return cob_fail(
            COB_INVALID, "\"%s\" is no duration: expected one like 24h, 90m or 60d", text);
    *ret_us = (int64_t)sum_us;
    return NULL;
}

char *gc_duration_text(int64_t us)
{
    const int64_t minutes = us / (60 * G_USEC_PER_SEC);

    if (minutes && us % (60 * G_USEC_PER_SEC) == 0) {
        if (minutes % (24 * 60) == 0)
            return g_strdup_printf("%" PRId64 "d", minutes / (24 * 60));
        if (minutes % 60 == 0)
            return g_strdup_printf("%" PRId64 "h", minutes / 60);
        return g_strdup_printf("%" PRId64 "m", minutes);
    }
    return g_strdup_printf("%.10gs", (double)us / G_USEC_PER_SEC);
}
