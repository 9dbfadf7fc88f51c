/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters as docker buildx takes them: KEY, KEY=VALUE, KEY~=PATTERN, KEY!=VALUE.
 *
 *     until, unused-for               a duration: not used for so long
 *     id                              "=" finds a part of it, as in buildx
 *     parents, description, type, namespace, mount
 *     inuse, mutable, immutable, shared, private     true or false; alone: true
 */
#include <string.h>

#include "build/gc/gc_parts.h"
#include "util/text.h"

enum comparison { IS_EQUAL, IS_UNLIKE, HAS_PATTERN, HAS_PART };

struct condition {
    const char *key; /* of the table below */
    enum comparison how;
    char *value; /* NULL: is it so at all? */
};

struct cob_gc_filter {
    GArray *conditions; /* struct condition, its value owned */
    int64_t unused_us;
};

static const char *const keys[] = {"id", "parents", "description", "type", "namespace", "mount",
    "inuse", "mutable", "immutable", "shared", "private", "until", "unused-for", NULL};

static void clear_condition(void *data)
{
    g_free(((struct condition *)data)->value);
}

void cob_gc_filter_free(struct cob_gc_filter *filter)
{
    if (!filter)
        return;
    g_array_unref(filter->conditions);
    g_free(filter);
}

static const char *find_key(const char *name)
{
    for (size_t i = 0; keys[i]; i++) {
        if (strcmp(keys[i], name) == 0)
            return keys[i];
    }
    return NULL;
}

/* Split at the operator.  ret_value: NULL: there is none. */
static enum comparison split(const char *text, char **ret_name, char **ret_value)
{
    const char *equals = strchr(text, '=');
    const size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const char last = equals && len > 0 ? text[len - 1] : '\0';
    const bool is_two = last == '~' || last == '!';

    *ret_name = g_strstrip(g_strndup(text, len - is_two));
    *ret_value = equals ? g_strstrip(g_strdup(equals + 1 + (equals[1] == '='))) : NULL;
    return last == '~' ? HAS_PATTERN : last == '!' ? IS_UNLIKE : IS_EQUAL;
}

/* Of regular expressions there are those that cost no more than their length squared. */
#define MAX_STARS 4

static struct cob_error *check_pattern(const char *pattern)
{
    unsigned n_stars = 0;

    for (const char *at = pattern; *at; at++) {
        if (strchr("[]()|+?{}\\", *at))
            return cob_fail(COB_UNIMPLEMENTED,
                "a pattern with \"%c\": there are . * ^ and $, and letters that mean themselves",
                *at);
        n_stars += *at == '*';
    }
    if (n_stars > MAX_STARS || pattern[0] == '*')
        return cob_fail(
            COB_INVALID, "a pattern has up to %d *, and none at its beginning", MAX_STARS);
    return NULL;
}

static bool match_here(const char *pattern, const char *text)
{
    while (*pattern) {
        if (pattern[0] == '$' && !pattern[1])
            return !*text;
        if (pattern[1] == '*') {
            const char *end = text;

            while (*end && (pattern[0] == '.' || *end == pattern[0]))
                end++;
            for (; end >= text; end--) {
                if (match_here(pattern + 2, end))
                    return true;
            }
            return false;
        }
        if (!*text || (pattern[0] != '.' && pattern[0] != *text))
            return false;
        pattern++, text++;
    }
    return true;
}

static bool match_pattern(const char *pattern, const char *text)
{
    if (pattern[0] == '^')
        return match_here(pattern + 1, text);
    do {
        if (match_here(pattern, text))
            return true;
    } while (*text++);
    return false;
}

static struct cob_error *add_duration(
    struct cob_gc_filter *filter, const char *key, enum comparison how, const char *value)
{
    struct cob_error *err =
        value && how == IS_EQUAL
            ? cob_gc_duration_parse(value, &filter->unused_us)
            : cob_fail(COB_INVALID, "it has to be followed by = and a duration");

    return cob_wrap(err, "\"%s\" filter expects a duration (e.g., '24h')", key);
}

/* A key has one value, as in buildx; "until" and its other name are the same key. */
static bool is_there(const struct cob_gc_filter *filter, const char *key)
{
    for (guint i = 0; i < filter->conditions->len; i++) {
        if (g_array_index(filter->conditions, struct condition, i).key == key)
            return true;
    }
    return false;
}

