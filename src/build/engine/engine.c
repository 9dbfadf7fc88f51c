/* SPDX-License-Identifier: Apache-2.0 */
#include "build/engine/engine.h"

#include <unistd.h>

#include "build/engine/engine_private.h"
#include "build/engine/explain.h"
#include "util/fs.h"

struct cob_error *cob_engine_open(const char *root_path, struct cob_engine **ret_engine)
{
    g_autofree char *path = root_path ? g_strdup(root_path) : cob_store_default_path();
    g_autoptr(cob_engine) engine = g_new0(struct cob_engine, 1);

    COB_TRY(cob_store_open(path, &engine->store));
    engine->registry = cob_registry_new(NULL);
    engine->images = cob_image_source_new(engine->store, engine->registry);
    engine->remotes = cob_remote_source_new(engine->store);
    engine->history_limits = (struct cob_history_limits){
        .max_age_s = COB_HISTORY_MAX_AGE_S, .max_entries = COB_HISTORY_MAX_ENTRIES};
    *ret_engine = g_steal_pointer(&engine);
    return NULL;
}

void cob_engine_close(struct cob_engine *engine)
{
    if (!engine)
        return;
    cob_executor_free(engine->executor);
    cob_cachemount_pool_free(engine->cachemounts);
    cob_image_source_free(engine->images);
    cob_remote_source_free(engine->remotes);
    cob_registry_free(engine->registry);
    cob_store_close(engine->store);
    g_free(engine);
}

struct cob_store *cob_engine_store(struct cob_engine *engine)
{
    return engine->store;
}

struct cob_registry *cob_engine_registry(struct cob_engine *engine)
{
    return engine->registry;
}

struct cob_error *cob_engine_executor(struct cob_engine *engine, struct cob_executor **ret_executor)
{
    if (!engine->executor) {
        g_autofree char *state =
            g_build_filename(cob_store_tmp_path(engine->store), "executor", NULL);
        const struct cob_executor_config config = {
            .state_dir = state, .is_rootless = cob_store_is_userxattr(engine->store)};

        COB_TRY(cob_fs_make_dirs(cob_store_tmp_fd(engine->store), "executor", 0700, NULL));
        COB_TRY(cob_executor_new(&config, &engine->executor));
    }
    *ret_executor = engine->executor;
    return NULL;
}

struct cob_error *cob_engine_cachemounts(
    struct cob_engine *engine, struct cob_cachemount_pool **ret_pool)
{
    if (!engine->cachemounts)
        COB_TRY(cob_cachemount_pool_open(engine->store, NULL, NULL, &engine->cachemounts));
    *ret_pool = engine->cachemounts;
    return NULL;
}

void cob_engine_set_history_limits(
    struct cob_engine *engine, const struct cob_history_limits *limits)
{
    engine->history_limits = *limits;
}

struct cob_error *cob_engine_trim_history(
    struct cob_engine *engine, const struct cob_history_limits *limits)
{
    unsigned n_removed = 0;

    COB_TRY(cob_history_trim(engine->store, limits, &n_removed));
    return n_removed > 0 ? explain_trim(engine->store, limits->max_age_s) : NULL;
}

struct cob_error *cob_engine_pull(struct cob_engine *engine, const char *name, const char *platform,
    const struct cob_observer *observer, struct cob_cancel *cancel,
    struct cob_store_image **ret_image)
{
    g_autofree char *digest = NULL;
    g_autoptr(GBytes) config = NULL;
    g_autoptr(cob_snapshot) snapshot = NULL;
    g_autoptr(cob_ref) ref = NULL;

    g_autofree char *own = NULL;

    COB_TRY(cob_ref_parse(name, &ref));
    COB_TRY(cob_engine_platform(platform, &own));
    platform = own;
    g_autofree char *text = cob_ref_text(ref);
    g_autofree char *title = g_strdup_printf("pulling %s", text);
    struct internal_step step = cob_engine_step_begin(observer, title);
    const struct cob_image_watcher watcher = {.observer = observer, .vertex = step.digest};
    struct cob_error *err =
        cob_image_resolve(engine->images, text, platform, COB_IMAGE_PULL, cancel, &digest, &config);
    if (!err)
        err = cob_image_fetch(engine->images, text, platform, &watcher, cancel, &snapshot);
    COB_TRY(cob_engine_step_end(&step, err));
    if (ret_image)
        COB_TRY(cob_store_image_find(engine->store, text, platform, ret_image));
    return NULL;
}
