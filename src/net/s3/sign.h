/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4, as S3 wants it: the path is encoded once.
 *
 * threads:  any.
 * spec:     AWS General Reference, "Signature Version 4"; RFC 2104.
 */
#pragma once

#include "util/digest.h"
#include "util/error.h"

#define SIGN_EMPTY_HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* What is signed. All borrowed. */
struct sign_request {
    const char *method;
    const char *path;    /* encoded, as it is sent */
    const char *query;   /* "" or encoded pairs, "a=1&b=": sorted here */
    GPtrArray *headers;  /* of char *: "lower-case-name:value", sorted here; all are signed */
    const char *payload; /* hex of its SHA-256 */
    const char *region, *service;
    const char *time; /* "20130524T000000Z" */
    const char *access_key_id, *secret_access_key;
};

/* The value of the Authorization header. The caller frees it. */
char *s3_sign(const struct sign_request *request);

/* HMAC-SHA256. */
struct cob_sha256 s3_hmac(const void *key, size_t key_len, const char *text);

/* Append text with all but A-Z a-z 0-9 - . _ ~ as %XX.
 * keep: one more byte that stays; 0: none. */
void s3_append_encoded(GString *out, const char *text, char keep);
