/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs are filled by one thread, in the order of what it is given, so that equal trees make equal
 * packs; each is compressed and sent by a thread of a pool. The bytes go by way of a file in the
 * store's tmp/, since a backend may have to send them twice.
 */
#include <fcntl.h>
#include <string.h>

#include "build/mountcache/mountcache_parts.h"
#include "disk/layer/layer.h"
#include "util/fs.h"

#define MAX_THREADS 8

/* One pack on its way. */
struct job {
    struct catalog_pack *pack;
    uint8_t *plain; /* MOUNT_PACK_BYTES */
    uint32_t len;
};

struct mount_packer {
    struct mount_catalog *catalog;
    const struct cob_mountcache_request *request;
    struct job *filling; /* NULL: none */
    GThreadPool *pool;   /* of struct job */
    unsigned n_threads;
    GPtrArray *done; /* struct catalog_pack, borrowed: they have a digest, and not their name yet */
    GMutex lock;     /* guards what is below, and done */
    GCond changed;
    unsigned n_busy;
    struct cob_error *error; /* the first */
    uint64_t n_packs, n_bytes;
};

static void job_free(struct job *job)
{
    if (!job)
        return;
    g_free(job->plain);
    g_free(job);
}

/* --- compress and send --- */

struct pack_file {
    int fd;
    struct cob_hasher *hasher;
    uint64_t len;
};

static struct cob_error *write_file(void *arg, const void *data, size_t len)
{
    struct pack_file *file = arg;

    cob_hasher_update(file->hasher, data, len);
    file->len += len;
    return cob_fs_write_fd(file->fd, data, len);
}

static struct cob_error *open_draft(int dir_fd, int *ret_fd)
{
    g_autofree char *name = cob_fs_draft_name("pack-");
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return cob_fail_errno(errno, "create %s", name);
    unlinkat(dir_fd, name, 0); /* nobody needs its name */
    *ret_fd = fd;
    return NULL;
}

static struct cob_error *send_pack(
    struct mount_packer *packer, const struct job *job, struct pack_file *file, bool *ret_is_new)
{
    COB_TRY(cob_cancel_check(packer->request->cancel));
    const int level = job->len <= MOUNT_SMALL_BYTES ? MOUNT_SMALL_LEVEL : MOUNT_PACK_LEVEL;
    COB_TRY(cob_layer_zstd_write(job->plain, job->len, level, write_file, file));
    job->pack->sha = cob_hasher_finish(file->hasher);
    job->pack->stored_len = (uint32_t)file->len;
    job->pack->plain_len = job->len;
    job->pack->is_new = true;
    g_autofree char *digest = cob_sha256_text(&job->pack->sha);
    return cob_cachebackend_put_blob(
        packer->request->backend, digest, file->len, file->fd, ret_is_new);
}

static struct cob_error *make_pack(
    struct mount_packer *packer, const struct job *job, uint64_t *ret_len, bool *ret_is_new)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    cob_autoclose int fd = -1;
    struct pack_file file = {.hasher = hasher};

    COB_TRY(open_draft(cob_store_tmp_fd(packer->request->store), &fd));
    file.fd = fd;
    COB_TRY(send_pack(packer, job, &file, ret_is_new));
    *ret_len = file.len;
    return NULL;
}

static void run_job(gpointer data, gpointer arg)
{
    struct mount_packer *packer = arg;
    struct job *job = data;
    uint64_t len = 0;
    bool is_new = false;
    struct cob_error *err = cob_wrap(make_pack(packer, job, &len, &is_new), "send a pack");

    g_mutex_lock(&packer->lock);
    if (!err)
        g_ptr_array_add(packer->done, job->pack);
    packer->n_packs += is_new;
    packer->n_bytes += is_new ? len : 0;
    if (packer->error)
        cob_error_free(err);
    else
        packer->error = err;
    packer->n_busy--;
    g_cond_broadcast(&packer->changed);
    g_mutex_unlock(&packer->lock);
    job_free(job);
}

/* --- filling --- */

struct mount_packer *packer_new(
    struct mount_catalog *catalog, const struct cob_mountcache_request *request)
{
    struct mount_packer *packer = g_new0(struct mount_packer, 1);

    packer->catalog = catalog;
    packer->request = request;
    packer->n_threads = MIN(g_get_num_processors(), MAX_THREADS);
    packer->done = g_ptr_array_new();
    g_mutex_init(&packer->lock);
    g_cond_init(&packer->changed);
    return packer;
}

/* Wait until no more than n jobs are left; the first error of any. */
static struct cob_error *wait_for(struct mount_packer *packer, unsigned n)
{
    g_mutex_lock(&packer->lock);
    while (packer->n_busy > n)
        g_cond_wait(&packer->changed, &packer->lock);
    struct cob_error *err = g_steal_pointer(&packer->error);
    g_mutex_unlock(&packer->lock);
    return err;
}

void packer_free(struct mount_packer *packer)
{
    if (!packer)
        return;
    if (packer->pool)
        g_thread_pool_free(packer->pool, /* immediate= */ FALSE, /* wait_= */ TRUE);
    job_free(packer->filling);
    cob_error_free(packer->error);
    g_ptr_array_unref(packer->done);
    g_mutex_clear(&packer->lock);
    g_cond_clear(&packer->changed);
    g_free(packer);
}

static struct cob_error *close_pack(struct mount_packer *packer)
{
    COB_TRY(wait_for(packer, packer->n_threads - 1));
    if (!packer->pool)
        packer->pool = g_thread_pool_new(run_job, packer, (int)packer->n_threads, FALSE, NULL);
    g_mutex_lock(&packer->lock);
    packer->n_busy++;
    g_mutex_unlock(&packer->lock);
    g_thread_pool_push(packer->pool, g_steal_pointer(&packer->filling), NULL);
    return NULL;
}

struct cob_error *packer_move(
    struct mount_packer *packer, const struct cob_sha256 *sha, const void *data, uint32_t len)
{
    g_assert(len > 0 && len <= MOUNT_CHUNK_BYTES);
    if (packer->filling && packer->filling->len + len > MOUNT_PACK_BYTES)
        COB_TRY(close_pack(packer));
    if (!packer->filling) {
        packer->filling = g_new(struct job, 1);
        *packer->filling = (struct job){
            .pack = catalog_add_pack(packer->catalog), .plain = g_malloc(MOUNT_PACK_BYTES)};
    }
    struct job *job = packer->filling;
    memcpy(job->plain + job->len, data, len);
    catalog_add_chunk(packer->catalog, sha, job->pack, job->len, len);
    job->len += len;
    return NULL;
}

struct cob_error *packer_add(
    struct mount_packer *packer, const struct cob_sha256 *sha, const void *data, uint32_t len)
{
    return catalog_chunk(packer->catalog, sha) ? NULL : packer_move(packer, sha, data, len);
}

struct cob_error *packer_finish(struct mount_packer *packer)
{
    if (packer->filling)
        COB_TRY(close_pack(packer));
    COB_TRY(wait_for(packer, 0));
    for (guint i = 0; i < packer->done->len; i++)
        catalog_name_pack(packer->catalog, packer->done->pdata[i]);
    g_ptr_array_set_size(packer->done, 0);
    return NULL;
}

void packer_count(const struct mount_packer *packer, uint64_t *n_packs, uint64_t *n_bytes)
{
    *n_packs = packer->n_packs;
    *n_bytes = packer->n_bytes;
}
