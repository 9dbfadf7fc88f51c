/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_expand.h"
#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_lex.h"
#include "util/limits.h"

/* A text on its way through. */
struct reader {
    const struct dockerfile_expander *expander;
    const char *at;
    bool keeps_escapes; /* patterns keep theirs, whatever the expander's flags say */
    unsigned depth;     /* of ${...} */
};

/* The words so far. What came from a quote does not end one. */
struct words {
    GPtrArray *list;
    GString *word;
};

static size_t max_bytes_of(const struct reader *reader)
{
    return reader->expander->max_bytes ? reader->expander->max_bytes : COB_LIMIT_WORD_BYTES;
}

static void end_word(struct words *words)
{
    if (words->word->len > 0)
        g_ptr_array_add(words->list, g_strndup(words->word->str, words->word->len));
    g_string_truncate(words->word, 0);
}

static void add_to_words(struct words *words, const char *text, size_t len, bool is_quoted)
{
    if (!words)
        return;
    for (size_t i = 0; i < len; i++) {
        if (!is_quoted && dockerfile_is_space(text[i]))
            end_word(words);
        else
            g_string_append_c(words->word, text[i]);
    }
}

/* The length of the name of a variable: a word, digits, or one of the shell's special signs. */
static size_t name_len(const char *at)
{
    size_t n = 0;

    if (g_ascii_isdigit(*at))
        return strspn(at, "0123456789");
    if (*at && strchr("@*#?-$!", *at))
        return 1;
    while (at[n]) {
        gunichar c = g_utf8_get_char_validated(at + n, -1);

        if (c != '_' && (c >= (gunichar)-2 || !g_unichar_isalnum(c)))
            break;
        n += (size_t)g_utf8_skip[(unsigned char)at[n]];
    }
    return n;
}

static const char *look_up(const struct reader *reader, const char *name)
{
    const struct dockerfile_expander *expander = reader->expander;
    const char *value = expander->env.get ? expander->env.get(expander->env.arg, name) : NULL;

    GPtrArray *names = value ? expander->matched : expander->unmatched;

    if (names)
        g_ptr_array_add(names, g_strdup(name));
    return value;
}

static bool keeps_unset(const struct reader *reader)
{
    return (reader->expander->flags & DOCKERFILE_EXPAND_KEEP_UNSET) != 0;
}

static struct cob_error *expand_until(
    struct reader *reader, char stop, GString *out, struct words *words);

/* The word of a ${v:-word}, up to its brace or slash. */
static struct cob_error *expand_inner(
    struct reader *reader, char stop, bool keeps_escapes, GString *out)
{
    bool before = reader->keeps_escapes;

    reader->keeps_escapes = keeps_escapes;
    struct cob_error *err = expand_until(reader, stop, out, NULL);
    reader->keeps_escapes = before;
    if (err && !*reader->at && cob_error_code(err) == COB_INVALID) {
        cob_error_free(err);
        return stop == '/' ? cob_fail(COB_INVALID, "syntax error: missing '/' in ${}")
                           : cob_fail(COB_INVALID, "syntax error: missing '}'");
    }
    return err;
}

static struct cob_error *substitute_default(const char *name, char how, bool null_is_unset,
    const char *value, const char *word, GString *out)
{
    bool is_there = value && !(null_is_unset && *value == '\0');

    switch (how) {
    case '-':
        g_string_append(out, is_there ? value : word);
        return NULL;
    case '+':
        g_string_append(out, is_there ? word : "");
        return NULL;
    default:
        break;
    }
    if (is_there) {
        g_string_append(out, value);
        return NULL;
    }
    return cob_fail(COB_INVALID, "%s: %s", name,
        *word   ? word
        : value ? "is not allowed to be empty"
                : "is not allowed to be unset");
}

static struct cob_error *substitute_trimmed(
    char how, const char *value, const char *pattern, GString *out)
{
    enum dockerfile_trim_end end = how == '#' ? DOCKERFILE_TRIM_PREFIX : DOCKERFILE_TRIM_SUFFIX;
    bool is_longest = *pattern == how;
    g_autofree char *text = NULL;

    COB_TRY(
        dockerfile_pattern_trim(end, is_longest, pattern + is_longest, value ? value : "", &text));
    g_string_append(out, text);
    return NULL;
}

