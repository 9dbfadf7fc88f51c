/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/mountindex/mountindex.h"

#include <string.h>

#include "util/limits.h"

static void clear_xattr(void *data)
{
    struct cob_mountindex_xattr *xattr = data;

    g_bytes_unref(xattr->value);
}

struct cob_mountindex *cob_mountindex_new(const char *namespace, const char *id)
{
    struct cob_mountindex *index = g_new(struct cob_mountindex, 1);

    *index = (struct cob_mountindex){
        .namespace = g_strdup(namespace),
        .id = g_strdup(id),
        .packs = g_array_new(false, false, sizeof(struct cob_mountindex_pack)),
        .chunks = g_array_new(false, false, sizeof(struct cob_mountindex_chunk)),
        .refs = g_array_new(false, false, sizeof(uint32_t)),
        .contents = g_array_new(false, false, sizeof(struct cob_mountindex_content)),
        .entries = g_array_new(false, false, sizeof(struct cob_mountindex_entry)),
        .xattrs = g_array_new(false, false, sizeof(struct cob_mountindex_xattr)),
        .texts = g_string_chunk_new(64 * COB_KIB),
    };
    g_array_set_clear_func(index->xattrs, clear_xattr);
    return index;
}

void cob_mountindex_free(struct cob_mountindex *index)
{
    if (!index)
        return;
    g_free(index->namespace);
    g_free(index->id);
    g_array_unref(index->packs);
    g_array_unref(index->chunks);
    g_array_unref(index->refs);
    g_array_unref(index->contents);
    g_array_unref(index->entries);
    g_array_unref(index->xattrs);
    g_string_chunk_free(index->texts);
    g_free(index);
}

void cob_mountindex_add(struct cob_mountindex *index, const struct cob_mountindex_entry *entry,
    const struct cob_mountindex_xattr *xattrs)
{
    struct cob_mountindex_entry copy = *entry;

    copy.path = g_string_chunk_insert(index->texts, entry->path);
    copy.target = entry->target ? g_string_chunk_insert(index->texts, entry->target) : NULL;
    copy.first_xattr = index->xattrs->len;
    for (uint32_t i = 0; i < entry->n_xattrs; i++) {
        const struct cob_mountindex_xattr xattr = {
            .name = g_string_chunk_insert_const(index->texts, xattrs[i].name),
            .value = g_bytes_ref(xattrs[i].value)};

        g_array_append_val(index->xattrs, xattr);
    }
    g_array_append_val(index->entries, copy);
}

const struct cob_mountindex_xattr *cob_mountindex_xattrs(
    const struct cob_mountindex *index, const struct cob_mountindex_entry *entry)
{
    return entry->n_xattrs
               ? &g_array_index(index->xattrs, struct cob_mountindex_xattr, entry->first_xattr)
               : NULL;
}

int cob_mountindex_compare(const char *path, const char *other)
{
    while (*path && *path == *other) {
        path++;
        other++;
    }
    unsigned a = (uint8_t)*path, b = (uint8_t)*other;
    /* The end of a path comes first, then '/', then the others. */
    a = a == '/' ? 1 : a ? a + 1 : 0;
    b = b == '/' ? 1 : b ? b + 1 : 0;
    return (a > b) - (a < b);
}

const struct cob_mountindex_entry *cob_mountindex_find(
    const struct cob_mountindex *index, const char *path)
{
    size_t low = 0, high = index->entries->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct cob_mountindex_entry *entry = cob_mountindex_at(index, middle);
        int order = cob_mountindex_compare(path, entry->path);

        if (order == 0)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool cob_mountindex_xattr_is_allowed(const char *name)
{
    if (strcmp(name, "security.capability") == 0)
        return true;
    return g_str_has_prefix(name, "user.") && name[5] && !g_str_has_prefix(name, "user.overlay");
}
