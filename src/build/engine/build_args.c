/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build arguments that are for the builder. Others of theirs are read where they count: SYNTAX and
 * DOCKERFILE_CHECK in lang/dockerfile, ATTEST_* in attests.c, SOURCE_DATE_EPOCH in context_epoch.c.
 *
 * spec: BuildKit frontend/dockerui/config.go; frontend/dockerfile/docs/reference.md.
 */
#include <string.h>

#include "build/engine/engine_private.h"

/* What Go's strconv.ParseBool takes. */
static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};

/* The last one of a name counts. */
const char *cob_engine_build_arg(const struct cob_engine_request *request, const char *name)
{
    size_t len = strlen(name);
    const char *value = NULL;

    for (const char *const *arg = request->build_args; arg && *arg; arg++) {
        if (strcmp(*arg, name) == 0 && g_getenv(name))
            value = g_getenv(name);
        if (strncmp(*arg, name, len) == 0 && (*arg)[len] == '=')
            value = *arg + len + 1;
    }
    return value;
}

const char *cob_engine_build_arg_set(const struct cob_engine_request *request, const char *name)
{
    const char *value = cob_engine_build_arg(request, name);

    return value && *value ? value : NULL;
}

bool cob_engine_is_asked(const struct cob_engine_request *request, const char *name)
{
    const char *value = cob_engine_build_arg(request, name);

    return value && g_strv_contains(yes, value);
}

struct cob_error *cob_engine_multi_platform(
    const struct cob_engine_request *request, size_t n_platforms, bool *ret)
{
    const char *value = cob_engine_build_arg_set(request, "BUILDKIT_MULTI_PLATFORM");

    if (!value) {
        *ret = n_platforms > 1;
        return NULL;
    }
    if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
        return cob_fail(COB_INVALID, "invalid boolean value for multi-platform: %s", value);
    *ret = g_strv_contains(yes, value);
    if (!*ret && n_platforms > 1)
        return cob_fail(
            COB_INVALID, "conflicting config: returning multiple target platforms is not allowed");
    return NULL;
}

struct cob_error *cob_engine_check_build_args(const struct cob_engine_request *request)
{
    if (cob_engine_is_asked(request, "BUILDKIT_DISABLE_FILEOP"))
        return cob_fail(COB_INVALID,
            "support for \"BUILDKIT_DISABLE_FILEOP\" build-arg was removed in BuildKit 0.11");
    return NULL;
}
