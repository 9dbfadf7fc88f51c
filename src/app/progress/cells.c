/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress/cells.h"

#include <stdbool.h>

#define TAB_COLUMNS 8
#define BYTES_PER_COLUMN 16 /* combining marks take no column, but must not come without end */

static int width_of(gunichar c)
{
    if (g_unichar_iszerowidth(c))
        return 0;
    return g_unichar_iswide(c) ? 2 : 1;
}

int cells_width(const char *text)
{
    int columns = 0;

    for (; *text; text += g_utf8_skip[(unsigned char)*text])
        columns += width_of(g_utf8_get_char(text));
    return columns;
}

/* Append one character if it fits. */
static bool put(GString *out, gunichar c, int *columns, int max_columns)
{
    int width = width_of(c);

    if (*columns + width > max_columns)
        return false;
    g_string_append_unichar(out, c);
    *columns += width;
    return true;
}

int cells_append(GString *out, const char *text, int columns)
{
    const gsize max_len = out->len + (gsize)MAX(columns, 0) * BYTES_PER_COLUMN;
    int used = 0;

    for (; *text && out->len < max_len; text += g_utf8_skip[(unsigned char)*text]) {
        if (!put(out, g_utf8_get_char(text), &used, columns))
            break;
    }
    return used;
}

/* The character at `at`; U+FFFD, of one byte, where there is none. */
static gunichar char_at(const char *at, const char *end, int *ret_len)
{
    gunichar c = *at ? g_utf8_get_char_validated(at, end - at) : 0;

    if (c == (gunichar)-1 || c == (gunichar)-2) {
        *ret_len = 1;
        return 0xfffd;
    }
    *ret_len = g_utf8_skip[(unsigned char)*at];
    return c;
}

/* Pass over a CSI sequence, from behind its introducer: parameters, then one final byte. */
static const char *skip_csi(const char *at, const char *end)
{
    while (at < end && *at >= 0x20 && *at <= 0x3f)
        at++;
    return at < end && *at >= 0x40 ? at + 1 : at;
}

/* Pass over OSC, DCS and their like: all up to BEL or ST. */
static const char *skip_string(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at == '\a')
            return at + 1;
        if (*at == '\033')
            return at + 1 < end && at[1] == '\\' ? at + 2 : at;
    }
    return at;
}

/* Pass over an escape sequence, from behind its ESC. */
static const char *skip_escape(const char *at, const char *end)
{
    if (at == end)
        return at;
    switch (*at) {
    case '[':
        return skip_csi(at + 1, end);
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        return skip_string(at + 1, end);
    default:
        while (at < end && *at >= 0x20 && *at <= 0x2f)
            at++;
        return at < end && *at >= 0x30 ? at + 1 : at;
    }
}

/* Pass over what a C1 control, written as a character, begins. */
static const char *skip_c1(gunichar c, const char *at, const char *end)
{
    if (c == 0x9b)
        return skip_csi(at, end);
    return c == 0x90 || c == 0x98 || c >= 0x9d ? skip_string(at, end) : at;
}

/* Marks that turn the direction of text, and so show what is not there. */
static bool is_bidi(gunichar c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
           c == 0x200f || c == 0x061c;
}

int cells_append_raw(GString *out, const char *bytes, size_t len, int columns)
{
    const char *const end = bytes + len;
    const gsize max_len = out->len + (gsize)MAX(columns, 0) * BYTES_PER_COLUMN;
    int used = 0;

    while (bytes < end && used < columns && out->len < max_len) {
        int n = 0;
        gunichar c = char_at(bytes, end, &n);

        bytes += n;
        if (c == '\033') {
            bytes = skip_escape(bytes, end);
        } else if (c >= 0x80 && c <= 0x9f) {
            bytes = skip_c1(c, bytes, end);
        } else if (c == '\t') {
            int stop = MIN((used / TAB_COLUMNS + 1) * TAB_COLUMNS, columns);

            while (used < stop)
                put(out, ' ', &used, columns);
        } else if (!g_unichar_iscntrl(c) && !is_bidi(c) && !put(out, c, &used, columns)) {
            break;
        }
    }
    return used;
}
