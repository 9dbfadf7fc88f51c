/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cache_copy.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/layer/layer.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/tree.h"

/* What is copied, open. */
struct source {
    int fd; /* O_PATH */
    struct stat st;
    char *name;           /* the last part of its path */
    bool is_content_only; /* "DIR/." */
};

/* Where it goes: a name in a directory. */
struct place {
    int parent_fd; /* O_PATH|O_DIRECTORY; owned */
    char *name;    /* ".": the directory itself */
    bool is_directory, is_file;
};

static void source_done(struct source *source)
{
    cob_closep(&source->fd);
    g_free(source->name);
}

static void place_done(struct place *place)
{
    cob_closep(&place->parent_fd);
    g_free(place->name);
}

static bool is_self(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "/");
}

/* "a/b", "/", ".": "b", "/", ".". The caller frees it. */
static char *last_part(const char *path)
{
    return g_path_get_basename(*path ? path : "/");
}

static bool ends_in_slash(const char *path)
{
    return *path && path[strlen(path) - 1] == '/';
}

/* Without the slashes at its end, which would have a symlink followed. The caller frees it. */
static char *trimmed(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    return g_strndup(path, len);
}

/* root_fd: AT_FDCWD: the user's own paths. */
static struct cob_error *open_path(int root_fd, const char *path, int flags, int *ret_fd)
{
    if (root_fd != AT_FDCWD)
        return cob_open_in_root(root_fd, *path ? path : "/", flags | O_PATH, 0, ret_fd);
    *ret_fd = open(path, flags | O_PATH | O_CLOEXEC);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open %s", path) : NULL;
}

static struct cob_error *open_source(
    const struct cache_copy *copy, int root_fd, const char *path, struct source *source)
{
    g_autofree char *name = trimmed(path);

    source->name = last_part(path);
    source->is_content_only = is_self(source->name);
    COB_TRY(cob_wrap(
        open_path(root_fd, name, copy->is_following ? 0 : O_NOFOLLOW, &source->fd), "%s", path));
    if (fstat(source->fd, &source->st) < 0)
        return cob_fail_errno(errno, "stat %s", path);
    return NULL;
}

/* A directory that is there is where things go into; of anything else, the parent must be there. */
static struct cob_error *open_place(int root_fd, const char *path, struct place *place)
{
    g_autofree char *name = trimmed(path);
    g_autofree char *parent = g_path_get_dirname(name);
    struct stat st;
    g_autoptr(cob_error) none = open_path(root_fd, name, O_DIRECTORY, &place->parent_fd);

