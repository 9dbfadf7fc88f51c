/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RUN --mount=type=ssh: a socket of the step's own, mounted as a file, and an agent behind it.
 */
#include <fcntl.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

#define SOCKET_NAME "agent"

/* spec: BuildKit solver/pb, SSHOpt: no id is "default". */
static struct cob_error *find_agent(
    const struct op_run *run, const Pb__SSHOpt *option, struct cob_sshagent **ret_agent)
{
    const struct cob_ops_client *client = run->ops->config.client;
    const char *id = *option->id ? option->id : "default";

    *ret_agent = client->find_ssh ? client->find_ssh(client->arg, id) : NULL;
    if (!*ret_agent && !option->optional)
        return cob_fail(COB_NOT_FOUND, "unset ssh forward key %s: add --ssh %s", id, id);
    return NULL;
}

struct cob_error *cob_ops_ssh_mount(
    const struct op_run *run, const Pb__Mount *mount, struct step_mounts *mounts)
{
    const Pb__SSHOpt *option = mount->sshopt;
    const struct cob_sshagent_owner owner = {option->uid, option->gid, option->mode};
    g_autoptr(cob_snapshot_draft) draft = NULL;
    g_autoptr(cob_sshagent_door) door = NULL;
    struct cob_sshagent *agent = NULL;
    int fd = -1;

    COB_TRY(find_agent(run, option, &agent));
    if (!agent)
        return NULL;
    COB_TRY(cob_snapshot_draft_new(run->ops->config.store, NULL, &draft));
    int dir_fd = cob_snapshot_draft_fd(draft);
    COB_TRY(cob_sshagent_door_open(agent, dir_fd, SOCKET_NAME, &owner, &door));
    g_ptr_array_add(mounts->doors, g_steal_pointer(&door));
    g_ptr_array_add(mounts->drafts, g_steal_pointer(&draft));
    COB_TRY(cob_open_beneath(dir_fd, SOCKET_NAME, O_PATH, 0, &fd));
    const struct cob_executor_mount row = {.kind = COB_EXECUTOR_MOUNT_BIND,
        .target = mount->dest,
        .is_readonly = true,
        .source_fd = fd};
    g_array_append_val(mounts->fds, fd);
    g_array_append_val(mounts->mounts, row);
    return NULL;
}
