/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/token.h"

#include <string.h>

#include "net/registry/credentials.h"
#include "util/json.h"
#include "util/limits.h"

#define MAX_SCOPES 16
#define CLIENT_ID "cob"
#define TOKEN_US (120 * G_USEC_PER_SEC) /* for one answer of a realm */

struct token_cache {
    struct cob_http *http;
    struct server_table *servers;
    char *config_path;
    unsigned helper_ms;
    GMutex lock;         /* guards what follows */
    GHashTable *headers; /* "server repository" -> char *, owned */
    GHashTable *realms;  /* server -> char *, the origin of its first realm, owned */
};

/* What a token is asked for. */
struct question {
    const struct server_config *server;
    const char *repository;
    bool is_push;
    const struct challenge *challenge;
    const struct credential_set *credentials; /* may be NULL */
};

struct token_cache *registry_tokens_new(struct cob_http *http, struct server_table *servers,
    const char *config_path, unsigned helper_ms)
{
    struct token_cache *cache = g_new(struct token_cache, 1);

    *cache = (struct token_cache){.http = http,
        .servers = servers,
        .config_path = g_strdup(config_path),
        .helper_ms = helper_ms,
        .headers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .realms = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
    g_mutex_init(&cache->lock);
    return cache;
}

void registry_tokens_free(struct token_cache *cache)
{
    if (!cache)
        return;
    g_free(cache->config_path);
    g_hash_table_unref(cache->headers);
    g_hash_table_unref(cache->realms);
    g_mutex_clear(&cache->lock);
    g_free(cache);
}

static char *cache_key(const struct server_config *server, const char *repository)
{
    return g_strconcat(server->name, " ", repository, NULL);
}

char *registry_token_known(
    struct token_cache *cache, const struct server_config *server, const char *repository)
{
    g_autofree char *key = cache_key(server, repository);

    g_mutex_lock(&cache->lock);
    char *header = g_strdup(g_hash_table_lookup(cache->headers, key));
    g_mutex_unlock(&cache->lock);
    return header;
}

static void remember(struct token_cache *cache, const struct server_config *server,
    const char *repository, const char *header)
{
    g_mutex_lock(&cache->lock);
    g_hash_table_replace(cache->headers, cache_key(server, repository), g_strdup(header));
    g_mutex_unlock(&cache->lock);
}

/* A server that names another realm than before may have been taken over between two answers. */
static struct cob_error *check_first_realm(
    struct token_cache *cache, const struct server_config *server, const struct cob_url *realm)
{
    g_mutex_lock(&cache->lock);
    const char *first = g_hash_table_lookup(cache->realms, server->name);
    bool is_same = !first || strcmp(first, realm->origin) == 0;
    if (!first)
        g_hash_table_insert(cache->realms, g_strdup(server->name), g_strdup(realm->origin));
    g_mutex_unlock(&cache->lock);
    return is_same ? NULL : cob_fail(COB_DENIED, "the registry named another realm before");
}

static bool is_same_host(const struct server_config *server, const struct cob_url *realm)
{
    size_t len = strlen(realm->host);

    return g_ascii_strncasecmp(server->address, realm->host, len) == 0 &&
           (server->address[len] == '\0' || server->address[len] == ':');
}

/* Is a realm one that this registry may send us to? */
static struct cob_error *check_realm(struct token_cache *cache, const struct server_config *server,
    const struct cob_url *realm, const struct server_config *realm_server)
{
    if (server->realm_host && strcmp(realm->server, server->realm_host) != 0)
        return cob_fail(COB_DENIED, "it must be at %s", server->realm_host);
    if (!realm->is_https && !server->is_plain)
        return cob_fail(COB_DENIED, "it must be https, as the registry is");
    if (!realm->is_https && !is_same_host(server, realm) && !realm_server->is_plain)
        return cob_fail(COB_DENIED, "plain http is for localhost and the registry itself");
    if (cob_url_host_is_private(realm->host) && !server->is_plain &&
        !cob_url_host_is_private(server->address))
        return cob_fail(COB_DENIED, "a public registry may not point to a private address");
    return check_first_realm(cache, server, realm);
}

static void append_param(GString *query, const char *name, const char *value)
{
    g_autofree char *escaped = value ? g_uri_escape_string(value, NULL, FALSE) : NULL;

    if (escaped)
        g_string_append_printf(query, "%s%s=%s", query->len ? "&" : "", name, escaped);
}

/* The scope to ask for: what the challenge says, else what is to be done with the repository. */
static char *scope_of(const struct question *question)
{
    if (question->challenge->scope && question->challenge->scope[0])
        return g_strdup(question->challenge->scope);
    return g_strdup_printf(
        "repository:%s:pull%s", question->repository, question->is_push ? ",push" : "");
}

static char *basic_header(const char *username, const char *password)
{
    g_autofree char *pair = g_strconcat(username, ":", password ? password : "", NULL);
    g_autofree char *encoded = g_base64_encode((const guchar *)pair, strlen(pair));

    return g_strconcat("Basic ", encoded, NULL);
}

/* What a realm is asked by GET, behind its own URL. */
static char *token_url(const struct question *question)
{
    g_autoptr(GString) query = g_string_new(NULL);
    g_autofree char *scope = scope_of(question);
    g_auto(GStrv) scopes = g_strsplit(scope, " ", MAX_SCOPES);
    const char *realm = question->challenge->realm;

    append_param(query, "service", question->challenge->service);
    for (char **one = scopes; *one; one++)
        append_param(query, "scope", *one);
    if (question->credentials && question->credentials->username)
        append_param(query, "account", question->credentials->username);
    return g_strconcat(realm, strchr(realm, '?') ? "&" : "?", query->str, NULL);
}

/* What a realm is asked by POST, with an identity token. */
static char *token_form(const struct question *question)
{
    g_autoptr(GString) form = g_string_new(NULL);
    g_autofree char *scope = scope_of(question);

    append_param(form, "grant_type", "refresh_token");
    append_param(form, "service", question->challenge->service);
    append_param(form, "client_id", CLIENT_ID);
    append_param(form, "scope", scope);
    append_param(form, "refresh_token", question->credentials->identity_token);
    return g_string_free(g_steal_pointer(&form), FALSE);
}

static bool is_token(const char *token)
{
    for (const char *c = token; *c; c++) {
        if (!g_ascii_isgraph(*c))
            return false;
    }
    return token[0] != '\0';
}

static struct cob_error *parse_token(const GByteArray *body, char **ret_header)
{
    json_auto_t *json = NULL;
    const char *token = NULL;

    COB_TRY(registry_parse_secret(body->data, body->len, "the token", &json));
    COB_TRY(cob_json_get_text(json, "token", &token));
    if (!token)
        COB_TRY(cob_json_get_text(json, "access_token", &token));
    if (!token || !is_token(token))
        return cob_fail(COB_INVALID, "the answer has no token");
    *ret_header = g_strconcat("Bearer ", token, NULL);
    return NULL;
}

static struct cob_error *read_token_answer(
    const struct cob_http_response *response, bool has_login, char **ret_header)
{
    if (response->fate != COB_HTTP_ANSWERED)
        return cob_fail(COB_UNAVAILABLE, "the realm does not answer");
    if (response->status >= 300 && response->status < 400)
        return cob_fail(COB_DENIED, "a redirect, which is not followed here");
    if (response->status == 429 || response->status >= 500)
        return cob_fail(COB_UNAVAILABLE, "status %ld", response->status);
    if (response->status != 200 && has_login)
        return cob_fail(COB_UNAUTHENTICATED,
            "status %ld; the login in docker's config.json was refused, docker login renews it",
            response->status);
    if (response->status != 200)
        return cob_fail(COB_UNAUTHENTICATED, "status %ld", response->status);
    return parse_token(response->body, ret_header);
}

static struct cob_error *send_question(struct token_cache *cache, const struct cob_url *url,
    const struct question *question, struct cob_cancel *cancel, char **ret_header)
{
    const struct credential_set *credentials = question->credentials;
    bool by_form = credentials && credentials->identity_token;
    bool by_password = credentials && !by_form && credentials->username;
    g_autofree char *form = by_form ? token_form(question) : NULL;
    g_autofree char *basic =
        by_password ? basic_header(credentials->username, credentials->password) : NULL;
    const struct server_config *realm_server = NULL;
    struct cob_http_response response;

    COB_TRY(registry_servers_get(cache->servers, url->server, &realm_server));
    COB_TRY(check_realm(cache, question->server, url, realm_server));
    struct cob_http_request request = {.url = url,
        .tls = &realm_server->tls,
        .accept = "application/json",
        .authorization = basic,
        .form = form,
        .deadline_us = g_get_monotonic_time() + TOKEN_US,
        .max_body = COB_LIMIT_TOKEN_BYTES};
    cob_http_response_init(&response);
    struct cob_error *err = cob_http_send(cache->http, &request, cancel, &response);
    if (!err)
        err = response.why ? g_steal_pointer(&response.why)
                           : read_token_answer(&response, credentials != NULL, ret_header);
    cob_http_response_done(&response);
    return err;
}

static struct cob_error *ask_realm(struct token_cache *cache, const struct question *question,
    struct cob_cancel *cancel, char **ret_header)
{
    const char *realm = question->challenge->realm;
    bool by_form = question->credentials && question->credentials->identity_token;
    g_autoptr(cob_url) url = NULL;

    if (!realm)
        return cob_fail(COB_DENIED, "the registry asks for a token and does not say where");
    g_autofree char *text = by_form ? g_strdup(realm) : token_url(question);
    struct cob_error *err = cob_url_parse(cache->http, NULL, text, &url);
    if (!err)
        err = send_question(cache, url, question, cancel, ret_header);
    return cob_wrap(err, "failed to authorize: token from realm %.*s",
        (int)MIN(strcspn(realm, "?"), 200U), realm);
}

struct cob_error *registry_token_get(struct token_cache *cache, const struct server_config *server,
    const char *repository, bool is_push, const GPtrArray *challenges, struct cob_cancel *cancel,
    char **ret_authorization)
{
    const struct challenge *bearer = registry_challenge_find(challenges, "bearer");
    const struct challenge *basic = registry_challenge_find(challenges, "basic");
    g_autoptr(credential_set) found = NULL;
    g_autofree char *header = NULL;

    *ret_authorization = NULL;
    if (!bearer && !basic)
        return NULL;
    COB_TRY(registry_credentials_find(
        cache->config_path, server->name, cache->helper_ms, cancel, &found));
    if (found && found->registry_token && bearer) {
        if (!is_token(found->registry_token))
            return cob_fail(
                COB_INVALID, "the registrytoken of %s has odd characters", server->name);
        header = g_strconcat("Bearer ", found->registry_token, NULL);
    } else if (bearer) {
        struct question question = {server, repository, is_push, bearer, found};

        COB_TRY(ask_realm(cache, &question, cancel, &header));
    } else if (found && found->username) {
        header = basic_header(found->username, found->password);
    }
    if (header)
        remember(cache, server, repository, header);
    *ret_authorization = g_steal_pointer(&header);
    return NULL;
}
