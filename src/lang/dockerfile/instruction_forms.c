/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_instructions.h"

static void pair_free(void *data)
{
    struct dockerfile_pair *pair = data;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

/* key, value: taken. */
static void add_pair(
    struct dockerfile_instruction *instruction, char *key, char *value, bool is_legacy)
{
    struct dockerfile_pair *pair = g_new(struct dockerfile_pair, 1);

    *pair = (struct dockerfile_pair){.key = key, .value = value, .is_legacy = is_legacy};
    g_ptr_array_add(instruction->pairs, pair);
}

/* A JSON array, or the whole text as one word for the shell. Nothing is no word at all. */
static struct cob_error *read_command(struct dockerfile_instruction *instruction, const char *rest)
{
    struct dockerfile_command *command = &instruction->command;
    GPtrArray *words = NULL;

    COB_TRY(dockerfile_json_words(rest, &words));
    command->is_json = words != NULL;
    if (!words) {
        words = g_ptr_array_new_with_free_func(g_free);
        if (*rest)
            g_ptr_array_add(words, g_strdup(rest));
    }
    command->words = words;
    return NULL;
}

static struct cob_error *read_json_or_words(
    struct dockerfile_instruction *instruction, const char *rest)
{
    COB_TRY(dockerfile_json_words(rest, &instruction->words));
    if (instruction->words)
        instruction->command.is_json = true;
    else
        instruction->words = dockerfile_plain_words(rest);
    return NULL;
}

/* "ENV name value": the value is the rest of the line as it stands. */
static struct cob_error *read_legacy_pair(
    struct dockerfile_instruction *instruction, const char *name, const char *rest)
{
    size_t key_len = strcspn(rest, "\t\v\f\r ");
    const char *value = rest + key_len + strspn(rest + key_len, "\t\v\f\r ");

    if (!*value)
        return cob_fail(COB_INVALID, "%s must have two arguments", name);
    add_pair(instruction, g_strndup(rest, key_len), g_strdup(value), /* is_legacy= */ true);
    return NULL;
}

static struct cob_error *fail_no_equals(const char *word)
{
    g_autoptr(GString) quoted = g_string_new(NULL);

    dockerfile_go_quote(quoted, word);
    return cob_fail(COB_INVALID,
        "Syntax error - can't find = in %s. Must be of the form: name=value", quoted->str);
}

static struct cob_error *read_pairs(
    struct dockerfile_instruction *instruction, const char *rest, char escape)
{
    const char *name = dockerfile_instruction_specs[instruction->kind].name;
    g_autoptr(GPtrArray) words = dockerfile_quoted_words(rest, escape);

    if (words->len > 0 && !strchr(g_ptr_array_index(words, 0), '='))
        return read_legacy_pair(instruction, name, rest);
    for (guint i = 0; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        const char *equals = strchr(word, '=');

        if (!equals)
            return fail_no_equals(word);
        add_pair(instruction, g_strndup(word, (size_t)(equals - word)), g_strdup(equals + 1),
            /* is_legacy= */ false);
    }
    return NULL;
}

static void read_names(struct dockerfile_instruction *instruction, const char *rest, char escape)
{
    g_autoptr(GPtrArray) words = dockerfile_quoted_words(rest, escape);

    for (guint i = 0; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        const char *equals = strchr(word, '=');
        size_t key_len = equals ? (size_t)(equals - word) : strlen(word);

        add_pair(instruction, g_strndup(word, key_len), equals ? g_strdup(equals + 1) : NULL,
            /* is_legacy= */ false);
    }
}

/* "CMD command": the type becomes the one word, the command what it is. */
static struct cob_error *read_health(struct dockerfile_instruction *instruction, const char *rest)
{
    size_t type_len = strcspn(rest, "\t\n\v\f\r ");
    const char *command = rest + type_len + strspn(rest + type_len, "\t\n\v\f\r ");

    if (type_len > 0)
        g_ptr_array_add(instruction->words, g_ascii_strup(rest, (gssize)type_len));
    return read_command(instruction, command);
}

struct cob_error *dockerfile_form_read(
    struct dockerfile_instruction *instruction, const char *rest, char escape)
{
    switch (dockerfile_instruction_specs[instruction->kind].form) {
    case DOCKERFILE_FORM_COMMAND:
        return read_command(instruction, rest);
    case DOCKERFILE_FORM_JSON_OR_WORDS:
        return read_json_or_words(instruction, rest);
    case DOCKERFILE_FORM_WORDS:
        instruction->words = dockerfile_plain_words(rest);
        return NULL;
    case DOCKERFILE_FORM_PAIRS:
        return read_pairs(instruction, rest, escape);
    case DOCKERFILE_FORM_NAMES:
        read_names(instruction, rest, escape);
        return NULL;
    case DOCKERFILE_FORM_HEALTH:
        instruction->words = g_ptr_array_new_with_free_func(g_free);
        return read_health(instruction, rest);
    case DOCKERFILE_FORM_TEXT:
    case DOCKERFILE_FORM_INSTRUCTION:
        instruction->words = g_ptr_array_new_with_free_func(g_free);
        if (*rest)
            g_ptr_array_add(instruction->words, g_strdup(rest));
        return NULL;
    }
    g_assert_not_reached();
}

GPtrArray *dockerfile_pairs_new(void)
{
    return g_ptr_array_new_with_free_func(pair_free);
}
