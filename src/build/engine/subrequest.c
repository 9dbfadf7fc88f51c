/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/engine_private.h"
#include "util/json.h"
#include "util/text.h"

#define MAX_LINES 1000            /* that a place in JSON names one by one */
#define MAX_TEXT_BYTES (16 << 20) /* past it warnings come without the lines that they are about */

/* --- JSON: the fields are those of BuildKit's structs, what is empty is left out --- */

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(object, key, json_string(text));
}

static json_t *range_json(int first, int last)
{
    json_t *range = json_object();

    json_object_set_new(range, "start", json_pack("{si}", "line", first));
    json_object_set_new(range, "end", json_pack("{si}", "line", last));
    return range;
}

/* One range a line, as BuildKit's parser has it. */
static json_t *location_json(struct cob_range range)
{
    json_t *ranges = json_array();
    int last = MAX(range.last_line, range.first_line);

    if (last - range.first_line >= MAX_LINES) {
        json_array_append_new(ranges, range_json(range.first_line, last));
    } else {
        for (int line = range.first_line; line <= last; line++)
            json_array_append_new(ranges, range_json(line, line));
    }
    json_t *location = json_object();
    json_object_set_new(location, "ranges", ranges);
    return location;
}

static json_t *base64_json(GBytes *data)
{
    size_t len;
    const guchar *bytes = g_bytes_get_data(data, &len);
    g_autofree char *text = g_base64_encode(bytes, len);

    return json_string(text);
}

static json_t *sources_json(const struct frontend *frontend)
{
    json_t *sources = json_array();

    json_array_append_new(sources, base64_json(frontend->file->data));
    return sources;
}

static char *dump(const json_t *json)
{
    return json_dumps(json, JSON_INDENT(2));
}

/* --- text --- */

void cob_engine_append_table(GString *out, const GPtrArray *cells, guint n_columns, size_t gap)
{
    g_autofree glong *widths = g_new0(glong, n_columns);

    for (guint i = 0; i < cells->len; i++)
        widths[i % n_columns] =
            MAX(widths[i % n_columns], g_utf8_strlen(g_ptr_array_index(cells, i), -1));
    for (guint i = 0; i < cells->len; i++) {
        const char *cell = g_ptr_array_index(cells, i);
        const glong blanks = widths[i % n_columns] + (glong)gap - g_utf8_strlen(cell, -1);

        g_string_append(out, cell);
        if ((i + 1) % n_columns == 0)
            g_string_append_c(out, '\n');
        else
            g_string_append_printf(out, "%*s", (int)blanks, "");
    }
}

static void add_cell(GPtrArray *cells, const char *text)
{
    g_ptr_array_add(cells, cob_text_visible(text ? text : ""));
}

/* --- lint --- */

static json_t *warning_json(const struct cob_dockerfile_warning *warning)
{
    json_t *json = json_object();

    set_text(json, "ruleName", warning->rule);
    set_text(json, "description", warning->description);
    set_text(json, "url", warning->url);
    set_text(json, "detail", warning->text);
    json_object_set_new(json, "location", location_json(warning->range));
    return json;
}

static json_t *error_json(const struct cob_error *err)
{
    g_autofree char *message = cob_error_message(err);
    const struct cob_range range = cob_error_range(err);
    json_t *json = json_object();

    json_object_set_new(json, "message", json_string(message));
    json_object_set_new(
        json, "location", range.first_line > 0 ? location_json(range) : json_object());
    return json;
}

static char *lint_json(const struct frontend *frontend, const struct cob_error *err)
{
    json_auto_t *json = json_object();
    json_t *warnings = json_array(), *sources = json_array(), *source = json_object();
    json_auto_t *suggestions = json_array();

    for (guint i = 0; i < frontend->warnings->len; i++) {
        const struct cob_dockerfile_warning *warning = g_ptr_array_index(frontend->warnings, i);

        json_array_append_new(
            warning->is_suggestion ? suggestions : warnings, warning_json(warning));
    }
    json_object_set_new(source, "filename", json_string(frontend->file->name));
    json_object_set_new(source, "data", base64_json(frontend->file->data));
    json_object_set_new(source, "language", json_string("Dockerfile"));
    json_array_append_new(sources, source);
    json_object_set_new(json, "warnings", warnings);
    if (json_array_size(suggestions) > 0)
        json_object_set(json, "suggestions", suggestions);
    json_object_set_new(json, "sources", sources);
    if (err)
        json_object_set_new(json, "buildError", error_json(err));
    return dump(json);
}

static int by_line(const void *a, const void *b, void *unused)
{
    const struct cob_dockerfile_warning *const *one = a, *const *other = b;

    (void)unused;
    return (*one)->range.first_line - (*other)->range.first_line;
}

