/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

#include <string.h>

/* Is the next word none of its value? */
static bool is_plain(const struct cli_option *option)
{
    return option->kind == CLI_FLAG || option->kind == CLI_SOME;
}

/* Where `cob debug complete` has the words. */
static bool has_words(const struct cli_command *command)
{
    return command->completes != NULL;
}

/* The words that may stand first, in the order of the commands: of those of a group the group's.
 * Calls append for each with its summary. */
static void each_first_word(
    GString *out, void (*append)(GString *out, const char *name, const char *summary))
{
    const struct cli_group *last = NULL;

    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        const struct cli_group *group = cli_groups;

        while (group->name && !cli_group_has(group, *at))
            group++;
        if (!(*at)->is_hidden && !group->name)
            append(out, (*at)->name, (*at)->summary);
        else if (!(*at)->is_hidden && group != last)
            append(out, group->name, group->summary);
        last = group;
    }
}

static void each_word_of(GString *out, const struct cli_group *group,
    void (*append)(GString *out, const char *name, const char *summary))
{
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if (!(*at)->is_hidden && cli_group_has(group, *at))
            append(out, (*at)->name + strlen(group->name) + 1, (*at)->summary);
    }
}

/* --- bash --- */

static void append_bash_word(GString *out, const char *name, const char *summary)
{
    (void)summary;
    g_string_append_printf(out, "%s%s", g_str_has_suffix(out->str, "\"") ? "" : " ", name);
}

static void append_bash_groups(GString *out)
{
    for (const struct cli_group *group = cli_groups; group->name; group++) {
        g_string_append_printf(out,
            "    %s)\n        command=\"%s ${COMP_WORDS[2]}\"\n"
            "        if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
            "            COMPREPLY=($(compgen -W \"",
            group->name, group->name);
        each_word_of(out, group, append_bash_word);
        g_string_append(out, "\" -- \"$cur\"))\n            return\n        fi ;;\n");
    }
}

static void append_bash_command(GString *out, const struct cli_command *command)
{
    g_string_append_printf(out, "    '%s') options=\"--help", command->name);
    for (size_t i = 0; i < cli_n_options(command); i++) {
        if (command->options[i].help)
            g_string_append_printf(out, " --%s", command->options[i].name);
    }
    g_string_append(out, "\"");
    if (has_words(command))
        g_string_append_printf(out, " words=%s", command->completes);
    g_string_append(out, " ;;\n");
}

/* Words of the store may have any characters: each is a line, compared by its beginning, and quoted
 * here, since bash does that for files alone. After an "ID:" no blank is wanted. */
static const char bash_words[] =
    "    local word\n"
    "    if [ -n \"$words\" ] && [[ $cur != -* ]]; then\n"
    "        compopt +o filenames 2>/dev/null\n"
    "        [[ $words == *files ]] && compopt -o nospace 2>/dev/null\n"
    "        COMPREPLY=()\n"
    "        while IFS= read -r word; do\n"
    "            [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$(printf %q \"$word\")\")\n"
    "        done < <(cob debug complete \"$words\" 2>/dev/null)\n"
    "        [[ $words == *files ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
    "        return\n"
    "    fi\n";

