/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"
#include "lang/dockerfile/dockerfile_go.h"

/* Names that a stage may set, volumes and triggers that it may have. */
#define MAX_ENTRIES 10000

static struct cob_error *check_entries(const struct dockerfile_job *job, size_t n)
{
    if (n <= MAX_ENTRIES)
        return NULL;
    return cob_fail(COB_EXHAUSTED, "more than %d entries of %s in a stage", MAX_ENTRIES,
        dockerfile_instruction_specs[job->instruction->kind].name);
}

/* Set a text of the config. value: taken. */
static void replace_text(char **text, char *value)
{
    g_free(*text);
    *text = value;
}

static void replace_list(char ***list, char **value)
{
    g_strfreev(*list);
    *list = value;
}

static char **list_of(const GPtrArray *words)
{
    GPtrArray *list = g_ptr_array_new();

    for (guint i = 0; i < words->len; i++)
        g_ptr_array_add(list, g_strdup(g_ptr_array_index(words, i)));
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

char **dockerfile_command_line(const struct dockerfile_build *build,
    const struct dockerfile_command *command, const char *line)
{
    static const char *const sh[] = {"/bin/sh", "-c", NULL};
    const char *const *own = (const char *const *)build->config->shell;
    const char *const *shell = own ? own : sh;

    if (command->is_json)
        return list_of(command->words);
    GPtrArray *list = g_ptr_array_new();
    for (size_t i = 0; shell[i]; i++)
        g_ptr_array_add(list, g_strdup(shell[i]));
    if (!line)
        line = command->words->len > 0 ? g_ptr_array_index(command->words, 0) : "";
    g_ptr_array_add(list, g_strdup(line));
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

/* "NAME [a b]" of the history. */
static void add_list_history(
    struct dockerfile_build *build, const char *name, char *const *words, bool is_quoted)
{
    GString *text = g_string_new(name);

    g_string_append_c(text, ' ');
    dockerfile_go_list(text, words, is_quoted);
    dockerfile_add_history(build, g_string_free(text, FALSE), /* is_empty_layer= */ true);
}

/* ENV and LABEL: all is expanded before any of it is set. */
static struct cob_error *convert_pairs(struct dockerfile_job *job)
{
    GPtrArray *pairs = job->instruction->pairs;
    bool is_env = job->instruction->kind == DOCKERFILE_ENV;
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) history = g_string_new(is_env ? "ENV" : "LABEL");

    COB_TRY(check_entries(job, pairs->len));
    for (guint i = 0; i < 2 * pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(pairs, i / 2);
        char *word = NULL;

        COB_TRY(dockerfile_job_expand(job, i % 2 == 0 ? pair->key : pair->value, &word));
        g_ptr_array_add(words, word);
    }
    dockerfile_lint_pairs(job, words);
    for (guint i = 0; i < words->len; i += 2) {
        const char *key = g_ptr_array_index(words, i), *value = g_ptr_array_index(words, i + 1);

        g_string_append_printf(history, " %s=%s", key, value);
        if (is_env) {
            dockerfile_vars_set(job->build->vars, key, value);
            cob_oci_config_set_env(job->build->config, key, value);
        } else {
            cob_oci_config_set_label(job->build->config, key, value);
        }
    }
    dockerfile_add_history(job->build, g_string_free(g_steal_pointer(&history), FALSE), true);
    return check_entries(job, is_env ? job->build->vars->order.length : 0);
}

/* The value of an ARG: the request's, its default, the global one's; NULL: none. */
static struct cob_error *value_of_arg(
    struct dockerfile_job *job, const struct dockerfile_pair *pair, char **ret_value)
{
    const struct dockerfile_plan *plan = job->convert->plan;
    const char *given = dockerfile_build_arg(plan->request, pair->key);

    *ret_value = NULL;
    if (given)
        *ret_value = g_strdup(given);
    else if (pair->value)
        return dockerfile_job_expand(job, pair->value, ret_value);
    else
        *ret_value = g_strdup(dockerfile_vars_get(plan->global_args, pair->key));
    return NULL;
}

bool dockerfile_is_scan_arg(const char *name)
{
    return strcmp(name, "BUILDKIT_SBOM_SCAN_CONTEXT") == 0 ||
           strcmp(name, "BUILDKIT_SBOM_SCAN_STAGE") == 0;
}

static struct cob_error *convert_arg(struct dockerfile_job *job)
{
    GPtrArray *pairs = job->instruction->pairs;
    GPtrArray *args = job->build->args;
    g_autoptr(GString) history = g_string_new("ARG");

    for (guint i = 0; i < pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(pairs, i);
        g_autofree char *value = NULL;

        dockerfile_lint_arg(job, pair->key);
        COB_TRY(value_of_arg(job, pair, &value));
        dockerfile_found_arg(job, pair, value);
        if (dockerfile_is_scan_arg(pair->key))
            dockerfile_vars_set(job->build->unseen, pair->key, value ? value : "");
        else if (value)
            dockerfile_vars_set(job->build->vars, pair->key, value);
        if (!g_ptr_array_find_with_equal_func(args, pair->key, g_str_equal, NULL))
            g_ptr_array_add(args, g_strdup(pair->key));
        COB_TRY(check_entries(job, args->len));
        g_string_append_printf(history, " %s%s%s", pair->key, value ? "=" : "", value ? value : "");
    }
    dockerfile_add_history(job->build, g_string_free(g_steal_pointer(&history), FALSE), true);
    return NULL;
}

static struct cob_error *convert_cmd(struct dockerfile_job *job)
{
    struct cob_oci_config *config = job->build->config;

    replace_list(
        &config->cmd, dockerfile_command_line(job->build, &job->instruction->command, NULL));
    config->is_args_escaped = true;
    job->build->has_cmd = true;
    add_list_history(job->build, "CMD", config->cmd, /* is_quoted= */ true);
    return NULL;
}

/* A new entry point makes a command that was inherited meaningless; [] takes it away. */
static struct cob_error *convert_entrypoint(struct dockerfile_job *job)
{
    struct cob_oci_config *config = job->build->config;
    char **words = dockerfile_command_line(job->build, &job->instruction->command, NULL);

    if (!words[0])
        g_clear_pointer(&words, g_strfreev);
    replace_list(&config->entrypoint, words);
    if (!job->build->has_cmd)
        replace_list(&config->cmd, NULL);
    add_list_history(job->build, "ENTRYPOINT", config->entrypoint, /* is_quoted= */ true);
    return NULL;
}

static struct cob_error *convert_shell(struct dockerfile_job *job)
{
    replace_list(&job->build->config->shell, list_of(job->instruction->command.words));
    add_list_history(job->build, "SHELL", job->build->config->shell, /* is_quoted= */ false);
    return NULL;
}

static char **health_test(const struct dockerfile_instruction *instruction)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    if (instruction->health.is_none)
        g_ptr_array_add(words, (void *)(uintptr_t) "NONE");
    else
        g_ptr_array_add(
            words, (void *)(uintptr_t)(instruction->command.is_json ? "CMD" : "CMD-SHELL"));
    for (guint i = 0; i < instruction->command.words->len; i++)
        g_ptr_array_add(words, g_ptr_array_index(instruction->command.words, i));
    return list_of(words);
}

