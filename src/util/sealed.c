/* SPDX-License-Identifier: Apache-2.0 */
#include "util/sealed.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "util/process.h"
#include "util/seccomp.h"

#define PROGRAM "/proc/self/exe"

struct cob_sealed {
    const char *name; /* static */
    struct cob_process *process;
    int in_fd, out_fd;
    bool is_deaf; /* it reads no more */
};

/* The two channels.
 * ret_theirs: its input and its output. */
static struct cob_error *make_channels(struct cob_sealed *sealed, int ret_theirs[2])
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return cob_fail_errno(errno, "make a socket pair");
    sealed->in_fd = ends[0], ret_theirs[0] = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    sealed->out_fd = ends[0], ret_theirs[1] = ends[1];
    fcntl(sealed->out_fd, F_SETPIPE_SZ, COB_SEALED_PIPE_BYTES); /* else it is slower */
    if (fcntl(sealed->out_fd, F_SETFL, O_NONBLOCK) < 0)
        return cob_fail_errno(errno, "make a pipe that does not block");
    return NULL;
}

static struct cob_error *start(struct cob_sealed *sealed, const char *arg)
{
    cob_autoclose int in_fd = -1;
    cob_autoclose int out_fd = -1;
    const char *const argv[] = {PROGRAM, COB_SEALED_FLAG, sealed->name, arg, NULL};
    const char *const no_environment[] = {NULL};
    int theirs[2] = {-1, -1};
    struct cob_error *err = make_channels(sealed, theirs);

    in_fd = theirs[0], out_fd = theirs[1];
    COB_TRY(err);
    struct cob_process_request request = {
        .argv = argv, .envp = no_environment, .stdin_fd = in_fd, .stdout_fd = out_fd};
#ifdef COB_IS_SANITIZED
    request.envp = NULL;
    request.stderr_fd = STDERR_FILENO;
#endif
    return cob_process_spawn(&request, &sealed->process);
}

struct cob_error *cob_sealed_spawn(
    const struct cob_sealed_worker *worker, const char *arg, struct cob_sealed **ret_sealed)
{
    g_autoptr(cob_sealed) sealed = g_new(struct cob_sealed, 1);

    *sealed = (struct cob_sealed){.name = worker->name, .in_fd = -1, .out_fd = -1};
    COB_TRY(cob_wrap(start(sealed, arg), "start the sealed worker %s", worker->name));
    *ret_sealed = g_steal_pointer(&sealed);
    return NULL;
}

void cob_sealed_free(struct cob_sealed *sealed)
{
    if (!sealed)
        return;
    cob_process_free(sealed->process);
    cob_closep(&sealed->in_fd);
    cob_closep(&sealed->out_fd);
    g_free(sealed);
}

static struct cob_error *send_some(struct cob_sealed *sealed, struct cob_sealed_exchange *exchange)
{
    if (exchange->len == 0 || sealed->is_deaf)
        return NULL;
    ssize_t n = TEMP_FAILURE_RETRY(
        send(sealed->in_fd, exchange->data, exchange->len, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (n >= 0)
        exchange->n_sent = (size_t)n;
    else if (errno == EPIPE || errno == ECONNRESET)
        sealed->is_deaf = true;
    else if (errno != EAGAIN)
        return cob_fail_errno(errno, "write to the sealed worker %s", sealed->name);
    return NULL;
}

static struct cob_error *receive_some(
    struct cob_sealed *sealed, struct cob_sealed_exchange *exchange)
{
    if (exchange->cap == 0)
        return NULL;
    ssize_t n = TEMP_FAILURE_RETRY(read(sealed->out_fd, exchange->room, exchange->cap));
    if (n < 0)
        return errno == EAGAIN
                   ? NULL
                   : cob_fail_errno(errno, "read from the sealed worker %s", sealed->name);
    exchange->n_received = (size_t)n;
    exchange->is_over = n == 0;
    return NULL;
}

struct cob_error *cob_sealed_exchange(
    struct cob_sealed *sealed, struct cob_sealed_exchange *exchange, struct cob_cancel *cancel)
{
    exchange->n_sent = exchange->n_received = 0;
    exchange->is_over = false;
    for (;;) {
        COB_TRY(cob_cancel_check(cancel));
        COB_TRY(send_some(sealed, exchange));
        COB_TRY(receive_some(sealed, exchange));
        if (exchange->n_sent > 0 || exchange->n_received > 0 || exchange->is_over)
            return NULL;
        if (sealed->is_deaf && exchange->cap == 0) {
            COB_TRY(cob_sealed_finish(sealed, cancel));
            return cob_fail(COB_INTERNAL, "the sealed worker %s ended early", sealed->name);
        }
        bool wants_to_send = exchange->len > 0 && !sealed->is_deaf;
        struct pollfd fds[] = {{.fd = wants_to_send ? sealed->in_fd : -1, .events = POLLOUT},
            {.fd = exchange->cap > 0 ? sealed->out_fd : -1, .events = POLLIN},
            {.fd = cob_cancel_fd(cancel), .events = POLLIN}};
        if (TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), -1)) < 0)
            return cob_fail_errno(errno, "wait for the sealed worker %s", sealed->name);
    }
}

void cob_sealed_close_input(struct cob_sealed *sealed)
{
    shutdown(sealed->in_fd, SHUT_WR);
}

/* --- its end --- */

static struct cob_error *explain_death(const struct cob_sealed *sealed, int status)
{
    static const struct {
        int signum;
        const char *why;
    } rows[] = {
        {SIGSYS, "it asked the kernel for what is forbidden: do not trust what it read"},
        {SIGKILL, "killed from outside, or memory is out"},
        {SIGPIPE, "nobody took its output"},
    };
    const char *why = "it crashed on what it read";

    if (status < 128)
        return cob_fail(COB_INTERNAL, "the sealed worker %s ended with status %d and no report",
            sealed->name, status);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].signum == status - 128)
            why = rows[i].why;
    }
    return cob_fail(COB_INTERNAL, "the sealed worker %s died of signal %d: %s", sealed->name,
        status - 128, why);
}

/* The worker's word is that of a stranger: its code is one of few, its text has an end. */
static struct cob_error *read_report(struct cob_sealed *sealed, int status)
{
    char bytes[sizeof(struct cob_sealed_report) + COB_SEALED_TEXT_BYTES];
    struct cob_sealed_report report = {0};
    ssize_t n = TEMP_FAILURE_RETRY(recv(sealed->in_fd, bytes, sizeof(bytes), MSG_DONTWAIT));
    enum cob_code code = COB_INTERNAL;

    if (n < (ssize_t)sizeof(report))
        return explain_death(sealed, status);
    memcpy(&report, bytes, sizeof(report));
    if (report.code == COB_INVALID || report.code == COB_EXHAUSTED ||
        report.code == COB_UNIMPLEMENTED)
        code = (enum cob_code)report.code;
    size_t len = MIN((size_t)report.len, (size_t)n - sizeof(report));
    g_autofree char *text = g_strndup(bytes + sizeof(report), len);
    return cob_fail(code, "%s", text);
}

struct cob_error *cob_sealed_finish(struct cob_sealed *sealed, struct cob_cancel *cancel)
{
    int status = 0;

    cob_sealed_close_input(sealed);
    close(g_steal_fd(&sealed->out_fd));
    COB_TRY(cob_process_wait(sealed->process, cancel, &status));
    return status == 0 ? NULL : read_report(sealed, status);
}
