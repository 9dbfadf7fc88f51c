/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "build/sshagent/sshagent_private.h"
#include "util/cleanup.h"

/* Served at the same time, and waiting for that; more are sent away. */
#define MAX_SERVED 16
#define MAX_WAITING 64
#define RETRY_MS 100

struct cob_sshagent_door {
    struct cob_sshagent *agent;
    struct cob_cancel *closing;
    int listen_fd;
    GThread *keeper;     /* lets in who knocks; NULL: not started */
    GThreadPool *guests; /* each serves one connection: its descriptor + 1 */
};

static void refuse(GByteArray *answer)
{
    const uint8_t type = SSHAGENT_FAILURE;

    g_byte_array_set_size(answer, 0);
    g_byte_array_append(answer, &type, 1);
}

/* Requests of one connection, until it or the door is closed. What is wrong with it ends it: there
 * is nobody to be told but the step, which sees that. */
static struct cob_error *serve(struct cob_sshagent_door *door, int fd)
{
    g_autoptr(GByteArray) request = g_byte_array_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();
    cob_autoclose int agent_fd = -1;

    COB_TRY(sshagent_connect(door->agent, &agent_fd));
    for (;;) {
        COB_TRY(sshagent_receive(fd, door->closing, request));
        if (sshagent_may_ask(request->data, request->len)) {
            COB_TRY(sshagent_send(agent_fd, door->closing, request));
            COB_TRY(sshagent_receive(agent_fd, door->closing, answer));
            if (!sshagent_may_answer(request->data[0], answer->data, answer->len))
                refuse(answer);
        } else {
            refuse(answer);
        }
        COB_TRY(sshagent_send(fd, door->closing, answer));
    }
}

static void serve_guest(void *data, void *arg)
{
    cob_autoclose int fd = GPOINTER_TO_INT(data) - 1;

    cob_error_free(serve(arg, fd));
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EINTR || error == ECONNABORTED;
}

static void *keep_door(void *arg)
{
    struct cob_sshagent_door *door = arg;
    struct pollfd polls[] = {
        {.fd = door->listen_fd, .events = POLLIN}, {cob_cancel_fd(door->closing), POLLIN, 0}};

    while (!cob_cancel_is_set(door->closing)) {
        if (poll(polls, G_N_ELEMENTS(polls), -1) < 0 && errno != EINTR)
            break;
        int fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 && g_thread_pool_unprocessed(door->guests) < MAX_WAITING)
            g_thread_pool_push(door->guests, GINT_TO_POINTER(fd + 1), NULL);
        else if (fd >= 0)
            close(fd);
        else if (!is_passing(errno)) /* no descriptor is left: try again in a while */
            poll(&polls[1], 1, RETRY_MS);
    }
    return NULL;
}

/* The name is relative to a descriptor, and the path to that is short: names of sockets have 107
 * bytes at most. */
static struct cob_error *listen_at(int dir_fd, const char *name, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cob_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (g_snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd,
            name) >= (int)sizeof(address.sun_path))
        return cob_fail(COB_INVALID, "the name of the socket is too long");
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return cob_fail_errno(errno, "make a socket for the ssh agent");
    if (listen(fd, SOMAXCONN) < 0)
        return cob_fail_errno(errno, "listen on the socket of the ssh agent");
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

static struct cob_error *give_to(int dir_fd, const char *name, const struct cob_sshagent_owner *to)
{
    if (fchownat(dir_fd, name, to->uid, to->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "give the socket of the ssh agent to %u:%u", (unsigned)to->uid,
            (unsigned)to->gid);
    if (fchmodat(dir_fd, name, to->mode & 07777, 0) < 0)
        return cob_fail_errno(errno, "set the mode of the ssh agent's socket to %o", to->mode);
    return NULL;
}

struct cob_error *cob_sshagent_door_open(struct cob_sshagent *agent, int dir_fd, const char *name,
    const struct cob_sshagent_owner *owner, struct cob_sshagent_door **ret_door)
{
    g_autoptr(cob_sshagent_door) door = g_new(struct cob_sshagent_door, 1);

    *door = (struct cob_sshagent_door){.agent = agent, .listen_fd = -1};
    COB_TRY(cob_cancel_new(&door->closing));
    COB_TRY(listen_at(dir_fd, name, &door->listen_fd));
    COB_TRY(give_to(dir_fd, name, owner));
    door->guests = g_thread_pool_new(serve_guest, door, MAX_SERVED, FALSE, NULL);
    door->keeper = g_thread_new("sshagent", keep_door, door);
    *ret_door = g_steal_pointer(&door);
    return NULL;
}

void cob_sshagent_door_close(struct cob_sshagent_door *door)
{
    if (!door)
        return;
    if (door->closing)
        cob_cancel_trigger(door->closing);
    if (door->keeper)
        g_thread_join(door->keeper);
    if (door->guests) /* those that wait are served: that closes them */
        g_thread_pool_free(door->guests, /* immediate= */ FALSE, /* wait= */ TRUE);
    cob_closep(&door->listen_fd);
    cob_cancel_unref(door->closing);
    g_free(door);
}
