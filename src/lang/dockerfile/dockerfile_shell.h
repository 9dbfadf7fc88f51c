/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shell script as its simple commands, for those who want to know what a RUN calls without being
 * a shell. Quotes, escapes, comments, redirections, here-documents, substitutions, groups and
 * `case` are read as POSIX has them; nothing is run, no loop is followed, and aliases and functions
 * are not known.
 *
 *     GOOS=linux go build -o "$OUT" . && echo "go vet"     two commands: five words and two
 *     V=$(go env GOROOT)                                   two: `go env GOROOT`, and `V=?`
 *
 * The work is held to a number of bytes, since variables may hold scripts that hold variables. What
 * is nested deeper than MAX_DEPTH is read as if it were not nested.
 *
 * spec: POSIX.1-2017, XCU 2 Shell Command Language.
 */
#pragma once

#include "lang/dockerfile/dockerfile_expand.h"

struct dockerfile_shell_word {
    char *text;    /* quotes removed, variables that are known in place */
    bool is_known; /* false: a part of it only the step will know, and is not in the text */
};

/* Who hears of the commands, in the order in which they are written. */
struct dockerfile_shell_visitor {
    struct dockerfile_env env; /* the variables that are known */
    /* words: of struct dockerfile_shell_word *, at least one; borrowed.
     * Returns whether the command reads a script from its here-document. */
    bool (*command)(void *arg, GPtrArray *words, unsigned depth);
    void *arg;
    size_t *n_left; /* bytes of scripts and of variables that may yet be read */
};

/* Read a script. depth: 0; of a script within another one, one more than the command's. */
void dockerfile_shell_scan(
    const struct dockerfile_shell_visitor *visitor, const char *script, size_t len, unsigned depth);

/* A word with this text, known; an empty list of words. */
struct dockerfile_shell_word *dockerfile_shell_word_new(const char *text);
GPtrArray *dockerfile_shell_words_new(void);
