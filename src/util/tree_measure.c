/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk stands in the way of every COPY, so it is tuned: directories are read in large pieces
 * into one buffer, files are looked at below their directory's descriptor, and what is kept of an
 * entry is nothing, but for the names of directories that wait to be entered.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "util/tree.h"

#define ENTRIES_BYTES 65536
#define SECTOR_BYTES 512

/* So many directories of a walk are open at a time; those above them are found again by "..". */
#define MAX_OPEN 64

/* A directory that the walk is inside of. */
struct level {
    int fd; /* -1: closed for now */
    dev_t dev;
    ino_t ino;
    uint64_t path;   /* the hash of its path in the tree */
    guint n_waiting; /* how many waited when it was entered: those behind are its own */
};

/* A directory that is to be entered. */
struct waiting {
    uint64_t path;
    guint name_at; /* in names */
};

struct tree_walk {
    GArray *levels;    /* struct level, the innermost last */
    GArray *waiting;   /* struct waiting, the next one last */
    GByteArray *names; /* of those that wait, each with its NUL */
    GHashTable *seen;  /* inodes that have several names; NULL until there is one */
    struct cob_tree_usage usage;
    char entries[ENTRIES_BYTES];
    char target[PATH_MAX];
};

static void level_clear(void *data)
{
    const struct level *level = data;

    cob_closep(&level->fd);
}

static struct tree_walk *walk_new(void)
{
    struct tree_walk *walk = g_malloc(sizeof(*walk)); /* not cleared: the buffers are large */

    walk->levels = g_array_new(FALSE, FALSE, sizeof(struct level));
    walk->waiting = g_array_new(FALSE, FALSE, sizeof(struct waiting));
    walk->names = g_byte_array_new();
    walk->seen = NULL;
    walk->usage = (struct cob_tree_usage){0};
    g_array_set_clear_func(walk->levels, level_clear);
    return walk;
}

static void walk_free(struct tree_walk *walk)
{
    g_array_unref(walk->levels);
    g_array_unref(walk->waiting);
    g_byte_array_unref(walk->names);
    g_clear_pointer(&walk->seen, g_hash_table_unref);
    g_free(walk);
}
COB_AUTOPTR(tree_walk, walk_free)

/* --- the fingerprint: nobody's enemy, so speed counts and collisions by design do not --- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, const char *text, size_t len)
{
    uint64_t piece = 0;

    hash = mix(hash, len);
    for (; len >= sizeof(piece); text += sizeof(piece), len -= sizeof(piece)) {
        memcpy(&piece, text, sizeof(piece));
        hash = mix(hash, piece);
    }
    piece = 0;
    memcpy(&piece, text, len);
    return mix(hash, piece);
}

/* The size of a directory is the file system's own affair. A file that has fewer blocks than bytes
 * has holes, or lost what was written into a length that was set before. */
static uint64_t fingerprint_of(const struct stat *st, uint64_t path, uint64_t target)
{
    const bool has_holes =
        S_ISREG(st->st_mode) && st->st_blocks * SECTOR_BYTES < (int64_t)st->st_size;
    uint64_t hash = mix(path, st->st_mode);

    hash = mix(hash, (uint64_t)st->st_uid << 32 | st->st_gid);
    hash = mix(hash, S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size);
    hash = mix(hash, (uint64_t)st->st_mtim.tv_sec);
    hash = mix(hash, (uint64_t)st->st_mtim.tv_nsec << 1 | has_holes);
    hash = mix(hash, S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? st->st_rdev : 0);
    return mix(mix(hash, target), hash >> 17); /* a sum of these is to come: every bit counts */
}

/* --- the walk --- */

/* Does another name of the same file count already? */
static bool is_seen(struct tree_walk *walk, const struct stat *st)
{
    guint64 inode = st->st_ino;

    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return false;
    if (!walk->seen)
        walk->seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    return !g_hash_table_add(walk->seen, g_memdup2(&inode, sizeof(inode)));
}

static void let_wait(struct tree_walk *walk, const char *name, uint64_t path)
{
    const struct waiting waiting = {.path = path, .name_at = walk->names->len};

    g_byte_array_append(walk->names, (const guint8 *)name, (guint)strlen(name) + 1);
    g_array_append_val(walk->waiting, waiting);
}

