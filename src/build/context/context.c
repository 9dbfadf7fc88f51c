/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#include "build/context/context_private.h"
#include "util/fs.h"
#include "util/limits.h"

/* A source as a path from the root without ".", "..", "//"; "" is the root. What may stand for any
 * number of directories ends it: all below is looked at. The caller frees it.
 * spec: what Go's path.Clean makes of it behind a slash. */
static char *clean(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    for (size_t i = 0; parts[i]; i++) {
        if (strcmp(parts[i], "..") == 0)
            g_ptr_array_set_size(kept, MAX(0, (int)kept->len - 1));
        else if (*parts[i] && strcmp(parts[i], ".") != 0)
            g_ptr_array_add(kept, parts[i]);
    }
    for (unsigned i = 0; i < kept->len; i++)
        if (strstr(g_ptr_array_index(kept, i), "**"))
            g_ptr_array_set_size(kept, (int)i);
    g_ptr_array_add(kept, NULL);
    return g_strjoinv("/", (char **)kept->pdata);
}

/* Add a path unless it is there. Returns whether it was new. */
static bool add_path(GPtrArray *paths, const char *path)
{
    g_autofree char *cleaned = clean(path);

    if (g_ptr_array_find_with_equal_func(paths, cleaned, g_str_equal, NULL))
        return false;
    g_ptr_array_add(paths, g_steal_pointer(&cleaned));
    return true;
}

/* What the paths, and all below them, cover, as patterns. NULL: nobody knows. */
static struct cob_ignore *cover(const GPtrArray *paths)
{
    g_autoptr(GPtrArray) plain = g_ptr_array_new();
    struct cob_ignore *covered = NULL;

    for (unsigned i = 0; i < paths->len; i++) {
        char *path = g_ptr_array_index(paths, i);

        if (*path != '!') /* which means something else there */
            g_ptr_array_add(plain, path);
    }
    g_ptr_array_add(plain, NULL);
    struct cob_error *err = cob_ignore_new((const char *const *)plain->pdata, &covered);
    cob_error_free(err);
    return covered;
}

/* Add where the symlinks on the way of the paths lead. What is wrong with a path is for whoever
 * selects by it to say. Returns whether there is more to walk. */
static bool follow(const struct cob_context *context, GPtrArray *paths)
{
    const unsigned flags = COB_CONTEXT_WILDCARD | COB_CONTEXT_FOLLOW_LINKS;
    g_autoptr(cob_ignore) covered = cover(paths);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    bool has_more = false;

    for (unsigned i = 0; i < paths->len; i++)
        cob_error_free(context_look_up(context, g_ptr_array_index(paths, i), flags, NULL, found));
    for (unsigned i = 0; i < found->len && paths->len < COB_LIMIT_IGNORE_PATTERNS; i++) {
        g_autofree char *path = clean(g_ptr_array_index(found, i));

        if (!covered || !*path || !cob_ignore_matches(covered, path))
            has_more |= add_path(paths, path);
    }
    return has_more;
}

/* Walk, and walk again while symlinks lead to where nobody has looked. */
static struct cob_error *walk_all(struct cob_context *context,
    const struct cob_context_request *request, struct cob_cancel *cancel)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    bool has_more = true;

    for (size_t i = 0; request->paths && request->paths[i]; i++)
        add_path(paths, request->paths[i]);
    if (!request->paths || g_ptr_array_find_with_equal_func(paths, "", g_str_equal, NULL))
        return context_walk(context, request->ignore, NULL, cancel);
    for (int i = 0; has_more && i < CONTEXT_MAX_LINKS; i++) {
        COB_TRY(context_walk(context, request->ignore, paths, cancel));
        has_more = follow(context, paths);
        if (g_ptr_array_find_with_equal_func(paths, "", g_str_equal, NULL))
            return context_walk(context, request->ignore, NULL, cancel);
    }
    return NULL;
}

struct cob_error *cob_context_open(const struct cob_context_request *request,
    struct cob_cancel *cancel, struct cob_context **ret_context)
{
    g_autoptr(cob_context) context = g_new(struct cob_context, 1);

    *context = (struct cob_context){
        .root_fd = fcntl(request->dir_fd, F_DUPFD_CLOEXEC, 3),
        .is_image = request->is_image,
        .start_ns = cob_statcache_now_ns(),
        .entries = g_array_new(false, false, sizeof(struct context_entry)),
        .texts = g_string_new(NULL),
        .known = cob_statcache_new(request->cache),
    };
    g_mutex_init(&context->lock);
    if (context->root_fd < 0)
        return cob_fail_errno(errno, "duplicate the descriptor of a directory");
    COB_TRY(walk_all(context, request, cancel));
    context->effort.n_entries = context->entries->len;
    *ret_context = g_steal_pointer(&context);
    return NULL;
}

void cob_context_close(struct cob_context *context)
{
    if (!context)
        return;
    if (context->root_fd >= 0)
        close(context->root_fd);
    g_array_unref(context->entries);
    g_string_free(context->texts, true);
    cob_statcache_free(context->known);
    g_free(context->shas);
    g_free(context->has_sha);
    g_mutex_clear(&context->lock);
    g_free(context);
}

GBytes *cob_context_cache(struct cob_context *context)
{
    GBytes *bytes = NULL;

    g_mutex_lock(&context->lock);
    if (context->n_new > 0)
        bytes = context_cache_write(context);
    g_mutex_unlock(&context->lock);
    return bytes;
}

struct cob_context_effort cob_context_effort(const struct cob_context *context)
{
    return context->effort;
}

