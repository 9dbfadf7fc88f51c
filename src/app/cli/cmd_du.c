/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "app/cli/rowformat.h"
#include "app/cli/usage_rows.h"
#include "util/json.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"filter", 0, CLI_LIST, "filter", "Provide filter values (e.g., \"type=exec.cachemount\")",
        false},
    {"format", 0, CLI_TEXT, "string",
        "Format the output: \"table\", \"pretty\", \"json\", or a template", false},
    {"verbose", 0, CLI_FLAG, NULL, "Shorthand for \"--format=pretty\"", false},
    {0},
};

/* The largest first; among equals in the order they came in: newest first. */
static int compare_sizes(const void *a, const void *b)
{
    const struct cob_gc_record *x = *(const struct cob_gc_record *const *)a;
    const struct cob_gc_record *y = *(const struct cob_gc_record *const *)b;

    return x->disk_bytes < y->disk_bytes ? 1 : x->disk_bytes > y->disk_bytes ? -1 : 0;
}

static void append_table(GString *out, const GPtrArray *records)
{
    static const char *const titles[] = {"ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"};
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(titles); i++)
        g_ptr_array_add(cells, g_strdup(titles[i]));
    for (guint i = 0; i < records->len; i++) {
        const struct cob_gc_record *record = records->pdata[i];
        g_autofree char *id = cob_text_visible(record->id);

        g_ptr_array_add(cells, g_strconcat(id, record->is_mutable ? "*" : "", NULL));
        g_ptr_array_add(cells, g_strdup(cob_gc_is_reclaimable(record) ? "true" : "false"));
        g_ptr_array_add(cells, usage_size(record, record->disk_bytes));
        g_ptr_array_add(cells, columns_ago(record->last_used_us));
    }
    columns_append(out, cells, G_N_ELEMENTS(titles));
}

/* --- --format --- */

/* Text from outside need not be UTF-8. */
static json_t *json_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

    return json_string(valid);
}

