/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec: BuildKit cache/remotecache/v1/utils.go, sortConfig: the same order by the same marks, and
 *       where those are equal, by the order in which a record was added.
 */
#include <string.h>

#include "spec/cacheconfig/cacheconfig_parts.h"
#include "util/json.h"

/* --- order --- */

/* What is sorted, and where it was. */
struct place {
    const struct cob_cacheconfig *config;
    guint old;
};

static int compare_numbers(gint64 a, gint64 b)
{
    return a < b ? -1 : a > b;
}

static int compare_layers(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    const struct cob_cacheconfig_layer *one = layer_at(left->config, left->old);
    const struct cob_cacheconfig_layer *other = layer_at(right->config, right->old);
    int order = strcmp(one->blob, other->blob);

    return order ? order : compare_numbers(one->parent, other->parent);
}

static int compare_links(const struct cob_cacheconfig *config, const GArray *a, const GArray *b)
{
    if (a->len != b->len)
        return compare_numbers(a->len, b->len);
    for (guint i = 0; i < a->len; i++) {
        const struct cob_cacheconfig_link *one = &g_array_index(a, struct cob_cacheconfig_link, i);
        const struct cob_cacheconfig_link *other =
            &g_array_index(b, struct cob_cacheconfig_link, i);
        int order = strcmp(one->selector, other->selector);

        if (!order)
            order = strcmp(record_at(config, (guint)one->record)->digest,
                record_at(config, (guint)other->record)->digest);
        if (order)
            return order;
    }
    return 0;
}

static int compare_records(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    const struct cob_cacheconfig_record *one = record_at(left->config, left->old);
    const struct cob_cacheconfig_record *other = record_at(right->config, right->old);
    int order = strcmp(one->digest, other->digest);

    if (!order)
        order = compare_numbers(one->inputs->len, other->inputs->len);
    for (guint i = 0; !order && i < one->inputs->len; i++)
        order = compare_links(
            left->config, g_ptr_array_index(one->inputs, i), g_ptr_array_index(other->inputs, i));
    return order ? order : compare_numbers(left->old, right->old);
}

/* The items in their new order.  ret: where each old number went, then; the caller's. */
static int *reorder(const struct cob_cacheconfig *config, GPtrArray *items, GCompareFunc compare)
{
    g_autofree struct place *places = g_new(struct place, items->len + 1);
    g_autofree void **sorted = g_new(void *, items->len + 1);
    int *moved = g_new(int, items->len + 1);

    for (guint i = 0; i < items->len; i++)
        places[i] = (struct place){.config = config, .old = i};
    qsort(places, items->len, sizeof(*places), compare);
    for (guint i = 0; i < items->len; i++) {
        sorted[i] = g_ptr_array_index(items, places[i].old);
        moved[places[i].old] = (int)i;
    }
    for (guint i = 0; i < items->len; i++)
        items->pdata[i] = sorted[i];
    return moved;
}

static int compare_link_numbers(const void *a, const void *b)
{
    const struct cob_cacheconfig_link *one = a, *other = b;
    int order = compare_numbers(one->record, other->record);

    return order ? order : strcmp(one->selector, other->selector);
}

static void move_layers_of(struct cob_cacheconfig_record *record, const int *moved)
{
    for (guint i = 0; i < record->results->len; i++) {
        GArray *layers =
            ((struct cob_cacheconfig_result *)g_ptr_array_index(record->results, i))->layers;

        for (guint j = 0; j < layers->len; j++)
            g_array_index(layers, int, j) = moved[g_array_index(layers, int, j)];
    }
}

static void move_links_of(struct cob_cacheconfig_record *record, const int *moved)
{
    for (guint i = 0; i < record->inputs->len; i++) {
        GArray *links = g_ptr_array_index(record->inputs, i);

        for (guint j = 0; j < links->len; j++) {
            struct cob_cacheconfig_link *link =
                &g_array_index(links, struct cob_cacheconfig_link, j);

            link->record = moved[link->record];
        }
        g_array_sort(links, compare_link_numbers);
    }
}

