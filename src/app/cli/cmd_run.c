/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"

static const struct cli_option options[] = {
    {"entrypoint", 0, CLI_TEXT, "string", "Overwrite the default ENTRYPOINT of the image", false},
    {"env", 'e', CLI_LIST, "list", "Set environment variables", false},
    {"hostname", 'h', CLI_TEXT, "string", "Container host name", false},
    {"interactive", 'i', CLI_FLAG, NULL, "Pass standard input on to the program", false},
    {"network", 0, CLI_TEXT, "string", "Connect to a network: default, host or none", false},
    {"platform", 0, CLI_TEXT, "string", "Run the image for this platform (e.g., \"linux/arm64\")",
        false},
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

static struct cob_error *run_image(const struct cli_work *work)
{
    return cob_engine_run(
        work->engine, work->arg, work->observer, work->call->cancel, &work->call->exit_code);
}

static struct cob_error *run(struct cli_call *call)
{
    struct cob_engine_run_request request = {
        .image = cli_call_arg(call, 0),
        .platform = cli_call_text(call, "platform"),
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

    if (request.is_terminal && request.is_interactive && !isatty(0))
        return cob_fail(COB_INVALID, "standard input is not a terminal: leave out -t");
    return cli_engine_work(call, run_image, &request);
}

const struct cli_command cli_run = {
    .name = "run",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .summary = "Run a command in a new container from an image",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .is_program = true,
    .error_code = 125, /* docker's: 1 would be one that the program could end with, too */
    .run = run,
};
