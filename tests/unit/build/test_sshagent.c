/* SPDX-License-Identifier: Apache-2.0 */
/* Which messages pass a door to an ssh agent, and what becomes of those who knock. The agent here
 * is a thread that answers as it is told; real ones are in tests/containers/ssh.bats. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "build/sshagent/sshagent_private.h"
#include "check.h"
#include "util/cleanup.h"

#define TEXT(bytes) (const uint8_t *)(bytes), sizeof(bytes) - 1

static void test_which_requests_pass(void)
{
    static const struct {
        const char *name;
        const uint8_t *data;
        size_t len;
        bool passes;
    } rows[] = {
        {"nothing", TEXT(""), false},
        {"list", TEXT("\x0b"), true},
        {"list with something behind it", TEXT("\x0b\0"), false},
        {"sign", TEXT("\x0d\0\0\0\1k\0\0\0\2dd\0\0\0\4"), true},
        {"sign with empty texts", TEXT("\x0d\0\0\0\0\0\0\0\0\0\0\0\0"), true},
        {"sign without flags", TEXT("\x0d\0\0\0\1k\0\0\0\2dd"), false},
        {"sign with something behind it", TEXT("\x0d\0\0\0\1k\0\0\0\2dd\0\0\0\4x"), false},
        {"sign with a length past the end", TEXT("\x0d\0\0\0\1k\xff\xff\xff\xff\0\0\0\4"), false},
        {"sign, cut in a length", TEXT("\x0d\0\0"), false},
        {"list of version 1", TEXT("\x01"), false},
        {"add an identity", TEXT("\x11\0\0\0\1k"), false},
        {"remove an identity", TEXT("\x12\0\0\0\1k"), false},
        {"remove all", TEXT("\x13"), false},
        {"add a smart card", TEXT("\x14\0\0\0\0\0\0\0\0"), false},
        {"lock", TEXT("\x16\0\0\0\1p"), false},
        {"unlock", TEXT("\x17\0\0\0\1p"), false},
        {"add with constraints", TEXT("\x19\0\0\0\1k"), false},
        {"extension", TEXT("\x1b\0\0\0\1e"), false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree uint8_t *data = g_memdup2(rows[i].data, rows[i].len);

        check_row(sshagent_may_ask(data, rows[i].len) == rows[i].passes, i, rows[i].name);
    }
}

static void test_which_answers_pass(void)
{
    static const struct {
        const char *name;
        uint8_t request;
        const uint8_t *data;
        size_t len;
        bool passes;
    } rows[] = {
        {"nothing", SSHAGENT_LIST, TEXT(""), false},
        {"failure", SSHAGENT_LIST, TEXT("\x05"), true},
        {"failure with more", SSHAGENT_SIGN, TEXT("\x05x"), false},
        {"success", SSHAGENT_SIGN, TEXT("\x06"), false},
        {"no keys", SSHAGENT_LIST, TEXT("\x0c\0\0\0\0"), true},
        {"a key", SSHAGENT_LIST, TEXT("\x0c\0\0\0\1\0\0\0\1k\0\0\0\1c"), true},
        {"a key without comment", SSHAGENT_LIST, TEXT("\x0c\0\0\0\1\0\0\0\1k"), false},
        {"fewer keys than said", SSHAGENT_LIST, TEXT("\x0c\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
            false},
        {"more than said", SSHAGENT_LIST, TEXT("\x0c\0\0\0\0x"), false},
        {"a signature", SSHAGENT_SIGN, TEXT("\x0e\0\0\0\1s"), true},
        {"a signature for a list", SSHAGENT_LIST, TEXT("\x0e\0\0\0\1s"), false},
        {"a list for a signature", SSHAGENT_SIGN, TEXT("\x0c\0\0\0\0"), false},
        {"a signature past the end", SSHAGENT_SIGN, TEXT("\x0e\0\0\0\2s"), false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree uint8_t *data = g_memdup2(rows[i].data, rows[i].len);

        check_row(sshagent_may_answer(rows[i].request, data, rows[i].len) == rows[i].passes, i,
            rows[i].name);
    }
}

/* --- doors --- */

/* An agent that answers each request with the same bytes, and a door to it. */
struct world {
    char *dir;
    int dir_fd, listen_fd;
    GThread *thread;
    const uint8_t *answer;
    size_t answer_len;
    int n_requests; /* atomic */
    struct cob_sshagent *agent;
    struct cob_sshagent_door *door;
};

static int socket_at(const char *dir, const char *name, bool is_listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, name);
    const struct sockaddr *at = (const struct sockaddr *)&address;
    if (is_listening) {
        g_assert_cmpint(bind(fd, at, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(fd, 8), ==, 0);
    } else {
        g_assert_cmpint(connect(fd, at, sizeof(address)), ==, 0);
    }
    return fd;
}

/* Until its listening socket is shut. */
static void *answer_all(void *arg)
{
    struct world *world = arg;
    g_autoptr(GByteArray) request = g_byte_array_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();

    g_byte_array_append(answer, world->answer, (guint)world->answer_len);
    for (;;) {
        cob_autoclose int fd = accept(world->listen_fd, NULL, NULL);
        struct cob_error *err = NULL;

        if (fd < 0)
            return NULL;
        while (!err) {
            err = sshagent_receive(fd, NULL, request);
            if (!err) {
                g_atomic_int_inc(&world->n_requests);
                err = sshagent_send(fd, NULL, answer);
            }
        }
        cob_error_free(err);
    }
}

