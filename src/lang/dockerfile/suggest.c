/* SPDX-License-Identifier: Apache-2.0 */
/* What a word may mean that is none of those it could be.
 * spec: BuildKit util/suggest. */
#include <string.h>

#include "lang/dockerfile/dockerfile_suggest.h"

#define MAX_SUGGESTED_BYTES 100 /* names longer than this are not mistyped, but made */

/* How many letters must be changed, added or left out; one more than the budget when it is not
 * enough. Its two steps of recursion try each way once. */
static unsigned count_edits(const char *a, const char *b, unsigned budget)
{
    while (*a && *a == *b)
        a++, b++;
    if (!*a && !*b)
        return 0;
    if (budget == 0)
        return 1;
    unsigned best = budget;
    if (*a && *b)
        best = MIN(best, count_edits(a + 1, b + 1, budget - 1));
    if (*a)
        best = MIN(best, count_edits(a + 1, b, budget - 1));
    if (*b)
        best = MIN(best, count_edits(a, b + 1, budget - 1));
    return best + 1;
}

const char *dockerfile_suggest(const char *name, const GPtrArray *known)
{
    const char *found = NULL;
    unsigned best = 3;

    if (strlen(name) > MAX_SUGGESTED_BYTES)
        return NULL;
    for (guint i = 0; i < known->len; i++) {
        const char *other = g_ptr_array_index(known, i);
        unsigned edits = count_edits(name, other, 2);

        if (edits == 0)
            return NULL;
        if (edits < best) {
            best = edits;
            found = other;
        }
    }
    return found;
}

static GPtrArray *array_of(const char *const *known)
{
    GPtrArray *array = g_ptr_array_new();

    for (; *known; known++)
        g_ptr_array_add(array, (void *)(uintptr_t)*known);
    return array;
}

struct cob_error *dockerfile_fail_suggesting(
    const char *word, const char *const *known, const char *fmt, ...)
{
    g_autoptr(GPtrArray) words = array_of(known);
    const char *near = dockerfile_suggest(word, words);
    va_list args;

    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (!near)
        return cob_fail(COB_INVALID, "%s", text);
    return cob_fail(COB_INVALID, "%s (did you mean %s?)", text, near);
}

struct cob_error *dockerfile_add_suggestion(
    struct cob_error *err, const char *word, const GPtrArray *known)
{
    const char *near = err ? dockerfile_suggest(word, known) : NULL;

    if (!near)
        return err;
    g_autofree char *message = cob_error_message(err);
    const enum cob_code code = cob_error_code(err);

    cob_error_free(err);
    return cob_fail(code, "%s (did you mean %s?)", message, near);
}
