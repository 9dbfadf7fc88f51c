/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_shell.h"

#define MAX_DEPTH 8         /* of $(...) and of scripts in scripts */
#define MAX_WORD_BYTES 4096 /* more of a word is no path and no name */
#define MAX_DOCUMENTS 100   /* that one line may announce */
#define MAX_COMMAND_WORDS 10000

/* A here-document that was announced; its lines begin after the next newline. */
struct document {
    char *end;
    bool is_chomped;
    bool is_script; /* of the command before it */
};

struct scan {
    const struct dockerfile_shell_visitor *visitor;
    const char *at, *end;
    unsigned depth;
    GPtrArray *words;  /* of the command that is being read */
    GArray *documents; /* struct document, not read yet */
    guint n_passed;    /* how many of them belong to commands before this one */
    unsigned n_parens;
    unsigned n_cases;
    bool is_pattern; /* of a `case`, up to its ")" */
    char closer;     /* ')' or '`': ends it; 0: the end does */
};

static void scan_list(struct scan *scan);

static void word_free(void *data)
{
    struct dockerfile_shell_word *word = data;

    g_free(word->text);
    g_free(word);
}

struct dockerfile_shell_word *dockerfile_shell_word_new(const char *text)
{
    struct dockerfile_shell_word *word = g_new(struct dockerfile_shell_word, 1);

    *word = (struct dockerfile_shell_word){.text = g_strdup(text), .is_known = true};
    return word;
}

GPtrArray *dockerfile_shell_words_new(void)
{
    return g_ptr_array_new_with_free_func(word_free);
}

static void document_done(void *data)
{
    g_free(((struct document *)data)->end);
}

static void scan_init(struct scan *scan, const struct dockerfile_shell_visitor *visitor,
    const char *at, const char *end)
{
    *scan = (struct scan){.visitor = visitor,
        .at = at,
        .end = end,
        .words = dockerfile_shell_words_new(),
        .documents = g_array_new(FALSE, FALSE, sizeof(struct document))};
    g_array_set_clear_func(scan->documents, document_done);
}

static void scan_done(struct scan *scan)
{
    g_ptr_array_unref(scan->words);
    g_array_unref(scan->documents);
}

/* The letter `n` places on; NUL past the end. */
static char peek(const struct scan *scan, size_t n)
{
    return (size_t)(scan->end - scan->at) > n ? scan->at[n] : '\0';
}

