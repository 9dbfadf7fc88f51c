/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "build/remote/remote_parts.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/tree.h"

#define MAX_TIMED_DEPTH 256 /* one descriptor each */

/* --- credentials --- */

static char *basic(const char *user, const char *password)
{
    g_autofree char *pair = g_strconcat(user, ":", password, NULL);
    g_autofree char *code = g_base64_encode((const guchar *)pair, strlen(pair));

    return g_strconcat("basic ", code, NULL);
}

/* The secrets that may be meant for a host, in BuildKit's order. A submodule's host gets only what
 * names it.
 * spec: BuildKit source/git/source.go, authSecretNames. */
static struct cob_error *authorize(const struct checkout_job *job, const struct cob_gitref *place,
    bool is_module, char **ret_authorization)
{
    const struct cob_remote_git *git = job->git;
    bool is_elsewhere = is_module && strcmp(place->host, git->place->host) != 0;
    const struct {
        const char *name, *host;
        bool is_token;
    } rows[] = {
        {git->header_secret, place->host, false},
        {git->token_secret, place->host, true},
        {is_elsewhere ? NULL : git->header_secret, NULL, false},
        {is_elsewhere ? NULL : git->token_secret, NULL, true},
    };

    *ret_authorization = NULL;
    if (place->scheme != COB_GITREF_HTTPS && place->scheme != COB_GITREF_HTTP)
        return NULL;
    if (place->user) {
        *ret_authorization = basic(place->user, place->password ? place->password : "");
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows) && !*ret_authorization; i++) {
        g_autofree char *secret = NULL;

        COB_TRY(remote_secret(job->client, rows[i].name, ".", rows[i].host, &secret));
        if (secret)
            *ret_authorization =
                rows[i].is_token ? basic("x-access-token", secret) : g_steal_pointer(&secret);
    }
    return NULL;
}

static struct cob_error *find_agent(
    const struct checkout_job *job, const struct cob_gitref *place, char **ret_socket)
{
    const struct cob_remote_client *client = job->client;

    *ret_socket = NULL;
    if (place->scheme != COB_GITREF_SSH || !client->get_ssh || !job->git->ssh_id)
        return NULL;
    return client->get_ssh(client->arg, job->git->ssh_id, ret_socket);
}

/* --- mirrors --- */

static void on_log(void *arg, const void *data, size_t len)
{
    const struct cob_remote_client *client = arg;
    const struct cob_event_log event = {.vertex = client->vertex,
        .stream = 2,
        .data = data,
        .len = len,
        .at_us = g_get_real_time()};

    if (client->observer)
        client->observer->log(client->observer->arg, &event);
}

/* The folder of mirrors, and the name in it for a remote. */
struct mirror {
    int dir_fd;
    char *path; /* absolute, of the mirror */
    char *name;
    char *busy; /* a file that is there while somebody works on the mirror */
};

static void mirror_done(struct mirror *mirror)
{
    if (mirror->dir_fd >= 0)
        close(mirror->dir_fd);
    g_free(mirror->path);
    g_free(mirror->name);
    g_free(mirror->busy);
}

static struct cob_error *mirror_init(
    struct mirror *mirror, struct cob_store *store, const char *remote)
{
    g_autofree char *digest = cob_digest_of(remote, strlen(remote));
    const char *hex = digest + strlen(COB_DIGEST_PREFIX);

    *mirror = (struct mirror){.dir_fd = -1,
        .path = g_build_filename(cob_store_path(store), "git", hex, NULL),
        .name = g_strdup(hex),
        .busy = g_strconcat(hex, ".busy", NULL)};
    return cob_fs_make_dirs(cob_store_root_fd(store), "git", 0700, &mirror->dir_fd);
}

