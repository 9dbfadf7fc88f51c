/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_mounts.h"

#include <string.h>

#include "util/text.h"

#define MIN_HEX 4

static void cache_mount_free(void *data)
{
    struct cache_mount *mount = data;

    g_free(mount->namespace);
    g_free(mount->id);
    g_free(mount->last_step);
    g_ptr_array_unref(mount->entries);
    g_free(mount);
}

static struct cache_mount *mount_new(const struct cob_cachemount_entry *entry)
{
    struct cache_mount *mount = g_new(struct cache_mount, 1);

    *mount = (struct cache_mount){.namespace = g_strdup(entry->namespace ? entry->namespace : ""),
        .id = g_strdup(entry->id ? entry->id : entry->dir),
        .is_known = entry->id != NULL,
        .entries = g_ptr_array_new_with_free_func(
            (GDestroyNotify)(void (*)(void))cob_cachemount_entry_free)};
    return mount;
}

static bool is_of(const struct cache_mount *mount, const struct cob_cachemount_entry *entry)
{
    return mount->is_known && entry->id && strcmp(mount->id, entry->id) == 0 &&
           g_strcmp0(mount->namespace, entry->namespace) == 0;
}

static void count_entry(struct cache_mount *mount, const struct cob_cachemount_entry *entry)
{
    mount->size_bytes += entry->size_bytes;
    mount->n_files += entry->n_files;
    mount->n_uses += entry->n_uses;
    mount->quota_bytes = MAX(mount->quota_bytes, entry->quota_bytes);
    mount->is_pinned = mount->is_pinned || entry->is_pinned;
    mount->is_in_use = mount->is_in_use || entry->is_in_use;
    if (entry->created_us && (!mount->created_us || entry->created_us < mount->created_us))
        mount->created_us = entry->created_us;
    if (entry->last_used_us >= mount->last_used_us) {
        mount->last_used_us = entry->last_used_us;
        g_free(mount->last_step);
        mount->last_step = g_strdup(entry->last_step);
    }
}

/* entries: sorted, so that those of a mount follow each other; taken from. */
static GPtrArray *group(GPtrArray *entries)
{
    GPtrArray *mounts = g_ptr_array_new_with_free_func(cache_mount_free);
    struct cache_mount *mount = NULL;

    while (entries->len > 0) {
        struct cob_cachemount_entry *entry = g_ptr_array_steal_index(entries, 0);

        if (!mount || !is_of(mount, entry)) {
            mount = mount_new(entry);
            g_ptr_array_add(mounts, mount);
        }
        count_entry(mount, entry);
        g_ptr_array_add(mount->entries, entry);
    }
    return mounts;
}

struct cob_error *cache_mounts_open(struct cache_mounts *mounts)
{
    g_autoptr(GPtrArray) entries = NULL;

    *mounts = (struct cache_mounts){.engine = NULL};
    COB_TRY(cli_engine_open(&mounts->engine));
    COB_TRY(cob_cachemount_pool_open(cob_engine_store(mounts->engine), NULL, NULL, &mounts->pool));
    COB_TRY(cob_cachemount_list(mounts->pool, &entries));
    mounts->mounts = group(entries);
    return NULL;
}

void cache_mounts_close(struct cache_mounts *mounts)
{
    g_clear_pointer(&mounts->mounts, g_ptr_array_unref);
    g_clear_pointer(&mounts->pool, cob_cachemount_pool_free);
    g_clear_pointer(&mounts->engine, cob_engine_close);
}

struct cob_error *cache_mounts_measure(const struct cache_mounts *mounts, struct cache_mount *mount)
{
    mount->size_bytes = mount->n_files = 0;
    for (guint i = 0; i < mount->entries->len; i++) {
        struct cob_cachemount_entry *entry = mount->entries->pdata[i];

        if (!entry->is_size_current)
            COB_TRY(cob_cachemount_measure(mounts->pool, entry));
        mount->size_bytes += entry->size_bytes;
        mount->n_files += entry->n_files;
    }
    return NULL;
}

char *cache_mount_name(const struct cache_mount *mount)
{
    return *mount->namespace ? g_strconcat(mount->namespace, "/", mount->id, NULL)
                             : g_strdup(mount->id);
}

/* --- found --- */

/* How a name fits: the best one counts. */
enum fit { FIT_NONE, FIT_DIRECTORY, FIT_ID, FIT_NAME };

static enum fit fit_of(const struct cache_mount *mount, const char *namespace, const char *name)
{
    const struct cob_cachemount_entry *entry = mount->entries->pdata[0];
    g_autofree char *full = cache_mount_name(mount);
    const size_t n_hex = strspn(name, "0123456789abcdef");

