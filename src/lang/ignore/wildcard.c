/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/ignore/wildcard.h"

#include <string.h>

void cob_wildcard_free(struct cob_wildcard *wildcard)
{
    if (!wildcard)
        return;
    g_array_unref(wildcard->steps);
    g_array_unref(wildcard->ranges);
    g_free(wildcard);
}

bool cob_wildcard_is_one(const char *text)
{
    return strpbrk(text, "*?[\\") != NULL;
}

/* The next character; a byte that is not UTF-8 is one that no text has otherwise. */
static gunichar next_char(const char **text)
{
    gunichar c = (unsigned char)**text;

    if (c < 0x80) {
        (*text)++;
        return c;
    }
    c = g_utf8_get_char_validated(*text, -1);
    if (c == (gunichar)-1 || c == (gunichar)-2) {
        c = 0x110000 + (unsigned char)**text;
        (*text)++;
        return c;
    }
    *text += g_utf8_skip[(unsigned char)**text];
    return c;
}

static void add_step(struct cob_wildcard *wildcard, enum step_kind kind, gunichar c)
{
    struct wildcard_step step = {.kind = kind, .c = c};

    g_array_append_val(wildcard->steps, step);
}

void wildcard_prepend(struct cob_wildcard *wildcard, enum step_kind kind)
{
    struct wildcard_step step = {.kind = kind};

    g_array_prepend_val(wildcard->steps, step);
}

/* One end of a range between brackets. False: the pattern is broken there. */
static bool read_end(const char **at, gunichar *ret_c)
{
    if (**at == '\0' || **at == '-' || **at == ']')
        return false;
    if (**at == '\\')
        (*at)++;
    if (**at == '\0')
        return false;
    *ret_c = next_char(at);
    return **at != '\0';
}

/* What stands behind a "[", up to and with its "]". False: the pattern is broken there. */
static bool read_class(struct cob_wildcard *wildcard, const char **at)
{
    struct wildcard_step step = {.kind = STEP_CLASS, .range = wildcard->ranges->len};

    if (**at == '^') {
        step.is_negated = true;
        (*at)++;
    }
    while (**at != ']' || step.n_ranges == 0) {
        struct wildcard_range range = {0, 0};

        if (!read_end(at, &range.first))
            return false;
        range.last = range.first;
        if (**at == '-') {
            (*at)++;
            if (!read_end(at, &range.last))
                return false;
        }
        g_array_append_val(wildcard->ranges, range);
        step.n_ranges++;
    }
    (*at)++;
    g_array_append_val(wildcard->steps, step);
    return true;
}

/* Behind a "*". Two stars eat the slash behind them, and then stand for any directories, or, at the
 * end, for all. */
static void read_star(
    struct cob_wildcard *wildcard, const char **at, enum wildcard_language language)
{
    if (language == WILDCARD_GO || **at != '*') {
        add_step(wildcard, STEP_STAR, 0);
        return;
    }
    (*at)++;
    if (**at == '/')
        (*at)++;
    if (**at == '\0') {
        add_step(wildcard, STEP_ALL, 0);
        return;
    }
    add_step(wildcard, STEP_DIRS, 0);
    add_step(wildcard, STEP_DIRS_END, 0);
}

/* False: the pattern is broken. */
static bool read_steps(
    struct cob_wildcard *wildcard, const char *pattern, enum wildcard_language language)
{
    for (const char *at = pattern; *at;) {
        gunichar c = next_char(&at);

        if (c == '*') {
            read_star(wildcard, &at, language);
        } else if (c == '?') {
            add_step(wildcard, STEP_ANY, 0);
        } else if (c == '[') {
            if (!read_class(wildcard, &at))
                return false;
        } else if (c == '\\') {
            if (*at == '\0')
                return false;
            add_step(wildcard, STEP_CHAR, next_char(&at));
        } else {
            add_step(wildcard, STEP_CHAR, c);
        }
    }
    return true;
}

