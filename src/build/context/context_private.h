/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree in memory: entries in one array, their texts in one buffer. 50,000 files are 4 MB, and as
 * many bytes as their paths have, and 32 each when something is digested.
 */
#pragma once

#include "build/context/context.h"
#include "util/statcache.h"

#define CONTEXT_MAX_LINKS 255 /* symlinks on the way of one lookup */

struct context_entry {
    uint64_t dev, inode;
    uint64_t size; /* of a device its number */
    int64_t mtime_ns, ctime_ns;
    uint32_t path, target; /* where they begin in the texts; target 0: no symlink */
    uint32_t parent, end;  /* entries */
    uint32_t mode, uid, gid, n_links;
    uint32_t name; /* where the name begins in the path */
};

struct cob_context {
    int root_fd;
    bool is_image;
    int64_t start_ns; /* before the walk, by the clock that file systems stamp with */
    GArray *entries;  /* struct context_entry */
    GString *texts;   /* NUL-terminated; byte 0 is the "" of the root */
    struct cob_statcache *known;

    GMutex lock;             /* guards what is below */
    struct cob_sha256 *shas; /* one for each entry; NULL before the first */
    uint8_t *has_sha;        /* for each entry */
    struct cob_context_effort effort;
    uint64_t n_new; /* digests that the stat cache did not know */
};

/* Borrowed, until the array grows. */
static inline const struct context_entry *context_at(const struct cob_context *context, size_t i)
{
    return &g_array_index(context->entries, struct context_entry, i);
}

/* The path of an entry, from the root; borrowed until the texts grow. */
static inline const char *context_path(const struct cob_context *context, size_t i)
{
    return context->texts->str + context_at(context, i)->path;
}

/* Walk the tree into the context, from nothing.
 * paths: clean, NULL for all. */
COB_RESULT struct cob_error *context_walk(struct cob_context *context,
    const struct cob_ignore *ignore, GPtrArray *paths, struct cob_cancel *cancel);

/* Is the file behind a descriptor what the walk saw? */
COB_RESULT struct cob_error *context_check(const struct cob_context *context, size_t index, int fd);

/* Fill the parts of an entry that a stat gives. */
struct stat;
void context_fill(struct context_entry *entry, const struct stat *st);

/*
 * Look a path up among the entries.
 *
 * ret_matches:  struct cob_context_match, as cob_context_select() has them. NULL: not wanted.
 * follow_paths: gets each path that a symlink led to, with what was still to come, as new text. May
 *               be NULL.
 * errors:       COB_INVALID: symlinks go round in circles, or a broken wildcard.
 */
COB_RESULT struct cob_error *context_look_up(const struct cob_context *context, const char *pattern,
    unsigned flags, GArray *ret_matches, GPtrArray *follow_paths);

/* ---- the stat cache ---- */

/* What the stat cache compares. */
struct cob_statcache_file context_stat_of(const struct context_entry *entry);

/* All that is known now, of files whose times are past; see context.h. */
GBytes *context_cache_write(struct cob_context *context);