    if (namespace && strcmp(namespace, mount->namespace) != 0)
        return FIT_NONE;
    if (strcmp(full, name) == 0 || (namespace && strcmp(mount->id, name) == 0))
        return FIT_NAME;
    if (strcmp(mount->id, name) == 0)
        return FIT_ID;
    if (n_hex >= MIN_HEX && strncmp(entry->dir, name, n_hex) == 0 &&
        (name[n_hex] == '\0' || name[n_hex] == '-'))
        return FIT_DIRECTORY;
    return FIT_NONE;
}

static struct cob_error *fail_missing(const struct cache_mounts *mounts, const char *name)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
    const char *meant;

    for (guint i = 0; i < mounts->mounts->len; i++)
        g_ptr_array_add(known, cache_mount_name(mounts->mounts->pdata[i]));
    g_ptr_array_add(known, NULL);
    meant = cob_text_suggest(name, (const char *const *)known->pdata);
    if (meant)
        return cob_fail(COB_NOT_FOUND, "no such cache mount: %s (did you mean %s?)", name, meant);
    return cob_fail(COB_NOT_FOUND, "no such cache mount: %s", name);
}

struct cob_error *cache_mounts_find(const struct cache_mounts *mounts, const char *namespace,
    const char *name, struct cache_mount **ret_mount)
{
    struct cache_mount *best = NULL;
    enum fit best_fit = FIT_NONE;
    unsigned n_best = 0;

    for (guint i = 0; i < mounts->mounts->len; i++) {
        const enum fit fit = fit_of(mounts->mounts->pdata[i], namespace, name);

        if (fit == FIT_NONE || fit < best_fit)
            continue;
        n_best = fit == best_fit ? n_best + 1 : 1;
        best_fit = fit;
        best = mounts->mounts->pdata[i];
    }
    if (!best)
        return fail_missing(mounts, name);
    if (n_best > 1)
        return cob_fail(COB_INVALID,
            "%u cache mounts fit %s: say NAMESPACE/ID, or more of the directory's name", n_best,
            name);
    *ret_mount = best;
    return NULL;
}

/* --- who has it --- */

struct cob_error *cache_mount_users(
    const struct cache_mounts *mounts, const struct cache_mount *mount, GPtrArray **ret_users)
{
    g_autoptr(GPtrArray) all =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_cachemount_user_free);

    for (guint i = 0; i < mount->entries->len; i++) {
        const struct cob_cachemount_entry *entry = mount->entries->pdata[i];
        g_autoptr(GPtrArray) users = NULL;

        COB_TRY(cob_cachemount_users(mounts->pool, entry->dir, &users));
        while (users->len > 0)
            g_ptr_array_add(all, g_ptr_array_steal_index(users, 0));
    }
    *ret_users = g_steal_pointer(&all);
    return NULL;
}

char *cache_users_text(const GPtrArray *users)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < users->len; i++) {
        const struct cob_cachemount_user *user = users->pdata[i];

        g_string_append(text, i ? ", " : "");
        if (user->text)
            g_string_append(text, user->text);
        else
            g_string_append_printf(text, "pid %" G_GINT64_FORMAT, user->pid);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* --- each that is named --- */

static struct cob_error *do_one(const struct cache_mounts *mounts, const struct cli_call *call,
    const char *name,
    struct cob_error *(*work)(
        const struct cache_mounts *mounts, struct cache_mount *mount, const void *arg),
    const void *arg)
{
    struct cache_mount *mount = NULL;

    COB_TRY(cache_mounts_find(mounts, cli_call_text(call, "namespace"), name, &mount));
    return cob_wrap(work(mounts, mount, arg), "cache mount %s", name);
}

static struct cob_error *do_each(const struct cache_mounts *mounts, const struct cli_call *call,
    struct cob_error *(*work)(
        const struct cache_mounts *mounts, struct cache_mount *mount, const void *arg),
    const void *arg)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct cob_error *err = NULL, *print_err;

    for (unsigned n = 0; !err && cli_call_arg(call, n); n++) {
        g_autofree char *visible = cob_text_visible(cli_call_arg(call, n));

        err = do_one(mounts, call, cli_call_arg(call, n), work, arg);
        if (!err)
            g_string_append_printf(out, "%s\n", visible);
    }
    print_err = cli_print(out);
    if (!err)
        return print_err;
    cob_error_free(print_err);
    return err;
}

struct cob_error *cache_mounts_each(const struct cli_call *call,
    struct cob_error *(*work)(
        const struct cache_mounts *mounts, struct cache_mount *mount, const void *arg),
    const void *arg)
{
    struct cache_mounts mounts;
    struct cob_error *err = cache_mounts_open(&mounts);

    if (!err)
        err = do_each(&mounts, call, work, arg);
    cache_mounts_close(&mounts);
    return err;
}
