/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a build: a namespace of its own, and a helper that carries its packets out as an
 * ordinary program would, with no privilege on the host and no way to the host's loopback.
 *
 * One thread owns both, because the helper dies with the thread that started it:
 *
 *     stepnet_start()   the thread: namespace, helper, waits until the helper is ready
 *     stepnet_wait()    a step: waits for done_fd, gets the namespace or the error's text
 *     stepnet_free()    stop_fd: the thread kills the helper and ends
 */
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "build/executor/step.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/process.h"

#define READY_TIMEOUT_MS 10000
#define WORDS_MAX 4096
#define NAMESERVER "10.0.2.3"
#define HOW_TO_GO_WITHOUT "or use --network=none, or --network=host with --allow network.host"

/* Another program that does the same. */
struct helper {
    const char *name;
    bool tells_when_ready; /* by --ready-fd; else by the process id it writes when it is */
    const char *const *args;
};

/* Steps see "eth0", as in other people's containers. @N: the namespace's descriptor, @R: where to
 * say that it is ready. */
static const char *const slirp_sandboxed[] = {"slirp4netns", "--configure", "--mtu=65520",
    "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp", "--ready-fd=@R",
    "--netns-type=path", "/proc/self/fd/@N", "eth0", NULL};
static const char *const slirp_plain[] = {"slirp4netns", "--configure", "--mtu=65520",
    "--disable-host-loopback", "--ready-fd=@R", "--netns-type=path", "/proc/self/fd/@N", "eth0",
    NULL};
static const char *const pasta[] = {"pasta", "--runas=0:0", "--foreground", "--quiet",
    "--config-net", "--ns-ifname=eth0", "--mtu=65520", "--no-map-gw", "--dns-forward=" NAMESERVER,
    "--tcp-ports=none", "--udp-ports=none", "--tcp-ns=none", "--udp-ns=none",
    "--pid=/proc/self/fd/@R", "--netns=/proc/self/fd/@N", NULL};

/* Tried in this order: the first that is installed and starts. */
static const struct helper helpers[] = {
    {"slirp4netns", true, slirp_sandboxed},
    {"slirp4netns", true, slirp_plain},
    {"pasta", false, pasta},
};

struct stepnet {
    char *wish;  /* NULL: any */
    int is_done; /* atomic; set before done_fd: netns_fd and err are final */
    int stop_fd; /* eventfd: end */
    int done_fd; /* eventfd: what follows is set, and does not change any more */
    int netns_fd;
    struct cob_error *err;

    GMutex lock; /* guards thread */
    GThread *thread;
};

struct stepnet *stepnet_new(const char *wish)
{
    struct stepnet *net = g_new0(struct stepnet, 1);

    net->wish = g_strdup(wish);
    net->stop_fd = eventfd(0, EFD_CLOEXEC);
    net->done_fd = eventfd(0, EFD_CLOEXEC);
    net->netns_fd = -1;
    g_mutex_init(&net->lock);
    return net;
}

static void raise_flag(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));

    (void)n; /* an eventfd takes 2^64-2 of these */
}

void stepnet_free(struct stepnet *net)
{
    if (!net)
        return;
    raise_flag(net->stop_fd);
    if (net->thread)
        g_thread_join(net->thread);
    cob_closep(&net->stop_fd);
    cob_closep(&net->done_fd);
    cob_closep(&net->netns_fd);
    cob_error_free(net->err);
    g_mutex_clear(&net->lock);
    g_free(net->wish);
    g_free(net);
}

static struct cob_error *raise_loopback(void)
{
    cob_autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return cob_fail_errno(errno, "raise the loopback interface");
    return NULL;
}

/* Runs in a thread that ends in the new namespace: a user namespace may not go back. */
static void *make_namespace(void *arg)
{
    int *ret_fd = arg;

    if (unshare(CLONE_NEWNET) < 0)
        return cob_fail_errno(errno, "make a network namespace");
    struct cob_error *err = raise_loopback();
    if (err)
        return err;
    *ret_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open a network namespace") : NULL;
}

static GStrv fill_in(const char *const *args, int netns_fd, int ready_fd)
{
    GStrv filled = g_strdupv((GStrv)(uintptr_t)args);

    for (char **arg = filled; *arg; arg++) {
        char *at = strchr(*arg, '@');

        if (at) {
            char *whole = g_strdup_printf(
                "%.*s%d", (int)(at - *arg), *arg, at[1] == 'N' ? netns_fd : ready_fd);
            g_free(*arg);
            *arg = whole;
        }
    }
    return filled;
}

/* A helper that was started. */
struct running {
    struct cob_process *process;
    int ready_fd, words_fd;
};

static void running_done(struct running *running)
{
    cob_process_free(g_steal_pointer(&running->process));
    cob_closep(&running->ready_fd);
    cob_closep(&running->words_fd);
    running->ready_fd = running->words_fd = -1;
}

