/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stat cache, as bytes of this machine's order:
 *
 *     header   8 bytes "cobstat1"
 *     records  80 bytes each: device, inode, size, mtime, ctime (8 bytes each), digest (32 bytes),
 *              8 bytes zero; those of the last walk first, in its order, then older ones
 *
 * A file that was written at about the time of a walk could be written again without its times
 * showing it. Such a file gets no record, so a record is always to be trusted.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "build/context/context_private.h"

#define MAGIC "cobstat1"
#define MAGIC_BYTES 8
#define SLACK_NS INT64_C(20000000)          /* a tick of the clock that stamps files, and more */
#define COARSE_SLACK_NS INT64_C(2000000000) /* on file systems that stamp whole seconds, or two */
#define KEEP_OLD 100000                     /* records of files that the last walk did not meet */

struct record {
    uint64_t dev, inode, size;
    int64_t mtime_ns, ctime_ns;
    uint8_t sha[COB_SHA256_BYTES];
    uint64_t unused;
};
G_STATIC_ASSERT(sizeof(struct record) == 80);

struct statcache {
    GBytes *bytes; /* NULL: empty */
    size_t n_records;
    size_t cursor;   /* where the next file of the walk is likely to be */
    uint32_t *index; /* record numbers by inode; NULL: not built yet */
};

struct statcache *statcache_new(GBytes *bytes)
{
    struct statcache *cache = g_new0(struct statcache, 1);
    size_t len = 0;
    const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;

    if (len < MAGIC_BYTES || memcmp(data, MAGIC, MAGIC_BYTES) != 0 ||
        (len - MAGIC_BYTES) % sizeof(struct record) != 0 ||
        (len - MAGIC_BYTES) / sizeof(struct record) > UINT32_MAX)
        return cache;
    cache->bytes = g_bytes_ref(bytes);
    cache->n_records = (len - MAGIC_BYTES) / sizeof(struct record);
    return cache;
}

void statcache_free(struct statcache *cache)
{
    if (!cache)
        return;
    g_clear_pointer(&cache->bytes, g_bytes_unref);
    g_free(cache->index);
    g_free(cache);
}

/* A copy, since the bytes may lie anywhere in memory. */
static struct record record_at(const struct statcache *cache, size_t i)
{
    struct record record;
    const char *data = g_bytes_get_data(cache->bytes, NULL);

    memcpy(&record, data + MAGIC_BYTES + i * sizeof(record), sizeof(record));
    return record;
}

static int by_inode(const void *a, const void *b, void *arg)
{
    const struct statcache *cache = arg;
    struct record one = record_at(cache, *(const uint32_t *)a);
    struct record other = record_at(cache, *(const uint32_t *)b);

    if (one.inode != other.inode)
        return one.inode < other.inode ? -1 : 1;
    return (one.dev > other.dev) - (one.dev < other.dev);
}

static void build_index(struct statcache *cache)
{
    cache->index = g_new(uint32_t, cache->n_records);
    for (size_t i = 0; i < cache->n_records; i++)
        cache->index[i] = (uint32_t)i;
    g_qsort_with_data(cache->index, (int)cache->n_records, sizeof(*cache->index), by_inode, cache);
}

/* The record of a file, by device and inode. n_records: there is none. */
static size_t search(struct statcache *cache, const struct context_entry *entry)
{
    size_t low = 0, high = cache->n_records;

    if (!cache->index)
        build_index(cache);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct record record = record_at(cache, cache->index[middle]);

        if (record.inode < entry->inode ||
            (record.inode == entry->inode && record.dev < entry->dev))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == cache->n_records)
        return low;
    struct record record = record_at(cache, cache->index[low]);
    bool is_it = record.inode == entry->inode && record.dev == entry->dev;
    return is_it ? cache->index[low] : cache->n_records;
}

bool statcache_find(
    struct statcache *cache, const struct context_entry *entry, struct cob_sha256 *ret_sha)
{
    size_t at = cache->cursor;
    struct record record;

    if (cache->n_records == 0)
        return false;
    if (at < cache->n_records)
        record = record_at(cache, at);
    if (at >= cache->n_records || record.inode != entry->inode || record.dev != entry->dev) {
        at = search(cache, entry);
        if (at == cache->n_records)
            return false;
        record = record_at(cache, at);
    }
    cache->cursor = at + 1;
    if (record.size != entry->size || record.mtime_ns != entry->mtime_ns ||
        record.ctime_ns != entry->ctime_ns)
        return false;
    memcpy(ret_sha->bytes, record.sha, sizeof(record.sha));
    return true;
}

static bool is_close(int64_t time_ns, int64_t start_ns)
{
    return time_ns + (time_ns % 1000000000 == 0 ? COARSE_SLACK_NS : SLACK_NS) >= start_ns;
}

bool statcache_is_racy(const struct context_entry *entry, int64_t start_ns)
{
    return is_close(entry->ctime_ns, start_ns) || is_close(entry->mtime_ns, start_ns);
}

/* Records of files that this walk did not meet: another target may ask for them again. */
static void keep_old(const struct statcache *known, GHashTable *met, GByteArray *out)
{
    for (size_t i = 0, n = 0; i < known->n_records && n < KEEP_OLD; i++) {
        struct record record = record_at(known, i);

        if (g_hash_table_contains(met, &record.inode))
            continue;
        g_byte_array_append(out, (const void *)&record, sizeof(record));
        n++;
    }
}

GBytes *statcache_write(struct cob_context *context)
{
    g_autoptr(GHashTable) met = g_hash_table_new(g_int64_hash, g_int64_equal);
    GByteArray *out = g_byte_array_new();

    g_byte_array_append(out, (const void *)MAGIC, MAGIC_BYTES);
    context->known->cursor = 0;
    for (size_t i = 0; i < context->entries->len; i++) {
        struct context_entry *entry = &g_array_index(context->entries, struct context_entry, i);
        struct cob_sha256 sha;
        bool is_known = context->has_sha && context->has_sha[i];

        if (!S_ISREG(entry->mode))
            continue;
        g_hash_table_add(met, &entry->inode);
        if (is_known)
            sha = context->shas[i];
        else if (!statcache_find(context->known, entry, &sha))
            continue;
        if (statcache_is_racy(entry, context->start_ns))
            continue;
        struct record record = {.dev = entry->dev,
            .inode = entry->inode,
            .size = entry->size,
            .mtime_ns = entry->mtime_ns,
            .ctime_ns = entry->ctime_ns};
        memcpy(record.sha, sha.bytes, sizeof(record.sha));
        g_byte_array_append(out, (const void *)&record, sizeof(record));
    }
    keep_old(context->known, met, out);
    return g_byte_array_free_to_bytes(out);
}
