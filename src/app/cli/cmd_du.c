/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "disk/cachemount/cachemount.h"
#include "disk/snapshot/snapshot.h"
#include "util/digest.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"verbose", 0, CLI_FLAG, NULL, "Provide a more verbose output", false},
    {0},
};

#define SHORT_DIGITS 12

/* What takes room. Ids are short: of a digest, or a cache mount's folder, the beginning. */
struct record {
    char *id, *parent, *description; /* parent, description: may be NULL */
    const char *type;                /* BuildKit's word for it */
    uint64_t size_bytes;
    int64_t created_us, last_used_us, n_uses;
    bool is_mutable, is_reclaimable, is_shared;
};

static void record_free(struct record *record)
{
    g_free(record->id);
    g_free(record->parent);
    g_free(record->description);
    g_free(record);
}

static struct record *record_of_snapshot(const struct cob_snapshot_usage *usage)
{
    struct record *record = g_new(struct record, 1);

    *record = (struct record){
        .id = g_strdup(usage->id),
        .parent = g_strdup(usage->parent),
        .description = g_strdup(usage->description),
        .type = "regular",
        .size_bytes = usage->size_bytes,
        .created_us = usage->created_us,
        .last_used_us = usage->last_used_us,
        .n_uses = usage->n_uses,
        .is_reclaimable = !usage->is_in_use,
        .is_shared = usage->is_shared,
    };
    return record;
}

/* "0123456789ab-0", of a folder's 64 digits. The caller frees it. */
static char *short_dir(const char *dir)
{
    const char *number = strrchr(dir, '-');

    return g_strdup_printf("%.*s%s", SHORT_DIGITS, dir, number ? number : "");
}

static char *describe_mount(const struct cob_cachemount_entry *entry)
{
    g_autoptr(GString) text = g_string_new("cached mount");

    if (entry->last_step)
        g_string_append_printf(text, " from %s", entry->last_step);
    g_string_append_printf(text, " with id \"%s\"", entry->id ? entry->id : "unknown");
    if (entry->namespace && entry->namespace[0])
        g_string_append_printf(text, " of \"%s\"", entry->namespace);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static struct record *record_of_blob(const struct cob_store_blob_usage *usage)
{
    struct record *record = g_new(struct record, 1);

    *record = (struct record){
        .id = g_strndup(usage->digest + strlen(COB_DIGEST_PREFIX), SHORT_DIGITS),
        .description = g_strdup(usage->description ? usage->description : "blob"),
        .type = "regular",
        .size_bytes = usage->size_bytes,
        .created_us = usage->created_us,
        .last_used_us = usage->last_used_us,
        .is_reclaimable = !usage->is_in_use,
    };
    return record;
}

static struct record *record_of_mount(const struct cob_cachemount_entry *entry)
{
    struct record *record = g_new(struct record, 1);

    *record = (struct record){
        .id = short_dir(entry->dir),
        .description = describe_mount(entry),
        .type = "exec.cachemount",
        .size_bytes = entry->size_bytes,
        .created_us = entry->created_us,
        .last_used_us = entry->last_used_us,
        .n_uses = entry->n_uses,
        .is_mutable = true,
        .is_reclaimable = !entry->is_in_use && !entry->is_pinned,
    };
    return record;
}

static struct cob_error *add_snapshots(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(GPtrArray) rows = NULL;

    COB_TRY(cob_snapshot_list(store, &rows));
    for (guint i = 0; i < rows->len; i++)
        g_ptr_array_add(records, record_of_snapshot(rows->pdata[i]));
    return NULL;
}

static struct cob_error *add_blobs(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(GPtrArray) rows = NULL;

    COB_TRY(cob_store_blob_list(store, &rows));
    for (guint i = 0; i < rows->len; i++)
        g_ptr_array_add(records, record_of_blob(rows->pdata[i]));
    return NULL;
}

static struct cob_error *add_mounts(struct cob_store *store, GPtrArray *records)
{
    g_autoptr(cob_cachemount_pool) pool = NULL;
    g_autoptr(GPtrArray) entries = NULL;

    COB_TRY(cob_cachemount_pool_open(store, NULL, NULL, &pool));
    COB_TRY(cob_cachemount_list(pool, &entries));
    for (guint i = 0; i < entries->len; i++) {
        struct cob_cachemount_entry *entry = entries->pdata[i];

        if (!entry->is_size_current)
            COB_TRY(cob_cachemount_measure(pool, entry));
        g_ptr_array_add(records, record_of_mount(entry));
    }
    return NULL;
}

/* The largest first, as BuildKit has it; among equals in the order they came in: newest first. */
static int compare_sizes(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;

    return x->size_bytes < y->size_bytes ? 1 : x->size_bytes > y->size_bytes ? -1 : 0;
}

/* "1.2GB", with an asterisk when others stand on it. The caller frees it. */
static char *shown_size(const struct record *record)
{
    g_autofree char *size = cob_text_size(record->size_bytes);

    return g_strdup_printf("%s%s", size, record->is_shared ? "*" : "");
}

static void append_table(GString *out, const GPtrArray *records)
{
    static const char *const titles[] = {"ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"};
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(titles); i++)
        g_ptr_array_add(cells, g_strdup(titles[i]));
    for (guint i = 0; i < records->len; i++) {
        const struct record *record = records->pdata[i];
        g_autofree char *id = cob_text_visible(record->id);

        g_ptr_array_add(cells, g_strconcat(id, record->is_mutable ? "*" : "", NULL));
        g_ptr_array_add(cells, g_strdup(record->is_reclaimable ? "true" : "false"));
        g_ptr_array_add(cells, shown_size(record));
        g_ptr_array_add(cells, columns_ago(record->last_used_us));
    }
    columns_append(out, cells, G_N_ELEMENTS(titles));
}

