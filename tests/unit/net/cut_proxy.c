/* SPDX-License-Identifier: Apache-2.0 */
#include "cut_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct cut_proxy {
    int fd, stop_fd;
    unsigned port, server_port;
    enum cut_way way;
    guint64 k;
    GMutex lock;       /* guards what follows */
    guint64 counts[2]; /* by enum cut_way */
    bool is_cut;
    GThread *thread;
    GPtrArray *pumps; /* GThread, one a connection; of the accepting thread */
};

/* One connection. */
struct pump {
    struct cut_proxy *proxy;
    int client_fd, server_fd;
};

static int new_socket(struct sockaddr_in *address, unsigned port)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((guint16)port)};
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* How many of n bytes may go on; fewer: then the cut. */
static size_t take(struct cut_proxy *proxy, enum cut_way way, size_t n)
{
    g_mutex_lock(&proxy->lock);
    guint64 before = proxy->counts[way];

    proxy->counts[way] += n;
    if (way == proxy->way && !proxy->is_cut && proxy->counts[way] > proxy->k) {
        proxy->is_cut = true;
        n = (size_t)(proxy->k - MIN(before, proxy->k));
    }
    g_mutex_unlock(&proxy->lock);
    return n;
}

static bool hand_on(struct cut_proxy *proxy, enum cut_way way, int from_fd, int to_fd)
{
    char buffer[16 * 1024];
    ssize_t n = read(from_fd, buffer, sizeof(buffer));

    if (n <= 0)
        return false;
    size_t n_allowed = take(proxy, way, (size_t)n);
    for (size_t done = 0; done < n_allowed;) {
        ssize_t sent = send(to_fd, buffer + done, n_allowed - done, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        done += (size_t)sent;
    }
    return n_allowed == (size_t)n;
}

static void *run_pump(void *arg)
{
    struct pump *pump = arg;
    struct pollfd fds[] = {{.fd = pump->client_fd, .events = POLLIN},
        {.fd = pump->server_fd, .events = POLLIN}, {.fd = pump->proxy->stop_fd, .events = POLLIN}};
    bool is_on = true;

    while (is_on && poll(fds, 3, -1) > 0 && fds[2].revents == 0) {
        if (fds[0].revents)
            is_on = hand_on(pump->proxy, CUT_REQUEST, pump->client_fd, pump->server_fd);
        if (is_on && fds[1].revents)
            is_on = hand_on(pump->proxy, CUT_ANSWER, pump->server_fd, pump->client_fd);
    }
    close(pump->client_fd);
    close(pump->server_fd);
    g_free(pump);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct cut_proxy *proxy = arg;
    struct pollfd fds[] = {
        {.fd = proxy->fd, .events = POLLIN}, {.fd = proxy->stop_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) > 0 && fds[1].revents == 0) {
        struct pump *pump = g_new0(struct pump, 1);
        struct sockaddr_in address;

        pump->proxy = proxy;
        pump->client_fd = accept4(proxy->fd, NULL, NULL, SOCK_CLOEXEC);
        pump->server_fd = new_socket(&address, proxy->server_port);
        (void)!connect(pump->server_fd, (struct sockaddr *)&address, sizeof(address));
        g_ptr_array_add(proxy->pumps, g_thread_new("pump", run_pump, pump));
    }
    return NULL;
}

struct cut_proxy *cut_proxy_new(unsigned server_port, enum cut_way way, guint64 k)
{
    struct cut_proxy *proxy = g_new0(struct cut_proxy, 1);
    struct sockaddr_in address;
    socklen_t len = sizeof(address);

    proxy->fd = new_socket(&address, 0);
    proxy->stop_fd = eventfd(0, EFD_CLOEXEC);
    proxy->server_port = server_port;
    proxy->way = way;
    proxy->k = k;
    proxy->pumps = g_ptr_array_new();
    g_mutex_init(&proxy->lock);
    g_assert(bind(proxy->fd, (struct sockaddr *)&address, len) == 0);
    g_assert(listen(proxy->fd, 16) == 0);
    g_assert(getsockname(proxy->fd, (struct sockaddr *)&address, &len) == 0);
    proxy->port = ntohs(address.sin_port);
    proxy->thread = g_thread_new("cut_proxy", accept_all, proxy);
    return proxy;
}

unsigned cut_proxy_port(const struct cut_proxy *proxy)
{
    return proxy->port;
}

guint64 cut_proxy_count(const struct cut_proxy *proxy, enum cut_way way)
{
    GMutex *lock = (GMutex *)(uintptr_t)&proxy->lock;

    g_mutex_lock(lock);
    guint64 count = proxy->counts[way];
    g_mutex_unlock(lock);
    return count;
}

void cut_proxy_free(struct cut_proxy *proxy)
{
    const guint64 one = 1;

    (void)!write(proxy->stop_fd, &one, sizeof(one));
    g_thread_join(proxy->thread);
    for (guint i = 0; i < proxy->pumps->len; i++)
        g_thread_join(g_ptr_array_index(proxy->pumps, i));
    g_ptr_array_unref(proxy->pumps);
    close(proxy->fd);
    close(proxy->stop_fd);
    g_mutex_clear(&proxy->lock);
    g_free(proxy);
}
