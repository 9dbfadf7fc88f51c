/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_go.h"

#define NS_PER_SECOND INT64_C(1000000000)

bool dockerfile_go_bool(const char *text, bool *ret_value)
{
    static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE", NULL};

    if (g_strv_contains(yes, text))
        *ret_value = true;
    else if (g_strv_contains(no, text))
        *ret_value = false;
    else
        return false;
    return true;
}

/* A unit of time at the start of the text, up to the next number. */
static bool read_unit(const char *text, double *ret_ns, size_t *ret_len)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3}, {"ms", 1e6},
        {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

    *ret_len = strcspn(text, ".0123456789");
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (strlen(units[i].name) == *ret_len && strncmp(units[i].name, text, *ret_len) == 0) {
            *ret_ns = units[i].ns;
            return true;
        }
    }
    return false;
}

static struct cob_error *fail_duration(const char *text)
{
    return cob_fail(COB_INVALID, "time: invalid duration \"%s\"", text);
}

struct cob_error *dockerfile_go_duration(const char *text, int64_t *ret_ns)
{
    const char *at = text + (*text == '-' || *text == '+');
    double sum = 0;

    if (strcmp(at, "0") == 0) {
        *ret_ns = 0;
        return NULL;
    }
    if (!*at)
        return fail_duration(text);
    while (*at) {
        size_t len = strspn(at, ".0123456789");
        g_autofree char *number = g_strndup(at, len);
        char *dot = strchr(number, '.');
        double unit_ns;

        if (len == 0 || strcmp(number, ".") == 0 || (dot && strchr(dot + 1, '.')))
            return fail_duration(text);
        at += len;
        if (!*at)
            return cob_fail(COB_INVALID, "time: missing unit in duration \"%s\"", text);
        if (!read_unit(at, &unit_ns, &len))
            return cob_fail(COB_INVALID, "time: unknown unit \"%.*s\" in duration \"%s\"",
                (int)MIN(len, 100), at, text);
        at += len;
        sum += g_ascii_strtod(number, NULL) * unit_ns;
        if (sum >= 9.2e18)
            return fail_duration(text);
    }
    *ret_ns = (int64_t)(*text == '-' ? -sum - 0.5 : sum + 0.5);
    return NULL;
}

/* A number of units with its fraction, without zeros at its end. */
static void append_fraction(GString *out, uint64_t value, uint64_t unit, const char *name)
{
    uint64_t rest = value % unit;

    g_string_append_printf(out, "%" G_GUINT64_FORMAT, value / unit);
    if (rest > 0) {
        g_string_append_c(out, '.');
        while (rest > 0) {
            unit /= 10;
            g_string_append_c(out, (char)('0' + rest / unit));
            rest %= unit;
        }
    }
    g_string_append(out, name);
}

char *dockerfile_go_duration_text(int64_t ns)
{
    GString *out = g_string_new(ns < 0 ? "-" : NULL);
    uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    const uint64_t minute = 60 * NS_PER_SECOND, hour = 60 * minute;

    if (left == 0)
        g_string_append(out, "0s");
    else if (left < 1000)
        g_string_append_printf(out, "%" G_GUINT64_FORMAT "ns", left);
    else if (left < 1000000)
        append_fraction(out, left, 1000, "\xc2\xb5s");
    else if (left < NS_PER_SECOND)
        append_fraction(out, left, 1000000, "ms");
    else {
        if (left >= hour)
            g_string_append_printf(out, "%" G_GUINT64_FORMAT "h", left / hour);
        if (left >= minute)
            g_string_append_printf(out, "%" G_GUINT64_FORMAT "m", left % hour / minute);
        append_fraction(out, left % minute, NS_PER_SECOND, "s");
    }
    return g_string_free(out, FALSE);
}

static const char *escape_of(unsigned char c)
{
    switch (c) {
    case '\a':
        return "\\a";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\v':
        return "\\v";
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    default:
        return NULL;
    }
}

/* One letter; returns its length. */
static size_t quote_letter(GString *out, const char *at)
{
    const char *escape = escape_of((unsigned char)*at);
    gunichar c = g_utf8_get_char_validated(at, -1);

    if (escape) {
        g_string_append(out, escape);
        return 1;
    }
    if (c >= (gunichar)-2 || c < 0x20 || c == 0x7f) {
        g_string_append_printf(out, "\\x%02x", (unsigned char)*at);
        return 1;
    }
    size_t len = (size_t)g_utf8_skip[(unsigned char)*at];
    if (c == ' ' || g_unichar_isgraph(c))
        g_string_append_len(out, at, (gssize)len);
    else if (c < 0x10000)
        g_string_append_printf(out, "\\u%04x", c);
    else
        g_string_append_printf(out, "\\U%08x", c);
    return len;
}

void dockerfile_go_quote(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    while (*text)
        text += quote_letter(out, text);
    g_string_append_c(out, '"');
}

void dockerfile_go_list(GString *out, char *const *words, bool is_quoted)
{
    g_string_append_c(out, '[');
    for (size_t i = 0; words && words[i]; i++) {
        if (i > 0)
            g_string_append_c(out, ' ');
        if (is_quoted)
            dockerfile_go_quote(out, words[i]);
        else
            g_string_append(out, words[i]);
    }
    g_string_append_c(out, ']');
}
