/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References to git repositories, as a build context or a source of ADD is given.
 *
 *     https://host[:port]/path.git[?query][#ref[:subdir]]      http, too; others are plain URLs
 *     ssh://[user@]host/path, git://host/path                  likewise
 *     user@host:path[?query][#ref[:subdir]]                    ssh, as scp writes it
 *     github.com/owner/repo...                                 old; a local path looks the same
 *
 *     query     ref=, tag=, branch=, subdir=, checksum= or commit=, keep-git-dir, submodules,
 *               mtime=checkout|commit, fetch-by-commit
 *
 * What is read here goes to a program's command line later: no host, user, path or ref begins with
 * '-', and a ref has nothing that git would take for more than a name.
 *
 * spec: BuildKit frontend/dockerfile/dfgitutil/git_ref.go, util/gitutil/git_url.go. There a
 *       password stays in the URL; here it is taken out of it. There the subdir of a query stays as
 *       it was written.
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

enum cob_gitref_scheme { COB_GITREF_HTTPS, COB_GITREF_HTTP, COB_GITREF_SSH, COB_GITREF_GIT };

/* What a query says of a switch. */
enum cob_gitref_choice { COB_GITREF_UNSAID, COB_GITREF_NO, COB_GITREF_YES };

/* A reference. Immutable. */
struct cob_gitref {
    enum cob_gitref_scheme scheme;
    char *remote;   /* for git: the URL without query, fragment and, but for ssh, without user */
    char *host;     /* lower case, with :port if it was written, IPv6 in brackets */
    char *path;     /* as written; begins with '/' in a URL, not as scp writes it */
    char *user;     /* NULL: none */
    char *password; /* NULL: none; always for http and https alone */
    char *ref;      /* branch, tag, commit or refs/...; NULL: what the remote's HEAD says */
    char *subdir;   /* relative and clean, "a/b"; NULL: all of it */
    char *checksum; /* hex digits of a commit, also the first of them; NULL: none */
    enum cob_gitref_choice keep_git_dir, submodules;
    bool is_mtime_of_commit; /* files get the time of the commit */
    bool is_by_commit;       /* fetch `checksum`, whatever `ref` is now */
    bool is_like_a_path;     /* the old form */
};

/*
 * Read a reference.
 *
 * ret_ref:  the caller's; NULL when the text is something else: a path, a plain URL.
 * errors:   COB_INVALID: it means a repository, and is wrong. No password is in the text.
 */
COB_RESULT struct cob_error *cob_gitref_parse(const char *text, struct cob_gitref **ret_ref);

/* NULL is passed over. */
void cob_gitref_free(struct cob_gitref *ref);
COB_AUTOPTR(cob_gitref, cob_gitref_free)

/* Is it a whole commit id, 40 or 64 lower-case hex digits? */
bool cob_gitref_is_commit(const char *text);

/* May it stand where git expects the name of a ref, and be nothing else there?
 * spec: git-check-ref-format(1), and no '-' at its beginning. */
bool cob_gitref_is_name(const char *text);

/*
 * A URL alone, without query and fragment, whatever its path; that of a submodule may begin with
 * "./" or "../", and is then meant from its parent's.
 *
 * parent:   the remote of the repository that has the submodule; NULL: it is none.
 * errors:   COB_INVALID: not a URL that git may be given.
 */
COB_RESULT struct cob_error *cob_gitref_of_url(
    const struct cob_gitref *parent, const char *url, struct cob_gitref **ret_ref);
