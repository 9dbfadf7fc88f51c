/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "spec/oci/oci_private.h"
#include "util/digest.h"
#include "util/limits.h"

/* spec: BuildKit cache/remotecache/import.go, type image. */
#define INLINE_CACHE "moby.buildkit.cache.v0"

static void history_free(void *data)
{
    struct cob_oci_history *history = data;

    g_free(history->created);
    g_free(history->created_by);
    g_free(history->author);
    g_free(history->comment);
    g_free(history);
}

static void healthcheck_free(struct cob_oci_healthcheck *healthcheck)
{
    g_strfreev(healthcheck->test);
    g_free(healthcheck);
}

struct cob_oci_config *cob_oci_config_new(void)
{
    struct cob_oci_config *config = g_new(struct cob_oci_config, 1);

    *config = (struct cob_oci_config){
        .diff_ids = g_ptr_array_new_with_free_func(g_free),
        .history = g_ptr_array_new_with_free_func(history_free),
    };
    return config;
}

void cob_oci_config_free(struct cob_oci_config *config)
{
    if (!config)
        return;
    cob_platform_free(config->platform);
    g_clear_pointer(&config->os_features, g_ptr_array_unref);
    g_free(config->created);
    g_free(config->author);
    g_strfreev(config->env);
    g_strfreev(config->entrypoint);
    g_strfreev(config->cmd);
    g_strfreev(config->shell);
    g_strfreev(config->on_build);
    g_free(config->working_dir);
    g_free(config->user);
    g_free(config->stop_signal);
    g_free(config->inline_cache);
    g_clear_pointer(&config->ports, g_ptr_array_unref);
    g_clear_pointer(&config->volumes, g_ptr_array_unref);
    g_clear_pointer(&config->labels, g_hash_table_unref);
    g_clear_pointer(&config->healthcheck, healthcheck_free);
    g_ptr_array_unref(config->diff_ids);
    g_ptr_array_unref(config->history);
    g_free(config);
}

/* ---- reading ---- */

/* An array of texts, ended by NULL; NULL when it is absent. */
static struct cob_error *take_list(const json_t *object, const char *key, char ***ret_list)
{
    json_t *array = NULL;

    COB_TRY(cob_json_get_container(object, key, JSON_ARRAY, &array));
    if (!array)
        return NULL;
    g_auto(GStrv) list = g_new0(char *, json_array_size(array) + 1);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = json_array_get(array, i);
        const char *text = json_string_value(value);

        if (!text || strlen(text) != json_string_length(value))
            return cob_fail(COB_INVALID, "%s[%zu] is not a string", key, i);
        list[i] = g_strdup(text);
    }
    *ret_list = g_steal_pointer(&list);
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*one, *other);
}

/* The keys of an object, sorted; NULL when it is absent. What they hold means nothing. */
static struct cob_error *take_set(const json_t *object, const char *key, GPtrArray **ret_set)
{
    json_t *members = NULL, *value = NULL;
    const char *name = NULL;

    COB_TRY(cob_json_get_container(object, key, JSON_OBJECT, &members));
    if (!members)
        return NULL;
    GPtrArray *set = g_ptr_array_new_with_free_func(g_free);
    json_object_foreach(members, name, value)
    {
        g_ptr_array_add(set, g_strdup(name));
    }
    g_ptr_array_sort(set, by_text);
    *ret_set = set;
    return NULL;
}

static struct cob_error *take_number(const json_t *object, const char *key, int64_t *ret_number)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_integer(value))
        return cob_fail(COB_INVALID, "%s is not a whole number", key);
    *ret_number = json_integer_value(value);
    return NULL;
}

static struct cob_error *take_bool(const json_t *object, const char *key, bool *ret_value)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_boolean(value))
        return cob_fail(COB_INVALID, "%s is neither true nor false", key);
    *ret_value = json_is_true(value);
    return NULL;
}

