/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket's server for tests (tests/lib/s3_server.py), and backends on it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "build/cachebackend/cachebackend.h"

#define KEYS ",access_key_id=AKIDTEST,secret_access_key=SECRETCANARY"

/* The server, which lives until its standard input ends. */
struct s3_fixture {
    char *scratch;
    char *log;
    GPid pid;
    int in_fd;
    unsigned port;
};

/* Has this machine what the server needs? Skips the test when not. */
bool s3_fixture_can_run(void);

/* with_tls: its CA is <scratch>/ca.crt. */
void s3_fixture_init(struct s3_fixture *f, bool with_tls);
void s3_fixture_done(struct s3_fixture *f);

/* Let nothing of the user's own be found, and no address of a cloud be asked. */
void s3_fixture_clear_environment(const struct s3_fixture *f);

/* A backend and what belongs to it. */
struct s3_place {
    struct cob_cachebackend_options *options;
    struct cob_cachebackend *backend;
};

/* Open one; more: "bucket=x,...". */
struct cob_error *s3_place_open(struct s3_place *place, enum cob_cachebackend_way way,
    unsigned port, struct cob_cancel *cancel, const char *more);
void s3_place_close(struct s3_place *place);
