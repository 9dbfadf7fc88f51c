/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_mounts.h"

static const struct cli_option options[] = {
    CACHE_NAMESPACE_OPTION,
    {0},
};

static struct cob_error *unpin(
    const struct cache_mounts *mounts, struct cache_mount *mount, const void *arg)
{
    bool is_there = false;

    (void)arg;
    return cob_cachemount_set_pinned(
        mounts->pool, mount->namespace, mount->id, /* is_pinned= */ false, &is_there);
}

static struct cob_error *run(struct cli_call *call)
{
    return cache_mounts_each(call, unpin, NULL);
}

const struct cli_command cli_cache_unpin = {
    .name = "cache unpin",
    .usage = "[OPTIONS] ID [ID...]",
    .summary = "Let cache mounts be removed again",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .completes = "cachemounts",
    .run = run,
};
