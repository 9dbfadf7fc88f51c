/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "net/http/http_private.h"
#include "util/limits.h"
#include "util/log.h"

#define MAX_IDLE 8
#define POLL_MS 1000
#define STALL_BYTES_PER_S 1024
#define ASK_FIRST_BYTES (1 << 20) /* from here on libcurl asks whether a body is welcome */

/* One request under way. */
struct transfer {
    const struct curl_api *api;
    const struct cob_http_request *request;
    struct cob_http_response *response;
    struct cob_error *err; /* what a callback met */
    bool has_headers;      /* all of this answer's; libcurl is content with some of them */
    bool is_cut;           /* enough of an error's body was read */
    size_t n_header_bytes; /* of this answer and those that announced it */
    uint64_t n_bytes;      /* all that came in or went out */
    uint64_t n_sent;       /* of the request's body, for now */
    CURL *easy;
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];
};

static CURLM *take_multi(struct cob_http *http)
{
    CURLM *multi = NULL;

    g_mutex_lock(&http->lock);
    if (http->idle->len > 0)
        multi = g_ptr_array_steal_index_fast(http->idle, http->idle->len - 1);
    g_mutex_unlock(&http->lock);
    return multi ? multi : http->api.multi_init();
}

static void give_multi_back(struct cob_http *http, CURLM *multi)
{
    g_mutex_lock(&http->lock);
    if (http->idle->len < MAX_IDLE)
        g_ptr_array_add(http->idle, g_steal_pointer(&multi));
    g_mutex_unlock(&http->lock);
    if (multi)
        http->api.multi_cleanup(multi);
}

/* Forget the headers of an answer that only announced another one, such as 100 Continue. */
static void begin_answer(struct transfer *transfer, const char *status_line)
{
    const char *space = strchr(status_line, ' ');

    cob_http_response_done(transfer->response);
    cob_http_response_init(transfer->response);
    if (space)
        transfer->response->status = (long)g_ascii_strtoull(space + 1, NULL, 10);
}

static void take_header(struct cob_http_response *response, const char *name, const char *value)
{
    g_autofree char *low = g_ascii_strdown(name, -1);

    if (strcmp(low, "content-length") == 0)
        g_ascii_string_to_signed(value, 10, 0, G_MAXINT64, &response->content_length, NULL);
    if (strcmp(low, "www-authenticate") == 0)
        g_ptr_array_add(response->authenticate, g_strdup(value));
    g_hash_table_replace(response->headers, g_steal_pointer(&low), g_strdup(value));
}

static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *transfer = arg;
    g_autofree char *line = g_strndup(data, len);

    (void)one;
    transfer->n_bytes += len;
    if (g_str_has_prefix(line, "HTTP/"))
        begin_answer(transfer, line);
    transfer->has_headers = line[0] == '\r' || line[0] == '\n';
    transfer->n_header_bytes += len;
    if (transfer->n_header_bytes > COB_LIMIT_HTTP_HEADER_BYTES) {
        transfer->err = cob_fail(COB_EXHAUSTED,
            "the headers of the answer are longer than %d bytes", (int)COB_LIMIT_HTTP_HEADER_BYTES);
        return 0;
    }
    char *colon = strchr(line, ':');
    if (colon) {
        *colon = '\0';
        take_header(transfer->response, line, g_strstrip(colon + 1));
    }
    return len;
}

/* Keep a body that is read as a whole. */
static struct cob_error *keep_body(struct transfer *transfer, const void *data, size_t len)
{
    struct cob_http_response *response = transfer->response;
    bool is_error = response->status >= 300;
    size_t max = is_error ? COB_LIMIT_ERROR_BODY_BYTES : transfer->request->max_body;
    size_t room = max - MIN(max, response->body->len);

    g_byte_array_append(response->body, data, (guint)MIN(len, room));
    transfer->is_cut = is_error && len > room;
    if (len > room && !is_error)
        return cob_fail(COB_EXHAUSTED, "the answer is longer than the limit of %zu bytes", max);
    return NULL;
}

