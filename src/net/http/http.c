/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/http.h"

#include <string.h>

#include "net/http/http_private.h"

static void set_default(unsigned *value, unsigned standard)
{
    if (*value == 0)
        *value = standard;
}

static struct cob_http_timing with_defaults(const struct cob_http_timing *given)
{
    struct cob_http_timing timing = given ? *given : (struct cob_http_timing){0};

    set_default(&timing.n_tries, 6);
    set_default(&timing.backoff_ms, 500);
    set_default(&timing.backoff_max_ms, 16 * 1000);
    set_default(&timing.retry_after_ms, 120 * 1000);
    set_default(&timing.connect_ms, 10 * 1000);
    set_default(&timing.stall_ms, 30 * 1000);
    return timing;
}

struct cob_error *cob_http_open(const struct cob_http_timing *timing, struct cob_http **ret_http)
{
    struct curl_api api;

    COB_TRY(http_curl_load(&api));
    struct cob_http *http = g_new(struct cob_http, 1);
    *http =
        (struct cob_http){.api = api, .timing = with_defaults(timing), .idle = g_ptr_array_new()};
    g_mutex_init(&http->lock);
    *ret_http = http;
    return NULL;
}

void cob_http_close(struct cob_http *http)
{
    if (!http)
        return;
    for (unsigned i = 0; i < http->idle->len; i++)
        http->api.multi_cleanup(g_ptr_array_index(http->idle, i));
    g_ptr_array_unref(http->idle);
    g_mutex_clear(&http->lock);
    g_free(http);
}

int64_t cob_http_date(const struct cob_http *http, const char *text)
{
    return http->api.getdate(text, NULL);
}

static struct cob_error *read_bytes(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n)
{
    gsize size = 0;
    const char *data = g_bytes_get_data(arg, &size);

    *ret_n = (size_t)MIN((uint64_t)len, size - offset);
    memcpy(buffer, data + offset, *ret_n);
    return NULL;
}

struct cob_http_body cob_http_body_of(GBytes *bytes)
{
    return (struct cob_http_body){
        .size = g_bytes_get_size(bytes), .read = read_bytes, .arg = bytes};
}

void cob_http_response_init(struct cob_http_response *response)
{
    *response = (struct cob_http_response){.content_length = -1,
        .headers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .authenticate = g_ptr_array_new_with_free_func(g_free),
        .body = g_byte_array_new()};
}

void cob_http_response_done(struct cob_http_response *response)
{
    g_clear_pointer(&response->why, cob_error_free);
    g_clear_pointer(&response->headers, g_hash_table_unref);
    g_clear_pointer(&response->authenticate, g_ptr_array_unref);
    g_clear_pointer(&response->body, g_byte_array_unref);
}

const char *cob_http_header(const struct cob_http_response *response, const char *name)
{
    return g_hash_table_lookup(response->headers, name);
}
