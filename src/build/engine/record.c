/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the history keeps of a request: all that a person would want to see of it again. Values of
 * build arguments whose names say that they are secrets are not kept; secrets are none of it.
 */
#include <inttypes.h>
#include <string.h>

#include "build/engine/engine_private.h"
#include "build/engine/record.h"
#include "lang/llb/llb.h"

static void set_text(json_t *object, const char *key, const char *text)
{
    g_autofree char *valid = text && *text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid)
        json_object_set_new(object, key, json_string(valid));
}

static void set_flag(json_t *object, const char *key, bool is_set)
{
    if (is_set)
        json_object_set_new(object, key, json_true());
}

static void set_list(json_t *object, const char *key, const char *const *list)
{
    json_t *array = json_array();

    for (; list && *list; list++) {
        g_autofree char *valid = g_utf8_make_valid(*list, -1);

        json_array_append_new(array, json_string(valid));
    }
    if (json_array_size(array) > 0)
        json_object_set(object, key, array);
    json_decref(array);
}

/* "NAME=value" each. */
static void set_pairs(json_t *object, const char *key, const char *const *list)
{
    json_t *pairs = json_object();

    for (; list && *list; list++) {
        g_auto(GStrv) pair = g_strsplit(*list, "=", 2);
        g_autofree char *name = g_utf8_make_valid(pair[0] ? pair[0] : "", -1);
        g_autofree char *value = g_utf8_make_valid(pair[0] && pair[1] ? pair[1] : "", -1);

        json_object_set_new(pairs, name, json_string(value));
    }
    if (json_object_size(pairs) > 0)
        json_object_set(object, key, pairs);
    json_decref(pairs);
}

/* name -> value, or null where it is not kept. */
static void set_args(json_t *about, const struct cob_engine_request *request)
{
    json_t *args = json_object();

    for (const char *const *arg = request->build_args; arg && *arg; arg++) {
        g_autofree char *name = g_strndup(*arg, strcspn(*arg, "="));
        g_autofree char *valid_name = g_utf8_make_valid(name, -1);
        const char *value = cob_engine_build_arg(request, name);
        g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;

        if (value)
            json_object_set_new(args, valid_name,
                cob_dockerfile_is_secret_name(name) ? json_null() : json_string(valid));
    }
    if (json_object_size(args) > 0)
        json_object_set(about, "args", args);
    json_decref(args);
}

/* A user and password in a URL are nobody's business. The caller frees it. */
static char *without_password(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme ? scheme + strlen("://") : NULL;
    const char *at = host ? memchr(host, '@', strcspn(host, "/")) : NULL;
    const char *colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;

    if (!colon)
        return g_strdup(url);
    return g_strdup_printf("%.*s:***%s", (int)(colon - url), url, at);
}

/* As buildx calls a build: by its context's last part, or its Dockerfile's; and its target. */
static char *name_of(const struct cob_engine_request *request, const char *dir, const char *context)
{
    const char *given = cob_engine_build_arg(request, "BUILDKIT_BUILD_NAME");
    g_autofree char *base = dir ? g_path_get_basename(dir) : g_strdup(context);
    g_autofree char *file = request->dockerfile ? g_path_get_basename(request->dockerfile) : NULL;
    const bool is_usual = !file || strcmp(file, "Dockerfile") == 0;
    g_autofree char *name = is_usual ? g_strdup(base) : g_strdup_printf("%s/%s", base, file);

    if (given && *given)
        return g_strdup(given);
    return request->target ? g_strdup_printf("%s (%s)", name, request->target)
                           : g_steal_pointer(&name);
}

static void set_limits(json_t *about, const struct cob_engine_request *request)
{
    g_autoptr(GString) limits = g_string_new(NULL);

    for (size_t i = 0; i < request->n_ulimits; i++)
        g_string_append_printf(limits, "%s%s=%" PRId64 ":%" PRId64, i ? "," : "",
            request->ulimits[i].name, request->ulimits[i].soft, request->ulimits[i].hard);
    set_text(about, "ulimit", limits->str);
    if (request->shm_size_bytes > 0)
        json_object_set_new(about, "shm_size", json_integer(request->shm_size_bytes));
    set_text(about, "cgroup_parent", request->cgroup_parent);
    set_text(about, "network", request->network);
    set_list(about, "extra_hosts", request->extra_hosts);
}

json_t *record_about(const struct cob_engine_request *request)
{
    json_t *about = json_object();
    g_autofree char *context = without_password(request->context);
    g_autofree char *here = g_get_current_dir();
    const bool is_dir = g_file_test(request->context, G_FILE_TEST_IS_DIR);
    g_autofree char *dir = is_dir ? g_canonicalize_filename(request->context, here) : NULL;
    g_autofree char *name = name_of(request, dir, context);
    g_autofree char *file = request->dockerfile ? without_password(request->dockerfile) : NULL;

    set_text(about, "name", name);
    set_text(about, "context", dir ? dir : context);
    set_flag(about, "is_dir", is_dir);
    set_text(about, "cwd", here);
    set_text(about, "dockerfile", request->dockerfile_bytes ? "-" : file ? file : "Dockerfile");
    set_text(about, "target", request->target);
    set_list(about, "platforms", request->platforms);
    set_list(about, "tags", request->tags);
    set_pairs(about, "labels", request->labels);
    set_pairs(about, "contexts", request->build_contexts);
    set_args(about, request);
    set_flag(about, "no_cache", request->is_no_cache);
    set_list(about, "no_cache_filter", request->no_cache_stages);
    set_flag(about, "pull", request->is_pulling);
    set_limits(about, request);
    return about;
}

void record_hide(const struct cob_engine_request *request, struct cob_history_writer *writer)
{
    for (const char *const *arg = request->build_args; arg && *arg; arg++) {
        g_autofree char *name = g_strndup(*arg, strcspn(*arg, "="));
        const char *value = cob_engine_build_arg(request, name);

        if (value && cob_dockerfile_is_secret_name(name))
            cob_history_hide(writer, value);
    }
}

json_t *record_result(const struct cob_engine_result *result)
{
    json_t *object = json_object();

    set_text(object, "image_id", result->image_id);
    set_text(object, "names", result->names);
    return object;
}
