/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/engine_private.h"
#include "build/exporters/exporters.h"

void cob_engine_result_done(struct cob_engine_result *result)
{
    g_free(result->image_id);
    g_free(result->names);
}

/* A build on its way: what its stations hand to each other. */
struct building {
    struct cob_engine *engine;
    const struct cob_engine_request *request;
    const struct cob_observer *observer;
    struct cob_cancel *cancel;
    struct contexts contexts;
    struct frontend frontend;
    struct uses uses;
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

static struct cob_error *export_all(
    struct building *building, struct cob_snapshot *snapshot, struct cob_engine_result *result)
{
    const struct cob_exporter_result built = {.store = building->engine->store,
        .snapshot = snapshot,
        .config = building->frontend.result.config,
        .platform = building->frontend.platform,
        .names = (const char *const *)building->names->pdata,
        .has_epoch = building->frontend.epoch.is_set,
        .epoch_s = building->frontend.epoch.time_s,
        .observer = building->observer};

    if (building->names->len > 1 || building->outputs->len == 0)
        COB_TRY(cob_exporter_store(&built, building->cancel, &result->image_id));
    if (building->names->len > 1)
        result->names = g_strjoinv(",", (char **)building->names->pdata);
    for (guint i = 0; i < building->outputs->len; i++)
        COB_TRY(cob_wrap(cob_exporter_output_write(
                             g_ptr_array_index(building->outputs, i), &built, building->cancel),
            "--output %s", building->request->outputs[i]));
    return NULL;
}

static struct cob_error *solve(struct building *building, const struct cob_llb_graph *graph,
    const struct cob_solver_ops *table, struct cob_engine_result *result)
{
    const struct cob_solver_index index = cob_engine_index(&building->uses);
    const struct cob_solver_request request = {.graph = graph,
        .ops = table,
        .index = &index,
        .observer = building->observer,
        .n_parallel = building->request->n_parallel};
    g_autoptr(cob_solver_result) solved = NULL;

    COB_TRY(cob_solver_solve(&request, building->cancel, &solved));
    COB_TRY(export_all(building, cob_ops_snapshot_of(solved), result));
    return cob_engine_uses_save(&building->uses);
}

static struct cob_error *solve_with_ops(struct building *building, struct cob_ops_config *config,
    const struct cob_llb_graph *graph, struct cob_engine_result *result)
{
    g_autoptr(cob_ops) ops = cob_ops_new(config);
    struct cob_error *err = solve(building, graph, cob_ops_table(ops), result);
    struct cob_error *late = cob_ops_finish(ops);

    if (!err)
        return late;
    cob_error_free(late);
    return err;
}

/* A name for this build that those who wait for it can tell from others. */
static char *build_name(const struct building *building)
{
    const char *tag = building->request->tags ? building->request->tags[0] : NULL;

    return g_strdup_printf("%s (pid %d)", tag ? tag : building->request->context, (int)getpid());
}

static struct cob_error *run_graph(
    struct building *building, const struct cob_llb_graph *graph, struct cob_engine_result *result)
{
    struct cob_engine *engine = building->engine;
    struct client client = {
        .request = building->request, .contexts = &building->contexts, .agents = building->agents};
    const struct cob_ops_client side = cob_engine_client(&client);
    g_autofree char *name = build_name(building);
    struct cob_ops_config config = {.store = engine->store,
        .images = engine->images,
        .remotes = engine->remotes,
        .observer = building->observer,
        .client = &side,
        .is_host_network_allowed = is_allowed(building->request, "network.host"),
        .is_insecure_allowed = is_allowed(building->request, "security.insecure"),
        .build_name = name};

    COB_TRY(cob_ops_check_graph(&config, graph));
    COB_TRY(cob_engine_executor(engine, &config.executor));
    COB_TRY(cob_engine_cachemounts(engine, &config.cachemounts));
    return solve_with_ops(building, &config, graph, result);
}

static struct cob_error *build(
    struct building *building, const struct frontend_call *call, struct cob_engine_result *result)
{
    g_autoptr(cob_llb_graph) graph = NULL;
    COB_TRY(check_names(building));
    COB_TRY(check_outputs(building));
    COB_TRY(check_entitlements(building->request));
    COB_TRY(cob_engine_frontend(call, &building->frontend));
    COB_TRY(cob_llb_graph_new(building->frontend.result.definition, &graph));
    return run_graph(building, graph, result);
}

struct cob_error *cob_engine_build(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, struct cob_engine_result *ret_result)
{
    struct building building = {
        .engine = engine, .request = request, .observer = observer, .cancel = cancel};
    struct frontend_call call = {engine, request, observer, cancel, &building.contexts, NULL};
    struct cob_engine_result result = {0};
    struct cob_error *err;

    cob_engine_uses_init(&building.uses, engine->store);
    err = cob_engine_agents(request, cancel, &call.agents);
    building.agents = call.agents;
    if (!err)
        err = cob_engine_contexts_open(&call, &building.contexts);
    if (!err)
        err = cob_wrap(build(&building, &call, &result), "failed to solve");
    cob_engine_uses_done(&building.uses);
    cob_engine_frontend_done(&building.frontend);
    cob_engine_contexts_close(&building.contexts);
    g_clear_pointer(&building.names, g_ptr_array_unref);
    g_clear_pointer(&building.agents, g_hash_table_unref);
    g_clear_pointer(&building.outputs, g_ptr_array_unref);
    if (!err) {
        *ret_result = result;
        return NULL;
    }
    cob_engine_result_done(&result);
    return err;
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
    err = cob_llb_dump(frontend.result.definition, ret_text);
    cob_engine_frontend_done(&frontend);
    return err;
}
