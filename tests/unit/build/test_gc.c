/* SPDX-License-Identifier: Apache-2.0 */
/* Policy, filters and plans: no disk is touched. */
#include <string.h>

#include "build/gc/gc.h"
#include "check.h"
#include "util/limits.h"

#define HOUR_US (3600 * (int64_t)G_USEC_PER_SEC)
#define NOW_US (1000000 * HOUR_US)

/* A record of a world; sizes are in MiB, ages in hours. */
struct row {
    enum cob_gc_class class;
    const char *id, *parent;
    unsigned mib, age_h, n_uses;
    const char *flags; /* u: in use, p: pinned; NULL */
    const char *group;
    unsigned linked_mib;
};

static GPtrArray *records_of(const struct row *rows)
{
    static const enum cob_gc_kind kinds[] = {
        COB_GC_BLOB, COB_GC_GIT_MIRROR, COB_GC_SNAPSHOT, COB_GC_CACHE_MOUNT, COB_GC_QUARANTINE};
    GPtrArray *records =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_gc_record_free);
    g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);

    for (; rows->id; rows++) {
        struct cob_gc_record *record = g_new(struct cob_gc_record, 1);
        bool pays = !rows->group || g_hash_table_add(groups, (void *)(uintptr_t)rows->group);

        *record = (struct cob_gc_record){.class = rows->class,
            .kind = kinds[rows->class],
            .id = g_strdup(rows->id),
            .name = g_strdup(rows->id),
            .parent = g_strdup(rows->parent),
            .description = g_strdup(rows->id),
            .type = rows->class == COB_GC_CACHE_MOUNTS ? "exec.cachemount" : "regular",
            .group = g_strdup(rows->group),
            .size_bytes = rows->mib * COB_MIB,
            .disk_bytes = (rows->mib - (pays ? 0 : rows->linked_mib)) * COB_MIB,
            .linked_bytes = rows->linked_mib * COB_MIB,
            .created_us = NOW_US - rows->age_h * HOUR_US,
            .last_used_us = NOW_US - rows->age_h * HOUR_US,
            .n_uses = rows->n_uses,
            .is_mutable = rows->class == COB_GC_CACHE_MOUNTS,
            .is_in_use = rows->flags && strchr(rows->flags, 'u'),
            .is_pinned = rows->flags && strchr(rows->flags, 'p')};
        g_ptr_array_add(records, record);
    }
    return records;
}

