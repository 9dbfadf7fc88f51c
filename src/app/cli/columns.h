/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables as docker prints them: columns under their titles, three blanks apart, none narrower than
 * ten.
 */
#pragma once

#include <glib.h>

/* Append rows of cells. cells: n_columns of them a row, the titles first; borrowed. */
void columns_append(GString *out, const GPtrArray *cells, guint n_columns);

/* The same of lines whose cells are parted by tabs; the first line has the titles. */
void columns_append_tabbed(GString *out, const char *lines);

/* "3 days ago", of a time in microseconds since 1970. The caller frees it. */
char *columns_ago(gint64 at_us);
