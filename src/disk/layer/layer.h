/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers: the tar stream of an image layer <-> the directory of one overlayfs layer.
 *
 *     in the tar          in the directory
 *     .wh.name            a 0:0 character device `name`: the file is gone
 *     dir/.wh..wh..opq    the opaque xattr on dir/: nothing of the layers below shows in it
 *     .wh.dir and dir/    dir/, opaque: it was removed and made anew
 *     a 0:0 device        nothing, and a warning: only a .wh. name may remove a file
 *     security.capability, user.*     kept; v3 capabilities become v2, user.overlay.* is dropped
 *     any other xattr     nothing
 *     a socket            nothing
 *
 * What comes in is hostile. The reader is strict: where GNU tar, libarchive, Go and Python would
 * see different files, it refuses. The writer touches nothing above its directory:
 *
 *     absolute name, symlink on the way    resolved inside, as in a chroot; a last one is replaced
 *     ".." in a name                       resolved inside; in an archive for ADD an error if it
 *                                          leads out, as in BuildKit
 *     root entry                           a directory: its metadata; else an error
 *     hard link                            to what its name says, never through a symlink at the
 *                                          end; carries no metadata and no data of its own
 *     device, when unprivileged            skipped, with a warning
 *
 * threads:  an unpacker, a pack or a compressor belongs to one thread at a time; each uses threads
 *           of its own meanwhile. Callbacks come as said at each.
 * spec:     OCI image-spec layer.md; POSIX.1-2017 pax, "pax Interchange Format"; GNU tar manual,
 *           "Basic Tar Format"; capabilities(7), "File capability extended attribute versioning".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/cancel.h"
#include "util/error.h"

/* Takes bytes as they come; data is borrowed for the call. */
typedef struct cob_error *(*cob_layer_sink)(void *arg, const void *data, size_t len);

enum cob_layer_compression {
    COB_LAYER_PLAIN = 0,
    COB_LAYER_GZIP,
    COB_LAYER_ZSTD,
    COB_LAYER_XZ,    /* can be read only */
    COB_LAYER_BZIP2, /* can be read only */
};

/* --- tar -> directory --- */

/* Zero is the default of every member but dir_fd and opaque_xattr. */
struct cob_layer_unpack_request {
    int dir_fd;               /* O_RDONLY|O_DIRECTORY; borrowed until cob_layer_unpack_free() */
    bool is_archive;          /* no layer: for ADD. Names that begin with .wh. are just names, files
                               * that are there stay, and the root entry is passed over. */
    const char *opaque_xattr; /* cob_snapshot_opaque_xattr(); may be NULL when is_archive */
    bool has_owner;           /* all of it belongs to uid:gid, whatever the archive says */
    uid_t uid;
    gid_t gid;
    bool ignore_owners; /* leave everything to the caller's own user: there is but one id */
    bool only_harmless; /* for a user's own folder: no setuid or setgid bits, capabilities or
                                 * devices, each with a warning */
    const char *expect_diff_id; /* NULL: any. Else COB_DATA_LOSS when it is another */
    uint64_t max_bytes;         /* uncompressed; 0: COB_LIMIT_LAYER_BYTES */
    struct cob_cancel *cancel;  /* borrowed; NULL: never */
    /* What was left out, as one line: called from a thread of the unpacker, one at a time. */
    void (*on_warning)(void *arg, const char *text);
    void *warning_arg;
};

struct cob_layer_unpack; /* a layer that arrives */

struct cob_layer_unpack_result {
    char *diff_id;      /* "sha256:..." of all uncompressed bytes, also those after the end mark */
    uint64_t tar_bytes; /* how many that were */
    uint64_t n_entries;
    GPtrArray *implied; /* char *, owned: directories that had to be made without an entry of their
                         * own, parents first; 0755 root. See cob_layer_adopt_parents(). */
};
void cob_layer_unpack_result_done(struct cob_layer_unpack_result *result);

/* The strings of the request are copied. Cannot fail: what is wrong is told by the first write. */
struct cob_layer_unpack *cob_layer_unpack_new(const struct cob_layer_unpack_request *request);

/* Give it the next bytes, compressed or not; how, is seen from the first of them. Waits while the
 * disk is slower than the caller.
 * errors:  COB_INVALID: no archive, or a bad one, with the entry's name; COB_EXHAUSTED: past a
 *          limit or a full disk; also when an earlier write was to blame. */
COB_RESULT struct cob_error *cob_layer_unpack_write(
    struct cob_layer_unpack *unpack, const void *data, size_t len);

/* The same with all that an open file has, from where it stands. */
COB_RESULT struct cob_error *cob_layer_unpack_write_fd(struct cob_layer_unpack *unpack, int fd);

/* There is no more: wait until everything is in the directory. Nothing was synced to disk.
 * ret_result: the caller's, cob_layer_unpack_result_done(); NULL: not wanted. */
COB_RESULT struct cob_error *cob_layer_unpack_finish(
    struct cob_layer_unpack *unpack, struct cob_layer_unpack_result *ret_result);

/* Stops what is not finished; files that were written stay for the caller to remove. */
void cob_layer_unpack_free(struct cob_layer_unpack *unpack);
COB_AUTOPTR(cob_layer_unpack, cob_layer_unpack_free)

