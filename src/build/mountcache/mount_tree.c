/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/mountcache/mountcache_parts.h"

struct mount_tree *mount_tree_new(const char *namespace, const char *id)
{
    struct mount_tree *tree = g_new(struct mount_tree, 1);

    *tree = (struct mount_tree){.index = cob_mountindex_new(namespace, id),
        .leaves = g_array_new(false, false, sizeof(struct mount_leaf))};
    return tree;
}

void mount_tree_free(struct mount_tree *tree)
{
    if (!tree)
        return;
    cob_mountindex_free(tree->index);
    g_array_unref(tree->leaves);
    g_free(tree);
}

void mount_tree_add(struct mount_tree *tree, const struct cob_mountindex_entry *entry,
    const struct cob_mountindex_xattr *xattrs, const struct mount_leaf *leaf)
{
    const struct mount_leaf none = {.state = MOUNT_LEAF_NONE};

    cob_mountindex_add(tree->index, entry, xattrs);
    g_array_append_vals(tree->leaves, leaf ? leaf : &none, 1);
}

struct mount_tree *mount_tree_of_index(const struct cob_mountindex *index)
{
    struct mount_tree *tree = mount_tree_new(index->namespace, index->id);

    for (guint i = 0; i < index->entries->len; i++) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(index, i);
        struct mount_leaf leaf = {.state = MOUNT_LEAF_NONE};

        if (entry->kind == COB_MOUNTINDEX_FILE)
            leaf.state = MOUNT_LEAF_KNOWN;
        if (entry->content != COB_MOUNTINDEX_NONE)
            leaf.sha =
                g_array_index(index->contents, struct cob_mountindex_content, entry->content).sha;
        else
            leaf.sha = cob_sha256_of("", 0);
        mount_tree_add(tree, entry, cob_mountindex_xattrs(index, entry), &leaf);
    }
    return tree;
}

/* --- merging --- */

/* Where a walk over one of the trees is. */
struct cursor {
    const struct mount_tree *tree; /* NULL: an empty one */
    size_t at;
};

/* What is left out is not there. */
static const struct cob_mountindex_entry *current(struct cursor *cursor)
{
    while (cursor->tree && cursor->at < cursor->tree->index->entries->len &&
           mount_leaf_at(cursor->tree, cursor->at)->state == MOUNT_LEAF_GONE)
        cursor->at++;
    return cursor->tree && cursor->at < cursor->tree->index->entries->len
               ? cob_mountindex_at(cursor->tree->index, cursor->at)
               : NULL;
}

/* Move on to a path, or to what comes behind it; the entry if it is there. */
static const struct cob_mountindex_entry *advance(struct cursor *cursor, const char *path)
{
    const struct cob_mountindex_entry *entry;

    while ((entry = current(cursor)) && cob_mountindex_compare(entry->path, path) < 0)
        cursor->at++;
    return entry && strcmp(entry->path, path) == 0 ? entry : NULL;
}

static bool is_same(const struct cursor *a, const struct cursor *b)
{
    const struct cob_mountindex_entry *x = cob_mountindex_at(a->tree->index, a->at);
    const struct cob_mountindex_entry *y = cob_mountindex_at(b->tree->index, b->at);

    return x->kind == y->kind && x->mtime_ns == y->mtime_ns && x->size == y->size &&
           g_strcmp0(x->target, y->target) == 0 &&
           memcmp(&mount_leaf_at(a->tree, a->at)->sha, &mount_leaf_at(b->tree, b->at)->sha,
               sizeof(struct cob_sha256)) == 0;
}

struct merging {
    struct cursor here, there, base;
    struct mount_tree *result;
    uint32_t there_groups; /* groups of there are numbered behind those of here */
    GString *blocked;      /* a file of the result: nothing lies below it; NULL text: none */
    bool is_blocked;
};

/* A path below one that is no directory in the result cannot be kept. */
static bool is_below_file(struct merging *merging, const struct cob_mountindex_entry *entry)
{
    const GString *file = merging->blocked;

    return merging->is_blocked && strncmp(entry->path, file->str, file->len) == 0 &&
           entry->path[file->len] == '/';
}

