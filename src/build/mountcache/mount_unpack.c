/* SPDX-License-Identifier: Apache-2.0 */
/* Packs of an import: each is fetched, unpacked and dealt out by one thread of a pool. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "build/mountcache/mount_import_parts.h"
#include "util/fs.h"
#include "util/limits.h"

#define MAX_THREADS 8

/* The wants of one pack. */
struct job {
    guint from, end;
};

static const struct cob_mountindex_chunk *chunk_of(
    const struct importing *importing, const struct want *want)
{
    return &g_array_index(importing->index->chunks, struct cob_mountindex_chunk, want->chunk);
}

static gint by_place(gconstpointer a, gconstpointer b, gpointer arg)
{
    const struct want *x = a, *y = b;
    const struct cob_mountindex_chunk *p = chunk_of(arg, x), *q = chunk_of(arg, y);

    if (p->pack != q->pack)
        return p->pack < q->pack ? -1 : 1;
    if (p->offset != q->offset)
        return p->offset < q->offset ? -1 : 1;
    return (x->entry > y->entry) - (x->entry < y->entry);
}

/* --- files of several chunks --- */

static char *large_name(const struct large *large)
{
    return g_strdup_printf("large-%u", large->entry);
}

static struct cob_error *hash_file(int fd, struct cob_sha256 *ret_sha)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autofree uint8_t *buffer = g_malloc(256 * COB_KIB);
    off_t at = 0;

    for (;;) {
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, buffer, 256 * COB_KIB, at));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            break;
        cob_hasher_update(hasher, buffer, (size_t)n);
        at += n;
    }
    *ret_sha = cob_hasher_finish(hasher);
    return NULL;
}

static struct cob_error *finish_large(
    struct importing *importing, struct mount_placer *placer, const struct want *want, int fd)
{
    const struct cob_mountindex_entry *entry = cob_mountindex_at(importing->index, want->entry);
    const struct cob_mountindex_content *content =
        &g_array_index(importing->index->contents, struct cob_mountindex_content, entry->content);
    g_autofree char *name = large_name(want->large);
    enum mount_verdict verdict = want->verdict;
    struct cob_sha256 sha;

    COB_TRY(hash_file(fd, &sha));
    if (memcmp(&sha, &content->sha, sizeof(sha)) != 0)
        return cob_fail(COB_DATA_LOSS, "its bytes have another digest");
    COB_TRY(placer_move_file(placer, importing->index, entry, name, &verdict));
    import_count(importing, entry, verdict);
    return NULL;
}

