/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"

static const struct cli_option options[] = {
    {"entrypoint", 0, CLI_TEXT, "string", "Overwrite the default ENTRYPOINT of the image", false},
    {"env", 'e', CLI_LIST, "list", "Set environment variables", false},
    {"hostname", 'h', CLI_TEXT, "string", "Container host name", false},
    {"interactive", 'i', CLI_FLAG, NULL, "Pass standard input on to the program", false},
    {"network", 0, CLI_TEXT, "string", "Connect to a network: default, host or none", false},
    {"progress", 0, CLI_TEXT, "string",
        "Set type of progress output of a pull (auto, plain, quiet, rawjson, tty)", false},
    {"quiet", 'q', CLI_FLAG, NULL, "Suppress the pull output", false},
    {"rm", 0, CLI_FLAG, NULL, "Remove what the program wrote when it ends", false},
    {"tty", 't', CLI_FLAG, NULL, "Allocate a pseudo-TTY", false},
    {"user", 'u', CLI_TEXT, "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")",
        false},
    {"volume", 'v', CLI_LIST, "list", "Bind mount a folder (format: \"host-path:path[:ro]\")",
        false},
    {"workdir", 'w', CLI_TEXT, "string", "Working directory inside the container", false},
    {0},
};

static struct cob_error *run(struct cli_call *call)
{
    const struct cob_engine_run_request request = {
        .image = cli_call_arg(call, 0),
        .args = call->args->len > 2 ? (const char *const *)call->args->pdata + 1 : NULL,
        .entrypoint = cli_call_text(call, "entrypoint"),
        .env = cli_call_list(call, "env"),
        .volumes = cli_call_list(call, "volume"),
        .workdir = cli_call_text(call, "workdir"),
        .user = cli_call_text(call, "user"),
        .hostname = cli_call_text(call, "hostname"),
        .network = cli_call_text(call, "network"),
        .is_terminal = cli_call_flag(call, "tty"),
        .is_interactive = cli_call_flag(call, "interactive"),
        .is_kept = !cli_call_flag(call, "rm"),
    };
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_progress) progress = NULL;
    struct cob_error *err;

    if (request.is_terminal && request.is_interactive && !isatty(0))
        return cob_fail(COB_INVALID, "standard input is not a terminal: leave out -t");
    COB_TRY(cli_progress_new(call, &progress));
    COB_TRY(cli_engine_open_to_mount(&engine));
    err = cob_engine_run(
        engine, &request, cob_progress_observer(progress), call->cancel, &call->exit_code);
    cob_progress_finish(progress, err);
    return err;
}

const struct cli_command cli_run = {
    .name = "run",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .summary = "Run a command in a new container from an image",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .is_program = true,
    .run = run,
};
