/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "net/http/http.h"

void cob_http_receiver_init(struct cob_http_receiver *receiver)
{
    receiver->hasher = cob_hasher_new();
    receiver->n_done = receiver->n_skip = 0;
    receiver->is_sink_broken = false;
}

void cob_http_receiver_done(struct cob_http_receiver *receiver)
{
    g_clear_pointer(&receiver->hasher, cob_hasher_free);
}

void cob_http_receiver_restart(struct cob_http_receiver *receiver)
{
    cob_hasher_finish(receiver->hasher);
    receiver->n_done = 0;
}

bool cob_http_receiver_is_complete(const struct cob_http_receiver *receiver)
{
    return receiver->n_done == receiver->size;
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

/* The first bytes of an answer: where in the whole do they belong? */
static struct cob_error *begin_answer(
    struct cob_http_receiver *receiver, const struct cob_http_response *response)
{
    uint64_t size = receiver->size;
    bool is_piece = response->status == 206;
    const char *range = cob_http_header(response, "content-range");

    if (is_piece && !is_range(range, receiver->n_done, size))
        return cob_fail(COB_DATA_LOSS, "the %s sent range \"%s\", asked for %" PRIu64 "-",
            receiver->who, range ? range : "", receiver->n_done);
    receiver->n_skip = is_piece ? 0 : receiver->n_done;
    uint64_t want = is_piece ? size - receiver->n_done : size;
    if (response->content_length >= 0 && (uint64_t)response->content_length != want)
        return cob_fail(COB_DATA_LOSS,
            "its size is %" PRId64 " bytes at the %s, and %" PRIu64 " by its descriptor",
            response->content_length, receiver->who, want);
    return NULL;
}

struct cob_error *cob_http_receive(
    void *arg, const struct cob_http_response *response, const void *data, size_t len)
{
    struct cob_http_receiver *receiver = arg;

    if (response->n_body == 0)
        COB_TRY(begin_answer(receiver, response));
    size_t n_known = (size_t)MIN(receiver->n_skip, (uint64_t)len);
    const char *fresh = (const char *)data + n_known;
    size_t n_fresh = len - n_known;

    receiver->n_skip -= n_known;
    if (n_fresh > receiver->size - receiver->n_done)
        return cob_fail(COB_DATA_LOSS,
            "the %s sends more than the %" PRIu64 " bytes of its descriptor", receiver->who,
            receiver->size);
    if (n_fresh == 0)
        return NULL;
    cob_hasher_update(receiver->hasher, fresh, n_fresh);
    struct cob_error *err = receiver->write(receiver->arg, fresh, n_fresh);
    receiver->is_sink_broken = err != NULL;
    if (err)
        return err;
    receiver->n_done += n_fresh;
    if (receiver->progress)
        receiver->progress(receiver->arg, receiver->n_done);
    return NULL;
}

struct cob_error *cob_http_receiver_check(struct cob_http_receiver *receiver)
{
    struct cob_sha256 sha = cob_hasher_finish(receiver->hasher);
    g_autofree char *digest = cob_sha256_text(&sha);

    if (strcmp(digest, receiver->digest) != 0)
        return cob_fail(COB_DATA_LOSS, "the %s sent bytes with digest %s", receiver->who, digest);
    return NULL;
}