struct cob_error *wildcard_compile(
    const char *pattern, enum wildcard_language language, struct cob_wildcard **ret_wildcard)
{
    g_autoptr(cob_wildcard) wildcard = g_new(struct cob_wildcard, 1);

    *wildcard = (struct cob_wildcard){
        .steps = g_array_new(false, false, sizeof(struct wildcard_step)),
        .ranges = g_array_new(false, false, sizeof(struct wildcard_range)),
    };
    if (!read_steps(wildcard, pattern, language))
        return cob_fail(COB_INVALID, "syntax error in pattern %s", pattern);
    *ret_wildcard = g_steal_pointer(&wildcard);
    return NULL;
}

struct cob_error *cob_wildcard_new(const char *pattern, struct cob_wildcard **ret_wildcard)
{
    return wildcard_compile(pattern, WILDCARD_GO, ret_wildcard);
}

/* ---- matching ---- */

static bool is_in_class(
    const struct cob_wildcard *wildcard, const struct wildcard_step *step, gunichar c)
{
    for (unsigned i = 0; i < step->n_ranges; i++) {
        const struct wildcard_range *range =
            &g_array_index(wildcard->ranges, struct wildcard_range, step->range + i);

        if (range->first <= c && c <= range->last)
            return !step->is_negated;
    }
    return step->is_negated;
}

/* Be at a step, and at all that can be reached from it without a character. */
static void arrive(const struct cob_wildcard *wildcard, bool *is_at, unsigned step)
{
    for (; !is_at[step]; step++) {
        is_at[step] = true;
        if (step == wildcard->steps->len)
            return;
        switch (g_array_index(wildcard->steps, struct wildcard_step, step).kind) {
        case STEP_STAR:
        case STEP_ALL:
            break;
        case STEP_DIRS:
            is_at[step + 1] = true; /* begun; and behind both, as if there were nothing */
            step++;
            break;
        case STEP_CHAR:
        case STEP_ANY:
        case STEP_CLASS:
        case STEP_DIRS_END:
            return;
        }
    }
}

/* Where one character leads from one step. */
static void advance(const struct cob_wildcard *wildcard, bool *is_next, unsigned at, gunichar c)
{
    const struct wildcard_step *step = &g_array_index(wildcard->steps, struct wildcard_step, at);
    bool is_over = false;

    switch (step->kind) {
    case STEP_CHAR:
        is_over = c == step->c;
        break;
    case STEP_ANY:
        is_over = c != '/';
        break;
    case STEP_CLASS:
        is_over = is_in_class(wildcard, step, c);
        break;
    case STEP_STAR:
        if (c != '/')
            arrive(wildcard, is_next, at);
        break;
    case STEP_ALL:
        arrive(wildcard, is_next, at);
        break;
    case STEP_DIRS: /* its end is what goes on */
        break;
    case STEP_DIRS_END:
        is_next[at] = true;
        is_over = c == '/';
        break;
    }
    if (is_over)
        arrive(wildcard, is_next, at + 1);
}

bool cob_wildcard_matches(const struct cob_wildcard *wildcard, const char *text)
{
    unsigned n = wildcard->steps->len + 1;
    bool small[2][64] = {0};
    g_autofree bool *big = n > 64 ? g_new0(bool, 2 * (size_t)n) : NULL;
    bool *now = big ? big : small[0], *next = big ? big + n : small[1];
    bool is_alive = true;

    arrive(wildcard, now, 0);
    while (*text && is_alive) {
        gunichar c = next_char(&text);

        memset(next, 0, n);
        for (unsigned at = 0; at + 1 < n; at++)
            if (now[at])
                advance(wildcard, next, at, c);
        bool *swap = now;
        now = next;
        next = swap;
        is_alive = memchr(now, true, n) != NULL;
    }
    return is_alive && now[n - 1];
}
