/* SPDX-License-Identifier: Apache-2.0 */
#include "util/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct cob_process {
    pid_t pid;
    int fd; /* pidfd; -1 once waited for */
};

/* All that the child needs, made before the fork: behind it nothing may allocate. */
struct plan {
    const struct cob_process_request *request;
    char *program;   /* a path */
    int report_fd;   /* write end of a pipe that exec closes; an errno in it means: not started */
    int null_fd;     /* /dev/null */
    pid_t parent;    /* to notice that the parent died before PDEATHSIG was set */
    int n_namespace; /* the parent's pid cannot be asked for in a new pid namespace */
};

/* Give the child `fd` as number `number`, without CLOEXEC. By the bare syscall: ThreadSanitizer has
 * not seen clone3, takes the child for a thread of the parent, and a dup2() in it for one that
 * closes the parent's descriptor. */
static int place_fd(int fd, int number)
{
    if (fd == number)
        return fcntl(fd, F_SETFD, 0);
    return (int)syscall(SYS_dup3, fd, number, 0);
}

/* The three standard descriptors, moved out of each other's way first. */
static int place_standard_fds(const struct plan *plan)
{
    const struct cob_process_request *request = plan->request;
    int given[3] = {request->stdin_fd, request->stdout_fd, request->stderr_fd};

    for (int i = 0; i < 3; i++) {
        given[i] = fcntl(given[i] ? given[i] : plan->null_fd, F_DUPFD_CLOEXEC, 3);
        if (given[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (place_fd(given[i], i) < 0)
            return -1;
    }
    return 0;
}

static int keep_only_given_fds(const struct plan *plan)
{
    if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return -1;
    for (const int *fd = plan->request->keep_fds; fd && *fd >= 0; fd++) {
        if (fcntl(*fd, F_SETFD, 0) < 0)
            return -1;
    }
    return 0;
}

static int reset_signals(void)
{
    sigset_t none;
    struct sigaction standard = {.sa_handler = SIG_DFL};

    for (int signum = 1; signum < NSIG; signum++)
        sigaction(signum, &standard, NULL); /* fails for SIGKILL, SIGSTOP and libc's own */
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: prepare and exec. Returns only when that failed, with errno set. */
static void become(const struct plan *plan)
{
    const struct cob_process_request *request = plan->request;
    char *const *argv = (char *const *)(uintptr_t)request->argv;
    char *const *envp = (char *const *)(uintptr_t)request->envp;

    if (request->is_detached ? setsid() < 0 || chdir("/") < 0
                             : prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return;
    if (reset_signals() < 0)
        return;
    if (!request->is_detached && !plan->n_namespace && getppid() != plan->parent)
        _exit(127); /* the parent is gone already: nobody waits */
    if (keep_only_given_fds(plan) < 0 || place_standard_fds(plan) < 0)
        return;
    if (request->in_child) {
        errno = request->in_child(request->arg);
        if (errno)
            return;
    }
    execve(plan->program, argv, envp ? envp : environ);
}

static G_NORETURN void run_child(const struct plan *plan)
{
    become(plan);

    int errnum = errno;
    ssize_t n = write(plan->report_fd, &errnum, sizeof(errnum));
    (void)n; /* the parent sees 127 instead */
    _exit(127);
}

/* Does the child start? An end of file says that exec happened. */
static struct cob_error *read_report(int fd, const char *name)
{
    int errnum = 0;
    ssize_t n = TEMP_FAILURE_RETRY(read(fd, &errnum, sizeof(errnum)));

    return n > 0 ? cob_fail_errno(errnum, "run %s", name) : NULL;
}

static struct cob_error *find_program(const char *name, char **ret_path)
{
    char *path = strchr(name, '/') ? g_strdup(name) : g_find_program_in_path(name);

    if (!path)
        return cob_fail(COB_NOT_FOUND, "run %s: no such program in PATH", name);
    *ret_path = path;
    return NULL;
}

static pid_t clone_child(uint64_t flags, int *ret_pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD, .pidfd = (uintptr_t)ret_pidfd, .exit_signal = SIGCHLD};

    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

struct cob_error *cob_process_spawn(
    const struct cob_process_request *request, struct cob_process **ret_process)
{
    cob_autoclose int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    cob_autoclose int read_fd = -1;
    cob_autoclose int write_fd = -1;
    g_autofree char *program = NULL;
    int ends[2], pidfd = -1;

    COB_TRY(find_program(request->argv[0], &program));
    if (null_fd < 0)
        return cob_fail_errno(errno, "open /dev/null");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    read_fd = ends[0], write_fd = ends[1];

    struct plan plan = {.request = request,
        .program = program,
        .report_fd = write_fd,
        .null_fd = null_fd,
        .parent = getpid(),
        .n_namespace = (request->clone_flags & CLONE_NEWPID) != 0};
    pid_t pid = clone_child(request->clone_flags, &pidfd);
    if (pid < 0)
        return cob_fail_errno(errno, "start a process for %s", request->argv[0]);
    if (pid == 0)
        run_child(&plan);

    g_autoptr(cob_process) process = g_new(struct cob_process, 1);
    *process = (struct cob_process){.pid = pid, .fd = pidfd};
    close(g_steal_fd(&write_fd));
    COB_TRY(read_report(read_fd, request->argv[0]));
    *ret_process = g_steal_pointer(&process);
    return NULL;
}

pid_t cob_process_pid(const struct cob_process *process)
{
    return process->pid;
}

int cob_process_fd(const struct cob_process *process)
{
    return process->fd;
}

/* Without pidfd_send_signal (a filter around cob) by number: it is ours until it was waited for. */
void cob_process_kill(const struct cob_process *process, int signum)
{
    if (process->fd >= 0 && syscall(SYS_pidfd_send_signal, process->fd, signum, NULL, 0) < 0 &&
        errno != ESRCH)
        kill(process->pid, signum);
}

/* The child has ended, or will at once. */
static int reap(struct cob_process *process)
{
    int status = 0;

    TEMP_FAILURE_RETRY(waitpid(process->pid, &status, 0));
    close(g_steal_fd(&process->fd));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* How long poll() may wait. deadline_us: of the monotonic clock; 0: for ever. */
static int ms_until(int64_t deadline_us)
{
    int64_t left_us = deadline_us - g_get_monotonic_time();

    return deadline_us == 0 ? -1 : (int)CLAMP(left_us / 1000 + 1, 0, G_MAXINT);
}

static bool is_past(int64_t deadline_us)
{
    return deadline_us != 0 && g_get_monotonic_time() >= deadline_us;
}

static struct cob_error *wait_until(
    struct cob_process *process, struct cob_cancel *cancel, int64_t deadline_us, int *ret_status)
{
    struct pollfd fds[] = {
        {.fd = process->fd, .events = POLLIN}, {.fd = cob_cancel_fd(cancel), .events = POLLIN}};
    bool is_cancelled = false, is_late = false;

    while (!(fds[0].revents & POLLIN)) {
        if (TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), ms_until(deadline_us))) < 0)
            return cob_fail_errno(errno, "wait for a process");
        if (!(fds[0].revents & POLLIN) && is_past(deadline_us)) {
            is_late = true;
            deadline_us = 0;
            cob_process_kill(process, SIGKILL);
        }
        if (!is_cancelled && cob_cancel_is_set(cancel)) {
            is_cancelled = true;
            cob_process_kill(process, SIGKILL);
            fds[1].fd = -1;
        }
    }
    *ret_status = reap(process);
    if (is_cancelled)
        return cob_fail(COB_CANCELLED, "cancelled");
    return is_late ? cob_fail(COB_TIMEOUT, "it takes too long") : NULL;
}

struct cob_error *cob_process_wait(
    struct cob_process *process, struct cob_cancel *cancel, int *ret_status)
{
    return wait_until(process, cancel, 0, ret_status);
}

void cob_process_leave(struct cob_process *process)
{
    close(process->fd);
    g_free(process);
}

void cob_process_free(struct cob_process *process)
{
    if (!process)
        return;
    if (process->fd >= 0) {
        cob_process_kill(process, SIGKILL);
        reap(process);
    }
    g_free(process);
}

/* What a helper says and is told, while it runs. */
struct talk {
    int in_fd, out_fd, err_fd; /* our ends; -1 when closed */
    const char *input;
    size_t input_len;
    GByteArray *out, *err;
    uint64_t max_bytes;
    int64_t deadline_us; /* 0: none */
};

static void talk_done(struct talk *talk)
{
    cob_closep(&talk->in_fd);
    cob_closep(&talk->out_fd);
    cob_closep(&talk->err_fd);
    g_clear_pointer(&talk->out, g_byte_array_unref);
    g_clear_pointer(&talk->err, g_byte_array_unref);
}

static struct cob_error *hear(int *fd, GByteArray *into, uint64_t max_bytes)
{
    uint8_t buffer[16 * 1024];
    ssize_t n = TEMP_FAILURE_RETRY(read(*fd, buffer, sizeof(buffer)));

    if (n < 0)
        return cob_fail_errno(errno, "read what the process says");
    if (n == 0)
        close(g_steal_fd(fd));
    if (into->len + (uint64_t)n > max_bytes)
        return cob_fail(
            COB_EXHAUSTED, "it says more than the limit of %" PRIu64 " bytes", max_bytes);
    g_byte_array_append(into, buffer, (guint)n);
    return NULL;
}

/* A child that does not want its input is no error: its answer tells. */
static void say(struct talk *talk)
{
    ssize_t n = TEMP_FAILURE_RETRY(
        send(talk->in_fd, talk->input, talk->input_len, MSG_NOSIGNAL | MSG_DONTWAIT));

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        talk->input += n;
        talk->input_len -= (size_t)n;
    }
    if (n < 0 || talk->input_len == 0)
        close(g_steal_fd(&talk->in_fd));
}

static struct cob_error *talk_to_the_end(struct talk *talk, struct cob_cancel *cancel)
{
    while (talk->out_fd >= 0 || talk->err_fd >= 0) {
        struct pollfd fds[] = {{.fd = talk->out_fd, .events = POLLIN},
            {.fd = talk->err_fd, .events = POLLIN}, {.fd = talk->in_fd, .events = POLLOUT},
            {.fd = cob_cancel_fd(cancel), .events = POLLIN}};

        if (TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), ms_until(talk->deadline_us))) < 0)
            return cob_fail_errno(errno, "wait for a process");
        COB_TRY(cob_cancel_check(cancel));
        if (is_past(talk->deadline_us))
            return cob_fail(COB_TIMEOUT, "it takes too long");
        if (fds[0].revents)
            COB_TRY(hear(&talk->out_fd, talk->out, talk->max_bytes));
        if (fds[1].revents)
            COB_TRY(hear(&talk->err_fd, talk->err, talk->max_bytes));
        if (fds[2].revents)
            say(talk);
    }
    return NULL;
}

