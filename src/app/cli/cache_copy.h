/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files between a cache mount and the user's own folders, by the rules of `docker cp`. Nothing that
 * a build put into the mount leads out of it: its paths are walked as in a chroot.
 *
 *     source      destination             becomes
 *     file        not there               that file
 *     file        DIR/ that is not there  an error
 *     file        a file                  in its place
 *     file        a directory             a file in it
 *     directory   not there               that directory
 *     directory   a file                  an error
 *     directory   a directory             a directory in it
 *     DIR/.       a directory             what is in DIR, in it
 *
 * Files keep mode and time. They belong to who asks, in a mount to root; with is_archive to those
 * whose they were.
 */
#pragma once

#include "util/cancel.h"
#include "util/error.h"

struct cache_copy {
    int cache_fd; /* the mount's directory */
    const char *cache_path, *host_path;
    bool is_archive;
    bool is_following; /* a symlink as the source */
    int stage_fd;      /* a folder for what is on its way */
    int draft_fd;      /* where a file for the mount is made; -1: beside its place */
    struct cob_cancel *cancel;
};

/* host_path: "-": a tar on standard output, from standard input. */
COB_RESULT struct cob_error *cache_copy_out(const struct cache_copy *copy);
COB_RESULT struct cob_error *cache_copy_in(const struct cache_copy *copy);
