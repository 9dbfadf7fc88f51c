/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cob build --check and --call: a question about a Dockerfile, and its answer on standard output.
 *
 * spec: buildx util/buildflags/callfunc.go; commands/build.go, printResult.
 */
#pragma once

#include "app/cli/cli_engine.h"

struct cli_build_call {
    bool is_build; /* nothing is asked: the Dockerfile is to be built */
    enum cob_engine_method method;
    bool is_json;
    bool ignores_status; /* the exit code is 0, also with warnings */
};

/* Read "check,format=json".
 * errors: COB_INVALID, naming what is not known. */
COB_RESULT struct cob_error *cli_build_call_parse(
    const char *text, struct cli_build_call *ret_asked);

/* What the command line asks, by --check or --call. */
COB_RESULT struct cob_error *cli_build_call_of(
    const struct cli_call *call, struct cli_build_call *ret_asked);

/* Ask, and print the answer; it sets the exit code of the call. */
COB_RESULT struct cob_error *cli_build_call_run(struct cli_call *call,
    const struct cob_engine_request *request, const struct cli_build_call *asked);

/* The answer as text or JSON. */
void cli_build_call_append(
    GString *out, const struct cli_build_call *asked, const struct cob_engine_answer *answer);

/* --- cmd_build.c --- */

/* Write a file that an option asks for, if it does. */
COB_RESULT struct cob_error *cli_build_write_file(
    const struct cli_call *call, const char *option, const char *data, size_t len);