static void append_duration(GString *out, const char *name, int64_t ns)
{
    g_autofree char *text = dockerfile_go_duration_text(ns);

    g_string_append_printf(out, " %s:%s", name, text);
}

static struct cob_error *convert_health(struct dockerfile_job *job)
{
    const struct dockerfile_health *health = &job->instruction->health;
    struct cob_oci_config *config = job->build->config;
    GString *history = g_string_new("HEALTHCHECK {Test:");

    if (config->healthcheck)
        g_strfreev(config->healthcheck->test);
    else
        config->healthcheck = g_new0(struct cob_oci_healthcheck, 1);
    *config->healthcheck = (struct cob_oci_healthcheck){
        .test = health_test(job->instruction),
        .interval_ns = health->interval_ns,
        .timeout_ns = health->timeout_ns,
        .start_period_ns = health->start_period_ns,
        .start_interval_ns = health->start_interval_ns,
        .retries = health->retries,
    };
    dockerfile_go_list(history, config->healthcheck->test, /* is_quoted= */ false);
    append_duration(history, "Interval", health->interval_ns);
    append_duration(history, "Timeout", health->timeout_ns);
    append_duration(history, "StartPeriod", health->start_period_ns);
    append_duration(history, "StartInterval", health->start_interval_ns);
    g_string_append_printf(history, " Retries:%d}", health->retries);
    dockerfile_add_history(job->build, g_string_free(history, FALSE), true);
    return NULL;
}

static struct cob_error *convert_volume(struct dockerfile_job *job)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < job->instruction->words->len; i++) {
        char *path = NULL;

