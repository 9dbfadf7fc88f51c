/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/exchange.h"

#include <string.h>

#include "util/json.h"
#include "util/limits.h"

#define MAX_MESSAGE_BYTES 300
#define LEAST_BYTES_PER_S 8192 /* over the whole of a blob */

/* One try of an exchange. */
struct attempt {
    const struct exchange *exchange;
    struct cob_url *first; /* at the registry, or where it sent us */
    bool is_home;          /* the former */
    struct cob_url *last;  /* where the answer came from; NULL: none */
    char *authorization;   /* for the origin of `first` alone */
    int64_t deadline_us;
};

static void attempt_done(struct attempt *attempt)
{
    cob_url_free(attempt->first);
    cob_url_free(attempt->last);
    g_free(attempt->authorization);
}

static struct cob_error *find_tls(
    void *arg, const struct cob_url *url, const struct cob_http_tls **ret_tls)
{
    struct server_table *servers = arg;
    const struct server_config *server = NULL;

    COB_TRY(registry_servers_get(servers, url->server, &server));
    *ret_tls = &server->tls;
    return NULL;
}

static struct cob_error *tls_of(const struct attempt *attempt, const struct cob_http_tls **ret_tls)
{
    const struct exchange *exchange = attempt->exchange;

    *ret_tls = &exchange->server->tls;
    return attempt->is_home ? NULL : find_tls(exchange->tools->servers, attempt->first, ret_tls);
}

static struct cob_error *follow(struct attempt *attempt, struct cob_http_response *response)
{
    const struct exchange *exchange = attempt->exchange;
    const struct exchange_tools *tools = exchange->tools;
    const struct cob_http_tls *tls = NULL;
    const char *headers[3] = {NULL};
    g_autofree char *type =
        exchange->content_type ? g_strconcat("Content-Type: ", exchange->content_type, NULL) : NULL;
    size_t n = 0;

    COB_TRY(tls_of(attempt, &tls));
    if (type)
        headers[n++] = type;
    if (exchange->range)
        headers[n++] = exchange->range;
    const struct cob_http_guide guide = {.find_tls = find_tls, .arg = tools->servers};
    const struct cob_http_request request = {.url = attempt->first,
        .tls = tls,
        .method = exchange->method,
        .body = exchange->body,
        .headers = headers,
        .accept = exchange->accept,
        .authorization = attempt->authorization,
        .range_start = exchange->n_done ? exchange->n_done(exchange->arg) : 0,
        .deadline_us = attempt->deadline_us,
        .max_body = exchange->max_body,
        .on_body = exchange->on_body,
        .arg = exchange->arg};

    g_clear_pointer(&attempt->last, cob_url_free);
    return cob_http_send_along(
        tools->http, &request, &guide, exchange->cancel, response, &attempt->last);
}

/* A realm that is out of order for now makes the whole try one that may be repeated. */
static struct cob_error *authorize(struct attempt *attempt, struct cob_http_response *response)
{
    const struct exchange *exchange = attempt->exchange;
    g_autoptr(GPtrArray) challenges = registry_challenges_new();

    for (unsigned i = 0; i < response->authenticate->len; i++)
        registry_challenge_parse(g_ptr_array_index(response->authenticate, i), challenges);
    g_clear_pointer(&attempt->authorization, g_free);
    struct cob_error *err =
        registry_token_get(exchange->tools->tokens, exchange->server, exchange->repository,
            exchange->is_push, challenges, exchange->cancel, &attempt->authorization);
    if (!err || cob_error_code(err) != COB_UNAVAILABLE)
        return err;
    response->fate = COB_HTTP_BROKEN;
    response->why = err;
    return NULL;
}

/* Where does the try begin, and may credentials go there? */
static struct cob_error *begin_attempt(struct attempt *attempt)
{
    const struct exchange *exchange = attempt->exchange;
    const struct exchange_tools *tools = exchange->tools;
    g_autoptr(cob_url) home = NULL;

    COB_TRY(cob_url_parse(tools->http, exchange->home, exchange->url, &attempt->first));
    attempt->is_home = true;
    if (exchange->home) {
        COB_TRY(cob_url_parse(tools->http, NULL, exchange->home, &home));
        COB_TRY(cob_wrap(cob_url_check_step(home, home, attempt->first), "upload to %s",
            attempt->first->server));
        attempt->is_home = strcmp(home->origin, attempt->first->origin) == 0;
    }
    if (attempt->is_home)
        attempt->authorization =
            registry_token_known(tools->tokens, exchange->server, exchange->repository);
    return NULL;
}

