/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_lint.h"

enum casing { CASING_LOWER, CASING_UPPER, CASING_MIXED };

static enum casing casing_of(const char *word)
{
    g_autofree char *lower = g_ascii_strdown(word, -1);
    g_autofree char *upper = g_ascii_strup(word, -1);

    if (strcmp(lower, word) == 0)
        return CASING_LOWER;
    return strcmp(upper, word) == 0 ? CASING_UPPER : CASING_MIXED;
}

/* --- one instruction --- */

static void check_from(
    struct dockerfile_lint *lint, const struct dockerfile_instruction *instruction)
{
    const GPtrArray *words = instruction->words;
    const char *as = words->len == 3 ? g_ptr_array_index(words, 1) : NULL;
    const char *name = words->len == 3 ? g_ptr_array_index(words, 2) : NULL;
    enum casing casing = casing_of(instruction->word);

    if (!name)
        return;
    if (strcmp(name, instruction->from.stage_name) != 0)
        dockerfile_lint_add(lint, DOCKERFILE_RULE_STAGE_NAME_CASING, instruction->range,
            "Stage name '%s' should be lowercase", name);
    if (casing != CASING_MIXED && casing_of(as) != casing)
        dockerfile_lint_add(lint, DOCKERFILE_RULE_FROM_AS_CASING, instruction->range,
            "'%s' and '%s' keywords' casing do not match", as, instruction->word);
}

const char *dockerfile_doc_comment(
    const struct dockerfile_instruction *instruction, const char *name)
{
    size_t len = strlen(name);

    for (guint i = 0; i < instruction->comments->len; i++) {
        const char *comment = g_ptr_array_index(instruction->comments, i);

        if (strncmp(comment, name, len) == 0 && comment[len] == ' ')
            return comment + len + 1;
    }
    return NULL;
}

/* Does the last comment begin with the word? */
static bool is_described(const struct dockerfile_instruction *instruction, const char *name)
{
    const GPtrArray *comments = instruction->comments;
    const char *last = g_ptr_array_index(comments, comments->len - 1);
    size_t len = strcspn(last, " ");

    return strlen(name) == len && strncmp(last, name, len) == 0;
}

static void check_arg_comment(
    struct dockerfile_lint *lint, const struct dockerfile_instruction *instruction)
{
    const GPtrArray *pairs = instruction->pairs;
    const struct dockerfile_pair *first = g_ptr_array_index(pairs, 0);

    for (guint i = 0; i < pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(pairs, i);

        if (is_described(instruction, pair->key))
            return;
    }
    dockerfile_lint_add(lint, DOCKERFILE_RULE_DESCRIPTION, instruction->range,
        "Comment for ARG should follow the format: `# %s <description>`",
        pairs->len > 1 ? "<arg_key>" : first->key);
}

static void check_comment(
    struct dockerfile_lint *lint, const struct dockerfile_instruction *instruction)
{
    if (instruction->comments->len == 0)
        return;
    if (instruction->kind == DOCKERFILE_ARG)
        check_arg_comment(lint, instruction);
    else if (instruction->kind == DOCKERFILE_FROM && instruction->from.stage_name &&
             !is_described(instruction, instruction->from.stage_name))
        dockerfile_lint_add(lint, DOCKERFILE_RULE_DESCRIPTION, instruction->range,
            "Comment for FROM should follow the format: `# %s <description>`",
            instruction->from.stage_name);
}

static void check_instruction(
    struct dockerfile_lint *lint, const struct dockerfile_instruction *instruction)
{
    dockerfile_lint_enter(lint, instruction);
    if (instruction->kind == DOCKERFILE_MAINTAINER)
        dockerfile_lint_add(lint, DOCKERFILE_RULE_MAINTAINER, instruction->range,
            "Maintainer instruction is deprecated in favor of using label");
    else if (instruction->kind == DOCKERFILE_FROM)
        check_from(lint, instruction);
    check_comment(lint, instruction);
    dockerfile_lint_leave(lint);
}

void dockerfile_lint_instructions(
    struct dockerfile_lint *lint, const struct cob_dockerfile *dockerfile)
{
    if (!lint->out)
        return;
    for (guint i = 0; i < dockerfile->empty_continuations->len; i++) {
        int line = g_array_index(dockerfile->empty_continuations, int, i);

        dockerfile_lint_add(lint, DOCKERFILE_RULE_EMPTY_CONTINUATION,
            (struct cob_range){line, line}, "Empty continuation line");
    }
    for (guint i = 0; i < dockerfile->global_args->len; i++)
        check_instruction(lint, g_ptr_array_index(dockerfile->global_args, i));
    for (guint i = 0; i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);

        check_instruction(lint, stage->from);
        for (guint j = 0; j < stage->instructions->len; j++)
            check_instruction(lint, g_ptr_array_index(stage->instructions, j));
    }
}

/* --- all of them --- */

static void check_names(struct dockerfile_lint *lint, const struct cob_dockerfile *dockerfile)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal); /* borrowed */

    for (guint i = 0; i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);
        char *name = stage->from->from.stage_name;

        if (!name)
            continue;
        if (strcmp(name, "context") == 0 || strcmp(name, "scratch") == 0)
            dockerfile_lint_add(lint, DOCKERFILE_RULE_RESERVED_STAGE, stage->from->range,
                "Stage name should not use the same name as reserved stage \"%s\"", name);
        if (!g_hash_table_add(seen, name))
            dockerfile_lint_add(lint, DOCKERFILE_RULE_DUPLICATE_STAGE, stage->from->range,
                "Duplicate stage name \"%s\", stage names should be unique", name);
    }
}

/* What visits each instruction of the stages, FROM with them. */
typedef void (*visit_word)(
    void *arg, const struct dockerfile_instruction *instruction, enum casing casing);

static void visit_words(const struct cob_dockerfile *dockerfile, visit_word visit, void *arg)
{
    for (guint i = 0; i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);

        visit(arg, stage->from, casing_of(stage->from->word));
        for (guint j = 0; j < stage->instructions->len; j++) {
            const struct dockerfile_instruction *one = g_ptr_array_index(stage->instructions, j);

            visit(arg, one, casing_of(one->word));
        }
    }
}

struct casing_check {
    struct dockerfile_lint *lint;
    unsigned n[CASING_MIXED + 1];
    enum casing wanted;
};

static void count_casing(
    void *arg, const struct dockerfile_instruction *instruction, enum casing casing)
{
    struct casing_check *check = arg;

    (void)instruction;
    check->n[casing]++;
}

static void check_casing(
    void *arg, const struct dockerfile_instruction *instruction, enum casing casing)
{
    struct casing_check *check = arg;

    if (casing != check->wanted)
        dockerfile_lint_add(check->lint, DOCKERFILE_RULE_INSTRUCTION_CASING, instruction->range,
            "Command '%s' should match the case of the command majority (%s)", instruction->word,
            check->wanted == CASING_LOWER ? "lowercase" : "uppercase");
}

void dockerfile_lint_stages(struct dockerfile_lint *lint, const struct cob_dockerfile *dockerfile)
{
    struct casing_check check = {.lint = lint};

    if (!lint->out)
        return;
    check_names(lint, dockerfile);
    visit_words(dockerfile, count_casing, &check);
    check.wanted = check.n[CASING_LOWER] > check.n[CASING_UPPER] ? CASING_LOWER : CASING_UPPER;
    visit_words(dockerfile, check_casing, &check);
}