        COB_TRY(dockerfile_job_expand(job, g_ptr_array_index(job->instruction->words, i), &path));
        g_ptr_array_add(paths, path);
        if (!*path)
            return cob_fail(COB_INVALID, "VOLUME specified can not be an empty string");
    }
    g_ptr_array_add(paths, NULL);
    add_list_history(job->build, "VOLUME", (char **)paths->pdata, /* is_quoted= */ false);
    g_ptr_array_set_size(paths, (int)paths->len - 1);
    dockerfile_merge_sorted(&job->build->config->volumes, paths);
    /* the list is made anew for each */
    return check_entries(job, 4 * job->build->config->volumes->len);
}

/* RTMIN+1 to RTMAX-1, of which there are 15 and 14. */
static bool is_realtime(const char *name)
{
    guint64 n;

    if (g_str_has_prefix(name, "RTMIN+"))
        return g_ascii_string_to_unsigned(name + 6, 10, 1, 15, &n, NULL);
    if (g_str_has_prefix(name, "RTMAX-"))
        return g_ascii_string_to_unsigned(name + 6, 10, 1, 14, &n, NULL);
    return strcmp(name, "RTMIN") == 0 || strcmp(name, "RTMAX") == 0;
}

/* spec: moby/sys signal_linux.go. */
static bool is_signal(const char *text)
{
    static const char *const names[] = {"ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP",
        "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT",
        "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM",
        "WINCH", "XCPU", "XFSZ", NULL};
    g_autofree char *upper = g_ascii_strup(text, -1);
    const char *name = g_str_has_prefix(upper, "SIG") ? upper + 3 : upper;
    gint64 number;

    if (g_ascii_string_to_signed(text, 10, G_MININT32, G_MAXINT32, &number, NULL))
        return number != 0;
    return g_strv_contains(names, name) || is_realtime(name);
}

static struct cob_error *convert_stop_signal(struct dockerfile_job *job)
{
    char *signal = NULL;

    COB_TRY(dockerfile_job_expand(job, g_ptr_array_index(job->instruction->words, 0), &signal));
    if (!is_signal(signal)) {
        struct cob_error *err = cob_fail(COB_INVALID, "invalid signal: %s", signal);

        g_free(signal);
        return err;
    }
    replace_text(&job->build->config->stop_signal, signal);
    dockerfile_add_history(job->build, g_strconcat("STOPSIGNAL ", signal, NULL), true);
    return NULL;
}

static struct cob_error *convert_user(struct dockerfile_job *job)
{
    char *user = NULL;

    COB_TRY(dockerfile_job_expand(job, g_ptr_array_index(job->instruction->words, 0), &user));
    replace_text(&job->build->config->user, user);
    dockerfile_add_history(job->build, g_strconcat("USER ", user, NULL), true);
    return NULL;
}

static struct cob_error *convert_maintainer(struct dockerfile_job *job)
{
    const char *author = g_ptr_array_index(job->instruction->words, 0);

    replace_text(&job->build->config->author, g_strdup(author));
    dockerfile_add_history(job->build, g_strconcat("MAINTAINER ", author, NULL), true);
    return NULL;
}

static struct cob_error *convert_onbuild(struct dockerfile_job *job)
{
    struct cob_oci_config *config = job->build->config;
    g_autoptr(GPtrArray) list = g_ptr_array_new();

    for (size_t i = 0; config->on_build && config->on_build[i]; i++)
        g_ptr_array_add(list, config->on_build[i]);
    g_ptr_array_add(list, job->instruction->trigger);
    COB_TRY(check_entries(job, 10 * list->len)); /* the list is made anew for each */
    replace_list(&config->on_build, list_of(list));
    return NULL;
}

struct cob_error *dockerfile_convert_config(struct dockerfile_job *job)
{
    static struct cob_error *(*const converters[])(struct dockerfile_job * job) = {
        [DOCKERFILE_ARG] = convert_arg,
        [DOCKERFILE_CMD] = convert_cmd,
        [DOCKERFILE_ENTRYPOINT] = convert_entrypoint,
        [DOCKERFILE_ENV] = convert_pairs,
        [DOCKERFILE_HEALTHCHECK] = convert_health,
        [DOCKERFILE_LABEL] = convert_pairs,
        [DOCKERFILE_MAINTAINER] = convert_maintainer,
        [DOCKERFILE_ONBUILD] = convert_onbuild,
        [DOCKERFILE_SHELL] = convert_shell,
        [DOCKERFILE_STOPSIGNAL] = convert_stop_signal,
        [DOCKERFILE_USER] = convert_user,
        [DOCKERFILE_VOLUME] = convert_volume,
    };

    return converters[job->instruction->kind](job);
}
