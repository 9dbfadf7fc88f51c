/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_lex.h"
#include "util/json.h"

static void flag_free(void *data)
{
    struct dockerfile_flag *flag = data;

    g_free(flag->name);
    g_free(flag->value);
    g_free(flag);
}

static void add_flag(GPtrArray *flags, const char *word)
{
    struct dockerfile_flag *flag = g_new(struct dockerfile_flag, 1);
    const char *equals = strchr(word, '=');
    size_t name_len = equals ? (size_t)(equals - word) : strlen(word);

    *flag = (struct dockerfile_flag){
        .name = g_strndup(word + 2, name_len - 2),
        .value = equals ? g_strdup(equals + 1) : NULL,
    };
    g_ptr_array_add(flags, flag);
}

/* Read one word of the flags: quotes and escapes hold it together, and are removed. Returns the
 * place after it.
 * spec: BuildKit parser/split_command.go, extractBuilderFlags. */
static const char *read_flag(const char *at, char escape, GString *word)
{
    char quote = '\0';

    for (; *at && (quote || !dockerfile_is_space(*at)); at++) {
        if (quote && *at == quote) {
            quote = '\0';
        } else if (!quote && (*at == '\'' || *at == '"')) {
            quote = *at;
        } else if (*at == escape) {
            if (!*++at)
                break;
            g_string_append_c(word, *at);
        } else {
            g_string_append_c(word, *at);
        }
    }
    return at;
}

/* Flags stand before the first word that does not begin with "--"; "--" alone ends them. */
static const char *split_flags(const char *at, char escape, GPtrArray *flags)
{
    g_autoptr(GString) word = g_string_new(NULL);

    for (;;) {
        while (dockerfile_is_space(*at))
            at++;
        if (at[0] != '-' || at[1] != '-')
            return at;
        g_string_truncate(word, 0);
        at = read_flag(at, escape, word);
        if (strcmp(word->str, "--") == 0)
            return at;
        add_flag(flags, word->str);
    }
}

void dockerfile_split_line(const char *line, char escape, struct dockerfile_split *ret)
{
    g_autofree char *text = dockerfile_trim(line);
    size_t word_len = strcspn(text, "\t\v\f\r ");

    *ret = (struct dockerfile_split){
        .word = g_strndup(text, word_len),
        .flags = g_ptr_array_new_with_free_func(flag_free),
    };
    ret->rest = dockerfile_trim(split_flags(text + word_len, escape, ret->flags));
}

void dockerfile_split_done(struct dockerfile_split *split)
{
    g_clear_pointer(&split->word, g_free);
    g_clear_pointer(&split->flags, g_ptr_array_unref);
    g_clear_pointer(&split->rest, g_free);
}

/* Read one word of ENV, LABEL or ARG as it stands. An escape at the very end of the line is
 * dropped. Returns the place after it.
 * spec: BuildKit parser/line_parsers.go, parseWords. */
static const char *read_quoted(const char *at, char escape, GString *word)
{
    char quote = '\0';

    for (; *at && (quote || !dockerfile_is_space(*at)); at++) {
        if (*at == escape && quote != '\'') {
            if (!at[1])
                return at + 1;
            g_string_append_c(word, *at++);
        } else if (quote && *at == quote) {
            quote = '\0';
        } else if (!quote && (*at == '\'' || *at == '"')) {
            quote = *at;
        }
        g_string_append_c(word, *at);
    }
    return at;
}

GPtrArray *dockerfile_quoted_words(const char *text, char escape)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) word = g_string_new(NULL);

    while (*text) {
        if (dockerfile_is_space(*text)) {
            text++;
            continue;
        }
        g_string_truncate(word, 0);
        text = read_quoted(text, escape, word);
        if (word->len > 0)
            g_ptr_array_add(words, g_strndup(word->str, word->len));
    }
    return words;
}

GPtrArray *dockerfile_plain_words(const char *text)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    for (;;) {
        while (dockerfile_is_space(*text))
            text++;
        if (!*text)
            return words;
        size_t len = strcspn(text, "\t\n\v\f\r ");
        g_ptr_array_add(words, g_strndup(text, len));
        text += len;
    }
}

struct cob_error *dockerfile_json_words(const char *text, GPtrArray **ret_words)
{
    json_auto_t *array = NULL;
    json_t *item;
    size_t i;

    *ret_words = NULL;
    while (dockerfile_is_space(*text))
        text++;
    if (*text == '[')
        array = json_loads(text, 0, NULL);
    if (!array)
        return NULL;
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return cob_fail(COB_INVALID,
                "when using JSON array syntax, arrays must be comprised of strings only");
        g_ptr_array_add(words, g_strdup(json_string_value(item)));
    }
    *ret_words = g_steal_pointer(&words);
    return NULL;
}

/* Read a field in quotes, from after the first one. Returns the place after the last one, or NULL
 * when there is none. */
static const char *read_csv_quoted(const char *at, GString *field)
{
    for (; *at; at++) {
        if (at[0] == '"' && at[1] != '"')
            return at + 1;
        if (*at == '"')
            at++;
        g_string_append_c(field, *at);
    }
    return NULL;
}

struct cob_error *dockerfile_csv_fields(const char *text, GPtrArray **ret_fields)
{
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
    const char *at = text;

    for (;;) {
        g_autoptr(GString) field = g_string_new(NULL);

        if (*at == '"') {
            at = read_csv_quoted(at + 1, field);
            if (!at || (*at && *at != ','))
                return cob_fail(COB_INVALID, "extraneous or missing \" in quoted-field");
        } else {
            size_t len = strcspn(at, ",");

            g_string_append_len(field, at, (gssize)len);
            if (strchr(field->str, '"'))
                return cob_fail(COB_INVALID, "bare \" in non-quoted-field");
            at += len;
        }
        g_ptr_array_add(fields, g_string_free(g_steal_pointer(&field), FALSE));
        if (*at++ != ',')
            break;
    }
    *ret_fields = g_steal_pointer(&fields);
    return NULL;
}
