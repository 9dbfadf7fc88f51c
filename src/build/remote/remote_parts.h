/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this module share.
 *
 *     remote.c           the source, the table of snapshots, locks, secrets
 *     remote_file.c      files by URL
 *     remote_archive.c   archives by URL, unpacked
 *     remote_list.c      what there is of mirrors, and how it goes
 *     remote_git.c       git: from a reference to a snapshot
 *     remote_checkout.c  a commit's files, its submodules, a subdirectory of it
 */
#pragma once

#include "build/remote/remote.h"
#include "net/git/git.h"
#include "net/http/http.h"
#include "util/digest.h"

struct cob_remote_source {
    struct cob_store *store;
    GMutex lock;           /* guards http until it is there */
    struct cob_http *http; /* NULL until something is downloaded */
};

/* The snapshot that was made under a key; NULL: none is left.  key: a digest. */
COB_RESULT struct cob_error *remote_find_snapshot(
    struct cob_remote_source *source, const char *key, struct cob_snapshot **ret_snapshot);

/* Commit a draft under a key. draft: taken. */
COB_RESULT struct cob_error *remote_commit(struct cob_remote_source *source, const char *key,
    const char *description, struct cob_snapshot_draft *draft, struct cob_snapshot **ret_snapshot);

/* Wait for a lock that one process has at a time. */
COB_RESULT struct cob_error *remote_lock(struct cob_remote_source *source, const char *key,
    struct cob_cancel *cancel, struct cob_store_lock **ret_lock);

/* The secret `name`, or `name`, `separator` and `host`: as one line of text, the caller's; NULL:
 * there is none, or no name. */
COB_RESULT struct cob_error *remote_secret(const struct cob_remote_client *client, const char *name,
    const char *separator, const char *host, char **ret_text);

/* --- remote_file.c --- */

/* What was downloaded, as a snapshot of one file. */
COB_RESULT struct cob_error *remote_file_snapshot(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_blob *blob,
    struct cob_snapshot **ret_snapshot);

/* --- remote_list.c --- */

/* Note how large a mirror is, and that it was used. Its lock is held.
 * dir_fd, name: git/, and its folder there. */
COB_RESULT struct cob_error *remote_note_mirror(
    struct cob_store *store, int dir_fd, const char *name, const char *remote);

/* The key of the lock of a mirror, by the name of its folder. The caller frees it. */
char *remote_mirror_key(const char *name);

/* --- remote_checkout.c --- */

/* A repository with its mirror, being worked on. */
struct checkout_job {
    struct cob_remote_source *source;
    const struct cob_remote_git *git;
    const struct cob_remote_client *client;
    struct cob_cancel *cancel;
    unsigned n_modules; /* brought so far */
};

/* Run `work` with the mirror of a place locked, whole, and with credentials. */
COB_RESULT struct cob_error *remote_with_mirror(const struct checkout_job *job,
    const struct cob_gitref *place, bool is_module,
    struct cob_error *(*work)(void *arg, const struct cob_git_remote *remote), void *arg);

/* Write a commit's files with its submodules, or those of the subdirectory alone, into an empty
 * directory. */
COB_RESULT struct cob_error *remote_check_out(
    struct checkout_job *job, struct cob_git_commit *commit, int dir_fd);
