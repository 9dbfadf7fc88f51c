/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob on its way to a registry.
 *
 *     HEAD blob -- 200 ----------------------------------------------------> done
 *       | 404
 *     POST uploads/?mount=... -- 201, mounted -----------------------------> done
 *       | 202, Location
 *     small: PUT Location?digest=, all bytes ----- 201 --------------------> done
 *     large: PATCH Location, what is missing; then PUT Location?digest= ---> done
 *
 *     what breaks: GET Location says how much came, and it goes on there; where it does not say,
 *     or a PUT broke, everything begins anew: the HEAD finds what was done and only not answered.
 *
 * spec:  OCI distribution-spec, "Pushing blobs".
 */
#include <inttypes.h>
#include <string.h>

#include "net/registry/push.h"
#include "util/digest.h"
#include "util/limits.h"
#include "util/log.h"

struct push {
    const struct exchange_tools *tools;
    const struct endpoint *home;
    const struct cob_registry_blob *blob;
    const struct cob_registry_source *source;
    struct cob_cancel *cancel;
    char *location;  /* of the upload; NULL: none is begun */
    uint64_t n_done; /* what the registry has of it */
    uint64_t n_from; /* where this request's body begins */
    bool is_done, is_new;
};

/* --- one request --- */

static struct cob_error *read_body(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n)
{
    struct push *push = arg;
    const struct cob_registry_source *source = push->source;
    uint64_t at = push->n_from + offset;

    COB_TRY(source->read(source->arg, at, buffer, len, ret_n));
    if (source->progress)
        source->progress(source->arg, at + *ret_n);
    return NULL;
}

static struct exchange new_exchange(const struct push *push, const char *method, const char *url)
{
    return (struct exchange){.tools = push->tools,
        .server = push->home->server,
        .url = url,
        .home = push->home->base,
        .method = method,
        .repository = push->blob->ref->path,
        .is_push = true,
        .max_body = COB_LIMIT_ERROR_BODY_BYTES,
        .cancel = push->cancel};
}

/* Where the answer says that the upload goes on, made whole. */
static struct cob_error *take_location(
    struct push *push, const char *asked, const struct cob_http_response *response)
{
    const char *location = cob_http_header(response, "location");
    g_autoptr(cob_url) url = NULL;

    if (!location)
        return NULL;
    COB_TRY(cob_wrap(cob_url_parse(push->tools->http, asked, location, &url), "upload"));
    g_free(push->location);
    push->location = g_strdup(url->text);
    return NULL;
}

/* --- begin --- */

static struct cob_error *head_blob(struct push *push)
{
    g_autofree char *url =
        g_strconcat(push->home->base, push->blob->ref->path, "/blobs/", push->blob->digest, NULL);
    struct exchange exchange = new_exchange(push, "HEAD", url);
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    if (!err && response.status != 404)
        err = registry_check_push(&response, 0);
    if (!err && response.status != 404) {
        int64_t size = response.content_length;

        push->is_done = true;
        if (size >= 0 && (uint64_t)size != push->blob->size)
            err = cob_fail(COB_DATA_LOSS,
                "the registry has %" PRId64 " bytes under its digest, not %" PRIu64, size,
                push->blob->size);
    }
    cob_http_response_done(&response);
    return err;
}

static char *upload_url(const struct push *push)
{
    const struct cob_registry_blob *blob = push->blob;
    const char *from = push->source->mount_from;
    g_autofree char *escaped = from ? g_uri_escape_string(from, "/", FALSE) : NULL;

    return g_strconcat(push->home->base, blob->ref->path, "/blobs/uploads/", from ? "?mount=" : "",
        from ? blob->digest : "", from ? "&from=" : "", from ? escaped : "", NULL);
}

/* 201: it was mounted from another repository. */
static struct cob_error *begin_upload(struct push *push)
{
    static const struct cob_http_body nothing = {.size = 0};
    g_autofree char *url = upload_url(push);
    struct exchange exchange = new_exchange(push, "POST", url);
    struct cob_http_response response;

