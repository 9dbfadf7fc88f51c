/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk: a stack of directories, each with its names in order. A directory's descriptor stays
 * open while what is below it is walked, but for the outermost ones of a deep tree, which are
 * opened again when their turn comes back.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "build/context/context_private.h"
#include "util/fs.h"
#include "util/limits.h"

#define OPEN_LEVELS 64
#define READ_BYTES (64 * 1024)

/* A directory that is being walked. */
struct level {
    int fd; /* -1: closed meanwhile */
    size_t index;
    GString *names;
    GArray *order; /* uint32_t into names, sorted */
    unsigned next;
    cob_ignore_state state;
    bool is_wanted; /* it is not left out itself; else it stays only if something below does */
    bool is_whole;  /* all below is looked at */
    GArray *alive;  /* unsigned: the paths of which all parts so far match this directory */
};

/* What a path says about one name. */
struct part {
    char *text;
    struct cob_wildcard *wildcard; /* NULL: only the text itself */
};

struct walk {
    struct cob_context *context;
    const struct cob_ignore *ignore;
    GPtrArray *parts; /* GPtrArray of struct part for each path; NULL: all is looked at */
    struct cob_cancel *cancel;
    GArray *levels;
    char *buffer; /* READ_BYTES */
};

static void level_done(void *data)
{
    struct level *level = data;

    if (level->fd >= 0)
        close(level->fd);
    g_string_free(level->names, true);
    g_array_unref(level->order);
    g_clear_pointer(&level->alive, g_array_unref);
}

void context_fill(struct context_entry *entry, const struct stat *st)
{
    bool is_device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

    entry->dev = st->st_dev;
    entry->inode = st->st_ino;
    entry->size = is_device ? st->st_rdev : S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
    entry->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    entry->ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
    entry->mode = st->st_mode;
    entry->uid = st->st_uid;
    entry->gid = st->st_gid;
    entry->n_links = (uint32_t)MIN(st->st_nlink, UINT32_MAX);
}

static struct cob_error *open_dir(const struct cob_context *context, const char *path, int *ret_fd)
{
    return cob_wrap(cob_open_beneath(context->root_fd, *path ? path : ".",
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, ret_fd),
        "directory %s", *path ? path : ".");
}

/* ---- names of a directory ---- */

static int by_name(const void *a, const void *b, void *names)
{
    return strcmp((char *)names + *(const uint32_t *)a, (char *)names + *(const uint32_t *)b);
}

static void add_names(struct level *level, const char *buffer, ssize_t len)
{
    for (ssize_t at = 0; at < len;) {
        const struct dirent64 *entry = (const void *)(buffer + at);
        uint32_t offset = (uint32_t)level->names->len;

        at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        g_string_append_len(level->names, entry->d_name, (gssize)strlen(entry->d_name) + 1);
        g_array_append_val(level->order, offset);
    }
}

static struct cob_error *read_names(struct walk *walk, struct level *level)
{
    for (;;) {
        ssize_t len = getdents64(level->fd, walk->buffer, READ_BYTES);

        if (len < 0)
            return cob_fail_errno(
                errno, "read directory %s", context_path(walk->context, level->index));
        if (len == 0)
            break;
        add_names(level, walk->buffer, len);
        if (level->order->len > COB_LIMIT_LAYER_ENTRIES)
            return cob_fail(COB_EXHAUSTED, "directory %s has more than %d entries",
                context_path(walk->context, level->index), COB_LIMIT_LAYER_ENTRIES);
    }
    if (level->order->len > 1)
        g_array_sort_with_data(level->order, by_name, level->names->str);
    return NULL;
}

/* Open the directory of the last entry and be in it. */
static struct cob_error *enter(struct walk *walk, struct level level)
{
    g_autofree char *path = g_strdup(context_path(walk->context, level.index));
    unsigned depth = walk->levels->len;

    if (depth >= OPEN_LEVELS) {
        struct level *outer = &g_array_index(walk->levels, struct level, depth - OPEN_LEVELS);

        if (outer->fd >= 0)
            close(outer->fd);
        outer->fd = -1;
    }
    level.fd = -1;
    level.names = g_string_new(NULL);
    level.order = g_array_new(false, false, sizeof(uint32_t));
    g_array_append_val(walk->levels, level);
    struct level *top = &g_array_index(walk->levels, struct level, depth);
    COB_TRY(open_dir(walk->context, path, &top->fd));
    return read_names(walk, top);
}

/* ---- which entries ---- */

/* What a name in a directory is to the paths that are asked for. */
struct interest {
    bool is_any, is_whole;
    GArray *alive; /* owned; NULL: none */
};

