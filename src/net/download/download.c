/* SPDX-License-Identifier: Apache-2.0 */
#include "net/download/download.h"

#include <inttypes.h>
#include <string.h>

#include "util/limits.h"

/* A file on its way, over as many tries as it takes. */
struct download {
    struct cob_http *http;
    const struct cob_download_request *request;
    struct cob_cancel *cancel;
    struct cob_url *url;
    struct cob_url *last; /* where the last answer came from */
    uint64_t n_done;      /* what the sink has */
    uint64_t total;       /* of the whole file; 0: not said */
    char *version;        /* strong ETag of the bytes that the sink has; NULL: none */
    bool is_same;         /* the server began to send what the caller has */
};

void cob_download_answer_done(struct cob_download_answer *answer)
{
    g_clear_pointer(&answer->etag, g_free);
    g_clear_pointer(&answer->last_modified, g_free);
    g_clear_pointer(&answer->filename, g_free);
}

/* The ETag of an answer that names its bytes exactly; NULL for none and for weak ones. */
static const char *strong_etag(const struct cob_http_response *response)
{
    const char *etag = cob_http_header(response, "etag");

    return etag && etag[0] == '"' ? etag : NULL;
}

/* "bytes 10-99/100" -> the whole, when the piece begins at `start`; 0: it does not. */
static uint64_t total_of_range(const char *range, uint64_t start)
{
    g_autofree char *want = g_strdup_printf("bytes %" PRIu64 "-", start);
    const char *slash = range ? strchr(range, '/') : NULL;
    guint64 total = 0;

    if (!slash || g_ascii_strncasecmp(range, want, strlen(want)) != 0)
        return 0;
    g_ascii_string_to_unsigned(slash + 1, 10, 1, G_MAXINT64, &total, NULL);
    return total;
}

static struct cob_error *start_anew(struct download *download)
{
    const struct cob_download_sink *sink = download->request->sink;

    if (download->n_done > 0)
        COB_TRY(sink->restart(sink->arg));
    download->n_done = 0;
    return NULL;
}

/* The first bytes of an answer: the rest of what is there, or all of it. */
static struct cob_error *begin_answer(
    struct download *download, const struct cob_http_response *response)
{
    bool is_piece = response->status == 206;
    const char *etag = strong_etag(response);

    if (is_piece) {
        uint64_t total =
            total_of_range(cob_http_header(response, "content-range"), download->n_done);

        if (total == 0 || g_strcmp0(etag, download->version) != 0)
            return cob_fail(COB_DATA_LOSS, "the server sends another part than was asked for");
        download->total = total;
        return NULL;
    }
    if (etag && g_strcmp0(etag, download->request->etag) == 0) {
        download->is_same = true;
        return cob_fail(COB_ABORTED, "it is what was there before");
    }
    COB_TRY(start_anew(download));
    download->total = response->content_length > 0 ? (uint64_t)response->content_length : 0;
    g_free(download->version);
    download->version = g_strdup(etag);
    return NULL;
}

static struct cob_error *take_bytes(
    void *arg, const struct cob_http_response *response, const void *data, size_t len)
{
    struct download *download = arg;
    const struct cob_download_sink *sink = download->request->sink;
    uint64_t max = download->request->max_bytes;

    if (response->n_body == 0)
        COB_TRY(begin_answer(download, response));
    if (download->total > max || len > max - download->n_done)
        return cob_fail(
            COB_EXHAUSTED, "the file is larger than the limit of %" PRIu64 " bytes", max);
    COB_TRY(sink->write(sink->arg, data, len));
    download->n_done += len;
    if (sink->progress)
        sink->progress(sink->arg, download->n_done, download->total);
    return NULL;
}

/* The caller's headers and those that make the request a condition. */
static GPtrArray *request_headers(const struct download *download)
{
    const struct cob_download_request *request = download->request;
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

    for (const char *const *line = request->headers; line && *line; line++)
        g_ptr_array_add(lines, g_strdup(*line));
    if (download->n_done > 0)
        g_ptr_array_add(lines, g_strconcat("If-Range: ", download->version, NULL));
    else if (request->etag)
        g_ptr_array_add(lines, g_strconcat("If-None-Match: ", request->etag, NULL));
    else if (request->last_modified)
        g_ptr_array_add(lines, g_strconcat("If-Modified-Since: ", request->last_modified, NULL));
    g_ptr_array_add(lines, NULL);
    return lines;
}

static struct cob_error *send_once(struct download *download, struct cob_http_response *response)
{
    g_autoptr(GPtrArray) headers = NULL;

