/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the steps of a build run: each that does is compared with the nearest one that ran before, is
 * told of, and is kept for the next build. What goes wrong here leaves a step unexplained.
 */
#include <string.h>

#include "build/engine/explain.h"
#include "util/log.h"
#include "util/text.h"

struct explaining {
    const struct explain_request *request;
    struct cob_solver_witness witness;
    char *project;
    GHashTable *args;  /* name -> value, as cob_why_args() has them, owned */
    GHashTable *texts; /* "stage\ntext" of all steps of this build, owned */
};

/* --- a build --- */

/* What a build is given replaces what the Dockerfile says. */
static void add_given_args(struct explaining *explain)
{
    const char *const *given = explain->request->build->build_args;

    for (; given && *given; given++) {
        g_autofree char *name = g_strndup(*given, strcspn(*given, "="));
        const char *value = cob_engine_build_arg(explain->request->build, name);

        if (value && g_hash_table_contains(explain->args, name))
            g_hash_table_replace(explain->args, g_strdup(name), g_strdup(value));
    }
}

static char *place_key(const char *stage, const char *text)
{
    return g_strdup_printf("%s\n%s", stage, text);
}

static void add_texts(struct explaining *explain, const struct cob_llb_graph *graph)
{
    for (guint i = 0; i < graph->vertices->len; i++) {
        const struct cob_llb_vertex *vertex = g_ptr_array_index(graph->vertices, i);
        g_autofree char *text = cob_why_text(vertex), *stage = NULL;

        cob_why_place(vertex->name, &stage);
        g_hash_table_add(explain->texts, place_key(stage, text));
    }
}

/* --- reasons --- */

static const char *forced_by(const struct explaining *explain, const char *stage, char **ret_text)
{
    const char *const *stages = explain->request->build->no_cache_stages;

    if (explain->request->build->is_no_cache)
        *ret_text = g_strdup("--no-cache asked for it");
    else if (stages && g_strv_contains(stages, stage))
        *ret_text = g_strdup_printf("--no-cache-filter=%s asked for it", stage);
    else
        *ret_text = g_strdup("--no-cache-filter asked for it");
    return *ret_text;
}

static void say_eviction(const struct explain_eviction *eviction, GPtrArray *reasons)
{
    const int64_t age_s = (g_get_real_time() - eviction->at_us) / G_USEC_PER_SEC;
    g_autofree char *age = cob_text_duration(MAX(age_s, 0));

    *age = g_ascii_tolower(*age);
    g_ptr_array_add(reasons, g_strdup_printf("evicted %s ago by the rule %s", age, eviction->rule));
}

static struct cob_error *compare(struct explaining *explain, const struct explain_step *step,
    const struct explain_step *before, GPtrArray *reasons)
{
    const size_t n = step->miss->n_inputs;
    g_autofree struct cob_why_input *inputs = g_new0(struct cob_why_input, n + 1);
    struct cob_error *err = NULL;

    for (size_t i = 0; i < n && !err; i++) {
        const struct cob_solver_ingredient *input = &step->miss->inputs[i];

        inputs[i].has_run = input->has_run;
        inputs[i].files_now = step->lists->pdata[i];
        if (input->vertex)
            inputs[i].number = cob_history_number(explain->request->history, input->vertex->digest);
        if (input->content)
            err = explain_files_of(
                explain->request->store, before->facts, i, &inputs[i].files_before);
    }
    if (!err)
        cob_why_compare(before->facts, step->facts, inputs, reasons);
    for (size_t i = 0; i < n; i++) {
        if (inputs[i].files_before)
            g_bytes_unref(inputs[i].files_before);
    }
    return err;
}

/* The same step in every way, and yet there is no result of it. */
static const char *lost_reason(const struct explain_step *before)
{
    return before->is_well ? "its result is no longer in the store" : "it failed the last time";
}

/* Nothing like it is known here, and perhaps could not be known. */
static void say_new(struct explaining *explain, GPtrArray *reasons)
{
    g_autofree char *import = cob_history_failed_import(explain->request->history);

    g_ptr_array_add(reasons,
        import ? g_strdup_printf("never built here, and the cache %s could not be read", import)
               : g_strdup("never built here"));
}

static struct cob_error *find_reasons(
    struct explaining *explain, struct explain_step *step, GPtrArray *reasons)
{
    g_autoptr(explain_step) before = NULL;
    struct explain_eviction eviction = {0};
    char *forced = NULL;