    if (!none) {
        place->is_directory = true;
        place->name = g_strdup(".");
        return NULL;
    }
    place->name = last_part(name);
    if (is_self(place->name))
        return cob_fail(COB_NOT_FOUND, "%s: there is no such directory", path);
    COB_TRY(cob_wrap(open_path(root_fd, parent, O_DIRECTORY, &place->parent_fd),
        "%s: the directory %s", path, parent));
    place->is_file = fstatat(place->parent_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (ends_in_slash(path) && place->is_file)
        return cob_fail(COB_INVALID, "%s is not a directory", path);
    return NULL;
}

/* Where things go in the end, owned by whom. */
struct owner {
    bool is_kept; /* whose they were */
    bool is_set;  /* root's; else whoever makes them */
};

/* --- one file --- */

static struct cob_error *write_copy(
    const struct source *source, const struct owner *owner, int dir_fd, const char *draft)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", source->fd);
    cob_autoclose int from_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cob_autoclose int to_fd =
        openat(dir_fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    const struct timespec times[2] = {source->st.st_atim, source->st.st_mtim};
    const mode_t mode = source->st.st_mode & (owner->is_kept ? 07777 : 01777);

    if (from_fd < 0)
        return cob_fail_errno(errno, "open %s", source->name);
    if (to_fd < 0)
        return cob_fail_errno(errno, "create %s", draft);
    COB_TRY(cob_fs_copy_bytes(from_fd, to_fd, (uint64_t)source->st.st_size));
    if (owner->is_kept && fchown(to_fd, source->st.st_uid, source->st.st_gid) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", source->st.st_uid, source->st.st_gid);
    if (owner->is_set && fchown(to_fd, 0, 0) < 0)
        return cob_fail_errno(errno, "give it to root");
    if (fchmod(to_fd, mode) < 0 || futimens(to_fd, times) < 0)
        return cob_fail_errno(errno, "set its mode and time");
    return NULL;
}

static struct cob_error *write_link(const struct source *source, int dir_fd, const char *draft)
{
    char target[PATH_MAX];
    const ssize_t len = readlinkat(source->fd, "", target, sizeof(target) - 1);

    if (len < 0)
        return cob_fail_errno(errno, "read symlink %s", source->name);
    target[len] = '\0';
    if (symlinkat(target, dir_fd, draft) < 0)
        return cob_fail_errno(errno, "make symlink %s", draft);
    return NULL;
}

/* Whole under its name, or not at all.
 * draft_fd: where it is made, on the same file system. */
static struct cob_error *copy_file(const struct source *source, const struct owner *owner,
    int draft_fd, int dir_fd, const char *name)
{
    g_autofree char *draft = cob_fs_draft_name(".cob-");
    struct cob_error *err = S_ISLNK(source->st.st_mode)
                                ? write_link(source, draft_fd, draft)
                                : write_copy(source, owner, draft_fd, draft);

    if (!err && renameat(draft_fd, draft, dir_fd, name) < 0)
        err = cob_fail_errno(errno, "rename to %s", name);
    if (err)
        unlinkat(draft_fd, draft, 0);
    return err;
}

/* --- a directory --- */

static struct cob_error *feed(void *arg, const void *data, size_t len)
{
    return cob_layer_unpack_write(arg, data, len);
}

static struct cob_layer_unpack *new_unpack(
    const struct cache_copy *copy, const struct owner *owner, int dir_fd)
{
    const struct cob_layer_unpack_request request = {.dir_fd = dir_fd,
        .is_archive = true,
        .has_owner = owner->is_set,
        .ignore_owners = !owner->is_set && !owner->is_kept,
        .only_harmless = !owner->is_set && !owner->is_kept,
        .cancel = copy->cancel};

    return cob_layer_unpack_new(&request);
}

static struct cob_error *copy_tree(const struct cache_copy *copy, const struct source *source,
    const struct owner *owner, int dir_fd)
{
    const struct cob_layer_pack_request request = {.dir_fd = source->fd, .cancel = copy->cancel};
    g_autoptr(cob_layer_unpack) unpack = new_unpack(copy, owner, dir_fd);

    COB_TRY(cob_layer_pack(&request, feed, unpack, NULL));
    return cob_layer_unpack_finish(unpack, NULL);
}

/* Open a directory that is a name in another one, made where it is missing. */
static struct cob_error *open_directory(
    int parent_fd, const char *name, bool *ret_is_new, int *ret_fd)
{
    *ret_is_new = mkdirat(parent_fd, name, 0755) == 0;
    if (!*ret_is_new && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s", name);
    *ret_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0 && errno == ENOTDIR)
        return cob_fail(COB_INVALID, "cannot copy a directory to a file: %s", name);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open directory %s", name) : NULL;
}

/* A directory that this made gets the source's own mode, owner and time, when it is full. */
static struct cob_error *finish_directory(
    const struct source *source, const struct owner *owner, int fd)
{
    const struct timespec times[2] = {source->st.st_atim, source->st.st_mtim};

    if (owner->is_kept && fchown(fd, source->st.st_uid, source->st.st_gid) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", source->st.st_uid, source->st.st_gid);
    if (fchmod(fd, source->st.st_mode & (owner->is_kept ? 07777 : 01777)) < 0 ||
        futimens(fd, times) < 0)
        return cob_fail_errno(errno, "set mode and time of %s", source->name);
    return NULL;
}

static struct cob_error *copy_directory(const struct cache_copy *copy, const struct source *source,
    const struct owner *owner, const struct place *place)
{
    const bool is_into = place->is_directory && !source->is_content_only;
    const char *name = is_into ? source->name : place->name;
    cob_autoclose int fd = -1;
    bool is_new = false;

    if (place->is_file)
        return cob_fail(COB_INVALID, "cannot copy a directory to a file: %s", place->name);
    COB_TRY(open_directory(place->parent_fd, name, &is_new, &fd));
    COB_TRY(copy_tree(copy, source, owner, fd));
    return is_new ? finish_directory(source, owner, fd) : NULL;
}

static struct cob_error *copy_source(const struct cache_copy *copy, const struct source *source,
    const struct owner *owner, const struct place *place, const char *path)
{
    if (S_ISDIR(source->st.st_mode))
        return copy_directory(copy, source, owner, place);
    if (!S_ISREG(source->st.st_mode) && !S_ISLNK(source->st.st_mode))
        return cob_fail(COB_INVALID, "%s is no file, directory or symlink", source->name);
    if (!place->is_directory && ends_in_slash(path))
        return cob_fail(COB_NOT_FOUND, "%s: the directory must exist", path);
    return copy_file(source, owner, copy->draft_fd >= 0 ? copy->draft_fd : place->parent_fd,
        place->parent_fd, place->is_directory ? source->name : place->name);
}

/* --- tar --- */

static struct cob_error *write_out(void *arg, const void *data, size_t len)
{
    (void)arg;
    return cob_wrap(cob_fs_write_fd(1, data, len), "standard output");
}

static struct cob_error *pack_out(const struct cache_copy *copy, int dir_fd, const char *below)
{
    const struct cob_layer_pack_request request = {
        .dir_fd = dir_fd, .below = below, .cancel = copy->cancel};

    return cob_layer_pack(&request, write_out, NULL, NULL);
}

/* An archive of one file is one of a folder that has nothing else. */
static struct cob_error *pack_file(const struct cache_copy *copy, const struct source *source)
{
    const struct owner owner = {.is_kept = true};
    g_autofree char *stage = cob_fs_draft_name("cp-");
    cob_autoclose int fd = -1;
    bool is_new = false;
    struct cob_error *err = open_directory(copy->stage_fd, stage, &is_new, &fd);

    if (!err)
        err = copy_file(source, &owner, fd, fd, source->name);
    if (!err)
        err = pack_out(copy, fd, NULL);
    cob_error_free(cob_tree_remove(copy->stage_fd, stage));
    return err;
}

static struct cob_error *put_tar(const struct cache_copy *copy, const struct source *source)
{
    if (isatty(1))
        return cob_fail(COB_INVALID, "standard output is a terminal: send it to a file or a pipe");
    if (S_ISDIR(source->st.st_mode))
        return pack_out(copy, source->fd, source->is_content_only ? NULL : source->name);
    if (!S_ISREG(source->st.st_mode) && !S_ISLNK(source->st.st_mode))
        return cob_fail(COB_INVALID, "%s is no file, directory or symlink", source->name);
    return pack_file(copy, source);
}

static struct cob_error *take_tar(const struct cache_copy *copy)
{
    const struct owner owner = {.is_kept = copy->is_archive, .is_set = !copy->is_archive};
    cob_autoclose int path_fd = -1;
    cob_autoclose int fd = -1;

    if (isatty(0))
        return cob_fail(COB_INVALID, "standard input is a terminal: send a tar archive to it");
    COB_TRY(cob_wrap(open_path(copy->cache_fd, copy->cache_path, O_DIRECTORY, &path_fd), "%s",
        copy->cache_path));
    fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cob_fail_errno(errno, "open %s", copy->cache_path);
    g_autoptr(cob_layer_unpack) unpack = new_unpack(copy, &owner, fd);
    COB_TRY(cob_layer_unpack_write_fd(unpack, 0));
    return cob_layer_unpack_finish(unpack, NULL);
}

/* --- both ways --- */

static struct cob_error *copy_between(const struct cache_copy *copy, int from_root_fd,
    const char *from, int to_root_fd, const char *to, const struct owner *owner)
{
    struct source source = {.fd = -1};
    struct place place = {.parent_fd = -1};
    struct cob_error *err = open_source(copy, from_root_fd, from, &source);

    if (!err && to_root_fd == AT_FDCWD && !strcmp(to, "-")) {
        err = put_tar(copy, &source);
    } else {
        if (!err)
            err = open_place(to_root_fd, to, &place);
        if (!err)
            err = copy_source(copy, &source, owner, &place, to);
    }
    source_done(&source);
    place_done(&place);
    return err;
}

struct cob_error *cache_copy_out(const struct cache_copy *copy)
{
    const struct owner owner = {.is_kept = copy->is_archive};

    return copy_between(copy, copy->cache_fd, copy->cache_path, AT_FDCWD, copy->host_path, &owner);
}

struct cob_error *cache_copy_in(const struct cache_copy *copy)
{
    const struct owner owner = {.is_kept = copy->is_archive, .is_set = !copy->is_archive};

    if (!strcmp(copy->host_path, "-"))
        return take_tar(copy);
    return copy_between(copy, AT_FDCWD, copy->host_path, copy->cache_fd, copy->cache_path, &owner);
}
