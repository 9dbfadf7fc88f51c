/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"
#include "build/history/history.h"

static const struct cli_option options[] = {
    {"all", 0, CLI_FLAG, NULL, "Remove all build records", false},
    {0},
};

/* What runs stays, and is nothing to complain of. */
static struct cob_error *remove_all(struct cob_store *store)
{
    g_autoptr(GPtrArray) builds = NULL;

    COB_TRY(cob_history_list(store, &builds));
    for (guint i = 0; i < builds->len; i++) {
        const struct cob_history_build *build = g_ptr_array_index(builds, i);

        if (build->status != COB_HISTORY_RUNNING)
            COB_TRY(cob_history_remove(store, build));
    }
    return NULL;
}

/* All are looked up before one is removed: an offset counts from what is there now. */
static struct cob_error *remove_named(struct cob_store *store, const struct cli_call *call)
{
    g_autoptr(GPtrArray) builds =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_history_build_free);

    for (unsigned i = 0; cli_call_arg(call, i); i++) {
        struct cob_history_build *build = NULL;

        COB_TRY(cob_history_find(store, cli_call_arg(call, i), &build));
        g_ptr_array_add(builds, build);
    }
    for (guint i = 0; i < builds->len; i++)
        COB_TRY(cob_history_remove(store, g_ptr_array_index(builds, i)));
    return NULL;
}

static struct cob_error *run(struct cli_call *call)
{
    const bool is_all = cli_call_flag(call, "all");
    g_autoptr(cob_engine) engine = NULL;
    g_autofree char *path = cob_store_default_path();

    if (!is_all && !cli_call_arg(call, 0))
        return cob_fail(COB_INVALID, "rm requires at least one argument");
    if (is_all && cli_call_arg(call, 0))
        return cob_fail(COB_INVALID, "rm requires either --all or at least one argument");
    cob_store_spend_reserve(path);
    COB_TRY(cli_engine_open(&engine));
    return is_all ? remove_all(cob_engine_store(engine))
                  : remove_named(cob_engine_store(engine), call);
}

const struct cli_command cli_history_rm = {
    .name = "history rm",
    .usage = "[OPTIONS] [REF...]",
    .summary = "Remove build records",
    .options = options,
    .max_args = CLI_ANY_NUMBER,
    .run = run,
};
