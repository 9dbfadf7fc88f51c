/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "disk/layer/extract.h"
#include "util/fs.h"
#include "util/limits.h"

#define MAX_SYMLINKS 40 /* as the kernel's */
#define MAX_DIR_PATH_BYTES (256 * COB_MIB)

/* --- names --- */

static void drop_last(GString *path)
{
    const char *slash = strrchr(path->str, '/');

    g_string_truncate(path, slash ? (gsize)(slash - path->str) : 0);
}

static void add_component(GString *path, const char *name, size_t len)
{
    if (path->len > 0)
        g_string_append_c(path, '/');
    g_string_append_len(path, name, (gssize)len);
}

struct cob_error *extract_clean_path(const char *name, GString *ret_path, bool *ret_leads_out)
{
    unsigned depth = 0;

    g_string_truncate(ret_path, 0);
    *ret_leads_out = false;
    if (strlen(name) > COB_LIMIT_PATH_BYTES)
        return cob_fail(
            COB_INVALID, "its name is longer than the limit of %d bytes", COB_LIMIT_PATH_BYTES);
    for (const char *at = name; *at;) {
        size_t len = strcspn(at, "/");

        if (len > COB_LIMIT_NAME_BYTES)
            return cob_fail(COB_INVALID, "a part of its name is longer than the limit of %d bytes",
                COB_LIMIT_NAME_BYTES);
        if (len == 2 && at[0] == '.' && at[1] == '.') {
            *ret_leads_out |= depth == 0;
            depth -= depth > 0;
            drop_last(ret_path);
        } else if (len > 0 && !(len == 1 && at[0] == '.')) {
            add_component(ret_path, at, len);
            depth++;
        }
        at += len + (at[len] == '/');
    }
    if (depth > COB_LIMIT_TREE_DEPTH)
        return cob_fail(
            COB_INVALID, "more than the limit of %d directories deep", COB_LIMIT_TREE_DEPTH);
    return NULL;
}

/* --- the way to an entry --- */

/* A walk through names, symlinks resolved in the root, that makes what is missing. */
struct walk {
    struct extract *extract;
    GString *path; /* where we are: real directories only */
    int fd;        /* of path, O_PATH */
    GQueue names;  /* char *, owned: where to go from there */
    unsigned n_symlinks;
};

static void walk_done(struct walk *walk)
{
    g_string_free(walk->path, TRUE);
    g_queue_clear_full(&walk->names, g_free);
    if (walk->fd >= 0)
        close(walk->fd);
}

/* Go first to where `path` leads. */
static void push_names(struct walk *walk, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    for (guint i = g_strv_length(names); i > 0; i--) {
        const char *name = names[i - 1];

        if (name[0] != '\0' && strcmp(name, ".") != 0)
            g_queue_push_head(&walk->names, g_strdup(name));
    }
}

static struct cob_error *reopen(struct walk *walk)
{
    int fd;

    COB_TRY(cob_open_beneath(walk->extract->root_fd, walk->path->len > 0 ? walk->path->str : ".",
        O_PATH | O_DIRECTORY, 0, &fd));
    if (walk->fd >= 0)
        close(walk->fd);
    walk->fd = fd;
    return NULL;
}

static struct cob_error *follow(struct walk *walk, const char *name)
{
    char target[COB_LIMIT_PATH_BYTES + 1];
    ssize_t n = readlinkat(walk->fd, name, target, sizeof(target) - 1);

    if (n < 0)
        return cob_fail_errno(errno, "read link %s", name);
    if (++walk->n_symlinks > MAX_SYMLINKS)
        return cob_fail(COB_INVALID, "too many symlinks on the way");
    target[n] = '\0';
    push_names(walk, target);
    if (target[0] != '/')
        return NULL;
    g_string_truncate(walk->path, 0);
    return reopen(walk);
}

static struct cob_error *enter(struct walk *walk, const char *name)
{
    int fd = openat(walk->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "open directory %s", name);
    close(walk->fd);
    walk->fd = fd;
    add_component(walk->path, name, strlen(name));
    return NULL;
}

static struct cob_error *make_and_enter(struct walk *walk, const char *name)
{
    const struct tar_entry *entry = walk->extract->entry;
    struct extract_dir facts = {
        .mtime = entry->mtime, .mtime_ns = entry->mtime_ns, .is_implied = true};

    if (mkdirat(walk->fd, name, 0755) < 0)
        return cob_fail_errno(errno, "make directory %s", name);
    if (fchmodat(walk->fd, name, 0755, 0) < 0) /* whatever the umask is */
        return cob_fail_errno(errno, "set mode of %s", name);
    COB_TRY(enter(walk, name));
    return extract_note_dir(walk->extract, walk->path->str, walk->fd, &facts);
}

