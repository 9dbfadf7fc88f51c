/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_gc.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include "app/cli/cli_engine.h"
#include "build/gc/gc.h"
#include "disk/snapshot/snapshot.h"
#include "util/log.h"
#include "util/process.h"

/* ioprio_set(2), which libc has no name for: this process, the idle class. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

bool cli_gc_is_due(struct cob_store *store)
{
    struct cob_gc_policy policy;
    bool is_due = false;
    g_autoptr(cob_error) err = cob_gc_policy_load(&policy);

    if (err) {
        g_autofree char *message = cob_error_message(err);
        const int32_t line = cob_error_range(err).first_line;
        g_autofree char *where = line ? g_strdup_printf("line %d: ", line) : g_strdup("");
        g_autofree char *text = g_strconcat("no garbage is collected: ", where, message, NULL);

        cli_warn(text);
        return false;
    }
    err = cob_gc_is_due(store, &policy, cob_snapshot_has_drafted(store), &is_due);
    return !err && is_due;
}

/* Between fork and exec. What cannot be had is passed over. */
static int be_humble(void *arg)
{
    (void)arg;
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
    return 0;
}

void cli_gc_start(const char *store_path)
{
    static const char *const argv[] = {"/proc/self/exe", "prune", "--gc", "--force", NULL};
    g_auto(GStrv) envp = g_environ_setenv(g_get_environ(), "COB_ROOT", store_path, TRUE);
    const struct cob_process_request request = {.argv = argv,
        .envp = (const char *const *)envp,
        .is_detached = true,
        .in_child = be_humble};
    struct cob_process *process = NULL;
    g_autoptr(cob_error) err = cob_process_spawn(&request, &process);

    if (process)
        cob_process_leave(process);
    if (err)
        cob_trace(1, "garbage collection cannot be started");
}
