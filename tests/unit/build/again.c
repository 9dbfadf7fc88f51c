/* SPDX-License-Identifier: Apache-2.0 */
#include "again.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <unistd.h>

#include "check.h"
#include "util/process.h"

const struct passwd *again_user(void)
{
    if (!getpwnam("cobtest"))
        g_spawn_command_line_sync("useradd --create-home cobtest", NULL, NULL, NULL, NULL);
    const struct passwd *user = getpwnam("cobtest");
    g_assert_nonnull(user);
    return user;
}

static int become(void *arg)
{
    const struct passwd *user = arg;

    if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return errno;
    return 0;
}

char *again_copy(const char *dir, const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    char *to = g_build_filename(dir, name, NULL);
    g_autofree char *data = NULL;
    gsize len = 0;

    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_true(g_file_set_contents(to, data, (gssize)len, NULL));
    g_assert_cmpint(g_chmod(dir, 0755), ==, 0);
    return to;
}

void again_run(const char *const *variables, const struct passwd *user)
{
    const char *env[8] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    static const char *const argv[] = {"/proc/self/exe", NULL};
    struct cob_process_request request = {.argv = argv,
        .envp = env,
        .stdout_fd = 2,
        .stderr_fd = 2,
        .in_child = user ? become : NULL,
        .arg = (void *)(uintptr_t)user};
    g_autoptr(cob_process) process = NULL;
    int status = -1;

    for (size_t i = 0; variables[i]; i++) {
        g_assert(i + 2 < G_N_ELEMENTS(env));
        env[i + 1] = variables[i];
    }
    CHECK_OK(cob_process_spawn(&request, &process));
    CHECK_OK(cob_process_wait(process, NULL, &status));
    g_assert_cmpint(status, ==, 0);
}
