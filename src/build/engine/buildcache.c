/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build caches that travel, as a build sees them: what was asked for; the solver's table of what is
 * elsewhere; what became of each vertex, as a plan; exports that run beside the outputs.
 */
#include "build/engine/buildcache.h"

#include <string.h>

#include "util/json.h"

/* --- what was asked for --- */

static struct cob_error *parse_all(
    const char *const *texts, enum cob_cachebackend_way way, const char *option, GPtrArray *ret_all)
{
    for (; texts && *texts; texts++) {
        struct cob_cachebackend_options *options = NULL;

        COB_TRY(cob_wrap(cob_cachebackend_options_parse(*texts, way, &options), "%s", option));
        g_ptr_array_add(ret_all, options);
    }
    return NULL;
}

struct cob_error *cob_engine_caches_open(
    const struct cob_engine_request *request, struct build_caches *caches)
{
    caches->from = g_ptr_array_new_with_free_func((GDestroyNotify)cob_cachebackend_options_free);
    caches->to = g_ptr_array_new_with_free_func((GDestroyNotify)cob_cachebackend_options_free);
    caches->result_steps = g_array_new(FALSE, FALSE, sizeof(int));
    caches->exports = g_ptr_array_new();
    caches->has_inline = cob_engine_is_asked(request, "BUILDKIT_INLINE_CACHE");
    COB_TRY(parse_all(request->cache_from, COB_CACHEBACKEND_IMPORT, "--cache-from", caches->from));
    COB_TRY(parse_all(request->cache_to, COB_CACHEBACKEND_EXPORT, "--cache-to", caches->to));
    for (guint i = caches->to->len; i-- > 0;) {
        const struct cob_cachebackend_options *options = g_ptr_array_index(caches->to, i);

        if (options->type != COB_CACHEBACKEND_INLINE)
            continue;
        caches->has_inline = true;
        g_ptr_array_remove_index(caches->to, i);
    }
    return NULL;
}

void cob_engine_caches_close(struct build_caches *caches)
{
    cob_remotecache_plan_free(caches->plan);
    cob_remotecache_free(caches->cache);
    cob_error_free(caches->plan_err);
    g_clear_pointer(&caches->exports, g_ptr_array_unref);
    g_clear_pointer(&caches->result_steps, g_array_unref);
    g_clear_pointer(&caches->from, g_ptr_array_unref);
    g_clear_pointer(&caches->to, g_ptr_array_unref);
}

static bool is_exporting(const struct build_caches *caches)
{
    return caches->to->len > 0 || caches->has_inline;
}

/* --- elsewhere, for the solver --- */

/* Marks a result as one that is elsewhere; its chain lives as long as the cache. */
static void release_chain(void *chain)
{
    (void)chain;
}

static struct cob_error *match(void *arg, const struct cob_solver_step *step, GArray **ret_records)
{
    const struct build_caches *caches = arg;

    *ret_records = cob_remotecache_match(caches->cache, step);
    return NULL;
}

static struct cob_error *find(
    void *arg, const GArray *records, struct cob_solver_result **ret_result, bool *ret_is_here)
{
    const struct build_caches *caches = arg;
    struct cob_remotecache_chain *chain = NULL;
    g_autoptr(cob_snapshot) snapshot = NULL;

    COB_TRY(cob_remotecache_find(caches->cache, records, &chain, &snapshot));
    *ret_is_here = snapshot != NULL;
    if (snapshot) {
        *ret_result = cob_ops_result_of(snapshot);
    } else if (chain) {
        g_autofree char *id = g_strdup_printf("elsewhere:%s", cob_remotecache_chain_id(chain));

        *ret_result = cob_solver_result_new(id, chain, release_chain);
    }
    return NULL;
}

static struct cob_error *fetch(void *arg, const struct cob_llb_vertex *vertex,
    struct cob_solver_result *there, struct cob_cancel *cancel,
    struct cob_solver_result **ret_result)
{
    const struct build_caches *caches = arg;
    g_autoptr(cob_snapshot) snapshot = NULL;

    COB_TRY(cob_remotecache_fetch(caches->cache, there->data, vertex->digest, cancel, &snapshot));
    *ret_result = snapshot ? cob_ops_result_of(snapshot) : NULL;
    return NULL;
}

struct cob_error *cob_engine_caches_import(struct build_caches *caches, struct cob_engine *engine,
    const struct cob_observer *observer, struct cob_cancel *cancel)
{
    if (caches->from->len == 0)
        return NULL;
    caches->cache = cob_remotecache_new(engine->store, engine->registry, observer);
    caches->elsewhere =
        (struct cob_solver_elsewhere){.arg = caches, .match = match, .find = find, .fetch = fetch};
    return cob_remotecache_import(caches->cache,
        (const struct cob_cachebackend_options *const *)caches->from->pdata, caches->from->len,
        cancel);
}

