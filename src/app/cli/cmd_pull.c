/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"

static const struct cli_option options[] = {
    {"platform", 0, CLI_TEXT, "string", "Pull the image for this platform (e.g., \"linux/arm64\")",
        false},
    {"progress", 0, CLI_TEXT, "string",
        "Set type of progress output (auto, plain, quiet, rawjson, tty)", false},
    {"quiet", 'q', CLI_FLAG, NULL, "Suppress verbose output", false},
    {0},
};

static struct cob_error *pull(const struct cli_work *work)
{
    const struct cli_call *call = work->call;

    return cob_engine_pull(work->engine, cli_call_arg(call, 0), cli_call_text(call, "platform"),
        work->observer, call->cancel, work->arg);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(cob_store_image) image = NULL;
    g_autoptr(GString) line = NULL;

    COB_TRY(cli_engine_work(call, pull, &image));
    line = g_string_new(image->name);
    g_string_append_c(line, '\n');
    return cli_print(line);
}

const struct cli_command cli_pull = {
    .name = "pull",
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .summary = "Download an image from a registry",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
