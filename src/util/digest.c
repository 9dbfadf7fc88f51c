/* SPDX-License-Identifier: Apache-2.0 */
#include "util/digest.h"

#include <openssl/evp.h>
#include <string.h>

struct cob_hasher {
    EVP_MD_CTX *evp;
};

/* OpenSSL fails here only when it has no SHA-256 at all, which no machine survives. */
static void start(struct cob_hasher *hasher)
{
    int ok = EVP_DigestInit_ex(hasher->evp, EVP_sha256(), NULL);

    g_assert(ok == 1);
}

struct cob_hasher *cob_hasher_new(void)
{
    struct cob_hasher *hasher = g_new(struct cob_hasher, 1);

    *hasher = (struct cob_hasher){.evp = EVP_MD_CTX_new()};
    g_assert(hasher->evp != NULL);
    start(hasher);
    return hasher;
}

void cob_hasher_free(struct cob_hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->evp);
    g_free(hasher);
}

void cob_hasher_update(struct cob_hasher *hasher, const void *data, size_t len)
{
    int ok = EVP_DigestUpdate(hasher->evp, data, len);

    g_assert(ok == 1);
}

void cob_hasher_update_text(struct cob_hasher *hasher, const char *text)
{
    cob_hasher_update_number(hasher, text ? strlen(text) : UINT64_MAX);
    if (text)
        cob_hasher_update(hasher, text, strlen(text));
}

void cob_hasher_update_number(struct cob_hasher *hasher, uint64_t number)
{
    uint64_t little = GUINT64_TO_LE(number);

    cob_hasher_update(hasher, &little, sizeof(little));
}

struct cob_sha256 cob_hasher_finish(struct cob_hasher *hasher)
{
    struct cob_sha256 sha;
    unsigned len = 0;
    int ok = EVP_DigestFinal_ex(hasher->evp, sha.bytes, &len);

    g_assert(ok == 1 && len == sizeof(sha.bytes));
    start(hasher);
    return sha;
}

struct cob_sha256 cob_sha256_of(const void *data, size_t len)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update(hasher, data, len);
    return cob_hasher_finish(hasher);
}

char *cob_sha256_text(const struct cob_sha256 *sha)
{
    static const char digits[] = "0123456789abcdef";
    const size_t prefix_len = strlen(COB_DIGEST_PREFIX);
    char *text = g_malloc(prefix_len + COB_SHA256_HEX + 1);
    char *at = text + prefix_len;

    memcpy(text, COB_DIGEST_PREFIX, prefix_len);
    for (size_t i = 0; i < COB_SHA256_BYTES; i++) {
        *at++ = digits[sha->bytes[i] >> 4];
        *at++ = digits[sha->bytes[i] & 15];
    }
    *at = '\0';
    return text;
}

/* Is it `n` lower-case hex digits, and then the end? */
static bool is_hex(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") == n && text[n] == '\0';
}

bool cob_sha256_parse(const char *text, struct cob_sha256 *ret_sha)
{
    const char *hex = text + strlen(COB_DIGEST_PREFIX);

    if (!g_str_has_prefix(text, COB_DIGEST_PREFIX) || !is_hex(hex, COB_SHA256_HEX))
        return false;
    for (size_t i = 0; i < COB_SHA256_BYTES; i++)
        ret_sha->bytes[i] =
            (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]));
    return true;
}

bool cob_digest_is_valid(const char *text)
{
    if (g_str_has_prefix(text, COB_DIGEST_PREFIX))
        return is_hex(text + strlen(COB_DIGEST_PREFIX), COB_SHA256_HEX);
    return g_str_has_prefix(text, "sha512:") && is_hex(text + strlen("sha512:"), 128);
}

char *cob_digest_of(const void *data, size_t len)
{
    struct cob_sha256 sha = cob_sha256_of(data, len);

    return cob_sha256_text(&sha);
}
