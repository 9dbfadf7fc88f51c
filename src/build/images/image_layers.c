/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of an image, from a registry into snapshots.
 *
 *     layer 0   fetch + unpack --+
 *     layer 1   fetch + unpack --+-- commit 0, 1, 2: each over the one below
 *     layer 2   fetch + unpack --+
 *
 * The chain of the lowest layers that are here already is not fetched. A layer is recorded only
 * when its compressed bytes had the manifest's digest and its uncompressed ones the config's.
 */
#include <string.h>

#include "build/images/image_private.h"
#include "disk/layer/layer.h"
#include "util/digest.h"

/* How many layers are on their way at a time. */
#define PARALLEL_LAYERS 4

struct pull {
    struct cob_store *store;
    struct cob_registry *registry;
    const struct known_image *image;
    const struct cob_image_watcher *watcher;
    struct cob_cancel *stop; /* the caller's wish, or the first failure */
};

/* A layer on its way. */
struct arrival {
    struct pull *pull;
    const struct cob_oci_descriptor *descriptor;
    const char *diff_id;
    int64_t started_us;
    struct cob_snapshot_draft *draft;
    struct cob_layer_unpack *unpack;
    struct cob_layer_unpack_result result;
    struct cob_error *err;
};

static void arrival_done(struct arrival *arrival)
{
    cob_layer_unpack_free(arrival->unpack);
    cob_snapshot_draft_free(arrival->draft);
    cob_layer_unpack_result_done(&arrival->result);
    cob_error_free(arrival->err);
}

static void tell(const struct arrival *arrival, uint64_t n_done, int64_t completed_us)
{
    const struct cob_image_watcher *watcher = arrival->pull->watcher;
    const struct cob_event_status event = {.vertex = watcher->vertex,
        .id = arrival->descriptor->digest,
        .current = n_done,
        .total = arrival->descriptor->size,
        .started_us = arrival->started_us,
        .completed_us = completed_us};

    watcher->observer->status(watcher->observer->arg, &event);
}

static void on_progress(void *arg, uint64_t n_done)
{
    tell(arg, n_done, 0);
}

static struct cob_error *on_bytes(void *arg, const void *data, size_t len)
{
    struct arrival *arrival = arg;

    return cob_layer_unpack_write(arrival->unpack, data, len);
}

/* A draft to unpack into, in place of any other. */
static struct cob_error *begin(struct arrival *arrival)
{
    struct pull *pull = arrival->pull;

    g_clear_pointer(&arrival->unpack, cob_layer_unpack_free);
    g_clear_pointer(&arrival->draft, cob_snapshot_draft_free);
    COB_TRY(cob_snapshot_draft_new(pull->store, NULL, &arrival->draft));
    const struct cob_layer_unpack_request request = {
        .dir_fd = cob_snapshot_draft_fd(arrival->draft),
        .opaque_xattr = cob_snapshot_opaque_xattr(pull->store),
        .expect_diff_id = arrival->diff_id,
        .cancel = pull->stop,
    };
    arrival->unpack = cob_layer_unpack_new(&request);
    return NULL;
}

static struct cob_error *on_restart(void *arg)
{
    return begin(arg);
}

/* A layer that its makers ask not to be kept in other registries. Where its "urls" point is for a
 * registry to choose: they are not followed. */
static bool is_foreign(const struct cob_oci_descriptor *layer)
{
    enum cob_oci_packing packing;

    return !cob_oci_layer_packing(layer->media_type, &packing);
}

static struct cob_error *arrive(struct arrival *arrival)
{
    struct pull *pull = arrival->pull;
    const struct cob_registry_blob blob = {.ref = pull->image->ref,
        .digest = arrival->descriptor->digest,
        .size = arrival->descriptor->size};
    const struct cob_registry_sink sink = {
        .write = on_bytes, .restart = on_restart, .progress = on_progress, .arg = arrival};

    arrival->started_us = g_get_real_time();
    tell(arrival, 0, 0);
    COB_TRY(begin(arrival));
    struct cob_error *err =
        pull->image->layout_fd
            ? cob_image_layout_send(pull->image->layout_fd, arrival->descriptor, on_bytes, arrival)
            : cob_registry_get_blob(pull->registry, &blob, &sink, pull->stop);
    if (err && cob_error_code(err) == COB_NOT_FOUND && is_foreign(arrival->descriptor))
        return cob_wrap(err, "it is a foreign layer, and its urls are not asked");
    COB_TRY(err);
    COB_TRY(cob_layer_unpack_finish(arrival->unpack, &arrival->result));
    tell(arrival, arrival->descriptor->size, g_get_real_time());
    return NULL;
}

static void arrive_in_pool(void *arrival_data, void *pull_data)
{
    struct arrival *arrival = arrival_data;

    (void)pull_data;
    arrival->err = cob_cancel_check(arrival->pull->stop);
    if (!arrival->err)
        arrival->err = cob_wrap(arrive(arrival), "layer %s", arrival->descriptor->digest);
    if (arrival->err)
        cob_cancel_trigger(arrival->pull->stop);
}

