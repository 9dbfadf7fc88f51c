/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/buildcache.h"
#include "build/engine/explain.h"
#include "build/engine/record.h"
#include "build/exporters/exporters.h"

void cob_engine_result_done(struct cob_engine_result *result)
{
    g_free(result->image_id);
    g_strfreev(result->platforms);
    g_strfreev(result->image_ids);
    g_free(result->names);
    g_free(result->build_id);
    g_free(result->cache_manifest);
}

/* A build on its way: what its stations hand to each other. */
struct building {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_observer *observer; /* the history's */
    struct cob_history_writer *history;
    struct cob_cancel *cancel;
    struct contexts contexts;
    struct frontend frontend;
    struct uses uses;
    struct build_caches caches;
    GPtrArray *names;   /* char *, owned: the tags in full, then NULL */
    GHashTable *agents; /* of cob_engine_agents() */
    GPtrArray *outputs; /* struct cob_exporter_output, owned */
};

/* --- before anything is done: is the request sound? --- */

static struct cob_error *check_names(struct building *building)
{
    building->names = g_ptr_array_new_with_free_func(g_free);
    for (const char *const *tag = building->request->tags; tag && *tag; tag++) {
        g_autoptr(cob_ref) ref = NULL;

        COB_TRY(cob_wrap(cob_ref_parse(*tag, &ref), "invalid tag \"%s\"", *tag));
        if (ref->digest)
            return cob_fail(
                COB_INVALID, "invalid tag \"%s\": a name for an image has no digest", *tag);
        g_ptr_array_add(building->names, cob_ref_text(ref));
    }
    g_ptr_array_add(building->names, NULL);
    return NULL;
}

static struct cob_error *check_outputs(struct building *building)
{
    building->outputs = g_ptr_array_new_with_free_func((GDestroyNotify)cob_exporter_output_free);
    for (const char *const *text = building->request->outputs; text && *text; text++) {
        struct cob_exporter_output *output = NULL;

        COB_TRY(cob_wrap(cob_exporter_output_parse(*text, &output), "--output %s", *text));
        g_ptr_array_add(building->outputs, output);
    }
    return NULL;
}

static bool is_allowed(const struct cob_engine_request *request, const char *entitlement)
{
    return request->allow && g_strv_contains(request->allow, entitlement);
}

/* Devices may be allowed: there are none, so that changes nothing. */
static struct cob_error *check_entitlements(const struct cob_engine_request *request)
{
    enum cob_executor_network network;

    for (const char *const *name = request->allow; name && *name; name++) {
        if (strcmp(*name, "network.host") != 0 && strcmp(*name, "security.insecure") != 0 &&
            strcmp(*name, "device") != 0 && !g_str_has_prefix(*name, "device="))
            return cob_fail(COB_INVALID,
                "--allow %s: unknown entitlement: there are network.host, security.insecure and "
                "device",
                *name);
    }
    COB_TRY(cob_engine_network(request->network, &network));
    if (network == COB_EXECUTOR_NETWORK_HOST && !is_allowed(request, "network.host"))
        return cob_fail(COB_DENIED, "--network=host is not allowed: add --allow network.host");
    return NULL;
}

/* --- solve and export --- */

/* inline_cache: of a part; owned by it here. */
static void part_done(void *part)
{
    g_free((char *)(uintptr_t)((struct cob_exporter_part *)part)->inline_cache);
}

/* What became of each target.  results: of the solver, in their order. */
static GArray *parts_of(const struct building *building, const GPtrArray *results)
{
    GArray *parts = g_array_new(FALSE, FALSE, sizeof(struct cob_exporter_part));

    g_array_set_clear_func(parts, part_done);
    for (guint i = 0; i < results->len; i++) {
        const struct frontend_target *target =
            &g_array_index(building->frontend.targets, struct frontend_target, i);
        const struct cob_exporter_part part = {
            .snapshot = cob_ops_snapshot_of(g_ptr_array_index(results, i)),
            .config = target->result.config,
            .platform = target->platform,
            .inline_cache = cob_engine_caches_inline(&building->caches, i)};

        g_array_append_val(parts, part);
    }
    return parts;
}