/* "a b c": what goes, in its order. */
static char *names_of(const GPtrArray *removals)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < removals->len; i++) {
        const struct cob_gc_removal *removal = removals->pdata[i];

        g_string_append_printf(names, "%s%s", i ? " " : "", removal->record->id);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static const struct row world[] = {
    {COB_GC_BLOBS, "b1", NULL, 10, 1, 0, NULL, NULL, 0},
    {COB_GC_BLOBS, "b2", NULL, 10, 2, 0, "u", NULL, 0},
    {COB_GC_SOURCES, "s1", NULL, 20, 100, 1, NULL, NULL, 0},
    {COB_GC_SOURCES, "s2", NULL, 20, 5, 1, NULL, NULL, 0},
    {COB_GC_LAYERS, "base", NULL, 50, 1, 9, "u", NULL, 0},
    {COB_GC_LAYERS, "l1", "base", 30, 50, 2, NULL, NULL, 0},
    {COB_GC_LAYERS, "l2", "l1", 30, 50, 2, NULL, NULL, 0},
    {COB_GC_LAYERS, "l3", "base", 30, 3, 1, NULL, NULL, 0},
    {COB_GC_CACHE_MOUNTS, "m1", NULL, 40, 200, 3, NULL, NULL, 0},
    {COB_GC_CACHE_MOUNTS, "m2", NULL, 40, 300, 3, "p", NULL, 0},
    {COB_GC_CACHE_MOUNTS, "m3", NULL, 40, 10, 30, NULL, NULL, 0},
    {COB_GC_INTERNAL, "q", NULL, 5, 10, 0, NULL, NULL, 0},
    {0},
};

/* What cob.toml says, what is free, and what goes. A class that is not named has no limit. */
static const struct {
    const char *toml;
    unsigned free_mib;
    const char *wanted;
} policy_rows[] = {
    {"", 500, ""},
    {"[layers]\nmax-used-space = '140MB'", 500, ""},
    {"[layers]\nmax-used-space = '139MB'", 500, "l2"},
    {"[layers]\nmax-used-space = '90MB'", 500, "l2 l1"},
    {"[layers]\nmax-used-space = '1MB'", 500, "l2 l1 l3"},
    {"[layers]\nmax-used-space = '1MB'\nreserved-space = '100MB'", 500, "l2 l1"},
    {"[layers]\nkeep-duration = '24h'", 500, "l2 l1"},
    {"[layers]\nkeep-duration = '51h'", 500, ""},
    {"[layers]\nkeep-duration = '1h'\nreserved-space = '120MB'", 500, "l2"},
    {"[layers]\nmin-free-space = '500MB'", 500, ""},
    {"[layers]\nmin-free-space = '520MB'", 500, "l2"},
    {"[layers]\nmin-free-space = '52%'", 500, "l2"},
    {"[sources]\nmin-free-space = '530MB'\n[layers]\nmin-free-space = '530MB'", 500, "s1 s2"},
    {"[sources]\nmin-free-space = '550MB'\n[layers]\nmin-free-space = '550MB'", 500, "s1 s2 l2"},
    {"[cache-mounts]\nmax-used-space = '100MB'", 500, "m1"},
    {"[cache-mounts]\nmax-used-space = '1MB'", 500, "m1 m3"},
    /* many layers never cost a cache mount */
    {"[layers]\nmax-used-space = '1MB'\n[cache-mounts]\nmax-used-space = '120MB'", 500, "l2 l1 l3"},
    {"[blobs]\nmax-used-space = '1MB'", 500, "b1"},
};

static struct cob_gc_policy policy_of(const char *toml)
{
    struct cob_gc_policy policy = {0};
    g_autofree char *with_gc = NULL;
    g_auto(GStrv) parts = g_strsplit(toml, "[", -1);
    g_autofree char *joined = g_strjoinv("[gc.", parts);

    with_gc = g_strdup(joined);
    g_autoptr(GBytes) bytes = g_bytes_new(with_gc, strlen(with_gc));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("cob.toml", bytes);
    CHECK_OK(cob_gc_policy_parse(file, &policy));
    return policy;
}

static void test_policy_table(void)
{
    g_autoptr(GPtrArray) records = records_of(world);

    for (size_t i = 0; i < G_N_ELEMENTS(policy_rows); i++) {
        const struct cob_gc_policy policy = policy_of(policy_rows[i].toml);
        const struct cob_gc_disk disk = {1000 * COB_MIB, policy_rows[i].free_mib * COB_MIB};
        g_autoptr(GPtrArray) removals = NULL;

        cob_gc_plan_policy(records, &policy, &disk, NOW_US, &removals);
        g_autofree char *got = names_of(removals);
        check_row(strcmp(got, policy_rows[i].wanted) == 0, i, policy_rows[i].toml);
        g_assert_cmpstr(got, ==, policy_rows[i].wanted);
    }
}

/* The rule says which limit it was, in the words of cob.toml. */
static void test_rule_text(void)
{
    static const struct {
        const char *toml, *wanted;
    } rows[] = {
        {"[layers]\nmax-used-space = '139MB'", "max-used-space 139MB of layers"},
        {"[layers]\nkeep-duration = '24h'", "keep-duration 1d of layers"},
        {"[cache-mounts]\nmin-free-space = '90%'", "min-free-space 90% of cache-mounts"},
    };
    g_autoptr(GPtrArray) records = records_of(world);
    const struct cob_gc_disk disk = {1000 * COB_MIB, 500 * COB_MIB};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct cob_gc_policy policy = policy_of(rows[i].toml);
        g_autoptr(GPtrArray) removals = NULL;

        cob_gc_plan_policy(records, &policy, &disk, NOW_US, &removals);
        g_assert_cmpuint(removals->len, >, 0);
        g_assert_cmpstr(((struct cob_gc_removal *)removals->pdata[0])->rule, ==, rows[i].wanted);
    }
}

/* --- prune --- */

