/* SPDX-License-Identifier: Apache-2.0 */
/* Caches in a real registry, started by tests/lib/registry.sh, also through a line that breaks. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "build/cachebackend/cachebackend.h"
#include "check.h"
#include "cut_proxy.h"
#include "spec/oci/oci.h"
#include "util/digest.h"

#define LARGE_BYTES (3 * 1000 * 1000)
#define ONE_PUT_BYTES (1000 * 1000)

/* A shell that keeps the registry for as long as its standard input is open. */
struct fixture {
    char *scratch;
    GPid pid;
    int in_fd;
    char *host; /* "localhost:PORT" */
    struct cob_registry *registry;
};

static const char script[] =
    "set -eu; . \"$LIB\"; registry_start \"$1\" \"$2\"; echo $REGISTRY; read -r line || :; "
    "registry_stop\n";

static bool can_run(void)
{
    static const char *const programs[] = {"bash", "docker-registry", "openssl", "python3"};

    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i]);
        g_autofree char *why = g_strdup_printf("there is no %s", programs[i]);

        if (!path) {
            check_skip(why);
            return false;
        }
    }
    return true;
}

static void fixture_init(struct fixture *f, const char *mode)
{
    char line[100] = "";
    int out_fd = -1;

    *f = (struct fixture){.scratch = check_scratch_new()};
    const char *argv[] = {"bash", "-c", script, "bash", mode, f->scratch, NULL};
    g_assert(g_spawn_async_with_pipes(NULL, (char **)(uintptr_t)argv, NULL,
        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &f->pid, &f->in_fd, &out_fd,
        NULL, NULL));
    ssize_t n = read(out_fd, line, sizeof(line) - 1);
    close(out_fd);
    f->host = g_strndup(line, n > 0 ? (size_t)n : 0);
    g_strchomp(f->host);
    g_assert_cmpstr(f->host, !=, "");
}

static void fixture_done(struct fixture *f)
{
    int status = 0;

    close(f->in_fd);
    waitpid(f->pid, &status, 0);
    g_assert_cmpint(status, ==, 0);
    g_spawn_close_pid(f->pid);
    cob_registry_free(f->registry);
    g_free(f->host);
    check_scratch_free(f->scratch);
}

static void use_registry(struct fixture *f, bool with_ca, const char *config_name)
{
    g_autofree char *certs = g_build_filename(f->scratch, "certs.d", NULL);
    g_autofree char *config =
        config_name ? g_build_filename(f->scratch, config_name, NULL) : g_strdup("");
    const char *const dirs[] = {with_ca ? certs : NULL, NULL};
    struct cob_registry_config settings = {.docker_config = config,
        .registries = "",
        .cert_dirs = dirs,
        .timing = {.n_tries = 4, .backoff_ms = 10},
        .one_put_bytes = ONE_PUT_BYTES};

    cob_registry_free(f->registry);
    f->registry = cob_registry_new(&settings);
}

/* A backend and what belongs to it. */
struct place {
    struct cob_cachebackend_options *options;
    struct cob_cachebackend *backend;
};

static void open_place(struct place *place, const struct fixture *f, enum cob_cachebackend_way way,
    const char *host, const char *tail)
{
    g_autofree char *text = g_strdup_printf("type=registry,ref=%s/%s", host, tail);

    *place = (struct place){NULL, NULL};
    CHECK_OK(cob_cachebackend_options_parse(text, way, &place->options));
    CHECK_OK(cob_cachebackend_open(place->options, f->registry, NULL, &place->backend));
}

static void close_place(struct place *place)
{
    cob_cachebackend_close(place->backend);
    cob_cachebackend_options_free(place->options);
}

/* A file of random bytes. */
struct blob {
    char *digest;
    int fd;
    gsize size;
};

static struct blob new_blob(const struct fixture *f, gsize size)
{
    g_autofree char *path = g_build_filename(f->scratch, "blob", NULL);
    g_autofree guint32 *data = g_malloc(size + 4);

    for (gsize i = 0; i <= size / 4; i++)
        data[i] = g_random_int();
    g_assert_true(g_file_set_contents(path, (const char *)data, (gssize)size, NULL));
    return (struct blob){cob_digest_of(data, size), open(path, O_RDONLY | O_CLOEXEC), size};
}

static void blob_done(struct blob *blob)
{
    g_free(blob->digest);
    close(blob->fd);
}

static struct cob_error *count_bytes(void *arg, const void *data, size_t len)
{
    (void)data;
    *(uint64_t *)arg += len;
    return NULL;
}

