/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "disk/snapshot/snapshot.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"verbose", 0, CLI_FLAG, NULL, "Provide a more verbose output", false},
    {0},
};

struct sums {
    uint64_t shared, reclaimable, all; /* bytes */
};

static void add_to_sums(struct sums *sums, const struct cob_snapshot_usage *usage)
{
    sums->all += usage->size_bytes;
    sums->shared += usage->is_shared ? usage->size_bytes : 0;
    sums->reclaimable += usage->is_in_use ? 0 : usage->size_bytes;
}

/* "1.2GB", with an asterisk when others stand on it. The caller frees it. */
static char *shown_size(const struct cob_snapshot_usage *usage)
{
    g_autofree char *size = cob_text_size(usage->size_bytes);

    return g_strdup_printf("%s%s", size, usage->is_shared ? "*" : "");
}

static void append_table(GString *out, const GPtrArray *rows)
{
    static const char *const titles[] = {"ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"};
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(titles); i++)
        g_ptr_array_add(cells, g_strdup(titles[i]));
    for (guint i = 0; i < rows->len; i++) {
        const struct cob_snapshot_usage *usage = rows->pdata[i];

        g_ptr_array_add(cells, cob_text_visible(usage->id));
        g_ptr_array_add(cells, g_strdup(usage->is_in_use ? "false" : "true"));
        g_ptr_array_add(cells, shown_size(usage));
        g_ptr_array_add(cells, columns_ago(usage->last_used_us));
    }
    columns_append(out, cells, G_N_ELEMENTS(titles));
}

static void append_field(GString *out, const char *key, const char *value)
{
    g_autofree char *visible = cob_text_visible(value);
    g_autofree char *label = g_strdup_printf("%s:", key);

    g_string_append_printf(out, "%-16s%s\n", label, visible);
}

/* One block of lines, as buildx du --verbose has it. */
static void append_block(GString *out, const struct cob_snapshot_usage *usage)
{
    g_autoptr(GDateTime) created =
        g_date_time_new_from_unix_utc(usage->created_us / G_USEC_PER_SEC);
    g_autofree char *created_text =
        created ? g_date_time_format(created, "%Y-%m-%d %H:%M:%S +0000 UTC") : g_strdup("");
    g_autofree char *size = cob_text_size(usage->size_bytes);
    g_autofree char *n_uses = g_strdup_printf("%" G_GINT64_FORMAT, usage->n_uses);
    g_autofree char *ago = columns_ago(usage->last_used_us);

    append_field(out, "ID", usage->id);
    if (usage->parent)
        append_field(out, "Parent", usage->parent);
    append_field(out, "Created at", created_text);
    append_field(out, "Reclaimable", usage->is_in_use ? "false" : "true");
    append_field(out, "Shared", usage->is_shared ? "true" : "false");
    append_field(out, "Size", size);
    if (usage->description)
        append_field(out, "Description", usage->description);
    append_field(out, "Usage count", n_uses);
    append_field(out, "Last used", ago);
    g_string_append_c(out, '\n');
}

static void append_sum(GString *out, const char *name, uint64_t bytes)
{
    g_autofree char *size = cob_text_size(bytes);

    g_string_append_printf(out, "%-16s%s\n", name, size);
}

static struct cob_error *run(struct cli_call *call)
{
    const bool is_verbose = cli_call_flag(call, "verbose");
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    struct sums sums = {0};

    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_snapshot_list(cob_engine_store(engine), &rows));
    for (guint i = 0; i < rows->len; i++) {
        add_to_sums(&sums, rows->pdata[i]);
        if (is_verbose)
            append_block(out, rows->pdata[i]);
    }
    if (!is_verbose)
        append_table(out, rows);
    if (sums.shared > 0) {
        append_sum(out, "Shared:", sums.shared);
        append_sum(out, "Private:", sums.all - sums.shared);
    }
    append_sum(out, "Reclaimable:", sums.reclaimable);
    append_sum(out, "Total:", sums.all);
    return cli_print(out);
}

const struct cli_command cli_du = {
    .name = "du",
    .usage = "[OPTIONS]",
    .summary = "Disk usage",
    .options = options,
    .run = run,
};
