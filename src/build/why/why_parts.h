/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of why share.
 *
 *     why_facts.c    a step in a build graph -> facts
 *     why_values.c   the facts of one op: commands, mounts, file actions
 *     why_files.c    lists of files: written, read, compared
 *     why_compare.c  two steps' facts -> lines of text
 */
#pragma once

#include "build/why/why.h"

/* The prefix of what stands for a value that is a secret. */
#define WHY_SECRET_PREFIX "secret:"

/* Fill what is particular to an op into facts: values, env, mounts. */
void why_add_values(json_t *facts, const struct cob_llb_vertex *vertex, GHashTable *args);

/* A value into an object; long ones by their beginning and a digest. text: NULL: nothing is set. */
void why_set(json_t *object, const char *key, const char *text);

/* A variable into the facts, as "ARG NAME" where `args` has the name, else as "ENV NAME". */
void why_set_variable(json_t *facts, const char *name, const char *value, GHashTable *args);
