/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/challenge.h"

#include <stdbool.h>
#include <string.h>

#define MAX_CHALLENGES 16
#define MAX_VALUE_BYTES 8192

static void challenge_free(void *pointer)
{
    struct challenge *challenge = pointer;

    g_free(challenge->scheme);
    g_free(challenge->realm);
    g_free(challenge->service);
    g_free(challenge->scope);
    g_free(challenge);
}

GPtrArray *registry_challenges_new(void)
{
    return g_ptr_array_new_with_free_func(challenge_free);
}

static bool is_token_char(char c)
{
    return g_ascii_isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A word of the header; NULL when there is none here. The caller frees it. */
static char *read_token(const char **at)
{
    const char *start = *at;

    while (is_token_char(**at))
        (*at)++;
    return *at > start ? g_strndup(start, (size_t)(*at - start)) : NULL;
}

static void skip(const char **at, const char *chars)
{
    *at += strspn(*at, chars);
}

/* "text \" text"; NULL when it does not end, is too long or has control characters. */
static char *read_quoted(const char **at)
{
    g_autoptr(GString) value = g_string_new(NULL);

    for (const char *c = *at + 1; *c; c++) {
        if (*c == '"') {
            *at = c + 1;
            return g_string_free(g_steal_pointer(&value), FALSE);
        }
        if (*c == '\\' && c[1])
            c++;
        if (g_ascii_iscntrl(*c) || value->len >= MAX_VALUE_BYTES)
            return NULL;
        g_string_append_c(value, *c);
    }
    return NULL;
}

/* value: taken. */
static void set_param(struct challenge *challenge, const char *name, char *value)
{
    char **slot = g_ascii_strcasecmp(name, "realm") == 0     ? &challenge->realm
                  : g_ascii_strcasecmp(name, "service") == 0 ? &challenge->service
                  : g_ascii_strcasecmp(name, "scope") == 0   ? &challenge->scope
                                                             : NULL;

    if (slot && !*slot)
        *slot = value;
    else
        g_free(value);
}

/* Read " = value" behind a parameter's name. NULL when it is none. */
static char *read_value(const char **at)
{
    skip(at, " \t");
    if (**at != '=')
        return NULL;
    (*at)++;
    skip(at, " \t");
    return **at == '"' ? read_quoted(at) : read_token(at);
}

void registry_challenge_parse(const char *header, GPtrArray *challenges)
{
    struct challenge *current = NULL;
    const char *at = header;

    for (;;) {
        skip(&at, " \t,");
        g_autofree char *word = read_token(&at);
        if (!word)
            return;
        const char *after = at;
        skip(&after, " \t");
        if (*after == '=') {
            char *value = read_value(&at);

            if (!value || !current) {
                g_free(value);
                return;
            }
            set_param(current, word, value);
        } else {
            if (challenges->len >= MAX_CHALLENGES)
                return;
            current = g_new0(struct challenge, 1);
            current->scheme = g_ascii_strdown(word, -1);
            g_ptr_array_add(challenges, current);
        }
    }
}

const struct challenge *registry_challenge_find(const GPtrArray *challenges, const char *scheme)
{
    for (unsigned i = 0; i < challenges->len; i++) {
        const struct challenge *challenge = g_ptr_array_index(challenges, i);

        if (strcmp(challenge->scheme, scheme) == 0)
            return challenge;
    }
    return NULL;
}
