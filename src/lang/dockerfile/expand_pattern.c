/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_expand.h"

/* Steps of one search: a pattern of n parts over m letters takes up to n * m from one place. */
#define MAX_STEPS ((size_t)1 << 26)

#define ANY_LETTER ((gunichar)-1) /* ? */
#define ANY_TEXT ((gunichar)-2)   /* * */

/* Text as letters. A byte that is not UTF-8 is a letter beyond Unicode. */
#define NOT_UNICODE 0x110000u

struct letters {
    GArray *chars;   /* gunichar */
    GArray *offsets; /* size_t: where each begins, and the end of the last */
};

/* A search runs all ways to match at once: state[i] says that the first i parts are matched. It
 * cannot go back, so its time is known. */
struct search {
    const gunichar *parts;
    size_t n_parts;
    bool *state; /* n_parts + 1 */
    size_t steps;
};

static void letters_of(const char *text, struct letters *letters)
{
    size_t at = 0;

    *letters = (struct letters){
        .chars = g_array_new(FALSE, FALSE, sizeof(gunichar)),
        .offsets = g_array_new(FALSE, FALSE, sizeof(size_t)),
    };
    while (text[at]) {
        gunichar c = g_utf8_get_char_validated(text + at, -1);
        bool is_valid = c < (gunichar)-2;

        if (!is_valid)
            c = NOT_UNICODE + (unsigned char)text[at];
        g_array_append_val(letters->chars, c);
        g_array_append_val(letters->offsets, at);
        at += is_valid ? (size_t)g_utf8_skip[(unsigned char)text[at]] : 1;
    }
    g_array_append_val(letters->offsets, at);
}

static void letters_clear(struct letters *letters)
{
    g_clear_pointer(&letters->chars, g_array_unref);
    g_clear_pointer(&letters->offsets, g_array_unref);
}

static size_t offset_of(const struct letters *letters, size_t index)
{
    return g_array_index(letters->offsets, size_t, index);
}

/* The parts of a pattern. An escape before } or / was for the braces around, and is not part of
 * it.
 * spec: BuildKit shell/lex.go, convertShellPatternToRegex. */
static struct cob_error *parse_pattern(const char *pattern, GArray **ret_parts)
{
    struct letters letters;
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(gunichar));
    gunichar bad = 0;

    letters_of(pattern, &letters);
    for (guint i = 0; i < letters.chars->len && !bad; i++) {
        gunichar c = g_array_index(letters.chars, gunichar, i);

        if (c == '*' || c == '?') {
            c = c == '*' ? ANY_TEXT : ANY_LETTER;
        } else if (c == '\\') {
            c = ++i < letters.chars->len ? g_array_index(letters.chars, gunichar, i) : ' ';
            if (c >= 0x80 || !strchr("*?\\}/", (int)c))
                bad = c;
        }
        g_array_append_val(parts, c);
    }
    letters_clear(&letters);
    if (bad) {
        char text[7] = {0};

        g_unichar_to_utf8(MIN(bad, 0x10ffff), text);
        return cob_fail(COB_INVALID, "invalid pattern (%s) in substitution: invalid escape '\\%s'",
            pattern, text);
    }
    *ret_parts = g_steal_pointer(&parts);
    return NULL;
}

/* A star may match nothing. */
static void pass_stars(struct search *search)
{
    for (size_t i = 0; i < search->n_parts; i++) {
        if (search->state[i] && search->parts[i] == ANY_TEXT)
            search->state[i + 1] = true;
    }
}

/* Take one letter; false when no way to match is left. */
static bool take_letter(struct search *search, gunichar c)
{
    bool is_alive = false;

    for (size_t i = search->n_parts + 1; i-- > 0;) {
        bool stays = i < search->n_parts && search->parts[i] == ANY_TEXT && c != '\n';
        bool comes =
            i > 0 && search->state[i - 1] &&
            (search->parts[i - 1] == c || (search->parts[i - 1] == ANY_LETTER && c != '\n'));

        search->state[i] = (search->state[i] && stays) || comes;
        is_alive = is_alive || search->state[i];
    }
    pass_stars(search);
    search->steps += search->n_parts + 1;
    return is_alive;
}

/* Match from the letter `from` on, forwards or (step -1) backwards.
 * ret_len: in letters; -1: no match. */
