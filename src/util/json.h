/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from outside: parsed within limits, and its members taken with an error that names them.
 *
 * jansson's own types show here: json_t, and json_auto_t for locals. Keys are written sorted
 * (COB_JSON_DUMP), so that equal documents have equal bytes.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "util/error.h"

#define COB_JSON_DUMP (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)

/*
 * Parse a whole document.
 *
 * what:      names the document in errors: "manifest of busybox:latest".
 * ret_json:  the caller's; json_decref() it.
 * errors:    COB_INVALID: not JSON, a name twice in an object, deeper than COB_LIMIT_JSON_DEPTH.
 */
COB_RESULT struct cob_error *cob_json_parse(
    const void *data, size_t len, const char *what, json_t **ret_json);

/* The text of a member; NULL when it is absent or null. Borrowed from the object.
 * errors: COB_INVALID when it is something else than a string. */
COB_RESULT struct cob_error *cob_json_get_text(
    const json_t *object, const char *key, const char **ret_text);

/* An array or object member; NULL when it is absent or null. Borrowed.
 * type: JSON_ARRAY or JSON_OBJECT.  errors: COB_INVALID when it is something else. */
COB_RESULT struct cob_error *cob_json_get_container(
    const json_t *object, const char *key, json_type type, json_t **ret_value);

/* A whole number that is not negative; 0 when it is absent or null.
 * errors: COB_INVALID when it is something else: negative, a fraction, past 2^63. */
COB_RESULT struct cob_error *cob_json_get_size(
    const json_t *object, const char *key, uint64_t *ret_size);

/* The bytes of a document, keys sorted, no white space. The caller unrefs them. */
GBytes *cob_json_bytes(const json_t *json);
