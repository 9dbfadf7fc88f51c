/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "net/http/http.h"
#include "util/limits.h"

/* A request on its way from server to server. */
struct trip {
    const struct cob_http_request *request; /* as it was sent first */
    const struct cob_http_guide *guide;
    struct cob_url *url; /* where it is now; NULL: at the first */
    unsigned n_redirects;
};

static const struct cob_url *place_of(const struct trip *trip)
{
    return trip->url ? trip->url : trip->request->url;
}

static struct cob_error *send_here(const struct trip *trip, struct cob_http *http,
    struct cob_cancel *cancel, struct cob_http_response *response)
{
    struct cob_http_request request = *trip->request;
    bool is_home = strcmp(place_of(trip)->origin, request.url->origin) == 0;

    request.url = place_of(trip);
    if (!is_home) {
        request.authorization = NULL;
        request.tls = NULL;
        if (trip->guide && trip->guide->find_tls)
            COB_TRY(trip->guide->find_tls(trip->guide->arg, request.url, &request.tls));
    }
    cob_http_response_done(response);
    cob_http_response_init(response);
    return cob_http_send(http, &request, cancel, response);
}

static bool is_redirect(const struct cob_http_response *response)
{
    long status = response->status;

    return response->fate == COB_HTTP_ANSWERED && cob_http_header(response, "location") &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

struct cob_error *cob_url_check_step(
    const struct cob_url *first, const struct cob_url *from, const struct cob_url *to)
{
    if (from->is_https && !to->is_https)
        return cob_fail(COB_DENIED, "it leads from https to http");
    if (cob_url_host_is_private(to->host) && from->is_https &&
        !cob_url_host_is_private(first->host))
        return cob_fail(COB_DENIED, "a public server may not point to a private address");
    return NULL;
}

/* 301 to 303 have become a GET by custom: what was to be sent would be lost on the way. */
static struct cob_error *check_method(const struct trip *trip, long status)
{
    const struct cob_http_request *request = trip->request;
    bool keeps_method = status == 307 || status == 308;
    bool is_reading = !request->form && !request->body &&
                      (!request->method || strcmp(request->method, "GET") == 0 ||
                          strcmp(request->method, "HEAD") == 0);

    if (is_reading || keeps_method || request->form)
        return NULL;
    return cob_fail(COB_DENIED, "status %ld is not followed with %s", status,
        request->method ? request->method : "PUT");
}

static struct cob_error *step(
    struct trip *trip, const struct cob_http *http, const char *location, long status)
{
    g_autoptr(cob_url) to = NULL;

    if (++trip->n_redirects > COB_LIMIT_HTTP_REDIRECTS)
        return cob_fail(COB_EXHAUSTED, "more than %d in a row", COB_LIMIT_HTTP_REDIRECTS);
    COB_TRY(cob_url_parse(http, place_of(trip)->text, location, &to));
    COB_TRY(cob_url_check_step(trip->request->url, place_of(trip), to));
    COB_TRY(check_method(trip, status));
    cob_url_free(trip->url);
    trip->url = g_steal_pointer(&to);
    return NULL;
}

static struct cob_error *follow(struct trip *trip, struct cob_http *http, struct cob_cancel *cancel,
    struct cob_http_response *response)
{
    COB_TRY(send_here(trip, http, cancel, response));
    while (is_redirect(response)) {
        g_autofree char *location = g_strdup(cob_http_header(response, "location"));

        COB_TRY(cob_wrap(step(trip, http, location, response->status), "redirect to %.*s",
            (int)MIN(strcspn(location, "?"), 200U), location));
        COB_TRY(send_here(trip, http, cancel, response));
    }
    return NULL;
}

struct cob_error *cob_http_send_along(struct cob_http *http, const struct cob_http_request *request,
    const struct cob_http_guide *guide, struct cob_cancel *cancel,
    struct cob_http_response *response, struct cob_url **ret_url)
{
    struct trip trip = {.request = request, .guide = guide};
    struct cob_error *err = follow(&trip, http, cancel, response);

    if (!err && ret_url)
        err = cob_url_parse(http, NULL, place_of(&trip)->text, ret_url);
    cob_url_free(trip.url);
    return err;
}
