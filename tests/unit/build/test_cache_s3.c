/* SPDX-License-Identifier: Apache-2.0 */
/* Caches in a bucket: tests/lib/s3_server.py holds each signature against botocore's. */
#include <fcntl.h>
#include <string.h>

#include "build/cachebackend/cachebackend.h"
#include "check.h"
#include "cut_proxy.h"
#include "net/s3/s3.h"
#include "s3_fixture.h"
#include "util/digest.h"

#define MIB (1024 * 1024)

/* How often a text is in the server's log. */
static unsigned count_in_log(const struct s3_fixture *f, const char *text)
{
    g_autofree char *log = NULL;
    unsigned n = 0;

    g_file_get_contents(f->log, &log, NULL, NULL);
    for (const char *at = log; at && (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void open_place(struct s3_place *place, const struct s3_fixture *f, const char *more)
{
    CHECK_OK(s3_place_open(place, COB_CACHEBACKEND_EXPORT, f->port, NULL, more));
}

/* A file of random bytes. */
struct blob {
    char *digest;
    int fd;
    gsize size;
};

static struct blob new_blob(const struct s3_fixture *f, gsize size)
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

static struct cob_error *put(struct s3_place *place, const struct blob *blob, bool *ret_is_new)
{
    return cob_cachebackend_put_blob(
        place->backend, blob->digest, blob->size, blob->fd, ret_is_new);
}

static struct cob_error *count_bytes(void *arg, const void *data, size_t len)
{
    (void)data;
    *(uint64_t *)arg += len;
    return NULL;
}

static struct cob_error *get(struct s3_place *place, const struct blob *blob)
{
    uint64_t n_bytes = 0;
    const struct cob_registry_sink sink = {.write = count_bytes, .arg = &n_bytes};

    COB_TRY(cob_cachebackend_get_blob(place->backend, blob->digest, blob->size, &sink));
    g_assert_cmpuint(n_bytes, ==, blob->size);
    return NULL;
}

static struct cob_error *put_text(struct s3_place *place, const char *text,
    const struct cob_cachebackend_document *seen, bool *ret_is_put)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

    return cob_cachebackend_put_document(place->backend, NULL, NULL, bytes, seen, ret_is_put);
}

static void test_round_trip(void)
{
    static const char *const rows[] = {"bucket=first" KEYS,
        "bucket=second,use_path_style=true" KEYS,
        "bucket=third,prefix=a/b+c d/,blobs_prefix=x/,manifests_prefix=y/" KEYS,
        "bucket=Odd.Name_1" KEYS, "bucket=flaky" KEYS, "bucket=nocond" KEYS,
        "bucket=temporary,access_key_id=AKIDSESSION,secret_access_key=SESSIONCANARY,session_token="
        "TOKENCANARY"};
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct blob blob = new_blob(&f, 100 * 1000), none = new_blob(&f, 10);
        g_autoptr(cob_cachebackend_document) document = NULL, before = NULL;
        struct s3_place place;
        bool is_new = false, is_put = false, has = true;

        open_place(&place, &f, rows[i]);
        g_assert_false(cob_cachebackend_is_oci(place.backend));
        CHECK_OK(cob_cachebackend_has_blob(place.backend, blob.digest, blob.size, &has));
        g_assert_false(has);
        CHECK_OK(put(&place, &blob, &is_new));
        g_assert_true(is_new);
        CHECK_OK(get(&place, &blob));
        CHECK_ERROR(get(&place, &none), COB_NOT_FOUND, "cache type=s3,*: blob sha256:*: s3://*");
        CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &before));
        g_assert_null(before);
        CHECK_OK(put_text(&place, "one", NULL, &is_put));
        g_assert_true(is_put);
        CHECK_OK(put_text(&place, "two", NULL, &is_put));
        g_assert_false(is_put);
        CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &before));
        CHECK_OK(put_text(&place, "three", before, &is_put));
        g_assert_true(is_put);
        CHECK_OK(put_text(&place, "four", before, &is_put));
        g_assert_false(is_put);
        s3_place_close(&place);
        open_place(&place, &f, rows[i]);
        CHECK_OK(put(&place, &blob, &is_new));
        g_assert_false(is_new);
        CHECK_OK(cob_cachebackend_get_document(place.backend, NULL, &document));
        g_assert_true(document && g_bytes_get_size(document->bytes) == 5);
        s3_place_close(&place);
        check_row(!g_test_failed(), i, rows[i]);
        blob_done(&blob);
        blob_done(&none);
    }
    s3_fixture_done(&f);
}

