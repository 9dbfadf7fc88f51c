/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

static struct cob_error *run(struct cli_call *call)
{
    const struct cli_command *command = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned n_words = 0;

    if (cli_call_arg(call, 0)) {
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
