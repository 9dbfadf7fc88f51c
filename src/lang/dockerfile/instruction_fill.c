/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_instructions.h"

static const char *name_of(const struct dockerfile_instruction *instruction)
{
    return dockerfile_instruction_specs[instruction->kind].name;
}

static struct cob_error *fail_no_argument(const struct dockerfile_instruction *instruction)
{
    return cob_fail(COB_INVALID, "%s requires at least one argument", name_of(instruction));
}

static struct cob_error *check_keys(const struct dockerfile_instruction *instruction)
{
    if (instruction->pairs->len == 0)
        return fail_no_argument(instruction);
    for (guint i = 0; i < instruction->pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(instruction->pairs, i);

        if (!*pair->key)
            return cob_fail(COB_INVALID, "%s names can not be blank", name_of(instruction));
    }
    return NULL;
}

struct cob_error *dockerfile_fill_arg(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    (void)dockerfile;
    return check_keys(instruction);
}

struct cob_error *dockerfile_fill_pairs(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    (void)dockerfile;
    return check_keys(instruction);
}

struct cob_error *dockerfile_fill_one_word(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    (void)dockerfile;
    if (instruction->words->len != 1)
        return cob_fail(COB_INVALID, "%s requires exactly one argument", name_of(instruction));
    return NULL;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct cob_error *dockerfile_fill_expose(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    (void)dockerfile;
    if (instruction->words->len == 0)
        return fail_no_argument(instruction);
    g_ptr_array_sort(instruction->words, compare_words);
    return NULL;
}

struct cob_error *dockerfile_fill_volume(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    (void)dockerfile;
    if (instruction->words->len == 0)
        return fail_no_argument(instruction);
    for (guint i = 0; i < instruction->words->len; i++) {
        char *trimmed = dockerfile_trim(g_ptr_array_index(instruction->words, i));

        g_free(g_ptr_array_index(instruction->words, i));
        g_ptr_array_index(instruction->words, i) = trimmed;
        if (!*trimmed)
            return cob_fail(COB_INVALID, "VOLUME specified can not be an empty string");
    }
    return NULL;
}

struct cob_error *dockerfile_fill_shell(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    (void)dockerfile;
    if (instruction->command.words->len == 0)
        return fail_no_argument(instruction);
    if (!instruction->command.is_json)
        return cob_fail(COB_INVALID, "SHELL requires the arguments to be in JSON form");
    return NULL;
}

/* spec: BuildKit parse.go, validStageName. */
static bool is_stage_name(const char *name)
{
    return *name >= 'a' && *name <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name);
}

struct cob_error *dockerfile_fill_from(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    struct dockerfile_from *from = &instruction->from;
    GPtrArray *words = instruction->words;
    bool has_name = words->len == 3 && g_ascii_strcasecmp(g_ptr_array_index(words, 1), "as") == 0;

    (void)dockerfile;
    if (words->len != 1 && !has_name)
        return cob_fail(COB_INVALID, "FROM requires either one or three arguments");
    *from = (struct dockerfile_from){
        .base = g_strdup(g_ptr_array_index(words, 0)),
        .platform = g_strdup(dockerfile_flag_text(instruction, "platform")),
        .stage_name = has_name ? g_ascii_strdown(g_ptr_array_index(words, 2), -1) : NULL,
    };
    if (has_name && !is_stage_name(from->stage_name))
        return cob_fail(COB_INVALID,
            "invalid name for build stage: \"%s\", name can't start with a number or contain "
            "symbols",
            (char *)g_ptr_array_index(words, 2));
    return NULL;
}

/* The trigger as it goes into the image: with its here-documents, so that it can be read again. */
static char *trigger_text(const struct dockerfile_instruction *instruction)
{
    const char *line = instruction->text + strlen(instruction->word);
    GString *text = g_string_new(line + strspn(line, "\t\v\f\r "));

    for (guint i = 0; i < instruction->heredocs->len; i++) {
        const struct dockerfile_heredoc *heredoc = g_ptr_array_index(instruction->heredocs, i);

        g_string_append_printf(text, "\n%s%s", heredoc->content, heredoc->name);
    }
    return g_string_free(text, FALSE);
}

static struct cob_error *check_trigger(const char *word)
{
    if (g_ascii_strcasecmp(word, "ONBUILD") == 0)
        return cob_fail(COB_INVALID, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (g_ascii_strcasecmp(word, "MAINTAINER") == 0 || g_ascii_strcasecmp(word, "FROM") == 0) {
        g_autofree char *upper = g_ascii_strup(word, -1);

        return cob_fail(COB_INVALID, "%s isn't allowed as an ONBUILD trigger", upper);
    }
    return NULL;
}

static struct cob_error *parse_trigger(
    struct dockerfile_lexer *lexer, struct dockerfile_instruction **ret_instruction)
{
    struct dockerfile_split split;
    struct cob_range range;
    g_autofree char *line = NULL;

    COB_TRY(dockerfile_lexer_next(lexer, &line, &range));
    if (!line)
        return cob_fail(COB_INVALID, "an ONBUILD trigger without an instruction");
    dockerfile_split_line(line, lexer->dockerfile->escape, &split);
    struct cob_error *err = check_trigger(split.word);
    dockerfile_split_done(&split);
    return err ? err : dockerfile_instruction_new(lexer, line, range, ret_instruction);
}

/* An error without its place, which is one in the trigger: only the text is of use here. */
static struct cob_error *without_place(struct cob_error *err)
{
    g_autofree char *text = cob_error_text(err);
    const char *message = strstr(text, "ERROR: ") + strlen("ERROR: ");
    const char *detail = strstr(message, "on line 1: ");
    enum cob_code code = cob_error_code(err);

    cob_error_free(err);
    g_strchomp(text);
    return cob_fail(code, "%s", detail ? detail + strlen("on line 1: ") : message);
}

struct cob_error *dockerfile_trigger_parse(
    const char *trigger, char escape, struct dockerfile_instruction **ret_instruction)
{
    g_autoptr(GBytes) bytes = g_bytes_new(trigger, strlen(trigger));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("ONBUILD", bytes);
    g_autoptr(GArray) empty = g_array_new(FALSE, FALSE, sizeof(int));
    struct cob_dockerfile inner = {.file = file, .escape = escape, .empty_continuations = empty};
    struct dockerfile_lexer lexer;

    dockerfile_lexer_init(&lexer, &inner);
    lexer.is_past_directives = true;
    struct cob_error *err = parse_trigger(&lexer, ret_instruction);
    dockerfile_lexer_done(&lexer);
    return err ? without_place(err) : NULL;
}

/* What is wrong with a trigger is better said now than to those who build upon the image. */
struct cob_error *dockerfile_fill_onbuild(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    g_autoptr(dockerfile_instruction) trigger = NULL;

    if (instruction->words->len == 0)
        return fail_no_argument(instruction);
    instruction->trigger = trigger_text(instruction);
    return dockerfile_trigger_parse(instruction->trigger, dockerfile->escape, &trigger);
}
