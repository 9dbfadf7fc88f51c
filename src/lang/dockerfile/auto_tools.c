/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a tool: does it use a cache, and where is that?
 */
#include <string.h>

#include "lang/dockerfile/dockerfile_auto.h"

/* --- tools --- */

/* One argument, or two in a row with a blank between them. */
static bool has_argument(const struct auto_command *command, const char *wanted)
{
    const char *blank = strchr(wanted, ' ');
    const size_t n = blank ? (size_t)(blank - wanted) : strlen(wanted);

    for (guint i = command->first + 1; i < command->words->len; i++) {
        const char *text = auto_word(command, i);

        if (strncmp(text, wanted, n) != 0 || text[n])
            continue;
        if (!blank || g_strcmp0(auto_word(command, i + 1), blank + 1) == 0)
            return true;
    }
    return false;
}

static bool has_one(const struct auto_command *command, const char *const *wanted)
{
    for (size_t i = 0; i < AUTO_MAX_WORDS && wanted[i]; i++) {
        if (has_argument(command, wanted[i]))
            return true;
    }
    return false;
}

static bool has_only_options(const struct auto_command *command)
{
    for (guint i = command->first + 1; i < command->words->len; i++) {
        if (*auto_word(command, i) != '-')
            return false;
    }
    return true;
}

static bool is_use(const struct auto_tool *tool, const struct auto_command *command)
{
    return !tool->uses[0] || has_one(command, tool->uses) ||
           (tool->is_used_bare && has_only_options(command));
}

/* Do variables say that there is to be no cache? */
static bool is_switched_off(const struct auto_finder *finder, const struct auto_tool *tool)
{
    static const char *const no[] = {"", "0", "no", "false", "off", "n", "f", NULL};
    const char *value;

    for (size_t i = 0; i < G_N_ELEMENTS(tool->off_variables) && tool->off_variables[i]; i++) {
        if (!auto_look_up(finder, tool->off_variables[i], &value))
            return true;
        g_autofree char *lower = g_ascii_strdown(value ? value : "", -1);
        if (!g_strv_contains(no, lower))
            return true;
    }
    return false;
}

/* "--option=value" or "--option value" among the arguments, as in auto_look_up(). */
static bool find_option(
    const struct auto_command *command, const char *option, const char **ret_value)
{
    const size_t n = strlen(option);

    *ret_value = NULL;
    for (guint i = command->first + 1; i < command->words->len; i++) {
        const char *text = auto_word(command, i);

        if (strncmp(text, option, n) != 0 || (text[n] && text[n] != '='))
            continue;
        *ret_value = text[n] ? text + n + 1 : auto_word(command, i + 1);
        return !*ret_value || auto_is_known(command, text[n] ? i : i + 1);
    }
    return true;
}

/* What a source says; NULL: nothing. Returns false when only the step will know. */
static bool ask(const struct auto_finder *finder, const struct auto_source *source,
    const struct auto_command *command, char **ret_path)
{
    const char *value = NULL;
    size_t len;

    if (!(source->variable ? auto_look_up(finder, source->variable, &value)
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
static char *find_place(const struct auto_finder *finder, const struct auto_dir *dir,
    const struct auto_command *command)
{
    const char *home = dir->is_of_passwd ? auto_home_of_user(finder) : auto_get(finder, "HOME");
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
    return home || *path != '~' ? auto_place(path, home) : NULL;
}

/* target: taken. */
static void add_mount(struct auto_finder *finder, const struct auto_tool *tool,
    const struct auto_dir *dir, char *target)
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

static void call_apt(struct auto_finder *finder, const struct auto_command *command)
{
    if (has_argument(command, "update"))
        finder->calls->has_apt_update = true;
    for (size_t i = 0; i < command->words->len; i++) {
        static const char *const installs[] = {"install", "upgrade", "dist-upgrade", "full-upgrade",
            "build-dep", "reinstall", "satisfy", NULL};

        if (g_strv_contains(installs, auto_word(command, (guint)i)))
            finder->calls->has_apt_install = true;
    }
}

void auto_call_tool(
    struct auto_finder *finder, const struct auto_tool *tool, const struct auto_command *command)
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
char *auto_without_version(const char *name)
{
    size_t n = strlen(name);

    while (n > 0 && (g_ascii_isdigit(name[n - 1]) || name[n - 1] == '.'))
        n--;
    return g_strndup(name, n);
}

const struct auto_tool *auto_find_tool(const char *program)
{
    const char *name = auto_name_of(program);
    g_autofree char *plain = auto_without_version(name);
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
bool auto_is_cached_build(const struct auto_finder *finder, const char *program)
{
    static const char *const builders[] = {"make", "ninja", "cmake", "meson", "cc", "c++", "gcc",
        "g++", "clang", "clang++", "configure", NULL};
    static const char *const names[] = {
        "CC", "CXX", "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER"};

    if (!g_strv_contains(builders, auto_name_of(program)))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = NULL;

        if (auto_look_up(finder, names[i], &value) && value &&
            (strcmp(value, "ccache") == 0 || g_str_has_prefix(value, "ccache ")))
            return true;
    }
    const char *path = NULL;
    return auto_look_up(finder, "PATH", &path) && path && strstr(path, "/usr/lib/ccache");
}
