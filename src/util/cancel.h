/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wish that something stop: set once, never unset, seen by everyone who holds it.
 *
 * Whoever does something slow takes a `struct cob_cancel *` and either asks now and then, or polls
 * the descriptor beside its own.
 *
 * threads:  any.
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

struct cob_cancel;

/* errors: no descriptor left. */
COB_RESULT struct cob_error *cob_cancel_new(struct cob_cancel **ret_cancel);

/* A wish that is there, too, once its parent is. What is done for the parent can be stopped by
 * itself.  parent: NULL: there is none; else a reference is taken. */
COB_RESULT struct cob_error *cob_cancel_new_below(
    struct cob_cancel *parent, struct cob_cancel **ret_cancel);

/* Hold it once more; let go of it. */
struct cob_cancel *cob_cancel_ref(struct cob_cancel *cancel);
void cob_cancel_unref(struct cob_cancel *cancel);
COB_AUTOPTR(cob_cancel, cob_cancel_unref)

/* Make the wish known. Async-signal-safe. */
void cob_cancel_trigger(struct cob_cancel *cancel);

/* NULL was never cancelled. */
bool cob_cancel_is_set(const struct cob_cancel *cancel);

/* Readable once the wish is there; borrowed. -1 for NULL, which poll() passes over. */
int cob_cancel_fd(const struct cob_cancel *cancel);

/* errors: COB_CANCELLED once the wish is there. */
COB_RESULT struct cob_error *cob_cancel_check(const struct cob_cancel *cancel);
