/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/mountcache/mountcache_parts.h"

/* Of a digest, any bytes are as good as a hash. */
static guint sha_hash(gconstpointer key)
{
    guint hash;

    memcpy(&hash, ((const struct cob_sha256 *)key)->bytes, sizeof(hash));
    return hash;
}

static gboolean sha_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(struct cob_sha256)) == 0;
}

static void content_free(gpointer data)
{
    struct catalog_content *content = data;

    g_free(content->chunks);
    g_free(content);
}

struct mount_catalog *catalog_new(void)
{
    struct mount_catalog *catalog = g_new(struct mount_catalog, 1);

    *catalog = (struct mount_catalog){
        .packs = g_ptr_array_new_with_free_func(g_free),
        .pack_of = g_hash_table_new(sha_hash, sha_equal),
        .chunks = g_hash_table_new_full(sha_hash, sha_equal, NULL, g_free),
        .contents = g_hash_table_new_full(sha_hash, sha_equal, NULL, content_free),
    };
    return catalog;
}

void catalog_free(struct mount_catalog *catalog)
{
    if (!catalog)
        return;
    g_hash_table_unref(catalog->contents);
    g_hash_table_unref(catalog->chunks);
    g_hash_table_unref(catalog->pack_of);
    g_ptr_array_unref(catalog->packs);
    g_free(catalog);
}

/* --- filling --- */

struct catalog_pack *catalog_add_pack(struct mount_catalog *catalog)
{
    struct catalog_pack *pack = g_new0(struct catalog_pack, 1);

    g_ptr_array_add(catalog->packs, pack);
    return pack;
}

void catalog_name_pack(struct mount_catalog *catalog, struct catalog_pack *pack)
{
    g_hash_table_insert(catalog->pack_of, &pack->sha, pack);
}

struct catalog_chunk *catalog_chunk(
    const struct mount_catalog *catalog, const struct cob_sha256 *sha)
{
    return g_hash_table_lookup(catalog->chunks, sha);
}

void catalog_add_chunk(struct mount_catalog *catalog, const struct cob_sha256 *sha,
    struct catalog_pack *pack, uint32_t offset, uint32_t len)
{
    struct catalog_chunk *chunk = catalog_chunk(catalog, sha);

    if (!chunk) {
        chunk = g_new(struct catalog_chunk, 1);
        *chunk = (struct catalog_chunk){.sha = *sha};
        g_hash_table_insert(catalog->chunks, &chunk->sha, chunk);
    }
    chunk->pack = pack;
    chunk->offset = offset;
    chunk->len = len;
}

void catalog_add_content(struct mount_catalog *catalog, const struct cob_sha256 *sha, uint64_t size,
    const struct cob_sha256 *chunks, uint32_t n_chunks)
{
    struct catalog_content *content;

    if (n_chunks < 2 || g_hash_table_contains(catalog->contents, sha))
        return;
    content = g_new(struct catalog_content, 1);
    *content = (struct catalog_content){.sha = *sha,
        .size = size,
        .n_chunks = n_chunks,
        .chunks = g_memdup2(chunks, n_chunks * sizeof(*chunks))};
    g_hash_table_insert(catalog->contents, &content->sha, content);
}

static struct catalog_pack *learn_pack(
    struct mount_catalog *catalog, const struct cob_mountindex_pack *pack)
{
    struct catalog_pack *known = g_hash_table_lookup(catalog->pack_of, &pack->sha);

    if (known)
        return known;
    known = catalog_add_pack(catalog);
    known->sha = pack->sha;
    known->stored_len = pack->stored_len;
    known->plain_len = pack->plain_len;
    catalog_name_pack(catalog, known);
    return known;
}

static void learn_contents(struct mount_catalog *catalog, const struct cob_mountindex *index)
{
    g_autoptr(GArray) shas = g_array_new(false, false, sizeof(struct cob_sha256));

    for (guint i = 0; i < index->contents->len; i++) {
        const struct cob_mountindex_content *content =
            &g_array_index(index->contents, struct cob_mountindex_content, i);

        g_array_set_size(shas, 0);
        for (uint32_t n = 0; n < content->n_refs && content->n_refs > 1; n++) {
            uint32_t number = g_array_index(index->refs, uint32_t, content->first_ref + n);

            g_array_append_val(
                shas, g_array_index(index->chunks, struct cob_mountindex_chunk, number).sha);
        }
        catalog_add_content(catalog, &content->sha, content->size,
            (const struct cob_sha256 *)(const void *)shas->data, shas->len);
    }
}

