/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_lex.h"
#include "util/json.h"

bool dockerfile_directive_parse(
    const char *line, const char *comment, char **ret_name, char **ret_value)
{
    size_t n = 0;

    if (!g_str_has_prefix(line, comment))
        return false;
    line += strlen(comment);
    while (dockerfile_is_space(*line))
        line++;
    if (!g_ascii_isalpha(*line))
        return false;
    while (g_ascii_isalnum(line[n]))
        n++;
    g_autofree char *name = g_ascii_strdown(line, (gssize)n);
    line += n;
    while (dockerfile_is_space(*line))
        line++;
    if (*line++ != '=')
        return false;
    g_autofree char *value = dockerfile_trim(line);
    if (!*value)
        return false;
    if (strcmp(name, "syntax") != 0 && strcmp(name, "escape") != 0 && strcmp(name, "check") != 0)
        return false;
    *ret_name = g_steal_pointer(&name);
    *ret_value = g_steal_pointer(&value);
    return true;
}

static struct cob_error *keep(struct dockerfile_lexer *lexer, const char *name, char *value)
{
    struct cob_dockerfile *dockerfile = lexer->dockerfile;
    struct dockerfile_directive *directive = name[0] == 's'   ? &dockerfile->syntax
                                             : name[0] == 'c' ? &dockerfile->check
                                                              : &dockerfile->escape_directive;

    if (directive->value) {
        g_free(value);
        return cob_fail(COB_INVALID, "only one %s parser directive can be used", name);
    }
    *directive = (struct dockerfile_directive){value, {lexer->line, lexer->line}};
    if (directive != &dockerfile->escape_directive)
        return NULL;
    if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
        return cob_fail(COB_INVALID, "invalid escape token '%s' does not match ` or \\", value);
    dockerfile->escape = value[0];
    return NULL;
}

/* cob goes past a "#!" line for every directive; BuildKit does so for syntax and check, not for
 * escape. */
struct cob_error *dockerfile_directive_take(
    struct dockerfile_lexer *lexer, const char *line, bool *ret_is_directive)
{
    struct cob_range here = {lexer->line, lexer->line};
    char *name = NULL, *value = NULL;

    *ret_is_directive = false;
    if (lexer->is_past_directives || (lexer->line == 1 && g_str_has_prefix(line, "#!")))
        return NULL;
    if (!dockerfile_directive_parse(line, "#", &name, &value)) {
        lexer->is_past_directives = true;
        return NULL;
    }
    *ret_is_directive = true;
    struct cob_error *err = keep(lexer, name, value);
    g_free(name);
    return cob_error_at(err, lexer->dockerfile->file, here);
}

/* The names of the frontend that cob has built in, without tag and digest. */
static bool is_builtin(const char *image)
{
    static const char *const known[] = {"dockerfile.v0", "docker/dockerfile",
        "docker.io/docker/dockerfile", "docker/dockerfile-upstream",
        "docker.io/docker/dockerfile-upstream"};
    size_t len = strcspn(image, ":@ ");

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strlen(known[i]) == len && strncmp(image, known[i], len) == 0)
            return true;
    }
    return false;
}

static struct cob_error *check_image(
    struct cob_srcfile *file, const char *image, struct cob_range range)
{
    if (is_builtin(image))
        return NULL;
    return cob_error_at(cob_fail(COB_UNIMPLEMENTED,
                            "frontend %s is not supported: docker/dockerfile is built in, and no "
                            "other is run",
                            image),
        file, range);
}

/* Files of other frontends name it their own way: "// syntax=" or {"syntax": ...}. */
static struct cob_error *check_foreign(struct cob_srcfile *file)
{
    size_t len;
    const char *data = g_bytes_get_data(file->data, &len);
    g_autofree char *text = g_strndup(data, len);
    char *start = g_str_has_prefix(text, "\xef\xbb\xbf") ? text + 3 : text;
    struct cob_range range = {1, 1};
    json_auto_t *json = NULL;

    if (g_str_has_prefix(start, "#!")) {
        start += strcspn(start, "\n");
        start += *start == '\n';
        range = (struct cob_range){2, 2};
    }
    if (*start == '{')
        json = json_loads(start, 0, NULL);
    const char *image = json_string_value(json_object_get(json, "syntax"));
    if (image)
        return check_image(file, image, range);

    g_autofree char *line = g_strndup(start, strcspn(start, "\r\n"));
    g_autofree char *name = NULL;
    g_autofree char *value = NULL;
    if (dockerfile_directive_parse(line, "//", &name, &value) && strcmp(name, "syntax") == 0)
        return check_image(file, value, range);
    return NULL;
}

struct cob_error *dockerfile_check_syntax(const struct cob_dockerfile *dockerfile)
{
    if (dockerfile->frontend && *dockerfile->frontend) {
        if (is_builtin(dockerfile->frontend))
            return NULL;
        return cob_fail(COB_UNIMPLEMENTED,
            "BUILDKIT_SYNTAX=%s is not supported: docker/dockerfile is built in, and no other "
            "frontend is run",
            dockerfile->frontend);
    }
    if (!dockerfile->syntax.value)
        return check_foreign(dockerfile->file);
    return check_image(dockerfile->file, dockerfile->syntax.value, dockerfile->syntax.range);
}
