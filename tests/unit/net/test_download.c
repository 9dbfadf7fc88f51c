/* SPDX-License-Identifier: Apache-2.0 */
#include "net/download/download.h"

#include <string.h>

#include "check.h"
#include "script_server.h"

#define OK(headers, body) "HTTP/1.1 200 OK\r\n" headers "\r\n" body
#define STATUS(line) "HTTP/1.1 " line "\r\nContent-Length: 0\r\n\r\n"
#define GO(where) "HTTP/1.1 302 Go\r\nLocation: " where "\r\nContent-Length: 0\r\n\r\n"
#define BUSY STATUS("503 Busy")

struct scenario {
    const char *name;
    const char *etag, *authorization;
    struct script_row rows[13];
    struct script_row other_rows[3];
    enum cob_code code; /* 0: it works */
    const char *want;   /* the body, or the error's text */
};

static struct cob_error *on_write(void *arg, const void *data, size_t len)
{
    g_string_append_len(arg, data, (gssize)len);
    return NULL;
}

static struct cob_error *on_restart(void *arg)
{
    g_string_truncate(arg, 0);
    return NULL;
}

static struct cob_error *get(const struct scenario *scenario, unsigned port, GString *body,
    struct cob_download_answer *ret_answer)
{
    static const struct cob_http_timing timing = {.n_tries = 3,
        .backoff_ms = 2,
        .backoff_max_ms = 4,
        .retry_after_ms = 500,
        .connect_ms = 2000,
        .stall_ms = 500};
    g_autofree char *url = g_strdup_printf("http://localhost:%u/f.txt?sig=hunter2", port);
    const struct cob_download_sink sink = {.write = on_write, .restart = on_restart, .arg = body};
    const struct cob_download_request request = {.url = url,
        .authorization = scenario->authorization,
        .etag = scenario->etag,
        .max_bytes = 1000,
        .sink = &sink};
    g_autoptr(cob_http) http = NULL;

    COB_TRY(cob_http_open(&timing, &http));
    return cob_download_get(http, &request, NULL, ret_answer);
}

static void play(const struct scenario *scenario, size_t i)
{
    struct script_server *server = script_server_new();
    struct script_server *other = script_server_new();
    struct cob_download_answer answer = {0};
    g_autoptr(GString) body = g_string_new(NULL);

    script_server_start(server, scenario->rows, "", script_server_port(other));
    script_server_start(other, scenario->other_rows, "", script_server_port(server));
    struct cob_error *err = get(scenario, script_server_port(server), body, &answer);
    if (scenario->code) {
        CHECK_ERROR(err, scenario->code, scenario->want);
    } else {
        CHECK_OK(err);
        check_row(strcmp(body->str, scenario->want) == 0, i, body->str);
        check_row(answer.size == body->len, i, "size");
    }
    cob_download_answer_done(&answer);
    check_row(script_server_free(server), i, scenario->name);
    check_row(script_server_free(other), i, scenario->name);
}

#define GET_Q "GET /f.txt?sig=hunter2 "

