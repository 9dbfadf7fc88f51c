/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_instructions.h"

/* Is the word "<<EOF" or its like? A word that only looks so is a path. */
static bool is_heredoc(const char *word, char **ret_name)
{
    struct dockerfile_heredoc *heredoc = NULL;
    struct cob_error *err = dockerfile_heredoc_parse(word, &heredoc);

    cob_error_free(err);
    if (!heredoc)
        return false;
    if (ret_name)
        *ret_name = g_steal_pointer(&heredoc->name);
    dockerfile_heredoc_free(heredoc);
    return true;
}

static struct dockerfile_heredoc *find_heredoc(
    const struct dockerfile_instruction *instruction, const char *name)
{
    for (guint i = instruction->heredocs->len; i-- > 0;) {
        struct dockerfile_heredoc *heredoc = g_ptr_array_index(instruction->heredocs, i);

        if (strcmp(heredoc->name, name) == 0)
            return heredoc;
    }
    return NULL;
}

static void add_source(
    struct dockerfile_instruction *instruction, struct dockerfile_files *files, const char *word)
{
    g_autofree char *name = NULL;
    struct dockerfile_heredoc *heredoc =
        is_heredoc(word, &name) ? find_heredoc(instruction, name) : NULL;

    if (heredoc)
        g_ptr_array_add(files->documents, heredoc);
    else
        g_ptr_array_add(files->sources, g_strdup(word));
}

struct cob_error *dockerfile_fill_files(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    struct dockerfile_files *files = &instruction->files;
    const char *name = dockerfile_instruction_specs[instruction->kind].name;
    GPtrArray *words = instruction->words;

    (void)dockerfile;
    if (words->len < 2)
        return cob_fail(COB_INVALID,
            "%s requires at least two arguments, but only one was provided. Destination could not "
            "be determined",
            name);
    const char *dest = g_ptr_array_index(words, words->len - 1);
    if (!instruction->command.is_json && is_heredoc(dest, NULL))
        return cob_fail(COB_INVALID, "%s cannot accept a heredoc as a destination", name);
    *files = (struct dockerfile_files){
        .sources = g_ptr_array_new_with_free_func(g_free),
        .documents = g_ptr_array_new(),
        .dest = g_strdup(dest),
        .from = g_strdup(dockerfile_flag_text(instruction, "from")),
        .chown = g_strdup(dockerfile_flag_text(instruction, "chown")),
        .chmod = g_strdup(dockerfile_flag_text(instruction, "chmod")),
        .checksum = g_strdup(dockerfile_flag_text(instruction, "checksum")),
        .excludes = dockerfile_flag_texts(instruction, "exclude"),
        .is_link = dockerfile_flag_choice(instruction, "link") == DOCKERFILE_YES,
        .is_parents = dockerfile_flag_choice(instruction, "parents") == DOCKERFILE_YES,
        .unpack = dockerfile_flag_choice(instruction, "unpack"),
        .keep_git_dir = dockerfile_flag_choice(instruction, "keep-git-dir"),
    };
    for (guint i = 0; i + 1 < words->len; i++)
        add_source(instruction, files, g_ptr_array_index(words, i));
    return NULL;
}
