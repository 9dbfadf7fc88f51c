/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_mounts.h"

static const struct cli_option options[] = {
    CACHE_NAMESPACE_OPTION,
    {0},
};

static struct cob_error *pin(
    const struct cache_mounts *mounts, struct cache_mount *mount, const void *arg)
{
    bool is_there = false;

    (void)arg;
    return cob_cachemount_set_pinned(
        mounts->pool, mount->namespace, mount->id, /* is_pinned= */ true, &is_there);
}

static struct cob_error *run(struct cli_call *call)
{
    return cache_mounts_each(call, pin, NULL);
}

const struct cli_command cli_cache_pin = {
    .name = "cache pin",
    .usage = "[OPTIONS] ID [ID...]",
    .summary = "Keep cache mounts from being removed",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .completes = "cachemounts",
    .run = run,
};
