/* SPDX-License-Identifier: Apache-2.0 */
#include "util/text.h"

#include <string.h>

/* Marks that turn the direction of text, or break its line: they show what is not there. */
static bool is_deceiving(gunichar c)
{
    return (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
           c == 0x200f || c == 0x061c;
}

void cob_text_append_visible(GString *out, const char *text, size_t len)
{
    const char *end = text + len;

    while (text < end) {
        gunichar c = g_utf8_get_char_validated(text, end - text);
        bool is_char = c != (gunichar)-1 && c != (gunichar)-2; /* not UTF-8; cut short, or NUL */
        bool is_shown = is_char && (c == '\t' || (!g_unichar_iscntrl(c) && !is_deceiving(c)));
        size_t n = is_char ? (size_t)g_utf8_skip[(unsigned char)*text] : 1;

        if (is_shown)
            g_string_append_len(out, text, n);
        for (size_t i = 0; i < n && !is_shown; i++)
            g_string_append_printf(out, "\\x%02x", (unsigned char)text[i]);
        text += n;
    }
}

char *cob_text_visible(const char *text)
{
    GString *out = g_string_new(NULL);

    cob_text_append_visible(out, text, strlen(text));
    return g_string_free(out, FALSE);
}

char *cob_text_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double size = (double)bytes;
    size_t unit = 0;

    while (size >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
        size /= 1000;
        unit++;
    }
    return g_strdup_printf("%.4g%s", size, units[unit]);
}

char *cob_text_duration(int64_t seconds)
{
    const int64_t minutes = seconds / 60, hours = (minutes + 30) / 60;

    if (seconds < 1)
        return g_strdup("Less than a second");
    if (seconds == 1)
        return g_strdup("1 second");
    if (seconds < 60)
        return g_strdup_printf("%d seconds", (int)seconds);
    if (minutes == 1)
        return g_strdup("About a minute");
    if (minutes < 60)
        return g_strdup_printf("%d minutes", (int)minutes);
    if (hours == 1)
        return g_strdup("About an hour");
    if (hours < 48)
        return g_strdup_printf("%d hours", (int)hours);
    if (hours < 24 * 7 * 2)
        return g_strdup_printf("%d days", (int)(hours / 24));
    if (hours < 24 * 30 * 2)
        return g_strdup_printf("%d weeks", (int)(hours / 24 / 7));
    if (hours < 24 * 365 * 2)
        return g_strdup_printf("%d months", (int)(hours / 24 / 30));
    return g_strdup_printf("%d years", (int)(hours / 24 / 365));
}

unsigned cob_text_distance(const char *a, const char *b)
{
    const size_t n = strlen(b), width = n + 1;
    g_autofree unsigned *rows = g_new0(unsigned, 3 * width); /* two above, one above, this one */
    unsigned *above2 = rows, *above = rows + width, *row = rows + 2 * width;

    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned *free_row = above2;

        above2 = above;
        above = row;
        row = free_row;
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            bool is_same = g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 1]);
            unsigned best = MIN(above[j], row[j - 1]) + 1;

            row[j] = MIN(best, above[j - 1] + !is_same);
            if (i > 1 && j > 1 && g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 2]) &&
                g_ascii_tolower(a[i - 2]) == g_ascii_tolower(b[j - 1]))
                row[j] = MIN(row[j], above2[j - 2] + 1);
        }
    }
    return row[n];
}

const char *cob_text_suggest(const char *word, const char *const *known)
{
    const size_t len = strlen(word);
    unsigned best = (unsigned)MAX(len / 3, 1) + 1;
    const char *found = NULL;

    if (len > 100)
        return NULL;
    for (; *known; known++) {
        unsigned distance = cob_text_distance(word, *known);

        if (distance > 0 && distance < best) {
            best = distance;
            found = *known;
        }
    }
    return found;
}

bool cob_text_read_size(const char *text, int64_t *ret_bytes)
{
    static const char units[] = "kmgtp";
    size_t len = strspn(text, ".0123456789");
    g_autofree char *number = g_strndup(text, len);
    g_autofree char *unit = g_ascii_strdown(text + len + (text[len] == ' '), -1);
    char *end = NULL;
    double value = g_ascii_strtod(number, &end);
    const char *letter = *unit ? strchr(units, *unit) : NULL;
    const char *rest = letter ? unit + 1 : unit;

    if (len == 0 || !end || *end)
        return false;
    if (*rest && strcmp(rest, "b") != 0 && (!letter || strcmp(rest, "ib") != 0))
        return false;
    if (letter)
        value *= (double)((uint64_t)1 << (10 * (letter - units + 1)));
    if (value >= 9.2e18)
        return false;
    *ret_bytes = (int64_t)value;
    return true;
}
