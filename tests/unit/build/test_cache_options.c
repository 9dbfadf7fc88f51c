/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/cachebackend/cachebackend.h"
#include "check.h"

#define OUT COB_CACHEBACKEND_EXPORT
#define IN COB_CACHEBACKEND_IMPORT

/* What a text is read as, as one line. */
static char *describe(const struct cob_cachebackend_options *options)
{
    static const char *const types[] = {"local", "registry", "s3", "inline"};
    g_autofree char *ref = options->ref ? cob_ref_text(options->ref) : g_strdup("-");
    g_autofree char *mounts = options->mounts ? g_strjoinv(";", options->mounts) : g_strdup("-");
    g_autofree char *others =
        options->other_names ? g_strjoinv(";", options->other_names) : g_strdup("-");

    if (options->type == COB_CACHEBACKEND_S3)
        return g_strdup_printf("s3 %s %s %s+%s %s|%s|%s %s %s %s/%s/%s refresh=%ld tries=%u n=%u",
            options->bucket, options->region ? options->region : "-", options->name, others,
            options->prefix, options->blobs_prefix, options->manifests_prefix,
            options->endpoint_url ? options->endpoint_url : "-",
            options->is_path_style ? "path" : "host",
            options->access_key_id ? options->access_key_id : "-",
            options->secret_access_key ? options->secret_access_key : "-",
            options->session_token ? options->session_token : "-", (long)options->touch_refresh_s,
            options->n_tries, options->n_parallel);
    return g_strdup_printf("%s %s %s %s %s %s%s%s%s%s%s %s%d mounts=%s%s", types[options->type],
        options->folder ? options->folder : "-", options->tag,
        options->digest ? options->digest : "-", ref,
        options->mode == COB_CACHEBACKEND_MAX ? "max" : "min", options->is_reset ? " reset" : "",
        options->is_insecure ? " insecure" : "", options->is_image_manifest ? "" : " index",
        options->is_oci_types ? "" : " docker", options->is_ignoring_errors ? "" : " strict",
        options->compression ? options->compression : "-", options->compression_level,
        options->has_all_mounts ? "all" : "", mounts);
}

static void test_read_table(void)
{
    static const struct {
        const char *text;
        enum cob_cachebackend_way way;
        const char *want;
    } rows[] = {
        {"type=local,dest=out", OUT, "local out latest - - min --1 mounts=-"},
        {"type=local,src=in", IN, "local in latest - - min --1 mounts=-"},
        {"type=local,dest=out,mode=max,tag=v1,reset=true,compression=zstd,compression-level=3", OUT,
            "local out v1 - - max reset zstd3 mounts=-"},
        {"type=local,src=in,digest="
         "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            IN,
            "local in latest "
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 - min --1 "
            "mounts=-"},
        {"\"dest=a,b\"\"c\",TYPE=local", OUT, "local a,b\"c latest - - min --1 mounts=-"},
        {" Dest =x,type=local", OUT, "local x latest - - min --1 mounts=-"},
        {"localhost:5000/app:c", IN, "registry - latest - localhost:5000/app:c min --1 mounts=-"},
        {"localhost:5000/app", OUT,
            "registry - latest - localhost:5000/app:latest min --1 mounts=-"},
        {"type=registry,ref=localhost:5000/app:c,mode=MAX,registry.insecure=true", OUT,
            "registry - latest - localhost:5000/app:c max insecure --1 mounts=-"},
        {"type=registry,ref=localhost:5000/a:c,image-manifest=false,ignore-error=false", OUT,
            "registry - latest - localhost:5000/a:c min index strict --1 mounts=-"},
        {"type=registry,ref=localhost:5000/a:c,oci-mediatypes=false", OUT,
            "registry - latest - localhost:5000/a:c min index docker --1 mounts=-"},
        {"type=local,dest=x,mounts=true", OUT, "local x latest - - min --1 mounts=all-"},
        {"type=local,dest=x,mounts=false", OUT, "local x latest - - min --1 mounts=-"},
        {"type=local,dest=x,mounts=go", OUT, "local x latest - - min --1 mounts=go"},
        {"type=local,src=x,mounts=go;/root/.npm;", IN,
            "local x latest - - min --1 mounts=go;/root/.npm"},
        {"type=inline", OUT, "inline - latest - - min --1 mounts=-"},
        {"type=inline,mode=max", OUT, "inline - latest - - max --1 mounts=-"},
        {"type=s3,bucket=b", IN,
            "s3 b - buildkit+- |blobs/|manifests/ - host -/-/- refresh=86400 tries=0 n=4"},
        {"type=s3,bucket=b,region=eu-1,name=x;y;z,prefix=p/,blobs_prefix=b/,manifests_prefix=m/,"
         "endpoint_url=http://localhost:1/x,use_path_style=true,access_key_id=A,"
         "secret_access_key=S,session_token=T,touch_refresh=1h30m,retry_max_attempts=2,"
         "upload_parallelism=8,retry_mode=standard,disable_accept_encoding=true,mode=max",
            OUT,
            "s3 b eu-1 x+y;z p/|b/|m/ http://localhost:1/x path A/S/T refresh=5400 tries=2 n=8"},
        {"type=s3,bucket=b,blobs_prefix=,touch_refresh=0", IN,
            "s3 b - buildkit+- ||manifests/ - host -/-/- refresh=0 tries=0 n=4"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_cachebackend_options) options = NULL;

        CHECK_OK(cob_cachebackend_options_parse(rows[i].text, rows[i].way, &options));
        g_autofree char *got = options ? describe(options) : g_strdup("");
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(strcmp(got, rows[i].want) == 0, i, rows[i].text);
    }
}

