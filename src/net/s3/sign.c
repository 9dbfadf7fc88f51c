/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3/sign.h"

#include <string.h>

#define BLOCK_BYTES 64
#define ALGORITHM "AWS4-HMAC-SHA256"

static char *hex_of(const struct cob_sha256 *sha)
{
    g_autofree char *text = cob_sha256_text(sha);

    return g_strdup(text + strlen(COB_DIGEST_PREFIX));
}

struct cob_sha256 s3_hmac(const void *key, size_t key_len, const char *text)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    struct cob_sha256 short_key;
    uint8_t inner[BLOCK_BYTES] = {0}, outer[BLOCK_BYTES];

    if (key_len > BLOCK_BYTES) {
        short_key = cob_sha256_of(key, key_len);
        key = short_key.bytes;
        key_len = COB_SHA256_BYTES;
    }
    memcpy(inner, key, key_len);
    memcpy(outer, inner, sizeof(outer));
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        inner[i] ^= 0x36;
        outer[i] ^= 0x5c;
    }
    cob_hasher_update(hasher, inner, sizeof(inner));
    cob_hasher_update(hasher, text, strlen(text));
    struct cob_sha256 sum = cob_hasher_finish(hasher);
    cob_hasher_update(hasher, outer, sizeof(outer));
    cob_hasher_update(hasher, sum.bytes, sizeof(sum.bytes));
    return cob_hasher_finish(hasher);
}

void s3_append_encoded(GString *out, const char *text, char keep)
{
    for (; *text; text++) {
        if (g_ascii_isalnum(*text) || strchr("-._~", *text) || (keep && *text == keep))
            g_string_append_c(out, *text);
        else
            g_string_append_printf(out, "%%%02X", (unsigned char)*text);
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* By name first: "a=" stands before "a-b=". */
static int compare_pairs(const void *a, const void *b)
{
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;

    while (*left && *left == *right) {
        left++;
        right++;
    }
    int l = *left == '=' ? 1 : (unsigned char)*left, r = *right == '=' ? 1 : (unsigned char)*right;
    return l - r;
}

static char *sorted_query(const char *query)
{
    g_auto(GStrv) pairs = g_strsplit(query, "&", -1);

    qsort(pairs, g_strv_length(pairs), sizeof(char *), compare_pairs);
    return g_strjoinv("&", pairs);
}

/* "host;x-amz-date". */
static char *names_of(const GPtrArray *headers)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < headers->len; i++) {
        const char *header = g_ptr_array_index(headers, i);

        g_string_append_printf(names, "%s%.*s", i ? ";" : "", (int)strcspn(header, ":"), header);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static char *canonical_request(const struct sign_request *request, const char *names)
{
    g_autofree char *query = sorted_query(request->query);
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "%s\n%s\n%s\n", request->method, request->path, query);
    for (guint i = 0; i < request->headers->len; i++) {
        g_string_append(text, g_ptr_array_index(request->headers, i));
        g_string_append_c(text, '\n');
    }
    g_string_append_printf(text, "\n%s\n%s", names, request->payload);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static struct cob_sha256 signing_key(const struct sign_request *request, const char *day)
{
    g_autofree char *start = g_strconcat("AWS4", request->secret_access_key, NULL);
    struct cob_sha256 key = s3_hmac(start, strlen(start), day);

    key = s3_hmac(key.bytes, sizeof(key.bytes), request->region);
    key = s3_hmac(key.bytes, sizeof(key.bytes), request->service);
    return s3_hmac(key.bytes, sizeof(key.bytes), "aws4_request");
}

char *s3_sign(const struct sign_request *request)
{
    g_autofree char *day = g_strndup(request->time, strcspn(request->time, "T"));
    g_autofree char *scope =
        g_strdup_printf("%s/%s/%s/aws4_request", day, request->region, request->service);

    g_ptr_array_sort(request->headers, compare_texts);
    g_autofree char *names = names_of(request->headers);
    g_autofree char *canonical = canonical_request(request, names);
    struct cob_sha256 sha = cob_sha256_of(canonical, strlen(canonical));
    g_autofree char *hex = hex_of(&sha);
    g_autofree char *to_sign = g_strdup_printf(ALGORITHM "\n%s\n%s\n%s", request->time, scope, hex);
    struct cob_sha256 key = signing_key(request, day);
    struct cob_sha256 mac = s3_hmac(key.bytes, sizeof(key.bytes), to_sign);
    g_autofree char *signature = hex_of(&mac);
    return g_strdup_printf(ALGORITHM " Credential=%s/%s,SignedHeaders=%s,Signature=%s",
        request->access_key_id, scope, names, signature);
}