void catalog_add_index(struct mount_catalog *catalog, const struct cob_mountindex *index)
{
    g_autoptr(GPtrArray) packs = g_ptr_array_new();

    for (guint i = 0; i < index->packs->len; i++)
        g_ptr_array_add(packs,
            learn_pack(catalog, &g_array_index(index->packs, struct cob_mountindex_pack, i)));
    for (guint i = 0; i < index->chunks->len; i++) {
        const struct cob_mountindex_chunk *chunk =
            &g_array_index(index->chunks, struct cob_mountindex_chunk, i);

        if (!catalog_chunk(catalog, &chunk->sha))
            catalog_add_chunk(
                catalog, &chunk->sha, packs->pdata[chunk->pack], chunk->offset, chunk->len);
    }
    learn_contents(catalog, index);
}

/* --- asking --- */

bool catalog_has(const struct mount_catalog *catalog, const struct cob_sha256 *sha, uint64_t size)
{
    const struct catalog_chunk *chunk = catalog_chunk(catalog, sha);
    const struct catalog_content *content;

    if (size == 0 || (chunk && chunk->len == size))
        return true;
    content = g_hash_table_lookup(catalog->contents, sha);
    if (!content || content->size != size)
        return false;
    for (uint32_t i = 0; i < content->n_chunks; i++) {
        if (!catalog_chunk(catalog, &content->chunks[i]))
            return false;
    }
    return true;
}

void catalog_each_chunk(const struct mount_catalog *catalog, const struct cob_sha256 *sha,
    void (*on_chunk)(void *arg, struct catalog_chunk *chunk), void *arg)
{
    const struct catalog_content *content = g_hash_table_lookup(catalog->contents, sha);

    if (!content) {
        struct catalog_chunk *chunk = catalog_chunk(catalog, sha);

        if (chunk)
            on_chunk(arg, chunk);
        return;
    }
    for (uint32_t i = 0; i < content->n_chunks; i++)
        on_chunk(arg, catalog_chunk(catalog, &content->chunks[i]));
}

/* --- an index from it --- */

struct building {
    const struct mount_catalog *catalog;
    const struct mount_tree *tree;
    struct cob_mountindex *index;
    GPtrArray *chunks;   /* struct catalog_chunk, those that are used */
    GHashTable *numbers; /* sha -> its content's number + 1 */
    uint32_t n_groups;
};

static void use_chunk(void *arg, struct catalog_chunk *chunk)
{
    const struct building *building = arg;

    if (chunk->number == 0)
        g_ptr_array_add(building->chunks, chunk);
    chunk->number = 1; /* for now: it is used */
}

static bool has_content(const struct mount_tree *tree, guint i)
{
    return mount_leaf_at(tree, i)->state == MOUNT_LEAF_KNOWN &&
           cob_mountindex_at(tree->index, i)->size > 0;
}

static gint by_pack_sha(gconstpointer a, gconstpointer b)
{
    const struct catalog_chunk *const *x = a, *const *y = b;
    int order = memcmp(&(*x)->pack->sha, &(*y)->pack->sha, sizeof(struct cob_sha256));

    if (order)
        return order;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* Packs by digest, chunks by pack and place. */
static void put_chunks(const struct building *building)
{
    struct cob_mountindex *index = building->index;
    const struct catalog_pack *last = NULL;

    g_ptr_array_sort(building->chunks, by_pack_sha);
    for (guint i = 0; i < building->chunks->len; i++) {
        struct catalog_chunk *chunk = building->chunks->pdata[i];

        if (chunk->pack != last) {
            const struct cob_mountindex_pack pack = {.sha = chunk->pack->sha,
                .stored_len = chunk->pack->stored_len,
                .plain_len = chunk->pack->plain_len};

            chunk->pack->number = index->packs->len;
            g_array_append_val(index->packs, pack);
            last = chunk->pack;
        }
        const struct cob_mountindex_chunk row = {.sha = chunk->sha,
            .pack = chunk->pack->number,
            .offset = chunk->offset,
            .len = chunk->len};
        g_array_append_val(index->chunks, row);
        chunk->number = index->chunks->len;
    }
}

static void put_ref(void *arg, struct catalog_chunk *chunk)
{
    struct cob_mountindex *index = arg;
    uint32_t number = chunk->number - 1;

    g_array_append_val(index->refs, number);
}

/* The number of a file's content, made when it is new. */
static uint32_t content_number(const struct building *building, guint i)
{
    struct cob_mountindex *index = building->index;
    struct cob_sha256 *sha = &mount_leaf_at(building->tree, i)->sha;
    uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(building->numbers, sha));

    if (number > 0)
        return number - 1;
    struct cob_mountindex_content content = {.sha = *sha,
        .size = cob_mountindex_at(building->tree->index, i)->size,
        .first_ref = index->refs->len};
    catalog_each_chunk(building->catalog, sha, put_ref, index);
    content.n_refs = index->refs->len - content.first_ref;
    g_array_append_val(index->contents, content);
    g_hash_table_insert(building->numbers, sha, GUINT_TO_POINTER(index->contents->len));
    return index->contents->len - 1;
}