/* --- committing --- */

/* spec: image-spec config.md, "Layer ChainID". The caller frees it. */
static char *chain_id(const char *parent_chain, const char *diff_id)
{
    g_autofree char *text = g_strdup_printf("%s %s", parent_chain ? parent_chain : "", diff_id);

    return parent_chain ? cob_digest_of(text, strlen(text)) : g_strdup(diff_id);
}

static struct cob_error *commit(
    struct arrival *arrival, const char *chain, struct cob_snapshot **snapshot)
{
    cob_autoclose int lower_fd = -1;
    g_autofree char *description = g_strdup_printf("pulled from %s", arrival->pull->image->name);
    struct cob_snapshot *upper = NULL;
    const struct cob_snapshot_facts facts = {.description = description,
        .chain_id = chain,
        .diff_id = arrival->result.diff_id,
        .tar_bytes = arrival->result.tar_bytes};

    if (*snapshot) {
        COB_TRY(cob_snapshot_mount(*snapshot, &lower_fd));
        COB_TRY(cob_layer_adopt_parents(
            cob_snapshot_draft_fd(arrival->draft), arrival->result.implied, lower_fd));
    }
    cob_snapshot_draft_set_parent(arrival->draft, *snapshot);
    COB_TRY(cob_snapshot_commit(g_steal_pointer(&arrival->draft), &facts, &upper));
    cob_snapshot_unref(*snapshot);
    *snapshot = upper;
    return NULL;
}

/* The first failure that is not just the echo of another one's. */
static struct cob_error *first_error(struct arrival *arrivals, size_t n)
{
    struct cob_error **echo = NULL;

    for (size_t i = 0; i < n; i++) {
        if (!arrivals[i].err)
            continue;
        if (cob_error_code(arrivals[i].err) != COB_CANCELLED)
            return g_steal_pointer(&arrivals[i].err);
        echo = &arrivals[i].err;
    }
    return echo ? g_steal_pointer(echo) : NULL;
}

/* Find the chain of lowest layers that is here.  ret_n: how many of them. */
static struct cob_error *find_chain(
    struct cob_store *store, char *const *chains, size_t *ret_n, struct cob_snapshot **snapshot)
{
    for (size_t n = g_strv_length((char **)(uintptr_t)chains); n > 0; n--) {
        COB_TRY(cob_snapshot_get_chain(store, chains[n - 1], snapshot));
        *ret_n = n;
        if (*snapshot)
            return NULL;
    }
    *ret_n = 0;
    return NULL;
}

static char **chains_of(const GPtrArray *diff_ids)
{
    char **chains = g_new0(char *, diff_ids->len + 1);

    for (guint i = 0; i < diff_ids->len; i++)
        chains[i] = chain_id(i ? chains[i - 1] : NULL, g_ptr_array_index(diff_ids, i));
    return chains;
}

static struct cob_error *bring(
    struct pull *pull, size_t first, char *const *chains, struct cob_snapshot **snapshot)
{
    const GPtrArray *layers = pull->image->manifest->layers;
    size_t n = layers->len - first;
    g_autofree struct arrival *arrivals = g_new0(struct arrival, n + 1);
    GThreadPool *pool =
        g_thread_pool_new(arrive_in_pool, pull, PARALLEL_LAYERS, /* exclusive= */ FALSE, NULL);

    for (size_t i = 0; i < n; i++) {
        arrivals[i] = (struct arrival){.pull = pull,
            .descriptor = g_ptr_array_index(layers, first + i),
            .diff_id = g_ptr_array_index(pull->image->config->diff_ids, first + i)};
        g_thread_pool_push(pool, &arrivals[i], NULL);
    }
    g_thread_pool_free(pool, /* immediate= */ FALSE, /* wait= */ TRUE);

    struct cob_error *err = first_error(arrivals, n);
    for (size_t i = 0; i < n && !err; i++)
        err = commit(&arrivals[i], chains[first + i], snapshot);
    for (size_t i = 0; i < n; i++)
        arrival_done(&arrivals[i]);
    return err;
}

struct cob_error *cob_image_fetch_layers(struct cob_store *store, struct cob_registry *registry,
    const struct known_image *image, const struct cob_image_watcher *watcher,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot)
{
    g_auto(GStrv) chains = chains_of(image->config->diff_ids);
    struct pull pull = {.store = store, .registry = registry, .image = image, .watcher = watcher};
    g_autoptr(cob_snapshot) snapshot = NULL;
    struct cob_error *err = NULL;
    size_t n_here = 0;

    COB_TRY(find_chain(store, chains, &n_here, &snapshot));
    if (n_here < image->manifest->layers->len) {
        COB_TRY(cob_cancel_new_below(cancel, &pull.stop));
        err = bring(&pull, n_here, chains, &snapshot);
        cob_cancel_unref(pull.stop);
    }
    if (!err)
        *ret_snapshot = g_steal_pointer(&snapshot);
    return err;
}
