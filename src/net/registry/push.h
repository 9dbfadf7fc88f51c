/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pushes of blobs and manifests have in common.
 */
#pragma once

#include "net/registry/fetch.h"

/* The error of an answer to a push; NULL for 200 to 204. */
COB_RESULT struct cob_error *registry_check_push(
    const struct cob_http_response *response, uint64_t size);

/* What the registry says it has now must be what was sent. */
COB_RESULT struct cob_error *registry_check_pushed(
    const struct cob_http_response *response, const char *digest);
