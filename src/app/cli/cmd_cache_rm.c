/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_mounts.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"force", 'f', CLI_FLAG, NULL, "Remove pinned ones, too; pass over those that are not there",
        false},
    CACHE_NAMESPACE_OPTION,
    {0},
};

struct removal {
    struct cache_mounts mounts;
    const struct cli_call *call;
    bool is_forced;
    GString *out;
};

static struct cob_error *fail_in_use(
    const struct cache_mounts *mounts, const struct cache_mount *mount)
{
    g_autoptr(GPtrArray) users = NULL;
    g_autofree char *text = NULL;

    COB_TRY(cache_mount_users(mounts, mount, &users));
    text = cache_users_text(users);
    return cob_fail(COB_PRECONDITION, "it is in use by %s", *text ? text : "another process");
}

/* All of its directories or, when one of them is in use, none. */
static struct cob_error *remove_mount(struct removal *removal, const struct cache_mount *mount)
{
    const unsigned flags = removal->is_forced ? COB_CACHEMOUNT_ALSO_PINNED : 0;

    if (mount->is_pinned && !removal->is_forced)
        return cob_fail(
            COB_PRECONDITION, "it is pinned: unpin it first, or remove it with --force");
    if (mount->is_in_use)
        return fail_in_use(&removal->mounts, mount);
    for (guint i = 0; i < mount->entries->len; i++) {
        const struct cob_cachemount_entry *entry = mount->entries->pdata[i];
        bool is_removed = false;

        COB_TRY(cob_cachemount_remove(removal->mounts.pool, entry->dir, flags, &is_removed, NULL));
        if (!is_removed && i == 0)
            return fail_in_use(&removal->mounts, mount);
    }
    return NULL;
}

static struct cob_error *remove_named(struct removal *removal, const char *name)
{
    g_autofree char *visible = cob_text_visible(name);
    struct cache_mount *mount = NULL;
    struct cob_error *err = cache_mounts_find(
        &removal->mounts, cli_call_text(removal->call, "namespace"), name, &mount);

    if (err && cob_error_code(err) == COB_NOT_FOUND && removal->is_forced) {
        cob_error_free(err);
        return NULL;
    }
    COB_TRY(err);
    COB_TRY(cob_wrap(remove_mount(removal, mount), "cache mount %s", name));
    g_string_append_printf(removal->out, "%s\n", visible);
    return NULL;
}

/* Each is tried; the first that cannot be removed makes the exit code. */
static struct cob_error *remove_all(struct removal *removal)
{
    struct cob_error *first = NULL, *print_err;

    for (unsigned n = 0; cli_call_arg(removal->call, n); n++) {
        struct cob_error *err = remove_named(removal, cli_call_arg(removal->call, n));

        if (first)
            cob_error_free(err);
        else
            first = err;
    }
    print_err = cli_print(removal->out);
    if (!first)
        return print_err;
    cob_error_free(print_err);
    return first;
}

/* On a full disk the store keeps space for this. */
static struct cob_error *run(struct cli_call *call)
{
    g_autofree char *path = cob_store_default_path();
    g_autoptr(GString) out = g_string_new(NULL);
    struct removal removal = {.call = call, .is_forced = cli_call_flag(call, "force"), .out = out};
    struct cob_error *err;

    cob_store_spend_reserve(path);
    err = cache_mounts_open(&removal.mounts);
    if (!err)
        err = remove_all(&removal);
    cache_mounts_close(&removal.mounts);
    return err;
}

const struct cli_command cli_cache_rm = {
    .name = "cache rm",
    .usage = "[OPTIONS] ID [ID...]",
    .summary = "Remove cache mounts with all that is in them",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .completes = "cachemounts",
    .run = run,
};
