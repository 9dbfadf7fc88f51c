/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/remote/remote_parts.h"

/* A reference on its way to a snapshot. */
struct git_job {
    struct checkout_job base;
    struct cob_git_commit commit;
    char *key; /* of the snapshot; NULL until the commit is known */
    struct cob_snapshot *snapshot;
};

/* Everything that the files depend on. With .git, the names in it, too. */
static char *snapshot_key(const struct cob_remote_git *git, const struct cob_git_commit *commit)
{
    const struct cob_gitref *place = git->place;
    bool keeps = git->keeps_git_dir && !place->subdir;
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update_text(hasher, "cob.remote.git.v1");
    cob_hasher_update_text(hasher, place->remote);
    cob_hasher_update_text(hasher, keeps ? commit->id : commit->commit);
    cob_hasher_update_text(hasher, keeps && commit->ref ? commit->ref : "");
    cob_hasher_update_text(hasher, place->subdir ? place->subdir : "");
    cob_hasher_update_number(hasher, keeps);
    cob_hasher_update_number(hasher, git->skips_submodules);
    cob_hasher_update_number(hasher, place->is_mtime_of_commit);
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    return cob_sha256_text(&sha);
}

static struct cob_error *find(struct git_job *job)
{
    g_free(job->key);
    job->key = snapshot_key(job->base.git, &job->commit);
    return remote_find_snapshot(job->base.source, job->key, &job->snapshot);
}

static struct cob_error *resolve(void *arg, const struct cob_git_remote *remote)
{
    struct git_job *job = arg;

    return cob_git_resolve(remote, job->base.cancel, &job->commit);
}

static struct cob_error *make(struct git_job *job)
{
    const struct cob_gitref *place = job->base.git->place;
    g_autofree char *text = g_strdup_printf("git %s#%s", place->remote, job->commit.commit);
    g_autoptr(cob_snapshot_draft) draft = NULL;

    COB_TRY(cob_snapshot_draft_new(job->base.source->store, NULL, &draft));
    COB_TRY(remote_check_out(&job->base, &job->commit, cob_snapshot_draft_fd(draft)));
    /* what was named as a tag's id is known as a commit by now */
    g_free(job->key);
    job->key = snapshot_key(job->base.git, &job->commit);
    return remote_commit(job->base.source, job->key, text, g_steal_pointer(&draft), &job->snapshot);
}

static struct cob_error *run(struct git_job *job)
{
    COB_TRY(
        remote_with_mirror(&job->base, job->base.git->place, /* is_module= */ false, resolve, job));
    COB_TRY(find(job));
    return job->snapshot ? NULL : make(job);
}

struct cob_error *cob_remote_git_fetch(struct cob_remote_source *source,
    const struct cob_remote_git *git, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot)
{
    struct git_job job = {
        .base = {.source = source, .git = git, .client = client, .cancel = cancel}};
    struct cob_error *err = run(&job);

    cob_git_commit_done(&job.commit);
    g_free(job.key);
    if (err)
        cob_snapshot_unref(job.snapshot);
    else
        *ret_snapshot = job.snapshot;
    return err;
}
