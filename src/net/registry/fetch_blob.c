/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "net/registry/fetch.h"
#include "util/digest.h"
#include "util/limits.h"
#include "util/log.h"

#define EMPTY_DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A blob on its way, from one server after the other. */
struct fetch {
    const struct cob_registry_blob *blob;
    const struct cob_registry_sink *sink;
    struct cob_http_receiver receiver;
};

static uint64_t get_n_done(void *arg)
{
    const struct cob_http_receiver *receiver = arg;

    return receiver->n_done;
}

static bool is_complete(void *arg)
{
    return cob_http_receiver_is_complete(arg);
}

static struct cob_error *get_from(struct fetch *fetch, const struct exchange_tools *tools,
    const struct endpoint *endpoint, struct cob_cancel *cancel)
{
    const struct cob_registry_blob *blob = fetch->blob;
    g_autofree char *url =
        g_strconcat(endpoint->base, blob->ref->path, "/blobs/", blob->digest, NULL);
    struct exchange exchange = {.tools = tools,
        .server = endpoint->server,
        .url = url,
        .repository = blob->ref->path,
        .size = blob->size,
        .on_body = cob_http_receive,
        .n_done = get_n_done,
        .is_complete = is_complete,
        .arg = &fetch->receiver,
        .cancel = cancel};
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    if (!err && !is_complete(&fetch->receiver))
        err = registry_check_status(&response);
    cob_http_response_done(&response);
    return err ? err : cob_http_receiver_check(&fetch->receiver);
}

/* Begin anew after wrong bytes. False: the sink cannot. */
static struct cob_error *restart(struct fetch *fetch, bool *ret_can)
{
    const struct cob_registry_sink *sink = fetch->sink;

    *ret_can = sink->restart != NULL;
    if (!sink->restart)
        return NULL;
    COB_TRY(sink->restart(sink->arg));
    cob_http_receiver_restart(&fetch->receiver);
    return NULL;
}

/* After an error of one server: is another try of use? Frees the error when it is. */
static struct cob_error *go_on(struct fetch *fetch, struct cob_error *err, bool is_last)
{
    bool can_restart = true;

    if (is_last || fetch->receiver.is_sink_broken || cob_error_code(err) == COB_CANCELLED)
        return err;
    if (cob_error_code(err) == COB_DATA_LOSS) {
        struct cob_error *sink_err = restart(fetch, &can_restart);

        if (sink_err) {
            cob_error_free(err);
            return sink_err;
        }
    }
    if (!can_restart)
        return err;
    cob_error_free(err);
    return NULL;
}

static struct cob_error *get_from_any(
    struct fetch *fetch, struct cob_registry *registry, struct cob_cancel *cancel)
{
    const struct exchange_tools *tools = NULL;
    g_autoptr(GPtrArray) endpoints = NULL;

    COB_TRY(registry_tools(registry, &tools));
    COB_TRY(registry_endpoints(tools, fetch->blob->ref->domain, &endpoints));
    for (unsigned i = 0; i < endpoints->len;) {
        const struct endpoint *endpoint = g_ptr_array_index(endpoints, i);
        bool is_mixed =
            fetch->receiver.n_done > 0; /* an earlier server's bytes may be the wrong ones */
        struct cob_error *err = get_from(fetch, tools, endpoint, cancel);

        if (!err)
            return NULL;
        cob_trace(1, "registry: no blob from %s", endpoint->base);
        bool is_again = is_mixed && cob_error_code(err) == COB_DATA_LOSS;
        COB_TRY(go_on(fetch, err, i + 1 == endpoints->len && !is_again));
        i += !is_again;
    }
    return cob_fail(COB_INTERNAL, "no server was asked");
}

static struct cob_error *get_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, const struct cob_registry_sink *sink,
    struct cob_cancel *cancel)
{
    struct cob_sha256 sha;

    if (!cob_digest_is_valid(blob->digest))
        return cob_fail(COB_INVALID, "the digest must be sha256: and 64 hex digits");
    if (!cob_sha256_parse(blob->digest, &sha))
        return cob_fail(COB_UNIMPLEMENTED, "digests other than sha256 are not supported");
    struct fetch fetch = {.blob = blob,
        .sink = sink,
        .receiver = {.who = "registry",
            .digest = blob->digest,
            .size = blob->size,
            .write = sink->write,
            .progress = sink->progress,
            .arg = sink->arg}};
    if (blob->size == 0 && strcmp(blob->digest, EMPTY_DIGEST) != 0)
        return cob_fail(COB_DATA_LOSS, "its size is 0 by its descriptor, which its digest is not");
    if (blob->size == 0)
        return NULL;
    if (blob->size > COB_LIMIT_LAYER_BYTES)
        return cob_fail(COB_EXHAUSTED, "its %" PRIu64 " bytes are past the limit of %" PRIu64,
            blob->size, (uint64_t)COB_LIMIT_LAYER_BYTES);
    cob_http_receiver_init(&fetch.receiver);
    struct cob_error *err = get_from_any(&fetch, registry, cancel);
    cob_http_receiver_done(&fetch.receiver);
    return err;
}

struct cob_error *cob_registry_get_blob(struct cob_registry *registry,
    const struct cob_registry_blob *blob, const struct cob_registry_sink *sink,
    struct cob_cancel *cancel)
{
    g_autofree char *name = cob_ref_name(blob->ref);

    return cob_wrap(get_blob(registry, blob, sink, cancel), "%s: blob %.80s", name, blob->digest);
}

static struct cob_error *append_bytes(void *arg, const void *data, size_t len)
{
    g_byte_array_append(arg, data, (guint)len);
    return NULL;
}

static struct cob_error *drop_bytes(void *arg)
{
    g_byte_array_set_size(arg, 0);
    return NULL;
}

struct cob_error *cob_registry_get_bytes(struct cob_registry *registry,
    const struct cob_registry_blob *blob, uint64_t max_bytes, struct cob_cancel *cancel,
    GBytes **ret_bytes)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    struct cob_registry_sink sink = {.write = append_bytes, .restart = drop_bytes, .arg = bytes};

    g_assert(max_bytes < G_MAXUINT32);
    if (blob->size > max_bytes)
        return cob_fail(COB_EXHAUSTED,
            "blob %.80s: its %" PRIu64 " bytes are past the limit of %" PRIu64, blob->digest,
            blob->size, max_bytes);
    COB_TRY(cob_registry_get_blob(registry, blob, &sink, cancel));
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
    return NULL;
}
