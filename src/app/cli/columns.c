/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/columns.h"

#include "util/text.h"

#define MIN_COLUMNS 10
#define GAP 3

void columns_append(GString *out, const GPtrArray *cells, guint n_columns)
{
    g_autofree glong *widths = g_new0(glong, n_columns);

    for (guint i = 0; i < cells->len; i++)
        widths[i % n_columns] =
            MAX(widths[i % n_columns], g_utf8_strlen(cells->pdata[i], -1) + GAP);
    for (guint i = 0; i < cells->len; i++) {
        const char *cell = cells->pdata[i];
        const glong width = MAX(widths[i % n_columns], MIN_COLUMNS);

        g_string_append(out, cell);
        if ((i + 1) % n_columns == 0)
            g_string_append_c(out, '\n');
        else
            g_string_append_printf(out, "%*s", (int)(width - g_utf8_strlen(cell, -1)), "");
    }
}

void columns_append_tabbed(GString *out, const char *lines)
{
    g_auto(GStrv) rows = g_strsplit(lines, "\n", -1);
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    guint n_columns = 0;

    for (char **row = rows; *row && (**row || row[1]); row++) { /* an empty one ends them */
        g_auto(GStrv) parts = g_strsplit(**row ? *row : " ", "\t", (gint)n_columns);

        if (n_columns == 0)
            n_columns = g_strv_length(parts);
        for (guint i = 0, n = g_strv_length(parts); i < n_columns; i++)
            g_ptr_array_add(cells, g_strdup(i < n ? parts[i] : ""));
    }
    if (n_columns > 0)
        columns_append(out, cells, n_columns);
}

char *columns_ago(gint64 at_us)
{
    g_autofree char *duration = NULL;

    if (at_us == 0)
        return g_strdup("");
    duration = cob_text_duration((g_get_real_time() - at_us) / G_USEC_PER_SEC);
    return g_strdup_printf("%s ago", duration);
}
