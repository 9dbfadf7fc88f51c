/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "net/http/http_private.h"

#define MAX_URL_BYTES (16 * 1024)

static struct cob_error *get_part(
    const struct curl_api *api, CURLU *handle, CURLUPart part, char **ret_text)
{
    char *text = NULL;
    CURLUcode code = api->url_get(handle, part, &text, CURLU_DEFAULT_PORT);

    if (code != CURLUE_OK)
        return cob_fail(COB_INVALID, "%s", api->url_strerror(code));
    *ret_text = g_strdup(text);
    api->free(text);
    return NULL;
}

static struct cob_error *take_apart(const struct curl_api *api, CURLU *handle, struct cob_url *url)
{
    g_autofree char *scheme = NULL;
    g_autofree char *port = NULL;

    COB_TRY(get_part(api, handle, CURLUPART_SCHEME, &scheme));
    url->is_https = strcmp(scheme, "https") == 0;
    if (!url->is_https && strcmp(scheme, "http") != 0)
        return cob_fail(COB_INVALID, "%s is neither https nor http", scheme);
    COB_TRY(get_part(api, handle, CURLUPART_HOST, &url->host));
    COB_TRY(get_part(api, handle, CURLUPART_PORT, &port));
    COB_TRY(get_part(api, handle, CURLUPART_PATH, &url->path));
    /* without a default port, so that the text is one, however it was written */
    char *text = NULL;
    CURLUcode code = api->url_get(handle, CURLUPART_URL, &text, CURLU_NO_DEFAULT_PORT);
    if (code != CURLUE_OK)
        return cob_fail(COB_INVALID, "%s", api->url_strerror(code));
    url->text = g_strdup(text);
    api->free(text);

    bool is_default = strcmp(port, url->is_https ? "443" : "80") == 0;
    g_autofree char *low = g_ascii_strdown(url->host, -1);
    url->server = is_default ? g_strdup(low) : g_strconcat(low, ":", port, NULL);
    url->origin = g_strconcat(scheme, "://", low, ":", port, NULL);
    return NULL;
}

static struct cob_error *parse_with(const struct curl_api *api, CURLU *handle, const char *base,
    const char *text, struct cob_url *url)
{
    CURLUcode code = CURLUE_OK;

    if (base)
        code = api->url_set(handle, CURLUPART_URL, base, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK)
        code = api->url_set(handle, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK)
        code = api->url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
    if (code != CURLUE_OK)
        return cob_fail(COB_INVALID, "%s", api->url_strerror(code));
    return take_apart(api, handle, url);
}

/* Spaces and control characters have no place in a URL; libcurl is lenient with some. */
static bool is_clean(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

static bool has_user(const char *text)
{
    const char *authority = strstr(text, "://");

    return authority && memchr(authority + 3, '@', strcspn(authority + 3, "/?#"));
}

struct cob_error *cob_url_parse(
    const struct cob_http *http, const char *base, const char *text, struct cob_url **ret_url)
{
    if (strlen(text) > MAX_URL_BYTES || !is_clean(text))
        return cob_fail(COB_INVALID, "\"%.100s\" is not a URL", text);
    if (has_user(text))
        return cob_fail(COB_INVALID, "a URL with a user or a password is not accepted");
    g_autoptr(cob_url) url = g_new0(struct cob_url, 1);
    const struct curl_api *api = &http->api;
    CURLU *handle = api->url();
    struct cob_error *err = parse_with(api, handle, base, text, url);

    api->url_cleanup(handle);
    if (err) /* what stands behind '?' may be a signature */
        return cob_wrap(err, "URL \"%.*s\"", (int)MIN(strcspn(text, "?"), 100U), text);
    *ret_url = g_steal_pointer(&url);
    return NULL;
}

void cob_url_free(struct cob_url *url)
{
    if (!url)
        return;
    g_free(url->text);
    g_free(url->host);
    g_free(url->server);
    g_free(url->origin);
    g_free(url->path);
    g_free(url);
}

/* The 16 bytes of an address in numbers; an IPv4 one as ::ffff:a.b.c.d. */
static bool read_address(const char *host, uint8_t ret_bytes[16])
{
    g_autofree char *bare = host[0] == '[' ? g_strndup(host + 1, strcspn(host + 1, "]%"))
                                           : g_strndup(host, strcspn(host, ":"));
    static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(ret_bytes, v4_prefix, sizeof(v4_prefix));
    return inet_pton(AF_INET, bare, ret_bytes + 12) == 1 ||
           inet_pton(AF_INET6, bare, ret_bytes) == 1;
}

static bool is_localhost(const char *host)
{
    g_autofree char *name = g_ascii_strdown(host, (gssize)strcspn(host, ":"));

    if (g_str_has_suffix(name, "."))
        name[strlen(name) - 1] = '\0';
    return strcmp(name, "localhost") == 0 || g_str_has_suffix(name, ".localhost");
}

/* One block of addresses: the first n_bits of `prefix`. */
struct block {
    uint8_t prefix[16];
    unsigned n_bits;
};

#define V4(a, b, c, d, bits)                                                                       \
    {                                                                                              \
        {[10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b), [14] = (c), [15] = (d)}, 96 + (bits)    \
    }

static const struct block loopback[] = {V4(127, 0, 0, 0, 8), {{[15] = 1}, 128}};

static const struct block private_blocks[] = {
    V4(0, 0, 0, 0, 8),
    V4(10, 0, 0, 0, 8),
    V4(100, 64, 0, 0, 10),
    V4(169, 254, 0, 0, 16),
    V4(172, 16, 0, 0, 12),
    V4(192, 168, 0, 0, 16),
    V4(224, 0, 0, 0, 3),
    {{0}, 96}, /* ::, ::1, and the old form of IPv4 in IPv6 */
    {{0xfc}, 7},
    {{0xfe, 0x80}, 10},
    {{0xff}, 8},
};

static bool is_in(const uint8_t bytes[16], const struct block *blocks, size_t n_blocks)
{
    for (size_t i = 0; i < n_blocks; i++) {
        unsigned n_bits = 0;

        while (n_bits < blocks[i].n_bits &&
               ((bytes[n_bits / 8] ^ blocks[i].prefix[n_bits / 8]) & (0x80 >> n_bits % 8)) == 0)
            n_bits++;
        if (n_bits == blocks[i].n_bits)
            return true;
    }
    return false;
}

bool cob_url_host_is_loopback(const char *host)
{
    uint8_t bytes[16];

    return is_localhost(host) ||
           (read_address(host, bytes) && is_in(bytes, loopback, G_N_ELEMENTS(loopback)));
}

bool cob_url_host_is_private(const char *host)
{
    uint8_t bytes[16];

    if (cob_url_host_is_loopback(host))
        return true;
    return read_address(host, bytes) && is_in(bytes, private_blocks, G_N_ELEMENTS(private_blocks));
}
