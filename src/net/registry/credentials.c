/* SPDX-License-Identifier: Apache-2.0 */
#include "net/registry/credentials.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "spec/ref/ref.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/limits.h"
#include "util/process.h"

#define MAX_CONFIG_BYTES (4 * COB_MIB)

/* What docker's tools call docker.io. */
#define DEFAULT_KEY "https://index.docker.io/v1/"

void registry_credentials_free(struct credential_set *credentials)
{
    if (!credentials)
        return;
    g_free(credentials->username);
    g_free(credentials->password);
    g_free(credentials->identity_token);
    g_free(credentials->registry_token);
    g_free(credentials);
}

struct cob_error *registry_parse_secret(
    const void *data, size_t len, const char *what, json_t **ret_json)
{
    struct cob_error *err = cob_json_parse(data, len, what, ret_json);

    if (!err)
        return NULL;
    cob_error_free(err); /* its text quotes what it stumbled over */
    return cob_fail(COB_INVALID, "%s is not valid JSON", what);
}

/* The registry that a key of the file means: without scheme and path. The caller frees it. */
static char *server_of_key(const char *key)
{
    const char *start = strstr(key, "://") ? strstr(key, "://") + strlen("://") : key;
    char *server = g_strndup(start, strcspn(start, "/"));

    if (strcmp(server, "index.docker.io") == 0) {
        g_free(server);
        return g_strdup(COB_REF_DEFAULT_DOMAIN);
    }
    return server;
}

/* The member for a registry: by its plain name, else the first key, in order, that means it. */
static const json_t *find_member(const json_t *object, const char *server, const char **ret_key)
{
    const char *key, *found_key = NULL;
    const json_t *value, *found = json_object_get(object, server);

    *ret_key = server;
    if (found)
        return found;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        g_autofree char *meant = server_of_key(key);

        if (strcmp(meant, server) == 0 && (!found || strcmp(key, found_key) < 0))
            found = value, found_key = key;
    }
    *ret_key = found_key;
    return found;
}

/* "user:password" in base64, as docker writes it; docker pads passwords with NULs. */
static struct cob_error *split_auth(const char *auth, struct credential_set *credentials)
{
    gsize len = 0;
    g_autofree guchar *data = g_base64_decode(auth, &len);
    g_autofree char *text = g_strndup((const char *)data, len);
    char *colon = strchr(text, ':');

    if (!colon)
        return cob_fail(COB_INVALID, "auth is not the base64 of user:password");
    g_free(credentials->username);
    g_free(credentials->password);
    credentials->username = g_strndup(text, (size_t)(colon - text));
    credentials->password = g_strdup(colon + 1);
    return NULL;
}

static struct cob_error *take_text(const json_t *entry, const char *key, char **ret_text)
{
    const char *text = NULL;

    COB_TRY(cob_json_get_text(entry, key, &text));
    *ret_text = text && text[0] ? g_strdup(text) : NULL;
    return NULL;
}

static struct cob_error *from_file(
    const json_t *auths, const char *server, struct credential_set **ret_credentials)
{
    const char *key = NULL, *auth = NULL;
    const json_t *entry = find_member(auths, server, &key);
    g_autoptr(credential_set) found = g_new0(struct credential_set, 1);

    if (!entry)
        return NULL;
    COB_TRY(take_text(entry, "username", &found->username));
    COB_TRY(take_text(entry, "password", &found->password));
    COB_TRY(take_text(entry, "identitytoken", &found->identity_token));
    COB_TRY(take_text(entry, "registrytoken", &found->registry_token));
    COB_TRY(cob_json_get_text(entry, "auth", &auth));
    if (auth && auth[0])
        COB_TRY(cob_wrap(split_auth(auth, found), "auths \"%s\"", key));
    if (found->username || found->identity_token || found->registry_token)
        *ret_credentials = g_steal_pointer(&found);
    return NULL;
}

static bool is_helper_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        if (!g_ascii_isalnum(*c) && !strchr("-_.", *c))
            return false;
    }
    return name[0] != '\0' && name[0] != '.';
}

/* Which helper to ask about a registry. NULL: none. Borrowed. */
static struct cob_error *choose_helper(
    const json_t *config, const char *server, const char **ret_name)
{
    json_t *helpers = NULL;
    const char *key = NULL, *name = NULL;

    COB_TRY(cob_json_get_container(config, "credHelpers", JSON_OBJECT, &helpers));
    const json_t *value = find_member(helpers, server, &key);
    if (value && !json_is_string(value))
        return cob_fail(COB_INVALID, "credHelpers \"%s\" is not a string", key);
    if (value)
        name = json_string_value(value);
    else
        COB_TRY(cob_json_get_text(config, "credsStore", &name));
    if (name && name[0] && !is_helper_name(name))
        return cob_fail(COB_INVALID, "\"%s\" is not the name of a credential helper", name);
    *ret_name = name && name[0] ? name : NULL;
    return NULL;
}

