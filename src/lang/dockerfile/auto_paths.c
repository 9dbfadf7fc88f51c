/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables and paths of a RUN, as far as they are known without running it.
 */
#include <string.h>

#include "lang/dockerfile/dockerfile_auto.h"
#include "util/limits.h"

#define MAX_TOUCHED 1000  /* paths; beyond it, everything counts as touched */
#define MAX_ASSIGNED 1000 /* variables of a script */

const char *auto_word(const struct auto_command *command, guint i)
{
    const struct dockerfile_shell_word *word =
        i < command->words->len ? g_ptr_array_index(command->words, i) : NULL;

    return word ? word->text : NULL;
}

bool auto_is_known(const struct auto_command *command, guint i)
{
    return ((const struct dockerfile_shell_word *)g_ptr_array_index(command->words, i))->is_known;
}

const char *auto_name_of(const char *path)
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

bool auto_is_root(const char *user)
{
    static const char *const root[] = {"", "0", "root", NULL};
    g_auto(GStrv) parts = g_strsplit(user ? user : "", ":", 2);

    return !parts[0] || g_strv_contains(root, parts[0]);
}

/* Of the user database: what it says of others than root, only their image knows. */
const char *auto_home_of_user(const struct auto_finder *finder)
{
    return finder->is_of_root ? "/root" : "~";
}

/* ret_value: NULL: it is not set. Returns false when only the step will know. */
bool auto_look_up(const struct auto_finder *finder, const char *name, const char **ret_value)
{
    void *value;

    if (g_hash_table_lookup_extended(finder->assigned, name, NULL, &value)) {
        *ret_value = value;
        return value != NULL;
    }
    *ret_value = dockerfile_vars_get(finder->build->vars, name);
    return true;
}

const char *auto_get(const void *arg, const char *name)
{
    const char *value = NULL;

    if (auto_look_up(arg, name, &value) && !value && strcmp(name, "HOME") == 0)
        return auto_home_of_user(arg);
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
bool auto_assign(struct auto_finder *finder, const struct auto_command *command, guint i)
{
    const char *text = auto_word(command, i);
    const char *value;

    if (!is_assignment(text, &value))
        return false;
    if (g_hash_table_size(finder->assigned) < MAX_ASSIGNED)
        g_hash_table_replace(finder->assigned, g_strndup(text, (size_t)(value - 1 - text)),
            auto_is_known(command, i) ? g_strdup(value) : NULL);
    return true;
}

/* --- paths --- */

/* A clean path from the root or from "~"; NULL when it is none. The caller frees it. */
char *auto_place(const char *path, const char *home)
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
static bool is_always_there(const struct auto_finder *finder, const char *path)
{
    const char *home = auto_get(finder, "HOME");
    g_autofree char *clean = home ? auto_place(home, home) : NULL;

    return strrchr(path, '/') == path || g_strcmp0(path, clean) == 0;
}

/* Note that a command makes, moves or removes a path. */
static void touch(struct auto_finder *finder, const char *path, bool is_removed)
{
    const char *home = auto_get(finder, "HOME");
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
    char *clean = whole ? auto_place(whole, home ? home : "~") : NULL;
    if (!clean || (!is_removed && is_always_there(finder, clean)))
        g_free(clean);
    else if (finder->calls->touched->len < MAX_TOUCHED)
        g_ptr_array_add(finder->calls->touched, clean);
    else
        g_free(clean);
    if (finder->calls->touched->len == MAX_TOUCHED)
        g_ptr_array_add(finder->calls->touched, g_strdup("/"));
}

void auto_touch(struct auto_finder *finder, const struct auto_command *command)
{
    const bool is_removed =
        g_str_has_prefix(auto_name_of(auto_word(command, command->first)), "rm");

    for (guint i = command->first + 1; i < command->words->len; i++) {
        if (auto_is_known(command, i) && *auto_word(command, i) != '-')
            touch(finder, auto_word(command, i), is_removed);
    }
}

void auto_change_directory(struct auto_finder *finder, const struct auto_command *command)
{
    const char *to = auto_word(command, command->first + 1);
    const char *home = auto_get(finder, "HOME");

    if (!to)
        to = "~";
    else if (!auto_is_known(command, command->first + 1))
        to = "-";
    g_autofree char *whole = *to == '/' || *to == '~'    ? g_strdup(to)
                             : finder->cwd && *to != '-' ? g_strconcat(finder->cwd, "/", to, NULL)
                                                         : NULL;
    g_free(finder->cwd);
    finder->cwd =
        whole && strlen(whole) < COB_LIMIT_PATH_BYTES ? auto_place(whole, home ? home : "~") : NULL;
}
