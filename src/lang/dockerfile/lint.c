/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_lint.h"

#include <string.h>

#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_instructions.h"
#include "lang/dockerfile/dockerfile_plan.h"
#include "util/limits.h"

#define OPTIONS_ARG "BUILDKIT_DOCKERFILE_CHECK"

G_STATIC_ASSERT(DOCKERFILE_N_RULES <= 32);

static void warning_free(void *data)
{
    struct cob_dockerfile_warning *warning = data;

    g_free(warning->text);
    g_free(warning);
}

GPtrArray *cob_dockerfile_warnings_new(void)
{
    return g_ptr_array_new_with_free_func(warning_free);
}

static uint32_t bit(enum dockerfile_rule rule)
{
    return (uint32_t)1 << rule;
}

/* What is only suggested, by a check alone: nothing is wrong. */
static uint32_t suggesting_rules(void)
{
    return bit(DOCKERFILE_RULE_CACHE_MOUNT);
}

static uint32_t experimental_rules(void)
{
    uint32_t bits = 0;

    for (enum dockerfile_rule rule = 0; rule < DOCKERFILE_N_RULES; rule++)
        bits |= dockerfile_rules[rule].is_experimental ? bit(rule) : 0;
    return bits;
}

/* "all", or names between commas; those that are not known may be of a later version. */
static uint32_t read_rules(const char *list)
{
    g_auto(GStrv) names = g_strsplit(list, ",", -1);
    uint32_t bits = 0;

    if (strcmp(list, "all") == 0)
        return UINT32_MAX & ~bit(DOCKERFILE_RULE_TOO_MANY);
    for (size_t i = 0; names[i]; i++) {
        g_strstrip(names[i]);
        for (enum dockerfile_rule rule = 0; rule < DOCKERFILE_RULE_TOO_MANY; rule++)
            bits |= strcmp(dockerfile_rules[rule].name, names[i]) == 0 ? bit(rule) : 0;
    }
    return bits;
}

static struct cob_error *read_option(const char *text, struct dockerfile_lint_options *options)
{
    const char *equals = strchr(text, '=');
    g_autofree char *key = equals ? g_strndup(text, (size_t)(equals - text)) : NULL;
    g_autofree char *value = equals ? dockerfile_trim(equals + 1) : NULL;

    if (!equals)
        return cob_fail(COB_INVALID, "invalid check option \"%s\"", text);
    g_strstrip(key);
    if (strcmp(key, "skip") == 0)
        options->skipped = read_rules(value);
    else if (strcmp(key, "experimental") == 0)
        options->wanted = read_rules(value);
    else if (strcmp(key, "error") != 0)
        return cob_fail(COB_INVALID, "invalid check option \"%s\"", key);
    else if (!dockerfile_go_bool(value, &options->is_error))
        return cob_fail(COB_INVALID,
            "failed to parse check option \"%s\": strconv.ParseBool: parsing \"%s\": invalid "
            "syntax",
            text, value);
    return NULL;
}

struct cob_error *dockerfile_lint_options_parse(
    const char *text, struct dockerfile_lint_options *ret_options)
{
    struct dockerfile_lint_options options = {0};
    g_autofree char *trimmed = dockerfile_trim(text);
    g_auto(GStrv) parts = g_strsplit(trimmed, ";", 3);

    for (size_t i = 0; parts[i]; i++)
        COB_TRY(read_option(parts[i], &options));
    *ret_options = options;
    return NULL;
}

static struct cob_error *read_options(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, struct dockerfile_lint_options *options)
{
    const char *given = dockerfile_build_arg(request, OPTIONS_ARG);

    if (given)
        return cob_wrap(dockerfile_lint_options_parse(given, options),
            "failed to parse build-arg:" OPTIONS_ARG);
    if (!dockerfile->check.value)
        return NULL;
    return cob_error_at(cob_wrap(dockerfile_lint_options_parse(dockerfile->check.value, options),
                            "failed to parse check options"),
        dockerfile->file, dockerfile->check.range);
}

/* Skipping is for ordinary rules, wanting for experimental ones. */
static uint32_t apply(uint32_t on, const struct dockerfile_lint_options *options)
{
    const uint32_t experimental = experimental_rules();

    return (on & ~(options->skipped & ~experimental)) | (options->wanted & experimental);
}

struct cob_error *dockerfile_lint_new(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, struct dockerfile_lint **ret_lint)
{
    struct dockerfile_lint_options options = {0};
    struct dockerfile_lint *lint;

