/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/rowformat.h"

#include <string.h>

#include "util/json.h"
#include "util/text.h"

/* The fields of a row as a document. The caller unrefs it. */
static json_t *object_of(const struct rowformat_field *fields)
{
    json_t *object = json_object();

    for (; fields->name; fields++) {
        g_autofree char *text = g_utf8_make_valid(fields->value, -1);

        json_object_set_new(object, fields->name, json_string(text));
    }
    return object;
}

static void append_json(GString *out, const json_t *json)
{
    g_autofree char *text = json_dumps(json, COB_JSON_DUMP);

    g_string_append(out, text);
}

/* A text as it is, anything else as JSON. */
static void append_value(GString *out, const json_t *value)
{
    g_autofree char *visible = NULL;

    if (!json_is_string(value)) {
        append_json(out, value);
        return;
    }
    visible = cob_text_visible(json_string_value(value));
    g_string_append(out, visible);
}

static struct cob_error *find_field(const json_t *object, const char *name, json_t **ret_value)
{
    g_autoptr(GString) known = g_string_new(NULL);
    const char *key;
    json_t *value;

    *ret_value = json_object_get(object, name);
    if (*ret_value)
        return NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", key);
    return cob_fail(COB_INVALID, "no field .%s; there are %s", name, known->str);
}

static bool is_field(const char *text)
{
    return text[0] == '.' && text[1] && !text[1 + strspn(text + 1, G_CSET_a_2_z G_CSET_A_2_Z)];
}

/* What stands between "{{" and "}}". */
static struct cob_error *append_action(GString *out, const char *action, const json_t *object)
{
    const char *of = g_str_has_prefix(action, "json ") ? action + strlen("json ") : NULL;
    json_t *value = NULL;

    if (of && !strcmp(of, ".")) {
        append_json(out, object);
    } else if (of && is_field(of)) {
        COB_TRY(find_field(object, of + 1, &value));
        append_json(out, value);
    } else if (is_field(action)) {
        COB_TRY(find_field(object, action + 1, &value));
        append_value(out, value);
    } else {
        return cob_fail(COB_UNIMPLEMENTED,
            "{{%s}}: there are {{.FIELD}}, {{json .FIELD}} and {{json .}}", action);
    }
    return NULL;
}

/* "\t" and "\n" are written out, since a shell does not do it. */
static const char *append_literal(GString *out, const char *at)
{
    if (at[0] == '\\' && (at[1] == 't' || at[1] == 'n')) {
        g_string_append_c(out, at[1] == 't' ? '\t' : '\n');
        return at + 2;
    }
    g_string_append_c(out, *at);
    return at + 1;
}

static struct cob_error *append_template(GString *out, const char *at, const json_t *object)
{
    while (*at) {
        const char *end = g_str_has_prefix(at, "{{") ? strstr(at, "}}") : NULL;

        if (end) {
            g_autofree char *action = g_strstrip(g_strndup(at + 2, end - at - 2));

            COB_TRY(append_action(out, action, object));
            at = end + 2;
        } else if (g_str_has_prefix(at, "{{")) {
            return cob_fail(COB_INVALID, "no }} behind %s", at);
        } else {
            at = append_literal(out, at);
        }
    }
    return NULL;
}

struct cob_error *rowformat_append_object(GString *out, const char *format, const json_t *object)
{
    if (!strcmp(format, "json"))
        append_json(out, object);
    else
        COB_TRY(cob_wrap(append_template(out, format, object), "--format"));
    g_string_append_c(out, '\n');
    return NULL;
}

struct cob_error *rowformat_append(
    GString *out, const char *format, const struct rowformat_field *fields)
{
    json_auto_t *object = object_of(fields);

    return rowformat_append_object(out, format, object);
}
