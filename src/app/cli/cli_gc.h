/* SPDX-License-Identifier: Apache-2.0 */
/* Garbage collection behind a command's end: a process of its own, which the user does not wait
 * for. */
#pragma once

#include "disk/store/store.h"

/* Is there anything to collect? What is wrong with cob.toml is shown as a warning. */
bool cli_gc_is_due(struct cob_store *store);

/* Start `cob prune --gc` in the background, with the least of priorities, and let it be. */
void cli_gc_start(const char *store_path);
