/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to logical lines, and from one line to its words. Knows no instruction.
 *
 *     lines of the file  --lexer-->  one logical line  --split-->  word, flags, rest
 */
#pragma once

#include "lang/dockerfile/dockerfile_ast.h"

/* White space as Go's unicode.IsSpace() has it, in ASCII. */
bool dockerfile_is_space(char c);

/* A copy without white space at both ends. */
char *dockerfile_trim(const char *text);

/* Reads a file line by line. */
struct dockerfile_lexer {
    struct cob_dockerfile *dockerfile; /* gets the directives */
    const char *next, *end;            /* what is not read yet */
    int line;                          /* of the last one read; they count from 1 */
    bool is_past_directives;
    GPtrArray *comments; /* char *: since the last instruction */
};

/* Stand before the first line. The dockerfile is borrowed. */
void dockerfile_lexer_init(struct dockerfile_lexer *lexer, struct cob_dockerfile *dockerfile);
void dockerfile_lexer_done(struct dockerfile_lexer *lexer);

/* Read the next logical line: continuations joined, comments and empty lines gone.
 * ret_text: the caller's; NULL at the end of the file.
 * ret_range: untouched then. */
COB_RESULT struct cob_error *dockerfile_lexer_next(
    struct dockerfile_lexer *lexer, char **ret_text, struct cob_range *ret_range);

/* Read the lines of a here-document, up to its end, into heredoc->content. */
COB_RESULT struct cob_error *dockerfile_lexer_heredoc(
    struct dockerfile_lexer *lexer, struct dockerfile_heredoc *heredoc);

/* Is this line "# name = value", with a name that is known? The caller frees both results. */
bool dockerfile_directive_parse(
    const char *line, const char *comment, char **ret_name, char **ret_value);

/* Take a comment line for a directive, as long as there were only directives before it. */
COB_RESULT struct cob_error *dockerfile_directive_take(
    struct dockerfile_lexer *lexer, const char *line, bool *ret_is_directive);

/* Refuse a file that another frontend than Dockerfile's own is to read. */
COB_RESULT struct cob_error *dockerfile_check_syntax(const struct cob_dockerfile *dockerfile);

/* One logical line, taken apart. */
struct dockerfile_split {
    char *word;       /* the instruction */
    GPtrArray *flags; /* struct dockerfile_flag *, owned */
    char *rest;       /* what follows, trimmed */
};

/* Take a line apart; never fails, a line of nothing has an empty word. */
void dockerfile_split_line(const char *line, char escape, struct dockerfile_split *ret);
void dockerfile_split_done(struct dockerfile_split *split);

/* Words between white space; quotes and escapes hold a word together and stay in it. */
GPtrArray *dockerfile_quoted_words(const char *text, char escape);

/* Words between white space, and nothing else. */
GPtrArray *dockerfile_plain_words(const char *text);

/* A JSON array of strings.
 * ret_words: NULL when it is no JSON array.
 * errors:    COB_INVALID when it is one, of other things than strings. */
COB_RESULT struct cob_error *dockerfile_json_words(const char *text, GPtrArray **ret_words);

/* The fields of one line of comma-separated values, with CSV's quotes. */
COB_RESULT struct cob_error *dockerfile_csv_fields(const char *text, GPtrArray **ret_fields);

/* The here-documents that a line announces, in order; contents still empty.
 * ret_heredocs: of struct dockerfile_heredoc *, owned. */
COB_RESULT struct cob_error *dockerfile_heredocs_of(const char *line, GPtrArray **ret_heredocs);

/* Is this word "<<EOF" or its like? *ret_heredoc is NULL when not. */
COB_RESULT struct cob_error *dockerfile_heredoc_parse(
    const char *word, struct dockerfile_heredoc **ret_heredoc);
void dockerfile_heredoc_free(struct dockerfile_heredoc *heredoc);

/* The text of a here-document as it is used: without leading tabs when it is chomped. */
char *dockerfile_heredoc_text(const struct dockerfile_heredoc *heredoc);
