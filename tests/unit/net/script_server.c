/* SPDX-License-Identifier: Apache-2.0 */
#include "script_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct script_server {
    int fd, stop_fd;
    unsigned port, other_port;
    const struct script_row *rows;
    const char *digest;
    unsigned n_played;
    gboolean is_bad;
    GThread *thread;
};

struct script_server *script_server_new(void)
{
    struct script_server *server = g_new0(struct script_server, 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    g_assert(bind(server->fd, (struct sockaddr *)&address, len) == 0);
    g_assert(listen(server->fd, 16) == 0);
    g_assert(getsockname(server->fd, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    return server;
}

unsigned script_server_port(const struct script_server *server)
{
    return server->port;
}

static char *fill_in(const struct script_server *server, const char *text)
{
    g_autoptr(GString) filled = g_string_new(text);
    g_autofree char *port = g_strdup_printf("%u", server->port);
    g_autofree char *other = g_strdup_printf("%u", server->other_port);

    g_string_replace(filled, "{port}", port, 0);
    g_string_replace(filled, "{other}", other, 0);
    g_string_replace(filled, "{digest}", server->digest, 0);
    return g_string_free(g_steal_pointer(&filled), FALSE);
}

/* Wait for the socket, or for the end of the test. */
static gboolean is_readable(struct script_server *server, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN}};

    poll(fds, 2, -1);
    return fds[0].revents != 0;
}

/* The head of a request, and the body of a small form. */
static char *read_request(struct script_server *server, int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *end = NULL;
    char buffer[4096];
    gsize want = G_MAXSIZE;

    while (text->len < want && is_readable(server, fd)) {
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n <= 0)
            break;
        g_string_append_len(text, buffer, n);
        end = strstr(text->str, "\r\n\r\n");
        const char *length = strstr(text->str, "Content-Length: ");
        if (end)
            want = (gsize)(end + 4 - text->str) +
                   (length ? g_ascii_strtoull(length + 16, NULL, 10) : 0);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean send_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

        if (n <= 0)
            return FALSE;
        text += n;
        left -= (size_t)n;
    }
    return TRUE;
}

static void answer(struct script_server *server, int fd, const struct script_row *row)
{
    g_autofree char *text = fill_in(server, row->answer);
    g_autofree char *filler = g_strnfill(1000, 'x');
    g_autofree char *header = g_strdup_printf("X-%s: x\r\n", filler);
    gboolean is_on = send_all(fd, text);
    char c;

    while (is_on && row->end == SCRIPT_ENDLESS)
        is_on = send_all(fd, filler);
    while (is_on && row->end == SCRIPT_ENDLESS_HEADER)
        is_on = send_all(fd, header);
    while (is_on && row->end == SCRIPT_ENDLESS_HINTS)
        is_on = send_all(fd, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    for (; is_on && row->end == SCRIPT_DRIP; g_usleep(10 * 1000))
        is_on = send_all(fd, filler);
    if (row->end == SCRIPT_RESET)
        setsockopt(
            fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    if (row->end == SCRIPT_HANG && is_readable(server, fd))
        (void)!read(fd, &c, 1);
    if (row->end != SCRIPT_RESET)
        shutdown(fd, SHUT_WR);
}

static void complain(struct script_server *server, const char *what, const char *request)
{
    server->is_bad = TRUE;
    g_test_message("script, row %u: %s; the request was:\n%s", server->n_played, what, request);
}

static void check_request(
    struct script_server *server, const struct script_row *row, const char *request)
{
    g_autofree char *want = fill_in(server, row->want);
    g_autofree char *has = row->has ? fill_in(server, row->has) : NULL;

    if (!g_str_has_prefix(request, want))
        complain(server, want, request);
    if (has && !strstr(request, has))
        complain(server, has, request);
    if (row->has_not && strstr(request, row->has_not))
        complain(server, row->has_not, request);
}

static void *play(void *arg)
{
    struct script_server *server = arg;

    while (is_readable(server, server->fd)) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        g_autofree char *request = read_request(server, fd);
        const struct script_row *row = &server->rows[server->n_played];

        if (row->want) {
            check_request(server, row, request);
            answer(server, fd, row);
            server->n_played++;
        } else {
            complain(server, "nothing more was expected", request);
        }
        close(fd);
    }
    return NULL;
}

void script_server_start(struct script_server *server, const struct script_row *rows,
    const char *digest, unsigned other_port)
{
    server->rows = rows;
    server->digest = digest;
    server->other_port = other_port;
    server->thread = g_thread_new("script", play, server);
}

gboolean script_server_free(struct script_server *server)
{
    const guint64 one = 1;

    (void)!write(server->stop_fd, &one, sizeof(one));
    g_thread_join(server->thread);
    if (server->rows[server->n_played].want)
        complain(server, "nobody asked for it", server->rows[server->n_played].want);
    gboolean is_ok = !server->is_bad;
    close(server->fd);
    close(server->stop_fd);
    g_free(server);
    return is_ok;
}