static struct cob_error *drop_count(void *arg)
{
    *(uint64_t *)arg = 0;
    return NULL;
}

static void check_blob_is_there(struct cob_cachebackend *backend, const struct blob *blob)
{
    uint64_t n_bytes = 0;
    const struct cob_registry_sink sink = {
        .write = count_bytes, .restart = drop_count, .arg = &n_bytes};

    CHECK_OK(cob_cachebackend_get_blob(backend, blob->digest, blob->size, &sink));
    g_assert_cmpuint(n_bytes, ==, blob->size);
}

/* A manifest that the registry takes: what it names must be there. */
static GBytes *put_manifest(struct cob_cachebackend *backend, const struct blob *blob)
{
    g_autoptr(GBytes) config = g_bytes_new_static("{\"layers\":[]}", 13);
    g_autofree char *digest = NULL;

    CHECK_OK(cob_cachebackend_put_bytes(backend, config, &digest));
    g_autofree char *text = g_strdup_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\",\"config\":{"
        "\"mediaType\":\"application/vnd.buildkit.cacheconfig.v0\",\"digest\":\"%s\",\"size\":13},"
        "\"layers\":[{\"mediaType\":\"" COB_OCI_TYPE_LAYER_GZIP
        "\",\"digest\":\"%s\",\"size\":%zu}]}",
        digest, blob->digest, blob->size);

    return g_bytes_new(text, strlen(text));
}

static void check_round_trip(const struct fixture *f, const char *tail)
{
    struct blob small = new_blob(f, 1000), large = new_blob(f, LARGE_BYTES);
    g_autoptr(cob_cachebackend_document) document = NULL;
    struct place out, in;
    bool is_new = false, has = true, is_put = false;

    open_place(&out, f, COB_CACHEBACKEND_EXPORT, f->host, tail);
    CHECK_OK(cob_cachebackend_has_blob(out.backend, large.digest, large.size, &has));
    g_assert_false(has);
    CHECK_OK(cob_cachebackend_put_blob(out.backend, small.digest, 1000, small.fd, &is_new));
    g_assert_true(is_new);
    CHECK_OK(cob_cachebackend_put_blob(out.backend, large.digest, large.size, large.fd, &is_new));
    g_assert_true(is_new);
    CHECK_OK(cob_cachebackend_put_blob(out.backend, large.digest, large.size, large.fd, &is_new));
    g_assert_false(is_new);
    g_autoptr(GBytes) manifest = put_manifest(out.backend, &large);
    CHECK_OK(cob_cachebackend_get_document(out.backend, NULL, &document));
    g_assert_null(document);
    CHECK_OK(cob_cachebackend_put_document(
        out.backend, NULL, COB_OCI_TYPE_MANIFEST, manifest, NULL, &is_put));
    g_assert_true(is_put);

    open_place(&in, f, COB_CACHEBACKEND_IMPORT, f->host, tail);
    CHECK_OK(cob_cachebackend_get_document(in.backend, NULL, &document));
    g_assert_true(document && g_bytes_equal(document->bytes, manifest));
    CHECK_OK(cob_cachebackend_has_blob(in.backend, small.digest, small.size, &has));
    g_assert_true(has);
    check_blob_is_there(in.backend, &small);
    check_blob_is_there(in.backend, &large);
    CHECK_OK(cob_cachebackend_put_document(
        out.backend, NULL, COB_OCI_TYPE_MANIFEST, manifest, NULL, &is_put));
    g_assert_false(is_put); /* it is there, and was not seen */
    CHECK_OK(cob_cachebackend_put_document(
        out.backend, "other", COB_OCI_TYPE_MANIFEST, manifest, NULL, NULL));
    close_place(&out);
    close_place(&in);
    blob_done(&small);
    blob_done(&large);
}

static void test_modes(void)
{
    static const struct {
        const char *mode, *tail, *config;
        bool with_ca;
    } rows[] = {
        {"plain", "team/cache:v1", NULL, false},
        {"plain", "team/cache:v1,registry.insecure=true", NULL, false},
        {"tls", "team/cache:v1", NULL, true},
        {"tls", "cache,registry.insecure=true", NULL, false},
        {"auth", "team/cache:v1", "config.json", true},
    };

    if (!can_run())
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fixture f;

        fixture_init(&f, rows[i].mode);
        use_registry(&f, rows[i].with_ca, rows[i].config);
        check_round_trip(&f, rows[i].tail);
        check_row(!g_test_failed(), i, rows[i].mode);
        fixture_done(&f);
    }
}

