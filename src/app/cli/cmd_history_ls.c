/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "app/cli/history_view.h"
#include "app/cli/rowformat.h"
#include "util/json.h"
#include "util/text.h"

#define NAME_CHARS 36

static const struct cli_option options[] = {
    {"filter", 0, CLI_LIST, "stringArray", "Provide filter values (e.g., \"status=error\")", false},
    {"format", 0, CLI_TEXT, "string",
        "Format the output: \"table\", \"table TEMPLATE\", \"json\", or a template (e.g., "
        "\"{{.Ref}}\")",
        false},
    {"local", 0, CLI_FLAG, NULL, "List records for current repository only", false},
    {"no-trunc", 0, CLI_FLAG, NULL, "Don't truncate output", false},
    {0},
};

/* The end of a long name says more than its beginning. The caller frees it. */
static char *shown_name(const char *name, bool is_whole)
{
    const glong len = g_utf8_strlen(name, -1);
    g_autofree char *end = NULL;

    if (is_whole || len <= NAME_CHARS)
        return cob_text_visible(name);
    end = g_utf8_substring(name, len - NAME_CHARS + 2, len);
    g_autofree char *visible = cob_text_visible(end);
    return g_strconcat("..", visible, NULL);
}

/* The members that buildx has. */
static void append_json(GString *out, const struct cob_history_build *build)
{
    g_autofree char *ref = history_view_ref(build);
    g_autofree char *created = history_view_time(build->started_us);
    g_autofree char *completed = history_view_time(build->completed_us);
    json_auto_t *object = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "ref", ref, "name",
        history_view_about(build, "name"), "status", cob_history_status_word(build->status),
        "created_at", created, "total_steps", (int)build->n_total, "completed_steps",
        (int)build->n_completed, "cached_steps", (int)build->n_cached);

    if (build->status != COB_HISTORY_RUNNING)
        json_object_set_new(object, "completed_at", json_string(completed));
    g_autoptr(GBytes) bytes = cob_json_bytes(object);
    g_string_append_len(out, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
    g_string_append_c(out, '\n');
}

static struct cob_error *append_row(
    GString *out, const struct cob_history_build *build, const char *format, bool is_whole)
{
    g_autofree char *name = shown_name(history_view_about(build, "name"), is_whole);
    g_autofree char *created = columns_ago(build->started_us);
    g_autofree char *duration = history_view_duration(build);
    g_autofree char *full = history_view_ref(build);
    const struct rowformat_field fields[] = {{"Ref", build->id}, {"FullRef", full}, {"Name", name},
        {"Status", cob_history_status_word(build->status)}, {"CreatedAt", created},
        {"Duration", duration}, {0}};

    if (strcmp(format, "json") == 0 || strcmp(format, "{{json .}}") == 0) {
        append_json(out, build);
        return NULL;
    }
    return rowformat_append(out, format, fields);
}

/* Columns under titles.  format: of a row, its cells parted by tabs. */
static struct cob_error *append_table(
    GString *out, const GPtrArray *builds, const char *format, bool is_whole)
{
    static const struct rowformat_field titles[] = {{"Ref", "BUILD ID"}, {"FullRef", "BUILD ID"},
        {"Name", "NAME"}, {"Status", "STATUS"}, {"CreatedAt", "CREATED AT"},
        {"Duration", "DURATION"}, {0}};
    g_autoptr(GString) lines = g_string_new(NULL);

    COB_TRY(rowformat_append(lines, format, titles));
    for (guint i = 0; i < builds->len; i++)
        COB_TRY(append_row(lines, g_ptr_array_index(builds, i), format, is_whole));
    columns_append_tabbed(out, lines->str);
    return NULL;
}

static struct cob_error *append_all(
    const struct cli_call *call, const GPtrArray *builds, GString *out)
{
    const char *format = cli_call_text(call, "format");
    const bool is_whole = cli_call_flag(call, "no-trunc");

    if (!format || !*format || strcmp(format, "table") == 0)
        return append_table(out, builds,
            "{{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}", is_whole);
    if (g_str_has_prefix(format, "table "))
        return append_table(out, builds, format + strlen("table "), is_whole);
    for (guint i = 0; i < builds->len; i++)
        COB_TRY(append_row(out, g_ptr_array_index(builds, i), format, /* is_whole= */ true));
    return NULL;
}

/* Those that are asked for.  ret_builds: borrowed from `all`. */
static struct cob_error *select_builds(
    const struct cli_call *call, const GPtrArray *all, GPtrArray **ret_builds)
{
    g_autoptr(GPtrArray) builds = g_ptr_array_new();
    g_autofree char *here = g_get_current_dir();
    g_autofree char *top = cli_call_flag(call, "local") ? history_view_top(here) : NULL;

    for (guint i = 0; i < all->len; i++) {
        struct cob_history_build *build = g_ptr_array_index(all, i);
        bool is_match = false;

        COB_TRY(history_view_matches(build, cli_call_list(call, "filter"), &is_match));
        if (is_match && (!top || history_view_is_below(build, top)))
            g_ptr_array_add(builds, build);
    }
    *ret_builds = g_steal_pointer(&builds);
    return NULL;
}

/* A filter that is wrong is so without any build, too. */
static struct cob_error *check_filters(const struct cli_call *call)
{
    const struct cob_history_build none = {.id = (char[]){""}};
    bool is_match = false;

    return history_view_matches(&none, cli_call_list(call, "filter"), &is_match);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) builds = NULL;
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(check_filters(call));
    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_history_list(cob_engine_store(engine), &all));
    COB_TRY(select_builds(call, all, &builds));
    COB_TRY(append_all(call, builds, out));
    return cli_print(out);
}

const struct cli_command cli_history_ls = {
    .name = "history ls",
    .usage = "[OPTIONS]",
    .summary = "List build records",
    .description = "List the builds that are kept in the history: those that run, then the newest "
                   "first. A filter is ref=, repository= or status= (also !=), or startedAt, "
                   "completedAt or duration with <, <=, > or >= and a duration or a time.",
    .options = options,
    .run = run,
};
