/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the cache config share.
 *
 *     cacheconfig.c        the structs
 *     cacheconfig_read.c   JSON -> structs, which are sound then
 *     cacheconfig_write.c  structs -> JSON, in order
 */
#pragma once

#include "spec/cacheconfig/cacheconfig.h"

/* The layer, or the record, of a number. Borrowed. */
static inline struct cob_cacheconfig_layer *layer_at(
    const struct cob_cacheconfig *config, guint number)
{
    return g_ptr_array_index(config->layers, number);
}
static inline struct cob_cacheconfig_record *record_at(
    const struct cob_cacheconfig *config, guint number)
{
    return g_ptr_array_index(config->records, number);
}

/* A result without layers, added to a record. Borrowed. */
struct cob_cacheconfig_result *cob_cacheconfig_new_result(
    struct cob_cacheconfig_record *record, bool is_chain, const char *created);
