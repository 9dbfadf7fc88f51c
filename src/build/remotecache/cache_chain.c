/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/remotecache/remotecache_private.h"
#include "util/limits.h"

void cache_chain_free(struct cob_remotecache_chain *chain)
{
    if (!chain)
        return;
    g_free(chain->layers);
    g_free(chain->id);
    g_free(chain);
}

/* --- a result as a chain of layers --- */

/* The numbers of a result's layers, the lowest first; NULL: there are more than any image has. */
static GArray *numbers_of(
    const struct cache_source *source, const struct cob_cacheconfig_result *result)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));

    if (result->is_chain)
        g_array_append_vals(numbers, result->layers->data, result->layers->len);
    for (int at = result->is_chain ? -1 : g_array_index(result->layers, int, 0); at >= 0;) {
        const struct cob_cacheconfig_layer *layer = g_ptr_array_index(source->config->layers, at);

        g_array_append_val(numbers, at);
        if (numbers->len > COB_LIMIT_LAYERS)
            return NULL;
        at = layer->parent;
    }
    for (guint i = 0; !result->is_chain && i < numbers->len / 2; i++) {
        int *low = &g_array_index(numbers, int, i);
        int *high = &g_array_index(numbers, int, numbers->len - 1 - i);
        const int kept = *low;

        *low = *high;
        *high = kept;
    }
    return numbers->len > COB_LIMIT_LAYERS ? NULL : g_steal_pointer(&numbers);
}

/* Fill in what is known of a layer. False: it cannot be had. */
static bool fill_layer(
    const struct cache_source *source, int number, struct cob_layerchain_layer *ret_layer)
{
    const struct cob_cacheconfig_layer *layer = g_ptr_array_index(source->config->layers, number);
    const struct cache_blob *blob = g_hash_table_lookup(source->blobs, layer->blob);

    if (!blob || !blob->diff_id || blob->size == 0 || blob->size > COB_LIMIT_LAYER_BYTES)
        return false;
    *ret_layer = (struct cob_layerchain_layer){.digest = layer->blob,
        .size = blob->size,
        .media_type = blob->media_type,
        .diff_id = blob->diff_id,
        .created_us = blob->created_us};
    return true;
}

static struct cob_remotecache_chain *make_chain(
    struct cache_source *source, const struct cob_cacheconfig_result *result)
{
    g_autoptr(GArray) numbers = numbers_of(source, result);
    struct cob_remotecache_chain *chain = g_new(struct cob_remotecache_chain, 1);

    *chain = (struct cob_remotecache_chain){.source = source, .created = result->created};
    chain->is_bad = !numbers || numbers->len == 0;
    if (chain->is_bad)
        return chain;
    chain->layers = g_new0(struct cob_layerchain_layer, numbers->len);
    for (guint i = 0; i < numbers->len && !chain->is_bad; i++) {
        chain->is_bad = !fill_layer(source, g_array_index(numbers, int, i), &chain->layers[i]);
        if (!chain->is_bad) {
            char *id = cob_layerchain_id(chain->id, chain->layers[i].diff_id);

            g_free(chain->id);
            chain->id = id;
            chain->n_layers++;
        }
    }
    return chain;
}

/* Times are as Go writes them, in UTC: the later one is the greater text, but for fractions of one
 * second. */
struct cob_remotecache_chain *cache_chain_of(struct cache_source *source, guint record)
{
    const GPtrArray *results =
        ((struct cob_cacheconfig_record *)g_ptr_array_index(source->config->records, record))
            ->results;
    struct cob_remotecache_chain *best = source->chains[record];

    if (best || results->len == 0)
        return best;
    for (guint i = 0; i < results->len; i++) {
        struct cob_remotecache_chain *one = make_chain(source, g_ptr_array_index(results, i));

        if (best &&
            (one->is_bad || (!best->is_bad && g_strcmp0(one->created, best->created) <= 0))) {
            cache_chain_free(one);
            continue;
        }
        cache_chain_free(best);
        best = one;
    }
    source->chains[record] = best;
    return best;
}

const char *cob_remotecache_chain_id(const struct cob_remotecache_chain *chain)
{
    return chain->id;
}

/* --- found --- */

struct cob_error *cob_remotecache_find(struct cob_remotecache *cache, const GArray *records,
    struct cob_remotecache_chain **ret_chain, struct cob_snapshot **ret_snapshot)
{
    *ret_chain = NULL;
    *ret_snapshot = NULL;
    for (guint i = 0; i < records->len; i++) {
        guint record = 0;
        struct cache_source *source =
            cache_source_of(cache, g_array_index(records, guint, i), &record);
        struct cob_remotecache_chain *chain = source ? cache_chain_of(source, record) : NULL;

        if (!chain || g_atomic_int_get(&chain->is_bad))
            continue;
        COB_TRY(cob_snapshot_get_chain(cache->store, chain->id, ret_snapshot));
        if (*ret_snapshot) {
            *ret_chain = chain;
            return NULL;
        }
        if (!*ret_chain)
            *ret_chain = chain;
    }
    return NULL;
}

struct cache_source *cache_find_blob(const struct cob_remotecache *cache, const char *diff_id,
    const char **ret_digest, const struct cache_blob **ret_blob)
{
    for (guint i = 0; cache && diff_id && i < cache->sources->len; i++) {
        struct cache_source *source = g_ptr_array_index(cache->sources, i);
        GHashTableIter iter;
        void *digest, *value;

        g_hash_table_iter_init(&iter, source->blobs);
        while (g_hash_table_iter_next(&iter, &digest, &value)) {
            const struct cache_blob *blob = value;

            if (g_strcmp0(blob->diff_id, diff_id) != 0)
                continue;
            *ret_digest = digest;
            *ret_blob = blob;
            return source;
        }
    }
    return NULL;
}

/* --- fetched --- */

static struct cob_error *get_layer(void *arg, const struct cob_layerchain_layer *layer,
    const struct cob_registry_sink *sink, struct cob_cancel *cancel)
{
    const struct cob_remotecache_chain *chain = arg;

    COB_TRY(cob_cancel_check(cancel));
    return cob_cachebackend_get_blob(chain->source->backend, layer->digest, layer->size, sink);
}

/* A cache that does not keep its word is told of once. */
static void give_up(
    struct cob_remotecache *cache, struct cob_remotecache_chain *chain, const struct cob_error *err)
{
    const struct cache_source *source = chain->source;
    g_autofree char *message = cob_error_message(err);

    g_atomic_int_set(&chain->is_bad, 1);
    if (!g_atomic_int_compare_and_exchange(source->is_warned, 0, 1))
        return;
    g_autofree char *text =
        g_strdup_printf("cache %s: %s: steps that need it run instead", source->place, message);
    cache_warn(cache->observer, source->vertex, text);
}

struct cob_error *cob_remotecache_fetch(struct cob_remotecache *cache,
    struct cob_remotecache_chain *chain, const char *vertex, struct cob_cancel *cancel,
    struct cob_snapshot **ret_snapshot)
{
    g_autofree char *description = g_strdup_printf("from the cache %s", chain->source->place);
    const struct cob_layerchain_request request = {.store = cache->store,
        .layers = chain->layers,
        .n_layers = chain->n_layers,
        .description = description,
        .get = get_layer,
        .arg = chain,
        .observer = cache->observer,
        .vertex = vertex};

    *ret_snapshot = NULL;
    struct cob_error *err = cob_layerchain_bring(&request, cancel, ret_snapshot);
    if (!err)
        return NULL;
    if (cob_cancel_is_set(cancel))
        return err;
    give_up(cache, chain, err);
    cob_error_free(err);
    return NULL;
}
