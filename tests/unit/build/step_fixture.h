/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the executor stand on: a root with busybox, and every test run twice, as root
 * and as an ordinary user in a process of its own.
 */
#pragma once

#include <glib.h>

#include "build/executor/executor.h"

/* A root with busybox, and an executor on it. */
struct step_fixture {
    char *scratch, *root;
    struct cob_executor *executor;
    int root_fd;
    GString *out; /* what the last step said, both streams */
};

/* Everything below is of the scratch folder: "root" is the root, "canary" what must not change. */
void step_fixture_init(struct step_fixture *fixture);
void step_fixture_done(struct step_fixture *fixture);

/* Make something there. */
void step_write_file(const struct step_fixture *fixture, const char *name, const char *text);
void step_make_dir(const struct step_fixture *fixture, const char *name);
void step_make_link(const struct step_fixture *fixture, const char *target, const char *name);
bool step_exists(const struct step_fixture *fixture, const char *name); /* also a symlink */
int step_open(const struct step_fixture *fixture, const char *name);    /* O_PATH */

/* Of the program that tries system calls. The caller frees it. */
char *step_probe_path(void);

/* The names, sizes and times of a tree, one a line. The caller frees it. */
char *step_list(const char *path);

/* Run a shell script; the rest of the request is the test's. Output goes to fixture->out. */
COB_RESULT struct cob_error *step_run(struct step_fixture *fixture,
    struct cob_executor_request request, const char *script, int *ret_exit_code);

#define NO_NETWORK .network = COB_EXECUTOR_NETWORK_NONE

/* The main() of such tests.  victim: what "<program> victim" does, in namespaces that its starter
 * has entered; NULL: nothing. */
int step_main(int argc, char **argv, void (*add_tests)(void), int (*victim)(void));
