/* SPDX-License-Identifier: Apache-2.0 */
#include "util/json.h"

#include <stdbool.h>
#include <string.h>

#include "util/limits.h"

/* jansson's own limit is 2048; ours is asked first, on the bytes, so that no recursion is deep. */
static bool is_too_deep(const char *data, size_t len)
{
    size_t depth = 0;
    bool in_text = false;

    for (size_t i = 0; i < len; i++) {
        char c = data[i];

        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '{' || c == '['))
            depth++;
        else if (!in_text && (c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > COB_LIMIT_JSON_DEPTH)
            return true;
    }
    return false;
}

struct cob_error *cob_json_parse(const void *data, size_t len, const char *what, json_t **ret_json)
{
    json_error_t why;

    if (is_too_deep(data, len))
        return cob_fail(COB_INVALID, "parse %s: nested deeper than %d", what, COB_LIMIT_JSON_DEPTH);
    json_t *json = json_loadb(len ? data : "", len, JSON_REJECT_DUPLICATES, &why);
    if (!json)
        return cob_fail(
            COB_INVALID, "parse %s: line %d, column %d: %s", what, why.line, why.column, why.text);
    *ret_json = json;
    return NULL;
}

struct cob_error *cob_json_get_text(const json_t *object, const char *key, const char **ret_text)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_string(value))
        return cob_fail(COB_INVALID, "%s is not a string", key);
    if (value && json_is_string(value) &&
        strlen(json_string_value(value)) != json_string_length(value))
        return cob_fail(COB_INVALID, "%s has a NUL character", key);
    *ret_text = json_string_value(value);
    return NULL;
}

struct cob_error *cob_json_get_container(
    const json_t *object, const char *key, json_type type, json_t **ret_value)
{
    json_t *value = json_object_get(object, key);

    if (json_is_null(value))
        value = NULL;
    if (value && json_typeof(value) != type)
        return cob_fail(
            COB_INVALID, "%s is not an %s", key, type == JSON_ARRAY ? "array" : "object");
    *ret_value = value;
    return NULL;
}

struct cob_error *cob_json_get_size(const json_t *object, const char *key, uint64_t *ret_size)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && (!json_is_integer(value) || json_integer_value(value) < 0))
        return cob_fail(COB_INVALID, "%s is not a whole number from 0 to 2^63-1", key);
    *ret_size = (uint64_t)json_integer_value(value);
    return NULL;
}

GBytes *cob_json_bytes(const json_t *json)
{
    char *text = json_dumps(json, COB_JSON_DUMP);

    g_assert(text != NULL); /* a document in memory has no bad UTF-8: jansson refuses it earlier */
    return g_bytes_new_with_free_func(text, strlen(text), g_free, text);
}