static void append_warning(
    GString *out, const struct frontend *frontend, const struct cob_dockerfile_warning *warning)
{
    g_autofree char *text = cob_text_visible(warning->text);

    g_string_append_printf(out, "\n%s: %s%s%s\n%s\n",
        warning->is_suggestion ? "SUGGESTION" : "WARNING", warning->rule, warning->url ? " - " : "",
        warning->url ? warning->url : "", text);
    if (out->len < MAX_TEXT_BYTES)
        cob_srcfile_append_excerpt(out, frontend->file, warning->range);
}

/* The warnings, or the suggestions.  ret_n: how many. */
static char *lint_text(const struct frontend *frontend, bool is_suggestion, unsigned *ret_n)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    for (guint i = 0; i < frontend->warnings->len; i++) {
        struct cob_dockerfile_warning *warning = g_ptr_array_index(frontend->warnings, i);

        if (warning->is_suggestion == is_suggestion)
            g_ptr_array_add(sorted, warning);
    }
    *ret_n = sorted->len;
    if (sorted->len > 0) /* a stable sort */
        g_qsort_with_data(sorted->pdata, (int)sorted->len, sizeof(void *), by_line, NULL);
    for (guint i = 0; i < sorted->len; i++)
        append_warning(out, frontend, g_ptr_array_index(sorted, i));
    return g_string_free(out, FALSE);
}

/* --- outline --- */

static json_t *input_json(const struct cob_dockerfile_input *input)
{
    json_t *json = json_object();

    json_object_set_new(json, "name", json_string(input->name));
    set_text(json, "description", input->description);
    set_text(json, "value", input->value);
    if (input->is_required)
        json_object_set_new(json, "required", json_true());
    json_object_set_new(json, "location", location_json(input->range));
    return json;
}

static void set_inputs(json_t *json, const char *key, const GPtrArray *inputs)
{
    json_t *array = json_array();

    for (guint i = 0; i < inputs->len; i++)
        json_array_append_new(array, input_json(g_ptr_array_index(inputs, i)));
    if (inputs->len > 0)
        json_object_set_new(json, key, array);
    else
        json_decref(array);
}

static char *outline_json(
    const struct frontend *frontend, const struct cob_dockerfile_outline *outline)
{
    json_auto_t *json = json_object();

    set_text(json, "name", outline->name);
    set_text(json, "description", outline->description);
    set_inputs(json, "args", outline->args);
    set_inputs(json, "secrets", outline->secrets);
    set_inputs(json, "ssh", outline->ssh);
    json_object_set_new(json, "sources", sources_json(frontend));
    return dump(json);
}

static void append_title(GString *out, const struct cob_dockerfile_outline *outline)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    if (!outline->name && !outline->description)
        return;
    add_cell(cells, "TARGET:");
    add_cell(cells, outline->name ? outline->name : "(default)");
    if (outline->description) {
        add_cell(cells, "DESCRIPTION:");
        add_cell(cells, outline->description);
    }
    cob_engine_append_table(out, cells, 2, 1);
    g_string_append_c(out, '\n');
}

static void append_args(GString *out, const GPtrArray *args)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    if (args->len == 0)
        return;
    add_cell(cells, "BUILD ARG");
    add_cell(cells, "VALUE");
    add_cell(cells, "DESCRIPTION");
    for (guint i = 0; i < args->len; i++) {
        const struct cob_dockerfile_input *arg = g_ptr_array_index(args, i);

        add_cell(cells, arg->name);
        add_cell(cells, arg->value);
        add_cell(cells, arg->description);
    }
    cob_engine_append_table(out, cells, 3, 3);
    g_string_append_c(out, '\n');
}

static void append_required(GString *out, const char *title, const GPtrArray *inputs)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    if (inputs->len == 0)
        return;
    add_cell(cells, title);
    add_cell(cells, "REQUIRED");
    for (guint i = 0; i < inputs->len; i++) {
        const struct cob_dockerfile_input *input = g_ptr_array_index(inputs, i);

        add_cell(cells, input->name);
        add_cell(cells, input->is_required ? "true" : "");
    }
    cob_engine_append_table(out, cells, 2, 3);
    g_string_append_c(out, '\n');
}

static char *outline_text(const struct cob_dockerfile_outline *outline)
{
    GString *out = g_string_new(NULL);

    append_title(out, outline);
    append_args(out, outline->args);
    append_required(out, "SECRET", outline->secrets);
    append_required(out, "SSH", outline->ssh);
    return g_string_free(out, FALSE);
}

/* --- targets --- */

