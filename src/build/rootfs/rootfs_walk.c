/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "build/rootfs/rootfs.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/limits.h"

#define MAX_LINKS 40 /* as the kernel has it */

/* Where a walk stands. Each directory on the way is held by the descriptor it was found with, so
 * that nobody can change the way behind us: a component that turns into a symlink between look and
 * open is refused. */
struct walk {
    const struct cob_rootfs_walk *request;
    int fd;        /* where we are, O_PATH */
    GString *path; /* the same, from the root, without symlinks; "" is the root */
    GQueue *todo;  /* of char *, owned: components still to go */
    unsigned n_links;
};

static void walk_done(struct walk *walk)
{
    cob_closep(&walk->fd);
    g_string_free(walk->path, TRUE);
    g_queue_free_full(walk->todo, g_free);
}

/* Put the components of a path before what is still to go. */
static void push_components(struct walk *walk, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    for (size_t i = g_strv_length(parts); i-- > 0;) {
        if (*parts[i] && strcmp(parts[i], ".") != 0)
            g_queue_push_head(walk->todo, g_strdup(parts[i]));
    }
}

/* Go to a path that is known to have no symlinks. */
static struct cob_error *go_to(struct walk *walk, const char *path)
{
    int fd = -1;

    COB_TRY(cob_open_beneath(
        walk->request->root_fd, *path ? path + 1 : ".", O_PATH | O_NOFOLLOW, 0, &fd));
    close(walk->fd);
    walk->fd = fd;
    g_string_assign(walk->path, path);
    return NULL;
}

static struct cob_error *go_up(struct walk *walk)
{
    const char *slash = strrchr(walk->path->str, '/');
    g_autofree char *parent =
        g_strndup(walk->path->str, slash ? (gsize)(slash - walk->path->str) : 0);

    return go_to(walk, parent);
}

static struct cob_error *follow(struct walk *walk, const char *name)
{
    char target[COB_LIMIT_PATH_BYTES];
    ssize_t n = readlinkat(walk->fd, name, target, sizeof(target) - 1);

    if (n < 0)
        return cob_fail_errno(errno, "read symlink %s", name);
    target[n] = '\0';
    if (++walk->n_links > MAX_LINKS)
        return cob_fail(COB_INVALID, "too many levels of symlinks");
    push_components(walk, target);
    return *target == '/' ? go_to(walk, "") : NULL;
}

static bool is_below(const char *path, const char *top)
{
    size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Would the next step leave for a place that belongs to the sandbox? */
static struct cob_error *check_guard(const struct walk *walk, const char *name)
{
    static const char *const guarded[] = {"/proc", "/sys", "/dev"};
    g_autofree char *next = g_strdup_printf("%s/%s", walk->path->str, name);

    for (size_t i = 0; walk->request->is_guarded && i < G_N_ELEMENTS(guarded); i++) {
        if (is_below(next, guarded[i]))
            return cob_fail(COB_INVALID, "%s belongs to the sandbox: choose a path outside of %s",
                next, guarded[i]);
    }
    return NULL;
}

static void note_made(struct walk *walk, const char *name, const struct stat *st)
{
    struct cob_rootfs_made row = {.parent = g_strdup(walk->path->str),
        .name = g_strdup(name),
        .dev = st->st_dev,
        .ino = st->st_ino};

    g_array_append_val(walk->request->made, row);
}

/* Only what lies in the root itself is ours to take away: in a cache mount it may stay. */
static bool is_in_root_itself(const struct walk *walk, const struct stat *parent)
{
    struct stat root;

    return fstat(walk->request->root_fd, &root) == 0 && root.st_dev == parent->st_dev;
}

/* Both: mode 0755, whatever the umask. False: errno says why. */
static bool make_file(int dir_fd, const char *name)
{
    cob_autoclose int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);

    return fd >= 0 && fchmod(fd, 0755) == 0;
}

static bool make_dir(int dir_fd, const char *name)
{
    if (mkdirat(dir_fd, name, 0755) < 0)
        return false;
    cob_autoclose int fd =
        openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && fchmod(fd, 0755) == 0;
}

/* Below a user's directory, what is made on the way to a mount is that user's: a step of his may
 * put other things into it, and then it stays. Where this user namespace lacks that owner, it is
 * root's. */
static void give_to_owner_of(
    const struct walk *walk, const char *name, const struct stat *parent, struct stat *st)
{
    if (fchownat(walk->fd, name, parent->st_uid, parent->st_gid, AT_SYMLINK_NOFOLLOW) == 0) {
        st->st_uid = parent->st_uid;
        st->st_gid = parent->st_gid;
    }
}

static struct cob_error *make(
    struct walk *walk, const char *name, bool is_last, struct stat *ret_st)
{
    bool is_file = is_last && walk->request->wish == COB_ROOTFS_MAKE_FILE;
    struct stat parent;

