/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces that several documents share.
 */
#pragma once

#include "spec/oci/oci.h"
#include "util/json.h"

/* A member that must be a text: a copy, NULL when it is absent. */
COB_RESULT struct cob_error *oci_take_text(const json_t *object, const char *key, char **ret_text);

/* A member that is an object of texts; NULL when it is absent. Null values are "". */
COB_RESULT struct cob_error *oci_take_map(
    const json_t *object, const char *key, GHashTable **ret_map);

/* A text for a document: what is not UTF-8 in it becomes U+FFFD, as Go's encoder does. */
json_t *oci_text_json(const char *text);

/* Set a member whose name may be no UTF-8 either. value: taken. */
void oci_put(json_t *object, const char *key, json_t *value);

/* Set a member, unless it is NULL. */
void oci_put_text(json_t *object, const char *key, const char *text);
void oci_put_map(json_t *object, const char *key, GHashTable *map);

/* A new empty map of texts. */
GHashTable *oci_map_new(void);

/* NULL is NULL. */
GHashTable *oci_map_copy(GHashTable *map);
