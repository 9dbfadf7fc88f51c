/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchange two names, again and again, until a third is there: what a step would do that wants
 * another step's mount to land somewhere else. For the race tests; linked statically, because it
 * runs in images that have no libc.
 *
 *     exchange A B STOP-FILE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* No loop of a failed test goes on for ever. */
#define MAX_SECONDS 600
#define BETWEEN_LOOKS 256

int main(int argc, char **argv)
{
    const time_t end = time(NULL) + MAX_SECONDS;
    unsigned long n = 0;

    if (argc != 4)
        return 2;
    while (access(argv[3], F_OK) < 0 && time(NULL) < end) {
        for (int i = 0; i < BETWEEN_LOOKS; i++)
            n += renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) == 0;
        usleep(50); /* others want the processor too */
    }
    printf("exchanged %lu times\n", n);
    return n == 0;
}
