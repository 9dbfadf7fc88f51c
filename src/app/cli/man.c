/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

/* Text as troff takes it: a dash is a minus, a backslash is escaped, no line begins with a dot. */
static void append_escaped(GString *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '-')
            g_string_append(out, "\\-");
        else if (*at == '\\')
            g_string_append(out, "\\e");
        else if ((*at == '.' || *at == '\'') && (at == text || at[-1] == '\n'))
            g_string_append_printf(out, "\\&%c", *at);
        else
            g_string_append_c(out, *at);
    }
    g_string_append_c(out, '\n');
}

static void append_option(GString *out, const struct cli_option *option)
{
    g_autofree char *letter = option->letter ? g_strdup_printf("-%c, ", option->letter) : NULL;
    g_autofree char *label = g_strdup_printf("%s--%s%s%s", letter ? letter : "", option->name,
        option->placeholder && option->kind != CLI_SOME ? " " : "",
        option->placeholder ? option->placeholder : "");

    g_string_append(out, ".TP\n");
    append_escaped(out, label);
    append_escaped(out, option->help);
}

static void append_command(GString *out, const struct cli_command *command)
{
    g_autofree char *usage = g_strdup_printf("cob %s %s", command->name, command->usage);

    g_string_append(out, ".SS ");
    append_escaped(out, usage);
    append_escaped(out, command->description ? command->description : command->summary);
    for (size_t i = 0; i < cli_n_options(command); i++) {
        if (command->options[i].help)
            append_option(out, &command->options[i]);
    }
}

void cli_man_append(GString *out)
{
    static const char *const files[][2] = {
        {"/var/lib/cob", "The store of root: images, layers, cache mounts and the database."},
        {"~/.local/share/cob", "The store of another user."},
        {"~/.docker/config.json", "Credentials for registries, and credential helpers."},
    };
    static const char *const variables[][2] = {
        {"COB_ROOT", "The store, instead of the folders below."},
        {"BUILDKIT_PROGRESS", "What --progress is when it is not given."},
        {"DOCKER_CONFIG", "The folder of config.json, instead of ~/.docker."},
        {"NO_COLOR", "When set, and not empty: no colours."},
        {"COB_TRACE", "1 to 3: tell on standard error what cob decides and does."},
    };

    g_string_append(out, ".TH COB 1 \"\" \"cob " COB_VERSION "\" \"User Commands\"\n"
                         ".SH NAME\ncob \\- build container images\n"
                         ".SH SYNOPSIS\n.B cob\nCOMMAND [OPTIONS] [ARGUMENTS]\n"
                         ".SH DESCRIPTION\n"
                         "Turns a Dockerfile into a container image, without a daemon, and keeps\n"
                         "what package managers and compilers learned in one build for all the\n"
                         "next ones.\n.SH COMMANDS\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if (!(*at)->is_hidden)
            append_command(out, *at);
    }
    g_string_append(out, ".SH EXIT STATUS\n0 when all went well, 1 for an error, 130 when stopped "
                         "by Ctrl\\-C, 143 by SIGTERM.\n"
                         "cob run ends with the exit status of the program; 125 when it could not\n"
                         "be started, 126 when it may not be executed, 127 when there is none.\n"
                         ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        g_string_append_printf(out, ".TP\n%s\n", variables[i][0]);
        append_escaped(out, variables[i][1]);
    }
    g_string_append(out, ".SH FILES\n");
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_string_append_printf(out, ".TP\n%s\n", files[i][0]);
        append_escaped(out, files[i][1]);
    }
}