size_t cob_context_n_entries(const struct cob_context *context)
{
    return context->entries->len;
}

size_t cob_context_end(const struct cob_context *context, size_t index)
{
    return context_at(context, index)->end;
}

struct cob_context_entry cob_context_get(const struct cob_context *context, size_t index)
{
    const struct context_entry *entry = context_at(context, index);
    const char *texts = context->texts->str;
    bool is_device = S_ISCHR(entry->mode) || S_ISBLK(entry->mode);

    return (struct cob_context_entry){
        .path = texts + entry->path,
        .name = texts + entry->path + entry->name,
        .target = entry->target ? texts + entry->target : NULL,
        .mode = entry->mode,
        .uid = context->is_image ? entry->uid : 0,
        .gid = context->is_image ? entry->gid : 0,
        .rdev = is_device ? (dev_t)entry->size : 0,
        .size = is_device ? 0 : entry->size,
        .mtime_ns = entry->mtime_ns,
        .dev = entry->dev,
        .inode = entry->inode,
        .n_links = entry->n_links,
    };
}

/* ---- files ---- */

struct cob_error *context_check(const struct cob_context *context, size_t index, int fd)
{
    const struct context_entry *entry = context_at(context, index);
    struct context_entry now = {0};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", context_path(context, index));
    context_fill(&now, &st);
    /* overlayfs may number a file in two ways; only the user's own files are known by number */
    bool is_same = context->is_image || (now.dev == entry->dev && now.inode == entry->inode &&
                                            now.ctime_ns == entry->ctime_ns);
    if (!is_same || now.mode != entry->mode || now.size != entry->size ||
        now.mtime_ns != entry->mtime_ns)
        return cob_fail(
            COB_ABORTED, "%s: file changed while it was copied", context_path(context, index));
    return NULL;
}

struct cob_error *cob_context_open_file(struct cob_context *context, size_t index, int *ret_fd)
{
    const char *path = context_path(context, index);
    cob_autoclose int fd = -1;

    if (!S_ISREG(context_at(context, index)->mode))
        return cob_fail(COB_INVALID, "%s: not a regular file", path);
    /* what the walk saw as a file may be a FIFO by now: never wait for its other end */
    struct cob_error *err = cob_open_beneath(
        context->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd);
    if (err && (cob_error_errno(err) == ENOENT || cob_error_errno(err) == ELOOP ||
                   cob_error_errno(err) == ENOTDIR || cob_error_errno(err) == ENXIO)) {
        cob_error_free(err);
        return cob_fail(COB_ABORTED, "%s: file changed while it was copied", path);
    }
    if (err)
        return cob_wrap(err, "%s", path);
    COB_TRY(context_check(context, index, fd));
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

struct cob_error *cob_context_check_file(struct cob_context *context, size_t index, int fd)
{
    return context_check(context, index, fd);
}

/* ---- xattrs ---- */

/* What begins with user.overlay. is overlayfs's own where cob is not root: a copy of it would hide
 * files of the layers below. */
static bool is_kept(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (g_str_has_prefix(name, "user.") && !g_str_has_prefix(name, "user.overlay."));
}

static int by_text(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*one, *other);
}

/* The names that are kept, sorted, pointing into `list`. */
static GPtrArray *sort_names(const char *list, size_t len)
{
    GPtrArray *names = g_ptr_array_new();

    for (size_t i = 0; i < len; i += strlen(list + i) + 1)
        if (is_kept(list + i))
            g_ptr_array_add(names, (void *)(uintptr_t)(list + i)); /* only read */
    g_ptr_array_sort(names, by_text);
    return names;
}

struct cob_error *cob_context_file_xattrs(int fd, cob_context_each_xattr each, void *arg)
{
    ssize_t len = flistxattr(fd, NULL, 0);

    if (len < 0 && errno != ENOTSUP)
        return cob_fail_errno(errno, "list xattrs");
    if (len <= 0)
        return NULL;
    if ((uint64_t)len > COB_LIMIT_XATTR_BYTES)
        return cob_fail(COB_EXHAUSTED, "more than %d bytes of xattrs", (int)COB_LIMIT_XATTR_BYTES);
    g_autofree char *list = g_malloc((size_t)len + 1);
    g_autofree char *value = g_malloc(COB_LIMIT_XATTR_BYTES);
    len = flistxattr(fd, list, (size_t)len);
    if (len < 0)
        return cob_fail_errno(errno, "list xattrs");
    list[len] = '\0';
    g_autoptr(GPtrArray) names = sort_names(list, (size_t)len);
    for (unsigned i = 0; i < names->len; i++) {
        ssize_t n = fgetxattr(fd, g_ptr_array_index(names, i), value, COB_LIMIT_XATTR_BYTES);

        if (n < 0 && errno != ENODATA)
            return cob_fail_errno(errno, "read xattr %s", (char *)g_ptr_array_index(names, i));
        if (n >= 0)
            COB_TRY(each(arg, g_ptr_array_index(names, i), value, (size_t)n));
    }
    return NULL;
}

struct cob_error *cob_context_xattrs(
    struct cob_context *context, size_t index, cob_context_each_xattr each, void *arg)
{
    mode_t mode = context_at(context, index)->mode;
    const char *path = context_path(context, index);
    cob_autoclose int fd = -1;

    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return NULL;
    COB_TRY(cob_wrap(cob_open_beneath(context->root_fd, *path ? path : ".",
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd),
        "%s", path));
    return cob_wrap(cob_context_file_xattrs(fd, each, arg), "%s", path);
}
