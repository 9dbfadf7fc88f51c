/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection: what a store holds, what of it is to go by which rule, and its removal.
 *
 * What takes room is a record of one class, and each class has a budget of its own: many layers
 * never cost a cache mount. The classes, in the order in which they give room back:
 *
 *     blobs          compressed layers, configs and manifests that no name needs: soon made again
 *     sources        git mirrors, downloads, what was unpacked of them, stat caches of contexts
 *     layers         what steps made, and layers of images that lost their name
 *     cache-mounts   last of all
 *     internal       the database, the reserve, what is being made: part of what du shows
 *
 * Never removed: what an image with a name stands on, what a process has, cache mounts with a pin.
 *
 *     rule of a budget    a record goes when
 *     keep-duration       it was not used for so long, while the class has more than reserved-space
 *     max-used-space      the class has more than this; what is used least and longest ago first
 *     min-free-space      the disk has less free than this, and the class more than reserved-space
 *
 * Policy and plan are pure: records and numbers in, a list of removals with their reasons out.
 *
 * threads:  one at a time for an object; several processes may collect in one store.
 * spec:     BuildKit's cache/manager.go, prune; docs/garbage-collection.md says where cob differs.
 */
#pragma once

#include "build/history/history.h"
#include "disk/store/store.h"
#include "util/cancel.h"

enum cob_gc_class {
    COB_GC_BLOBS,
    COB_GC_SOURCES,
    COB_GC_LAYERS,
    COB_GC_CACHE_MOUNTS,
    COB_GC_INTERNAL, /* without a budget */
};
#define COB_GC_N_BUDGETS COB_GC_INTERNAL

/* As in cob.toml: "cache-mounts". Static. */
const char *cob_gc_class_name(enum cob_gc_class class);

/* --- what there is --- */

enum cob_gc_kind {
    COB_GC_SNAPSHOT,
    COB_GC_CACHE_MOUNT,
    COB_GC_BLOB,
    COB_GC_GIT_MIRROR,
    COB_GC_STAT_CACHE,
    COB_GC_QUARANTINE, /* blobs that changed on disk */
    COB_GC_FIXED,      /* not to be removed */
};

struct cob_gc_record {
    enum cob_gc_class class;
    enum cob_gc_kind kind;
    char *id;     /* for people */
    char *name;   /* for the module that has it: an id, a digest, a folder */
    char *parent; /* id; NULL */
    char *description;
    const char *type;        /* BuildKit's word: "regular"; static */
    char *namespace, *mount; /* of a cache mount; NULL */
    char *group;             /* records of one group share linked_bytes; NULL: none */
    uint64_t size_bytes;     /* all that it holds */
    uint64_t disk_bytes;     /* without what another one of its group is counted for */
    uint64_t linked_bytes;
    int64_t created_us, last_used_us, n_uses;
    bool is_mutable, is_in_use, is_shared, is_pinned;
};
void cob_gc_record_free(struct cob_gc_record *record);

/* All records of a store; the sum of their disk_bytes is what the store takes.
 * ret_records: GPtrArray of struct cob_gc_record, owned. */
COB_RESULT struct cob_error *cob_gc_list(struct cob_store *store, GPtrArray **ret_records);

/* May it go, for all that is known now? */
bool cob_gc_is_reclaimable(const struct cob_gc_record *record);

/* --- the policy --- */

/* An amount of disk space: bytes, a share of the disk, or the smaller one of both. */
struct cob_gc_space {
    uint64_t bytes;
    unsigned percent;
    bool is_set;
};

/* "10GB", "512MiB", "20%", "0", "1000000" (bytes).  errors: COB_INVALID. */
COB_RESULT struct cob_error *cob_gc_space_parse(const char *text, struct cob_gc_space *ret_space);

/* A duration in Go's words, and days: "60d", "24h", "1h30m".  errors: COB_INVALID. */
COB_RESULT struct cob_error *cob_gc_duration_parse(const char *text, int64_t *ret_us);

struct cob_gc_budget {
    int64_t keep_us; /* 0: for ever */
    struct cob_gc_space reserved, max_used, min_free;
};

