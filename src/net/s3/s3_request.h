/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing asked of a bucket, signed, and again when that may help.
 */
#pragma once

#include "net/s3/aws_keys.h"
#include "net/s3/s3.h"

struct cob_s3 {
    struct cob_http *http;
    struct cob_http *asking; /* with short times, for servers of credentials */
    char *bucket, *region;
    char *origin;    /* "https://host[:port]" */
    char *base_path; /* what stands before "/KEY", encoded: "", "/base/bucket" */
    struct cob_http_tls tls;
    uint64_t part_bytes;
    struct aws_keys *given; /* those of the config; NULL: none */
    GMutex lock;            /* guards what follows */
    struct aws_keys *found; /* those that were looked for; NULL: not yet */
};

/* What to ask. All borrowed; zero is without. */
struct s3_call {
    struct cob_s3 *s3;
    const char *method;
    const char *key;
    const char *query;          /* encoded pairs; NULL: none */
    const char *const *headers; /* to be signed, "lower-case-name:value"; NULL-terminated */
    const struct cob_http_body *body;
    const char *payload;                /* hex of the body's SHA-256; NULL: of nothing */
    uint64_t size;                      /* of what goes or comes, for the time it may take */
    size_t max_body;                    /* of the answer */
    struct cob_http_receiver *receiver; /* where a 200's body goes; NULL: it is kept */
    unsigned once_ms; /* one try for so long: it is not that important. 0: as usual */
    struct cob_cancel *cancel;
};

/*
 * Ask until there is an answer that stays.
 *
 * response:  initialised; any status.
 * errors:    no credentials; COB_UNAVAILABLE when tries ran out.
 */
COB_RESULT struct cob_error *s3_ask(const struct s3_call *call, struct cob_http_response *response);

/* The error of an answer; NULL for 200 to 299. */
COB_RESULT struct cob_error *s3_check_status(
    const struct s3_call *call, const struct cob_http_response *response);

/* The text of an element of the answer, or NULL. The caller frees it. */
char *s3_answer_text(const struct cob_http_response *response, const char *element);

/* Put an object in parts. */
COB_RESULT struct cob_error *s3_put_parts(struct cob_s3 *s3, const char *key,
    const struct cob_http_body *body, struct cob_cancel *cancel);
