/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "app/cli/build_call.h"
#include "app/cli/cli_engine.h"
#include "build/gc/gc.h"
#include "util/fs.h"

/* What an option says is to be written must be nothing yet, or a file: known before the build, not
 * after it. */
static struct cob_error *check_file(const struct cli_call *call, const char *option)
{
    const char *path = cli_call_text(call, option);
    struct stat st;

    if (!path)
        return NULL;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "--%s %s", option, path);
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "--%s %s: it is there, and is no regular file", option, path);
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

struct cob_error *cli_build_write_file(
    const struct cli_call *call, const char *option, const char *data, size_t len)
{
    const char *path = cli_call_text(call, option);

    if (!path)
        return NULL;
    return cob_wrap(cob_fs_replace_file(AT_FDCWD, path, 0644, data, len), "--%s %s", option, path);
}

/* The keys that buildx writes; the image of a local store has its config's digest.
 * result: no image: nothing is known. */
static struct cob_error *write_metadata(
    const struct cli_call *call, const struct cob_engine_result *result)
{
    json_auto_t *object = json_object();
    g_autofree char *text = NULL;

    if (result->image_id) {
        json_object_set_new(object, "containerimage.config.digest", json_string(result->image_id));
        json_object_set_new(object, "containerimage.digest", json_string(result->image_id));
    }
    for (size_t i = 0; result->image_ids && result->image_ids[i]; i++) {
        g_autofree char *key =
            g_strconcat("containerimage.config.digest/", result->platforms[i], NULL);

        json_object_set_new(object, key, json_string(result->image_ids[i]));
    }
    if (result->build_id)
        json_object_set_new(
            object, "buildx.build.ref", json_sprintf("default/default/%s", result->build_id));
    if (result->names)
        json_object_set_new(object, "image.name", json_string(result->names));
    if (result->cache_manifest)
        json_object_set_new(object, "cache.manifest", json_loads(result->cache_manifest, 0, NULL));
    text = json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS);
    return cli_build_write_file(call, "metadata-file", text, strlen(text));
}

/* Tell the image's id where it was asked for. */
static struct cob_error *tell_id(const struct cli_call *call, const char *id)
{
    if (!id)
        return NULL;
    COB_TRY(cli_build_write_file(call, "iidfile", id, strlen(id)));
    if (cli_call_flag(call, "quiet")) {
        g_autoptr(GString) line = g_string_new(id);

        g_string_append_c(line, '\n');
        return cli_print(line);
    }
    return NULL;
}

/* What `cob build` was asked for, and what came of it. */
struct build {
    struct cli_build_request asked;
    struct cob_engine_result result;
};

/* How long the record of this build is kept. What is wrong with cob.toml is told at the end. */
static void set_history_limits(struct cob_engine *engine)
{
    struct cob_gc_policy policy;
    g_autoptr(cob_error) err = cob_gc_policy_load(&policy);

    if (!err)
        cob_engine_set_history_limits(engine, &policy.history);
}

static struct cob_error *build_image(const struct cli_work *work)
{
    struct build *build = work->arg;

    set_history_limits(work->engine);
    return cob_engine_build(
        work->engine, &build->asked.request, work->observer, work->call->cancel, &build->result);
}

static struct cob_error *run(struct cli_call *call)
{
    struct build build = {.result = {0}};
    struct cli_build_call asked;
    struct cob_error *err;

    COB_TRY(cli_build_call_of(call, &asked));
    COB_TRY(check_file(call, "iidfile"));
    COB_TRY(check_file(call, "metadata-file"));
    COB_TRY(cli_build_request_init(call, &build.asked));
    call->is_debug = call->is_debug || cli_call_flag(call, "debug");
    if (!asked.is_build) {
        err = cli_build_call_run(call, &build.asked.request, &asked);
        cli_build_request_done(&build.asked);
        return err;
    }
    err = check_secrets(&build.asked.request);
    if (!err)
        err = cli_engine_work(call, build_image, &build);
    if (!err)
        err = write_metadata(call, &build.result);
    if (!err)
        err = tell_id(call, build.result.image_id);
    cob_engine_result_done(&build.result);
    cli_build_request_done(&build.asked);
    return err;
}

const struct cli_command cli_build = {
    .name = "build",
    .usage = "[OPTIONS] PATH | URL | -",
    .summary = "Build an image from a Dockerfile",
    .description = "Build an image from the Dockerfile in the folder PATH, in the git repository "
                   "or archive at URL, or from an archive or a Dockerfile on standard input. Steps "
                   "that were done before, with the same files, are not done again; "
                   "cache mounts live on from build to build.",
    .options = cli_build_options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
