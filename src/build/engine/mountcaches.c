/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache mounts that go along with a build cache: mounts= of --cache-from, before any step runs, and
 * of --cache-to, when all steps have given them back. A build is none the worse for a cache that
 * cannot be had or written: that is a warning, unless it was told otherwise.
 */
#include <string.h>

#include "build/engine/buildcache.h"
#include "build/mountcache/mountcache.h"

static bool has_mounts(const struct cob_cachebackend_options *options)
{
    return options->has_all_mounts || options->mounts;
}

static void tell_line(const struct internal_step *step, const char *text)
{
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    const struct cob_event_log event = {.vertex = step->digest,
        .stream = 2,
        .data = line,
        .len = strlen(line),
        .at_us = g_get_real_time()};

    step->observer->log(step->observer->arg, &event);
}

static void on_note(void *step, const char *text)
{
    tell_line(step, text);
}

/* What was moved, and a line for each mount. */
static void tell_result(const struct internal_step *step,
    const struct cob_mountcache_result *result, enum cob_cachebackend_way way)
{
    for (guint i = 0; i < result->rows->len; i++) {
        g_autofree char *text = cob_mountcache_row_text(result->rows->pdata[i], way);

        tell_line(step, text);
    }
    cob_engine_step_status(step,
        way == COB_CACHEBACKEND_IMPORT ? "fetching packs" : "sending packs", result->moved_bytes);
}

static struct cob_error *go(const struct build_mounts *mounts,
    const struct cob_cachebackend_options *options, const struct cob_mountcache_request *wish,
    const struct internal_step *step)
{
    g_autoptr(cob_cachebackend) backend = NULL;
    g_autoptr(cob_mountcache_result) result = NULL;
    struct cob_mountcache_request request = *wish;

    COB_TRY(cob_cachebackend_open(options, mounts->engine->registry, mounts->cancel, &backend));
    request.backend = backend;
    if (options->way == COB_CACHEBACKEND_IMPORT)
        COB_TRY(cob_mountcache_import_beside(&request, &result));
    else
        COB_TRY(cob_mountcache_export_beside(&request, &result));
    if (result)
        tell_result(step, result, options->way);
    return NULL;
}

/* err: taken.  Returns it when it has to end the build. */
static struct cob_error *warn_unless_asked(const struct internal_step *step,
    const struct cob_cachebackend_options *options, struct cob_error *err)
{
    const bool is_import = options->way == COB_CACHEBACKEND_IMPORT;
    const char *option = is_import ? "--cache-from" : "--cache-to";

    if (!err || cob_error_code(err) == COB_CANCELLED)
        return err;
    if (!is_import && !options->is_ignoring_errors)
        return cob_wrap(err, "%s %s: cache mounts", option, options->text);
    g_autofree char *message = cob_error_message(err);
    g_autofree char *text =
        g_strdup_printf("%s %s: cache mounts: %s", option, options->text, message);
    const struct cob_event_warning event = {.vertex = step->digest, .text = text};

    step->observer->warning(step->observer->arg, &event);
    cob_error_free(err);
    return NULL;
}

/* "mounts=true" of an export means those that the steps of this build name; of an import, whatever
 * was exported with the cache. */
static char **ids_of(
    const struct build_mounts *mounts, const struct cob_cachebackend_options *options)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) ids = g_ptr_array_new();

    if (!options->has_all_mounts || options->way == COB_CACHEBACKEND_IMPORT)
        return g_strdupv(options->mounts);
    names = cob_ops_cache_ids(mounts->graph);
    for (guint i = 0; i < names->len; i++)
        g_ptr_array_add(ids, g_strdup(((const struct cob_ops_cache_id *)names->pdata[i])->id));
    g_ptr_array_add(ids, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&ids), FALSE);
}

static struct cob_error *travel(
    const struct build_mounts *mounts, const struct cob_cachebackend_options *options)
{
    g_auto(GStrv) ids = ids_of(mounts, options);

    if (ids && !ids[0]) /* no step has one */
        return NULL;
    g_autofree char *name = g_strdup_printf("%s cache mounts %s %s",
        options->way == COB_CACHEBACKEND_IMPORT ? "importing" : "exporting",
        options->way == COB_CACHEBACKEND_IMPORT ? "from" : "to", options->text);
    struct internal_step step = cob_engine_step_begin(mounts->observer, name);
    const struct cob_mountcache_request request = {.store = mounts->engine->store,
        .namespace = cob_engine_build_arg(mounts->request, "BUILDKIT_CACHE_MOUNT_NS"),
        .ids = (const char *const *)ids,
        .on_note = on_note,
        .arg = &step,
        .cancel = mounts->cancel};
    struct cob_error *err = go(mounts, options, &request, &step);

    return cob_engine_step_end(&step, warn_unless_asked(&step, options, err));
}

struct cob_error *cob_engine_mounts_travel(
    const struct build_mounts *mounts, const GPtrArray *all_options)
{
    struct cob_error *err = NULL;

    for (guint i = 0; i < all_options->len; i++) {
        const struct cob_cachebackend_options *options = all_options->pdata[i];

        if (!has_mounts(options))
            continue;
        struct cob_error *late = travel(mounts, options);
        if (err)
            cob_error_free(late);
        else
            err = late;
    }
    return err;
}
