/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `cob du` and `cob prune` show of a record, as buildx shows it.
 */
#pragma once

#include "build/gc/gc.h"

/* "id  true  1.2GB  2 days ago" as buildx prune prints its rows; the header before the first. */
void usage_append_header(GString *out);
void usage_append_row(GString *out, const struct cob_gc_record *record, uint64_t bytes);

/* A block of lines and an empty one, as buildx du --verbose has it. */
void usage_append_block(GString *out, const struct cob_gc_record *record, uint64_t bytes);

/* "1.2GB", with an asterisk when others have a part in it. The caller frees it. */
char *usage_size(const struct cob_gc_record *record, uint64_t bytes);

/* "2024-05-01 10:00:00 +0000 UTC"; "" for 0. The caller frees it. */
char *usage_time(int64_t at_us);
