/* SPDX-License-Identifier: Apache-2.0 */
/* Against a real registry, started by tests/lib/registry.sh, and filled by skopeo. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "net/registry/registry.h"
#include "spec/oci/oci.h"

/* Does this machine have what the script needs? */
static bool can_run(void)
{
    static const char *const programs[] = {
        "bash", "docker-registry", "skopeo", "openssl", "python3"};

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

/* A shell that keeps the registry for as long as its standard input is open. */
struct fixture {
    char *scratch;
    GPid pid;
    int in_fd;
    char *host; /* "localhost:PORT" */
    struct cob_registry *registry;
};

/* Makes an OCI layout of two platforms by hand, pushes it, says where, and waits. */
static const char script[] =
    "set -eu; . \"$LIB\"; registry_start \"$1\" \"$2\"; cd \"$2\"\n"
    "python3 - <<'EOF'\n"
    "import gzip, hashlib, json, os\n"
    "os.makedirs('img/blobs/sha256')\n"
    "def put(data):\n"
    "    hex = hashlib.sha256(data).hexdigest()\n"
    "    open('img/blobs/sha256/' + hex, 'wb').write(data)\n"
    "    return {'digest': 'sha256:' + hex, 'size': len(data)}\n"
    "V = 'application/vnd.oci.image.'\n"
    "entries = []\n"
    "for arch in 'amd64', 'arm64':\n"
    "    tar = os.urandom(700000) + bytes(1024)\n"
    "    layer = dict(put(gzip.compress(tar)), mediaType=V + 'layer.v1.tar+gzip')\n"
    "    config = {'architecture': arch, 'os': 'linux', 'config': {}, 'rootfs': {'type': "
    "'layers',\n"
    "              'diff_ids': ['sha256:' + hashlib.sha256(tar).hexdigest()]}}\n"
    "    config = dict(put(json.dumps(config).encode()), mediaType=V + 'config.v1+json')\n"
    "    doc = {'schemaVersion': 2, 'mediaType': V + 'manifest.v1+json', 'config': config,\n"
    "           'layers': [layer]}\n"
    "    entries.append(dict(put(json.dumps(doc).encode()), mediaType=V + 'manifest.v1+json',\n"
    "                        platform={'os': 'linux', 'architecture': arch}))\n"
    "index = {'schemaVersion': 2, 'mediaType': V + 'index.v1+json', 'manifests': entries}\n"
    "top = dict(put(json.dumps(index).encode()), mediaType=V + 'index.v1+json')\n"
    "top['annotations'] = {'org.opencontainers.image.ref.name': 'latest'}\n"
    "json.dump({'schemaVersion': 2, 'manifests': [top]}, open('img/index.json', 'w'))\n"
    "json.dump({'imageLayoutVersion': '1.0.0'}, open('img/oci-layout', 'w'))\n"
    "EOF\n"
    "flags=--dest-cert-dir=certs.d/$REGISTRY; [ \"$1\" != plain ] || "
    "flags=--dest-tls-verify=false; [ \"$1\" != auth ] || flags=\"$flags --dest-creds "
    "tester:secret\"\n"
    "skopeo copy -q --all $flags oci:img:latest docker://$REGISTRY/team/app:v1 >skopeo.log 2>&1 "
    "||\n"
    "    { cat skopeo.log >&2; registry_stop; exit 1; }\n"
    "echo $REGISTRY; read -r line || :; registry_stop\n";

static void fixture_init(struct fixture *f, const char *mode)
{
    char line[100] = "";
    int out_fd = -1;

    *f = (struct fixture){.scratch = check_scratch_new()};
    g_setenv("LIB", REGISTRY_SH, TRUE);
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

static void use_registry(struct fixture *f, bool with_ca, bool with_login)
{
    g_autofree char *certs = g_build_filename(f->scratch, "certs.d", NULL);
    g_autofree char *config = g_build_filename(f->scratch, "config.json", NULL);
    const char *const dirs[] = {with_ca ? certs : NULL, NULL};
    struct cob_registry_config settings = {.docker_config = with_login ? config : "",
        .registries = "",
        .cert_dirs = dirs,
        .timing = {.n_tries = 2, .backoff_ms = 1}};

    cob_registry_free(f->registry);
    f->registry = cob_registry_new(&settings);
}

static struct cob_error *resolve(const struct fixture *f, const char *tail, const char *machine,
    struct cob_registry_image **ret_image)
{
    g_autofree char *text = g_strconcat(f->host, tail, NULL);
    g_autoptr(cob_platform) platform = cob_platform_of_machine(machine);
    g_autoptr(cob_ref) ref = NULL;

    COB_TRY(cob_ref_parse(text, &ref));
    return cob_registry_resolve(f->registry, ref, platform, NULL, ret_image);
}

/* Config and layer of an image, as the manifest names them. */
static void check_image(const struct fixture *f, const char *machine, const char *arch)
{
    g_autoptr(cob_registry_image) image = NULL;
    g_autoptr(cob_oci_manifest) manifest = NULL;
    g_autoptr(cob_oci_config) config = NULL;
    g_autoptr(cob_ref) ref = NULL;
    g_autoptr(GBytes) layer = NULL;
    g_autofree char *text = g_strconcat(f->host, "/team/app", NULL);

    CHECK_OK(resolve(f, "/team/app:v1", machine, &image));
    if (!image)
        return;
    g_assert_cmpstr(image->top->media_type, ==, COB_OCI_TYPE_INDEX);
    g_assert_cmpstr(image->top->digest, !=, image->manifest->digest);
    CHECK_OK(cob_oci_config_parse(image->config, &config));
    g_assert_cmpstr(config->platform->arch, ==, arch);
    CHECK_OK(cob_oci_manifest_parse(image->manifest->bytes, NULL, &manifest));
    const struct cob_oci_descriptor *descriptor = g_ptr_array_index(manifest->layers, 0);
    CHECK_OK(cob_ref_parse(text, &ref));
    struct cob_registry_blob blob = {ref, descriptor->digest, descriptor->size};
    CHECK_OK(cob_registry_get_bytes(f->registry, &blob, 10000000, NULL, &layer));
    g_assert_cmpuint(g_bytes_get_size(layer), ==, descriptor->size);
}

static void test_plain_http_on_localhost(void)
{
    struct fixture f;
    struct cob_registry_image *image = NULL;

    if (!can_run())
        return;
    fixture_init(&f, "plain");
    use_registry(&f, false, false);
    check_image(&f, "x86_64", "amd64");
    check_image(&f, "aarch64", "arm64");
    CHECK_ERROR(resolve(&f, "/team/app:v1", "s390x", &image), COB_NOT_FOUND,
        "localhost:*/team/app:v1: *linux/s390x*linux/amd64*");
    CHECK_ERROR(resolve(&f, "/team/app:nope", "x86_64", &image), COB_NOT_FOUND,
        "localhost:*/team/app:nope: not found");
    CHECK_ERROR(resolve(&f, "/nobody/app", "x86_64", &image), COB_NOT_FOUND,
        "localhost:*/nobody/app:latest: not found");
    fixture_done(&f);
}

static void *check_in_thread(void *arg)
{
    check_image(arg, "x86_64", "amd64");
    return NULL;
}

static void test_many_at_once(void)
{
    struct fixture f;
    GThread *threads[12];

    if (!can_run())
        return;
    fixture_init(&f, "auth");
    use_registry(&f, true, true);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("pull", check_in_thread, &f);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    fixture_done(&f);
}

static void test_tls_with_a_ca_of_its_own(void)
{
    struct fixture f;

    if (!can_run())
        return;
    fixture_init(&f, "tls");
    use_registry(&f, true, false);
    check_image(&f, "x86_64", "amd64");
    fixture_done(&f);
}

static void write_settings(const struct fixture *f, const char *flag, struct cob_registry **ret)
{
    static const char *const none[] = {NULL};
    g_autofree char *path = g_build_filename(f->scratch, "registries.json", NULL);
    g_autofree char *text = g_strdup_printf("{\"registries\": {\"%s\": {%s}}}", f->host, flag);
    struct cob_registry_config settings = {.docker_config = "",
        .registries = path,
        .cert_dirs = none,
        .timing = {.n_tries = 2, .backoff_ms = 1}};

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    cob_registry_free(*ret);
    *ret = cob_registry_new(&settings);
}

static void test_tls_is_checked_and_never_left(void)
{
    struct fixture f;
    struct cob_registry_image *image = NULL;

    if (!can_run())
        return;
    fixture_init(&f, "tls");
    write_settings(&f, "\"http\": false", &f.registry);
    CHECK_ERROR(resolve(&f, "/team/app:v1", "x86_64", &image), COB_PRECONDITION,
        "localhost:*: SSL certificate problem: *put the certificate of its CA into "
        "/etc/docker/certs.d/localhost:*/ca.crt");
    write_settings(&f, "\"insecure\": true", &f.registry);
    check_image(&f, "x86_64", "amd64");
    fixture_done(&f);
}

/* As docker has it: client.cert and client.key beside the CA. */
static void test_certificate_of_the_client(void)
{
    struct fixture f;
    struct cob_registry_image *image = NULL;

    if (!can_run())
        return;
    fixture_init(&f, "mutual");
    use_registry(&f, true, false);
    check_image(&f, "x86_64", "amd64");
    g_autofree char *cert = g_build_filename(f.scratch, "certs.d", f.host, "client.cert", NULL);
    g_assert_cmpint(unlink(cert), ==, 0);
    use_registry(&f, true, false);
    CHECK_ERROR(resolve(&f, "/team/app:v1", "x86_64", &image), COB_DENIED,
        "localhost:*/team/app:v1: localhost:*: it asks for a client certificate that it trusts; "
        "put "
        "it and its key into /etc/docker/certs.d/localhost:*/ as client.cert and client.key");
    fixture_done(&f);
}

static void test_login(void)
{
    struct fixture f;
    struct cob_registry_image *image = NULL;

    if (!can_run())
        return;
    fixture_init(&f, "auth");
    use_registry(&f, true, false);
    CHECK_ERROR(resolve(&f, "/team/app:v1", "x86_64", &image), COB_DENIED,
        "localhost:*/team/app:v1: pull access denied, repository does not exist or may require "
        "authorization: server message: UNAUTHORIZED: authentication required");
    use_registry(&f, true, true);
    check_image(&f, "x86_64", "amd64");
    fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/registry-real/plain-http-on-localhost", test_plain_http_on_localhost);
    g_test_add_func("/registry-real/tls-with-a-ca-of-its-own", test_tls_with_a_ca_of_its_own);
    g_test_add_func(
        "/registry-real/tls-is-checked-and-never-left", test_tls_is_checked_and_never_left);
    g_test_add_func("/registry-real/certificate-of-the-client", test_certificate_of_the_client);
    g_test_add_func("/registry-real/login", test_login);
    g_test_add_func("/registry-real/many-at-once", test_many_at_once);
    return g_test_run();
}