static bool is_match(const struct part *part, const char *name)
{
    return strcmp(part->text, name) == 0 ||
           (part->wildcard && cob_wildcard_matches(part->wildcard, name));
}

static struct interest ask(const struct walk *walk, const struct level *level, const char *name)
{
    struct interest interest = {.is_any = level->is_whole, .is_whole = level->is_whole};
    unsigned depth = walk->levels->len - 1;

    for (unsigned i = 0; !level->is_whole && i < level->alive->len; i++) {
        unsigned number = g_array_index(level->alive, unsigned, i);
        GPtrArray *parts = g_ptr_array_index(walk->parts, number);

        if (!is_match(g_ptr_array_index(parts, depth), name))
            continue;
        interest.is_any = true;
        interest.is_whole |= parts->len == depth + 1;
        if (!interest.alive)
            interest.alive = g_array_new(false, false, sizeof(unsigned));
        if (parts->len > depth + 1)
            g_array_append_val(interest.alive, number);
    }
    return interest;
}

/* Where a text begins that is added with its NUL. */
static uint32_t add_text(struct cob_context *context, const char *text, size_t len)
{
    uint32_t offset = (uint32_t)context->texts->len;

    g_string_append_len(context->texts, text, (gssize)len);
    g_string_append_c(context->texts, '\0');
    return offset;
}

/* Add an entry's path below its directory's. */
static struct cob_error *add_path(
    struct cob_context *context, const struct level *level, const char *name, size_t *ret_index)
{
    struct context_entry entry = {.parent = (uint32_t)level->index};
    const char *dir = context_path(context, level->index);
    size_t dir_len = strlen(dir), len = strlen(name);

    if (dir_len + len + 1 > COB_LIMIT_PATH_BYTES)
        return cob_fail(
            COB_EXHAUSTED, "%s: a path below it has more than %d bytes", dir, COB_LIMIT_PATH_BYTES);
    if (context->entries->len >= COB_LIMIT_LAYER_ENTRIES ||
        context->texts->len > UINT32_MAX - 4 * COB_LIMIT_PATH_BYTES)
        return cob_fail(
            COB_EXHAUSTED, "the tree has more than %d entries", COB_LIMIT_LAYER_ENTRIES);
    entry.path = (uint32_t)context->texts->len;
    entry.name = dir_len ? (uint32_t)dir_len + 1 : 0;
    if (dir_len) {
        g_string_append_len(context->texts, dir, (gssize)dir_len);
        g_string_append_c(context->texts, '/');
    }
    add_text(context, name, len);
    *ret_index = context->entries->len;
    g_array_append_val(context->entries, entry);
    return NULL;
}

/* Take the last entry out again, which has nothing below it. */
static void drop_last(struct cob_context *context)
{
    size_t last = context->entries->len - 1;

    g_string_set_size(context->texts, context_at(context, last)->path);
    g_array_set_size(context->entries, (unsigned)last);
}

static struct cob_error *read_target(
    struct cob_context *context, int dir_fd, const char *name, struct context_entry *entry)
{
    char target[COB_LIMIT_PATH_BYTES];
    ssize_t len = readlinkat(dir_fd, name, target, sizeof(target));

    if (len < 0)
        return cob_fail_errno(errno, "read symlink %s", context->texts->str + entry->path);
    entry->target = add_text(context, target, (size_t)len);
    entry->size = (uint64_t)len;
    return NULL;
}

/* Look at one name of the directory on top. */
static struct cob_error *visit(struct walk *walk, struct level *level, const char *name)
{
    struct cob_context *context = walk->context;
    struct interest interest = ask(walk, level, name);
    struct stat st = {0};
    size_t index = 0;

    g_autoptr(GArray) alive = interest.alive;
    if (!interest.is_any)
        return NULL;
    COB_TRY(add_path(context, level, name, &index));
    const char *path = context_path(context, index);
    if (walk->levels->len > COB_LIMIT_TREE_DEPTH)
        return cob_fail(COB_EXHAUSTED, "%s: more than the limit of %d directories deep", path,
            COB_LIMIT_TREE_DEPTH);
    cob_ignore_state state = walk->ignore ? cob_ignore_enter(walk->ignore, level->state, path) : 0;
    bool is_out = walk->ignore && cob_ignore_is_out(walk->ignore, state);
    if (is_out && !cob_ignore_may_return(walk->ignore, path)) {
        drop_last(context);
        return NULL;
    }
    int has_stat = fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW);
    if (has_stat < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "stat %s", path);
    bool is_on_way = interest.is_whole || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode);
    bool is_gone = has_stat < 0 || (S_ISCHR(st.st_mode) && st.st_rdev == 0); /* a whiteout */
    if (is_gone || !is_on_way || (is_out && !S_ISDIR(st.st_mode))) {
        drop_last(context);
        return NULL;
    }
    struct context_entry *entry = &g_array_index(context->entries, struct context_entry, index);
    context_fill(entry, &st);
    entry->end = (uint32_t)index + 1;
    if (S_ISLNK(st.st_mode))
        return read_target(context, level->fd, name, entry);
    if (!S_ISDIR(st.st_mode) || (!interest.is_whole && !(alive && alive->len)))
        return NULL;
    return enter(walk, (struct level){.index = index,
                           .state = state,
                           .is_wanted = !is_out,
                           .is_whole = interest.is_whole,
                           .alive = g_steal_pointer(&alive)});
}

