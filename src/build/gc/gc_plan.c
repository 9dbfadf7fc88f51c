/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to go, in which order.
 *
 * Within a class, a record's turn comes by two ranks that count the same: how long ago it was used,
 * and how seldom (BuildKit's order). A snapshot waits for what stands on it: after each removal the
 * parent is looked at at once if its own turn has passed, so the list is gone through once.
 */
#include <string.h>
#include <sys/statvfs.h>

#include "build/gc/gc_parts.h"

/* A record while a plan is made. */
struct entry {
    const struct cob_gc_record *record;
    struct entry *parent; /* in the plan, too; NULL */
    unsigned n_children;  /* that are still there */
    unsigned order;       /* its turn among the candidates, from 1; 0: it is none */
    double rank;
    bool is_gone;
};

struct plan {
    struct entry *entries; /* one a record, in their order */
    guint n_entries;
    GHashTable *members; /* group -> how many of it are there */
    uint64_t used, free; /* of what the current limit counts; on the disk */
    GPtrArray *removals; /* struct cob_gc_removal, owned */
};

/* How far to go: as long as one of these is not reached. */
struct goal {
    uint64_t max_used; /* G_MAXUINT64: whatever is used */
    uint64_t min_free; /* 0: whatever is free */
    uint64_t reserved; /* never below */
    int64_t before_us; /* only what was last used before this */
    const char *rule;
};

void cob_gc_removal_free(struct cob_gc_removal *removal)
{
    if (!removal)
        return;
    g_free(removal->rule);
    g_free(removal);
}

bool cob_gc_is_reclaimable(const struct cob_gc_record *record)
{
    return record->kind != COB_GC_FIXED && !record->is_in_use && !record->is_pinned;
}

static int64_t used_us(const struct cob_gc_record *record)
{
    return MAX(record->last_used_us, record->created_us);
}

static void link_parents(struct plan *plan)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < plan->n_entries; i++) {
        if (plan->entries[i].record->kind == COB_GC_SNAPSHOT)
            g_hash_table_insert(by_id, plan->entries[i].record->id, &plan->entries[i]);
    }
    for (guint i = 0; i < plan->n_entries; i++) {
        struct entry *entry = &plan->entries[i];
        const struct cob_gc_record *record = entry->record;

        if (record->kind == COB_GC_SNAPSHOT && record->parent)
            entry->parent = g_hash_table_lookup(by_id, record->parent);
        if (entry->parent)
            entry->parent->n_children++;
    }
}

static struct plan *plan_new(const GPtrArray *records, const struct cob_gc_disk *disk)
{
    struct plan *plan = g_new(struct plan, 1);

    *plan = (struct plan){.entries = g_new0(struct entry, records->len + 1),
        .n_entries = records->len,
        .members = g_hash_table_new(g_str_hash, g_str_equal),
        .free = disk->free_bytes,
        .removals =
            g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_gc_removal_free)};
    for (guint i = 0; i < records->len; i++) {
        const struct cob_gc_record *record = records->pdata[i];
        unsigned n =
            record->group ? GPOINTER_TO_UINT(g_hash_table_lookup(plan->members, record->group)) : 0;

        plan->entries[i].record = record;
        if (record->group)
            g_hash_table_insert(plan->members, record->group, GUINT_TO_POINTER(n + 1));
    }
    link_parents(plan);
    return plan;
}

/* Ends it.  Returns its removals, the caller's. */
static GPtrArray *plan_finish(struct plan *plan)
{
    GPtrArray *removals = plan->removals;

    g_hash_table_unref(plan->members);
    g_free(plan->entries);
    g_free(plan);
    return removals;
}

/* --- whose turn it is --- */

static int by_use(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a;
    const struct entry *y = *(const struct entry *const *)b;

    return used_us(x->record) < used_us(y->record) ? -1 : used_us(x->record) > used_us(y->record);
}

static int by_count(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a;
    const struct entry *y = *(const struct entry *const *)b;

    return x->record->n_uses < y->record->n_uses ? -1 : x->record->n_uses > y->record->n_uses;
}

/* Equals are told apart by age, then by name: the same store has the same plan. */
static int by_rank(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a;
    const struct entry *y = *(const struct entry *const *)b;

    if (x->rank < y->rank || x->rank > y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->record->created_us != y->record->created_us)
        return x->record->created_us < y->record->created_us ? -1 : 1;
    return strcmp(x->record->name, y->record->name);
}