/* --- how it ended --- */

static const struct cob_solver_outcome *input_of(
    const struct cob_solver_outcome *all, size_t number, guint input, int *ret_number)
{
    const GArray *inputs = all[number].vertex->inputs;

    *ret_number = g_array_index(inputs, struct cob_llb_ref, input).vertex;
    return *ret_number < 0 ? NULL : &all[*ret_number];
}

/* A step that nobody asked the files of was found with one after it. Where they came along, it is
 * recorded, too: a later build may ask. */
static struct cob_error *keep_found(struct build_caches *caches,
    const struct cob_solver_outcome *all, size_t number, struct cob_solver_result *result)
{
    const struct cob_solver_outcome *outcome = &all[number];
    json_t *inputs = json_array();

    for (guint i = 0; i < outcome->vertex->inputs->len; i++) {
        int at = -1;
        const struct cob_solver_outcome *input = input_of(all, number, i, &at);

        json_array_append_new(inputs,
            input ? json_pack("{s:s, s:s?, s:s?}", "name", input->vertex->name, "definition",
                        input->definition_key, "content", outcome->contents[i])
                  : json_object());
    }
    json_auto_t *ingredients = json_pack(
        "{s:s, s:s, s:o}", "op", outcome->op, "vertex", outcome->vertex->digest, "inputs", inputs);
    const struct cob_solver_record record = {.definition_key = outcome->definition_key,
        .name = outcome->vertex->name,
        .ingredients = ingredients,
        .result = result};
    return caches->index->save(caches->index->arg, &record);
}

/* What a vertex gave, here or elsewhere: its own result, what this machine has of it, what others
 * have.  ret_result: the caller's; NULL: none. */
static struct cob_error *result_of(struct build_caches *caches,
    const struct cob_solver_outcome *all, size_t number, struct cob_solver_result **ret_result)
{
    const struct cob_solver_outcome *outcome = &all[number];
    bool is_here = false;

    if (outcome->result) {
        *ret_result = cob_solver_result_ref(outcome->result);
        return NULL;
    }
    if (!outcome->definition_key || outcome->vertex->is_ignoring_cache)
        return NULL;
    COB_TRY(caches->index->lookup(caches->index->arg, outcome->definition_key, ret_result));
    if (*ret_result || !outcome->records)
        return NULL;
    COB_TRY(find(caches, outcome->records, ret_result, &is_here));
    return is_here ? keep_found(caches, all, number, *ret_result) : NULL;
}

static struct cob_error *read_ingredients(void *arg, const struct cob_db_row *row)
{
    const char *text = cob_db_row_text(row, 0);

    return text ? cob_json_parse(text, strlen(text), "ingredients", arg) : NULL;
}

/* The files that a step took from its inputs when it was keyed by them, in whatever build. */
static struct cob_error *known_contents(
    const struct build_caches *caches, const struct cob_solver_outcome *outcome, json_t **ret_json)
{
    *ret_json = NULL;
    if (!outcome->definition_key || !outcome->by_content)
        return NULL;
    return cob_db_run(cob_store_db(caches->store), read_ingredients, ret_json,
        "SELECT ingredients FROM cache WHERE key = ?1", COB_DB_T(outcome->definition_key));
}

static const char *content_of(
    const struct cob_solver_outcome *outcome, const json_t *known, guint input)
{
    if (outcome->contents[input])
        return outcome->contents[input];
    return json_string_value(
        json_object_get(json_array_get(json_object_get(known, "inputs"), input), "content"));
}

static struct cob_error *plan_step(
    struct build_caches *caches, const struct cob_solver_outcome *all, size_t number)
{
    const struct cob_solver_outcome *outcome = &all[number];
    const guint n = outcome->vertex->inputs->len;
    g_autofree struct cob_remotecache_input *inputs = g_new0(struct cob_remotecache_input, n + 1);
    g_autoptr(cob_solver_result) result = NULL;
    json_auto_t *known = NULL;
    struct cob_remotecache_step step = {
        .op = outcome->op, .inputs = inputs, .n_inputs = n, .records = outcome->records};

    COB_TRY(result_of(caches, all, number, &result));
    COB_TRY(known_contents(caches, outcome, &known));
    for (guint i = 0; i < n; i++) {
        input_of(all, number, i, &inputs[i].step);
        inputs[i].content = content_of(outcome, known, i);
    }
    /* What a source gave is to be had from where it came from. */
    if (outcome->vertex->op->op_case != PB__OP__OP_SOURCE && result) {
        step.snapshot = cob_ops_snapshot_of(result);
        step.chain = result->release == release_chain ? result->data : NULL;
    }
    cob_remotecache_plan_add(caches->plan, &step);
    return NULL;
}