/* Somebody died at work: half a fetch may be left, with locks. It is made again. */
static struct cob_error *claim(const struct mirror *mirror)
{
    if (faccessat(mirror->dir_fd, mirror->busy, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        COB_TRY(cob_tree_remove(mirror->dir_fd, mirror->name));
    cob_autoclose int fd =
        openat(mirror->dir_fd, mirror->busy, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? cob_fail_errno(errno, "create git/%s", mirror->busy) : NULL;
}

static struct cob_error *work_in(const struct checkout_job *job, const struct mirror *mirror,
    struct cob_git_remote *remote,
    struct cob_error *(*work)(void *arg, const struct cob_git_remote *remote), void *arg)
{
    g_autofree char *known =
        g_build_filename(cob_store_path(job->source->store), "git", "known_hosts", NULL);

    COB_TRY(claim(mirror));
    remote->mirror = mirror->path;
    remote->known_hosts = known;
    remote->log = on_log;
    remote->arg = (void *)(uintptr_t)job->client;
    struct cob_error *err = work(arg, remote);
    /* git was killed in the middle when it was cancelled or out of space */
    if (!err || (cob_error_code(err) != COB_CANCELLED && cob_error_code(err) != COB_EXHAUSTED))
        unlinkat(mirror->dir_fd, mirror->busy, 0);
    return err;
}

static struct cob_error *work_locked(const struct checkout_job *job, const struct mirror *mirror,
    const struct cob_git_remote *how,
    struct cob_error *(*work)(void *arg, const struct cob_git_remote *remote), void *arg)
{
    g_autofree char *key = remote_mirror_key(mirror->name);
    g_autoptr(cob_store_lock) lock = NULL;
    struct cob_git_remote remote = *how;

    COB_TRY(remote_lock(job->source, key, job->cancel, &lock));
    COB_TRY(work_in(job, mirror, &remote, work, arg));
    return remote_note_mirror(job->source->store, mirror->dir_fd, mirror->name, how->place->remote);
}

struct cob_error *remote_with_mirror(const struct checkout_job *job, const struct cob_gitref *place,
    bool is_module, struct cob_error *(*work)(void *arg, const struct cob_git_remote *remote),
    void *arg)
{
    g_autofree char *authorization = NULL;
    g_autofree char *socket = NULL;
    struct mirror mirror;

    COB_TRY(authorize(job, place, is_module, &authorization));
    COB_TRY(find_agent(job, place, &socket));
    const struct cob_git_remote remote = {
        .place = place, .authorization = authorization, .ssh_socket = socket};
    struct cob_error *err = mirror_init(&mirror, job->source->store, place->remote);
    if (!err)
        err = work_locked(job, &mirror, &remote, work, arg);
    mirror_done(&mirror);
    return err;
}

/* --- a commit and its submodules --- */

/* One repository to be written into one directory. */
struct part {
    struct checkout_job *job;
    struct cob_git_commit *commit;
    bool keeps_git_dir;
    int dir_fd;         /* borrowed */
    GPtrArray *modules; /* of struct cob_git_submodule, owned; NULL: none are wanted */
    int64_t time_s;     /* of the commit, when that is wanted */
};

static struct cob_error *write_part(void *arg, const struct cob_git_remote *remote)
{
    struct part *part = arg;
    struct cob_cancel *cancel = part->job->cancel;

    COB_TRY(cob_git_fetch(remote, part->commit, cancel));
    COB_TRY(cob_git_checkout(remote, part->commit, part->keeps_git_dir, part->dir_fd, cancel));
    if (part->job->git->place->is_mtime_of_commit)
        COB_TRY(cob_git_time(remote, part->commit, cancel, &part->time_s));
    if (part->job->git->skips_submodules)
        return NULL;
    return cob_git_submodules(remote, part->commit, cancel, &part->modules);
}

/* What is to be filled must be a directory of the checkout, and empty. */
static struct cob_error *open_empty(int dir_fd, const char *path, int *ret_fd)
{
    cob_autoclose int fd = -1;
    bool is_empty = true;

    COB_TRY(cob_open_beneath(dir_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd));
    int copy_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy_fd < 0 ? NULL : fdopendir(copy_fd);
    if (!dir)
        return cob_fail_errno(errno, "list it");
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            is_empty = false;
    }
    closedir(dir);
    if (!is_empty)
        return cob_fail(COB_INVALID, "it is not empty");
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

/* A submodule that is still to be written. */
struct pending {
    struct cob_git_submodule *module; /* owned */
    char *path;                       /* in the checkout */
    unsigned depth;
};

static void pending_free(void *pointer)
{
    struct pending *pending = pointer;

    cob_git_submodule_free(pending->module);
    g_free(pending->path);
    g_free(pending);
}

/* prefix: of the repository that has them; "" for the top. modules: emptied. */
static struct cob_error *add_pending(
    struct checkout_job *job, GQueue *queue, GPtrArray *modules, const char *prefix, unsigned depth)
{
    if (!modules)
        return NULL;
    if (modules->len > 0 && depth > COB_LIMIT_SUBMODULE_DEPTH)
        return cob_fail(
            COB_EXHAUSTED, "submodules stand more than %d deep", COB_LIMIT_SUBMODULE_DEPTH);
    job->n_modules += modules->len;
    if (job->n_modules > COB_LIMIT_SUBMODULES)
        return cob_fail(COB_EXHAUSTED, "more than %d submodules", COB_LIMIT_SUBMODULES);
    while (modules->len > 0) {
        struct pending *pending = g_new(struct pending, 1);
        struct cob_git_submodule *module = g_ptr_array_steal_index(modules, 0);

        *pending = (struct pending){.module = module,
            .path = g_strconcat(prefix, *prefix ? "/" : "", module->path, NULL),
            .depth = depth};
        g_queue_push_tail(queue, pending);
    }
    return NULL;
}

static struct cob_error *write_module(
    struct checkout_job *job, const struct pending *pending, int top_fd, GQueue *queue)
{
    struct cob_git_commit commit = {
        .id = g_strdup(pending->module->commit), .commit = g_strdup(pending->module->commit)};
    cob_autoclose int dir_fd = -1;
    struct part part = {.job = job, .commit = &commit};
    struct cob_error *err = open_empty(top_fd, pending->path, &dir_fd);

    part.dir_fd = dir_fd;
    if (!err)
        err = remote_with_mirror(
            job, pending->module->place, /* is_module= */ true, write_part, &part);
    if (!err)
        err = add_pending(job, queue, part.modules, pending->path, pending->depth + 1);
    g_clear_pointer(&part.modules, g_ptr_array_unref);
    cob_git_commit_done(&commit);
    return cob_wrap(err, "submodule %.200s", pending->path);
}

static struct cob_error *write_modules(struct checkout_job *job, GQueue *queue, int top_fd)
{
    struct cob_error *err = NULL;

    while (!err && !g_queue_is_empty(queue)) {
        struct pending *pending = g_queue_pop_head(queue);

        err = write_module(job, pending, top_fd, queue);
        pending_free(pending);
    }
    return err;
}

/* --- a part of it --- */

/* The first component of a path that is not a real directory is named. */
static struct cob_error *open_subdir(int dir_fd, const char *subdir, int *ret_fd)
{
    struct cob_error *err = cob_open_beneath(dir_fd, subdir, O_RDONLY | O_DIRECTORY, 0, ret_fd);

    if (!err)
        return NULL;
    enum cob_code code = cob_error_code(err);
    cob_error_free(err);
    if (code == COB_NOT_FOUND)
        return cob_fail(COB_NOT_FOUND, "the commit has no directory %s", subdir);
    return cob_fail(
        COB_INVALID, "invalid subdir %s: each part of it must be a directory, and no link", subdir);
}

/* Move all that is in one directory into another. */
static struct cob_error *move_up(int from_fd, int to_fd)
{
    int copy_fd = fcntl(from_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy_fd < 0 ? NULL : fdopendir(copy_fd);
    struct cob_error *err = NULL;

    if (!dir)
        return cob_fail_errno(errno, "list the subdirectory");
    for (const struct dirent *entry = readdir(dir); entry && !err; entry = readdir(dir)) {
        const char *name = entry->d_name;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (renameat2(from_fd, name, to_fd, name, RENAME_NOREPLACE) < 0)
            err = cob_fail_errno(errno, "move %s", name);
    }
    closedir(dir);
    return err;
}

/* Give everything in a directory, and itself, one time.
 * depth: of directories that may still follow. */
static struct cob_error *set_times(int dir_fd, int64_t time_s, unsigned depth)
{
    const struct timespec times[] = {{.tv_sec = time_s}, {.tv_sec = time_s}};
    int copy_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy_fd < 0 ? NULL : fdopendir(copy_fd);
    struct cob_error *err = NULL;

    if (!dir || depth == 0)
        err = cob_fail(COB_EXHAUSTED, "the directories of the commit stand too deep");
    for (const struct dirent *e = err ? NULL : readdir(dir); e && !err; e = readdir(dir)) {
        bool is_dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        cob_autoclose int fd = -1;

        if (!is_dots && e->d_type == DT_DIR)
            err = cob_open_beneath(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY, 0, &fd);
        if (fd >= 0)
            err = set_times(fd, time_s, depth - 1);
        else if (!is_dots && !err && utimensat(dir_fd, e->d_name, times, AT_SYMLINK_NOFOLLOW) < 0)
            err = cob_fail_errno(errno, "set the time of %s", e->d_name);
    }
    if (dir)
        closedir(dir);
    if (!err && futimens(dir_fd, times) < 0)
        err = cob_fail_errno(errno, "set the time of a directory");
    return err;
}

static struct cob_error *write_all(struct part *part)
{
    GQueue queue = G_QUEUE_INIT;
    struct cob_error *err = remote_with_mirror(
        part->job, part->job->git->place, /* is_module= */ false, write_part, part);

    if (!err)
        err = add_pending(part->job, &queue, part->modules, "", 1);
    if (!err)
        err = write_modules(part->job, &queue, part->dir_fd);
    g_queue_clear_full(&queue, pending_free);
    g_clear_pointer(&part->modules, g_ptr_array_unref);
    return err;
}

/* All of it beside, then what is wanted moved to its place. */
static struct cob_error *write_subdir(struct part *part, const char *subdir)
{
    g_autofree char *name = cob_fs_draft_name(".cob-checkout-");
    int dir_fd = part->dir_fd;
    cob_autoclose int beside_fd = -1;
    cob_autoclose int from_fd = -1;

    if (mkdirat(dir_fd, name, 0700) < 0)
        return cob_fail_errno(errno, "make directory %s", name);
    COB_TRY(cob_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, &beside_fd));
    part->dir_fd = beside_fd;
    COB_TRY(write_all(part));
    part->dir_fd = dir_fd;
    COB_TRY(open_subdir(beside_fd, subdir, &from_fd));
    COB_TRY(move_up(from_fd, dir_fd));
    return cob_tree_remove(dir_fd, name);
}

struct cob_error *remote_check_out(
    struct checkout_job *job, struct cob_git_commit *commit, int dir_fd)
{
    const struct cob_gitref *place = job->git->place;
    struct part part = {.job = job,
        .commit = commit,
        .keeps_git_dir = job->git->keeps_git_dir && !place->subdir,
        .dir_fd = dir_fd};

    COB_TRY(place->subdir ? write_subdir(&part, place->subdir) : write_all(&part));
    return place->is_mtime_of_commit ? set_times(dir_fd, part.time_s, MAX_TIMED_DEPTH) : NULL;
}
