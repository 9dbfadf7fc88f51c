/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_lex.h"

bool dockerfile_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *dockerfile_trim(const char *text)
{
    size_t len;

    while (dockerfile_is_space(*text))
        text++;
    len = strlen(text);
    while (len > 0 && dockerfile_is_space(text[len - 1]))
        len--;
    return g_strndup(text, len);
}

void dockerfile_lexer_init(struct dockerfile_lexer *lexer, struct cob_dockerfile *dockerfile)
{
    size_t len;
    const char *data = g_bytes_get_data(dockerfile->file->data, &len);

    *lexer = (struct dockerfile_lexer){
        .dockerfile = dockerfile,
        .next = data,
        .end = data + len,
        .comments = g_ptr_array_new_with_free_func(g_free),
    };
    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        lexer->next += 3;
}

void dockerfile_lexer_done(struct dockerfile_lexer *lexer)
{
    g_clear_pointer(&lexer->comments, g_ptr_array_unref);
}

/* The next line of the file with its end, or NULL. */
static const char *read_line(struct dockerfile_lexer *lexer, size_t *ret_len)
{
    const char *line = lexer->next;

    if (line == lexer->end)
        return NULL;
    const char *newline = memchr(line, '\n', (size_t)(lexer->end - line));
    lexer->next = newline ? newline + 1 : lexer->end;
    lexer->line++;
    *ret_len = (size_t)(lexer->next - line);
    return line;
}

static size_t len_without_end(const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    return len;
}

static struct cob_error *fail_here(const struct dockerfile_lexer *lexer, struct cob_error *err)
{
    struct cob_range here = {lexer->line, lexer->line};

    return cob_error_at(cob_wrap(err, "dockerfile parse error on line %d", lexer->line),
        lexer->dockerfile->file, here);
}

/* Take a trailing escape away, with the blanks around it; false when there is none. Two escapes in
 * a row are one, escaped, and continue nothing.
 * spec: BuildKit parser.go, setEscapeToken. */
static bool trim_continuation(GString *line, char escape)
{
    size_t len = line->len;

    while (len > 0 && (line->str[len - 1] == ' ' || line->str[len - 1] == '\t'))
        len--;
    if (len == 0 || line->str[len - 1] != escape)
        return false;
    if (len > 1 && line->str[len - 2] == escape)
        return false;
    g_string_truncate(line, len - 1);
    return true;
}

/* Instructions are text: it goes into JSON and protobuf, which know UTF-8 only. */
static struct cob_error *check_text(
    const struct dockerfile_lexer *lexer, const char *line, size_t len)
{
    if (memchr(line, '\0', len))
        return fail_here(lexer, cob_fail(COB_INVALID, "a NUL byte in the line"));
    if (!g_utf8_validate_len(line, len, NULL))
        return fail_here(lexer, cob_fail(COB_INVALID, "the line is not valid UTF-8"));
    return NULL;
}

static void keep_comment(struct dockerfile_lexer *lexer, const char *line)
{
    char *comment = dockerfile_trim(line + 1);

    if (*comment) {
        g_ptr_array_add(lexer->comments, comment);
    } else {
        g_free(comment);
        g_ptr_array_set_size(lexer->comments, 0);
    }
}

/* Read on until a line does not end in an escape. Comments between are not part of the line. */
static struct cob_error *read_continuations(struct dockerfile_lexer *lexer, GString *text)
{
    bool is_open = true, has_empty = false;
    const char *line;
    size_t len;

    while (is_open && (line = read_line(lexer, &len))) {
        size_t indent = 0;

        len = len_without_end(line, len);
        while (indent < len && dockerfile_is_space(line[indent]))
            indent++;
        if (indent == len)
            has_empty = true;
        if (indent == len || line[indent] == '#')
            continue;
        COB_TRY(check_text(lexer, line, len));
        g_autoptr(GString) part = g_string_new_len(line, (gssize)len);
        is_open = trim_continuation(part, lexer->dockerfile->escape);
        g_string_append_len(text, part->str, (gssize)part->len);
    }
    if (has_empty)
        g_array_append_val(lexer->dockerfile->empty_continuations, lexer->line);
    return NULL;
}

/* One line of the file at the start of a logical one. *ret_is_blank: it holds no instruction. */
static struct cob_error *read_first(
    struct dockerfile_lexer *lexer, const char *line, size_t len, GString *text, bool *ret_is_blank)
{
    bool is_directive = false;

    len = len_without_end(line, len);
    while (len > 0 && dockerfile_is_space(*line))
        line++, len--;
    g_string_truncate(text, 0);
    g_string_append_len(text, line, (gssize)len);
    *ret_is_blank = false;
    if (len > 0 && *line == '#') {
        COB_TRY(dockerfile_directive_take(lexer, text->str, &is_directive));
        if (!is_directive)
            keep_comment(lexer, text->str);
        *ret_is_blank = true;
        return NULL;
    }
    lexer->is_past_directives = true;
    COB_TRY(check_text(lexer, line, len));
    if (trim_continuation(text, lexer->dockerfile->escape))
        return read_continuations(lexer, text);
    *ret_is_blank = text->len == 0;
    return NULL;
}

struct cob_error *dockerfile_lexer_next(
    struct dockerfile_lexer *lexer, char **ret_text, struct cob_range *ret_range)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *line;
    size_t len;

    *ret_text = NULL;
    while ((line = read_line(lexer, &len))) {
        int first = lexer->line;
        bool is_blank;

        COB_TRY(read_first(lexer, line, len, text, &is_blank));
        if (is_blank)
            continue;
        *ret_range = (struct cob_range){first, lexer->line};
        *ret_text = g_string_free(g_steal_pointer(&text), FALSE);
        return NULL;
    }
    return NULL;
}

struct cob_error *dockerfile_lexer_heredoc(
    struct dockerfile_lexer *lexer, struct dockerfile_heredoc *heredoc)
{
    g_autoptr(GString) content = g_string_new(NULL);
    size_t name_len = strlen(heredoc->name);
    const char *line;
    size_t len;

    while ((line = read_line(lexer, &len))) {
        const char *word = line;
        size_t word_len = len_without_end(line, len);

        while (heredoc->is_chomped && word_len > 0 && *word == '\t')
            word++, word_len--;
        if (word_len == name_len && memcmp(word, heredoc->name, name_len) == 0) {
            g_free(heredoc->content);
            heredoc->content = g_string_free(g_steal_pointer(&content), FALSE);
            return NULL;
        }
        if (memchr(line, '\0', len))
            return fail_here(lexer, cob_fail(COB_INVALID, "a NUL byte in the line"));
        g_string_append_len(content, line, (gssize)len);
    }
    return cob_fail(COB_INVALID, "unterminated heredoc");
}
