/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a step was not cached: what its cache keys are made of, kept as facts, and two steps' facts
 * compared, in words for people.
 *
 *     base image golang:1.21 moved 3c1e0b8a72f1… → 90d4be1c5a77…
 *     ARG VERSION 1 → 2              ENV and other values likewise; of secrets: "ARG TOKEN changed"
 *     the instruction's text changed: RUN make → RUN make -j4
 *     mount type=cache,target=/root/.cache added
 *     network default → host         security, user, platform likewise
 *     main.go changed                3 files added under src/: a, b, c
 *     mode of run.sh changed 0644 → 0755
 *     an earlier step ran: #5
 *
 * Facts are JSON, so that those of another version of cob can still be read as far as they agree:
 *
 *     {"kind": "exec", "text": "RUN make", "op": "sha256:...",
 *      "values": {"command": ..., "user": ...}, "env": {"ARG VERSION": "1"}, "mounts": [...],
 *      "inputs": [{"name", "definition", "result", "content", "source"}]}
 *
 * Nothing here does I/O. What a step takes of files is known by lists: see cob_why_list_new().
 *
 * threads:  any.
 * spec:     docs/why.md
 */
#pragma once

#include <jansson.h>

#include "build/solver/solver.h"

/* --- facts --- */

/* A step and its place: "[linux/arm64 builder 2/6] RUN make" is number 2 of "linux/arm64 builder".
 * ret_stage: the caller's; "" without one. Returns the number, 0: it has none. */
unsigned cob_why_place(const char *name, char **ret_stage);

/* The lines of the user's file that a vertex comes from, blanks made one, or else its name. The
 * caller frees it. */
char *cob_why_text(const struct cob_llb_vertex *vertex);

/* The arguments that a Dockerfile declares, with their defaults: name -> value or NULL, owned. The
 * caller unrefs it. A hint for the words alone: it reads lines, not the language. */
GHashTable *cob_why_args(GBytes *dockerfile);

/* What the keys of a vertex are made of.
 * args: as cob_why_args() has them, with what this build was given.  The caller decrefs it. */
json_t *cob_why_facts(const struct cob_solver_miss *miss, GHashTable *args);

/* --- lists of files --- */

/*
 * What a content digest was made of: for each file its path, type, mode, owner and a mark of what
 * it holds. Paths in the order of the walk share their beginnings with the one before:
 *
 *     "cobw" 1  { shared, length, suffix, change of mode, [uid, gid,] mark }...
 *
 * Numbers are LEB128, but for the mark, which has four bytes, little endian. The change of mode is
 * (mode ^ that of the entry before) << 1, plus 1 where the owner is another one and follows.
 */
struct cob_why_list;
struct cob_why_list *cob_why_list_new(void);
void cob_why_list_free(struct cob_why_list *list);
COB_AUTOPTR(cob_why_list, cob_why_list_free)

struct cob_why_file {
    const char *path; /* from the root of the tree, without a slash before it */
    uint32_t mode, uid, gid;
    uint32_t mark; /* of its content: of a change it tells all but one in 2^32; 0 for a directory */
};
void cob_why_list_add(struct cob_why_list *list, const struct cob_why_file *file);

/* The list as bytes, the caller's. NULL: past COB_LIMIT_WHY_FILES or COB_LIMIT_WHY_LIST_BYTES. */
GBytes *cob_why_list_finish(struct cob_why_list *list);

/* What is different between two lists, a line for each kind of change, appended to `reasons`.
 * false: they cannot be read, or nothing is different: nothing was appended. */
bool cob_why_compare_files(GBytes *before, GBytes *now, GPtrArray *reasons);

/* --- comparing --- */

/* How much is different; 0: nothing. */
unsigned cob_why_distance(const json_t *before, const json_t *now);

/* What is known of an input beside its facts. */
struct cob_why_input {
    int number; /* "#5"; 0: it was not shown */
    bool has_run;
    GBytes *files_before, *files_now; /* NULL: not known */
};

/* Say what is different.
 * inputs: one an input of `now`.  reasons: char *, owned; gets a line each, the nearest first. */
void cob_why_compare(const json_t *before, const json_t *now, const struct cob_why_input *inputs,
    GPtrArray *reasons);
