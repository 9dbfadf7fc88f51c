/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3/aws_keys.h"

void aws_keys_free(struct aws_keys *keys)
{
    if (!keys)
        return;
    g_free(keys->access_key_id);
    g_free(keys->secret_access_key);
    g_free(keys->session_token);
    g_free(keys);
}

struct aws_keys *aws_keys_copy(const struct aws_keys *keys)
{
    struct aws_keys *copy = g_new(struct aws_keys, 1);

    *copy = (struct aws_keys){.access_key_id = g_strdup(keys->access_key_id),
        .secret_access_key = g_strdup(keys->secret_access_key),
        .session_token = g_strdup(keys->session_token),
        .expires_s = keys->expires_s};
    return copy;
}

/* The first of two variables that is set and not empty. */
static const char *variable(const char *name, const char *other)
{
    const char *value = g_getenv(name);

    if ((!value || !value[0]) && other)
        value = g_getenv(other);
    return value && value[0] ? value : NULL;
}

static struct aws_keys *from_environment(void)
{
    const struct aws_keys keys = {
        .access_key_id = (char *)(uintptr_t)variable("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
        .secret_access_key = (char *)(uintptr_t)variable("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
        .session_token = (char *)(uintptr_t)variable("AWS_SESSION_TOKEN", NULL)};

    return keys.access_key_id && keys.secret_access_key ? aws_keys_copy(&keys) : NULL;
}

static struct cob_error *from_profile(struct aws_keys **ret_keys)
{
    struct aws_profile profile = {0};
    struct cob_error *err = aws_profile_read(&profile);

    if (!err && !profile.keys && profile.unsupported)
        err = cob_fail(COB_UNIMPLEMENTED,
            "the AWS profile has %s, which is not supported: give keys by AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY",
            profile.unsupported);
    if (!err)
        *ret_keys = g_steal_pointer(&profile.keys);
    aws_profile_done(&profile);
    return err;
}

struct cob_error *aws_keys_find(
    struct cob_http *http, struct cob_cancel *cancel, struct aws_keys **ret_keys)
{
    *ret_keys = from_environment();
    if (*ret_keys)
        return NULL;
    if (variable("AWS_WEB_IDENTITY_TOKEN_FILE", NULL))
        return cob_fail(COB_UNIMPLEMENTED,
            "AWS_WEB_IDENTITY_TOKEN_FILE is not supported: give keys by AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY");
    COB_TRY(from_profile(ret_keys));
    if (!*ret_keys)
        COB_TRY(cob_wrap(aws_keys_ask_container(http, cancel, ret_keys), "container credentials"));
    if (!*ret_keys)
        COB_TRY(cob_wrap(aws_keys_ask_instance(http, cancel, ret_keys), "instance credentials"));
    if (!*ret_keys)
        return cob_fail(COB_UNAUTHENTICATED,
            "no credentials for S3: access_key_id and secret_access_key, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials");
    return NULL;
}
