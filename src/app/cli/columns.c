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

char *columns_ago(gint64 at_us)
{
    g_autofree char *duration = NULL;

    if (at_us == 0)
        return g_strdup("");
    duration = cob_text_duration((g_get_real_time() - at_us) / G_USEC_PER_SEC);
    return g_strdup_printf("%s ago", duration);
}