static bool is_done(const struct scan *scan)
{
    return scan->at >= scan->end;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Does the letter end a word that is not quoted? */
static bool is_border(const struct scan *scan)
{
    const char c = *scan->at;

    return is_blank(c) || strchr("\n;&|()<>", c) || (c == '`' && scan->closer == '`');
}

/* --- one word --- */

/* A word being read. */
struct part {
    GString *text;
    bool is_known;
    bool is_quoted; /* somewhere: '' is a word, too */
};

static void add_bytes(struct part *part, const char *bytes, size_t len)
{
    const size_t room = MAX_WORD_BYTES - MIN(part->text->len, MAX_WORD_BYTES);

    part->is_known = part->is_known && len <= room;
    g_string_append_len(part->text, bytes, (gssize)MIN(len, room));
}

static void add_value(struct scan *scan, struct part *part, const char *name, size_t len)
{
    g_autofree char *text = g_strndup(name, len);
    const struct dockerfile_env *env = &scan->visitor->env;
    const char *value = env->get ? env->get(env->arg, text) : NULL;

    const size_t n_value = value ? strlen(value) : 0;

    if (value && n_value <= *scan->visitor->n_left) {
        *scan->visitor->n_left -= n_value;
        add_bytes(part, value, n_value);
    } else {
        part->is_known = false;
    }
}

static size_t name_len(const struct scan *scan, size_t from)
{
    size_t n = from;

    if (g_ascii_isdigit(peek(scan, n)))
        return 0;
    while (g_ascii_isalnum(peek(scan, n)) || peek(scan, n) == '_')
        n++;
    return n - from;
}

/* Pass over what stands up to the closing bracket of its kind. */
static void skip_brackets(struct scan *scan, char open, char close)
{
    unsigned depth = 0;

    for (; !is_done(scan); scan->at++) {
        if (*scan->at == '\\')
            scan->at += scan->at + 1 < scan->end;
        else if (*scan->at == open)
            depth++;
        else if (*scan->at == close && --depth == 0)
            break;
    }
    scan->at += !is_done(scan);
}

/* Read the commands of $(...) or `...`; the cursor stands behind the opening. */
static void read_substitution(struct scan *scan, char closer)
{
    struct scan inner;

    scan_init(&inner, scan->visitor, scan->at, scan->end);
    inner.depth = scan->depth + 1;
    inner.closer = closer;
    scan_list(&inner);
    scan->at = inner.at;
    scan_done(&inner);
}

/* "$": a variable, a substitution, or a dollar. */
static void read_dollar(struct scan *scan, struct part *part)
{
    const size_t n = name_len(scan, 1);

    if (n > 0) {
        add_value(scan, part, scan->at + 1, n);
        scan->at += 1 + n;
        return;
    }
    part->is_known = false;
    scan->at++;
    if (is_done(scan))
        return;
    if (*scan->at == '{') {
        const size_t len = name_len(scan, 1);

        if (len > 0 && peek(scan, 1 + len) == '}') {
            part->is_known = true;
            add_value(scan, part, scan->at + 1, len);
        }
        skip_brackets(scan, '{', '}');
    } else if (*scan->at == '(' && peek(scan, 1) == '(') {
        skip_brackets(scan, '(', ')');
    } else if (*scan->at == '(' && scan->depth < MAX_DEPTH) {
        scan->at++;
        read_substitution(scan, ')');
    } else if (*scan->at != '(' && *scan->at != '\'' && *scan->at != '"' && !is_border(scan)) {
        scan->at++; /* $?, $1 */
    }
}

static void read_backquotes(struct scan *scan, struct part *part)
{
    part->is_known = false;
    scan->at++;
    if (scan->depth < MAX_DEPTH)
        read_substitution(scan, '`');
}

static void read_single_quotes(struct scan *scan, struct part *part)
{
    const char *from = ++scan->at;
    const char *quote = memchr(from, '\'', (size_t)(scan->end - from));

    scan->at = quote ? quote : scan->end;
    add_bytes(part, from, (size_t)(scan->at - from));
    scan->at += !is_done(scan);
}

static void read_escape(struct scan *scan, struct part *part, bool is_in_quotes)
{
    const char next = peek(scan, 1);

    if (next != '\n' && !(is_in_quotes && next && !strchr("$`\"\\", next)))
        add_bytes(part, scan->at + 1, next != '\0');
    else if (next != '\n')
        add_bytes(part, scan->at, 2);
    scan->at += scan->at + 1 < scan->end ? 2 : 1;
}

static void read_double_quotes(struct scan *scan, struct part *part)
{
    scan->at++;
    while (!is_done(scan) && *scan->at != '"') {
        if (*scan->at == '\\') {
            read_escape(scan, part, /* is_in_quotes= */ true);
        } else if (*scan->at == '$') {
            read_dollar(scan, part);
        } else if (*scan->at == '`' && scan->closer != '`') {
            read_backquotes(scan, part);
        } else {
            add_bytes(part, scan->at, 1);
            scan->at++;
        }
    }
    scan->at += !is_done(scan);
}

static void read_plain(struct scan *scan, struct part *part)
{
    switch (*scan->at) {
    case '\\':
        read_escape(scan, part, /* is_in_quotes= */ false);
        break;
    case '\'':
        read_single_quotes(scan, part);
        part->is_quoted = true;
        break;
    case '"':
        read_double_quotes(scan, part);
        part->is_quoted = true;
        break;
    case '$':
        read_dollar(scan, part);
        break;
    case '`':
        read_backquotes(scan, part);
        break;
    default:
        add_bytes(part, scan->at, 1);
        scan->at++;
    }
}

/* Read a word; the cursor stands on its first letter.  ret_is_number: "2" of "2>file". */
static struct dockerfile_shell_word *read_word(struct scan *scan, bool *ret_is_descriptor)
{
    struct part part = {.text = g_string_new(NULL), .is_known = true};
    struct dockerfile_shell_word *word = g_new(struct dockerfile_shell_word, 1);

    while (!is_done(scan) && !is_border(scan))
        read_plain(scan, &part);
    const char *text = part.text->str;
    *ret_is_descriptor = !part.is_quoted && *text && strspn(text, "0123456789") == part.text->len &&
                         !is_done(scan) && (*scan->at == '<' || *scan->at == '>');
    *word = (struct dockerfile_shell_word){
        .text = g_string_free(part.text, FALSE), .is_known = part.is_known};
    return word;
}

/* --- here-documents and other redirections --- */

static void skip_blanks(struct scan *scan)
{
    while (!is_done(scan) && (is_blank(*scan->at) || (*scan->at == '\\' && peek(scan, 1) == '\n')))
        scan->at += *scan->at == '\\' ? 2 : 1;
}

/* The word after an operator; the caller frees it. */
static struct dockerfile_shell_word *read_operand(struct scan *scan)
{
    bool is_descriptor;

    skip_blanks(scan);
    return read_word(scan, &is_descriptor);
}

static void announce_document(struct scan *scan, bool is_chomped)
{
    struct dockerfile_shell_word *word = read_operand(scan);
    struct document document = {.end = g_strdup(word->text), .is_chomped = is_chomped};

    word_free(word);
    if (scan->documents->len < MAX_DOCUMENTS)
        g_array_append_val(scan->documents, document);
    else
        g_free(document.end);
}

static void read_redirection(struct scan *scan)
{
    const bool is_document = peek(scan, 0) == '<' && peek(scan, 1) == '<' && peek(scan, 2) != '<';

    if (is_document) {
        const bool is_chomped = peek(scan, 2) == '-';

        scan->at += is_chomped ? 3 : 2;
        announce_document(scan, is_chomped);
        return;
    }
    if (peek(scan, 1) == '(') { /* <(...): commands, like those of a group */
        scan->at++;
        return;
    }
    while (!is_done(scan) && strchr("<>&|", *scan->at))
        scan->at++;
    word_free(read_operand(scan));
}

/* The lines of a document; the cursor ends behind the one that closes it. */
static void read_document(struct scan *scan, const struct document *document)
{
    const char *from = scan->at, *to = scan->end;
    const size_t wanted = strlen(document->end);

    while (!is_done(scan)) {
        const char *line = scan->at;
        const char *newline = memchr(line, '\n', (size_t)(scan->end - line));
        const char *stop = newline ? newline : scan->end;

        scan->at = newline ? newline + 1 : scan->end;
        while (document->is_chomped && line < stop && *line == '\t')
            line++;
        if ((size_t)(stop - line) == wanted && memcmp(line, document->end, wanted) == 0) {
            to = line;
            break;
        }
    }
    if (document->is_script && scan->depth < MAX_DEPTH)
        dockerfile_shell_scan(scan->visitor, from, (size_t)(to - from), scan->depth + 1);
}

static void read_documents(struct scan *scan)
{
    for (guint i = 0; i < scan->documents->len; i++)
        read_document(scan, &g_array_index(scan->documents, struct document, i));
    g_array_set_size(scan->documents, 0);
    scan->n_passed = 0;
}

/* --- commands --- */

static const struct dockerfile_shell_word *word_at(const struct scan *scan, guint i)
{
    return i < scan->words->len ? g_ptr_array_index(scan->words, i) : NULL;
}

static bool is_word(const struct scan *scan, guint i, const char *text)
{
    const struct dockerfile_shell_word *word = word_at(scan, i);

    return word && strcmp(word->text, text) == 0;
}

/* Tell of the command that ends here. */
static void end_command(struct scan *scan)
{
    const struct dockerfile_shell_visitor *visitor = scan->visitor;
    bool is_script = false;

    if (scan->words->len > 0) {
        if (is_word(scan, 0, "esac"))
            scan->n_cases -= scan->n_cases > 0;
        is_script = visitor->command(visitor->arg, scan->words, scan->depth);
    }
    for (guint i = scan->n_passed; is_script && i < scan->documents->len; i++)
        g_array_index(scan->documents, struct document, i).is_script = true;
    scan->n_passed = scan->documents->len;
    g_ptr_array_set_size(scan->words, 0);
}

/* "case x in" is no command: what comes is a pattern. */
static void check_case(struct scan *scan)
{
    if (scan->words->len == 3 && is_word(scan, 0, "case") && is_word(scan, 2, "in")) {
        g_ptr_array_set_size(scan->words, 0);
        scan->n_cases++;
        scan->is_pattern = true;
    } else if (scan->is_pattern && is_word(scan, 0, "esac")) {
        g_ptr_array_set_size(scan->words, 0);
        scan->n_cases--;
        scan->is_pattern = false;
    }
}

static void add_word(struct scan *scan)
{
    bool is_descriptor;
    struct dockerfile_shell_word *word = read_word(scan, &is_descriptor);

    if (is_descriptor || scan->words->len >= MAX_COMMAND_WORDS)
        word_free(word);
    else
        g_ptr_array_add(scan->words, word);
    check_case(scan);
}

/* A letter within a pattern of `case`: nothing there is a command. */
static void read_pattern_border(struct scan *scan)
{
    scan->is_pattern = *scan->at != ')';
    scan->at++;
    if (!scan->is_pattern || *(scan->at - 1) == '\n')
        g_ptr_array_set_size(scan->words, 0);
}

/* Returns false when it was the last one of the list. */
static bool read_border(struct scan *scan)
{
    const char c = *scan->at;

    if (scan->is_pattern) {
        read_pattern_border(scan);
        return true;
    }
    if (c == '<' || c == '>' || (c == '&' && peek(scan, 1) == '>')) {
        scan->at += c == '&';
        read_redirection(scan);
        return true;
    }
    end_command(scan);
    scan->at++;
    if (c == '\n')
        read_documents(scan);
    if (c == ';' && scan->n_cases > 0 && (peek(scan, 0) == ';' || peek(scan, 0) == '&'))
        scan->is_pattern = true;
    if (c == '(')
        scan->n_parens++;
    if (c == ')' && scan->n_parens > 0) {
        scan->n_parens--;
        return true;
    }
    return c != scan->closer;
}

static void skip_comment(struct scan *scan)
{
    const char *newline = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));

    scan->at = newline ? newline : scan->end;
}

/* Up to the end, or behind the closer. */
static void scan_list(struct scan *scan)
{
    for (;;) {
        skip_blanks(scan);
        if (is_done(scan))
            break;
        if (*scan->at == '#')
            skip_comment(scan);
        else if (!is_border(scan))
            add_word(scan);
        else if (!read_border(scan))
            return;
    }
    end_command(scan);
}

void dockerfile_shell_scan(
    const struct dockerfile_shell_visitor *visitor, const char *script, size_t len, unsigned depth)
{
    struct scan scan;

    if (depth > MAX_DEPTH || len > *visitor->n_left)
        return;
    *visitor->n_left -= len;
    scan_init(&scan, visitor, script, script + len);
    scan.depth = depth;
    scan_list(&scan);
    scan_done(&scan);
}
