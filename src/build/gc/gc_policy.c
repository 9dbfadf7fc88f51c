/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "build/gc/gc_parts.h"
#include "lang/toml/toml.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/text.h"

#define DAY_US (24 * 3600 * (int64_t)G_USEC_PER_SEC)
#define MINUTE_US (60 * (int64_t)G_USEC_PER_SEC)
#define MAX_HISTORY_ENTRIES 100000

/* All classes together: as BuildKit's, min(10 %, 10 GB) that stay and min(80 %, 100 GB) at most.
 * A disk that is full, of whatever, costs no cache mount: they are what cannot be made again. */
static const struct cob_gc_policy standard =
    {
        .is_enabled = true,
        .interval_us = MINUTE_US,
        .history = {.max_age_s = COB_HISTORY_MAX_AGE_S, .max_entries = COB_HISTORY_MAX_ENTRIES},
        .budgets =
            {
                [COB_GC_BLOBS] = {.keep_us = 14 * DAY_US,
                    .reserved = {1 * COB_GIB, 1, true},
                    .max_used = {10 * COB_GIB, 10, true},
                    .min_free = {0, 20, true}},
                [COB_GC_SOURCES] = {.keep_us = 30 * DAY_US,
                    .reserved = {1 * COB_GIB, 1, true},
                    .max_used = {10 * COB_GIB, 10, true},
                    .min_free = {0, 20, true}},
                [COB_GC_LAYERS] = {.keep_us = 60 * DAY_US,
                    .reserved = {4 * COB_GIB, 4, true},
                    .max_used = {60 * COB_GIB, 40, true},
                    .min_free = {0, 20, true}},
                [COB_GC_CACHE_MOUNTS] = {.keep_us = 0,
                    .reserved = {4 * COB_GIB, 4, true},
                    .max_used = {20 * COB_GIB, 20, true}},
            },
};

struct cob_gc_policy cob_gc_policy_default(void)
{
    return standard;
}

/* --- cob.toml --- */

/* A value that is being read, and what errors say of it. */
struct setting {
    struct cob_srcfile *file;
    const char *table, *key;
    const struct cob_toml_value *value;
};

static struct cob_error *fail_at(const struct setting *setting, struct cob_error *err)
{
    const int32_t line = setting->value->line;

    return cob_error_at(cob_wrap(err, "[%s] %s", setting->table, setting->key), setting->file,
        (struct cob_range){line, line});
}

static struct cob_error *fail_type(const struct setting *setting, const char *wanted)
{
    return fail_at(setting, cob_fail(COB_INVALID, "expected %s, not %s", wanted,
                                cob_toml_type_text(setting->value->type)));
}

static struct cob_error *fail_unknown(const struct setting *setting, const char *const *known)
{
    g_autofree char *list = g_strjoinv(", ", (char **)(uintptr_t)known);
    const char *meant = cob_text_suggest(setting->key, known);

    if (meant)
        return fail_at(setting, cob_fail(COB_INVALID, "it is not known (did you mean %s?)", meant));
    return fail_at(setting, cob_fail(COB_INVALID, "it is not known: there are %s", list));
}

static struct cob_error *read_bool(const struct setting *setting, bool *ret_flag)
{
    if (setting->value->type != COB_TOML_BOOL)
        return fail_type(setting, "true or false");
    *ret_flag = setting->value->number != 0;
    return NULL;
}

static struct cob_error *read_duration(const struct setting *setting, int64_t *ret_us)
{
    const struct cob_toml_value *value = setting->value;

    if (value->type == COB_TOML_INT && value->number >= 0 && value->number < G_MAXINT32) {
        *ret_us = value->number * G_USEC_PER_SEC; /* as BuildKit has it */
        return NULL;
    }
    if (value->type != COB_TOML_TEXT)
        return fail_type(setting, "a duration like \"24h\"");
    return fail_at(setting, cob_gc_duration_parse(value->text, ret_us));
}

