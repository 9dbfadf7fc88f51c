/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "app/cli/build_call.h"
#include "app/cli/cli_engine.h"
#include "util/fs.h"

/* Where the id is to go must be nothing yet, or a file: known before the build, not after it. */
static struct cob_error *check_iidfile(const char *path)
{
    struct stat st;

    if (!path)
        return NULL;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "--iidfile %s", path);
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "--iidfile %s: it is there, and is no regular file", path);
    return NULL;
}

/* A file that cannot be read is an error, also when no step asks for its secret. */
static struct cob_error *check_secrets(const struct cob_engine_request *request)
{
    for (size_t i = 0; i < request->n_secrets; i++) {
        const struct cob_engine_secret *secret = &request->secrets[i];

        if (secret->path && access(secret->path, R_OK) < 0)
            return cob_fail_errno(errno, "--secret %s: read %s", secret->id, secret->path);
    }
    return NULL;
}

/* Tell the image's id where it was asked for. */
static struct cob_error *tell_id(const struct cli_call *call, const char *id)
{
    const char *path = cli_call_text(call, "iidfile");

    if (!id)
        return NULL;
    if (path)
        COB_TRY(cob_wrap(
            cob_fs_replace_file(AT_FDCWD, path, 0644, id, strlen(id)), "--iidfile %s", path));
    if (cli_call_flag(call, "quiet")) {
        g_autoptr(GString) line = g_string_new(id);

        g_string_append_c(line, '\n');
        return cli_print(line);
    }
    return NULL;
}

static struct cob_error *build_and_tell(
    struct cli_call *call, const struct cob_engine_request *request)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_progress) progress = NULL;
    struct cob_engine_result result = {0};
    struct cob_error *err;

    COB_TRY(cli_progress_new(call, &progress));
    if (call->is_debug || cli_call_flag(call, "debug"))
        cob_progress_expand(progress);
    COB_TRY(cli_engine_open_to_mount(&engine));
    err = cob_engine_build(engine, request, cob_progress_observer(progress), call->cancel, &result);
    cob_progress_finish(progress, err);
    if (!err)
        err = tell_id(call, result.image_id);
    cob_engine_result_done(&result);
    return err;
}

static struct cob_error *run(struct cli_call *call)
{
    struct cli_build_request build;
    struct cli_build_call asked;
    struct cob_error *err;

    COB_TRY(cli_build_call_of(call, &asked));
    COB_TRY(check_iidfile(cli_call_text(call, "iidfile")));
    COB_TRY(cli_build_request_init(call, &build));
    if (!asked.is_build) {
        err = cli_build_call_run(call, &build.request, &asked);
        cli_build_request_done(&build);
        return err;
    }
    err = check_secrets(&build.request);
    if (!err)
        err = build_and_tell(call, &build.request);
    cli_build_request_done(&build);
    return err;
}

const struct cli_command cli_build = {
    .name = "build",
    .usage = "[OPTIONS] PATH | -",
    .summary = "Build an image from a Dockerfile",
    .description = "Build an image from the Dockerfile in the folder PATH, or from one on standard "
                   "input. Steps that were done before, with the same files, are not done again; "
                   "cache mounts live on from build to build.",
    .options = cli_build_options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
