/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this module share.
 *
 *     gc_list.c     all records of a store
 *     gc_words.c    sizes and durations as people write them
 *     gc_filter.c   --filter
 *     gc_policy.c   cob.toml
 *     gc_plan.c     records and numbers in, removals out
 *     gc_run.c      removals carried out
 *     gc_due.c      is it worth a look?
 */
#pragma once

#include <inttypes.h>

#include "build/gc/gc.h"

/* How much a space is on this disk. */
uint64_t gc_space_bytes(const struct cob_gc_space *space, const struct cob_gc_disk *disk);

/* For the text of a rule: "10GB", "20%", "min(10%, 10GB)"; "60d". The caller frees them. */
char *gc_space_text(const struct cob_gc_space *space);
char *gc_size_text(uint64_t bytes);
char *gc_duration_text(int64_t us);
