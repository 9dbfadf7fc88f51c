/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns as a list of steps, run over a text all at once: each character is looked at once for
 * each step, whatever the pattern is.
 */
#pragma once

#include "lang/ignore/ignore.h"

enum step_kind {
    STEP_CHAR,     /* this character */
    STEP_ANY,      /* any character but a slash */
    STEP_CLASS,    /* one of its ranges, or none of them */
    STEP_STAR,     /* any number of characters but slashes */
    STEP_ALL,      /* any number of characters */
    STEP_DIRS,     /* nothing, or all up to and with a slash: what two stars stand for */
    STEP_DIRS_END, /* behind STEP_DIRS: the part of it that has begun and needs its slash */
};

struct wildcard_range {
    gunichar first, last;
};

struct wildcard_step {
    enum step_kind kind;
    gunichar c;               /* CHAR */
    bool is_negated;          /* CLASS */
    unsigned range, n_ranges; /* CLASS: which of the ranges */
};

struct cob_wildcard {
    GArray *steps;  /* struct wildcard_step */
    GArray *ranges; /* struct wildcard_range */
};

/* How much of the pattern language there is. */
enum wildcard_language {
    WILDCARD_GO,     /* filepath.Match */
    WILDCARD_IGNORE, /* and two stars */
};

/* errors: COB_INVALID, naming the pattern. */
COB_RESULT struct cob_error *wildcard_compile(
    const char *pattern, enum wildcard_language language, struct cob_wildcard **ret_wildcard);

/* Put a step in front. */
void wildcard_prepend(struct cob_wildcard *wildcard, enum step_kind kind);