static struct cob_error *step(struct walk *walk, const char *name)
{
    const struct cob_layer_unpack_request *request = walk->extract->request;
    struct stat st;

    if (strcmp(name, "..") == 0) {
        drop_last(walk->path);
        return reopen(walk);
    }
    if (fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? make_and_enter(walk, name)
                               : cob_fail_errno(errno, "stat %s", name);
    if (S_ISDIR(st.st_mode))
        return enter(walk, name);
    if (S_ISLNK(st.st_mode))
        return follow(walk, name);
    if (request->is_archive || !extract_is_whiteout(&st))
        return cob_fail(COB_INVALID, "%s is not a directory", name);
    /* .wh.name came first: what is made now is new, and shows nothing of the layers below */
    if (unlinkat(walk->fd, name, 0) < 0)
        return cob_fail_errno(errno, "remove %s", name);
    int parent_fd = fcntl(walk->fd, F_DUPFD_CLOEXEC, 0);
    struct cob_error *err = make_and_enter(walk, name);
    if (!err)
        err = extract_set_opaque(walk->extract, parent_fd, name);
    close(parent_fd);
    return err;
}

static struct cob_error *make_way(struct extract *extract, const char *path, int *ret_fd)
{
    struct walk walk = {.extract = extract, .path = g_string_new(NULL), .fd = -1};
    struct cob_error *err = reopen(&walk);
    char *name;

    g_queue_init(&walk.names);
    push_names(&walk, path);
    while (!err && (name = g_queue_pop_head(&walk.names))) {
        err = step(&walk, name);
        g_free(name);
    }
    if (!err)
        *ret_fd = g_steal_fd(&walk.fd);
    walk_done(&walk);
    return err;
}

static void forget_parent(struct extract *extract)
{
    extract->is_parent_stale = false;
    g_clear_pointer(&extract->parent, g_free);
    if (extract->parent_fd >= 0)
        close(g_steal_fd(&extract->parent_fd));
}

struct cob_error *extract_open_parent(struct extract *extract, const char *path, int *ret_fd)
{
    const char *slash = strrchr(path, '/');
    g_autofree char *parent = g_strndup(path, slash ? (gsize)(slash - path) : 0);
    g_autoptr(cob_error) err = NULL;

    if (extract->parent && !extract->is_parent_stale && strcmp(extract->parent, parent) == 0) {
        *ret_fd = extract->parent_fd;
        return NULL;
    }
    forget_parent(extract);
    err = cob_open_in_root(
        extract->root_fd, parent[0] ? parent : ".", O_PATH | O_DIRECTORY, 0, &extract->parent_fd);
    if (err && cob_error_errno(err) != ENOENT && cob_error_errno(err) != ENOTDIR)
        return cob_wrap(g_steal_pointer(&err), "the directory %s", parent);
    if (err)
        COB_TRY(
            cob_wrap(make_way(extract, parent, &extract->parent_fd), "the directory %s", parent));
    extract->parent = g_steal_pointer(&parent);
    *ret_fd = extract->parent_fd;
    return NULL;
}

/* --- directories --- */

static void assign_dir(struct extract_dir *dir, const struct extract_dir *facts)
{
    char *path = dir->path;
    ino_t ino = dir->ino;

    *dir = *facts;
    dir->path = path;
    dir->ino = ino;
}

struct cob_error *extract_note_dir(
    struct extract *extract, const char *path, int dir_fd, const struct extract_dir *facts)
{
    struct stat st;

    if (fstat(dir_fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    struct extract_dir *dir =
        g_hash_table_lookup(extract->dirs_by_ino, GSIZE_TO_POINTER(st.st_ino));
    if (!dir) {
        dir = g_new0(struct extract_dir, 1);
        dir->ino = st.st_ino;
        g_ptr_array_add(extract->dirs, dir);
        g_hash_table_insert(extract->dirs_by_ino, GSIZE_TO_POINTER(st.st_ino), dir);
    } else {
        extract->dir_path_bytes -= strlen(dir->path);
        g_free(dir->path); /* another name, or another directory that got the number */
    }
    dir->path = g_strdup(path);
    extract->dir_path_bytes += strlen(path);
    if (extract->dir_path_bytes > MAX_DIR_PATH_BYTES)
        return cob_fail(COB_EXHAUSTED, "too many directories with long names");
    assign_dir(dir, facts);
    return NULL;
}

struct cob_error *extract_set_opaque(struct extract *extract, int parent_fd, const char *name)
{
    cob_autoclose int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "open directory %s", name);
    if (fsetxattr(fd, extract->request->opaque_xattr, "y", 1, 0) < 0)
        return cob_fail_errno(errno, "set %s on %s", extract->request->opaque_xattr, name);
    return NULL;
}
