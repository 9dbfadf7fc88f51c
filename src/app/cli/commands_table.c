/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

const struct cli_command *const cli_commands[] = {
    &cli_build,
    &cli_completion,
    &cli_debug_llb,
    &cli_debug_man,
    &cli_du,
    &cli_help,
    &cli_images,
    &cli_prune,
    &cli_pull,
    &cli_rmi,
    &cli_run,
    &cli_version,
    NULL,
};
