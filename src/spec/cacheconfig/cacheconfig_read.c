/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "spec/cacheconfig/cacheconfig_parts.h"
#include "util/digest.h"
#include "util/json.h"
#include "util/limits.h"

/* The parts of a config that was read, counted: all of them together have one limit, so that few
 * bytes cannot ask for much work. */
struct reading {
    struct cob_cacheconfig *config;
    uint64_t n_parts;
};

static struct cob_error *count(struct reading *reading, size_t n)
{
    reading->n_parts += n;
    if (reading->n_parts > COB_LIMIT_CACHECONFIG_PARTS)
        return cob_fail(COB_EXHAUSTED, "it has more than %d layers, records and links",
            COB_LIMIT_CACHECONFIG_PARTS);
    return NULL;
}

/* A whole number of an object, or a default where it is absent. */
static struct cob_error *get_index(const json_t *object, const char *key, int absent, int *ret)
{
    const json_t *value = json_object_get(object, key);

    *ret = absent;
    if (!value)
        return NULL;
    if (!json_is_integer(value) || json_integer_value(value) < -1 ||
        json_integer_value(value) > INT32_MAX)
        return cob_fail(COB_INVALID, "%s is not a number in its bounds", key);
    *ret = (int)json_integer_value(value);
    return NULL;
}

static struct cob_error *get_digest(const json_t *object, const char *key, const char **ret_digest)
{
    COB_TRY(cob_json_get_text(object, key, ret_digest));
    if (!*ret_digest || !cob_digest_is_valid(*ret_digest))
        return cob_fail(
            COB_INVALID, "%s %.100s is not a digest", key, *ret_digest ? *ret_digest : "(none)");
    return NULL;
}

/* A time as it is written; nothing computes with it, so its letters are all that is looked at. */
static struct cob_error *get_time(const json_t *object, const char **ret_time)
{
    COB_TRY(cob_json_get_text(object, "createdAt", ret_time));
    if (*ret_time && strspn(*ret_time, "0123456789-+:.TZ") != strlen(*ret_time))
        return cob_fail(COB_INVALID, "createdAt is not a time");
    return NULL;
}

/* --- layers --- */

static struct cob_error *read_annotations(const json_t *object, struct cob_cacheconfig_layer *layer)
{
    json_t *annotations = NULL;
    const char *media_type = NULL, *diff_id = NULL, *created = NULL;

    COB_TRY(cob_json_get_container(object, "annotations", JSON_OBJECT, &annotations));
    if (!annotations)
        return NULL;
    COB_TRY(cob_json_get_text(annotations, "mediaType", &media_type));
    COB_TRY(get_digest(annotations, "diffID", &diff_id));
    COB_TRY(cob_json_get_size(annotations, "size", &layer->size));
    COB_TRY(get_time(annotations, &created));
    layer->media_type = g_strdup(media_type);
    layer->diff_id = g_strdup(diff_id);
    layer->created = g_strdup(created);
    return NULL;
}

static struct cob_error *read_layer(const json_t *object, struct cob_cacheconfig *config)
{
    const char *blob = NULL;
    int parent = 0;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(get_digest(object, "blob", &blob));
    COB_TRY(get_index(object, "parent", 0, &parent));
    cob_cacheconfig_add_layer(config, blob, parent);
    return read_annotations(object, layer_at(config, config->layers->len - 1));
}

/* Every layer leads to one without a parent. A layer that was found to do so has its number in
 * `seen`; one on the way has that of the layer it began with. */
static struct cob_error *check_layers(const struct cob_cacheconfig *config)
{
    const guint n = config->layers->len;
    g_autofree guint *seen = g_new0(guint, n + 1);

    for (guint i = 0; i < n; i++) {
        for (int at = (int)i; at >= 0 && !seen[at]; at = layer_at(config, (guint)at)->parent) {
            const int parent = layer_at(config, (guint)at)->parent;

            seen[at] = i + 1;
            if (parent >= (int)n)
                return cob_fail(COB_INVALID,
                    "layers[%d] has the parent %d, and there is none of "
                    "that number",
                    at, parent);
            if (parent >= 0 && seen[parent] == i + 1)
                return cob_fail(COB_INVALID, "layers[%d] is below itself", parent);
        }
    }
    return NULL;
}

static struct cob_error *read_layers(struct reading *reading, const json_t *document)
{
    json_t *array = NULL;

