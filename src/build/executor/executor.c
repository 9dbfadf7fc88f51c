/* SPDX-License-Identifier: Apache-2.0 */
#include "build/executor/executor.h"

#include <fcntl.h>
#include <string.h>

#include "build/executor/step.h"
#include "util/fs.h"

/* Is there one id only, so that groups cannot be set?  spec: user_namespaces(7) */
static bool is_setgroups_denied(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents("/proc/self/setgroups", &text, NULL, NULL) &&
           g_str_has_prefix(text, "deny");
}

struct cob_error *cob_executor_new(
    const struct cob_executor_config *config, struct cob_executor **ret_executor)
{
    int ends[2];

    if (!config->state_dir || !g_path_is_absolute(config->state_dir))
        return cob_fail(COB_INTERNAL, "the executor's folder is not an absolute path");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    struct cob_executor *executor = g_new(struct cob_executor, 1);
    *executor = (struct cob_executor){.state_dir = g_strdup(config->state_dir),
        .runtime_wish = g_strdup(config->runtime),
        .network_wish = g_strdup(config->network),
        .is_rootless = config->is_rootless,
        .is_single_id = is_setgroups_denied(),
        .alive_fds = {ends[0], ends[1]},
        .net = stepnet_new(config->network),
        .emulation = cob_emulation_new(config->state_dir)};
    g_mutex_init(&executor->lock);
    *ret_executor = executor;
    return NULL;
}

void cob_executor_free(struct cob_executor *executor)
{
    if (!executor)
        return;
    stepnet_free(executor->net);
    cob_emulation_free(executor->emulation);
    cob_closep(&executor->alive_fds[0]);
    cob_closep(&executor->alive_fds[1]);
    g_mutex_clear(&executor->lock);
    g_free(executor->state_dir);
    g_free(executor->runtime_wish);
    g_free(executor->network_wish);
    g_free(executor->runtime);
    g_free(executor);
}

static void dev_mount_free(void *mount)
{
    g_free(((struct step_dev_mount *)mount)->target);
    g_free(((struct step_dev_mount *)mount)->source);
    g_free(mount);
}

static void step_init(struct step *step, struct cob_executor *executor,
    const struct cob_executor_request *request, struct cob_cancel *cancel)
{
    g_autofree char *prefix = g_strdup_printf("%d-", getpid());

    *step = (struct step){.executor = executor,
        .request = request,
        .cancel = cancel,
        .id = cob_fs_draft_name(prefix),
        .source_fds = g_new(int, request->n_mounts),
        .root_clone_fd = -1,
        .state_fd = -1,
        .rootfs_fd = -1,
        .identity = {.groups = g_array_new(FALSE, FALSE, sizeof(uint32_t))},
        .stubs = cob_rootfs_made_new(),
        .dev_mounts = g_ptr_array_new_with_free_func(dev_mount_free),
        .netns_fd = -1,
        .userns_fd = -1};
    for (size_t i = 0; i < request->n_mounts; i++)
        step->source_fds[i] = -1;
}

bool step_is_bare(const struct step *step)
{
    return step->executor->is_rootless || step->userns_fd >= 0;
}

static void step_done(struct step *step)
{
    for (size_t i = 0; i < step->request->n_mounts; i++)
        cob_closep(&step->source_fds[i]);
    cob_closep(&step->root_clone_fd);
    cob_closep(&step->state_fd);
    cob_closep(&step->rootfs_fd);
    g_array_unref(step->identity.groups);
    g_array_unref(step->stubs);
    g_ptr_array_unref(step->dev_mounts);
    g_free(step->source_fds);
    g_free(step->cwd);
    g_free(step->id);
}

/* The working directory, made where it is missing: it stays, as in BuildKit. Not in /proc: there
 * it could be a descriptor of the runtime's (CVE-2024-21626). */
static struct cob_error *prepare_cwd(struct step *step)
{
    const char *cwd = step->request->cwd ? step->request->cwd : "/";
    struct cob_rootfs_walk request = {
        .root_fd = step->rootfs_fd, .path = cwd, .wish = COB_ROOTFS_MAKE_DIR, .is_guarded = true};
    cob_autoclose int fd = -1;

    if (*cwd != '/')
        return cob_fail(COB_INVALID, "working directory %s: it is not an absolute path", cwd);
    return cob_wrap(cob_rootfs_walk(&request, &fd, &step->cwd), "working directory %s", cwd);
}

/* All of it, in the thread of the step. The network's helper starts meanwhile. */
static struct cob_error *carry_out(struct step *step)
{
    const struct cob_executor_request *request = step->request;
    bool has_network = request->network == COB_EXECUTOR_NETWORK_DEFAULT;

    COB_TRY(cob_emulation_prepare(
        step->executor->emulation, request->platform, step->cancel, &step->userns_fd));
    if (has_network)
        stepnet_start(step->executor->net);
    COB_TRY(stepmounts_clone_sources(step));
    COB_TRY(stepmounts_enter(step));
    COB_TRY(cob_rootfs_identify(step->rootfs_fd, request->user, &step->identity));
    COB_TRY(cgroups_new(step, &step->cgroups));
    if (has_network)
        COB_TRY(
            stepnet_wait(step->executor->net, step->cancel, &step->netns_fd, &step->nameserver));
    COB_TRY(stepmounts_attach_all(step));
    COB_TRY(prepare_cwd(step));
    COB_TRY(cob_cancel_check(step->cancel));
    return runtime_run(step);
}

static void *run_step(void *arg)
{
    struct step *step = arg;

    step->err = carry_out(step);
    if (!step->err)
        step->outcome.oom = cgroups_oom(step->cgroups, step->outcome.exit_code);
    stepmounts_leave(step);
    cob_rootfs_unmake(step->request->root_fd, step->stubs);
    cgroups_remove(step->cgroups);
    return NULL;
}

static struct cob_error *check_request(const struct cob_executor_request *request)
{
    switch (request->network) {
    case COB_EXECUTOR_NETWORK_DEFAULT:
    case COB_EXECUTOR_NETWORK_NONE:
    case COB_EXECUTOR_NETWORK_HOST:
        break;
    }
    if ((unsigned)request->network > COB_EXECUTOR_NETWORK_HOST)
        return cob_fail(COB_INVALID, "invalid network mode %d", (int)request->network);
    if (!request->args || !request->args[0])
        return cob_fail(COB_INVALID, "there is nothing to run");
    return NULL;
}

/*
 * A step is a thread of its own, because a mount namespace belongs to a thread: it can be left for
 * a new one, and nothing else in cob sees that. It ends with the run, and its namespace with it.
 */
struct cob_error *cob_executor_run(struct cob_executor *executor,
    const struct cob_executor_request *request, struct cob_cancel *cancel,
    struct cob_executor_outcome *ret_outcome)
{
    struct step step;

    COB_TRY(check_request(request));
    COB_TRY(cob_cancel_check(cancel));
    step_init(&step, executor, request, cancel);
    g_thread_join(g_thread_new("step", run_step, &step));
    if (!step.err)
        *ret_outcome = step.outcome;
    step_done(&step);
    return step.err;
}
