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

/* The same to remove things: on a full disk the store keeps space for this. */
COB_RESULT struct cob_error *cli_engine_open_to_remove(struct cob_engine **ret_engine);

/* Show a warning, on standard error. */
void cli_warn(const char *text);

/* What a command does with an engine that mounts, while its progress is shown. */
struct cli_work {
    struct cli_call *call;
    struct cob_engine *engine;
    const struct cob_observer *observer;
    void *arg; /* the command's own */
};

/* Open an engine and a progress, do the work, close them again. How the progress is shown, on
 * standard error, the command's --progress says, or BUILDKIT_PROGRESS. Call it while the process
 * has one thread. */
COB_RESULT struct cob_error *cli_engine_work(
    struct cli_call *call, struct cob_error *(*work)(const struct cli_work *work), void *arg);

/* Fill in what `cob build` and `cob debug llb` are asked for; the build must be ended by
 * cli_build_request_done(). */
struct cli_build_request {
    struct cob_engine_request request; /* borrows from the call and from below */
    GArray *secrets;                   /* struct cob_engine_secret */
    GArray *ulimits;                   /* struct cob_llb_ulimit */
    GPtrArray *build_args;             /* char *, borrowed; then NULL */
    GPtrArray *texts;                  /* char *, owned: what `request` points at */
};
COB_RESULT struct cob_error *cli_build_request_init(
    const struct cli_call *call, struct cli_build_request *build);
void cli_build_request_done(struct cli_build_request *build);

/* --- run_limits.c: the part of it about the surroundings of steps --- */
COB_RESULT struct cob_error *cli_run_limits_fill(
    const struct cli_call *call, struct cli_build_request *build);