/* image_ids: one a part; taken. */
static void note_images(
    const struct cob_exporter_result *built, char **image_ids, struct cob_engine_result *result)
{
    g_autofree char *here = cob_engine_host_platform();
    size_t main_part = 0;

    for (size_t i = built->n_parts; i-- > 0;) {
        if (strcmp(built->parts[i].platform, here) == 0)
            main_part = i;
    }
    result->image_id = g_strdup(image_ids[main_part]);
    if (built->n_parts == 1) {
        g_strfreev(image_ids);
        return;
    }
    result->image_ids = image_ids;
    result->platforms = g_new0(char *, built->n_parts + 1);
    for (size_t i = 0; i < built->n_parts; i++)
        result->platforms[i] = g_strdup(built->parts[i].platform);
}

static void start_caches(struct building *building)
{
    cob_engine_caches_start_exports(
        &building->caches, building->engine, building->observer, building->cancel);
}

static struct cob_error *export_all(
    struct building *building, const GPtrArray *results, struct cob_engine_result *result)
{
    g_autoptr(GArray) parts = parts_of(building, results);
    const struct cob_exporter_result built = {.store = building->engine->store,
        .parts = (const struct cob_exporter_part *)(void *)parts->data,
        .n_parts = parts->len,
        .is_multi_platform = building->frontend.is_multi_platform,
        .names = (const char *const *)building->names->pdata,
        .has_epoch = building->frontend.epoch.is_set,
        .epoch_s = building->frontend.epoch.time_s,
        .observer = building->observer};
    char **image_ids = NULL;

    if (building->names->len > 1 || building->outputs->len == 0) {
        COB_TRY(cob_exporter_store(&built, building->cancel, &image_ids));
        note_images(&built, image_ids, result);
    }
    if (building->names->len > 1)
        result->names = g_strjoinv(",", (char **)building->names->pdata);
    start_caches(building);
    for (guint i = 0; i < building->outputs->len; i++)
        COB_TRY(cob_wrap(cob_exporter_output_write(
                             g_ptr_array_index(building->outputs, i), &built, building->cancel),
            "--output %s", building->request->outputs[i]));
    return NULL;
}

/* graph: NULL before it is solved. */
static struct cob_error *move_mounts(
    const struct building *building, const struct cob_llb_graph *graph, const GPtrArray *options)
{
    const struct build_mounts mounts = {.engine = building->engine,
        .request = building->request,
        .graph = graph,
        .observer = building->observer,
        .cancel = building->cancel};

    return cob_engine_mounts_travel(&mounts, options);
}

/* Every step has given its cache mounts back: those that go along are written, too.
 * err: how the build ended; taken. */
static struct cob_error *export_mounts(struct building *building, struct cob_error *err)
{
    struct cob_error *late = NULL;

    if (!err || cob_error_code(err) != COB_CANCELLED)
        late = move_mounts(building, building->caches.graph, building->caches.to);
    if (!err)
        return late;
    cob_error_free(late);
    return err;
}

/* Outputs and caches are written side by side. Of a build that failed, what succeeded is kept for
 * the next one, but for one that the user has stopped. */
static struct cob_error *finish(struct building *building, struct cob_error *failure,
    const GPtrArray *solved, struct cob_engine_result *result)
{
    struct cob_error *err = failure;

    if (!failure)
        err = export_all(building, solved, result);
    else if (cob_error_code(failure) != COB_CANCELLED)
        start_caches(building);
    struct cob_error *late = cob_engine_caches_end_exports(
        &building->caches, building->observer, &result->cache_manifest);
    if (!err)
        return export_mounts(building, late);
    cob_error_free(late);
    return export_mounts(building, err);
}

/* What the history and the reasons need to know before a step runs. */
static struct explaining *begin_steps(const struct building *building,
    const struct explain_request *request, const struct cob_llb_graph *graph)
{
    for (guint i = 0; i < graph->vertices->len; i++) {
        const struct cob_llb_vertex *vertex = g_ptr_array_index(graph->vertices, i);

        cob_history_expect(building->history, vertex->digest);
    }
    return explain_new(request, graph);
}

static struct cob_error *solve(struct building *building, const struct cob_llb_graph *graph,
    struct cob_ops *ops, struct cob_engine_result *result)
{
    const struct explain_request reasons = {.store = building->engine->store,
        .build = building->request,
        .contexts = &building->contexts,
        .dockerfile = building->frontend.file->data,
        .ops = ops,
        .history = building->history,
        .observer = building->observer};
    g_autoptr(explaining) explain = begin_steps(building, &reasons, graph);
    const struct cob_solver_index index = cob_engine_index(&building->uses);
    struct cob_solver_request request = {.graph = graph,
        .ops = cob_ops_table(ops),
        .index = &index,
        .observer = building->observer,
        .witness = explain_witness(explain),
        .n_parallel = building->request->n_parallel};
    g_autoptr(GPtrArray) solved = NULL;

