/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --format as docker's lists take it: a template for each row, or JSON. Of Go's templates there are
 * {{.Field}}, {{json .Field}} and {{json .}}, which is what scripts use.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "util/error.h"

/* What a row says under a name. */
struct rowformat_field {
    const char *name, *value; /* borrowed */
};

/* Append a row, with a line's end.  fields: ended by {0}; in the order that JSON has them.
 * errors: COB_INVALID: an unknown field, an open brace; COB_UNIMPLEMENTED: another action. */
COB_RESULT struct cob_error *rowformat_append(
    GString *out, const char *format, const struct rowformat_field *fields);

/* The same of a document, whose members are the fields: a text is shown as it is, what is no text
 * as JSON. */
COB_RESULT struct cob_error *rowformat_append_object(
    GString *out, const char *format, const json_t *object);