    COB_TRY(cob_json_get_container(document, "layers", JSON_ARRAY, &array));
    COB_TRY(count(reading, json_array_size(array)));
    for (size_t i = 0; i < json_array_size(array); i++)
        COB_TRY(cob_wrap(read_layer(json_array_get(array, i), reading->config), "layers[%zu]", i));
    return check_layers(reading->config);
}

/* --- records --- */

static struct cob_error *add_layer(
    const struct reading *reading, struct cob_cacheconfig_result *result, int layer)
{
    if (layer < 0 || layer >= (int)reading->config->layers->len)
        return cob_fail(COB_INVALID, "there is no layer %d", layer);
    g_array_append_val(result->layers, layer);
    return NULL;
}

static struct cob_error *read_result(
    const struct reading *reading, const json_t *object, struct cob_cacheconfig_record *record)
{
    const char *created = NULL;
    int layer = 0;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "a result is not an object");
    COB_TRY(get_time(object, &created));
    COB_TRY(get_index(object, "layer", 0, &layer));
    return add_layer(
        reading, cob_cacheconfig_new_result(record, /* is_chain= */ false, created), layer);
}

static struct cob_error *read_chain(
    struct reading *reading, const json_t *object, struct cob_cacheconfig_record *record)
{
    json_t *array = NULL;
    const char *created = NULL;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "a chain is not an object");
    COB_TRY(get_time(object, &created));
    COB_TRY(cob_json_get_container(object, "layers", JSON_ARRAY, &array));
    COB_TRY(count(reading, json_array_size(array)));
    struct cob_cacheconfig_result *result =
        cob_cacheconfig_new_result(record, /* is_chain= */ true, created);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *number = json_array_get(array, i);

        if (!json_is_integer(number) || json_integer_value(number) > INT32_MAX ||
            json_integer_value(number) < 0)
            return cob_fail(COB_INVALID, "a chain has something else than layers");
        COB_TRY(add_layer(reading, result, (int)json_integer_value(number)));
    }
    return NULL;
}

static struct cob_error *read_results(
    struct reading *reading, const json_t *object, struct cob_cacheconfig_record *record)
{
    json_t *results = NULL, *chains = NULL;

    COB_TRY(cob_json_get_container(object, "layers", JSON_ARRAY, &results));
    COB_TRY(cob_json_get_container(object, "chains", JSON_ARRAY, &chains));
    COB_TRY(count(reading, json_array_size(results) + json_array_size(chains)));
    for (size_t i = 0; i < json_array_size(results); i++)
        COB_TRY(read_result(reading, json_array_get(results, i), record));
    for (size_t i = 0; i < json_array_size(chains); i++)
        COB_TRY(read_chain(reading, json_array_get(chains, i), record));
    return NULL;
}

static struct cob_error *read_link(const json_t *object, size_t n_records, GArray *links)
{
    const char *selector = NULL;
    int number = 0;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "a link is not an object");
    COB_TRY(cob_json_get_text(object, "selector", &selector));
    COB_TRY(get_index(object, "link", 0, &number));
    if (number < 0 || (size_t)number >= n_records)
        return cob_fail(COB_INVALID, "there is no record %d", number);
    const struct cob_cacheconfig_link link = {
        .selector = g_strdup(selector ? selector : ""), .record = number};
    g_array_append_val(links, link);
    return NULL;
}

static struct cob_error *read_inputs(struct reading *reading, const json_t *array, size_t n_records,
    const struct cob_cacheconfig_record *record)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *links = json_array_get(array, i);

        if (json_array_size(links) == 0)
            return cob_fail(COB_INVALID, "inputs[%zu] is empty", i);
        COB_TRY(count(reading, json_array_size(links)));
        for (size_t j = 0; j < json_array_size(links); j++)
            COB_TRY(read_link(
                json_array_get(links, j), n_records, g_ptr_array_index(record->inputs, i)));
    }
    return NULL;
}

static struct cob_error *read_record(
    struct reading *reading, const json_t *object, size_t n_records)
{
    const char *digest = NULL;
    json_t *inputs = NULL;

    if (!json_is_object(object))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(get_digest(object, "digest", &digest));
    COB_TRY(cob_json_get_container(object, "inputs", JSON_ARRAY, &inputs));
    COB_TRY(count(reading, json_array_size(inputs)));
    int number =
        cob_cacheconfig_add_record(reading->config, digest, (unsigned)json_array_size(inputs));
    struct cob_cacheconfig_record *record = record_at(reading->config, (guint)number);
    COB_TRY(read_results(reading, object, record));
    return read_inputs(reading, inputs, n_records, record);
}

