/* SPDX-License-Identifier: Apache-2.0 */
/* The two sealed processes of sealed_readers.h, from inside. */
#include <string.h>

#include "disk/layer/frames.h"
#include "disk/layer/sealed_readers.h"
#include "util/fs.h"

#define INPUT_BYTES (128 * (size_t)1024)
#define OUTPUT_BYTES (256 * (size_t)1024)

/* --- decode: compressed bytes in, plain bytes out --- */

struct output {
    uint8_t *room;
    size_t len;
    int fd;
    bool has_begun; /* the first bytes went out, which somebody may wait for */
};

static struct cob_error *flush_output(struct output *output)
{
    size_t len = output->len;

    output->len = 0;
    output->has_begun = true;
    return cob_fs_write_fd(output->fd, output->room, len);
}

static uint8_t *output_space(void *arg, size_t *ret_cap)
{
    struct output *output = arg;

    *ret_cap = OUTPUT_BYTES - output->len;
    return output->room + output->len;
}

static struct cob_error *output_commit(void *arg, size_t len)
{
    struct output *output = arg;

    output->len += len;
    bool is_time = output->len == OUTPUT_BYTES || (!output->has_begun && output->len >= TAR_BLOCK);
    return is_time ? flush_output(output) : NULL;
}

/* What a process that is the decoder decodes with, and where to. */
static struct {
    struct output output;
    struct byte_decoder *decoder;
} decode;

/* Before the seal: no library can be loaded behind it. */
static struct cob_error *prepare_decode(const char *name)
{
    const struct byte_sink sink = {
        .space = output_space, .commit = output_commit, .arg = &decode.output};
    const struct codec *codec = codec_named(name);

    if (!codec)
        return cob_fail(COB_INTERNAL, "%s: no such codec", name);
    return byte_decoder_new(codec, &sink, UINT64_MAX, &decode.decoder); /* counted outside */
}

static struct cob_error *decode_from(int in_fd, uint8_t *input)
{
    ssize_t n;

    while ((n = TEMP_FAILURE_RETRY(read(in_fd, input, INPUT_BYTES))) > 0)
        COB_TRY(byte_decoder_write(decode.decoder, input, (size_t)n));
    if (n < 0)
        return cob_fail_errno(errno, "read");
    return byte_decoder_finish(decode.decoder);
}

/* What came before an error goes out, too: whoever looks at the first bytes alone may have them. */
static struct cob_error *run_decode(const char *arg, int in_fd, int out_fd)
{
    g_autofree uint8_t *room = g_malloc(OUTPUT_BYTES);
    g_autofree uint8_t *input = g_malloc(INPUT_BYTES);

    (void)arg;
    decode.output = (struct output){.room = room, .fd = out_fd};
    struct cob_error *err = decode_from(in_fd, input);
    struct cob_error *late = flush_output(&decode.output);

    if (!err)
        return late;
    cob_error_free(late);
    return err;
}

const struct cob_sealed_worker layer_decode_worker = {
    .name = "decode", .prepare = prepare_decode, .run = run_decode};

/* --- untar: plain bytes in, frames out --- */

struct untar {
    struct tar_reader *reader;
    uint8_t *chunk;
    GByteArray *frames;
    int in_fd, out_fd;
};

static struct cob_error *flush_frames(struct untar *untar)
{
    COB_TRY(cob_fs_write_fd(untar->out_fd, untar->frames->data, untar->frames->len));
    g_byte_array_set_size(untar->frames, 0);
    return NULL;
}

static struct cob_error *put(
    struct untar *untar, enum frame_type type, const void *data, size_t len)
{
    frame_put(untar->frames, type, tar_reader_at(untar->reader), data, len);
    return untar->frames->len >= OUTPUT_BYTES ? flush_frames(untar) : NULL;
}

static struct cob_error *on_entry(void *arg, const struct tar_entry *entry)
{
    struct untar *untar = arg;

    frame_put_entry(untar->frames, entry, tar_reader_at(untar->reader));
    return NULL;
}

static struct cob_error *on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct untar *untar = arg;
    const struct frame_data place = {.offset = offset,
        .at = (uint32_t)((const uint8_t *)data - untar->chunk),
        .len = (uint32_t)len};

    return put(untar, FRAME_DATA, &place, sizeof(place));
}

static struct cob_error *on_end(void *arg)
{
    return put(arg, FRAME_END, NULL, 0);
}

static const struct tar_events untar_events = {.entry = on_entry, .data = on_data, .end = on_end};

/* ret_is_over: there is nothing where something could begin. */
static struct cob_error *read_whole(int fd, void *data, size_t len, bool *ret_is_over)
{
    uint8_t *at = data;
    size_t done = 0;

    while (done < len) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, at + done, len - done));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0) {
            *ret_is_over = true;
            return NULL;
        }
        done += (size_t)n;
    }
    return NULL;
}

/* Bytes that were passed over are pointed at and not read: see tar_reader_unneeded(). */
static struct cob_error *read_chunk(struct untar *untar, const struct frame_chunk *chunk)
{
    size_t len = (size_t)chunk->passed_over + chunk->sent_len;
    bool is_over = false;

    g_assert(len <= FRAME_CHUNK_BYTES);
    COB_TRY(read_whole(untar->in_fd, untar->chunk + chunk->passed_over, chunk->sent_len, &is_over));
    if (chunk->is_last)
        COB_TRY(tar_reader_finish(untar->reader));
    else if (!is_over)
        COB_TRY(tar_reader_write(untar->reader, untar->chunk, len));
    const struct frame_done done = {.unneeded = tar_reader_unneeded(untar->reader)};
    return put(untar, FRAME_DONE, &done, sizeof(done));
}

static struct cob_error *untar_all(struct untar *untar)
{
    bool is_over = false;
    struct frame_chunk chunk = {0};

    while (!chunk.is_last) {
        COB_TRY(read_whole(untar->in_fd, &chunk, sizeof(chunk), &is_over));
        if (is_over)
            return NULL;
        struct cob_error *err = read_chunk(untar, &chunk);
        struct cob_error *late = flush_frames(untar); /* entries before an error are obeyed */
        if (err)
            cob_error_free(late);
        COB_TRY(err ? err : late);
    }
    return NULL;
}

static struct cob_error *run_untar(const char *arg, int in_fd, int out_fd)
{
    g_autofree uint8_t *memory = g_malloc(FRAME_CHUNK_BYTES);
    struct untar untar = {
        .chunk = memory, .frames = g_byte_array_new(), .in_fd = in_fd, .out_fd = out_fd};

    (void)arg;
    untar.reader = tar_reader_new(&untar_events, &untar);
    struct cob_error *err = untar_all(&untar);
    tar_reader_free(untar.reader);
    g_byte_array_unref(untar.frames);
    return err;
}

const struct cob_sealed_worker layer_untar_worker = {.name = "untar", .run = run_untar};

/* Every program that can unpack can be its own worker: linked with this file, none can forget. */
__attribute__((constructor)) static void become_worker(int argc, char **argv)
{
    cob_sealed_enter(&layer_decode_worker, argc, argv);
    cob_sealed_enter(&layer_untar_worker, argc, argv);
}