struct cob_gc_policy {
    bool is_enabled;     /* after builds */
    int64_t interval_us; /* between two looks, as long as builds change nothing */
    struct cob_gc_budget budgets[COB_GC_N_BUDGETS];
    struct cob_history_limits history; /* of builds' records */
};

/* What holds without a cob.toml. */
struct cob_gc_policy cob_gc_policy_default(void);

/* Change a policy by the tables [gc] and [history] of a cob.toml.
 * errors: COB_INVALID, at the line. */
COB_RESULT struct cob_error *cob_gc_policy_parse(
    struct cob_srcfile *file, struct cob_gc_policy *policy);

/* The policy by $COB_CONFIG/cob.toml, else $XDG_CONFIG_HOME/cob/cob.toml, else /etc/cob/cob.toml,
 * and by COB_GC=off. */
COB_RESULT struct cob_error *cob_gc_policy_load(struct cob_gc_policy *ret_policy);

/* --- filters --- */

struct cob_gc_filter;

/* What --filter was given: "type=regular", "id~=^ab", "description!=x", "inuse", "until=24h". All
 * of them must hold.
 * texts: NULL-terminated; NULL: everything.  errors: COB_INVALID. */
COB_RESULT struct cob_error *cob_gc_filter_parse(
    const char *const *texts, struct cob_gc_filter **ret_filter);
void cob_gc_filter_free(struct cob_gc_filter *filter);
COB_AUTOPTR(cob_gc_filter, cob_gc_filter_free)

/* now_us: of the wall clock. */
bool cob_gc_filter_match(
    const struct cob_gc_filter *filter, const struct cob_gc_record *record, int64_t now_us);

/* --- plans --- */

struct cob_gc_disk {
    uint64_t total_bytes, free_bytes; /* free: for who is not root */
};
COB_RESULT struct cob_error *cob_gc_disk_of(struct cob_store *store, struct cob_gc_disk *ret_disk);

/* What is to go, and why. */
struct cob_gc_removal {
    const struct cob_gc_record *record; /* borrowed from the list */
    char *rule;                         /* "max-used-space 10GB of layers" */
    uint64_t freed_bytes;
};
void cob_gc_removal_free(struct cob_gc_removal *removal);

/* By the budgets.  ret_removals: GPtrArray of struct cob_gc_removal, owned, in the order in which
 * they must be carried out. */
void cob_gc_plan_policy(const GPtrArray *records, const struct cob_gc_policy *policy,
    const struct cob_gc_disk *disk, int64_t now_us, GPtrArray **ret_removals);

/* What a person asks for. Without spaces: all that the filter lets through. */
struct cob_gc_prune {
    const struct cob_gc_filter *filter; /* what may go, and what the spaces count; NULL: all */
    bool is_all;                        /* also what is internal */
    struct cob_gc_space reserved, max_used, min_free;
};
void cob_gc_plan_prune(const GPtrArray *records, const struct cob_gc_prune *prune,
    const struct cob_gc_disk *disk, int64_t now_us, GPtrArray **ret_removals);

/* --- carrying them out --- */

/* Remove what a plan says; what somebody began to use meanwhile stays.
 * on_removed: called after each; may be NULL.
 * errors:     the first one, after the others were tried; COB_CANCELLED. */
COB_RESULT struct cob_error *cob_gc_run(struct cob_store *store, const GPtrArray *removals,
    void (*on_removed)(void *arg, const struct cob_gc_removal *removal), void *arg,
    struct cob_cancel *cancel);

/* One process at a time collects by the policy.  ret_lock: NULL: another does. */
COB_RESULT struct cob_error *cob_gc_try_lock(
    struct cob_store *store, struct cob_store_lock **ret_lock);

/*
 * Is there anything to collect by the policy? Asked after each build, so it sums up rows only when
 * the build changed something, or policy->interval_us has passed.
 */
COB_RESULT struct cob_error *cob_gc_is_due(
    struct cob_store *store, const struct cob_gc_policy *policy, bool is_changed, bool *ret_is_due);