static void test_wrong_password_is_not_shown(void)
{
    struct fixture f;
    struct place place;

    if (!can_run())
        return;
    fixture_init(&f, "auth");
    g_autofree char *auth = g_base64_encode((const guchar *)"tester:CANARY", 13);
    g_autofree char *config =
        g_strdup_printf("{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}", f.host, auth);
    g_autofree char *path = g_build_filename(f.scratch, "wrong.json", NULL);
    g_assert_true(g_file_set_contents(path, config, -1, NULL));
    use_registry(&f, true, "wrong.json");
    struct blob blob = new_blob(&f, 1000);

    open_place(&place, &f, COB_CACHEBACKEND_EXPORT, f.host, "app");
    struct cob_error *err =
        cob_cachebackend_put_blob(place.backend, blob.digest, blob.size, blob.fd, NULL);
    g_autofree char *message = err ? cob_error_message(err) : g_strdup("");
    g_assert_null(strstr(message, "CANARY"));
    g_assert_null(strstr(message, auth));
    CHECK_ERROR(err, COB_DENIED, "cache type=registry,ref=*: push access denied, *");
    close_place(&place);
    blob_done(&blob);
    fixture_done(&f);
}

/* A thread that pushes through the backend of all. */
struct pusher {
    struct cob_cachebackend *backend;
    struct blob own, common;
};

static gpointer push_both(gpointer data)
{
    struct pusher *pusher = data;
    struct blob *blobs[] = {&pusher->common, &pusher->own};

    for (size_t i = 0; i < G_N_ELEMENTS(blobs); i++) {
        CHECK_OK(cob_cachebackend_put_blob(
            pusher->backend, blobs[i]->digest, blobs[i]->size, blobs[i]->fd, NULL));
        check_blob_is_there(pusher->backend, blobs[i]);
    }
    return NULL;
}

static void test_side_by_side(void)
{
    struct fixture f;
    struct place place;
    struct pusher pushers[4];
    GThread *threads[G_N_ELEMENTS(pushers)];

    if (!can_run())
        return;
    fixture_init(&f, "auth");
    use_registry(&f, true, "config.json");
    open_place(&place, &f, COB_CACHEBACKEND_EXPORT, f.host, "app");
    struct blob common = new_blob(&f, LARGE_BYTES);
    for (size_t i = 0; i < G_N_ELEMENTS(pushers); i++)
        pushers[i] = (struct pusher){place.backend, new_blob(&f, LARGE_BYTES + i), common};
    for (size_t i = 0; i < G_N_ELEMENTS(pushers); i++)
        threads[i] = g_thread_new("pusher", push_both, &pushers[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(pushers); i++) {
        g_thread_join(threads[i]);
        blob_done(&pushers[i].own);
    }
    blob_done(&common);
    close_place(&place);
    fixture_done(&f);
}

/* It takes connections, and never says anything. */
static void test_timeout(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    cob_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char *const tails[] = {"app,timeout=1s", "app,timeout=1s,registry.insecure=true"};

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, len), ==, 0);
    g_assert_cmpint(listen(fd, 16), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
        struct fixture f = {.scratch = check_scratch_new()};
        g_autofree char *host = g_strdup_printf("localhost:%u", ntohs(address.sin_port));
        g_autoptr(cob_cachebackend_document) document = NULL;
        struct place place;

        use_registry(&f, false, NULL);
        open_place(&place, &f, COB_CACHEBACKEND_IMPORT, host, tails[i]);
        int64_t before = g_get_monotonic_time();
        CHECK_ERROR(cob_cachebackend_get_document(place.backend, NULL, &document), COB_TIMEOUT,
            "cache type=registry,*: no answer within 1 s");
        g_assert_cmpint(g_get_monotonic_time() - before, <, 3000 * 1000);
        close_place(&place);
        cob_registry_free(f.registry);
        check_scratch_free(f.scratch);
    }
}

/* Push and get through a line that breaks after the k-th byte. */
static guint64 push_through(
    const struct fixture *f, const char *name, enum cut_way way, guint64 k, enum cut_way counted)
{
    unsigned port = (unsigned)g_ascii_strtoull(strchr(f->host, ':') + 1, NULL, 10);
    struct cut_proxy *proxy = cut_proxy_new(port, way, k);
    g_autofree char *host = g_strdup_printf("localhost:%u", cut_proxy_port(proxy));
    struct blob blob = new_blob(f, LARGE_BYTES);
    struct place place;

    open_place(&place, f, COB_CACHEBACKEND_EXPORT, host, name);
    CHECK_OK(cob_cachebackend_put_blob(place.backend, blob.digest, blob.size, blob.fd, NULL));
    g_autoptr(GBytes) manifest = put_manifest(place.backend, &blob);
    CHECK_OK(cob_cachebackend_put_document(
        place.backend, NULL, COB_OCI_TYPE_MANIFEST, manifest, NULL, NULL));
    check_blob_is_there(place.backend, &blob);
    close_place(&place);
    guint64 count = cut_proxy_count(proxy, counted);
    cut_proxy_free(proxy);
    blob_done(&blob);
    return count;
}

