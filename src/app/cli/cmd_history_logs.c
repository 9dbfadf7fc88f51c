/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "build/history/history.h"

static const struct cli_option options[] = {
    {"progress", 0, CLI_TEXT, "string", "Set type of progress output (plain, rawjson)", false},
    {0},
};

static struct cob_error *read_mode(const struct cli_call *call, enum cob_progress_mode *ret_mode)
{
    const char *word = cli_call_text(call, "progress");

    *ret_mode = COB_PROGRESS_PLAIN;
    if (!word || strcmp(word, "auto") == 0)
        return NULL;
    COB_TRY(cob_progress_mode_parse(word, ret_mode));
    if (*ret_mode == COB_PROGRESS_TTY)
        *ret_mode = COB_PROGRESS_PLAIN; /* all of it is past: nothing moves */
    return NULL;
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_history_build) build = NULL;
    g_autoptr(cob_progress) progress = NULL;
    enum cob_progress_mode mode;

    COB_TRY(read_mode(call, &mode));
    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_history_find(cob_engine_store(engine), cli_call_arg(call, 0), &build));
    progress = cob_progress_new(mode, 1);
    struct cob_error *err =
        cob_history_replay(cob_engine_store(engine), build, cob_progress_observer(progress));
    cob_progress_finish(progress, err);
    return err;
}

const struct cli_command cli_history_logs = {
    .name = "history logs",
    .usage = "[OPTIONS] [REF]",
    .summary = "Print the logs of a build record",
    .description = "Print what a build printed, the last one without REF: an id, the beginning of "
                   "one, or ^N for the N-th before the last.",
    .options = options,
    .max_args = 1,
    .run = run,
};
