/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_instructions.h"
#include "lang/dockerfile/dockerfile_suggest.h"

#include <string.h>

#define MAX_HEREDOCS 1000 /* in one instruction */

static void free_own(struct dockerfile_instruction *instruction)
{
    struct dockerfile_files *files = &instruction->files;

    if (instruction->kind == DOCKERFILE_ADD || instruction->kind == DOCKERFILE_COPY) {
        g_clear_pointer(&files->sources, g_ptr_array_unref);
        g_clear_pointer(&files->documents, g_ptr_array_unref);
        g_clear_pointer(&files->excludes, g_ptr_array_unref);
        g_free(files->dest);
        g_free(files->from);
        g_free(files->chown);
        g_free(files->chmod);
        g_free(files->checksum);
    } else if (instruction->kind == DOCKERFILE_FROM) {
        g_free(instruction->from.base);
        g_free(instruction->from.platform);
        g_free(instruction->from.stage_name);
    } else if (instruction->kind == DOCKERFILE_RUN) {
        g_clear_pointer(&instruction->run.mounts, g_ptr_array_unref);
        g_clear_pointer(&instruction->run.devices, g_ptr_array_unref);
    } else if (instruction->kind == DOCKERFILE_ONBUILD) {
        g_free(instruction->trigger);
    }
}

void dockerfile_instruction_free(struct dockerfile_instruction *instruction)
{
    if (!instruction)
        return;
    free_own(instruction);
    g_free(instruction->word);
    g_free(instruction->text);
    g_clear_pointer(&instruction->comments, g_ptr_array_unref);
    g_clear_pointer(&instruction->flags, g_ptr_array_unref);
    g_clear_pointer(&instruction->heredocs, g_ptr_array_unref);
    g_clear_pointer(&instruction->words, g_ptr_array_unref);
    g_clear_pointer(&instruction->pairs, g_ptr_array_unref);
    g_clear_pointer(&instruction->command.words, g_ptr_array_unref);
    g_free(instruction);
}

static const struct dockerfile_instruction_spec *find_spec(const char *word)
{
    for (size_t i = 0; i < dockerfile_n_instruction_specs; i++) {
        g_assert(dockerfile_instruction_specs[i].kind == (enum dockerfile_kind)i);
        if (g_ascii_strcasecmp(dockerfile_instruction_specs[i].name, word) == 0)
            return &dockerfile_instruction_specs[i];
    }
    return NULL;
}

/* Here case does not matter: the word that is meant is in upper case where the wrong one is. */
static struct cob_error *fail_unknown(const char *word)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *lower = g_ascii_strdown(word, -1);
    g_autofree char *upper = g_ascii_strup(word, -1);

    for (size_t i = 0; i < dockerfile_n_instruction_specs; i++)
        g_ptr_array_add(known, g_ascii_strdown(dockerfile_instruction_specs[i].name, -1));
    const char *near = dockerfile_suggest(lower, known);
    if (!near)
        return cob_fail(COB_INVALID, "unknown instruction: %s", word);
    const bool is_upper = strcmp(upper, word) == 0 && strcmp(lower, word) != 0;
    g_autofree char *shown = is_upper ? g_ascii_strup(near, -1) : g_strdup(near);
    return cob_fail(COB_INVALID, "unknown instruction: %s (did you mean %s?)", word, shown);
}

static struct cob_error *wrap_line(struct cob_error *err, struct cob_range range)
{
    return cob_wrap(err, "dockerfile parse error on line %d", range.first_line);
}

/* Does the instruction, or the one that ONBUILD keeps, take here-documents? */
static bool takes_heredocs(const struct dockerfile_instruction *instruction, char escape)
{
    if (instruction->kind != DOCKERFILE_ONBUILD)
        return dockerfile_instruction_specs[instruction->kind].has_heredocs &&
               !instruction->command.is_json;
    if (instruction->words->len == 0)
        return false;

    struct dockerfile_split split;
    dockerfile_split_line(g_ptr_array_index(instruction->words, 0), escape, &split);
    const struct dockerfile_instruction_spec *spec = find_spec(split.word);
    bool takes = spec && spec->has_heredocs && split.rest[0] != '[';
    dockerfile_split_done(&split);
    return takes;
}

/* Read the here-documents that the line announces. The instruction's range grows with them. */
static struct cob_error *read_heredocs(
    struct dockerfile_lexer *lexer, struct dockerfile_instruction *instruction)
{
    if (!takes_heredocs(instruction, lexer->dockerfile->escape))
        return NULL;
    g_clear_pointer(&instruction->heredocs, g_ptr_array_unref);
    COB_TRY(dockerfile_heredocs_of(instruction->text, &instruction->heredocs));
    if (instruction->heredocs->len > MAX_HEREDOCS)
        return cob_fail(COB_EXHAUSTED, "more than %d heredocs in an instruction", MAX_HEREDOCS);
    for (guint i = 0; i < instruction->heredocs->len; i++) {
        struct cob_error *err =
            dockerfile_lexer_heredoc(lexer, g_ptr_array_index(instruction->heredocs, i));

        instruction->range.last_line = lexer->line;
        COB_TRY(err);
    }
    return NULL;
}

static struct dockerfile_instruction *new_blank(
    struct dockerfile_lexer *lexer, const char *text, struct cob_range range)
{
    struct dockerfile_instruction *instruction = g_new(struct dockerfile_instruction, 1);

    *instruction = (struct dockerfile_instruction){
        .text = dockerfile_trim(text),
        .range = range,
        .comments = g_steal_pointer(&lexer->comments),
        .heredocs = g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_heredoc_free),
        .pairs = dockerfile_pairs_new(),
    };
    lexer->comments = g_ptr_array_new_with_free_func(g_free);
    return instruction;
}

static struct cob_error *parse_split(struct dockerfile_lexer *lexer, struct dockerfile_split *split,
    struct dockerfile_instruction *instruction)
{
    const struct dockerfile_instruction_spec *spec = find_spec(split->word);

    if (!spec)
        return wrap_line(fail_unknown(split->word), instruction->range);
    instruction->kind = spec->kind;
    COB_TRY(dockerfile_form_read(instruction, split->rest, lexer->dockerfile->escape));
    COB_TRY(read_heredocs(lexer, instruction));
    COB_TRY(wrap_line(dockerfile_flags_check(spec, split->flags), instruction->range));
    if (!spec->fill)
        return NULL;
    return wrap_line(spec->fill(lexer->dockerfile, instruction), instruction->range);
}

struct cob_error *dockerfile_instruction_new(struct dockerfile_lexer *lexer, const char *text,
    struct cob_range range, struct dockerfile_instruction **ret_instruction)
{
    g_autoptr(dockerfile_instruction) instruction = new_blank(lexer, text, range);
    struct dockerfile_split split;

    dockerfile_split_line(text, lexer->dockerfile->escape, &split);
    instruction->word = g_strdup(split.word);
    instruction->flags = g_ptr_array_ref(split.flags);
    instruction->kind = DOCKERFILE_USER; /* nothing of its own, until the kind is known */
    struct cob_error *err = parse_split(lexer, &split, instruction);
    dockerfile_split_done(&split);
    if (err)
        return cob_error_at(err, lexer->dockerfile->file, instruction->range);
    *ret_instruction = g_steal_pointer(&instruction);
    return NULL;
}
