/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Git repositories of others: what a ref names now, its commit brought into a mirror on this
 * machine, its files written into a directory.
 *
 *     resolve   ls-remote: one question, no objects    a name -> a commit
 *     fetch     into <mirror>, a bare repository       that commit alone, if the server can
 *     checkout  from <mirror>                          files, with .git or without
 *
 * It runs Debian's `git`, sealed off: no configuration of the machine or the user, no prompt, no
 * hooks, no other protocols than http, https, ssh and git, no submodule machinery (submodules are
 * listed, and are for the caller to bring, each as a repository of its own), nothing from outside
 * before "--". Credentials go to it by its environment, never by arguments or files, and to the
 * server of the URL alone.
 *
 * Whoever calls has the mirror alone as long as a call runs, also among processes.
 *
 * threads:  any; one call at a time for a mirror.
 * spec:     BuildKit source/git/source.go, util/gitutil/git_cli.go. There submodules are brought by
 *           `git submodule`, and leave .git files behind that name folders of the builder.
 */
#pragma once

#include <sys/types.h>

#include "spec/gitref/gitref.h"
#include "util/cancel.h"

/* A repository of others, and how to reach it. All borrowed. */
struct cob_git_remote {
    const struct cob_gitref *place; /* scheme, host and remote count */
    const char *authorization;      /* the header's value, for http and https; NULL: none */
    const char *ssh_socket;         /* of an agent; NULL: none */
    const char *known_hosts;        /* a file that ssh reads and adds to; NULL: nobody is known */
    const char *mirror; /* absolute; made by the first fetch, its parent must be there */
    void (*log)(void *arg, const void *data, size_t len); /* what git says. May be NULL */
    void *arg;
};

/* What a name was found to be. */
struct cob_git_commit {
    char *id;     /* of the object that the ref names: a commit, or a tag with a text of its own */
    char *commit; /* the commit; the same as id when that is no tag, or was not looked at */
    char *ref;    /* in full, "refs/heads/main"; NULL: it was named by its id */
};
void cob_git_commit_done(struct cob_git_commit *commit);

/*
 * Find out what the reference `place` of a remote names now: its ref, or where the remote's HEAD
 * is. A whole commit id is what it is, and nobody is asked. The first digits of one are looked for
 * among all that the remote has, which is fetched for it.
 *
 * errors:  COB_NOT_FOUND; COB_PRECONDITION when it is not what `place` has as checksum;
 *          COB_UNAUTHENTICATED; COB_UNAVAILABLE; COB_UNIMPLEMENTED without git on this machine.
 */
COB_RESULT struct cob_error *cob_git_resolve(
    const struct cob_git_remote *remote, struct cob_cancel *cancel, struct cob_git_commit *ret);

/* Bring a commit into the mirror, if it is not there.
 * commit: its `commit` is filled in when id turns out to be a tag. */
COB_RESULT struct cob_error *cob_git_fetch(
    const struct cob_git_remote *remote, struct cob_git_commit *commit, struct cob_cancel *cancel);

/*
 * Write the files of a commit, which was fetched, into an empty directory.
 *
 * keeps_git_dir:  with a .git that has this one commit, its ref, and the remote as "origin".
 */
COB_RESULT struct cob_error *cob_git_checkout(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, bool keeps_git_dir, int dir_fd, struct cob_cancel *cancel);

/* When a commit was made, in seconds since 1970. */
COB_RESULT struct cob_error *cob_git_time(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, struct cob_cancel *cancel, int64_t *ret_time_s);

/* A submodule of a commit: which commit of which repository belongs where. */
struct cob_git_submodule {
    char *path; /* relative, in the checkout; not to be followed through symlinks */
    char *commit;
    struct cob_gitref *place;
};
void cob_git_submodule_free(struct cob_git_submodule *module);

/* The submodules of a commit that was fetched, less those that say "update = none".
 * ret_modules: GPtrArray of struct cob_git_submodule, owned.
 * errors: COB_INVALID for a URL that is not followed; COB_EXHAUSTED past COB_LIMIT_SUBMODULES. */
COB_RESULT struct cob_error *cob_git_submodules(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, struct cob_cancel *cancel, GPtrArray **ret_modules);
