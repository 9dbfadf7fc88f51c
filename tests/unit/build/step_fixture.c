/* SPDX-License-Identifier: Apache-2.0 */
#include "step_fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "again.h"
#include "build/userns/userns.h"
#include "check.h"
#include "util/cleanup.h"

void step_write_file(const struct step_fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_chmod(path, 0644);
}

void step_make_dir(const struct step_fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);

    g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
}

void step_make_link(const struct step_fixture *fixture, const char *target, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void install_busybox(const struct step_fixture *fixture)
{
    static const char *const applets[] = {"sh", "cat", "ls", "id", "echo", "env", "sleep", "touch",
        "mkdir", "rm", "mv", "ln", "stat", "grep", "mount", "unshare", "mknod", "hostname", "ip",
        "nslookup", "setsid", "nohup", "head", "tr", "true", "readlink", "tty", "stty", "nc"};
    g_autofree char *busybox = g_build_filename(fixture->root, "bin/busybox", NULL);
    g_autofree char *data = NULL;
    gsize len = 0;

    g_assert_true(g_file_get_contents("/bin/busybox", &data, &len, NULL));
    g_assert_true(g_file_set_contents(busybox, data, (gssize)len, NULL));
    g_chmod(busybox, 0755);
    for (size_t i = 0; i < G_N_ELEMENTS(applets); i++) {
        g_autofree char *name = g_strdup_printf("root/bin/%s", applets[i]);
        step_make_link(fixture, "busybox", name);
    }
}

void step_fixture_init(struct step_fixture *fixture)
{
    static const char *const dirs[] = {"state", "root/bin", "root/etc", "root/proc", "root/sys",
        "root/dev", "root/tmp", "root/root", "canary"};

    fixture->scratch = check_scratch_new();
    fixture->root = g_build_filename(fixture->scratch, "root", NULL);
    fixture->out = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
        step_make_dir(fixture, dirs[i]);
    install_busybox(fixture);
    step_write_file(fixture, "root/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n");
    step_write_file(fixture, "root/etc/group", "root:x:0:\nvideo:x:44:app,other\napp:x:1001:\n");
    step_write_file(fixture, "root/etc/hosts", "");
    step_write_file(fixture, "root/etc/resolv.conf", "");
    fixture->root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_autofree char *state = g_build_filename(fixture->scratch, "state", NULL);
    struct cob_executor_config config = {.state_dir = state,
        .runtime = g_getenv("COB_TEST_RUNTIME"),
        .is_rootless = g_getenv("COB_TEST_ROOTLESS") != NULL};
    CHECK_OK(cob_executor_new(&config, &fixture->executor));
}

void step_fixture_done(struct step_fixture *fixture)
{
    cob_executor_free(fixture->executor);
    close(fixture->root_fd);
    g_string_free(fixture->out, TRUE);
    check_scratch_free(fixture->scratch);
    g_free(fixture->root);
}

char *step_list(const char *path)
{
    g_autofree char *command =
        g_strdup_printf("find %s -printf '%%p %%s %%m %%U %%T@ %%l\\n'", path);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    char *out = NULL;

    g_assert_true(g_spawn_sync(
        NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, NULL, NULL));
    return out;
}

static void note(void *arg, int stream, const void *data, size_t len)
{
    struct step_fixture *fixture = arg;

    (void)stream;
    g_string_append_len(fixture->out, data, (gssize)len);
}

struct cob_error *step_run(struct step_fixture *fixture, struct cob_executor_request request,
    const char *script, int *ret_exit_code)
{
    static const char *const env[] = {"PATH=/bin", "A=b c", NULL};
    const char *const args[] = {"/bin/sh", "-c", script, NULL};

    request.root_fd = fixture->root_fd;
    if (!request.args)
        request.args = args;
    request.env = env;
    request.log = note;
    request.log_arg = fixture;
    g_string_truncate(fixture->out, 0);
    struct cob_executor_outcome outcome;
    COB_TRY(cob_executor_run(fixture->executor, &request, NULL, &outcome));
    *ret_exit_code = outcome.exit_code;
    return NULL;
}

/* Is there something, not following a last symlink? */
bool step_exists(const struct step_fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);
    struct stat st;

    return lstat(path, &st) == 0;
}

int step_open(const struct step_fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->scratch, name, NULL);
    int fd = open(path, O_PATH | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

char *step_probe_path(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self);
    const char *copy = g_getenv("COB_TEST_PROBE");

    return copy ? g_strdup(copy) : g_build_filename(dir, "unit/build/syscall_probe", NULL);
}

/* The same tests once more, in a process that is told so by its environment. */
static void run_again(const char *variable, const struct passwd *user)
{
    char *scratch = check_scratch_new();
    g_autofree char *program = step_probe_path();
    g_autofree char *copy = again_copy(scratch, program);
    g_autofree char *probe = g_strconcat("COB_TEST_PROBE=", copy, NULL);
    g_autofree char *runtime = g_strdup_printf("COB_TEST_RUNTIME=%s", g_getenv("COB_TEST_RUNTIME"));
    const char *const more[] = {
        variable, probe, g_getenv("COB_TEST_RUNTIME") ? runtime : NULL, NULL};

    again_run(more, user);
    check_scratch_free(scratch);
}

static void test_rootless(void)
{
    g_chmod("/dev/net/tun", 0666); /* as udev does */
    run_again("COB_TEST_ROOTLESS=1", again_user());
}

static void test_with_runc(void)
{
    g_autofree char *runc = g_find_program_in_path("runc");

    if (!runc)
        return check_skip("runc is not installed");
    run_again("COB_TEST_RUNTIME=runc", NULL);
}

static void test_needs_root(void)
{
    check_skip("run it as root: it becomes an ordinary user by itself");
}

int step_main(int argc, char **argv, void (*add_tests)(void), int (*victim)(void))
{
    bool is_victim = argc == 2 && strcmp(argv[1], "victim") == 0;

    check_init(&argc, &argv);
    if (is_victim)
        return victim();
    if (g_getenv("COB_TEST_ROOTLESS")) {
        g_autofree char *notice = NULL;
        CHECK_OK(cob_userns_enter(&notice));
        g_assert_null(notice);
    } else if (geteuid() == 0) {
        CHECK_OK(cob_userns_enter_mounts());
        g_test_add_func("/executor/rootless", test_rootless);
        if (!g_getenv("COB_TEST_RUNTIME"))
            g_test_add_func("/executor/with-runc", test_with_runc);
    } else {
        g_test_add_func("/executor/needs-root", test_needs_root);
        return g_test_run();
    }
    add_tests();
    return g_test_run();
}