/* Equal values have equal ranks, from 0 to 1. */
static void add_ranks(GPtrArray *candidates, GCompareFunc compare)
{
    g_autofree guint *places = g_new0(guint, candidates->len + 1);
    guint place = 0;

    g_ptr_array_sort(candidates, compare);
    for (guint i = 1; i < candidates->len; i++) {
        place += compare(&candidates->pdata[i - 1], &candidates->pdata[i]) != 0;
        places[i] = place;
    }
    for (guint i = 0; i < candidates->len; i++)
        ((struct entry *)candidates->pdata[i])->rank += (double)places[i] / (place + 1);
}

/* entries: in the order in which they are to go, afterwards. */
static void put_in_order(GPtrArray *candidates)
{
    add_ranks(candidates, by_use);
    add_ranks(candidates, by_count);
    g_ptr_array_sort(candidates, by_rank);
    for (guint i = 0; i < candidates->len; i++)
        ((struct entry *)candidates->pdata[i])->order = i + 1;
}

/* --- removing --- */

static bool is_reached(const struct plan *plan, const struct goal *goal)
{
    if (plan->used <= goal->reserved)
        return true;
    return plan->used <= goal->max_used && plan->free >= goal->min_free;
}

/* The last one of a group frees what all of them shared. */
static uint64_t leave_group(struct plan *plan, const struct cob_gc_record *record)
{
    unsigned n;

    if (!record->group)
        return record->size_bytes;
    n = GPOINTER_TO_UINT(g_hash_table_lookup(plan->members, record->group));
    g_hash_table_insert(plan->members, record->group, GUINT_TO_POINTER(n - 1));
    return n > 1 ? record->size_bytes - MIN(record->linked_bytes, record->size_bytes)
                 : record->size_bytes;
}

static void take(struct plan *plan, struct entry *entry, const char *rule)
{
    struct cob_gc_removal *removal = g_new(struct cob_gc_removal, 1);

    *removal = (struct cob_gc_removal){.record = entry->record,
        .rule = g_strdup(rule),
        .freed_bytes = leave_group(plan, entry->record)};
    entry->is_gone = true;
    if (entry->parent)
        entry->parent->n_children--;
    plan->used -= MIN(plan->used, removal->freed_bytes);
    plan->free += removal->freed_bytes;
    g_ptr_array_add(plan->removals, removal);
}

static bool may_go(const struct entry *entry, const struct goal *goal)
{
    return entry->order > 0 && !entry->is_gone && entry->n_children == 0 &&
           used_us(entry->record) < goal->before_us;
}

/* candidates: in order. */
static void shrink(struct plan *plan, const GPtrArray *candidates, const struct goal *goal)
{
    for (guint i = 0; i < candidates->len; i++) {
        struct entry *entry = candidates->pdata[i];

        while (entry && entry->order <= i + 1 && may_go(entry, goal) && !is_reached(plan, goal)) {
            take(plan, entry, goal->rule);
            entry = entry->parent;
        }
    }
}

/* --- the budgets --- */

static uint64_t sum_of_class(const struct plan *plan, enum cob_gc_class class)
{
    uint64_t sum = 0;

    for (guint i = 0; i < plan->n_entries; i++) {
        if (plan->entries[i].record->class == class && !plan->entries[i].is_gone)
            sum += plan->entries[i].record->disk_bytes;
    }
    return sum;
}

static GPtrArray *candidates_of_class(const struct plan *plan, enum cob_gc_class class)
{
    GPtrArray *candidates = g_ptr_array_new();

    for (guint i = 0; i < plan->n_entries; i++) {
        struct entry *entry = &plan->entries[i];

        if (entry->record->class == class && cob_gc_is_reclaimable(entry->record))
            g_ptr_array_add(candidates, entry);
    }
    put_in_order(candidates);
    return candidates;
}

static char *rule_text(const char *rule, char *limit, enum cob_gc_class class)
{
    char *text = g_strdup_printf("%s %s of %s", rule, limit, cob_gc_class_name(class));

    g_free(limit);
    return text;
}

static void plan_class(struct plan *plan, enum cob_gc_class class,
    const struct cob_gc_budget *budget, const struct cob_gc_disk *disk, int64_t now_us)
{
    g_autoptr(GPtrArray) candidates = candidates_of_class(plan, class);
    const uint64_t reserved = gc_space_bytes(&budget->reserved, disk);
    g_autofree char *keep = rule_text("keep-duration", gc_duration_text(budget->keep_us), class);
    g_autofree char *used = rule_text("max-used-space", gc_space_text(&budget->max_used), class);
    g_autofree char *free = rule_text("min-free-space", gc_space_text(&budget->min_free), class);
    struct goal goal = {
        .max_used = 0, .reserved = reserved, .before_us = now_us - budget->keep_us, .rule = keep};

    plan->used = sum_of_class(plan, class);
    if (budget->keep_us)
        shrink(plan, candidates, &goal);
    goal.before_us = G_MAXINT64;
    goal.max_used = gc_space_bytes(&budget->max_used, disk);
    goal.rule = used;
    if (goal.max_used)
        shrink(plan, candidates, &goal);
    goal.max_used = G_MAXUINT64;
    goal.min_free = gc_space_bytes(&budget->min_free, disk);
    goal.rule = free;
    shrink(plan, candidates, &goal);
    for (guint i = 0; i < candidates->len; i++)
        ((struct entry *)candidates->pdata[i])->order = 0; /* not another class's candidate */
}

