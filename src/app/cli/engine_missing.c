/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for build/engine until it is built. */
#include "build/engine/engine.h"

#define MISSING cob_fail(COB_UNIMPLEMENTED, "the engine is not there yet")

struct cob_error *cob_engine_open(const char *root_path, struct cob_engine **ret_engine)
{
    (void)root_path, (void)ret_engine;
    return MISSING;
}

void cob_engine_close(struct cob_engine *engine)
{
    (void)engine;
}

struct cob_store *cob_engine_store(struct cob_engine *engine)
{
    (void)engine;
    return NULL;
}

void cob_engine_result_done(struct cob_engine_result *result)
{
    (void)result;
}

struct cob_error *cob_engine_build(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, struct cob_engine_result *ret_result)
{
    (void)engine, (void)request, (void)observer, (void)cancel, (void)ret_result;
    return MISSING;
}

struct cob_error *cob_engine_llb(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, char **ret_text)
{
    (void)engine, (void)request, (void)observer, (void)cancel, (void)ret_text;
    return MISSING;
}

struct cob_error *cob_engine_pull(struct cob_engine *engine, const char *name, const char *platform,
    const struct cob_observer *observer, struct cob_cancel *cancel,
    struct cob_store_image **ret_image)
{
    (void)engine, (void)name, (void)platform, (void)observer, (void)cancel, (void)ret_image;
    return MISSING;
}

struct cob_error *cob_engine_run(struct cob_engine *engine,
    const struct cob_engine_run_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, int *ret_exit_code)
{
    (void)engine, (void)request, (void)observer, (void)cancel, (void)ret_exit_code;
    return MISSING;
}
