/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cache_mounts.h"
#include "app/cli/columns.h"
#include "app/cli/rowformat.h"
#include "util/text.h"

#define SHORT_ID 40
#define SHORT_TEXT 48

static const struct cli_option options[] = {
    {"filter", 'f', CLI_LIST, "filter",
        "Show those that fit (e.g., \"id=/go/*\", \"namespace=ci\", \"pinned=true\", "
        "\"inuse=false\")",
        false},
    {"format", 0, CLI_TEXT, "string",
        "Format output: \"table\", \"table TEMPLATE\", \"json\", or a template (e.g., \"{{.ID}}: "
        "{{.Size}}\")",
        false},
    {"no-trunc", 0, CLI_FLAG, NULL, "Don't truncate output", false},
    {"quiet", 'q', CLI_FLAG, NULL, "Only show IDs", false},
    {0},
};

/* --- filters --- */

static struct cob_error *fits_flag(const char *key, const char *value, bool is_so, bool *ret_fits)
{
    static const char *const yes[] = {"1", "true", NULL}, *const no[] = {"0", "false", NULL};

    if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
        return cob_fail(COB_INVALID, "%s is true or false", key);
    *ret_fits = g_strv_contains(yes, value) == is_so;
    return NULL;
}

static struct cob_error *fits(const struct cache_mount *mount, const char *filter, bool *ret_fits)
{
    const char *value = strchr(filter, '=');
    g_autofree char *key = value ? g_strndup(filter, (gsize)(value - filter)) : g_strdup(filter);

    if (!value)
        return cob_fail(COB_INVALID, "it must be KEY=VALUE");
    value++;
    if (!strcmp(key, "id"))
        *ret_fits = g_pattern_match_simple(value, mount->id);
    else if (!strcmp(key, "namespace"))
        *ret_fits = g_pattern_match_simple(value, mount->namespace);
    else if (!strcmp(key, "pinned"))
        return fits_flag(key, value, mount->is_pinned, ret_fits);
    else if (!strcmp(key, "inuse"))
        return fits_flag(key, value, mount->is_in_use, ret_fits);
    else
        return cob_fail(COB_INVALID, "there are id, namespace, pinned and inuse");
    return NULL;
}

static struct cob_error *is_wanted(
    const struct cli_call *call, const struct cache_mount *mount, bool *ret_is_wanted)
{
    const char *const *filter = cli_call_list(call, "filter");
    bool does_fit = true;

    *ret_is_wanted = true;
    for (; filter && *filter; filter++) {
        COB_TRY(cob_wrap(fits(mount, *filter, &does_fit), "--filter %s", *filter));
        *ret_is_wanted = *ret_is_wanted && does_fit;
    }
    return NULL;
}

/* --- rows --- */

/* In the order of JSON. */
enum column {
    COLUMN_CREATED_AT,
    COLUMN_CREATED_SINCE,
    COLUMN_FILES,
    COLUMN_FORKS,
    COLUMN_ID,
    COLUMN_IN_USE_BY,
    COLUMN_LAST_STEP,
    COLUMN_LAST_USED,
    COLUMN_LAST_USED_AT,
    COLUMN_NAMESPACE,
    COLUMN_PINNED,
    COLUMN_QUOTA,
    COLUMN_SIZE,
    COLUMN_USES,
    N_COLUMNS,
};

/* What each is called in a template, and above its column. */
static const struct rowformat_field titles[N_COLUMNS + 1] = {
    [COLUMN_CREATED_AT] = {"CreatedAt", "CREATED AT"},
    [COLUMN_CREATED_SINCE] = {"CreatedSince", "CREATED"},
    [COLUMN_FILES] = {"Files", "FILES"},
    [COLUMN_FORKS] = {"Forks", "FORKS"},
    [COLUMN_ID] = {"ID", "ID"},
    [COLUMN_IN_USE_BY] = {"InUseBy", "IN USE BY"},
    [COLUMN_LAST_STEP] = {"LastStep", "LAST STEP"},
    [COLUMN_LAST_USED] = {"LastUsed", "LAST USED"},
    [COLUMN_LAST_USED_AT] = {"LastUsedAt", "LAST USED AT"},
    [COLUMN_NAMESPACE] = {"Namespace", "NAMESPACE"},
    [COLUMN_PINNED] = {"Pinned", "PINNED"},
    [COLUMN_QUOTA] = {"Quota", "QUOTA"},
    [COLUMN_SIZE] = {"Size", "SIZE"},
    [COLUMN_USES] = {"Uses", "USES"},
};

