/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "lang/dockerfile/dockerfile_convert.h"
#include "lang/dockerfile/dockerfile_go.h"

struct port_range {
    unsigned first, last;
};

static bool read_port(const char *text, size_t len, unsigned *ret_port)
{
    g_autofree char *number = g_strndup(text, len);
    guint64 port;

    if (!g_ascii_string_to_unsigned(number, 10, 0, 65535, &port, NULL))
        return false;
    *ret_port = (unsigned)port;
    return true;
}

/* "80" or "80-90". */
static bool read_range(const char *text, struct port_range *ret_range)
{
    const char *dash = strchr(text, '-');
    size_t first_len = dash ? (size_t)(dash - text) : strlen(text);
    const char *last = dash ? dash + 1 : text;

    return read_port(text, first_len, &ret_range->first) &&
           read_port(last, strlen(last), &ret_range->last) && ret_range->last >= ret_range->first;
}

/* The protocol after the slash, in lower case; it is cut off. NULL: one that is not known. */
static const char *take_protocol(char *port)
{
    static const char *const known[] = {"tcp", "udp", "sctp"};
    char *slash = strchr(port, '/');

    if (!slash)
        return "tcp";
    *slash = '\0';
    if (!slash[1])
        return "tcp";
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (g_ascii_strcasecmp(known[i], slash + 1) == 0)
            return known[i];
    }
    return NULL;
}

static struct cob_error *check_host_port(
    const char *text, const char *port, const struct port_range *range)
{
    struct port_range host;

    if (!read_range(text, &host))
        return cob_fail(COB_INVALID, "invalid hostPort: %s", text);
    if (range->first != range->last && host.last - host.first != range->last - range->first)
        return cob_fail(COB_INVALID,
            "invalid ranges specified for container and host Ports: %s and %s", port, text);
    return NULL;
}

/* An address, one of IPv6 in brackets or not. */
static struct cob_error *check_address(const char *text)
{
    const size_t len = strlen(text);
    const bool has_brackets = *text == '[';
    g_autofree char *bare = NULL;
    uint8_t address[16]; /* of IPv6 */

    if (!*text)
        return NULL;
    if (has_brackets && (len < 2 || text[len - 1] != ']'))
        return cob_fail(COB_INVALID, "invalid IP address %s: missing ']' in address", text);
    bare = g_strndup(text + has_brackets, len - 2 * has_brackets);
    if (inet_pton(AF_INET, bare, address) == 1 || inet_pton(AF_INET6, bare, address) == 1)
        return NULL;
    return cob_fail(COB_INVALID, "invalid IP address: %s", bare);
}

/* "[[ip:]host:]port[-port][/protocol]"; what stands before the port is checked, and dropped.
 * spec: BuildKit dockerfile2llb/convert_expose.go. */
static struct cob_error *add_ports(GPtrArray *ports, const char *spec)
{
    const char *colon = strrchr(spec, ':');
    g_autofree char *port = g_strdup(colon ? colon + 1 : spec);
    g_autofree char *before = colon ? g_strndup(spec, (size_t)(colon - spec)) : NULL;
    const char *slash = strchr(port, '/');
    g_autofree char *named = g_strdup(slash ? slash + 1 : "");
    const char *protocol = take_protocol(port);
    struct port_range range;

    if (!*port)
        return cob_fail(COB_INVALID, "invalid port: \"%s\": no port specified", spec);
    if (!protocol)
        return cob_fail(COB_INVALID, "invalid port: \"%s\": invalid proto: %s", spec, named);
    char *host = before ? strrchr(before, ':') : NULL;
    if (host) {
        *host++ = '\0';
        COB_TRY(check_address(before));
    } else {
        host = before;
    }
    if (!read_range(port, &range))
        return cob_fail(COB_INVALID, "invalid containerPort: %s", port);
    if (host && *host)
        COB_TRY(check_host_port(host, port, &range));
    for (unsigned i = range.first; i <= range.last; i++)
        g_ptr_array_add(ports, g_strdup_printf("%u/%s", i, protocol));
    return NULL;
}

struct cob_error *dockerfile_convert_expose(struct dockerfile_job *job)
{
    struct dockerfile_expander expander = {
        .env = dockerfile_vars_env(job->build->vars),
        .escape = job->convert->plan->dockerfile->escape,
    };
    g_autoptr(GPtrArray) ports = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) history = g_string_new("EXPOSE ");

    for (guint i = 0; i < job->instruction->words->len; i++) {
        g_autoptr(GPtrArray) words = NULL;

        COB_TRY(dockerfile_expand_words(
            &expander, g_ptr_array_index(job->instruction->words, i), &words));
        for (guint j = 0; j < words->len; j++) {
            dockerfile_lint_port(job, g_ptr_array_index(words, j));
            COB_TRY(add_ports(ports, g_ptr_array_index(words, j)));
            COB_TRY(dockerfile_spend(job->convert, ports->len * sizeof("65535/sctp")));
        }
    }
    g_ptr_array_add(ports, NULL);
    dockerfile_go_list(history, (char **)ports->pdata, /* is_quoted= */ false);
    g_ptr_array_set_size(ports, (int)ports->len - 1);
    dockerfile_merge_sorted(&job->build->config->ports, ports);
    /* the list is made anew for each */
    COB_TRY(dockerfile_spend(job->convert, 64 * (size_t)job->build->config->ports->len));
    dockerfile_add_history(job->build, g_string_free(g_steal_pointer(&history), FALSE), true);
    return NULL;
}
