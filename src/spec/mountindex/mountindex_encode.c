/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "spec/mountindex/mountindex.h"
#include "spec/mountindex/mountindex_wire.h"

static void put_number(GByteArray *out, uint64_t number)
{
    uint8_t bytes[MOUNTINDEX_NUMBER_BYTES];
    guint n = 0;

    for (; number >= 0x80; number >>= 7)
        bytes[n++] = (uint8_t)(number | 0x80);
    bytes[n++] = (uint8_t)number;
    g_byte_array_append(out, bytes, n);
}

static void put_bytes(GByteArray *out, const void *data, size_t len)
{
    put_number(out, len);
    g_byte_array_append(out, data, (guint)len);
}

static void put_sha(GByteArray *out, const struct cob_sha256 *sha)
{
    g_byte_array_append(out, sha->bytes, sizeof(sha->bytes));
}

static void put_packs(GByteArray *out, const struct cob_mountindex *index)
{
    put_number(out, index->packs->len);
    for (guint i = 0; i < index->packs->len; i++) {
        const struct cob_mountindex_pack *pack =
            &g_array_index(index->packs, struct cob_mountindex_pack, i);

        put_sha(out, &pack->sha);
        put_number(out, pack->stored_len);
        put_number(out, pack->plain_len);
    }
}

static void put_chunks(GByteArray *out, const struct cob_mountindex *index)
{
    put_number(out, index->chunks->len);
    for (guint i = 0; i < index->chunks->len; i++) {
        const struct cob_mountindex_chunk *chunk =
            &g_array_index(index->chunks, struct cob_mountindex_chunk, i);

        put_sha(out, &chunk->sha);
        put_number(out, chunk->pack);
        put_number(out, chunk->offset);
        put_number(out, chunk->len);
    }
}

static void put_contents(GByteArray *out, const struct cob_mountindex *index)
{
    put_number(out, index->contents->len);
    for (guint i = 0; i < index->contents->len; i++) {
        const struct cob_mountindex_content *content =
            &g_array_index(index->contents, struct cob_mountindex_content, i);

        put_number(out, content->n_refs);
        if (content->n_refs > 1)
            put_sha(out, &content->sha);
        for (uint32_t n = 0; n < content->n_refs; n++)
            put_number(out, g_array_index(index->refs, uint32_t, content->first_ref + n));
    }
}

/* What a path begins with that the one before it has, too. */
static size_t shared_bytes(const char *path, const char *before)
{
    size_t n = 0;

    while (path[n] && path[n] == before[n])
        n++;
    return n;
}

static void put_xattrs(
    GByteArray *out, const struct cob_mountindex *index, const struct cob_mountindex_entry *entry)
{
    const struct cob_mountindex_xattr *xattrs = cob_mountindex_xattrs(index, entry);

    put_number(out, entry->n_xattrs);
    for (uint32_t i = 0; i < entry->n_xattrs; i++) {
        gsize len;
        const void *value = g_bytes_get_data(xattrs[i].value, &len);

        put_bytes(out, xattrs[i].name, strlen(xattrs[i].name));
        put_bytes(out, value, len);
    }
}

static void put_entry(GByteArray *out, const struct cob_mountindex *index,
    const struct cob_mountindex_entry *entry, const char *before)
{
    size_t n_shared = shared_bytes(entry->path, before);
    uint8_t kind = (uint8_t)((unsigned)entry->kind | (entry->n_xattrs ? MOUNTINDEX_HAS_XATTRS : 0));
    uint64_t mtime = GUINT64_TO_LE((uint64_t)entry->mtime_ns);

    put_number(out, n_shared);
    put_bytes(out, entry->path + n_shared, strlen(entry->path) - n_shared);
    g_byte_array_append(out, &kind, 1);
    put_number(out, entry->mode);
    put_number(out, entry->uid);
    put_number(out, entry->gid);
    g_byte_array_append(out, (const uint8_t *)&mtime, sizeof(mtime));
    if (entry->kind == COB_MOUNTINDEX_FILE) {
        put_number(out, entry->content == COB_MOUNTINDEX_NONE ? 0 : (uint64_t)entry->content + 1);
        put_number(out, entry->group);
    }
    if (entry->kind == COB_MOUNTINDEX_SYMLINK)
        put_bytes(out, entry->target, strlen(entry->target));
    if (entry->n_xattrs)
        put_xattrs(out, index, entry);
}

GBytes *cob_mountindex_encode(const struct cob_mountindex *index)
{
    GByteArray *out = g_byte_array_new();
    const char *before = "";

    g_byte_array_append(out, (const uint8_t *)COB_MOUNTINDEX_MAGIC, COB_MOUNTINDEX_MAGIC_BYTES);
    put_bytes(out, index->namespace, strlen(index->namespace));
    put_bytes(out, index->id, strlen(index->id));
    put_packs(out, index);
    put_chunks(out, index);
    put_contents(out, index);
    put_number(out, index->entries->len);
    for (guint i = 0; i < index->entries->len; i++) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(index, i);

        g_assert(i == 0 ? entry->path[0] == '\0' : cob_mountindex_compare(before, entry->path) < 0);
        put_entry(out, index, entry, before);
        before = entry->path;
    }
    return g_byte_array_free_to_bytes(out);
}