    if (request->warnings) {
        g_ptr_array_set_size(request->warnings, 0);
        COB_TRY(read_options(dockerfile, request, &options));
    }
    const uint32_t silent = request->is_check ? 0 : suggesting_rules();
    const uint32_t on = apply(UINT32_MAX & ~experimental_rules() & ~silent, &options);
    lint = g_new(struct dockerfile_lint, 1);
    *lint = (struct dockerfile_lint){
        .out = request->warnings,
        .for_file = on,
        .on = on,
        .is_error = options.is_error,
        .matched = g_ptr_array_new_with_free_func(g_free),
        .unmatched = g_ptr_array_new_with_free_func(g_free),
    };
    *ret_lint = lint;
    return NULL;
}

void dockerfile_lint_free(struct dockerfile_lint *lint)
{
    if (!lint)
        return;
    g_ptr_array_unref(lint->matched);
    g_ptr_array_unref(lint->unmatched);
    g_free(lint);
}

/* "check=skip=A" of a comment; what follows a blank is for people. Options that cannot be read
 * count for nothing there. */
static bool read_comment(const char *comment, struct dockerfile_lint_options *options)
{
    g_autofree char *name = NULL;
    g_autofree char *value = NULL;

    if (!dockerfile_directive_parse(comment, "", &name, &value) || strcmp(name, "check") != 0)
        return false;
    value[strcspn(value, " ")] = '\0';
    cob_error_free(dockerfile_lint_options_parse(value, options));
    return true;
}

void dockerfile_lint_enter(
    struct dockerfile_lint *lint, const struct dockerfile_instruction *instruction)
{
    struct dockerfile_lint_options options = {0};

    for (guint i = 0; lint->out && i < instruction->comments->len; i++) {
        if (read_comment(g_ptr_array_index(instruction->comments, i), &options))
            break;
    }
    lint->on = apply(lint->for_file, &options);
}

void dockerfile_lint_leave(struct dockerfile_lint *lint)
{
    lint->on = lint->for_file;
}

static void append(
    struct dockerfile_lint *lint, enum dockerfile_rule rule, struct cob_range range, char *text)
{
    const struct dockerfile_rule_spec *spec = &dockerfile_rules[rule];
    struct cob_dockerfile_warning *warning = g_new(struct cob_dockerfile_warning, 1);

    *warning = (struct cob_dockerfile_warning){.rule = spec->name,
        .description = spec->description,
        .url = spec->url,
        .text = text,
        .range = range,
        .is_suggestion = (bit(rule) & suggesting_rules()) != 0};
    g_ptr_array_add(lint->out, warning);
}

void dockerfile_lint_add(struct dockerfile_lint *lint, enum dockerfile_rule rule,
    struct cob_range range, const char *fmt, ...)
{
    va_list args;

    if (!lint->out || !(lint->on & bit(rule)))
        return;
    lint->broken |= bit(rule);
    if (lint->out->len > COB_LIMIT_LINT_WARNINGS)
        return;
    if (lint->out->len == COB_LIMIT_LINT_WARNINGS) {
        append(lint, DOCKERFILE_RULE_TOO_MANY, range,
            g_strdup_printf(
                "More than %d warnings, only the first are shown", COB_LIMIT_LINT_WARNINGS));
        return;
    }
    va_start(args, fmt);
    append(lint, rule, range, g_strdup_vprintf(fmt, args));
    va_end(args);
}

bool dockerfile_lint_wants(const struct dockerfile_lint *lint, enum dockerfile_rule rule)
{
    if (!lint->out || !(lint->on & bit(rule)))
        return false;
    return lint->out->len <= COB_LIMIT_LINT_WARNINGS || !(lint->broken & bit(rule));
}

struct cob_error *dockerfile_lint_verdict(const struct dockerfile_lint *lint)
{
    g_autoptr(GString) names = g_string_new(NULL);

    if (!lint->is_error || !(lint->broken & ~suggesting_rules()))
        return NULL;
    for (enum dockerfile_rule rule = 0; rule < DOCKERFILE_N_RULES; rule++) {
        if (lint->broken & ~suggesting_rules() & bit(rule))
            g_string_append_printf(
                names, "%s%s", names->len > 0 ? ", " : "", dockerfile_rules[rule].name);
    }
    return cob_fail(COB_INVALID, "lint violation found for rules: %s", names->str);
}

void dockerfile_lint_watch(struct dockerfile_lint *lint, struct dockerfile_expander *expander)
{
    g_ptr_array_set_size(lint->matched, 0);
    g_ptr_array_set_size(lint->unmatched, 0);
    expander->matched = lint->matched;
    expander->unmatched = lint->unmatched;
}

void cob_dockerfile_warn_unparsed(
    struct cob_srcfile *file, const struct cob_dockerfile_request *request)
{
    g_autoptr(cob_dockerfile) dockerfile = dockerfile_parse_part(file);
    g_autoptr(dockerfile_lint) lint = NULL;
    struct cob_error *err = dockerfile_lint_new(dockerfile, request, &lint);

    if (!err)
        dockerfile_lint_instructions(lint, dockerfile);
    cob_error_free(err);
}
