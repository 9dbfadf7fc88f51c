/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "app/cli/cache_mounts.h"

/* For a shell, that is: one a line, so none with a line's end or another control character. */
static bool is_typable(const char *name)
{
    for (const char *at = name; *at; at++) {
        if (g_ascii_iscntrl(*at))
            return false;
    }
    return g_utf8_validate(name, -1, NULL);
}

/* "cachemounts": their names.  "cachemounts-and-files": with a colon, for `cob cache cp`. */
static void append_mounts(GString *out, const struct cache_mounts *mounts, const char *kind)
{
    const char *colon = strcmp(kind, "cachemounts") == 0 ? "" : ":";

    for (guint i = 0; i < mounts->mounts->len; i++) {
        const struct cache_mount *mount = mounts->mounts->pdata[i];
        g_autofree char *name = cache_mount_name(mount);

        if (mount->is_known && is_typable(name))
            g_string_append_printf(out, "%s%s\n", name, colon);
    }
}

/* A shell that completes a word makes no store. */
static bool is_store_there(void)
{
    g_autofree char *path = cob_store_default_path();

    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct cache_mounts mounts;
    struct cob_error *err;

    if (!g_str_has_prefix(cli_call_arg(call, 0), "cachemounts") || !is_store_there())
        return NULL;
    err = cache_mounts_open(&mounts);
    if (!err)
        append_mounts(out, &mounts, cli_call_arg(call, 0));
    cache_mounts_close(&mounts);
    return err ? err : cli_print(out);
}

const struct cli_command cli_debug_complete = {
    .name = "debug complete",
    .usage = "KIND",
    .summary = "Print the words that a shell completes an argument to",
    .min_args = 1,
    .max_args = 1,
    .is_hidden = true,
    .run = run,
};