    if (!download->version) /* nobody could tell whether the rest belongs to what is there */
        COB_TRY(start_anew(download));
    headers = request_headers(download);
    const struct cob_http_request request = {.url = download->url,
        .accept = "*/*",
        .authorization = download->request->authorization,
        .headers = (const char *const *)headers->pdata,
        .range_start = download->n_done,
        .on_body = take_bytes,
        .arg = download};
    g_clear_pointer(&download->last, cob_url_free);
    struct cob_error *err = cob_http_send_along(
        download->http, &request, NULL, download->cancel, response, &download->last);
    if (!download->is_same)
        return err;
    cob_error_free(err); /* a server that does not know conditions: as good as a 304 */
    response->fate = COB_HTTP_ANSWERED;
    response->status = 304;
    return NULL;
}

/* An answer that ends well, but before all was there, is as good as broken. */
static void check_length(const struct download *download, struct cob_http_response *response)
{
    bool is_body = response->status == 200 || response->status == 206;

    if (response->fate != COB_HTTP_ANSWERED || !is_body || download->total == 0 ||
        download->n_done == download->total)
        return;
    response->fate = COB_HTTP_BROKEN;
    response->why =
        cob_fail(COB_UNAVAILABLE, "%s: the answer is too short", download->last->server);
}

static struct cob_error *give_up(
    const struct download *download, struct cob_http_response *response)
{
    if (response->why)
        return g_steal_pointer(&response->why);
    return cob_fail(COB_UNAVAILABLE, "%s: status %ld", download->last->server, response->status);
}

static struct cob_error *send_until_answered(
    struct download *download, struct cob_http_response *response)
{
    struct cob_http_retry retry = {0};
    uint64_t n_before = 0;
    bool is_again = true;

    for (;;) {
        COB_TRY(send_once(download, response));
        check_length(download, response);
        if (!cob_http_is_retryable(response))
            return NULL;
        if (download->n_done > n_before + COB_MIB) /* a try that brought much was of use */
            retry.n_failed = 0;
        n_before = download->n_done;
        COB_TRY(cob_http_retry_wait(download->http, &retry, response, download->cancel, &is_again));
        if (!is_again)
            return give_up(download, response);
    }
}

static struct cob_error *check_status(
    const struct download *download, const struct cob_http_response *response)
{
    bool has_condition = download->request->etag || download->request->last_modified;

    if (response->status == 200 || response->status == 206 ||
        (response->status == 304 && has_condition))
        return NULL;
    if (response->status == 401 || response->status == 403)
        return cob_fail(COB_DENIED,
            "status %ld; a secret HTTP_AUTH_HEADER_%s or HTTP_AUTH_TOKEN_%s is sent when there is "
            "one",
            response->status, download->url->host, download->url->host);
    if (response->status == 404 || response->status == 410)
        return cob_fail(COB_NOT_FOUND, "not found (status %ld)", response->status);
    return cob_fail(COB_UNKNOWN, "invalid response status %ld", response->status);
}

static struct cob_error *make_answer(struct download *download,
    const struct cob_http_response *response, struct cob_download_answer *ret_answer)
{
    const char *modified = cob_http_header(response, "last-modified");
    int64_t when = modified ? cob_http_date(download->http, modified) : -1;

    COB_TRY(check_status(download, response));
    if (response->status == 200 && response->n_body == 0) /* an empty file: nobody was told */
        COB_TRY(start_anew(download));
    *ret_answer = (struct cob_download_answer){.is_unmodified = response->status == 304,
        .etag = g_strdup(cob_http_header(response, "etag")),
        .last_modified = g_strdup(modified),
        .mtime_s = MAX(when, 0),
        .filename = cob_download_filename(
            download->url->path, cob_http_header(response, "content-disposition")),
        .size = download->n_done};
    return NULL;
}

static struct cob_error *get(struct download *download, struct cob_download_answer *ret_answer)
{
    struct cob_http_response response;

    COB_TRY(cob_url_parse(download->http, NULL, download->request->url, &download->url));
    cob_http_response_init(&response);
    struct cob_error *err = send_until_answered(download, &response);
    if (!err)
        err = make_answer(download, &response, ret_answer);
    cob_http_response_done(&response);
    return err;
}

struct cob_error *cob_download_get(struct cob_http *http,
    const struct cob_download_request *request, struct cob_cancel *cancel,
    struct cob_download_answer *ret_answer)
{
    struct download download = {.http = http, .request = request, .cancel = cancel};
    struct cob_error *err = get(&download, ret_answer);

    cob_url_free(download.url);
    cob_url_free(download.last);
    g_free(download.version);
    return cob_wrap(err, "download %.*s", (int)MIN(strcspn(request->url, "?"), 200U), request->url);
}
