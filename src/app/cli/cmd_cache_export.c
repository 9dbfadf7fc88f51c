/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_travel.h"

static const struct cli_option options[] = {
    {"all", 'a', CLI_FLAG, NULL, "Export all cache mounts", false},
    CACHE_TRAVEL_FORMAT,
    CACHE_TRAVEL_NAMESPACE,
    {"replace", 0, CLI_FLAG, NULL,
        "Put what is here in place of what is there, instead of merging the two", false},
    {"to", 0, CLI_TEXT, "string",
        "Where to: \"type=local,dest=DIR\", \"type=registry,ref=REF\", \"type=s3,...\"", false},
    {0},
};

static struct cob_error *run(struct cli_call *call)
{
    static const struct cache_travel travel = {
        .place = "to", .way = COB_CACHEBACKEND_EXPORT, .go = cob_mountcache_export};

    return cache_travel_run(call, &travel);
}

const struct cli_command cli_cache_export = {
    .name = "cache export",
    .usage = "[OPTIONS] ID... --to DEST",
    .summary = "Export cache mounts to a folder, a registry or S3",
    .options = options,
    .max_args = CLI_ANY_NUMBER,
    .completes = "cachemounts",
    .run = run,
};
