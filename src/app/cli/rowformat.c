/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/rowformat.h"

#include <string.h>

#include "util/json.h"
#include "util/text.h"

static void append_json(GString *out, const struct rowformat_field *fields)
{
    json_auto_t *object = json_object();
    g_autoptr(GBytes) bytes = NULL;
    gsize len = 0;

    for (; fields->name; fields++) {
        g_autofree char *text = g_utf8_make_valid(fields->value, -1);

        json_object_set_new(object, fields->name, json_string(text));
    }
    bytes = cob_json_bytes(object);
    const char *text = g_bytes_get_data(bytes, &len);
    g_string_append_len(out, text, (gssize)len);
}

static struct cob_error *append_field(
    GString *out, const char *name, const struct rowformat_field *fields)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (const struct rowformat_field *field = fields; field->name; field++) {
        if (!strcmp(field->name, name)) {
            g_autofree char *visible = cob_text_visible(field->value);

            g_string_append(out, visible);
            return NULL;
        }
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", field->name);
    }
    return cob_fail(COB_INVALID, "no field .%s; there are %s", name, known->str);
}

/* What stands between "{{" and "}}". */
static struct cob_error *append_action(
    GString *out, const char *action, const struct rowformat_field *fields)
{
    if (!strcmp(action, "json .")) {
        append_json(out, fields);
        return NULL;
    }
    if (action[0] == '.' && action[1] && !action[1 + strspn(action + 1, G_CSET_a_2_z G_CSET_A_2_Z)])
        return append_field(out, action + 1, fields);
    return cob_fail(COB_UNIMPLEMENTED, "{{%s}}: there are {{.FIELD}} and {{json .}}", action);
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

static struct cob_error *append_template(
    GString *out, const char *at, const struct rowformat_field *fields)
{
    while (*at) {
        const char *end = g_str_has_prefix(at, "{{") ? strstr(at, "}}") : NULL;

        if (end) {
            g_autofree char *action = g_strstrip(g_strndup(at + 2, end - at - 2));

            COB_TRY(append_action(out, action, fields));
            at = end + 2;
        } else if (g_str_has_prefix(at, "{{")) {
            return cob_fail(COB_INVALID, "no }} behind %s", at);
        } else {
            at = append_literal(out, at);
        }
    }
    return NULL;
}

struct cob_error *rowformat_append(
    GString *out, const char *format, const struct rowformat_field *fields)
{
    if (!strcmp(format, "json"))
        append_json(out, fields);
    else
        COB_TRY(cob_wrap(append_template(out, format, fields), "--format"));
    g_string_append_c(out, '\n');
    return NULL;
}
