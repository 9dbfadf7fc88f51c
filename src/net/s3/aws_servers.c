/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials that a server nearby gives to who is let in: of a container, or of an instance. */
#include <fcntl.h>
#include <string.h>

#include "net/s3/aws_keys.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/limits.h"

#define MAX_ANSWER_BYTES (64 * COB_KIB)
#define MAX_ROLE_BYTES 128
#define ASK_US (2 * G_USEC_PER_SEC)
#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"

/* One question. Its answer goes to `body` when it is a 200. */
struct question {
    struct cob_http *http;
    struct cob_cancel *cancel;
    const char *method; /* NULL: GET */
    const char *url;
    const char *header; /* "Name: value"; NULL: none */
};

/* Is it a place that may be asked without TLS: this machine, or what only it can reach? */
static bool is_nearby(const char *host)
{
    static const char *const known[] = {"169.254.170.2", "169.254.170.23", "169.254.169.254",
        "[fd00:ec2::23]", "[fd00:ec2::254]", NULL};

    return cob_url_host_is_loopback(host) || g_strv_contains(known, host);
}

/* ret_body: NULL when nobody is there, or there is nothing. */
static struct cob_error *ask(const struct question *question, char **ret_body)
{
    static const struct cob_http_body nothing = {.size = 0};
    const char *const headers[] = {question->header, NULL};
    g_autoptr(cob_url) url = NULL;
    struct cob_http_response response;

    *ret_body = NULL;
    COB_TRY(cob_url_parse(question->http, NULL, question->url, &url));
    if (!url->is_https && !is_nearby(url->host))
        return cob_fail(COB_DENIED, "%s may not be asked by plain http", url->server);
    const struct cob_http_request request = {.url = url,
        .method = question->method,
        .body = question->method ? &nothing : NULL,
        .headers = headers,
        .is_direct = true,
        .deadline_us = g_get_monotonic_time() + ASK_US,
        .max_body = MAX_ANSWER_BYTES};
    cob_http_response_init(&response);
    struct cob_error *err = cob_http_send(question->http, &request, question->cancel, &response);
    if (!err && response.fate == COB_HTTP_ANSWERED && response.status == 200)
        *ret_body = g_strndup((const char *)response.body->data, response.body->len);
    cob_http_response_done(&response);
    if (err && cob_error_code(err) == COB_TIMEOUT)
        g_clear_pointer(&err, cob_error_free);
    return err;
}

/* What does not parse is not shown: it has secrets. */
static struct cob_error *parse_answer(const char *body, json_t **ret_json)
{
    g_autoptr(cob_error) err = cob_json_parse(body, strlen(body), "the answer", ret_json);

    return err ? cob_fail(COB_INVALID, "the answer is not JSON") : NULL;
}

static struct cob_error *read_keys(const char *body, struct aws_keys **ret_keys)
{
    json_auto_t *json = NULL;
    const char *id = NULL, *secret = NULL, *token = NULL, *until = NULL;

    COB_TRY(parse_answer(body, &json));
    COB_TRY(cob_json_get_text(json, "AccessKeyId", &id));
    COB_TRY(cob_json_get_text(json, "SecretAccessKey", &secret));
    COB_TRY(cob_json_get_text(json, "Token", &token));
    COB_TRY(cob_json_get_text(json, "Expiration", &until));
    if (!id || !secret)
        return cob_fail(COB_UNAUTHENTICATED, "the answer has no keys");
    g_autoptr(GDateTime) time = until ? g_date_time_new_from_iso8601(until, NULL) : NULL;
    *ret_keys = g_new(struct aws_keys, 1);
    **ret_keys = (struct aws_keys){.access_key_id = g_strdup(id),
        .secret_access_key = g_strdup(secret),
        .session_token = g_strdup(token),
        .expires_s = time ? g_date_time_to_unix(time) : 0};
    return NULL;
}

/* --- container --- */

/* The token to show there: a file's, else the variable's. NULL: none. */
static struct cob_error *container_token(char **ret_token)
{
    const char *path = g_getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    g_autoptr(GBytes) bytes = NULL;

