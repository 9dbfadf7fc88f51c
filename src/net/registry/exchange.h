/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing asked of one server, through what HTTP puts in between: 401, redirects, and failures
 * that pass.
 */
#pragma once

#include "net/registry/token.h"

/* What all exchanges share; borrowed. */
struct exchange_tools {
    struct cob_http *http;
    struct server_table *servers;
    struct token_cache *tokens;
    unsigned total_ms; /* for all tries of one exchange; a blob has more by its size */
    uint64_t one_put_bytes;
};

/* What to ask of whom. All borrowed. */
struct exchange {
    const struct exchange_tools *tools;
    const struct server_config *server;
    const char *url;
    const char *home;   /* a URL of the registry, when `url` is where it sent us; else NULL:
                             * at another origin there is no Authorization */
    const char *method; /* NULL: GET */
    const struct cob_http_body *body;
    const char *content_type; /* of the body; NULL: none */
    const char *range;        /* Content-Range, whole; NULL: none */
    const char *repository;   /* for the token's scope */
    bool is_push;             /* likewise: pull,push */
    bool is_once;             /* the answer to the first try is the result, also a failure */
    const char *accept;
    size_t max_body;
    uint64_t size; /* of what is asked for; 0: small */
    /* NULL: the body is kept. Called in each try with what that try brings. */
    struct cob_error *(*on_body)(
        void *arg, const struct cob_http_response *response, const void *data, size_t len);
    /* Where the next try is to begin: so many bytes are there already. NULL: at 0. */
    uint64_t (*n_done)(void *arg);
    /* Is all there, although the answer broke? NULL: never. */
    bool (*is_complete)(void *arg);
    void *arg;
    struct cob_cancel *cancel;
};

/*
 * Carry it out until there is an answer that stays, or tries run out.
 *
 * response:  initialised; the last answer, any status that is no redirect.
 * errors:    COB_UNAVAILABLE when tries ran out, and the server's last word; what
 *            cob_http_send() and registry_token_get() say; a redirect not to be followed.
 */
COB_RESULT struct cob_error *registry_exchange(
    const struct exchange *exchange, struct cob_http_response *response);

/* What a registry says in an error body, " (CODE: message)" cut to a line, or "". The caller frees
 * it. spec: distribution-spec, "Error Codes". */
char *registry_server_message(const struct cob_http_response *response);
