/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/registry.h"

#include <string.h>

#include "net/registry/fetch.h"
#include "util/limits.h"

#define STANDARD_HELPER_MS (60 * 1000)
#define STANDARD_TOTAL_MS (600 * 1000)
#define STANDARD_ONE_PUT_BYTES (64 * COB_MIB)

struct cob_registry {
    struct cob_http_timing timing;
    unsigned helper_ms, total_ms;
    uint64_t one_put_bytes;
    char *docker_config;
    struct server_table *servers;
    GMutex lock; /* guards what follows until it is loaded; then that stays as it is */
    struct exchange_tools tools;
};

/* The value of a variable that names a folder; NULL when it is not set or empty. */
static const char *folder_variable(const char *name)
{
    const char *value = g_getenv(name);

    return value && value[0] ? value : NULL;
}

static char *usual_docker_config(void)
{
    const char *folder = folder_variable("DOCKER_CONFIG");

    if (folder)
        return g_build_filename(folder, "config.json", NULL);
    return g_build_filename(g_get_home_dir(), ".docker", "config.json", NULL);
}

/* The user's own file when there is one, else the machine's. */
static char *usual_registries(void)
{
    const char *folder = folder_variable("COB_CONFIG");
    const char *xdg = folder_variable("XDG_CONFIG_HOME");

    if (folder)
        return g_build_filename(folder, "registries.json", NULL);
    g_autofree char *own =
        xdg ? g_build_filename(xdg, "cob", "registries.json", NULL)
            : g_build_filename(g_get_home_dir(), ".config", "cob", "registries.json", NULL);
    if (access(own, F_OK) == 0)
        return g_steal_pointer(&own);
    return g_strdup("/etc/cob/registries.json");
}

struct cob_registry *cob_registry_new(const struct cob_registry_config *config)
{
    static const struct cob_registry_config standard = {0};
    const struct cob_registry_config *given = config ? config : &standard;
    struct cob_registry *registry = g_new(struct cob_registry, 1);
    g_autofree char *registries =
        given->registries ? g_strdup(given->registries) : usual_registries();

    *registry = (struct cob_registry){
        .timing = given->timing,
        .helper_ms = given->helper_ms ? given->helper_ms : STANDARD_HELPER_MS,
        .total_ms = given->total_ms ? given->total_ms : STANDARD_TOTAL_MS,
        .one_put_bytes = given->one_put_bytes ? given->one_put_bytes : STANDARD_ONE_PUT_BYTES,
        .docker_config =
            given->docker_config ? g_strdup(given->docker_config) : usual_docker_config(),
        .servers = registry_servers_new(registries, given->cert_dirs),
    };
    g_mutex_init(&registry->lock);
    return registry;
}

void cob_registry_free(struct cob_registry *registry)
{
    if (!registry)
        return;
    registry_tokens_free(registry->tools.tokens);
    cob_http_close(registry->tools.http);
    registry_servers_free(registry->servers);
    g_mutex_clear(&registry->lock);
    g_free(registry->docker_config);
    g_free(registry);
}

static struct cob_error *load_locked(struct cob_registry *registry)
{
    struct cob_http *http = NULL;

    if (registry->tools.http)
        return NULL;
    COB_TRY(cob_http_open(&registry->timing, &http));
    registry->tools = (struct exchange_tools){.http = http,
        .servers = registry->servers,
        .tokens = registry_tokens_new(
            http, registry->servers, registry->docker_config, registry->helper_ms),
        .total_ms = registry->total_ms,
        .one_put_bytes = registry->one_put_bytes};
    return NULL;
}

struct cob_error *registry_tools(
    struct cob_registry *registry, const struct exchange_tools **ret_tools)
{
    g_mutex_lock(&registry->lock);
    struct cob_error *err = load_locked(registry);
    g_mutex_unlock(&registry->lock);
    if (!err)
        *ret_tools = &registry->tools;
    return err;
}

static void endpoint_free(void *pointer)
{
    struct endpoint *endpoint = pointer;

    g_free(endpoint->base);
    g_free(endpoint);
}

/* base: taken. */
static void add_endpoint(GPtrArray *endpoints, const struct server_config *server, char *base)
{
    struct endpoint *endpoint = g_new(struct endpoint, 1);

    *endpoint = (struct endpoint){server, base};
    g_ptr_array_add(endpoints, endpoint);
}