/* "2026-11-30 12:00:00 +0000 UTC"; "": never. The caller frees it. */
static char *shown_time(int64_t at_us)
{
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_local(at_us / G_USEC_PER_SEC);

    return at && at_us ? g_date_time_format(at, "%Y-%m-%d %H:%M:%S %z %Z") : g_strdup("");
}

/* The caller frees it. */
static char *shortened(const char *text, glong n_chars, bool is_whole)
{
    g_autofree char *visible = cob_text_visible(text);
    g_autofree char *begin = NULL;

    if (is_whole || g_utf8_strlen(visible, -1) <= n_chars)
        return g_steal_pointer(&visible);
    begin = g_utf8_substring(visible, 0, n_chars - 1);
    return g_strconcat(begin, "…", NULL);
}

/* "[builder 2/6] RUN --mount=type=cache,... go build": "RUN go build". The caller frees it. */
static char *step_in_short(const char *step)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *at = step;

    if (*at == '[' && strstr(at, "] "))
        at = strstr(at, "] ") + strlen("] ");
    if (g_str_has_prefix(at, "RUN ")) {
        g_string_append(text, "RUN ");
        at += strlen("RUN ");
        while (g_str_has_prefix(at, "--") && strchr(at, ' '))
            at = strchr(at, ' ') + 1;
    }
    g_string_append(text, at);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static struct cob_error *users_of(
    const struct cache_mounts *mounts, const struct cache_mount *mount, char **ret_text)
{
    g_autoptr(GPtrArray) users = NULL;

    COB_TRY(cache_mount_users(mounts, mount, &users));
    *ret_text = cache_users_text(users);
    return NULL;
}

/* ret_values: N_COLUMNS texts, owned. */
static struct cob_error *make_row(
    const struct cache_mounts *mounts, struct cache_mount *mount, bool is_whole, char ***ret_values)
{
    const char *step = mount->last_step ? mount->last_step : "";
    g_autofree char *short_step = is_whole ? g_strdup(step) : step_in_short(step);
    g_autofree char *users = NULL;

    COB_TRY(cache_mounts_measure(mounts, mount));
    COB_TRY(users_of(mounts, mount, &users));
    char **values = g_new0(char *, N_COLUMNS + 1);
    values[COLUMN_CREATED_AT] = shown_time(mount->created_us);
    values[COLUMN_CREATED_SINCE] = columns_ago(mount->created_us);
    values[COLUMN_FILES] = g_strdup_printf("%" G_GUINT64_FORMAT, mount->n_files);
    values[COLUMN_FORKS] = g_strdup_printf("%u", mount->entries->len - 1);
    values[COLUMN_ID] = shortened(mount->id, SHORT_ID, is_whole);
    values[COLUMN_IN_USE_BY] = shortened(users, SHORT_TEXT, is_whole);
    values[COLUMN_LAST_STEP] = shortened(short_step, SHORT_TEXT, is_whole);
    values[COLUMN_LAST_USED] = columns_ago(mount->last_used_us);
    values[COLUMN_LAST_USED_AT] = shown_time(mount->last_used_us);
    values[COLUMN_NAMESPACE] = shortened(mount->namespace, SHORT_ID, is_whole);
    values[COLUMN_PINNED] = g_strdup(mount->is_pinned ? "true" : "false");
    values[COLUMN_QUOTA] =
        mount->quota_bytes ? cob_text_size(mount->quota_bytes) : g_strdup("none");
    values[COLUMN_SIZE] = cob_text_size(mount->size_bytes);
    values[COLUMN_USES] = g_strdup_printf("%" G_GINT64_FORMAT, mount->n_uses);
    *ret_values = values;
    return NULL;
}

