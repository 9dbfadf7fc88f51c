/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the remote cache share.
 *
 *     remotecache.c    all imported caches; their records found
 *     cache_read.c     a document and its config, or the images with inline caches, become a source
 *     cache_chain.c    results: chains of layers, found and fetched
 *     cache_plan.c     what of a build is to be exported; as records
 *     cache_layers.c   the layers of an export as blobs
 *     cache_export.c   an export, step by step
 *     cache_tell.c     the vertices that people see
 */
#pragma once

#include "build/layerchain/layerchain.h"
#include "build/remotecache/remotecache.h"
#include "spec/cacheconfig/cacheconfig.h"

/* --- imported caches --- */

/* A blob that a manifest, or the config itself, describes. */
struct cache_blob {
    uint64_t size;
    char *media_type, *diff_id; /* NULL: not said: of no use */
    int64_t created_us;         /* since 1970; 0: not said */
};

/* One config, and where its layers are. */
struct cache_source {
    struct cob_cachebackend *backend; /* borrowed from the import */
    const char *place;                /* for people; borrowed likewise */
    const char *vertex;               /* its digest; borrowed likewise */
    int *is_warned;                   /* atomic; of the import */
    struct cob_cacheconfig *config;
    GHashTable *blobs;     /* digest -> struct cache_blob, owned */
    GHashTable *by_digest; /* of a record -> GArray of guint, owned; the key is borrowed */
    guint first;           /* the number of its record 0 among all caches */
    char **chain_ids;      /* one a layer, with all below it; NULL: not computed, or it has none */
    struct cob_remotecache_chain **chains; /* one a record, made when asked for, owned */
};

/* One --cache-from. */
struct cache_import {
    struct cob_remotecache *cache;
    const struct cob_cachebackend_options *options;
    struct cob_cachebackend *backend;
    char *place, *vertex;
    GPtrArray *sources; /* struct cache_source, owned: one, or of inline caches one an image */
    struct cob_cancel *cancel; /* borrowed; while it is read */
    int is_warned;             /* atomic */
};

struct cob_remotecache {
    struct cob_store *store;
    struct cob_registry *registry;
    const struct cob_observer *observer;
    GPtrArray *imports; /* struct cache_import, owned */
    GPtrArray *sources; /* struct cache_source, borrowed, in order */
    guint n_records;
};

/* The result of a record. */
struct cob_remotecache_chain {
    struct cache_source *source;
    struct cob_layerchain_layer *layers; /* owned; what they hold is the source's */
    size_t n_layers;
    char *id;            /* chainID of the top */
    const char *created; /* of the source; NULL: not known */
    int is_bad;          /* atomic: it could not be had, or has no layers that can be */
};
void cache_chain_free(struct cob_remotecache_chain *chain);
void cache_source_free(struct cache_source *source);

/* The newest result of a record of a source, or NULL. Borrowed. */
struct cob_remotecache_chain *cache_chain_of(struct cache_source *source, guint record);

/* The source that a record of all caches is in; its number there. */
struct cache_source *cache_source_of(
    const struct cob_remotecache *cache, guint number, guint *ret_record);

/* A blob that some import has for a layer.  ret_digest: borrowed. NULL: none has. */
struct cache_source *cache_find_blob(const struct cob_remotecache *cache, const char *diff_id,
    const char **ret_digest, const struct cache_blob **ret_blob);

/* Read an import's documents into its sources. */
COB_RESULT struct cob_error *cache_read(struct cache_import *import);

/* Whose cache it is, for people. The caller frees it. */
char *cache_place(const struct cob_cachebackend_options *options);

/* --- exports --- */

struct plan_input {
    int step;         /* -1: none */
    GPtrArray *roots; /* char *, owned: digests of records of files */
};

struct plan_step {
    char *digest; /* of its record; NULL: it is none */
    struct plan_input *inputs;
    size_t n_inputs;
    struct cob_snapshot *snapshot;
    struct cob_remotecache_chain *chain;
    char *created; /* when it was made; NULL: not known */
    bool is_result;
};

struct cob_remotecache_plan {
    struct cob_store *store;
    struct cob_remotecache *cache;
    GPtrArray *steps; /* struct plan_step, owned */
};

/* Which layer of a config stands for the result of a step.  Returns -1: none does. */
typedef int (*plan_layer_fn)(void *arg, const struct plan_step *step);

/* A time as Go writes it. The caller frees it. */
char *plan_time_text(int64_t time_us);

/* Records of all steps, or of those that one of them stands on, added to a config.
 * last: -1: all. */
void plan_add_records(const struct cob_remotecache_plan *plan, int last,
    struct cob_cacheconfig *config, plan_layer_fn layer, void *arg);

/* One export on its way. */
struct exporting {
    const struct cob_remotecache_export *request;
    struct cob_cachebackend *backend;
    struct cob_cancel *cancel;
    char *vertex;
    GHashTable *layers; /* key -> struct export_layer, owned: each layer once */
    GPtrArray *order;   /* the same, borrowed, in the order they were met */
};

/* A layer that an export needs. */
struct export_layer {
    struct exporting *exporting;
    struct cob_snapshot *snapshot; /* NULL: it is elsewhere; borrowed from the plan */
    struct cache_source *source;   /* where it is, or could be had, elsewhere; NULL: nowhere */
    const struct cob_layerchain_layer *there; /* with source, for one that is not here */
    struct export_layer *parent;              /* NULL: none */
    char *digest, *diff_id, *media_type, *created, *description;
    uint64_t size;
    int number;            /* in the config; -1: not yet */
    struct cob_error *err; /* why it is left out */
};

/* All layers that the steps of the mode need, into exporting->layers. */
COB_RESULT struct cob_error *export_collect(struct exporting *exporting);

/* The layer that is the top of a step's result. NULL: it is not exported. */
struct export_layer *export_top_of(struct exporting *exporting, const struct plan_step *step);

/* Make blobs of them: digest, size and diff id are known then, or err is set. */
void export_prepare_layer(struct export_layer *layer);

/* Send one. */
COB_RESULT struct cob_error *export_send_layer(struct export_layer *layer);

/* --- cache_tell.c --- */

/* A vertex of cob's own. digest: of its name and a number, since names may be equal. */
void cache_tell_vertex(const struct cob_observer *observer, const char *digest, const char *name,
    int64_t started_us, int64_t completed_us, const struct cob_error *err);

/* A step within it begins (started_us 0) or ends.  Returns when it began. */
int64_t cache_tell_status(
    const struct cob_observer *observer, const char *vertex, const char *id, int64_t started_us);

/* A line of a vertex. */
void cache_tell_line(const struct cob_observer *observer, const char *vertex, const char *text);
void cache_warn(const struct cob_observer *observer, const char *vertex, const char *text);