/* The bucket is a part of the host's name, as at Amazon's. */
static void test_bucket_in_host(void)
{
    struct s3_fixture f;
    struct s3_place place = {0};

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    g_autofree char *text = g_strdup_printf(
        "type=s3,region=us-test-1,bucket=in-host,endpoint_url=http://localhost:%u/" KEYS, f.port);
    struct blob blob = new_blob(&f, 1000);
    CHECK_OK(cob_cachebackend_options_parse(text, COB_CACHEBACKEND_EXPORT, &place.options));
    CHECK_OK(cob_cachebackend_open(place.options, NULL, NULL, &place.backend));
    CHECK_OK(put(&place, &blob, NULL));
    CHECK_OK(get(&place, &blob));
    g_autofree char *line = g_strdup_printf("PUT /blobs/sha256%%3A%s 200", blob.digest + 7);
    g_assert_cmpuint(count_in_log(&f, line), ==, 1);
    s3_place_close(&place);
    blob_done(&blob);
    s3_fixture_done(&f);
}

static void test_tls(void)
{
    static const struct {
        const char *ca; /* below the scratch folder */
        enum cob_code code;
        const char *error;
    } rows[] = {
        {"ca.crt", 0, NULL},
        {NULL, COB_PRECONDITION, "*: 127.0.0.1:*certificate*"},
        {"missing.crt", COB_NOT_FOUND, "*AWS_CA_BUNDLE: *missing.crt: no such file"},
    };
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ true);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *ca =
            rows[i].ca ? g_build_filename(f.scratch, rows[i].ca, NULL) : g_strdup("");
        g_autofree char *text = g_strdup_printf(
            "type=s3,region=us-test-1,bucket=tls,endpoint_url=https://127.0.0.1:%u" KEYS, f.port);
        g_autoptr(cob_cachebackend_document) document = NULL;
        struct s3_place place = {0};

        g_setenv("AWS_CA_BUNDLE", ca, TRUE);
        CHECK_OK(cob_cachebackend_options_parse(text, COB_CACHEBACKEND_IMPORT, &place.options));
        struct cob_error *err = cob_cachebackend_open(place.options, NULL, NULL, &place.backend);
        if (!err)
            err = cob_cachebackend_get_document(place.backend, NULL, &document);
        if (rows[i].code)
            CHECK_ERROR(err, rows[i].code, rows[i].error);
        else
            CHECK_OK(err);
        s3_place_close(&place);
    }
    s3_fixture_done(&f);
}

static void test_names(void)
{
    struct s3_fixture f;
    struct s3_place place;
    bool is_put = false;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    open_place(&place, &f, "bucket=named,name=main;branch;other" KEYS);
    CHECK_OK(put_text(&place, "x", NULL, &is_put));
    g_assert_cmpuint(count_in_log(&f, "PUT /named/manifests/main 200"), ==, 1);
    g_assert_cmpuint(count_in_log(&f, "PUT /named/manifests/branch 200"), ==, 1);
    g_assert_cmpuint(count_in_log(&f, "PUT /named/manifests/other 200"), ==, 1);
    s3_place_close(&place);
    s3_fixture_done(&f);
}

static void test_old_blobs_are_made_new(void)
{
    static const struct {
        const char *options;
        unsigned n_copies;
    } rows[] = {{"bucket=old" KEYS, 1}, {"bucket=old,touch_refresh=72h" KEYS, 0}};
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct blob blob = new_blob(&f, 1000);
        g_autofree char *line = g_strdup_printf("PUT /old/blobs/sha256%%3A%s", blob.digest + 7);

        for (int n = 0; n < 3; n++) { /* it is put, copied, and then young */
            struct s3_place place;

            open_place(&place, &f, rows[i].options);
            CHECK_OK(put(&place, &blob, NULL));
            s3_place_close(&place);
        }
        g_assert_cmpuint(count_in_log(&f, line), ==, 1 + rows[i].n_copies);
        check_row(!g_test_failed(), i, rows[i].options);
        blob_done(&blob);
    }
    s3_fixture_done(&f);
}