    if (step->miss->vertex->is_ignoring_cache) {
        forced_by(explain, step->stage, &forced);
        g_ptr_array_add(reasons, forced);
        return NULL;
    }
    COB_TRY(explain_find_eviction(explain->request->store, step->miss, &eviction));
    if (eviction.rule) {
        say_eviction(&eviction, reasons);
        g_free(eviction.rule);
        return NULL;
    }
    COB_TRY(explain_find_nearest(explain->request->store, step, explain->texts, &before));
    if (!before)
        say_new(explain, reasons);
    else if (cob_why_distance(before->facts, step->facts) == 0)
        g_ptr_array_add(reasons, g_strdup(lost_reason(before)));
    else
        COB_TRY(compare(explain, step, before, reasons));
    if (reasons->len == 0)
        g_ptr_array_add(reasons, g_strdup("the step's definition changed"));
    return NULL;
}

static void tell(struct explaining *explain, const char *digest, const char *text)
{
    const struct cob_observer *observer = explain->request->observer;
    const struct cob_event_warning event = {.vertex = digest, .text = text, .is_reason = true};

    cob_history_reason(explain->request->history, digest, text);
    if (explain->request->build->is_explaining)
        observer->warning(observer->arg, &event);
}

static void ignore(struct cob_error *err)
{
    if (err) {
        g_autofree char *message = cob_error_message(err);

        cob_trace(1, "explain: %s", message);
    }
    cob_error_free(err);
}

/* --- the witness --- */

static void unref_list(void *list)
{
    if (list)
        g_bytes_unref(list);
}

static struct explain_step *step_of(struct explaining *explain, const struct cob_solver_miss *miss)
{
    struct explain_step *step = g_new(struct explain_step, 1);

    *step = (struct explain_step){.miss = miss,
        .project = explain->project,
        .text = cob_why_text(miss->vertex),
        .facts = cob_why_facts(miss, explain->args),
        .lists = g_ptr_array_new_with_free_func(unref_list),
        .keys = {g_strdup(miss->definition_key), g_strdup(miss->result_key)}};
    step->place = cob_why_place(miss->vertex->name, &step->stage);
    for (size_t i = 0; i < miss->n_inputs; i++) {
        const struct cob_solver_ingredient *input = &miss->inputs[i];
        GBytes *list = NULL;

        if (input->content)
            ignore(cob_ops_files(
                explain->request->ops, miss->vertex, i, input->result, input->content, &list));
        g_ptr_array_add(step->lists, list);
    }
    return step;
}

void explain_step_free(struct explain_step *step)
{
    if (!step)
        return;
    json_decref(step->facts);
    if (step->lists)
        g_ptr_array_unref(step->lists);
    g_free(step->stage);
    g_free(step->text);
    g_free(step->keys[0]);
    g_free(step->keys[1]);
    g_free(step);
}

static void *missed(void *arg, const struct cob_solver_miss *miss, struct cob_cancel *cancel)
{
    struct explaining *explain = arg;
    struct explain_step *step = step_of(explain, miss);
    g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);

    (void)cancel;
    ignore(find_reasons(explain, step, reasons));
    for (guint i = 0; i < reasons->len; i++)
        tell(explain, miss->vertex->digest, g_ptr_array_index(reasons, i));
    step->miss = NULL; /* it ends with this call */
    return step;
}

static void ran(void *arg, void *note, bool is_well)
{
    struct explaining *explain = arg;
    g_autoptr(explain_step) step = note;

    step->is_well = is_well;
    ignore(explain_save(explain->request->store, step));
}

struct explaining *explain_new(
    const struct explain_request *request, const struct cob_llb_graph *graph)
{
    struct explaining *explain = g_new(struct explaining, 1);

    *explain = (struct explaining){.request = request,
        .witness = {.arg = explain, .missed = missed, .ran = ran},
        .project = explain_project(request->build, request->contexts),
        .args = cob_why_args(request->dockerfile),
        .texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    add_given_args(explain);
    add_texts(explain, graph);
    return explain;
}

void explain_free(struct explaining *explain)
{
    if (!explain)
        return;
    g_free(explain->project);
    g_hash_table_unref(explain->args);
    g_hash_table_unref(explain->texts);
    g_free(explain);
}

const struct cob_solver_witness *explain_witness(const struct explaining *explain)
{
    return &explain->witness;
}
