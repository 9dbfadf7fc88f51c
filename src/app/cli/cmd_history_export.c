/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "app/cli/cli_engine.h"
#include "build/history/history.h"
#include "util/fs.h"

static const struct cli_option options[] = {
    {"all", 0, CLI_FLAG, NULL, "Export all build records", false},
    {"finalize", 0, CLI_FLAG, NULL, "Taken for buildx's sake: a record is whole when a build ends",
        false},
    {"output", 'o', CLI_TEXT, "string", "Output file path", false},
    {0},
};

/* What runs has no end to export. */
static struct cob_error *check_ended(const struct cob_history_build *build)
{
    if (build->status != COB_HISTORY_RUNNING)
        return NULL;
    return cob_fail(COB_PRECONDITION, "build %s runs: export it when it has ended", build->id);
}

static struct cob_error *find_all(struct cob_store *store, GPtrArray *builds)
{
    g_autoptr(GPtrArray) list = NULL;

    COB_TRY(cob_history_list(store, &list));
    for (guint i = 0; i < list->len; i++) {
        const struct cob_history_build *outline = g_ptr_array_index(list, i);
        struct cob_history_build *build = NULL;

        if (outline->status == COB_HISTORY_RUNNING)
            continue;
        COB_TRY(cob_history_load(store, outline->file_name, &build));
        g_ptr_array_add(builds, build);
    }
    return builds->len > 0 ? NULL : cob_fail(COB_NOT_FOUND, "no records found");
}

static struct cob_error *find_named(
    struct cob_store *store, const struct cli_call *call, GPtrArray *builds)
{
    unsigned i = 0;

    do {
        struct cob_history_build *build = NULL;

        COB_TRY(cob_history_find(store, cli_call_arg(call, i), &build));
        g_ptr_array_add(builds, build);
        COB_TRY(check_ended(build));
    } while (cli_call_arg(call, i) && cli_call_arg(call, ++i));
    return NULL;
}

static struct cob_error *write_archive(const char *path, GBytes *archive)
{
    gsize len;
    const void *data = g_bytes_get_data(archive, &len);

    if (!path)
        return cob_wrap(cob_fs_write_fd(STDOUT_FILENO, data, len), "standard output");
    return cob_wrap(cob_fs_replace_file(AT_FDCWD, path, 0644, data, len), "--output %s", path);
}

static struct cob_error *run(struct cli_call *call)
{
    const char *path = cli_call_text(call, "output");
    const bool is_all = cli_call_flag(call, "all");
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GPtrArray) builds =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_history_build_free);
    g_autoptr(GBytes) archive = NULL;

    if (is_all && cli_call_arg(call, 0))
        return cob_fail(COB_INVALID, "cannot specify refs when using --all");
    if (!path && isatty(STDOUT_FILENO))
        return cob_fail(
            COB_INVALID, "refusing to write to console, use --output to specify a file");
    COB_TRY(cli_engine_open(&engine));
    COB_TRY(is_all ? find_all(cob_engine_store(engine), builds)
                   : find_named(cob_engine_store(engine), call, builds));
    COB_TRY(cob_history_export(cob_engine_store(engine), builds, &archive));
    return write_archive(path, archive);
}

const struct cli_command cli_history_export = {
    .name = "history export",
    .usage = "[OPTIONS] [REF...]",
    .summary = "Export build records into a bundle that Docker Desktop reads",
    .description = "Write records with their logs as an OCI layout in a compressed archive, as "
                   "\"docker buildx history export\" does; without REF, that of the last build.",
    .options = options,
    .max_args = CLI_ANY_NUMBER,
    .run = run,
};
