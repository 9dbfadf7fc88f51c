/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings that are about the build as a whole: kept until its end, each once, by their lines.
 */
#pragma once

#include "build/event.h"

struct notes {
    GPtrArray *list;  /* struct note *, owned */
    GHashTable *seen; /* their texts, borrowed */
    bool is_expanded; /* each comes with all that is known of it */
};

/* An empty list; its end. */
void notes_init(struct notes *notes);
void notes_done(struct notes *notes);

/* Keep a warning, unless it is there. */
void notes_add(struct notes *notes, const struct cob_event_warning *event);

/* " 2 warnings found (use cob --debug to expand):" and a line or more for each; nothing when there
 * are none.
 * spec: buildx commands/build.go, printWarnings. */
void notes_append(GString *out, const struct notes *notes, bool has_colours);
