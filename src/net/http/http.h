/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over libcurl, for those who talk to servers: URLs, one request and its answer, redirects,
 * and which failures are worth another try. Nothing here knows where credentials come from, or a
 * store.
 *
 * Opening loads libcurl, which takes longer than a build with nothing to fetch: so it is opened by
 * the first that needs it.
 *
 * threads:  any, once open; each request runs in its caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/cancel.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/error.h"

/* How long to wait for what. Zero means: default. */
struct cob_http_timing {
    unsigned n_tries;        /* of one request at one server: 6 */
    unsigned backoff_ms;     /* after the first failure, then doubled: 500 */
    unsigned backoff_max_ms; /* 16000 */
    unsigned retry_after_ms; /* how long in all a server may make one request wait: 120000 */
    unsigned connect_ms;     /* 10000 */
    unsigned stall_ms;       /* no answer, or less than 1 KiB/s, for so long: 30000 */
};

struct cob_http; /* libcurl, and connections kept open for the next request */

/* Load libcurl and begin without connections.
 * timing: NULL is all defaults.
 * errors: COB_UNIMPLEMENTED when this machine has no libcurl. */
COB_RESULT struct cob_error *cob_http_open(
    const struct cob_http_timing *timing, struct cob_http **ret_http);

/* No request may be running. NULL is passed over. */
void cob_http_close(struct cob_http *http);
COB_AUTOPTR(cob_http, cob_http_close)

/* A URL of http or https, without user and fragment. Immutable. It was taken apart by libcurl, so
 * that what is checked is what it will connect to: an IPv4 address written as 0x7f.1 is 127.0.0.1
 * here. */
struct cob_url {
    char *text;
    char *host;   /* IPv6 in brackets */
    char *server; /* host, and :port when it is not the scheme's own */
    char *origin; /* scheme://host:port, what Authorization is bound to */
    char *path;   /* "/" at least; as it was written, without what begins with '?' */
    bool is_https;
};

/*
 * Read a URL, or resolve it against another one.
 *
 * base:    NULL, or what a relative `text` is relative to.
 * errors:  COB_INVALID, with no more of the URL than its beginning.
 */
COB_RESULT struct cob_error *cob_url_parse(
    const struct cob_http *http, const char *base, const char *text, struct cob_url **ret_url);

/* NULL is passed over. */
void cob_url_free(struct cob_url *url);
COB_AUTOPTR(cob_url, cob_url_free)

/* Is the host localhost, 127.0.0.0/8 or ::1, in any notation? */
bool cob_url_host_is_loopback(const char *host);

/* Is it an address written in numbers that is no public one (loopback, link-local, RFC 1918 and the
 * like), or localhost? */
bool cob_url_host_is_private(const char *host);

/* How to speak TLS with a server. Zero is: as the system does. Its maker owns what is in it. */
struct cob_http_tls {
    bool is_insecure; /* certificates are not looked at */
    GBytes *ca;       /* PEM; trusted beside the system's. NULL: none */
    char *cert_path;  /* the client's; NULL: none */
    char *key_path;
    char *trust_advice; /* what to do when its certificate is not trusted; NULL: none */
    char *cert_advice;  /* what to do when it asks for the client's; NULL: none */
};

/* How far a request came. */
enum cob_http_fate {
    COB_HTTP_ANSWERED,    /* the whole answer is there, whatever its status */
    COB_HTTP_BROKEN,      /* it broke on the way, and may work the next time */
    COB_HTTP_UNREACHABLE, /* there was no connection; less likely the next time */
};

/* The answer. */
struct cob_http_response {
    enum cob_http_fate fate;
    struct cob_error *why; /* when not COB_HTTP_ANSWERED */
    long status;
    int64_t content_length;  /* -1: not said */
    uint64_t n_body;         /* bytes of the body before those that on_body() has now */
    GHashTable *headers;     /* name in lower case -> the last value of it, owned */
    GPtrArray *authenticate; /* of char *: every WWW-Authenticate, in order; owned */
    GByteArray *body;        /* what was not for on_body */
};

/* Start empty. */
void cob_http_response_init(struct cob_http_response *response);

/* Twice is once. */
void cob_http_response_done(struct cob_http_response *response);

/* The value of a header, the last one when there are several; NULL when there is none.
 * name: in lower case. */
const char *cob_http_header(const struct cob_http_response *response, const char *name);

/* What to send with a request, in pieces. All borrowed. */
struct cob_http_body {
    uint64_t size;
    /* Bytes from `offset` on, up to `len`, at least one. It may be asked once more from any
     * earlier place. An error ends the request and is its error. */
    struct cob_error *(*read)(void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n);
    void *arg;
};

/* A body of bytes that are at hand, borrowed. */
struct cob_http_body cob_http_body_of(GBytes *bytes);

