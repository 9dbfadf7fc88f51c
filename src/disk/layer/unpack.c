/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "disk/layer/extract.h"
#include "disk/layer/frames.h"
#include "disk/layer/ring.h"
#include "disk/layer/sealed_readers.h"
#include "disk/layer/xattrs.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

#define N_BUFFERS 4
#define BUFFER_BYTES FRAME_CHUNK_BYTES

/*
 *                         decode worker            untar worker
 *                         decompress               tar
 *                             |                        |
 *     caller --arrived--> decode thread --plain--> extract thread --> files
 *                         hash                     file system
 */
struct cob_layer_unpack {
    struct cob_layer_unpack_request request; /* its strings are ours */
    char *opaque_xattr, *expect_diff_id;
    struct ring *arrived, *plain;
    GThread *decode, *extract_thread; /* NULL: joined */
    struct cob_hasher *hasher;        /* decode thread, until it ends */
    uint64_t tar_bytes;               /* likewise */
    struct extract extract;           /* extract thread, until it ends */
    GPtrArray *implied;               /* likewise */
    struct cob_cancel *stop;          /* the request's, or ours */
    GMutex lock;                      /* guards err, has_failed */
    struct cob_error *err;            /* the first one */
    bool has_failed;
};

/* Both threads end, whatever their workers do. */
static void stop_all(struct cob_layer_unpack *unpack)
{
    if (unpack->stop)
        cob_cancel_trigger(unpack->stop);
    ring_stop(unpack->arrived);
    ring_stop(unpack->plain);
}

/* Keep the first error and stop everybody. */
static void fail_all(struct cob_layer_unpack *unpack, struct cob_error *err)
{
    g_mutex_lock(&unpack->lock);
    if (unpack->has_failed)
        cob_error_free(err);
    else
        unpack->err = err;
    unpack->has_failed = true;
    g_mutex_unlock(&unpack->lock);
    stop_all(unpack);
}

/* The error for the caller, who gets its story once. */
static struct cob_error *tell(struct cob_layer_unpack *unpack)
{
    g_mutex_lock(&unpack->lock);
    struct cob_error *err = g_steal_pointer(&unpack->err);
    g_mutex_unlock(&unpack->lock);
    return err ? err : cob_fail(COB_ABORTED, "the archive could not be unpacked");
}

static bool has_failed(struct cob_layer_unpack *unpack)
{
    g_mutex_lock(&unpack->lock);
    bool result = unpack->has_failed;
    g_mutex_unlock(&unpack->lock);
    return result;
}

/* --- decode thread --- */

static uint8_t *plain_space(void *arg, size_t *ret_cap)
{
    struct cob_layer_unpack *unpack = arg;

    return ring_space(unpack->plain, ret_cap);
}

static struct cob_error *plain_commit(void *arg, size_t len)
{
    struct cob_layer_unpack *unpack = arg;
    size_t cap;
    const uint8_t *data = ring_space(unpack->plain, &cap); /* the same room still */

    if (!data)
        return cob_fail(COB_CANCELLED, "stopped");
    cob_hasher_update(unpack->hasher, data, len);
    unpack->tar_bytes += len;
    ring_commit(unpack->plain, len);
    return NULL;
}

static struct cob_error *decode_all(struct cob_layer_unpack *unpack)
{
    const struct byte_sink sink = {.space = plain_space, .commit = plain_commit, .arg = unpack};
    uint64_t max_bytes =
        unpack->request.max_bytes ? unpack->request.max_bytes : COB_LIMIT_LAYER_BYTES;
    g_autoptr(sealed_decoder) decoder = sealed_decoder_new(&sink, max_bytes, unpack->stop);
    const uint8_t *data;
    size_t len;

    while ((data = ring_take(unpack->arrived, &len))) {
        COB_TRY(cob_cancel_check(unpack->stop));
        COB_TRY(sealed_decoder_write(decoder, data, len));
        ring_give(unpack->arrived);
    }
    if (has_failed(unpack))
        return NULL;
    return sealed_decoder_finish(decoder);
}

static gpointer run_decode(gpointer arg)
{
    struct cob_layer_unpack *unpack = arg;
    struct cob_error *err = decode_all(unpack);

    if (err)
        fail_all(unpack, err);
    ring_close(unpack->plain);
    return NULL;
}

/* --- extract thread --- */

static struct cob_error *extract_all(struct cob_layer_unpack *unpack)
{
    g_autoptr(sealed_reader) reader =
        sealed_reader_new(&extract_events, &unpack->extract, unpack->stop);
    const uint8_t *data;
    size_t len;

