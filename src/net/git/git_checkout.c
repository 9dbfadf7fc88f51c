/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "net/git/git_run.h"
#include "util/fs.h"
#include "util/tree.h"

/* Write the files of the commit, by an index that is nobody's afterwards. */
static struct cob_error *write_files(const struct cob_git_remote *remote,
    const struct git_call *wish, const char *commit, struct cob_cancel *cancel)
{
    struct git_call read_tree = *wish;
    struct git_call write = *wish;

    read_tree.args[0] = "read-tree";
    read_tree.args[1] = "--reset";
    read_tree.args[2] = commit;
    write.args[0] = "checkout-index";
    write.args[1] = "--all";
    write.args[2] = "--force";
    write.args[3] = "--quiet";
    write.args[4] = wish->is_in_work_tree ? "--index" : NULL;
    COB_TRY(git_run(remote, &read_tree, cancel, NULL));
    return git_run(remote, &write, cancel, NULL);
}

/* A remote whose index is the one in .git. */
static struct cob_git_remote without_mirror(const struct cob_git_remote *remote)
{
    struct cob_git_remote local = *remote;

    local.mirror = NULL;
    return local;
}

/* The mirror's commit as a repository of its own, fetched as from a stranger. */
static struct cob_error *make_git_dir(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, int dir_fd, struct cob_cancel *cancel)
{
    const struct cob_git_remote local = without_mirror(remote);
    g_autofree char *url = g_strconcat("file://", remote->mirror, NULL);
    const char *name = commit->ref && g_str_has_prefix(commit->ref, "refs/") ? commit->ref : NULL;
    g_autofree char *spec =
        g_strconcat("+", commit->id, ":", name ? name : "refs/cob/commit", NULL);
    const struct git_call calls[] = {
        {.args = {"init", "--quiet", "--template=",
             strlen(commit->id) == 64 ? "--object-format=sha256" : "--object-format=sha1", NULL},
            .work_fd = dir_fd,
            .is_in_work_tree = true},
        {.args = {"-c", "uploadpack.allowAnySHA1InWant=true", "fetch", "--quiet", "--depth=1",
             "--no-tags", "--update-head-ok", "--no-write-fetch-head", "--", url, spec, NULL},
            .work_fd = dir_fd,
            .is_in_work_tree = true,
            .is_local = true},
        {.args = {"update-ref", "--no-deref", "HEAD", commit->commit, NULL},
            .work_fd = dir_fd,
            .is_in_work_tree = true},
        {.args = {"remote", "add", "origin", remote->place->remote, NULL},
            .work_fd = dir_fd,
            .is_in_work_tree = true},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        COB_TRY(git_run(&local, &calls[i], cancel, NULL));
    return NULL;
}

/* What init and fetch leave that says when and by whom. */
static struct cob_error *tidy_git_dir(int dir_fd)
{
    static const char *const names[] = {"logs", "FETCH_HEAD", "hooks", NULL};
    cob_autoclose int git_fd = -1;

    COB_TRY(cob_open_beneath(dir_fd, ".git", O_RDONLY | O_DIRECTORY, 0, &git_fd));
    for (const char *const *name = names; *name; name++)
        COB_TRY(cob_tree_remove(git_fd, *name));
    return NULL;
}

static struct cob_error *checkout(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, bool keeps_git_dir, int dir_fd, struct cob_cancel *cancel)
{
    const struct git_call wish = {.work_fd = dir_fd, .is_in_work_tree = keeps_git_dir};
    const struct cob_git_remote local = without_mirror(remote);

    if (!keeps_git_dir) {
        g_autofree char *index = g_build_filename(remote->mirror, "cob-index", NULL);
        struct cob_error *err = write_files(remote, &wish, commit->commit, cancel);

        unlink(index);
        return err;
    }
    COB_TRY(make_git_dir(remote, commit, dir_fd, cancel));
    COB_TRY(write_files(&local, &wish, commit->commit, cancel));
    return tidy_git_dir(dir_fd);
}

struct cob_error *cob_git_checkout(const struct cob_git_remote *remote,
    const struct cob_git_commit *commit, bool keeps_git_dir, int dir_fd, struct cob_cancel *cancel)
{
    return cob_wrap(checkout(remote, commit, keeps_git_dir, dir_fd, cancel), "%s: check out %s",
        remote->place->remote, commit->commit);
}
