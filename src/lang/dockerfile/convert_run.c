/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"

/* What a RUN becomes, once its here-documents are in place. */
struct run_line {
    char *line;       /* for the shell; NULL: the words */
    char *shown;      /* the text for progress */
    GBytes *script;   /* a here-document that is run as a file; NULL: none */
    const char *name; /* of the file */
};

static void run_line_clear(struct run_line *run)
{
    g_free(run->line);
    g_free(run->shown);
    g_clear_pointer(&run->script, g_bytes_unref);
}

/* The first line of a here-document, and "..." when there are more.
 * spec: BuildKit dockerfile2llb/convert.go, summarizeHeredoc. */
static char *summary_of(const struct dockerfile_heredoc *heredoc)
{
    g_autofree char *text = dockerfile_trim(heredoc->content);
    size_t len = strcspn(text, "\n");
    bool is_more = text[len] != '\0';

    if (len > 0 && is_more && text[len - 1] == '\r')
        len--;
    return g_strdup_printf("%.*s%s", (int)len, text, is_more ? "..." : "");
}

/* A here-document alone is the shell's line, or, when it begins with "#!", a file to run. */
static void read_document(const struct dockerfile_instruction *instruction, struct run_line *run)
{
    const struct dockerfile_heredoc *heredoc = g_ptr_array_index(instruction->heredocs, 0);
    g_autofree char *data = dockerfile_heredoc_text(heredoc);
    g_autofree char *summary = summary_of(heredoc);

    run->shown = g_strdup_printf("%s (%s)", instruction->text, summary);
    if (!g_str_has_prefix(data, "#!")) {
        run->line = g_steal_pointer(&data);
        return;
    }
    run->name = heredoc->name;
    run->line = g_strconcat("/dev/pipes/", heredoc->name, NULL);
    run->script = g_bytes_new(data, strlen(data));
}

static struct cob_error *read_line(
    const struct dockerfile_instruction *instruction, struct run_line *run)
{
    const struct dockerfile_command *command = &instruction->command;
    struct dockerfile_heredoc *alone = NULL;
    GString *line;

    if (instruction->heredocs->len == 0) {
        run->shown = g_strdup(instruction->text);
        return NULL;
    }
    const char *text = g_ptr_array_index(command->words, 0);
    COB_TRY(dockerfile_heredoc_parse(text, &alone));
    if (alone) {
        dockerfile_heredoc_free(alone);
        read_document(instruction, run);
        return NULL;
    }
    line = g_string_new(text);
    for (guint i = 0; i < instruction->heredocs->len; i++) {
        const struct dockerfile_heredoc *heredoc = g_ptr_array_index(instruction->heredocs, i);

        g_string_append_printf(line, "\n%s%s", heredoc->content, heredoc->name);
    }
    run->line = g_string_free(line, FALSE);
    run->shown = g_strdup(instruction->text);
    return NULL;
}

/* Mount the file of a here-document below /dev/pipes. */
static void add_script(
    struct dockerfile_job *job, const struct run_line *run, GPtrArray *arena, GArray *mounts)
{
    char *path = dockerfile_join_path("/", run->name, false);
    struct cob_llb_action action = {
        .kind = COB_LLB_MKFILE,
        .path = path,
        .data = run->script,
        .mode = 0755,
        .time_ns = COB_LLB_TIME_KEEP,
    };
    struct cob_llb_about about = dockerfile_about(job, "[internal] preparing inline document");
    struct cob_llb_mount mount = {
        .type = PB__MOUNT_TYPE__BIND,
        .dest = "/dev/pipes/",
        .source = cob_llb_add_file(job->convert->builder, COB_LLB_SCRATCH, &action, 1, &about),
        .selector = "/",
        .is_readonly = true,
    };

    g_ptr_array_add(arena, path);
    g_array_append_val(mounts, mount);
}

