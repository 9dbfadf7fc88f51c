/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar format: an entry, a strict reader of bytes that come in pieces, a writer of headers.
 *
 * One entry in the stream, everything in blocks of 512 bytes:
 *
 *     [x header][records "len key=value\n"]   pax: long names, xattrs, exact times, sparse maps
 *     [L header][name] [K header][link]       GNU's older way for long names
 *     [header][more of an old sparse map][data, filled up]
 *     ...
 *     [zeros][zeros]                          the end; whatever follows is not looked at
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>

#include "util/error.h"

#define TAR_BLOCK ((size_t)512)
#define TAR_OCTAL11_MAX (((uint64_t)1 << 33) - 1) /* the most that 11 octal digits hold */
#define TAR_OCTAL7_MAX (((uint64_t)1 << 21) - 1)

enum tar_type {
    TAR_FILE = '0',
    TAR_HARD_LINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR_DEVICE = '3',
    TAR_BLOCK_DEVICE = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6',
};

/* A stretch of a sparse file that has bytes in the archive. */
struct tar_extent {
    uint64_t offset, len;
};

struct tar_xattr {
    char *name;
    GBytes *value;
};

struct tar_entry {
    enum tar_type type;
    GString *name;     /* as in the archive, no NUL inside; a writer's has no slash at its end */
    GString *link;     /* of a symlink or hard link */
    uint64_t size;     /* of a file, holes counted */
    uint64_t stored;   /* bytes of data in the archive; a reader's, the writer takes size */
    uint32_t mode;     /* 07777 */
    uint64_t uid, gid; /* at most 2^32 - 2 */
    int64_t mtime;     /* seconds */
    uint32_t mtime_ns; /* a reader's */
    uint32_t major, minor;
    GPtrArray *xattrs; /* struct tar_xattr, owned, in the order of the archive */
    bool is_sparse;
    GArray *extents; /* struct tar_extent, ascending; when is_sparse */
};

/* An empty one; tar_entry_done() frees what it gets. */
void tar_entry_init(struct tar_entry *entry);
/* Empty it for the next use. */
void tar_entry_reset(struct tar_entry *entry);
void tar_entry_done(struct tar_entry *entry);
/* value: taken. */
void tar_entry_add_xattr(struct tar_entry *entry, const char *name, GBytes *value);

/* What a reader tells, in order: entry, then data as often as there is some, then end. */
struct tar_events {
    struct cob_error *(*entry)(void *arg, const struct tar_entry *entry);
    struct cob_error *(*data)(void *arg, uint64_t offset, const void *data, size_t len);
    struct cob_error *(*end)(void *arg);
};

struct tar_reader;

/* events, arg: borrowed. */
struct tar_reader *tar_reader_new(const struct tar_events *events, void *arg);
void tar_reader_free(struct tar_reader *reader);
COB_AUTOPTR(tar_reader, tar_reader_free)

/* errors: COB_INVALID, COB_EXHAUSTED, and the events' own; the reader is of no use after one. */
COB_RESULT struct cob_error *tar_reader_write(
    struct tar_reader *reader, const uint8_t *data, size_t len);

/* How many bytes were read so far, those of the event that is being told not yet. */
uint64_t tar_reader_at(const struct tar_reader *reader);
/* So many of the next bytes are passed on as data, or not at all: it does not look at them. */
uint64_t tar_reader_unneeded(const struct tar_reader *reader);

/* There is no more. errors: COB_INVALID in the middle of an entry. */
COB_RESULT struct cob_error *tar_reader_finish(struct tar_reader *reader);

/* Is it a header block by its checksum? Zeros are none. */
bool tar_block_is_header(const uint8_t block[TAR_BLOCK]);

/* Read pax records into an entry.
 * ret_seen: which of enum tar_pax_key there were. */
enum tar_pax_key {
    TAR_PAX_PATH,
    TAR_PAX_LINKPATH,
    TAR_PAX_SIZE,
    TAR_PAX_UID,
    TAR_PAX_GID,
    TAR_PAX_MTIME,
    TAR_PAX_SPARSE_MAJOR,
    TAR_PAX_SPARSE_MINOR,
    TAR_PAX_SPARSE_NAME,
    TAR_PAX_SPARSE_REALSIZE,
    TAR_PAX_SPARSE_SIZE,
    TAR_PAX_SPARSE_NUMBLOCKS,
    TAR_PAX_SPARSE_MAP,
    TAR_PAX_N_KEYS,
};

/* What the records said; the entry's members take precedence over its header's. */
struct tar_pax {
    uint32_t seen; /* 1 << enum tar_pax_key */
    GString *path, *linkpath, *sparse_name;
    uint64_t size, uid, gid, sparse_major, sparse_minor, sparse_realsize;
    int64_t mtime;
    uint32_t mtime_ns;
    uint64_t numblocks;
    GArray *extents;   /* struct tar_extent */
    bool half_extent;  /* an offset came, its length did not yet */
    GPtrArray *xattrs; /* struct tar_xattr, owned */
    size_t xattr_bytes;
};
void tar_pax_init(struct tar_pax *pax);
void tar_pax_reset(struct tar_pax *pax);
void tar_pax_done(struct tar_pax *pax);
COB_RESULT struct cob_error *tar_pax_parse(struct tar_pax *pax, const char *data, size_t len);
/* A global header may say nothing of files: some readers would obey it, others not. */
COB_RESULT struct cob_error *tar_pax_check_global(const char *data, size_t len);
static inline bool tar_pax_has(const struct tar_pax *pax, enum tar_pax_key key)
{
    return pax->seen & (1u << key);
}

/* Append the headers of an entry: ustar when it fits, else with pax records before it. */
void tar_write_header(GByteArray *out, const struct tar_entry *entry);
