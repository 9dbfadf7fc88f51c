/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/extract.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "disk/layer/xattrs.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/tree.h"

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define AUFS                                                                                       \
    ".wh..wh." /* a union file system's own files, of which only OPAQUE has a meaning here */
#define MAX_WARNINGS 20
#define ROOM_EVERY_BYTES (16 * COB_MIB) /* between two looks at the free space */
#define SMALL_FILE_BYTES 4096           /* what a file costs beside its bytes */

static void dir_free(gpointer pointer)
{
    struct extract_dir *dir = pointer;

    g_free(dir->path);
    g_free(dir);
}

void extract_init(struct extract *extract, const struct cob_layer_unpack_request *request)
{
    *extract = (struct extract){.request = request,
        .dirs = g_ptr_array_new_with_free_func(dir_free),
        .dirs_by_ino = g_hash_table_new(NULL, NULL),
        .parent_fd = -1,
        .root_fd = request->dir_fd,
        .fd = -1,
        .entry = g_new(struct tar_entry, 1),
        .is_root = geteuid() == 0};
    tar_entry_init(extract->entry);
}

void extract_done(struct extract *extract)
{
    g_free(extract->parent);
    if (extract->parent_fd >= 0)
        close(extract->parent_fd);
    g_ptr_array_unref(extract->dirs);
    g_hash_table_unref(extract->dirs_by_ino);
    tar_entry_done(extract->entry);
    g_free(extract->entry);
    if (extract->fd >= 0)
        close(extract->fd);
}

static G_GNUC_PRINTF(2, 3) void warn(struct extract *extract, const char *format, ...)
{
    const struct cob_layer_unpack_request *request = extract->request;

    if (!request->on_warning || extract->n_warnings > MAX_WARNINGS)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    request->on_warning(request->warning_arg,
        extract->n_warnings++ < MAX_WARNINGS ? text : "more was left out of this archive");
}

/* --- metadata --- */

static bool owner_of(const struct extract *extract, uid_t *ret_uid, gid_t *ret_gid)
{
    const struct cob_layer_unpack_request *request = extract->request;

    *ret_uid = request->has_owner ? request->uid : (uid_t)extract->entry->uid;
    *ret_gid = request->has_owner ? request->gid : (gid_t)extract->entry->gid;
    return !request->ignore_owners;
}

static struct cob_error *explain_chown(int errnum, uid_t uid, gid_t gid)
{
    if (errnum == EINVAL)
        return cob_fail_errno(errnum,
            "give it to %u:%u: this user has no such ids; add more to /etc/subuid and /etc/subgid",
            uid, gid);
    return cob_fail_errno(errnum, "give it to %u:%u", uid, gid);
}

static struct cob_error *set_owner_at(struct extract *extract, int dir_fd, const char *name)
{
    uid_t uid;
    gid_t gid;

    if (owner_of(extract, &uid, &gid) && fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return explain_chown(errno, uid, gid);
    return NULL;
}

/* What a user's folder should not get from an image. */
static bool is_harmful_xattr(struct extract *extract, const struct tar_xattr *xattr)
{
    if (!extract->request->only_harmless || strcmp(xattr->name, "security.capability") != 0)
        return false;
    warn(extract, "%s: left out its file capabilities", extract->entry->name->str);
    return true;
}

static mode_t harmless_mode(struct extract *extract)
{
    mode_t mode = extract->entry->mode;
    bool is_special = extract->entry->type == TAR_FILE && mode & (S_ISUID | S_ISGID);

    if (!extract->request->only_harmless || !is_special)
        return mode;
    warn(extract, "%s: left out its setuid or setgid bit", extract->entry->name->str);
    return mode & ~(mode_t)(S_ISUID | S_ISGID);
}

static struct cob_error *set_xattr(struct extract *extract, int fd, const struct tar_xattr *xattr)
{
    bool is_capability = strcmp(xattr->name, "security.capability") == 0;
    g_autoptr(GBytes) value =
        is_capability ? xattr_portable_capability(xattr->value) : g_bytes_ref(xattr->value);
    gsize len;