static void test_line_breaks(void)
{
    static const enum cut_way ways[] = {CUT_REQUEST, CUT_ANSWER};
    struct fixture f;
    guint64 n_cases = 0;

    if (!can_run())
        return;
    fixture_init(&f, "plain");
    use_registry(&f, false, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *whole = g_strdup_printf("whole%zu", i);
        guint64 total = push_through(&f, whole, ways[i], G_MAXUINT64, ways[i]);

        for (guint64 part = 0; part <= 8; part++) { /* also where one message ends */
            guint64 k = part < 4 ? part * 100 : total * part / 8;
            g_autofree char *name = g_strdup_printf("cut%zu:v%" G_GUINT64_FORMAT, i, k);

            push_through(&f, name, ways[i], k, ways[i]);
            check_row(!g_test_failed(), n_cases++, name);
        }
    }
    fixture_done(&f);
}

/* One of the exporters that add their line to a document. */
struct writer {
    const struct fixture *f;
    char name;
};

static gpointer add_lines(gpointer data)
{
    const struct writer *writer = data;
    struct place place;

    open_place(&place, writer->f, COB_CACHEBACKEND_EXPORT, writer->f->host, "merged");
    for (int i = 0; i < 4;) {
        g_autoptr(cob_cachebackend_document) seen = NULL;
        const char *mark = "";
        g_autofree char *lines = NULL;
        bool is_put = false;

        CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &seen));
        g_autofree char *text =
            seen ? g_strndup(g_bytes_get_data(seen->bytes, NULL), g_bytes_get_size(seen->bytes))
                 : NULL;
        if (text && (mark = strstr(text, "\"lines\":\"")))
            lines = g_strndup(mark + 9, strcspn(mark + 9, "\""));
        g_autofree char *mine = g_strdup_printf("%c%d", writer->name, i);
        bool is_there = lines && strstr(lines, mine);
        g_autofree char *next =
            g_strdup_printf("{\"schemaVersion\":2,\"mediaType\":\"" COB_OCI_TYPE_INDEX
                            "\",\"manifests\":[],\"annotations\":{\"lines\":\"%s%s%s\"}}",
                lines ? lines : "", is_there ? "" : " ", is_there ? "" : mine);
        g_autoptr(GBytes) bytes = g_bytes_new(next, strlen(next));
        CHECK_OK(cob_cachebackend_put_document(
            place.backend, NULL, COB_OCI_TYPE_INDEX, bytes, seen, &is_put));
        i += is_put;
    }
    close_place(&place);
    return NULL;
}

static void test_writers_lose_nothing(void)
{
    struct fixture f;
    struct place place;
    g_autoptr(cob_cachebackend_document) last = NULL;

    if (!can_run())
        return;
    fixture_init(&f, "plain");
    use_registry(&f, false, NULL);
    struct writer a = {&f, 'a'}, b = {&f, 'b'};
    GThread *beside = g_thread_new("writer", add_lines, &b);
    add_lines(&a);
    g_thread_join(beside);
    open_place(&place, &f, COB_CACHEBACKEND_IMPORT, f.host, "merged");
    CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &last));
    g_autofree char *text =
        last ? g_strndup(g_bytes_get_data(last->bytes, NULL), g_bytes_get_size(last->bytes))
             : g_strdup("");
    for (int i = 0; i < 8; i++) {
        g_autofree char *line = g_strdup_printf(" %c%d", i < 4 ? 'a' : 'b', i % 4);

        check_row(strstr(text, line) != NULL, (size_t)i, line);
    }
    close_place(&place);
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_setenv("LIB", REGISTRY_SH, TRUE);
    g_test_add_func("/cachebackend/registry/modes", test_modes);
    g_test_add_func("/cachebackend/registry/wrong-password", test_wrong_password_is_not_shown);
    g_test_add_func("/cachebackend/registry/side-by-side", test_side_by_side);
    g_test_add_func("/cachebackend/registry/timeout", test_timeout);
    g_test_add_func("/cachebackend/registry/line-breaks", test_line_breaks);
    g_test_add_func("/cachebackend/registry/writers-lose-nothing", test_writers_lose_nothing);
    return g_test_run();
}
