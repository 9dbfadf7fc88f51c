/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What buildx has and cob has not: said as such, not as an unknown command.
 */
#include "app/cli/command.h"

/* What buildx takes here. */
static const struct cli_option options[] = {
    {.name = "addr", .kind = CLI_TEXT},
    {.name = "compare", .kind = CLI_TEXT},
    {.name = "file", .letter = 'f', .kind = CLI_LIST},
    {0},
};

static struct cob_error *refuse_import(struct cli_call *call)
{
    (void)call;
    return cob_fail(COB_UNIMPLEMENTED,
        "cob history import: a record of another machine is not imported; \"cob history export\" "
        "writes one");
}

static struct cob_error *refuse_open(struct cli_call *call)
{
    (void)call;
    return cob_fail(COB_UNIMPLEMENTED,
        "cob history open: there is no Docker Desktop here; see \"cob history inspect\"");
}

static struct cob_error *refuse_trace(struct cli_call *call)
{
    (void)call;
    return cob_fail(COB_UNIMPLEMENTED,
        "cob history trace: cob records no OpenTelemetry traces; see \"cob history logs\"");
}

#define REFUSED(word, function)                                                                    \
    {                                                                                              \
        .name = "history " word, .usage = "", .summary = "Not carried out by cob",                 \
        .options = options, .max_args = CLI_ANY_NUMBER, .is_hidden = true, .run = (function)       \
    }

const struct cli_command cli_history_import = REFUSED("import", refuse_import);
const struct cli_command cli_history_open = REFUSED("open", refuse_open);
const struct cli_command cli_history_trace = REFUSED("trace", refuse_trace);
