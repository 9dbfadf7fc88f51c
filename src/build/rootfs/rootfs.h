/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the root file system of an image: paths walked as in a chroot, and users looked up in the
 * image's own files. Nothing in it is trusted: symlinks are read, never followed by the kernel, and
 * a FIFO where a file should be does not block.
 *
 * threads:  any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"

enum cob_rootfs_wish {
    COB_ROOTFS_FIND,      /* it must be there */
    COB_ROOTFS_MAKE_DIR,  /* a directory, made with its parents where it is missing */
    COB_ROOTFS_MAKE_FILE, /* a file, made with its parents where it is missing */
};

struct cob_rootfs_walk {
    int root_fd;
    const char *path;
    enum cob_rootfs_wish wish;
    bool is_guarded; /* refuse what is at or below /proc, /sys, /dev */
    GArray *made;    /* struct cob_rootfs_made: note what was made; NULL: nobody asks */
};

/* Something that a walk made. */
struct cob_rootfs_made {
    char *parent; /* path in the root, without symlinks */
    char *name;
    dev_t dev;
    ino_t ino;
};
GArray *cob_rootfs_made_new(void);

/*
 * Walk a path on descriptors.
 *
 * ret_fd:    O_PATH, never a symlink; the caller's.
 * ret_path:  the way without symlinks, "/a/b"; the caller's. May be NULL.
 * errors:    COB_NOT_FOUND; COB_INVALID for a loop, or for what is guarded.
 */
COB_RESULT struct cob_error *cob_rootfs_walk(
    const struct cob_rootfs_walk *walk, int *ret_fd, char **ret_path);

/* Take away what is still as it was made, last first; parents keep their times. */
void cob_rootfs_unmake(int root_fd, GArray *made);

/* Who a process in the root is. */
struct cob_rootfs_identity {
    uint32_t uid, gid;
    GArray *groups; /* uint32_t, owned: supplementary ids */
};

/* USER by the image's passwd and group: "name|uid[:group|gid]"; NULL or "": root.
 * errors: COB_INVALID: there is none such; COB_PRECONDITION: this user namespace has no such id. */
COB_RESULT struct cob_error *cob_rootfs_identify(
    int root_fd, const char *user, struct cob_rootfs_identity *ret_identity);

/* The home of a user by the image's passwd: the sixth field of USER's entry.
 * ret_home: the caller's; NULL: it has none, or none that is an absolute path. */
COB_RESULT struct cob_error *cob_rootfs_home(int root_fd, const char *user, char **ret_home);

/* Has this user namespace these ids? Asked before they are used, since the kernel says no more than
 * EINVAL.  errors: COB_PRECONDITION, with what to do. */
COB_RESULT struct cob_error *cob_rootfs_check_ids(uint32_t uid, uint32_t gid);