static const struct {
    const char *filter; /* NULL: none */
    const char *reserved, *max_used, *min_free;
    bool is_all;
    const char *wanted;
} prune_rows[] = {
    {NULL, NULL, NULL, NULL, false, "b1 s1 s2 l2 l1 l3 m1 m3"},
    {NULL, NULL, NULL, NULL, true, "b1 s1 s2 l2 l1 l3 m1 m3 q"},
    {"type=exec.cachemount", NULL, NULL, NULL, false, "m1 m3"},
    {"until=60h", NULL, NULL, NULL, false, "s1 m1"},
    {"id=l", NULL, NULL, NULL, false, "l2 l1 l3"},
    {"id=l1", NULL, NULL, NULL, false, ""}, /* something stands on it */
    {"mutable", NULL, NULL, NULL, false, "m1 m3"},
    {"mutable=false", NULL, NULL, NULL, false, "b1 s1 s2 l2 l1 l3"},
    {"immutable", NULL, NULL, NULL, false, "b1 s1 s2 l2 l1 l3"},
    {"inuse", NULL, NULL, NULL, false, ""},
    {"description!=s1", NULL, "1MB", NULL, false, "b1 s2 l2 l1 l3 m1 m3"},
    /* 320 MiB in all, without what is internal */
    {NULL, NULL, "320MB", NULL, false, ""},
    {NULL, NULL, "310MB", NULL, false, "b1"},
    {NULL, NULL, "250MB", NULL, false, "b1 s1 s2 l2"},
    {NULL, "300MB", "250MB", NULL, false, "b1 s1"},
    {NULL, "290MB", NULL, NULL, false, "b1 s1"},
    {NULL, NULL, NULL, "500MB", false, ""},
    {NULL, NULL, NULL, "505MB", false, "b1"},
    {NULL, "310MB", NULL, "600MB", false, "b1"},
    /* a space with a filter counts what the filter lets through, and that alone */
    {"type=exec.cachemount", NULL, "80MB", NULL, false, "m1"},
    {"type=exec.cachemount", NULL, "120MB", NULL, false, ""},
};

static void set_space(struct cob_gc_space *space, const char *text)
{
    if (text)
        CHECK_OK(cob_gc_space_parse(text, space));
}

static void test_prune_table(void)
{
    g_autoptr(GPtrArray) records = records_of(world);
    const struct cob_gc_disk disk = {1000 * COB_MIB, 500 * COB_MIB};

    for (size_t i = 0; i < G_N_ELEMENTS(prune_rows); i++) {
        const char *const filters[] = {prune_rows[i].filter, NULL};
        g_autoptr(cob_gc_filter) filter = NULL;
        g_autoptr(GPtrArray) removals = NULL;
        struct cob_gc_prune prune = {.is_all = prune_rows[i].is_all};

        CHECK_OK(cob_gc_filter_parse(filters, &filter));
        prune.filter = filter;
        set_space(&prune.reserved, prune_rows[i].reserved);
        set_space(&prune.max_used, prune_rows[i].max_used);
        set_space(&prune.min_free, prune_rows[i].min_free);
        cob_gc_plan_prune(records, &prune, &disk, NOW_US, &removals);
        g_autofree char *got = names_of(removals);
        check_row(strcmp(got, prune_rows[i].wanted) == 0, i, got);
    }
}

/* Files that two snapshots share are freed by the second one. */
static void test_groups(void)
{
    static const struct row rows[] = {
        {COB_GC_LAYERS, "first", NULL, 100, 9, 1, NULL, "g", 90},
        {COB_GC_LAYERS, "second", NULL, 100, 5, 1, NULL, "g", 90},
        {COB_GC_LAYERS, "third", NULL, 100, 1, 1, NULL, "g", 90},
        {0},
    };
    g_autoptr(GPtrArray) records = records_of(rows);
    const struct cob_gc_disk disk = {1000 * COB_MIB, 500 * COB_MIB};
    const struct cob_gc_prune prune = {0};
    static const unsigned wanted[] = {10, 10, 100};
    g_autoptr(GPtrArray) removals = NULL;

    cob_gc_plan_prune(records, &prune, &disk, NOW_US, &removals);
    g_assert_cmpuint(removals->len, ==, G_N_ELEMENTS(wanted));
    for (guint i = 0; i < removals->len; i++) {
        const struct cob_gc_removal *removal = removals->pdata[i];

        g_assert_cmpuint(removal->freed_bytes / COB_MIB, ==, wanted[i]);
    }
}

