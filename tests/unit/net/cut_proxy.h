/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a client and a server on the loopback: hands bytes on, and cuts the connection once after
 * the k-th byte of one direction, counted over all connections.
 */
#pragma once

#include <glib.h>

enum cut_way {
    CUT_REQUEST, /* bytes to the server */
    CUT_ANSWER,
};

struct cut_proxy;

/* Listen on a free port for those who want the server at server_port.
 * k: G_MAXUINT64: never. */
struct cut_proxy *cut_proxy_new(unsigned server_port, enum cut_way way, guint64 k);
unsigned cut_proxy_port(const struct cut_proxy *proxy);

/* Bytes that went one way so far. */
guint64 cut_proxy_count(const struct cut_proxy *proxy, enum cut_way way);

/* Connections that are still there end with it. */
void cut_proxy_free(struct cut_proxy *proxy);