/* A helper that knows nothing of a registry says so, and fails. */
static bool is_nothing_known(GBytes *out)
{
    g_autofree char *text = g_strndup(
        g_bytes_get_data(out, NULL) ? g_bytes_get_data(out, NULL) : "", g_bytes_get_size(out));

    return strcmp(g_strstrip(text), "credentials not found in native keychain") == 0;
}

static struct cob_error *parse_answer(GBytes *out, struct credential_set **ret_credentials)
{
    json_auto_t *json = NULL;
    g_autofree char *username = NULL;
    g_autofree char *secret = NULL;

    COB_TRY(registry_parse_secret(
        g_bytes_get_data(out, NULL), g_bytes_get_size(out), "its answer", &json));
    if (!json_is_object(json))
        return cob_fail(COB_INVALID, "its answer is not an object");
    COB_TRY(take_text(json, "Username", &username));
    COB_TRY(take_text(json, "Secret", &secret));
    if (!username && !secret)
        return NULL;
    g_autoptr(credential_set) found = g_new0(struct credential_set, 1);
    if (g_strcmp0(username, "<token>") == 0) {
        found->identity_token = g_steal_pointer(&secret);
    } else {
        found->username = username ? g_steal_pointer(&username) : g_strdup("");
        found->password = secret ? g_steal_pointer(&secret) : g_strdup("");
    }
    *ret_credentials = g_steal_pointer(&found);
    return NULL;
}

static struct cob_error *hear_helper(
    const struct cob_process_output *output, struct credential_set **ret_credentials)
{
    if (output->status == 0)
        return parse_answer(output->out, ret_credentials);
    if (is_nothing_known(output->out))
        return NULL;
    /* by its protocol a failing helper says why on standard output, where no secret is then */
    gsize len = 0;
    const char *why = g_bytes_get_data(output->err, &len);
    if (len == 0)
        why = g_bytes_get_data(output->out, &len);
    if (len == 0 || memchr(why, '{', len)) /* by no protocol: it may be a login after all */
        return cob_fail(COB_UNAUTHENTICATED, "exit code %d", output->status);
    return cob_fail(
        COB_UNAUTHENTICATED, "exit code %d: %.*s", output->status, (int)MIN(len, 300), why);
}

static struct cob_error *ask_helper(const char *name, const char *server, unsigned helper_ms,
    struct cob_cancel *cancel, struct credential_set **ret_credentials)
{
    g_autofree char *program = g_strconcat("docker-credential-", name, NULL);
    bool is_default = strcmp(server, COB_REF_DEFAULT_DOMAIN) == 0;
    const char *key = is_default ? DEFAULT_KEY : server;
    g_autoptr(GBytes) input = g_bytes_new(key, strlen(key));
    const char *argv[] = {program, "get", NULL};
    struct cob_process_request request = {.argv = argv, .timeout_us = (int64_t)helper_ms * 1000};
    struct cob_process_output output = {0};

    COB_TRY(cob_process_run(&request, input, COB_LIMIT_TOKEN_BYTES, cancel, &output));
    struct cob_error *err = hear_helper(&output, ret_credentials);
    g_bytes_unref(output.out);
    g_bytes_unref(output.err);
    return cob_wrap(err, "%s", program);
}

static struct cob_error *find_in(const json_t *config, const char *server, unsigned helper_ms,
    struct cob_cancel *cancel, struct credential_set **ret_credentials)
{
    const char *helper = NULL;
    json_t *auths = NULL;

    COB_TRY(choose_helper(config, server, &helper));
    if (helper)
        COB_TRY(ask_helper(helper, server, helper_ms, cancel, ret_credentials));
    COB_TRY(cob_json_get_container(config, "auths", JSON_OBJECT, &auths));
    return *ret_credentials ? NULL : from_file(auths, server, ret_credentials);
}

struct cob_error *registry_credentials_find(const char *config_path, const char *server,
    unsigned helper_ms, struct cob_cancel *cancel, struct credential_set **ret_credentials)
{
    g_autoptr(GBytes) bytes = NULL;
    json_auto_t *config = NULL;
    struct credential_set *found = NULL;

    if (config_path[0])
        COB_TRY(cob_wrap(cob_fs_read_file(AT_FDCWD, config_path, MAX_CONFIG_BYTES, &bytes),
            "credentials: %s", config_path));
    if (bytes && g_bytes_get_size(bytes) > 0) {
        COB_TRY(cob_wrap(registry_parse_secret(g_bytes_get_data(bytes, NULL),
                             g_bytes_get_size(bytes), "docker's configuration", &config),
            "credentials: %s", config_path));
        COB_TRY(cob_wrap(
            find_in(config, server, helper_ms, cancel, &found), "credentials for %s", server));
    }
    *ret_credentials = found;
    return NULL;
}
