/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/toml/toml_parts.h"

/* "basic" and 'literal' strings, on one line or between three quotes. */
struct quotes {
    char mark;
    bool is_long;
    bool has_escapes;
};

static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isxdigit(text[i]))
            return false;
    }
    return true;
}

/* Behind "\u" or "\U". */
static struct cob_error *read_unicode(struct toml_reader *reader, size_t n_digits, GString *out)
{
    guint64 code = 0;

    if ((size_t)(reader->end - reader->at) < n_digits || !is_hex(reader->at, n_digits))
        return toml_fail(reader, "\\%c needs %zu hex digits", n_digits == 4 ? 'u' : 'U', n_digits);
    g_autofree char *digits = g_strndup(reader->at, n_digits);
    g_ascii_string_to_unsigned(digits, 16, 0, G_MAXUINT32, &code, NULL);
    if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return toml_fail(reader, "\\%c%s is no character", n_digits == 4 ? 'u' : 'U', digits);
    g_string_append_unichar(out, (gunichar)code);
    reader->at += n_digits;
    return NULL;
}

static bool is_newline(const struct toml_reader *reader)
{
    return toml_sees(reader, "\n") || toml_sees(reader, "\r\n");
}

static void skip_newline(struct toml_reader *reader)
{
    reader->at += *reader->at == '\r' ? 2 : 1;
    reader->line++;
}

/* A backslash at a line's end takes all white space behind it away.  ret: false: it is none. */
static bool skip_fold(struct toml_reader *reader)
{
    const char *at = reader->at;

    while (at < reader->end && (*at == ' ' || *at == '\t'))
        at++;
    if (at >= reader->end || (*at != '\n' && *at != '\r'))
        return false;
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at)) {
        reader->line += *reader->at == '\n';
        reader->at++;
    }
    return true;
}

/* Behind the backslash. */
static struct cob_error *read_escape(
    struct toml_reader *reader, const struct quotes *quotes, GString *out)
{
    static const char letters[] = "btnfr\"\\", meanings[] = "\b\t\n\f\r\"\\";
    const char letter = toml_peek(reader);
    const char *found = letter ? strchr(letters, letter) : NULL;

    if (quotes->is_long && skip_fold(reader))
        return NULL;
    if (found) {
        g_string_append_c(out, meanings[found - letters]);
        reader->at++;
        return NULL;
    }
    if (letter != 'u' && letter != 'U')
        return toml_fail(reader, "a backslash followed by none of b t n f r \" \\ u U");
    reader->at++;
    return read_unicode(reader, letter == 'u' ? 4 : 8, out);
}

/* Three quotes end a long string; of up to five, the first two belong to it. */
static bool is_end(const struct toml_reader *reader, const struct quotes *quotes)
{
    const char three[] = {quotes->mark, quotes->mark, quotes->mark, '\0'};

    if (!quotes->is_long)
        return toml_peek(reader) == quotes->mark;
    return toml_sees(reader, three) &&
           !(reader->at + 3 < reader->end && reader->at[3] == quotes->mark);
}

static struct cob_error *read_one(
    struct toml_reader *reader, const struct quotes *quotes, GString *out)
{
    const char next = toml_peek(reader);

    if (next == '\\' && quotes->has_escapes) {
        reader->at++;
        return read_escape(reader, quotes, out);
    }
    if (is_newline(reader) && quotes->is_long) {
        skip_newline(reader);
        g_string_append_c(out, '\n');
        return NULL;
    }
    if (is_newline(reader) || next == '\0')
        return toml_fail(reader, "a string without its closing %c", quotes->mark);
    if (((unsigned char)next < ' ' && next != '\t') || next == 0x7f)
        return toml_fail(reader, "a control character in a string");
    g_string_append_c(out, next);
    reader->at++;
    return NULL;
}

struct cob_error *toml_read_text(struct toml_reader *reader, bool is_key, char **ret_text)
{
    const char mark = toml_peek(reader);
    const char three[] = {mark, mark, mark, '\0'};
    const struct quotes quotes = {mark, !is_key && toml_sees(reader, three), mark == '"'};
    g_autoptr(GString) out = g_string_new(NULL);

    reader->at += quotes.is_long ? 3 : 1;
    if (quotes.is_long && is_newline(reader))
        skip_newline(reader);
    while (!is_end(reader, &quotes))
        COB_TRY(read_one(reader, &quotes, out));
    reader->at += quotes.is_long ? 3 : 1;
    *ret_text = g_string_free(g_steal_pointer(&out), FALSE);
    return NULL;
}
