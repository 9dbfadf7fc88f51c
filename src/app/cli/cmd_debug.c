/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"

static struct cob_error *print_llb(struct cli_call *call, const struct cob_engine_request *request)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_progress) progress = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GString) out = NULL;
    struct cob_error *err;

    COB_TRY(cli_progress_new(call, &progress));
    COB_TRY(cli_engine_open_to_mount(&engine));
    err = cob_engine_llb(engine, request, cob_progress_observer(progress), call->cancel, &text);
    cob_progress_finish(progress, err);
    if (err)
        return err;
    out = g_string_new(text);
    return cli_print(out);
}

static struct cob_error *run_llb(struct cli_call *call)
{
    struct cli_build_request build;
    struct cob_error *err;

    COB_TRY(cli_build_request_init(call, &build));
    err = print_llb(call, &build.request);
    cli_build_request_done(&build);
    return err;
}

const struct cli_command cli_debug_llb = {
    .name = "debug llb",
    .usage = "[OPTIONS] PATH | -",
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