static struct cob_error *add_text(struct cob_gc_filter *filter, const char *text)
{
    g_autofree char *name = NULL;
    g_autofree char *value = NULL;
    enum comparison how = split(text, &name, &value);
    const char *key = find_key(name);

    if (!key) {
        const char *meant = cob_text_suggest(name, keys);

        return cob_fail(COB_INVALID, "there is no key \"%s\"%s%s%s", name,
            meant ? " (did you mean " : "", meant ? meant : "", meant ? "?)" : "");
    }
    if (is_there(filter, key))
        return cob_fail(COB_INVALID, "\"%s\" filter expects only one value", key);
    if (value && how == HAS_PATTERN)
        COB_TRY(check_pattern(value));
    if (how == IS_EQUAL && strcmp(key, "id") == 0)
        how = HAS_PART;
    if (strcmp(key, "until") == 0 || strcmp(key, "unused-for") == 0)
        COB_TRY(add_duration(filter, key, how, value));
    const struct condition condition = {key, how, g_steal_pointer(&value)};
    g_array_append_val(filter->conditions, condition);
    return NULL;
}

struct cob_error *cob_gc_filter_parse(const char *const *texts, struct cob_gc_filter **ret_filter)
{
    g_autoptr(cob_gc_filter) filter = g_new(struct cob_gc_filter, 1);

    *filter =
        (struct cob_gc_filter){.conditions = g_array_new(FALSE, FALSE, sizeof(struct condition))};
    g_array_set_clear_func(filter->conditions, clear_condition);
    for (; texts && *texts; texts++)
        COB_TRY(cob_wrap(add_text(filter, *texts), "invalid filter \"%s\"", *texts));
    if (is_there(filter, find_key("until")) && is_there(filter, find_key("unused-for")))
        return cob_fail(COB_INVALID, "conflicting filters \"until\" and \"unused-for\"");
    *ret_filter = g_steal_pointer(&filter);
    return NULL;
}

/* What a record says under a key; NULL: it says nothing. */
static const char *text_of(const struct cob_gc_record *record, const char *key)
{
    const struct {
        const char *key, *text;
    } texts[] = {
        {"id", record->id},
        {"parents", record->parent},
        {"description", record->description},
        {"type", record->type},
        {"namespace", record->namespace},
        {"mount", record->mount},
        {"inuse", record->is_in_use ? "true" : NULL},
        {"mutable", record->is_mutable ? "true" : NULL},
        {"immutable", record->is_mutable ? NULL : "true"},
        {"shared", record->is_shared ? "true" : NULL},
        {"private", record->is_shared ? NULL : "true"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (strcmp(texts[i].key, key) == 0)
            return texts[i].text;
    }
    return NULL;
}

static bool is_flag(const char *key)
{
    static const char *const flags[] = {"inuse", "mutable", "immutable", "shared", "private", NULL};

    return g_strv_contains(flags, key);
}

static bool match_one(const struct condition *condition, const struct cob_gc_record *record)
{
    const char *text = text_of(record, condition->key);

    if (!condition->value)
        return text != NULL;
    if (!text && is_flag(condition->key))
        text = "false";
    switch (condition->how) {
    case IS_EQUAL:
        return g_strcmp0(text, condition->value) == 0;
    case IS_UNLIKE:
        return g_strcmp0(text, condition->value) != 0;
    case HAS_PATTERN:
        return text && match_pattern(condition->value, text);
    case HAS_PART:
        return text && strstr(text, condition->value) != NULL;
    }
    g_assert_not_reached();
}

bool cob_gc_filter_match(
    const struct cob_gc_filter *filter, const struct cob_gc_record *record, int64_t now_us)
{
    const int64_t used_us = MAX(record->last_used_us, record->created_us);

    if (filter->unused_us && used_us > now_us - filter->unused_us)
        return false;
    for (guint i = 0; i < filter->conditions->len; i++) {
        const struct condition *condition = &g_array_index(filter->conditions, struct condition, i);

        if (strcmp(condition->key, "until") == 0 || strcmp(condition->key, "unused-for") == 0)
            continue;
        if (!match_one(condition, record))
            return false;
    }
    return true;
}