/* --- hard links --- */

static bool is_alike(const struct building *building, guint a, guint b)
{
    const struct cob_mountindex_entry *x = cob_mountindex_at(building->tree->index, a);
    const struct cob_mountindex_entry *y = cob_mountindex_at(building->tree->index, b);

    return x->mode == y->mode && x->uid == y->uid && x->gid == y->gid &&
           x->mtime_ns == y->mtime_ns && x->size == y->size &&
           memcmp(&mount_leaf_at(building->tree, a)->sha, &mount_leaf_at(building->tree, b)->sha,
               sizeof(struct cob_sha256)) == 0;
}

struct group {
    guint first; /* entry */
    uint32_t n_names, number;
};

/* Which names are still of one file: those that say the same as the first one. */
static GHashTable *find_groups(const struct building *building)
{
    GHashTable *groups = g_hash_table_new_full(NULL, NULL, NULL, g_free);

    for (guint i = 0; i < building->tree->index->entries->len; i++) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(building->tree->index, i);
        struct group *group;

        if (entry->group == 0 || mount_leaf_at(building->tree, i)->state != MOUNT_LEAF_KNOWN)
            continue;
        group = g_hash_table_lookup(groups, GUINT_TO_POINTER(entry->group));
        if (!group) {
            group = g_new(struct group, 1);
            *group = (struct group){.first = i};
            g_hash_table_insert(groups, GUINT_TO_POINTER(entry->group), group);
        }
        group->n_names += is_alike(building, group->first, i);
    }
    return groups;
}

static uint32_t group_number(struct building *building, GHashTable *groups,
    const struct cob_mountindex_entry *entry, guint i)
{
    struct group *group = g_hash_table_lookup(groups, GUINT_TO_POINTER(entry->group));

    if (!group || group->n_names < 2 || !is_alike(building, group->first, i))
        return 0;
    if (group->number == 0)
        group->number = ++building->n_groups;
    return group->number;
}

static void put_entries(struct building *building)
{
    const struct mount_tree *tree = building->tree;
    g_autoptr(GHashTable) groups = find_groups(building);

    for (guint i = 0; i < tree->index->entries->len; i++) {
        struct cob_mountindex_entry entry = *cob_mountindex_at(tree->index, i);
        const struct cob_mountindex_xattr *xattrs = cob_mountindex_xattrs(tree->index, &entry);

        if (mount_leaf_at(tree, i)->state == MOUNT_LEAF_GONE)
            continue;
        g_assert(mount_leaf_at(tree, i)->state != MOUNT_LEAF_UNREAD);
        entry.content = has_content(tree, i) ? content_number(building, i) : COB_MOUNTINDEX_NONE;
        entry.group = group_number(building, groups, &entry, i);
        cob_mountindex_add(building->index, &entry, xattrs);
    }
}

void catalog_build_index(const struct mount_catalog *catalog, const struct mount_tree *tree,
    struct cob_mountindex **ret_index)
{
    struct building building = {.catalog = catalog,
        .tree = tree,
        .index = cob_mountindex_new(tree->index->namespace, tree->index->id),
        .chunks = g_ptr_array_new(),
        .numbers = g_hash_table_new(sha_hash, sha_equal)};

    for (guint i = 0; i < tree->index->entries->len; i++) {
        if (has_content(tree, i))
            catalog_each_chunk(catalog, &mount_leaf_at(tree, i)->sha, use_chunk, &building);
    }
    put_chunks(&building);
    put_entries(&building);
    for (guint i = 0; i < building.chunks->len; i++)
        ((struct catalog_chunk *)building.chunks->pdata[i])->number = 0;
    g_ptr_array_unref(building.chunks);
    g_hash_table_unref(building.numbers);
    *ret_index = building.index;
}
