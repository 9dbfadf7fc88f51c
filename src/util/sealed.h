/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed workers: functions that read hostile bytes in a process that can do nothing else.
 *
 * A worker is cob's own program, started anew: its memory holds no secret of the build, and nothing
 * of the parent's addresses. Before it sees a byte from outside it gives everything up:
 *
 *     descriptors     all but its input, its output and /dev/null as standard error
 *     environment     empty
 *     limits          no files, no processes, no core dumps, 1 GiB of memory
 *     user            nobody, when it was root and that user exists here
 *     capabilities    none, also in the bounding set; no_new_privs
 *     Landlock        no file, no port, no signal, where the kernel has it
 *     system calls    memory, read, write, exit: another one kills it (sealed_table.c)
 *
 *     parent --in, a socket--> worker --out, a pipe--> parent
 *            <-what it died of-
 *
 * The kernel is asked for no namespaces: one of a network costs more than all the rest, and what
 * they hide can be reached by no call that is left.
 *
 * threads:  a worker belongs to one thread at a time, and dies with the one that spawned it.
 * spec:     seccomp(2), landlock(7), capabilities(7), PR_SET_NO_NEW_PRIVS(2const).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/cancel.h"

#define COB_SEALED_PIPE_BYTES (1024 * 1024) /* what the kernel is asked to hold between the two */

/* A function that can be run sealed. */
struct cob_sealed_worker {
    const char *name; /* one program's workers have different ones */
    /* Before the seal: load libraries. NULL: nothing to do. */
    struct cob_error *(*prepare)(const char *arg);
    /* Behind it. Its error is what cob_sealed_finish() returns. */
    struct cob_error *(*run)(const char *arg, int in_fd, int out_fd);
};

/* Become this worker when the program was started as it, and do not return then. To be called
 * before main(): by a constructor in the file of the worker. */
void cob_sealed_enter(const struct cob_sealed_worker *worker, int argc, char **argv);

struct cob_sealed; /* a worker that was started */

/* arg: a word for it that nobody outside has chosen. */
COB_RESULT struct cob_error *cob_sealed_spawn(
    const struct cob_sealed_worker *worker, const char *arg, struct cob_sealed **ret_sealed);

/* One step of talking: bytes for its input, room for its output, either of which may be none. */
struct cob_sealed_exchange {
    const void *data;
    size_t len;
    void *room;
    size_t cap;
    size_t n_sent, n_received; /* results */
    bool is_over;              /* result: it has closed its output */
};

/* Write what goes at once, read what is there; wait only when neither can be done.
 * errors: COB_CANCELLED. With no room, also what it ended of: nobody takes the bytes. */
COB_RESULT struct cob_error *cob_sealed_exchange(
    struct cob_sealed *sealed, struct cob_sealed_exchange *exchange, struct cob_cancel *cancel);

/* Its input has no more. */
void cob_sealed_close_input(struct cob_sealed *sealed);

/* Wait until it has ended, after its output is over or no longer wanted.
 * errors: COB_CANCELLED; the error of its run(), as COB_INVALID, COB_EXHAUSTED, COB_UNIMPLEMENTED
 * or COB_INTERNAL; COB_INTERNAL when it died or the seal could not be made. */
COB_RESULT struct cob_error *cob_sealed_finish(
    struct cob_sealed *sealed, struct cob_cancel *cancel);

/* Kills what has not ended. */
void cob_sealed_free(struct cob_sealed *sealed);
COB_AUTOPTR(cob_sealed, cob_sealed_free)

/* --- between the two files --- */

/* How a worker's error comes back: through its input's socket, followed by the text. */
#define COB_SEALED_TEXT_BYTES 4096
struct cob_sealed_report {
    uint32_t code, len;
};
#define COB_SEALED_FLAG "--sealed-worker" /* its argv[1]; then its name, then arg */
