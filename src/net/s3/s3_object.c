/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "net/s3/s3_request.h"
#include "net/s3/sign.h"
#include "util/limits.h"

/* The error of a call, with what it was about. */
static struct cob_error *about(struct cob_error *err, const struct cob_s3 *s3, const char *key)
{
    return cob_wrap(err, "s3://%s/%s", s3->bucket, key);
}

static struct cob_error *ask_and_check(
    const struct s3_call *call, struct cob_http_response *response)
{
    COB_TRY(s3_ask(call, response));
    return s3_check_status(call, response);
}

/* --- head --- */

static void read_object(
    const struct cob_s3 *s3, const struct cob_http_response *response, struct cob_s3_object *object)
{
    const char *modified = cob_http_header(response, "last-modified");

    *object = (struct cob_s3_object){.is_there = true,
        .size = response->content_length,
        .modified_s = modified ? cob_http_date(s3->http, modified) : -1,
        .etag = g_strdup(cob_http_header(response, "etag"))};
}

struct cob_error *cob_s3_head(
    struct cob_s3 *s3, const char *key, struct cob_cancel *cancel, struct cob_s3_object *ret_object)
{
    const struct s3_call call = {.s3 = s3, .method = "HEAD", .key = key, .cancel = cancel};
    struct cob_http_response response;

    *ret_object = (struct cob_s3_object){.size = -1, .modified_s = -1};
    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(&call, &response);
    if (!err && response.status != 404)
        err = s3_check_status(&call, &response);
    if (!err && response.status != 404)
        read_object(s3, &response, ret_object);
    cob_http_response_done(&response);
    return about(err, s3, key);
}

/* --- get --- */

/* Nothing under this key, and not: no such bucket. */
static bool is_missing(const struct cob_http_response *response)
{
    g_autofree char *code = s3_answer_text(response, "Code");

    return response->status == 404 && g_strcmp0(code, "NoSuchBucket") != 0;
}

struct cob_error *cob_s3_get_bytes(struct cob_s3 *s3, const char *key, size_t max_bytes,
    struct cob_cancel *cancel, GBytes **ret_bytes, char **ret_etag)
{
    const struct s3_call call = {
        .s3 = s3, .method = "GET", .key = key, .max_body = max_bytes, .cancel = cancel};
    struct cob_http_response response;

    *ret_bytes = NULL;
    *ret_etag = NULL;
    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(&call, &response);
    bool is_there = !err && !is_missing(&response);
    if (is_there)
        err = s3_check_status(&call, &response);
    if (is_there && !err) {
        *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&response.body));
        *ret_etag = g_strdup(cob_http_header(&response, "etag"));
    }
    cob_http_response_done(&response);
    return about(err, s3, key);
}

struct cob_error *cob_s3_get(struct cob_s3 *s3, const char *key, struct cob_http_receiver *receiver,
    struct cob_cancel *cancel)
{
    const struct s3_call call = {.s3 = s3,
        .method = "GET",
        .key = key,
        .size = receiver->size,
        .receiver = receiver,
        .cancel = cancel};
    struct cob_http_response response;

    cob_http_receiver_init(receiver);
    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(&call, &response);
    if (!err && !cob_http_receiver_is_complete(receiver))
        err = s3_check_status(&call, &response);
    if (!err)
        err = cob_http_receiver_check(receiver);
    cob_http_response_done(&response);
    cob_http_receiver_done(receiver);
    return about(err, s3, key);
}

/* --- put --- */

static char *hex_of(const char *digest)
{
    return g_strdup(digest + strlen(COB_DIGEST_PREFIX));
}

/* Servers of old know no conditions: then it is looked at before, which leaves a gap. */
static struct cob_error *holds(struct cob_s3 *s3, const char *key,
    const struct cob_s3_condition *condition, struct cob_cancel *cancel, bool *ret_holds)
{
    struct cob_s3_object now;

    COB_TRY(cob_s3_head(s3, key, cancel, &now));
    *ret_holds =
        condition->etag ? now.is_there && g_strcmp0(now.etag, condition->etag) == 0 : !now.is_there;
    cob_s3_object_done(&now);
    return NULL;
}

