/* SPDX-License-Identifier: Apache-2.0 */
/* What `cob cache export` and `cob cache import` have in common. */
#pragma once

#include "app/cli/cli_engine.h"
#include "build/mountcache/mountcache.h"

struct cache_travel {
    const char *place; /* the option that says where: "to", "from" */
    enum cob_cachebackend_way way;
    struct cob_error *(*go)(
        const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result);
};

/* Do it, and print what was done. */
COB_RESULT struct cob_error *cache_travel_run(
    struct cli_call *call, const struct cache_travel *travel);

#define CACHE_TRAVEL_NAMESPACE                                                                     \
    {                                                                                              \
        "namespace", 'n', CLI_TEXT, "string",                                                      \
            "The namespace of the ids, as BUILDKIT_CACHE_MOUNT_NS had it", false                   \
    }
#define CACHE_TRAVEL_FORMAT                                                                        \
    {                                                                                              \
        "format", 0, CLI_TEXT, "string",                                                           \
            "Print as a Go template, or as 'json': a line for each id", false                      \
    }
