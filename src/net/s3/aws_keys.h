/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys to sign with, and where they come from: the environment, files, and two kinds of servers.
 *
 * threads:  any.
 * spec:     AWS SDKs and Tools Reference Guide, "Shared config and credentials files", "Container
 *           credential provider", "IMDS credential provider"; aws-sdk-go-v2 config.
 */
#pragma once

#include "net/http/http.h"

/* Text is NULL where it is not set. */
struct aws_keys {
    char *access_key_id, *secret_access_key, *session_token;
    int64_t expires_s; /* since 1970; 0: never */
};

/* NULL is passed over. */
void aws_keys_free(struct aws_keys *keys);
struct aws_keys *aws_keys_copy(const struct aws_keys *keys);
COB_AUTOPTR(aws_keys, aws_keys_free)

/* What the two files have under one profile's name. */
struct aws_profile {
    struct aws_keys *keys; /* NULL: none */
    char *region;
    char *unsupported; /* a setting that would lead to keys, and is not followed: "role_arn" */
};
void aws_profile_done(struct aws_profile *profile);

/* Read the profile of AWS_PROFILE, or "default", from ~/.aws/credentials and ~/.aws/config, or
 * where AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE say.
 * errors: COB_INVALID: AWS_PROFILE names one that is not there. */
COB_RESULT struct cob_error *aws_profile_read(struct aws_profile *ret_profile);

/* Add what a file says of a profile; what is known already stays.
 * section:    "default", "profile x".
 * ret_found:  set to true when there is such a section; else untouched. */
void aws_profile_parse(const char *text, size_t len, const char *section,
    struct aws_profile *profile, bool *ret_found);

/*
 * Find keys, in the order that s3.h has. Servers are asked for no longer than two seconds each.
 *
 * http:    with timing for such servers.
 * errors:  COB_UNAUTHENTICATED: nobody has any, which lists where they could be; a source that is
 *          there and gives none.
 */
COB_RESULT struct cob_error *aws_keys_find(
    struct cob_http *http, struct cob_cancel *cancel, struct aws_keys **ret_keys);

/* From the container's or the instance's server; NULL when there is none. */
COB_RESULT struct cob_error *aws_keys_ask_container(
    struct cob_http *http, struct cob_cancel *cancel, struct aws_keys **ret_keys);
COB_RESULT struct cob_error *aws_keys_ask_instance(
    struct cob_http *http, struct cob_cancel *cancel, struct aws_keys **ret_keys);
