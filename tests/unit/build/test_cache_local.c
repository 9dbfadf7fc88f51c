/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "build/cachebackend/cachebackend.h"
#include "check.h"
#include "spec/oci/oci.h"
#include "util/digest.h"

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A folder, and a backend on it. */
struct place {
    char *folder;
    struct cob_cachebackend_options *options;
    struct cob_cachebackend *backend;
};

static struct cob_error *open_place(struct place *place, const char *way, const char *more)
{
    bool is_export = strcmp(way, "dest") == 0;
    g_autofree char *text = g_strdup_printf("type=local,%s=%s%s", way, place->folder, more);

    COB_TRY(cob_cachebackend_options_parse(
        text, is_export ? COB_CACHEBACKEND_EXPORT : COB_CACHEBACKEND_IMPORT, &place->options));
    return cob_cachebackend_open(place->options, NULL, NULL, &place->backend);
}

static void close_place(struct place *place)
{
    g_clear_pointer(&place->backend, cob_cachebackend_close);
    g_clear_pointer(&place->options, cob_cachebackend_options_free);
}

static struct cob_error *take(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

static struct cob_error *get(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, GByteArray *bytes)
{
    const struct cob_registry_sink sink = {.write = take, .arg = bytes};

    return cob_cachebackend_get_blob(backend, digest, size, &sink);
}

static char *put_text(struct cob_cachebackend *backend, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    char *digest = NULL;

    CHECK_OK(cob_cachebackend_put_bytes(backend, bytes, &digest));
    return digest;
}

/* A manifest with one layer. */
static GBytes *new_manifest(const char *layer, size_t size)
{
    g_autofree char *text = g_strdup_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\",\"config\":{"
        "\"mediaType\":\"application/vnd.buildkit.cacheconfig.v0\",\"digest\":\"sha256:" HEX
        "\",\"size\":0},\"layers\":[{\"mediaType\":\"" COB_OCI_TYPE_LAYER_GZIP
        "\",\"digest\":\"%s\",\"size\":%zu}]}",
        layer, size);

    return g_bytes_new(text, strlen(text));
}

static bool put(struct place *place, const char *name, GBytes *bytes,
    const struct cob_cachebackend_document *seen)
{
    bool is_put = false;

    CHECK_OK(cob_cachebackend_put_document(
        place->backend, name, COB_OCI_TYPE_MANIFEST, bytes, seen, &is_put));
    return is_put;
}

static bool has_file(const struct place *place, const char *name)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);

    return access(path, F_OK) == 0;
}

static guint count_files(const struct place *place, const char *name)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint n = 0;

    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

static void test_round_trip(void)
{
    struct place place = {.folder = check_scratch_new()};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(cob_cachebackend_document) document = NULL;
    bool has = true;

    CHECK_OK(open_place(&place, "dest", "/a/b"));
    g_autofree char *digest = put_text(place.backend, "hello");
    g_autoptr(GBytes) manifest = new_manifest(digest, 5);
    g_assert_true(put(&place, NULL, manifest, NULL));
    close_place(&place);

    CHECK_OK(open_place(&place, "src", "/a/b"));
    g_assert_true(cob_cachebackend_is_oci(place.backend));
    CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &document));
    g_assert_true(document && g_bytes_equal(document->bytes, manifest));
    g_assert_cmpstr(document->media_type, ==, COB_OCI_TYPE_MANIFEST);
    CHECK_OK(cob_cachebackend_has_blob(place.backend, digest, 5, &has));
    g_assert_true(has);
    CHECK_OK(cob_cachebackend_has_blob(place.backend, "sha256:" HEX, 0, &has));
    g_assert_false(has);
    CHECK_OK(get(place.backend, digest, 5, bytes));
    g_assert_cmpmem(bytes->data, bytes->len, "hello", 5);
    CHECK_ERROR(get(place.backend, "sha256:" HEX, 0, bytes), COB_NOT_FOUND,
        "cache type=local,src=*: blob sha256:e3b*: not there");
    CHECK_ERROR(
        get(place.backend, digest, 6, bytes), COB_DATA_LOSS, "*: it has 5 bytes there, not 6");
    CHECK_ERROR(get(place.backend, "sha256:../../x", 6, bytes), COB_INVALID,
        "*: blob sha256:../../x: not a digest of sha256");
    close_place(&place);
    check_scratch_free(place.folder);
}

