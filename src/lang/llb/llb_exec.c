/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: an ExecOp as BuildKit's client makes it, since its bytes are its identity. Mounts of
 * files come first, sorted by where they are mounted; then secrets, then SSH agents, as given.
 * spec: BuildKit client/llb/exec.go, Marshal. */
#include <stdlib.h>
#include <string.h>

#include "lang/llb/llb_private.h"

static bool is_of_files(const struct cob_llb_mount *mount)
{
    return mount->type != PB__MOUNT_TYPE__SECRET && mount->type != PB__MOUNT_TYPE__SSH;
}

/* By target; equal ones as given, which their addresses in the request tell. */
static int by_target(const void *a, const void *b)
{
    const struct cob_llb_mount *const *one = a, *const *other = b;
    int order = strcmp((*one)->dest, (*other)->dest);

    return order ? order : (*one > *other) - (*one < *other);
}

/* The mounts of a request in the order of the op; the caller frees the list. */
static const struct cob_llb_mount **order_mounts(const struct cob_llb_exec *exec, size_t *ret_n)
{
    const struct cob_llb_mount **list = g_new(const struct cob_llb_mount *, exec->n_mounts);
    const Pb__MountType later[] = {PB__MOUNT_TYPE__SECRET, PB__MOUNT_TYPE__SSH};
    size_t n = 0;

    for (size_t i = 0; i < exec->n_mounts; i++)
        if (is_of_files(&exec->mounts[i]))
            list[n++] = &exec->mounts[i];
    qsort(list, n, sizeof(const struct cob_llb_mount *), by_target);
    for (size_t k = 0; k < G_N_ELEMENTS(later); k++)
        for (size_t i = 0; i < exec->n_mounts; i++)
            if (exec->mounts[i].type == later[k] && exec->mounts[i].dest)
                list[n++] = &exec->mounts[i];
    *ret_n = n;
    return list;
}

static Pb__CacheOpt *new_cache(const struct cob_llb_mount *mount)
{
    Pb__CacheOpt *cache = g_new(Pb__CacheOpt, 1);

    pb__cache_opt__init(cache);
    llb_set_text(&cache->id, mount->id);
    cache->sharing = mount->sharing;
    cache->cobautomatic = mount->is_automatic;
    return cache;
}

static Pb__TmpfsOpt *new_tmpfs(const struct cob_llb_mount *mount)
{
    Pb__TmpfsOpt *tmpfs = g_new(Pb__TmpfsOpt, 1);

    pb__tmpfs_opt__init(tmpfs);
    tmpfs->size = mount->size_bytes;
    return tmpfs;
}

static Pb__SecretOpt *new_secret(const struct cob_llb_mount *mount)
{
    Pb__SecretOpt *secret = g_new(Pb__SecretOpt, 1);

    pb__secret_opt__init(secret);
    llb_set_text(&secret->id, mount->id);
    secret->uid = mount->uid;
    secret->gid = mount->gid;
    secret->mode = mount->mode;
    secret->optional = mount->is_optional;
    return secret;
}

static Pb__SSHOpt *new_ssh(const struct cob_llb_mount *mount)
{
    Pb__SSHOpt *ssh = g_new(Pb__SSHOpt, 1);

    pb__sshopt__init(ssh);
    llb_set_text(&ssh->id, mount->id);
    ssh->uid = mount->uid;
    ssh->gid = mount->gid;
    ssh->mode = mount->mode;
    ssh->optional = mount->is_optional;
    return ssh;
}

/* n_outputs: counts the outputs so far. */
static Pb__Mount *new_mount(
    struct llb_draft *draft, const struct cob_llb_mount *mount, int64_t *n_outputs)
{
    Pb__Mount *message = g_new(Pb__Mount, 1);

    pb__mount__init(message);
    llb_set_text(&message->dest, mount->dest);
    message->mounttype = mount->type;
    message->contentcache = mount->content_cache;
    message->input = -1;
    if (is_of_files(mount)) { /* the others have output 0, unset: BuildKit never looks at it */
        message->readonly = mount->is_readonly;
        message->output = -1;
        if (mount->type == PB__MOUNT_TYPE__BIND && !mount->is_readonly && !mount->is_without_output)
            message->output = (*n_outputs)++;
    }
    if (mount->type == PB__MOUNT_TYPE__BIND || mount->type == PB__MOUNT_TYPE__CACHE) {
        message->input = llb_draft_input(draft, mount->source);
        llb_set_text(&message->selector, mount->selector);
    }
    if (mount->type == PB__MOUNT_TYPE__CACHE)
        message->cacheopt = new_cache(mount);
    else if (mount->type == PB__MOUNT_TYPE__TMPFS)
        message->tmpfsopt = new_tmpfs(mount);
    else if (mount->type == PB__MOUNT_TYPE__SECRET)
        message->secretopt = new_secret(mount);
    else if (mount->type == PB__MOUNT_TYPE__SSH)
        message->sshopt = new_ssh(mount);
    return message;
}

