/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "net/git/git_run.h"
#include "util/digest.h"

/* The ref in the mirror that holds a commit: no name that could be in another's way. The caller
 * frees it. */
static char *mirror_ref(const struct cob_git_commit *commit)
{
    const char *name = commit->ref ? commit->ref : commit->id;
    g_autofree char *digest = cob_digest_of(name, strlen(name));

    return g_strconcat("refs/cob/", digest + strlen(COB_DIGEST_PREFIX), NULL);
}

static struct cob_error *is_here(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, struct cob_cancel *cancel, bool *ret_is_here)
{
    g_autofree char *name = g_strconcat(commit->id, "^{commit}", NULL);
    const struct git_call call = {.args = {"cat-file", "-e", name, NULL}};

    return git_succeeds(remote, &call, cancel, ret_is_here);
}

/* Fetch one name, or one id, as shallow as the server can; servers of plain files cannot. */
static struct cob_error *fetch_one(const struct cob_git_remote *remote, const char *what,
    const struct cob_git_commit *commit, struct cob_cancel *cancel)
{
    g_autofree char *target = mirror_ref(commit);
    g_autofree char *spec = g_strconcat("+", what, ":", target, NULL);
    struct git_call call = {.args = {"fetch", "--no-tags", "--force", "--no-write-fetch-head",
                                "--depth=1", "--", remote->place->remote, spec, NULL}};
    struct cob_error *err = git_run(remote, &call, cancel, NULL);

    g_autofree char *message = err ? cob_error_message(err) : NULL;

    if (!err || !strstr(message, "shallow"))
        return err;
    cob_error_free(err);
    call.args[4] = "--quiet";
    return git_run(remote, &call, cancel, NULL);
}

static bool is_final(const struct cob_error *err)
{
    return cob_error_code(err) != COB_UNKNOWN && cob_error_code(err) != COB_NOT_FOUND;
}

/* By its name, then by its id, then all there is: the first that brings it. Not every server gives
 * a commit that no name has. */
static struct cob_error *bring(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, struct cob_cancel *cancel)
{
    bool is_named = commit->ref && !remote->place->is_by_commit;
    bool is_there = false;

    if (is_named) {
        COB_TRY(fetch_one(remote, commit->ref, commit, cancel));
        COB_TRY(is_here(remote, commit, cancel, &is_there));
    }
    if (!is_there) {
        struct cob_error *err = fetch_one(remote, commit->id, commit, cancel);

        if (err && is_final(err))
            return err;
        cob_error_free(err);
        COB_TRY(is_here(remote, commit, cancel, &is_there));
    }
    if (!is_there) {
        COB_TRY(git_fetch_all(remote, cancel));
        COB_TRY(is_here(remote, commit, cancel, &is_there));
    }
    return is_there ? NULL : cob_fail(COB_NOT_FOUND, "the repository has no commit %s", commit->id);
}

/* A tag that was named by its id turns out to be one only now. */
static struct cob_error *peel(
    const struct cob_git_remote *remote, struct cob_git_commit *commit, struct cob_cancel *cancel)
{
    g_autofree char *name = g_strconcat(commit->id, "^{commit}", NULL);
    const struct git_call call = {
        .args = {"rev-parse", "--verify", "--end-of-options", name, NULL}};
    g_autoptr(GString) id = NULL;

    COB_TRY(git_run(remote, &call, cancel, &id));
    if (!cob_gitref_is_commit(g_strstrip(id->str)))
        return cob_fail(COB_DATA_LOSS, "git names commit \"%.100s\"", id->str);
    g_free(commit->commit);
    commit->commit = g_strdup(id->str);
    return NULL;
}

static struct cob_error *fetch(
    const struct cob_git_remote *remote, struct cob_git_commit *commit, struct cob_cancel *cancel)
{
    bool is_there = false;

    COB_TRY(git_make_mirror(remote, commit->id, cancel));
    COB_TRY(is_here(remote, commit, cancel, &is_there));
    if (!is_there)
        COB_TRY(bring(remote, commit, cancel));
    return peel(remote, commit, cancel);
}

struct cob_error *cob_git_fetch(
    const struct cob_git_remote *remote, struct cob_git_commit *commit, struct cob_cancel *cancel)
{
    return cob_wrap(fetch(remote, commit, cancel), "%s", remote->place->remote);
}

struct cob_error *cob_git_time(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, struct cob_cancel *cancel, int64_t *ret_time_s)
{
    const struct git_call call = {
        .args = {"show", "--no-patch", "--format=%ct", "--end-of-options", commit->commit, NULL}};
    g_autoptr(GString) text = NULL;

    COB_TRY(git_run(remote, &call, cancel, &text));
    if (!g_ascii_string_to_signed(
            g_strstrip(text->str), 10, 0, G_MAXINT32 * INT64_C(64), ret_time_s, NULL))
        return cob_fail(COB_INVALID, "%s: commit %s has no time that can be read",
            remote->place->remote, commit->commit);
    return NULL;
}