    cob_engine_caches_attach(&building->caches, building->engine->store, &request);
    struct cob_error *err = cob_solver_solve(&request, building->cancel, &solved);
    COB_TRY(finish(building, err, solved, result));
    return cob_engine_uses_save(&building->uses);
}

static struct cob_error *solve_with_ops(struct building *building, struct cob_ops_config *config,
    const struct cob_llb_graph *graph, struct cob_engine_result *result)
{
    g_autoptr(cob_ops) ops = cob_ops_new(config);
    struct cob_error *err = solve(building, graph, ops, result);
    struct cob_error *late = cob_ops_finish(ops);

    if (!late && !cob_cancel_is_set(building->cancel))
        late = cob_engine_settle_cachemounts(config->cachemounts, building->observer);
    if (!err)
        return late;
    cob_error_free(late);
    return err;
}

/* A name for this build that those who wait for it can tell from others. */
static char *build_name(const struct building *building)
{
    const char *tag = building->request->tags ? building->request->tags[0] : NULL;
    const char *given = cob_engine_build_arg(building->request, "BUILDKIT_BUILD_NAME");

    if (given && *given)
        tag = given;
    return g_strdup_printf("%s (pid %d)", tag ? tag : building->request->context, (int)getpid());
}

/* What a cache mount remembers of this build: its context in full, and its names. The caller frees
 * it. */
static char *project_name(const struct cob_engine_request *request)
{
    g_autoptr(GString) name = g_string_new(NULL);

    if (request->context && g_file_test(request->context, G_FILE_TEST_IS_DIR)) {
        g_autofree char *path = g_canonicalize_filename(request->context, NULL);

        g_string_append(name, path);
    } else {
        g_string_append(name, request->context ? request->context : "-");
    }
    for (const char *const *tag = request->tags; tag && *tag; tag++)
        g_string_append_printf(name, "%s%s", tag == request->tags ? " (" : ", ", *tag);
    if (request->tags && *request->tags)
        g_string_append_c(name, ')');
    return g_string_free(g_steal_pointer(&name), FALSE);
}

static struct cob_error *run_graph(
    struct building *building, const struct cob_llb_graph *graph, struct cob_engine_result *result)
{
    struct cob_engine *engine = building->engine;
    struct client client = {
        .request = building->request, .contexts = &building->contexts, .agents = building->agents};
    const struct cob_ops_client side = cob_engine_client(&client);
    g_autofree char *name = build_name(building);
    g_autofree char *project = project_name(building->request);
    struct cob_ops_config config = {.store = engine->store,
        .images = engine->images,
        .remotes = engine->remotes,
        .observer = building->observer,
        .client = &side,
        .is_host_network_allowed = is_allowed(building->request, "network.host"),
        .is_insecure_allowed = is_allowed(building->request, "security.insecure"),
        .build_name = name,
        .project = project};

    COB_TRY(cob_ops_check_graph(&config, graph));
    COB_TRY(cob_engine_executor(engine, &config.executor));
    COB_TRY(cob_engine_cachemounts(engine, &config.cachemounts));
    if (building->request->is_no_cache_mounts)
        COB_TRY(cob_engine_empty_cachemounts(
            config.cachemounts, building->request, graph, building->observer, building->cancel));
    return solve_with_ops(building, &config, graph, result);
}

static struct cob_error *check_platforms(const struct building *building)
{
    for (guint i = 0; i < building->outputs->len; i++)
        COB_TRY(
            cob_wrap(cob_exporter_output_check_platforms(g_ptr_array_index(building->outputs, i),
                         building->frontend.is_multi_platform),
                "--output %s", building->request->outputs[i]));
    return NULL;
}

/* The graphs of all platforms as one: what they share is built once. */
static struct cob_error *join_graph(
    const struct building *building, struct cob_llb_graph **ret_graph)
{
    const GArray *targets = building->frontend.targets;
    g_autofree const struct cob_llb_definition **definitions =
        g_new0(const struct cob_llb_definition *, targets->len + 1);

    for (guint i = 0; i < targets->len; i++)
        definitions[i] = g_array_index(targets, struct frontend_target, i).result.definition;
    return cob_llb_graph_join(definitions, targets->len, ret_graph);
}

