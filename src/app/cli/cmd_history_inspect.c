/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/history_details.h"
#include "app/cli/history_view.h"

static const struct cli_option options[] = {
    {"format", 0, CLI_TEXT, "string", "Format the output: pretty, json, or a template", false},
    {0},
};

static struct cob_error *run(struct cli_call *call)
{
    const char *format = cli_call_text(call, "format"), *name = cli_call_arg(call, 0);
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_history_build) build = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;

    if (cli_call_arg(call, 1) && strcmp(name, "attachment") != 0)
        return cob_fail(COB_INVALID, "\"cob history inspect\" requires at most 1 argument");
    if (name && strcmp(name, "attachment") == 0)
        return cob_fail(COB_UNIMPLEMENTED, "cob history inspect attachment: there are no "
                                           "attachments: cob makes no attestations");
    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_history_find(cob_engine_store(engine), name, &build));
    COB_TRY(history_details_log(cob_engine_store(engine), build, &lines));
    if (!format || strcmp(format, "pretty") == 0)
        history_details_append(out, build, (const char *const *)lines, /* has_ref= */ !name);
    else
        COB_TRY(history_details_format(out, build, (const char *const *)lines, format));
    return cli_print(out);
}

const struct cli_command cli_history_inspect = {
    .name = "history inspect",
    .usage = "[OPTIONS] [REF]",
    .summary = "Inspect a build record",
    .description = "Show what a build was asked for and what came of it, the last one without REF: "
                   "an id, the beginning of one, or ^N for the N-th before the last.",
    .options = options,
    .max_args = 2,
    .run = run,
};
