/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/history_view.h"

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_OR_EQUAL, MORE, MORE_OR_EQUAL };

/* "duration>=30s", taken apart. */
struct filter {
    char *key, *value;
    enum comparison comparison;
};

static void filter_done(struct filter *filter)
{
    g_free(filter->key);
    g_free(filter->value);
}

static struct cob_error *parse(const char *text, struct filter *ret_filter)
{
    static const struct {
        const char *sign;
        enum comparison comparison;
    } signs[] = {{"!=", NOT_EQUAL}, {"<=", LESS_OR_EQUAL}, {">=", MORE_OR_EQUAL}, {"=", EQUAL},
        {"<", LESS}, {">", MORE}};
    const size_t len = strcspn(text, "!<=>");

    for (size_t i = 0; i < G_N_ELEMENTS(signs); i++) {
        if (!g_str_has_prefix(text + len, signs[i].sign))
            continue;
        *ret_filter = (struct filter){.key = g_strndup(text, len),
            .value = g_strdup(text + len + strlen(signs[i].sign)),
            .comparison = signs[i].comparison};
        return NULL;
    }
    return cob_fail(COB_INVALID, "invalid filter \"%s\"", text);
}

/* --- texts --- */

static bool is_text_match(const struct filter *filter, const char *text, bool is_whole)
{
    if (filter->comparison == NOT_EQUAL)
        return strcmp(text, filter->value) != 0;
    return is_whole ? strcmp(text, filter->value) == 0 : strstr(text, filter->value) != NULL;
}

static bool is_known_status(const char *word)
{
    static const char *const words[] = {"completed", "running", "error", "canceled", NULL};

    return g_strv_contains(words, word);
}

static struct cob_error *match_text(
    const struct cob_history_build *build, const struct filter *filter, bool *ret_is_match)
{
    if (filter->comparison != EQUAL && filter->comparison != NOT_EQUAL)
        return cob_fail(COB_INVALID, "invalid separator for \"%s\", expected = or !=", filter->key);
    if (strcmp(filter->key, "status") == 0) {
        g_autofree char *status = g_ascii_strdown(cob_history_status_word(build->status), -1);

        if (!is_known_status(filter->value))
            return cob_fail(COB_INVALID,
                "unknown status \"%s\": use completed, running, error or canceled", filter->value);
        *ret_is_match = is_text_match(filter, status, /* is_whole= */ true);
    } else if (strcmp(filter->key, "ref") == 0) {
        *ret_is_match = is_text_match(filter, build->id, /* is_whole= */ false);
    } else {
        g_autofree char *repository = history_view_repository(build);

        *ret_is_match = is_text_match(filter, repository ? repository : "", /* is_whole= */ false);
    }
    return NULL;
}

/* --- times --- */

/* "1h30m", "2.5s", "10ms", as Go has durations. */
static bool read_duration(const char *text, int64_t *ret_us)
{
    static const struct {
        const char *name;
        double us;
    } units[] = {{"ms", 1e3}, {"us", 1}, {"h", 3600e6}, {"m", 60e6}, {"s", 1e6}};
    double all_us = 0;

    if (!*text)
        return false;
    while (*text) {
        char *end = NULL;
        const double number = g_ascii_strtod(text, &end);
        size_t i = 0;

        while (i < G_N_ELEMENTS(units) && !g_str_has_prefix(end, units[i].name))
            i++;
        if (end == text || i == G_N_ELEMENTS(units) || number < 0)
            return false;
        all_us += number * units[i].us;
        text = end + strlen(units[i].name);
    }
    if (all_us > 1e18)
        return false;
    *ret_us = (int64_t)all_us;
    return true;
}

/* A moment: so long ago, or a time of RFC 3339. */
static bool read_moment(const char *text, int64_t *ret_us)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = NULL;
    int64_t ago_us = 0;

    if (read_duration(text, &ago_us)) {
        *ret_us = g_get_real_time() - ago_us;
        return true;
    }
    time = g_date_time_new_from_iso8601(text, utc);
    if (time)
        *ret_us = g_date_time_to_unix(time) * G_USEC_PER_SEC;
    return time != NULL;
}

static bool compare(enum comparison comparison, int64_t value, int64_t bound)
{
    switch (comparison) {
    case LESS:
        return value < bound;
    case LESS_OR_EQUAL:
        return value <= bound;
    case MORE:
        return value > bound;
    case MORE_OR_EQUAL:
        return value >= bound;
    case EQUAL:
    case NOT_EQUAL:
        break;
    }
    return false;
}

static struct cob_error *match_time(
    const struct cob_history_build *build, const struct filter *filter, bool *ret_is_match)
{
    const bool is_duration = strcmp(filter->key, "duration") == 0;
    const bool is_start = strcmp(filter->key, "startedAt") == 0;
    const int64_t completed_us = build->status == COB_HISTORY_RUNNING ? 0 : build->completed_us;
    const int64_t spent_us = completed_us ? completed_us - build->started_us : 0;
    int64_t bound = 0;

    if (filter->comparison == EQUAL || filter->comparison == NOT_EQUAL)
        return cob_fail(
            COB_INVALID, "invalid separator for \"%s\", expected <=, <, >= or >", filter->key);
    if (is_duration ? !read_duration(filter->value, &bound) : !read_moment(filter->value, &bound))
        return cob_fail(
            COB_INVALID, "invalid %s %s", is_duration ? "duration" : "time", filter->value);
    *ret_is_match = compare(filter->comparison,
        is_duration ? spent_us
        : is_start  ? build->started_us
                    : completed_us,
        bound);
    return NULL;
}

/* --- all --- */

static struct cob_error *match(
    const struct cob_history_build *build, const struct filter *filter, bool *ret_is_match)
{
    static const char *const texts[] = {"ref", "repository", "status", NULL};
    static const char *const times[] = {"startedAt", "completedAt", "duration", NULL};

    if (g_strv_contains(texts, filter->key))
        return match_text(build, filter, ret_is_match);
    if (g_strv_contains(times, filter->key))
        return match_time(build, filter, ret_is_match);
    return cob_fail(COB_INVALID,
        "unsupported filter \"%s\": there are ref, repository, status, startedAt, completedAt and "
        "duration",
        filter->key);
}

struct cob_error *history_view_matches(
    const struct cob_history_build *build, const char *const *filters, bool *ret_is_match)
{
    bool is_match = true;

    for (; filters && *filters; filters++) {
        struct filter filter = {0};
        bool is_one = false;
        struct cob_error *err = parse(*filters, &filter);

        if (!err)
            err = match(build, &filter, &is_one);
        filter_done(&filter);
        COB_TRY(cob_wrap(err, "--filter"));
        is_match &= is_one;
    }
    *ret_is_match = is_match;
    return NULL;
}
