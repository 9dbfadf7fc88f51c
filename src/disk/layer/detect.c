/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "disk/layer/decompress.h"
#include "disk/layer/tar.h"

/* The first block of what is in the file. */
struct peek {
    uint8_t block[TAR_BLOCK];
    size_t len;
};

static uint8_t *peek_space(void *arg, size_t *ret_cap)
{
    struct peek *peek = arg;

    *ret_cap = TAR_BLOCK - peek->len;
    return *ret_cap > 0 ? peek->block + peek->len : NULL;
}

static struct cob_error *peek_commit(void *arg, size_t len)
{
    struct peek *peek = arg;

    peek->len += len;
    return NULL;
}

struct cob_error *cob_layer_is_archive(int fd, bool *ret_is_archive)
{
    struct peek peek = {.len = 0};
    const struct byte_sink sink = {.space = peek_space, .commit = peek_commit, .arg = &peek};
    g_autoptr(byte_decoder) decoder = byte_decoder_new(&sink, UINT64_MAX);
    uint8_t buffer[8192];
    struct stat st;
    off_t at = 0;

    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    while (S_ISREG(st.st_mode) && peek.len < TAR_BLOCK) {
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, buffer, sizeof(buffer), at));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        struct cob_error *err = n > 0 ? byte_decoder_write(decoder, buffer, (size_t)n) : NULL;
        cob_error_free(err); /* damaged, or we have enough: the block says which */
        if (n == 0 || err)
            break;
        at += n;
    }
    *ret_is_archive = peek.len == TAR_BLOCK && tar_block_is_header(peek.block);
    return NULL;
}