/* ret_is_known: false: the server knows no conditions. */
static struct cob_error *put_on(const struct s3_call *call, bool *ret_is_put, bool *ret_is_known)
{
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(call, &response);
    *ret_is_known = err || response.status != 501;
    *ret_is_put = !err && response.status >= 200 && response.status < 300;
    bool is_other = response.status == 412 || response.status == 409 || response.status == 404;
    g_autofree char *code = err ? NULL : s3_answer_text(&response, "Code");
    if (!err && *ret_is_known && !(is_other && g_strcmp0(code, "NoSuchBucket") != 0))
        err = s3_check_status(call, &response);
    cob_http_response_done(&response);
    return err;
}

static struct cob_error *put_if(struct s3_call *call, const char *type,
    const struct cob_s3_condition *condition, bool *ret_is_put)
{
    g_autofree char *match = condition->is_any ? NULL
                             : condition->etag ? g_strconcat("if-match:", condition->etag, NULL)
                                               : g_strdup("if-none-match:*");
    const char *const headers[] = {type, match, NULL};
    const char *const plain[] = {type, NULL};
    bool is_known = true, is_put = false;

    call->headers = headers;
    struct cob_error *err = put_on(call, &is_put, &is_known);
    if (!err && !is_known && condition->is_any)
        err = cob_fail(COB_UNIMPLEMENTED, "the server knows no PUT");
    if (!err && !is_known)
        err = holds(call->s3, call->key, condition, call->cancel, &is_put);
    if (!err && !is_known && is_put) {
        call->headers = plain;
        err = put_on(call, &is_put, &is_known);
    }
    call->headers = NULL;
    *ret_is_put = is_put;
    return err;
}

struct cob_error *cob_s3_put_bytes(struct cob_s3 *s3, const char *key, const char *content_type,
    GBytes *bytes, const struct cob_s3_condition *condition, struct cob_cancel *cancel,
    bool *ret_is_put)
{
    const struct cob_http_body body = cob_http_body_of(bytes);
    g_autofree char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_autofree char *payload = hex_of(digest);
    g_autofree char *type = g_strconcat("content-type:", content_type, NULL);
    struct s3_call call = {.s3 = s3,
        .method = "PUT",
        .key = key,
        .body = &body,
        .payload = payload,
        .size = body.size,
        .cancel = cancel};

    return about(put_if(&call, type, condition, ret_is_put), s3, key);
}

static struct cob_error *put_whole(struct cob_s3 *s3, const char *key, const char *digest,
    const struct cob_http_body *body, struct cob_cancel *cancel)
{
    static const char *const headers[] = {"content-type:application/octet-stream", NULL};
    g_autofree char *payload = hex_of(digest);
    const struct s3_call call = {.s3 = s3,
        .method = "PUT",
        .key = key,
        .headers = headers,
        .body = body,
        .payload = payload,
        .size = body->size,
        .cancel = cancel};
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = ask_and_check(&call, &response);
    cob_http_response_done(&response);
    return err;
}

struct cob_error *cob_s3_put(struct cob_s3 *s3, const char *key, const char *digest,
    const struct cob_http_body *body, struct cob_cancel *cancel)
{
    if (body->size > s3->part_bytes)
        return about(s3_put_parts(s3, key, body, cancel), s3, key);
    return about(put_whole(s3, key, digest, body, cancel), s3, key);
}

/* --- touch --- */

struct cob_error *cob_s3_touch(struct cob_s3 *s3, const char *key, struct cob_cancel *cancel)
{
    g_autoptr(GString) source = g_string_new("x-amz-copy-source:/");
    struct cob_http_response response;

    s3_append_encoded(source, s3->bucket, 0);
    g_string_append_c(source, '/');
    s3_append_encoded(source, key, '/');
    const char *const headers[] = {source->str, "x-amz-metadata-directive:REPLACE", NULL};
    static const struct cob_http_body nothing = {.size = 0};
    const struct s3_call call = {.s3 = s3,
        .method = "PUT",
        .key = key,
        .headers = headers,
        .body = &nothing,
        .cancel = cancel};
    cob_http_response_init(&response);
    struct cob_error *err = ask_and_check(&call, &response);
    g_autofree char *code = err ? NULL : s3_answer_text(&response, "Code");
    if (code) /* a copy may fail after its status was sent */
        err = cob_fail(COB_UNAVAILABLE, "the copy failed: %.100s", code);
    cob_http_response_done(&response);
    return about(err, s3, key);
}
