/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree copied into a layer. The target is written directly, with no overlay mount over it; what
 * the layers below have in the same place is looked at on the side, and only where the directory is
 * there at all: below a new directory nothing is asked.
 *
 * spec: fsutil copy/copy.go.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"
#include "util/tree.h"

/* So much of a file is copied between two looks at the wish to stop. */
#define COPY_BYTES (UINT64_C(64) << 20)

/* What was in the place of a directory of the target. */
enum dir_origin {
    DIR_NEW,      /* nothing */
    DIR_COVERING, /* a file, or a whiteout: what the layers below have shows no more */
    DIR_IN_LAYER,
    DIR_BELOW, /* a directory of the layers below alone */
};

/* A directory of the target that the copy is inside of. */
struct level {
    int fd;       /* in the layer */
    int lower_fd; /* in the layers below; -1: not there */
    size_t index; /* the entry it is a copy of */
    size_t end;   /* entries from here on are not below it */
    gsize len;    /* of its path */
    enum dir_origin origin;
    bool is_passed; /* only on the way to what is copied */
};

struct copier {
    struct cob_context *from;
    const struct copy_rules *rules;
    size_t root;    /* the selected entry: filters see paths from it */
    GArray *levels; /* struct level; the first is the caller's */
    GArray *passed; /* size_t: directories below the top level that are made when something in them
                     * is taken */
    GString *path;  /* of the level on top, in the root; "" is the root */
    int root_fd;
};

/* A file that has several names. */
struct file_key {
    dev_t dev;
    uint64_t inode;
};

static guint hash_key(gconstpointer key)
{
    return g_int64_hash(&((const struct file_key *)key)->inode);
}

static gboolean are_keys_equal(gconstpointer left, gconstpointer right)
{
    const struct file_key *one = left, *other = right;

    return one->inode == other->inode && one->dev == other->dev;
}

GHashTable *cob_ops_copy_links_new(void)
{
    return g_hash_table_new_full(hash_key, are_keys_equal, g_free, g_free);
}

static struct level *top(const struct copier *copier)
{
    return &g_array_index(copier->levels, struct level, copier->levels->len - 1);
}

/* --- metadata --- */

static struct cob_error *new_mode(
    const struct copy_rules *rules, const struct cob_context_entry *entry, mode_t *ret_mode)
{
    mode_t mode = entry->mode & 07777;

    if (rules->mode_text)
        return cob_ops_mode_apply(rules->mode_text, mode, S_ISDIR(entry->mode), ret_mode);
    *ret_mode = rules->mode >= 0 ? (mode_t)rules->mode & 07777 : mode;
    return NULL;
}

static struct cob_error *set_xattr(void *arg, const char *name, const void *value, size_t len)
{
    const int *fd = arg;

    if (fsetxattr(*fd, name, value, len, 0) < 0 && errno != ENOTSUP && errno != EPERM)
        return cob_fail_errno(errno, "set xattr %s", name);
    return NULL;
}

/* What the rules make of an entry's owner and times. */
struct attributes {
    uid_t uid;
    gid_t gid;
    struct timespec times[2];
};

static struct attributes attributes_of(
    const struct copy_rules *rules, const struct cob_context_entry *entry)
{
    int64_t time_ns = rules->time_ns >= 0 ? rules->time_ns : entry->mtime_ns;
    const struct timespec time = {time_ns / 1000000000, time_ns % 1000000000};

    return (struct attributes){
        .uid = rules->owner.is_set ? rules->owner.uid : entry->uid,
        .gid = rules->owner.is_set ? rules->owner.gid : entry->gid,
        .times = {time, time},
    };
}

static struct cob_error *fail_owner(
    const struct cob_context_entry *entry, const struct attributes *wanted)
{
    return cob_fail_errno(
        errno, "change the owner of %s to %u:%u", entry->path, wanted->uid, wanted->gid);
}

