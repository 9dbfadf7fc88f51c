/* SPDX-License-Identifier: Apache-2.0 */
#include "util/statcache.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAGIC "cobstat1"
#define MAGIC_BYTES 8
#define SLACK_NS INT64_C(20000000)          /* a tick of the clock that stamps files, and more */
#define COARSE_SLACK_NS INT64_C(2000000000) /* on file systems that stamp whole seconds, or two */
#define KEEP_OLD 100000                     /* records of files that the last walk did not meet */

struct record {
    struct cob_statcache_file file;
    uint8_t sha[COB_SHA256_BYTES];
    uint64_t note;
};
G_STATIC_ASSERT(sizeof(struct record) == 80);

struct cob_statcache {
    GBytes *bytes; /* NULL: empty */
    size_t n_records;
    size_t cursor;   /* where the next file of the walk is likely to be */
    uint32_t *index; /* record numbers by inode; NULL: not built yet */
};

struct cob_statcache *cob_statcache_new(GBytes *bytes)
{
    struct cob_statcache *cache = g_new0(struct cob_statcache, 1);
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

void cob_statcache_free(struct cob_statcache *cache)
{
    if (!cache)
        return;
    g_clear_pointer(&cache->bytes, g_bytes_unref);
    g_free(cache->index);
    g_free(cache);
}

/* A copy, since the bytes may lie anywhere in memory. */
static struct record record_at(const struct cob_statcache *cache, size_t i)
{
    struct record record;
    const char *data = g_bytes_get_data(cache->bytes, NULL);

    memcpy(&record, data + MAGIC_BYTES + i * sizeof(record), sizeof(record));
    return record;
}

static int by_inode(const void *a, const void *b, void *arg)
{
    const struct cob_statcache *cache = arg;
    struct record one = record_at(cache, *(const uint32_t *)a);
    struct record other = record_at(cache, *(const uint32_t *)b);

    if (one.file.inode != other.file.inode)
        return one.file.inode < other.file.inode ? -1 : 1;
    return (one.file.dev > other.file.dev) - (one.file.dev < other.file.dev);
}

static void build_index(struct cob_statcache *cache)
{
    cache->index = g_new(uint32_t, cache->n_records);
    for (size_t i = 0; i < cache->n_records; i++)
        cache->index[i] = (uint32_t)i;
    g_qsort_with_data(cache->index, (int)cache->n_records, sizeof(*cache->index), by_inode, cache);
}

/* The record of a file, by device and inode. n_records: there is none. */
static size_t search(struct cob_statcache *cache, const struct cob_statcache_file *file)
{
    size_t low = 0, high = cache->n_records;

    if (!cache->index)
        build_index(cache);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct record record = record_at(cache, cache->index[middle]);

        if (record.file.inode < file->inode ||
            (record.file.inode == file->inode && record.file.dev < file->dev))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == cache->n_records)
        return low;
    struct record record = record_at(cache, cache->index[low]);
    bool is_it = record.file.inode == file->inode && record.file.dev == file->dev;
    return is_it ? cache->index[low] : cache->n_records;
}

bool cob_statcache_find(struct cob_statcache *cache, const struct cob_statcache_file *file,
    struct cob_sha256 *ret_sha, uint64_t *ret_note)
{
    size_t at = cache->cursor;
    struct record record;

    if (cache->n_records == 0)
        return false;
    if (at < cache->n_records)
        record = record_at(cache, at);
    if (at >= cache->n_records || record.file.inode != file->inode ||
        record.file.dev != file->dev) {
        at = search(cache, file);
        if (at == cache->n_records)
            return false;
        record = record_at(cache, at);
    }
    cache->cursor = at + 1;
    if (record.file.size != file->size || record.file.mtime_ns != file->mtime_ns ||
        record.file.ctime_ns != file->ctime_ns)
        return false;
    memcpy(ret_sha->bytes, record.sha, sizeof(record.sha));
    if (ret_note)
        *ret_note = record.note;
    return true;
}

void cob_statcache_rewind(struct cob_statcache *cache)
{
    cache->cursor = 0;
}

static bool is_close(int64_t time_ns, int64_t start_ns)
{
    return time_ns + (time_ns % 1000000000 == 0 ? COARSE_SLACK_NS : SLACK_NS) >= start_ns;
}

bool cob_statcache_is_racy(const struct cob_statcache_file *file, int64_t start_ns)
{
    return is_close(file->ctime_ns, start_ns) || is_close(file->mtime_ns, start_ns);
}

/* Records of files that this walk did not meet: another target may ask for them again. */
static void keep_old(const struct cob_statcache *known, GHashTable *met, GByteArray *out)
{
    for (size_t i = 0, n = 0; i < known->n_records && n < KEEP_OLD; i++) {
        struct record record = record_at(known, i);

        if (g_hash_table_contains(met, (gpointer)(uintptr_t)record.file.inode))
            continue;
        g_byte_array_append(out, (const void *)&record, sizeof(record));
        n++;
    }
}

int64_t cob_statcache_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct cob_statcache_draft {
    GByteArray *out;
    GHashTable *met; /* inodes, as pointers */
};

struct cob_statcache_draft *cob_statcache_draft_new(void)
{
    struct cob_statcache_draft *draft = g_new(struct cob_statcache_draft, 1);

    *draft = (struct cob_statcache_draft){
        .out = g_byte_array_new(), .met = g_hash_table_new(NULL, NULL)};
    g_byte_array_append(draft->out, (const void *)MAGIC, MAGIC_BYTES);
    return draft;
}

void cob_statcache_draft_free(struct cob_statcache_draft *draft)
{
    if (!draft)
        return;
    g_byte_array_unref(draft->out);
    g_hash_table_unref(draft->met);
    g_free(draft);
}

void cob_statcache_draft_add(struct cob_statcache_draft *draft,
    const struct cob_statcache_file *file, const struct cob_sha256 *sha, uint64_t note)
{
    struct record record = {.file = *file, .note = note};

    g_hash_table_add(draft->met, (gpointer)(uintptr_t)file->inode);
    if (!sha)
        return;
    memcpy(record.sha, sha->bytes, sizeof(record.sha));
    g_byte_array_append(draft->out, (const void *)&record, sizeof(record));
}

GBytes *cob_statcache_draft_finish(
    struct cob_statcache_draft *draft, const struct cob_statcache *known)
{
    if (known)
        keep_old(known, draft->met, draft->out);
    return g_bytes_new(draft->out->data, draft->out->len);
}
