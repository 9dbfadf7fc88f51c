/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BuildKit's cache config: which steps a build cache knows, and which layers they gave.
 *
 *     layers    a forest: each has the digest of its blob and the layer below it
 *     records   a graph: each stands for one output of one step, and says what the step stood on
 *
 *               record                        record                        record
 *               digest of golang@sha256:...   digest of COPY go.mod .       digest of RUN make
 *               no inputs: a root      <---   inputs[0]: {link}      <---   inputs[0]: {link}
 *                                             inputs[1]: {link} -> a root: digest of files
 *
 * An input has alternatives: the record of the step before, and the digest of the files that were
 * taken from it. A step is found when for each of its inputs one alternative is.
 *
 *     a root's digest              the op's own key, or a digest of files: sha256("KEY@0"), "@-1"
 *     layers[].parent                absent: 0; -1: none
 *     records[].layers[].layer       a layer, with all below it
 *     records[].chains[].layers      layers from the lowest up, whatever their parents are
 *     layers[].annotations           only where no manifest describes the blobs (S3)
 *
 * What is parsed is sound: indexes are in range, neither layers nor records form a circle, digests
 * are digests, no input is empty. All bytes are hostile; counts are held against util/limits.h.
 *
 * threads:  any, each config one at a time.
 * spec:     BuildKit cache/remotecache/v1/types/{doc,spec}.go, cache/remotecache/v1/parse.go.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

#define COB_CACHECONFIG_TYPE "application/vnd.buildkit.cacheconfig.v0"

/* Annotations of a layer's descriptor. */
#define COB_CACHECONFIG_DIFF_ID "containerd.io/uncompressed"
#define COB_CACHECONFIG_CREATED "buildkit/createdat"
#define COB_CACHECONFIG_DESCRIPTION "buildkit/description"

struct cob_cacheconfig_layer {
    char *blob;                           /* digest */
    int parent;                           /* -1: none */
    char *media_type, *diff_id, *created; /* NULL: not said here */
    uint64_t size;
};

struct cob_cacheconfig_result {
    GArray *layers; /* int, owned: one, with all below it, or of a chain the lowest first */
    bool is_chain;
    char *created; /* RFC 3339 */
};

struct cob_cacheconfig_link {
    char *selector; /* "": none */
    int record;
};

struct cob_cacheconfig_record {
    char *digest;
    GPtrArray *results; /* struct cob_cacheconfig_result, owned */
    GPtrArray *inputs;  /* GArray of struct cob_cacheconfig_link, owned; empty: a root */
};

struct cob_cacheconfig {
    GPtrArray *layers;  /* struct cob_cacheconfig_layer, owned */
    GPtrArray *records; /* struct cob_cacheconfig_record, owned */
};

/* An empty one. */
struct cob_cacheconfig *cob_cacheconfig_new(void);
void cob_cacheconfig_free(struct cob_cacheconfig *config);
COB_AUTOPTR(cob_cacheconfig, cob_cacheconfig_free)

/* Append.  Returns the number of what was added.
 * parent:  a layer that is there, or -1. */
int cob_cacheconfig_add_layer(struct cob_cacheconfig *config, const char *blob, int parent);

/* n_inputs: how many it will have, each with an alternative by cob_cacheconfig_add_link(). */
int cob_cacheconfig_add_record(
    struct cob_cacheconfig *config, const char *digest, unsigned n_inputs);

/* An alternative for an input; one that is there already is not added again. */
void cob_cacheconfig_add_link(
    struct cob_cacheconfig *config, int record, unsigned input, const char *selector, int link);

/* What a record gave: a layer with all below it. */
void cob_cacheconfig_add_result(
    struct cob_cacheconfig *config, int record, int layer, const char *created);

/*
 * Read a config.
 *
 * errors: COB_INVALID: not sound, with what is wrong; COB_EXHAUSTED past a limit.
 */
COB_RESULT struct cob_error *cob_cacheconfig_parse(
    GBytes *bytes, struct cob_cacheconfig **ret_config);

/*
 * Read the records that an image's config holds in "moby.buildkit.cache.v0": their layers are the
 * image's, by number, and each lies on the one before.
 *
 * blobs:  the digests of the image's layers, the lowest first.
 */
COB_RESULT struct cob_error *cob_cacheconfig_parse_inline(
    GBytes *bytes, const char *const *blobs, size_t n_blobs, struct cob_cacheconfig **ret_config);

/* Bring layers and records into one order that depends on nothing but what they say. */
void cob_cacheconfig_sort(struct cob_cacheconfig *config);

/* The bytes of a config, or of its records alone. The caller unrefs them. */
GBytes *cob_cacheconfig_bytes(const struct cob_cacheconfig *config);
GBytes *cob_cacheconfig_inline_bytes(const struct cob_cacheconfig *config);

/* The digest of a record: of an output of a step, by the digest of its op; of files, by theirs. The
 * caller frees it.  output: COB_CACHECONFIG_FILES: `key` is a digest of files. */
#define COB_CACHECONFIG_FILES (-1)
char *cob_cacheconfig_record_digest(const char *key, int output);