static void test_get_table(void)
{
    static const struct scenario rows[] = {
        {"plain", 0, 0, {{GET_Q, 0, "Range", OK("Content-Length: 3\r\n", "abc"), 0}}, {{0}}, 0,
            "abc"},
        {"empty", 0, 0, {{GET_Q, 0, 0, OK("Content-Length: 0\r\n", ""), 0}}, {{0}}, 0, ""},
        {"no length", 0, 0, {{GET_Q, 0, 0, OK("", "abc"), 0}}, {{0}}, 0, "abc"},
        {"still the same", "\"v1\"", 0,
            {{GET_Q, "If-None-Match: \"v1\"\r\n", 0, "HTTP/1.1 304 Same\r\n\r\n", 0}}, {{0}}, 0,
            ""},
        {"another one now", "\"v1\"", 0,
            {{GET_Q, "If-None-Match: \"v1\"\r\n", 0, OK("ETag: \"v2\"\r\n", "abc"), 0}}, {{0}}, 0,
            "abc"},
        {"the same, sent all the same", "\"v1\"", 0,
            {{GET_Q, 0, 0, OK("ETag: \"v1\"\r\n", ""), SCRIPT_ENDLESS}}, {{0}}, 0, ""},
        {"304 unasked", 0, 0, {{GET_Q, 0, "If-", "HTTP/1.1 304 Same\r\n\r\n", 0}}, {{0}},
            COB_UNKNOWN, "download http://localhost:*/f.txt: invalid response status 304"},
        {"busy, then not", 0, 0, {{GET_Q, 0, 0, BUSY, 0}, {GET_Q, 0, 0, OK("", "abc"), 0}}, {{0}},
            0, "abc"},
        {"busy for good", 0, 0,
            {{GET_Q, 0, 0, BUSY, 0}, {GET_Q, 0, 0, BUSY, 0}, {GET_Q, 0, 0, BUSY, 0}}, {{0}},
            COB_UNAVAILABLE, "download http://localhost:*/f.txt: localhost:*: status 503"},
        {"cut, goes on", 0, 0,
            {{GET_Q, 0, 0, OK("ETag: \"v\"\r\nContent-Length: 6\r\n", "abc"), 0},
                {GET_Q, "If-Range: \"v\"\r\n", 0,
                    "HTTP/1.1 206 P\r\nETag: \"v\"\r\nContent-Range: bytes 3-5/6\r\n"
                    "Content-Length: 3\r\n\r\ndef",
                    0}},
            {{0}}, 0, "abcdef"},
        {"cut, changed meanwhile", 0, 0,
            {{GET_Q, 0, 0, OK("ETag: \"v\"\r\nContent-Length: 6\r\n", "abc"), 0},
                {GET_Q, "Range: bytes=3-\r\n", 0, OK("ETag: \"w\"\r\n", "xyz"), 0}},
            {{0}}, 0, "xyz"},
        {"cut, no name for what came", 0, 0,
            {{GET_Q, 0, 0, OK("ETag: W/\"v\"\r\nContent-Length: 6\r\n", "abc"), 0},
                {GET_Q, 0, "Range", OK("Content-Length: 6\r\n", "abcdef"), 0}},
            {{0}}, 0, "abcdef"},
        {"the wrong part", 0, 0,
            {{GET_Q, 0, 0, OK("ETag: \"v\"\r\nContent-Length: 6\r\n", "abc"), 0},
                {GET_Q, 0, 0,
                    "HTTP/1.1 206 P\r\nETag: \"v\"\r\nContent-Range: bytes 2-5/6\r\n\r\ncdef", 0}},
            {{0}}, COB_DATA_LOSS, "*the server sends another part than was asked for"},
        {"the right part of another version", 0, 0,
            {{GET_Q, 0, 0, OK("ETag: \"v\"\r\nContent-Length: 6\r\n", "abc"), 0},
                {GET_Q, 0, 0,
                    "HTTP/1.1 206 P\r\nETag: \"w\"\r\nContent-Range: bytes 3-5/6\r\n\r\ndef", 0}},
            {{0}}, COB_DATA_LOSS, "*the server sends another part than was asked for"},
        {"authorization stays at its origin", 0, "Bearer t",
            {{GET_Q, "Authorization: Bearer t\r\n", 0, GO("/again"), 0},
                {"GET /again ", "Authorization: Bearer t\r\n", 0,
                    GO("http://localhost:{other}/there"), 0}},
            {{"GET /there ", 0, "Authorization", OK("", "abc"), 0}}, 0, "abc"},
        {"a loop", 0, 0,
            {{GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0}, {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0},
                {GET_Q, 0, 0, GO("/f.txt?sig=hunter2"), 0}},
            {{0}}, COB_EXHAUSTED,
            "download http://localhost:*/f.txt: redirect to /f.txt: more than 10 in a row"},
        {"to a file", 0, 0, {{GET_Q, 0, 0, GO("file:///etc/passwd"), 0}}, {{0}}, COB_INVALID,
            "*redirect to file:///etc/passwd: URL \"file:///etc/passwd\": *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_refusal_table(void)
{
    static const struct scenario rows[] = {
        {"endless", 0, 0, {{GET_Q, 0, 0, OK("", ""), SCRIPT_ENDLESS}}, {{0}}, COB_EXHAUSTED,
            "*the file is larger than the limit of 1000 bytes"},
        {"too long by its word", 0, 0,
            {{GET_Q, 0, 0, OK("Content-Length: 5000\r\n", "abc"), SCRIPT_HANG}}, {{0}},
            COB_EXHAUSTED, "*the file is larger than the limit of 1000 bytes"},
        {"headers without end", 0, 0, {{GET_Q, 0, 0, "HTTP/1.1 200 OK\r\n", SCRIPT_ENDLESS_HEADER}},
            {{0}}, COB_EXHAUSTED, "*the headers of the answer are longer than*"},
        {"not there", 0, 0, {{GET_Q, 0, 0, STATUS("404 No"), 0}}, {{0}}, COB_NOT_FOUND,
            "*f.txt: not found (status 404)"},
        {"not for us", 0, 0, {{GET_Q, 0, "Authorization", STATUS("403 No"), 0}}, {{0}}, COB_DENIED,
            "*status 403; a secret HTTP_AUTH_HEADER_localhost or HTTP_AUTH_TOKEN_localhost is sent "
            "when there is one"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_answer_says_what_it_is(void)
{
    static const struct scenario scenario = {"facts", 0, 0,
        {{GET_Q, 0, 0,
            OK("ETag: W/\"e\"\r\nLast-Modified: Thu, 01 Jan 1970 00:01:40 GMT\r\n"
               "Content-Disposition: attachment; filename=\"../x.tar\"\r\n",
                "abc"),
            0}},
        {{0}}, 0, "abc"};
    struct script_server *server = script_server_new();
    struct cob_download_answer answer = {0};
    g_autoptr(GString) body = g_string_new(NULL);

    script_server_start(server, scenario.rows, "", 0);
    CHECK_OK(get(&scenario, script_server_port(server), body, &answer));
    g_assert_cmpstr(answer.etag, ==, "W/\"e\"");
    g_assert_cmpint(answer.mtime_s, ==, 100);
    g_assert_cmpstr(answer.filename, ==, "x.tar");
    g_assert_false(answer.is_unmodified);
    cob_download_answer_done(&answer);
    g_assert_true(script_server_free(server));
}

static void test_filename_table(void)
{
    static const struct {
        const char *path, *disposition, *want;
    } rows[] = {
        {"/a/b.tar", NULL, "b.tar"},
        {"/a/b/", NULL, "b"},
        {"/", NULL, "download"},
        {"/..", NULL, "download"},
        {"/.", NULL, "download"},
        {"/..%2fx", NULL, "x"},
        {"/%2e%2e", NULL, "download"},
        {"/%2fetc%2fx", NULL, "x"},
        {"/a%20b", NULL, "a b"},
        {"/a%0ab", NULL, "download"},
        {"/a%00b", NULL, "download"},
        {"/%c3%bc", NULL, "\xc3\xbc"},
        {"/%ff", NULL, "download"},
        {"/a%zz", NULL, "download"},
        {"/x", "attachment", "x"},
        {"/x", "attachment; filename=b.c", "b.c"},
        {"/x", "attachment; FileName=\"b c\"; size=3", "b c"},
        {"/x", "inline;size=3;filename=b", "b"},
        {"/x", "attachment; filename=\"a\\\"b\"", "a\"b"},
        {"/x", "attachment; filename=\"../../etc/y\"", "y"},
        {"/x", "attachment; filename=\"..\"", "download"},
        {"/x", "attachment; filename=\"dir/\"", "x"},
        {"/x", "attachment; filename=\"\"", "x"},
        {"/x", "attachment; filename=", "x"},
        {"/x", "attachment; filename*=UTF-8''z", "x"},
        {"/x", "; ; ;filename=", "x"},
    };
    g_autofree char *n255 = g_strnfill(255, 'a');
    g_autofree char *n256 = g_strnfill(256, 'a');

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = cob_download_filename(rows[i].path, rows[i].disposition);

        check_row(strcmp(got, rows[i].want) == 0, i, got);
    }
    g_autofree char *fits = cob_download_safe_name(n255);
    g_autofree char *too_long = cob_download_safe_name(n256);
    g_assert_cmpstr(fits, ==, n255);
    g_assert_cmpstr(too_long, ==, "download");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/download/get-table", test_get_table);
    g_test_add_func("/download/refusal-table", test_refusal_table);
    g_test_add_func("/download/answer-says-what-it-is", test_answer_says_what_it_is);
    g_test_add_func("/download/filename-table", test_filename_table);
    return g_test_run();
}
