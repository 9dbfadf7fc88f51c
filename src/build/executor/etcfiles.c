/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "build/executor/step.h"
#include "util/fs.h"
#include "util/limits.h"

#define SYSTEMD_RESOLV_CONF "/run/systemd/resolve/resolv.conf"

char *etcfiles_hosts(const struct cob_executor_request *request)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text,
        "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        request->hostname ? request->hostname : "buildkitsandbox");
    for (size_t i = 0; i < request->n_extra_hosts; i++)
        g_string_append_printf(
            text, "%s\t%s\n", request->extra_hosts[i].address, request->extra_hosts[i].name);
    return g_string_free(text, FALSE);
}

/* The host's file; "" when there is none that can be read. */
static char *read_host_file(const char *path)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(cob_error) err = cob_fs_read_file(AT_FDCWD, path, 64 * COB_KIB, &bytes);
    gsize len = 0;

    if (err || !bytes)
        return g_strdup("");
    const char *data = g_bytes_get_data(bytes, &len);
    return g_strndup(data ? data : "", len);
}

/* Is this the line "<keyword> ..."? */
static bool has_keyword(const char *line, const char *keyword)
{
    size_t n = strlen(keyword);

    return strncmp(line, keyword, n) == 0 && g_ascii_isspace(line[n]);
}

/* Search domains and options of the host with a nameserver of ours. */
static char *with_nameserver(const char *host, const char *nameserver)
{
    g_auto(GStrv) lines = g_strsplit(host, "\n", -1);
    GString *text = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        if (has_keyword(*line, "search") || has_keyword(*line, "domain") ||
            has_keyword(*line, "options"))
            g_string_append_printf(text, "%s\n", *line);
    }
    g_string_append_printf(text, "nameserver %s\n", nameserver);
    return g_string_free(text, FALSE);
}

char *etcfiles_resolv_conf(enum cob_executor_network network, const char *nameserver)
{
    g_autofree char *host = read_host_file("/etc/resolv.conf");

    if (network == COB_EXECUTOR_NETWORK_HOST)
        return g_steal_pointer(&host);
    if (network == COB_EXECUTOR_NETWORK_NONE)
        return g_strdup("");
    if (strstr(host, "127.0.0.53")) { /* the search domains are the same there; options differ */
        g_free(host);
        host = read_host_file(SYSTEMD_RESOLV_CONF);
    }
    return with_nameserver(host, nameserver);
}
