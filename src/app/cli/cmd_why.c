/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "app/cli/history_view.h"
#include "app/cli/rowformat.h"
#include "util/json.h"
#include "util/text.h"

#define MAX_STEP_DIGITS 6 /* what has more of them is the beginning of an id */

static const struct cli_option options[] = {
    {"format", 0, CLI_TEXT, "string",
        "Format the output: json, or a template with .Number, .Name, .Status and .Reasons", false},
    {0},
};

/* --- which build, which step --- */

/* "#5", "5": a number; else 0. */
static int step_number(const char *text)
{
    const char *digits = *text == '#' ? text + 1 : text;
    guint64 number = 0;

    if (strlen(digits) > MAX_STEP_DIGITS ||
        !g_ascii_string_to_unsigned(digits, 10, 1, G_MAXINT, &number, NULL))
        return 0;
    return (int)number;
}

static bool is_step(const struct cob_history_step *step, const char *text)
{
    const int number = step_number(text);

    if (number > 0)
        return step->number == number;
    return step->number > 0 && strstr(step->name, text) != NULL;
}

static bool has_step(const struct cob_history_build *build, const char *text)
{
    for (guint i = 0; i < build->steps->len; i++) {
        if (is_step(g_ptr_array_index(build->steps, i), text))
            return true;
    }
    return false;
}

/* Was it started here, or is its context here? */
static bool is_of_directory(const struct cob_history_build *build, const char *dir)
{
    return strcmp(history_view_about(build, "cwd"), dir) == 0 ||
           strcmp(history_view_about(build, "context"), dir) == 0;
}

/* The last build in this directory, or else the last one. */
static struct cob_error *find_last(struct cob_store *store, struct cob_history_build **ret_build)
{
    g_autofree char *here = g_get_current_dir();
    g_autoptr(GPtrArray) builds = NULL;
    const struct cob_history_build *last = NULL, *last_here = NULL;

    COB_TRY(cob_history_list(store, &builds));
    for (guint i = 0; i < builds->len; i++) {
        const struct cob_history_build *build = g_ptr_array_index(builds, i);

        if (!last || build->started_us > last->started_us)
            last = build;
        if (is_of_directory(build, here) &&
            (!last_here || build->started_us > last_here->started_us))
            last_here = build;
    }
    if (!last)
        return cob_fail(COB_NOT_FOUND, "no records found");
    return cob_history_load(store, (last_here ? last_here : last)->file_name, ret_build);
}

/* One argument may be either; a build is what is found by it, unless it says itself what it is.
 * ret_step: borrowed from the call; NULL: all steps. */
static struct cob_error *find(const struct cli_call *call, struct cob_store *store,
    struct cob_history_build **ret_build, const char **ret_step)
{
    const char *first = cli_call_arg(call, 0), *second = cli_call_arg(call, 1);
    g_autoptr(cob_history_build) last = NULL;
    struct cob_error *err;

    *ret_step = second;
    if (!first)
        return find_last(store, ret_build);
    if (second || *first == '^')
        return cob_history_find(store, first, ret_build);
    COB_TRY(find_last(store, &last));
    if (step_number(first) > 0 && has_step(last, first)) {
        *ret_step = first;
        *ret_build = g_steal_pointer(&last);
        return NULL;
    }
    err = cob_history_find(store, first, ret_build);
    if (!err || cob_error_code(err) != COB_NOT_FOUND)
        return err;
    cob_error_free(err);
    *ret_step = first;
    *ret_build = g_steal_pointer(&last);
    return NULL;
}

/* --- what is said --- */

static const char *status_of(const struct cob_history_step *step)
{
    if (step->is_cached)
        return "cached";
    if (step->error)
        return strcmp(step->error, "context canceled") == 0 ? "canceled" : "failed";
    return step->completed_us ? "ran" : "running";
}

/* Those that ran and have a reason; of one that was asked for by name, whatever became of it.
 * ret_steps: borrowed. */
static struct cob_error *select_steps(
    const struct cob_history_build *build, const char *asked, GPtrArray **ret_steps)
{
    g_autoptr(GPtrArray) steps = g_ptr_array_new();
    g_autofree char *visible = asked ? cob_text_visible(asked) : NULL;

    for (guint i = 0; i < build->steps->len; i++) {
        struct cob_history_step *step = g_ptr_array_index(build->steps, i);

        if (asked ? is_step(step, asked) : step->reasons->len > 0 && !step->is_cached)
            g_ptr_array_add(steps, step);
    }
    if (asked && steps->len == 0)
        return cob_fail(COB_NOT_FOUND, "build %s has no step %s", build->id, visible);
    *ret_steps = g_steal_pointer(&steps);
    return NULL;
}

