/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over a mount that is exported. A directory is open only while its names are read, so
 * that one that somebody made very deep costs no descriptors. Names are looked at in the order of
 * the directory, where their inodes lie near to each other, and sorted afterwards.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "build/mountcache/mountcache_parts.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/text.h"

#define NOTE_NO_XATTRS 1 /* in the stat cache: the file has none that travel */
#define MAX_NAMED 5      /* of what is left out */

/* A name in a directory. */
struct item {
    char *name, *target; /* target: of a symlink */
    struct stat st;
};

struct level {
    char *path;    /* from the mount's root; "" */
    GArray *items; /* struct item, sorted */
    guint at;
};

struct scan {
    int root_fd;
    struct cob_statcache *known;
    const struct mount_notes *notes;
    struct mount_tree *tree;
    GHashTable *groups; /* inode -> its group's number */
    GPtrArray *levels;  /* struct level, owned */
};

void mount_note(const struct mount_notes *notes, const char *path, const char *why)
{
    g_autofree char *visible = cob_text_visible(path);
    g_autofree char *text = NULL;
    uint64_t n = ++notes->row->n_left_out;

    if (!notes->request->on_note || n > MAX_NAMED + 1)
        return;
    text = n > MAX_NAMED ? g_strdup_printf("cache mount %s: more is left out", notes->row->id)
                         : g_strdup_printf("cache mount %s: %s: %s", notes->row->id, visible, why);
    notes->request->on_note(notes->request->arg, text);
}

/* --- xattrs --- */

static void clear_xattr(void *data)
{
    g_bytes_unref(((struct cob_mountindex_xattr *)data)->value);
}

