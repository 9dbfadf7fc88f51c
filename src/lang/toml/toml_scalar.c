/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "lang/toml/toml_parts.h"
#include "util/text.h"

#define WORD_CHARS G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_+-.:"
#define DECIMAL "0123456789"

/* A number's digits without the underscores, each of which must stand between two of them.
 * ret: NULL when it is not so. The caller frees it. */
static char *plain_digits(const char *text, const char *digits)
{
    g_autoptr(GString) plain = g_string_new(NULL);

    for (const char *at = text; *at; at++) {
        const bool is_between =
            at > text && strchr(digits, at[-1]) && at[1] && strchr(digits, at[1]);

        if (*at == '_' && !is_between)
            return NULL;
        if (*at != '_' && !strchr(digits, *at))
            return NULL;
        if (*at != '_')
            g_string_append_c(plain, *at);
    }
    return plain->len ? g_string_free(g_steal_pointer(&plain), FALSE) : NULL;
}

/* 0x, 0o and 0b have no sign. */
static bool read_based(const char *word, struct cob_toml_value *value)
{
    static const struct {
        const char *prefix, *digits;
        guint base;
    } bases[] = {{"0x", "0123456789abcdefABCDEF", 16}, {"0o", "01234567", 8}, {"0b", "01", 2}};

    for (size_t i = 0; i < G_N_ELEMENTS(bases); i++) {
        guint64 number = 0;

        if (!g_str_has_prefix(word, bases[i].prefix))
            continue;
        g_autofree char *plain = plain_digits(word + 2, bases[i].digits);
        value->type = COB_TOML_INT;
        if (!plain || !g_ascii_string_to_unsigned(
                          plain, bases[i].base, 0, (guint64)G_MAXINT64, &number, NULL))
            return false;
        value->number = (int64_t)number;
        return true;
    }
    return false;
}

static bool read_decimal(const char *word, struct cob_toml_value *value)
{
    const size_t n_sign = word[0] == '+' || word[0] == '-';
    g_autofree char *plain = plain_digits(word + n_sign, DECIMAL);
    gint64 number = 0;

    if (!plain || (plain[0] == '0' && plain[1]))
        return false;
    g_autofree char *text = g_strconcat(word[0] == '-' ? "-" : "", plain, NULL);
    if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL))
        return false;
    value->type = COB_TOML_INT;
    value->number = number;
    return true;
}

static bool read_special(const char *word, struct cob_toml_value *value)
{
    const bool is_negative = word[0] == '-';
    const char *name = word + (word[0] == '+' || word[0] == '-');

    if (strcmp(name, "inf") != 0 && strcmp(name, "nan") != 0)
        return false;
    value->type = COB_TOML_FLOAT;
    value->real = name[0] == 'n' ? NAN : is_negative ? -INFINITY : INFINITY;
    return true;
}

/* Digits; then ".digits", "e[+-]digits", or both. */
static bool read_float(const char *word, struct cob_toml_value *value)
{
    const size_t n_sign = word[0] == '+' || word[0] == '-';
    const size_t n_whole = strspn(word + n_sign, DECIMAL "_");
    const char *at = word + n_sign + n_whole;
    g_autofree char *whole_text = g_strndup(word + n_sign, n_whole);
    g_autofree char *whole = plain_digits(whole_text, DECIMAL);
    g_autofree char *fraction = NULL;
    g_autofree char *power = NULL;
    char sign = '+';

    if (!whole || (whole[0] == '0' && whole[1]) || !*at)
        return false;
    if (*at == '.') {
        g_autofree char *text = g_strndup(at + 1, strspn(at + 1, DECIMAL "_"));

        fraction = plain_digits(text, DECIMAL);
        at += 1 + strlen(text);
        if (!fraction)
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-')
            sign = *at++;
        power = plain_digits(at, DECIMAL);
        if (!power)
            return false;
        at += strlen(at);
    }
    if (*at)
        return false;
    g_autofree char *text = g_strdup_printf("%s%s.%se%c%s", word[0] == '-' ? "-" : "", whole,
        fraction ? fraction : "0", sign, power ? power : "0");
    value->type = COB_TOML_FLOAT;
    value->real = g_ascii_strtod(text, NULL);
    return true;
}

static bool read_bool(const char *word, struct cob_toml_value *value)
{
    value->type = COB_TOML_BOOL;
    value->number = strcmp(word, "true") == 0;
    return value->number || strcmp(word, "false") == 0;
}

static bool is_date(const char *word)
{
    const size_t n = strspn(word, DECIMAL);

    return (n == 4 && word[4] == '-') || (n == 2 && word[2] == ':');
}

struct cob_error *toml_read_scalar(struct toml_reader *reader, struct cob_toml_value *value)
{
    size_t len = 0;

    while (reader->at + len < reader->end && strchr(WORD_CHARS, reader->at[len]))
        len++;
    g_autofree char *word = g_strndup(reader->at, len);
    if (len == 0)
        return toml_fail(reader, "a value is missing");
    if (is_date(word))
        return toml_fail(reader, "dates and times are not read: put \"%s\" in quotes", word);
    if (!read_bool(word, value) && !read_based(word, value) && !read_decimal(word, value) &&
        !read_special(word, value) && !read_float(word, value))
        return toml_fail(
            reader, "\"%s\" is no value: a text needs quotes, and a number up to 64 bits", word);
    reader->at += len;
    return NULL;
}