    if (!value)
        return cob_fail(COB_INVALID, "its %s is malformed", xattr->name);
    const void *data = g_bytes_get_data(value, &len);
    if (fsetxattr(fd, xattr->name, data, len, 0) == 0)
        return NULL;
    if (errno != EOPNOTSUPP && errno != EPERM)
        return cob_fail_errno(errno, "set xattr %s", xattr->name);
    warn(extract, "%s: left out its xattr %s: %s", extract->entry->name->str, xattr->name,
        g_strerror(errno));
    return NULL;
}

/* Owner first: a change of it takes setuid bits and capabilities away. */
static struct cob_error *set_metadata(struct extract *extract, int fd, mode_t mode)
{
    const struct tar_entry *entry = extract->entry;
    uid_t uid;
    gid_t gid;

    if (owner_of(extract, &uid, &gid) && fchown(fd, uid, gid) < 0)
        return explain_chown(errno, uid, gid);
    for (guint i = 0; i < entry->xattrs->len; i++) {
        const struct tar_xattr *xattr = g_ptr_array_index(entry->xattrs, i);

        if (!xattr_is_allowed(xattr->name) ||
            (entry->type != TAR_FILE && strcmp(xattr->name, "security.capability") == 0) ||
            is_harmful_xattr(extract, xattr))
            continue;
        COB_TRY(set_xattr(extract, fd, xattr));
    }
    return fchmod(fd, mode) < 0 ? cob_fail_errno(errno, "set its mode") : NULL;
}

static void times_of(const struct tar_entry *entry, struct timespec ret_times[2])
{
    ret_times[0] = ret_times[1] =
        (struct timespec){.tv_sec = entry->mtime, .tv_nsec = entry->mtime_ns};
}

static struct cob_error *set_times_at(struct extract *extract, int dir_fd, const char *name)
{
    struct timespec times[2];

    times_of(extract->entry, times);
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set its times");
    return NULL;
}

/* --- making room --- */

static struct cob_error *remove_in_way(struct extract *extract, int dir_fd, const char *name)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
        extract->is_parent_stale = true; /* a name may have led through it */
    if (S_ISDIR(st.st_mode)) {
        COB_TRY(cob_wrap(cob_tree_remove(dir_fd, name), "remove the directory in its place"));
    } else if (unlinkat(dir_fd, name, 0) < 0) {
        return cob_fail_errno(errno, "remove what is in its place");
    }
    return NULL;
}

/* The last component of a cleaned path. */
static const char *leaf_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* --- one function for each type --- */

static struct cob_error *open_new_file(struct extract *extract, int dir_fd, const char *leaf)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

    extract->fd = openat(dir_fd, leaf, flags, 0600);
    if (extract->fd < 0 && errno == EEXIST) {
        COB_TRY(remove_in_way(extract, dir_fd, leaf));
        extract->fd = openat(dir_fd, leaf, flags, 0600);
    }
    return extract->fd < 0 ? cob_fail_errno(errno, "create it") : NULL;
}

static struct cob_error *make_file(struct extract *extract, int dir_fd, const char *leaf)
{
    const struct tar_entry *entry = extract->entry;

    COB_TRY(open_new_file(extract, dir_fd, leaf));
    if (entry->is_sparse && ftruncate(extract->fd, (off_t)entry->size) < 0)
        return cob_fail_errno(errno, "make it %" PRIu64 " bytes long", entry->size);
    return NULL;
}

static struct cob_error *note_entry(struct extract *extract, int fd, const char *path)
{
    const struct tar_entry *entry = extract->entry;
    bool denies_us = (entry->mode & 0700) != 0700 && !extract->is_root;

    COB_TRY(set_metadata(extract, fd, entry->mode | (denies_us ? 0700 : 0)));
    return extract_note_dir(extract, path, fd,
        &(struct extract_dir){.mtime = entry->mtime,
            .mtime_ns = entry->mtime_ns,
            .mode = entry->mode,
            .has_mode = denies_us});
}

/* A directory that takes the place of a file is new: the layers below do not show in it, for the
 * file hid them. */
