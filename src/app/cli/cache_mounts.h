/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands `cob cache ...` have in common: cache mounts as a person sees them, one for
 * each namespace and id, whatever directories it has.
 *
 * A mount is called by its id; by NAMESPACE/ID; or, when the id is nothing one would type, by the
 * beginning of its directory's name, as `cob du` shows it.
 */
#pragma once

#include "app/cli/cli_engine.h"
#include "disk/cachemount/cachemount.h"

struct cache_mount {
    char *namespace, *id; /* id: of one that nothing is known of: its directory's name */
    bool is_known;
    GPtrArray *entries; /* struct cob_cachemount_entry, owned: the primary one first */
    char *last_step;    /* NULL */
    uint64_t size_bytes, n_files, quota_bytes;
    int64_t created_us, last_used_us, n_uses;
    bool is_pinned, is_in_use;
};

/* An open store, and its cache mounts. */
struct cache_mounts {
    struct cob_engine *engine;
    struct cob_cachemount_pool *pool;
    GPtrArray *mounts; /* struct cache_mount, owned, by namespace and id */
};

/* mounts: for cache_mounts_close() in any case. */
COB_RESULT struct cob_error *cache_mounts_open(struct cache_mounts *mounts);
void cache_mounts_close(struct cache_mounts *mounts);

/* Look at the disk where it is not known how large one is. */
COB_RESULT struct cob_error *cache_mounts_measure(
    const struct cache_mounts *mounts, struct cache_mount *mount);

/* Find one by what a person calls it.
 * namespace: of --namespace; NULL: not given.  ret_mount: borrowed.
 * errors: COB_NOT_FOUND; COB_INVALID when it may be several. */
COB_RESULT struct cob_error *cache_mounts_find(const struct cache_mounts *mounts,
    const char *namespace, const char *name, struct cache_mount **ret_mount);

/* "NAMESPACE/ID", or the id alone. The caller frees it. */
char *cache_mount_name(const struct cache_mount *mount);

/* Who has it: GPtrArray of struct cob_cachemount_user, owned. */
COB_RESULT struct cob_error *cache_mount_users(
    const struct cache_mounts *mounts, const struct cache_mount *mount, GPtrArray **ret_users);

/* "build x (RUN make), pid 7"; "": nobody. The caller frees it. */
char *cache_users_text(const GPtrArray *users);

/* Do something to each mount that a call names, and print the names of those it was done to, also
 * when one of them fails. */
COB_RESULT struct cob_error *cache_mounts_each(const struct cli_call *call,
    struct cob_error *(*work)(
        const struct cache_mounts *mounts, struct cache_mount *mount, const void *arg),
    const void *arg);

/* -n, --namespace */
#define CACHE_NAMESPACE_OPTION                                                                     \
    {                                                                                              \
        "namespace", 'n', CLI_TEXT, "string",                                                      \
            "The namespace of the ids, as BUILDKIT_CACHE_MOUNT_NS had it", false                   \
    }