    exchange.body = &nothing;
    push->n_done = 0;
    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    if (!err)
        err = registry_check_push(&response, push->blob->size);
    if (!err && response.status == 201) {
        push->is_done = true;
        err = registry_check_pushed(&response, push->blob->digest);
    }
    if (!err && !push->is_done)
        err = take_location(push, url, &response);
    if (!err && !push->is_done && !push->location)
        err = cob_fail(COB_UNKNOWN, "the registry does not say where to upload to");
    cob_http_response_done(&response);
    return err;
}

/* --- bytes --- */

/* Is it an answer after which another try may do better? What the registry forgot, or counted
 * otherwise, is begun anew. */
static bool is_passing(const struct cob_http_response *response)
{
    return cob_http_is_retryable(response) || response->status == 404 || response->status == 416;
}

/* The end of an upload, with the bytes that are missing. */
static struct cob_error *put_rest(struct push *push, struct cob_http_response *response)
{
    const struct cob_http_body body = {
        .size = push->blob->size - push->n_done, .read = read_body, .arg = push};
    g_autofree char *url = g_strconcat(push->location, strchr(push->location, '?') ? "&" : "?",
        "digest=", push->blob->digest, NULL);
    struct exchange exchange = new_exchange(push, "PUT", url);

    exchange.body = &body;
    exchange.size = body.size;
    exchange.content_type = "application/octet-stream";
    exchange.is_once = true;
    push->n_from = push->n_done;
    COB_TRY(registry_exchange(&exchange, response));
    g_clear_pointer(&push->location, g_free); /* it is used up, or nobody knows how far it came */
    if (is_passing(response))
        return NULL;
    COB_TRY(registry_check_push(response, push->blob->size));
    COB_TRY(registry_check_pushed(response, push->blob->digest));
    push->is_done = true;
    push->is_new = true;
    return NULL;
}

/* "0-99": so many bytes are there. An answer without it has all that was sent. */
static struct cob_error *take_range(
    struct push *push, const struct cob_http_response *response, uint64_t otherwise)
{
    const char *range = cob_http_header(response, "range");
    uint64_t last = 0;

    if (range && g_str_has_prefix(range, "bytes="))
        range += strlen("bytes=");
    push->n_done = otherwise;
    if (!range)
        return NULL;
    if (strcmp(range, "0-0") == 0 && otherwise != 1) { /* of nothing, too: it is sent once more */
        push->n_done = 0;
        return NULL;
    }
    if (!g_str_has_prefix(range, "0-") ||
        !g_ascii_string_to_unsigned(range + 2, 10, 0, G_MAXINT64, &last, NULL))
        return cob_fail(COB_DATA_LOSS, "the registry has range \"%.40s\" of it", range);
    if (last >= push->blob->size)
        return cob_fail(COB_DATA_LOSS, "the registry has %" PRIu64 " bytes of its %" PRIu64,
            last + 1, push->blob->size);
    push->n_done = last + 1;
    return NULL;
}

/* After a break: how much did come? Without an answer to that, the upload is given up. */
static struct cob_error *ask_how_far(struct push *push)
{
    struct exchange exchange = new_exchange(push, "GET", push->location);
    struct cob_http_response response;
    g_autofree char *asked = g_strdup(push->location);

    exchange.is_once = true;
    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    bool is_known = !err && response.fate == COB_HTTP_ANSWERED && response.status >= 200 &&
                    response.status <= 204 && cob_http_header(&response, "range");
    if (is_known)
        err = take_range(push, &response, 0);
    if (is_known && !err)
        err = take_location(push, asked, &response);
    if (!is_known)
        g_clear_pointer(&push->location, g_free);
    cob_http_response_done(&response);
    return err;
}

/* All bytes that are missing, so that a break costs only what was not filed yet. */
static struct cob_error *patch_rest(struct push *push, struct cob_http_response *response)
{
    const struct cob_http_body body = {
        .size = push->blob->size - push->n_done, .read = read_body, .arg = push};
    g_autofree char *url = g_strdup(push->location);
    g_autofree char *range =
        g_strdup_printf("Content-Range: %" PRIu64 "-%" PRIu64, push->n_done, push->blob->size - 1);
    struct exchange exchange = new_exchange(push, "PATCH", url);

