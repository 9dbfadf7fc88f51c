/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in the columns of a terminal: a letter takes one, a wide one (CJK, most emoji) two, a
 * combining mark none.
 */
#pragma once

#include <glib.h>

/* Columns of a text without control characters. */
int cells_width(const char *text);

/* Append as much of a text as fits into so many columns; returns the columns used. */
int cells_append(GString *out, const char *text, int columns);

/* The same for what a step printed, any bytes: control characters and escape sequences, also
 * unfinished ones, are left out, and tabs become blanks. */
int cells_append_raw(GString *out, const char *bytes, size_t len, int columns);
