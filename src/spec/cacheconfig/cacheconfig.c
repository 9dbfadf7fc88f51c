/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/cacheconfig/cacheconfig.h"

#include <string.h>

#include "spec/cacheconfig/cacheconfig_parts.h"
#include "util/digest.h"

static void layer_free(void *data)
{
    struct cob_cacheconfig_layer *layer = data;

    g_free(layer->blob);
    g_free(layer->media_type);
    g_free(layer->diff_id);
    g_free(layer->created);
    g_free(layer);
}

static void result_free(void *data)
{
    struct cob_cacheconfig_result *result = data;

    g_array_unref(result->layers);
    g_free(result->created);
    g_free(result);
}

static void link_done(void *data)
{
    g_free(((struct cob_cacheconfig_link *)data)->selector);
}

static void record_free(void *data)
{
    struct cob_cacheconfig_record *record = data;

    g_free(record->digest);
    g_ptr_array_unref(record->results);
    g_ptr_array_unref(record->inputs);
    g_free(record);
}

struct cob_cacheconfig *cob_cacheconfig_new(void)
{
    struct cob_cacheconfig *config = g_new(struct cob_cacheconfig, 1);

    *config = (struct cob_cacheconfig){.layers = g_ptr_array_new_with_free_func(layer_free),
        .records = g_ptr_array_new_with_free_func(record_free)};
    return config;
}

void cob_cacheconfig_free(struct cob_cacheconfig *config)
{
    if (!config)
        return;
    g_ptr_array_unref(config->layers);
    g_ptr_array_unref(config->records);
    g_free(config);
}

int cob_cacheconfig_add_layer(struct cob_cacheconfig *config, const char *blob, int parent)
{
    struct cob_cacheconfig_layer *layer = g_new(struct cob_cacheconfig_layer, 1);

    *layer = (struct cob_cacheconfig_layer){.blob = g_strdup(blob), .parent = parent};
    g_ptr_array_add(config->layers, layer);
    return (int)config->layers->len - 1;
}

int cob_cacheconfig_add_record(
    struct cob_cacheconfig *config, const char *digest, unsigned n_inputs)
{
    struct cob_cacheconfig_record *record = g_new(struct cob_cacheconfig_record, 1);

    *record = (struct cob_cacheconfig_record){.digest = g_strdup(digest),
        .results = g_ptr_array_new_with_free_func(result_free),
        .inputs = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref)};
    for (unsigned i = 0; i < n_inputs; i++) {
        GArray *links = g_array_new(FALSE, FALSE, sizeof(struct cob_cacheconfig_link));

        g_array_set_clear_func(links, link_done);
        g_ptr_array_add(record->inputs, links);
    }
    g_ptr_array_add(config->records, record);
    return (int)config->records->len - 1;
}

void cob_cacheconfig_add_link(
    struct cob_cacheconfig *config, int record, unsigned input, const char *selector, int link)
{
    GArray *links = g_ptr_array_index(record_at(config, (guint)record)->inputs, input);

    for (guint i = 0; i < links->len; i++) {
        const struct cob_cacheconfig_link *one =
            &g_array_index(links, struct cob_cacheconfig_link, i);

        if (one->record == link && strcmp(one->selector, selector) == 0)
            return;
    }
    const struct cob_cacheconfig_link added = {.selector = g_strdup(selector), .record = link};
    g_array_append_val(links, added);
}

struct cob_cacheconfig_result *cob_cacheconfig_new_result(
    struct cob_cacheconfig_record *record, bool is_chain, const char *created)
{
    struct cob_cacheconfig_result *result = g_new(struct cob_cacheconfig_result, 1);

    *result = (struct cob_cacheconfig_result){.layers = g_array_new(FALSE, FALSE, sizeof(int)),
        .is_chain = is_chain,
        .created = g_strdup(created)};
    g_ptr_array_add(record->results, result);
    return result;
}

void cob_cacheconfig_add_result(
    struct cob_cacheconfig *config, int record, int layer, const char *created)
{
    struct cob_cacheconfig_result *result = cob_cacheconfig_new_result(
        record_at(config, (guint)record), /* is_chain= */ false, created);

    g_array_append_val(result->layers, layer);
}

char *cob_cacheconfig_record_digest(const char *key, int output)
{
    g_autofree char *text = g_strdup_printf("%s@%d", key, output);

    return cob_digest_of(text, strlen(text));
}