static size_t on_data(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *transfer = arg;
    const struct cob_http_request *request = transfer->request;
    long status = transfer->response->status;

    (void)one;
    transfer->n_bytes += len;
    if (request->on_body && (status == 200 || status == 206))
        transfer->err = request->on_body(request->arg, transfer->response, data, len);
    else
        transfer->err = keep_body(transfer, data, len);
    transfer->response->n_body += len;
    return transfer->err || transfer->is_cut ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_read(char *buffer, size_t one, size_t len, void *arg)
{
    struct transfer *transfer = arg;
    const struct cob_http_body *body = transfer->request->body;
    size_t room = (size_t)MIN(one * len, body->size - transfer->n_sent), n = 0;

    if (room == 0)
        return 0;
    transfer->err = body->read(body->arg, transfer->n_sent, buffer, room, &n);
    if (transfer->err)
        return CURL_READFUNC_ABORT;
    transfer->n_sent += n;
    transfer->n_bytes += n;
    return n;
}

/* A connection that was closed while it was idle shows that only once bytes were sent: then libcurl
 * takes another one and begins anew. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct transfer *transfer = arg;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    transfer->n_sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* Children must not inherit a connection. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg, (void)purpose;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

static void add_header(struct transfer *transfer, const char *name, const char *value)
{
    g_autofree char *line = value ? g_strdup_printf("%s: %s", name, value) : NULL;

    if (line)
        transfer->headers = transfer->api->slist_append(transfer->headers, line);
}

static void set_tls(const struct curl_api *api, CURL *easy, const struct cob_http_tls *tls)
{
    if (tls->is_insecure) {
        api->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        api->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (tls->ca) { /* instead of the system's bundle file; the system's folder stays */
        gsize len = 0;
        const void *data = g_bytes_get_data(tls->ca, &len);
        struct curl_blob blob = {
            .data = (void *)(uintptr_t)data, .len = len, .flags = CURL_BLOB_COPY};

        api->easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
        api->easy_setopt(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
    }
    if (tls->cert_path && tls->key_path) {
        api->easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_path);
        api->easy_setopt(easy, CURLOPT_SSLKEY, tls->key_path);
    }
}

static void set_callbacks(struct transfer *transfer)
{
    const struct curl_api *api = transfer->api;
    CURL *easy = transfer->easy;

    api->easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why);
    api->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    api->easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    api->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    api->easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    api->easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
}

/* libcurl finds proxies in the environment, but HTTP_PROXY, which docker's users set: a web server
 * that calls a program sets it, too, from a header. */
static void set_proxy(
    const struct curl_api *api, CURL *easy, const struct cob_http_request *request)
{
    const struct cob_url *url = request->url;
    const char *proxy = g_getenv("HTTP_PROXY");
    bool is_wish = !url->is_https && !g_getenv("http_proxy") && !g_getenv("REQUEST_METHOD");

    if (request->is_direct || cob_url_host_is_loopback(url->host))
        api->easy_setopt(easy, CURLOPT_PROXY, "");
    else if (proxy && proxy[0] && is_wish)
        api->easy_setopt(easy, CURLOPT_PROXY, proxy);
}

static void set_method(struct transfer *transfer)
{
    const struct curl_api *api = transfer->api;
    const struct cob_http_request *request = transfer->request;
    CURL *easy = transfer->easy;

    if (request->form)
        api->easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->form);
    if (request->body && request->body->size < ASK_FIRST_BYTES)
        transfer->headers = api->slist_append(transfer->headers, "Expect:");
    if (request->body) {
        api->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        api->easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body->size);
        api->easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512 * 1024L);
        api->easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        api->easy_setopt(easy, CURLOPT_READDATA, transfer);
        api->easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        api->easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        api->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (request->method)
        api->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_up(struct transfer *transfer, unsigned connect_ms)
{
    const struct curl_api *api = transfer->api;
    const struct cob_http_request *request = transfer->request;
    CURL *easy = transfer->easy;

    set_callbacks(transfer);
    if (request->tls)
        set_tls(api, easy, request->tls);
    api->easy_setopt(easy, CURLOPT_URL, request->url->text);
    api->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, request->url->is_https ? "https" : "http");
    api->easy_setopt(easy, CURLOPT_USERAGENT, "cob/" COB_VERSION);
    api->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    api->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    api->easy_setopt(easy, CURLOPT_BUFFERSIZE, 128 * 1024L);
    api->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    api->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set_proxy(api, easy, request);
    add_header(transfer, "Accept", request->accept);
    add_header(transfer, "Authorization", request->authorization);
    for (const char *const *line = request->headers; line && *line; line++)
        transfer->headers = api->slist_append(transfer->headers, *line);
    if (request->range_start > 0) {
        g_autofree char *range = g_strdup_printf("bytes=%" PRIu64 "-", request->range_start);

        add_header(transfer, "Range", range);
    }
    set_method(transfer);
    api->easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
}

/* What was sent whole may have to be checked and filed before there is an answer. */
static unsigned stall_of(const struct transfer *transfer, unsigned stall_ms)
{
    const struct cob_http_body *body = transfer->request->body;

    return body && transfer->n_sent == body->size ? stall_ms * 4 : stall_ms;
}

/* Time spent waiting for the server, and what it brought; the caller's own work does not count. */
struct patience {
    int64_t waited_us;
    uint64_t n_bytes; /* when the count began */
};

