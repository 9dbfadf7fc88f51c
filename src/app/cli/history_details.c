/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/history_details.h"

#include <string.h>

#include "app/cli/history_view.h"
#include "util/text.h"

#define TAB 8
#define MAX_LOG_LINES 16
#define HIDDEN "(not kept)" /* in place of a secret */

const char *history_details_code(int code)
{
    static const char *const words[] = {[COB_CANCELLED] = "Canceled",
        [COB_UNKNOWN] = "Unknown",
        [COB_INVALID] = "InvalidArgument",
        [COB_TIMEOUT] = "DeadlineExceeded",
        [COB_NOT_FOUND] = "NotFound",
        [COB_EXISTS] = "AlreadyExists",
        [COB_DENIED] = "PermissionDenied",
        [COB_EXHAUSTED] = "ResourceExhausted",
        [COB_PRECONDITION] = "FailedPrecondition",
        [COB_ABORTED] = "Aborted",
        [COB_OUT_OF_RANGE] = "OutOfRange",
        [COB_UNIMPLEMENTED] = "Unimplemented",
        [COB_INTERNAL] = "Internal",
        [COB_UNAVAILABLE] = "Unavailable",
        [COB_DATA_LOSS] = "DataLoss",
        [COB_UNAUTHENTICATED] = "Unauthenticated"};

    return code > 0 && (size_t)code < G_N_ELEMENTS(words) ? words[code] : "Unknown";
}

/* --- what the failed step printed --- */

struct tail {
    const char *vertex;
    GString *text;
};

static void ignore_vertex(void *arg, const struct cob_event_vertex *event)
{
    (void)arg, (void)event;
}

static void ignore_status(void *arg, const struct cob_event_status *event)
{
    (void)arg, (void)event;
}

static void ignore_warning(void *arg, const struct cob_event_warning *event)
{
    (void)arg, (void)event;
}

static void take_log(void *arg, const struct cob_event_log *event)
{
    struct tail *tail = arg;

    if (strcmp(event->vertex, tail->vertex) == 0)
        g_string_append_len(tail->text, event->data, (gssize)event->len);
}

const struct cob_history_step *history_details_failed(const struct cob_history_build *build)
{
    for (guint i = 0; i < build->steps->len; i++) {
        const struct cob_history_step *step = g_ptr_array_index(build->steps, i);

        if (step->error && strcmp(step->error, "context canceled") != 0)
            return step;
    }
    return NULL;
}

/* Where the last lines begin. */
static const char *last_lines(const GString *text)
{
    const char *at = text->str + text->len;

    for (int n = 0; at > text->str; at--) {
        if (at[-1] == '\n' && ++n == MAX_LOG_LINES)
            break;
    }
    return at;
}

struct cob_error *history_details_log(
    struct cob_store *store, const struct cob_history_build *build, char ***ret_lines)
{
    const struct cob_history_step *step = history_details_failed(build);
    g_autoptr(GString) text = g_string_new(NULL);
    struct tail tail = {.text = text};
    const struct cob_observer observer = {
        &tail, ignore_vertex, ignore_status, take_log, ignore_warning};

    *ret_lines = NULL;
    if (!step)
        return NULL;
    tail.vertex = step->digest;
    COB_TRY(cob_history_replay(store, build, &observer));
    if (text->len > 0 && text->str[text->len - 1] == '\n')
        g_string_truncate(text, text->len - 1);
    g_auto(GStrv) lines = text->len > 0 ? g_strsplit(last_lines(text), "\n", -1) : NULL;
    for (char **line = lines; line && *line; line++) {
        char *visible = cob_text_visible(*line);

        g_free(*line);
        *line = visible;
    }
    *ret_lines = g_steal_pointer(&lines);
    return NULL;
}

/* --- tables with tabs, as Go's tabwriter makes them --- */

/* cells: pairs of label and value, owned; they are freed. */
static void append_pairs(GString *out, GPtrArray *cells)
{
    size_t width = 0;

    for (guint i = 0; i < cells->len; i += 2)
        width = MAX(width, strlen(g_ptr_array_index(cells, i)) + 1);
    width = (width + TAB - 1) / TAB * TAB;
    for (guint i = 0; i < cells->len; i += 2) {
        const char *label = g_ptr_array_index(cells, i);

        g_string_append(out, label);
        for (size_t at = strlen(label); at < width; at = at / TAB * TAB + TAB)
            g_string_append_c(out, '\t');
        g_string_append_printf(out, "%s\n", (const char *)g_ptr_array_index(cells, i + 1));
    }
    g_ptr_array_set_size(cells, 0);
}

static void add(GPtrArray *cells, const char *label, const char *value)
{
    if (!value || !*value)
        return;
    g_ptr_array_add(cells, g_strdup(label));
    g_ptr_array_add(cells, cob_text_visible(value));
}

