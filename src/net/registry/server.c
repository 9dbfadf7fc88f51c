/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/server.h"

#include <fcntl.h>
#include <string.h>

#include "spec/ref/ref.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/limits.h"
#include "util/text.h"

#define MAX_SETTINGS_BYTES COB_MIB
#define MAX_CERT_FILES 100

/* Registries whose name in images is not their address, or whose realm is known for good. */
static const struct {
    const char *name, *address, *realm_host;
} known[] = {
    {COB_REF_DEFAULT_DOMAIN, "registry-1.docker.io", "auth.docker.io"},
};

struct server_table {
    char *registries;
    GStrv cert_dirs;
    GMutex lock;         /* guards what follows */
    json_t *settings;    /* the object "registries" by name; NULL: not read yet */
    GHashTable *by_name; /* char * -> struct server_config, borrowed */
    GPtrArray *all;      /* struct server_config, owned: also those that were replaced */
};

static void server_free(void *pointer)
{
    struct server_config *server = pointer;

    if (!server)
        return;
    g_free(server->name);
    g_free(server->address);
    g_clear_pointer(&server->tls.ca, g_bytes_unref);
    g_free(server->tls.cert_path);
    g_free(server->tls.key_path);
    g_free(server->tls.trust_advice);
    g_free(server->tls.cert_advice);
    g_clear_pointer(&server->mirrors, g_ptr_array_unref);
    g_free(server);
}
COB_AUTOPTR(server_config, server_free)

struct server_table *registry_servers_new(const char *registries, const char *const *cert_dirs)
{
    static const char *const usual[] = {"/etc/containers/certs.d", "/etc/docker/certs.d", NULL};
    struct server_table *table = g_new0(struct server_table, 1);

    table->registries = g_strdup(registries);
    table->cert_dirs = g_strdupv((char **)(uintptr_t)(cert_dirs ? cert_dirs : usual));
    g_mutex_init(&table->lock);
    table->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    table->all = g_ptr_array_new_with_free_func(server_free);
    return table;
}

void registry_servers_free(struct server_table *table)
{
    if (!table)
        return;
    g_free(table->registries);
    g_strfreev(table->cert_dirs);
    g_mutex_clear(&table->lock);
    json_decref(table->settings);
    g_hash_table_unref(table->by_name);
    g_ptr_array_unref(table->all);
    g_free(table);
}

/* A misspelt setting must not vanish: it may be the one that makes things safe. */
static struct cob_error *check_members(const json_t *object, const char *const *known_members)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const char *near = cob_text_suggest(key, known_members);

        if (!g_strv_contains(known_members, key))
            return cob_fail(COB_INVALID, "unknown member \"%s\"%s%s%s", key,
                near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    return NULL;
}

static struct cob_error *parse_settings(GBytes *bytes, json_t **ret_settings)
{
    static const char *const members[] = {"registries", NULL};
    json_auto_t *json = NULL;
    json_t *registries = NULL;
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);

    COB_TRY(cob_json_parse(data, len, "settings", &json));
    if (!json_is_object(json))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(check_members(json, members));
    COB_TRY(cob_json_get_container(json, "registries", JSON_OBJECT, &registries));
    *ret_settings = registries ? json_incref(registries) : json_object();
    return NULL;
}

static struct cob_error *read_settings_locked(struct server_table *table)
{
    g_autoptr(GBytes) bytes = NULL;

    if (table->settings)
        return NULL;
    if (table->registries && table->registries[0])
        COB_TRY(cob_fs_read_file(AT_FDCWD, table->registries, MAX_SETTINGS_BYTES, &bytes));
    if (bytes)
        return parse_settings(bytes, &table->settings);
    table->settings = json_object();
    return NULL;
}

static struct cob_error *get_flag(const json_t *object, const char *key, bool *flag)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_boolean(value))
        return cob_fail(COB_INVALID, "%s is neither true nor false", key);
    if (value)
        *flag = json_is_true(value);
    return NULL;
}

static struct cob_error *get_path(const json_t *object, const char *key, char **ret_path)
{
    const char *text = NULL;

    COB_TRY(cob_json_get_text(object, key, &text));
    if (text) {
        g_free(*ret_path);
        *ret_path = g_strdup(text);
    }
    return NULL;
}

static struct cob_error *get_mirrors(const json_t *object, struct server_config *server)
{
    json_t *mirrors = NULL;
    const json_t *value;
    size_t i;

    COB_TRY(cob_json_get_container(object, "mirrors", JSON_ARRAY, &mirrors));
    json_array_foreach(mirrors, i, value)
    {
        if (!json_is_string(value))
            return cob_fail(COB_INVALID, "mirrors[%zu] is not a string", i);
        g_ptr_array_add(server->mirrors, g_strdup(json_string_value(value)));
    }
    return NULL;
}

static struct cob_error *append_pem(GByteArray *pem, int dir_fd, const char *name)
{
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(cob_wrap(cob_fs_read_file(dir_fd, name, MAX_SETTINGS_BYTES, &bytes), "%s", name));
    if (!bytes)
        return cob_fail(COB_NOT_FOUND, "%s: no such file", name);
    g_byte_array_append(pem, g_bytes_get_data(bytes, NULL), (guint)g_bytes_get_size(bytes));
    g_byte_array_append(pem, (const uint8_t *)"\n", 1);
    return NULL;
}

/* One file of a certificate folder, by docker's rules: x.crt is a CA, x.cert the client's
 * certificate, whose key is x.key. */
