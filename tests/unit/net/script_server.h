/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP server that follows a script: each connection is one request, held against the next row,
 * and gets that row's answer, byte for byte. What differs from the script fails the test, as do
 * rows that nobody asked for.
 *
 * In all texts, {port} is this server's port, {other} the partner's, {digest} the script's digest.
 */
#pragma once

#include <glib.h>

/* What follows the answer. */
enum script_end {
    SCRIPT_CLOSE,
    SCRIPT_HANG,           /* nothing, until the client goes */
    SCRIPT_ENDLESS,        /* bytes without end */
    SCRIPT_ENDLESS_HEADER, /* header lines without end */
    SCRIPT_ENDLESS_HINTS,  /* answers without end that only announce another one */
    SCRIPT_DRIP,           /* bytes without end, 100 times a second some */
    SCRIPT_RESET,          /* the connection breaks, without a word */
};

/* One request and its answer. */
struct script_row {
    const char *want;    /* how the request line begins */
    const char *has;     /* text of the request; NULL: any */
    const char *has_not; /* text that must not be in it; NULL: any */
    const char *answer;  /* "" is none */
    enum script_end end;
};

struct script_server;

/* Listen on a free port of the loopback. Rows end with one whose want is NULL. */
struct script_server *script_server_new(void);
unsigned script_server_port(const struct script_server *server);

/* Begin to answer. The texts are borrowed. other_port: 0 when there is no partner. */
void script_server_start(struct script_server *server, const struct script_row *rows,
    const char *digest, unsigned other_port);

/* Stop it, and check that the whole script was played. False: the test has failed. */
gboolean script_server_free(struct script_server *server);