static struct cob_error *read_space(const struct setting *setting, struct cob_gc_space *ret_space)
{
    const struct cob_toml_value *value = setting->value;

    if (value->type == COB_TOML_INT && value->number >= 0) {
        *ret_space = (struct cob_gc_space){.bytes = (uint64_t)value->number, .is_set = true};
        return NULL;
    }
    if (value->type != COB_TOML_TEXT)
        return fail_type(setting, "an amount of disk space like \"10GB\" or \"20%\"");
    return fail_at(setting, cob_gc_space_parse(value->text, ret_space));
}

static struct cob_error *read_budget(const struct setting *setting, struct cob_gc_budget *budget)
{
    static const char *const keys[] = {
        "keep-duration", "reserved-space", "max-used-space", "min-free-space", NULL};
    struct cob_gc_space *const spaces[] = {
        NULL, &budget->reserved, &budget->max_used, &budget->min_free};
    const struct cob_toml_value *table = setting->value;
    g_autofree char *name = g_strconcat(setting->table, ".", setting->key, NULL);

    if (table->type != COB_TOML_TABLE)
        return fail_type(setting, "a table");
    for (guint i = 0; i < table->keys->len; i++) {
        const char *key = table->keys->pdata[i];
        const struct setting each = {setting->file, name, key, cob_toml_get(table, key)};
        size_t n = 0;

        while (keys[n] && strcmp(keys[n], key) != 0)
            n++;
        if (!keys[n])
            return fail_unknown(&each, keys);
        COB_TRY(n == 0 ? read_duration(&each, &budget->keep_us) : read_space(&each, spaces[n]));
    }
    return NULL;
}

static struct cob_error *read_setting(const struct setting *setting, struct cob_gc_policy *policy)
{
    static const char *const keys[] = {
        "enabled", "interval", "blobs", "sources", "layers", "cache-mounts", NULL};

    if (strcmp(setting->key, "enabled") == 0)
        return read_bool(setting, &policy->is_enabled);
    if (strcmp(setting->key, "interval") == 0)
        return read_duration(setting, &policy->interval_us);
    for (int class = 0; class < COB_GC_N_BUDGETS; class ++) {
        if (strcmp(setting->key, cob_gc_class_name((enum cob_gc_class) class)) == 0)
            return read_budget(setting, &policy->budgets[class]);
    }
    return fail_unknown(setting, keys);
}

static struct cob_error *read_gc(
    struct cob_srcfile *file, const struct cob_toml_value *root, struct cob_gc_policy *policy)
{
    const struct cob_toml_value *gc = cob_toml_get(root, "gc");

    if (gc && gc->type != COB_TOML_TABLE)
        return fail_type(&(struct setting){file, "", "gc", gc}, "a table");
    for (guint i = 0; gc && i < gc->keys->len; i++) {
        const char *key = gc->keys->pdata[i];

        COB_TRY(read_setting(&(struct setting){file, "gc", key, cob_toml_get(gc, key)}, policy));
    }
    return NULL;
}

static struct cob_error *read_entries(const struct setting *setting, unsigned *ret_n)
{
    const struct cob_toml_value *value = setting->value;

    if (value->type != COB_TOML_INT || value->number < 0 || value->number > MAX_HISTORY_ENTRIES)
        return fail_type(setting, "a number from 0 to 100000");
    *ret_n = (unsigned)value->number;
    return NULL;
}

static struct cob_error *read_history_setting(
    const struct setting *setting, struct cob_history_limits *limits)
{
    static const char *const keys[] = {"max-age", "max-entries", NULL};
    int64_t age_us = 0;

    if (strcmp(setting->key, "max-entries") == 0)
        return read_entries(setting, &limits->max_entries);
    if (strcmp(setting->key, "max-age") != 0)
        return fail_unknown(setting, keys);
    COB_TRY(read_duration(setting, &age_us));
    limits->max_age_s = age_us / G_USEC_PER_SEC;
    return NULL;
}