    exchange.body = &body;
    exchange.size = body.size;
    exchange.content_type = "application/octet-stream";
    exchange.range = push->n_done > 0 ? range : NULL;
    exchange.is_once = true;
    push->n_from = push->n_done;
    COB_TRY(registry_exchange(&exchange, response));
    if (is_passing(response))
        return ask_how_far(push);
    COB_TRY(registry_check_push(response, push->blob->size));
    COB_TRY(take_location(push, url, response));
    return take_range(push, response, push->blob->size);
}

/* response: of the last request that may be tried again. */
static struct cob_error *send_bytes(struct push *push, struct cob_http_response *response)
{
    bool is_large = push->blob->size > push->tools->one_put_bytes;

    if (is_large && push->n_done < push->blob->size) {
        COB_TRY(patch_rest(push, response));
        if (push->n_done < push->blob->size || !push->location)
            return NULL;
    }
    return put_rest(push, response);
}

/* --- the whole --- */

static struct cob_error *go_on(struct push *push, struct cob_http_response *response)
{
    if (!push->location)
        COB_TRY(head_blob(push));
    if (!push->is_done && !push->location)
        COB_TRY(begin_upload(push));
    return push->is_done ? NULL : send_bytes(push, response);
}

static struct cob_error *give_up(const struct push *push, struct cob_http_response *response)
{
    if (response->why)
        return g_steal_pointer(&response->why);
    if (!cob_http_is_retryable(response))
        COB_TRY(registry_check_push(response, push->blob->size));
    g_autofree char *message = registry_server_message(response);
    return cob_fail(
        COB_UNAVAILABLE, "%s: status %ld%s", push->home->server->name, response->status, message);
}

static struct cob_error *push_until_done(struct push *push)
{
    struct cob_http_retry retry = {0};
    uint64_t n_before = 0;
    bool is_again = true;

    while (!push->is_done) {
        struct cob_http_response response;

        cob_http_response_init(&response);
        struct cob_error *err = go_on(push, &response);
        if (!err && push->n_done > n_before + COB_MIB)
            retry.n_failed = 0;
        n_before = push->n_done;
        if (!err && !push->is_done)
            err =
                cob_http_retry_wait(push->tools->http, &retry, &response, push->cancel, &is_again);
        if (!err && !is_again)
            err = give_up(push, &response);
        cob_http_response_done(&response);
        COB_TRY(err);
    }
    return NULL;
}

static struct cob_error *check_blob(const struct cob_registry_blob *blob)
{
    struct cob_sha256 sha;

    if (!cob_sha256_parse(blob->digest, &sha))
        return cob_fail(COB_INVALID, "the digest must be sha256: and 64 hex digits");
    return NULL;
}

static struct cob_error *push_blob(struct cob_registry *registry, struct push *push)
{
    struct endpoint home = {NULL, NULL};

    COB_TRY(check_blob(push->blob));
    COB_TRY(registry_tools(registry, &push->tools));
    COB_TRY(registry_home(push->tools, push->blob->ref->domain, &home));
    push->home = &home;
    struct cob_error *err = push_until_done(push);
    g_free(home.base);
    g_free(push->location);
    return err;
}

struct cob_error *cob_registry_push_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, const struct cob_registry_source *source,
    struct cob_cancel *cancel, bool *ret_is_new)
{
    struct push push = {.blob = blob, .source = source, .cancel = cancel};
    g_autofree char *name = cob_ref_name(blob->ref);

    COB_TRY(cob_wrap(push_blob(registry, &push), "push %s: blob %.80s", name, blob->digest));
    if (ret_is_new)
        *ret_is_new = push.is_new;
    return NULL;
}

static struct cob_error *has_blob(struct cob_registry *registry, struct push *push)
{
    struct endpoint home = {NULL, NULL};

    COB_TRY(check_blob(push->blob));
    COB_TRY(registry_tools(registry, &push->tools));
    COB_TRY(registry_home(push->tools, push->blob->ref->domain, &home));
    push->home = &home;
    struct cob_error *err = head_blob(push);
    g_free(home.base);
    return err;
}

struct cob_error *cob_registry_has_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, struct cob_cancel *cancel, bool *ret_has)
{
    struct push push = {.blob = blob, .cancel = cancel};
    g_autofree char *name = cob_ref_name(blob->ref);

    COB_TRY(cob_wrap(has_blob(registry, &push), "%s: blob %.80s", name, blob->digest));
    *ret_has = push.is_done;
    return NULL;
}
