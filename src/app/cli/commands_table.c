/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

const struct cli_command *const cli_commands[] = {
    &cli_build,
    &cli_cache_cp,
    &cli_cache_export,
    &cli_cache_import,
    &cli_cache_inspect,
    &cli_cache_ls,
    &cli_cache_pin,
    &cli_cache_quota,
    &cli_cache_rm,
    &cli_cache_unpin,
    &cli_completion,
    &cli_debug_complete,
    &cli_debug_llb,
    &cli_debug_man,
    &cli_du,
    &cli_help,
    &cli_history_export,
    &cli_history_import,
    &cli_history_inspect,
    &cli_history_logs,
    &cli_history_ls,
    &cli_history_open,
    &cli_history_rm,
    &cli_history_trace,
    &cli_images,
    &cli_prune,
    &cli_pull,
    &cli_rmi,
    &cli_run,
    &cli_version,
    &cli_why,
    NULL,
};

const struct cli_group cli_groups[] = {
    {"cache", "Manage cache mounts"},
    {"history", "Look at earlier builds"},
    {0},
};