static void test_refused_table(void)
{
    static const struct {
        const char *options;
        enum cob_code code;
        const char *error;
    } rows[] = {
        {"bucket=denied" KEYS, COB_DENIED, "cache *: s3://denied/*: access denied, status 403"},
        {"bucket=missing" KEYS, COB_NOT_FOUND, "*: not found: NoSuchBucket: no such bucket"},
        {"bucket=elsewhere" KEYS, COB_PRECONDITION,
            "*: the bucket is in another region: region=eu-far-1"},
        {"bucket=b01,region=us-other-2" KEYS, COB_PRECONDITION, "*: region=us-test-1"},
        {"bucket=b01,access_key_id=AKIDTEST,secret_access_key=WRONGCANARY", COB_DENIED,
            "*SignatureDoesNotMatch: not what botocore signs"},
        {"bucket=b01,access_key_id=AKIDNOBODY,secret_access_key=SECRETCANARY", COB_DENIED,
            "*InvalidAccessKeyId*"},
        {"bucket=b01", COB_UNAUTHENTICATED, "*no credentials for S3: access_key_id and *"},
        {"bucket=shout" KEYS, COB_DENIED, "*Loud: <*"},
        {"bucket=b01,prefix=../" KEYS, COB_INVALID, "*a key may not have \"..\" in its path"},
    };
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct blob blob = new_blob(&f, 1000);
        g_autoptr(cob_cachebackend_document) document = NULL;
        struct s3_place place;

        open_place(&place, &f, rows[i].options);
        struct cob_error *err = put(&place, &blob, NULL);
        if (i == 1) /* a HEAD has no body to say which of the two is missing */
            g_clear_pointer(&err, cob_error_free);
        if (!err)
            err = cob_cachebackend_get_document(place.backend, NULL, &document);
        g_autofree char *message = err ? cob_error_text(err) : g_strdup("");
        check_row(err != NULL && !strstr(message, "CANARY") && strlen(message) < 2000 &&
                      !strchr(message, '\x1b'),
            i, rows[i].options);
        if (err && i != 0 && i != 2 && i != 3) {
            g_clear_pointer(&err, cob_error_free);
            err = cob_cachebackend_get_document(place.backend, NULL, &document);
        }
        CHECK_ERROR(err, rows[i].code, rows[i].error);
        s3_place_close(&place);
        blob_done(&blob);
    }
    s3_fixture_done(&f);
}

static void test_wrong_bytes(void)
{
    struct s3_fixture f;
    struct s3_place place;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    struct blob blob = new_blob(&f, 100 * 1000);
    open_place(&place, &f, "bucket=liar" KEYS);
    CHECK_OK(put(&place, &blob, NULL));
    CHECK_ERROR(get(&place, &blob), COB_DATA_LOSS, "*: the bucket sent bytes with digest sha256:*");
    s3_place_close(&place);
    blob_done(&blob);
    s3_fixture_done(&f);
}

/* --- parts: with net/s3 alone, which takes their size --- */

static struct cob_error *read_fd(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n)
{
    ssize_t n = pread(*(int *)arg, buffer, len, (off_t)offset);

    *ret_n = (size_t)MAX(n, 0);
    return n > 0 ? NULL : cob_fail(COB_ABORTED, "it ended early");
}

static struct cob_error *put_in_parts(const struct s3_fixture *f, const char *bucket, unsigned port,
    struct blob *blob, struct cob_cancel *cancel)
{
    g_autofree char *endpoint = g_strdup_printf("http://127.0.0.1:%u", port ? port : f->port);
    const struct cob_s3_config config = {.bucket = bucket,
        .region = "us-test-1",
        .endpoint_url = endpoint,
        .access_key_id = "AKIDTEST",
        .secret_access_key = "SECRETCANARY",
        .part_bytes = 5 * MIB,
        .timing = {.n_tries = 4, .backoff_ms = 1, .backoff_max_ms = 10}};
    const struct cob_http_body body = {.size = blob->size, .read = read_fd, .arg = &blob->fd};
    uint64_t n_bytes = 0;
    struct cob_http_receiver receiver = {.who = "bucket",
        .digest = blob->digest,
        .size = blob->size,
        .write = count_bytes,
        .arg = &n_bytes};
    g_autoptr(cob_s3) s3 = NULL;

    COB_TRY(cob_s3_open(&config, &s3));
    COB_TRY(cob_s3_put(s3, "long object", blob->digest, &body, cancel));
    return cob_s3_get(s3, "long object", &receiver, cancel);
}

static void test_parts(void)
{
    static const struct {
        const char *bucket;
        enum cob_code code;
        const char *error;
        unsigned n_aborted;
    } rows[] = {
        {"whole", 0, NULL, 0},
        {"flaky", 0, NULL, 0},
        {"lostend", 0, NULL, 1},
        {"noparts", COB_UNKNOWN,
            "s3://noparts/long object: part 2: unexpected status 400: InvalidPart: *", 1},
        {"badend", COB_UNAVAILABLE, "*: the parts were not joined: InternalError", 1},
        {"denied", COB_DENIED, "*: access denied, status 403: AccessDenied: not for you", 0},
    };
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    struct blob blob = new_blob(&f, 12 * MIB + 345);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strdup_printf("DELETE /%s/", rows[i].bucket);
        struct cob_error *err = put_in_parts(&f, rows[i].bucket, 0, &blob, NULL);

        check_row((err != NULL) == (rows[i].code != 0), i, rows[i].bucket);
        if (rows[i].code)
            CHECK_ERROR(err, rows[i].code, rows[i].error);
        else
            CHECK_OK(err);
        if (i != 2)
            g_assert_cmpuint(count_in_log(&f, line), ==, rows[i].n_aborted);
    }
    blob_done(&blob);
    s3_fixture_done(&f);
}

