/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Git, run: its arguments, its environment, what it said.
 */
#pragma once

#include <glib.h>

#include "net/git/git.h"

#define MAX_ARGS 24

/* One run. Zero means: without. */
struct git_call {
    const char *args[MAX_ARGS]; /* behind "git" and what all runs have; NULL-terminated */
    int work_fd;                /* the directory to stand in, and the work tree; 0: none */
    bool is_in_work_tree;       /* its repository is .git in work_fd, not the mirror */
    bool is_without_repository; /* neither */
    bool is_local;              /* it may read the mirror by file://, and nothing else */
    bool is_quiet;              /* what it says is not logged */
};

/*
 * Run git to its end.
 *
 * ret_out:  what it printed, NULs and all; the caller's. NULL: not wanted.
 * errors:   by what git says: COB_NOT_FOUND, COB_UNAUTHENTICATED, COB_UNAVAILABLE, else
 *           COB_UNKNOWN; the text is git's last word, less secrets.
 */
COB_RESULT struct cob_error *git_run(const struct cob_git_remote *remote,
    const struct git_call *call, struct cob_cancel *cancel, GString **ret_out);

/* Does git succeed? What it says does not matter. */
COB_RESULT struct cob_error *git_succeeds(const struct cob_git_remote *remote,
    const struct git_call *call, struct cob_cancel *cancel, bool *ret_does);

/* Make the mirror, if it is not there.
 * id: of an object, whose length says which hash. */
COB_RESULT struct cob_error *git_make_mirror(
    const struct cob_git_remote *remote, const char *id, struct cob_cancel *cancel);

/* Fetch all branches and tags into the mirror. */
COB_RESULT struct cob_error *git_fetch_all(
    const struct cob_git_remote *remote, struct cob_cancel *cancel);