/* Count one name; a directory is entered later.  path: the hash of its path in the tree. */
static struct cob_error *measure_one(
    struct tree_walk *walk, int dir_fd, const char *name, uint64_t path)
{
    struct stat st;
    uint64_t target = 0;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (S_ISLNK(st.st_mode)) {
        ssize_t len = readlinkat(dir_fd, name, walk->target, sizeof(walk->target));

        target = len < 0 ? 0 : mix_text(0, walk->target, (size_t)len);
    }
    walk->usage.n_entries++;
    walk->usage.fingerprint += fingerprint_of(&st, path, target);
    if (!is_seen(walk, &st)) {
        walk->usage.size_bytes += (uint64_t)st.st_blocks * SECTOR_BYTES;
        if (st.st_nlink > 1 && !S_ISDIR(st.st_mode))
            walk->usage.linked_bytes += (uint64_t)st.st_blocks * SECTOR_BYTES;
        walk->usage.n_inodes++;
    }
    if (S_ISDIR(st.st_mode)) {
        walk->usage.n_dirs++;
        let_wait(walk, name, path);
    }
    return NULL;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static struct cob_error *measure_entries(struct tree_walk *walk, int fd, uint64_t path)
{
    ssize_t len;

    while ((len = getdents64(fd, walk->entries, sizeof(walk->entries))) > 0) {
        const struct dirent64 *entry;

        for (ssize_t at = 0; at < len; at += entry->d_reclen) {
            entry = (const void *)(walk->entries + at);
            if (!is_dots(entry->d_name))
                COB_TRY(measure_one(
                    walk, fd, entry->d_name, mix_text(path, entry->d_name, strlen(entry->d_name))));
        }
    }
    if (len < 0 && errno != ENOENT) /* removed, while it was open */
        return cob_fail_errno(errno, "read directory");
    return NULL;
}

static struct level *level_at(const struct tree_walk *walk, guint number)
{
    return &g_array_index(walk->levels, struct level, number);
}

/* Go on in a directory, and close the one that has been open longest: a walk comes up again. */
static struct cob_error *push(struct tree_walk *walk, int fd, uint64_t path)
{
    struct level level = {.fd = fd, .path = path, .n_waiting = walk->waiting->len};
    struct stat st;

    if (fstat(fd, &st) < 0) {
        close(fd);
        return cob_fail_errno(errno, "stat a directory");
    }
    level.dev = st.st_dev, level.ino = st.st_ino;
    g_array_append_val(walk->levels, level);
    if (walk->levels->len > MAX_OPEN) {
        struct level *oldest = level_at(walk, walk->levels->len - 1 - MAX_OPEN);

        cob_closep(&oldest->fd);
        oldest->fd = -1;
    }
    return NULL;
}

/* Leave the innermost directory for the one above it, opened again if need be. */
static struct cob_error *pop(struct tree_walk *walk)
{
    guint last = walk->levels->len - 1;
    struct level *above = last > 0 ? level_at(walk, last - 1) : NULL;
    struct stat st;

    if (above && above->fd < 0) {
        above->fd = openat(level_at(walk, last)->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (above->fd < 0 || fstat(above->fd, &st) < 0)
            return cob_fail_errno(errno, "open directory ..");
        if (st.st_dev != above->dev || st.st_ino != above->ino)
            return cob_fail(COB_ABORTED, "a directory was moved while it was measured");
    }
    g_array_set_size(walk->levels, last);
    return NULL;
}

/* Take the last one that waits, and count what is in it. */
static struct cob_error *enter(struct tree_walk *walk, int dir_fd)
{
    const struct waiting next =
        g_array_index(walk->waiting, struct waiting, walk->waiting->len - 1);
    const char *name = (const char *)walk->names->data + next.name_at;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "open directory %s", name);
    g_byte_array_set_size(walk->names, next.name_at);
    g_array_set_size(walk->waiting, walk->waiting->len - 1);
    if (fd < 0)
        return NULL;
    COB_TRY(push(walk, fd, next.path));
    return measure_entries(walk, fd, next.path);
}

struct cob_error *cob_tree_measure(int dir_fd, const char *name, struct cob_tree_usage *ret_usage)
{
    g_autoptr(tree_walk) walk = walk_new();

    COB_TRY(measure_one(walk, dir_fd, name, 0));
    if (walk->waiting->len > 0)
        COB_TRY(enter(walk, dir_fd));
    while (walk->levels->len > 0) {
        const struct level *top = level_at(walk, walk->levels->len - 1);

        if (walk->waiting->len > top->n_waiting)
            COB_TRY(enter(walk, top->fd));
        else
            COB_TRY(pop(walk));
    }
    *ret_usage = walk->usage;
    return NULL;
}
