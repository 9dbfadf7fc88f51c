/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "s3_fixture.h"

/* Where credentials come from; each row is an environment, and the one before it is gone. */
static const struct {
    const char *name, *settings; /* NAME=VALUE lines; {url}, {dir} */
    enum cob_code code;          /* 0: they are found */
    const char *error;
} credential_rows[] = {
    {"environment", "AWS_ACCESS_KEY_ID=AKIDTEST\nAWS_SECRET_ACCESS_KEY=SECRETCANARY", 0, NULL},
    {"environment, with a token",
        "AWS_ACCESS_KEY_ID=AKIDSESSION\nAWS_SECRET_ACCESS_KEY=SESSIONCANARY\n"
        "AWS_SESSION_TOKEN=TOKENCANARY",
        0, NULL},
    {"credentials file", "AWS_SHARED_CREDENTIALS_FILE={dir}/credentials", 0, NULL},
    {"credentials file, profile",
        "AWS_SHARED_CREDENTIALS_FILE={dir}/credentials\nAWS_PROFILE=temporary", 0, NULL},
    {"config file, profile", "AWS_CONFIG_FILE={dir}/config\nAWS_PROFILE=conf", 0, NULL},
    {"the environment comes before files",
        "AWS_SHARED_CREDENTIALS_FILE={dir}/credentials\nAWS_PROFILE=wrong\n"
        "AWS_ACCESS_KEY_ID=AKIDTEST\nAWS_SECRET_ACCESS_KEY=SECRETCANARY",
        0, NULL},
    {"files come before servers",
        "AWS_SHARED_CREDENTIALS_FILE={dir}/credentials\n"
        "AWS_CONTAINER_CREDENTIALS_FULL_URI={url}/badjson",
        0, NULL},
    {"wrong keys", "AWS_SHARED_CREDENTIALS_FILE={dir}/credentials\nAWS_PROFILE=wrong", COB_DENIED,
        "*SignatureDoesNotMatch*"},
    {"no such profile", "AWS_PROFILE=nobody", COB_INVALID,
        "*AWS_PROFILE: there is no profile nobody in *"},
    {"a role", "AWS_CONFIG_FILE={dir}/config\nAWS_PROFILE=role", COB_UNIMPLEMENTED,
        "*the AWS profile has role_arn, which is not supported: *"},
    {"a web identity", "AWS_WEB_IDENTITY_TOKEN_FILE=/x", COB_UNIMPLEMENTED,
        "*AWS_WEB_IDENTITY_TOKEN_FILE is not supported*"},
    {"container",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI={url}/container\n"
        "AWS_CONTAINER_AUTHORIZATION_TOKEN=CONTAINERTOKEN",
        0, NULL},
    {"container, token in a file",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI={url}/container\n"
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={dir}/token",
        0, NULL},
    {"container, no token", "AWS_CONTAINER_CREDENTIALS_FULL_URI={url}/container",
        COB_UNAUTHENTICATED, "*container credentials: the server of AWS_CONTAINER*"},
    {"container, broken answer", "AWS_CONTAINER_CREDENTIALS_FULL_URI={url}/badjson", COB_INVALID,
        "*container credentials: the answer is not JSON"},
    {"container, far away", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://192.0.2.1/x", COB_DENIED,
        "*192.0.2.1 may not be asked by plain http"},
    {"instance", "AWS_EC2_METADATA_DISABLED=false\nAWS_EC2_METADATA_SERVICE_ENDPOINT={url}/", 0,
        NULL},
    {"instance, disabled",
        "AWS_EC2_METADATA_DISABLED=true\nAWS_EC2_METADATA_SERVICE_ENDPOINT={url}",
        COB_UNAUTHENTICATED, "*no credentials for S3*"},
    {"instance, nobody there",
        "AWS_EC2_METADATA_DISABLED=false\n"
        "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1",
        COB_UNAUTHENTICATED, "*no credentials for S3*"},
};

static const char credentials_text[] =
    "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = SECRETCANARY\n"
    "[temporary]\naws_access_key_id = AKIDSESSION\naws_secret_access_key = SESSIONCANARY\n"
    "aws_session_token = TOKENCANARY\n[wrong]\naws_access_key_id = AKIDTEST\n"
    "aws_secret_access_key = WRONGCANARY\n";
static const char config_text[] =
    "[profile conf]\naws_access_key_id = AKIDTEST\naws_secret_access_key = SECRETCANARY\n"
    "[profile role]\nrole_arn = arn:x\nsource_profile = conf\n";

static void write_files(const struct s3_fixture *f)
{
    static const char *const names[] = {"credentials", "config", "token"};
    static const char *const texts[] = {credentials_text, config_text, "CONTAINERTOKEN\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->scratch, names[i], NULL);

        g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
    }
}

static void set_environment(const struct s3_fixture *f, const char *text)
{
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u", f->port);
    g_autoptr(GString) settings = g_string_new(text);

    s3_fixture_clear_environment(f);
    g_string_replace(settings, "{url}", url, 0);
    g_string_replace(settings, "{dir}", f->scratch, 0);
    g_auto(GStrv) lines = g_strsplit(settings->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_autofree char *name = g_strndup(*line, strcspn(*line, "="));

        g_setenv(name, strchr(*line, '=') + 1, TRUE);
    }
}

static void test_credentials_table(void)
{
    struct s3_fixture f;

    if (!s3_fixture_can_run())
        return;
    s3_fixture_init(&f, /* with_tls= */ false);
    write_files(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(credential_rows); i++) {
        g_autoptr(cob_cachebackend_document) document = NULL;
        enum cob_code code = credential_rows[i].code;
        struct s3_place place;

        set_environment(&f, credential_rows[i].settings);
        struct cob_error *err =
            s3_place_open(&place, COB_CACHEBACKEND_IMPORT, f.port, NULL, "bucket=keys");
        if (!err)
            err = cob_cachebackend_get_document(place.backend, NULL, &document);
        g_autofree char *message = err ? cob_error_message(err) : g_strdup("");
        check_row(
            (err != NULL) == (code != 0) && !strstr(message, "CANARY"), i, credential_rows[i].name);
        if (code)
            CHECK_ERROR(err, code, credential_rows[i].error);
        else
            CHECK_OK(err);
        s3_place_close(&place);
    }
    s3_fixture_clear_environment(&f);
    s3_fixture_done(&f);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cachebackend/s3/credentials", test_credentials_table);
    return g_test_run();
}
