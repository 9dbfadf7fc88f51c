/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(cli_completion_append(out, cli_call_arg(call, 0)));
    return cli_print(out);
}

const struct cli_command cli_completion = {
    .name = "completion",
    .usage = "bash | zsh | fish",
    .summary = "Print the completion script for a shell",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
