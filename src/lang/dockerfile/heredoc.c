/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_expand.h"
#include "lang/dockerfile/dockerfile_lex.h"

void dockerfile_heredoc_free(struct dockerfile_heredoc *heredoc)
{
    if (!heredoc)
        return;
    g_free(heredoc->name);
    g_free(heredoc->content);
    g_free(heredoc);
}

static size_t count_quotes(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\'' || *text == '"';
    return n;
}

/* The word after << , which must be one. A word that had quotes is not to be expanded.
 * spec: BuildKit parser.go, heredocFromMatch. */
static struct cob_error *read_name(const char *rest, char **ret_name, bool *ret_is_quoted)
{
    struct dockerfile_expander expander = {.escape = '\\', .flags = DOCKERFILE_EXPAND_KEEP_UNSET};
    g_autoptr(GPtrArray) words = NULL;

    COB_TRY(dockerfile_expand_words(&expander, rest, &words));
    if (words->len != 1)
        return NULL;
    const char *name = g_ptr_array_index(words, 0);
    *ret_is_quoted = count_quotes(name) != count_quotes(rest);
    *ret_name = g_strdup(name);
    return NULL;
}

struct cob_error *dockerfile_heredoc_parse(
    const char *word, struct dockerfile_heredoc **ret_heredoc)
{
    size_t n_digits = strspn(word, "0123456789");
    const char *rest = word + n_digits;
    bool is_chomped, is_quoted = false;
    g_autofree char *name = NULL;
    guint64 fd = 0;

    *ret_heredoc = NULL;
    if (!g_str_has_prefix(rest, "<<") || strchr(rest + 2, '<'))
        return NULL;
    rest += 2;
    is_chomped = *rest == '-';
    rest += is_chomped;
    while (dockerfile_is_space(*rest))
        rest++;
    if (!*rest)
        return NULL;
    COB_TRY(read_name(rest, &name, &is_quoted));
    if (!name)
        return NULL;
    if (n_digits > 0) {
        g_autofree char *digits = g_strndup(word, n_digits);
        g_ascii_string_to_unsigned(digits, 10, 0, G_MAXUINT, &fd, NULL);
    }
    *ret_heredoc = g_new(struct dockerfile_heredoc, 1);
    **ret_heredoc = (struct dockerfile_heredoc){
        .name = g_steal_pointer(&name),
        .content = g_strdup(""),
        .fd = (unsigned)fd,
        .is_expanded = !is_quoted,
        .is_chomped = is_chomped,
    };
    return NULL;
}

struct cob_error *dockerfile_heredocs_of(const char *line, GPtrArray **ret_heredocs)
{
    struct dockerfile_expander expander = {
        .escape = '\\',
        .flags = DOCKERFILE_EXPAND_KEEP_QUOTES | DOCKERFILE_EXPAND_KEEP_ESCAPES |
                 DOCKERFILE_EXPAND_KEEP_UNSET,
        .max_bytes = strlen(line) + 1,
    };
    g_autoptr(GPtrArray) heredocs =
        g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_heredoc_free);
    g_autoptr(GPtrArray) words = NULL;
    struct cob_error *err =
        strstr(line, "<<") ? dockerfile_expand_words(&expander, line, &words) : NULL;

    if (err) /* an odd quote in a shell's text is the shell's matter */
        cob_error_free(err);
    for (guint i = 0; words && i < words->len; i++) {
        struct dockerfile_heredoc *heredoc = NULL;

        COB_TRY(dockerfile_heredoc_parse(g_ptr_array_index(words, i), &heredoc));
        if (heredoc)
            g_ptr_array_add(heredocs, heredoc);
    }
    *ret_heredocs = g_steal_pointer(&heredocs);
    return NULL;
}

char *dockerfile_heredoc_text(const struct dockerfile_heredoc *heredoc)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *at = heredoc->content;

    if (!heredoc->is_chomped)
        return g_strdup(heredoc->content);
    while (*at) {
        at += strspn(at, "\t");
        size_t len = strcspn(at, "\n");

        len += at[len] == '\n';
        g_string_append_len(text, at, (gssize)len);
        at += len;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
