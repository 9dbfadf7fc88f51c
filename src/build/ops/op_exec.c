/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/ops/ops_private.h"

static void pass_log(void *arg, int stream, const void *data, size_t len)
{
    const struct op_run *run = arg;
    const struct cob_observer *observer = run->ops->config.observer;
    const struct cob_event_log event = {.vertex = run->vertex->digest,
        .stream = stream,
        .data = data,
        .len = len,
        .at_us = g_get_real_time()};

    observer->log(observer->arg, &event);
}

/* The step's environment: what the op says, then secrets and proxies, which are part of no key. */
static GPtrArray *step_env(const Pb__Meta *meta, const struct step_mounts *mounts)
{
    GPtrArray *env = g_ptr_array_new_with_free_func(g_free);
    const Pb__ProxyEnv *proxy = meta->proxy_env;

    for (size_t i = 0; i < meta->n_env; i++)
        g_ptr_array_add(env, g_strdup(meta->env[i]));
    for (guint i = 0; i < mounts->env->len; i++)
        g_ptr_array_add(env, g_strdup(g_ptr_array_index(mounts->env, i)));
    const struct {
        const char *upper, *lower, *value;
    } proxies[] = {
        {"HTTP_PROXY", "http_proxy", proxy ? proxy->http_proxy : ""},
        {"HTTPS_PROXY", "https_proxy", proxy ? proxy->https_proxy : ""},
        {"FTP_PROXY", "ftp_proxy", proxy ? proxy->ftp_proxy : ""},
        {"NO_PROXY", "no_proxy", proxy ? proxy->no_proxy : ""},
        {"ALL_PROXY", "all_proxy", proxy ? proxy->all_proxy : ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(proxies); i++) {
        if (!*proxies[i].value)
            continue;
        g_ptr_array_add(env, g_strdup_printf("%s=%s", proxies[i].upper, proxies[i].value));
        g_ptr_array_add(env, g_strdup_printf("%s=%s", proxies[i].lower, proxies[i].value));
    }
    g_ptr_array_add(env, NULL);
    return env;
}

static struct cob_error *network_of(
    const struct op_run *run, enum cob_executor_network *ret_network)
{
    switch (run->vertex->op->exec->network) {
    case PB__NET_MODE__UNSET:
        *ret_network = COB_EXECUTOR_NETWORK_DEFAULT;
        return NULL;
    case PB__NET_MODE__NONE:
        *ret_network = COB_EXECUTOR_NETWORK_NONE;
        return NULL;
    case PB__NET_MODE__HOST:
        *ret_network = COB_EXECUTOR_NETWORK_HOST;
        return NULL;
    case _PB__NET_MODE_IS_INT_SIZE:
        break;
    }
    return cob_fail(COB_INVALID, "invalid network mode");
}

/* The command as it is shown: its words with blanks between them. */
static char *command_text(const Pb__Meta *meta)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    for (size_t i = 0; i < meta->n_args; i++)
        g_ptr_array_add(words, meta->args[i]);
    g_ptr_array_add(words, NULL);
    return g_strjoinv(" ", (char **)words->pdata);
}

static bool is_valid_exit(const Pb__Meta *meta, int exit_code)
{
    if (meta->n_validexitcodes == 0)
        return exit_code == 0;
    for (size_t i = 0; i < meta->n_validexitcodes; i++) {
        if (meta->validexitcodes[i] == exit_code)
            return true;
    }
    return false;
}

/* Memory that ran out comes first, and in BuildKit's words: the exit code does not tell. */
static struct cob_error *explain_exit(
    const Pb__Meta *meta, const struct cob_executor_outcome *outcome)
{
    g_autofree char *command = command_text(meta);
    const char *why = "";

    switch (outcome->oom) {
    case COB_EXECUTOR_OOM_NONE:
        break;
    case COB_EXECUTOR_OOM_LIKELY:
        why = "cannot allocate memory, it seems: the machine ran out of it meanwhile, and the "
              "kernel ended a process: ";
        break;
    case COB_EXECUTOR_OOM_CERTAIN:
        why = "cannot allocate memory: it ran out, and the kernel ended a process of the step: ";
        break;
    }
    return cob_fail(outcome->oom == COB_EXECUTOR_OOM_NONE ? COB_UNKNOWN : COB_EXHAUSTED,
        "process \"%s\" did not complete successfully: %sexit code: %d", command, why,
        outcome->exit_code);
}

