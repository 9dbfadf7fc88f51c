/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a RUN that are calls of tools. What stands before a program and runs it (env,
 * sudo, time, sh -c, python -m, ...) is looked through; what hides it from a reader (make, a script
 * of the project, su) is not.
 */
#include <string.h>

#include "lang/dockerfile/dockerfile_auto.h"
#include "util/limits.h"

#define MAX_TOUCHED 1000  /* paths; beyond it, everything counts as touched */
#define MAX_ASSIGNED 1000 /* variables of a script */
#define EXTRA_BYTES 16384 /* of scripts within scripts that a short one may have read */

/* A RUN being read. */
struct finder {
    struct auto_calls *calls;
    const struct dockerfile_build *build;
    GHashTable *assigned; /* name -> value, of the script's own assignments; NULL: not known */
    char *cwd;            /* NULL: not known */
    bool is_of_root;
    size_t n_left; /* bytes to be read */
};

/* A command from its program on. */
struct command {
    const GPtrArray *words;
    guint first; /* the program */
    unsigned depth;
};

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

static const char *text_at(const struct command *command, guint i)
{
    const struct dockerfile_shell_word *word =
        i < command->words->len ? g_ptr_array_index(command->words, i) : NULL;

    return word ? word->text : NULL;
}

static bool is_known_at(const struct command *command, guint i)
{
    return ((const struct dockerfile_shell_word *)g_ptr_array_index(command->words, i))->is_known;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

bool auto_is_at_or_below(const char *path, const char *top)
{
    const size_t n = strlen(top);

    if (strcmp(top, "/") == 0)
        return *path == '/';
    return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool auto_is_related(const char *one, const char *other)
{
    return auto_is_at_or_below(one, other) || auto_is_at_or_below(other, one);
}

/* --- variables --- */

static bool is_root_user(const char *user)
{
    static const char *const root[] = {"", "0", "root", NULL};
    g_auto(GStrv) parts = g_strsplit(user ? user : "", ":", 2);

    return !parts[0] || g_strv_contains(root, parts[0]);
}

/* Of the user database: what it says of others than root, only their image knows. */
static const char *home_of_user(const struct finder *finder)
{
    return finder->is_of_root ? "/root" : "~";
}

/* ret_value: NULL: it is not set. Returns false when only the step will know. */
static bool look_up(const struct finder *finder, const char *name, const char **ret_value)
{
    void *value;

    if (g_hash_table_lookup_extended(finder->assigned, name, NULL, &value)) {
        *ret_value = value;
        return value != NULL;
    }
    *ret_value = dockerfile_vars_get(finder->build->vars, name);
    return true;
}

static const char *get(const void *arg, const char *name)
{
    const char *value = NULL;

    if (look_up(arg, name, &value) && !value && strcmp(name, "HOME") == 0)
        return home_of_user(arg);
    return value;
}

/* "NAME=value" as a word before a command; the value begins at *ret_value. */
static bool is_assignment(const char *text, const char **ret_value)
{
    size_t n = 0;

    while (g_ascii_isalnum(text[n]) || text[n] == '_')
        n++;
    *ret_value = text + n + 1;
    return n > 0 && text[n] == '=' && !g_ascii_isdigit(*text);
}

/* Note the assignment that a word is, if it is one. */
static bool assign(struct finder *finder, const struct command *command, guint i)
{
    const char *text = text_at(command, i);
    const char *value;

    if (!is_assignment(text, &value))
        return false;
    if (g_hash_table_size(finder->assigned) < MAX_ASSIGNED)
        g_hash_table_replace(finder->assigned, g_strndup(text, (size_t)(value - 1 - text)),
            is_known_at(command, i) ? g_strdup(value) : NULL);
    return true;
}

/* --- paths --- */

/* A clean path from the root or from "~"; NULL when it is none. The caller frees it. */
static char *place(const char *path, const char *home)
{
    g_autofree char *whole = *path == '~' && (path[1] == '/' || !path[1])
                                 ? g_strconcat(home, path + 1, NULL)
                                 : g_strdup(path);
    const bool is_of_home = *whole == '~';
    const char *rest = is_of_home ? whole + 1 : whole;

    if (*rest != '/' && !(is_of_home && !*rest))
        return NULL;
    if (is_of_home && strstr(rest, ".."))
        return NULL;
    g_autofree char *clean = dockerfile_clean_path(rest);
    if (!is_of_home)
        return g_steal_pointer(&clean);
    return clean[1] ? g_strconcat("~", clean, NULL) : g_strdup("~");
}

/* A directory that is there with or without a mount below it. */
static bool is_always_there(const struct finder *finder, const char *path)
{
    const char *home = get(finder, "HOME");
    g_autofree char *clean = home ? place(home, home) : NULL;

    return strrchr(path, '/') == path || g_strcmp0(path, clean) == 0;
}

/* Note that a command makes, moves or removes a path. */
static void touch(struct finder *finder, const char *path, bool is_removed)
{
    const char *home = get(finder, "HOME");
    g_autofree char *plain = g_strndup(path, strcspn(path, "*?[{"));
    char *slash = strrchr(plain, '/');

    if (strlen(plain) < strlen(path)) { /* what lies in the directory before the wildcard */
        if (slash)
            slash[1] = '\0';
        else
            *plain = '\0';
    }
    g_autofree char *whole = *plain == '/' || *plain == '~' ? g_strdup(plain)
                             : finder->cwd ? g_strconcat(finder->cwd, "/", plain, NULL)
                                           : NULL;
    char *clean = whole ? place(whole, home ? home : "~") : NULL;
    if (!clean || (!is_removed && is_always_there(finder, clean)))
        g_free(clean);
    else if (finder->calls->touched->len < MAX_TOUCHED)
        g_ptr_array_add(finder->calls->touched, clean);
    else
        g_free(clean);
    if (finder->calls->touched->len == MAX_TOUCHED)
        g_ptr_array_add(finder->calls->touched, g_strdup("/"));
}

static void touch_arguments(struct finder *finder, const struct command *command)
{
    const bool is_removed = g_str_has_prefix(name_of(text_at(command, command->first)), "rm");

    for (guint i = command->first + 1; i < command->words->len; i++) {
        if (is_known_at(command, i) && *text_at(command, i) != '-')
            touch(finder, text_at(command, i), is_removed);
    }
}

static void change_directory(struct finder *finder, const struct command *command)
{
    const char *to = text_at(command, command->first + 1);
    const char *home = get(finder, "HOME");

    if (!to)
        to = "~";
    else if (!is_known_at(command, command->first + 1))
        to = "-";
    g_autofree char *whole = *to == '/' || *to == '~'    ? g_strdup(to)
                             : finder->cwd && *to != '-' ? g_strconcat(finder->cwd, "/", to, NULL)
                                                         : NULL;
    g_free(finder->cwd);
    finder->cwd =
        whole && strlen(whole) < COB_LIMIT_PATH_BYTES ? place(whole, home ? home : "~") : NULL;
}

/* --- tools --- */

/* One argument, or two in a row with a blank between them. */
static bool has_argument(const struct command *command, const char *wanted)
{
    const char *blank = strchr(wanted, ' ');
    const size_t n = blank ? (size_t)(blank - wanted) : strlen(wanted);

    for (guint i = command->first + 1; i < command->words->len; i++) {
        const char *text = text_at(command, i);

        if (strncmp(text, wanted, n) != 0 || text[n])
            continue;
        if (!blank || g_strcmp0(text_at(command, i + 1), blank + 1) == 0)
            return true;
    }
    return false;
}

static bool has_one(const struct command *command, const char *const *wanted)
{
    for (size_t i = 0; i < AUTO_MAX_WORDS && wanted[i]; i++) {
        if (has_argument(command, wanted[i]))
            return true;
    }
    return false;
}

static bool has_only_options(const struct command *command)
{
    for (guint i = command->first + 1; i < command->words->len; i++) {
        if (*text_at(command, i) != '-')
            return false;
    }
    return true;
}

static bool is_use(const struct auto_tool *tool, const struct command *command)
{
    return !tool->uses[0] || has_one(command, tool->uses) ||
           (tool->is_used_bare && has_only_options(command));
}

/* Do variables say that there is to be no cache? */
static bool is_switched_off(const struct finder *finder, const struct auto_tool *tool)
{
    static const char *const no[] = {"", "0", "no", "false", "off", "n", "f", NULL};
    const char *value;

    for (size_t i = 0; i < G_N_ELEMENTS(tool->off_variables) && tool->off_variables[i]; i++) {
        if (!look_up(finder, tool->off_variables[i], &value))
            return true;
        g_autofree char *lower = g_ascii_strdown(value ? value : "", -1);
        if (!g_strv_contains(no, lower))
            return true;
    }
    return false;
}

/* "--option=value" or "--option value" among the arguments, as in look_up(). */
static bool find_option(const struct command *command, const char *option, const char **ret_value)
{
    const size_t n = strlen(option);

    *ret_value = NULL;
    for (guint i = command->first + 1; i < command->words->len; i++) {
        const char *text = text_at(command, i);

        if (strncmp(text, option, n) != 0 || (text[n] && text[n] != '='))
            continue;
        *ret_value = text[n] ? text + n + 1 : text_at(command, i + 1);
        return !*ret_value || is_known_at(command, text[n] ? i : i + 1);
    }
    return true;
}

/* What a source says; NULL: nothing. Returns false when only the step will know. */
static bool ask(const struct finder *finder, const struct auto_source *source,
    const struct command *command, char **ret_path)
{
    const char *value = NULL;
    size_t len;

    if (!(source->variable ? look_up(finder, source->variable, &value)
                           : find_option(command, source->option, &value)))
        return false;
    if (value && source->variable && source->option) {
        const char *at = strstr(value, source->option);

        value = at && at[strlen(source->option)] == '=' ? at + strlen(source->option) + 1 : NULL;
        len = value ? strcspn(value, " \t\n") : 0;
    } else {
        len = value ? strlen(value) : 0;
    }
    if (source->is_list && value)
        len = strcspn(value, ":");
    *ret_path = NULL;
    if (len > 0) {
        g_autofree char *base = g_strndup(value, len);

        *ret_path = g_strconcat(base, source->suffix, NULL);
    }
    return true;
}

/* Where a directory is; NULL: nobody can say. The caller frees it. */
static char *find_place(
    const struct finder *finder, const struct auto_dir *dir, const struct command *command)
{
    const char *home = dir->is_of_passwd ? home_of_user(finder) : get(finder, "HOME");
    g_autofree char *path = NULL;

    for (size_t i = 0; i < AUTO_MAX_SOURCES && !path; i++) {
        const struct auto_source *source = &dir->sources[i];

        if (!source->variable && !source->option)
            break;
        if (!ask(finder, source, command, &path))
            return NULL;
    }
    if (!path)
        path =
            g_strdup(finder->is_of_root && dir->fallback_root ? dir->fallback_root : dir->fallback);
    return home || *path != '~' ? place(path, home) : NULL;
}

/* target: taken. */
static void add_mount(
    struct finder *finder, const struct auto_tool *tool, const struct auto_dir *dir, char *target)
{
    GPtrArray *mounts = finder->calls->mounts;
    struct auto_mount *mount = g_new(struct auto_mount, 1);

    *mount = (struct auto_mount){.tool = tool, .dir = dir, .target = target};
    for (guint i = 0; i < mounts->len; i++) {
        if (strcmp(((const struct auto_mount *)g_ptr_array_index(mounts, i))->target, target) != 0)
            continue;
        g_free(target);
        g_free(mount);
        return;
    }
    g_ptr_array_add(mounts, mount);
}

static void call_apt(struct finder *finder, const struct command *command)
{
    if (has_argument(command, "update"))
        finder->calls->has_apt_update = true;
    for (size_t i = 0; i < command->words->len; i++) {
        static const char *const installs[] = {"install", "upgrade", "dist-upgrade", "full-upgrade",
            "build-dep", "reinstall", "satisfy", NULL};

        if (g_strv_contains(installs, text_at(command, (guint)i)))
            finder->calls->has_apt_install = true;
    }
}

static void call_tool(
    struct finder *finder, const struct auto_tool *tool, const struct command *command)
{
    if (has_one(command, tool->offs) || is_switched_off(finder, tool)) {
        g_hash_table_add(finder->calls->off, (void *)(uintptr_t)tool->name);
        return;
    }
    if (!is_use(tool, command))
        return;
    for (size_t i = 0; i < AUTO_MAX_DIRS && tool->dirs[i].fallback; i++) {
        char *target = find_place(finder, &tool->dirs[i], command);

        if (tool->dirs[i].kind == AUTO_KIND_PACKAGES)
            call_apt(finder, command);
        if (target)
            add_mount(finder, tool, &tool->dirs[i], target);
    }
}

/* pip3, pip3.11, python3.11: the same without its version. The caller frees it. */
static char *without_version(const char *name)
{
    size_t n = strlen(name);

    while (n > 0 && (g_ascii_isdigit(name[n - 1]) || name[n - 1] == '.'))
        n--;
    return g_strndup(name, n);
}

static const struct auto_tool *find_tool(const char *program)
{
    const char *name = name_of(program);
    g_autofree char *plain = without_version(name);
    const bool is_plain_known = strcmp(plain, "pip") == 0;

    for (size_t i = 0; i < auto_n_tools; i++) {
        for (size_t j = 0; j < AUTO_MAX_WORDS && auto_tools[i].programs[j]; j++) {
            if (strcmp(auto_tools[i].programs[j], is_plain_known ? plain : name) == 0)
                return &auto_tools[i];
        }
    }
    return NULL;
}

/* Compilers that ENV has called through ccache. */
static bool is_cached_build(const struct finder *finder, const char *program)
{
    static const char *const builders[] = {"make", "ninja", "cmake", "meson", "cc", "c++", "gcc",
        "g++", "clang", "clang++", "configure", NULL};
    static const char *const names[] = {
        "CC", "CXX", "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER"};

    if (!g_strv_contains(builders, name_of(program)))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = NULL;

        if (look_up(finder, names[i], &value) && value &&
            (strcmp(value, "ccache") == 0 || g_str_has_prefix(value, "ccache ")))
            return true;
    }
    const char *path = NULL;
    return look_up(finder, "PATH", &path) && path && strstr(path, "/usr/lib/ccache");
}

/* --- commands --- */

static bool run_command(struct finder *finder, struct command command);

static bool visit(void *arg, GPtrArray *words, unsigned depth)
{
    return run_command(arg, (struct command){words, 0, depth});
}

static void scan(struct finder *finder, const char *script, unsigned depth)
{
    const struct dockerfile_shell_visitor visitor = {.env = {.get = get, .arg = finder},
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
static bool run_shell(struct finder *finder, const struct command *command)
{
    bool is_text = false;
    guint i = command->first + 1;

    for (; i < command->words->len; i++) {
        const char *text = text_at(command, i);

        if (strcmp(text, "--") == 0) {
            i++;
            break;
        }
        if (*text != '-' && *text != '+')
            break;
        is_text = is_text || has_letter(text, 'c');
        i += has_letter(text, 'o') || has_letter(text, 'O');
    }
    const char *script = text_at(command, i);
    if (is_text && script)
        scan(finder, script, command->depth + 1);
    return !script || strcmp(script, "-") == 0;
}

static void run_eval(struct finder *finder, const struct command *command)
{
    g_autoptr(GString) script = g_string_new(NULL);

    for (guint i = command->first + 1; i < command->words->len; i++)
        g_string_append_printf(script, "%s ", text_at(command, i));
    scan(finder, script->str, command->depth + 1);
}

/* Behind the words of a wrapper; false when it calls nothing that can be followed. */
static bool skip_wrapper(
    struct finder *finder, const struct wrapper *wrapper, struct command *command)
{
    guint i = command->first + 1;
    unsigned n_skipped = wrapper->n_skipped;

    for (; i < command->words->len; i++) {
        const char *text = text_at(command, i);

        if (*text != '-' && !assign(finder, command, i) && n_skipped-- == 0)
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
        if (strcmp(wrappers[i].name, name_of(program)) == 0)
            return &wrappers[i];
    }
    return NULL;
}

/* python -m pip install: the module is the program. */
static bool find_module(struct command *command)
{
    for (guint i = command->first + 1; i + 1 < command->words->len; i++) {
        const char *text = text_at(command, i);

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
static bool is_touching(const struct command *command)
{
    static const char *const words[] = {"rm", "rmdir", "mv", "ln", "cp", "unlink", NULL};
    const char *name = name_of(text_at(command, command->first));

    if (g_strv_contains(words, name))
        return true;
    if (strcmp(name, "mkdir") != 0)
        return false;
    for (guint i = command->first + 1; i < command->words->len; i++) {
        if (has_letter(text_at(command, i), 'p') || strcmp(text_at(command, i), "--parents") == 0)
            return false;
    }
    return true;
}

/* What the shell does itself. Returns whether it was that. */
static bool run_builtin(struct finder *finder, const struct command *command)
{
    static const char *const setters[] = {
        "export", "declare", "typeset", "readonly", "local", NULL};
    const char *name = text_at(command, command->first);

    if (strcmp(name, "cd") == 0) {
        change_directory(finder, command);
    } else if (strcmp(name, "eval") == 0) {
        run_eval(finder, command);
    } else if (g_strv_contains(setters, name)) {
        for (guint i = command->first + 1; i < command->words->len; i++)
            assign(finder, command, i);
    } else {
        return false;
    }
    return true;
}

/* "cmake -DCMAKE_C_COMPILER_LAUNCHER=ccache", "CC='ccache gcc' make". */
static void look_for_ccache(struct finder *finder, const struct command *command)
{
    const char *program = text_at(command, command->first);
    bool is_called = program && is_cached_build(finder, program);

    for (guint i = command->first + 1; i < command->words->len && !is_called; i++) {
        const char *equals = strchr(text_at(command, i), '=');

        is_called =
            equals && (strcmp(equals, "=ccache") == 0 || g_str_has_prefix(equals, "=ccache "));
    }
    if (is_called)
        call_tool(finder, find_tool("ccache"), command);
}

static bool run_program(struct finder *finder, struct command *command)
{
    const char *name = name_of(text_at(command, command->first));
    g_autofree char *plain = without_version(name);

    if (g_strv_contains(shells, name))
        return run_shell(finder, command);
    if (run_builtin(finder, command))
        return false;
    if (is_touching(command))
        touch_arguments(finder, command);
    if ((strcmp(plain, "python") == 0 || strcmp(plain, "pypy") == 0) && !find_module(command))
        return false;
    const struct auto_tool *tool = find_tool(text_at(command, command->first));
    if (tool)
        call_tool(finder, tool, command);
    else
        look_for_ccache(finder, command);
    return false;
}

/* Returns whether the command reads a script from its here-document. */
static bool run_command(struct finder *finder, struct command command)
{
    const struct wrapper *wrapper;

    while (command.first < command.words->len && assign(finder, &command, command.first))
        command.first++;
    if (command.first >= command.words->len)
        return false;
    while ((wrapper = find_wrapper(text_at(&command, command.first)))) {
        if (!skip_wrapper(finder, wrapper, &command))
            return false;
        while (command.first < command.words->len && assign(finder, &command, command.first))
            command.first++;
        if (command.first >= command.words->len)
            return false;
    }
    return is_known_at(&command, command.first) && run_program(finder, &command);
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

    return !shell || !shell[0] || g_strv_contains(shells, name_of(shell[0]));
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
        if (g_strv_contains(shells, name_of(*word)))
            return true;
    }
    return false;
}

static void read_words(struct finder *finder, const GPtrArray *texts)
{
    g_autoptr(GPtrArray) words = dockerfile_shell_words_new();

    for (guint i = 0; i < texts->len; i++)
        g_ptr_array_add(words, dockerfile_shell_word_new(g_ptr_array_index(texts, i)));
    if (words->len > 0)
        run_command(finder, (struct command){words, 0, 0});
}

void auto_calls_init(struct auto_calls *calls, const struct dockerfile_job *job, const char *script)
{
    const struct dockerfile_command *command = &job->instruction->command;
    const struct dockerfile_build *build = job->build;
    const char *cwd = build->config->working_dir;
    struct finder finder = {.calls = calls,
        .build = build,
        .assigned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .cwd = g_strdup(cwd && *cwd ? cwd : "/"),
        .is_of_root = is_root_user(build->config->user),
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