    if (fstat(walk->fd, &parent) < 0)
        return cob_fail_errno(errno, "stat %s", walk->path->str);
    if (!(is_file ? make_file(walk->fd, name) : make_dir(walk->fd, name)))
        return cob_fail_errno(
            errno, "make %s %s/%s", is_file ? "file" : "directory", walk->path->str, name);
    if (fstatat(walk->fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat %s/%s", walk->path->str, name);
    if (walk->request->made && (parent.st_uid || parent.st_gid))
        give_to_owner_of(walk, name, &parent, ret_st);
    if (walk->request->made && is_in_root_itself(walk, &parent)) {
        struct timespec times[2] = {parent.st_atim, parent.st_mtim};

        note_made(walk, name, ret_st);
        if (utimensat(walk->fd, "", times, AT_EMPTY_PATH) < 0)
            return cob_fail_errno(errno, "restore the times of %s/", walk->path->str);
    }
    return NULL;
}

static struct cob_error *go_down(struct walk *walk, const char *name, const struct stat *st)
{
    int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (S_ISDIR(st->st_mode) ? O_DIRECTORY : 0);
    int fd = openat(walk->fd, name, flags);
    struct stat now;

    if (fd < 0)
        return cob_fail_errno(errno, "open %s/%s", walk->path->str, name);
    if (fstat(fd, &now) < 0 || S_ISLNK(now.st_mode)) {
        close(fd);
        return cob_fail(COB_ABORTED, "%s/%s changed while it was looked at", walk->path->str, name);
    }
    close(walk->fd);
    walk->fd = fd;
    g_string_append_printf(walk->path, "/%s", name);
    return NULL;
}

static struct cob_error *take(struct walk *walk, const char *name)
{
    bool is_last = g_queue_is_empty(walk->todo);
    struct stat st;

    COB_TRY(check_guard(walk, name));
    if (fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT || walk->request->wish == COB_ROOTFS_FIND)
            return cob_fail_errno(errno, "open %s/%s", walk->path->str, name);
        COB_TRY(make(walk, name, is_last, &st));
    }
    if (S_ISLNK(st.st_mode))
        return follow(walk, name);
    if (!is_last && !S_ISDIR(st.st_mode))
        return cob_fail_errno(ENOTDIR, "open %s/%s", walk->path->str, name);
    return go_down(walk, name, &st);
}

static struct cob_error *walk_all(struct walk *walk)
{
    COB_TRY(go_to(walk, ""));
    push_components(walk, walk->request->path);
    while (!g_queue_is_empty(walk->todo)) {
        g_autofree char *name = g_queue_pop_head(walk->todo);

        if (strcmp(name, "..") == 0)
            COB_TRY(go_up(walk));
        else
            COB_TRY(take(walk, name));
    }
    return NULL;
}

static struct cob_error *check_kind(const struct walk *walk)
{
    struct stat st;

    if (walk->request->wish == COB_ROOTFS_FIND)
        return NULL;
    if (fstat(walk->fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", walk->path->str);
    if (walk->request->wish == COB_ROOTFS_MAKE_DIR && !S_ISDIR(st.st_mode))
        return cob_fail(COB_INVALID, "%s is not a directory", walk->path->str);
    if (walk->request->wish == COB_ROOTFS_MAKE_FILE && S_ISDIR(st.st_mode))
        return cob_fail(COB_INVALID, "%s is a directory", walk->path->str);
    return NULL;
}

struct cob_error *cob_rootfs_walk(
    const struct cob_rootfs_walk *request, int *ret_fd, char **ret_path)
{
    struct walk walk = {
        .request = request, .fd = -1, .path = g_string_new(NULL), .todo = g_queue_new()};
    struct cob_error *err = NULL;

    if (strlen(request->path) >= COB_LIMIT_PATH_BYTES)
        err = cob_fail(COB_INVALID, "the path is longer than %d bytes", COB_LIMIT_PATH_BYTES);
    if (!err)
        err = walk_all(&walk);
    if (!err)
        err = check_kind(&walk);
    if (!err) {
        *ret_fd = g_steal_fd(&walk.fd);
        if (ret_path)
            *ret_path = g_strdup(walk.path->len ? walk.path->str : "/");
    }
    walk_done(&walk);
    return err;
}

static void made_done(void *row)
{
    g_free(((struct cob_rootfs_made *)row)->parent);
    g_free(((struct cob_rootfs_made *)row)->name);
}

GArray *cob_rootfs_made_new(void)
{
    GArray *made = g_array_new(FALSE, FALSE, sizeof(struct cob_rootfs_made));

    g_array_set_clear_func(made, made_done);
    return made;
}

/* What the step has filled, replaced or removed is the step's own and stays as it is. */
static void unmake(int root_fd, const struct cob_rootfs_made *row)
{
    cob_autoclose int parent_fd = -1;
    const char *parent = *row->parent ? row->parent + 1 : ".";
    struct stat st, parent_st;
    g_autoptr(cob_error) gone =
        cob_open_beneath(root_fd, parent, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, &parent_fd);

    if (gone || fstat(parent_fd, &parent_st) < 0 ||
        fstatat(parent_fd, row->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != row->ino ||
        st.st_dev != row->dev)
        return;
    if (!S_ISDIR(st.st_mode) && st.st_size > 0)
        return;
    if (unlinkat(parent_fd, row->name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
        return;
    struct timespec times[2] = {parent_st.st_atim, parent_st.st_mtim};
    futimens(parent_fd, times);
}

void cob_rootfs_unmake(int root_fd, GArray *made)
{
    for (guint i = made->len; i-- > 0;)
        unmake(root_fd, &g_array_index(made, struct cob_rootfs_made, i));
    g_array_set_size(made, 0);
}
