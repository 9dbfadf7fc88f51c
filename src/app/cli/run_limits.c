/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of `cob build` about the surroundings of its steps: --ulimit, --shm-size, --add-host.
 * spec: go-units ulimit.go; docker/cli opts; buildx build/utils.go.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "app/cli/cli_engine.h"
#include "lang/llb/llb.h"
#include "util/text.h"

#define ORDER "ulimit soft limit must be less than or equal to hard limit"

static bool read_limit(const char *text, int64_t *ret_value)
{
    gint64 value;

    if (!g_ascii_string_to_signed(text, 10, -1, G_MAXINT64, &value, NULL))
        return false;
    *ret_value = value;
    return true;
}

/* The soft limit must be within the hard one; -1 is beyond all. */
static struct cob_error *check_order(const struct cob_llb_ulimit *ulimit)
{
    if (ulimit->hard == -1 || (ulimit->soft != -1 && ulimit->soft <= ulimit->hard))
        return NULL;
    if (ulimit->soft == -1)
        return cob_fail(COB_INVALID, ORDER ": soft: -1 (unlimited), hard: %" PRId64, ulimit->hard);
    return cob_fail(COB_INVALID, ORDER ": %" PRId64 " > %" PRId64, ulimit->soft, ulimit->hard);
}

/* "nofile=1024:2048". name: kept by the caller. */
static struct cob_error *read_ulimit(char *text, struct cob_llb_ulimit *ret_ulimit)
{
    static const char *const names[] = {"core", "cpu", "data", "fsize", "locks", "memlock",
        "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
        NULL};
    char *equals = strchr(text, '=');
    g_auto(GStrv) limits = equals ? g_strsplit(equals + 1, ":", -1) : NULL;

    if (!equals)
        return cob_fail(COB_INVALID, "invalid ulimit argument: %s", text);
    *equals = '\0';
    if (!g_strv_contains(names, text))
        return cob_fail(COB_INVALID, "invalid ulimit type: %s", text);
    if (g_strv_length(limits) > 2)
        return cob_fail(COB_INVALID,
            "too many limit value arguments - %s, can only have up to two, `soft[:hard]`",
            equals + 1);
    for (char **limit = limits; *limit; limit++) {
        if (!read_limit(*limit, limit == limits ? &ret_ulimit->soft : &ret_ulimit->hard))
            return cob_fail(
                COB_INVALID, "%s=%s: a limit is a number, or -1 for none", text, *limit);
    }
    if (!limits[0])
        return cob_fail(COB_INVALID, "%s=: a limit is a number, or -1 for none", text);
    if (!limits[1])
        ret_ulimit->hard = ret_ulimit->soft;
    ret_ulimit->name = text;
    return check_order(ret_ulimit);
}

static gint compare_names(const void *a, const void *b)
{
    const struct cob_llb_ulimit *left = a, *right = b;

    return strcmp(left->name, right->name);
}

/* The last of a name counts; they are sorted, so that their order on the line changes no key. */
static struct cob_error *add_ulimits(struct cli_build_request *build, const char *const *texts)
{
    GArray *ulimits = build->ulimits;

    for (; texts && *texts; texts++) {
        char *text = g_strdup(*texts);
        struct cob_llb_ulimit ulimit = {0};

        g_ptr_array_add(build->texts, text);
        COB_TRY(cob_wrap(read_ulimit(text, &ulimit), "--ulimit %s", *texts));
        for (guint i = ulimits->len; i-- > 0;) {
            if (strcmp(g_array_index(ulimits, struct cob_llb_ulimit, i).name, ulimit.name) == 0)
                g_array_remove_index(ulimits, i);
        }
        g_array_append_val(ulimits, ulimit);
    }
    g_array_sort(ulimits, compare_names);
    build->request.ulimits = (const struct cob_llb_ulimit *)(void *)ulimits->data;
    build->request.n_ulimits = ulimits->len;
    return NULL;
}

static bool is_address(const char *text)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* "name:address[,address]", or with "=", and IPv6 in brackets or not. */
static struct cob_error *add_host(
    struct cli_build_request *build, const char *text, GPtrArray *hosts)
{
    const char *mark = strchr(text, '=') ? strchr(text, '=') : strchr(text, ':');

    if (!mark || mark == text || !mark[1])
        return cob_fail(COB_INVALID, "invalid host %s", text);
    if (strcmp(mark + 1, "host-gateway") == 0)
        return cob_fail(COB_UNIMPLEMENTED,
            "host-gateway is not supported: steps cannot reach the host: name an address");
    g_autofree char *name = g_ascii_strdown(text, mark - text);
    g_auto(GStrv) addresses = g_strsplit(mark + 1, ",", -1);
    for (char **address = addresses; *address; address++) {
        size_t len = strlen(*address);
        bool has_brackets = len > 2 && (*address)[0] == '[' && (*address)[len - 1] == ']';
        g_autofree char *bare = g_strndup(*address + has_brackets, len - 2 * has_brackets);
        char *host;

        if (!is_address(bare))
            return cob_fail(COB_INVALID, "invalid host %s", text);
        host = g_strdup_printf("%s=%s", name, bare);
        g_ptr_array_add(build->texts, host);
        g_ptr_array_add(hosts, host);
    }
    return NULL;
}

static struct cob_error *add_hosts(struct cli_build_request *build, const char *const *texts)
{
    GPtrArray *hosts = g_ptr_array_new();
    struct cob_error *err = NULL;

    for (; texts && *texts && !err; texts++)
        err = cob_wrap(add_host(build, *texts, hosts), "--add-host");
    g_ptr_array_add(hosts, NULL);
    char **list = (char **)g_ptr_array_free(hosts, FALSE);
    g_ptr_array_add(build->texts, list);
    build->request.extra_hosts = (const char *const *)list;
    return err;
}

struct cob_error *cli_run_limits_fill(const struct cli_call *call, struct cli_build_request *build)
{
    const char *shm_size = cli_call_text(call, "shm-size");

    if (shm_size && !cob_text_read_size(shm_size, &build->request.shm_size_bytes))
        return cob_fail(
            COB_INVALID, "--shm-size: invalid size: '%s': write 64m, 1g, or bytes", shm_size);
    build->request.cgroup_parent = cli_call_text(call, "cgroup-parent");
    COB_TRY(add_ulimits(build, cli_call_list(call, "ulimit")));
    return add_hosts(build, cli_call_list(call, "add-host"));
}