    *ret_token = g_strdup(g_getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    if (!path || !path[0])
        return NULL;
    COB_TRY(cob_fs_read_file(AT_FDCWD, path, MAX_ANSWER_BYTES, &bytes));
    if (!bytes)
        return cob_fail(COB_NOT_FOUND, "%s: no such file", path);
    g_free(*ret_token);
    *ret_token = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_strstrip(*ret_token);
    return NULL;
}

struct cob_error *aws_keys_ask_container(
    struct cob_http *http, struct cob_cancel *cancel, struct aws_keys **ret_keys)
{
    const char *relative = g_getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = g_getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    bool is_relative = relative && relative[0];
    g_autofree char *url =
        is_relative ? g_strconcat(CONTAINER_HOST, relative, NULL) : g_strdup(full);
    g_autofree char *token = NULL, *header = NULL, *body = NULL;

    *ret_keys = NULL;
    if (!url || !url[0])
        return NULL;
    COB_TRY(container_token(&token));
    if (token && strpbrk(token, "\r\n"))
        return cob_fail(COB_INVALID, "the authorization token has more than one line");
    header = token && token[0] ? g_strconcat("Authorization: ", token, NULL) : NULL;
    const struct question question = {.http = http, .cancel = cancel, .url = url, .header = header};
    COB_TRY(ask(&question, &body));
    if (!body)
        return cob_fail(COB_UNAUTHENTICATED, "the server of AWS_CONTAINER_CREDENTIALS gives none");
    return read_keys(body, ret_keys);
}

/* --- instance --- */

static bool is_role(const char *role)
{
    for (const char *c = role; *c; c++) {
        if (!g_ascii_isalnum(*c) && !strchr("_+=,.@-", *c))
            return false;
    }
    return role[0] != '\0' && strlen(role) <= MAX_ROLE_BYTES;
}

static struct cob_error *ask_role(const struct question *base, const char *host, char **ret_body)
{
    g_autofree char *list = g_strconcat(host, "/latest/meta-data/iam/security-credentials/", NULL);
    struct question question = *base;
    g_autofree char *role = NULL;

    *ret_body = NULL;
    question.url = list;
    COB_TRY(ask(&question, &role));
    if (!role)
        return NULL;
    role[strcspn(role, "\r\n")] = '\0';
    if (!is_role(role))
        return cob_fail(COB_INVALID, "the answer is not the name of a role");
    g_autofree char *url = g_strconcat(list, role, NULL);
    question.url = url;
    return ask(&question, ret_body);
}

struct cob_error *aws_keys_ask_instance(
    struct cob_http *http, struct cob_cancel *cancel, struct aws_keys **ret_keys)
{
    const char *disabled = g_getenv("AWS_EC2_METADATA_DISABLED");
    const char *given = g_getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    g_autofree char *host = g_strdup(given && given[0] ? given : INSTANCE_HOST);
    g_autofree char *token = NULL, *header = NULL, *body = NULL;

    *ret_keys = NULL;
    if (disabled && g_ascii_strcasecmp(disabled, "true") == 0)
        return NULL;
    if (g_str_has_suffix(host, "/"))
        host[strlen(host) - 1] = '\0';
    g_autofree char *url = g_strconcat(host, "/latest/api/token", NULL);
    struct question question = {.http = http,
        .cancel = cancel,
        .method = "PUT",
        .url = url,
        .header = "X-aws-ec2-metadata-token-ttl-seconds: 21600"};
    COB_TRY(ask(&question, &token));
    if (!token || !token[0] || strpbrk(token, "\r\n"))
        return NULL; /* version 1, which any page can be tricked into asking, is not spoken */
    header = g_strconcat("X-aws-ec2-metadata-token: ", token, NULL);
    question = (struct question){.http = http, .cancel = cancel, .header = header};
    COB_TRY(ask_role(&question, host, &body));
    return body ? read_keys(body, ret_keys) : NULL;
}