static void test_document_is_compared(void)
{
    struct place place = {.folder = check_scratch_new()};
    g_autoptr(cob_cachebackend_document) first = NULL;
    g_autoptr(cob_cachebackend_document) none = NULL;

    CHECK_OK(open_place(&place, "dest", ""));
    g_autofree char *a = put_text(place.backend, "a");
    g_autofree char *b = put_text(place.backend, "b");
    g_autoptr(GBytes) one = new_manifest(a, 1);
    g_autoptr(GBytes) two = new_manifest(b, 1);

    CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &none));
    g_assert_null(none);
    g_assert_true(put(&place, NULL, one, NULL));
    g_assert_false(put(&place, NULL, two, NULL));
    CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &first));
    g_assert_true(put(&place, NULL, two, first));
    g_assert_false(put(&place, NULL, one, first));
    g_assert_true(put(&place, "other", one, NULL));
    CHECK_OK(
        cob_cachebackend_put_document(place.backend, NULL, COB_OCI_TYPE_MANIFEST, one, NULL, NULL));
    CHECK_OK(cob_cachebackend_get_document(place.backend, "other", &none));
    g_assert_true(none && g_bytes_equal(none->bytes, one));
    close_place(&place);
    check_scratch_free(place.folder);
}

/* Many writers that get, merge and put lose nothing: each tag and each count stays. */
static gpointer count_up(gpointer data)
{
    struct place place = {.folder = data};
    unsigned n_lost = 0;

    CHECK_OK(open_place(&place, "dest", ""));
    for (int i = 0; i < 10;) {
        g_autoptr(cob_cachebackend_document) seen = NULL;
        const char *digits = "0";

        CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &seen));
        if (seen)
            digits = strrchr(g_bytes_get_data(seen->bytes, NULL), ' ');
        g_autofree char *text =
            g_strdup_printf("{\"n\": %lu}", strtoul(digits ? digits : "0", NULL, 10) + 1);
        g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text) + 1);
        bool is_put = put(&place, NULL, bytes, seen);

        i += is_put;
        n_lost += !is_put;
    }
    close_place(&place);
    return GUINT_TO_POINTER(n_lost);
}

static void test_counters_lose_nothing(void)
{
    struct place place = {.folder = check_scratch_new()};
    g_autoptr(cob_cachebackend_document) last = NULL;
    GThread *threads[4];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("writer", count_up, place.folder);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    CHECK_OK(open_place(&place, "src", ""));
    CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &last));
    g_assert_cmpstr(last ? g_bytes_get_data(last->bytes, NULL) : "", ==, "{\"n\": 40}");
    close_place(&place);
    check_scratch_free(place.folder);
}

static void test_sweep(void)
{
    struct place place = {.folder = check_scratch_new()};
    struct place beside = {.folder = place.folder};
    g_autofree char *draft = g_build_filename(place.folder, "ingest/cob-dead", NULL);

    CHECK_OK(open_place(&place, "dest", ""));
    g_autofree char *a = put_text(place.backend, "a");
    g_autofree char *b = put_text(place.backend, "b");
    g_autoptr(GBytes) one = new_manifest(a, 1);
    g_autoptr(GBytes) two = new_manifest(b, 1);
    g_assert_true(put(&place, NULL, one, NULL));
    g_assert_true(put(&place, "kept", two, NULL));
    put(&place, NULL, two, NULL);
    g_free(put_text(place.backend, "an orphan"));
    g_assert_true(g_file_set_contents(draft, "x", 1, NULL));

    CHECK_OK(open_place(&beside, "dest", ""));
    CHECK_OK(cob_cachebackend_sweep(place.backend)); /* not beside an exporter */
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 5);
    close_place(&beside);
    CHECK_OK(cob_cachebackend_sweep(place.backend));
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 4);
    g_assert_cmpuint(count_files(&place, "ingest"), ==, 0);
    close_place(&place);

    CHECK_OK(open_place(&place, "dest", ",tag=only,reset=true"));
    g_assert_true(put(&place, NULL, one, NULL));
    CHECK_OK(cob_cachebackend_sweep(place.backend));
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 2);
    close_place(&place);
    check_scratch_free(place.folder);
}

