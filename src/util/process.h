/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: the one place where cob forks.
 *
 * A child dies with the thread that started it (PDEATHSIG), has only the descriptors it was given,
 * default signals and an empty signal mask.
 *
 * threads:  any. The thread that spawns a child must outlive it.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <sys/types.h>

#include "util/cancel.h"

/* What to run. Zero and NULL mean: default. */
struct cob_process_request {
    const char *const *argv; /* argv[0] is looked up in PATH when it has no slash */
    const char *const *envp; /* NULL: cob's own environment */
    int stdin_fd;            /* 0: /dev/null. The three are borrowed. */
    int stdout_fd;           /* 0: /dev/null */
    int stderr_fd;           /* 0: /dev/null */
    const int *keep_fds;     /* -1 terminated: more descriptors it inherits, same numbers */
    uint64_t clone_flags;    /* namespaces of its own: CLONE_NEWPID, ... */
    bool is_detached;        /* it goes on when cob ends, in a session of its own, at "/" */
    int64_t timeout_us;      /* for cob_process_run() alone: then it is killed. 0: never */
    /* Called in the child before exec, where only async-signal-safe calls are allowed. Other than 0
     * is an errno, and the child is not started. */
    int (*in_child)(void *arg);
    void *arg;
};

struct cob_process; /* a child that was started and not yet waited for */

/* errors: the program cannot be found or run; in_child() failed. The text names argv[0]. */
COB_RESULT struct cob_error *cob_process_spawn(
    const struct cob_process_request *request, struct cob_process **ret_process);

/* As cob sees it, also when the child is in a pid namespace of its own. */
pid_t cob_process_pid(const struct cob_process *process);

/* A pidfd, readable when the child has ended; borrowed. */
int cob_process_fd(const struct cob_process *process);

/* Send a signal to the child; one that has ended is passed over. */
void cob_process_kill(const struct cob_process *process, int signum);

/*
 * Wait until the child ends. When `cancel` is set meanwhile, kill it (SIGKILL), and go on waiting.
 *
 * ret_status:  exit code 0..255, or 128 + the signal that ended it.
 * errors:      COB_CANCELLED, after the child has ended.
 */
COB_RESULT struct cob_error *cob_process_wait(
    struct cob_process *process, struct cob_cancel *cancel, int *ret_status);

/* Let a detached child be, instead of freeing it. Who ends it is whoever adopts it. */
void cob_process_leave(struct cob_process *process);

/* Kills the child when it was not waited for. */
void cob_process_free(struct cob_process *process);
COB_AUTOPTR(cob_process, cob_process_free)

/* What a helper said. */
struct cob_process_output {
    GBytes *out, *err; /* the caller's */
    int status;        /* as from cob_process_wait() */
};

/* Run a short-lived helper to its end: `input` (may be NULL) goes to its standard input; what it
 * prints, up to max_bytes a stream, comes back.
 * errors:  those of spawn and wait; COB_EXHAUSTED past max_bytes; COB_TIMEOUT. An exit code is a
 *          result. */
COB_RESULT struct cob_error *cob_process_run(const struct cob_process_request *request,
    GBytes *input, uint64_t max_bytes, struct cob_cancel *cancel,
    struct cob_process_output *ret_output);