static struct cob_error *make_plan(
    struct build_caches *caches, const struct cob_solver_outcome *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        COB_TRY(plan_step(caches, all, i));
    for (guint i = 0; i < caches->graph->results->len; i++) {
        int step = g_array_index(caches->graph->results, struct cob_llb_ref, i).vertex;

        if (step >= 0)
            cob_remotecache_plan_mark(caches->plan, step);
        g_array_append_val(caches->result_steps, step);
    }
    return NULL;
}

static void on_end(void *arg, const struct cob_solver_outcome *outcomes, size_t n_outcomes)
{
    struct build_caches *caches = arg;

    caches->plan = cob_remotecache_plan_new(caches->store, caches->cache);
    caches->plan_err = make_plan(caches, outcomes, n_outcomes);
}

void cob_engine_caches_attach(
    struct build_caches *caches, struct cob_store *store, struct cob_solver_request *request)
{
    caches->store = store;
    caches->graph = request->graph;
    caches->index = request->index;
    if (caches->cache)
        request->elsewhere = &caches->elsewhere;
    if (caches->cache || is_exporting(caches)) {
        request->ended = on_end;
        request->ended_arg = caches;
    }
}

/* --- inline --- */

char *cob_engine_caches_inline(const struct build_caches *caches, guint part)
{
    if (!caches->has_inline || !caches->plan || caches->plan_err)
        return NULL;
    const int step = g_array_index(caches->result_steps, int, part);
    g_autoptr(GBytes) bytes = step < 0 ? NULL : cob_remotecache_inline(caches->plan, step);
    gsize len = 0;
    const guchar *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;

    return data ? g_base64_encode(data, len) : NULL;
}

/* --- export --- */

/* One --cache-to, in a thread of its own. */
struct cache_export {
    struct cob_remotecache_export request;
    struct cob_remotecache_origin origin;
    struct cob_cancel *cancel;
    GThread *thread;
    char *manifest;
    struct cob_error *err;
};

static struct cob_error *get_layer(void *arg, const char *diff_id, struct cob_cancel *cancel,
    char **ret_digest, uint64_t *ret_size, char **ret_media_type)
{
    return cob_image_get_layer(arg, diff_id, cancel, ret_digest, ret_size, ret_media_type);
}

static void *run_export(void *data)
{
    struct cache_export *export = data;

    export->err = cob_remotecache_export(&export->request, export->cancel, &export->manifest);
    return NULL;
}

void cob_engine_caches_start_exports(struct build_caches *caches, struct cob_engine *engine,
    const struct cob_observer *observer, struct cob_cancel *cancel)
{
    for (guint i = 0; caches->plan && !caches->plan_err && i < caches->to->len; i++) {
        struct cache_export *export = g_new(struct cache_export, 1);

        *export = (struct cache_export){.request = {.plan = caches->plan,
                                            .options = g_ptr_array_index(caches->to, i),
                                            .registry = engine->registry,
                                            .observer = observer},
            .origin = {.arg = engine->images, .get_layer = get_layer},
            .cancel = cancel};
        export->request.origin = &export->origin;
        export->thread = g_thread_new("cache-to", run_export, export);
        g_ptr_array_add(caches->exports, export);
    }
}

/* A failure is a warning, unless the options say that it is one. */
static struct cob_error *judge(struct cache_export *export, const struct cob_observer *observer)
{
    const struct cob_cachebackend_options *options = export->request.options;

    if (!export->err)
        return NULL;
    if (!options->is_ignoring_errors || cob_error_code(export->err) == COB_CANCELLED)
        return cob_wrap(g_steal_pointer(&export->err), "--cache-to %s", options->text);
    g_autofree char *message = cob_error_message(export->err);
    g_autofree char *text = g_strdup_printf(
        "--cache-to %s: %s: the build is fine, its cache was not exported", options->text, message);
    const struct cob_event_warning event = {.text = text};
    observer->warning(observer->arg, &event);
    return NULL;
}

struct cob_error *cob_engine_caches_end_exports(
    struct build_caches *caches, const struct cob_observer *observer, char **ret_manifest)
{
    struct cob_error *err = NULL;

    if (caches->plan_err && is_exporting(caches))
        err = cob_wrap(g_steal_pointer(&caches->plan_err), "--cache-to");
    for (guint i = 0; i < caches->exports->len; i++) {
        struct cache_export *export = g_ptr_array_index(caches->exports, i);

        g_thread_join(export->thread);
        struct cob_error *one = judge(export, observer);
        if (err)
            cob_error_free(one);
        else
            err = one;
        if (export->manifest && ret_manifest) {
            g_free(*ret_manifest);
            *ret_manifest = g_steal_pointer(&export->manifest);
        }
        g_free(export->manifest);
        cob_error_free(export->err);
        g_free(export);
    }
    g_ptr_array_set_size(caches->exports, 0);
    return err;
}
