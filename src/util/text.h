/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people: made harmless, made short, and compared the way people mistype.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Append text from outside so that a terminal shows it and obeys none of it: control characters
 * except tab, marks that change the direction of text, and bytes that are not UTF-8, become
 * \xNN. */
void cob_text_append_visible(GString *out, const char *text, size_t len);

/* The same as a new string. The caller frees it. */
char *cob_text_visible(const char *text);

/* A size as docker prints it: "0B", "2.01kB", "14.3MB", "1.2GB"; powers of 1000, three digits. The
 * caller frees it.
 * spec: go-units size.go, HumanSize. */
char *cob_text_size(uint64_t bytes);

/* The other way round, with powers of 1024 as memory has them: "64m", "1.5 GiB", "100".
 * spec: go-units size.go, RAMInBytes. */
bool cob_text_read_size(const char *text, int64_t *ret_bytes);

/* How long ago, as docker prints it: "Less than a second", "5 minutes", "About an hour", "3 days".
 * The caller frees it.
 * spec: go-units duration.go, HumanDuration. */
char *cob_text_duration(int64_t seconds);

/* The word of a NULL-terminated list that `word` is a likely misspelling of, ASCII case aside, or
 * NULL when none is near.
 * spec: BuildKit util/suggest: at most a third of its letters differ (at least one may). */
const char *cob_text_suggest(const char *word, const char *const *known);

/* How many letters must be changed, added or left out, or neighbours swapped, ASCII case aside. */
unsigned cob_text_distance(const char *a, const char *b);
