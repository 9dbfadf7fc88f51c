/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/engine_private.h"
#include "util/text.h"

/* --- before the build --- */

/* A mount that is being emptied. */
struct emptying {
    const struct cob_ops_cache_id *name;
    const struct internal_step *step;
};

static void tell_wait(void *arg, const char *holder, unsigned seconds)
{
    const struct emptying *emptying = arg;
    const struct cob_observer *observer = emptying->step->observer;
    g_autofree char *since = seconds ? g_strdup_printf(" (%u s)", seconds) : g_strdup("");
    g_autofree char *text = g_strdup_printf("waiting for cache mount \"%s\", held by %s%s\n",
        emptying->name->id, holder ? holder : "another build", since);
    const struct cob_event_log event = {.vertex = emptying->step->digest,
        .stream = 2,
        .data = text,
        .len = strlen(text),
        .at_us = g_get_real_time()};

    observer->log(observer->arg, &event);
}

static struct cob_error *empty_one(struct cob_cachemount_pool *pool,
    const struct cob_ops_cache_id *name, const struct cob_observer *observer,
    struct cob_cancel *cancel)
{
    g_autofree char *title = g_strdup_printf("[internal] empty cache mount %s", name->id);
    struct internal_step step = cob_engine_step_begin(observer, title);
    struct emptying emptying = {.name = name, .step = &step};
    const struct cob_cachemount_patience patience = {
        .cancel = cancel, .tell = tell_wait, .arg = &emptying};
    const struct cob_cachemount_request request = {
        .namespace = name->namespace, .id = name->id, .user = "a build with --no-cache-mounts"};
    uint64_t freed_bytes = 0;
    struct cob_error *err = cob_cachemount_empty(pool, &request, &patience, &freed_bytes);

    if (!err)
        cob_engine_step_status(&step, "freed", freed_bytes);
    return cob_engine_step_end(&step, err);
}

/* By its id, or with its namespace before it, as LLB has it. */
static bool is_meant(const struct cob_ops_cache_id *name, const char *given)
{
    const size_t len = strlen(name->namespace);

    return strcmp(name->id, given) == 0 ||
           (strncmp(given, name->namespace, len) == 0 && given[len] == '/' &&
               strcmp(given + len + 1, name->id) == 0);
}

static bool is_wanted(const struct cob_engine_request *request, const struct cob_ops_cache_id *name)
{
    const char *const *given = request->no_cache_mounts;

    while (given && *given && !is_meant(name, *given))
        given++;
    return !given || *given;
}

static struct cob_error *fail_unknown(const char *given, const GPtrArray *names)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (guint i = 0; i < names->len; i++) {
        const struct cob_ops_cache_id *name = names->pdata[i];

        g_string_append_printf(known, "%s\"%s\"", i ? ", " : "", name->id);
    }
    if (names->len == 0)
        return cob_fail(
            COB_INVALID, "--no-cache-mounts=%s: no RUN of this build has a cache mount", given);
    return cob_fail(COB_INVALID,
        "--no-cache-mounts=%s: no RUN of this build has a cache mount of that id; there are %s",
        given, known->str);
}

static struct cob_error *check_given(
    const struct cob_engine_request *request, const GPtrArray *names)
{
    for (const char *const *given = request->no_cache_mounts; given && *given; given++) {
        bool is_known = false;

        for (guint i = 0; i < names->len; i++)
            is_known = is_known || is_meant(names->pdata[i], *given);
        if (!is_known)
            return fail_unknown(*given, names);
    }
    return NULL;
}

struct cob_error *cob_engine_empty_cachemounts(struct cob_cachemount_pool *pool,
    const struct cob_engine_request *request, const struct cob_llb_graph *graph,
    const struct cob_observer *observer, struct cob_cancel *cancel)
{
    g_autoptr(GPtrArray) names = cob_ops_cache_ids(graph);

    COB_TRY(check_given(request, names));
    for (guint i = 0; i < names->len; i++) {
        if (is_wanted(request, names->pdata[i]))
            COB_TRY(empty_one(pool, names->pdata[i], observer, cancel));
    }
    return NULL;
}

/* --- after it --- */

static void warn_of_excess(void *arg, const struct cob_cachemount_excess *excess)
{
    const struct cob_observer *observer = arg;
    g_autofree char *size = cob_text_size(excess->size_bytes);
    g_autofree char *quota = cob_text_size(excess->quota_bytes);
    g_autofree char *trimmed = cob_text_size(excess->trimmed_bytes);
    g_autofree char *what =
        excess->n_trimmed
            ? g_strdup_printf("its %" G_GUINT64_FORMAT
                              " least recently used files, %s, were removed",
                  excess->n_trimmed, trimmed)
            : g_strdup(excess->is_in_use ? "another build has it, so nothing was removed"
                                         : "there was nothing to remove");
    g_autofree char *text = g_strdup_printf(
        "cache mount \"%s\" has %s, above its quota of %s: %s", excess->id, size, quota, what);
    const struct cob_event_warning event = {.text = text};

    observer->warning(observer->arg, &event);
}

struct cob_error *cob_engine_settle_cachemounts(
    struct cob_cachemount_pool *pool, const struct cob_observer *observer)
{
    return cob_cachemount_settle(pool, warn_of_excess, (void *)(uintptr_t)observer);
}
