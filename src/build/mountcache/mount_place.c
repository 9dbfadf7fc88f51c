/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files into a mount that others may use at the same time. A file is made whole in a staging
 * directory of the store, and gets its name by one rename:
 *
 *     nothing was there       RENAME_NOREPLACE; somebody else's file wins, and is judged anew
 *     an older one was there  RENAME_EXCHANGE, and a look at what came out: if it is not older any
 *                             more, they are exchanged back
 *
 * No symlink is followed, neither on the way nor at the end: directories are opened by
 * cob_open_beneath(), and some are kept open, since files come in an order that likes that.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "build/mountcache/mount_place.h"
#include "util/fs.h"

#define MAX_DIRS 64 /* that are kept open */

struct mount_placer {
    int root_fd, staging_fd;
    bool ignore_owners;
    uid_t own_uid;
    gid_t own_gid;
    GHashTable *dirs; /* path -> descriptor + 1, owned */
    char *draft;      /* its name in the staging directory */
};

static void close_dir(gpointer fd)
{
    close(GPOINTER_TO_INT(fd) - 1);
}

struct mount_placer *placer_new(int root_fd, int staging_fd, bool ignore_owners)
{
    struct mount_placer *placer = g_new(struct mount_placer, 1);

    *placer = (struct mount_placer){.root_fd = root_fd,
        .staging_fd = staging_fd,
        .ignore_owners = ignore_owners,
        .own_uid = geteuid(),
        .own_gid = getegid(),
        .dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_dir),
        .draft = cob_fs_draft_name("file-")};
    return placer;
}

void placer_free(struct mount_placer *placer)
{
    if (!placer)
        return;
    g_hash_table_unref(placer->dirs);
    g_free(placer->draft);
    g_free(placer);
}

/* --- where --- */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Something else than a directory is on the way, or nothing at all. */
static bool is_in_the_way(const struct cob_error *err)
{
    int errnum = cob_error_errno(err);

    return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP || errnum == EXDEV;
}

/* ret_fd: borrowed until the next call; -1: something is in the way. */
static struct cob_error *open_parent(struct mount_placer *placer, const char *path, int *ret_fd)
{
    const char *name = name_of(path);
    g_autofree char *dir = name == path ? g_strdup(".") : g_strndup(path, (gsize)(name - path - 1));
    gpointer known = g_hash_table_lookup(placer->dirs, dir);
    int fd = -1;

    if (known) {
        *ret_fd = GPOINTER_TO_INT(known) - 1;
        return NULL;
    }
    struct cob_error *err = cob_open_beneath(placer->root_fd, dir, O_PATH | O_DIRECTORY, 0, &fd);
    if (err && is_in_the_way(err)) {
        cob_error_free(err);
        *ret_fd = -1;
        return NULL;
    }
    COB_TRY(err);
    if (g_hash_table_size(placer->dirs) >= MAX_DIRS)
        g_hash_table_remove_all(placer->dirs);
    g_hash_table_insert(placer->dirs, g_steal_pointer(&dir), GINT_TO_POINTER(fd + 1));
    *ret_fd = fd;
    return NULL;
}

