/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <sys/utsname.h>

#include "app/cli/command.h"

/* The OCI runtime that is found first. The caller frees it; NULL: none. */
static char *find_runtime(void)
{
    char *path = g_find_program_in_path("crun");

    return path ? path : g_find_program_in_path("runc");
}

static void append_line(GString *out, const char *key, const char *value)
{
    g_autofree char *label = g_strdup_printf("%s:", key);

    g_string_append_printf(out, " %-12s %s\n", label, value);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autofree char *runtime = find_runtime();
    g_autofree char *libraries = g_strdup_printf("glib %u.%u.%u, jansson %s%s", glib_major_version,
        glib_minor_version, glib_micro_version, jansson_version_str(), COB_LIBRARIES);
    g_autofree char *kernel = NULL;
    g_autoptr(GString) out = g_string_new("cob:\n");
    struct utsname system = {0};

    (void)call;
    if (uname(&system) == 0)
        kernel = g_strdup_printf("%s %s %s", system.sysname, system.release, system.machine);
    append_line(out, "Version", COB_VERSION);
    if (*cli_revision)
        append_line(out, "Git commit", cli_revision);
    append_line(out, "Libraries", libraries);
    append_line(out, "Runtime", runtime ? runtime : "none found: install crun or runc");
    append_line(out, "Kernel", kernel ? kernel : "unknown");
    return cli_print(out);
}

const struct cli_command cli_version = {
    .name = "version",
    .usage = "",
    .summary = "Show the version, and what cob stands on",
    .run = run,
};
