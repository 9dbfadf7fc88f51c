/* SPDX-License-Identifier: Apache-2.0 */
#include "build/sshagent/sshagent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "build/sshagent/sshagent_private.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/process.h"

#define START_MS 10000
#define ADD_TIMEOUT_US (10 * G_USEC_PER_SEC)
#define OUTPUT_BYTES (64 * COB_KIB)

/* --- connections --- */

static struct cob_error *connect_to(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cob_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
        return cob_fail(COB_INVALID, "the path of the socket is too long: %s", path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return cob_fail_errno(errno, "connect to ssh agent %s", path);
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

struct cob_error *sshagent_connect(const struct cob_sshagent *agent, int *ret_fd)
{
    return connect_to(agent->socket_path, ret_fd);
}

/* --- our own agent --- */

/* ssh-agent is setgid: it would not be ended with cob, since such a program forgets that wish; and
 * a program may gain nothing by us. In ssh-add's case no terminal is to be asked for anything. */
static int leave_terminal(void *arg)
{
    (void)arg;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    return setsid() < 0 ? errno : 0;
}

/* It says its socket's name once it listens. */
static struct cob_error *wait_for_start(int out_fd, struct cob_cancel *cancel)
{
    struct pollfd polls[] = {{.fd = out_fd, .events = POLLIN}, {cob_cancel_fd(cancel), POLLIN, 0}};
    char text[256];
    ssize_t n = 0;

    if (poll(polls, G_N_ELEMENTS(polls), START_MS) > 0 && polls[0].revents)
        n = read(out_fd, text, sizeof(text));
    COB_TRY(cob_cancel_check(cancel));
    return n > 0 ? NULL : cob_fail(COB_UNKNOWN, "ssh-agent does not start");
}

static struct cob_error *spawn(struct cob_sshagent *agent, struct cob_cancel *cancel)
{
    const char *const argv[] = {"ssh-agent", "-D", "-a", agent->socket_path, NULL};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    cob_autoclose int read_fd = ends[0];
    struct cob_process_request request = {
        .argv = argv, .stdout_fd = ends[1], .in_child = leave_terminal};
    struct cob_error *err = cob_process_spawn(&request, &agent->process);
    close(ends[1]);
    if (err)
        return cob_wrap(err, "keys for --ssh need ssh-agent of the package openssh-client");
    return wait_for_start(read_fd, cancel);
}

/* What ssh-add says of a key, in one line; the caller frees it. */
static char *words_of(GBytes *bytes)
{
    size_t len = 0;
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_autofree char *valid = g_utf8_make_valid(g_strstrip(text), -1);

    return g_strdup(
        *valid ? g_strdelimit(valid, "\n", ' ') : "it is no private key, or has a passphrase");
}

/* By standard input: so a file that others may read will do, as it does for BuildKit. */
static struct cob_error *add_key(
    const struct cob_sshagent *agent, const char *path, struct cob_cancel *cancel)
{
    static const char *const argv[] = {"ssh-add", "-q", "-", NULL};
    g_autofree char *socket_env = g_strdup_printf("SSH_AUTH_SOCK=%s", agent->socket_path);
    g_autofree char *path_env = g_strdup_printf("PATH=%s", g_getenv("PATH"));
    const char *const envp[] = {socket_env, path_env, "SSH_ASKPASS_REQUIRE=never", NULL};
    const struct cob_process_request request = {
        .argv = argv, .envp = envp, .timeout_us = ADD_TIMEOUT_US, .in_child = leave_terminal};
    struct cob_process_output output = {0};
    g_autoptr(GBytes) key = NULL;

    COB_TRY(cob_wrap(cob_fs_read_file(AT_FDCWD, path, COB_LIMIT_SSH_KEY_BYTES, &key),
        "failed to read %s", path));
    if (!key)
        return cob_fail(COB_NOT_FOUND, "stat %s: no such file or directory", path);
    COB_TRY(cob_process_run(&request, key, OUTPUT_BYTES, cancel, &output));
    g_autoptr(GBytes) out = output.out;
    g_autoptr(GBytes) said = output.err;
    g_autofree char *words = words_of(said);
    (void)out;
    if (output.status == 0)
        return NULL;
    return cob_fail(COB_INVALID,
        "failed to parse %s: %s: a key with a passphrase must be in an agent, which --ssh ID "
        "alone takes",
        path, words);
}

/* In a folder that nobody else may enter. */
static struct cob_error *open_own(
    struct cob_sshagent *agent, const char *const *paths, struct cob_cancel *cancel)
{
    g_autofree char *dir = g_build_filename(g_get_tmp_dir(), "cob-ssh-XXXXXX", NULL);

    if (!g_mkdtemp_full(dir, 0700))
        return cob_fail_errno(errno, "make a folder in %s", g_get_tmp_dir());
    agent->socket_path = g_build_filename(dir, "agent", NULL);
    agent->own_dir = g_steal_pointer(&dir);
    COB_TRY(spawn(agent, cancel));
    for (; *paths; paths++)
        COB_TRY(add_key(agent, *paths, cancel));
    return NULL;
}

/* --- the API --- */

/* spec: BuildKit session/sshforward/sshprovider/agentprovider.go, toDialer. */
static struct cob_error *sort_paths(const char *const *paths, const char **ret_socket)
{
    bool has_keys = false;

    *ret_socket = NULL;
    for (; *paths; paths++) {
        struct stat st;

        if (*ret_socket)
            return cob_fail(COB_INVALID, "only single socket allowed");
        if (stat(*paths, &st) < 0)
            return cob_fail_errno(errno, "stat %s", *paths);
        if (S_ISSOCK(st.st_mode))
            *ret_socket = *paths;
        else
            has_keys = true;
    }
    if (*ret_socket && has_keys)
        return cob_fail(COB_INVALID, "invalid combination of keys and sockets");
    return NULL;
}

static struct cob_error *fill(
    struct cob_sshagent *agent, const char *const *paths, struct cob_cancel *cancel)
{
    const char *usual[] = {g_getenv("SSH_AUTH_SOCK"), NULL};
    const char *socket_path = NULL;

    if (!paths || !paths[0] || (!paths[1] && !*paths[0]))
        paths = usual;
    if (!paths[0] || !*paths[0])
        return cob_fail(
            COB_PRECONDITION, "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    COB_TRY(sort_paths(paths, &socket_path));
    if (!socket_path)
        return open_own(agent, paths, cancel);
    agent->socket_path = g_strdup(socket_path);
    return NULL;
}

struct cob_error *cob_sshagent_open(
    const char *const *paths, struct cob_cancel *cancel, struct cob_sshagent **ret_agent)
{
    g_autoptr(cob_sshagent) agent = g_new(struct cob_sshagent, 1);

    *agent = (struct cob_sshagent){.socket_path = NULL};
    COB_TRY(fill(agent, paths, cancel));
    *ret_agent = g_steal_pointer(&agent);
    return NULL;
}

const char *cob_sshagent_socket(const struct cob_sshagent *agent)
{
    return agent->socket_path;
}

void cob_sshagent_close(struct cob_sshagent *agent)
{
    if (!agent)
        return;
    cob_process_free(agent->process);
    if (agent->own_dir) {
        unlink(agent->socket_path);
        rmdir(agent->own_dir);
    }
    g_free(agent->own_dir);
    g_free(agent->socket_path);
    g_free(agent);
}
