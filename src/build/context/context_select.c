/* SPDX-License-Identifier: Apache-2.0 */
/* Paths looked up among the entries of a walk, symlinks followed as in a chroot: nothing here asks
 * the file system, so what is left out by ignore rules is not there, also behind a symlink. */
#include <string.h>
#include <sys/stat.h>

#include "build/context/context_private.h"
#include "util/limits.h"

#define MAX_DEPTH (COB_LIMIT_PATH_BYTES / 2 + CONTEXT_MAX_LINKS)

struct lookup {
    const struct cob_context *context;
    unsigned flags;
    GArray *matches;  /* struct cob_context_match; NULL: not wanted */
    GPtrArray *paths; /* where symlinks lead; NULL: not wanted */
    int n_steps;      /* so many more entries may be looked at */
    int depth;        /* of parts that are being looked up */
};

/* How a lookup came to where it is. */
struct way {
    int n_links;       /* symlinks so far */
    size_t named;      /* the symlink that stood for the last part; 0: none did */
    bool has_wildcard; /* a part before was one: no symlink on the way is followed behind it */
};

static struct cob_error *look(struct lookup *lookup, size_t at, const char *rest, struct way way);

/* A path as a pattern that matches it alone. The caller frees it. */
static char *escape(const char *path)
{
    GString *out = g_string_new(NULL);

    for (; *path; path++) {
        if (strchr("*?[\\", *path))
            g_string_append_c(out, '\\');
        g_string_append_c(out, *path);
    }
    return g_string_free(out, false);
}

/* The pattern that a symlink stands for, with what comes behind it. The caller frees it. */
static char *replace_link(const struct lookup *lookup, size_t link, const char *rest)
{
    const struct context_entry *entry = context_at(lookup->context, link);
    const char *target = lookup->context->texts->str + entry->target;
    g_autofree char *dir = escape(context_path(lookup->context, entry->parent));
    g_autofree char *plain = escape(target);

    return g_strdup_printf("%s/%s/%s", *target == '/' ? "" : dir, plain, rest);
}

/* Go where a symlink leads, and then on along the rest. */
static struct cob_error *follow_link(
    struct lookup *lookup, size_t link, const char *rest, struct way way)
{
    const struct context_entry *entry = context_at(lookup->context, link);
    const char *target = lookup->context->texts->str + entry->target;
    g_autofree char *plain = escape(target);
    bool is_pattern = lookup->flags & COB_CONTEXT_WILDCARD;
    g_autofree char *path = g_strdup_printf("%s/%s", is_pattern ? plain : target, rest);

    if (way.n_links >= CONTEXT_MAX_LINKS || strlen(path) > 4 * COB_LIMIT_PATH_BYTES)
        return cob_fail(COB_INVALID, "%s: too many levels of symbolic links",
            context_path(lookup->context, link));
    if (lookup->paths)
        g_ptr_array_add(lookup->paths, replace_link(lookup, link, rest));
    way.n_links++;
    return look(lookup, *target == '/' ? 0 : entry->parent, path, way);
}

/* A symlink that a wildcard matched. Nobody named it, so that it leads nowhere would go unseen. */
static struct cob_error *follow_match(struct lookup *lookup, size_t link, struct way way)
{
    unsigned n_before = lookup->matches ? lookup->matches->len : 0;
    struct cob_error *err = follow_link(lookup, link, "", way);

    if (!err && lookup->matches && lookup->matches->len == n_before)
        err = cob_fail(COB_NOT_FOUND, "symlink %s leads to %s: not found",
            context_path(lookup->context, link),
            lookup->context->texts->str + context_at(lookup->context, link)->target);
    return err;
}

static void note(struct lookup *lookup, size_t at, struct way way)
{
    const struct cob_context_match match = {at, way.named ? way.named : at};

    if (lookup->matches)
        g_array_append_val(lookup->matches, match);
}

/* One entry that matches a part of the path. */
static struct cob_error *arrive(struct lookup *lookup, size_t at, const char *rest, struct way way)
{
    mode_t mode = context_at(lookup->context, at)->mode;
    bool is_last = rest[strspn(rest, "/")] == '\0';