static struct cob_error *take_healthcheck(const json_t *object, struct cob_oci_config *config)
{
    json_t *members = NULL;

    COB_TRY(cob_json_get_container(object, "Healthcheck", JSON_OBJECT, &members));
    if (!members)
        return NULL;
    config->healthcheck = g_new0(struct cob_oci_healthcheck, 1);
    COB_TRY(take_list(members, "Test", &config->healthcheck->test));
    COB_TRY(take_number(members, "Interval", &config->healthcheck->interval_ns));
    COB_TRY(take_number(members, "Timeout", &config->healthcheck->timeout_ns));
    COB_TRY(take_number(members, "StartPeriod", &config->healthcheck->start_period_ns));
    COB_TRY(take_number(members, "StartInterval", &config->healthcheck->start_interval_ns));
    return take_number(members, "Retries", &config->healthcheck->retries);
}

static struct cob_error *take_run_config(const json_t *object, struct cob_oci_config *config)
{
    COB_TRY(take_list(object, "Env", &config->env));
    COB_TRY(take_list(object, "Entrypoint", &config->entrypoint));
    COB_TRY(take_list(object, "Cmd", &config->cmd));
    COB_TRY(take_list(object, "Shell", &config->shell));
    COB_TRY(take_list(object, "OnBuild", &config->on_build));
    COB_TRY(oci_take_text(object, "WorkingDir", &config->working_dir));
    COB_TRY(oci_take_text(object, "User", &config->user));
    COB_TRY(oci_take_text(object, "StopSignal", &config->stop_signal));
    COB_TRY(take_set(object, "ExposedPorts", &config->ports));
    COB_TRY(take_set(object, "Volumes", &config->volumes));
    COB_TRY(oci_take_map(object, "Labels", &config->labels));
    COB_TRY(take_bool(object, "ArgsEscaped", &config->is_args_escaped));
    return take_healthcheck(object, config);
}

static struct cob_error *take_diff_ids(const json_t *document, struct cob_oci_config *config)
{
    json_t *rootfs = NULL;
    g_auto(GStrv) ids = NULL;

    COB_TRY(cob_json_get_container(document, "rootfs", JSON_OBJECT, &rootfs));
    if (!rootfs)
        return NULL;
    COB_TRY(take_list(rootfs, "diff_ids", &ids));
    if (ids && g_strv_length(ids) > COB_LIMIT_LAYERS)
        return cob_fail(COB_EXHAUSTED, "rootfs has %u layers, more than %d", g_strv_length(ids),
            COB_LIMIT_LAYERS);
    for (size_t i = 0; ids && ids[i]; i++) {
        if (!cob_digest_is_valid(ids[i]))
            return cob_fail(COB_INVALID, "diff_ids[%zu] %.100s is not a digest", i, ids[i]);
        g_ptr_array_add(config->diff_ids, g_strdup(ids[i]));
    }
    return NULL;
}

static struct cob_error *take_history_entry(const json_t *object, struct cob_oci_config *config)
{
    struct cob_oci_history *history = NULL;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "it is not an object");
    history = cob_oci_config_add_history(config, NULL, NULL, NULL);
    COB_TRY(oci_take_text(object, "created", &history->created));
    COB_TRY(oci_take_text(object, "created_by", &history->created_by));
    COB_TRY(oci_take_text(object, "author", &history->author));
    COB_TRY(oci_take_text(object, "comment", &history->comment));
    return take_bool(object, "empty_layer", &history->is_empty_layer);
}

static struct cob_error *take_history(const json_t *document, struct cob_oci_config *config)
{
    json_t *array = NULL;

    COB_TRY(cob_json_get_container(document, "history", JSON_ARRAY, &array));
    if (json_array_size(array) > COB_LIMIT_DESCRIPTORS)
        return cob_fail(COB_EXHAUSTED, "history has %zu entries, more than %d",
            json_array_size(array), COB_LIMIT_DESCRIPTORS);
    for (size_t i = 0; i < json_array_size(array); i++)
        COB_TRY(cob_wrap(take_history_entry(json_array_get(array, i), config), "history[%zu]", i));
    return NULL;
}

