/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restart may have torn, and how that is seen.
 *
 * A build's end does not wait for the disk. Its rows carry `boot`, the boot they were written in,
 * until their data is known to be on disk. The store's first start in another boot holds each layer
 * that has such a row against what was measured when it was committed: number of entries, and the
 * fingerprint of cob_tree_measure(), which reads no content. That is enough on the file systems
 * that overlayfs stands on:
 *
 * (1) The rename into snapshots/ is the last change of names, owners, modes and times in a layer.
 *     ext4 and xfs write such changes to one log, in their order; btrfs commits them all at once.
 *     So a layer that is in its place after a power cut has all of them; what may be missing is
 *     what was written into files.
 * (2) A file that grows by being written gets its new size on disk only once those bytes are there:
 *     ext4 (delayed allocation, data=ordered) and xfs set it when the write is done, btrfs with the
 *     extent. So data that is missing is a file that is too short, and the sum differs.
 * (3) A file whose length was set first (truncate, then written through a mapping, as some linkers
 *     do) has holes where data is missing: the sum knows which files had any.
 *
 * It is not absolute: what was written over old bytes that were on disk already, without a change
 * of size, may be the old bytes; space that was reserved with fallocate reads as zeros; a file that
 * had holes may have more of them; and ext4 with data=writeback or nobarrier promises nothing of
 * this. A layer that was packed has a diff id, which checks every byte. cob_store_sync() leaves no
 * doubt from the beginning, for the price of waiting for everybody's data.
 *
 * A layer that does not match is dropped with all that stands on it, and made again by the next
 * build. Blobs say themselves what they are: one with such a row is digested when it is opened.
 */
#include <stdio.h>

#include "disk/store/store_parts.h"
#include "util/log.h"
#include "util/tree.h"

/* Cold directories are waited for side by side. */
#define N_THREADS 8

static void look_free(struct cob_store_look *look)
{
    json_decref(look->record);
    g_free(look->id);
    g_free(look);
}

GPtrArray *cob_store_looks_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))look_free);
}

static struct cob_error *add_look(void *arg, const struct cob_db_row *row)
{
    struct cob_store_look *look = g_new(struct cob_store_look, 1);

    *look = (struct cob_store_look){
        .id = g_strdup(cob_db_row_text(row, 0)),
        .n_entries = (uint64_t)cob_db_row_int(row, 1),
        .fingerprint = (uint64_t)cob_db_row_int(row, 2),
    };
    g_ptr_array_add(arg, look);
    return NULL;
}

/* In a thread of the pool. */
static void look_at(void *data, void *arg)
{
    struct cob_store_look *look = data;
    const struct cob_store *store = arg;
    g_autofree char *path = g_strdup_printf("snapshots/%s/fs", look->id);
    struct cob_tree_usage now = {0};
    g_autoptr(cob_error) err = cob_tree_measure(store->root_fd, path, &now);

    look->is_good =
        !err && now.n_entries == look->n_entries && now.fingerprint == look->fingerprint;
    if (!look->is_good)
        cob_trace(1, "%s is not as it was committed: %lu of %lu entries", path,
            (unsigned long)now.n_entries, (unsigned long)look->n_entries);
}

void cob_store_look_at_all(struct cob_store *store, const GPtrArray *looks)
{
    const guint n_threads = MIN(looks->len, N_THREADS);
    GThreadPool *pool = n_threads ? g_thread_pool_new(look_at, store, n_threads, TRUE, NULL) : NULL;

    for (guint i = 0; i < looks->len; i++)
        g_thread_pool_push(pool, g_ptr_array_index(looks, i), NULL);
    if (pool)
        g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait_= */ TRUE);
}

struct cob_error *cob_store_verify(struct cob_store *store, GPtrArray *good)
{
    g_autoptr(GPtrArray) looks = cob_store_looks_new();

    COB_TRY(cob_db_run(store->db, add_look, looks,
        "SELECT id, n_entries, fingerprint FROM snapshots"
        "  WHERE boot IS NOT NULL AND boot <> ?1 AND fingerprint IS NOT NULL",
        COB_DB_T(store->boot)));
    cob_store_look_at_all(store, looks);
    for (guint i = 0; i < looks->len; i++) {
        struct cob_store_look *look = g_ptr_array_index(looks, i);

        if (look->is_good)
            g_ptr_array_add(good, g_steal_pointer(&look->id));
    }
    return NULL;
}
