/* SPDX-License-Identifier: Apache-2.0 */
#include "build/userns/userns.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "check.h"
#include "util/process.h"

#define STRANGER 54321 /* has no ranges in /etc/subuid */

static int become_stranger(void *arg)
{
    (void)arg;
    return setgroups(0, NULL) < 0 || setresgid(STRANGER, STRANGER, STRANGER) < 0 ||
                   setresuid(STRANGER, STRANGER, STRANGER) < 0
               ? errno
               : 0;
}

/* In a process of its own, because there is no way back: say what became of it. */
static int be_stranger(void)
{
    g_autofree char *notice = NULL;
    g_autofree char *map = NULL;
    g_autoptr(cob_error) err = cob_userns_enter(&notice);

    g_file_get_contents("/proc/self/uid_map", &map, NULL, NULL);
    printf("uid %d gid %d mount %d map %s%s%s", getuid(), getgid(),
        mount("x", "/tmp", "tmpfs", 0, NULL), map ? map : "", err ? "failed" : "",
        notice ? notice : "no notice");
    return 0;
}

static void test_one_id_only(void)
{
    static const char *const argv[] = {"/proc/self/exe", "stranger", NULL};
    struct cob_process_request request = {.argv = argv, .in_child = become_stranger};
    struct cob_process_output output;

    if (geteuid() != 0)
        return check_skip("it takes root to become somebody else");
    CHECK_OK(cob_process_run(&request, NULL, 65536, NULL, &output));
    g_autofree char *text =
        g_strndup(g_bytes_get_data(output.out, NULL), g_bytes_get_size(output.out));
    bool is_ok = g_pattern_match_simple("*uid 0 gid 0 mount 0 map * 0 * 54321 * 1\n"
                                        "only one user id can be used: *usermod --add-subuids*",
        text);
    if (!is_ok)
        g_test_message("got: %s", text);
    g_assert_true(is_ok);
    g_bytes_unref(output.out);
    g_bytes_unref(output.err);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "stranger") == 0)
        return be_stranger();
    check_init(&argc, &argv);
    g_test_add_func("/userns/one-id-only", test_one_id_only);
    return g_test_run();
}