/* Owner, mode, xattrs and times of an open file or directory; in this order, since a change of
 * owner clears setuid bits and file capabilities.
 * src_fd: the entry's file, open; -1: it is not. */
static struct cob_error *dress(struct copier *copier, size_t index, int src_fd, int fd)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    const struct attributes wanted = attributes_of(copier->rules, &entry);
    mode_t mode;

    COB_TRY(new_mode(copier->rules, &entry, &mode));
    if (fchown(fd, wanted.uid, wanted.gid) <
        0) /* also to 0:0: below a setgid directory it is another one */
        return fail_owner(&entry, &wanted);
    if (fchmod(fd, mode) < 0)
        return cob_fail_errno(errno, "set the mode of %s", entry.path);
    struct cob_error *err = src_fd >= 0 ? cob_context_file_xattrs(src_fd, set_xattr, &fd)
                                        : cob_context_xattrs(copier->from, index, set_xattr, &fd);
    COB_TRY(cob_wrap(err, "%s", entry.path));
    if (futimens(fd, wanted.times) < 0)
        return cob_fail_errno(errno, "set the times of %s", entry.path);
    return NULL;
}

/* The same for what cannot be opened: symlinks and special files. */
static struct cob_error *dress_by_name(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    const struct attributes wanted = attributes_of(copier->rules, &entry);
    int fd = top(copier)->fd;

    if (fchownat(fd, name, wanted.uid, wanted.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_owner(&entry, &wanted);
    if (utimensat(fd, name, wanted.times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set the times of %s", entry.path);
    return NULL;
}

/* --- what is in the way --- */

/* What is at a name already: in the layer, else below it. 0: nothing. */
static struct cob_error *type_there(
    const struct level *level, const char *name, mode_t *ret_type, bool *ret_is_in_layer)
{
    struct stat st;

    *ret_type = 0;
    *ret_is_in_layer = fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_is_in_layer && (errno != ENOENT || level->lower_fd < 0))
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (!*ret_is_in_layer && fstatat(level->lower_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) /* a whiteout: nothing */
        return NULL;
    *ret_type = st.st_mode & S_IFMT;
    return NULL;
}

/* Make room for a file. What the layers below have is covered by it. */
static struct cob_error *make_room(struct copier *copier, const char *name, const char *path)
{
    struct level *level = top(copier);
    bool is_in_layer = false;
    mode_t type;

    COB_TRY(type_there(level, name, &type, &is_in_layer));
    if (S_ISDIR(type) && !copier->rules->is_replacing)
        return cob_fail(COB_INVALID, "cannot copy %s: cannot replace to directory %s/%s with file",
            path, copier->path->str, name);
    if (!is_in_layer)
        return NULL;
    return cob_wrap(cob_tree_remove(level->fd, name), "replace %s/%s", copier->path->str, name);
}

/* --- one entry of each type --- */

static struct cob_error *create_file(
    struct copier *copier, const char *name, const char *path, int *ret_fd)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct level *level = top(copier);

    if (level->lower_fd >= 0)
        COB_TRY(make_room(copier, name, path));
    int fd = openat(level->fd, name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        COB_TRY(make_room(copier, name, path));
        fd = openat(level->fd, name, flags, 0600);
    }
    if (fd < 0)
        return cob_fail_errno(errno, "create %s", path);
    *ret_fd = fd;
    return NULL;
}

static struct cob_error *copy_bytes(
    const struct copier *copier, uint64_t len, int src_fd, int dst_fd)
{
    for (uint64_t n; len > 0; len -= n) {
        n = MIN(len, COPY_BYTES);
        COB_TRY(cob_cancel_check(copier->rules->cancel));
        COB_TRY(cob_fs_copy_bytes(src_fd, dst_fd, n));
    }
    return NULL;
}

static struct cob_error *copy_new_file(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    cob_autoclose int src_fd = -1;
    cob_autoclose int dst_fd = -1;

    COB_TRY(cob_context_open_file(copier->from, index, &src_fd));
    COB_TRY(create_file(copier, name, entry.path, &dst_fd));
    COB_TRY(cob_wrap(copy_bytes(copier, entry.size, src_fd, dst_fd), "%s", entry.path));
    COB_TRY(cob_context_check_file(copier->from, index, src_fd));
    COB_TRY(dress(copier, index, src_fd, dst_fd));
    if (close(g_steal_fd(&dst_fd)) < 0)
        return cob_fail_errno(errno, "close %s", entry.path);
    return NULL;
}

/* A file that was copied under another name becomes a link to that copy, as in fsutil.
 * spec: fsutil copy/hardlink.go. */
static struct cob_error *copy_file(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    const struct file_key key = {entry.dev, entry.inode};
    g_autofree char *path = g_strdup_printf("%s/%s", copier->path->str, name);

    if (entry.n_links < 2)
        return copy_new_file(copier, index, name);
    const char *first = g_hash_table_lookup(copier->rules->links, &key);
    if (first && strcmp(first, path) == 0)
        return NULL;
    if (first) {
        COB_TRY(make_room(copier, name, entry.path));
        if (linkat(copier->root_fd, first + 1, top(copier)->fd, name, 0) < 0)
            return cob_fail_errno(errno, "link %s to %s", path, first);
        return NULL;
    }
    COB_TRY(copy_new_file(copier, index, name));
    g_hash_table_insert(copier->rules->links, g_memdup2(&key, sizeof(key)), g_steal_pointer(&path));
    return NULL;
}

static struct cob_error *copy_link(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);

    COB_TRY(make_room(copier, name, entry.path));
    if (symlinkat(entry.target, top(copier)->fd, name) < 0)
        return cob_fail_errno(errno, "make symlink %s", entry.path);
    return dress_by_name(copier, index, name);
}

static struct cob_error *copy_special(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    mode_t mode;

    COB_TRY(new_mode(copier->rules, &entry, &mode));
    COB_TRY(make_room(copier, name, entry.path));
    if (mknodat(top(copier)->fd, name, (entry.mode & S_IFMT) | 0600, entry.rdev) < 0)
        return cob_fail_errno(errno, "make device %s", entry.path);
    COB_TRY(dress_by_name(copier, index, name));
    if (fchmodat(top(copier)->fd, name, mode, 0) < 0) /* mknod(2) minds the umask */
        return cob_fail_errno(errno, "set the mode of %s", entry.path);
    return NULL;
}

/* No layer can hold a socket: an empty file has its place.
 * spec: fsutil copy/copy_nowindows.go, copyDevice. */
static struct cob_error *copy_socket(struct copier *copier, size_t index, const char *name)
{
    cob_autoclose int fd = -1;

    COB_TRY(create_file(copier, name, cob_context_get(copier->from, index).path, &fd));
    return dress(copier, index, -1, fd);
}

/* Make a directory of the target, where there is none. */
static struct cob_error *make_dir(
    struct copier *copier, const char *name, const char *path, enum dir_origin *ret_origin)
{
    struct level *level = top(copier);
    bool is_in_layer = false;
    mode_t type;

    COB_TRY(type_there(level, name, &type, &is_in_layer));
    if (type && !S_ISDIR(type) && !copier->rules->is_replacing)
        return cob_fail(COB_INVALID, "cannot copy %s: cannot copy to non-directory: %s/%s", path,
            copier->path->str, name);
    bool is_covering = is_in_layer && !S_ISDIR(type);
    if (is_covering && unlinkat(level->fd, name, 0) < 0)
        return cob_fail_errno(errno, "replace %s/%s", copier->path->str, name);
    if (mkdirat(level->fd, name, 0700) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s", path);
    *ret_origin = is_covering     ? DIR_COVERING
                  : is_in_layer   ? DIR_IN_LAYER
                  : S_ISDIR(type) ? DIR_BELOW
                                  : DIR_NEW;
    return NULL;
}

/* Go into a directory of the target, made if need be, and note that it is the copy of an entry. */
static struct cob_error *enter_dir(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);
    struct level *level = top(copier);
    cob_autoclose int fd = -1;
    enum dir_origin origin = DIR_NEW;

    COB_TRY(make_dir(copier, name, entry.path, &origin));
    fd = openat(level->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return cob_fail_errno(errno, "open directory %s", entry.path);
    if (origin == DIR_COVERING && fsetxattr(fd, copier->rules->opaque_xattr, "y", 1, 0) < 0)
        return cob_fail_errno(errno, "set xattr %s", copier->rules->opaque_xattr);
    struct level next = {.fd = g_steal_fd(&fd),
        .lower_fd = -1,
        .index = index,
        .end = cob_context_end(copier->from, index),
        .len = copier->path->len + 1 + strlen(name),
        .origin = origin};
    if (level->lower_fd >= 0 && origin != DIR_COVERING)
        next.lower_fd =
            openat(level->lower_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_string_append_printf(copier->path, "/%s", name);
    g_array_append_val(copier->levels, next);
    return NULL;
}

/* A directory that was there, and is only on the way to what is copied, keeps all but its mode. The
 * layer may have none yet: then it is one like that of the layers below.
 * spec: fsutil copy/copy.go, copyDirectoryOnly. */
static struct cob_error *dress_kept(struct copier *copier)
{
    const struct level *level = top(copier);
    struct cob_context_entry entry = cob_context_get(copier->from, level->index);
    cob_autoclose int lower_fd = -1;

    if (level->origin == DIR_BELOW) {
        lower_fd = openat(level->lower_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (lower_fd < 0)
            return cob_fail_errno(errno, "open directory %s", copier->path->str);
        COB_TRY(cob_wrap(
            cob_tree_clone_metadata(lower_fd, level->fd), "directory %s", copier->path->str));
        fremovexattr(level->fd, copier->rules->opaque_xattr); /* true of that layer alone */
    }
    if (fchmod(level->fd, entry.mode & 07777) < 0)
        return cob_fail_errno(errno, "set the mode of %s", copier->path->str);
    return NULL;
}

static void drop_level(struct copier *copier)
{
    struct level *level = top(copier);

    close(level->fd);
    cob_closep(&level->lower_fd);
    g_array_set_size(copier->levels, copier->levels->len - 1);
    g_string_truncate(copier->path, top(copier)->len);
}

static struct cob_error *leave_dir(struct copier *copier)
{
    const struct level *level = top(copier);
    bool is_kept =
        level->is_passed && (level->origin == DIR_IN_LAYER || level->origin == DIR_BELOW);
    struct cob_error *err =
        is_kept ? dress_kept(copier) : dress(copier, level->index, -1, level->fd);

    drop_level(copier);
    return err;
}

static struct cob_error *copy_by_type(struct copier *copier, size_t index, const char *name)
{
    struct cob_context_entry entry = cob_context_get(copier->from, index);

    switch (entry.mode & S_IFMT) {
    case S_IFREG:
        return copy_file(copier, index, name);
    case S_IFDIR:
        return enter_dir(copier, index, name);
    case S_IFLNK:
        return copy_link(copier, index, name);
    case S_IFBLK:
    case S_IFCHR:
    case S_IFIFO:
        return copy_special(copier, index, name);
    default:
        return copy_socket(copier, index, name);
    }
}

/* --- the walk --- */

/* For filters: from the selected entry. */
static const char *path_below_root(const struct copier *copier, size_t index)
{
    size_t skip = strlen(cob_context_get(copier->from, copier->root).path);

    return cob_context_get(copier->from, index).path + skip + (skip > 0);
}

static enum cob_context_verdict judge(const struct copier *copier, size_t index)
{
    bool is_dir = S_ISDIR(cob_context_get(copier->from, index).mode);

    if (!copier->rules->filter || index == copier->root)
        return COB_CONTEXT_TAKE;
    return cob_ops_copy_filter(copier->rules->filter, path_below_root(copier, index), is_dir);
}

/* Go on behind an entry that is left; into it, if something in it may be taken.
 * Returns the last entry that is done with. */
static size_t pass_over(struct copier *copier, size_t index, enum cob_context_verdict verdict)
{
    if (verdict == COB_CONTEXT_LEAVE)
        return cob_context_end(copier->from, index) - 1;
    g_array_append_val(copier->passed, index);
    return index;
}

static void forget_passed(struct copier *copier, size_t index)
{
    while (copier->passed->len > 0) {
        size_t last = g_array_index(copier->passed, size_t, copier->passed->len - 1);

        if (index < cob_context_end(copier->from, last))
            return;
        g_array_set_size(copier->passed, copier->passed->len - 1);
    }
}

/* spec: fsutil copy/copy.go, createParentDirs: they look as in the source. */
static struct cob_error *enter_passed(struct copier *copier)
{
    for (guint i = 0; i < copier->passed->len; i++) {
        size_t index = g_array_index(copier->passed, size_t, i);

        COB_TRY(enter_dir(copier, index, cob_context_get(copier->from, index).name));
        top(copier)->is_passed = true;
    }
    g_array_set_size(copier->passed, 0);
    return NULL;
}

/* A directory that only gets what is in another one keeps what it is, but for its times.
 * spec: fsutil copy/copy.go, copy(), restoreFileTimestamp. */
static struct cob_error *set_times_of_target(struct copier *copier)
{
    struct cob_context_entry entry = cob_context_get(copier->from, copier->root);
    const struct copy_rules *rules = copier->rules;
    int64_t time_ns = rules->time_ns >= 0 ? rules->time_ns : entry.mtime_ns;
    const struct timespec time = {time_ns / 1000000000, time_ns % 1000000000};
    const struct timespec times[] = {time, time};

    if (futimens(top(copier)->fd, times) < 0)
        return cob_fail_errno(errno, "set the times of %s/", copier->path->str);
    return NULL;
}

/* first_name: what the selected entry is called in the target; NULL: it is the target itself. */
static struct cob_error *walk(struct copier *copier, const char *first_name)
{
    const size_t end = cob_context_end(copier->from, copier->root);

    for (size_t i = copier->root + (first_name == NULL); i < end; i++) {
        while (copier->levels->len > 1 && i >= top(copier)->end)
            COB_TRY(leave_dir(copier));
        forget_passed(copier, i);
        COB_TRY(cob_cancel_check(copier->rules->cancel));
        enum cob_context_verdict verdict = judge(copier, i);
        if (verdict != COB_CONTEXT_TAKE) {
            i = pass_over(copier, i, verdict);
            continue;
        }
        COB_TRY(enter_passed(copier));
        COB_TRY(copy_by_type(
            copier, i, i == copier->root ? first_name : cob_context_get(copier->from, i).name));
    }
    while (copier->levels->len > 1)
        COB_TRY(leave_dir(copier));
    return first_name ? NULL : set_times_of_target(copier);
}

struct cob_error *cob_ops_copy_entry(struct cob_context *from, size_t index,
    const struct copy_target *target, const char *name, const struct copy_rules *rules)
{
    const char *path = target->path[1] ? target->path : "";
    const struct level first = {.fd = target->fd,
        .lower_fd = target->lower_fd,
        .index = index,
        .end = SIZE_MAX,
        .len = strlen(path)};
    struct copier copier = {.from = from,
        .rules = rules,
        .root = index,
        .levels = g_array_new(FALSE, FALSE, sizeof(struct level)),
        .passed = g_array_new(FALSE, FALSE, sizeof(size_t)),
        .path = g_string_new(path),
        .root_fd = target->root_fd};

    g_array_append_val(copier.levels, first);
    struct cob_error *err = walk(&copier, name);
    while (copier.levels->len > 1) /* after an error */
        drop_level(&copier);
    g_array_unref(copier.levels);
    g_array_unref(copier.passed);
    g_string_free(copier.path, TRUE);
    return err;
}
