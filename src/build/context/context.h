/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree that steps copy from: the user's build context, or the root file system of a snapshot.
 *
 * It is not copied anywhere first. It is walked once, with its ignore rules, and only where
 * somebody is going to look (`paths`); what a file holds is digested when a selection asks for it.
 * A copy reads the user's own files, below the directory's descriptor, and notices when one
 * changed.
 *
 * A file's digest comes from the stat cache when device, inode, size, mtime and ctime are what they
 * were, and both times were already past when the cache was made (git's rule for racy times); else
 * from its bytes. So equal size and mtime with other bytes are never taken for the same file.
 *
 * Entries are numbered in the order of a walk: a directory, then all below it, names in the order
 * of their bytes. Entry 0 is the root. A subtree is a run of numbers: [i, cob_context_end(i)).
 *
 * threads:  open, then any; cob_context_digest() may run in several threads.
 * spec:     BuildKit docs, "build context"; fsutil; git Documentation/technical/racy-git.txt.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lang/ignore/ignore.h"
#include "util/cancel.h"
#include "util/digest.h"

struct cob_context;

/* Zero and NULL mean: default. All borrowed for the call, but dir_fd. */
struct cob_context_request {
    int dir_fd;                      /* the root, opened O_RDONLY|O_DIRECTORY; duplicated */
    const struct cob_ignore *ignore; /* NULL: nothing is left out */
    const char *const *paths; /* COPY sources, with wildcards; NULL: the whole tree. What else
                                      * a symlink on the way needs is walked, too */
    bool is_image;            /* owners count, and are kept; else all belongs to 0:0 */
    GBytes *cache;            /* what cob_context_cache() gave for this root before */
};

/* Walk the tree.
 * errors: an unreadable directory, with its path. An unreadable file matters when it is needed. */
COB_RESULT struct cob_error *cob_context_open(const struct cob_context_request *request,
    struct cob_cancel *cancel, struct cob_context **ret_context);
void cob_context_close(struct cob_context *context);
COB_AUTOPTR(cob_context, cob_context_close)

/* The stat cache with what was learned, to be kept for the next build of this root.
 * ret: the caller's; NULL when nothing is new. */
GBytes *cob_context_cache(struct cob_context *context);

/* How much was walked, and read because the stat cache did not know it. */
struct cob_context_effort {
    uint64_t n_entries, n_files_read, bytes_read;
};
struct cob_context_effort cob_context_effort(const struct cob_context *context);

/* One entry. Text is borrowed from the context. */
struct cob_context_entry {
    const char *path;   /* from the root, no slash before or behind; "" for the root itself */
    const char *name;   /* the last part of it */
    const char *target; /* of a symlink; else NULL */
    mode_t mode;        /* type and permissions */
    uid_t uid;          /* 0 unless is_image */
    gid_t gid;
    dev_t rdev;
    uint64_t size;
    int64_t mtime_ns;
    dev_t dev;
    uint64_t inode; /* with n_links > 1: equal numbers on one dev are the same file */
    uint32_t n_links;
};
struct cob_context_entry cob_context_get(const struct cob_context *context, size_t index);
size_t cob_context_n_entries(const struct cob_context *context);
size_t cob_context_end(const struct cob_context *context, size_t index);

/* How a COPY source is read. */
enum cob_context_select_flags {
    COB_CONTEXT_WILDCARD = 1 << 0,     /* `pattern` is one, in the manner of Go's filepath.Match */
    COB_CONTEXT_FOLLOW_LINKS = 1 << 1, /* a symlink as last part is followed, within the root */
};

/* An entry that a COPY source names. */
struct cob_context_match {
    size_t index;
    size_t named; /* the entry by whose name it was found: the symlink that led to `index`, or
                   * `index` itself. A copy has this one's name */
};

/*
 * Find the entries that a COPY source names. Symlinks on the way and ".." are followed within the
 * root, as in a chroot.
 *
 * ret_matches:  GArray of struct cob_context_match, in the order of `named`, each once; the
 *               caller's. Empty when nothing matches: whether that is an error depends on the
 *               instruction.
 */
COB_RESULT struct cob_error *cob_context_select(
    struct cob_context *context, const char *pattern, unsigned flags, GArray **ret_matches);

/* What a filter says about an entry, for a digest or a copy. */
enum cob_context_verdict {
    COB_CONTEXT_LEAVE, /* it, and all below it */
    COB_CONTEXT_TAKE,
    COB_CONTEXT_PASS, /* a directory that takes part only if something below it does */
};

/* path: from the selected entry, below it. Asked in the order of the walk, not below what is left.
 */
typedef enum cob_context_verdict (*cob_context_filter)(void *arg, const char *path, bool is_dir);

/*
 * The digest of an entry and, if it is a directory, of all below it: for each its path from the
 * selected entry, type, permissions, owner, size, link target, device, xattrs (user.* and
 * security.capability), bytes. No times. The selected entry's own name counts too, if it is no
 * directory.
 *
 * filter:  NULL: everything.
 * errors:  a file that cannot be read; COB_CANCELLED.
 */
COB_RESULT struct cob_error *cob_context_digest(struct cob_context *context, size_t index,
    cob_context_filter filter, void *arg, struct cob_cancel *cancel, struct cob_sha256 *ret_sha);

/* The entries that such a digest is made of, in its order, through a callback. After the digest it
 * costs no more than the walk through what is in memory. */
typedef void (*cob_context_visit)(void *arg, size_t index);
COB_RESULT struct cob_error *cob_context_each(struct cob_context *context, size_t index,
    cob_context_filter filter, void *filter_arg, cob_context_visit visit, void *visit_arg);

/* What a file holds, if it was digested. */
bool cob_context_known_digest(
    struct cob_context *context, size_t index, struct cob_sha256 *ret_sha);

/* Open a regular file for reading; its size and times are what the walk saw.
 * errors: COB_ABORTED "file changed while it was copied" when they are not. */
COB_RESULT struct cob_error *cob_context_open_file(
    struct cob_context *context, size_t index, int *ret_fd);

/* After reading it to the end: is it still what cob_context_open_file() saw?
 * errors: COB_ABORTED, as above. */
COB_RESULT struct cob_error *cob_context_check_file(
    struct cob_context *context, size_t index, int fd);

typedef struct cob_error *(*cob_context_each_xattr)(
    void *arg, const char *name, const void *value, size_t len);

/* The xattrs that a copy keeps, through a callback: user.* and security.capability, sorted. */
COB_RESULT struct cob_error *cob_context_xattrs(
    struct cob_context *context, size_t index, cob_context_each_xattr each, void *arg);

/* The same, of a file that cob_context_open_file() opened. */
COB_RESULT struct cob_error *cob_context_file_xattrs(
    int fd, cob_context_each_xattr each, void *arg);