static void set_secret_env(Pb__ExecOp *message, const struct cob_llb_exec *exec)
{
    size_t n = 0;

    message->secretenv = g_new(Pb__SecretEnv *, exec->n_mounts);
    for (size_t i = 0; i < exec->n_mounts; i++) {
        const struct cob_llb_mount *mount = &exec->mounts[i];

        if (mount->type != PB__MOUNT_TYPE__SECRET || !mount->env)
            continue;
        Pb__SecretEnv *env = g_new(Pb__SecretEnv, 1);
        pb__secret_env__init(env);
        llb_set_text(&env->id, mount->id);
        llb_set_text(&env->name, mount->env);
        env->optional = mount->is_optional;
        message->secretenv[n++] = env;
    }
    message->n_secretenv = n;
    if (n == 0)
        g_clear_pointer(&message->secretenv, g_free);
}

static void set_hosts(Pb__Meta *meta, const char *const *hosts)
{
    size_t n = 0;

    while (hosts && hosts[n])
        n++;
    if (n == 0)
        return;
    meta->extrahosts = g_new(Pb__HostIP *, n);
    meta->n_extrahosts = n;
    for (size_t i = 0; i < n; i++) {
        g_auto(GStrv) parts = g_strsplit(hosts[i], "=", 2);

        meta->extrahosts[i] = g_new(Pb__HostIP, 1);
        pb__host_ip__init(meta->extrahosts[i]);
        llb_set_text(&meta->extrahosts[i]->host, parts[0]);
        llb_set_text(&meta->extrahosts[i]->ip, parts[0] ? parts[1] : NULL);
    }
}

static void set_ulimits(Pb__Meta *meta, const struct cob_llb_exec *exec)
{
    if (exec->n_ulimits == 0)
        return;
    meta->ulimit = g_new(Pb__Ulimit *, exec->n_ulimits);
    meta->n_ulimit = exec->n_ulimits;
    for (size_t i = 0; i < exec->n_ulimits; i++) {
        meta->ulimit[i] = g_new(Pb__Ulimit, 1);
        pb__ulimit__init(meta->ulimit[i]);
        llb_set_text(&meta->ulimit[i]->name, exec->ulimits[i].name);
        meta->ulimit[i]->soft = exec->ulimits[i].soft;
        meta->ulimit[i]->hard = exec->ulimits[i].hard;
    }
}

static Pb__ProxyEnv *new_proxies(const char *const *proxies)
{
    Pb__ProxyEnv *env = g_new(Pb__ProxyEnv, 1);

    pb__proxy_env__init(env);
    llb_set_text(&env->http_proxy, proxies[0]);
    llb_set_text(&env->https_proxy, proxies[1]);
    llb_set_text(&env->ftp_proxy, proxies[2]);
    llb_set_text(&env->no_proxy, proxies[3]);
    llb_set_text(&env->all_proxy, proxies[4]);
    return env;
}

static Pb__Meta *new_meta(const struct cob_llb_exec *exec)
{
    Pb__Meta *meta = g_new(Pb__Meta, 1);

    pb__meta__init(meta);
    llb_set_list(&meta->args, &meta->n_args, exec->args);
    llb_set_list(&meta->env, &meta->n_env, exec->env);
    llb_set_text(&meta->cwd, exec->cwd);
    llb_set_text(&meta->user, exec->user);
    llb_set_text(&meta->hostname, exec->hostname);
    llb_set_text(&meta->cgroupparent, exec->cgroup_parent);
    if (exec->proxies)
        meta->proxy_env = new_proxies(exec->proxies);
    set_hosts(meta, exec->hosts);
    set_ulimits(meta, exec);
    meta->removemountstubsrecursive = true;
    return meta;
}

struct cob_llb_ref cob_llb_add_exec(struct cob_llb_builder *builder,
    const struct cob_llb_exec *exec, const struct cob_llb_about *about)
{
    struct llb_draft draft = llb_draft_begin(builder);
    Pb__ExecOp *message = g_new(Pb__ExecOp, 1);
    size_t n = 0;
    g_autofree const struct cob_llb_mount **mounts = order_mounts(exec, &n);
    int64_t n_outputs = 0;
    int root_output = -1;

    pb__exec_op__init(message);
    message->meta = new_meta(exec);
    message->network = exec->network;
    message->security = exec->security;
    message->mounts = n ? g_new(Pb__Mount *, n) : NULL;
    message->n_mounts = n;
    for (size_t i = 0; i < n; i++) {
        message->mounts[i] = new_mount(&draft, mounts[i], &n_outputs);
        if (strcmp(mounts[i]->dest, "/") == 0)
            root_output = (int)message->mounts[i]->output;
    }
    set_secret_env(message, exec);
    draft.op->op_case = PB__OP__OP_EXEC;
    draft.op->exec = message;
    llb_draft_set_platform(&draft, exec->platform);
    return (struct cob_llb_ref){.vertex = llb_draft_end(&draft, about), .output = root_output};
}