static void append_bash(GString *out)
{
    g_string_append(out, "# bash completion for cob\n_cob()\n{\n"
                         "    local cur=${COMP_WORDS[COMP_CWORD]} options= words=\n"
                         "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                         "        COMPREPLY=($(compgen -W \"");
    each_first_word(out, append_bash_word);
    g_string_append(out, "\" -- \"$cur\"))\n        return\n    fi\n"
                         "    local command=${COMP_WORDS[1]}\n    case $command in\n");
    append_bash_groups(out);
    g_string_append(out, "    esac\n    case $command in\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if (!(*at)->is_hidden)
            append_bash_command(out, *at);
    }
    g_string_append(out, "    esac\n");
    g_string_append(out, bash_words);
    g_string_append(out, "    case $cur in\n"
                         "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
                         "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
                         "    esac\n}\ncomplete -o filenames -F _cob cob\n");
}

/* --- zsh --- */

/* A text inside of single quotes, for a shell or for zsh's descriptions. */
static void append_quoted(GString *out, const char *text, const char *also_escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            g_string_append(out, "'\\''");
        else if (strchr(also_escaped, *text))
            g_string_append_printf(out, "\\%c", *text);
        else
            g_string_append_c(out, *text);
    }
}

/* What stands before the help of an option: '*--tag=[ for a list, and with a letter
 * '(-f --file)'{-f+,--file=}'[, of which one counts. */
static void append_zsh_names(GString *out, const struct cli_option *option)
{
    const bool is_list = option->kind == CLI_LIST || option->kind == CLI_SOME;
    const bool is_flag = is_plain(option);

    if (!option->letter)
        g_string_append_printf(
            out, "'%s--%s%s[", is_list ? "*" : "", option->name, is_flag ? "" : "=");
    else if (is_list)
        g_string_append_printf(out, "'*'{-%c+,--%s=}'[", option->letter, option->name);
    else
        g_string_append_printf(out, "'(-%c --%s)'{-%c%s,--%s%s}'[", option->letter, option->name,
            option->letter, is_flag ? "" : "+", option->name, is_flag ? "" : "=");
}

static void append_zsh_options(GString *out, const struct cli_command *command)
{
    for (size_t i = 0; i < cli_n_options(command); i++) {
        const struct cli_option *option = &command->options[i];

        if (!option->help)
            continue;
        g_string_append(out, " \\\n            ");
        append_zsh_names(out, option);
        append_quoted(out, option->help, "[]:\\");
        g_string_append(out, is_plain(option) ? "]'" : "]:value:_files'");
    }
    if (has_words(command))
        g_string_append_printf(
            out, " \\\n            '*:word:_cob_words %s' ;;\n", command->completes);
    else
        g_string_append(out, " \\\n            '*:file:_files' ;;\n");
}

static void append_zsh_word(GString *out, const char *name, const char *summary)
{
    g_string_append_printf(out, "            '%s:", name);
    append_quoted(out, summary, "");
    g_string_append(out, "'\n");
}

/* The second word of a group becomes part of the name. */
static void append_zsh_groups(GString *out)
{
    for (const struct cli_group *group = cli_groups; group->name; group++) {
        g_string_append_printf(
            out, "    if [[ $name == %s ]]; then\n        commands=(\n", group->name);
        each_word_of(out, group, append_zsh_word);
        g_string_append(out, "        )\n"
                             "        if (( CURRENT == 2 )); then\n"
                             "            _describe command commands\n            return\n"
                             "        fi\n"
                             "        name=\"$name $words[2]\"\n        shift words\n"
                             "        (( CURRENT-- ))\n    fi\n");
    }
}

static void append_zsh(GString *out)
{
    g_string_append(out, "#compdef cob\n"
                         "_cob_words() {\n    local -a found=(${(f)\"$(cob debug complete $1 "
                         "2>/dev/null)\"})\n"
                         "    compadd -a found\n"
                         "    [[ $1 == *files ]] && _files\n    return 0\n}\n"
                         "_cob() {\n    local -a commands\n    if (( CURRENT == 2 )); then\n"
                         "        commands=(\n");
    each_first_word(out, append_zsh_word);
    g_string_append(out, "        )\n        _describe command commands\n        return\n    fi\n"
                         "    local name=$words[2]\n    shift words\n    (( CURRENT-- ))\n");
    append_zsh_groups(out);
    g_string_append(out, "    case $name in\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if ((*at)->is_hidden)
            continue;
        g_string_append_printf(out, "        '%s') _arguments", (*at)->name);
        append_zsh_options(out, *at);
    }
    g_string_append(out, "    esac\n}\n_cob \"$@\"\n");
}

/* --- fish --- */

/* When a command's options and arguments are meant.  The caller frees it. */
static char *fish_condition(const struct cli_command *command)
{
    const char *blank = strchr(command->name, ' ');
    g_autofree char *group = blank ? g_strndup(command->name, blank - command->name) : NULL;

    if (!blank)
        return g_strdup_printf("__fish_seen_subcommand_from %s", command->name);
    return g_strdup_printf(
        "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s", group, blank + 1);
}

static void append_fish_option(
    GString *out, const struct cli_command *command, const struct cli_option *option)
{
    g_autofree char *condition = fish_condition(command);

    g_string_append_printf(out, "complete -c cob -n '%s' -l %s", condition, option->name);
    if (option->letter)
        g_string_append_printf(out, " -s %c", option->letter);
    g_string_append(out, is_plain(option) ? " -d '" : " -r -d '");
    append_quoted(out, option->help, "");
    g_string_append(out, "'\n");
}

static void append_fish_first(GString *out, const char *name, const char *summary)
{
    g_string_append_printf(out, "complete -c cob -n __fish_use_subcommand -f -a %s -d '", name);
    append_quoted(out, summary, "");
    g_string_append(out, "'\n");
}

static void append_fish_groups(GString *out)
{
    for (const struct cli_group *group = cli_groups; group->name; group++) {
        g_autoptr(GString) words = g_string_new("\"");

        each_word_of(words, group, append_bash_word);
        g_string_erase(words, 0, 1);
        for (const struct cli_command *const *at = cli_commands; *at; at++) {
            if ((*at)->is_hidden || !cli_group_has(group, *at))
                continue;
            g_string_append_printf(out,
                "complete -c cob -n '__fish_seen_subcommand_from %s; and not "
                "__fish_seen_subcommand_from %s' -f -a %s -d '",
                group->name, words->str, (*at)->name + strlen(group->name) + 1);
            append_quoted(out, (*at)->summary, "");
            g_string_append(out, "'\n");
        }
    }
}

static void append_fish_command(GString *out, const struct cli_command *command)
{
    g_autofree char *condition = fish_condition(command);

    for (size_t i = 0; i < cli_n_options(command); i++) {
        if (command->options[i].help)
            append_fish_option(out, command, &command->options[i]);
    }
    if (has_words(command))
        g_string_append_printf(out,
            "complete -c cob -n '%s' %s -a '(cob debug complete %s "
            "2>/dev/null)'\n",
            condition, g_str_has_suffix(command->completes, "files") ? "" : "-f",
            command->completes);
}

static void append_fish(GString *out)
{
    each_first_word(out, append_fish_first);
    append_fish_groups(out);
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if (!(*at)->is_hidden)
            append_fish_command(out, *at);
    }
}

struct cob_error *cli_completion_append(GString *out, const char *shell)
{
    static const struct {
        const char *shell;
        void (*append)(GString *out);
    } shells[] = {{"bash", append_bash}, {"zsh", append_zsh}, {"fish", append_fish}};

    for (size_t i = 0; i < G_N_ELEMENTS(shells); i++) {
        if (!strcmp(shells[i].shell, shell)) {
            shells[i].append(out);
            return NULL;
        }
    }
    return cob_fail(COB_INVALID, "no completion for %s: use bash, zsh or fish", shell);
}
