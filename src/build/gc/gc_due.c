/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is it worth a look? A build ends with this question, so it must cost next to nothing: one row
 * says when it was asked last, and sums of recorded sizes stand for what is on disk. Where they are
 * a little wrong, a collection starts and finds nothing to do, or starts a build later.
 */
#include <stdio.h>

#include "build/gc/gc_parts.h"

/* What rows say of a class. */
struct tally {
    uint64_t used;
    int64_t oldest_us; /* G_MAXINT64: there is none */
};

static struct cob_error *read_number(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

static struct cob_error *read_tally(void *arg, const struct cob_db_row *row)
{
    struct tally *tally = arg;
    const int64_t oldest_us = cob_db_row_int(row, 1);

    tally->used += (uint64_t)cob_db_row_int(row, 0);
    if (oldest_us > 0)
        tally->oldest_us = MIN(tally->oldest_us, oldest_us);
    return NULL;
}

/* Layers count what sources have as well: too much, never too little. */
static struct cob_error *add_up(struct cob_db *db, struct tally *tallies)
{
    static const struct {
        enum cob_gc_class class;
        const char *sql;
    } sums[] = {
        {COB_GC_BLOBS, "SELECT sum(size_bytes), min(last_used_us) FROM blobs"},
        {COB_GC_SOURCES, "SELECT sum(size_bytes), min(used_us) FROM mirrors"},
        {COB_GC_SOURCES, "SELECT sum(size_bytes), min(used_us) FROM remotes r"
                         "  JOIN snapshots s ON s.id = r.snapshot"},
        {COB_GC_SOURCES, "SELECT sum(size_bytes), min(used_us) FROM downloads d"
                         "  JOIN blobs b ON b.digest = d.digest"},
        {COB_GC_SOURCES, "SELECT sum(length(cache)), min(used_us) FROM contexts"},
        {COB_GC_LAYERS, "SELECT sum(size_bytes), min(last_used_us) FROM snapshots"},
        {COB_GC_CACHE_MOUNTS, "SELECT sum(size_bytes), min(last_used_us) FROM cachemounts"},
    };

    for (int class = 0; class < COB_GC_N_BUDGETS; class ++)
        tallies[class] = (struct tally){.oldest_us = G_MAXINT64};
    for (size_t i = 0; i < G_N_ELEMENTS(sums); i++)
        COB_TRY(cob_db_run(db, read_tally, &tallies[sums[i].class], sums[i].sql));
    return NULL;
}

/* The rules of a budget, as the plan has them. */
static bool is_broken(const struct tally *tally, const struct cob_gc_budget *budget,
    const struct cob_gc_disk *disk, int64_t now_us)
{
    const uint64_t max_used = gc_space_bytes(&budget->max_used, disk);

    if (tally->used <= gc_space_bytes(&budget->reserved, disk))
        return false;
    if (budget->keep_us && tally->oldest_us < now_us - budget->keep_us)
        return true;
    return (max_used && tally->used > max_used) ||
           disk->free_bytes < gc_space_bytes(&budget->min_free, disk);
}

static struct cob_error *look(
    struct cob_store *store, const struct cob_gc_policy *policy, int64_t now_us, bool *ret_is_due)
{
    struct tally tallies[COB_GC_N_BUDGETS];
    struct cob_gc_disk disk;

    COB_TRY(cob_gc_disk_of(store, &disk));
    COB_TRY(add_up(cob_store_db(store), tallies));
    for (int class = 0; class < COB_GC_N_BUDGETS; class ++)
        *ret_is_due =
            *ret_is_due || is_broken(&tallies[class], &policy->budgets[class], &disk, now_us);
    return cob_db_run(cob_store_db(store), NULL, NULL,
        "INSERT OR REPLACE INTO meta VALUES ('gc_looked_us', ?1)", COB_DB_I(now_us));
}

struct cob_error *cob_gc_is_due(
    struct cob_store *store, const struct cob_gc_policy *policy, bool is_changed, bool *ret_is_due)
{
    const int64_t now_us = g_get_real_time();
    int64_t looked_us = 0;

    *ret_is_due = false;
    if (!policy->is_enabled)
        return NULL;
    COB_TRY(cob_db_run(cob_store_db(store), read_number, &looked_us,
        "SELECT value FROM meta WHERE key = 'gc_looked_us'"));
    if (!is_changed && looked_us <= now_us && looked_us + policy->interval_us > now_us)
        return NULL;
    return look(store, policy, now_us, ret_is_due);
}
