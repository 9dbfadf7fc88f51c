/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/server.h"

#include <string.h>

#include "check.h"

struct fixture {
    char *scratch, *path, *cert_dir;
    struct server_table *table;
};

/* settings: the text of registries.json; NULL: there is none. */
static void fixture_init(struct fixture *f, const char *settings)
{
    *f = (struct fixture){.scratch = check_scratch_new()};
    f->path = g_build_filename(f->scratch, "registries.json", NULL);
    f->cert_dir = g_build_filename(f->scratch, "certs.d", NULL);
    const char *const dirs[] = {"/nowhere/certs.d", f->cert_dir, NULL};

    if (settings)
        g_assert_true(g_file_set_contents(f->path, settings, -1, NULL));
    f->table = registry_servers_new(f->path, dirs);
}

static void fixture_done(struct fixture *f)
{
    registry_servers_free(f->table);
    g_free(f->path);
    g_free(f->cert_dir);
    check_scratch_free(f->scratch);
}

static void test_base_table(void)
{
    static const struct {
        const char *name, *settings, *base;
    } rows[] = {
        {"reg.example", NULL, "https://reg.example/v2/"},
        {"reg.example:5000", NULL, "https://reg.example:5000/v2/"},
        {"localhost", NULL, "http://localhost/v2/"},
        {"localhost:5000", NULL, "http://localhost:5000/v2/"},
        {"127.0.0.1:5000", NULL, "http://127.0.0.1:5000/v2/"},
        {"127.9.9.9", NULL, "http://127.9.9.9/v2/"},
        {"[::1]:5000", NULL, "http://[::1]:5000/v2/"},
        {"10.0.0.1:5000", NULL, "https://10.0.0.1:5000/v2/"},
        {"128.0.0.1", NULL, "https://128.0.0.1/v2/"},
        {"localhost.example", NULL, "https://localhost.example/v2/"},
        {"reg.example", "{\"registries\": {\"reg.example\": {\"http\": true}}}",
            "http://reg.example/v2/"},
        {"reg.example:5000", "{\"registries\": {\"reg.example\": {\"http\": true}}}",
            "https://reg.example:5000/v2/"},
        {"localhost:5000", "{\"registries\": {\"localhost:5000\": {\"http\": false}}}",
            "https://localhost:5000/v2/"},
        {"localhost:5000", "{\"registries\": {\"localhost:5000\": {\"insecure\": true}}}",
            "https://localhost:5000/v2/"},
        {"reg.example", "{\"registries\": {\"reg.example\": {\"insecure\": true}}}",
            "https://reg.example/v2/"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct server_config *server = NULL;
        struct fixture f;

        fixture_init(&f, rows[i].settings);
        CHECK_OK(registry_servers_get(f.table, rows[i].name, &server));
        g_autofree char *base = server ? registry_server_base(server) : NULL;
        g_assert_cmpstr(base, ==, rows[i].base);
        check_row(g_strcmp0(base, rows[i].base) == 0, i, rows[i].name);
        fixture_done(&f);
    }
}

#define OF(text) "{\"registries\": {\"reg.example\": " text "}}"

static void test_bad_settings_table(void)
{
    static const struct {
        const char *settings, *error;
    } rows[] = {
        {"{", "*registries.json: parse settings: *"},
        {"[]", "*registries.json: it is not an object"},
        {"{\"registrie\": {}}",
            "*registries.json: unknown member \"registrie\"; did you mean registries?"},
        {"{\"registries\": []}", "*registries.json: registries is not an object"},
        {OF("[]"), "settings of registry reg.example: it is not an object"},
        {OF("{\"mirror\": []}"),
            "settings of registry reg.example: unknown member \"mirror\"; did you mean mirrors?"},
        {OF("{\"mirrors\": \"a\"}"), "*: mirrors is not an array"},
        {OF("{\"mirrors\": [1]}"), "*: mirrors?0? is not a string"},
        {OF("{\"http\": 1}"), "*: http is neither true nor false"},
        {OF("{\"insecure\": \"no\"}"), "*: insecure is neither true nor false"},
        {OF("{\"ca\": \"/nowhere/ca.pem\"}"), "*: /nowhere/ca.pem*"},
        {OF("{\"ca\": []}"), "*: ca is not a string"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct server_config *server = NULL;
        struct fixture f;

        fixture_init(&f, rows[i].settings);
        struct cob_error *err = registry_servers_get(f.table, "reg.example", &server);
        g_autofree char *text = err ? g_strchomp(cob_error_text(err)) : g_strdup("ERROR: none");
        bool is_ok = g_pattern_match_simple(rows[i].error, text + strlen("ERROR: "));
        if (!is_ok)
            g_test_message("got: %s", text);
        check_row(is_ok && !server, i, rows[i].settings);
        cob_error_free(err);
        fixture_done(&f);
    }
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    g_autofree char *dir = g_build_filename(f->cert_dir, "reg.example:5000", NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_certificate_folder(void)
{
    const struct server_config *server = NULL, *other = NULL;
    struct fixture f;

    fixture_init(&f, NULL);
    put(&f, "b.crt", "two");
    put(&f, "a.crt", "one");
    put(&f, "me.cert", "");
    put(&f, "me.key", "");
    put(&f, "README", "");
    CHECK_OK(registry_servers_get(f.table, "reg.example:5000", &server));
    CHECK_OK(registry_servers_get(f.table, "reg.example", &other));
    g_assert_cmpmem(
        g_bytes_get_data(server->tls.ca, NULL), g_bytes_get_size(server->tls.ca), "one\ntwo\n", 8);
    g_assert_true(g_str_has_suffix(server->tls.cert_path, "/reg.example:5000/me.cert"));
    g_assert_true(g_str_has_suffix(server->tls.key_path, "/reg.example:5000/me.key"));
    g_assert_null(other->tls.ca);
    fixture_done(&f);
}

static void test_certificate_without_its_key(void)
{
    const struct server_config *server = NULL;
    struct fixture f;

    fixture_init(&f, NULL);
    put(&f, "client.cert", "");
    put(&f, "other.key", "");
    CHECK_ERROR(registry_servers_get(f.table, "reg.example:5000", &server), COB_NOT_FOUND,
        "settings of registry reg.example:5000: */client.cert has no key */client.key beside it");
    fixture_done(&f);
}

/* A name from a URL must not become a path out of the folder. */
static void test_names_stay_in_the_folder(void)
{
    static const char *const names[] = {"..", "../certs.d/reg.example:5000", ".", "a/../b"};
    struct fixture f;

    fixture_init(&f, NULL);
    put(&f, "a.crt", "one");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const struct server_config *server = NULL;

        CHECK_OK(registry_servers_get(f.table, names[i], &server));
        check_row(server && !server->tls.ca, i, names[i]);
    }
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/server/base-table", test_base_table);
    g_test_add_func("/server/bad-settings-table", test_bad_settings_table);
    g_test_add_func("/server/certificate-folder", test_certificate_folder);
    g_test_add_func("/server/certificate-without-its-key", test_certificate_without_its_key);
    g_test_add_func("/server/names-stay-in-the-folder", test_names_stay_in_the_folder);
    return g_test_run();
}