/* What to ask. NULL means: without. All borrowed. */
struct cob_http_request {
    const struct cob_url *url;
    const char
        *method; /* NULL: GET, with a form POST, with a body PUT. "HEAD" has no answer's body */
    const struct cob_http_body *body; /* sent with its Content-Length */
    const struct cob_http_tls *tls;
    const char *accept;
    const char *authorization;  /* the header's value */
    const char *const *headers; /* others, NULL-terminated: "Name: value" */
    const char *form;           /* POST this */
    uint64_t range_start;       /* 0: all of it */
    bool is_direct;             /* past every proxy */
    int64_t deadline_us;        /* of g_get_monotonic_time(); COB_TIMEOUT past it. 0: none */
    size_t max_body; /* more is COB_EXHAUSTED, or is cut off when the status is an error */
    /* Takes the body of a 200 or 206. An error ends the request and is its error. */
    struct cob_error *(*on_body)(
        void *arg, const struct cob_http_response *response, const void *data, size_t len);
    void *arg;
};

/*
 * Send a request and read its answer.
 *
 * response:  initialised; filled also when it broke.
 * errors:    what no second try would heal: COB_CANCELLED, on_body()'s own, a certificate that is
 *            not trusted, limits.
 */
COB_RESULT struct cob_error *cob_http_send(struct cob_http *http,
    const struct cob_http_request *request, struct cob_cancel *cancel,
    struct cob_http_response *response);

/* Who says how to speak TLS with the servers that redirects lead to. */
struct cob_http_guide {
    /* ret_tls: borrowed as long as the request runs. NULL function: as the system does. */
    struct cob_error *(*find_tls)(
        void *arg, const struct cob_url *url, const struct cob_http_tls **ret_tls);
    void *arg;
};

/* May a server at `from` send us to `to`? Not from https to http, nor from a public server to a
 * private address.
 * first: where the journey began.
 * errors: COB_DENIED. */
COB_RESULT struct cob_error *cob_url_check_step(
    const struct cob_url *first, const struct cob_url *from, const struct cob_url *to);

/*
 * Send a request and follow where the answer leads, up to COB_LIMIT_HTTP_REDIRECTS times, by the
 * rule of cob_url_check_step(). Authorization goes to the origin of the request's own URL alone.
 * What is not GET or HEAD follows 307 and 308 alone, which keep the method.
 *
 * response:  as of cob_http_send(); the last answer.
 * ret_url:   where it came from, the caller's; also when it broke. NULL: not wanted.
 * errors:    those of cob_http_send(); a redirect that is not followed.
 */
COB_RESULT struct cob_error *cob_http_send_along(struct cob_http *http,
    const struct cob_http_request *request, const struct cob_http_guide *guide,
    struct cob_cancel *cancel, struct cob_http_response *response, struct cob_url **ret_url);

/*
 * The tries of one request at one server. Zero is the start.
 *
 *     answer or break                             tries (of timing.n_tries)
 *     408 425 429 500 502 503 504                 all, and Retry-After counts
 *     broken on the way, too slow, too short      all; from the start when bytes came since
 *     no connection, no such host                 2
 *     anything else                               1
 */
struct cob_http_retry {
    unsigned n_failed; /* the caller sets it to 0 when a try was of use */
    unsigned n_unreachable;
    int64_t obeyed_ms; /* how long the server made us wait */
};

/* Is this answer one of those above? */
bool cob_http_is_retryable(const struct cob_http_response *response);

/*
 * After a failure: wait, or find that it was the last try.
 *
 * ret_again:  try again.
 * errors:     COB_CANCELLED.
 */
COB_RESULT struct cob_error *cob_http_retry_wait(struct cob_http *http,
    struct cob_http_retry *retry, const struct cob_http_response *response,
    struct cob_cancel *cancel, bool *ret_again);

/* A date as HTTP writes it, in seconds since 1970; -1 when it cannot be read. */
int64_t cob_http_date(const struct cob_http *http, const char *text);

/*
 * What is received in pieces, over as many answers as it takes, and is known by digest and size.
 * The maker sets what stands first.
 */
struct cob_http_receiver {
    const char *who;    /* the sender, for errors: "registry" */
    const char *digest; /* "sha256:<hex>" */
    uint64_t size;
    /* Take the next bytes. An error ends the request and is its error. */
    struct cob_error *(*write)(void *arg, const void *data, size_t len);
    void (*progress)(void *arg, uint64_t n_done); /* NULL: nobody asks */
    void *arg;

    struct cob_hasher *hasher; /* of the first n_done bytes */
    uint64_t n_done;           /* what was written */
    uint64_t n_skip;           /* bytes of this answer that were written before */
    bool is_sink_broken;       /* what went wrong went wrong in write() */
};
void cob_http_receiver_init(struct cob_http_receiver *receiver);
void cob_http_receiver_done(struct cob_http_receiver *receiver);

/* Begin anew; the sink did, too. */
void cob_http_receiver_restart(struct cob_http_receiver *receiver);

/* The on_body of a request whose range_start is n_done; arg: a receiver.
 * errors: COB_DATA_LOSS: another piece or size than asked for; write()'s own. */
COB_RESULT struct cob_error *cob_http_receive(
    void *arg, const struct cob_http_response *response, const void *data, size_t len);

/* Did all bytes come? */
bool cob_http_receiver_is_complete(const struct cob_http_receiver *receiver);

/* Once all came: are they the right ones?  errors: COB_DATA_LOSS. */
COB_RESULT struct cob_error *cob_http_receiver_check(struct cob_http_receiver *receiver);