static struct cob_error *take_platform(const json_t *document, struct cob_oci_config *config)
{
    const char *os = NULL, *arch = NULL, *variant = NULL, *version = NULL;
    g_auto(GStrv) features = NULL;

    COB_TRY(cob_json_get_text(document, "os", &os));
    COB_TRY(cob_json_get_text(document, "architecture", &arch));
    COB_TRY(cob_json_get_text(document, "variant", &variant));
    COB_TRY(cob_json_get_text(document, "os.version", &version));
    COB_TRY(take_list(document, "os.features", &features));
    if ((os && *os) || (arch && *arch))
        config->platform = cob_platform_new(os ? os : "", arch ? arch : "", variant, version);
    for (size_t i = 0; features && features[i]; i++) {
        if (!config->os_features)
            config->os_features = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(config->os_features, g_strdup(features[i]));
    }
    return NULL;
}

static struct cob_error *fill_config(struct cob_oci_config *config, GBytes *bytes)
{
    size_t len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    json_auto_t *document = NULL;
    json_t *run = NULL;

    if (len > COB_LIMIT_CONFIG_BYTES)
        return cob_fail(COB_EXHAUSTED, "it has %zu bytes, more than %" PRIu64, len,
            (uint64_t)COB_LIMIT_CONFIG_BYTES);
    COB_TRY(cob_json_parse(data, len, "it", &document));
    if (!json_is_object(document))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(take_platform(document, config));
    COB_TRY(oci_take_text(document, "created", &config->created));
    COB_TRY(oci_take_text(document, "author", &config->author));
    COB_TRY(oci_take_text(document, INLINE_CACHE, &config->inline_cache));
    COB_TRY(cob_json_get_container(document, "config", JSON_OBJECT, &run));
    if (run)
        COB_TRY(cob_wrap(take_run_config(run, config), "config"));
    COB_TRY(take_diff_ids(document, config));
    return take_history(document, config);
}

struct cob_error *cob_oci_config_parse(GBytes *bytes, struct cob_oci_config **ret_config)
{
    g_autoptr(cob_oci_config) config = cob_oci_config_new();

    COB_TRY(cob_wrap(fill_config(config, bytes), "image config"));
    *ret_config = g_steal_pointer(&config);
    return NULL;
}

/* ---- writing ---- */

static void put_list(json_t *object, const char *key, char *const *list)
{
    if (!list)
        return;
    json_t *array = json_array();
    for (size_t i = 0; list[i]; i++)
        json_array_append_new(array, oci_text_json(list[i]));
    json_object_set_new(object, key, array);
}

static void put_set(json_t *object, const char *key, const GPtrArray *set)
{
    if (!set)
        return;
    json_t *members = json_object();
    for (unsigned i = 0; i < set->len; i++)
        oci_put(members, g_ptr_array_index(set, i), json_object());
    json_object_set_new(object, key, members);
}

static void put_number(json_t *object, const char *key, int64_t number)
{
    if (number != 0)
        json_object_set_new(object, key, json_integer(number));
}

static json_t *healthcheck_json(const struct cob_oci_healthcheck *healthcheck)
{
    json_t *object = json_object();

    put_list(object, "Test", healthcheck->test);
    put_number(object, "Interval", healthcheck->interval_ns);
    put_number(object, "Timeout", healthcheck->timeout_ns);
    put_number(object, "StartPeriod", healthcheck->start_period_ns);
    put_number(object, "StartInterval", healthcheck->start_interval_ns);
    put_number(object, "Retries", healthcheck->retries);
    return object;
}

