/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cache_mounts.h"
#include "util/text.h"

static const struct cli_option options[] = {
    CACHE_NAMESPACE_OPTION,
    {0},
};

static struct cob_error *parse(const char *text, uint64_t *ret_bytes)
{
    int64_t bytes = 0;

    if (strcmp(text, "none") != 0 && (!cob_text_read_size(text, &bytes) || bytes <= 0))
        return cob_fail(COB_INVALID, "invalid size %s: write 500m, 2g or none", text);
    *ret_bytes = (uint64_t)bytes;
    return NULL;
}

static struct cob_error *set(
    const struct cache_mounts *mounts, const struct cli_call *call, uint64_t bytes)
{
    struct cache_mount *mount = NULL;
    bool is_there = false;

    COB_TRY(
        cache_mounts_find(mounts, cli_call_text(call, "namespace"), cli_call_arg(call, 0), &mount));
    return cob_cachemount_set_quota(mounts->pool, mount->namespace, mount->id, bytes, &is_there);
}

static struct cob_error *run(struct cli_call *call)
{
    struct cache_mounts mounts;
    uint64_t bytes = 0;
    struct cob_error *err;

    COB_TRY(parse(cli_call_arg(call, 1), &bytes));
    err = cache_mounts_open(&mounts);
    if (!err)
        err = set(&mounts, call, bytes);
    cache_mounts_close(&mounts);
    return err;
}

const struct cli_command cli_cache_quota = {
    .name = "cache quota",
    .usage = "[OPTIONS] ID SIZE|none",
    .summary = "Set how large a cache mount may be after a build",
    .description = "After a build that used it, a cache mount above its quota loses its least "
                   "recently used files until it fits, unless another build has it just then. A "
                   "warning says so.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .completes = "cachemounts",
    .run = run,
};
