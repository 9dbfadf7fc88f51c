/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes export to one folder, and some of them are killed: what is named is there. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "build/cachebackend/cachebackend.h"
#include "check.h"
#include "spec/oci/oci.h"
#include "util/digest.h"

#define N_EXPORTERS 4
#define N_ROUNDS 30

static void die_of(struct cob_error *err)
{
    g_autofree char *text = err ? cob_error_text(err) : NULL;

    if (!err)
        return;
    (void)!write(2, text, strlen(text));
    _exit(1);
}

static struct cob_cachebackend_options *new_options(
    const char *folder, enum cob_cachebackend_way way, const char *more)
{
    bool is_export = way == COB_CACHEBACKEND_EXPORT;
    g_autofree char *text =
        g_strdup_printf("type=local,%s=%s%s", is_export ? "dest" : "src", folder, more);
    struct cob_cachebackend_options *options = NULL;

    CHECK_OK(cob_cachebackend_options_parse(text, way, &options));
    return options;
}

/* One export: two blobs of its own, a document that names them, a sweep. */
static void export_once(const char *folder, unsigned number, unsigned round)
{
    g_autofree char *more = g_strdup_printf(",tag=exporter-%u", number);
    g_autoptr(cob_cachebackend_options) options =
        new_options(folder, COB_CACHEBACKEND_EXPORT, more);
    g_autoptr(cob_cachebackend) backend = NULL;
    g_autofree char *config = NULL, *layer = NULL;

    die_of(cob_cachebackend_open(options, NULL, NULL, &backend));
    g_autofree char *one = g_strdup_printf("config %u %u", number, round);
    g_autofree char *two = g_strdup_printf("layer %u %u", number, round);
    g_autoptr(GBytes) config_bytes = g_bytes_new(one, strlen(one));
    g_autoptr(GBytes) layer_bytes = g_bytes_new(two, strlen(two));
    die_of(cob_cachebackend_put_bytes(backend, config_bytes, &config));
    die_of(cob_cachebackend_put_bytes(backend, layer_bytes, &layer));
    g_autofree char *text = g_strdup_printf("{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{"
                                            "\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu},"
                                            "\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\","
                                            "\"size\":%zu}]}",
        COB_OCI_TYPE_MANIFEST, COB_OCI_TYPE_CONFIG, config, strlen(one), COB_OCI_TYPE_LAYER_GZIP,
        layer, strlen(two));
    g_autoptr(GBytes) manifest = g_bytes_new(text, strlen(text));
    die_of(
        cob_cachebackend_put_document(backend, NULL, COB_OCI_TYPE_MANIFEST, manifest, NULL, NULL));
    die_of(cob_cachebackend_sweep(backend));
}

static pid_t start_exporter(const char *folder, unsigned number)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    for (unsigned round = 0;; round++)
        export_once(folder, number, round);
}

static struct cob_error *drop(void *arg, const void *data, size_t len)
{
    (void)arg, (void)data, (void)len;
    return NULL;
}

/* Every document that is named must be whole. */
static void check_exporter(struct cob_cachebackend *backend, unsigned number, unsigned *n_found)
{
    const struct cob_registry_sink sink = {.write = drop};
    g_autofree char *tag = g_strdup_printf("exporter-%u", number);
    g_autoptr(cob_cachebackend_document) document = NULL;
    g_autoptr(cob_oci_manifest) manifest = NULL;

    CHECK_OK(cob_cachebackend_get_document(backend, tag, &document));
    if (!document)
        return;
    (*n_found)++;
    CHECK_OK(cob_oci_manifest_parse(document->bytes, NULL, &manifest));
    if (!manifest)
        return;
    const struct cob_oci_descriptor *layer = g_ptr_array_index(manifest->layers, 0);
    CHECK_OK(cob_cachebackend_get_blob(
        backend, manifest->config->digest, manifest->config->size, &sink));
    CHECK_OK(cob_cachebackend_get_blob(backend, layer->digest, layer->size, &sink));
}

static void check_all(const char *folder, unsigned *n_found)
{
    g_autoptr(cob_cachebackend_options) options = new_options(folder, COB_CACHEBACKEND_IMPORT, "");
    g_autoptr(cob_cachebackend) backend = NULL;

    CHECK_OK(cob_cachebackend_open(options, NULL, NULL, &backend));
    for (unsigned i = 0; backend && i < N_EXPORTERS; i++)
        check_exporter(backend, i, n_found);
}

static unsigned count_entries(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

static void test_killed_exporters(void)
{
    char *folder = check_scratch_new();
    unsigned n_found = 0;

    export_once(folder, 0, 0);
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        pid_t pids[N_EXPORTERS];
        int status = 0;

        for (unsigned i = 0; i < N_EXPORTERS; i++)
            pids[i] = start_exporter(folder, i);
        g_usleep((gulong)g_random_int_range(5 * 1000, 60 * 1000));
        for (unsigned i = 0; i < N_EXPORTERS; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], &status, 0);
            g_assert_true(WIFSIGNALED(status)); /* and not by an error of its own */
        }
        check_all(folder, &n_found);
        check_row(!g_test_failed(), round, "killed");
    }
    g_assert_cmpuint(n_found, >, N_ROUNDS);
    export_once(folder, 0, 0); /* and sweeps: three blobs for each document that is left */
    unsigned n_documents = 0;
    check_all(folder, &n_documents);
    g_assert_cmpuint(count_entries(folder, "blobs/sha256"), ==, 3 * n_documents);
    g_assert_cmpuint(count_entries(folder, "ingest"), ==, 0);
    g_assert_cmpuint(count_entries(folder, "."), ==, 5); /* with index.json, its lock, oci-layout */
    check_scratch_free(folder);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cachebackend/local/killed-exporters", test_killed_exporters);
    return g_test_run();
}