/* text: host[:port][/prefix], or that as a URL, whose scheme then counts. */
static struct cob_error *add_mirror(
    const struct exchange_tools *tools, const char *text, GPtrArray *endpoints)
{
    bool has_scheme = strstr(text, "://") != NULL;
    g_autofree char *whole = has_scheme ? g_strdup(text) : g_strconcat("https://", text, NULL);
    g_autofree char *prefix = NULL;
    const struct server_config *server = NULL;
    g_autoptr(cob_url) url = NULL;

    COB_TRY(cob_url_parse(tools->http, NULL, whole, &url));
    if (strpbrk(url->text, "?#"))
        return cob_fail(COB_INVALID, "it must be host[:port][/prefix]");
    COB_TRY(registry_servers_get(tools->servers, url->server, &server));
    bool is_plain = has_scheme ? !url->is_https : server->is_plain;
    const char *path = strchr(strstr(url->text, "://") + strlen("://"), '/');
    prefix = g_strdup(path && path[1] ? path + 1 : "");
    bool has_slash = prefix[0] == '\0' || g_str_has_suffix(prefix, "/");
    add_endpoint(endpoints, server,
        g_strdup_printf("%s://%s/v2/%s%s", is_plain ? "http" : "https", server->address, prefix,
            has_slash ? "" : "/"));
    return NULL;
}

struct cob_error *registry_endpoints(
    const struct exchange_tools *tools, const char *domain, GPtrArray **ret_endpoints)
{
    g_autoptr(GPtrArray) endpoints = g_ptr_array_new_with_free_func(endpoint_free);
    const struct server_config *server = NULL;

    COB_TRY(registry_servers_get(tools->servers, domain, &server));
    for (unsigned i = 0; i < server->mirrors->len; i++) {
        const char *mirror = g_ptr_array_index(server->mirrors, i);

        COB_TRY(cob_wrap(add_mirror(tools, mirror, endpoints), "mirror %s", mirror));
    }
    add_endpoint(endpoints, server, registry_server_base(server));
    *ret_endpoints = g_steal_pointer(&endpoints);
    return NULL;
}

struct cob_error *registry_home(
    const struct exchange_tools *tools, const char *domain, struct endpoint *ret_endpoint)
{
    const struct server_config *server = NULL;

    COB_TRY(registry_servers_get(tools->servers, domain, &server));
    *ret_endpoint = (struct endpoint){server, registry_server_base(server)};
    return NULL;
}

/* Does it answer with TLS, whatever its certificate? */
static struct cob_error *speaks_tls(const struct exchange_tools *tools, const char *domain,
    struct cob_cancel *cancel, bool *ret_does)
{
    const struct cob_http_tls any = {.is_insecure = true};
    g_autofree char *text = g_strdup_printf("https://%s/v2/", domain);
    g_autoptr(cob_url) url = NULL;
    struct cob_http_response response;

    COB_TRY(cob_url_parse(tools->http, NULL, text, &url));
    const struct cob_http_request request = {.url = url, .tls = &any, .max_body = COB_MIB};
    cob_http_response_init(&response);
    struct cob_error *err = cob_http_send(tools->http, &request, cancel, &response);
    *ret_does = !err && response.fate == COB_HTTP_ANSWERED;
    cob_http_response_done(&response);
    if (err && cob_error_code(err) != COB_CANCELLED)
        g_clear_pointer(&err, cob_error_free);
    return err;
}

struct cob_error *cob_registry_allow_insecure(
    struct cob_registry *registry, const char *domain, struct cob_cancel *cancel)
{
    const struct exchange_tools *tools = NULL;
    bool has_tls = false;

    COB_TRY(registry_tools(registry, &tools));
    COB_TRY(speaks_tls(tools, domain, cancel, &has_tls));
    return registry_servers_set_insecure(registry->servers, domain, !has_tls);
}

struct cob_error *registry_check_status(const struct cob_http_response *response)
{
    g_autofree char *message = registry_server_message(response);

    switch (response->status) {
    case 200:
    case 206:
        return NULL;
    case 401:
    case 403:
        return cob_fail(COB_DENIED,
            "pull access denied, repository does not exist or may require authorization%s",
            message);
    case 407:
        return cob_fail(COB_UNAUTHENTICATED,
            "the proxy asks for a login: http_proxy=http://user:password@host:port");
    case 404:
        return cob_fail(COB_NOT_FOUND, "not found");
    default:
        return cob_fail(COB_UNKNOWN, "unexpected status %ld%s", response->status, message);
    }
}
