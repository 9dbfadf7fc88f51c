/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a RUN that are calls of tools. What stands before a program and runs it (env,
 * sudo, time, sh -c, python -m, ...) is looked through; what hides it from a reader (make, a script
 * of the project, su) is not.
 */
#include <string.h>

#include "lang/dockerfile/dockerfile_auto.h"

#define EXTRA_BYTES 16384 /* of scripts within scripts that a short one may have read */

/* What runs the program that is named after it. */
static const struct wrapper {
    const char *name;
    const char *valued; /* letters of options whose value is another word */
    unsigned n_skipped; /* words before the program */
    const char *ending; /* letters of options with which it is no such call */
} wrappers[] = {
    {"!", "", 0, ""},
    {"builtin", "", 0, ""},
    {"busybox", "", 0, ""},
    {"chronic", "", 0, ""},
    {"command", "", 0, "vV"},
    {"coproc", "", 0, ""},
    {"corepack", "", 0, ""},
    {"do", "", 0, ""},
    {"dumb-init", "", 0, ""},
    {"eatmydata", "", 0, ""},
    {"elif", "", 0, ""},
    {"else", "", 0, ""},
    {"env", "uC", 0, "S"},
    {"exec", "a", 0, ""},
    {"fakeroot", "lsb", 0, ""},
    {"if", "", 0, ""},
    {"ionice", "cnp", 0, ""},
    {"nice", "n", 0, ""},
    {"nohup", "", 0, ""},
    {"stdbuf", "ioe", 0, ""},
    {"sudo", "CDghpRrtT", 0, "uU"}, /* another user has another home */
    {"then", "", 0, ""},
    {"time", "fo", 0, ""},
    {"timeout", "sk", 1, ""},
    {"tini", "ep", 0, ""},
    {"unbuffer", "", 0, ""},
    {"until", "", 0, ""},
    {"while", "", 0, ""},
    {"xargs", "adEILnPs", 0, ""},
    {"{", "", 0, ""},
};

static const char *const shells[] = {"sh", "bash", "dash", "ash", "ksh", "zsh", NULL};

/* --- commands --- */

static bool run_command(struct auto_finder *finder, struct auto_command command);

static bool visit(void *arg, GPtrArray *words, unsigned depth)
{
    return run_command(arg, (struct auto_command){words, 0, depth});
}

static void scan(struct auto_finder *finder, const char *script, unsigned depth)
{
    const struct dockerfile_shell_visitor visitor = {.env = {.get = auto_get, .arg = finder},
        .command = visit,
        .arg = finder,
        .n_left = &finder->n_left};

    dockerfile_shell_scan(&visitor, script, strlen(script), depth);
}

/* Does a word of options have the letter of one? */
static bool has_letter(const char *text, char letter)
{
    return *text == '-' && text[1] != '-' && strchr(text + 1, letter);
}

/* sh -c 'script', or a script from its here-document. Returns whether it reads that. */
static bool run_shell(struct auto_finder *finder, const struct auto_command *command)
{
    bool is_text = false;
    guint i = command->first + 1;

    for (; i < command->words->len; i++) {
        const char *text = auto_word(command, i);

        if (strcmp(text, "--") == 0) {
            i++;
            break;
        }
        if (*text != '-' && *text != '+')
            break;
        is_text = is_text || has_letter(text, 'c');
        i += has_letter(text, 'o') || has_letter(text, 'O');
    }
    const char *script = auto_word(command, i);
    if (is_text && script)
        scan(finder, script, command->depth + 1);
    return !script || strcmp(script, "-") == 0;
}

static void run_eval(struct auto_finder *finder, const struct auto_command *command)
{
    g_autoptr(GString) script = g_string_new(NULL);

    for (guint i = command->first + 1; i < command->words->len; i++)
        g_string_append_printf(script, "%s ", auto_word(command, i));
    scan(finder, script->str, command->depth + 1);
}

