/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/http.h"

#include <string.h>

#include "check.h"

static void test_public_addresses_are_public(void)
{
    static const char *const hosts[] = {"reg.example", "8.8.8.8", "[2606:4700::1]", "172.32.0.1",
        "11.0.0.1", "localhost.example", "100.128.0.1", "mylocalhost"};

    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
        check_row(!cob_url_host_is_private(hosts[i]), i, hosts[i]);
}

/* What is checked is what libcurl connects to. */
static void test_url_table(void)
{
    static const struct {
        const char *base, *text, *want; /* text, server, origin, path */
    } rows[] = {
        {NULL, "https://a.example/b?c#d",
            "https://a.example/b?c a.example https://a.example:443 /b"},
        {NULL, "HTTP://A.example:80", "http://A.example/ a.example http://a.example:80 /"},
        {NULL, "http://0x7f.1:5000/x",
            "http://127.0.0.1:5000/x 127.0.0.1:5000 "
            "http://127.0.0.1:5000 /x"},
        {"https://a.example/b/c?d", "../e",
            "https://a.example/e a.example https://a.example:443 "
            "/e"},
        {"https://a.example/b", "//c.example/d",
            "https://c.example/d c.example https://c.example:443 /d"},
        {NULL, "https://user:pass@a.example/", NULL},
        {NULL, "ftp://a.example/", NULL},
        {NULL, "file:///etc/passwd", NULL},
        {NULL, "https://a.example/b c", NULL},
        {NULL, "https://a.example/\n", NULL},
        {NULL, "", NULL},
    };
    g_autoptr(cob_http) http = NULL;

    CHECK_OK(cob_http_open(NULL, &http));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_url) url = NULL;
        g_autoptr(cob_error) err = cob_url_parse(http, rows[i].base, rows[i].text, &url);
        g_autofree char *got =
            url ? g_strjoin(" ", url->text, url->server, url->origin, url->path, NULL) : NULL;

        check_row(g_strcmp0(got, rows[i].want) == 0, i, got ? got : rows[i].text);
        check_row(rows[i].want || (err && cob_error_code(err) == COB_INVALID), i, rows[i].text);
    }
}

static void test_date_table(void)
{
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {{"Thu, 01 Jan 1970 00:00:10 GMT", 10},
        {"Wed, 21 Oct 2015 07:28:00 GMT", 1445412480}, {"yesterday", -1}, {"", -1}};
    g_autoptr(cob_http) http = NULL;

    CHECK_OK(cob_http_open(NULL, &http));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        check_row(cob_http_date(http, rows[i].text) == rows[i].want, i, rows[i].text);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/http/public-addresses-are-public", test_public_addresses_are_public);
    g_test_add_func("/http/url-table", test_url_table);
    g_test_add_func("/http/date-table", test_date_table);
    return g_test_run();
}