static void world_init(struct world *world, const uint8_t *answer, size_t answer_len)
{
    const struct cob_sshagent_owner owner = {getuid(), getgid(), 0640};

    *world = (struct world){.dir = check_scratch_new(), .answer = answer, .answer_len = answer_len};
    world->dir_fd = open(world->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world->listen_fd = socket_at(world->dir, "agent", true);
    world->thread = g_thread_new("agent", answer_all, world);
    g_autofree char *path = g_build_filename(world->dir, "agent", NULL);
    const char *const paths[] = {path, NULL};
    CHECK_OK(cob_sshagent_open(paths, NULL, &world->agent));
    CHECK_OK(cob_sshagent_door_open(world->agent, world->dir_fd, "door", &owner, &world->door));
}

static void world_done(struct world *world)
{
    cob_sshagent_door_close(world->door);
    cob_sshagent_close(world->agent);
    shutdown(world->listen_fd, SHUT_RDWR);
    g_thread_join(world->thread);
    close(world->listen_fd);
    close(world->dir_fd);
    check_scratch_free(world->dir);
}

/* Send a message through the door; returns the type of the answer, -1: it was closed. */
static int knock(const struct world *world, const uint8_t *data, size_t len)
{
    cob_autoclose int fd = socket_at(world->dir, "door", false);
    g_autoptr(GByteArray) message = g_byte_array_new();

    g_byte_array_append(message, data, (guint)len);
    g_autoptr(cob_error) err = sshagent_send(fd, NULL, message);
    if (!err)
        err = sshagent_receive(fd, NULL, message);
    return err ? -1 : message->data[0];
}

static void test_door_lets_list_pass(void)
{
    struct world world;
    struct stat st;

    world_init(&world, TEXT("\x0c\0\0\0\0"));
    g_assert_cmpint(knock(&world, TEXT("\x0b")), ==, SSHAGENT_LIST_ANSWER);
    g_assert_cmpint(g_atomic_int_get(&world.n_requests), ==, 1);
    g_assert_cmpint(fstatat(world.dir_fd, "door", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0640);
    world_done(&world);
}

static void test_door_says_no_itself(void)
{
    struct world world;

    world_init(&world, TEXT("\x06"));
    g_assert_cmpint(knock(&world, TEXT("\x13")), ==, SSHAGENT_FAILURE);
    g_assert_cmpint(g_atomic_int_get(&world.n_requests), ==, 0);
    world_done(&world);
}

static void test_door_hides_odd_answers(void)
{
    struct world world;

    world_init(&world, TEXT("\x06"));
    g_assert_cmpint(knock(&world, TEXT("\x0b")), ==, SSHAGENT_FAILURE);
    g_assert_cmpint(g_atomic_int_get(&world.n_requests), ==, 1);
    world_done(&world);
}

static void test_door_ends_what_is_too_long(void)
{
    struct world world;
    char byte;

    world_init(&world, TEXT("\x0c\0\0\0\0"));
    cob_autoclose int fd = socket_at(world.dir, "door", false);
    g_assert_cmpint(send(fd, "\xff\xff\xff\xff", 4, 0), ==, 4);
    g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
    cob_autoclose int other_fd = socket_at(world.dir, "door", false);
    g_assert_cmpint(send(other_fd, "\0\0\0\0", 4, 0), ==, 4);
    g_assert_cmpint(recv(other_fd, &byte, 1, 0), ==, 0);
    world_done(&world);
}

/* More than are served at a time stay inside; closing the door sends all of them away. */
static void test_door_closes_on_guests(void)
{
    struct world world;
    int fds[40];
    char byte;

    world_init(&world, TEXT("\x0c\0\0\0\0"));
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        fds[i] = socket_at(world.dir, "door", false);
    g_assert_cmpint(send(fds[0], "\0\0", 2, 0), ==, 2); /* half a message */
    cob_sshagent_door_close(g_steal_pointer(&world.door));
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_assert_cmpint(recv(fds[i], &byte, 1, 0), <=, 0);
        close(fds[i]);
    }
    world_done(&world);
}

static void test_half_built_is_closed(void)
{
    cob_sshagent_close(NULL);
    cob_sshagent_door_close(NULL);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/sshagent/which-requests-pass", test_which_requests_pass);
    g_test_add_func("/sshagent/which-answers-pass", test_which_answers_pass);
    g_test_add_func("/sshagent/door-lets-list-pass", test_door_lets_list_pass);
    g_test_add_func("/sshagent/door-says-no-itself", test_door_says_no_itself);
    g_test_add_func("/sshagent/door-hides-odd-answers", test_door_hides_odd_answers);
    g_test_add_func("/sshagent/door-ends-what-is-too-long", test_door_ends_what_is_too_long);
    g_test_add_func("/sshagent/door-closes-on-guests", test_door_closes_on_guests);
    g_test_add_func("/sshagent/half-built-is-closed", test_half_built_is_closed);
    return g_test_run();
}
