/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3/s3_request.h"

#include <string.h>

#include "net/s3/aws_xml.h"
#include "net/s3/sign.h"
#include "util/limits.h"

#define RENEW_S (5 * 60)       /* before keys expire */
#define LEAST_BYTES_PER_S 8192 /* over the whole of an object */
#define TOTAL_S 600            /* for one answer, and so much more */
#define MAX_KEY_BYTES 1024     /* of S3 */
#define MAX_MESSAGE_BYTES 300

/* --- keys --- */

static bool are_fresh(const struct aws_keys *keys)
{
    return keys->expires_s == 0 || keys->expires_s - RENEW_S > g_get_real_time() / G_USEC_PER_SEC;
}

/* ret_keys: a copy, since another thread may renew them. */
static struct cob_error *get_keys(
    struct cob_s3 *s3, struct cob_cancel *cancel, struct aws_keys **ret_keys)
{
    struct aws_keys *keys = NULL;

    if (s3->given) {
        *ret_keys = aws_keys_copy(s3->given);
        return NULL;
    }
    g_mutex_lock(&s3->lock);
    if (s3->found && are_fresh(s3->found))
        keys = aws_keys_copy(s3->found);
    g_mutex_unlock(&s3->lock);
    if (!keys) {
        COB_TRY(aws_keys_find(s3->asking, cancel, &keys));
        g_mutex_lock(&s3->lock);
        aws_keys_free(s3->found);
        s3->found = aws_keys_copy(keys);
        g_mutex_unlock(&s3->lock);
    }
    *ret_keys = keys;
    return NULL;
}

static void forget_keys(struct cob_s3 *s3)
{
    g_mutex_lock(&s3->lock);
    g_clear_pointer(&s3->found, aws_keys_free);
    g_mutex_unlock(&s3->lock);
}

/* --- one try --- */

/* libcurl takes such parts out of a path, and the signature would be another one's. */
static struct cob_error *check_key(const char *key)
{
    g_auto(GStrv) parts = g_strsplit(key, "/", -1);

    if (key[0] == '\0' || strlen(key) > MAX_KEY_BYTES)
        return cob_fail(COB_INVALID, "the key is empty, or longer than %d bytes", MAX_KEY_BYTES);
    for (char **part = parts; *part; part++) {
        if (strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
            return cob_fail(COB_INVALID, "a key may not have \"%s\" in its path", *part);
    }
    return NULL;
}

static char *make_path(const struct s3_call *call)
{
    g_autoptr(GString) path = g_string_new(call->s3->base_path);

    g_string_append_c(path, '/');
    s3_append_encoded(path, call->key, '/');
    return g_string_free(g_steal_pointer(&path), FALSE);
}

static GPtrArray *make_headers(
    const struct s3_call *call, const struct aws_keys *keys, const char *host, const char *time)
{
    GPtrArray *headers = g_ptr_array_new_with_free_func(g_free);
    const char *payload = call->payload ? call->payload : SIGN_EMPTY_HEX;

    g_ptr_array_add(headers, g_strconcat("host:", host, NULL));
    g_ptr_array_add(headers, g_strconcat("x-amz-content-sha256:", payload, NULL));
    g_ptr_array_add(headers, g_strconcat("x-amz-date:", time, NULL));
    if (keys->session_token)
        g_ptr_array_add(headers, g_strconcat("x-amz-security-token:", keys->session_token, NULL));
    for (const char *const *header = call->headers; header && *header; header++)
        g_ptr_array_add(headers, g_strdup(*header));
    return headers;
}

static char *sign(const struct s3_call *call, const struct aws_keys *keys, const char *path,
    GPtrArray *headers, const char *time)
{
    const struct sign_request request = {.method = call->method,
        .path = path,
        .query = call->query ? call->query : "",
        .headers = headers,
        .payload = call->payload ? call->payload : SIGN_EMPTY_HEX,
        .region = call->s3->region,
        .service = "s3",
        .time = time,
        .access_key_id = keys->access_key_id,
        .secret_access_key = keys->secret_access_key};

    return s3_sign(&request);
}

static struct cob_error *send_signed(
    const struct s3_call *call, const struct aws_keys *keys, struct cob_http_response *response)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y%m%dT%H%M%SZ");
    g_autofree char *path = make_path(call);
    g_autofree char *text = g_strconcat(
        call->s3->origin, path, call->query ? "?" : "", call->query ? call->query : "", NULL);
    g_autoptr(cob_url) url = NULL;
    int64_t total_us = call->once_ms
                           ? call->once_ms * (int64_t)1000
                           : (TOTAL_S + (int64_t)(call->size / LEAST_BYTES_PER_S)) * G_USEC_PER_SEC;

    COB_TRY(cob_url_parse(call->s3->http, NULL, text, &url));
    g_autoptr(GPtrArray) headers = make_headers(call, keys, url->server, time);
    g_autofree char *authorization = sign(call, keys, path, headers, time);
    for (guint i = 0; i < headers->len; i++) { /* libcurl has its own */
        if (g_str_has_prefix(g_ptr_array_index(headers, i), "host:"))
            g_ptr_array_remove_index(headers, i--);
    }
    g_ptr_array_add(headers, NULL);
    const struct cob_http_request request = {.url = url,
        .tls = &call->s3->tls,
        .method = call->method,
        .body = call->body,
        .authorization = authorization,
        .headers = (const char *const *)headers->pdata,
        .range_start = call->receiver ? call->receiver->n_done : 0,
        .deadline_us = g_get_monotonic_time() + total_us,
        .max_body = call->max_body ? call->max_body : COB_LIMIT_ERROR_BODY_BYTES,
        .on_body = call->receiver ? cob_http_receive : NULL,
        .arg = call->receiver};
    cob_http_response_done(response);
    cob_http_response_init(response);
    return cob_http_send(call->s3->http, &request, call->cancel, response);
}