GArray *mount_xattrs_new(void)
{
    GArray *xattrs = g_array_new(false, false, sizeof(struct cob_mountindex_xattr));

    g_array_set_clear_func(xattrs, clear_xattr);
    return xattrs;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    const struct cob_mountindex_xattr *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static struct cob_error *read_xattr(int fd, const char *name, GArray *xattrs)
{
    g_autofree char *value = g_malloc(COB_LIMIT_XATTR_BYTES);
    ssize_t n = fgetxattr(fd, name, value, COB_LIMIT_XATTR_BYTES);

    if (n < 0 && errno == ENODATA)
        return NULL;
    if (n < 0)
        return cob_fail_errno(errno, "read xattr %s", name);
    const struct cob_mountindex_xattr xattr = {
        .name = g_intern_string(name), .value = g_bytes_new(value, (gsize)n)};
    g_array_append_val(xattrs, xattr);
    return NULL;
}

struct cob_error *mount_read_xattrs(int fd, GArray *ret_xattrs)
{
    g_autofree char *large = NULL;
    char small[512], *names = small;
    ssize_t len = flistxattr(fd, small, sizeof(small));

    if (len < 0 && errno == ERANGE) {
        names = large = g_malloc(COB_LIMIT_XATTR_BYTES); /* the kernel's limit, too */
        len = flistxattr(fd, names, COB_LIMIT_XATTR_BYTES);
    }
    if (len < 0)
        return errno == EOPNOTSUPP ? NULL : cob_fail_errno(errno, "list xattrs");
    for (const char *name = names; name < names + len; name += strlen(name) + 1) {
        if (cob_mountindex_xattr_is_allowed(name))
            COB_TRY(read_xattr(fd, name, ret_xattrs));
    }
    g_array_sort(ret_xattrs, by_name);
    return NULL;
}

/* --- one directory --- */

static void clear_item(void *data)
{
    struct item *item = data;

    g_free(item->name);
    g_free(item->target);
}

static void level_free(gpointer data)
{
    struct level *level = data;

    g_free(level->path);
    g_array_unref(level->items);
    g_free(level);
}

static gint by_item(gconstpointer a, gconstpointer b)
{
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What vanished since it was listed is passed over. */
static struct cob_error *look_at(int dir_fd, const char *name, GArray *items)
{
    char target[COB_LIMIT_PATH_BYTES + 1];
    struct item item = {0};

    if (fstatat(dir_fd, name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : cob_fail_errno(errno, "stat %s", name);
    if (S_ISLNK(item.st.st_mode)) {
        ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

        if (n < 0)
            return errno == ENOENT || errno == EINVAL ? NULL
                                                      : cob_fail_errno(errno, "read link %s", name);
        item.target = g_strndup(target, (gsize)MIN(n, (ssize_t)COB_LIMIT_PATH_BYTES));
    }
    item.name = g_strdup(name);
    g_array_append_val(items, item);
    return NULL;
}

static struct cob_error *list_dir(int fd, GArray *items)
{
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct cob_error *err = NULL;
    const struct dirent *entry;

    if (!dir)
        return cob_fail_errno(errno, "list directory");
    while (!err && (entry = readdir(dir))) {
        if (!is_dots(entry->d_name))
            err = look_at(fd, entry->d_name, items);
    }
    closedir(dir);
    g_array_sort(items, by_item);
    return err;
}

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void fill(struct cob_mountindex_entry *entry, const struct stat *st)
{
    entry->mode = st->st_mode & 07777;
    entry->uid = st->st_uid;
    entry->gid = st->st_gid;
    entry->mtime_ns = ns_of(st->st_mtim);
}

/* Enter a directory: its own entry, then what is in it. */
static struct cob_error *push(struct scan *scan, const char *path)
{
    struct cob_mountindex_entry entry = {
        .path = path, .kind = COB_MOUNTINDEX_DIR, .content = COB_MOUNTINDEX_NONE};
    g_autoptr(GArray) xattrs = mount_xattrs_new();
    cob_autoclose int fd = -1;
    struct stat st;

    COB_TRY(cob_open_beneath(scan->root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, &fd));
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    COB_TRY(mount_read_xattrs(fd, xattrs));
    fill(&entry, &st);
    entry.n_xattrs = xattrs->len;
    mount_tree_add(scan->tree, &entry, (const void *)xattrs->data, NULL);
    struct level *level = g_new(struct level, 1);
    *level = (struct level){
        .path = g_strdup(path), .items = g_array_new(false, false, sizeof(struct item))};
    g_array_set_clear_func(level->items, clear_item);
    g_ptr_array_add(scan->levels, level);
    return list_dir(fd, level->items);
}

/* A directory that vanished, or cannot be read, is left out. */
static struct cob_error *try_push(struct scan *scan, const char *path)
{
    struct cob_error *err = push(scan, path);
    int errnum = err ? cob_error_errno(err) : 0;

    if (errnum == ENOENT || errnum == EACCES || errnum == ELOOP || errnum == ENOTDIR) {
        mount_note(scan->notes, path, "the directory cannot be read: it is left out");
        g_clear_pointer(&err, cob_error_free);
    }
    return err;
}

/* --- one entry --- */

static struct cob_error *known_xattrs(
    const struct scan *scan, const char *path, uint64_t note, GArray *xattrs)
{
    cob_autoclose int fd = -1;

    if (note & NOTE_NO_XATTRS)
        return NULL;
    COB_TRY(cob_open_beneath(scan->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd));
    return mount_read_xattrs(fd, xattrs);
}

static uint32_t group_of(struct scan *scan, const struct stat *st)
{
    gpointer key = (gpointer)(uintptr_t)st->st_ino;
    gpointer number;

    if (st->st_nlink < 2)
        return 0;
    number = g_hash_table_lookup(scan->groups, key);
    if (!number) {
        number = GUINT_TO_POINTER(g_hash_table_size(scan->groups) + 1);
        g_hash_table_insert(scan->groups, key, number);
    }
    return GPOINTER_TO_UINT(number);
}

static struct cob_error *add_file(
    struct scan *scan, struct cob_mountindex_entry *entry, const struct stat *st)
{
    g_autoptr(GArray) xattrs = mount_xattrs_new();
    struct mount_leaf leaf = {.state = MOUNT_LEAF_UNREAD};
    uint64_t note = 0;

    leaf.stat = (struct cob_statcache_file){.dev = st->st_dev,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = ns_of(st->st_mtim),
        .ctime_ns = ns_of(st->st_ctim)};
    entry->kind = COB_MOUNTINDEX_FILE;
    entry->size = leaf.stat.size;
    entry->group = group_of(scan, st);
    if (cob_statcache_find(scan->known, &leaf.stat, &leaf.sha, &note)) {
        struct cob_error *err = known_xattrs(scan, entry->path, note, xattrs);

        leaf.state =
            err ? MOUNT_LEAF_UNREAD : MOUNT_LEAF_KNOWN; /* the reader meets the error, too */
        cob_error_free(err);
    }
    entry->n_xattrs = xattrs->len;
    mount_tree_add(scan->tree, entry, (const void *)xattrs->data, &leaf);
    return NULL;
}

static const char *kind_left_out(mode_t mode)
{
    if (S_ISSOCK(mode))
        return "a socket is left out";
    if (S_ISFIFO(mode))
        return "a named pipe is left out";
    return "a device is left out";
}

static struct cob_error *add_item(struct scan *scan, const char *path, const struct item *item)
{
    struct cob_mountindex_entry entry = {.path = path, .content = COB_MOUNTINDEX_NONE};

    if (strlen(path) > COB_LIMIT_PATH_BYTES || scan->levels->len >= COB_LIMIT_TREE_DEPTH) {
        mount_note(scan->notes, item->name, "its path is too long: it is left out");
        return NULL;
    }
    if (scan->tree->index->entries->len >= COB_LIMIT_MOUNT_ENTRIES)
        return cob_fail(
            COB_EXHAUSTED, "it has more files than the limit of %d", COB_LIMIT_MOUNT_ENTRIES);
    fill(&entry, &item->st);
    if (S_ISDIR(item->st.st_mode))
        return try_push(scan, path);
    if (S_ISREG(item->st.st_mode))
        return add_file(scan, &entry, &item->st);
    if (!S_ISLNK(item->st.st_mode)) {
        mount_note(scan->notes, path, kind_left_out(item->st.st_mode));
        return NULL;
    }
    entry.kind = COB_MOUNTINDEX_SYMLINK;
    entry.target = item->target;
    mount_tree_add(scan->tree, &entry, NULL, NULL);
    return NULL;
}

static struct cob_error *walk(struct scan *scan)
{
    COB_TRY(push(scan, ""));
    while (scan->levels->len > 0) {
        struct level *level = scan->levels->pdata[scan->levels->len - 1];

        if (level->at == level->items->len) {
            g_ptr_array_set_size(scan->levels, (gint)scan->levels->len - 1);
            continue;
        }
        const struct item *item = &g_array_index(level->items, struct item, level->at++);
        g_autofree char *path =
            level->path[0] ? g_strconcat(level->path, "/", item->name, NULL) : g_strdup(item->name);
        COB_TRY(cob_cancel_check(scan->notes->request->cancel));
        COB_TRY(cob_wrap(add_item(scan, path, item), "%s", path));
    }
    return NULL;
}

struct cob_error *mount_scan(int root_fd, struct cob_statcache *known,
    const struct mount_notes *notes, struct mount_tree *tree)
{
    struct scan scan = {.root_fd = root_fd,
        .known = known,
        .notes = notes,
        .tree = tree,
        .groups = g_hash_table_new(NULL, NULL),
        .levels = g_ptr_array_new_with_free_func(level_free)};

    tree->start_ns = cob_statcache_now_ns();
    struct cob_error *err = walk(&scan);
    g_hash_table_unref(scan.groups);
    g_ptr_array_unref(scan.levels);
    return err;
}

GBytes *mount_scan_cache(const struct mount_tree *tree)
{
    g_autoptr(cob_statcache_draft) draft = cob_statcache_draft_new();

    for (guint i = 0; i < tree->leaves->len; i++) {
        const struct mount_leaf *leaf = mount_leaf_at(tree, i);
        bool is_sure =
            leaf->state == MOUNT_LEAF_KNOWN && !cob_statcache_is_racy(&leaf->stat, tree->start_ns);
        bool has_xattrs = cob_mountindex_at(tree->index, i)->n_xattrs > 0;

        if (leaf->state != MOUNT_LEAF_NONE)
            cob_statcache_draft_add(
                draft, &leaf->stat, is_sure ? &leaf->sha : NULL, has_xattrs ? 0 : NOTE_NO_XATTRS);
    }
    return cob_statcache_draft_finish(draft, NULL);
}