static bool is_stalled(struct patience *patience, uint64_t n_bytes, unsigned stall_ms)
{
    if (patience->waited_us < (int64_t)stall_ms * 1000)
        return false;
    bool is_slow = n_bytes - patience->n_bytes < (uint64_t)stall_ms * STALL_BYTES_PER_S / 1000;

    *patience = (struct patience){.n_bytes = n_bytes};
    return is_slow;
}

/* A server that gives just enough never to be too slow must come to an end, too. */
static struct cob_error *check_deadline(const struct cob_http_request *request)
{
    if (request->deadline_us == 0 || g_get_monotonic_time() < request->deadline_us)
        return NULL;
    return cob_fail(COB_TIMEOUT, "%s: it takes too long in all", request->url->server);
}

/* Run the one transfer of a multi handle to its end.
 * ret_is_stalled: the server took too long. */
static struct cob_error *run(struct transfer *transfer, CURLM *multi, unsigned stall_ms,
    struct cob_cancel *cancel, bool *ret_is_stalled)
{
    const struct curl_api *api = transfer->api;
    struct curl_waitfd wish = {.fd = cob_cancel_fd(cancel), .events = CURL_WAIT_POLLIN};
    struct patience patience = {0};
    int n_running = 1, n_ready;
    CURLMcode code;

    for (;;) {
        COB_TRY(cob_cancel_check(cancel));
        code = api->multi_perform(multi, &n_running);
        if (code != CURLM_OK || n_running == 0)
            break;
        int64_t before = g_get_monotonic_time();
        code = api->multi_poll(multi, &wish, cancel ? 1 : 0, (int)MIN(stall_ms, POLL_MS), &n_ready);
        patience.waited_us += g_get_monotonic_time() - before;
        COB_TRY(check_deadline(transfer->request));
        *ret_is_stalled = is_stalled(&patience, transfer->n_bytes, stall_of(transfer, stall_ms));
        if (code != CURLM_OK || *ret_is_stalled)
            break;
    }
    return code == CURLM_OK ? NULL : cob_fail(COB_INTERNAL, "libcurl: code %d", (int)code);
}

static bool is_trust_problem(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR ||
           code == CURLE_SSL_INVALIDCERTSTATUS || code == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
}

/* How far did it come, by libcurl's word? False: no second try would heal it. */
static bool read_fate(const struct transfer *transfer, CURLcode code, enum cob_http_fate *ret_fate)
{
    static const struct {
        CURLcode code;
        enum cob_http_fate fate;
    } rows[] = {
        {CURLE_COULDNT_RESOLVE_PROXY, COB_HTTP_UNREACHABLE},
        {CURLE_COULDNT_RESOLVE_HOST, COB_HTTP_UNREACHABLE},
        {CURLE_COULDNT_CONNECT, COB_HTTP_UNREACHABLE},
        {CURLE_SSL_CONNECT_ERROR, COB_HTTP_UNREACHABLE},
        {CURLE_OPERATION_TIMEDOUT,
            COB_HTTP_UNREACHABLE}, /* only connecting has a time of libcurl's */
        {CURLE_PARTIAL_FILE, COB_HTTP_BROKEN},
        {CURLE_GOT_NOTHING, COB_HTTP_BROKEN},
        {CURLE_SEND_ERROR, COB_HTTP_BROKEN},
        {CURLE_RECV_ERROR, COB_HTTP_BROKEN},
        {CURLE_HTTP2, COB_HTTP_BROKEN},
        {CURLE_HTTP2_STREAM, COB_HTTP_BROKEN},
        {CURLE_AGAIN, COB_HTTP_BROKEN},
    };

    if (code == CURLE_OK || transfer->is_cut) {
        *ret_fate = COB_HTTP_ANSWERED;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].code == code) {
            *ret_fate = rows[i].fate;
            return true;
        }
    }
    return false;
}

/* What to do about a certificate that is not trusted. */
static struct cob_error *distrust(const struct cob_http_request *request, const char *why)
{
    const char *server = request->url->server;
    const char *advice = request->tls ? request->tls->trust_advice : NULL;

    if (strstr(why, "expired") || strstr(why, "not yet valid"))
        return cob_fail(COB_PRECONDITION, "%s: %s; is this machine's clock right?", server, why);
    if (strstr(why, "subject name") || !advice)
        return cob_fail(COB_PRECONDITION, "%s: %s", server, why);
    return cob_fail(COB_PRECONDITION, "%s: %s; %s", server, why, advice);
}