static void append_field(GString *out, const char *key, const char *value)
{
    g_autofree char *visible = cob_text_visible(value);
    g_autofree char *label = g_strdup_printf("%s:", key);

    g_string_append_printf(out, "%-16s%s\n", label, visible);
}

static void append_flag(GString *out, const char *key, bool is_so)
{
    append_field(out, key, is_so ? "true" : "false");
}

/* One block of lines, as buildx du --verbose has it. */
static void append_block(GString *out, const struct record *record)
{
    g_autoptr(GDateTime) created =
        g_date_time_new_from_unix_utc(record->created_us / G_USEC_PER_SEC);
    g_autofree char *created_text =
        created ? g_date_time_format(created, "%Y-%m-%d %H:%M:%S +0000 UTC") : g_strdup("");
    g_autofree char *size = cob_text_size(record->size_bytes);
    g_autofree char *n_uses = g_strdup_printf("%" G_GINT64_FORMAT, record->n_uses);
    g_autofree char *ago = columns_ago(record->last_used_us);

    append_field(out, "ID", record->id);
    if (record->parent)
        append_field(out, "Parents", record->parent);
    if (record->created_us)
        append_field(out, "Created at", created_text);
    append_flag(out, "Mutable", record->is_mutable);
    append_flag(out, "Reclaimable", record->is_reclaimable);
    append_flag(out, "Shared", record->is_shared);
    append_field(out, "Size", size);
    if (record->description)
        append_field(out, "Description", record->description);
    append_field(out, "Usage count", n_uses);
    if (record->last_used_us)
        append_field(out, "Last used", ago);
    append_field(out, "Type", record->type);
    g_string_append_c(out, '\n');
}

static void append_sum(GString *out, const char *name, uint64_t bytes)
{
    g_autofree char *size = cob_text_size(bytes);

    g_string_append_printf(out, "%-16s%s\n", name, size);
}

static void append_sums(GString *out, const GPtrArray *records)
{
    uint64_t all = 0, shared = 0, reclaimable = 0;

    for (guint i = 0; i < records->len; i++) {
        const struct record *record = records->pdata[i];

        all += record->size_bytes;
        shared += record->is_shared ? record->size_bytes : 0;
        reclaimable += record->is_reclaimable ? record->size_bytes : 0;
    }
    if (shared > 0) {
        append_sum(out, "Shared:", shared);
        append_sum(out, "Private:", all - shared);
    }
    append_sum(out, "Reclaimable:", reclaimable);
    append_sum(out, "Total:", all);
}

static struct cob_error *run(struct cli_call *call)
{
    const bool is_verbose = cli_call_flag(call, "verbose");
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))record_free);
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(cli_engine_open(&engine));
    COB_TRY(add_snapshots(cob_engine_store(engine), records));
    COB_TRY(add_blobs(cob_engine_store(engine), records));
    COB_TRY(add_mounts(cob_engine_store(engine), records));
    g_ptr_array_sort(records, compare_sizes);
    for (guint i = 0; i < records->len && is_verbose; i++)
        append_block(out, records->pdata[i]);
    if (!is_verbose)
        append_table(out, records);
    append_sums(out, records);
    return cli_print(out);
}

const struct cli_command cli_du = {
    .name = "du",
    .usage = "[OPTIONS]",
    .summary = "Disk usage",
    .options = options,
    .run = run,
};
