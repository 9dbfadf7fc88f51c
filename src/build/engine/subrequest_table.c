/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/engine_private.h"
#include "util/json.h"

/* spec: BuildKit frontend/subrequests. */
const struct subrequest cob_engine_subrequests[] = {
    [COB_ENGINE_LINT] = {"frontend.lint", "1.0.0", "Lint a Dockerfile", .has_opts = true,
        .results = {"result.json", "result.txt", "result.statuscode"}},
    [COB_ENGINE_OUTLINE] = {"frontend.outline", "1.0.0",
        "List all parameters current build target supports", .has_opts = true,
        .option = {"target", "Target build stage"}, .results = {"result.json", "result.txt"}},
    [COB_ENGINE_TARGETS] = {"frontend.targets", "1.0.0", "List all targets current build supports",
        .has_opts = true, .results = {"result.json", "result.txt"}},
    [COB_ENGINE_CONVERT_LLB] = {"frontend.convertllb", "0.1.0", "Convert Dockerfile to LLB",
        .has_opts = true, .results = {"result.json"}},
    [COB_ENGINE_DESCRIBE] = {"frontend.subrequests.describe", "1.0.0",
        "List available subrequest types", .results = {"result.json", "result.txt"}},
};

/* BuildKit's list, and then the two that it has and does not list. */
static const enum cob_engine_method order[] = {COB_ENGINE_OUTLINE, COB_ENGINE_TARGETS,
    COB_ENGINE_DESCRIBE, COB_ENGINE_LINT, COB_ENGINE_CONVERT_LLB};

static json_t *named_json(const char *name, const char *description)
{
    return json_pack("{ssss}", "name", name, "description", description);
}

static json_t *opts_json(const struct subrequest *subrequest)
{
    json_t *opts = json_array();

    if (!subrequest->has_opts) {
        json_decref(opts);
        return json_null();
    }
    if (subrequest->option[0])
        json_array_append_new(opts, named_json(subrequest->option[0], subrequest->option[1]));
    return opts;
}

static json_t *subrequest_json(const struct subrequest *subrequest)
{
    json_t *results = json_array();

    for (const char *const *name = subrequest->results; *name; name++)
        json_array_append_new(results, named_json(*name, ""));
    return json_pack("{ss,ss,ss,ss,so,sn,so,sn}", "name", subrequest->name, "version",
        subrequest->version, "type", "rpc", "description", subrequest->description, "opts",
        opts_json(subrequest), "inputs", "metadata", results, "refs");
}

void cob_engine_describe(struct cob_engine_answer *answer)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new();
    GString *text = g_string_new(NULL);
    json_auto_t *list = json_array();
    static const char *const titles[] = {"NAME", "VERSION", "DESCRIPTION"};

    for (size_t i = 0; i < G_N_ELEMENTS(titles); i++)
        g_ptr_array_add(cells, (void *)(uintptr_t)titles[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        const struct subrequest *subrequest = &cob_engine_subrequests[order[i]];

        json_array_append_new(list, subrequest_json(subrequest));
        g_ptr_array_add(cells, (void *)(uintptr_t)(subrequest->name + strlen("frontend.")));
        g_ptr_array_add(cells, (void *)(uintptr_t)subrequest->version);
        g_ptr_array_add(cells, (void *)(uintptr_t)subrequest->description);
    }
    cob_engine_append_table(text, cells, G_N_ELEMENTS(titles), 1);
    answer->json = json_dumps(list, JSON_INDENT(2));
    answer->text = g_string_free(text, FALSE);
}