/* Once through: with what is known, and after a 401 with what was learnt from it. */
static struct cob_error *try_once(
    const struct exchange *exchange, int64_t deadline_us, struct cob_http_response *response)
{
    struct attempt attempt = {.exchange = exchange, .deadline_us = deadline_us};
    struct cob_error *err = begin_attempt(&attempt);

    if (!err)
        err = follow(&attempt, response);
    bool is_asked = !err && attempt.is_home && response->fate == COB_HTTP_ANSWERED &&
                    response->status == 401 &&
                    strcmp(attempt.last->origin, attempt.first->origin) == 0;
    if (is_asked)
        err = authorize(&attempt, response);
    if (!err && is_asked && attempt.authorization)
        err = follow(&attempt, response);
    attempt_done(&attempt);
    return err;
}

char *registry_server_message(const struct cob_http_response *response)
{
    json_auto_t *json = NULL;
    json_t *errors = NULL;
    const char *code = NULL, *message = NULL;
    g_autoptr(cob_error) err = NULL;

    if (!response->body || response->body->len == 0)
        return g_strdup("");
    err = cob_json_parse(response->body->data, response->body->len, "error body", &json);
    if (!err)
        err = cob_json_get_container(json, "errors", JSON_ARRAY, &errors);
    const json_t *first = errors ? json_array_get(errors, 0) : NULL;
    if (!err && first)
        err = cob_json_get_text(first, "code", &code);
    if (!err && first)
        err = cob_json_get_text(first, "message", &message);
    if (err || (!code && !message))
        return g_strdup("");
    return g_strdup_printf(": server message: %.*s%s%.*s", MAX_MESSAGE_BYTES, code ? code : "",
        code && message ? ": " : "", MAX_MESSAGE_BYTES, message ? message : "");
}

static struct cob_error *give_up(
    const struct exchange *exchange, struct cob_http_response *response)
{
    g_autofree char *message = registry_server_message(response);

    if (response->why)
        return g_steal_pointer(&response->why);
    if (response->status == 429)
        return cob_fail(
            COB_UNAVAILABLE, "%s: 429 Too Many Requests%s", exchange->server->name, message);
    return cob_fail(
        COB_UNAVAILABLE, "%s: status %ld%s", exchange->server->name, response->status, message);
}

/* An answer that ends well, but before all was there, is as good as broken. */
static void check_length(const struct exchange *exchange, struct cob_http_response *response)
{
    bool is_body = response->status == 200 || response->status == 206;

    if (response->fate != COB_HTTP_ANSWERED || !is_body || !exchange->is_complete ||
        exchange->is_complete(exchange->arg))
        return;
    response->fate = COB_HTTP_BROKEN;
    response->why =
        cob_fail(COB_UNAVAILABLE, "%s: the answer is too short", exchange->server->name);
}

/* When all tries together have taken too long. */
static int64_t deadline_of(const struct exchange *exchange)
{
    uint64_t total_ms = exchange->tools->total_ms + exchange->size * 1000 / LEAST_BYTES_PER_S;

    return g_get_monotonic_time() + (int64_t)total_ms * 1000;
}

struct cob_error *registry_exchange(
    const struct exchange *exchange, struct cob_http_response *response)
{
    int64_t deadline_us = deadline_of(exchange);
    struct cob_http_retry retry = {0};
    uint64_t n_before = 0;
    bool is_again = true;

    for (;;) {
        COB_TRY(try_once(exchange, deadline_us, response));
        check_length(exchange, response);
        if (exchange->is_once || !cob_http_is_retryable(response))
            return NULL;
        if (exchange->is_complete && exchange->is_complete(exchange->arg))
            return NULL;
        uint64_t n_done = exchange->n_done ? exchange->n_done(exchange->arg) : 0;
        if (n_done > n_before + COB_MIB) /* a server that gives a good piece each time is of use */
            retry.n_failed = 0;
        n_before = n_done;
        COB_TRY(cob_http_retry_wait(
            exchange->tools->http, &retry, response, exchange->cancel, &is_again));
        if (!is_again)
            return give_up(exchange, response);
    }
}