/* Our end and the child's of one stream. */
static struct cob_error *make_ends(int *ret_ours, int *ret_theirs)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return cob_fail_errno(errno, "make a socket pair");
    *ret_ours = ends[0], *ret_theirs = ends[1];
    return NULL;
}

static struct cob_error *run_talking(const struct cob_process_request *request, struct talk *talk,
    struct cob_cancel *cancel, int *ret_status)
{
    g_autoptr(cob_process) process = NULL;
    cob_autoclose int in_fd = -1;
    cob_autoclose int out_fd = -1;
    cob_autoclose int err_fd = -1;
    struct cob_process_request wired = *request;

    COB_TRY(make_ends(&talk->in_fd, &in_fd));
    COB_TRY(make_ends(&talk->out_fd, &out_fd));
    COB_TRY(make_ends(&talk->err_fd, &err_fd));
    wired.stdin_fd = in_fd, wired.stdout_fd = out_fd, wired.stderr_fd = err_fd;
    COB_TRY(cob_process_spawn(&wired, &process));
    close(g_steal_fd(&in_fd));
    close(g_steal_fd(&out_fd));
    close(g_steal_fd(&err_fd));
    if (talk->input_len == 0)
        close(g_steal_fd(&talk->in_fd));
    COB_TRY(talk_to_the_end(talk, cancel));
    return wait_until(process, cancel, talk->deadline_us, ret_status);
}

struct cob_error *cob_process_run(const struct cob_process_request *request, GBytes *input,
    uint64_t max_bytes, struct cob_cancel *cancel, struct cob_process_output *ret_output)
{
    size_t len = 0;
    const char *data = input ? g_bytes_get_data(input, &len) : NULL;
    struct talk talk = {.in_fd = -1,
        .out_fd = -1,
        .err_fd = -1,
        .input = data,
        .input_len = len,
        .out = g_byte_array_new(),
        .err = g_byte_array_new(),
        .max_bytes = max_bytes,
        .deadline_us = request->timeout_us ? g_get_monotonic_time() + request->timeout_us : 0};
    int status = 0;
    struct cob_error *err = run_talking(request, &talk, cancel, &status);

    if (!err)
        *ret_output = (struct cob_process_output){
            .out = g_byte_array_free_to_bytes(g_steal_pointer(&talk.out)),
            .err = g_byte_array_free_to_bytes(g_steal_pointer(&talk.err)),
            .status = status};
    talk_done(&talk);
    return cob_wrap(err, "%s", request->argv[0]);
}
