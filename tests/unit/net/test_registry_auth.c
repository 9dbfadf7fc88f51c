/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "net/registry/registry.h"
#include "net/registry/token.h"
#include "script_server.h"

#define BODY "{}"
#define MANIFEST "GET /v2/app/manifests/v1 "
#define OK "HTTP/1.1 200 OK\r\n\r\n" BODY
#define JSON(text) "HTTP/1.1 200 OK\r\n\r\n" text
#define ASK(challenge)                                                                             \
    "HTTP/1.1 401 X\r\nWWW-Authenticate: " challenge "\r\nContent-Length: 0\r\n\r\n"
#define BEARER ASK("Bearer realm=\"http://localhost:{port}/token\",service=\"s\"")
#define GO(where) "HTTP/1.1 302 Go\r\nLocation: " where "\r\nContent-Length: 0\r\n\r\n"
#define NO "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"
#define DENIED                                                                                     \
    "localhost:*/app:v1: pull access denied, repository does not exist or may require "            \
    "authorization"

/* auth is user:pass in base64; {server} is the registry. */
#define LOGIN "{\"auths\": {\"{server}\": {\"auth\": \"dXNlcjpwYXNz\"}}}"
#define BASIC "Authorization: Basic dXNlcjpwYXNz\r\n"

/* A script, what docker's config.json says, and how the call must end. */
struct scenario {
    const char *name, *config;
    struct script_row rows[8];
    struct script_row other_rows[3]; /* of a server on another port */
    enum cob_code code;              /* 0: it works */
    const char *error;
};

struct fixture {
    char *scratch;
    struct script_server *server, *other;
    struct cob_registry *registry;
    struct cob_ref *ref;
};

static void fixture_init(struct fixture *f, const char *config)
{
    static const char *const none[] = {NULL};

    *f = (struct fixture){.scratch = check_scratch_new(),
        .server = script_server_new(),
        .other = script_server_new()};
    g_autofree char *path = g_build_filename(f->scratch, "config.json", NULL);
    g_autofree char *name = g_strdup_printf("localhost:%u", script_server_port(f->server));
    g_autofree char *image = g_strconcat(name, "/app:v1", NULL);
    g_autoptr(GString) text = g_string_new(config ? config : "{}");
    struct cob_registry_config settings = {.docker_config = path,
        .registries = "",
        .cert_dirs = none,
        .timing = {.n_tries = 3,
            .backoff_ms = 2,
            .backoff_max_ms = 4,
            .connect_ms = 2000,
            .stall_ms = 2000},
        .helper_ms = 2000};

    g_string_replace(text, "{server}", name, 0);
    g_assert_true(g_file_set_contents(path, text->str, -1, NULL));
    f->registry = cob_registry_new(&settings);
    CHECK_OK(cob_ref_parse(image, &f->ref));
}

static void fixture_start(
    struct fixture *f, const struct script_row *rows, const struct script_row *other_rows)
{
    script_server_start(f->server, rows, "", script_server_port(f->other));
    script_server_start(f->other, other_rows, "", script_server_port(f->server));
}

static bool fixture_done(struct fixture *f)
{
    bool is_ok = script_server_free(f->server);

    is_ok = script_server_free(f->other) && is_ok;
    cob_registry_free(f->registry);
    cob_ref_free(f->ref);
    check_scratch_free(f->scratch);
    return is_ok;
}

static struct cob_error *pull(const struct fixture *f)
{
    g_autoptr(cob_registry_manifest) manifest = NULL;

    return cob_registry_get_manifest(f->registry, f->ref, NULL, &manifest);
}

static void play(const struct scenario *scenario, size_t n)
{
    struct fixture f;

    fixture_init(&f, scenario->config);
    fixture_start(&f, scenario->rows, scenario->other_rows);
    struct cob_error *err = pull(&f);
    bool is_ok = scenario->code == 0 ? !err : err && cob_error_code(err) == scenario->code;
    if (scenario->code == 0)
        CHECK_OK(err);
    else
        CHECK_ERROR(err, scenario->code, scenario->error);
    is_ok = fixture_done(&f) && is_ok;
    check_row(is_ok, n, scenario->name);
}