/* From after the name of ${name...}, when a modifier follows. */
static struct cob_error *expand_modifier(struct reader *reader, const char *name, GString *out)
{
    bool null_is_unset = *reader->at == ':';
    const char *start = reader->at;
    g_autoptr(GString) word = g_string_new(NULL);

    if (null_is_unset)
        reader->at++;
    char how = *reader->at;
    bool is_trim = how == '#' || how == '%';
    if (!how)
        return cob_fail(COB_INVALID, "syntax error: missing '}'");
    reader->at = start + null_is_unset + g_utf8_skip[(unsigned char)how];
    g_autofree char *modifier = g_strndup(start, (size_t)(reader->at - start));
    if (!strchr("-+?#%", how) || (is_trim && null_is_unset))
        return cob_fail(COB_INVALID, "unsupported modifier (%s) in substitution", modifier);

    COB_TRY(expand_inner(reader, '}', is_trim, word));
    const char *value = look_up(reader, name);
    if (!value && keeps_unset(reader)) {
        g_string_append_printf(out, "${%s%s%s}", name, modifier, word->str);
        return NULL;
    }
    if (is_trim)
        return substitute_trimmed(how, value, word->str, out);
    return substitute_default(name, how, null_is_unset, value, word->str, out);
}

/* From after the name of ${name/pattern/replacement}. */
static struct cob_error *expand_replacement(struct reader *reader, const char *name, GString *out)
{
    g_autoptr(GString) pattern = g_string_new(NULL);
    g_autoptr(GString) replacement = g_string_new(NULL);
    g_autofree char *text = NULL;
    bool is_everywhere = *++reader->at == '/';

    if (is_everywhere)
        reader->at++;
    COB_TRY(expand_inner(reader, '/', /* keeps_escapes= */ true, pattern));
    COB_TRY(expand_inner(reader, '}', /* keeps_escapes= */ true, replacement));
    const char *value = look_up(reader, name);
    if (!value && keeps_unset(reader)) {
        g_string_append_printf(out, "${%s/%s/%s}", name, pattern->str, replacement->str);
        return NULL;
    }
    COB_TRY(dockerfile_pattern_replace(is_everywhere, pattern->str, value ? value : "",
        replacement->str, max_bytes_of(reader), &text));
    g_string_append(out, text);
    return NULL;
}

/* From after the "${". */
static struct cob_error *expand_braces(struct reader *reader, GString *out)
{
    if (!*reader->at)
        return cob_fail(COB_INVALID, "syntax error: missing '}'");
    if (strchr("{}:", *reader->at))
        return cob_fail(COB_INVALID, "syntax error: bad substitution");

    size_t len = name_len(reader->at);
    g_autofree char *name = g_strndup(reader->at, len);
    reader->at += len;
    if (*reader->at == '/')
        return expand_replacement(reader, name, out);
    if (*reader->at != '}')
        return expand_modifier(reader, name, out);
    reader->at++;
    const char *value = look_up(reader, name);
    if (!value && keeps_unset(reader))
        g_string_append_printf(out, "${%s}", name);
    else
        g_string_append(out, value ? value : "");
    return NULL;
}

static struct cob_error *expand_dollar(struct reader *reader, GString *out)
{
    if (*++reader->at == '{') {
        reader->at++;
        if (++reader->depth > COB_LIMIT_EXPAND_DEPTH)
            return cob_fail(COB_EXHAUSTED, "${...} nested deeper than %d", COB_LIMIT_EXPAND_DEPTH);
        COB_TRY(expand_braces(reader, out));
        reader->depth--;
        return NULL;
    }
    size_t len = name_len(reader->at);
    g_autofree char *name = g_strndup(reader->at, len);
    reader->at += len;
    const char *value = len > 0 ? look_up(reader, name) : NULL;
    if (len == 0 || (!value && keeps_unset(reader)))
        g_string_append_printf(out, "$%s", name);
    else
        g_string_append(out, value ? value : "");
    return NULL;
}

static struct cob_error *expand_single_quote(struct reader *reader, GString *out)
{
    bool is_kept = (reader->expander->flags & DOCKERFILE_EXPAND_KEEP_QUOTES) != 0;
    size_t len = strcspn(reader->at + 1, "'");

    if (!reader->at[1 + len])
        return cob_fail(
            COB_INVALID, "unexpected end of statement while looking for matching single-quote");
    g_string_append_len(out, reader->at + !is_kept, (gssize)(len + 2 * is_kept));
    reader->at += len + 2;
    return NULL;
}