static struct cob_error *take_cert_file(
    struct server_config *server, GByteArray *pem, const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    if (g_str_has_suffix(name, ".crt"))
        return append_pem(pem, AT_FDCWD, path);
    if (g_str_has_suffix(name, ".cert")) {
        g_autofree char *stem = g_strndup(path, strlen(path) - strlen(".cert"));

        g_free(server->tls.cert_path);
        g_free(server->tls.key_path);
        server->tls.cert_path = g_steal_pointer(&path);
        server->tls.key_path = g_strconcat(stem, ".key", NULL);
        if (access(server->tls.key_path, F_OK) != 0)
            return cob_fail(COB_NOT_FOUND, "%s has no key %s beside it", server->tls.cert_path,
                server->tls.key_path);
    }
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct cob_error *take_cert_dir(
    struct server_config *server, GByteArray *pem, const char *dir)
{
    g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (listing && names->len < MAX_CERT_FILES && (name = g_dir_read_name(listing)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    for (unsigned i = 0; i < names->len; i++)
        COB_TRY(take_cert_file(server, pem, dir, g_ptr_array_index(names, i)));
    return NULL;
}

/* A name that came from a URL becomes a folder's name only when it looks like a server. */
static bool is_folder_name(const char *name)
{
    return (g_ascii_isalnum(name[0]) || name[0] == '[') && !strchr(name, '/');
}

static struct cob_error *read_certs(
    const struct server_table *table, const json_t *settings, struct server_config *server)
{
    g_autoptr(GByteArray) pem = g_byte_array_new();
    const char *ca = NULL;

    for (char **dir = table->cert_dirs; *dir && is_folder_name(server->name); dir++) {
        g_autofree char *path = g_build_filename(*dir, server->name, NULL);

        COB_TRY(take_cert_dir(server, pem, path));
    }
    COB_TRY(cob_json_get_text(settings, "ca", &ca));
    if (ca)
        COB_TRY(append_pem(pem, AT_FDCWD, ca));
    COB_TRY(get_path(settings, "client_cert", &server->tls.cert_path));
    COB_TRY(get_path(settings, "client_key", &server->tls.key_path));
    if (pem->len > 0)
        server->tls.ca = g_byte_array_free_to_bytes(g_steal_pointer(&pem));
    return NULL;
}

static struct cob_error *make_server(
    const struct server_table *table, const char *name, struct server_config **ret_server)
{
    static const char *const members[] = {
        "ca", "client_cert", "client_key", "http", "insecure", "mirrors", NULL};
    const json_t *settings = json_object_get(table->settings, name);
    g_autoptr(server_config) server = g_new0(struct server_config, 1);
    const char *address = name;

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp(known[i].name, name) == 0) {
            address = known[i].address;
            server->realm_host = known[i].realm_host;
        }
    }
    if (settings && !json_is_object(settings))
        return cob_fail(COB_INVALID, "it is not an object");
    COB_TRY(check_members(settings, members));
    server->name = g_strdup(name);
    server->address = g_strdup(address);
    server->tls.trust_advice =
        g_strdup_printf("put the certificate of its CA into /etc/docker/certs.d/%s/ca.crt", name);
    server->tls.cert_advice = g_strdup_printf(
        "put it and its key into /etc/docker/certs.d/%s/ as client.cert and client.key", name);
    server->mirrors = g_ptr_array_new_with_free_func(g_free);
    COB_TRY(read_certs(table, settings, server));
    COB_TRY(get_flag(settings, "insecure", &server->tls.is_insecure));
    COB_TRY(get_mirrors(settings, server));
    /* who has a certificate for localhost wants TLS there */
    server->is_plain =
        cob_url_host_is_loopback(address) && !server->tls.ca && !server->tls.is_insecure;
    COB_TRY(get_flag(settings, "http", &server->is_plain));
    *ret_server = g_steal_pointer(&server);
    return NULL;
}

/* server: taken. */
static void add_locked(struct server_table *table, struct server_config *server)
{
    g_ptr_array_add(table->all, server);
    g_hash_table_replace(table->by_name, server->name, server);
}

static struct cob_error *get_locked(
    struct server_table *table, const char *name, const struct server_config **ret_server)
{
    struct server_config *server = g_hash_table_lookup(table->by_name, name);

    if (!server) {
        COB_TRY(cob_wrap(read_settings_locked(table), "%s", table->registries));
        COB_TRY(cob_wrap(make_server(table, name, &server), "settings of registry %s", name));
        add_locked(table, server);
    }
    *ret_server = server;
    return NULL;
}

struct cob_error *registry_servers_get(
    struct server_table *table, const char *name, const struct server_config **ret_server)
{
    g_mutex_lock(&table->lock);
    struct cob_error *err = get_locked(table, name, ret_server);
    g_mutex_unlock(&table->lock);
    return err;
}

static struct cob_error *set_insecure_locked(
    struct server_table *table, const char *name, bool is_plain)
{
    struct server_config *server = NULL;

    COB_TRY(cob_wrap(read_settings_locked(table), "%s", table->registries));
    COB_TRY(cob_wrap(make_server(table, name, &server), "settings of registry %s", name));
    server->tls.is_insecure = true;
    server->is_plain = is_plain;
    add_locked(table, server);
    return NULL;
}

struct cob_error *registry_servers_set_insecure(
    struct server_table *table, const char *name, bool is_plain)
{
    g_mutex_lock(&table->lock);
    struct cob_error *err = set_insecure_locked(table, name, is_plain);
    g_mutex_unlock(&table->lock);
    return err;
}

char *registry_server_base(const struct server_config *server)
{
    return g_strdup_printf("%s://%s/v2/", server->is_plain ? "http" : "https", server->address);
}