void cob_gc_plan_policy(const GPtrArray *records, const struct cob_gc_policy *policy,
    const struct cob_gc_disk *disk, int64_t now_us, GPtrArray **ret_removals)
{
    struct plan *plan = plan_new(records, disk);

    for (int class = 0; class < COB_GC_N_BUDGETS; class ++)
        plan_class(plan, (enum cob_gc_class) class, &policy->budgets[class], disk, now_us);
    *ret_removals = plan_finish(plan);
}

/* --- what a person asks for --- */

static bool is_meant(
    const struct cob_gc_prune *prune, const struct cob_gc_record *record, int64_t now_us)
{
    if (record->kind == COB_GC_FIXED || (record->class == COB_GC_INTERNAL && !prune->is_all))
        return false;
    return !prune->filter || cob_gc_filter_match(prune->filter, record, now_us);
}

/* Class by class, each in its order. */
static GPtrArray *candidates_of_prune(
    struct plan *plan, const struct cob_gc_prune *prune, int64_t now_us)
{
    GPtrArray *all = g_ptr_array_new();

    for (int class = 0; class <= COB_GC_INTERNAL; class ++) {
        g_autoptr(GPtrArray) some = candidates_of_class(plan, (enum cob_gc_class) class);

        for (guint i = 0; i < some->len; i++) {
            struct entry *entry = some->pdata[i];

            entry->order = 0;
            if (!is_meant(prune, entry->record, now_us))
                continue;
            g_ptr_array_add(all, entry);
            entry->order = all->len;
        }
    }
    return all;
}

/* As in BuildKit: the largest of the spaces is what may stay. */
static struct goal goal_of(const struct cob_gc_prune *prune, const struct cob_gc_disk *disk)
{
    struct goal goal = {.max_used = G_MAXUINT64, .before_us = G_MAXINT64};

    goal.reserved = gc_space_bytes(&prune->reserved, disk);
    goal.min_free = gc_space_bytes(&prune->min_free, disk);
    if (prune->max_used.is_set)
        goal.max_used = gc_space_bytes(&prune->max_used, disk);
    else if (!prune->min_free.is_set)
        goal.max_used = goal.reserved;
    return goal;
}

static char *prune_text(const struct cob_gc_prune *prune)
{
    const struct {
        const char *flag;
        const struct cob_gc_space *space;
    } spaces[] = {{"reserved-space", &prune->reserved}, {"max-used-space", &prune->max_used},
        {"min-free-space", &prune->min_free}};
    g_autoptr(GString) text = g_string_new("prune");

    for (size_t i = 0; i < G_N_ELEMENTS(spaces); i++) {
        g_autofree char *space = gc_space_text(spaces[i].space);

        if (spaces[i].space->is_set)
            g_string_append_printf(text, " --%s=%s", spaces[i].flag, space);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void cob_gc_plan_prune(const GPtrArray *records, const struct cob_gc_prune *prune,
    const struct cob_gc_disk *disk, int64_t now_us, GPtrArray **ret_removals)
{
    struct plan *plan = plan_new(records, disk);
    g_autoptr(GPtrArray) candidates = candidates_of_prune(plan, prune, now_us);
    g_autofree char *rule = prune_text(prune);
    const bool has_spaces =
        prune->reserved.is_set || prune->max_used.is_set || prune->min_free.is_set;
    struct goal goal = goal_of(prune, disk);

    goal.rule = rule;
    for (guint i = 0; i < plan->n_entries; i++) {
        if (is_meant(prune, plan->entries[i].record, now_us))
            plan->used += plan->entries[i].record->disk_bytes;
    }
    if (!has_spaces) { /* also what takes no room */
        goal.min_free = G_MAXUINT64;
        plan->used = G_MAXUINT64 / 2;
    }
    shrink(plan, candidates, &goal);
    *ret_removals = plan_finish(plan);
}

struct cob_error *cob_gc_disk_of(struct cob_store *store, struct cob_gc_disk *ret_disk)
{
    struct statvfs fs;

    if (fstatvfs(cob_store_root_fd(store), &fs) < 0)
        return cob_fail_errno(errno, "look at the disk of %s", cob_store_path(store));
    *ret_disk = (struct cob_gc_disk){.total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
        .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize};
    return NULL;
}