const Pb__Mount *cob_ops_root_mount(const Pb__ExecOp *exec)
{
    for (size_t i = 0; i < exec->n_mounts; i++) {
        if (strcmp(exec->mounts[i]->dest, "/") == 0)
            return exec->mounts[i];
    }
    return NULL; /* cob_llb_graph_new() refuses such an op */
}

static GArray *extra_hosts(const Pb__Meta *meta)
{
    GArray *hosts = g_array_new(FALSE, FALSE, sizeof(struct cob_executor_host));

    for (size_t i = 0; i < meta->n_extrahosts; i++) {
        struct cob_executor_host host = {meta->extrahosts[i]->host, meta->extrahosts[i]->ip};

        g_array_append_val(hosts, host);
    }
    return hosts;
}

static GArray *ulimits_of(const Pb__Meta *meta)
{
    GArray *ulimits = g_array_new(FALSE, FALSE, sizeof(struct cob_executor_ulimit));

    for (size_t i = 0; i < meta->n_ulimit; i++) {
        const Pb__Ulimit *from = meta->ulimit[i];
        struct cob_executor_ulimit ulimit = {from->name, from->soft, from->hard};

        g_array_append_val(ulimits, ulimit);
    }
    return ulimits;
}

static struct cob_error *execute(
    const struct op_run *run, int root_fd, const struct step_mounts *mounts)
{
    const Pb__Meta *meta = run->vertex->op->exec->meta;
    g_autoptr(GPtrArray) env = step_env(meta, mounts);
    g_autoptr(GArray) hosts = extra_hosts(meta);
    g_autoptr(GArray) ulimits = ulimits_of(meta);
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    g_autofree char *platform = cob_ops_platform(run->vertex->op);
    struct cob_executor_outcome outcome = {0};
    struct cob_executor_request request = {
        .root_fd = root_fd,
        .platform = platform,
        .is_root_readonly = cob_ops_root_mount(run->vertex->op->exec)->readonly,
        .env = (const char *const *)env->pdata,
        .cwd = *meta->cwd ? meta->cwd : "/",
        .user = meta->user,
        .hostname = *meta->hostname ? meta->hostname : NULL,
        .extra_hosts = (const struct cob_executor_host *)(void *)hosts->data,
        .n_extra_hosts = hosts->len,
        .mounts = (const struct cob_executor_mount *)(void *)mounts->mounts->data,
        .n_mounts = mounts->mounts->len,
        .is_insecure = run->vertex->op->exec->security == PB__SECURITY_MODE__INSECURE,
        .cgroup_parent = *meta->cgroupparent ? meta->cgroupparent : NULL,
        .ulimits = (const struct cob_executor_ulimit *)(void *)ulimits->data,
        .n_ulimits = ulimits->len,
        .log = pass_log,
        .log_arg = (void *)(uintptr_t)run,
    };

    COB_TRY(network_of(run, &request.network));
    for (size_t i = 0; i < meta->n_args; i++)
        g_ptr_array_add(args, meta->args[i]);
    g_ptr_array_add(args, NULL);
    request.args = (const char *const *)args->pdata;
    COB_TRY(cob_executor_run(run->ops->config.executor, &request, run->cancel, &outcome));
    return is_valid_exit(meta, outcome.exit_code) ? NULL : explain_exit(meta, &outcome);
}

/* Mount the root, with all that the step wants in it, and run. Afterwards nothing is mounted. */
static struct cob_error *run_in_draft(const struct op_run *run, struct cob_snapshot_draft *draft)
{
    cob_autoclose int root_fd = -1;
    struct step_mounts mounts;

    COB_TRY(cob_ops_check_exec(&run->ops->config, run->vertex->op->exec));
    COB_TRY(cob_ops_mounts_open(run, &mounts));
    struct cob_error *err = cob_snapshot_draft_mount(draft, &root_fd);
    if (!err)
        err = execute(run, root_fd, &mounts);
    cob_ops_mounts_done(&mounts);
    return err;
}

struct cob_error *cob_ops_run_exec(const struct op_run *run, struct cob_solver_result **ret_result)
{
    g_autoptr(cob_snapshot_draft) draft = NULL;
    struct cob_snapshot *base;

    COB_TRY(cob_ops_input_snapshot(run, cob_ops_root_mount(run->vertex->op->exec)->input, &base));
    COB_TRY(cob_snapshot_draft_new(run->ops->config.store, base, &draft));
    COB_TRY(run_in_draft(run, draft));
    return cob_ops_commit(run, g_steal_pointer(&draft), ret_result);
}
