/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that use the engine have in common.
 */
#pragma once

#include "app/cli/command.h"
#include "app/progress/progress.h"
#include "build/engine/engine.h"

/* Open the store to look at it or to change names. */
COB_RESULT struct cob_error *cli_engine_open(struct cob_engine **ret_engine);

/* The same for a command that mounts: in a mount namespace of its own. Call it while the process
 * has one thread. */
COB_RESULT struct cob_error *cli_engine_open_to_mount(struct cob_engine **ret_engine);

/* How the command's --progress, and BUILDKIT_PROGRESS, want the events shown, on standard error.
 * ret_progress: the caller's. */
COB_RESULT struct cob_error *cli_progress_new(
    const struct cli_call *call, struct cob_progress **ret_progress);

/* Fill in what `cob build` and `cob debug llb` are asked for; the build must be ended by
 * cli_build_request_done(). */
struct cli_build_request {
    struct cob_engine_request request; /* borrows from the call and from below */
    GArray *secrets;                   /* struct cob_engine_secret */
    GPtrArray *build_args;             /* char *, borrowed; then NULL */
    GPtrArray *texts;                  /* char *, owned: what `request` points at */
    char *empty_context;               /* a directory that stands for the missing one; NULL */
};
COB_RESULT struct cob_error *cli_build_request_init(
    const struct cli_call *call, struct cli_build_request *build);
void cli_build_request_done(struct cli_build_request *build);
