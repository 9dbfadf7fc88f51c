/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/ignore/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first line is a path, the rest patterns: a walk must say the same as a single question. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - data) : 0;

    if (!end || len > 200)
        return 0;
    g_autofree char *path = g_strndup((const char *)data, len);
    g_autoptr(GBytes) text = g_bytes_new(end + 1, size - len - 1);
    g_autoptr(cob_srcfile) file = cob_srcfile_new(".dockerignore", text);
    g_autoptr(cob_ignore) ignore = NULL;
    g_autoptr(cob_wildcard) wildcard = NULL;
    g_autoptr(cob_error) err = cob_ignore_parse(file, &ignore);
    g_autoptr(cob_error) wildcard_err = cob_wildcard_new(path, &wildcard);

    if (!wildcard_err)
        cob_wildcard_matches(wildcard, path);
    if (err || *path == '\0')
        return 0;
    const char *slash = strrchr(path, '/');
    g_autofree char *dir = slash ? g_strndup(path, (size_t)(slash - path)) : NULL;
    bool is_dir_out = dir && *dir && cob_ignore_matches(ignore, dir);
    /* what a walk passes over must be out */
    if (is_dir_out && !cob_ignore_may_return(ignore, dir))
        g_assert(cob_ignore_matches(ignore, path));
    return 0;
}
