/* SPDX-License-Identifier: Apache-2.0 */
/* What COPY and ADD do, as tables: see copy_table.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

/* A row: scripts that make things, the instructions behind "FROM base", a script that looks at the
 * result and what it prints; or an error. */
struct copy_row {
    const char *name;
    const char *base, *other, *context; /* NULL: nothing */
    const char *dockerfile;             /* NULL: `copy` behind "FROM base" */
    const char *copy;
    const char *look, *want;
    enum cob_code code; /* 0: it succeeds */
    const char *error;
    bool needs_root;
};

#define LIST "find . -mindepth 1 | sort | tr '\\n' ' '"
#define TREE "mkdir -p d/sub; echo a >a; echo b >b; echo x >d/x; echo y >d/sub/y"
extern const struct copy_row copy_place_rows[];
extern const size_t copy_n_place_rows;
extern const struct copy_row copy_path_rows[];
extern const size_t copy_n_path_rows;
extern const struct copy_row copy_link_rows[];
extern const size_t copy_n_link_rows;
extern const struct copy_row copy_parents_rows[];
extern const size_t copy_n_parents_rows;
extern const struct copy_row copy_error_rows[];
extern const size_t copy_n_error_rows;
extern const struct copy_row copy_metadata_rows[];
extern const size_t copy_n_metadata_rows;
extern const struct copy_row copy_archive_rows[];
extern const size_t copy_n_archive_rows;
