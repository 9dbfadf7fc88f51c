/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"

/* What `cob debug llb` was asked for, and its answer. */
struct llb_dump {
    struct cli_build_request build;
    char *text;
};

static struct cob_error *make_llb(const struct cli_work *work)
{
    struct llb_dump *dump = work->arg;

    return cob_engine_llb(
        work->engine, &dump->build.request, work->observer, work->call->cancel, &dump->text);
}

static struct cob_error *run_llb(struct cli_call *call)
{
    struct llb_dump dump = {.text = NULL};
    g_autoptr(GString) out = NULL;
    g_autofree char *text = NULL;
    struct cob_error *err;

    COB_TRY(cli_build_request_init(call, &dump.build));
    err = cli_engine_work(call, make_llb, &dump);
    text = dump.text;
    cli_build_request_done(&dump.build);
    if (err)
        return err;
    out = g_string_new(text);
    return cli_print(out);
}

const struct cli_command cli_debug_llb = {
    .name = "debug llb",
    .usage = "[OPTIONS] PATH | URL | -",
    .summary = "Print the build graph of a Dockerfile, without building it",
    .options = cli_build_options,
    .min_args = 1,
    .max_args = 1,
    .is_hidden = true,
    .run = run_llb,
};

static struct cob_error *run_man(struct cli_call *call)
{
    g_autoptr(GString) out = g_string_new(NULL);

    (void)call;
    cli_man_append(out);
    return cli_print(out);
}

const struct cli_command cli_debug_man = {
    .name = "debug man",
    .usage = "",
    .summary = "Print the man page",
    .is_hidden = true,
    .run = run_man,
};
