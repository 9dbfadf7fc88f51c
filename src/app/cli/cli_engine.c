/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"
#include "app/cli/cli_gc.h"

#include <stdio.h>

#include "build/userns/userns.h"
#include "util/text.h"

void cli_warn(const char *text)
{
    g_autofree char *visible = cob_text_visible(text);

    fprintf(stderr, "WARNING: %s\n", visible);
}

/* Another user than root becomes root of a namespace of his own: a store has files of many ids. */
static struct cob_error *enter_as_user(void)
{
    g_autofree char *notice = NULL;

    COB_TRY(cob_userns_enter(&notice));
    if (notice)
        cli_warn(notice);
    return NULL;
}

static struct cob_error *open_engine(struct cob_engine **ret_engine)
{
    g_autofree char *warning = NULL;

    COB_TRY(cob_engine_open(NULL, ret_engine));
    warning = cob_store_warning(cob_engine_store(*ret_engine));
    if (warning)
        cli_warn(warning);
    return NULL;
}

struct cob_error *cli_engine_open(struct cob_engine **ret_engine)
{
    if (geteuid() != 0)
        COB_TRY(enter_as_user());
    return open_engine(ret_engine);
}

struct cob_error *cli_engine_open_to_remove(struct cob_engine **ret_engine)
{
    g_autofree char *path = cob_store_default_path();

    cob_store_spend_reserve(path);
    return cli_engine_open(ret_engine);
}

/* The same for a command that mounts: in a mount namespace of its own. */
static struct cob_error *open_to_mount(struct cob_engine **ret_engine)
{
    if (geteuid() != 0)
        COB_TRY(enter_as_user());
    else
        COB_TRY(cob_userns_enter_mounts());
    return open_engine(ret_engine);
}

static struct cob_error *new_progress(
    const struct cli_call *call, struct cob_progress **ret_progress)
{
    enum cob_progress_mode mode = COB_PROGRESS_AUTO;
    const char *word = cli_call_text(call, "progress");

    if (!word)
        word = g_getenv("BUILDKIT_PROGRESS");
    if (word && *word)
        COB_TRY(cob_progress_mode_parse(word, &mode));
    if (cli_call_flag(call, "quiet"))
        mode = COB_PROGRESS_QUIET;
    *ret_progress = cob_progress_new(mode, 2);
    return NULL;
}

/* ret_collect_in: the store's path when there is garbage to collect in it; else untouched. */
static struct cob_error *do_work(struct cli_call *call,
    struct cob_error *(*work)(const struct cli_work *work), void *arg, char **ret_collect_in)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_progress) progress = NULL;
    struct cob_error *err;

    COB_TRY(new_progress(call, &progress));
    if (call->is_debug)
        cob_progress_expand(progress);
    COB_TRY(open_to_mount(&engine));
    err = work(&(struct cli_work){
        .call = call, .engine = engine, .observer = cob_progress_observer(progress), .arg = arg});
    cob_progress_finish(progress, err);
    if (cli_gc_is_due(cob_engine_store(engine)))
        *ret_collect_in = g_strdup(cob_store_path(cob_engine_store(engine)));
    return err;
}

struct cob_error *cli_engine_work(
    struct cli_call *call, struct cob_error *(*work)(const struct cli_work *work), void *arg)
{
    g_autofree char *collect_in = NULL;
    struct cob_error *err = do_work(call, work, arg, &collect_in);

    if (collect_in) /* behind the end of this process's lease */
        cli_gc_start(collect_in);
    return err;
}