/* The proxies that the request's build arguments name: HTTP, HTTPS, FTP, NO, ALL. False: none. */
static bool find_proxies(const struct cob_dockerfile_request *request, const char **ret_proxies)
{
    static const char *const names[5][2] = {{"HTTP_PROXY", "http_proxy"},
        {"HTTPS_PROXY", "https_proxy"}, {"FTP_PROXY", "ftp_proxy"}, {"NO_PROXY", "no_proxy"},
        {"ALL_PROXY", "all_proxy"}};
    bool is_any = false;

    for (int i = 0; i < 5; i++) {
        ret_proxies[i] = NULL;
        for (int j = 0; j < 2; j++) {
            const char *value = dockerfile_build_arg(request, names[i][j]);

            is_any = is_any || value;
            if (value)
                ret_proxies[i] = value;
        }
        if (!ret_proxies[i])
            ret_proxies[i] = "";
    }
    return is_any;
}

/* "|2 A=1 B=2 /bin/sh -c make": the command with the arguments that it saw.
 * spec: BuildKit dockerfile2llb/convert.go, runCommandString. */
static char *history_of(const struct dockerfile_build *build, char **words)
{
    GString *text = g_string_new("RUN ");
    g_autofree char *line = g_strjoinv(" ", words);

    if (build->args->len > 0)
        g_string_append_printf(text, "|%u ", build->args->len);
    for (guint i = 0; i < build->args->len; i++) {
        const char *name = g_ptr_array_index(build->args, i);
        const char *value = dockerfile_vars_get(build->vars, name);

        if (!value)
            value = dockerfile_vars_get(build->unseen, name);
        g_string_append_printf(text, "%s=%s ", name, value ? value : "");
    }
    g_string_append_printf(text, "%s # buildkit", line);
    return g_string_free(text, FALSE);
}

static Pb__NetMode network_of(const char *name)
{
    if (name && strcmp(name, "host") == 0)
        return PB__NET_MODE__HOST;
    if (name && strcmp(name, "none") == 0)
        return PB__NET_MODE__NONE;
    return PB__NET_MODE__UNSET;
}

/* Programs find an agent by a variable: the first one's, if nothing else is said.
 * spec: BuildKit client/llb/exec.go, Marshal. */
static void set_agent(GPtrArray *env, const struct dockerfile_vars *vars, const GArray *mounts)
{
    static const char name[] = "SSH_AUTH_SOCK";

    for (guint i = 0; i < mounts->len && !dockerfile_vars_get(vars, name); i++) {
        const struct cob_llb_mount *mount = &g_array_index(mounts, struct cob_llb_mount, i);

        if (mount->type != PB__MOUNT_TYPE__SSH)
            continue;
        g_ptr_array_add(env, g_strconcat(name, "=", mount->dest, NULL));
        return;
    }
}

/* What a step sees; the caller frees it with g_strfreev(). */
static char **env_of(const struct dockerfile_vars *vars, const GArray *mounts)
{
    g_autofree char **list = dockerfile_vars_list(vars);
    GPtrArray *env = g_ptr_array_new();

    for (char **entry = list; *entry; entry++)
        g_ptr_array_add(env, *entry);
    set_agent(env, vars, mounts);
    g_ptr_array_add(env, NULL);
    return (char **)g_ptr_array_free(env, FALSE);
}