static void test_token_table(void)
{
    static const struct scenario rows[] = {
        {"no login", NULL,
            {{MANIFEST, 0, "Authorization", BEARER, 0},
                {"GET /token?service=s&scope=repository%3Aapp%3Apull HTTP", 0, "Authorization",
                    JSON("{\"token\": \"t0\"}"), 0},
                {MANIFEST, "Authorization: Bearer t0\r\n", 0, OK, 0}},
            {{0}}, 0, 0},
        {"the password goes to the realm alone", LOGIN,
            {{MANIFEST, 0, "Authorization", BEARER, 0},
                {"GET /token?", BASIC, 0, JSON("{\"access_token\": \"t1\"}"), 0},
                {MANIFEST, "Authorization: Bearer t1\r\n", "Basic", OK, 0}},
            {{0}}, 0, 0},
        {"service and scope cannot add parameters", NULL,
            {{MANIFEST, 0, 0,
                 ASK("Bearer realm=\"http://localhost:{port}/token?a=1\",service=\"s&scope=x#\","
                     "scope=\"repository:app:pull other&y=1\""),
                 0},
                {"GET /token?a=1&service=s%26scope%3Dx%23&scope=repository%3Aapp%3Apull&scope="
                 "other%26y%3D1 HTTP",
                    0, 0, JSON("{\"token\": \"t\"}"), 0},
                {MANIFEST, 0, 0, OK, 0}},
            {{0}}, 0, 0},
        {"identity token", "{\"auths\": {\"http://{server}/v1/\": {\"identitytoken\": \"i+d\"}}}",
            {{MANIFEST, 0, 0, BEARER, 0},
                {"POST /token HTTP",
                    "grant_type=refresh_token&service=s&client_id=cob&scope=repository%3Aapp%3Apull"
                    "&refresh_token=i%2Bd",
                    "Authorization", JSON("{\"access_token\": \"t2\"}"), 0},
                {MANIFEST, "Authorization: Bearer t2\r\n", 0, OK, 0}},
            {{0}}, 0, 0},
        {"registry token", "{\"auths\": {\"{server}\": {\"registrytoken\": \"r\"}}}",
            {{MANIFEST, 0, 0, BEARER, 0}, {MANIFEST, "Authorization: Bearer r\r\n", 0, OK, 0}},
            {{0}}, 0, 0},
        {"basic", LOGIN,
            {{MANIFEST, 0, "Authorization", ASK("Basic realm=\"x\""), 0},
                {MANIFEST, BASIC, 0, OK, 0}},
            {{0}}, 0, 0},
        {"basic without a login", NULL, {{MANIFEST, 0, 0, ASK("Basic realm=\"x\""), 0}}, {{0}},
            COB_DENIED, DENIED},
        {"basic, refused", LOGIN,
            {{MANIFEST, 0, 0, ASK("Basic realm=\"x\""), 0}, {MANIFEST, BASIC, 0, NO, 0}}, {{0}},
            COB_DENIED, DENIED},
        {"token, refused", NULL,
            {{MANIFEST, 0, 0, BEARER, 0}, {"GET /token?", 0, 0, JSON("{\"token\": \"t\"}"), 0},
                {MANIFEST, 0, 0, BEARER, 0}},
            {{0}}, COB_DENIED, DENIED},
        {"401 and no more", NULL, {{MANIFEST, 0, 0, NO, 0}}, {{0}}, COB_DENIED, DENIED},
        {"a busy realm is asked again", NULL,
            {{MANIFEST, 0, 0, BEARER, 0},
                {"GET /token?", 0, 0, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", 0},
                {MANIFEST, 0, 0, BEARER, 0}, {"GET /token?", 0, 0, JSON("{\"token\": \"t\"}"), 0},
                {MANIFEST, 0, 0, OK, 0}},
            {{0}}, 0, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_evil_table(void)
{
    static const struct scenario rows[] = {
        {"the realm refuses", LOGIN, {{MANIFEST, 0, 0, BEARER, 0}, {"GET /token?", 0, 0, NO, 0}},
            {{0}}, COB_UNAUTHENTICATED,
            "localhost:*/app:v1: failed to authorize: token from realm http://localhost:*/token: "
            "status 401; the login in docker's config.json was refused, docker login renews it"},
        {"the realm redirects", LOGIN,
            {{MANIFEST, 0, 0, BEARER, 0},
                {"GET /token?", 0, 0, GO("http://localhost:{other}/"), 0}},
            {{0}}, COB_DENIED, "*: a redirect, which is not followed here"},
        {"a realm elsewhere without TLS", LOGIN,
            {{MANIFEST, 0, 0, ASK("Bearer realm=\"http://example.com/t\""), 0}}, {{0}}, COB_DENIED,
            "*: token from realm http://example.com/t: plain http is for localhost and the "
            "registry itself"},
        {"a realm that is a file", LOGIN,
            {{MANIFEST, 0, 0, ASK("Bearer realm=\"file:///etc/passwd\""), 0}}, {{0}}, COB_INVALID,
            "*"},
        {"a realm with a user", LOGIN,
            {{MANIFEST, 0, 0, ASK("Bearer realm=\"http://a:b@localhost:{port}/t\""), 0}}, {{0}},
            COB_INVALID, "*"},
        {"a realm with a line break in it", LOGIN,
            {{MANIFEST, 0, 0, ASK("Bearer realm=\"http://localhost:{port}/t x\""), 0}}, {{0}},
            COB_INVALID, "*is not a URL"},
        {"no realm", LOGIN, {{MANIFEST, 0, 0, ASK("Bearer service=\"s\""), 0}}, {{0}}, COB_DENIED,
            "*: the registry asks for a token and does not say where"},
        {"a token that would break the header", NULL,
            {{MANIFEST, 0, 0, BEARER, 0},
                {"GET /token?", 0, 0, JSON("{\"token\": \"a\\r\\nX-Evil: 1\"}"), 0}},
            {{0}}, COB_INVALID, "*: the answer has no token"},
        {"an endless token", NULL,
            {{MANIFEST, 0, 0, BEARER, 0},
                {"GET /token?", 0, 0, "HTTP/1.1 200 OK\r\n\r\n", SCRIPT_ENDLESS}},
            {{0}}, COB_EXHAUSTED, "*"},
        {"not JSON", NULL, {{MANIFEST, 0, 0, BEARER, 0}, {"GET /token?", 0, 0, JSON("<html>"), 0}},
            {{0}}, COB_INVALID, "*: the token is not valid JSON"},
        {"a redirect to another port goes without the token", LOGIN,
            {{MANIFEST, 0, 0, ASK("Basic realm=\"x\""), 0},
                {MANIFEST, BASIC, 0, GO("http://localhost:{other}/x"), 0}},
            {{"GET /x ", 0, "Authorization", OK, 0}}, 0, 0},
        {"a redirect there and back has the token at home", LOGIN,
            {{MANIFEST, 0, 0, ASK("Basic realm=\"x\""), 0},
                {MANIFEST, BASIC, 0, GO("http://localhost:{other}/x"), 0},
                {"GET /y ", BASIC, 0, OK, 0}},
            {{"GET /x ", 0, "Authorization", GO("http://localhost:{other}/y"), 0}}, 0, 0},
        {"what another server asks is not answered", LOGIN,
            {{MANIFEST, 0, 0, GO("http://localhost:{other}/x"), 0}},
            {{"GET /x ", 0, "Authorization", ASK("Basic realm=\"x\""), 0}}, COB_DENIED, DENIED},
        {"a login that is no base64 of a pair", "{\"auths\": {\"{server}\": {\"auth\": \"AAAA\"}}}",
            {{MANIFEST, 0, 0, BEARER, 0}}, {{0}}, COB_INVALID,
            "*: credentials for localhost:*: auths \"localhost:*\": auth is not *"},
        {"a config that is no JSON", "{", {{MANIFEST, 0, 0, BEARER, 0}}, {{0}}, COB_INVALID,
            "*config.json: docker's configuration is not valid JSON"},
        {"a broken config does not tell its secrets", "{\"auths\": {\"a\": \"hunter2\" \"x\"}}",
            {{MANIFEST, 0, 0, BEARER, 0}}, {{0}}, COB_INVALID,
            "*config.json: docker's configuration is not valid JSON"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_token_is_kept_until_refused(void)
{
    static const struct script_row rows[] = {
        {MANIFEST, 0, "Authorization", BEARER, 0},
        {"GET /token?", 0, 0, JSON("{\"token\": \"one\"}"), 0},
        {MANIFEST, "Bearer one", 0, OK, 0},
        {MANIFEST, "Bearer one", 0, OK, 0},
        {MANIFEST, "Bearer one", 0, BEARER, 0},
        {"GET /token?", 0, "Bearer", JSON("{\"token\": \"two\"}"), 0},
        {MANIFEST, "Bearer two", 0, OK, 0},
        {MANIFEST, "Bearer two", 0,
            ASK("Bearer realm=\"http://localhost:{other}/token\",service=\"s\""), 0},
        {0},
    };
    struct fixture f;

    fixture_init(&f, LOGIN);
    fixture_start(&f, rows, (struct script_row[]){{0}});
    for (int i = 0; i < 3; i++)
        CHECK_OK(pull(&f));
    CHECK_ERROR(pull(&f), COB_DENIED, "*: the registry named another realm before");
    g_assert_true(fixture_done(&f));
}

/* A mirror has a login of its own, or none. */
static void test_mirror_never_sees_the_login(void)
{
    static const struct script_row mirror_rows[] = {
        {MANIFEST, 0, "Authorization", ASK("Basic realm=\"x\""), 0}, {0}};
    static const struct script_row rows[] = {
        {MANIFEST, 0, "Authorization", ASK("Basic"), 0}, {MANIFEST, BASIC, 0, OK, 0}, {0}};
    static const char *const none[] = {NULL};
    struct fixture f;

    fixture_init(&f, LOGIN);
    g_autofree char *config = g_build_filename(f.scratch, "config.json", NULL);
    g_autofree char *path = g_build_filename(f.scratch, "registries.json", NULL);
    g_autofree char *settings =
        g_strdup_printf("{\"registries\": {\"%s\": {\"mirrors\": [\"http://localhost:%u\"]}}}",
            f.ref->domain, script_server_port(f.other));
    const struct cob_registry_config given = {
        .docker_config = config, .registries = path, .cert_dirs = none};

    g_assert_true(g_file_set_contents(path, settings, -1, NULL));
    cob_registry_free(f.registry);
    f.registry = cob_registry_new(&given);
    fixture_start(&f, rows, mirror_rows);
    CHECK_OK(pull(&f));
    g_assert_true(fixture_done(&f));
}

/* A program docker-credential-test in the scratch folder, and that folder in PATH. */
static void write_helper(const struct fixture *f, const char *script)
{
    g_autofree char *path = g_build_filename(f->scratch, "docker-credential-test", NULL);
    g_autofree char *paths = g_strconcat(f->scratch, ":", "/usr/bin:/bin", NULL);

    g_assert_true(g_file_set_contents(path, script, -1, NULL));
    g_assert_cmpint(chmod(path, 0755), ==, 0);
    g_assert_cmpint(setenv("PATH", paths, 1), ==, 0);
}

#define STORE "{\"credsStore\": \"test\"}"

static const struct {
    const char *name, *config, *script;
    struct script_row rows[4];
    enum cob_code code;
    const char *error;
} helper_rows[] = {
    {"it knows", STORE,
        "#!/bin/sh\n[ $1 = get ] && echo '{\"Username\": \"user\", \"Secret\": \"pass\"}'",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}, {MANIFEST, BASIC, 0, OK, 0}}, 0, 0},
    {"it is asked for the server", "{\"credHelpers\": {\"{server}\": \"test\"}}",
        "#!/bin/sh\nread s; case $s in localhost:*) echo '{\"Username\": \"user\", "
        "\"Secret\": \"pass\"}';; esac",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}, {MANIFEST, BASIC, 0, OK, 0}}, 0, 0},
    {"another server's is not asked", "{\"credHelpers\": {\"example.com\": \"test\"}}",
        "#!/bin/sh\nexit 1", {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_DENIED, DENIED},
    {"it knows a token", STORE,
        "#!/bin/sh\necho '{\"Username\": \"<token>\", \"Secret\": \"idt\"}'",
        {{MANIFEST, 0, 0, BEARER, 0},
            {"POST /token ", "refresh_token=idt", 0, JSON("{\"token\": \"t\"}"), 0},
            {MANIFEST, "Bearer t", 0, OK, 0}},
        0, 0},
    {"it knows nothing", STORE,
        "#!/bin/sh\necho 'credentials not found in native keychain'; exit 1",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_DENIED, DENIED},
    {"it fails", STORE, "#!/bin/sh\necho 'the keychain is locked' >&2; exit 3",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_UNAUTHENTICATED,
        "localhost:*/app:v1: credentials for localhost:*: docker-credential-test: exit code 3: "
        "the keychain is locked*"},
    {"it hangs", STORE, "#!/bin/sh\nexec sleep 100", {{MANIFEST, 0, 0, ASK("Basic"), 0}},
        COB_TIMEOUT, "*: docker-credential-test: it takes too long"},
    {"it hangs with its output closed", STORE, "#!/bin/sh\nexec sleep 100 >&- 2>&-",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_TIMEOUT,
        "*: docker-credential-test: it takes too long"},
    {"it says too much", STORE, "#!/bin/sh\nexec yes", {{MANIFEST, 0, 0, ASK("Basic"), 0}},
        COB_EXHAUSTED, "*docker-credential-test: *"},
    {"it babbles", STORE, "#!/bin/sh\necho 'Username: user, Secret: hunter2'",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_INVALID,
        "localhost:*/app:v1: credentials for localhost:*: docker-credential-test: its answer "
        "is "
        "not valid JSON"},
    {"it gives bytes", STORE, "#!/bin/sh\nprintf '\\0\\377\\033[2J'",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_INVALID,
        "*: docker-credential-test: its answer is not valid JSON"},
    {"it gives a list", STORE, "#!/bin/sh\necho '[1]'", {{MANIFEST, 0, 0, ASK("Basic"), 0}},
        COB_INVALID, "*: docker-credential-test: its answer is not an object"},
    {"it gives numbers", STORE, "#!/bin/sh\necho '{\"Username\": 7, \"Secret\": []}'",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_INVALID,
        "*: docker-credential-test: Username is not a string"},
    {"it gives nothing", STORE, "#!/bin/sh\n:", {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_INVALID,
        "*: docker-credential-test: its answer is not valid JSON"},
    {"its password would break the header", STORE,
        "#!/bin/sh\nprintf %s '{\"Username\": \"user\", \"Secret\": \"a\\r\\nX-Evil: 1\"}'",
        {{MANIFEST, 0, 0, ASK("Basic"), 0},
            {MANIFEST, "Authorization: Basic dXNlcjphDQpYLUV2aWw6IDE=\r\n", "X-Evil", OK, 0}},
        0, 0},
    {"it fails, and draws", STORE, "#!/bin/sh\nprintf '\\033[2J\\007locked' >&2; exit 1",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_UNAUTHENTICATED,
        "*: docker-credential-test: exit code 1: \\x1b?2J\\x07locked"},
    {"it fails after all was said", STORE,
        "#!/bin/sh\necho '{\"Username\": \"user\", \"Secret\": \"hunter2\"}'; exit 1",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_UNAUTHENTICATED,
        "*: docker-credential-test: exit code 1"},
    {"it is killed", STORE, "#!/bin/sh\nkill -9 $$", {{MANIFEST, 0, 0, ASK("Basic"), 0}},
        COB_UNAUTHENTICATED, "*: docker-credential-test: exit code 137"},
    {"its name leads elsewhere", "{\"credsStore\": \"../../x\"}", "",
        {{MANIFEST, 0, 0, ASK("Basic"), 0}}, COB_INVALID,
        "*: \"../../x\" is not the name of a credential helper"},
    {"it is not there", "{\"credsStore\": \"nowhere\"}", "", {{MANIFEST, 0, 0, ASK("Basic"), 0}},
        COB_NOT_FOUND, "*run docker-credential-nowhere: no such program in PATH"},
};

static void test_helper_table(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(helper_rows); i++) {
        struct fixture f;

        fixture_init(&f, helper_rows[i].config);
        write_helper(&f, helper_rows[i].script);
        fixture_start(&f, helper_rows[i].rows, (struct script_row[]){{0}});
        if (helper_rows[i].code == 0)
            CHECK_OK(pull(&f));
        else
            CHECK_ERROR(pull(&f), helper_rows[i].code, helper_rows[i].error);
        check_row(fixture_done(&f), i, helper_rows[i].name);
    }
}

/* What a public registry may name as realm; nothing is ever sent. */
static void test_realm_of_public_registry_table(void)
{
    static const struct {
        const char *realm, *error;
    } rows[] = {
        {"http://reg.example/token", "*: it must be https, as the registry is"},
        {"https://127.0.0.1/token", "*: a public registry may not point to a private address"},
        {"https://127.1/token", "*private address"},
        {"https://0x7f.1/token", "*private address"},
        {"https://2130706433/token", "*private address"},
        {"https://localhost/token", "*private address"},
        {"https://LOCALHOST./token", "*private address"},
        {"https://a.localhost/token", "*private address"},
        {"https://[::1]/token", "*private address"},
        {"https://[::ffff:10.0.0.1]/token", "*private address"},
        {"https://[fe80::1]/token", "*private address"},
        {"https://[fd00::1]/token", "*private address"},
        {"https://0.0.0.0/token", "*private address"},
        {"https://10.1.2.3:8443/token", "*private address"},
        {"https://172.31.255.255/token", "*private address"},
        {"https://192.168.0.1/token", "*private address"},
        {"https://169.254.169.254/latest/meta-data", "*private address"},
        {"https://100.64.0.1/token", "*private address"},
    };
    struct fixture f;
    struct cob_http_timing timing = {.connect_ms = 1000, .stall_ms = 1000};
    struct cob_http *http = NULL;
    static const char *const none[] = {NULL};
    const struct server_config *server = NULL;

    fixture_init(&f, NULL);
    fixture_start(&f, (struct script_row[]){{0}}, (struct script_row[]){{0}});
    CHECK_OK(cob_http_open(&timing, &http));
    struct server_table *servers = registry_servers_new("", none);
    struct token_cache *tokens = registry_tokens_new(http, servers, "", 1000);
    CHECK_OK(registry_servers_get(servers, "reg.example", &server));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) challenges = registry_challenges_new();
        g_autofree char *header = g_strdup_printf("Bearer realm=\"%s\"", rows[i].realm);
        g_autofree char *got = NULL;

        registry_challenge_parse(header, challenges);
        CHECK_ERROR(
            registry_token_get(tokens, server, "app", /* is_push= */ false, challenges, NULL, &got),
            COB_DENIED, rows[i].error);
        check_row(got == NULL, i, rows[i].realm);
    }
    registry_tokens_free(tokens);
    registry_servers_free(servers);
    cob_http_close(http);
    g_assert_true(fixture_done(&f));
}

/* "auths" of docker.io stand under an address of old. */
static void test_docker_io_is_at_its_realm(void)
{
    static const char *const none[] = {NULL};
    struct server_table *servers = registry_servers_new("", none);
    const struct server_config *server = NULL;

    CHECK_OK(registry_servers_get(servers, "docker.io", &server));
    g_autofree char *base = registry_server_base(server);
    g_assert_true(g_str_has_prefix(base, "https://registry-1."));
    g_assert_nonnull(server->realm_host);
    registry_servers_free(servers);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/auth/token-table", test_token_table);
    g_test_add_func("/auth/evil-table", test_evil_table);
    g_test_add_func("/auth/token-is-kept-until-refused", test_token_is_kept_until_refused);
    g_test_add_func("/auth/mirror-never-sees-the-login", test_mirror_never_sees_the_login);
    g_test_add_func("/auth/helper-table", test_helper_table);
    g_test_add_func("/auth/realm-of-public-registry-table", test_realm_of_public_registry_table);
    g_test_add_func("/auth/docker-io-is-at-its-realm", test_docker_io_is_at_its_realm);
    return g_test_run();
}
