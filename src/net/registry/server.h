/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is configured for a server: registries.json and certificate folders.
 *
 * threads:  any; a server is immutable but for what its lock guards.
 */
#pragma once

#include "net/http/http.h"

/* Somewhere that requests may go. */
struct server_config {
    char *name;    /* as in an image name: "docker.io", "localhost:5000" */
    char *address; /* host[:port] to connect to */
    bool is_plain; /* HTTP without TLS is allowed, and used */
    struct cob_http_tls tls;
    GPtrArray *mirrors;     /* of char *: host[:port][/prefix], or the same as a URL; owned */
    const char *realm_host; /* the only one it may name as realm; NULL: any one */
};

struct server_table; /* all servers that were asked for */

/* Paths as in struct cob_registry_config; copied. */
struct server_table *registry_servers_new(const char *registries, const char *const *cert_dirs);

/* NULL is passed over. */
void registry_servers_free(struct server_table *table);

/* Find or make a server.
 * ret_server: borrowed from the table.
 * errors: the settings cannot be read; each names its file. */
COB_RESULT struct cob_error *registry_servers_get(
    struct server_table *table, const char *name, const struct server_config **ret_server);

/* From now on take any certificate of a server, or no TLS at all. Those who have the server as it
 * was keep it.
 * errors: as of registry_servers_get(). */
COB_RESULT struct cob_error *registry_servers_set_insecure(
    struct server_table *table, const char *name, bool is_plain);

/* "https://address/v2/". The caller frees it. */
char *registry_server_base(const struct server_config *server);
