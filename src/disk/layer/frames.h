/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tar reader in its sealed process is given, and what it says. Numbers are the machine's
 * own: both ends are one program.
 *
 *     to it:    struct frame_chunk, then sent_len bytes of the archive
 *     from it:  struct frame_head, then len bytes, for each event:
 *               ENTRY    struct frame_entry, name, link, for each xattr two lengths, name and value
 *               DATA     struct frame_data: where the bytes lie in the chunk; they stay here
 *               END      of the entry
 *               DONE     struct frame_done: the chunk is used up
 *
 * File data is not sent back, and where it is known that nothing but data follows, not sent there
 * either: what is written to disk are the bytes that were hashed.
 */
#pragma once

#include "disk/layer/tar.h"

#define FRAME_CHUNK_BYTES (256 * (size_t)1024)
#define FRAME_MAX_BYTES ((size_t)1024 * 1024) /* an entry whose xattrs are as many as may be */

struct frame_chunk {
    uint32_t passed_over; /* bytes before those that are sent, which it said it does not need */
    uint32_t sent_len;
    uint32_t is_last; /* none at all: the archive has ended */
};

enum frame_type { FRAME_ENTRY = 1, FRAME_DATA, FRAME_END, FRAME_DONE };

struct frame_head {
    uint32_t type, len;
    uint64_t at; /* in the archive, for messages */
};

struct frame_entry {
    uint64_t size, stored;
    int64_t mtime;
    uint32_t mtime_ns, mode, uid, gid, major, minor;
    uint32_t type, is_sparse, name_len, link_len, n_xattrs;
};

struct frame_data {
    uint64_t offset;  /* in the file */
    uint32_t at, len; /* in the chunk */
};

struct frame_done {
    uint64_t unneeded; /* so many bytes after this chunk are data, or behind the end */
};

/* Append frames; the worker's side. */
void frame_put_entry(GByteArray *out, const struct tar_entry *entry, uint64_t at);
void frame_put(GByteArray *out, enum frame_type type, uint64_t at, const void *data, size_t len);

/* Read an entry, whose every member is held against what tar_read.c promises of it.
 * errors: COB_INTERNAL: the worker breaks the rules. */
COB_RESULT struct cob_error *frame_get_entry(
    const uint8_t *data, size_t len, struct tar_entry *entry);

/* What it may say next: the state of the talk. */
struct frame_check {
    struct tar_entry *entry; /* the last one; borrowed */
    bool is_in_entry;
    uint64_t n_entries;
    uint64_t data_left; /* of the entry's stored bytes */
    uint64_t file_end;  /* where in the file its data ended so far */
    uint32_t chunk_len; /* set by the caller with each chunk, with chunk_end = 0 */
    uint32_t chunk_end; /* where in the chunk data ended so far */
};

/* May such a frame come now? Move the state on; an entry goes into check->entry.
 * data: head->len bytes.
 * errors: COB_INTERNAL: the worker breaks the rules; COB_EXHAUSTED: more entries than the limit. */
COB_RESULT struct cob_error *frame_check_next(
    struct frame_check *check, const struct frame_head *head, const uint8_t *data);