/* Leave the directory on top; one that is left out goes when nothing of it is left. */
static void leave(struct walk *walk)
{
    struct level *level = &g_array_index(walk->levels, struct level, walk->levels->len - 1);
    struct cob_context *context = walk->context;
    size_t index = level->index;

    g_array_index(context->entries, struct context_entry, index).end =
        (uint32_t)context->entries->len;
    if (!level->is_wanted && index + 1 == context->entries->len)
        drop_last(context);
    g_array_set_size(walk->levels, walk->levels->len - 1);
}

static struct cob_error *run(struct walk *walk)
{
    for (unsigned n = 0; walk->levels->len > 0; n++) {
        struct level *level = &g_array_index(walk->levels, struct level, walk->levels->len - 1);

        if (n % 256 == 0)
            COB_TRY(cob_cancel_check(walk->cancel));
        if (level->next == level->order->len) {
            leave(walk);
            continue;
        }
        if (level->fd < 0)
            COB_TRY(open_dir(walk->context, context_path(walk->context, level->index), &level->fd));
        uint32_t name = g_array_index(level->order, uint32_t, level->next++);
        COB_TRY(visit(walk, level, level->names->str + name));
    }
    return NULL;
}

/* ---- the start ---- */

static void part_free(void *data)
{
    struct part *part = data;

    g_free(part->text);
    cob_wildcard_free(part->wildcard);
    g_free(part);
}

static void parts_free(void *parts)
{
    g_ptr_array_unref(parts);
}

/* A path as what it says about each name on the way. A broken wildcard is only a name here: whoever
 * selects by it as a wildcard hears of it then. */
static GPtrArray *split_path(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    GPtrArray *parts = g_ptr_array_new_with_free_func(part_free);

    for (size_t i = 0; names[i]; i++) {
        struct part *part = g_new0(struct part, 1);
        struct cob_error *err = NULL;

        part->text = g_strdup(names[i]);
        if (cob_wildcard_is_one(names[i]))
            err = cob_wildcard_new(names[i], &part->wildcard);
        cob_error_free(err);
        g_ptr_array_add(parts, part);
    }
    return parts;
}

static struct cob_error *add_root(struct walk *walk)
{
    struct context_entry entry = {.end = 1};
    struct level level = {.is_wanted = true, .is_whole = !walk->parts};
    struct stat st;

    if (fstat(walk->context->root_fd, &st) < 0)
        return cob_fail_errno(errno, "stat the root");
    context_fill(&entry, &st);
    add_text(walk->context, "", 0);
    g_array_append_val(walk->context->entries, entry);
    if (walk->parts) {
        level.alive = g_array_new(false, false, sizeof(unsigned));
        for (unsigned i = 0; i < walk->parts->len; i++)
            g_array_append_val(level.alive, i);
    }
    return enter(walk, level);
}

struct cob_error *context_walk(struct cob_context *context, const struct cob_ignore *ignore,
    GPtrArray *paths, struct cob_cancel *cancel)
{
    g_autoptr(GPtrArray) all_parts = g_ptr_array_new_with_free_func(parts_free);
    g_autoptr(GArray) levels = g_array_new(false, false, sizeof(struct level));
    g_autofree char *buffer = g_malloc(READ_BYTES);
    struct walk walk = {.context = context,
        .ignore = ignore,
        .parts = paths ? all_parts : NULL,
        .cancel = cancel,
        .levels = levels,
        .buffer = buffer};

    g_array_set_clear_func(levels, level_done);
    g_array_set_size(context->entries, 0);
    g_string_set_size(context->texts, 0);
    for (unsigned i = 0; paths && i < paths->len; i++)
        g_ptr_array_add(all_parts, split_path(g_ptr_array_index(paths, i)));
    COB_TRY(add_root(&walk));
    return run(&walk);
}
