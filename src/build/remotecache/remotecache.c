/* SPDX-License-Identifier: Apache-2.0 */
#include "build/remotecache/remotecache.h"

#include <string.h>

#include "build/remotecache/remotecache_private.h"
#include "util/digest.h"

/* --- life --- */

void cache_source_free(struct cache_source *source)
{
    if (!source)
        return;
    const guint n_layers = source->config ? source->config->layers->len : 0;
    const guint n_records = source->config ? source->config->records->len : 0;

    for (guint i = 0; source->chain_ids && i < n_layers; i++)
        g_free(source->chain_ids[i]);
    for (guint i = 0; source->chains && i < n_records; i++)
        cache_chain_free(source->chains[i]);
    g_free(source->chain_ids);
    g_free(source->chains);
    g_clear_pointer(&source->by_digest, g_hash_table_unref);
    g_clear_pointer(&source->blobs, g_hash_table_unref);
    cob_cacheconfig_free(source->config);
    g_free(source);
}

static void import_free(void *data)
{
    struct cache_import *import = data;

    g_ptr_array_unref(import->sources);
    cob_cachebackend_close(import->backend);
    g_free(import->place);
    g_free(import->vertex);
    g_free(import);
}

struct cob_remotecache *cob_remotecache_new(
    struct cob_store *store, struct cob_registry *registry, const struct cob_observer *observer)
{
    struct cob_remotecache *cache = g_new(struct cob_remotecache, 1);

    *cache = (struct cob_remotecache){.store = store,
        .registry = registry,
        .observer = observer,
        .imports = g_ptr_array_new_with_free_func(import_free),
        .sources = g_ptr_array_new()};
    return cache;
}

void cob_remotecache_free(struct cob_remotecache *cache)
{
    if (!cache)
        return;
    g_ptr_array_unref(cache->sources);
    g_ptr_array_unref(cache->imports);
    g_free(cache);
}

/* --- import --- */

char *cache_place(const struct cob_cachebackend_options *options)
{
    switch (options->type) {
    case COB_CACHEBACKEND_LOCAL:
        return g_strconcat("local:", options->folder, NULL);
    case COB_CACHEBACKEND_REGISTRY:
        return cob_ref_text(options->ref);
    case COB_CACHEBACKEND_S3:
        return g_strdup_printf("s3:%s/%s", options->bucket, options->name);
    case COB_CACHEBACKEND_INLINE:
        break;
    }
    return g_strdup("the image");
}

static struct cob_error *open_and_read(struct cache_import *import)
{
    const struct cob_remotecache *cache = import->cache;

    COB_TRY(
        cob_cachebackend_open(import->options, cache->registry, import->cancel, &import->backend));
    return cache_read(import);
}

/* What goes wrong costs a warning, and the build goes on without that cache. */
static void *import_one(void *data)
{
    struct cache_import *import = data;
    const struct cob_observer *observer = import->cache->observer;
    g_autofree char *name = g_strdup_printf("importing cache manifest from %s", import->place);
    const int64_t started_us = g_get_real_time();

    import->vertex = cob_digest_of(name, strlen(name));
    cache_tell_vertex(observer, import->vertex, name, started_us, 0, NULL);
    struct cob_error *err = open_and_read(import);
    if (err && cob_error_code(err) != COB_CANCELLED) {
        g_autofree char *message = cob_error_message(err);
        g_autofree char *text =
            g_strdup_printf("--cache-from %s: %s: it is not used", import->options->text, message);

        g_ptr_array_set_size(import->sources, 0);
        cache_warn(observer, import->vertex, text);
        g_clear_pointer(&err, cob_error_free);
    }
    cache_tell_vertex(observer, import->vertex, name, started_us, g_get_real_time(), err);
    return err;
}

/* Number the records of a source, and find them by their digests. */
static void index_source(struct cob_remotecache *cache, struct cache_source *source)
{
    const GPtrArray *records = source->config->records;

    source->first = cache->n_records;
    source->by_digest =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_array_unref);
    for (guint i = 0; i < records->len; i++) {
        const struct cob_cacheconfig_record *record = g_ptr_array_index(records, i);
        GArray *list = g_hash_table_lookup(source->by_digest, record->digest);

        if (!list) {
            list = g_array_new(FALSE, FALSE, sizeof(guint));
            g_hash_table_insert(source->by_digest, record->digest, list);
        }
        g_array_append_val(list, i);
    }
    source->chain_ids = g_new0(char *, source->config->layers->len + 1);
    source->chains = g_new0(struct cob_remotecache_chain *, records->len + 1);
    cache->n_records += records->len;
    g_ptr_array_add(cache->sources, source);
}

