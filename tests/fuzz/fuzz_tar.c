/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a layer, unpacked into a folder of its own. The first byte says how; checksums of
 * what looks like headers are mended, or else nothing would get past them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "disk/layer/layer.h"
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

static void unpack(int dir_fd, const uint8_t *data, size_t len)
{
    const struct cob_layer_unpack_request request = {.dir_fd = dir_fd,
        .opaque_xattr = "user.test.opaque",
        .is_archive = data[0] & 1,
        .ignore_owners = true,
        .max_bytes = 16 << 20};
    const size_t piece = data[0] & 2 ? (size_t)data[0] + 1 : len;
    g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(&request);
    struct cob_layer_unpack_result result = {0};
    struct cob_error *err = NULL;

    for (size_t at = 1; at < len && !err; at += piece)
        err = cob_layer_unpack_write(unpack, data + at, MIN(piece, len - at));
    if (!err)
        err = cob_layer_unpack_finish(unpack, &result);
    cob_layer_unpack_result_done(&result);
    cob_error_free(err);
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
    unpack(dir_fd, copy, len);
    close(dir_fd);
    cob_error_free(cob_tree_remove(AT_FDCWD, path));
    return 0;
}