/* --- no circles --- */

/* Take away, again and again, what nothing that is left stands on: what cannot be taken is a
 * circle. Iterative, since a chain of records may be of any length. */
static void count_users(const struct cob_cacheconfig *config, guint *n_users)
{
    for (guint i = 0; i < config->records->len; i++) {
        const GPtrArray *inputs = record_at(config, i)->inputs;

        for (guint j = 0; j < inputs->len; j++) {
            const GArray *links = g_ptr_array_index(inputs, j);

            for (guint k = 0; k < links->len; k++)
                n_users[g_array_index(links, struct cob_cacheconfig_link, k).record]++;
        }
    }
}

static void take_away(
    const struct cob_cacheconfig *config, guint number, guint *n_users, GArray *free_ones)
{
    const GPtrArray *inputs = record_at(config, number)->inputs;

    for (guint j = 0; j < inputs->len; j++) {
        const GArray *links = g_ptr_array_index(inputs, j);

        for (guint k = 0; k < links->len; k++) {
            guint link = (guint)g_array_index(links, struct cob_cacheconfig_link, k).record;

            if (--n_users[link] == 0)
                g_array_append_val(free_ones, link);
        }
    }
}

static struct cob_error *check_records(const struct cob_cacheconfig *config)
{
    const guint n = config->records->len;
    g_autofree guint *n_users = g_new0(guint, n + 1);
    g_autoptr(GArray) free_ones = g_array_new(FALSE, FALSE, sizeof(guint));

    count_users(config, n_users);
    for (guint i = 0; i < n; i++)
        if (n_users[i] == 0)
            g_array_append_val(free_ones, i);
    for (guint at = 0; at < free_ones->len; at++)
        take_away(config, g_array_index(free_ones, guint, at), n_users, free_ones);
    if (free_ones->len < n)
        return cob_fail(COB_INVALID, "its records go in a circle");
    return NULL;
}

static struct cob_error *read_records(struct reading *reading, const json_t *array)
{
    COB_TRY(count(reading, json_array_size(array)));
    for (size_t i = 0; i < json_array_size(array); i++)
        COB_TRY(cob_wrap(read_record(reading, json_array_get(array, i), json_array_size(array)),
            "records[%zu]", i));
    return check_records(reading->config);
}

/* --- documents --- */

static struct cob_error *parse_json(GBytes *bytes, json_t **ret_json)
{
    size_t len = 0;
    const void *data = g_bytes_get_data(bytes, &len);

    if (len > COB_LIMIT_CACHECONFIG_BYTES)
        return cob_fail(COB_EXHAUSTED, "it has %zu bytes, more than %" PRIu64, len,
            (uint64_t)COB_LIMIT_CACHECONFIG_BYTES);
    return cob_json_parse(data ? data : "", len, "it", ret_json);
}

static struct cob_error *read_config(struct reading *reading, GBytes *bytes)
{
    json_auto_t *document = NULL;
    json_t *records = NULL;

    COB_TRY(parse_json(bytes, &document));
    if (!json_is_object(document))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(read_layers(reading, document));
    COB_TRY(cob_json_get_container(document, "records", JSON_ARRAY, &records));
    return read_records(reading, records);
}

struct cob_error *cob_cacheconfig_parse(GBytes *bytes, struct cob_cacheconfig **ret_config)
{
    g_autoptr(cob_cacheconfig) config = cob_cacheconfig_new();
    struct reading reading = {.config = config};

    COB_TRY(cob_wrap(read_config(&reading, bytes), "cache config"));
    *ret_config = g_steal_pointer(&config);
    return NULL;
}

static struct cob_error *read_inline(struct reading *reading, GBytes *bytes)
{
    json_auto_t *records = NULL;

    COB_TRY(parse_json(bytes, &records));
    if (!json_is_array(records))
        return cob_fail(COB_INVALID, "it is not a list");
    return read_records(reading, records);
}

struct cob_error *cob_cacheconfig_parse_inline(
    GBytes *bytes, const char *const *blobs, size_t n_blobs, struct cob_cacheconfig **ret_config)
{
    g_autoptr(cob_cacheconfig) config = cob_cacheconfig_new();
    struct reading reading = {.config = config};

    for (size_t i = 0; i < n_blobs; i++)
        cob_cacheconfig_add_layer(config, blobs[i], (int)i - 1);
    COB_TRY(cob_wrap(read_inline(&reading, bytes), "inline cache"));
    *ret_config = g_steal_pointer(&config);
    return NULL;
}
