/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which options there are: the table that is read, and that an error lists.
 */
#pragma once

#include "build/cachebackend/backend_parts.h"

/* How a value is read. */
enum option_kind {
    OPTION_TEXT,
    OPTION_SECRET, /* text that is shown to nobody */
    OPTION_FLAG,
    OPTION_REF,
    OPTION_TAG,
    OPTION_DIGEST,
    OPTION_URL,
    OPTION_NAMES, /* "a;b" */
    OPTION_MODE,
    OPTION_COMPRESSION,
    OPTION_LEVEL,
    OPTION_MOUNTS,
    OPTION_COUNT,    /* at least 1 */
    OPTION_DURATION, /* "24h", "1h30m" */
    OPTION_RETRY_MODE,
    OPTION_UNUSED_FLAG, /* read, and of no effect here */
};

#define ON_LOCAL (1U << COB_CACHEBACKEND_LOCAL)
#define ON_REGISTRY (1U << COB_CACHEBACKEND_REGISTRY)
#define ON_S3 (1U << COB_CACHEBACKEND_S3)
#define ON_INLINE (1U << COB_CACHEBACKEND_INLINE)
#define ON_EXPORT (1U << COB_CACHEBACKEND_EXPORT)
#define ON_IMPORT (1U << COB_CACHEBACKEND_IMPORT)

/* One option. */
struct option_row {
    const char *key;
    unsigned types, ways; /* sets of ON_... */
    enum option_kind kind;
    size_t offset; /* in struct cob_cachebackend_options */
};

extern const struct option_row cob_cachebackend_options_table[]; /* ends with key NULL */