static struct cob_error *spawn(
    const struct stepnet *net, const struct helper *helper, struct running *running)
{
    static const char *const env[] = {COB_STEP_PATH, NULL};
    cob_autoclose int ready_fd = -1;
    cob_autoclose int words_fd = -1;
    int ready[2], words[2];

    if (pipe2(ready, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    running->ready_fd = ready[0], ready_fd = ready[1];
    if (pipe2(words, O_CLOEXEC) < 0)
        return cob_fail_errno(errno, "make a pipe");
    running->words_fd = words[0], words_fd = words[1];

    g_auto(GStrv) args = fill_in(helper->args, net->netns_fd, ready_fd);
    const int keep_fds[] = {net->netns_fd, ready_fd, -1};
    struct cob_process_request request = {.argv = (const char *const *)args,
        .envp = env,
        .stderr_fd = words_fd,
        .keep_fds = keep_fds};
    return cob_process_spawn(&request, &running->process);
}

/* Why did it end? Its own last words. */
static struct cob_error *explain(const struct helper *helper, int words_fd)
{
    char words[WORDS_MAX + 1] = "";
    size_t len = 0;
    ssize_t n;

    while (len < WORDS_MAX &&
           (n = TEMP_FAILURE_RETRY(read(words_fd, words + len, WORDS_MAX - len))) > 0)
        len += (size_t)n;
    words[len] = '\0';
    g_strstrip(words);
    g_strdelimit(words, "\n", ' ');
    const char *hint = "";
    if (access("/dev/net/tun", R_OK | W_OK) < 0)
        hint = errno == ENOENT ? ": load the kernel's tun module "
                               : ": allow /dev/net/tun to this user (chmod 0666 /dev/net/tun) ";
    return cob_fail(COB_PRECONDITION, "%s does not start: %s%s%s", helper->name, words, hint,
        *hint ? HOW_TO_GO_WITHOUT : "");
}

static struct cob_error *wait_until_ready(
    const struct stepnet *net, const struct helper *helper, const struct running *running)
{
    struct pollfd fds[] = {{.fd = running->ready_fd, .events = POLLIN},
        {.fd = cob_process_fd(running->process), .events = POLLIN},
        {.fd = net->stop_fd, .events = POLLIN}};
    char byte;
    int n = TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), READY_TIMEOUT_MS));

    if (n < 0)
        return cob_fail_errno(errno, "wait for %s", helper->name);
    if (n == 0)
        return cob_fail(COB_TIMEOUT, "%s is not ready after %d s: use --network=none or host",
            helper->name, READY_TIMEOUT_MS / 1000);
    if (fds[2].revents)
        return cob_fail(COB_CANCELLED, "cancelled");
    if ((fds[0].revents & POLLIN) && read(running->ready_fd, &byte, 1) == 1)
        return NULL;
    return explain(helper, running->words_fd);
}

static bool is_wanted(const struct stepnet *net, const struct helper *helper)
{
    g_autofree char *path = NULL;

    if (net->wish && strcmp(net->wish, helper->name) != 0)
        return false;
    path = g_find_program_in_path(helper->name);
    return path != NULL;
}

static struct cob_error *start_helper(const struct stepnet *net, struct running *running)
{
    struct cob_error *first = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(helpers); i++) {
        if (!is_wanted(net, &helpers[i]))
            continue;
        struct cob_error *err = spawn(net, &helpers[i], running);
        if (!err) /* a pipe without writers tells of a helper that ended: ours are closed */
            err = wait_until_ready(net, &helpers[i], running);
        if (!err) {
            cob_trace(1, "network by %s", helpers[i].name);
            cob_error_free(first);
            return NULL;
        }
        running_done(running);
        if (first)
            cob_error_free(err);
        else
            first = err;
    }
    return first ? first
                 : cob_fail(COB_PRECONDITION,
                       "a step with a network needs slirp4netns or pasta: install slirp4netns "
                       "(Debian: apt-get install slirp4netns), " HOW_TO_GO_WITHOUT);
}

/* Its talk is of no use, but must not fill the pipe. */
static void attend(const struct stepnet *net, const struct running *running)
{
    struct pollfd fds[] = {
        {.fd = net->stop_fd, .events = POLLIN}, {.fd = running->words_fd, .events = POLLIN}};
    char words[WORDS_MAX];

    while (TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), -1)) > 0 && !fds[0].revents) {
        if (fds[1].revents && read(running->words_fd, words, sizeof(words)) <= 0)
            fds[1].fd = -1;
    }
}

static void *run(void *arg)
{
    struct stepnet *net = arg;
    struct running running = {.ready_fd = -1, .words_fd = -1};

    net->err = g_thread_join(g_thread_new("netns", make_namespace, &net->netns_fd));
    if (!net->err)
        net->err = start_helper(net, &running);
    g_atomic_int_set(&net->is_done, 1); /* what was found is there for those who see this */
    raise_flag(net->done_fd);
    if (!net->err)
        attend(net, &running);
    running_done(&running);
    return NULL;
}

void stepnet_start(struct stepnet *net)
{
    g_mutex_lock(&net->lock);
    if (!net->thread)
        net->thread = g_thread_new("network", run, net);
    g_mutex_unlock(&net->lock);
}

struct cob_error *stepnet_wait(
    struct stepnet *net, struct cob_cancel *cancel, int *ret_netns_fd, const char **ret_nameserver)
{
    struct pollfd fds[] = {
        {.fd = net->done_fd, .events = POLLIN}, {.fd = cob_cancel_fd(cancel), .events = POLLIN}};

    while (!g_atomic_int_get(&net->is_done)) {
        if (TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), -1)) < 0)
            return cob_fail_errno(errno, "wait for the network");
        COB_TRY(cob_cancel_check(cancel));
    }
    if (net->err) { /* shared by all steps: each gets an error of its own with the same text */
        g_autofree char *text = cob_error_text(net->err);
        return cob_fail(cob_error_code(net->err), "network: %s",
            g_str_has_prefix(text, "ERROR: ") ? g_strchomp(text + strlen("ERROR: ")) : text);
    }
    *ret_netns_fd = net->netns_fd;
    *ret_nameserver = NAMESERVER;
    return NULL;
}