static struct cob_error *build(
    struct building *building, const struct frontend_call *call, struct cob_engine_result *result)
{
    g_autoptr(cob_llb_graph) graph = NULL;
    COB_TRY(check_names(building));
    COB_TRY(check_outputs(building));
    COB_TRY(check_entitlements(building->request));
    COB_TRY(cob_engine_caches_open(building->request, &building->caches));
    COB_TRY(cob_engine_frontend(call, &building->frontend));
    COB_TRY(check_platforms(building));
    COB_TRY(join_graph(building, &graph));
    COB_TRY(cob_engine_caches_import(
        &building->caches, building->engine, building->observer, building->cancel));
    COB_TRY(move_mounts(building, NULL, building->caches.from));
    return run_graph(building, graph, result);
}

static struct cob_error *build_all(struct building *building, struct cob_engine_result *result)
{
    struct frontend_call call = {building->engine, building->request, building->observer,
        building->cancel, &building->contexts, NULL};
    struct cob_error *err;

    cob_engine_uses_init(&building->uses, building->engine->store);
    err = cob_engine_agents(building->request, building->cancel, &call.agents);
    building->agents = call.agents;
    if (!err)
        err = cob_engine_contexts_open(&call, &building->contexts);
    if (!err)
        err = cob_wrap(build(building, &call, result), "failed to solve");
    if (building->caches.from)
        cob_engine_caches_close(&building->caches);
    cob_engine_uses_done(&building->uses);
    cob_engine_frontend_done(&building->frontend);
    cob_engine_contexts_close(&building->contexts);
    g_clear_pointer(&building->names, g_ptr_array_unref);
    g_clear_pointer(&building->agents, g_hash_table_unref);
    g_clear_pointer(&building->outputs, g_ptr_array_unref);
    return err;
}

/* The build is over, well or not. */
static void end_record(
    struct building *building, const struct cob_error *err, struct cob_engine_result *result)
{
    struct cob_engine *engine = building->engine;
    json_auto_t *came_of_it = err ? NULL : record_result(result);

    result->build_id = g_strdup(cob_history_id(building->history));
    cob_history_end(building->history, err, came_of_it);
    cob_error_free(
        cob_engine_trim_history(engine, &engine->history_limits)); /* the next one will */
}

struct cob_error *cob_engine_build(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, struct cob_engine_result *ret_result)
{
    json_auto_t *about = record_about(request);
    struct cob_history_writer *history = cob_history_begin(engine->store, about, observer);
    struct building building = {.engine = engine,
        .request = request,
        .observer = cob_history_observer(history),
        .history = history,
        .cancel = cancel};
    struct cob_engine_result result = {0};
    struct cob_error *err;

    record_hide(request, history);
    err = build_all(&building, &result);
    end_record(&building, err, &result);
    if (!err) {
        *ret_result = result;
        return NULL;
    }
    cob_engine_result_done(&result);
    return err;
}

/* Of several platforms, each under its name. */
static struct cob_error *dump_all(const struct frontend *frontend, char **ret_text)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (guint i = 0; i < frontend->targets->len; i++) {
        const struct frontend_target *target =
            &g_array_index(frontend->targets, struct frontend_target, i);
        g_autofree char *text = NULL;

        COB_TRY(cob_llb_dump(target->result.definition, &text));
        if (frontend->targets->len > 1)
            g_string_append_printf(all, "%s%s:\n", i ? "\n" : "", target->platform);
        g_string_append(all, text);
    }
    *ret_text = g_strdup(all->str);
    return NULL;
}

struct cob_error *cob_engine_llb(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, char **ret_text)
{
    struct contexts contexts = {0};
    const struct frontend_call call = {engine, request, observer, cancel, &contexts, NULL};
    struct frontend frontend = {0};
    struct cob_error *err = cob_engine_contexts_open(&call, &contexts);

    if (!err)
        err = cob_wrap(cob_engine_frontend(&call, &frontend), "failed to solve");
    cob_engine_contexts_close(&contexts);
    COB_TRY(err);
    err = dump_all(&frontend, ret_text);
    cob_engine_frontend_done(&frontend);
    return err;
}