/* --- answers --- */

char *s3_answer_text(const struct cob_http_response *response, const char *element)
{
    return response->body
               ? aws_xml_text((const char *)response->body->data, response->body->len, element)
               : NULL;
}

static bool is_code(const struct cob_http_response *response, const char *code)
{
    g_autofree char *text = response->fate == COB_HTTP_ANSWERED && response->status >= 400
                                ? s3_answer_text(response, "Code")
                                : NULL;

    return g_strcmp0(text, code) == 0;
}

/* ": Code: message", or "". The caller frees it. */
static char *server_message(const struct cob_http_response *response)
{
    g_autofree char *code = s3_answer_text(response, "Code");
    g_autofree char *message = s3_answer_text(response, "Message");

    if (!code && !message)
        return g_strdup("");
    return g_strdup_printf(": %.*s%s%.*s", MAX_MESSAGE_BYTES, code ? code : "",
        code && message ? ": " : "", MAX_MESSAGE_BYTES, message ? message : "");
}

/* Where the bucket is, when it is not where it was looked for. The caller frees it. */
static char *other_region(const struct s3_call *call, const struct cob_http_response *response)
{
    const char *header = cob_http_header(response, "x-amz-bucket-region");
    g_autofree char *region = header ? g_strdup(header) : s3_answer_text(response, "Region");

    if (!region || strcmp(region, call->s3->region) == 0)
        return NULL;
    return g_steal_pointer(&region);
}

static struct cob_error *fail_status(
    const struct s3_call *call, const struct cob_http_response *response)
{
    g_autofree char *message = server_message(response);
    g_autofree char *region = other_region(call, response);
    long status = response->status;
    bool is_redirect = status >= 300 && status < 400;

    if (region && (is_redirect || status == 400 || status == 403))
        return cob_fail(COB_PRECONDITION, "the bucket is in another region: region=%.40s", region);
    if (is_redirect)
        return cob_fail(COB_PRECONDITION, "status %ld: the bucket is elsewhere%s", status, message);
    if (is_code(response, "RequestTimeTooSkewed"))
        return cob_fail(COB_DENIED, "is this machine's clock right?%s", message);
    switch (status) {
    case 401:
    case 403:
        return cob_fail(COB_DENIED, "access denied, status %ld%s", status, message);
    case 404:
        return cob_fail(COB_NOT_FOUND, "not found%s", message);
    case 409:
    case 412:
        return cob_fail(COB_ABORTED, "status %ld%s", status, message);
    case 413:
        return cob_fail(COB_EXHAUSTED, "too large%s", message);
    case 501:
        return cob_fail(COB_UNIMPLEMENTED, "status %ld%s", status, message);
    default:
        break;
    }
    if (cob_http_is_retryable(response))
        return cob_fail(COB_UNAVAILABLE, "status %ld%s", status, message);
    return cob_fail(COB_UNKNOWN, "unexpected status %ld%s", status, message);
}

struct cob_error *s3_check_status(
    const struct s3_call *call, const struct cob_http_response *response)
{
    if (response->status >= 200 && response->status < 300)
        return NULL;
    return fail_status(call, response);
}

/* --- tries --- */

/* A transfer that ends well, but before all was there, is as good as broken. */
static void check_length(const struct s3_call *call, struct cob_http_response *response)
{
    bool is_body = response->status == 200 || response->status == 206;

    if (response->fate != COB_HTTP_ANSWERED || !is_body || !call->receiver ||
        cob_http_receiver_is_complete(call->receiver))
        return;
    response->fate = COB_HTTP_BROKEN;
    response->why = cob_fail(COB_UNAVAILABLE, "the answer is too short");
}

static bool is_passing(const struct cob_http_response *response)
{
    return cob_http_is_retryable(response) || is_code(response, "RequestTimeout");
}

/* Keys that ran out although they said otherwise are looked for once more. */
static bool are_stale(const struct s3_call *call, const struct cob_http_response *response)
{
    return !call->s3->given &&
           (is_code(response, "ExpiredToken") || is_code(response, "TokenRefreshRequired"));
}

static struct cob_error *try_once(const struct s3_call *call, struct cob_http_response *response)
{
    for (int n = 0; n < 2; n++) {
        g_autoptr(aws_keys) keys = NULL;

        COB_TRY(get_keys(call->s3, call->cancel, &keys));
        COB_TRY(send_signed(call, keys, response));
        if (!are_stale(call, response))
            break;
        forget_keys(call->s3);
    }
    check_length(call, response);
    return NULL;
}

struct cob_error *s3_ask(const struct s3_call *call, struct cob_http_response *response)
{
    struct cob_http_retry retry = {0};
    uint64_t n_before = 0;
    bool is_again = true;

    COB_TRY(check_key(call->key));
    for (;;) {
        COB_TRY(try_once(call, response));
        if (call->once_ms || !is_passing(response) ||
            (call->receiver && cob_http_receiver_is_complete(call->receiver)))
            return NULL;
        uint64_t n_done = call->receiver ? call->receiver->n_done : 0;
        if (n_done > n_before + COB_MIB)
            retry.n_failed = 0;
        n_before = n_done;
        COB_TRY(cob_http_retry_wait(call->s3->http, &retry, response, call->cancel, &is_again));
        if (!is_again)
            return response->why ? g_steal_pointer(&response->why) : fail_status(call, response);
    }
}
