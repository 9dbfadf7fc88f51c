/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "net/registry/registry.h"
#include "script_server.h"
#include "util/digest.h"

#define BODY "abcdefghijklmnopqrstuvwxyz"
#define TYPE "application/vnd.oci.image.manifest.v1+json"
#define HEAD "HEAD /v2/app/blobs/{digest} "
#define POST "POST /v2/app/blobs/uploads/ "
#define PUT "PUT /v2/app/blobs/uploads/u1?digest={digest} "
#define PATCH "PATCH /v2/app/blobs/uploads/u1 "
#define ASK "GET /v2/app/blobs/uploads/u1 "
#define PUT_MANIFEST "PUT /v2/app/manifests/v1 "
#define STATUS(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
#define WITH(status, header) "HTTP/1.1 " status "\r\n" header "\r\nContent-Length: 0\r\n\r\n"
#define BEGUN WITH("202 Accepted", "Location: /v2/app/blobs/uploads/u1")
#define MISSING STATUS("404 X")
#define MAX_ROWS 14

/* What a case pushes. */
enum what {
    SMALL, /* a blob by one PUT */
    LARGE, /* a blob that can be resumed */
    MOUNTED,
    MANIFEST,
};

/* A script, and how the call must end. */
struct scenario {
    const char *name;
    enum what what;
    struct script_row rows[MAX_ROWS];
    enum cob_code code; /* 0: it works */
    const char *error;  /* a glob */
};

static struct cob_registry *new_registry(uint64_t one_put_bytes)
{
    static const char *const none[] = {NULL};
    struct cob_registry_config config = {.docker_config = "",
        .registries = "",
        .cert_dirs = none,
        .timing = {.n_tries = 3,
            .backoff_ms = 2,
            .backoff_max_ms = 4,
            .retry_after_ms = 2500,
            .connect_ms = 2000,
            .stall_ms = 300},
        .one_put_bytes = one_put_bytes};

    return cob_registry_new(&config);
}

static struct cob_error *read_text(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n)
{
    const char *text = arg;

    *ret_n = MIN(len, strlen(text) - offset);
    memcpy(buffer, text + offset, *ret_n);
    return NULL;
}

static struct cob_error *push(
    struct cob_registry *registry, enum what what, unsigned port, struct cob_cancel *cancel)
{
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autofree char *text = g_strdup_printf("localhost:%u/app:v1", port);
    g_autoptr(GBytes) bytes = g_bytes_new_static(BODY, strlen(BODY));
    g_autoptr(cob_ref) ref = NULL;
    const struct cob_registry_source source = {.read = read_text,
        .arg = (void *)(uintptr_t)BODY,
        .mount_from = what == MOUNTED ? "other/app" : NULL};

    COB_TRY(cob_ref_parse(text, &ref));
    if (what == MANIFEST)
        return cob_registry_push_manifest(registry, ref, TYPE, bytes, cancel);
    const struct cob_registry_blob blob = {ref, digest, strlen(BODY)};
    return cob_registry_push_blob(registry, &blob, &source, cancel, NULL);
}

static void play(const struct scenario *scenario, size_t n)
{
    struct script_server *server = script_server_new();
    struct script_server *other = script_server_new();
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autoptr(cob_registry) registry = new_registry(scenario->what == LARGE ? 10 : 1000);

    script_server_start(server, scenario->rows, digest, script_server_port(other));
    struct cob_error *err = push(registry, scenario->what, script_server_port(server), NULL);
    bool is_ok = scenario->code == 0 ? err == NULL : err && cob_error_code(err) == scenario->code;
    if (scenario->code == 0)
        CHECK_OK(err);
    else
        CHECK_ERROR(err, scenario->code, scenario->error);
    is_ok = script_server_free(server) && is_ok;
    static const struct script_row nothing[] = {{NULL, NULL, NULL, NULL, SCRIPT_CLOSE}};
    script_server_start(other, nothing, digest, 0);
    is_ok = script_server_free(other) && is_ok;
    check_row(is_ok, n, scenario->name);
}

