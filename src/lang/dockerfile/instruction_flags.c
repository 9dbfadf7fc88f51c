/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_instructions.h"
#include "lang/dockerfile/dockerfile_suggest.h"

static struct cob_error *fail_unknown(
    const struct dockerfile_instruction_spec *spec, const char *name)
{
    const char *known[DOCKERFILE_MAX_FLAGS + 1] = {NULL};

    for (size_t i = 0; i < DOCKERFILE_MAX_FLAGS; i++)
        known[i] = spec->flags[i].name;
    return dockerfile_fail_suggesting(name, known, "unknown flag: --%s", name);
}

static struct cob_error *check_value(
    const struct dockerfile_flag *flag, enum dockerfile_flag_type type)
{
    const char *value = flag->value;

    if (type != DOCKERFILE_FLAG_BOOL) {
        if (!value)
            return cob_fail(COB_INVALID, "missing a value on flag: --%s", flag->name);
        return NULL;
    }
    if (!value || g_ascii_strcasecmp(value, "true") == 0 || g_ascii_strcasecmp(value, "false") == 0)
        return NULL;
    if (!*value)
        return cob_fail(COB_INVALID, "missing a value on flag: --%s", flag->name);
    return cob_fail(
        COB_INVALID, "expecting boolean value for flag --%s, not: %s", flag->name, value);
}

struct cob_error *dockerfile_flags_check(
    const struct dockerfile_instruction_spec *spec, const GPtrArray *flags)
{
    bool is_used[DOCKERFILE_MAX_FLAGS] = {false};

    for (guint i = 0; i < flags->len; i++) {
        const struct dockerfile_flag *flag = g_ptr_array_index(flags, i);
        size_t at = 0;

        while (at < DOCKERFILE_MAX_FLAGS && spec->flags[at].name &&
               strcmp(spec->flags[at].name, flag->name) != 0)
            at++;
        if (at == DOCKERFILE_MAX_FLAGS || !spec->flags[at].name)
            return fail_unknown(spec, flag->name);
        if (is_used[at] && spec->flags[at].type != DOCKERFILE_FLAG_TEXTS)
            return cob_fail(COB_INVALID, "duplicate flag specified: --%s", flag->name);
        is_used[at] = true;
        COB_TRY(check_value(flag, spec->flags[at].type));
    }
    return NULL;
}

const char *dockerfile_flag_text(const struct dockerfile_instruction *instruction, const char *name)
{
    for (guint i = 0; i < instruction->flags->len; i++) {
        const struct dockerfile_flag *flag = g_ptr_array_index(instruction->flags, i);

        if (strcmp(flag->name, name) == 0)
            return flag->value ? flag->value : "true";
    }
    return NULL;
}

enum dockerfile_choice dockerfile_flag_choice(
    const struct dockerfile_instruction *instruction, const char *name)
{
    const char *value = dockerfile_flag_text(instruction, name);

    if (!value)
        return DOCKERFILE_UNSAID;
    return g_ascii_strcasecmp(value, "true") == 0 ? DOCKERFILE_YES : DOCKERFILE_NO;
}

GPtrArray *dockerfile_flag_texts(const struct dockerfile_instruction *instruction, const char *name)
{
    GPtrArray *values = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < instruction->flags->len; i++) {
        const struct dockerfile_flag *flag = g_ptr_array_index(instruction->flags, i);

        if (strcmp(flag->name, name) == 0)
            g_ptr_array_add(values, g_strdup(flag->value));
    }
    return values;
}
