/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What manifests and blobs have in common: the servers that may have them, and what a status means.
 */
#pragma once

#include "net/registry/exchange.h"
#include "net/registry/registry.h"

/* A server to ask, and how its URLs begin. */
struct endpoint {
    const struct server_config *server; /* borrowed */
    char *base;                         /* "https://address/v2/[prefix/]" */
};

/* The tools of a registry; libcurl is loaded by the first call. Borrowed.
 * errors: libcurl cannot be loaded. */
COB_RESULT struct cob_error *registry_tools(
    struct cob_registry *registry, const struct exchange_tools **ret_tools);

/* The servers for a domain: its mirrors in order, then itself.
 * ret_endpoints: of struct endpoint, owned; at least one. */
COB_RESULT struct cob_error *registry_endpoints(
    const struct exchange_tools *tools, const char *domain, GPtrArray **ret_endpoints);

/* The registry itself.  ret_endpoint: its base is the caller's. */
COB_RESULT struct cob_error *registry_home(
    const struct exchange_tools *tools, const char *domain, struct endpoint *ret_endpoint);

/* The error of an answer that is not what was asked for; NULL for 200 and 206. */
COB_RESULT struct cob_error *registry_check_status(const struct cob_http_response *response);
