/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "app/cli/cache_mounts.h"
#include "app/cli/rowformat.h"

#define N_BIGGEST 10

static const struct cli_option options[] = {
    {"format", 'f', CLI_TEXT, "string",
        "Format output: \"json\", or a template (e.g., \"{{.Size}}\", \"{{json .UsedBy}}\")",
        false},
    CACHE_NAMESPACE_OPTION,
    {0},
};

/* Any bytes as text. */
static json_t *text_json(const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    return valid ? json_string(valid) : json_null();
}

/* "2026-11-30T12:00:00.123456Z"; null: never. */
static json_t *time_json(int64_t at_us)
{
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_utc(at_us / G_USEC_PER_SEC);
    g_autofree char *seconds = at ? g_date_time_format(at, "%Y-%m-%dT%H:%M:%S") : NULL;
    g_autofree char *text =
        seconds ? g_strdup_printf("%s.%06dZ", seconds, (int)(at_us % G_USEC_PER_SEC)) : NULL;

    return at_us && text ? json_string(text) : json_null();
}

static json_t *size_json(uint64_t size)
{
    return json_integer((json_int_t)size);
}

static struct cob_error *add_users(
    const struct cache_mounts *mounts, const struct cache_mount *mount, json_t *object)
{
    g_autoptr(GPtrArray) users = NULL;
    json_t *array = json_array();

    json_object_set_new(object, "InUseBy", array);
    COB_TRY(cache_mount_users(mounts, mount, &users));
    for (guint i = 0; i < users->len; i++) {
        const struct cob_cachemount_user *user = users->pdata[i];
        json_t *item = json_object();

        json_object_set_new(item, "Pid", json_integer(user->pid));
        json_object_set_new(item, "User", text_json(user->text));
        json_object_set_new(item, "Since", time_json(user->since_us));
        json_array_append_new(array, item);
    }
    return NULL;
}

static struct cob_error *add_uses(
    const struct cache_mounts *mounts, const struct cache_mount *mount, json_t *object)
{
    g_autoptr(GPtrArray) uses = NULL;
    json_t *array = json_array();

    json_object_set_new(object, "UsedBy", array);
    COB_TRY(cob_cachemount_uses(mounts->pool, mount->namespace, mount->id, &uses));
    for (guint i = 0; i < uses->len; i++) {
        const struct cob_cachemount_use *use = uses->pdata[i];
        json_t *item = json_object();

        json_object_set_new(item, "Step", text_json(use->step));
        json_object_set_new(item, "Project", text_json(use->project));
        json_object_set_new(item, "FirstUsed", time_json(use->first_us));
        json_object_set_new(item, "LastUsed", time_json(use->last_us));
        json_object_set_new(item, "Uses", json_integer(use->n_uses));
        json_array_append_new(array, item);
    }
    return NULL;
}

/* The directories of the store that it is in: the primary one, then the forks of PRIVATE steps. */
static void add_directories(const struct cache_mount *mount, json_t *object)
{
    json_t *array = json_array();

    json_object_set_new(object, "Directories", array);
    for (guint i = 0; i < mount->entries->len; i++) {
        const struct cob_cachemount_entry *entry = mount->entries->pdata[i];
        json_t *item = json_object();

        json_object_set_new(item, "Dir", json_string(entry->dir));
        json_object_set_new(item, "Fork", json_boolean(entry->number > 0));
        json_object_set_new(item, "Size", size_json(entry->size_bytes));
        json_object_set_new(item, "Files", size_json(entry->n_files));
        json_object_set_new(item, "InUse", json_boolean(entry->is_in_use));
        json_array_append_new(array, item);
    }
}