static void append_step(GString *out, const struct cob_history_step *step)
{
    g_autofree char *name = cob_text_visible(step->name);

    g_string_append_printf(out, "#%d %s\n", step->number, name);
    for (guint i = 0; i < step->reasons->len; i++) {
        g_autofree char *reason = cob_text_visible(g_ptr_array_index(step->reasons, i));

        g_string_append_printf(out, "   %s\n", reason);
    }
    if (step->reasons->len == 0 && step->is_cached)
        g_string_append(out, "   it was cached\n");
    else if (step->reasons->len == 0)
        g_string_append(out, "   it runs in every build\n");
}

static void append_title(
    GString *out, const struct cob_history_build *build, const GPtrArray *steps)
{
    g_autofree char *name = cob_text_visible(history_view_about(build, "name"));
    g_autofree char *ago = columns_ago(build->started_us);

    g_string_append_printf(out, "Build %s of %s, %s: ", build->id, name, ago);
    if (steps->len == 0)
        g_string_append_printf(out, "nothing had to run, %u of %u steps were cached\n",
            build->n_cached, build->n_total);
    else
        g_string_append_printf(out, "%u step%s ran, %u %s cached\n", steps->len,
            steps->len == 1 ? "" : "s", build->n_cached, build->n_cached == 1 ? "was" : "were");
}

static json_t *step_json(const struct cob_history_step *step)
{
    json_t *reasons = json_array();

    for (guint i = 0; i < step->reasons->len; i++)
        json_array_append_new(reasons, json_string(g_ptr_array_index(step->reasons, i)));
    return json_pack("{s:i, s:s, s:s, s:s, s:o}", "Number", step->number, "Name", step->name,
        "Digest", step->digest, "Status", status_of(step), "Reasons", reasons);
}

static struct cob_error *append_formatted(
    GString *out, const struct cob_history_step *step, const char *format)
{
    g_autoptr(GString) reasons = g_string_new(NULL);
    g_autofree char *number = g_strdup_printf("%d", step->number);

    for (guint i = 0; i < step->reasons->len; i++)
        g_string_append_printf(
            reasons, "%s%s", i ? "; " : "", (const char *)g_ptr_array_index(step->reasons, i));
    const struct rowformat_field fields[] = {{"Number", number}, {"Name", step->name},
        {"Digest", step->digest}, {"Status", status_of(step)}, {"Reasons", reasons->str}, {0}};
    return rowformat_append(out, format, fields);
}

static void append_json(GString *out, const struct cob_history_build *build, const GPtrArray *steps)
{
    json_t *list = json_array();
    json_auto_t *object = json_pack("{s:s, s:s, s:o}", "Ref", build->id, "Name",
        history_view_about(build, "name"), "Steps", list);

    for (guint i = 0; i < steps->len; i++)
        json_array_append_new(list, step_json(g_ptr_array_index(steps, i)));
    g_autofree char *text = json_dumps(object, JSON_INDENT(2));
    g_string_append_printf(out, "%s\n", text);
}

static struct cob_error *run(struct cli_call *call)
{
    const char *format = cli_call_text(call, "format"), *asked = NULL;
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_history_build) build = NULL;
    g_autoptr(GPtrArray) steps = NULL;
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(cli_engine_open(&engine));
    COB_TRY(find(call, cob_engine_store(engine), &build, &asked));
    COB_TRY(select_steps(build, asked, &steps));
    if (format && strcmp(format, "json") == 0) {
        append_json(out, build, steps);
        return cli_print(out);
    }
    if (!format && !asked)
        append_title(out, build, steps);
    for (guint i = 0; i < steps->len; i++) {
        if (format)
            COB_TRY(append_formatted(out, g_ptr_array_index(steps, i), format));
        else
            append_step(out, g_ptr_array_index(steps, i));
    }
    return cli_print(out);
}

const struct cli_command cli_why = {
    .name = "why",
    .usage = "[OPTIONS] [BUILD] [STEP]",
    .summary = "Show why the steps of a build were not cached",
    .description = "Say for each step of a build that ran why it was not cached: which file, "
                   "argument, base image or mount was another one. BUILD is an id, the beginning "
                   "of one, or ^N for the N-th before the last; without it, it is the last build "
                   "in this directory, or else the last one. STEP is a number or a part of a name.",
    .options = options,
    .max_args = 2,
    .run = run,
};
