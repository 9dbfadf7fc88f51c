/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"
#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_suggest.h"
#include "lang/ignore/ignore.h"

#define MAX_KNOWN 1000 /* names among which a mistyped one is looked for */

static struct dockerfile_lint *lint_of(const struct dockerfile_job *job)
{
    return job->convert->plan->lint;
}

static bool is_same_machine(const struct cob_platform *a, const struct cob_platform *b)
{
    return strcmp(a->os, b->os) == 0 && strcmp(a->arch, b->arch) == 0;
}

void dockerfile_lint_start(const struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    const struct dockerfile_node *node = build->node;

    g_ptr_array_set_size(convert->plan->lint->unmatched, 0); /* those of the FROMs */
    if (node->base) {
        build->lint.has_workdir = convert->builds[node->base->index].lint.has_workdir;
        return;
    }
    const struct cob_platform *actual = build->config->platform;
    if (build->root.vertex == COB_LLB_SCRATCH.vertex || is_same_machine(actual, build->platform))
        return;
    g_autofree char *expected_text = cob_platform_text(build->platform);
    g_autofree char *actual_text = cob_platform_text(actual);
    dockerfile_lint_add(convert->plan->lint, DOCKERFILE_RULE_BASE_PLATFORM, node->range,
        "Base image %s was pulled with platform \"%s\", expected \"%s\" for current build",
        node->base_name, actual_text, expected_text);
}

void dockerfile_lint_stage_done(struct dockerfile_lint_stage *stage)
{
    g_clear_pointer(&stage->args, g_hash_table_unref);
}

/* --- variables --- */

GPtrArray *dockerfile_lint_names(const struct dockerfile_job *job)
{
    return lint_of(job)->out ? lint_of(job)->unmatched : NULL;
}

/* An ARG without a value is not set, but it is not a slip either. */
static bool is_declared(const struct dockerfile_job *job, const char *name)
{
    struct dockerfile_lint_stage *stage = &job->build->lint;
    const GPtrArray *args = job->build->args;

    if (!stage->args)
        stage->args = g_hash_table_new(g_str_hash, g_str_equal);
    for (; stage->n_args < args->len; stage->n_args++)
        g_hash_table_add(stage->args, g_ptr_array_index(args, stage->n_args));
    return g_hash_table_contains(stage->args, name) || dockerfile_is_scan_arg(name);
}

static GPtrArray *known_names(const struct dockerfile_vars *vars)
{
    GPtrArray *known = g_ptr_array_new();

    for (GList *at = vars->order.head; at && known->len < MAX_KNOWN; at = at->next)
        g_ptr_array_add(known, ((struct dockerfile_pair *)at->data)->key);
    return known;
}

static void report_undefined(const struct dockerfile_job *job, const GPtrArray *names)
{
    struct dockerfile_lint *lint = lint_of(job);
    g_autoptr(GPtrArray) known = known_names(job->build->vars);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < names->len; i++) {
        char *name = g_ptr_array_index(names, i);

        if (!dockerfile_lint_wants(lint, DOCKERFILE_RULE_UNDEFINED_VAR))
            return;
        if (!g_hash_table_add(seen, name) || is_declared(job, name))
            continue;
        const char *near = dockerfile_suggest(name, known);
        dockerfile_lint_add(lint, DOCKERFILE_RULE_UNDEFINED_VAR, job->instruction->range,
            "Usage of undefined variable '$%s'%s%s%s", name, near ? " (did you mean $" : "",
            near ? near : "", near ? "?)" : "");
    }
}

/* What a base image sets that could not be asked for, nobody knows. */
void dockerfile_lint_undefined(const struct dockerfile_job *job)
{
    GPtrArray *names = lint_of(job)->unmatched;

    if (names->len == 0)
        return;
    if (!job->build->is_base_unknown &&
        dockerfile_lint_wants(lint_of(job), DOCKERFILE_RULE_UNDEFINED_VAR))
        report_undefined(job, names);
    g_ptr_array_set_size(names, 0);
}

/* --- single values --- */

/* A word between underscores, or all of the name.
 * spec: BuildKit dockerfile2llb/validations.go, getSecretsRegex. */
static bool has_word(const char *name, const char *const *words)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);
    g_auto(GStrv) parts = g_strsplit(lower, "_", -1);

    for (size_t i = 0; parts[i]; i++) {
        if (g_strv_contains(words, parts[i]))
            return true;
    }
    return false;
}

bool cob_dockerfile_is_secret_name(const char *name)
{
    static const char *const secret[] = {"apikey", "auth", "credential", "credentials", "key",
        "password", "pword", "passwd", "secret", "token", NULL};
    static const char *const harmless[] = {"public", "file", "version", NULL};

    return has_word(name, secret) && !has_word(name, harmless);
}

static void check_secret(const struct dockerfile_job *job, const char *name)
{
    if (!dockerfile_lint_wants(lint_of(job), DOCKERFILE_RULE_SECRET))
        return;
    if (cob_dockerfile_is_secret_name(name)) {
        g_autoptr(GString) quoted = g_string_new(NULL);

        dockerfile_go_quote(quoted, name);
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_SECRET, job->instruction->range,
            "Do not use ARG or ENV instructions for sensitive data (%s %s)",
            dockerfile_instruction_specs[job->instruction->kind].name, quoted->str);
    }
}

void dockerfile_lint_arg(const struct dockerfile_job *job, const char *name)
{
    check_secret(job, name);
}

