/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of a tar -> files below a directory. extract_path.c finds and makes the way to an entry,
 * extract.c makes the entry.
 */
#pragma once

#include "disk/layer/layer.h"
#include <sys/stat.h>

#include "disk/layer/tar.h"

/* A directory whose times are set at the end, because every file in it would change them. Found
 * again by its path, and touched only when it still is the same inode. */
struct extract_dir {
    char *path;
    ino_t ino;
    int64_t mtime;
    uint32_t mtime_ns;
    mode_t mode;
    bool has_mode;   /* it denies its owner access: set at the end, too */
    bool is_implied; /* no entry named it */
};

struct extract {
    const struct cob_layer_unpack_request *request;
    GPtrArray *dirs;         /* struct extract_dir, owned, in the order of their making */
    GHashTable *dirs_by_ino; /* ino_t -> struct extract_dir, borrowed from dirs */
    uint64_t dir_path_bytes;
    char *parent;            /* the path that parent_fd was opened by; NULL: none */
    int parent_fd;           /* O_PATH */
    bool is_parent_stale;    /* something was removed that the path may have led through */
    int root_fd;             /* for ADD and layers alike what nothing leaves; borrowed */
    int fd;                  /* the file that is being written; -1: its data is passed over */
    struct tar_entry *entry; /* being written; its name is cleaned */
    uint64_t n_entries, n_bytes;
    uint64_t n_unchecked; /* bytes written since the last look at the free space */
    unsigned n_warnings;
    bool is_root; /* nothing denies us */
};

/* Begin below request->dir_fd; the request is borrowed until extract_done(). */
void extract_init(struct extract *extract, const struct cob_layer_unpack_request *request);
/* Files that were begun stay. */
void extract_done(struct extract *extract);

/* For a tar_reader; its arg is the struct extract. */
extern const struct tar_events extract_events;

/* Set what had to wait.
 * ret_implied: as in cob_layer_unpack_result. */
COB_RESULT struct cob_error *extract_finish(struct extract *extract, GPtrArray **ret_implied);

/* --- between the two files --- */

/* The components of a name without ".", ".." and doubled slashes, in a path that begins without a
 * slash; "" is the root.
 * ret_leads_out: ".." went past the root, and was left out there. */
COB_RESULT struct cob_error *extract_clean_path(
    const char *name, GString *ret_path, bool *ret_leads_out);

/* Open the directory in which an entry goes, O_PATH; made with all its parents where missing.
 * ret_fd: borrowed, until the next call. */
COB_RESULT struct cob_error *extract_open_parent(
    struct extract *extract, const char *path, int *ret_fd);
/* Record a directory, or what is new about it. path: as it was named. */
COB_RESULT struct cob_error *extract_note_dir(
    struct extract *extract, const char *path, int dir_fd, const struct extract_dir *facts);

/* Overlayfs's mark for a file that is gone. */
static inline bool extract_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* Nothing of the layers below shows in this directory. */
COB_RESULT struct cob_error *extract_set_opaque(
    struct extract *extract, int parent_fd, const char *name);