/* A build's cache and its mounts go through a backend each, with the same options. */
static void test_reset_by_two(void)
{
    struct place place = {.folder = check_scratch_new()};
    g_autoptr(cob_cachebackend_document) first = NULL, second = NULL, older = NULL;
    g_autoptr(GBytes) bytes = g_bytes_new_static("{}", 2);

    CHECK_OK(open_place(&place, "dest", ""));
    g_assert_true(put(&place, "older", bytes, NULL));
    close_place(&place);
    CHECK_OK(open_place(&place, "dest", ",reset=true"));
    g_assert_true(put(&place, "first", bytes, NULL));
    CHECK_OK(cob_cachebackend_sweep(place.backend));
    g_clear_pointer(&place.backend, cob_cachebackend_close);
    CHECK_OK(cob_cachebackend_open(place.options, NULL, NULL, &place.backend));
    g_assert_true(put(&place, "second", bytes, NULL));
    CHECK_OK(cob_cachebackend_sweep(place.backend));
    CHECK_OK(cob_cachebackend_get_document(place.backend, "first", &first));
    CHECK_OK(cob_cachebackend_get_document(place.backend, "second", &second));
    CHECK_OK(cob_cachebackend_get_document(place.backend, "older", &older));
    g_assert_true(first && second && !older);
    close_place(&place);
    check_scratch_free(place.folder);
}

static void test_two_that_end_together(void)
{
    struct place place = {.folder = check_scratch_new()};
    struct place beside = {.folder = place.folder};

    CHECK_OK(open_place(&place, "dest", ""));
    CHECK_OK(open_place(&beside, "dest", ""));
    g_free(put_text(place.backend, "an orphan"));
    CHECK_OK(cob_cachebackend_sweep(place.backend));
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 1);
    CHECK_OK(cob_cachebackend_sweep(beside.backend));
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 0);
    g_free(put_text(place.backend, "another")); /* takes its lock again */
    CHECK_OK(cob_cachebackend_sweep(beside.backend));
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 1);
    close_place(&place);
    close_place(&beside);
    check_scratch_free(place.folder);
}

/* An outside judge of the layout. */
static void test_skopeo_reads_it(void)
{
    struct place place = {.folder = check_scratch_new()};
    g_autofree char *program = g_find_program_in_path("skopeo");
    g_autofree char *out = NULL, *digest = NULL;
    int status = -1;

    if (!program) {
        check_skip("there is no skopeo");
        check_scratch_free(place.folder);
        return;
    }
    CHECK_OK(open_place(&place, "dest", ",tag=v1"));
    digest = put_text(place.backend, "a");
    g_free(put_text(place.backend, ""));
    g_autoptr(GBytes) one = new_manifest(digest, 1);
    g_autoptr(GBytes) two = new_manifest(digest, 2);
    g_assert_true(put(&place, NULL, one, NULL));
    g_assert_true(put(&place, "v2", two, NULL));
    CHECK_OK(cob_cachebackend_sweep(place.backend));
    g_autofree char *command = g_strdup_printf("skopeo inspect --raw oci:%s:v1", place.folder);
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpmem(out, strlen(out), g_bytes_get_data(one, NULL), g_bytes_get_size(one));
    close_place(&place);
    check_scratch_free(place.folder);
}

static void test_wrong_bytes_are_not_put(void)
{
    struct place place = {.folder = check_scratch_new()};
    g_autofree char *file = g_build_filename(place.folder, "file", NULL);

    g_assert_true(g_file_set_contents(file, "hello", 5, NULL));
    cob_autoclose int fd = open(file, O_RDONLY | O_CLOEXEC);
    CHECK_OK(open_place(&place, "dest", ""));
    CHECK_ERROR(cob_cachebackend_put_blob(place.backend, "sha256:" HEX, 5, fd, NULL), COB_DATA_LOSS,
        "*: blob sha256:e3b*: its bytes have digest sha256:2cf24d*");
    g_assert_cmpuint(count_files(&place, "blobs/sha256"), ==, 0);
    g_assert_cmpuint(count_files(&place, "ingest"), ==, 0);
    close_place(&place);
    check_scratch_free(place.folder);
}

/* An index.json with one document. */
static const char *const entry =
    "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" COB_OCI_TYPE_MANIFEST
    "\",\"digest\":\"sha256:" HEX "\",\"size\":0,\"annotations\":{"
    "\"org.opencontainers.image.ref.name\":\"latest\"}}]}";