static void take(struct merging *merging, struct cursor *cursor, uint32_t more_groups)
{
    struct cob_mountindex_entry entry = *cob_mountindex_at(cursor->tree->index, cursor->at);
    const struct mount_leaf *leaf = mount_leaf_at(cursor->tree, cursor->at);

    if (!is_below_file(merging, &entry)) {
        const struct cob_mountindex_xattr *xattrs =
            cob_mountindex_xattrs(cursor->tree->index, &entry);

        entry.group += entry.group ? more_groups : 0;
        mount_tree_add(merging->result, &entry, xattrs, leaf);
        merging->is_blocked = entry.kind != COB_MOUNTINDEX_DIR;
        g_string_assign(merging->blocked, entry.path);
    }
    cursor->at++;
}

/* Only there: kept, unless it was there when this machine was last in step and is gone here. */
static void settle_there(struct merging *merging, const struct cob_mountindex_entry *there)
{
    bool was_seen =
        advance(&merging->base, there->path) && is_same(&merging->base, &merging->there);

    if (was_seen && there->kind != COB_MOUNTINDEX_DIR)
        merging->there.at++;
    else
        take(merging, &merging->there, merging->there_groups);
}

/* Both: of files the newer one; a directory wins, since others lie in it. */
static void settle_both(struct merging *merging, const struct cob_mountindex_entry *here,
    const struct cob_mountindex_entry *there)
{
    bool there_wins = there->mtime_ns > here->mtime_ns;

    if (here->kind != there->kind &&
        (here->kind == COB_MOUNTINDEX_DIR || there->kind == COB_MOUNTINDEX_DIR))
        there_wins = there->kind == COB_MOUNTINDEX_DIR;
    if (advance(&merging->base, there->path) && is_same(&merging->base, &merging->there))
        there_wins = false; /* it did not change: what is here is what became of it */
    if (there_wins) {
        merging->here.at++;
        take(merging, &merging->there, merging->there_groups);
    } else {
        merging->there.at++;
        take(merging, &merging->here, 0);
    }
}

static uint32_t count_groups(const struct mount_tree *tree)
{
    uint32_t n = 0;

    for (guint i = 0; i < tree->index->entries->len; i++)
        n = MAX(n, cob_mountindex_at(tree->index, i)->group);
    return n;
}

/* Directories that were kept only for what was dropped from them: gone here, and now empty. */
static struct mount_tree *drop_empty(
    struct mount_tree *tree, const struct mount_tree *here, const struct mount_tree *base)
{
    struct mount_tree *result = mount_tree_new(tree->index->namespace, tree->index->id);
    GArray *kept = g_array_sized_new(false, true, sizeof(bool), tree->index->entries->len);
    const char *needed = NULL; /* the path of the last entry that is kept, from behind */

    g_array_set_size(kept, tree->index->entries->len);
    for (guint i = tree->index->entries->len; i-- > 0;) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(tree->index, i);
        size_t len = strlen(entry->path);
        bool has_more =
            needed && (len == 0 || (strncmp(needed, entry->path, len) == 0 && needed[len] == '/'));
        bool is_waste = entry->kind == COB_MOUNTINDEX_DIR && len > 0 && !has_more && base &&
                        !cob_mountindex_find(here->index, entry->path) &&
                        cob_mountindex_find(base->index, entry->path);

        g_array_index(kept, bool, i) = !is_waste;
        if (!is_waste)
            needed = entry->path;
    }
    for (guint i = 0; i < tree->index->entries->len; i++) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(tree->index, i);

        if (g_array_index(kept, bool, i))
            mount_tree_add(
                result, entry, cob_mountindex_xattrs(tree->index, entry), mount_leaf_at(tree, i));
    }
    g_array_unref(kept);
    mount_tree_free(tree);
    return result;
}

struct mount_tree *mount_tree_merge(
    const struct mount_tree *here, const struct mount_tree *there, const struct mount_tree *base)
{
    struct merging merging = {.here = {.tree = here},
        .there = {.tree = there},
        .base = {.tree = base},
        .result = mount_tree_new(here->index->namespace, here->index->id),
        .there_groups = count_groups(here),
        .blocked = g_string_new(NULL)};
    const struct cob_mountindex_entry *a, *b;

    while ((a = current(&merging.here)), (b = current(&merging.there)), a || b) {
        int order = !a ? 1 : !b ? -1 : cob_mountindex_compare(a->path, b->path);

        if (order < 0)
            take(&merging, &merging.here, 0);
        else if (order > 0)
            settle_there(&merging, b);
        else
            settle_both(&merging, a, b);
    }
    g_string_free(merging.blocked, true);
    return drop_empty(merging.result, here, base);
}