struct cob_error *cob_remotecache_import(struct cob_remotecache *cache,
    const struct cob_cachebackend_options *const *all, size_t n_all, struct cob_cancel *cancel)
{
    g_autofree GThread **threads = g_new0(GThread *, n_all + 1);
    struct cob_error *err = NULL;

    for (size_t i = 0; i < n_all; i++) {
        struct cache_import *import = g_new(struct cache_import, 1);

        *import = (struct cache_import){.cache = cache,
            .options = all[i],
            .place = cache_place(all[i]),
            .cancel = cancel,
            .sources = g_ptr_array_new_with_free_func((GDestroyNotify)cache_source_free)};
        g_ptr_array_add(cache->imports, import);
        threads[i] = g_thread_new("cache-from", import_one, import);
    }
    for (size_t i = 0; i < n_all; i++) {
        struct cob_error *one = g_thread_join(threads[i]);

        if (err)
            cob_error_free(one);
        else
            err = one;
    }
    for (guint i = 0; i < cache->imports->len && !err; i++) {
        const struct cache_import *import = g_ptr_array_index(cache->imports, i);

        for (guint j = 0; j < import->sources->len; j++)
            index_source(cache, g_ptr_array_index(import->sources, j));
    }
    return err;
}

/* --- matching --- */

struct cache_source *cache_source_of(
    const struct cob_remotecache *cache, guint number, guint *ret_record)
{
    for (guint i = cache->sources->len; i-- > 0;) {
        struct cache_source *source = g_ptr_array_index(cache->sources, i);

        if (number < source->first)
            continue;
        *ret_record = number - source->first;
        return *ret_record < source->config->records->len ? source : NULL;
    }
    return NULL;
}

static int compare_numbers(const void *a, const void *b)
{
    const guint *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

/* Is the link's record one that the input was found to be? */
static bool has_number(const GArray *records, guint number)
{
    return records && bsearch(&number, records->data, records->len, sizeof(guint), compare_numbers);
}

/* One input: does an alternative of it hold? Selectors are BuildKit's: cob's ops have the paths
 * that they take in their own digests.
 * files: digest of the record of the files that were taken; NULL: not known. */
static bool holds(const struct cache_source *source, const GArray *links,
    const struct cob_solver_input *input, const char *files)
{
    for (guint i = 0; i < links->len; i++) {
        const struct cob_cacheconfig_link *link =
            &g_array_index(links, struct cob_cacheconfig_link, i);
        const struct cob_cacheconfig_record *on =
            g_ptr_array_index(source->config->records, link->record);

        if (*link->selector)
            continue;
        if (files && on->inputs->len == 0 && strcmp(on->digest, files) == 0)
            return true;
        if (has_number(input->records, source->first + (guint)link->record))
            return true;
    }
    return false;
}

static bool matches(const struct cache_source *source, guint number,
    const struct cob_solver_step *step, char *const *files)
{
    const struct cob_cacheconfig_record *record =
        g_ptr_array_index(source->config->records, number);

    if (record->inputs->len != step->n_inputs)
        return false;
    for (size_t i = 0; i < step->n_inputs; i++) {
        if (!holds(source, g_ptr_array_index(record->inputs, i), &step->inputs[i], files[i]))
            return false;
    }
    return true;
}

GArray *cob_remotecache_match(
    const struct cob_remotecache *cache, const struct cob_solver_step *step)
{
    g_autofree char *digest = cob_cacheconfig_record_digest(step->op, 0);
    g_auto(GStrv) files = g_new0(char *, step->n_inputs + 1);
    g_autofree char **each = g_new0(char *, step->n_inputs + 1); /* files may have gaps */
    GArray *found = NULL;
    size_t n_files = 0;

    for (size_t i = 0; i < step->n_inputs; i++) {
        if (step->inputs[i].content)
            each[i] = files[n_files++] =
                cob_cacheconfig_record_digest(step->inputs[i].content, COB_CACHECONFIG_FILES);
    }
    for (guint i = 0; i < cache->sources->len; i++) {
        const struct cache_source *source = g_ptr_array_index(cache->sources, i);
        const GArray *list = g_hash_table_lookup(source->by_digest, digest);

        for (guint j = 0; list && j < list->len; j++) {
            const guint record = g_array_index(list, guint, j);
            const guint number = source->first + record;

            if (!matches(source, record, step, each))
                continue;
            if (!found)
                found = g_array_new(FALSE, FALSE, sizeof(guint));
            g_array_append_val(found, number);
        }
    }
    return found;
}
