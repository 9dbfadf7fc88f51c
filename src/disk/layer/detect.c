/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/stat.h>

#include "disk/layer/decompress.h"
#include "disk/layer/layer.h"
#include "disk/layer/sealed_readers.h"

bool cob_layer_begins_archive(const void *data, size_t len)
{
    return codec_detect(data, len) || (len >= TAR_BLOCK && tar_block_is_header(data));
}

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

/* Until there is enough, or no more. */
static struct cob_error *feed(struct sealed_decoder *decoder, const struct peek *peek, int fd)
{
    uint8_t buffer[8192];
    off_t at = 0;

    while (peek->len < TAR_BLOCK) {
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, buffer, sizeof(buffer), at));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            return sealed_decoder_finish(decoder);
        COB_TRY(sealed_decoder_write(decoder, buffer, (size_t)n));
        at += n;
    }
    return NULL;
}

/* Damaged bytes make no archive; a worker that cannot work, or a disk that cannot be read, is told.
 */
static bool says_no(const struct cob_error *err)
{
    enum cob_code code = cob_error_code(err);

    return code == COB_INVALID || code == COB_EXHAUSTED || code == COB_CANCELLED;
}

struct cob_error *cob_layer_is_archive(int fd, bool *ret_is_archive)
{
    struct peek peek = {.len = 0};
    const struct byte_sink sink = {.space = peek_space, .commit = peek_commit, .arg = &peek};
    g_autoptr(sealed_decoder) decoder = sealed_decoder_new(&sink, UINT64_MAX, NULL);
    struct stat st;

    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat");
    if (S_ISREG(st.st_mode)) {
        g_autoptr(cob_error) err = feed(decoder, &peek, fd);

        if (err && !says_no(err))
            return g_steal_pointer(&err);
    }
    *ret_is_archive = peek.len == TAR_BLOCK && tar_block_is_header(peek.block);
    return NULL;
}
