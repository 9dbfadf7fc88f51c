/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/registry.h"

#include <string.h>

#include "check.h"
#include "script_server.h"
#include "util/digest.h"

#define BODY "abcdefghijklmnopqrstuvwxyz"
#define BLOB "GET /v2/app/blobs/{digest} "
#define MANIFEST "GET /v2/app/manifests/v1 "
#define BY_DIGEST "GET /v2/app/manifests/{digest} "
#define OK(len) "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n"
#define STATUS(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
#define PIECE(range) "HTTP/1.1 206 Partial\r\nContent-Range: bytes " range "\r\n\r\n"
#define GO(where) "HTTP/1.1 307 Go\r\nLocation: " where "\r\nContent-Length: 0\r\n\r\n"
#define MAX_ROWS 14

/* What a case asks for. */
enum what {
    GET_BLOB,
    GET_MANIFEST,
    GET_BY_DIGEST,
};

/* A script, and how the call must end. */
struct scenario {
    const char *name;
    enum what what;
    struct script_row rows[MAX_ROWS];
    enum cob_code code; /* 0: it works */
    const char *error;  /* a glob */
};

static struct cob_http_timing quick(void)
{
    return (struct cob_http_timing){.n_tries = 4,
        .backoff_ms = 2,
        .backoff_max_ms = 4,
        .retry_after_ms = 2500,
        .connect_ms = 2000,
        .stall_ms = 700};
}

/* total_ms: 0 is the default. */
static struct cob_registry *new_registry(const char *registries, unsigned total_ms)
{
    static const char *const none[] = {NULL};
    struct cob_registry_config config = {.docker_config = "",
        .registries = registries,
        .cert_dirs = none,
        .timing = quick(),
        .total_ms = total_ms};

    return cob_registry_new(&config);
}

static struct cob_ref *new_ref(unsigned port, const char *tail)
{
    g_autofree char *text = g_strdup_printf("localhost:%u/app%s", port, tail);
    struct cob_ref *ref = NULL;

    CHECK_OK(cob_ref_parse(text, &ref));
    return ref;
}

/* Fetch what the case says; the bytes must then be BODY. */
static struct cob_error *fetch(struct cob_registry *registry, enum what what, unsigned port,
    struct cob_cancel *cancel, GBytes **ret_bytes)
{
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autofree char *tail =
        what == GET_BY_DIGEST ? g_strconcat("@", digest, NULL) : g_strdup(":v1");
    g_autoptr(cob_ref) ref = new_ref(port, tail);
    g_autoptr(cob_registry_manifest) manifest = NULL;

    if (what == GET_BLOB) {
        struct cob_registry_blob blob = {ref, digest, strlen(BODY)};

        return cob_registry_get_bytes(registry, &blob, 1000, cancel, ret_bytes);
    }
    COB_TRY(cob_registry_get_manifest(registry, ref, cancel, &manifest));
    g_assert_cmpstr(manifest->digest, ==, digest);
    *ret_bytes = g_steal_pointer(&manifest->bytes);
    return NULL;
}

static void play(const struct scenario *scenario, size_t n)
{
    bool is_dripping = scenario->rows[0].end == SCRIPT_DRIP;
    struct script_server *server = script_server_new();
    unsigned port = script_server_port(server);
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autoptr(cob_registry) registry = new_registry("", is_dripping ? 500 : 0);
    g_autoptr(GBytes) bytes = NULL;

    script_server_start(server, scenario->rows, digest, 0);
    struct cob_error *err = fetch(registry, scenario->what, port, NULL, &bytes);
    bool is_ok = scenario->code == 0 ? err == NULL : err && cob_error_code(err) == scenario->code;
    if (scenario->code == 0)
        CHECK_OK(err);
    else
        CHECK_ERROR(err, scenario->code, scenario->error);
    if (scenario->code == 0 && bytes)
        g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), BODY, strlen(BODY));
    is_ok = script_server_free(server) && is_ok;
    check_row(is_ok, n, scenario->name);
}