static struct cob_error *add_biggest(
    const struct cache_mounts *mounts, const struct cache_mount *mount, json_t *object)
{
    const struct cob_cachemount_entry *entry = mount->entries->pdata[0];
    g_autoptr(GPtrArray) biggest = NULL;
    json_t *array = json_array();

    json_object_set_new(object, "BiggestDirectories", array);
    COB_TRY(cob_cachemount_biggest(mounts->pool, entry->dir, N_BIGGEST, &biggest));
    for (guint i = 0; i < biggest->len; i++) {
        const struct cob_cachemount_part *part = biggest->pdata[i];
        json_t *item = json_object();

        json_object_set_new(item, "Path", text_json(part->path));
        json_object_set_new(item, "Size", size_json(part->size_bytes));
        json_object_set_new(item, "Files", size_json(part->n_files));
        json_array_append_new(array, item);
    }
    return NULL;
}

static struct cob_error *describe(
    const struct cache_mounts *mounts, struct cache_mount *mount, json_t *object)
{
    COB_TRY(cache_mounts_measure(mounts, mount));
    json_object_set_new(object, "ID", text_json(mount->id));
    json_object_set_new(object, "Namespace", text_json(mount->namespace));
    json_object_set_new(object, "Size", size_json(mount->size_bytes));
    json_object_set_new(object, "Files", size_json(mount->n_files));
    json_object_set_new(object, "Created", time_json(mount->created_us));
    json_object_set_new(object, "LastUsed", time_json(mount->last_used_us));
    json_object_set_new(object, "LastStep", text_json(mount->last_step));
    json_object_set_new(object, "Uses", json_integer(mount->n_uses));
    json_object_set_new(object, "Pinned", json_boolean(mount->is_pinned));
    json_object_set_new(
        object, "Quota", mount->quota_bytes ? size_json(mount->quota_bytes) : json_null());
    json_object_set_new(object, "Forks", json_integer(mount->entries->len - 1));
    COB_TRY(add_users(mounts, mount, object));
    COB_TRY(add_biggest(mounts, mount, object));
    COB_TRY(add_uses(mounts, mount, object));
    add_directories(mount, object);
    return NULL;
}

/* array: what is found is added, also when something else is not. */
static struct cob_error *describe_all(
    const struct cache_mounts *mounts, const struct cli_call *call, json_t *array)
{
    struct cob_error *first = NULL;

    for (unsigned n = 0; cli_call_arg(call, n); n++) {
        struct cache_mount *mount = NULL;
        struct cob_error *err = cache_mounts_find(
            mounts, cli_call_text(call, "namespace"), cli_call_arg(call, n), &mount);

        if (!err) {
            json_t *object = json_object();

            json_array_append_new(array, object);
            err = describe(mounts, mount, object);
        }
        if (first)
            cob_error_free(err);
        else
            first = err;
    }
    return first;
}

/* As docker inspect: an array; with a template, a line for each. */
static struct cob_error *print(const struct cli_call *call, const json_t *array)
{
    const char *format = cli_call_text(call, "format");
    g_autoptr(GString) out = g_string_new(NULL);

    if (!format || !*format) {
        g_autofree char *text = json_dumps(array, JSON_INDENT(4) | JSON_PRESERVE_ORDER);

        g_string_append_printf(out, "%s\n", text);
        return cli_print(out);
    }
    for (size_t i = 0; i < json_array_size(array); i++)
        COB_TRY(rowformat_append_object(out, format, json_array_get(array, i)));
    return cli_print(out);
}

static struct cob_error *run(struct cli_call *call)
{
    json_auto_t *array = json_array();
    struct cache_mounts mounts;
    struct cob_error *err = cache_mounts_open(&mounts), *print_err;

    if (!err)
        err = describe_all(&mounts, call, array);
    cache_mounts_close(&mounts);
    print_err = print(call, array);
    if (!err)
        return print_err;
    cob_error_free(print_err);
    return err;
}

const struct cli_command cli_cache_inspect = {
    .name = "cache inspect",
    .usage = "[OPTIONS] ID [ID...]",
    .summary = "Display detailed information on cache mounts",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .completes = "cachemounts",
    .run = run,
};
