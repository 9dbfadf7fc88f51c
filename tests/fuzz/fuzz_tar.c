/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a layer, unpacked into a folder of its own. The first byte says how; checksums of
 * what looks like headers are mended, or else nothing would get past them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "disk/layer/decompress.h"
#include "disk/layer/extract.h"
#include "util/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void mend_checksum(uint8_t *block)
{
    unsigned sum = 0;
    char text[9];

    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += block[i];
    g_snprintf(text, sizeof(text), "%06o", sum);
    memcpy(block + 148, text, 7);
}

static void mend(uint8_t *data, size_t len)
{
    for (size_t at = 0; at + 512 <= len; at += 512) {
        if (memcmp(data + at + 257, "ustar", 5) == 0)
            mend_checksum(data + at);
    }
}

/* What decoding gives goes straight to the tar reader: what sealed processes do in cob, without. */
struct chain {
    uint8_t room[4096];
    struct tar_reader *reader;
};

static uint8_t *chain_space(void *arg, size_t *ret_cap)
{
    struct chain *chain = arg;

    *ret_cap = sizeof(chain->room);
    return chain->room;
}

static struct cob_error *chain_commit(void *arg, size_t len)
{
    struct chain *chain = arg;

    return tar_reader_write(chain->reader, chain->room, len);
}

static struct cob_error *unpack(
    struct chain *chain, struct extract *extract, const uint8_t *data, size_t len)
{
    const struct byte_sink sink = {.space = chain_space, .commit = chain_commit, .arg = chain};
    const size_t piece = data[0] & 2 ? (size_t)data[0] + 1 : len;
    const struct codec *codec = codec_detect(data + 1, len - 1);
    g_autoptr(byte_decoder) decoder = NULL;
    g_autoptr(GPtrArray) implied = NULL;

    if (codec)
        COB_TRY(byte_decoder_new(codec, &sink, 16 << 20, &decoder));
    for (size_t at = 1; at < len; at += piece) {
        size_t n = MIN(piece, len - at);

        COB_TRY(decoder ? byte_decoder_write(decoder, data + at, n)
                        : tar_reader_write(chain->reader, data + at, n));
    }
    if (decoder)
        COB_TRY(byte_decoder_finish(decoder));
    COB_TRY(tar_reader_finish(chain->reader));
    return extract_finish(extract, &implied);
}

static void unpack_below(int dir_fd, const uint8_t *data, size_t len)
{
    const struct cob_layer_unpack_request request = {.dir_fd = dir_fd,
        .opaque_xattr = "user.test.opaque",
        .is_archive = data[0] & 1,
        .ignore_owners = true,
        .max_bytes = 16 << 20};
    struct extract extract;
    struct chain chain = {.reader = tar_reader_new(&extract_events, &extract)};

    extract_init(&extract, &request);
    cob_error_free(unpack(&chain, &extract, data, len));
    tar_reader_free(chain.reader);
    extract_done(&extract);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[] = "/tmp/fuzz-tar-XXXXXX";

    if (len < 2 || !mkdtemp(path))
        return 0;
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert(dir_fd >= 0);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    mend(copy + 1, len - 1);
    unpack_below(dir_fd, copy, len);
    close(dir_fd);
    cob_error_free(cob_tree_remove(AT_FDCWD, path));
    return 0;
}
