/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the index of a cache mount, or as the document: what is read is written the same. */
#include <string.h>

#include "spec/mountindex/mountindex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void hold_index(GBytes *bytes)
{
    g_autoptr(cob_mountindex) index = NULL;
    g_autoptr(cob_error) err = cob_mountindex_decode(bytes, &index);

    if (err)
        return;
    g_autoptr(GBytes) again = cob_mountindex_encode(index);
    g_autoptr(cob_mountindex) second = NULL;
    g_autoptr(cob_error) none = cob_mountindex_decode(again, &second);
    g_assert(!none && second->entries->len == index->entries->len);
    for (guint i = 0; i < index->entries->len; i++) {
        const struct cob_mountindex_entry *entry = cob_mountindex_at(index, i);

        g_assert(entry->path[0] != '/' && cob_mountindex_find(index, entry->path) == entry);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, len);
    g_autoptr(cob_mountdoc) doc = NULL;

    hold_index(bytes);
    cob_error_free(cob_mountdoc_decode(bytes, &doc));
    return 0;
}
