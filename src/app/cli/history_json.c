/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/history_details.h"
#include "app/cli/history_view.h"
#include "app/cli/rowformat.h"
#include "util/json.h"

/* Each as {"Name", "Value"}; of a secret without a value. */
static json_t *pairs_json(json_t *object)
{
    json_t *list = json_array();
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        json_t *pair = json_pack("{s:s}", "Name", name);

        if (json_is_string(value))
            json_object_set(pair, "Value", value);
        json_array_append_new(list, pair);
    }
    return list;
}

/* Set what says something. value: taken. */
static void set(json_t *object, const char *key, json_t *value)
{
    const bool is_nothing = !value || json_is_null(value) ||
                            (json_is_string(value) && json_string_length(value) == 0) ||
                            (json_is_array(value) && json_array_size(value) == 0);

    if (is_nothing)
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

static const char *status_word(enum cob_history_status status)
{
    static const char *const words[] = {[COB_HISTORY_RUNNING] = "running",
        [COB_HISTORY_COMPLETED] = "completed",
        [COB_HISTORY_ERROR] = "failed",
        [COB_HISTORY_CANCELED] = "canceled"};

    return words[status];
}

static json_t *config_json(const struct cob_history_build *build)
{
    json_t *config = json_object(), *about = build->about;
    const json_t *shm = json_object_get(about, "shm_size");

    set(config, "Network", json_incref(json_object_get(about, "network")));
    set(config, "ExtraHosts", json_incref(json_object_get(about, "extra_hosts")));
    set(config, "CgroupParent", json_incref(json_object_get(about, "cgroup_parent")));
    set(config, "NoCache", json_incref(json_object_get(about, "no_cache")));
    set(config, "NoCacheFilter", json_incref(json_object_get(about, "no_cache_filter")));
    set(config, "Ulimit", json_incref(json_object_get(about, "ulimit")));
    if (json_is_true(json_object_get(about, "pull")))
        json_object_set_new(config, "ImageResolveMode", json_string("pull"));
    if (shm)
        json_object_set_new(
            config, "ShmSize", json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(shm)));
    return config;
}

static json_t *error_json(const struct cob_history_build *build, const char *const *lines)
{
    const struct cob_history_step *step = history_details_failed(build);
    json_t *error = json_pack("{s:i, s:s?}", "Code", build->code, "Message", build->message);
    json_t *logs = json_array();
    g_autofree char *excerpt = history_details_excerpt(build);

    for (; lines && *lines; lines++)
        json_array_append_new(logs, json_string(*lines));
    set(error, "Name", step ? json_string(step->name) : NULL);
    set(error, "Logs", logs);
    if (excerpt) {
        g_autofree char *base64 = g_base64_encode((const guchar *)excerpt, strlen(excerpt));

        json_object_set_new(error, "Sources", json_string(base64));
    }
    return error;
}

static void set_outcome(json_t *object, const struct cob_history_build *build)
{
    const bool is_running = build->status == COB_HISTORY_RUNNING;
    const int64_t end_us = is_running ? g_get_real_time() : build->completed_us;
    g_autofree char *started = history_view_time(build->started_us);
    g_autofree char *completed = history_view_time(build->completed_us);

    json_object_set_new(object, "StartedAt", json_string(started));
    if (!is_running)
        json_object_set_new(object, "CompletedAt", json_string(completed));
    json_object_set_new(
        object, "Duration", json_integer((json_int_t)(end_us - build->started_us) * 1000));
    json_object_set_new(object, "Status", json_string(status_word(build->status)));
    json_object_set_new(object, "NumCompletedSteps", json_integer((json_int_t)build->n_completed));
    json_object_set_new(object, "NumTotalSteps", json_integer((json_int_t)build->n_total));
    json_object_set_new(object, "NumCachedSteps", json_integer((json_int_t)build->n_cached));
}

static json_t *details_json(const struct cob_history_build *build, const char *const *lines)
{
    json_t *object = json_object(), *about = build->about;
    g_autofree char *repository = history_view_repository(build);

    set(object, "Name", json_incref(json_object_get(about, "name")));
    set(object, "Ref", json_string(build->id));
    set(object, "Context", json_incref(json_object_get(about, "context")));
    set(object, "Dockerfile", json_incref(json_object_get(about, "dockerfile")));
    set(object, "VCSRepository", repository ? json_string(repository) : NULL);
    set(object, "Target", json_incref(json_object_get(about, "target")));
    set(object, "Platform", json_incref(json_object_get(about, "platforms")));
    set(object, "NamedContexts", pairs_json(json_object_get(about, "contexts")));
    set_outcome(object, build);
    if (build->code)
        json_object_set_new(object, "Error", error_json(build, lines));
    set(object, "BuildArgs", pairs_json(json_object_get(about, "args")));
    set(object, "Labels", pairs_json(json_object_get(about, "labels")));
    json_object_set_new(object, "Config", config_json(build));
    return object;
}

struct cob_error *history_details_format(GString *out, const struct cob_history_build *build,
    const char *const *lines, const char *format)
{
    json_auto_t *object = details_json(build, lines);

    if (strcmp(format, "json") != 0)
        return rowformat_append_object(out, format, object);
    g_autofree char *text = json_dumps(object, JSON_INDENT(2));
    g_string_append_printf(out, "%s\n", text);
    return NULL;
}
