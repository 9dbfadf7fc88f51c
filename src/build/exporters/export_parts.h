/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of output share.
 *
 *     output_parse.c    "type=oci,dest=x" -> struct cob_exporter_output
 *     output_write.c    runs one, and tells the observer
 *     export_dest.c     the file it goes to: a draft, then renamed
 *     export_blobs.c    layers as compressed blobs, kept in the store
 *     export_archive.c  oci, docker
 *     export_tree.c     tar, local
 */
#pragma once

#include <stdbool.h>

#include "build/exporters/exporters.h"
#include "disk/layer/layer.h"

/* Work on one output. All borrowed. */
struct export_job {
    const struct cob_exporter_output *output;
    const struct cob_exporter_result *result;
    const char *vertex; /* digest, for news */
    struct cob_cancel *cancel;
};

/* A kind of output. */
struct cob_exporter_impl {
    const char *type;
    const char *vertex_name;    /* in BuildKit's words; NULL: write() tells its own */
    const char *const *options; /* NULL-terminated, without type and dest */
    bool needs_dest;
    struct cob_error *(*write)(const struct export_job *job);
};

extern const struct cob_exporter_impl cob_exporter_oci, cob_exporter_docker, cob_exporter_tar,
    cob_exporter_local;

struct cob_exporter_output {
    const struct cob_exporter_impl *impl;
    char *dest;     /* "-" is standard output; NULL: none */
    bool is_folder; /* tar=false */
    enum cob_layer_compression compression;
    char **names; /* NULL: those of the result */
    bool is_pushed;
    bool is_split, is_split_known; /* platform-split: a subfolder a platform, if it is said */
};

/* Tell of a step inside the export that begins (started_us 0) or ends now.
 * Returns when it began, for the second call. */
int64_t export_tell(const struct export_job *job, const char *id, int64_t started_us);
void export_warn(const struct export_job *job, const char *text);

/* Where a file-like output goes. */
struct export_dest {
    int dir_fd;         /* where it will be; -1: standard output */
    int fd;             /* to write to */
    char *name, *draft; /* below dir_fd */
};

/* Open a draft beside dest; what is there must be a file, or nothing.
 * errors: COB_EXISTS for a directory, symlink, FIFO or device; COB_INVALID for a terminal. */
COB_RESULT struct cob_error *export_dest_open(const char *dest, struct export_dest *ret_dest);
/* Put the draft in place. */
COB_RESULT struct cob_error *export_dest_commit(struct export_dest *dest);
/* Remove the draft, if it is there still. */
void export_dest_done(struct export_dest *dest);
/* A cob_layer_sink; its arg is the dest. */
COB_RESULT struct cob_error *export_dest_write(void *dest, const void *data, size_t len);

/* A layer as a blob of the store; made when it is not there.
 * ret_digest: the caller's. */
COB_RESULT struct cob_error *export_layer_blob(const struct export_job *job,
    struct cob_snapshot *layer, enum cob_layer_compression compression, char **ret_digest,
    uint64_t *ret_size);
