/* SPDX-License-Identifier: Apache-2.0 */
/* xz and bzip2: only what ADD unpacks comes so. Their libraries are loaded on first use. */
#include <bzlib.h>
#include <dlfcn.h>
#include <lzma.h>
#include <string.h>

#include "disk/layer/decompress.h"
#include "util/limits.h"

#define XZ_MEMORY_BYTES (128 * COB_MIB) /* what xz -9 needs, twice */

static void *load(const char *file, const char *what, struct cob_error **ret_err)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        *ret_err = cob_fail(COB_UNIMPLEMENTED, "load %s: %s; install %s", file, dlerror(), what);
    return library;
}

static void *find(void *library, const char *name, struct cob_error **ret_err)
{
    void *found = library && !*ret_err ? dlsym(library, name) : NULL;

    if (!found && !*ret_err)
        *ret_err = cob_fail(COB_UNIMPLEMENTED, "%s is missing", name);
    return found;
}

/* --- xz --- */

struct xz {
    void *library;
    lzma_stream stream;
    lzma_ret (*decoder)(lzma_stream *stream, uint64_t memory, uint32_t flags);
    lzma_ret (*code)(lzma_stream *stream, lzma_action action);
    void (*end)(lzma_stream *stream);
    bool is_over;
};

static void close_xz(void *state)
{
    struct xz *xz = state;

    if (xz->end)
        xz->end(&xz->stream);
    if (xz->library)
        dlclose(xz->library);
    g_free(xz);
}

static void *open_xz(struct cob_error **ret_err)
{
    struct xz *xz = g_new(struct xz, 1);

    *xz = (struct xz){.stream = LZMA_STREAM_INIT};
    xz->library = load("liblzma.so.5", "liblzma5", ret_err);
    *(void **)&xz->decoder = find(xz->library, "lzma_stream_decoder", ret_err);
    *(void **)&xz->code = find(xz->library, "lzma_code", ret_err);
    *(void **)&xz->end = find(xz->library, "lzma_end", ret_err);
    if (!*ret_err && xz->decoder(&xz->stream, XZ_MEMORY_BYTES, LZMA_CONCATENATED) != LZMA_OK)
        *ret_err = cob_fail(COB_INTERNAL, "begin");
    return xz;
}

static struct cob_error *run_xz(void *state, struct codec_io *io)
{
    struct xz *xz = state;
    lzma_stream *stream = &xz->stream;

    if (!xz->is_over) {
        stream->next_in = io->in;
        stream->avail_in = io->in_len;
        stream->next_out = io->out;
        stream->avail_out = io->out_len;
        lzma_ret code = xz->code(stream, io->is_last ? LZMA_FINISH : LZMA_RUN);
        xz->is_over = code == LZMA_STREAM_END;
        if (code == LZMA_MEMLIMIT_ERROR)
            return cob_fail(
                COB_EXHAUSTED, "it needs more memory than the limit of %" PRIu64, XZ_MEMORY_BYTES);
        if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR)
            return cob_fail(COB_INVALID, "its data is damaged");
        io->in = stream->next_in;
        io->in_len = stream->avail_in;
        io->out = stream->next_out;
        io->out_len = stream->avail_out;
    }
    io->is_whole = xz->is_over;
    return NULL;
}

const struct codec codec_xz = {.name = "xz",
    .magic = {0xfd, '7', 'z', 'X', 'Z', 0},
    .magic_len = 6,
    .open = open_xz,
    .run = run_xz,
    .close = close_xz};

/* --- bzip2 --- */

struct bzip2 {
    void *library;
    bz_stream stream;
    int (*init)(bz_stream *stream, int verbosity, int small);
    int (*code)(bz_stream *stream);
    int (*end)(bz_stream *stream);
    bool is_open;
};

static void close_bzip2(void *state)
{
    struct bzip2 *bzip2 = state;

    if (bzip2->is_open)
        bzip2->end(&bzip2->stream);
    if (bzip2->library)
        dlclose(bzip2->library);
    g_free(bzip2);
}

static void *open_bzip2(struct cob_error **ret_err)
{
    struct bzip2 *bzip2 = g_new0(struct bzip2, 1);

    bzip2->library = load("libbz2.so.1.0", "libbz2-1.0", ret_err);
    *(void **)&bzip2->init = find(bzip2->library, "BZ2_bzDecompressInit", ret_err);
    *(void **)&bzip2->code = find(bzip2->library, "BZ2_bzDecompress", ret_err);
    *(void **)&bzip2->end = find(bzip2->library, "BZ2_bzDecompressEnd", ret_err);
    return bzip2;
}

static struct cob_error *begin_bzip2(struct bzip2 *bzip2)
{
    bzip2->stream = (bz_stream){0};
    if (bzip2->init(&bzip2->stream, 0, 0) != BZ_OK)
        return cob_fail(COB_INTERNAL, "begin");
    bzip2->is_open = true;
    return NULL;
}

static struct cob_error *run_bzip2(void *state, struct codec_io *io)
{
    struct bzip2 *bzip2 = state;
    bz_stream *stream = &bzip2->stream;

    if (!bzip2->is_open && io->in_len > 0)
        COB_TRY(begin_bzip2(bzip2));
    if (bzip2->is_open) {
        unsigned in = (unsigned)MIN(io->in_len, (size_t)INT32_MAX);
        unsigned out = (unsigned)MIN(io->out_len, (size_t)INT32_MAX);

        stream->next_in = (char *)(uintptr_t)io->in; /* read only, its type does not say so */
        stream->avail_in = in;
        stream->next_out = (char *)io->out;
        stream->avail_out = out;
        int code = bzip2->code(stream);
        if (code != BZ_OK && code != BZ_STREAM_END)
            return cob_fail(COB_INVALID, "its data is damaged");
        io->in += in - stream->avail_in;
        io->in_len -= in - stream->avail_in;
        io->out += out - stream->avail_out;
        io->out_len -= out - stream->avail_out;
        if (code == BZ_STREAM_END) {
            bzip2->end(stream);
            bzip2->is_open = false;
        }
    }
    io->is_whole = !bzip2->is_open;
    return NULL;
}

const struct codec codec_bzip2 = {.name = "bzip2",
    .magic = {'B', 'Z', 'h'},
    .magic_len = 3,
    .open = open_bzip2,
    .run = run_bzip2,
    .close = close_bzip2};
