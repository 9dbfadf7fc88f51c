/* SPDX-License-Identifier: Apache-2.0 */
#include "s3_fixture.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static const char *const variables[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_BUCKET", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT"};

bool s3_fixture_can_run(void)
{
    if (g_file_test("/usr/lib/python3/dist-packages/botocore", G_FILE_TEST_IS_DIR))
        return true;
    check_skip("there is no python3-botocore");
    return false;
}

void s3_fixture_clear_environment(const struct s3_fixture *f)
{
    g_autofree char *none = g_build_filename(f->scratch, "none", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
        g_unsetenv(variables[i]);
    g_setenv("AWS_SHARED_CREDENTIALS_FILE", none, TRUE);
    g_setenv("AWS_CONFIG_FILE", none, TRUE);
    g_setenv("AWS_EC2_METADATA_DISABLED", "true", TRUE);
}

void s3_fixture_init(struct s3_fixture *f, bool with_tls)
{
    char line[20] = "";
    int out_fd = -1, status = -1;

    *f = (struct s3_fixture){.scratch = check_scratch_new()};
    f->log = g_build_filename(f->scratch, "log", NULL);
    g_autofree char *cert = g_build_filename(f->scratch, "server.crt", NULL);
    g_autofree char *key = g_build_filename(f->scratch, "server.key", NULL);
    g_autofree char *make = g_strdup_printf(
        "bash -c '. \"%s\" && registry_make_certs \"%s\"'", REGISTRY_SH, f->scratch);
    if (with_tls)
        g_assert_true(g_spawn_command_line_sync(make, NULL, NULL, &status, NULL) && status == 0);
    const char *argv[] = {"/usr/bin/python3", S3_SERVER, f->log, with_tls ? cert : NULL, key, NULL};
    g_assert(g_spawn_async_with_pipes(NULL, (char **)(uintptr_t)argv, NULL,
        G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &f->pid, &f->in_fd, &out_fd, NULL, NULL));
    g_assert_cmpint(read(out_fd, line, sizeof(line) - 1), >, 0);
    close(out_fd);
    f->port = (unsigned)g_ascii_strtoull(line, NULL, 10);
    s3_fixture_clear_environment(f);
}

void s3_fixture_done(struct s3_fixture *f)
{
    int status = 0;

    close(f->in_fd);
    waitpid(f->pid, &status, 0);
    g_assert_cmpint(status, ==, 0);
    g_spawn_close_pid(f->pid);
    g_free(f->log);
    check_scratch_free(f->scratch);
}

struct cob_error *s3_place_open(struct s3_place *place, enum cob_cachebackend_way way,
    unsigned port, struct cob_cancel *cancel, const char *more)
{
    g_autofree char *text =
        g_strdup_printf("type=s3,region=us-test-1,endpoint_url=http://127.0.0.1:%u,%s", port, more);

    *place = (struct s3_place){NULL, NULL};
    COB_TRY(cob_cachebackend_options_parse(text, way, &place->options));
    return cob_cachebackend_open(place->options, NULL, cancel, &place->backend);
}

void s3_place_close(struct s3_place *place)
{
    g_clear_pointer(&place->backend, cob_cachebackend_close);
    g_clear_pointer(&place->options, cob_cachebackend_options_free);
}
