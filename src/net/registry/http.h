/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request and its answer: no redirects, no retries, no thinking about who may see what.
 *
 * threads:  a pool is for any thread; each request runs in its caller's.
 */
#pragma once

#include "net/registry/registry.h"
#include "net/registry/server.h"

struct http_pool; /* connections kept open for the next request */

/* api, timing: borrowed; both outlive the pool. */
struct http_pool *registry_http_pool_new(
    const struct curl_api *api, const struct cob_registry_timing *timing);

/* NULL is passed over. */
void registry_http_pool_free(struct http_pool *pool);

/* How far a request came. */
enum http_fate {
    HTTP_ANSWERED,    /* the whole answer is there, whatever its status */
    HTTP_BROKEN,      /* it broke on the way, and may work the next time */
    HTTP_UNREACHABLE, /* there was no connection; less likely the next time */
};

/* The answer. Of several headers with one name the last counts, but for challenges. */
struct http_response {
    enum http_fate fate;
    struct cob_error *why; /* when not HTTP_ANSWERED */
    long status;
    int64_t content_length; /* -1: not said */
    uint64_t n_body;        /* bytes of the body before those that on_body() has now */
    char *content_type;     /* NULL when there is none, as all of these */
    char *content_range;
    char *content_digest; /* Docker-Content-Digest */
    char *location;
    char *retry_after;
    GPtrArray *challenges; /* of struct challenge */
    GByteArray *body;      /* what was not for on_body */
};

/* Start empty. */
void registry_http_response_init(struct http_response *response);

/* Twice is once. */
void registry_http_response_done(struct http_response *response);

/* What to ask. NULL means: without. All borrowed. */
struct http_request {
    const struct web_url *url;
    const struct server_config *server; /* how to speak TLS there */
    const char *accept;
    const char *authorization; /* the header's value */
    const char *form;          /* POST this, else GET */
    uint64_t range_start;      /* 0: all of it */
    int64_t deadline_us;       /* of g_get_monotonic_time(); COB_TIMEOUT past it. 0: none */
    size_t max_body; /* more is COB_EXHAUSTED, or is cut off when the status is an error */
    /* Takes the body of a 200 or 206. An error ends the request and is its error. */
    struct cob_error *(*on_body)(
        void *arg, const struct http_response *response, const void *data, size_t len);
    void *arg;
};

/*
 * Send a request and read its answer.
 *
 * response:  initialised; filled also when it broke.
 * errors:    what no second try would heal: COB_CANCELLED, on_body()'s own, a certificate that is
 *            not trusted, limits.
 */
COB_RESULT struct cob_error *registry_http_send(struct http_pool *pool,
    const struct http_request *request, struct cob_cancel *cancel, struct http_response *response);
