/* SPDX-License-Identifier: Apache-2.0 */
#include "build/layerchain/layerchain.h"

#include <string.h>

#include "disk/layer/layer.h"
#include "util/digest.h"

/* How many layers are on their way at a time. */
#define PARALLEL_LAYERS 4

struct pull {
    const struct cob_layerchain_request *request;
    struct cob_cancel *stop; /* the caller's wish, or the first failure */
};

/* A layer on its way. */
struct arrival {
    struct pull *pull;
    const struct cob_layerchain_layer *layer;
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
    const struct cob_layerchain_request *request = arrival->pull->request;
    const struct cob_event_status event = {.vertex = request->vertex,
        .id = arrival->layer->digest,
        .current = n_done,
        .total = arrival->layer->size,
        .started_us = arrival->started_us,
        .completed_us = completed_us};

    request->observer->status(request->observer->arg, &event);
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
    const struct pull *pull = arrival->pull;

    g_clear_pointer(&arrival->unpack, cob_layer_unpack_free);
    g_clear_pointer(&arrival->draft, cob_snapshot_draft_free);
    COB_TRY(cob_snapshot_draft_new(pull->request->store, NULL, &arrival->draft));
    const struct cob_layer_unpack_request request = {
        .dir_fd = cob_snapshot_draft_fd(arrival->draft),
        .opaque_xattr = cob_snapshot_opaque_xattr(pull->request->store),
        .expect_diff_id = arrival->layer->diff_id,
        .cancel = pull->stop,
    };
    arrival->unpack = cob_layer_unpack_new(&request);
    return NULL;
}

static struct cob_error *on_restart(void *arg)
{
    return begin(arg);
}

static struct cob_error *arrive(struct arrival *arrival)
{
    const struct cob_layerchain_request *request = arrival->pull->request;
    const struct cob_registry_sink sink = {
        .write = on_bytes, .restart = on_restart, .progress = on_progress, .arg = arrival};

    arrival->started_us = g_get_real_time();
    tell(arrival, 0, 0);
    COB_TRY(begin(arrival));
    COB_TRY(request->get(request->arg, arrival->layer, &sink, arrival->pull->stop));
    COB_TRY(cob_layer_unpack_finish(arrival->unpack, &arrival->result));
    tell(arrival, arrival->layer->size, g_get_real_time());
    return NULL;
}

static void arrive_in_pool(void *arrival_data, void *pull_data)
{
    struct arrival *arrival = arrival_data;

    (void)pull_data;
    arrival->err = cob_cancel_check(arrival->pull->stop);
    if (!arrival->err)
        arrival->err = cob_wrap(arrive(arrival), "layer %s", arrival->layer->digest);
    if (arrival->err)
        cob_cancel_trigger(arrival->pull->stop);
}

/* --- committing --- */

char *cob_layerchain_id(const char *parent_chain, const char *diff_id)
{
    g_autofree char *text = g_strdup_printf("%s %s", parent_chain ? parent_chain : "", diff_id);

    return parent_chain ? cob_digest_of(text, strlen(text)) : g_strdup(diff_id);
}

static struct cob_error *commit(
    struct arrival *arrival, const char *chain, struct cob_snapshot **snapshot)
{
    cob_autoclose int lower_fd = -1;
    struct cob_snapshot *upper = NULL;
    const struct cob_snapshot_facts facts = {.description = arrival->pull->request->description,
        .chain_id = chain,
        .diff_id = arrival->result.diff_id,
        .tar_bytes = arrival->result.tar_bytes,
        .created_us = arrival->layer->created_us};

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

static char **chains_of(const struct cob_layerchain_request *request)
{
    char **chains = g_new0(char *, request->n_layers + 1);

    for (size_t i = 0; i < request->n_layers; i++)
        chains[i] = cob_layerchain_id(i ? chains[i - 1] : NULL, request->layers[i].diff_id);
    return chains;
}

static struct cob_error *bring(
    struct pull *pull, size_t first, char *const *chains, struct cob_snapshot **snapshot)
{
    size_t n = pull->request->n_layers - first;
    g_autofree struct arrival *arrivals = g_new0(struct arrival, n + 1);
    GThreadPool *pool =
        g_thread_pool_new(arrive_in_pool, pull, PARALLEL_LAYERS, /* exclusive= */ FALSE, NULL);

    for (size_t i = 0; i < n; i++) {
        arrivals[i] = (struct arrival){.pull = pull, .layer = &pull->request->layers[first + i]};
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

struct cob_error *cob_layerchain_bring(const struct cob_layerchain_request *request,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot)
{
    g_auto(GStrv) chains = chains_of(request);
    struct pull pull = {.request = request};
    g_autoptr(cob_snapshot) snapshot = NULL;
    struct cob_error *err = NULL;
    size_t n_here = 0;

    COB_TRY(find_chain(request->store, chains, &n_here, &snapshot));
    if (n_here < request->n_layers) {
        COB_TRY(cob_cancel_new_below(cancel, &pull.stop));
        err = bring(&pull, n_here, chains, &snapshot);
        cob_cancel_unref(pull.stop);
    }
    if (!err)
        *ret_snapshot = g_steal_pointer(&snapshot);
    return err;
}