void dockerfile_lint_pairs(const struct dockerfile_job *job, const GPtrArray *words)
{
    const struct dockerfile_instruction *instruction = job->instruction;

    for (guint i = 0; i < instruction->pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(instruction->pairs, i);

        if (pair->is_legacy)
            dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_LEGACY_PAIR, instruction->range,
                "\"%s key=value\" should be used instead of legacy \"%s key value\" format",
                instruction->word, instruction->word);
        if (instruction->kind == DOCKERFILE_ENV)
            check_secret(job, g_ptr_array_index(words, 2 * i));
    }
}

void dockerfile_lint_workdir(const struct dockerfile_job *job, const char *path)
{
    if (!job->build->lint.has_workdir && *path != '/') {
        g_autoptr(GString) quoted = g_string_new(NULL);

        dockerfile_go_quote(quoted, path);
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_WORKDIR, job->instruction->range,
            "Relative workdir %s can have unexpected results if the base image changes",
            quoted->str);
    }
    job->build->lint.has_workdir = true;
}

/* spec: BuildKit dockerfile2llb/convert_expose.go, splitParts. */
void dockerfile_lint_port(const struct dockerfile_job *job, const char *port)
{
    const char *colon = strrchr(port, ':');
    const char *slash = strchr(colon ? colon : port, '/');
    g_autofree char *lower = slash ? g_ascii_strdown(slash, -1) : NULL;
    g_autofree char *before = colon ? g_strndup(port, (size_t)(colon - port)) : NULL;

    if (slash && strcmp(lower, slash) != 0)
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_EXPOSE_CASING, job->instruction->range,
            "Defined protocol '%s' in EXPOSE instruction should be lowercase", port);
    if (before && *before && strcmp(before, ":") != 0)
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_EXPOSE_FORMAT, job->instruction->range,
            "EXPOSE instruction should not define an IP address or host-port mapping, found '%s'",
            port);
}

/* Go's path.Clean(): a relative path stays one, nothing is ".". */
static char *clean(const char *path)
{
    g_autofree char *absolute = dockerfile_clean_path(path);

    if (*path == '/')
        return g_steal_pointer(&absolute);
    return g_strdup(absolute[1] ? absolute + 1 : ".");
}

/* With a "!" in the list a file may be there below a directory that is not, so nothing is said. */
void dockerfile_lint_copy(const struct dockerfile_job *job, const char *source)
{
    const struct cob_ignore *ignore = job->convert->plan->request->ignore;
    const bool is_from_context = job->step->sources->len == 0;
    bool is_out;

    if (!ignore || !is_from_context || cob_ignore_has_returns(ignore) ||
        !dockerfile_lint_wants(lint_of(job), DOCKERFILE_RULE_IGNORED_FILE))
        return;
    g_autofree char *path = clean(source);
    if (strcmp(path, ".") == 0 || strcmp(path, "/") == 0)
        is_out = cob_ignore_is_all_out(ignore);
    else
        is_out = *path != '/' && cob_ignore_matches(ignore, path);
    if (is_out)
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_IGNORED_FILE, job->instruction->range,
            "Attempting to %s file \"%s\" that is excluded by .dockerignore",
            job->instruction->kind == DOCKERFILE_ADD ? "Add" : "Copy", path);
}

/* One "key=value" of a mount in which somebody trusts a shell that is not there. */
static const char *find_shell_syntax(const char *value)
{
    if (*value == '~' && (!value[1] || value[1] == '/'))
        return "~";
    if (strstr(value, "$("))
        return "$(...)";
    return strchr(value, '`') ? "`...`" : NULL;
}

void dockerfile_lint_mount(const struct dockerfile_job *job, const char *text)
{
    g_autoptr(GPtrArray) fields = NULL;
    struct cob_error *err;

    if (!dockerfile_lint_wants(lint_of(job), DOCKERFILE_RULE_MOUNT_SYNTAX))
        return;
    err = dockerfile_csv_fields(text, &fields);
    for (guint i = 0; !err && i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i);
        const char *equals = strchr(field, '=');
        const char *syntax = equals ? find_shell_syntax(equals + 1) : NULL;

        if (syntax)
            dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_MOUNT_SYNTAX, job->instruction->range,
                "'%s' in mount option '%s' is taken as it stands, no shell reads it", syntax,
                field);
    }
    cob_error_free(err); /* who converts the mount meets it too */
}

/* --- whole instructions --- */

/* Only the last one counts: the one before it is the line to look at. */
static void check_once(const struct dockerfile_job *job, struct cob_range *last)
{
    const struct dockerfile_instruction *instruction = job->instruction;

    if (last->first_line > 0)
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_MULTIPLE, *last,
            "Multiple %s instructions should not be used in the same stage because only the last "
            "one will be used",
            instruction->word);
    *last = instruction->range;
}

static void check_shell_form(const struct dockerfile_job *job)
{
    char *const *shell = job->build->config->shell;

    if (!job->instruction->command.is_json && (!shell || !shell[0]))
        dockerfile_lint_add(lint_of(job), DOCKERFILE_RULE_JSON_ARGS, job->instruction->range,
            "JSON arguments recommended for %s to prevent unintended behavior related to OS "
            "signals",
            job->instruction->word);
}

void dockerfile_lint_step(const struct dockerfile_job *job)
{
    struct dockerfile_lint_stage *stage = &job->build->lint;

    dockerfile_lint_undefined(job);
    if (job->instruction->kind == DOCKERFILE_HEALTHCHECK) {
        check_once(job, &stage->health);
    } else if (job->instruction->kind == DOCKERFILE_CMD) {
        check_once(job, &stage->cmd);
        check_shell_form(job);
    } else if (job->instruction->kind == DOCKERFILE_ENTRYPOINT) {
        check_once(job, &stage->entrypoint);
        check_shell_form(job);
    }
}
