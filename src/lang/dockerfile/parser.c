/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "lang/dockerfile/dockerfile_instructions.h"
#include "util/limits.h"

static struct dockerfile_stage *stage_new(struct dockerfile_instruction *from)
{
    struct dockerfile_stage *stage = g_new(struct dockerfile_stage, 1);

    *stage = (struct dockerfile_stage){
        .from = from,
        .instructions = g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_instruction_free),
    };
    return stage;
}

static void stage_free(void *data)
{
    struct dockerfile_stage *stage = data;

    dockerfile_instruction_free(stage->from);
    g_ptr_array_unref(stage->instructions);
    g_free(stage);
}

static struct cob_dockerfile *new_empty(struct cob_srcfile *file)
{
    struct cob_dockerfile *dockerfile = g_new(struct cob_dockerfile, 1);

    *dockerfile = (struct cob_dockerfile){
        .file = cob_srcfile_ref(file),
        .escape = '\\',
        .global_args = g_ptr_array_new_with_free_func((GDestroyNotify)dockerfile_instruction_free),
        .stages = g_ptr_array_new_with_free_func(stage_free),
        .empty_continuations = g_array_new(FALSE, FALSE, sizeof(int)),
    };
    return dockerfile;
}

void cob_dockerfile_free(struct cob_dockerfile *dockerfile)
{
    if (!dockerfile)
        return;
    cob_srcfile_unref(dockerfile->file);
    g_free(dockerfile->syntax.value);
    g_free(dockerfile->check.value);
    g_free(dockerfile->escape_directive.value);
    g_ptr_array_unref(dockerfile->global_args);
    g_ptr_array_unref(dockerfile->stages);
    g_array_unref(dockerfile->empty_continuations);
    g_free(dockerfile);
}

/* Put an instruction where it belongs. instruction: taken. */
static struct cob_error *place(
    struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction)
{
    GPtrArray *stages = dockerfile->stages;

    if (instruction->kind == DOCKERFILE_FROM) {
        g_ptr_array_add(stages, stage_new(instruction));
    } else if (stages->len > 0) {
        struct dockerfile_stage *stage = g_ptr_array_index(stages, stages->len - 1);

        g_ptr_array_add(stage->instructions, instruction);
    } else if (instruction->kind == DOCKERFILE_ARG) {
        g_ptr_array_add(dockerfile->global_args, instruction);
    } else {
        struct cob_range range = instruction->range;

        dockerfile_instruction_free(instruction);
        return cob_error_at(
            cob_fail(COB_INVALID, "no build stage in current context"), dockerfile->file, range);
    }
    return NULL;
}

static struct cob_error *parse_lines(
    struct cob_dockerfile *dockerfile, struct dockerfile_lexer *lexer)
{
    for (unsigned n = 0;; n++) {
        struct dockerfile_instruction *instruction = NULL;
        g_autofree char *text = NULL;
        struct cob_range range = {0};

        COB_TRY(dockerfile_lexer_next(lexer, &text, &range));
        if (!text && n == 0)
            return cob_error_at(cob_fail(COB_INVALID, "file with no instructions"),
                dockerfile->file, (struct cob_range){lexer->line, lexer->line});
        if (n == 0)
            COB_TRY(dockerfile_check_syntax(dockerfile));
        if (!text)
            return NULL;
        if (n == COB_LIMIT_INSTRUCTIONS)
            return cob_error_at(
                cob_fail(COB_EXHAUSTED, "more than %d instructions", COB_LIMIT_INSTRUCTIONS),
                dockerfile->file, range);
        COB_TRY(dockerfile_instruction_new(lexer, text, range, &instruction));
        COB_TRY(place(dockerfile, instruction));
    }
}

static struct cob_error *parse(struct cob_dockerfile *dockerfile)
{
    const gsize size = g_bytes_get_size(dockerfile->file->data);
    struct dockerfile_lexer lexer;

    if (size == 0)
        return cob_fail(COB_INVALID, "the Dockerfile cannot be empty");
    if (size > COB_LIMIT_DOCKERFILE_BYTES)
        return cob_fail(COB_EXHAUSTED, "the Dockerfile is larger than %" PRIu64 " bytes",
            COB_LIMIT_DOCKERFILE_BYTES);
    dockerfile_lexer_init(&lexer, dockerfile);
    struct cob_error *err = parse_lines(dockerfile, &lexer);
    dockerfile_lexer_done(&lexer);
    if (!err && dockerfile->stages->len == 0)
        return cob_fail(COB_INVALID, "dockerfile contains no stages to build");
    return err;
}

struct cob_error *cob_dockerfile_parse(
    struct cob_srcfile *file, struct cob_dockerfile **ret_dockerfile)
{
    return cob_dockerfile_parse_as(file, NULL, ret_dockerfile);
}

struct cob_error *cob_dockerfile_parse_as(
    struct cob_srcfile *file, const char *frontend, struct cob_dockerfile **ret_dockerfile)
{
    g_autoptr(cob_dockerfile) dockerfile = new_empty(file);

    dockerfile->frontend = frontend;
    COB_TRY(parse(dockerfile));
    dockerfile->frontend = NULL;
    *ret_dockerfile = g_steal_pointer(&dockerfile);
    return NULL;
}

struct cob_dockerfile *dockerfile_parse_part(struct cob_srcfile *file)
{
    struct cob_dockerfile *dockerfile = new_empty(file);

    cob_error_free(parse(dockerfile));
    return dockerfile;
}

size_t cob_dockerfile_n_stages(const struct cob_dockerfile *dockerfile)
{
    return dockerfile->stages->len;
}

const char *cob_dockerfile_stage_name(const struct cob_dockerfile *dockerfile, size_t index)
{
    const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, index);

    return stage->from->from.stage_name;
}