static struct cob_error *expand_double_quote(struct reader *reader, GString *out)
{
    bool is_kept = (reader->expander->flags & DOCKERFILE_EXPAND_KEEP_QUOTES) != 0;
    const char escape = reader->expander->escape;

    if (is_kept)
        g_string_append_c(out, '"');
    for (reader->at++; *reader->at != '"';) {
        char next = *reader->at ? reader->at[1] : '\0';

        if (!*reader->at)
            return cob_fail(
                COB_INVALID, "unexpected end of statement while looking for matching double-quote");
        if (*reader->at == '$') {
            COB_TRY(expand_dollar(reader, out));
            continue;
        }
        if (*reader->at == escape && (next == '"' || next == '$' || next == escape)) {
            if (reader->keeps_escapes)
                g_string_append_c(out, escape);
            reader->at++;
        }
        g_string_append_c(out, *reader->at++);
    }
    reader->at++;
    if (is_kept)
        g_string_append_c(out, '"');
    return NULL;
}

/* "<<" and the white space after it stay together, so that "<< EOF" is one word. */
static void expand_less_than(struct reader *reader, GString *out)
{
    size_t len = reader->at[1] == '<' ? 2 + strspn(reader->at + 2, "\t\r ") : 1;

    g_string_append_len(out, reader->at, (gssize)len);
    reader->at += len;
}

static struct cob_error *expand_special(struct reader *reader, GString *out)
{
    switch (*reader->at) {
    case '$':
        return expand_dollar(reader, out);
    case '\'':
        return expand_single_quote(reader, out);
    case '"':
        return expand_double_quote(reader, out);
    default:
        expand_less_than(reader, out);
        return NULL;
    }
}

static struct cob_error *expand_until(
    struct reader *reader, char stop, GString *out, struct words *words)
{
    bool has_quotes = !(reader->expander->flags & DOCKERFILE_EXPAND_NO_QUOTES);

    while (*reader->at && (!stop || *reader->at != stop)) {
        char first = *reader->at;
        size_t before = out->len;
        bool is_quoted = first != '$';

        if (first == '$' || first == '<' || (has_quotes && (first == '\'' || first == '"'))) {
            COB_TRY(expand_special(reader, out));
        } else if (first == reader->expander->escape) {
            if (reader->keeps_escapes)
                g_string_append_c(out, first);
            if (*++reader->at)
                g_string_append_c(out, *reader->at++);
        } else {
            g_string_append_c(out, *reader->at++);
            is_quoted = false;
        }
        if (out->len > max_bytes_of(reader))
            return cob_fail(COB_EXHAUSTED, "it grows past %zu bytes", max_bytes_of(reader));
        add_to_words(words, out->str + before, out->len - before, is_quoted);
    }
    if (!stop)
        return NULL;
    if (!*reader->at)
        return cob_fail(
            COB_INVALID, "unexpected end of statement while looking for matching %c", stop);
    reader->at++;
    return NULL;
}

static struct cob_error *expand_all(
    const struct dockerfile_expander *expander, const char *text, GString *out, struct words *words)
{
    struct reader reader = {
        .expander = expander,
        .at = text,
        .keeps_escapes = (expander->flags & DOCKERFILE_EXPAND_KEEP_ESCAPES) != 0,
    };
    struct cob_error *err = expand_until(&reader, '\0', out, words);

    if (!err)
        return NULL;
    g_autoptr(GString) quoted = g_string_new(NULL);
    dockerfile_go_quote(quoted, text);
    if (quoted->len > 200)
        return cob_wrap(err, "failed to process %.200s...", quoted->str);
    return cob_wrap(err, "failed to process %s", quoted->str);
}

struct cob_error *dockerfile_expand(
    const struct dockerfile_expander *expander, const char *text, char **ret_text)
{
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(expand_all(expander, text, out, NULL));
    *ret_text = g_string_free(g_steal_pointer(&out), FALSE);
    return NULL;
}

struct cob_error *dockerfile_expand_words(
    const struct dockerfile_expander *expander, const char *text, GPtrArray **ret_words)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) word = g_string_new(NULL);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    struct words words = {list, word};

    COB_TRY(expand_all(expander, text, out, &words));
    end_word(&words);
    *ret_words = g_steal_pointer(&list);
    return NULL;
}
