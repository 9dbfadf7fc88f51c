/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/usage_rows.h"

#include "app/cli/columns.h"
#include "util/text.h"

char *usage_size(const struct cob_gc_record *record, uint64_t bytes)
{
    g_autofree char *size = cob_text_size(bytes);

    return g_strdup_printf("%s%s", size, record->is_shared ? "*" : "");
}

char *usage_time(int64_t at_us)
{
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_utc(at_us / G_USEC_PER_SEC);

    return at && at_us ? g_date_time_format(at, "%Y-%m-%d %H:%M:%S +0000 UTC") : g_strdup("");
}

void usage_append_header(GString *out)
{
    g_string_append(out, "ID\t\t\t\t\t\tRECLAIMABLE\tSIZE\t\tLAST ACCESSED\n");
}

/* The columns of Go's tabwriter: a tab stop each eight letters, the widths that buildx asks for. */
void usage_append_row(GString *out, const struct cob_gc_record *record, uint64_t bytes)
{
    g_autofree char *visible = cob_text_visible(record->id);
    g_autofree char *id = g_strconcat(visible, record->is_mutable ? "*" : "", NULL);
    g_autofree char *size = usage_size(record, bytes);
    g_autofree char *ago = columns_ago(record->last_used_us);

    g_string_append_printf(out, "%-40s\t%-5s\t\t%-10s\t%s\n", id,
        cob_gc_is_reclaimable(record) ? "true" : "false", size, ago);
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

/* What only cob has: the sizes apart where they differ, and what a record belongs to. */
static void append_own_fields(GString *out, const struct cob_gc_record *record, uint64_t bytes)
{
    g_autofree char *logical = cob_text_size(record->size_bytes);

    if (record->size_bytes != bytes)
        append_field(out, "Logical size", logical);
    append_field(out, "Class", cob_gc_class_name(record->class));
    if (record->namespace && record->namespace[0])
        append_field(out, "Namespace", record->namespace);
    if (record->mount)
        append_field(out, "Mount", record->mount);
    if (record->kind == COB_GC_CACHE_MOUNT)
        append_flag(out, "Pinned", record->is_pinned);
}

void usage_append_block(GString *out, const struct cob_gc_record *record, uint64_t bytes)
{
    g_autofree char *created = usage_time(record->created_us);
    g_autofree char *size = cob_text_size(bytes);
    g_autofree char *n_uses = g_strdup_printf("%" G_GINT64_FORMAT, record->n_uses);
    g_autofree char *ago = columns_ago(record->last_used_us);

    append_field(out, "ID", record->id);
    if (record->parent)
        append_field(out, "Parents", record->parent);
    if (record->created_us)
        append_field(out, "Created at", created);
    append_flag(out, "Mutable", record->is_mutable);
    append_flag(out, "Reclaimable", cob_gc_is_reclaimable(record));
    append_flag(out, "Shared", record->is_shared);
    append_field(out, "Size", size);
    if (record->description)
        append_field(out, "Description", record->description);
    append_field(out, "Usage count", n_uses);
    if (record->last_used_us)
        append_field(out, "Last used", ago);
    append_field(out, "Type", record->type);
    append_own_fields(out, record, bytes);
    g_string_append_c(out, '\n');
}
