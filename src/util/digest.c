/* SPDX-License-Identifier: Apache-2.0 */
#include "util/digest.h"

#include <openssl/evp.h>
#include <string.h>

struct algorithm {
    const char *name;
    size_t n_hex;
    const EVP_MD *(*evp)(void);
};

static const struct algorithm algorithms[] = {
    {"sha256", COB_SHA256_HEX, EVP_sha256},
    {"sha384", 96, EVP_sha384},
    {"sha512", 128, EVP_sha512},
};

struct cob_hasher {
    EVP_MD_CTX *evp;
    const struct algorithm *algorithm;
};

/* OpenSSL fails here only when it has no SHA-2 at all, which no machine survives. */
static void start(struct cob_hasher *hasher)
{
    int ok = EVP_DigestInit_ex(hasher->evp, hasher->algorithm->evp(), NULL);

    g_assert(ok == 1);
}

static struct cob_hasher *hasher_of(const struct algorithm *algorithm)
{
    struct cob_hasher *hasher = g_new(struct cob_hasher, 1);

    *hasher = (struct cob_hasher){.evp = EVP_MD_CTX_new(), .algorithm = algorithm};
    g_assert(hasher->evp != NULL);
    start(hasher);
    return hasher;
}

struct cob_hasher *cob_hasher_new(void)
{
    return hasher_of(&algorithms[0]);
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

/* "<name>:<hex>" */
static char *text_of(const char *name, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const size_t name_len = strlen(name);
    char *text = g_malloc(name_len + 1 + 2 * len + 1);
    char *at = text + name_len + 1;

    memcpy(text, name, name_len);
    text[name_len] = ':';
    for (size_t i = 0; i < len; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    *at = '\0';
    return text;
}

char *cob_sha256_text(const struct cob_sha256 *sha)
{
    return text_of(algorithms[0].name, sha->bytes, sizeof(sha->bytes));
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

/* --- checksums --- */

static const struct algorithm *find_algorithm(const char *checksum)
{
    size_t len = strcspn(checksum, ":");

    for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++) {
        if (strlen(algorithms[i].name) == len && memcmp(algorithms[i].name, checksum, len) == 0)
            return &algorithms[i];
    }
    return NULL;
}

static const char *fault_of(const char *checksum)
{
    static const char invalid[] = "invalid checksum digest format";
    const char *colon = strchr(checksum, ':');

    if (!colon || colon == checksum || !colon[1])
        return invalid;
    const struct algorithm *algorithm = find_algorithm(checksum);
    if (!algorithm)
        return "unsupported digest algorithm";
    if (strlen(colon + 1) != algorithm->n_hex)
        return "invalid checksum digest length";
    return is_hex(colon + 1, algorithm->n_hex) ? NULL : invalid;
}

bool cob_checksum_is_valid(const char *text, const char **ret_fault)
{
    const char *fault = fault_of(text);

    if (fault && ret_fault)
        *ret_fault = fault;
    return !fault;
}

struct cob_hasher *cob_hasher_new_for(const char *checksum)
{
    g_assert(cob_checksum_is_valid(checksum, NULL));
    return hasher_of(find_algorithm(checksum));
}

char *cob_hasher_finish_checksum(struct cob_hasher *hasher)
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int ok = EVP_DigestFinal_ex(hasher->evp, bytes, &len);

    g_assert(ok == 1);
    start(hasher);
    return text_of(hasher->algorithm->name, bytes, len);
}
