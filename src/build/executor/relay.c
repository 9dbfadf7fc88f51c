/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

#include "build/executor/step.h"
#include "util/fs.h"

#define CONSOLE_NAME "console"
#define BUFFER_BYTES (32 * 1024)

struct step_relay {
    const struct cob_executor_request *request;
    int read_fds[3];  /* our ends of streams 1 and 2; [0] is not used */
    int child_fds[3]; /* the runtime's ends */
    int listen_fd;    /* where the runtime sends the terminal to; -1 */
    int master_fd;    /* our end of the terminal; -1 */
    bool is_stdin_at_end;
    char typed[4096]; /* what the terminal has not taken yet */
    size_t n_typed;
};

void relay_free(struct step_relay *relay)
{
    if (!relay)
        return;
    for (int i = 0; i < 3; i++)
        cob_closep(&relay->read_fds[i]);
    relay_close_child_fds(relay);
    cob_closep(&relay->listen_fd);
    cob_closep(&relay->master_fd);
    g_free(relay);
}

static struct cob_error *open_pipes(struct step_relay *relay)
{
    for (int i = 1; i <= 2; i++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
            return cob_fail_errno(errno, "make a pipe");
        relay->read_fds[i] = ends[0];
        relay->child_fds[i] = ends[1];
    }
    return NULL;
}

/* The thread of a step stands in the state folder: a short name fits into any socket address. */
static struct cob_error *open_console(struct step_relay *relay)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = CONSOLE_NAME};

    relay->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (relay->listen_fd < 0 ||
        bind(relay->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(relay->listen_fd, 1) < 0)
        return cob_fail_errno(errno, "make a socket for the terminal");
    return NULL;
}

static void copy_size(const struct step_relay *relay)
{
    struct winsize size;

    if (relay->master_fd >= 0 && ioctl(relay->request->stdin_fd, TIOCGWINSZ, &size) == 0)
        ioctl(relay->master_fd, TIOCSWINSZ, &size);
}

/* A runtime that sends no terminal while it stays makes one and copies between it and its own:
 * that is one of ours. */
static struct cob_error *open_terminal(struct step_relay *relay)
{
    char name[64];

    relay->master_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (relay->master_fd < 0 || grantpt(relay->master_fd) < 0 || unlockpt(relay->master_fd) < 0 ||
        ptsname_r(relay->master_fd, name, sizeof(name)) != 0)
        return cob_fail_errno(errno, "make a terminal");
    for (int i = 0; i < 3; i++) {
        relay->child_fds[i] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (relay->child_fds[i] < 0)
            return cob_fail_errno(errno, "open %s", name);
    }
    fcntl(relay->master_fd, F_SETFL, O_RDWR | O_NONBLOCK);
    copy_size(relay);
    return NULL;
}

struct cob_error *relay_new(
    const struct step *step, enum relay_terminal terminal, struct step_relay **ret_relay)
{
    g_autoptr(step_relay) relay = g_new(struct step_relay, 1);

    *relay = (struct step_relay){.request = step->request,
        .read_fds = {-1, -1, -1},
        .child_fds = {-1, -1, -1},
        .listen_fd = -1,
        .master_fd = -1};
    if (step->request->is_terminal && terminal == RELAY_TERMINAL_SENT)
        COB_TRY(open_console(relay));
    else if (step->request->is_terminal)
        COB_TRY(open_terminal(relay));
    else if (step->request->log)
        COB_TRY(open_pipes(relay));
    *ret_relay = g_steal_pointer(&relay);
    return NULL;
}

int relay_child_fd(const struct step_relay *relay, int stream)
{
    const struct cob_executor_request *request = relay->request;
    const int given[3] = {request->stdin_fd, request->stdout_fd, request->stderr_fd};

    if (relay->listen_fd >= 0)
        return 0; /* the terminal is all three */
    if (relay->child_fds[stream] >= 0)
        return relay->child_fds[stream];
    return given[stream];
}

const char *relay_console(const struct step_relay *relay)
{
    return relay->listen_fd >= 0 ? CONSOLE_NAME : NULL;
}

void relay_close_child_fds(struct step_relay *relay)
{
    for (int i = 0; i < 3; i++) {
        cob_closep(&relay->child_fds[i]);
        relay->child_fds[i] = -1;
    }
}

/* What the process said goes on; a reader that is gone is not the step's fault. */
static void pass_on(const struct step_relay *relay, int stream, const char *data, size_t len)
{
    const struct cob_executor_request *request = relay->request;

    if (request->log)
        request->log(request->log_arg, stream, data, len);
    else if (request->stdout_fd)
        cob_error_free(cob_fs_write_fd(request->stdout_fd, data, len));
}

