/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/resource.h>

#include "app/cli/command.h"

#define MAX_OPEN_FILES 1048576

/* A deep stack of layers, each one's descriptor, and a parallel build want more than the 1024 that
 * a shell hands down. What runs in a step gets limits of its own. */
static void raise_open_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = MAX(limit.rlim_cur, MIN(limit.rlim_max, MAX_OPEN_FILES));
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    raise_open_files();
    return cli_main(argc, argv);
}