    if (S_ISLNK(mode) && is_last && way.named == 0)
        way.named = at;
    if (S_ISLNK(mode) && way.has_wildcard && !is_last)
        return NULL;
    if (S_ISLNK(mode) && way.has_wildcard && (lookup->flags & COB_CONTEXT_FOLLOW_LINKS))
        return follow_match(lookup, at, way);
    if (S_ISLNK(mode) && (!is_last || (lookup->flags & COB_CONTEXT_FOLLOW_LINKS)))
        return follow_link(lookup, at, rest, way);
    if (!is_last)
        return S_ISDIR(mode) ? look(lookup, at, rest, way) : NULL;
    note(lookup, at, way);
    return NULL;
}

/* All entries right below a directory that a part of the path matches. */
static struct cob_error *look_below(
    struct lookup *lookup, size_t dir, const char *part, const char *rest, struct way way)
{
    const struct cob_context *context = lookup->context;
    bool is_pattern = (lookup->flags & COB_CONTEXT_WILDCARD) && cob_wildcard_is_one(part);
    g_autoptr(cob_wildcard) wildcard = NULL;

    if (is_pattern)
        COB_TRY(cob_wildcard_new(part, &wildcard));
    way.has_wildcard |= is_pattern;
    for (size_t i = dir + 1; i < context_at(context, dir)->end; i = context_at(context, i)->end) {
        const struct context_entry *entry = context_at(context, i);
        const char *name = context->texts->str + entry->path + entry->name;
        bool is_match = is_pattern ? cob_wildcard_matches(wildcard, name) : !strcmp(name, part);

        if (is_match && lookup->n_steps-- <= 0)
            return cob_fail(COB_EXHAUSTED, "%s matches too much", part);
        struct cob_error *err = is_match ? arrive(lookup, i, rest, way) : NULL;
        if (err && !lookup->paths)
            return err;
        cob_error_free(err); /* whoever selects by the same path hears of it */
        if (is_match && !is_pattern)
            break;
    }
    return NULL;
}

/* Go along `rest` from a directory. It calls itself for each part and each symlink: so deep, and no
 * deeper. */
static struct cob_error *look(struct lookup *lookup, size_t at, const char *rest, struct way way)
{
    size_t len = 0;

    for (;; rest += len) {
        rest += strspn(rest, "/");
        len = strcspn(rest, "/");
        if (len == 2 && memcmp(rest, "..", 2) == 0)
            at = context_at(lookup->context, at)->parent;
        else if (len != 1 || *rest != '.')
            break;
    }
    if (len == 0) {
        note(lookup, at, way);
        return NULL;
    }
    if (lookup->depth >= MAX_DEPTH)
        return cob_fail(COB_INVALID, "too many levels of symbolic links, or of directories");
    g_autofree char *part = g_strndup(rest, len);
    lookup->depth++;
    struct cob_error *err = look_below(lookup, at, part, rest + len, way);
    lookup->depth--;
    return err;
}

static int by_name(const void *a, const void *b)
{
    const struct cob_context_match *one = a, *other = b;

    return (one->named > other->named) - (one->named < other->named);
}

/* A name leads to one entry only. */
static void sort_once(GArray *matches)
{
    unsigned n = 0;

    g_array_sort(matches, by_name);
    for (unsigned i = 0; i < matches->len; i++) {
        struct cob_context_match *all = (struct cob_context_match *)(void *)matches->data;

        if (n == 0 || all[n - 1].named != all[i].named)
            all[n++] = all[i];
    }
    g_array_set_size(matches, n);
}

struct cob_error *context_look_up(const struct cob_context *context, const char *pattern,
    unsigned flags, GArray *ret_matches, GPtrArray *follow_paths)
{
    struct lookup lookup = {.context = context,
        .flags = flags,
        .matches = ret_matches,
        .paths = follow_paths,
        .n_steps = COB_LIMIT_LAYER_ENTRIES};

    if (strlen(pattern) > COB_LIMIT_PATH_BYTES)
        return cob_fail(COB_EXHAUSTED, "a path has %zu bytes, more than %d", strlen(pattern),
            COB_LIMIT_PATH_BYTES);
    COB_TRY(look(&lookup, 0, pattern, (struct way){0}));
    if (ret_matches)
        sort_once(ret_matches);
    return NULL;
}

struct cob_error *cob_context_select(
    struct cob_context *context, const char *pattern, unsigned flags, GArray **ret_matches)
{
    g_autoptr(GArray) matches = g_array_new(false, false, sizeof(struct cob_context_match));

    COB_TRY(context_look_up(context, pattern, flags, matches, NULL));
    *ret_matches = g_steal_pointer(&matches);
    return NULL;
}