static void test_line_breaks(void)
{
    static const enum cut_way ways[] = {CUT_REQUEST, CUT_ANSWER};
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    struct blob blob = new_blob(&f, 6 * MIB);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        for (guint64 part = 0; part < 7; part++) {
            guint64 k = part < 3 ? part * 300 : part * MIB;
            g_autofree char *bucket = g_strdup_printf("cut-%zu-%u", i, (unsigned)part);
            struct cut_proxy *proxy = cut_proxy_new(f.port, ways[i], k);

            CHECK_OK(put_in_parts(&f, bucket, cut_proxy_port(proxy), &blob, NULL));
            check_row(!g_test_failed(), i * 7 + part, bucket);
            cut_proxy_free(proxy);
        }
    }
    blob_done(&blob);
    s3_fixture_done(&f);
}

static gpointer cancel_soon(gpointer data)
{
    g_usleep(200 * 1000);
    cob_cancel_trigger(data);
    return NULL;
}

static void test_timeout(void)
{
    struct s3_fixture f;
    struct s3_place place;
    g_autoptr(cob_cachebackend_document) document = NULL;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    open_place(&place, &f, "bucket=hang,timeout=1s" KEYS);
    int64_t before = g_get_monotonic_time();
    CHECK_ERROR(cob_cachebackend_get_document(place.backend, NULL, &document), COB_TIMEOUT,
        "cache type=s3,*: no answer within 1 s");
    g_assert_cmpint(g_get_monotonic_time() - before, <, 3000 * 1000);
    s3_place_close(&place);
    s3_fixture_done(&f);
}

static void test_cancel(void)
{
    struct s3_fixture f;
    struct s3_place place;
    g_autoptr(cob_cancel) cancel = NULL;
    g_autoptr(cob_cachebackend_document) document = NULL;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    CHECK_OK(cob_cancel_new(&cancel));
    CHECK_OK(s3_place_open(&place, COB_CACHEBACKEND_IMPORT, f.port, cancel, "bucket=hang" KEYS));
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    int64_t before = g_get_monotonic_time();
    CHECK_ERROR(
        cob_cachebackend_get_document(place.backend, NULL, &document), COB_CANCELLED, "cache *");
    g_assert_cmpint(g_get_monotonic_time() - before, <, 1000 * 1000);
    g_thread_join(thread);
    s3_place_close(&place);
    s3_fixture_done(&f);
}

/* What was not thought of: no region, and what is none. */
static void test_settings_table(void)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"type=s3,bucket=abc", "*: no region: region=NAME, AWS_REGION, or the profile's in *"},
        {"type=s3,bucket=abc,region=a/b", "*: \"a/b\" is not a region"},
        {"type=s3,bucket=a/b,region=x", "*: \"a/b\" is not the name of a bucket"},
        {"type=s3,bucket=a..b,region=x", "*: \"a..b\" is not the name of a bucket"},
        {"type=s3,bucket=abc,region=x,endpoint_url=http://[::1", "*: endpoint of S3: URL *"},
    };
    struct s3_fixture f = {.scratch = check_scratch_new()};

    s3_fixture_clear_environment(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_cachebackend_options) options = NULL;
        g_autoptr(cob_cachebackend) backend = NULL;

        CHECK_OK(cob_cachebackend_options_parse(rows[i].text, COB_CACHEBACKEND_IMPORT, &options));
        CHECK_ERROR(
            cob_cachebackend_open(options, NULL, NULL, &backend), COB_INVALID, rows[i].error);
    }
    check_scratch_free(f.scratch);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cachebackend/s3/settings", test_settings_table);
    g_test_add_func("/cachebackend/s3/round-trip", test_round_trip);
    g_test_add_func("/cachebackend/s3/bucket-in-host", test_bucket_in_host);
    g_test_add_func("/cachebackend/s3/tls", test_tls);
    g_test_add_func("/cachebackend/s3/names", test_names);
    g_test_add_func("/cachebackend/s3/old-blobs-are-made-new", test_old_blobs_are_made_new);
    g_test_add_func("/cachebackend/s3/refused", test_refused_table);
    g_test_add_func("/cachebackend/s3/wrong-bytes", test_wrong_bytes);
    g_test_add_func("/cachebackend/s3/parts", test_parts);
    g_test_add_func("/cachebackend/s3/line-breaks", test_line_breaks);
    g_test_add_func("/cachebackend/s3/timeout", test_timeout);
    g_test_add_func("/cachebackend/s3/cancel", test_cancel);
    return g_test_run();
}
