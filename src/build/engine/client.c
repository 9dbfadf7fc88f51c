/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "build/engine/engine_private.h"
#include "util/fs.h"
#include "util/limits.h"

static struct cob_error *open_local(void *arg, const char *name, struct cob_ops_local *ret_local)
{
    const struct client *client = arg;
    const struct context_tree *tree = cob_engine_contexts_find(client->contexts, name);

    if (!tree)
        return cob_fail(COB_NOT_FOUND, "there is no build context of the name %s", name);
    int fd = fcntl(tree->dir_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return cob_fail_errno(errno, "open build context %s", name);
    *ret_local = (struct cob_ops_local){.dir_fd = fd,
        .ignore = tree->ignore,
        .keeps_owners = tree->keeps_owners,
        .is_transient = tree->draft != NULL};
    return NULL;
}

static struct cob_error *read_secret(const struct cob_engine_secret *secret, GBytes **ret_secret)
{
    const char *value = secret->path ? NULL : g_getenv(secret->env);

    if (!secret->path) {
        *ret_secret = value ? g_bytes_new(value, strlen(value)) : NULL;
        return NULL;
    }
    COB_TRY(cob_fs_read_file(AT_FDCWD, secret->path, COB_LIMIT_SECRET_BYTES, ret_secret));
    if (!*ret_secret)
        return cob_fail(COB_NOT_FOUND, "%s: no such file", secret->path);
    return NULL;
}

static struct cob_error *get_secret(void *arg, const char *id, GBytes **ret_secret)
{
    const struct client *client = arg;

    *ret_secret = NULL;
    for (size_t i = 0; i < client->request->n_secrets; i++) {
        const struct cob_engine_secret *secret = &client->request->secrets[i];

        if (strcmp(secret->id, id) == 0)
            return cob_wrap(read_secret(secret, ret_secret), "secret %s", id);
    }
    return NULL;
}

static struct cob_sshagent *find_ssh(void *arg, const char *id)
{
    const struct client *client = arg;

    return client->agents ? g_hash_table_lookup(client->agents, id) : NULL;
}

static void close_agent(void *agent)
{
    cob_sshagent_close(agent);
}

struct cob_error *cob_engine_agents(
    const struct cob_engine_request *request, struct cob_cancel *cancel, GHashTable **ret_agents)
{
    g_autoptr(GHashTable) agents =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_agent);

    for (const char *const *text = request->ssh; text && *text; text++) {
        g_auto(GStrv) parts = g_strsplit(*text, "=", 2);
        g_auto(GStrv) paths = parts[0] && parts[1] ? g_strsplit(parts[1], ",", -1) : NULL;
        const char *id = parts[0] && *parts[0] ? parts[0] : "default";
        struct cob_sshagent *agent = NULL;

        COB_TRY(cob_wrap(cob_sshagent_open((const char *const *)paths, cancel, &agent),
            "failed to convert agent config for ID: \"%s\"", id));
        g_hash_table_replace(agents, g_strdup(id), agent);
    }
    *ret_agents = g_steal_pointer(&agents);
    return NULL;
}

struct cob_ops_client cob_engine_client(struct client *client)
{
    return (struct cob_ops_client){
        .arg = client, .open_local = open_local, .get_secret = get_secret, .find_ssh = find_ssh};
}

/* Who names a context by ssh himself means his own agent, without --ssh, as for buildx. */
static struct cob_error *get_ssh(void *arg, const char *id, char **ret_path)
{
    const struct cob_sshagent *agent = find_ssh(arg, id);

    *ret_path = agent ? g_strdup(cob_sshagent_socket(agent)) : NULL;
    if (!agent && strcmp(id, "default") == 0)
        *ret_path = g_strdup(g_getenv("SSH_AUTH_SOCK"));
    return NULL;
}

struct cob_remote_client cob_engine_remote_client(
    struct client *client, const struct cob_observer *observer, const char *vertex)
{
    const struct cob_ops_client side = cob_engine_client(client);

    return (struct cob_remote_client){.arg = client,
        .get_secret = side.get_secret,
        .get_ssh = get_ssh,
        .observer = observer,
        .vertex = vertex};
}
