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

struct cob_ops_client cob_engine_client(struct client *client)
{
    return (struct cob_ops_client){
        .arg = client, .open_local = open_local, .get_secret = get_secret};
}

/* Who names a context by ssh himself means his own agent, without --ssh, as for buildx. */
static struct cob_error *get_ssh(void *arg, const char *id, char **ret_path)
{
    const struct cob_ops_client side = cob_engine_client(arg);

    *ret_path = NULL;
    if (side.get_ssh)
        COB_TRY(side.get_ssh(arg, id, ret_path));
    if (!*ret_path && strcmp(id, "default") == 0)
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
