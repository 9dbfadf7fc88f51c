/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

#include <string.h>

/* "  -f, --file string": what stands left of an option's help. The caller frees it. */
static char *option_label(const struct cli_option *option)
{
    GString *label = g_string_new("  ");

    if (option->letter)
        g_string_append_printf(label, "-%c, ", option->letter);
    else
        g_string_append(label, "    ");
    g_string_append_printf(label, "--%s", option->name);
    if (option->placeholder)
        g_string_append_printf(
            label, "%s%s", option->kind == CLI_SOME ? "" : " ", option->placeholder);
    return g_string_free(label, FALSE);
}

static void append_options(GString *out, const struct cli_command *command)
{
    size_t width = 0, n_shown = 0;

    for (size_t i = 0; i < cli_n_options(command); i++) {
        g_autofree char *label = option_label(&command->options[i]);

        if (command->options[i].help)
            width = MAX(width, strlen(label));
        n_shown += command->options[i].help != NULL;
    }
    if (n_shown == 0)
        return;
    g_string_append(out, "\nOptions:\n");
    for (size_t i = 0; i < cli_n_options(command); i++) {
        g_autofree char *label = option_label(&command->options[i]);

        if (command->options[i].help)
            g_string_append_printf(out, "%-*s   %s\n", (int)width, label, command->options[i].help);
    }
}

void cli_help_append_command(GString *out, const struct cli_command *command)
{
    g_string_append_printf(out, "Usage:  cob %s%s%s\n\n%s\n", command->name,
        *command->usage ? " " : "", command->usage, command->summary);
    append_options(out, command);
}

void cli_help_append_all(GString *out)
{
    size_t width = 0;

    for (const struct cli_command *const *at = cli_commands; *at; at++)
        width = MAX(width, (*at)->is_hidden ? 0 : strlen((*at)->name));
    g_string_append(out,
        "Usage:  cob [OPTIONS] COMMAND\n\n"
        "Build container images, and keep what every build learned for the next one\n\n"
        "Commands:\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        if (!(*at)->is_hidden)
            g_string_append_printf(out, "  %-*s   %s\n", (int)width, (*at)->name, (*at)->summary);
    }
    g_string_append(out, "\nOptions:\n  -D, --debug   Show warnings with what they mean and their "
                         "lines\n");
    g_string_append(out, "\nRun 'cob COMMAND --help' for more information on a command.\n");
}
