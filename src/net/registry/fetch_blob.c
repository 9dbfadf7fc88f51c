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
    struct cob_hasher *hasher; /* of the first n_done bytes */
    uint64_t n_done;           /* what the sink has */
    uint64_t n_skip;           /* bytes of this answer that the sink has already */
    bool is_sink_broken;       /* what went wrong went wrong here */
};

static uint64_t get_n_done(void *arg)
{
    const struct fetch *fetch = arg;

    return fetch->n_done;
}

static bool is_complete(void *arg)
{
    const struct fetch *fetch = arg;

    return fetch->n_done == fetch->blob->size;
}

/* "bytes 10-99/100": does the piece begin at `start`, of a whole of `size`? */
static bool is_range(const char *content_range, uint64_t start, uint64_t size)
{
    g_autofree char *want =
        g_strdup_printf("bytes %" PRIu64 "-%" PRIu64 "/", start, size ? size - 1 : 0);
    size_t len = strlen(want);

    if (!content_range || g_ascii_strncasecmp(content_range, want, len) != 0)
        return false;
    g_autofree char *total = g_strdup_printf("%" PRIu64, size);
    return strcmp(content_range + len, total) == 0 || strcmp(content_range + len, "*") == 0;
}

/* The first bytes of an answer: where in the blob do they belong? */
static struct cob_error *begin_answer(struct fetch *fetch, const struct cob_http_response *response)
{
    uint64_t size = fetch->blob->size;
    bool is_piece = response->status == 206;
    const char *range = cob_http_header(response, "content-range");

    if (is_piece && !is_range(range, fetch->n_done, size))
        return cob_fail(COB_DATA_LOSS, "the registry sent range \"%s\", asked for %" PRIu64 "-",
            range ? range : "", fetch->n_done);
    fetch->n_skip = is_piece ? 0 : fetch->n_done;
    uint64_t want = is_piece ? size - fetch->n_done : size;
    if (response->content_length >= 0 && (uint64_t)response->content_length != want)
        return cob_fail(COB_DATA_LOSS,
            "its size is %" PRId64 " bytes at the registry, and %" PRIu64 " by its descriptor",
            response->content_length, want);
    return NULL;
}

static struct cob_error *take_bytes(
    void *arg, const struct cob_http_response *response, const void *data, size_t len)
{
    struct fetch *fetch = arg;
    const struct cob_registry_sink *sink = fetch->sink;

    if (response->n_body == 0)
        COB_TRY(begin_answer(fetch, response));
    size_t n_known = (size_t)MIN(fetch->n_skip, (uint64_t)len);
    const char *fresh = (const char *)data + n_known;
    size_t n_fresh = len - n_known;

    fetch->n_skip -= n_known;
    if (n_fresh > fetch->blob->size - fetch->n_done)
        return cob_fail(COB_DATA_LOSS,
            "the registry sends more than the %" PRIu64 " bytes of its descriptor",
            fetch->blob->size);
    if (n_fresh == 0)
        return NULL;
    cob_hasher_update(fetch->hasher, fresh, n_fresh);
    struct cob_error *err = sink->write(sink->arg, fresh, n_fresh);
    fetch->is_sink_broken = err != NULL;
    if (err)
        return err;
    fetch->n_done += n_fresh;
    if (sink->progress)
        sink->progress(sink->arg, fetch->n_done);
    return NULL;
}

static struct cob_error *check_digest(struct fetch *fetch)
{
    struct cob_sha256 sha = cob_hasher_finish(fetch->hasher);
    g_autofree char *digest = cob_sha256_text(&sha);

    if (strcmp(digest, fetch->blob->digest) != 0)
        return cob_fail(COB_DATA_LOSS, "the registry sent bytes with digest %s", digest);
    return NULL;
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
        .on_body = take_bytes,
        .n_done = get_n_done,
        .is_complete = is_complete,
        .arg = fetch,
        .cancel = cancel};
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    if (!err && !is_complete(fetch))
        err = registry_check_status(&response);
    cob_http_response_done(&response);
    return err ? err : check_digest(fetch);
}

/* Begin anew after wrong bytes. False: the sink cannot. */
static struct cob_error *restart(struct fetch *fetch, bool *ret_can)
{
    const struct cob_registry_sink *sink = fetch->sink;

    *ret_can = sink->restart != NULL;
    if (!sink->restart)
        return NULL;
    COB_TRY(sink->restart(sink->arg));
    cob_hasher_finish(fetch->hasher);
    fetch->n_done = 0;
    return NULL;
}

/* After an error of one server: is another try of use? Frees the error when it is. */
static struct cob_error *go_on(struct fetch *fetch, struct cob_error *err, bool is_last)
{
    bool can_restart = true;

    if (is_last || fetch->is_sink_broken || cob_error_code(err) == COB_CANCELLED)
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
        bool is_mixed = fetch->n_done > 0; /* an earlier server's bytes may be the wrong ones */
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
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    struct fetch fetch = {.blob = blob, .sink = sink, .hasher = hasher};
    if (blob->size == 0 && strcmp(blob->digest, EMPTY_DIGEST) != 0)
        return cob_fail(COB_DATA_LOSS, "its size is 0 by its descriptor, which its digest is not");
    if (blob->size == 0)
        return NULL;
    if (blob->size > COB_LIMIT_LAYER_BYTES)
        return cob_fail(COB_EXHAUSTED, "its %" PRIu64 " bytes are past the limit of %" PRIu64,
            blob->size, (uint64_t)COB_LIMIT_LAYER_BYTES);
    return get_from_any(&fetch, registry, cancel);
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
