/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain view: one line after the other, in blocks of one step each.
 *
 * Steps that ended are printed before those that run. Of the running ones a single one is printed
 * at a time, and keeps its turn for some seconds, longer the more of all the news is its own:
 * lines of two steps that take turns at every line are hard to read. One that has waited for ten
 * seconds gets its turn.
 *
 * spec: BuildKit util/progress/progressui/printer.go.
 */
#pragma once

#include "app/progress/trace.h"

struct plain {
    struct trace_vertex *current; /* whose block was printed last and may go on; NULL: none */
    int n_numbers;
    bool has_printed;
};

/* Print what changed. Appends to `out`. */
void plain_print(struct plain *plain, struct trace *trace, int64_t now_us, GString *out);

/* Print all that was held back. */
void plain_print_rest(struct plain *plain, struct trace *trace, int64_t now_us, GString *out);