/* Give the directories of `implied` the owner, mode, times and xattrs that they have in the view of
 * the layers below; those that are not directories there stay as they are.
 * lower_fd: the root of a mount of the layers below. */
COB_RESULT struct cob_error *cob_layer_adopt_parents(
    int dir_fd, const GPtrArray *implied, int lower_fd);

/* Is it something that ADD unpacks: a tar, or one compressed in a way that cob reads? By its first
 * bytes; the file's offset stays. Other than a regular file is none.
 * spec: BuildKit solver/llbsolver/file/unpack.go, isArchivePath. */
COB_RESULT struct cob_error *cob_layer_is_archive(int fd, bool *ret_is_archive);

/* Do these first bytes, COB_LAYER_HEAD_BYTES of them if there are as many, say of themselves that
 * an archive follows, be it a broken one?
 * spec: buildx build/utils.go, isArchive; and zstd. */
#define COB_LAYER_HEAD_BYTES 1024
bool cob_layer_begins_archive(const void *data, size_t len);

/* --- directory -> tar --- */

struct cob_layer_pack_request {
    int dir_fd;               /* O_RDONLY|O_DIRECTORY or O_PATH; borrowed for the call */
    const char *opaque_xattr; /* NULL: a plain tree, not a layer: 0:0 devices and .wh. names are
                                * files as others */
    bool has_max_mtime;       /* later times become max_mtime, seconds since 1970 */
    bool is_every_mtime;      /* earlier ones, too */
    int64_t max_mtime;
    const char *below;         /* all of it lies in a directory of this name; NULL: it does not */
    bool is_continued;         /* another tree follows in the same archive: no end mark */
    struct cob_cancel *cancel; /* borrowed; NULL: never */
};

struct cob_layer_pack_result {
    char *diff_id;
    uint64_t tar_bytes;
    uint64_t n_entries;
};
/* Free what it holds. */
void cob_layer_pack_result_done(struct cob_layer_pack_result *result);

/*
 * Write a layer's directory as a tar stream that depends on nothing but the tree: depth first,
 * names in the order of their bytes, whole seconds, no names of users.
 *
 * sink:        called from this thread; NULL: only the digest is wanted.
 * ret_result:  the caller's, cob_layer_pack_result_done(); NULL: not wanted.
 * errors:      COB_INVALID for a file that no layer can hold: its name begins with .wh. or is too
 *              long; COB_ABORTED when a file changed meanwhile; the sink's own.
 */
COB_RESULT struct cob_error *cob_layer_pack(const struct cob_layer_pack_request *request,
    cob_layer_sink sink, void *arg, struct cob_layer_pack_result *ret_result);

/* The diff_id and size of what cob_layer_pack() would write. */
COB_RESULT struct cob_error *cob_layer_measure(
    const struct cob_layer_pack_request *request, struct cob_layer_pack_result *ret_result);

/* --- compression --- */

struct cob_layer_compressor;

struct cob_layer_compressed {
    char *digest;
    uint64_t size_bytes;
};

/*
 * A sink (cob_layer_compressor_write) before a sink. What it writes depends on the bytes alone, not
 * on how they come or on the number of threads.
 *
 * compression:  COB_LAYER_PLAIN, COB_LAYER_GZIP or COB_LAYER_ZSTD.
 * sink:         called from the thread that calls _write or _finish.
 */
struct cob_layer_compressor *cob_layer_compressor_new(
    enum cob_layer_compression compression, cob_layer_sink sink, void *arg);

/* Another level than the usual one, before the first byte. As the programs of that name have it: of
 * gzip 0 to 9, of zstd 1 to 22; others are brought into these bounds. */
void cob_layer_compressor_set_level(struct cob_layer_compressor *compressor, int level);

/* A cob_layer_sink; its arg is the compressor. */
COB_RESULT struct cob_error *cob_layer_compressor_write(
    void *compressor, const void *data, size_t len);

/* ret_compressed: of what went to the sink; its digest is the caller's, g_free(). */
COB_RESULT struct cob_error *cob_layer_compressor_finish(
    struct cob_layer_compressor *compressor, struct cob_layer_compressed *ret_compressed);
void cob_layer_compressor_free(struct cob_layer_compressor *compressor);
COB_AUTOPTR(cob_layer_compressor, cob_layer_compressor_free)

/* "application/vnd.oci.image.layer.v1.tar+gzip" and its like; static. */
const char *cob_layer_media_type(enum cob_layer_compression compression);

/* --- bytes in one piece: packs and indexes of cache mounts --- */

/* Compress to one zstd frame that says how large it is. What it writes depends on the bytes and the
 * level alone.  sink: called from this thread. */
COB_RESULT struct cob_error *cob_layer_zstd_write(
    const void *data, size_t len, int level, cob_layer_sink sink, void *arg);

/*
 * Undo it, in a sealed process.
 *
 * room:    for exactly room_len bytes.
 * errors:  COB_INVALID: it is no zstd, or holds more or less than that; COB_EXHAUSTED: its window
 *          is past the limit; COB_CANCELLED; COB_INTERNAL when the process died.
 */
COB_RESULT struct cob_error *cob_layer_zstd_read(
    const void *data, size_t len, void *room, size_t room_len, struct cob_cancel *cancel);