static void test_blob_table(void)
{
    static const struct scenario rows[] = {
        {"plain", GET_BLOB, {{BLOB, "User-Agent: cob/", "Authorization", OK("26") BODY, 0}}, 0, 0},
        {"cut short, then resumed", GET_BLOB,
            {{BLOB, 0, "Range:", OK("26") "abcdefghij", 0},
                {BLOB, "Range: bytes=10-\r\n", 0, PIECE("10-25/26") "klmnopqrstuvwxyz", 0}},
            0, 0},
        {"cut twice", GET_BLOB,
            {{BLOB, 0, 0, OK("26") "a", 0},
                {BLOB, "Range: bytes=1-\r\n", 0, PIECE("1-25/26") "b", 0},
                {BLOB, "Range: bytes=2-\r\n", 0, PIECE("2-25/*") "cdefghijklmnopqrstuvwxyz", 0}},
            0, 0},
        {"resumed by a server that knows no ranges", GET_BLOB,
            {{BLOB, 0, 0, OK("26") "abcdefghij", 0},
                {BLOB, "Range: bytes=10-\r\n", 0, OK("26") BODY, 0}},
            0, 0},
        {"ends early without a length", GET_BLOB,
            {{BLOB, 0, 0, "HTTP/1.1 200 OK\r\n\r\nabc", 0},
                {BLOB, "Range: bytes=3-\r\n", 0, PIECE("3-25/26") "defghijklmnopqrstuvwxyz", 0}},
            0, 0},
        {"a chunk is cut", GET_BLOB,
            {{BLOB, 0, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 0},
                {BLOB, "Range: bytes=3-\r\n", 0, PIECE("3-25/26") "defghijklmnopqrstuvwxyz", 0}},
            0, 0},
        {"another piece than asked for", GET_BLOB,
            {{BLOB, 0, 0, OK("26") "abc", 0}, {BLOB, 0, 0, PIECE("0-25/26") BODY, 0}},
            COB_DATA_LOSS, "*: the registry sent range \"bytes 0-25/26\", asked for 3-"},
        {"endless body", GET_BLOB, {{BLOB, 0, 0, "HTTP/1.1 200 OK\r\n\r\n" BODY, SCRIPT_ENDLESS}},
            COB_DATA_LOSS,
            "localhost:*/app: blob sha256:*: the registry sends more than the 26 bytes of its "
            "descriptor"},
        {"one byte too many", GET_BLOB, {{BLOB, 0, 0, OK("27") BODY "!", 0}}, COB_DATA_LOSS,
            "*: its size is 27 bytes at the registry, and 26 by its descriptor"},
        {"one byte too few", GET_BLOB, {{BLOB, 0, 0, OK("25") "abcdefghijklmnopqrstuvwxy", 0}},
            COB_DATA_LOSS, "*: its size is 25 bytes at the registry, and 26 by its descriptor"},
        {"other bytes", GET_BLOB, {{BLOB, 0, 0, OK("26") "Abcdefghijklmnopqrstuvwxyz", 0}},
            COB_DATA_LOSS, "*: blob sha256:*: the registry sent bytes with digest sha256:*"},
        {"no answer, then one", GET_BLOB, {{BLOB, 0, 0, "", 0}, {BLOB, 0, 0, OK("26") BODY, 0}}, 0,
            0},
        {"a silent server, then one that speaks", GET_BLOB,
            {{BLOB, 0, 0, "", SCRIPT_HANG}, {BLOB, 0, 0, OK("26") BODY, 0}}, 0, 0},
        {"cut within the headers", GET_BLOB,
            {{BLOB, 0, 0, "HTTP/1.1 200 OK\r\nContent-Le", 0}, {BLOB, 0, 0, OK("26") BODY, 0}}, 0,
            0},
        {"stalled in the middle", GET_BLOB,
            {{BLOB, 0, 0, OK("26") "abc", SCRIPT_HANG},
                {BLOB, "Range: bytes=3-\r\n", 0, PIECE("3-25/26") "defghijklmnopqrstuvwxyz", 0}},
            0, 0},
        {"never speaks", GET_BLOB,
            {{BLOB, 0, 0, "", SCRIPT_HANG}, {BLOB, 0, 0, "", SCRIPT_HANG},
                {BLOB, 0, 0, "", SCRIPT_HANG}, {BLOB, 0, 0, "", SCRIPT_HANG}},
            COB_UNAVAILABLE, "*: no answer, or less than 1 KiB/s, for 0.7 s"},
        {"reset, then an answer", GET_BLOB,
            {{BLOB, 0, 0, "", SCRIPT_RESET}, {BLOB, 0, 0, OK("26") BODY, 0}}, 0, 0},
        {"reset four times", GET_BLOB,
            {{BLOB, 0, 0, "", SCRIPT_RESET}, {BLOB, 0, 0, "", SCRIPT_RESET},
                {BLOB, 0, 0, "", SCRIPT_RESET}, {BLOB, 0, 0, "", SCRIPT_RESET}},
            COB_UNAVAILABLE, "*: localhost:*: Recv failure: Connection reset by peer"},
        {"endless announcements", GET_BLOB, {{BLOB, 0, 0, "", SCRIPT_ENDLESS_HINTS}}, COB_EXHAUSTED,
            "*: the headers of the answer are longer than 65536 bytes"},
        {"dripping for ever", GET_MANIFEST,
            {{MANIFEST, 0, 0, "HTTP/1.1 200 OK\r\n\r\n", SCRIPT_DRIP}}, COB_TIMEOUT,
            "localhost:*/app:v1: localhost:*: it takes too long in all"},
        {"endless header", GET_BLOB, {{BLOB, 0, 0, "HTTP/1.1 200 OK\r\n", SCRIPT_ENDLESS_HEADER}},
            COB_EXHAUSTED, "*: the headers of the answer are longer than 65536 bytes"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_status_table(void)
{
    static const struct scenario rows[] = {
        {"all that pass", GET_MANIFEST,
            {{MANIFEST, 0, 0, STATUS("408 X"), 0}, {MANIFEST, 0, 0, STATUS("425 X"), 0},
                {MANIFEST, 0, 0, STATUS("429 X"), 0}, {MANIFEST, 0, 0, OK("26") BODY, 0}},
            0, 0},
        {"server errors that pass", GET_MANIFEST,
            {{MANIFEST, 0, 0, STATUS("500 X"), 0}, {MANIFEST, 0, 0, STATUS("502 X"), 0},
                {MANIFEST, 0, 0, STATUS("504 X"), 0}, {MANIFEST, 0, 0, OK("26") BODY, 0}},
            0, 0},
        {"a server error that stays", GET_MANIFEST,
            {{MANIFEST, 0, 0, STATUS("503 X"), 0}, {MANIFEST, 0, 0, STATUS("503 X"), 0},
                {MANIFEST, 0, 0, STATUS("503 X"), 0}, {MANIFEST, 0, 0, STATUS("503 X"), 0}},
            COB_UNAVAILABLE, "localhost:*/app:v1: localhost:*: status 503"},
        {"asked to wait for an hour", GET_MANIFEST,
            {{MANIFEST, 0, 0, "HTTP/1.1 429 X\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
                0}},
            COB_UNAVAILABLE, "*: 429 Too Many Requests"},
        {"not there", GET_MANIFEST, {{MANIFEST, 0, 0, STATUS("404 X"), 0}}, COB_NOT_FOUND,
            "localhost:*/app:v1: not found"},
        {"forbidden", GET_MANIFEST,
            {{MANIFEST, 0, 0,
                "HTTP/1.1 403 X\r\n\r\n{\"errors\":[{\"code\":\"DENIED\",\"message\":"
                "\"no\\u001b[2J\"}]}",
                0}},
            COB_DENIED,
            "localhost:*/app:v1: pull access denied, repository does not exist or may require "
            "authorization: server message: DENIED: no\\x1b?2J"},
        {"a bad request is asked once", GET_MANIFEST, {{MANIFEST, 0, 0, STATUS("400 X"), 0}},
            COB_UNKNOWN, "*: unexpected status 400"},
        {"a bad range is asked for once", GET_BLOB, {{BLOB, 0, 0, STATUS("416 X"), 0}}, COB_UNKNOWN,
            "*: unexpected status 416"},
        {"what is not made is asked for once", GET_MANIFEST, {{MANIFEST, 0, 0, STATUS("501 X"), 0}},
            COB_UNKNOWN, "*: unexpected status 501"},
        {"gone", GET_MANIFEST, {{MANIFEST, 0, 0, STATUS("410 X"), 0}}, COB_UNKNOWN,
            "*: unexpected status 410"},
        {"too many, but for a while", GET_BLOB,
            {{BLOB, 0, 0, STATUS("429 X"), 0}, {BLOB, 0, 0, STATUS("429 X"), 0},
                {BLOB, 0, 0, STATUS("429 X"), 0}, {BLOB, 0, 0, OK("26") BODY, 0}},
            0, 0},
        {"an error without end", GET_MANIFEST,
            {{MANIFEST, 0, 0, "HTTP/1.1 404 X\r\n\r\n", SCRIPT_ENDLESS}}, COB_NOT_FOUND,
            "*: not found"},
        {"not HTTP", GET_MANIFEST, {{MANIFEST, 0, 0, "SSH-2.0-x\r\n", 0}}, COB_UNKNOWN, "*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

#define SAYS(digest) "HTTP/1.1 200 OK\r\nDocker-Content-Digest: " digest "\r\n\r\n"
#define LIE "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static void test_manifest_table(void)
{
    static const struct scenario rows[] = {
        {"asks for all kinds", GET_MANIFEST,
            {{MANIFEST, "application/vnd.oci.image.index.v1+json", 0, OK("26") BODY, 0}}, 0, 0},
        {"by digest", GET_BY_DIGEST, {{BY_DIGEST, 0, 0, SAYS("{digest}") BODY, 0}}, 0, 0},
        {"the digest asked for is not what came", GET_BY_DIGEST,
            {{BY_DIGEST, 0, 0, SAYS("{digest}") "other", 0}}, COB_DATA_LOSS,
            "localhost:*/app@sha256:*: the registry sent a manifest with digest sha256:*"},
        {"the registry lies about its own digest", GET_MANIFEST,
            {{MANIFEST, 0, 0, SAYS(LIE) BODY, 0}}, COB_DATA_LOSS,
            "*: the registry says digest sha256:0000*"},
        {"a digest header that is none", GET_MANIFEST, {{MANIFEST, 0, 0, SAYS("../x") BODY, 0}}, 0,
            0},
        {"endless manifest", GET_MANIFEST,
            {{MANIFEST, 0, 0, "HTTP/1.1 200 OK\r\n\r\n", SCRIPT_ENDLESS}}, COB_EXHAUSTED,
            "*: the answer is longer than the limit of 4194304 bytes"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_redirect_table(void)
{
    static const struct scenario rows[] = {
        {"relative", GET_BLOB,
            {{BLOB, 0, 0, GO("/elsewhere?x=1"), 0},
                {"GET /elsewhere?x=1 ", 0, 0, OK("26") BODY, 0}},
            0, 0},
        {"resumed after a redirect goes the whole way again", GET_BLOB,
            {{BLOB, 0, 0, GO("/a"), 0}, {"GET /a ", 0, 0, OK("26") "abc", 0},
                {BLOB, "Range: bytes=3-\r\n", 0, GO("/b"), 0},
                {"GET /b ", "Range: bytes=3-\r\n", 0, PIECE("3-25/26") "defghijklmnopqrstuvwxyz",
                    0}},
            0, 0},
        {"in a circle", GET_BLOB,
            {{BLOB, 0, 0, GO("/a"), 0}, {"GET /a ", 0, 0, GO("/a"), 0},
                {"GET /a ", 0, 0, GO("/a"), 0}, {"GET /a ", 0, 0, GO("/a"), 0},
                {"GET /a ", 0, 0, GO("/a"), 0}, {"GET /a ", 0, 0, GO("/a"), 0},
                {"GET /a ", 0, 0, GO("/a"), 0}, {"GET /a ", 0, 0, GO("/a"), 0},
                {"GET /a ", 0, 0, GO("/a"), 0}, {"GET /a ", 0, 0, GO("/a"), 0},
                {"GET /a ", 0, 0, GO("/a"), 0}},
            COB_EXHAUSTED, "*: redirect to /a: more than 10 in a row"},
        {"to a file", GET_BLOB, {{BLOB, 0, 0, GO("file:///etc/passwd"), 0}}, COB_INVALID,
            "*: redirect to file:///etc/passwd: *"},
        {"with a user", GET_BLOB, {{BLOB, 0, 0, GO("http://u:p@localhost/"), 0}}, COB_INVALID, "*"},
        {"nowhere", GET_BLOB, {{BLOB, 0, 0, STATUS("307 X"), 0}}, COB_UNKNOWN,
            "*: unexpected status 307"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_retry_after_is_obeyed(void)
{
    static const struct scenario scenario = {"wait for a second", GET_MANIFEST,
        {{MANIFEST, 0, 0, "HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", 0},
            {MANIFEST, 0, 0, OK("26") BODY, 0}},
        0, 0};
    int64_t before = g_get_monotonic_time();

    play(&scenario, 0);
    g_assert_cmpint(g_get_monotonic_time() - before, >=, G_USEC_PER_SEC);
}

/* A date, and no more than is allowed in all. */
static void test_retry_after_date_and_sum(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autoptr(GDateTime) then = g_date_time_add_seconds(now, 2);
    g_autofree char *date = g_date_time_format(then, "%a, %d %b %Y %H:%M:%S GMT");
    g_autofree char *busy =
        g_strdup_printf("HTTP/1.1 503 X\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    static const char one[] = "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    const struct scenario dated = {"a date", GET_MANIFEST,
        {{MANIFEST, 0, 0, busy, 0}, {MANIFEST, 0, 0, OK("26") BODY, 0}}, 0, 0};
    static const struct scenario sum = {"three seconds of two and a half", GET_MANIFEST,
        {{MANIFEST, 0, 0, one, 0}, {MANIFEST, 0, 0, one, 0}, {MANIFEST, 0, 0, one, 0}},
        COB_UNAVAILABLE, "*: status 503"};
    static const struct scenario odd = {"no time at all", GET_MANIFEST,
        {{MANIFEST, 0, 0, "HTTP/1.1 503 X\r\nRetry-After: -1e9 soon\r\nContent-Length: 0\r\n\r\n",
             0},
            {MANIFEST, 0, 0,
                "HTTP/1.1 503 X\r\nRetry-After: Mon, 01 Jan 1990 00:00:00 GMT\r\n"
                "Content-Length: 0\r\n\r\n",
                0},
            {MANIFEST, 0, 0, OK("26") BODY, 0}},
        0, 0};
    int64_t before = g_get_monotonic_time();

    play(&dated, 0);
    g_assert_cmpint(g_get_monotonic_time() - before, >=, G_USEC_PER_SEC - 100 * 1000);
    before = g_get_monotonic_time();
    play(&sum, 1);
    g_assert_cmpint(g_get_monotonic_time() - before, >=, 2 * G_USEC_PER_SEC);
    before = g_get_monotonic_time();
    play(&odd, 2);
    g_assert_cmpint(g_get_monotonic_time() - before, <, G_USEC_PER_SEC);
}

/* Two servers: the first is a mirror of the second. */
static void play_mirror(const struct script_row *mirror_rows, const struct script_row *origin_rows,
    enum what what, const char *name)
{
    struct script_server *mirror = script_server_new();
    struct script_server *origin = script_server_new();
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    char *scratch = check_scratch_new();
    g_autofree char *path = g_build_filename(scratch, "registries.json", NULL);
    g_autofree char *settings = g_strdup_printf(
        "{\"registries\": {\"localhost:%u\": {\"mirrors\": [\"http://localhost:%u/m\"]}}}",
        script_server_port(origin), script_server_port(mirror));
    g_autoptr(GBytes) bytes = NULL;

    g_assert_true(g_file_set_contents(path, settings, -1, NULL));
    g_autoptr(cob_registry) registry = new_registry(path, 0);
    script_server_start(mirror, mirror_rows, digest, 0);
    script_server_start(origin, origin_rows, digest, 0);
    CHECK_OK(fetch(registry, what, script_server_port(origin), NULL, &bytes));
    if (bytes)
        g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), BODY, strlen(BODY));
    bool is_mirror_ok = script_server_free(mirror), is_origin_ok = script_server_free(origin);
    check_row(is_mirror_ok && is_origin_ok, 0, name);
    check_scratch_free(scratch);
}

#define M_BLOB "GET /v2/m/app/blobs/{digest} "
#define M_MANIFEST "GET /v2/m/app/manifests/v1 "

static void test_mirrors_come_first(void)
{
    play_mirror((struct script_row[]){{M_MANIFEST, 0, 0, OK("26") BODY, 0}, {0}},
        (struct script_row[]){{0}}, GET_MANIFEST, "the mirror has it");
    play_mirror((struct script_row[]){{M_MANIFEST, 0, 0, STATUS("404 X"), 0}, {0}},
        (struct script_row[]){{MANIFEST, 0, 0, OK("26") BODY, 0}, {0}}, GET_MANIFEST,
        "the mirror has it not");
    play_mirror((struct script_row[]){{M_BLOB, 0, 0, OK("26") "abc", 0},
                    {M_BLOB, 0, 0, STATUS("404 X"), 0}, {0}},
        (struct script_row[]){
            {BLOB, "Range: bytes=3-", 0, PIECE("3-25/26") "defghijklmnopqrstuvwxyz", 0}, {0}},
        GET_BLOB, "the registry goes on where the mirror broke");
    play_mirror(
        (struct script_row[]){{M_BLOB, 0, 0, OK("26") "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0}, {0}},
        (struct script_row[]){{BLOB, 0, "Range:", OK("26") BODY, 0}, {0}}, GET_BLOB,
        "the mirror lies");
    play_mirror((struct script_row[]){{M_BLOB, 0, 0, OK("26") "ABC", 0},
                    {M_BLOB, 0, 0, STATUS("403 X"), 0}, {0}},
        (struct script_row[]){
            {BLOB, "Range: bytes=3-", 0, PIECE("3-25/26") "defghijklmnopqrstuvwxyz", 0},
            {BLOB, 0, "Range:", OK("26") BODY, 0}, {0}},
        GET_BLOB, "half of it was a lie");
}

static void *trigger_soon(void *arg)
{
    g_usleep(50 * 1000);
    cob_cancel_trigger(arg);
    return NULL;
}

/* While it waits for an answer, and while it waits to try again. */
static void test_cancel_is_quick(void)
{
    static const struct script_row scripts[][2] = {
        {{MANIFEST, 0, 0, "", SCRIPT_HANG}, {0}},
        {{MANIFEST, 0, 0, "HTTP/1.1 503 X\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", 0}, {0}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        struct script_server *server = script_server_new();
        g_autoptr(cob_registry) registry = new_registry("", 0);
        g_autoptr(cob_cancel) cancel = NULL;
        g_autoptr(GBytes) bytes = NULL;

        script_server_start(server, scripts[i], "", 0);
        CHECK_OK(cob_cancel_new(&cancel));
        int64_t before = g_get_monotonic_time();
        GThread *thread = g_thread_new("cancel", trigger_soon, cancel);
        CHECK_ERROR(fetch(registry, GET_MANIFEST, script_server_port(server), cancel, &bytes),
            COB_CANCELLED, "localhost:*/app:v1: cancelled");
        g_assert_cmpint(g_get_monotonic_time() - before, <, 500 * 1000);
        g_thread_join(thread);
        g_assert_true(script_server_free(server));
    }
}

static struct cob_error *refuse(void *arg, const void *data, size_t len)
{
    (void)arg, (void)data, (void)len;
    return cob_fail(COB_EXHAUSTED, "the disk is full");
}

static void test_error_of_the_sink_is_final(void)
{
    static const struct script_row rows[] = {{BLOB, 0, 0, OK("26") BODY, 0}, {0}};
    struct script_server *server = script_server_new();
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autoptr(cob_registry) registry = new_registry("", 0);
    g_autoptr(cob_ref) ref = new_ref(script_server_port(server), "");
    struct cob_registry_sink sink = {.write = refuse};
    struct cob_registry_blob blob = {ref, digest, strlen(BODY)};

    script_server_start(server, rows, digest, 0);
    CHECK_ERROR(cob_registry_get_blob(registry, &blob, &sink, NULL), COB_EXHAUSTED,
        "localhost:*/app: blob sha256:*: the disk is full");
    g_assert_true(script_server_free(server));
}

static void test_bad_blobs_are_never_asked_for(void)
{
    static const struct {
        const char *digest;
        uint64_t size;
        enum cob_code code;
    } rows[] = {
        {"sha256:ABC", 1, COB_INVALID},
        {"../../x", 1, COB_INVALID},
        {"", 1, COB_INVALID},
        {LIE "\r\n", 1, COB_INVALID},
        {LIE, 0, COB_DATA_LOSS},
        {LIE, UINT64_MAX, COB_EXHAUSTED},
    };
    g_autoptr(cob_registry) registry = new_registry("", 0);
    g_autoptr(cob_ref) ref = new_ref(1, "");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_registry_blob blob = {ref, rows[i].digest, rows[i].size};
        g_autoptr(GBytes) bytes = NULL;

        CHECK_ERROR(cob_registry_get_bytes(registry, &blob, 1000, NULL, &bytes), rows[i].code, "*");
        g_assert_null(bytes);
    }
}

static void test_nobody_there(void)
{
    struct script_server *server = script_server_new();
    unsigned port = script_server_port(server);
    g_autoptr(cob_registry) registry = new_registry("", 0);
    g_autoptr(GBytes) bytes = NULL;

    script_server_start(server, (struct script_row[]){{0}}, "", 0);
    g_assert_true(script_server_free(server));
    CHECK_ERROR(fetch(registry, GET_MANIFEST, port, NULL, &bytes), COB_UNAVAILABLE,
        "localhost:*/app:v1: localhost:*: Failed to connect*");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/registry/blob-table", test_blob_table);
    g_test_add_func("/registry/status-table", test_status_table);
    g_test_add_func("/registry/manifest-table", test_manifest_table);
    g_test_add_func("/registry/redirect-table", test_redirect_table);
    g_test_add_func("/registry/retry-after-is-obeyed", test_retry_after_is_obeyed);
    g_test_add_func("/registry/retry-after-date-and-sum", test_retry_after_date_and_sum);
    g_test_add_func("/registry/mirrors-come-first", test_mirrors_come_first);
    g_test_add_func("/registry/cancel-is-quick", test_cancel_is_quick);
    g_test_add_func("/registry/error-of-the-sink-is-final", test_error_of_the_sink_is_final);
    g_test_add_func("/registry/bad-blobs-are-never-asked-for", test_bad_blobs_are_never_asked_for);
    g_test_add_func("/registry/nobody-there", test_nobody_there);
    cob_registry_free(NULL);
    cob_registry_manifest_free(NULL);
    return g_test_run();
}