/* A chain of 2,000: the leaves first, each once, and soon. */
static void test_long_chain(void)
{
    enum { N = 2000 };
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autofree struct row *rows = g_new0(struct row, N + 1);
    const struct cob_gc_disk disk = {1000 * COB_MIB, 500 * COB_MIB};
    const struct cob_gc_prune prune = {0};
    g_autoptr(GPtrArray) removals = NULL;

    for (unsigned i = 0; i < N; i++) {
        g_ptr_array_add(ids, g_strdup_printf("n%04u", i));
        rows[i] = (struct row){.class = COB_GC_LAYERS,
            .id = ids->pdata[i],
            .parent = i ? ids->pdata[i - 1] : NULL,
            .mib = 1,
            .age_h = N - i};
    }
    g_autoptr(GPtrArray) records = records_of(rows);
    cob_gc_plan_prune(records, &prune, &disk, NOW_US, &removals);
    g_assert_cmpuint(removals->len, ==, N);
    for (guint i = 0; i < removals->len; i++) {
        const struct cob_gc_removal *removal = removals->pdata[i];

        check_row(strcmp(removal->record->id, ids->pdata[N - 1 - i]) == 0, i, removal->record->id);
    }
}

/* --- words --- */

static void test_words(void)
{
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } durations[] = {
        {"24h", 24 * HOUR_US},
        {"1h30m", 3 * HOUR_US / 2},
        {"60d", 60 * 24 * HOUR_US},
        {"1.5s", 1500000},
        {"250ms", 250000},
        {"0", 0},
        {"", -1},
        {"h", -1},
        {"10", -1},
        {"-1h", -1},
        {"1 h", -1},
        {"1w", -1},
        {"99999999999999999999999d", -1},
    };
    static const struct {
        const char *text;
        uint64_t bytes;
        unsigned percent;
        bool is_good;
    } spaces[] = {
        {"10GB", 10 * COB_GIB, 0, true},
        {"512MiB", 512 * COB_MIB, 0, true},
        {"1000", 1000, 0, true},
        {"0", 0, 0, true},
        {"20%", 0, 20, true},
        {"100%", 0, 100, true},
        {"101%", 0, 0, false},
        {"%", 0, 0, false},
        {"-5GB", 0, 0, false},
        {"ten", 0, 0, false},
        {"99999999999999999TB", 0, 0, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(durations); i++) {
        int64_t us = -1;
        g_autoptr(cob_error) err = cob_gc_duration_parse(durations[i].text, &us);

        (void)err;
        check_row(us == durations[i].us, i, durations[i].text);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(spaces); i++) {
        struct cob_gc_space space = {0};
        g_autoptr(cob_error) err = cob_gc_space_parse(spaces[i].text, &space);

        check_row(!err == spaces[i].is_good && space.bytes == spaces[i].bytes &&
                      space.percent == spaces[i].percent,
            i, spaces[i].text);
    }
}

static void test_filter_errors(void)
{
    static const struct {
        const char *one, *two, *error;
    } rows[] = {
        {"unti=1h", NULL, "*did you mean until?*"},
        {"until=5", NULL, "*\"until\" filter expects a duration (e.g., '24h')*"},
        {"until", NULL, "*\"until\" filter expects a duration*"},
        {"until=1h", "unused-for=1h", "conflicting filters \"until\" and \"unused-for\""},
        {"id=a", "id=b", "*\"id\" filter expects only one value"},
        {"id~=(a|b)", NULL, "*a pattern with*"},
        {"id~=a*b*c*d*e*", NULL, "*a pattern has up to 4 *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const texts[] = {rows[i].one, rows[i].two, NULL};
        g_autoptr(cob_gc_filter) filter = NULL;
        struct cob_error *err = cob_gc_filter_parse(texts, &filter);
        g_autofree char *message = err ? cob_error_message(err) : g_strdup("");

        check_row(g_pattern_match_simple(rows[i].error, message), i, message);
        cob_error_free(err);
    }
}

static void test_patterns(void)
{
    static const struct {
        const char *filter;
        bool is_match;
    } rows[] = {
        {"description~=make", true},
        {"description~=^.2/6", false},
        {"description~=^.builder 2/6", true},
        {"description~=make$", true},
        {"description~=RUN.*ke$", true},
        {"description~=^RUN", false},
        {"description~=", true},
        {"description!=x", true},
        {"description==[builder 2/6] RUN make", true},
        {"description=[builder 2/6] RUN mak", false},
        {"parents=p", true},
        {"parents!=p", false},
        {"namespace=n", false},
        {"mount", false},
        {"shared=false", true},
        {"private", true},
        {"private=true", true},
    };
    const struct cob_gc_record record = {.id = (char *)(uintptr_t) "7x",
        .parent = (char *)(uintptr_t) "p",
        .type = "regular",
        .description = (char *)(uintptr_t) "[builder 2/6] RUN make"};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const texts[] = {rows[i].filter, NULL};
        g_autoptr(cob_gc_filter) filter = NULL;

        CHECK_OK(cob_gc_filter_parse(texts, &filter));
        check_row(
            cob_gc_filter_match(filter, &record, NOW_US) == rows[i].is_match, i, rows[i].filter);
    }
}