/* The members that buildx writes, of the types it has; behind Type cob's own. */
static void append_json(GString *out, const struct cob_gc_record *record)
{
    json_auto_t *object = json_object();
    g_autofree char *created = usage_time(record->created_us);
    g_autofree char *ago = columns_ago(record->last_used_us);
    g_autofree char *size = cob_text_size(record->disk_bytes);
    const struct {
        const char *key;
        json_t *value; /* taken */
    } members[] = {
        {"ID", json_text(record->id)},
        {"Parents", record->parent ? json_pack("[s]", record->parent) : json_array()},
        {"CreatedAt", json_text(created)},
        {"Mutable", json_boolean(record->is_mutable)},
        {"Reclaimable", json_boolean(cob_gc_is_reclaimable(record))},
        {"Shared", json_boolean(record->is_shared)},
        {"Size", json_text(size)},
        {"Description", json_text(record->description)},
        {"UsageCount", json_integer(record->n_uses)},
        {"LastUsedAt", json_text(ago)},
        {"Type", json_text(record->type)},
        {"Class", json_text(cob_gc_class_name(record->class))},
        {"SizeBytes", json_integer((json_int_t)record->disk_bytes)},
        {"LogicalSizeBytes", json_integer((json_int_t)record->size_bytes)},
        {"Namespace", json_text(record->namespace)},
        {"Mount", json_text(record->mount)},
        {"Pinned", json_boolean(record->is_pinned)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        json_object_set_new(object, members[i].key, members[i].value);
    g_autoptr(GBytes) bytes = cob_json_bytes(object);
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    g_string_append_len(out, text, (gssize)len);
    g_string_append_c(out, '\n');
}

static const char *word_of(bool is_so)
{
    return is_so ? "true" : "false";
}

static struct cob_error *append_template(
    GString *out, const char *format, const struct cob_gc_record *record)
{
    g_autofree char *created = usage_time(record->created_us);
    g_autofree char *ago = columns_ago(record->last_used_us);
    g_autofree char *size = cob_text_size(record->disk_bytes);
    g_autofree char *logical = cob_text_size(record->size_bytes);
    g_autofree char *n_uses = g_strdup_printf("%" G_GINT64_FORMAT, record->n_uses);
    const struct rowformat_field fields[] = {
        {"ID", record->id},
        {"Parents", record->parent ? record->parent : ""},
        {"CreatedAt", created},
        {"Mutable", word_of(record->is_mutable)},
        {"Reclaimable", word_of(cob_gc_is_reclaimable(record))},
        {"Shared", word_of(record->is_shared)},
        {"Size", size},
        {"Description", record->description ? record->description : ""},
        {"UsageCount", n_uses},
        {"LastUsedAt", ago},
        {"Type", record->type},
        {"Class", cob_gc_class_name(record->class)},
        {"LogicalSize", logical},
        {"Namespace", record->namespace ? record->namespace : ""},
        {"Mount", record->mount ? record->mount : ""},
        {"Pinned", word_of(record->is_pinned)},
        {0},
    };

    return rowformat_append(out, format, fields);
}

static struct cob_error *append_formatted(
    GString *out, const char *format, const GPtrArray *records)
{
    for (guint i = 0; i < records->len; i++) {
        if (strcmp(format, "json") == 0 || strcmp(format, "{{json .}}") == 0)
            append_json(out, records->pdata[i]);
        else
            COB_TRY(append_template(out, format, records->pdata[i]));
    }
    return NULL;
}

/* --- sums --- */

static void append_sum(GString *out, const char *name, uint64_t bytes)
{
    g_autofree char *size = cob_text_size(bytes);

    g_string_append_printf(out, "%-16s%s\n", name, size);
}

static void append_sums(GString *out, const GPtrArray *records)
{
    uint64_t all = 0, shared = 0, reclaimable = 0;

    for (guint i = 0; i < records->len; i++) {
        const struct cob_gc_record *record = records->pdata[i];

        all += record->disk_bytes;
        shared += record->is_shared ? record->disk_bytes : 0;
        reclaimable += cob_gc_is_reclaimable(record) ? record->disk_bytes : 0;
    }
    if (shared > 0) {
        append_sum(out, "Shared:", shared);
        append_sum(out, "Private:", all - shared);
    }
    append_sum(out, "Reclaimable:", reclaimable);
    append_sum(out, "Total:", all);
}

static void keep_matching(GPtrArray *records, const struct cob_gc_filter *filter)
{
    const int64_t now_us = g_get_real_time();

    for (guint i = records->len; i-- > 0;) {
        if (!cob_gc_filter_match(filter, records->pdata[i], now_us))
            g_ptr_array_remove_index(records, i);
    }
}

/* The format, with buildx's short ways to say it.  ret_format: NULL: a table. */
static struct cob_error *format_of(const struct cli_call *call, const char **ret_format)
{
    const char *format = cli_call_text(call, "format");
    const bool is_verbose = cli_call_flag(call, "verbose");

    if (format && *format && is_verbose)
        return cob_fail(COB_INVALID, "--format and --verbose cannot be used together");
    if (is_verbose)
        format = "pretty";
    *ret_format = format && *format && strcmp(format, "table") != 0 ? format : NULL;
    return NULL;
}

static struct cob_error *run(struct cli_call *call)
{
    const char *const *filters = cli_call_list(call, "filter");
    const char *format = NULL;
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(cob_gc_filter) filter = NULL;
    g_autoptr(GPtrArray) records = NULL;
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(format_of(call, &format));
    COB_TRY(cob_gc_filter_parse(filters, &filter));
    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_gc_list(cob_engine_store(engine), &records));
    keep_matching(records, filter);
    g_ptr_array_sort(records, compare_sizes);
    const bool is_pretty = format && strcmp(format, "pretty") == 0;
    for (guint i = 0; i < records->len && is_pretty; i++) {
        const struct cob_gc_record *record = records->pdata[i];

        usage_append_block(out, record, record->disk_bytes);
    }
    if (format && !is_pretty)
        COB_TRY(append_formatted(out, format, records));
    if (!format)
        append_table(out, records);
    if (!filters && (!format || is_pretty))
        append_sums(out, records);
    return cli_print(out);
}

const struct cli_command cli_du = {
    .name = "du",
    .usage = "[OPTIONS]",
    .summary = "Disk usage",
    .description = "Show what takes room in the store, and what of it can be reclaimed: layers, "
                   "cache mounts, sources, blobs, and the store's own files. The total is what the "
                   "file system says. An asterisk behind an ID: it changes; behind a size: others "
                   "have a part in it.",
    .options = options,
    .run = run,
};