/* --- what is to be done --- */

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct timespec time_of(int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;

    if (rest < 0) {
        rest += 1000000000;
        seconds--;
    }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

static mode_t type_of(enum cob_mountindex_kind kind)
{
    switch (kind) {
    case COB_MOUNTINDEX_DIR:
        return S_IFDIR;
    case COB_MOUNTINDEX_FILE:
        return S_IFREG;
    case COB_MOUNTINDEX_SYMLINK:
        return S_IFLNK;
    }
    g_assert_not_reached();
}

static enum mount_verdict judge(const struct stat *st, const struct cob_mountindex_entry *entry)
{
    if ((st->st_mode & S_IFMT) != type_of(entry->kind))
        return MOUNT_BLOCKED;
    if (entry->kind == COB_MOUNTINDEX_DIR || ns_of(st->st_mtim) >= entry->mtime_ns)
        return MOUNT_KEPT;
    return MOUNT_OLDER;
}

struct cob_error *placer_judge(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, enum mount_verdict *ret_verdict, bool *ret_is_same)
{
    struct stat st;
    int dir_fd;

    *ret_is_same = false;
    *ret_verdict = MOUNT_BLOCKED;
    COB_TRY(open_parent(placer, entry->path, &dir_fd));
    if (dir_fd < 0)
        return NULL;
    if (fstatat(dir_fd, name_of(entry->path), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        *ret_verdict = judge(&st, entry);
        *ret_is_same = *ret_verdict == MOUNT_KEPT && ns_of(st.st_mtim) == entry->mtime_ns &&
                       (uint64_t)st.st_size == entry->size;
    } else if (errno == ENOENT) {
        *ret_verdict = MOUNT_MISSING;
    } else {
        return cob_fail_errno(errno, "stat");
    }
    return NULL;
}

/* --- giving a name --- */

/* What came out by the exchange was older, as it was thought to be; else it goes back. */
static struct cob_error *settle_exchange(struct mount_placer *placer, int dir_fd, const char *name,
    const struct cob_mountindex_entry *entry, enum mount_verdict *verdict)
{
    struct stat st;

    if (fstatat(placer->staging_fd, placer->draft, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat what was replaced");
    *verdict = judge(&st, entry);
    if (*verdict == MOUNT_OLDER)
        return NULL;
    if (renameat2(placer->staging_fd, placer->draft, dir_fd, name, RENAME_EXCHANGE) < 0)
        return cob_fail_errno(errno, "put back what was newer");
    return NULL;
}

static struct cob_error *rename_draft(struct mount_placer *placer, int dir_fd,
    const struct cob_mountindex_entry *entry, enum mount_verdict *verdict)
{
    const char *name = name_of(entry->path);
    const unsigned flags = *verdict == MOUNT_OLDER ? RENAME_EXCHANGE : RENAME_NOREPLACE;

    if (renameat2(placer->staging_fd, placer->draft, dir_fd, name, flags) == 0) {
        if (*verdict == MOUNT_OLDER)
            return settle_exchange(placer, dir_fd, name, entry, verdict);
        return NULL;
    }
    if (errno == EXDEV)
        return cob_fail_errno(
            errno, "rename: the store's tmp/ and mounts/ must be on one file system");
    if (errno != EEXIST && errno != ENOENT)
        return cob_fail_errno(errno, "rename");
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        *verdict = judge(&st, entry);
    else if (errno == ENOENT)
        *verdict = MOUNT_MISSING;
    else
        return cob_fail_errno(errno, "stat");
    return NULL;
}

#define MAX_RACES 100

/* Until somebody has won: us, or a file that stays. */
static struct cob_error *publish(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, enum mount_verdict *verdict)
{
    enum mount_verdict before;
    unsigned n = 0;
    int dir_fd;

    COB_TRY(open_parent(placer, entry->path, &dir_fd));
    if (dir_fd < 0)
        *verdict = MOUNT_BLOCKED;
    while (*verdict == MOUNT_MISSING || *verdict == MOUNT_OLDER) {
        before = *verdict;
        COB_TRY(rename_draft(placer, dir_fd, entry, verdict));
        if (*verdict == before || ++n == MAX_RACES)
            break;
    }
    if (*verdict != MOUNT_MISSING)
        unlinkat(placer->staging_fd, placer->draft, 0);
    return NULL;
}

/* --- files --- */

/* In a user namespace with one id, files stay its own. */
static struct cob_error *set_owner(
    const struct mount_placer *placer, int fd, const struct cob_mountindex_entry *entry)
{
    if (placer->ignore_owners || (entry->uid == placer->own_uid && entry->gid == placer->own_gid))
        return NULL;
    return fchown(fd, entry->uid, entry->gid) < 0
               ? cob_fail_errno(errno, "give it to %u:%u", entry->uid, entry->gid)
               : NULL;
}

static struct cob_error *set_xattrs(
    int fd, const struct cob_mountindex *index, const struct cob_mountindex_entry *entry)
{
    const struct cob_mountindex_xattr *xattrs = cob_mountindex_xattrs(index, entry);

    for (uint32_t i = 0; i < entry->n_xattrs; i++) {
        gsize len;
        const void *value = g_bytes_get_data(xattrs[i].value, &len);

        if (fsetxattr(fd, xattrs[i].name, value, len, 0) < 0 && errno != EOPNOTSUPP &&
            errno != EPERM)
            return cob_fail_errno(errno, "set xattr %s", xattrs[i].name);
    }
    return NULL;
}

/* Owner first, which clears setuid and capabilities; times last. */
static struct cob_error *set_metadata(const struct mount_placer *placer, int fd,
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry->mtime_ns)};

    COB_TRY(set_owner(placer, fd, entry));
    if (fchmod(fd, entry->mode) < 0)
        return cob_fail_errno(errno, "set mode %04o", entry->mode);
    COB_TRY(set_xattrs(fd, index, entry));
    return futimens(fd, times) < 0 ? cob_fail_errno(errno, "set times") : NULL;
}

static struct cob_error *write_draft(const struct mount_placer *placer,
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry, const void *data,
    size_t len)
{
    cob_autoclose int fd = openat(placer->staging_fd, placer->draft,
        O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return cob_fail_errno(errno, "create a file");
    COB_TRY(cob_fs_write_fd(fd, data, len));
    COB_TRY(set_metadata(placer, fd, index, entry));
    return close(g_steal_fd(&fd)) < 0 ? cob_fail_errno(errno, "close") : NULL;
}

struct cob_error *placer_make_file(struct mount_placer *placer, const struct cob_mountindex *index,
    const struct cob_mountindex_entry *entry, const void *data, size_t len,
    enum mount_verdict *verdict)
{
    struct cob_error *err = write_draft(placer, index, entry, data, len);

    if (err)
        unlinkat(placer->staging_fd, placer->draft, 0);
    COB_TRY(err);
    return publish(placer, entry, verdict);
}

struct cob_error *placer_move_file(struct mount_placer *placer, const struct cob_mountindex *index,
    const struct cob_mountindex_entry *entry, const char *staged, enum mount_verdict *verdict)
{
    cob_autoclose int fd = openat(placer->staging_fd, staged, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return cob_fail_errno(errno, "open a file");
    COB_TRY(set_metadata(placer, fd, index, entry));
    if (renameat(placer->staging_fd, staged, placer->staging_fd, placer->draft) < 0)
        return cob_fail_errno(errno, "rename");
    return publish(placer, entry, verdict);
}

struct cob_error *placer_link(struct mount_placer *placer, const struct cob_mountindex_entry *first,
    const struct cob_mountindex_entry *entry, enum mount_verdict *verdict)
{
    struct stat st;
    int dir_fd;

    COB_TRY(open_parent(placer, first->path, &dir_fd));
    if (dir_fd >= 0)
        unlinkat(placer->staging_fd, placer->draft, 0);
    if (dir_fd < 0 ||
        linkat(dir_fd, name_of(first->path), placer->staging_fd, placer->draft, 0) < 0) {
        *verdict = MOUNT_BLOCKED;
        return NULL;
    }
    /* Somebody may have put another file there since. */
    if (fstatat(placer->staging_fd, placer->draft, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "stat");
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != entry->size ||
        ns_of(st.st_mtim) != entry->mtime_ns) {
        unlinkat(placer->staging_fd, placer->draft, 0);
        *verdict = MOUNT_BLOCKED;
        return NULL;
    }
    return publish(placer, entry, verdict);
}

/* The same bytes with an older time need not be fetched. */
struct cob_error *placer_refresh(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, const struct cob_sha256 *sha, bool *ret_is_same)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry->mtime_ns)};
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autofree uint8_t *buffer = NULL;
    cob_autoclose int fd = -1;
    struct stat st;
    ssize_t n;

    *ret_is_same = false;
    struct cob_error *err =
        cob_open_beneath(placer->root_fd, entry->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);
    bool is_file = !err && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    cob_error_free(err);
    if (!is_file || (uint64_t)st.st_size != entry->size)
        return NULL;
    buffer = g_malloc(MOUNT_CHUNK_BYTES / 16);
    while ((n = TEMP_FAILURE_RETRY(read(fd, buffer, MOUNT_CHUNK_BYTES / 16))) > 0)
        cob_hasher_update(hasher, buffer, (size_t)n);
    struct cob_sha256 got = cob_hasher_finish(hasher);
    if (n < 0 || memcmp(&got, sha, sizeof(got)) != 0)
        return NULL;
    *ret_is_same = futimens(fd, times) == 0;
    return NULL;
}

/* --- the others --- */

struct cob_error *placer_make_dir(struct mount_placer *placer, const struct cob_mountindex *index,
    const struct cob_mountindex_entry *entry)
{
    cob_autoclose int fd = -1;
    int dir_fd;

    COB_TRY(open_parent(placer, entry->path, &dir_fd));
    if (dir_fd < 0 || (mkdirat(dir_fd, name_of(entry->path), 0700) < 0 && errno == EEXIST))
        return NULL; /* what comes into it will be seen to be in the way */
    COB_TRY(cob_open_beneath(placer->root_fd, entry->path, O_RDONLY | O_DIRECTORY, 0, &fd));
    COB_TRY(set_owner(placer, fd, entry));
    if (fchmod(fd, entry->mode) < 0)
        return cob_fail_errno(errno, "set mode %04o", entry->mode);
    return set_xattrs(fd, index, entry);
}

struct cob_error *placer_end_dir(
    struct mount_placer *placer, const struct cob_mountindex_entry *entry)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry->mtime_ns)};
    int dir_fd;

    COB_TRY(open_parent(placer, entry->path, &dir_fd));
    if (dir_fd >= 0 && utimensat(dir_fd, name_of(entry->path), times, AT_SYMLINK_NOFOLLOW) < 0 &&
        errno != ENOENT)
        return cob_fail_errno(errno, "set times");
    return NULL;
}

struct cob_error *placer_make_symlink(struct mount_placer *placer,
    const struct cob_mountindex_entry *entry, enum mount_verdict *verdict)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry->mtime_ns)};

    unlinkat(placer->staging_fd, placer->draft, 0);
    if (symlinkat(entry->target, placer->staging_fd, placer->draft) < 0)
        return cob_fail_errno(errno, "make a symlink");
    if (!placer->ignore_owners && fchownat(placer->staging_fd, placer->draft, entry->uid,
                                      entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "give it to %u:%u", entry->uid, entry->gid);
    if (utimensat(placer->staging_fd, placer->draft, times, AT_SYMLINK_NOFOLLOW) < 0)
        return cob_fail_errno(errno, "set times");
    return publish(placer, entry, verdict);
}
