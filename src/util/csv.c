/* SPDX-License-Identifier: Apache-2.0 */
#include "util/csv.h"

#include <string.h>

#include "util/text.h"

/* One field of CSV from *at: "a,b" is one, "" in quotes is a quote.
 * ret_field: the caller's. */
static struct cob_error *next_field(const char **at, char **ret_field)
{
    g_autoptr(GString) field = g_string_new(NULL);
    const char *from = *at;
    bool is_quoted = *from == '"';

    if (!is_quoted) {
        size_t len = strcspn(from, ",");

        if (memchr(from, '"', len))
            return cob_fail(COB_INVALID, "a quote in the middle of a field");
        *ret_field = g_strndup(from, len);
        *at = from + len + (from[len] == ',');
        return NULL;
    }
    for (from++; *from && !(from[0] == '"' && from[1] != '"'); from++) {
        from += from[0] == '"';
        g_string_append_c(field, *from);
    }
    if (*from != '"' || (from[1] && from[1] != ','))
        return cob_fail(COB_INVALID, "a quote that does not end");
    *at = from + 1 + (from[1] == ',');
    *ret_field = g_strdup(field->str);
    return NULL;
}

struct cob_error *cob_csv_split(const char *text, GPtrArray *fields)
{
    bool ends_in_comma = g_str_has_suffix(text, ",");

    while (*text) {
        char *field = NULL;

        COB_TRY(next_field(&text, &field));
        g_ptr_array_add(fields, field);
    }
    if (ends_in_comma)
        g_ptr_array_add(fields, g_strdup(""));
    return NULL;
}

void cob_csv_append(GString *line, const char *field)
{
    if (line->len > 0)
        g_string_append_c(line, ',');
    if (!strpbrk(field, ",\"")) {
        g_string_append(line, field);
        return;
    }
    g_string_append_c(line, '"');
    for (const char *at = field; *at; at++) {
        if (*at == '"')
            g_string_append_c(line, '"');
        g_string_append_c(line, *at);
    }
    g_string_append_c(line, '"');
}

struct cob_error *cob_csv_read_flag(const char *key, const char *value, bool *ret_flag)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};

    if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
        return cob_fail(COB_INVALID, "%s=%s: neither true nor false", key, value);
    *ret_flag = g_strv_contains(yes, value);
    return NULL;
}

struct cob_error *cob_csv_unknown(const char *what, const char *word, const char *const *known)
{
    const char *meant = cob_text_suggest(word, known);
    g_autofree char *all = g_strjoinv(", ", (char **)(uintptr_t)known);

    if (meant)
        return cob_fail(COB_INVALID, "unknown %s %s: did you mean %s?", what, word, meant);
    return cob_fail(COB_INVALID, "unknown %s %s; there is: %s", what, word, all);
}