static struct cob_error *make_dir(struct extract *extract, int dir_fd, const char *leaf)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    bool was_in_way = false;
    struct stat st;

    if (mkdirat(dir_fd, leaf, 0700) < 0) {
        if (errno != EEXIST)
            return cob_fail_errno(errno, "make directory");
        if (fstatat(dir_fd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return cob_fail_errno(errno, "stat");
        was_in_way = !S_ISDIR(st.st_mode);
    }
    if (was_in_way) {
        COB_TRY(remove_in_way(extract, dir_fd, leaf));
        if (mkdirat(dir_fd, leaf, 0700) < 0)
            return cob_fail_errno(errno, "make directory");
    }
    cob_autoclose int fd = openat(dir_fd, leaf, flags);
    if (fd < 0)
        return cob_fail_errno(errno, "open directory");
    if (was_in_way && !extract->request->is_archive)
        COB_TRY(extract_set_opaque(extract, dir_fd, leaf));
    return note_entry(extract, fd, extract->entry->name->str);
}

static struct cob_error *make_symlink(struct extract *extract, int dir_fd, const char *leaf)
{
    const char *target = extract->entry->link->str;

    if (symlinkat(target, dir_fd, leaf) < 0) {
        if (errno != EEXIST)
            return cob_fail_errno(errno, "make symlink");
        COB_TRY(remove_in_way(extract, dir_fd, leaf));
        if (symlinkat(target, dir_fd, leaf) < 0)
            return cob_fail_errno(errno, "make symlink");
    }
    COB_TRY(set_owner_at(extract, dir_fd, leaf));
    return set_times_at(extract, dir_fd, leaf);
}

static struct cob_error *make_node(struct extract *extract, int dir_fd, const char *leaf)
{
    const struct tar_entry *entry = extract->entry;
    mode_t kind = entry->type == TAR_FIFO          ? S_IFIFO
                  : entry->type == TAR_CHAR_DEVICE ? S_IFCHR
                                                   : S_IFBLK;
    dev_t device = kind == S_IFIFO ? 0 : makedev(entry->major, entry->minor);

    if (kind == S_IFCHR && device == 0) {
        warn(
            extract, "%s: left out a 0:0 device: only a .wh. name removes files", entry->name->str);
        return NULL;
    }
    if (extract->request->only_harmless && kind != S_IFIFO) {
        warn(extract, "%s: left out a device", entry->name->str);
        return NULL;
    }
    COB_TRY(remove_in_way(extract, dir_fd, leaf));
    if (mknodat(dir_fd, leaf, kind | 0600, device) < 0) {
        if (errno != EPERM || kind == S_IFIFO)
            return cob_fail_errno(errno, "make node");
        warn(extract, "%s: left out a device: not permitted", entry->name->str);
        return NULL;
    }
    COB_TRY(set_owner_at(extract, dir_fd, leaf));
    if (fchmodat(dir_fd, leaf, entry->mode, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set its mode");
    return set_times_at(extract, dir_fd, leaf);
}

/* Where a hard link leads: a file that this archive brought, or for ADD one that was there.
 * ret_dir_fd: the directory of it; the caller closes it. */
static struct cob_error *find_target(
    struct extract *extract, GString *target, int *ret_dir_fd, struct stat *ret_st)
{
    const struct cob_layer_unpack_request *request = extract->request;
    bool leads_out;

    COB_TRY(extract_clean_path(extract->entry->link->str, target, &leads_out));
    if (target->len == 0 || (leads_out && request->is_archive))
        return cob_fail(COB_INVALID, "it leads out of the archive");
    const char *leaf = leaf_of(target->str);
    g_autofree char *parent = g_strndup(target->str, (gsize)(leaf - target->str));
    cob_autoclose int fd = -1;
    COB_TRY(
        cob_open_in_root(extract->root_fd, parent[0] ? parent : ".", O_PATH | O_DIRECTORY, 0, &fd));
    if (fstatat(fd, leaf, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat");
    if (S_ISDIR(ret_st->st_mode))
        return cob_fail(COB_INVALID, "it is a directory");
    if (!request->is_archive && extract_is_whiteout(ret_st))
        return cob_fail(COB_INVALID, "it is removed by this layer");
    *ret_dir_fd = g_steal_fd(&fd);
    return NULL;
}

static struct cob_error *make_hard_link(struct extract *extract, int dir_fd, const char *leaf)
{
    g_autoptr(GString) target = g_string_new(NULL);
    cob_autoclose int target_fd = -1;
    struct stat target_st, st;

    COB_TRY(cob_wrap(find_target(extract, target, &target_fd, &target_st), "hard link to %s",
        extract->entry->link->str));
    const char *target_leaf = leaf_of(target->str);
    if (linkat(target_fd, target_leaf, dir_fd, leaf, 0) == 0)
        return NULL;
    if (errno != EEXIST)
        return cob_fail_errno(errno, "hard link to %s", target->str);
    if (fstatat(dir_fd, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == target_st.st_ino &&
        st.st_dev == target_st.st_dev)
        return NULL; /* it is that file already */
    COB_TRY(remove_in_way(extract, dir_fd, leaf));
    if (linkat(target_fd, target_leaf, dir_fd, leaf, 0) < 0)
        return cob_fail_errno(errno, "hard link to %s", target->str);
    return NULL;
}

/* --- whiteouts --- */

static struct cob_error *make_opaque(struct extract *extract, int dir_fd)
{
    return extract_set_opaque(extract, dir_fd, ".");
}

/* The file of this name is gone in the layers below; what this layer itself has of that name stays,
 * and a directory then is a new one. */
static struct cob_error *make_whiteout(struct extract *extract, int dir_fd, const char *name)
{
    struct stat st;

    if (mknodat(dir_fd, name, S_IFCHR | 0600, 0) == 0)
        return NULL;
    if (errno != EEXIST)
        return cob_fail_errno(errno, "make a whiteout");
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat");
    return S_ISDIR(st.st_mode) ? extract_set_opaque(extract, dir_fd, name) : NULL;
}

static struct cob_error *take_whiteout(struct extract *extract, const char *path)
{
    const struct tar_entry *entry = extract->entry;
    const char *leaf = leaf_of(path), *name = leaf + strlen(WHITEOUT);
    int dir_fd;

    if (strcmp(leaf, OPAQUE) != 0 && g_str_has_prefix(leaf, AUFS))
        return NULL;
    if (entry->type != TAR_FILE && entry->type != TAR_HARD_LINK)
        return cob_fail(COB_INVALID, "a whiteout that is no file");
    if (strcmp(leaf, OPAQUE) != 0 &&
        (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
        return cob_fail(COB_INVALID, "a whiteout of nothing");
    COB_TRY(extract_open_parent(extract, path, &dir_fd));
    return strcmp(leaf, OPAQUE) == 0 ? make_opaque(extract, dir_fd)
                                     : make_whiteout(extract, dir_fd, name);
}

/* Is there a directory on the way that no layer can have? AUFS's own are passed over. */
static struct cob_error *check_way(const char *path, bool *ret_is_aufs)
{
    *ret_is_aufs = false;
    for (const char *at = path, *slash; (slash = strchr(at, '/')); at = slash + 1) {
        if (!g_str_has_prefix(at, WHITEOUT))
            continue;
        *ret_is_aufs = g_str_has_prefix(at, AUFS) && !g_str_has_prefix(at, OPAQUE "/");
        if (!*ret_is_aufs)
            return cob_fail(COB_INVALID, "something below a whiteout");
    }
    return NULL;
}

/* --- entries --- */

static struct cob_error *take_root(struct extract *extract)
{
    if (extract->entry->type != TAR_DIR)
        return cob_fail(COB_INVALID, "it would replace the root directory");
    if (extract->request->is_archive) /* the directory that is unpacked into keeps its own */
        return NULL;
    cob_autoclose int fd = -1;
    COB_TRY(cob_open_beneath(extract->root_fd, ".", O_RDONLY | O_DIRECTORY, 0, &fd));
    return note_entry(extract, fd, "");
}

static struct cob_error *make_entry(struct extract *extract, int dir_fd, const char *leaf)
{
    switch (extract->entry->type) {
    case TAR_FILE:
        return make_file(extract, dir_fd, leaf);
    case TAR_DIR:
        return make_dir(extract, dir_fd, leaf);
    case TAR_SYMLINK:
        return make_symlink(extract, dir_fd, leaf);
    case TAR_HARD_LINK:
        return make_hard_link(extract, dir_fd, leaf);
    case TAR_CHAR_DEVICE:
    case TAR_BLOCK_DEVICE:
    case TAR_FIFO:
        return make_node(extract, dir_fd, leaf);
    }
    g_assert_not_reached();
}

/* In an archive it is a name like another one, as to BuildKit; but what of it gets into an image
 * would remove files there. That ends in an error then, and is said now. A user's folder may have
 * it. */
static void warn_of_whiteout(struct extract *extract, const char *path)
{
    bool is_in_path = g_str_has_prefix(path, WHITEOUT) || strstr(path, "/" WHITEOUT);

    if (is_in_path && !extract->request->only_harmless)
        warn(extract,
            "%s: no image can have a name that begins with .wh.: there it means a removed "
            "file",
            path);
}

static struct cob_error *take_named(struct extract *extract, bool leads_out)
{
    const struct cob_layer_unpack_request *request = extract->request;
    const char *path = extract->entry->name->str;
    bool is_aufs = false;
    int dir_fd;

    if (leads_out && request->is_archive)
        return cob_fail(COB_INVALID, "its name leads out of the archive");
    if (path[0] == '\0')
        return take_root(extract);
    if (!request->is_archive) {
        COB_TRY(check_way(path, &is_aufs));
        if (is_aufs)
            return NULL;
        if (g_str_has_prefix(leaf_of(path), WHITEOUT))
            return take_whiteout(extract, path);
    } else {
        warn_of_whiteout(extract, path);
    }
    COB_TRY(extract_open_parent(extract, path, &dir_fd));
    return make_entry(extract, dir_fd, leaf_of(path));
}

/* Keep what is needed after the reader's next call. */
static void keep_entry(struct extract *extract, const struct tar_entry *entry)
{
    struct tar_entry *own = extract->entry;

    tar_entry_reset(own);
    g_string_assign(own->link, entry->link->str);
    for (guint i = 0; i < entry->xattrs->len; i++) {
        const struct tar_xattr *xattr = g_ptr_array_index(entry->xattrs, i);

        tar_entry_add_xattr(own, xattr->name, g_bytes_ref(xattr->value));
    }
    own->type = entry->type;
    own->size = entry->size;
    own->mode = entry->mode;
    own->uid = entry->uid;
    own->gid = entry->gid;
    own->mtime = entry->mtime;
    own->mtime_ns = entry->mtime_ns;
    own->major = entry->major;
    own->minor = entry->minor;
    own->is_sparse = entry->is_sparse;
}

static uint64_t max_bytes(const struct extract *extract)
{
    return extract->request->max_bytes ? extract->request->max_bytes : COB_LIMIT_LAYER_BYTES;
}

/* Stop while a prune can still work, and before others' builds meet a full disk. A user's own
 * folder is the user's affair. */
static struct cob_error *check_room(struct extract *extract, uint64_t len)
{
    struct statvfs fs;

    extract->n_unchecked += len;
    if (extract->n_unchecked < ROOM_EVERY_BYTES || extract->request->only_harmless)
        return NULL;
    extract->n_unchecked = 0;
    if (fstatvfs(extract->root_fd, &fs) < 0)
        return cob_fail_errno(errno, "ask for free space");
    if ((uint64_t)fs.f_bavail * fs.f_frsize >= COB_LIMIT_DISK_RESERVE_BYTES)
        return NULL;
    return cob_fail_errno(ENOSPC, "less than %" PRIu64 " MiB of the disk would be left",
        COB_LIMIT_DISK_RESERVE_BYTES / COB_MIB);
}

static struct cob_error *on_entry(void *arg, const struct tar_entry *entry)
{
    struct extract *extract = arg;
    bool leads_out;

    extract->n_entries++;
    COB_TRY(check_room(extract, SMALL_FILE_BYTES));
    keep_entry(extract, entry);
    if (entry->size > max_bytes(extract) - extract->n_bytes)
        return cob_fail(COB_EXHAUSTED, "its files are larger than the limit of %" PRIu64 " bytes",
            max_bytes(extract));
    extract->n_bytes += entry->size;
    COB_TRY(extract_clean_path(entry->name->str, extract->entry->name, &leads_out));
    return take_named(extract, leads_out);
}

static struct cob_error *write_at(int fd, uint64_t offset, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(pwrite(fd, at, len, (off_t)offset));

        if (n < 0)
            return cob_fail_errno(errno, "write");
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return NULL;
}

static struct cob_error *on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct extract *extract = arg;

    if (extract->fd < 0)
        return NULL;
    COB_TRY(cob_wrap(check_room(extract, len), "entry %s", extract->entry->name->str));
    return cob_wrap(
        write_at(extract->fd, offset, data, len), "entry %s", extract->entry->name->str);
}

static struct cob_error *end_file(struct extract *extract)
{
    struct timespec times[2];

    COB_TRY(set_metadata(extract, extract->fd, harmless_mode(extract)));
    times_of(extract->entry, times);
    if (futimens(extract->fd, times) < 0)
        return cob_fail_errno(errno, "set its times");
    if (close(g_steal_fd(&extract->fd)) < 0)
        return cob_fail_errno(errno, "close");
    return NULL;
}

static struct cob_error *on_end(void *arg)
{
    struct extract *extract = arg;

    if (extract->fd < 0)
        return NULL;
    return cob_wrap(end_file(extract), "entry %s", extract->entry->name->str);
}

const struct tar_events extract_events = {.entry = on_entry, .data = on_data, .end = on_end};

/* --- the end --- */

/* ret_fd: -1 when the directory is gone, or another one is there now. */
static struct cob_error *find_again(
    const struct extract *extract, const struct extract_dir *dir, int *ret_fd)
{
    cob_autoclose int fd = -1;
    struct stat st;
    g_autoptr(cob_error) err = cob_open_in_root(extract->root_fd, dir->path[0] ? dir->path : ".",
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);

    *ret_fd = -1;
    if (err) {
        int errnum = cob_error_errno(err);

        if (errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP)
            return NULL;
        return cob_wrap(g_steal_pointer(&err), "directory %s", dir->path);
    }
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", dir->path);
    if (st.st_ino == dir->ino)
        *ret_fd = g_steal_fd(&fd);
    return NULL;
}

static struct cob_error *finish_dir(
    struct extract *extract, struct extract_dir *dir, GPtrArray *implied)
{
    struct timespec times[2] = {{.tv_sec = dir->mtime, .tv_nsec = dir->mtime_ns}};
    cob_autoclose int fd = -1;

    COB_TRY(find_again(extract, dir, &fd));
    if (fd < 0)
        return NULL;
    if (dir->has_mode && fchmod(fd, dir->mode) < 0)
        return cob_fail_errno(errno, "set the mode of %s", dir->path);
    times[1] = times[0];
    if (futimens(fd, times) < 0)
        return cob_fail_errno(errno, "set the times of %s", dir->path);
    if (dir->is_implied)
        g_ptr_array_add(implied, g_strdup(dir->path));
    return NULL;
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    const char *const *left = a, *const *right = b;

    return strcmp(*left, *right);
}

struct cob_error *extract_finish(struct extract *extract, GPtrArray **ret_implied)
{
    g_autoptr(GPtrArray) implied = g_ptr_array_new_with_free_func(g_free);

    for (guint i = extract->dirs->len; i > 0;
         i--) /* a mode that denies access comes after what is below */
        COB_TRY(finish_dir(extract, g_ptr_array_index(extract->dirs, i - 1), implied));
    g_ptr_array_sort(implied, by_text); /* a parent is a prefix, so it comes first */
    *ret_implied = g_steal_pointer(&implied);
    return NULL;
}