/* What is not an option, and the error of it. */
struct refused {
    const char *text;
    enum cob_cachebackend_way way;
    enum cob_code code;
    const char *error;
};

static void check_refused(const struct refused *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        g_autoptr(cob_cachebackend_options) options = NULL;
        struct cob_error *err = cob_cachebackend_options_parse(rows[i].text, rows[i].way, &options);
        g_autofree char *message = err ? cob_error_message(err) : g_strdup("");

        check_row(err != NULL, i, rows[i].text);
        if (strstr(message, "CANARY"))
            g_test_fail_printf("row %zu shows a secret: %s", i, message);
        CHECK_ERROR(err, rows[i].code, rows[i].error);
    }
}

static void test_refused_table(void)
{
    static const struct refused rows[] = {
        {"", OUT, COB_INVALID, "cache export: it is empty"},
        {"dest=x", OUT, COB_INVALID, "cache export: type is required: type=local, *"},
        {"type=,dest=x", OUT, COB_INVALID, "cache export: type is required: *"},
        {"type=locl,dest=x", OUT, COB_INVALID, "*unknown type locl: did you mean local?"},
        {"type=xyz", IN, COB_INVALID,
            "cache import: unknown type xyz; there is: local, registry, s3, inline"},
        {"type=gha", IN, COB_UNIMPLEMENTED, "*type gha is not supported; there is: local, *"},
        {"type=azblob,name=x", OUT, COB_UNIMPLEMENTED, "*type azblob is not supported; *"},
        {"type=local", OUT, COB_INVALID,
            "*dest is required for type local: --cache-to type=local,dest=FOLDER"},
        {"type=local,src=", IN, COB_INVALID,
            "*src is required for type local: --cache-from type=local,src=FOLDER"},
        {"type=local,src=x", OUT, COB_INVALID,
            "*option src is not for an export: did you mean dest?"},
        {"type=local,dest=x", IN, COB_INVALID,
            "*option dest is not for an import: did you mean src?"},
        {"type=local,dest=x,mod=max", OUT, COB_INVALID, "*unknown option mod: did you mean mode?"},
        {"type=local,src=x,mode=max", IN, COB_INVALID, "*option mode is not for an import"},
        {"type=local,dest=x,bucket=y", OUT, COB_INVALID, "*option bucket is not for type local"},
        {"type=local,dest=x,zzzzzz=y", OUT, COB_INVALID,
            "*unknown option zzzzzz; there is: type, dest, tag, reset, mode, *"},
        {"type=local,dest=x,mode=most", OUT, COB_INVALID, "*unknown mode most; there is: min, max"},
        {"type=local,dest=x,reset=maybe", OUT, COB_INVALID, "*reset=maybe: neither true nor false"},
        {"type=local,dest=x,compression=lz4", OUT, COB_INVALID, "*unknown compression lz4*"},
        {"type=local,dest=x,compression=estargz", OUT, COB_UNIMPLEMENTED, "*estargz*"},
        {"type=local,dest=x,compression-level=-1", OUT, COB_INVALID, "*a number from 0 to 22"},
        {"type=local,dest=x,tag=../x y", OUT, COB_INVALID, "*tag=../x y: not a tag"},
        {"type=local,dest=x,tag=", OUT, COB_INVALID, "*tag=: not a tag"},
        {"type=local,src=x,digest=sha256:12", IN, COB_INVALID, "*digest=sha256:12: not a digest"},
        {"type=local,dest=x,image-manifest=true,oci-mediatypes=false", OUT, COB_INVALID,
            "*image-manifest=true needs oci-mediatypes=true"},
        {"type=local,dest=x,mounts=", OUT, COB_INVALID, "*mounts is empty: *"},
        {"type=local,dest=x,mounts=;", OUT, COB_INVALID, "*mounts is empty: *"},
        {"type=local,dest=a\"b", OUT, COB_INVALID, "*a quote in the middle of a field"},
        {"type=local,\"dest=a", OUT, COB_INVALID, "*a quote that does not end"},
        {"type=local,dest=x,mode", OUT, COB_INVALID, "*option 3 has no value: key=value is wanted"},
        {"type=local,dest=x,", OUT, COB_INVALID, "*option 3 has no value: *"},
        {"type=registry", IN, COB_INVALID, "*ref is required for type registry: --cache-from *"},
        {"type=registry,ref=A B", IN, COB_INVALID, "*invalid reference format*"},
        {"type=registry,ref=localhost/a@sha256:"
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            OUT, COB_INVALID, "*ref has a digest: an export goes to a tag"},
        {"type=inline", IN, COB_INVALID, "*an inline cache is imported with its image: *"},
        {"type=inline,mounts=true", OUT, COB_INVALID, "*option mounts is not for type inline"},
    };

    check_refused(rows, G_N_ELEMENTS(rows));
}

