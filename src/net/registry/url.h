/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs taken apart by libcurl, so that what is checked is what it will connect to: an IPv4 address
 * written as 0x7f.1 is 127.0.0.1 here.
 */
#pragma once

#include <stdbool.h>

#include "net/registry/curl_api.h"
#include "util/cleanup.h"

/* http or https, no user, no fragment. Immutable. */
struct web_url {
    char *text;
    char *host;   /* IPv6 in brackets */
    char *server; /* host, and :port when it is not the scheme's own */
    char *origin; /* scheme://host:port, what Authorization is bound to */
    bool is_https;
};

/*
 * Read a URL, or resolve it against another one.
 *
 * base:    NULL, or what a relative `text` is relative to.
 * errors:  COB_INVALID, with no more of the URL than its beginning.
 */
COB_RESULT struct cob_error *registry_url_parse(
    const struct curl_api *api, const char *base, const char *text, struct web_url **ret_url);

/* NULL is passed over. */
void registry_url_free(struct web_url *url);
COB_AUTOPTR(web_url, registry_url_free)

/* localhost, 127.0.0.0/8, ::1, in any notation. */
bool registry_host_is_loopback(const char *host);

/* An address written in numbers that is no public one: loopback, link-local, RFC 1918 and the like;
 * and localhost. */
bool registry_host_is_private(const char *host);