/* Behind the words of a wrapper; false when it calls nothing that can be followed. */
static bool skip_wrapper(
    struct auto_finder *finder, const struct wrapper *wrapper, struct auto_command *command)
{
    guint i = command->first + 1;
    unsigned n_skipped = wrapper->n_skipped;

    for (; i < command->words->len; i++) {
        const char *text = auto_word(command, i);

        if (*text != '-' && !auto_assign(finder, command, i) && n_skipped-- == 0)
            break;
        if (strcmp(text, "--") == 0)
            continue;
        for (const char *end = wrapper->ending; *end; end++) {
            if (has_letter(text, *end))
                return false;
        }
        /* its value is another word only when the letter is the last one */
        i += has_letter(text, text[strlen(text) - 1]) &&
             strchr(wrapper->valued, text[strlen(text) - 1]);
    }
    command->first = i;
    return i < command->words->len;
}

static const struct wrapper *find_wrapper(const char *program)
{
    for (size_t i = 0; i < G_N_ELEMENTS(wrappers); i++) {
        if (strcmp(wrappers[i].name, auto_name_of(program)) == 0)
            return &wrappers[i];
    }
    return NULL;
}

/* python -m pip install: the module is the program. */
static bool find_module(struct auto_command *command)
{
    for (guint i = command->first + 1; i + 1 < command->words->len; i++) {
        const char *text = auto_word(command, i);

        if (*text != '-')
            return false;
        if (strcmp(text, "-m") == 0) {
            command->first = i + 1;
            return true;
        }
    }
    return false;
}

/* Does the command change which paths are there? `mkdir -p` is content with what is. */
static bool is_touching(const struct auto_command *command)
{
    static const char *const words[] = {"rm", "rmdir", "mv", "ln", "cp", "unlink", NULL};
    const char *name = auto_name_of(auto_word(command, command->first));

    if (g_strv_contains(words, name))
        return true;
    if (strcmp(name, "mkdir") != 0)
        return false;
    for (guint i = command->first + 1; i < command->words->len; i++) {
        if (has_letter(auto_word(command, i), 'p') ||
            strcmp(auto_word(command, i), "--parents") == 0)
            return false;
    }
    return true;
}

/* What the shell does itself. Returns whether it was that. */
static bool run_builtin(struct auto_finder *finder, const struct auto_command *command)
{
    static const char *const setters[] = {
        "export", "declare", "typeset", "readonly", "local", NULL};
    const char *name = auto_word(command, command->first);

    if (strcmp(name, "cd") == 0) {
        auto_change_directory(finder, command);
    } else if (strcmp(name, "eval") == 0) {
        run_eval(finder, command);
    } else if (g_strv_contains(setters, name)) {
        for (guint i = command->first + 1; i < command->words->len; i++)
            auto_assign(finder, command, i);
    } else {
        return false;
    }
    return true;
}

/* "cmake -DCMAKE_C_COMPILER_LAUNCHER=ccache", "CC='ccache gcc' make". */
static void look_for_ccache(struct auto_finder *finder, const struct auto_command *command)
{
    const char *program = auto_word(command, command->first);
    bool is_called = program && auto_is_cached_build(finder, program);

    for (guint i = command->first + 1; i < command->words->len && !is_called; i++) {
        const char *equals = strchr(auto_word(command, i), '=');

        is_called =
            equals && (strcmp(equals, "=ccache") == 0 || g_str_has_prefix(equals, "=ccache "));
    }
    if (is_called)
        auto_call_tool(finder, auto_find_tool("ccache"), command);
}

