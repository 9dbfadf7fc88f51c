/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody uses any more cannot be taken out of a pack; a pack with too much of it is replaced.
 *
 *     a pack of which more than a half is dead                    goes
 *     more than 30 % of all are dead                              those with most of it go
 *     more than 32 packs below a quarter of the usual size        they go: each export adds one
 *     a pack without anything alive                               is not in the document any more
 */
#include <string.h>

#include "build/mountcache/mountcache_parts.h"

#define MAX_DEAD_OF_PACK 2 /* 1/2 */
#define MAX_DEAD_PERCENT 30
#define MAX_SMALL 32
#define SMALL_BYTES (MOUNT_PACK_BYTES / 4)

static void mark_live(void *arg, struct catalog_chunk *chunk)
{
    GPtrArray *live = arg;

    if (!chunk->is_live) {
        chunk->is_live = true;
        chunk->pack->live_len += chunk->len;
        g_ptr_array_add(live, chunk);
    }
}

/* ret: struct catalog_chunk, borrowed: those that the result uses. */
static GPtrArray *find_live(GPtrArray *trees, const struct mount_catalog *catalog)
{
    GPtrArray *live = g_ptr_array_new();

    for (guint i = 0; i < catalog->packs->len; i++)
        ((struct catalog_pack *)catalog->packs->pdata[i])->live_len = 0;
    for (guint i = 0; i < trees->len; i++) {
        const struct mount_tree *tree = trees->pdata[i];

        for (guint n = 0; n < tree->leaves->len; n++) {
            const struct mount_leaf *leaf = mount_leaf_at(tree, n);

            if (leaf->state == MOUNT_LEAF_KNOWN && cob_mountindex_at(tree->index, n)->size > 0)
                catalog_each_chunk(catalog, &leaf->sha, mark_live, live);
        }
    }
    for (guint i = 0; i < live->len; i++)
        ((struct catalog_chunk *)live->pdata[i])->is_live = false;
    return live;
}

static uint32_t dead_len(const struct catalog_pack *pack)
{
    return pack->plain_len - pack->live_len;
}

static gint by_dead_share(gconstpointer a, gconstpointer b)
{
    const struct catalog_pack *x = *(const struct catalog_pack *const *)a;
    const struct catalog_pack *y = *(const struct catalog_pack *const *)b;
    uint64_t p = (uint64_t)dead_len(x) * y->plain_len, q = (uint64_t)dead_len(y) * x->plain_len;

    return p > q ? -1 : p < q ? 1 : 0;
}

/* ret: struct catalog_pack: those with something alive that came from elsewhere, deadest first. */
static GPtrArray *candidates(
    const struct mount_catalog *catalog, uint64_t *ret_dead, uint64_t *ret_all)
{
    GPtrArray *packs = g_ptr_array_new();

    for (guint i = 0; i < catalog->packs->len; i++) {
        struct catalog_pack *pack = catalog->packs->pdata[i];

        pack->is_victim = false;
        if (pack->live_len == 0)
            continue;
        *ret_dead += dead_len(pack);
        *ret_all += pack->plain_len;
        if (!pack->is_new)
            g_ptr_array_add(packs, pack);
    }
    g_ptr_array_sort(packs, by_dead_share);
    return packs;
}

static void choose_small(const GPtrArray *packs)
{
    unsigned n = 0;

    for (guint i = 0; i < packs->len; i++)
        n += ((const struct catalog_pack *)packs->pdata[i])->plain_len < SMALL_BYTES;
    for (guint i = 0; i < packs->len && n > MAX_SMALL; i++) {
        struct catalog_pack *pack = packs->pdata[i];

        pack->is_victim |= pack->plain_len < SMALL_BYTES;
    }
}

/* Returns whether there are any. */
static bool choose_victims(const struct mount_catalog *catalog)
{
    uint64_t dead = 0, all = 0;
    g_autoptr(GPtrArray) packs = candidates(catalog, &dead, &all);
    bool has_any = false;

    for (guint i = 0; i < packs->len; i++) {
        struct catalog_pack *pack = packs->pdata[i];

        if (dead_len(pack) <= pack->plain_len / MAX_DEAD_OF_PACK &&
            (dead * 100 <= all * MAX_DEAD_PERCENT || dead_len(pack) == 0))
            break;
        pack->is_victim = true;
        dead -= dead_len(pack);
        all -= dead_len(pack);
    }
    choose_small(packs);
    for (guint i = 0; i < packs->len; i++)
        has_any |= ((const struct catalog_pack *)packs->pdata[i])->is_victim;
    return has_any;
}

static gint by_place(gconstpointer a, gconstpointer b)
{
    const struct catalog_chunk *x = *(const struct catalog_chunk *const *)a;
    const struct catalog_chunk *y = *(const struct catalog_chunk *const *)b;
    int order = memcmp(&x->pack->sha, &y->pack->sha, sizeof(x->sha));

    return order ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

/* The chunks of one victim. */
struct moving {
    const GPtrArray *live; /* struct catalog_chunk */
    guint from, end;
    struct mount_packer *packer;
};

/* What is not what its digest says is a damaged pack. */
static struct cob_error *move_chunks(void *arg, const uint8_t *plain)
{
    const struct moving *moving = arg;

    for (guint i = moving->from; i < moving->end; i++) {
        const struct catalog_chunk *chunk = moving->live->pdata[i];
        const struct cob_sha256 sha = chunk->sha;

        struct cob_sha256 got = cob_sha256_of(plain + chunk->offset, chunk->len);
        if (memcmp(&got, &sha, sizeof(sha)) != 0)
            return cob_fail(COB_DATA_LOSS, "a chunk has another digest");
        if (chunk->len > MOUNT_CHUNK_BYTES)
            return cob_fail(COB_INVALID, "a chunk is too long to be packed again");
        COB_TRY(packer_move(moving->packer, &sha, plain + chunk->offset, chunk->len));
    }
    return NULL;
}

static struct cob_error *repack_one(
    struct moving *moving, const struct cob_mountcache_request *request)
{
    const struct catalog_chunk *first = moving->live->pdata[moving->from];
    const struct cob_mountindex_pack pack = {.sha = first->pack->sha,
        .stored_len = first->pack->stored_len,
        .plain_len = first->pack->plain_len};

    return remote_with_pack(request, &pack, move_chunks, moving);
}

struct cob_error *mount_repack(GPtrArray *trees, struct mount_catalog *catalog,
    struct mount_packer *packer, const struct cob_mountcache_request *request,
    uint64_t *fetched_bytes)
{
    g_autoptr(GPtrArray) live = find_live(trees, catalog);
    guint end;

    if (!choose_victims(catalog))
        return NULL;
    g_ptr_array_sort(live, by_place);
    for (guint i = 0; i < live->len; i = end) {
        const struct catalog_pack *pack = ((const struct catalog_chunk *)live->pdata[i])->pack;

        for (end = i; end < live->len; end++) {
            if (((const struct catalog_chunk *)live->pdata[end])->pack != pack)
                break;
        }
        if (!pack->is_victim)
            continue;
        *fetched_bytes += pack->stored_len;
        struct moving moving = {.live = live, .from = i, .end = end, .packer = packer};
        COB_TRY(cob_wrap(repack_one(&moving, request), "pack anew what is alive"));
    }
    return packer_finish(packer);
}