static struct cob_error *place_part(struct importing *importing, struct mount_placer *placer,
    const struct want *want, const uint8_t *data)
{
    const uint32_t len = chunk_of(importing, want)->len;
    g_autofree char *name = large_name(want->large);
    cob_autoclose int fd =
        openat(importing->staging_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return cob_fail_errno(errno, "create a file");
    for (uint32_t done = 0; done < len;) {
        ssize_t n =
            TEMP_FAILURE_RETRY(pwrite(fd, data + done, len - done, (off_t)(want->offset + done)));

        if (n < 0)
            return cob_fail_errno(errno, "write");
        done += (uint32_t)n;
    }
    g_mutex_lock(&importing->lock);
    const bool is_last = --want->large->n_left == 0;
    g_mutex_unlock(&importing->lock);
    return is_last ? finish_large(importing, placer, want, fd) : NULL;
}

/* --- one pack --- */

static struct cob_error *place_want(struct importing *importing, struct mount_placer *placer,
    const struct want *want, const uint8_t *data)
{
    const struct cob_mountindex_entry *entry = cob_mountindex_at(importing->index, want->entry);
    enum mount_verdict verdict = want->verdict;

    if (want->large)
        return place_part(importing, placer, want, data);
    COB_TRY(placer_make_file(placer, importing->index, entry, data, (size_t)entry->size, &verdict));
    import_count(importing, entry, verdict);
    return NULL;
}

/* What a thread does with a pack. */
struct dealing {
    struct importing *importing;
    const struct job *job;
    struct mount_placer *placer;
};

/* Several files may want the same chunk, one after the other: it is hashed once. */
static struct cob_error *deal_out(void *arg, const uint8_t *plain)
{
    const struct dealing *dealing = arg;
    struct importing *importing = dealing->importing;
    const struct job *job = dealing->job;
    struct mount_placer *placer = dealing->placer;
    uint32_t checked = UINT32_MAX;

    for (guint i = job->from; i < job->end; i++) {
        const struct want *want = &g_array_index(importing->wants, struct want, i);
        const struct cob_mountindex_chunk *chunk = chunk_of(importing, want);
        const char *path = cob_mountindex_at(importing->index, want->entry)->path;

        COB_TRY(cob_cancel_check(importing->request->cancel));
        if (want->chunk != checked) {
            struct cob_sha256 sha = cob_sha256_of(plain + chunk->offset, chunk->len);

            if (memcmp(&sha, &chunk->sha, sizeof(sha)) != 0)
                return cob_fail(COB_DATA_LOSS, "%s: its bytes have another digest", path);
            checked = want->chunk;
        }
        COB_TRY(cob_wrap(place_want(importing, placer, want, plain + chunk->offset), "%s", path));
    }
    return NULL;
}

/* What an artifact says of itself may be more than the disk has: see that some stays free. */
static struct cob_error *check_room(const struct importing *importing, const struct job *job)
{
    struct statvfs vfs;
    uint64_t need = COB_LIMIT_DISK_RESERVE_BYTES;

    for (guint i = job->from; i < job->end; i++)
        need += chunk_of(importing, &g_array_index(importing->wants, struct want, i))->len;
    if (fstatvfs(importing->staging_fd, &vfs) < 0)
        return cob_fail_errno(errno, "ask for free space");
    if (need > (uint64_t)vfs.f_bavail * vfs.f_frsize)
        return cob_fail_errno(ENOSPC, "%" PRIu64 " bytes more", need);
    return NULL;
}

static struct cob_error *import_pack(
    struct importing *importing, const struct job *job, struct mount_placer *placer)
{
    const struct want *first = &g_array_index(importing->wants, struct want, job->from);
    const struct cob_mountindex_pack *pack = &g_array_index(
        importing->index->packs, struct cob_mountindex_pack, chunk_of(importing, first)->pack);
    struct dealing dealing = {.importing = importing, .job = job, .placer = placer};

    COB_TRY(check_room(importing, job));
    COB_TRY(remote_with_pack(importing->request, pack, deal_out, &dealing));
    g_mutex_lock(&importing->lock);
    importing->result->n_fetched_packs++;
    importing->result->moved_bytes += pack->stored_len;
    g_mutex_unlock(&importing->lock);
    return NULL;
}

static void run_job(gpointer data, gpointer arg)
{
    struct importing *importing = arg;
    g_autofree struct job *job = data;
    g_autoptr(mount_placer) placer = NULL;

    g_mutex_lock(&importing->lock);
    const bool is_over = importing->error != NULL;
    g_mutex_unlock(&importing->lock);
    if (is_over)
        return;
    placer = placer_new(importing->lease.root_fd, importing->staging_fd, importing->ignore_owners);
    struct cob_error *err = import_pack(importing, job, placer);
    g_mutex_lock(&importing->lock);
    if (importing->error)
        cob_error_free(err);
    else
        importing->error = err;
    g_mutex_unlock(&importing->lock);
}

struct cob_error *import_packs(struct importing *importing)
{
    const int n_threads = (int)MIN(g_get_num_processors(), MAX_THREADS);
    guint end;

    if (importing->wants->len == 0)
        return NULL;
    g_array_sort_with_data(importing->wants, by_place, importing);
    GThreadPool *pool = g_thread_pool_new(run_job, importing, n_threads, FALSE, NULL);
    for (guint i = 0; i < importing->wants->len; i = end) {
        struct job *job = g_new(struct job, 1);
        const uint32_t pack =
            chunk_of(importing, &g_array_index(importing->wants, struct want, i))->pack;

        for (end = i; end < importing->wants->len; end++) {
            if (chunk_of(importing, &g_array_index(importing->wants, struct want, end))->pack !=
                pack)
                break;
        }
        *job = (struct job){.from = i, .end = end};
        g_thread_pool_push(pool, job, NULL);
    }
    g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait_= */ TRUE);
    return g_steal_pointer(&importing->error);
}