/* What no second try heals, although libcurl has no code of its own for it. NULL: none of those. */
static struct cob_error *find_refusal(const struct cob_http_request *request, const char *why)
{
    const char *server = request->url->server;
    const char *advice = request->tls ? request->tls->cert_advice : NULL;

    if (strstr(why, "CONNECT tunnel failed, response 407"))
        return cob_fail(COB_UNAUTHENTICATED,
            "%s: the proxy asks for a login: https_proxy=http://user:password@host:port", server);
    if (strstr(why, "CONNECT tunnel failed, response 4"))
        return cob_fail(COB_DENIED, "%s: the proxy refuses: %s", server, why);
    if (strstr(why, "alert certificate required") || strstr(why, "alert bad certificate"))
        return cob_fail(COB_DENIED, "%s: it asks for a client certificate that it trusts%s%s",
            server, advice ? "; " : "", advice ? advice : "");
    if (g_str_has_prefix(why, "Unsupported proxy")) /* it quotes it, password and all */
        return cob_fail(COB_INVALID, "%s: the proxy that the environment names is no URL", server);
    return NULL;
}

static struct cob_error *judge(struct transfer *transfer, CURLcode code)
{
    struct cob_http_response *response = transfer->response;
    const struct curl_api *api = transfer->api;
    const char *why = transfer->why[0] ? transfer->why : api->easy_strerror(code);

    if (transfer->err)
        return g_steal_pointer(&transfer->err);
    if (is_trust_problem(code))
        return distrust(transfer->request, why);
    if (code != CURLE_OK && !transfer->is_cut)
        COB_TRY(find_refusal(transfer->request, why));
    if (!read_fate(transfer, code, &response->fate))
        return cob_fail(COB_UNKNOWN, "%s: %s", transfer->request->url->server, why);
    if (response->fate == COB_HTTP_ANSWERED && !transfer->has_headers) {
        response->fate = COB_HTTP_BROKEN;
        why = "the answer ends within its headers";
    }
    if (response->fate != COB_HTTP_ANSWERED)
        response->why = cob_fail(COB_UNAVAILABLE, "%s: %s", transfer->request->url->server, why);
    return NULL;
}

static struct cob_error *run_and_judge(struct transfer *transfer, CURLM *multi,
    const struct cob_http_timing *timing, struct cob_cancel *cancel)
{
    const struct curl_api *api = transfer->api;
    bool is_late = false;
    int n_left = 0;

    COB_TRY(run(transfer, multi, timing->stall_ms, cancel, &is_late));
    if (is_late) {
        transfer->response->fate = COB_HTTP_BROKEN;
        transfer->response->why =
            cob_fail(COB_UNAVAILABLE, "%s: no answer, or less than 1 KiB/s, for %g s",
                transfer->request->url->server, timing->stall_ms / 1000.0);
        return NULL;
    }
    CURLMsg *message = api->multi_info_read(multi, &n_left);
    g_assert(message && message->msg == CURLMSG_DONE);
    return judge(transfer, message->data.result);
}

/* A connection that the server closed while TLS writes must not end the program. The signal comes
 * to the thread that writes: it is held back there, and forgotten.
 * ret_before: the thread's mask, for allow_sigpipe(). */
static void hold_sigpipe(sigset_t *ret_before)
{
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, ret_before);
}

static void allow_sigpipe(const sigset_t *before)
{
    static const struct timespec at_once = {0};
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (!sigismember(before, SIGPIPE))
        sigtimedwait(&pipe_only, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

struct cob_error *cob_http_send(struct cob_http *http, const struct cob_http_request *request,
    struct cob_cancel *cancel, struct cob_http_response *response)
{
    const struct curl_api *api = &http->api;
    struct transfer transfer = {
        .api = api, .request = request, .response = response, .easy = api->easy_init()};
    CURLM *multi = take_multi(http);
    sigset_t before;

    g_assert(transfer.easy && multi);
    cob_trace(2, "%s %s",
        request->method ? request->method
        : request->form ? "POST"
        : request->body ? "PUT"
                        : "GET",
        request->url->origin);
    hold_sigpipe(&before);
    set_up(&transfer, http->timing.connect_ms);
    api->multi_add_handle(multi, transfer.easy);
    struct cob_error *err = run_and_judge(&transfer, multi, &http->timing, cancel);

    /* a name being looked up would otherwise be waited for */
    api->easy_setopt(transfer.easy, CURLOPT_QUICK_EXIT, 1L);
    api->multi_remove_handle(multi, transfer.easy);
    api->easy_cleanup(transfer.easy);
    api->slist_free_all(transfer.headers);
    cob_error_free(transfer.err);
    if (err)
        api->multi_cleanup(multi);
    else
        give_multi_back(http, multi);
    allow_sigpipe(&before);
    return err;
}