/* The namespace is shown where one is used. */
static const char *default_format(const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        char *const *values = rows->pdata[i];

        if (*values[COLUMN_NAMESPACE])
            return "{{.ID}}\t{{.Namespace}}\t{{.Size}}\t{{.Files}}\t{{.LastUsed}}\t{{.LastStep}}\t"
                   "{{.Uses}}\t{{.Pinned}}\t{{.InUseBy}}";
    }
    return "{{.ID}}\t{{.Size}}\t{{.Files}}\t{{.LastUsed}}\t{{.LastStep}}\t{{.Uses}}\t{{.Pinned}}\t"
           "{{.InUseBy}}";
}

static void fill_fields(char *const *values, struct rowformat_field fields[N_COLUMNS + 1])
{
    memcpy(fields, titles, sizeof(titles));
    for (size_t i = 0; i < N_COLUMNS; i++)
        fields[i].value = values[i];
}

static struct cob_error *append_rows(GString *out, const char *format, const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        struct rowformat_field fields[N_COLUMNS + 1];

        fill_fields(rows->pdata[i], fields);
        COB_TRY(rowformat_append(out, format, fields));
    }
    return NULL;
}

/* template: NULL: the usual columns. */
static struct cob_error *append_table(GString *out, const char *template, const GPtrArray *rows)
{
    const char *format = template ? template : default_format(rows);
    g_autoptr(GString) lines = g_string_new(NULL);

    COB_TRY(rowformat_append(lines, format, titles));
    COB_TRY(append_rows(lines, format, rows));
    columns_append_tabbed(out, lines->str);
    return NULL;
}

static struct cob_error *append_all(
    const struct cli_call *call, const GPtrArray *rows, GString *out)
{
    const char *format = cli_call_text(call, "format");

    if (!format || !*format || !strcmp(format, "table"))
        return append_table(out, NULL, rows);
    if (g_str_has_prefix(format, "table "))
        return append_table(out, format + strlen("table "), rows);
    return append_rows(out, format, rows);
}

/* --- the list --- */

static void append_name(GString *out, const struct cache_mount *mount)
{
    g_autofree char *name = cache_mount_name(mount);
    g_autofree char *visible = cob_text_visible(name);

    g_string_append_printf(out, "%s\n", visible);
}

static struct cob_error *list(
    const struct cli_call *call, const struct cache_mounts *mounts, GString *out)
{
    const char *format = cli_call_text(call, "format");
    const bool is_quiet = cli_call_flag(call, "quiet");
    const bool is_whole =
        cli_call_flag(call, "no-trunc") || (format && !g_str_has_prefix(format, "table"));
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);

    for (guint i = 0; i < mounts->mounts->len; i++) {
        struct cache_mount *mount = mounts->mounts->pdata[i];
        char **values = NULL;
        bool is_listed = false;

        COB_TRY(is_wanted(call, mount, &is_listed));
        if (is_listed && is_quiet)
            append_name(out, mount);
        if (!is_listed || is_quiet)
            continue;
        COB_TRY(make_row(mounts, mount, is_whole, &values));
        g_ptr_array_add(rows, values);
    }
    return is_quiet ? NULL : append_all(call, rows, out);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct cache_mounts mounts;
    struct cob_error *err = cache_mounts_open(&mounts);

    if (!err)
        err = list(call, &mounts, out);
    cache_mounts_close(&mounts);
    return err ? err : cli_print(out);
}

const struct cli_command cli_cache_ls = {
    .name = "cache ls",
    .usage = "[OPTIONS]",
    .summary = "List cache mounts",
    .options = options,
    .run = run,
};
