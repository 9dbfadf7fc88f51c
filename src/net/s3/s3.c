/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3/s3.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>

#include "net/s3/s3_request.h"
#include "net/s3/sign.h"
#include "util/fs.h"
#include "util/limits.h"

#define STANDARD_PART_BYTES (64 * COB_MIB)
#define LEAST_PART_BYTES (5 * COB_MIB) /* of S3, but for the last one */
#define MAX_CA_BYTES COB_MIB
#define ASK_CONNECT_MS 1000
#define ASK_STALL_MS 2000

static const char *variable(const char *name)
{
    const char *value = g_getenv(name);

    return value && value[0] ? value : NULL;
}

/* --- bucket and region --- */

/* By the rules for new buckets, and those for old ones, whose names become a path.
 * spec: S3 User Guide, "Bucket naming rules". */
static struct cob_error *check_bucket(const char *bucket)
{
    size_t len = strlen(bucket);
    bool is_good = len >= 3 && len <= 255;

    for (size_t i = 0; i < len; i++)
        is_good = is_good && (g_ascii_isalnum(bucket[i]) || strchr(".-_", bucket[i]));
    if (!is_good || strstr(bucket, ".."))
        return cob_fail(COB_INVALID, "\"%.100s\" is not the name of a bucket", bucket);
    return NULL;
}

/* Could the bucket be a part of a host's name, that a certificate for *.host is good for? */
static bool is_host_part(const char *bucket)
{
    for (const char *c = bucket; *c; c++) {
        if (!g_ascii_islower(*c) && !g_ascii_isdigit(*c) && *c != '-')
            return false;
    }
    return bucket[0] != '-' && !g_str_has_suffix(bucket, "-") && strlen(bucket) <= 63;
}

/* A region becomes a part of a host's name, too. */
static struct cob_error *check_region(const char *region)
{
    if (strlen(region) > 63 || !is_host_part(region))
        return cob_fail(COB_INVALID, "\"%.100s\" is not a region", region);
    return NULL;
}

static struct cob_error *find_region(
    const struct cob_s3_config *config, bool has_endpoint, char **ret_region)
{
    const char *region = config->region && config->region[0] ? config->region : NULL;
    struct aws_profile profile = {0};

    if (!region)
        region = variable("AWS_REGION");
    if (!region)
        region = variable("AWS_DEFAULT_REGION");
    if (!region) {
        COB_TRY(aws_profile_read(&profile));
        *ret_region = g_steal_pointer(&profile.region);
        aws_profile_done(&profile);
    } else {
        *ret_region = g_strdup(region);
    }
    if (!*ret_region && has_endpoint)
        *ret_region = g_strdup("us-east-1");
    if (!*ret_region)
        return cob_fail(
            COB_INVALID, "no region: region=NAME, AWS_REGION, or the profile's in ~/.aws/config");
    return check_region(*ret_region);
}

/* --- where --- */

static bool is_number_host(const char *host)
{
    uint8_t bytes[16];

    return host[0] == '[' || inet_pton(AF_INET, host, bytes) == 1;
}

/* What stands between the host and the key, less a slash at its end. */
static char *make_base_path(const char *base, const char *bucket)
{
    g_autoptr(GString) path = g_string_new(base);

    while (path->len > 0 && path->str[path->len - 1] == '/')
        g_string_truncate(path, path->len - 1);
    if (bucket)
        g_string_append_printf(path, "/%s", bucket);
    return g_string_free(g_steal_pointer(&path), FALSE);
}

static char *standard_endpoint(const char *region)
{
    const char *domain = g_str_has_prefix(region, "cn-") ? "amazonaws.com.cn" : "amazonaws.com";

    return g_strdup_printf("https://s3.%s.%s", region, domain);
}

static struct cob_error *set_place(struct cob_s3 *s3, const char *endpoint, bool is_path_style)
{
    g_autoptr(cob_url) url = NULL;

    COB_TRY(cob_url_parse(s3->http, NULL, endpoint, &url));
    if (strpbrk(url->text, "?#"))
        return cob_fail(COB_INVALID, "it has a query");
    bool in_path = is_path_style || is_number_host(url->host) || !is_host_part(s3->bucket);
    s3->origin = g_strdup_printf("%s://%s%s%s", url->is_https ? "https" : "http",
        in_path ? "" : s3->bucket, in_path ? "" : ".", url->server);
    s3->base_path = make_base_path(url->path, in_path ? s3->bucket : NULL);
    return NULL;
}

static struct cob_error *set_ca(struct cob_s3 *s3)
{
    const char *path = variable("AWS_CA_BUNDLE");

    if (!path)
        return NULL;
    COB_TRY(cob_fs_read_file(AT_FDCWD, path, MAX_CA_BYTES, &s3->tls.ca));
    if (!s3->tls.ca)
        return cob_fail(COB_NOT_FOUND, "AWS_CA_BUNDLE: %s: no such file", path);
    return NULL;
}

static struct cob_error *set_up(struct cob_s3 *s3, const struct cob_s3_config *config)
{
    const struct cob_http_timing asking = {
        .n_tries = 1, .connect_ms = ASK_CONNECT_MS, .stall_ms = ASK_STALL_MS};
    const char *given =
        config->endpoint_url ? config->endpoint_url : variable("AWS_ENDPOINT_URL_S3");
    g_autofree char *endpoint = g_strdup(given ? given : variable("AWS_ENDPOINT_URL"));

    COB_TRY(check_bucket(config->bucket));
    s3->bucket = g_strdup(config->bucket);
    COB_TRY(find_region(config, endpoint != NULL, &s3->region));
    COB_TRY(cob_http_open(&config->timing, &s3->http));
    COB_TRY(cob_http_open(&asking, &s3->asking));
    COB_TRY(set_ca(s3));
    if (!endpoint)
        endpoint = standard_endpoint(s3->region);
    return cob_wrap(set_place(s3, endpoint, config->is_path_style), "endpoint of S3");
}

struct cob_error *cob_s3_open(const struct cob_s3_config *config, struct cob_s3 **ret_s3)
{
    g_autoptr(cob_s3) s3 = g_new(struct cob_s3, 1);
    const struct aws_keys given = {.access_key_id = (char *)(uintptr_t)config->access_key_id,
        .secret_access_key = (char *)(uintptr_t)config->secret_access_key,
        .session_token = (char *)(uintptr_t)config->session_token};
    uint64_t part_bytes = config->part_bytes ? config->part_bytes : STANDARD_PART_BYTES;

    *s3 = (struct cob_s3){.part_bytes = MAX(part_bytes, LEAST_PART_BYTES),
        .given = config->access_key_id ? aws_keys_copy(&given) : NULL};
    g_mutex_init(&s3->lock);
    COB_TRY(set_up(s3, config));
    *ret_s3 = g_steal_pointer(&s3);
    return NULL;
}

void cob_s3_close(struct cob_s3 *s3)
{
    if (!s3)
        return;
    cob_http_close(s3->http);
    cob_http_close(s3->asking);
    g_free(s3->bucket);
    g_free(s3->region);
    g_free(s3->origin);
    g_free(s3->base_path);
    g_clear_pointer(&s3->tls.ca, g_bytes_unref);
    aws_keys_free(s3->given);
    aws_keys_free(s3->found);
    g_mutex_clear(&s3->lock);
    g_free(s3);
}

void cob_s3_object_done(struct cob_s3_object *object)
{
    g_clear_pointer(&object->etag, g_free);
}
