/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

#include <string.h>

/* Is the next word none of its value? */
static bool is_plain(const struct cli_option *option)
{
    return option->kind == CLI_FLAG || option->kind == CLI_SOME;
}

/* Append a list of words, in quotes. */
static void append_command_names(GString *out, char quote)
{
    g_string_append_c(out, quote);
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if (!(*at)->is_hidden)
            g_string_append_printf(out, "%s%s", at == cli_commands ? "" : " ", (*at)->name);
    }
    g_string_append_c(out, quote);
}

static void append_bash(GString *out)
{
    g_string_append(out, "# bash completion for cob\n_cob()\n{\n"
                         "    local cur=${COMP_WORDS[COMP_CWORD]} options=\n"
                         "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                         "        COMPREPLY=($(compgen -W ");
    append_command_names(out, '"');
    g_string_append(out, " -- \"$cur\"))\n        return\n    fi\n"
                         "    case ${COMP_WORDS[1]} in\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if ((*at)->is_hidden)
            continue;
        g_string_append_printf(out, "    %s) options=\"--help", (*at)->name);
        for (size_t i = 0; i < cli_n_options(*at); i++) {
            if ((*at)->options[i].help)
                g_string_append_printf(out, " --%s", (*at)->options[i].name);
        }
        g_string_append(out, "\" ;;\n");
    }
    g_string_append(out, "    esac\n    case $cur in\n"
                         "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
                         "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
                         "    esac\n}\ncomplete -o filenames -F _cob cob\n");
}

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
    g_string_append(out, " \\\n            '*:file:_files' ;;\n");
}

static void append_zsh(GString *out)
{
    g_string_append(out, "#compdef cob\n_cob() {\n    if (( CURRENT == 2 )); then\n"
                         "        local -a commands=(\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if ((*at)->is_hidden)
            continue;
        g_string_append_printf(out, "            '%s:", (*at)->name);
        append_quoted(out, (*at)->summary, "");
        g_string_append(out, "'\n");
    }
    g_string_append(out, "        )\n        _describe command commands\n        return\n    fi\n"
                         "    local name=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
                         "    case $name in\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if ((*at)->is_hidden)
            continue;
        g_string_append_printf(out, "        %s) _arguments", (*at)->name);
        append_zsh_options(out, *at);
    }
    g_string_append(out, "    esac\n}\n_cob \"$@\"\n");
}

static void append_fish_option(
    GString *out, const struct cli_command *command, const struct cli_option *option)
{
    g_string_append_printf(out, "complete -c cob -n '__fish_seen_subcommand_from %s' -l %s",
        command->name, option->name);
    if (option->letter)
        g_string_append_printf(out, " -s %c", option->letter);
    g_string_append(out, is_plain(option) ? " -d '" : " -r -d '");
    append_quoted(out, option->help, "");
    g_string_append(out, "'\n");
}

static void append_fish(GString *out)
{
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if ((*at)->is_hidden)
            continue;
        g_string_append_printf(
            out, "complete -c cob -n __fish_use_subcommand -f -a %s -d '", (*at)->name);
        append_quoted(out, (*at)->summary, "");
        g_string_append(out, "'\n");
        for (size_t i = 0; i < cli_n_options(*at); i++) {
            if ((*at)->options[i].help)
                append_fish_option(out, *at, &(*at)->options[i]);
        }
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