/* Add the vertex, and the line of history. */
static struct cob_error *add_exec(
    struct dockerfile_job *job, char **words, const GArray *mounts, const char *name)
{
    const struct cob_dockerfile_request *request = job->convert->plan->request;
    struct dockerfile_build *build = job->build;
    struct cob_llb_platform platform = dockerfile_llb_platform(build->platform);
    struct cob_llb_about about = dockerfile_about(job, name);
    g_auto(GStrv) env = env_of(build->vars, mounts);
    const char *network = job->instruction->run.network;
    const char *proxies[5];
    const char *cwd = build->config->working_dir;
    struct cob_llb_exec exec = {
        .args = (const char *const *)words,
        .env = (const char *const *)env,
        .cwd = cwd && *cwd ? cwd : "/",
        .user = build->config->user,
        .hostname = request->hostname,
        .hosts = request->extra_hosts,
        .proxies = find_proxies(request, proxies) ? proxies : NULL,
        .network = network_of(strcmp(network, "default") == 0 ? request->network : network),
        .security = strcmp(job->instruction->run.security, "insecure") == 0
                        ? PB__SECURITY_MODE__INSECURE
                        : PB__SECURITY_MODE__SANDBOX,
        .cgroup_parent = request->cgroup_parent,
        .ulimits = request->ulimits,
        .n_ulimits = request->n_ulimits,
        .mounts = (const struct cob_llb_mount *)(const void *)mounts->data,
        .n_mounts = mounts->len,
        .platform = &platform,
    };

    about.is_ignoring_cache = build->node->is_ignoring_cache;
    COB_TRY(dockerfile_spend(job->convert, build->vars->n_bytes));
    build->root = cob_llb_add_exec(job->convert->builder, &exec, &about);
    dockerfile_add_history(build, history_of(build, words), /* is_empty_layer= */ false);
    return NULL;
}

static struct cob_error *check_supported(const struct dockerfile_instruction *instruction)
{
    for (guint i = 0; i < instruction->run.devices->len; i++) {
        const struct dockerfile_device *device = g_ptr_array_index(instruction->run.devices, i);

        if (device->is_required)
            return cob_fail(COB_UNIMPLEMENTED,
                "required device \"%s\" is not registered: CDI devices are not supported",
                device->name ? device->name : "");
    }
    for (guint i = 0; i < instruction->heredocs->len; i++) {
        const struct dockerfile_heredoc *heredoc = g_ptr_array_index(instruction->heredocs, i);

        if (!g_utf8_validate(heredoc->content, -1, NULL))
            return cob_fail(COB_INVALID, "the heredoc %s of RUN is not valid UTF-8", heredoc->name);
    }
    return NULL;
}

/* Mounts that are not written. */
static void add_automatic(
    struct dockerfile_job *job, const struct run_line *run, GPtrArray *arena, GArray *mounts)
{
    const struct dockerfile_command *command = &job->instruction->command;
    gsize len = 0;
    const char *data = run->script ? g_bytes_get_data(run->script, &len) : NULL;
    g_autofree char *file = data ? g_strndup(data, len) : NULL;
    const char *script = run->line;

    if (file)
        script = file;
    else if (!script && !command->is_json && command->words->len > 0)
        script = g_ptr_array_index(command->words, 0);
    dockerfile_auto_mounts(job, script, arena, mounts);
}

static struct cob_error *convert_line(struct dockerfile_job *job, struct run_line *run)
{
    g_autoptr(GPtrArray) arena = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) masked = NULL;
    g_autoptr(GArray) mounts = NULL;

    COB_TRY(read_line(job->instruction, run));
    COB_TRY(dockerfile_convert_mounts(job, arena, &mounts, &masked));
    add_automatic(job, run, arena, mounts);
    if (run->script)
        add_script(job, run, arena, mounts);
    g_auto(GStrv) words =
        dockerfile_command_line(job->build, &job->instruction->command, run->line);
    g_autofree char *shown = dockerfile_shown_text(job, run->shown,
        DOCKERFILE_EXPAND_KEEP_QUOTES | DOCKERFILE_EXPAND_KEEP_UNSET,
        (const char *const *)masked->pdata);
    g_autofree char *name = dockerfile_step_name(job, shown);
    return add_exec(job, words, mounts, name);
}

struct cob_error *dockerfile_convert_run(struct dockerfile_job *job)
{
    struct run_line run = {0};

    COB_TRY(check_supported(job->instruction));
    if (job->instruction->command.is_json && job->instruction->command.words->len == 0)
        return cob_fail(COB_INVALID, "RUN [] has no command");
    struct cob_error *err = convert_line(job, &run);
    run_line_clear(&run);
    return err;
}
