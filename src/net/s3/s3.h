/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in a bucket of S3, or of what speaks like it: requests signed by version 4, over
 * net/http.
 *
 *     endpoint_url        bucket in       URL of a key
 *     none                host            https://BUCKET.s3.REGION.amazonaws.com/KEY
 *     none, or given      path            https://s3.REGION.amazonaws.com/BUCKET/KEY
 *     https://HOST/BASE   host            https://BUCKET.HOST/BASE/KEY
 *
 * The bucket goes into the path, too, where the host is an address in numbers or the bucket's name
 * is none of a host. Redirects are not followed: they say that another region is meant, which
 * becomes the error. Plain HTTP is for an endpoint_url that says http:// itself.
 *
 * Credentials are looked for in this order, and the first source that has some decides:
 *
 *     1  those of the config                 4  the container's: AWS_CONTAINER_CREDENTIALS_*
 *     2  AWS_ACCESS_KEY_ID and its like      5  the instance's, from its link-local address
 *     3  the profile's, in ~/.aws/credentials, then ~/.aws/config
 *
 * Those of 4 and 5 are asked for anew before they expire. Of a profile only keys count: roles, SSO,
 * processes and web identities are not supported, and say so. No secret is in any error.
 *
 * threads:  any, once open.
 * spec:     Amazon S3 API Reference; "Signature Version 4"; aws-sdk-go-v2 config.
 */
#pragma once

#include "net/http/http.h"

/* What to talk to. NULL and zero: the usual. All borrowed for the call of cob_s3_open(). */
struct cob_s3_config {
    const char *bucket;
    const char *region; /* AWS_REGION, AWS_DEFAULT_REGION, the profile's; with an endpoint us-east-1
                         */
    const char *endpoint_url; /* AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL */
    bool is_path_style;
    const char *access_key_id, *secret_access_key, *session_token;
    uint64_t part_bytes; /* longer objects go up in parts of it; 64 MiB */
    struct cob_http_timing timing;
};

struct cob_s3; /* a bucket, its credentials, idle connections */

/* Load libcurl and the settings. Nothing is asked yet.
 * errors: COB_INVALID: no region, a bucket or endpoint that is none. */
COB_RESULT struct cob_error *cob_s3_open(
    const struct cob_s3_config *config, struct cob_s3 **ret_s3);

/* No call may be running. NULL is passed over. */
void cob_s3_close(struct cob_s3 *s3);
COB_AUTOPTR(cob_s3, cob_s3_close)

/* What is known of an object. */
struct cob_s3_object {
    bool is_there;
    int64_t size;       /* -1: not said */
    int64_t modified_s; /* since 1970; -1: not said */
    char *etag;         /* NULL: not said */
};
void cob_s3_object_done(struct cob_s3_object *object);

/*
 * All of these: errors begin with the bucket and the key. COB_DENIED; COB_NOT_FOUND: no such
 * bucket, or object; COB_UNAUTHENTICATED: no credentials; COB_PRECONDITION: another region;
 * COB_UNAVAILABLE when tries ran out; COB_CANCELLED.
 */

/* Ask about an object. */
COB_RESULT struct cob_error *cob_s3_head(struct cob_s3 *s3, const char *key,
    struct cob_cancel *cancel, struct cob_s3_object *ret_object);

/* Get an object as a whole.
 * ret_bytes, ret_etag: the caller's; NULL when there is no such object. */
COB_RESULT struct cob_error *cob_s3_get_bytes(struct cob_s3 *s3, const char *key, size_t max_bytes,
    struct cob_cancel *cancel, GBytes **ret_bytes, char **ret_etag);

/* Get an object whose digest and size are known, piece by piece; a transfer that breaks goes on
 * where it broke.
 * receiver: new; what it was given is to be trusted only once this succeeds. */
COB_RESULT struct cob_error *cob_s3_get(struct cob_s3 *s3, const char *key,
    struct cob_http_receiver *receiver, struct cob_cancel *cancel);

/* When to put: whatever is there, only over this version of it, only when nothing is there. */
struct cob_s3_condition {
    bool is_any;
    const char *etag; /* NULL: when nothing is there */
};

/* Put small bytes.
 * ret_is_put: false: the condition does not hold. Of a server that knows no conditions it is
 *             looked at before. */
COB_RESULT struct cob_error *cob_s3_put_bytes(struct cob_s3 *s3, const char *key,
    const char *content_type, GBytes *bytes, const struct cob_s3_condition *condition,
    struct cob_cancel *cancel, bool *ret_is_put);

/* Put an object of a known digest, in parts when it is long. Parts of a push that failed are
 * removed.
 * digest: "sha256:<hex>" of all of body. */
COB_RESULT struct cob_error *cob_s3_put(struct cob_s3 *s3, const char *key, const char *digest,
    const struct cob_http_body *body, struct cob_cancel *cancel);

/* Make an object new, for rules that expire old ones: it is copied onto itself. */
COB_RESULT struct cob_error *cob_s3_touch(
    struct cob_s3 *s3, const char *key, struct cob_cancel *cancel);