/* Returns false at the end. */
static bool hear(const struct step_relay *relay, int fd, int stream)
{
    char buffer[BUFFER_BYTES];
    ssize_t n = TEMP_FAILURE_RETRY(read(fd, buffer, sizeof(buffer)));

    if (n > 0)
        pass_on(relay, stream, buffer, (size_t)n);
    /* a terminal that its last user closed says EIO */
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The runtime sends our end of the terminal.  spec: runc docs/terminals.md */
static void take_terminal(struct step_relay *relay)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char name[4096];
    struct iovec part = {.iov_base = name, .iov_len = sizeof(name)};
    struct msghdr message = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.room,
        .msg_controllen = sizeof(control.room)};
    cob_autoclose int fd = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0 || recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
        return;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS && relay->master_fd < 0)
        memcpy(&relay->master_fd, CMSG_DATA(header), sizeof(int));
    fcntl(relay->master_fd, F_SETFL, O_RDWR | O_NONBLOCK);
    copy_size(relay);
}

/* Never wait for a terminal to take it: its user may be waiting for us to take what it says. */
static void type_on(struct step_relay *relay)
{
    ssize_t n = TEMP_FAILURE_RETRY(write(relay->master_fd, relay->typed, relay->n_typed));

    if (n < 0)
        return;
    relay->n_typed -= (size_t)n;
    memmove(relay->typed, relay->typed + n, relay->n_typed);
}

static void type_in(struct step_relay *relay)
{
    static const char end_of_file = 4;
    ssize_t n =
        TEMP_FAILURE_RETRY(read(relay->request->stdin_fd, relay->typed, sizeof(relay->typed)));

    relay->is_stdin_at_end = n <= 0;
    if (n <= 0)
        relay->typed[0] = end_of_file;
    relay->n_typed = n > 0 ? (size_t)n : 1;
    type_on(relay);
}

static void see_resize(const struct step_relay *relay)
{
    uint64_t count;

    if (read(relay->request->resize_fd, &count, sizeof(count)) > 0)
        copy_size(relay);
}

enum { PROCESS, CANCEL, OUT, ERR, LISTEN, MASTER, STDIN, RESIZE, N_SOURCES };

static void watch(const struct step_relay *relay, struct pollfd *fds)
{
    const struct cob_executor_request *request = relay->request;
    bool has_terminal = relay->master_fd >= 0;

    fds[OUT].fd = relay->read_fds[1];
    fds[ERR].fd = relay->read_fds[2];
    fds[LISTEN].fd = has_terminal ? -1 : relay->listen_fd;
    fds[MASTER].fd = relay->master_fd;
    fds[STDIN].fd = has_terminal && request->stdin_fd && !relay->is_stdin_at_end && !relay->n_typed
                        ? request->stdin_fd
                        : -1;
    fds[RESIZE].fd = has_terminal && request->resize_fd ? request->resize_fd : -1;
    for (int i = 0; i < N_SOURCES; i++)
        fds[i].events = POLLIN;
    if (relay->n_typed > 0)
        fds[MASTER].events |= POLLOUT;
}

static void serve(struct step_relay *relay, const struct pollfd *fds)
{
    for (int i = 1; i <= 2; i++) {
        if (fds[OUT + i - 1].revents && !hear(relay, relay->read_fds[i], i))
            close(g_steal_fd(&relay->read_fds[i]));
    }
    if (fds[LISTEN].revents)
        take_terminal(relay);
    if (fds[STDIN].revents)
        type_in(relay);
    if (fds[RESIZE].revents)
        see_resize(relay);
    if ((fds[MASTER].revents & POLLOUT) && relay->n_typed > 0)
        type_on(relay);
    if ((fds[MASTER].revents & ~POLLOUT) && !hear(relay, relay->master_fd, 1))
        close(g_steal_fd(&relay->master_fd));
}

/* All processes of the step are gone, so all ends but ours are closed: read what is left. */
static void drain(struct step_relay *relay)
{
    for (int i = 1; i <= 2; i++) {
        while (relay->read_fds[i] >= 0 && hear(relay, relay->read_fds[i], i))
            ;
    }
    struct pollfd terminal = {.fd = relay->master_fd, .events = POLLIN};
    while (relay->master_fd >= 0 && poll(&terminal, 1, 0) > 0 && hear(relay, relay->master_fd, 1))
        ;
}

struct cob_error *relay_until_end(
    struct step_relay *relay, int process_fd, struct cob_cancel *cancel)
{
    struct pollfd fds[N_SOURCES] = {
        [PROCESS] = {.fd = process_fd}, [CANCEL] = {.fd = cob_cancel_fd(cancel)}};

    while (!fds[PROCESS].revents) {
        watch(relay, fds);
        if (TEMP_FAILURE_RETRY(poll(fds, N_SOURCES, -1)) < 0)
            return cob_fail_errno(errno, "wait for the step");
        COB_TRY(cob_cancel_check(cancel));
        serve(relay, fds);
    }
    drain(relay);
    return NULL;
}