static void test_small_table(void)
{
    static const struct scenario rows[] = {
        {"there already", SMALL, {{HEAD, 0, 0, STATUS("200 OK"), 0}}, COB_DATA_LOSS,
            "*: the registry has 0 bytes under its digest, not 26"},
        {"there, of the right size", SMALL,
            {{HEAD, 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n", 0}}, 0, 0},
        {"put", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, "Content-Length: 0\r\n", 0, BEGUN, 0},
                {PUT, "\r\n\r\n" BODY, 0, STATUS("201 Created"), 0}},
            0, 0},
        {"a location with a query, and absolute", SMALL,
            {{HEAD, 0, 0, MISSING, 0},
                {POST, 0, 0,
                    WITH("202 X",
                        "Location: http://localhost:{port}/v2/app/blobs/uploads/u1?_state=a"),
                    0},
                {"PUT /v2/app/blobs/uploads/u1?_state=a&digest={digest} ",
                    "Content-Type: application/octet-stream\r\n", 0, STATUS("201 Created"), 0}},
            0, 0},
        {"no location", SMALL, {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, STATUS("202 X"), 0}},
            COB_UNKNOWN,
            "push localhost:*/app: blob sha256:*: the registry does not say where to upload to"},
        {"a location that is none", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, WITH("202 X", "Location: ftp://x/y"), 0}},
            COB_INVALID, "*: upload: URL \"ftp://x/y\": *"},
        {"says another digest", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PUT, 0, 0,
                    WITH("201 X", "Docker-Content-Digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427"
                                  "ae41e4649b934ca495991b7852b855"),
                    0}},
            COB_DATA_LOSS, "*: the registry says that it has sha256:e3b0* now"},
        {"too large", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, 0, 0, STATUS("413 X"), 0}},
            COB_EXHAUSTED, "*: 26 bytes are too many for the registry"},
        {"no such repository", SMALL, {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, MISSING, 0}},
            COB_NOT_FOUND, "*: the registry has no such repository, or upload"},
        {"read-only", SMALL, {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, STATUS("405 X"), 0}},
            COB_UNIMPLEMENTED, "*: the registry takes no pushes"},
        {"forbidden", SMALL,
            {{HEAD, 0, 0, MISSING, 0},
                {POST, 0, 0,
                    "HTTP/1.1 403 X\r\n\r\n"
                    "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no \\u001b[1m\"}]}",
                    0}},
            COB_DENIED, "*: push access denied, *: server message: DENIED: no *"},
        {"the upload is forgotten, then not", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, 0, 0, MISSING, 0},
                {HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PUT, BODY, 0, STATUS("201 X"), 0}},
            0, 0},
        {"forgotten each time", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, 0, 0, MISSING, 0},
                {HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, 0, 0, MISSING, 0},
                {HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, 0, 0, MISSING, 0}},
            COB_NOT_FOUND, "*: the registry has no such repository, or upload"},
        {"put, and the answer is lost", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, BODY, 0, "", SCRIPT_RESET},
                {HEAD, 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n", 0}},
            0, 0},
        {"out of order, asked to wait", SMALL,
            {{HEAD, 0, 0, STATUS("503 X"), 0}, {HEAD, 0, 0, MISSING, 0},
                {POST, 0, 0, WITH("429 X", "Retry-After: 0"), 0}, {POST, 0, 0, BEGUN, 0},
                {PUT, 0, 0, STATUS("500 X"), 0}, {HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PUT, BODY, 0, STATUS("201 X"), 0}},
            0, 0},
        {"silent after all bytes", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PUT, BODY, 0, "", SCRIPT_HANG},
                {HEAD, 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n", 0}},
            0, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_mount_table(void)
{
    static const struct scenario rows[] = {
        {"mounted", MOUNTED,
            {{HEAD, 0, 0, MISSING, 0},
                {"POST /v2/app/blobs/uploads/?mount={digest}&from=other/app ", 0, 0,
                    STATUS("201 Created"), 0}},
            0, 0},
        {"not mounted after all", MOUNTED,
            {{HEAD, 0, 0, MISSING, 0},
                {"POST /v2/app/blobs/uploads/?mount={digest}&from=other/app ", 0, 0, BEGUN, 0},
                {PUT, BODY, 0, STATUS("201 Created"), 0}},
            0, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_redirect_table(void)
{
    static const struct scenario rows[] = {
        {"bytes follow a redirect that keeps the method", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PUT, 0, 0, WITH("307 X", "Location: /store"), 0},
                {"PUT /store ", BODY, 0, STATUS("201 X"), 0}},
            0, 0},
        {"and not one that does not", SMALL,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PUT, 0, 0, WITH("302 X", "Location: /store"), 0}},
            COB_DENIED, "*: redirect to /store: status 302 is not followed with PUT"},
        {"endless", SMALL,
            {{HEAD, 0, 0, WITH("307 X", "Location: /1"), 0},
                {"HEAD /1 ", 0, 0, WITH("307 X", "Location: /2"), 0},
                {"HEAD /2 ", 0, 0, WITH("307 X", "Location: /3"), 0},
                {"HEAD /3 ", 0, 0, WITH("307 X", "Location: /4"), 0},
                {"HEAD /4 ", 0, 0, WITH("307 X", "Location: /5"), 0},
                {"HEAD /5 ", 0, 0, WITH("307 X", "Location: /6"), 0},
                {"HEAD /6 ", 0, 0, WITH("307 X", "Location: /7"), 0},
                {"HEAD /7 ", 0, 0, WITH("307 X", "Location: /8"), 0},
                {"HEAD /8 ", 0, 0, WITH("307 X", "Location: /9"), 0},
                {"HEAD /9 ", 0, 0, WITH("307 X", "Location: /10"), 0},
                {"HEAD /10 ", 0, 0, WITH("307 X", "Location: /11"), 0}},
            COB_EXHAUSTED, "*: redirect to /11: more than 10 in a row"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_large_table(void)
{
    static const struct scenario rows[] = {
        {"patched, then closed", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PATCH, BODY, "Content-Range", WITH("202 X", "Range: 0-25"), 0},
                {PUT, "Content-Length: 0\r\n", 0, STATUS("201 X"), 0}},
            0, 0},
        {"the location moves on", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PATCH, BODY, 0, WITH("202 X", "Location: /v2/next?s=2"), 0},
                {"PUT /v2/next?s=2&digest={digest} ", 0, 0, STATUS("201 X"), 0}},
            0, 0},
        {"cut, asked, gone on", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PATCH, 0, 0, "", SCRIPT_RESET},
                {ASK, 0, 0, WITH("204 X", "Range: 0-9"), 0},
                {PATCH, "Content-Range: 10-25\r\n", "abcdefghij", WITH("202 X", "Range: 0-25"), 0},
                {PUT, 0, 0, STATUS("201 X"), 0}},
            0, 0},
        {"cut, and all was there", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PATCH, 0, 0, "", SCRIPT_RESET},
                {ASK, 0, 0, WITH("204 X", "Range: 0-25"), 0}, {PUT, 0, 0, STATUS("201 X"), 0}},
            0, 0},
        {"cut, and the upload is forgotten", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PATCH, 0, 0, "", SCRIPT_RESET},
                {ASK, 0, 0, MISSING, 0}, {HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PATCH, BODY, 0, STATUS("202 X"), 0}, {PUT, 0, 0, STATUS("201 X"), 0}},
            0, 0},
        {"nothing came", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PATCH, 0, 0, STATUS("500 X"), 0},
                {ASK, 0, 0, WITH("204 X", "Range: 0-0"), 0},
                {PATCH, BODY, "Content-Range", STATUS("202 X"), 0},
                {PUT, 0, 0, STATUS("201 X"), 0}},
            0, 0},
        {"more than there is", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PATCH, 0, 0, WITH("202 X", "Range: 0-26"), 0}},
            COB_DATA_LOSS, "*: the registry has 27 bytes of its 26"},
        {"a range that is none", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0},
                {PATCH, 0, 0, WITH("202 X", "Range: 5-9"), 0}},
            COB_DATA_LOSS, "*: the registry has range \"5-9\" of it"},
        {"too large", LARGE,
            {{HEAD, 0, 0, MISSING, 0}, {POST, 0, 0, BEGUN, 0}, {PATCH, 0, 0, STATUS("413 X"), 0}},
            COB_EXHAUSTED, "*: 26 bytes are too many for the registry"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

static void test_manifest_table(void)
{
    static const struct scenario rows[] = {
        {"put", MANIFEST, {{PUT_MANIFEST, "Content-Type: " TYPE "\r\n", 0, STATUS("201 X"), 0}}, 0,
            0},
        {"again after a break", MANIFEST,
            {{PUT_MANIFEST, 0, 0, "", SCRIPT_RESET}, {PUT_MANIFEST, BODY, 0, STATUS("201 X"), 0}},
            0, 0},
        {"says another digest", MANIFEST,
            {{PUT_MANIFEST, 0, 0,
                WITH("201 X", "Docker-Content-Digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427"
                              "ae41e4649b934ca495991b7852b855"),
                0}},
            COB_DATA_LOSS, "push localhost:*/app:v1: the registry says that it has sha256:e3b0*"},
        {"refused", MANIFEST,
            {{PUT_MANIFEST, 0, 0,
                "HTTP/1.1 400 X\r\n\r\n"
                "{\"errors\":[{\"code\":\"MANIFEST_INVALID\",\"message\":\"odd thing\"}]}",
                0}},
            COB_UNKNOWN, "*: unexpected status 400: server message: MANIFEST_INVALID: odd thing"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        play(&rows[i], i);
}

/* Where a registry sends bytes to, its login does not go. */
static void test_login_stays_at_home(void)
{
    struct script_server *server = script_server_new();
    struct script_server *store = script_server_new();
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autofree char *scratch = check_scratch_new();
    g_autofree char *config = g_build_filename(scratch, "config.json", NULL);
    g_autofree char *login =
        g_strdup_printf("{\"auths\":{\"localhost:%u\":{\"auth\":\"dGVzdGVyOnNlY3JldA==\"}}}",
            script_server_port(server));
    static const struct script_row rows[] = {
        {HEAD, 0, "Authorization", WITH("401 X", "WWW-Authenticate: Basic realm=\"x\""), 0},
        {HEAD, "Authorization: Basic dGVzdGVyOnNlY3JldA==\r\n", 0, MISSING, 0},
        {POST, "Authorization: Basic ", 0,
            WITH("202 X", "Location: http://127.0.0.1:{other}/upload"), 0},
        {NULL, 0, 0, 0, 0},
    };
    static const struct script_row store_rows[] = {
        {"PUT /upload?digest={digest} ", BODY, "Authorization", STATUS("201 X"), 0},
        {NULL, 0, 0, 0, 0},
    };
    static const char *const none[] = {NULL};
    struct cob_registry_config settings = {
        .docker_config = config, .registries = "", .cert_dirs = none};

    g_assert_true(g_file_set_contents(config, login, -1, NULL));
    script_server_start(server, rows, digest, script_server_port(store));
    script_server_start(store, store_rows, digest, 0);
    g_autoptr(cob_registry) registry = cob_registry_new(&settings);
    CHECK_OK(push(registry, SMALL, script_server_port(server), NULL));
    g_assert_true(script_server_free(server));
    g_assert_true(script_server_free(store));
    check_scratch_free(g_steal_pointer(&scratch));
}

/* A login that runs out in the middle of an upload is asked for anew, and bytes go again. */
static void test_login_runs_out(void)
{
    struct script_server *server = script_server_new();
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    static const struct script_row rows[] = {
        {HEAD, 0, 0, MISSING, 0},
        {POST, 0, 0,
            WITH("401 X",
                "WWW-Authenticate: Bearer realm=\"http://localhost:{port}/t\",service=\"s\""),
            0},
        {"GET /t?service=s&scope=repository%3Aapp%3Apull%2Cpush ", 0, 0,
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"token\":\"one\"}", 0},
        {POST, "Authorization: Bearer one\r\n", 0, BEGUN, 0},
        {PUT, "Authorization: Bearer one\r\n", 0,
            WITH("401 X",
                "WWW-Authenticate: Bearer realm=\"http://localhost:{port}/t\",service=\"s\""),
            0},
        {"GET /t?", 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"token\":\"two\"}", 0},
        {PUT, "Authorization: Bearer two\r\n", 0, STATUS("201 X"), 0},
        {NULL, 0, 0, 0, 0},
    };
    g_autoptr(cob_registry) registry = new_registry(1000);

    script_server_start(server, rows, digest, 0);
    CHECK_OK(push(registry, SMALL, script_server_port(server), NULL));
    g_assert_true(script_server_free(server));
}

static gpointer cancel_soon(gpointer data)
{
    g_usleep(100 * 1000);
    cob_cancel_trigger(data);
    return NULL;
}

static void test_cancel(void)
{
    struct script_server *server = script_server_new();
    g_autofree char *digest = cob_digest_of(BODY, strlen(BODY));
    g_autoptr(cob_cancel) cancel = NULL;
    static const struct script_row rows[] = {
        {HEAD, 0, 0, MISSING, 0},
        {POST, 0, 0, BEGUN, 0},
        {PUT, 0, 0, "", SCRIPT_HANG},
        {NULL, 0, 0, 0, 0},
    };
    static const char *const none[] = {NULL};
    struct cob_registry_config settings = {
        .docker_config = "", .registries = "", .cert_dirs = none};
    g_autoptr(cob_registry) registry = cob_registry_new(&settings);

    CHECK_OK(cob_cancel_new(&cancel));
    script_server_start(server, rows, digest, 0);
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    int64_t before = g_get_monotonic_time();
    CHECK_ERROR(push(registry, SMALL, script_server_port(server), cancel), COB_CANCELLED, "push *");
    g_assert_cmpint(g_get_monotonic_time() - before, <, 1000 * 1000);
    g_thread_join(thread);
    g_assert_true(script_server_free(server));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/registry/push/small", test_small_table);
    g_test_add_func("/registry/push/mount", test_mount_table);
    g_test_add_func("/registry/push/redirects", test_redirect_table);
    g_test_add_func("/registry/push/large", test_large_table);
    g_test_add_func("/registry/push/manifest", test_manifest_table);
    g_test_add_func("/registry/push/login-stays-at-home", test_login_stays_at_home);
    g_test_add_func("/registry/push/login-runs-out", test_login_runs_out);
    g_test_add_func("/registry/push/cancel", test_cancel);
    return g_test_run();
}