static struct cob_error *match(struct search *search, const GArray *chars, guint from,
    bool is_backwards, bool is_longest, gssize *ret_len)
{
    guint n = is_backwards ? from : chars->len - from;
    gssize found = -1;

    memset(search->state, 0, search->n_parts + 1);
    search->state[0] = true;
    pass_stars(search);
    for (guint i = 0;; i++) {
        if (search->state[search->n_parts])
            found = i;
        if (i == n || (found >= 0 && !is_longest))
            break;
        guint at = is_backwards ? from - 1 - i : from + i;
        if (!take_letter(search, g_array_index(chars, gunichar, at)))
            break;
        if (search->steps > MAX_STEPS)
            return cob_fail(COB_EXHAUSTED, "the pattern takes too long to match");
    }
    *ret_len = found;
    return NULL;
}

static void reverse(GArray *parts)
{
    for (guint i = 0, j = parts->len; i + 1 < j; i++) {
        gunichar *a = &g_array_index(parts, gunichar, i);
        gunichar *b = &g_array_index(parts, gunichar, --j);
        gunichar c = *a;

        *a = *b;
        *b = c;
    }
}

struct cob_error *dockerfile_pattern_trim(enum dockerfile_trim_end end, bool is_longest,
    const char *pattern, const char *value, char **ret_text)
{
    bool is_suffix = end == DOCKERFILE_TRIM_SUFFIX;
    g_autoptr(GArray) parts = NULL;
    struct letters letters;
    gssize len = -1;

    COB_TRY(parse_pattern(pattern, &parts));
    if (is_suffix)
        reverse(parts);
    g_autofree bool *state = g_new(bool, parts->len + 1);
    struct search search = {(const gunichar *)(void *)parts->data, parts->len, state, 0};
    letters_of(value, &letters);
    guint n = letters.chars->len;
    struct cob_error *err =
        match(&search, letters.chars, is_suffix ? n : 0, is_suffix, is_longest, &len);
    guint cut = len > 0 ? (guint)len : 0;
    size_t from = offset_of(&letters, is_suffix ? 0 : cut);
    size_t to = offset_of(&letters, is_suffix ? n - cut : n);
    letters_clear(&letters);
    if (err)
        return err;
    *ret_text = g_strndup(value + from, to - from);
    return NULL;
}

/* Where the next match begins and how long it is; *ret_len is -1 when there is none. */
static struct cob_error *find(
    struct search *search, const struct letters *letters, guint *from, gssize *ret_len)
{
    gssize len = -1;

    for (;; ++*from) {
        COB_TRY(match(search, letters->chars, *from, /* is_backwards= */ false,
            /* is_longest= */ true, &len));
        if (len >= 0 || *from == letters->chars->len)
            break;
    }
    *ret_len = len;
    return NULL;
}

static struct cob_error *replace(struct search *search, const struct letters *letters,
    const char *value, const char *replacement, bool is_everywhere, size_t max_bytes, GString *out)
{
    guint from = 0, copied = 0;
    bool is_first = true;
    gssize len;

    for (; from <= letters->chars->len; from += len > 0 ? (guint)len : 1) {
        COB_TRY(find(search, letters, &from, &len));
        if (len < 0 || (!is_first && !is_everywhere))
            break;
        if (len == 0 && !is_first && from == copied) /* nothing, right after a match: as in Go */
            continue;
        size_t start = offset_of(letters, copied);
        g_string_append_len(out, value + start, (gssize)(offset_of(letters, from) - start));
        g_string_append(out, replacement);
        copied = from + (guint)len;
        is_first = false;
        if (out->len > max_bytes)
            return cob_fail(COB_EXHAUSTED, "it grows past %zu bytes", max_bytes);
    }
    g_string_append(out, value + offset_of(letters, copied));
    return NULL;
}

struct cob_error *dockerfile_pattern_replace(bool is_everywhere, const char *pattern,
    const char *value, const char *replacement, size_t max_bytes, char **ret_text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GArray) parts = NULL;
    struct letters letters;

    COB_TRY(parse_pattern(pattern, &parts));
    g_autofree bool *state = g_new(bool, parts->len + 1);
    struct search search = {(const gunichar *)(void *)parts->data, parts->len, state, 0};
    letters_of(value, &letters);
    struct cob_error *err =
        replace(&search, &letters, value, replacement, is_everywhere, max_bytes, out);
    letters_clear(&letters);
    if (err)
        return err;
    *ret_text = g_string_free(g_steal_pointer(&out), FALSE);
    return NULL;
}