static json_t *target_json(const struct cob_dockerfile_target *target)
{
    json_t *json = json_object();

    set_text(json, "name", target->name);
    if (target->is_default)
        json_object_set_new(json, "default", json_true());
    set_text(json, "description", target->description);
    set_text(json, "base", target->base);
    set_text(json, "platform", target->platform);
    json_object_set_new(json, "location", location_json(target->range));
    return json;
}

static void add_target_cells(GPtrArray *cells, const struct cob_dockerfile_target *target)
{
    g_autofree char *both =
        target->name ? g_strconcat(target->name, " (default)", NULL) : g_strdup("(default)");

    add_cell(cells, target->is_default ? both : target->name);
    add_cell(cells, target->description);
}

static void answer_targets(const struct frontend *frontend, struct cob_engine_answer *answer)
{
    g_autoptr(GArray) targets = NULL;
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    GString *text = g_string_new(NULL);
    json_auto_t *json = json_object();
    json_t *array = json_array();

    cob_dockerfile_targets(frontend->dockerfile, &targets);
    add_cell(cells, "TARGET");
    add_cell(cells, "DESCRIPTION");
    for (guint i = 0; i < targets->len; i++) {
        const struct cob_dockerfile_target *target =
            &g_array_index(targets, struct cob_dockerfile_target, i);

        add_target_cells(cells, target);
        json_array_append_new(array, target_json(target));
    }
    cob_engine_append_table(text, cells, 2, 1);
    json_object_set_new(json, "targets", array);
    json_object_set_new(json, "sources", sources_json(frontend));
    answer->json = dump(json);
    answer->text = g_string_free(text, FALSE);
}

/* --- LLB --- */

/* That of the first platform: the question has no platforms.  spec: BuildKit builder/build.go. */
static struct cob_error *answer_llb(
    const struct frontend *frontend, struct cob_engine_answer *answer)
{
    const struct frontend_target *target =
        &g_array_index(frontend->targets, struct frontend_target, 0);
    json_t *json = NULL;
    size_t i;
    json_t *info;

    COB_TRY(cob_llb_json(target->result.definition, &json));
    json_array_foreach(json_object_get(json_object_get(json, "source"), "infos"), i, info)
        json_object_set_new(info, "language", json_string("Dockerfile"));
    answer->json = dump(json);
    json_decref(json);
    return NULL;
}

/* --- the answer --- */

void cob_engine_answer_done(struct cob_engine_answer *answer)
{
    g_clear_pointer(&answer->json, g_free);
    g_clear_pointer(&answer->text, g_free);
    g_clear_pointer(&answer->suggestions, g_free);
    g_clear_pointer(&answer->error, cob_error_free);
}

/* What the frontend found out, in both forms. */
static struct cob_error *answer_from(const struct frontend *frontend, enum cob_engine_method method,
    const struct cob_dockerfile_outline *outline, struct cob_engine_answer *answer)
{
    unsigned n_suggestions;

    switch (method) {
    case COB_ENGINE_LINT:
        answer->json = lint_json(frontend, answer->error);
        answer->text = lint_text(frontend, /* is_suggestion= */ false, &answer->n_warnings);
        answer->suggestions = lint_text(frontend, /* is_suggestion= */ true, &n_suggestions);
        return NULL;
    case COB_ENGINE_OUTLINE:
        answer->json = outline_json(frontend, outline);
        answer->text = outline_text(outline);
        return NULL;
    case COB_ENGINE_TARGETS:
        answer_targets(frontend, answer);
        return NULL;
    case COB_ENGINE_CONVERT_LLB:
        return answer_llb(frontend, answer);
    case COB_ENGINE_DESCRIBE:
        cob_engine_describe(answer);
        return NULL;
    }
    g_assert_not_reached();
}

struct cob_error *cob_engine_ask(struct cob_engine *engine,
    const struct cob_engine_request *request, enum cob_engine_method method,
    const struct cob_observer *observer, struct cob_cancel *cancel,
    struct cob_engine_answer *ret_answer)
{
    struct contexts contexts = {0};
    const struct frontend_call call = {engine, request, observer, cancel, &contexts, NULL};
    struct cob_dockerfile_outline outline = {0};
    struct cob_engine_answer answer = {.version = cob_engine_subrequests[method].version};
    struct frontend frontend;
    struct cob_error *err = cob_engine_contexts_open(&call, &contexts);

    if (!err)
        err = cob_wrap(cob_engine_frontend_ask(&call, method, &frontend, &outline, &answer.error),
            "failed to solve");
    cob_engine_contexts_close(&contexts);
    COB_TRY(err);
    err = answer_from(&frontend, method, &outline, &answer);
    cob_dockerfile_outline_done(&outline);
    cob_engine_frontend_done(&frontend);
    if (err) {
        cob_engine_answer_done(&answer);
        return err;
    }
    *ret_answer = answer;
    return NULL;
}
