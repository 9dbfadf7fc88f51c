/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_travel.h"

static const struct cli_option options[] = {
    {"all", 'a', CLI_FLAG, NULL, "Import all that is there; so it is without an ID, too", false},
    CACHE_TRAVEL_FORMAT,
    {"from", 0, CLI_TEXT, "string",
        "Where from: \"type=local,src=DIR\", \"type=registry,ref=REF\", \"type=s3,...\"", false},
    CACHE_TRAVEL_NAMESPACE,
    {0},
};

static struct cob_error *run(struct cli_call *call)
{
    static const struct cache_travel travel = {
        .place = "from", .way = COB_CACHEBACKEND_IMPORT, .go = cob_mountcache_import};

    return cache_travel_run(call, &travel);
}

const struct cli_command cli_cache_import = {
    .name = "cache import",
    .usage = "[OPTIONS] [ID...] --from SRC",
    .summary = "Import cache mounts into what is here",
    .options = options,
    .max_args = CLI_ANY_NUMBER,
    .run = run,
};