static struct cob_error *read_history(
    struct cob_srcfile *file, const struct cob_toml_value *root, struct cob_gc_policy *policy)
{
    const struct cob_toml_value *history = cob_toml_get(root, "history");

    if (history && history->type != COB_TOML_TABLE)
        return fail_type(&(struct setting){file, "", "history", history}, "a table");
    for (guint i = 0; history && i < history->keys->len; i++) {
        const char *key = history->keys->pdata[i];
        const struct setting setting = {file, "history", key, cob_toml_get(history, key)};

        COB_TRY(read_history_setting(&setting, &policy->history));
    }
    return NULL;
}

/* What stands beside [gc] must be known, too: a misspelt table would count for nothing. */
static struct cob_error *check_tables(struct cob_srcfile *file, const struct cob_toml_value *root)
{
    static const char *const tables[] = {"gc", "history", NULL};

    for (guint i = 0; i < root->keys->len; i++) {
        const char *key = root->keys->pdata[i];

        if (!g_strv_contains(tables, key))
            return fail_unknown(&(struct setting){file, "", key, cob_toml_get(root, key)}, tables);
    }
    return NULL;
}

struct cob_error *cob_gc_policy_parse(struct cob_srcfile *file, struct cob_gc_policy *policy)
{
    g_autoptr(cob_toml_value) root = NULL;
    struct cob_gc_policy changed = *policy;

    COB_TRY(cob_toml_parse(file, &root));
    COB_TRY(check_tables(file, root));
    COB_TRY(read_gc(file, root, &changed));
    COB_TRY(read_history(file, root, &changed));
    *policy = changed;
    return NULL;
}

/* --- where it is --- */

static char *user_path(void)
{
    const char *folder = g_getenv("COB_CONFIG");
    const char *xdg = g_getenv("XDG_CONFIG_HOME");

    if (folder && *folder)
        return g_build_filename(folder, "cob.toml", NULL);
    return xdg && *xdg ? g_build_filename(xdg, "cob", "cob.toml", NULL)
                       : g_build_filename(g_get_home_dir(), ".config", "cob", "cob.toml", NULL);
}

/* ret_bytes: NULL: there is none. */
static struct cob_error *read_file(char **ret_path, GBytes **ret_bytes)
{
    g_autofree char *path = user_path();
    const char *folder = g_getenv("COB_CONFIG");

    COB_TRY(cob_fs_read_file(AT_FDCWD, path, COB_LIMIT_TOML_BYTES, ret_bytes));
    if (!*ret_bytes && !(folder && *folder)) {
        g_free(path);
        path = g_strdup("/etc/cob/cob.toml");
        COB_TRY(cob_fs_read_file(AT_FDCWD, path, COB_LIMIT_TOML_BYTES, ret_bytes));
    }
    *ret_path = g_steal_pointer(&path);
    return NULL;
}

static struct cob_error *parse_file(const char *path, GBytes *bytes, struct cob_gc_policy *policy)
{
    g_autoptr(cob_srcfile) file = cob_srcfile_new(path, bytes);

    return cob_gc_policy_parse(file, policy);
}

struct cob_error *cob_gc_policy_load(struct cob_gc_policy *ret_policy)
{
    struct cob_gc_policy policy = standard;
    const char *word = g_getenv("COB_GC");
    g_autofree char *path = NULL;
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(read_file(&path, &bytes));
    if (bytes)
        COB_TRY(cob_wrap(parse_file(path, bytes, &policy), "%s", path));
    if (word && *word && strcmp(word, "off") != 0 && strcmp(word, "on") != 0)
        return cob_fail(COB_INVALID, "COB_GC=%s: expected on or off", word);
    if (word && *word)
        policy.is_enabled = strcmp(word, "on") == 0;
    *ret_policy = policy;
    return NULL;
}