static json_t *run_config_json(const struct cob_oci_config *config)
{
    json_t *object = json_object();

    put_list(object, "Env", config->env);
    put_list(object, "Entrypoint", config->entrypoint);
    put_list(object, "Cmd", config->cmd);
    put_list(object, "Shell", config->shell);
    put_list(object, "OnBuild", config->on_build);
    oci_put_text(object, "WorkingDir", config->working_dir);
    oci_put_text(object, "User", config->user);
    oci_put_text(object, "StopSignal", config->stop_signal);
    put_set(object, "ExposedPorts", config->ports);
    put_set(object, "Volumes", config->volumes);
    oci_put_map(object, "Labels", config->labels);
    if (config->is_args_escaped)
        json_object_set_new(object, "ArgsEscaped", json_true());
    if (config->healthcheck)
        json_object_set_new(object, "Healthcheck", healthcheck_json(config->healthcheck));
    return object;
}

static json_t *history_json(const struct cob_oci_config *config)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < config->history->len; i++) {
        const struct cob_oci_history *history = g_ptr_array_index(config->history, i);
        json_t *object = json_object();

        oci_put_text(object, "created", history->created);
        oci_put_text(object, "created_by", history->created_by);
        oci_put_text(object, "author", history->author);
        oci_put_text(object, "comment", history->comment);
        if (history->is_empty_layer)
            json_object_set_new(object, "empty_layer", json_true());
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *rootfs_json(const struct cob_oci_config *config)
{
    json_t *object = json_object(), *ids = json_array();

    for (unsigned i = 0; i < config->diff_ids->len; i++)
        json_array_append_new(ids, oci_text_json(g_ptr_array_index(config->diff_ids, i)));
    oci_put_text(object, "type", "layers");
    json_object_set_new(object, "diff_ids", ids);
    return object;
}

static void put_platform(json_t *document, const struct cob_oci_config *config)
{
    const struct cob_platform *platform = config->platform;

    if (platform) {
        oci_put_text(document, "os", platform->os);
        oci_put_text(document, "architecture", platform->arch);
        if (*platform->variant)
            oci_put_text(document, "variant", platform->variant);
        if (*platform->os_version)
            oci_put_text(document, "os.version", platform->os_version);
    }
    if (!config->os_features)
        return;
    json_t *features = json_array();
    for (unsigned i = 0; i < config->os_features->len; i++)
        json_array_append_new(features, oci_text_json(g_ptr_array_index(config->os_features, i)));
    json_object_set_new(document, "os.features", features);
}

GBytes *cob_oci_config_bytes(const struct cob_oci_config *config)
{
    json_auto_t *document = json_object();

    put_platform(document, config);
    oci_put_text(document, "created", config->created);
    oci_put_text(document, "author", config->author);
    oci_put_text(document, INLINE_CACHE, config->inline_cache);
    json_object_set_new(document, "config", run_config_json(config));
    json_object_set_new(document, "rootfs", rootfs_json(config));
    json_object_set_new(document, "history", history_json(config));
    return cob_json_bytes(document);
}

/* ---- copying ---- */

static void *copy_text(const void *text, void *arg)
{
    (void)arg;
    return g_strdup(text);
}

static GPtrArray *copy_texts(GPtrArray *texts)
{
    if (!texts)
        return NULL;
    GPtrArray *copy = g_ptr_array_copy(texts, copy_text, NULL);
    g_ptr_array_set_free_func(copy, g_free);
    return copy;
}

static struct cob_platform *copy_platform(const struct cob_platform *platform)
{
    return platform ? cob_platform_new(
                          platform->os, platform->arch, platform->variant, platform->os_version)
                    : NULL;
}

static struct cob_oci_healthcheck *copy_healthcheck(const struct cob_oci_healthcheck *healthcheck)
{
    if (!healthcheck)
        return NULL;
    struct cob_oci_healthcheck *copy = g_memdup2(healthcheck, sizeof(*healthcheck));
    copy->test = g_strdupv(healthcheck->test);
    return copy;
}

struct cob_oci_config *cob_oci_config_copy(const struct cob_oci_config *config)
{
    if (!config)
        return NULL;
    struct cob_oci_config *copy = g_new(struct cob_oci_config, 1);
    *copy = (struct cob_oci_config){
        .platform = copy_platform(config->platform),
        .os_features = copy_texts(config->os_features),
        .created = g_strdup(config->created),
        .author = g_strdup(config->author),
        .env = g_strdupv(config->env),
        .entrypoint = g_strdupv(config->entrypoint),
        .cmd = g_strdupv(config->cmd),
        .shell = g_strdupv(config->shell),
        .on_build = g_strdupv(config->on_build),
        .working_dir = g_strdup(config->working_dir),
        .user = g_strdup(config->user),
        .stop_signal = g_strdup(config->stop_signal),
        .inline_cache = g_strdup(config->inline_cache),
        .ports = copy_texts(config->ports),
        .volumes = copy_texts(config->volumes),
        .labels = oci_map_copy(config->labels),
        .is_args_escaped = config->is_args_escaped,
        .healthcheck = copy_healthcheck(config->healthcheck),
        .diff_ids = copy_texts(config->diff_ids),
        .history = g_ptr_array_new_with_free_func(history_free),
    };
    for (unsigned i = 0; i < config->history->len; i++) {
        const struct cob_oci_history *history = g_ptr_array_index(config->history, i);
        struct cob_oci_history *entry = cob_oci_config_add_history(
            copy, history->created, history->created_by, history->comment);

        entry->author = g_strdup(history->author);
        entry->is_empty_layer = history->is_empty_layer;
    }
    return copy;
}

/* ---- changing ---- */

void cob_oci_config_set_env(struct cob_oci_config *config, const char *name, const char *value)
{
    unsigned n = config->env ? g_strv_length(config->env) : 0;
    size_t name_len = strlen(name);
    char *entry = g_strdup_printf("%s=%s", name, value);

    for (unsigned i = 0; i < n; i++) {
        if (strncmp(config->env[i], entry, name_len + 1) != 0)
            continue;
        g_free(config->env[i]);
        config->env[i] = entry;
        return;
    }
    config->env = g_renew(char *, config->env, n + 2);
    config->env[n] = entry;
    config->env[n + 1] = NULL;
}

const char *cob_oci_config_env(const struct cob_oci_config *config, const char *name)
{
    size_t len = strlen(name);
    const char *value = NULL;

    for (size_t i = 0; config->env && config->env[i]; i++)
        if (strncmp(config->env[i], name, len) == 0 && config->env[i][len] == '=')
            value = config->env[i] + len + 1;
    return value;
}

void cob_oci_config_set_label(struct cob_oci_config *config, const char *name, const char *value)
{
    if (!config->labels)
        config->labels = oci_map_new();
    g_hash_table_replace(config->labels, g_strdup(name), g_strdup(value));
}

static void add_to_set(GPtrArray **set, const char *text)
{
    if (!*set)
        *set = g_ptr_array_new_with_free_func(g_free);
    if (g_ptr_array_find_with_equal_func(*set, text, g_str_equal, NULL))
        return;
    g_ptr_array_add(*set, g_strdup(text));
    g_ptr_array_sort(*set, by_text);
}

void cob_oci_config_add_port(struct cob_oci_config *config, const char *port)
{
    add_to_set(&config->ports, port);
}

void cob_oci_config_add_volume(struct cob_oci_config *config, const char *path)
{
    add_to_set(&config->volumes, path);
}

struct cob_oci_history *cob_oci_config_add_history(
    struct cob_oci_config *config, const char *created, const char *created_by, const char *comment)
{
    struct cob_oci_history *history = g_new(struct cob_oci_history, 1);

    *history = (struct cob_oci_history){.created = g_strdup(created),
        .created_by = g_strdup(created_by),
        .comment = g_strdup(comment)};
    g_ptr_array_add(config->history, history);
    return history;
}