/* What somebody put into the folder, by a shell, and what an import and an export say. */
static void test_hostile_table(void)
{
    static const struct {
        const char *name, *script, *import, *export; /* globs; NULL: works, "-": nothing there */
    } rows[] = {
        {"empty folder", ":", "-", NULL},
        {"blobs is a symlink", "mkdir -p out/sha256; ln -s out blobs; echo \"$ENTRY\" >index.json",
            "*blobs/sha256/e3b*: open: Too many levels of symbolic links*",
            "*directory blobs: open: *"},
        {"a blob is a symlink",
            "mkdir -p blobs/sha256; ln -s /dev/null blobs/sha256/" HEX
            "; echo \"$ENTRY\" >index.json",
            "*e3b*: open: Too many levels of symbolic links*", NULL},
        {"a blob is a FIFO",
            "mkdir -p blobs/sha256; mkfifo blobs/sha256/" HEX "; echo \"$ENTRY\" >index.json",
            "*: not a regular file", NULL},
        {"a blob is a folder", "mkdir -p blobs/sha256/" HEX "; echo \"$ENTRY\" >index.json",
            "*: not a regular file", NULL},
        {"a blob has other bytes",
            "mkdir -p blobs/sha256; echo x >blobs/sha256/" HEX "; echo \"$ENTRY\" >index.json",
            "*: its bytes have digest sha256:*", NULL},
        {"a blob is missing", "mkdir -p blobs/sha256; echo \"$ENTRY\" >index.json", "-", NULL},
        {"index.json is a symlink", "ln -s /etc/passwd index.json", "*index.json: open: *",
            "*index.json: open: *"},
        {"index.json is a FIFO", "mkfifo index.json", "*index.json: not a regular file",
            "*index.json: not a regular file"},
        {"index.json is huge", "truncate -s 1G index.json", "*index.json: larger than the limit*",
            "*index.json: larger than the limit*"},
        {"index.json is no JSON", "echo '{' >index.json", "*index.json: *", "*index.json: *"},
        {"index.json is a list", "echo '[]' >index.json", "*index.json: *", "*index.json: *"},
        {"a digest leads out",
            "echo '{\"manifests\":[{\"mediaType\":\"x\",\"digest\":\"sha256:../../../etc/passwd\","
            "\"size\":1}]}' >index.json",
            "*index.json: *", "*index.json: *"},
        {"the lock is a FIFO", "mkfifo index.json.lock", "*index.json.lock: not a regular file",
            "*index.json.lock: not a regular file"},
        {"the lock is a symlink", "ln -s victim index.json.lock", "*index.json.lock: open: *",
            "*index.json.lock: open: *"},
        {"another layout", "echo '{\"imageLayoutVersion\":\"2.0.0\"}' >oci-layout",
            "*oci-layout: version 2.0.0 is not known", "*oci-layout: version 2.0.0 is not known"},
        {"the layout is a FIFO", "mkfifo oci-layout", "*oci-layout: not a regular file",
            "*oci-layout: not a regular file"},
        {"no folder", "rmdir \"$PWD\"", "*: open directory: No such file or directory", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct place place = {.folder = check_scratch_new()};
        g_autofree char *command = g_strdup_printf("cd '%s'; %s", place.folder, rows[i].script);
        g_autoptr(cob_cachebackend_document) document = NULL;
        g_autoptr(GBytes) bytes = g_bytes_new("{}", 2);

        g_assert_cmpint(system(command), ==, 0);
        struct cob_error *err = open_place(&place, "src", "");
        if (!err)
            err = cob_cachebackend_get_document(place.backend, NULL, &document);
        check_row((err != NULL) == (rows[i].import[0] != '-') && !document, i, rows[i].name);
        if (err)
            CHECK_ERROR(err, cob_error_code(err), rows[i].import);
        close_place(&place);
        err = open_place(&place, "dest", "");
        if (!err)
            err = cob_cachebackend_put_document(
                place.backend, NULL, COB_OCI_TYPE_MANIFEST, bytes, NULL, NULL);
        check_row((err != NULL) == (rows[i].export != NULL), i, rows[i].name);
        if (err)
            CHECK_ERROR(err, cob_error_code(err), rows[i].export);
        g_assert_false(has_file(&place, "victim"));
        close_place(&place);
        check_scratch_free(place.folder);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_setenv("ENTRY", entry, TRUE); /* before there are threads */
    g_test_add_func("/cachebackend/local/round-trip", test_round_trip);
    g_test_add_func("/cachebackend/local/document-is-compared", test_document_is_compared);
    g_test_add_func("/cachebackend/local/counters-lose-nothing", test_counters_lose_nothing);
    g_test_add_func("/cachebackend/local/sweep", test_sweep);
    g_test_add_func("/cachebackend/local/reset-by-two", test_reset_by_two);
    g_test_add_func("/cachebackend/local/two-that-end-together", test_two_that_end_together);
    g_test_add_func("/cachebackend/local/skopeo-reads-it", test_skopeo_reads_it);
    g_test_add_func("/cachebackend/local/wrong-bytes-are-not-put", test_wrong_bytes_are_not_put);
    g_test_add_func("/cachebackend/local/hostile", test_hostile_table);
    return g_test_run();
}
