/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 of content: as bytes, as hex, and as the text of a digest, "sha256:<64 hex>". And what a
 * user may have a file checked by: SHA-384 and SHA-512, too.
 *
 * threads:  a hasher belongs to one thread at a time; the rest is free.
 * spec:     OCI image-spec descriptor.md, "Digests". Of its algorithms cob makes sha256 alone; a
 *           checksum has those of Go's go-digest.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/cleanup.h"

#define COB_SHA256_BYTES 32
#define COB_SHA256_HEX (2 * COB_SHA256_BYTES)
#define COB_DIGEST_PREFIX "sha256:"

struct cob_sha256 {
    uint8_t bytes[COB_SHA256_BYTES];
};

struct cob_hasher; /* SHA-256 of bytes that come in pieces */

/* A new hasher is empty; the caller frees it. */
struct cob_hasher *cob_hasher_new(void);
void cob_hasher_free(struct cob_hasher *hasher);
COB_AUTOPTR(cob_hasher, cob_hasher_free)

/* Add bytes to what is hashed. */
void cob_hasher_update(struct cob_hasher *hasher, const void *data, size_t len);

/* Add a string with its length before it, so that no two lists of strings hash alike.
 * text: NULL differs from "". */
void cob_hasher_update_text(struct cob_hasher *hasher, const char *text);

/* Add a number, 8 bytes little endian. */
void cob_hasher_update_number(struct cob_hasher *hasher, uint64_t number);

/* The digest of all that was added; the hasher starts anew. */
struct cob_sha256 cob_hasher_finish(struct cob_hasher *hasher);

/* The same for bytes that are at hand. */
struct cob_sha256 cob_sha256_of(const void *data, size_t len);

/* "sha256:<hex>". The caller frees it. */
char *cob_sha256_text(const struct cob_sha256 *sha);

/* Read "sha256:<64 lower-case hex digits>", and nothing else. False leaves ret_sha untouched. */
bool cob_sha256_parse(const char *text, struct cob_sha256 *ret_sha);

/* Is it a digest by the grammar that cob accepts from outside: sha256 or sha512, lower-case hex of
 * the right length? To be asked before a digest becomes part of any path or URL. */
bool cob_digest_is_valid(const char *text);

/* "sha256:<hex>" of bytes. The caller frees it. */
char *cob_digest_of(const void *data, size_t len);

/* Is it a checksum as users write it: sha256, sha384 or sha512, lower-case hex of the right length?
 *
 * ret_fault:  what is wrong with it, in the words of go-digest, static; may be NULL. */
bool cob_checksum_is_valid(const char *text, const char **ret_fault);

/* A hasher by the algorithm of a checksum that is valid; the caller frees it. */
struct cob_hasher *cob_hasher_new_for(const char *checksum);

/* The checksum of all that was added; the hasher starts anew. The caller frees it. */
char *cob_hasher_finish_checksum(struct cob_hasher *hasher);
