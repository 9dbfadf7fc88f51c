/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

static struct cob_error *run(struct cli_call *call)
{
    const struct cli_command *command = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned n_words = 0;
    const struct cli_group *group = cli_call_arg(call, 0) && !cli_call_arg(call, 1)
                                        ? cli_group_find(cli_call_arg(call, 0))
                                        : NULL;

    if (group) {
        cli_help_append_group(out, group);
    } else if (cli_call_arg(call, 0)) {
        COB_TRY(cli_command_find((const char *const *)call->args->pdata, &command, &n_words));
        cli_help_append_command(out, command);
    } else {
        cli_help_append_all(out);
    }
    return cli_print(out);
}

const struct cli_command cli_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "Help about any command",
    .max_args = 2,
    .run = run,
};
