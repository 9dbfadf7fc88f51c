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

const struct cli_group *cli_group_find(const char *name)
{
    for (const struct cli_group *group = cli_groups; group->name; group++) {
        if (!strcmp(group->name, name))
            return group;
    }
    return NULL;
}

bool cli_group_has(const struct cli_group *group, const struct cli_command *command)
{
    const size_t len = strlen(group->name);

    return !strncmp(command->name, group->name, len) && command->name[len] == ' ';
}

/* One line of a list of commands. */
struct line {
    const char *name, *summary;
};

static void append_lines(GString *out, const GArray *lines)
{
    size_t width = 0;

    for (guint i = 0; i < lines->len; i++)
        width = MAX(width, strlen(g_array_index(lines, struct line, i).name));
    g_string_append(out, "Commands:\n");
    for (guint i = 0; i < lines->len; i++) {
        const struct line *line = &g_array_index(lines, struct line, i);

        g_string_append_printf(out, "  %-*s   %s\n", (int)width, line->name, line->summary);
    }
}

void cli_help_append_group(GString *out, const struct cli_group *group)
{
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(struct line));

    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        const struct line line = {(*at)->name + strlen(group->name) + 1, (*at)->summary};

        if (!(*at)->is_hidden && cli_group_has(group, *at))
            g_array_append_val(lines, line);
    }
    g_string_append_printf(out, "Usage:  cob %s COMMAND\n\n%s\n\n", group->name, group->summary);
    append_lines(out, lines);
    g_string_append_printf(
        out, "\nRun 'cob %s COMMAND --help' for more information on a command.\n", group->name);
}

/* The group that a command is shown as; NULL: it is shown itself. */
static const struct cli_group *group_of(const struct cli_command *command)
{
    for (const struct cli_group *group = cli_groups; group->name; group++) {
        if (cli_group_has(group, command))
            return group;
    }
    return NULL;
}

void cli_help_append_all(GString *out)
{
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(struct line));
    const struct cli_group *last = NULL;

    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        const struct cli_group *group = group_of(*at);
        const struct line line = {
            group ? group->name : (*at)->name, group ? group->summary : (*at)->summary};

        if (!(*at)->is_hidden && (!group || group != last))
            g_array_append_val(lines, line);
        last = group;
    }
    g_string_append(out,
        "Usage:  cob [OPTIONS] COMMAND\n\n"
        "Build container images, and keep what every build learned for the next one\n\n");
    append_lines(out, lines);
    g_string_append(out, "\nOptions:\n  -D, --debug   Show warnings with what they mean and their "
                         "lines\n");
    g_string_append(out, "\nRun 'cob COMMAND --help' for more information on a command.\n");
}