static void test_refused_s3_table(void)
{
    static const struct refused rows[] = {
        {"type=s3", IN, COB_INVALID, "*bucket is required for type s3: *"},
        {"type=s3,bucket=b,access_key_id=CANARY", IN, COB_INVALID,
            "*access_key_id and secret_access_key go together"},
        {"type=s3,bucket=b,session_token=CANARY", IN, COB_INVALID, "*session_token needs *"},
        {"type=s3,bucket=b,secret_acess_key=CANARY", IN, COB_INVALID,
            "*unknown option secret_acess_key: did you mean secret_access_key?"},
        {"type=s3,bucket=b,access_key_id=A,secret_access_key=a,CANARY", IN, COB_INVALID,
            "*option 5 has no value: *"},
        {"type=s3,bucket=b,secret_access_key=CANARY\n", IN, COB_INVALID,
            "*secret_access_key has a control character"},
        {"type=s3,bucket=b,endpoint_url=ftp://x", IN, COB_INVALID, "*endpoint_url must be *"},
        {"type=s3,bucket=b,endpoint_url=https://user:CANARY@host", IN, COB_INVALID,
            "*endpoint_url has a user or a password*"},
        {"type=s3,bucket=b,endpoint_url=https://host/?x=y", IN, COB_INVALID, "*has a query"},
        {"type=s3,bucket=b,upload_parallelism=0", OUT, COB_INVALID, "*a number from 1 to 1000"},
        {"type=s3,bucket=b,touch_refresh=1d", OUT, COB_INVALID, "*a duration such as 24h"},
        {"type=s3,bucket=b,retry_mode=wild", OUT, COB_INVALID, "*unknown retry_mode wild*"},
        {"type=s3,bucket=b,name=a;;b", OUT, COB_INVALID, "*name has an empty or overlong part"},
    };

    check_refused(rows, G_N_ELEMENTS(rows));
}

static void test_text_has_no_secrets(void)
{
    g_autoptr(cob_cachebackend_options) options = NULL;

    CHECK_OK(cob_cachebackend_options_parse(
        "type=s3,bucket=b,access_key_id=CANARY1,secret_access_key=CANARY2,\"name=a,b\","
        "session_token=CANARY3",
        IN, &options));
    g_assert_cmpstr(options->text, ==, "type=s3,bucket=b,\"name=a,b\"");
}

static void test_bucket_from_environment(void)
{
    g_autoptr(cob_cachebackend_options) options = NULL;

    g_setenv("AWS_BUCKET", "from-env", TRUE);
    CHECK_OK(cob_cachebackend_options_parse("type=s3,region=x", IN, &options));
    g_assert_cmpstr(options->bucket, ==, "from-env");
    g_unsetenv("AWS_BUCKET");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cachebackend/options/read", test_read_table);
    g_test_add_func("/cachebackend/options/refused", test_refused_table);
    g_test_add_func("/cachebackend/options/refused-s3", test_refused_s3_table);
    g_test_add_func("/cachebackend/options/no-secrets", test_text_has_no_secrets);
    g_test_add_func("/cachebackend/options/bucket", test_bucket_from_environment);
    return g_test_run();
}
