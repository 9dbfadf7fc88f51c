/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a sealed tar reader says: the side with rights believes none of them. */
#include <string.h>

#include "disk/layer/frames.h"
#include "util/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What the rules promise of an entry to those who make files of it. */
static void hold(const struct frame_check *check)
{
    const struct tar_entry *entry = check->entry;

    g_assert(
        entry->name->len <= COB_LIMIT_PATH_BYTES && strlen(entry->name->str) == entry->name->len);
    g_assert(
        entry->link->len <= COB_LIMIT_PATH_BYTES && strlen(entry->link->str) == entry->link->len);
    g_assert(entry->mode <= 07777 && entry->mtime_ns < 1000000000);
    g_assert(entry->type >= TAR_FILE && entry->type <= TAR_FIFO);
    g_assert(check->chunk_end <= check->chunk_len && check->file_end <= entry->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct tar_entry entry;
    struct frame_check check = {.entry = &entry, .chunk_len = FRAME_CHUNK_BYTES};
    struct frame_head head;
    struct cob_error *err = NULL;

    tar_entry_init(&entry);
    while (!err && len >= sizeof(head)) {
        memcpy(&head, data, sizeof(head));
        data += sizeof(head);
        len -= sizeof(head);
        if (head.len > len)
            break;
        g_autofree uint8_t *frame = g_memdup2(data, head.len); /* so that ASan sees its end */
        err = frame_check_next(&check, &head, frame);
        if (!err)
            hold(&check);
        data += head.len;
        len -= head.len;
    }
    cob_error_free(err);
    tar_entry_done(&entry);
    return 0;
}