/* "a, b" of a list. The caller frees it; NULL: there is no such list. */
static char *joined(const json_t *list)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) g_string_append_printf(
        text, "%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : "");
    return text->len > 0 ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* A table of names and values, as "BUILD ARG  VALUE". */
static void append_object(GString *out, GPtrArray *cells, const char *title, json_t *object)
{
    const char *name;
    json_t *value;

    if (json_object_size(object) == 0)
        return;
    add(cells, title, "VALUE");
    json_object_foreach(object, name, value)
    {
        const char *text = json_is_null(value) ? HIDDEN : json_string_value(value);

        g_ptr_array_add(cells, cob_text_visible(name));
        g_ptr_array_add(cells, cob_text_visible(text ? text : ""));
    }
    append_pairs(out, cells);
    g_string_append_c(out, '\n');
}

/* --- the parts, in buildx's order --- */

static void append_names(
    GString *out, GPtrArray *cells, const struct cob_history_build *build, bool has_ref)
{
    g_autofree char *platforms = joined(json_object_get(build->about, "platforms"));
    g_autofree char *repository = history_view_repository(build);
    const bool is_dir = json_is_true(json_object_get(build->about, "is_dir"));

    add(cells, "Name:", history_view_about(build, "name"));
    if (has_ref)
        add(cells, "Ref:", build->id);
    add(cells, "Context:", history_view_about(build, "context"));
    add(cells, "Dockerfile:", history_view_about(build, "dockerfile"));
    if (is_dir)
        add(cells, "VCS Repository:", repository);
    add(cells, "Target:", history_view_about(build, "target"));
    add(cells, "Platforms:", platforms);
    append_pairs(out, cells);
    g_string_append_c(out, '\n');
}

static void append_outcome(GString *out, GPtrArray *cells, const struct cob_history_build *build)
{
    g_autoptr(GDateTime) started =
        g_date_time_new_from_unix_local(build->started_us / G_USEC_PER_SEC);
    g_autofree char *started_text =
        started ? g_date_time_format(started, "%Y-%m-%d %H:%M:%S") : g_strdup("");
    g_autofree char *duration = history_view_duration(build);
    const bool is_running = build->status == COB_HISTORY_RUNNING;
    const double cached =
        build->n_total ? (double)build->n_cached * 100 / (double)build->n_total : 0;
    g_autofree char *steps =
        g_strdup_printf("%u/%u (%.0f%% cached)", build->n_completed, build->n_total, cached);

    if (is_running)
        duration[strlen(duration) - 1] = '\0'; /* the "+" */
    g_autofree char *shown = g_strconcat(duration, is_running ? " (running)" : "", NULL);
    add(cells, "Started:", started_text);
    add(cells, "Duration:", shown);
    if (build->status == COB_HISTORY_ERROR) {
        g_autofree char *error =
            g_strdup_printf("%s %s", history_details_code(build->code), build->message);

        add(cells, "Error:", error);
    } else if (build->status == COB_HISTORY_CANCELED) {
        add(cells, "Status:", "Canceled");
    }
    add(cells, "Build Steps:", steps);
    append_pairs(out, cells);
    g_string_append_c(out, '\n');
}

static void append_config(GString *out, GPtrArray *cells, const struct cob_history_build *build)
{
    const json_t *about = build->about;
    g_autofree char *hosts = joined(json_object_get(about, "extra_hosts"));
    g_autofree char *filter = joined(json_object_get(about, "no_cache_filter"));
    const json_t *shm = json_object_get(about, "shm_size");
    g_autofree char *shm_text =
        shm ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(shm)) : NULL;

    add(cells, "Network:", history_view_about(build, "network"));
    add(cells, "Extra Hosts:", hosts);
    add(cells, "Cgroup Parent:", history_view_about(build, "cgroup_parent"));
    add(cells, "Image Resolve Mode:", json_is_true(json_object_get(about, "pull")) ? "pull" : "");
    add(cells, "No Cache:", json_is_true(json_object_get(about, "no_cache")) ? "true" : "");
    add(cells, "No Cache Filter:", filter);
    add(cells, "Shm Size:", shm_text);
    add(cells, "Resource Limits:", history_view_about(build, "ulimit"));
    if (cells->len == 0)
        return;
    append_pairs(out, cells);
    g_string_append_c(out, '\n');
}

char *history_details_excerpt(const struct cob_history_build *build)
{
    const char *error = build->error_text ? strstr(build->error_text, "\nERROR: ") : NULL;

    return error ? g_strndup(build->error_text, (gsize)(error + 1 - build->error_text)) : NULL;
}

/* cob's own text: it was made harmless when it was written, but for its lines. */
static void append_lines(GString *out, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line && (line[1] || **line); line++) {
        g_autofree char *visible = cob_text_visible(*line);

        g_string_append_printf(out, "%s\n", visible);
    }
}

static void append_failure(
    GString *out, const struct cob_history_build *build, const char *const *lines)
{
    const struct cob_history_step *step = history_details_failed(build);
    g_autofree char *excerpt = history_details_excerpt(build);

    if (excerpt) {
        append_lines(out, excerpt);
        g_string_append_c(out, '\n');
    }
    if (!step || !lines)
        return;
    g_autofree char *name = cob_text_visible(step->name);
    g_string_append_printf(out, "Logs:\n> => %s:\n", name);
    for (; *lines; lines++)
        g_string_append_printf(out, "> %s\n", *lines);
    g_string_append_c(out, '\n');
}

void history_details_append(
    GString *out, const struct cob_history_build *build, const char *const *lines, bool has_ref)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    append_names(out, cells, build, has_ref);
    append_object(out, cells, "NAMED CONTEXT", json_object_get(build->about, "contexts"));
    append_outcome(out, cells, build);
    append_config(out, cells, build);
    append_object(out, cells, "BUILD ARG", json_object_get(build->about, "args"));
    append_object(out, cells, "LABEL", json_object_get(build->about, "labels"));
    append_failure(out, build, lines);
    g_string_append_printf(out, "Print build logs: cob history logs %s\n", build->id);
}