static void test_policy_errors(void)
{
    static const struct {
        const char *text;
        int32_t line;
        const char *error;
    } rows[] = {
        {"[gc]\nenabeld = true", 2, "*did you mean enabled?*"},
        {"[gc]\nenabled = 'yes'", 2, "*expected true or false, not a string"},
        {"[gc.layers]\nmax-used-space = true", 2, "*expected an amount of disk space*"},
        {"[gc.layers]\n\nmax-used-space = '10XB'", 3, "*\"10XB\" is no amount of disk space*"},
        {"[gc.layers]\nkeep-duration = 'long'", 2, "*is no duration*"},
        {"[gc.layers]\nmax-used = 1", 2, "*there are keep-duration, reserved-space*"},
        {"[gc]\nlayers = 5", 2, "*expected a table, not an integer"},
        {"gc = 1", 1, "*expected a table*"},
        {"[worker]", 1, "*it is not known*"},
        {"[gc]\nx = ", 2, "*a value is missing"},
        {"[gc.layers]\nreserved-space = -1", 2, "*expected an amount*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) bytes = g_bytes_new(rows[i].text, strlen(rows[i].text));
        g_autoptr(cob_srcfile) file = cob_srcfile_new("cob.toml", bytes);
        struct cob_gc_policy policy = cob_gc_policy_default();
        struct cob_error *err = cob_gc_policy_parse(file, &policy);
        g_autofree char *message = err ? cob_error_message(err) : g_strdup("");

        check_row(g_pattern_match_simple(rows[i].error, message), i, message);
        check_row(err && cob_error_range(err).first_line == rows[i].line, i, rows[i].text);
        g_assert_true(policy.is_enabled);
        cob_error_free(err);
    }
}

/* All classes together: what BuildKit has for all of its cache. */
static void test_standard(void)
{
    const struct cob_gc_policy policy = cob_gc_policy_default();
    uint64_t reserved = 0, max_used = 0;
    unsigned reserved_percent = 0, max_percent = 0;

    for (int class = 0; class < COB_GC_N_BUDGETS; class ++) {
        reserved += policy.budgets[class].reserved.bytes;
        max_used += policy.budgets[class].max_used.bytes;
        reserved_percent += policy.budgets[class].reserved.percent;
        max_percent += policy.budgets[class].max_used.percent;
    }
    g_assert_cmpuint(reserved, ==, 10 * COB_GIB);
    g_assert_cmpuint(max_used, ==, 100 * COB_GIB);
    g_assert_cmpuint(reserved_percent, ==, 10);
    g_assert_cmpuint(max_percent, ==, 80);
    g_assert_cmpint(policy.budgets[COB_GC_CACHE_MOUNTS].keep_us, ==, 0);
    g_assert_cmpuint(policy.budgets[COB_GC_CACHE_MOUNTS].min_free.percent, ==, 0);
    g_assert_cmpuint(policy.budgets[COB_GC_CACHE_MOUNTS].min_free.bytes, ==, 0);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/gc/policy", test_policy_table);
    g_test_add_func("/gc/rule-text", test_rule_text);
    g_test_add_func("/gc/prune", test_prune_table);
    g_test_add_func("/gc/groups", test_groups);
    g_test_add_func("/gc/long-chain", test_long_chain);
    g_test_add_func("/gc/words", test_words);
    g_test_add_func("/gc/filter-errors", test_filter_errors);
    g_test_add_func("/gc/patterns", test_patterns);
    g_test_add_func("/gc/policy-errors", test_policy_errors);
    g_test_add_func("/gc/standard", test_standard);
    return g_test_run();
}