    COB_TRY(sealed_reader_start(reader));
    while ((data = ring_take(unpack->plain, &len))) {
        COB_TRY(cob_cancel_check(unpack->stop));
        COB_TRY(sealed_reader_write(reader, data, len));
        ring_give(unpack->plain);
    }
    if (has_failed(unpack))
        return NULL;
    COB_TRY(sealed_reader_finish(reader));
    return extract_finish(&unpack->extract, &unpack->implied);
}

static gpointer run_extract(gpointer arg)
{
    struct cob_layer_unpack *unpack = arg;
    struct cob_error *err = extract_all(unpack);

    if (err)
        fail_all(unpack, err);
    return NULL;
}

/* --- the caller's thread --- */

struct cob_layer_unpack *cob_layer_unpack_new(const struct cob_layer_unpack_request *request)
{
    struct cob_layer_unpack *unpack = g_new0(struct cob_layer_unpack, 1);

    g_assert(request->opaque_xattr || request->is_archive);
    unpack->request = *request;
    unpack->opaque_xattr = g_strdup(request->opaque_xattr);
    unpack->expect_diff_id = g_strdup(request->expect_diff_id);
    unpack->request.opaque_xattr = unpack->opaque_xattr;
    unpack->request.expect_diff_id = unpack->expect_diff_id;
    unpack->arrived = ring_new(N_BUFFERS, BUFFER_BYTES);
    unpack->plain = ring_new(N_BUFFERS, BUFFER_BYTES);
    unpack->hasher = cob_hasher_new();
    g_mutex_init(&unpack->lock);
    extract_init(&unpack->extract, &unpack->request);
    struct cob_error *err = cob_cancel_new_below(request->cancel, &unpack->stop);
    if (err) {
        fail_all(unpack, err);
        return unpack;
    }
    unpack->decode = g_thread_new("layer-decode", run_decode, unpack);
    unpack->extract_thread = g_thread_new("layer-extract", run_extract, unpack);
    return unpack;
}

static void join(struct cob_layer_unpack *unpack)
{
    if (unpack->decode)
        g_thread_join(g_steal_pointer(&unpack->decode));
    if (unpack->extract_thread)
        g_thread_join(g_steal_pointer(&unpack->extract_thread));
}

void cob_layer_unpack_free(struct cob_layer_unpack *unpack)
{
    if (!unpack)
        return;
    stop_all(unpack);
    join(unpack);
    extract_done(&unpack->extract);
    g_clear_pointer(&unpack->implied, g_ptr_array_unref);
    cob_hasher_free(unpack->hasher);
    cob_cancel_unref(unpack->stop);
    ring_free(unpack->arrived);
    ring_free(unpack->plain);
    cob_error_free(unpack->err);
    g_mutex_clear(&unpack->lock);
    g_free(unpack->opaque_xattr);
    g_free(unpack->expect_diff_id);
    g_free(unpack);
}

struct cob_error *cob_layer_unpack_write(
    struct cob_layer_unpack *unpack, const void *data, size_t len)
{
    return ring_put(unpack->arrived, data, len) ? NULL : tell(unpack);
}

struct cob_error *cob_layer_unpack_write_fd(struct cob_layer_unpack *unpack, int fd)
{
    for (;;) {
        size_t cap;
        uint8_t *room = ring_space(unpack->arrived, &cap);

        if (!room)
            return tell(unpack);
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, room, cap));
        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            return NULL;
        ring_commit(unpack->arrived, (size_t)n);
    }
}

struct cob_error *cob_layer_unpack_finish(
    struct cob_layer_unpack *unpack, struct cob_layer_unpack_result *ret_result)
{
    ring_close(unpack->arrived);
    join(unpack);
    if (has_failed(unpack))
        return tell(unpack);
    struct cob_sha256 sha = cob_hasher_finish(unpack->hasher);
    g_autofree char *diff_id = cob_sha256_text(&sha);
    if (unpack->expect_diff_id && strcmp(diff_id, unpack->expect_diff_id) != 0)
        return cob_fail(COB_DATA_LOSS, "the layer's content is %s, but the image says %s", diff_id,
            unpack->expect_diff_id);
    if (ret_result)
        *ret_result = (struct cob_layer_unpack_result){.diff_id = g_steal_pointer(&diff_id),
            .tar_bytes = unpack->tar_bytes,
            .n_entries = unpack->extract.n_entries,
            .implied = g_steal_pointer(&unpack->implied)};
    return NULL;
}

void cob_layer_unpack_result_done(struct cob_layer_unpack_result *result)
{
    g_free(result->diff_id);
    g_clear_pointer(&result->implied, g_ptr_array_unref);
    *result = (struct cob_layer_unpack_result){0};
}