void cob_cacheconfig_sort(struct cob_cacheconfig *config)
{
    g_autofree int *moved_layers = reorder(config, config->layers, compare_layers);
    g_autofree int *moved_records = reorder(config, config->records, compare_records);

    for (guint i = 0; i < config->layers->len; i++) {
        struct cob_cacheconfig_layer *layer = layer_at(config, i);

        if (layer->parent >= 0)
            layer->parent = moved_layers[layer->parent];
    }
    for (guint i = 0; i < config->records->len; i++) {
        move_layers_of(record_at(config, i), moved_layers);
        move_links_of(record_at(config, i), moved_records);
    }
}

/* --- JSON --- */

/* A time that is not known, as Go writes it. */
#define NO_TIME "0001-01-01T00:00:00Z"

static void put_time(json_t *object, const char *created)
{
    json_object_set_new(object, "createdAt", json_string(created ? created : NO_TIME));
}

static json_t *annotations_json(const struct cob_cacheconfig_layer *layer)
{
    json_t *object = json_pack("{s:s*, s:s, s:I}", "mediaType", layer->media_type, "diffID",
        layer->diff_id, "size", (json_int_t)layer->size);

    put_time(object, layer->created);
    return object;
}

/* A parent that is absent is number 0. */
static json_t *layers_json(const struct cob_cacheconfig *config)
{
    json_t *array = json_array();

    for (guint i = 0; i < config->layers->len; i++) {
        const struct cob_cacheconfig_layer *layer = layer_at(config, i);
        json_t *object = json_pack("{s:s}", "blob", layer->blob);

        if (layer->parent != 0)
            json_object_set_new(object, "parent", json_integer(layer->parent));
        if (layer->diff_id)
            json_object_set_new(object, "annotations", annotations_json(layer));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *result_json(const struct cob_cacheconfig_result *result)
{
    json_t *object = json_object(), *layers = json_array();

    for (guint i = 0; i < result->layers->len; i++)
        json_array_append_new(layers, json_integer(g_array_index(result->layers, int, i)));
    if (result->is_chain) {
        json_object_set_new(object, "layers", layers);
    } else {
        json_object_set(object, "layer", json_array_get(layers, 0));
        json_decref(layers);
    }
    put_time(object, result->created);
    return object;
}

static void put_results(json_t *object, const char *key, const GPtrArray *results, bool is_chain)
{
    json_t *array = json_array();

    for (guint i = 0; i < results->len; i++) {
        const struct cob_cacheconfig_result *result = g_ptr_array_index(results, i);

        if (result->is_chain == is_chain)
            json_array_append_new(array, result_json(result));
    }
    if (json_array_size(array) > 0)
        json_object_set(object, key, array);
    json_decref(array);
}

static json_t *links_json(const GArray *links)
{
    json_t *array = json_array();

    for (guint i = 0; i < links->len; i++) {
        const struct cob_cacheconfig_link *link =
            &g_array_index(links, struct cob_cacheconfig_link, i);
        json_t *object = json_pack("{s:i}", "link", link->record);

        if (*link->selector)
            json_object_set_new(object, "selector", json_string(link->selector));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *record_json(const struct cob_cacheconfig_record *record)
{
    json_t *object = json_pack("{s:s}", "digest", record->digest);

    put_results(object, "layers", record->results, /* is_chain= */ false);
    put_results(object, "chains", record->results, /* is_chain= */ true);
    if (record->inputs->len == 0)
        return object;
    json_t *inputs = json_array();
    for (guint i = 0; i < record->inputs->len; i++)
        json_array_append_new(inputs, links_json(g_ptr_array_index(record->inputs, i)));
    json_object_set_new(object, "inputs", inputs);
    return object;
}

static json_t *records_json(const struct cob_cacheconfig *config)
{
    json_t *array = json_array();

    for (guint i = 0; i < config->records->len; i++)
        json_array_append_new(array, record_json(record_at(config, i)));
    return array;
}

GBytes *cob_cacheconfig_bytes(const struct cob_cacheconfig *config)
{
    json_auto_t *document = json_object();

    if (config->layers->len > 0)
        json_object_set_new(document, "layers", layers_json(config));
    if (config->records->len > 0)
        json_object_set_new(document, "records", records_json(config));
    return cob_json_bytes(document);
}

GBytes *cob_cacheconfig_inline_bytes(const struct cob_cacheconfig *config)
{
    json_auto_t *records = records_json(config);

    return cob_json_bytes(records);
}