static bool run_program(struct auto_finder *finder, struct auto_command *command)
{
    const char *name = auto_name_of(auto_word(command, command->first));
    g_autofree char *plain = auto_without_version(name);

    if (g_strv_contains(shells, name))
        return run_shell(finder, command);
    if (run_builtin(finder, command))
        return false;
    if (is_touching(command))
        auto_touch(finder, command);
    if ((strcmp(plain, "python") == 0 || strcmp(plain, "pypy") == 0) && !find_module(command))
        return false;
    const struct auto_tool *tool = auto_find_tool(auto_word(command, command->first));
    if (tool)
        auto_call_tool(finder, tool, command);
    else
        look_for_ccache(finder, command);
    return false;
}

/* Returns whether the command reads a script from its here-document. */
static bool run_command(struct auto_finder *finder, struct auto_command command)
{
    const struct wrapper *wrapper;

    while (command.first < command.words->len && auto_assign(finder, &command, command.first))
        command.first++;
    if (command.first >= command.words->len)
        return false;
    while ((wrapper = find_wrapper(auto_word(&command, command.first)))) {
        if (!skip_wrapper(finder, wrapper, &command))
            return false;
        while (command.first < command.words->len && auto_assign(finder, &command, command.first))
            command.first++;
        if (command.first >= command.words->len)
            return false;
    }
    return auto_is_known(&command, command.first) && run_program(finder, &command);
}

/* --- all of a RUN --- */

static void mount_free(void *data)
{
    struct auto_mount *mount = data;

    g_free(mount->target);
    g_free(mount);
}

/* Is the shell of the step one whose language this is? */
static bool has_posix_shell(const struct dockerfile_build *build)
{
    char *const *shell = build->config->shell;

    return !shell || !shell[0] || g_strv_contains(shells, auto_name_of(shell[0]));
}

/* A here-document that begins with "#!" runs by itself. */
static bool is_for_shell(const char *script)
{
    const size_t n = strcspn(script, "\n");

    if (!g_str_has_prefix(script, "#!"))
        return true;
    g_autofree char *line = g_strndup(script, n);
    g_auto(GStrv) words = g_strsplit_set(line + 2, " \t\r", -1);
    for (char **word = words; *word; word++) {
        if (g_strv_contains(shells, auto_name_of(*word)))
            return true;
    }
    return false;
}

static void read_words(struct auto_finder *finder, const GPtrArray *texts)
{
    g_autoptr(GPtrArray) words = dockerfile_shell_words_new();

    for (guint i = 0; i < texts->len; i++)
        g_ptr_array_add(words, dockerfile_shell_word_new(g_ptr_array_index(texts, i)));
    if (words->len > 0)
        run_command(finder, (struct auto_command){words, 0, 0});
}

void auto_calls_init(struct auto_calls *calls, const struct dockerfile_job *job, const char *script)
{
    const struct dockerfile_command *command = &job->instruction->command;
    const struct dockerfile_build *build = job->build;
    const char *cwd = build->config->working_dir;
    struct auto_finder finder = {.calls = calls,
        .build = build,
        .assigned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .cwd = g_strdup(cwd && *cwd ? cwd : "/"),
        .is_of_root = auto_is_root(build->config->user),
        .n_left = EXTRA_BYTES + 4 * (script ? strlen(script) : 0)};

    *calls = (struct auto_calls){.mounts = g_ptr_array_new_with_free_func(mount_free),
        .touched = g_ptr_array_new_with_free_func(g_free),
        .off = g_hash_table_new(g_str_hash, g_str_equal),
        .is_apt_configured =
            script && (strstr(script, "apt.conf") || strstr(script, "docker-clean"))};
    if (!script)
        read_words(&finder, command->words);
    else if (has_posix_shell(build) && is_for_shell(script))
        scan(&finder, script, 0);
    g_hash_table_unref(finder.assigned);
    g_free(finder.cwd);
}

void auto_calls_done(struct auto_calls *calls)
{
    g_clear_pointer(&calls->mounts, g_ptr_array_unref);
    g_clear_pointer(&calls->touched, g_ptr_array_unref);
    g_clear_pointer(&calls->off, g_hash_table_unref);
}
