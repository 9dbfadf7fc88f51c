/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches elsewhere, as the solver sees them: one world builds, and what became of it is all that a
 * second, empty world has.
 */
#include <string.h>

#include "build/solver/solver.h"
#include "check.h"
#include "solver_world.h"

#define MAX_INPUTS 4

/* What the first world gave for a vertex. */
struct far_record {
    char *op, *name;
    size_t n_inputs;
    int links[MAX_INPUTS];      /* -1: none */
    char *contents[MAX_INPUTS]; /* NULL: not known */
    char *files;                /* NULL: it has no result */
    bool is_lying;              /* its result cannot be had */
    bool is_given_up;
};

struct far {
    GPtrArray *records; /* struct far_record, owned */
    GMutex lock;        /* guards fetched */
    GPtrArray *fetched; /* names, owned */
};

static void record_free(void *data)
{
    struct far_record *record = data;

    for (size_t i = 0; i < MAX_INPUTS; i++)
        g_free(record->contents[i]);
    g_free(record->op);
    g_free(record->name);
    g_free(record->files);
    g_free(record);
}

/* A keyless vertex keeps its place, so that numbers hold; nobody can ask for it. */
static void remember(void *arg, const struct cob_solver_outcome *outcomes, size_t n)
{
    struct far *far = arg;

    for (size_t i = 0; i < n; i++) {
        const struct cob_solver_outcome *one = &outcomes[i];
        struct far_record *record = g_new0(struct far_record, 1);

        record->op = g_strdup(one->op ? one->op : "");
        record->name = g_strdup(one->vertex->name);
        record->n_inputs = one->vertex->inputs->len;
        record->files = one->op && one->result ? g_strdup(one->result->data) : NULL;
        for (size_t j = 0; j < record->n_inputs; j++) {
            record->links[j] = g_array_index(one->vertex->inputs, struct cob_llb_ref, j).vertex;
            record->contents[j] = g_strdup(one->contents[j]);
        }
        g_ptr_array_add(far->records, record);
    }
}

static bool has(const GArray *numbers, int number)
{
    for (guint i = 0; numbers && i < numbers->len; i++)
        if (g_array_index(numbers, guint, i) == (guint)number)
            return true;
    return false;
}

static bool is_one(const struct far_record *record, const struct cob_solver_step *step)
{
    bool is_equal = strcmp(record->op, step->op) == 0 && record->n_inputs == step->n_inputs;

    for (size_t i = 0; is_equal && i < step->n_inputs; i++)
        is_equal =
            has(step->inputs[i].records, record->links[i]) ||
            (record->contents[i] && g_strcmp0(record->contents[i], step->inputs[i].content) == 0);
    return is_equal;
}

static struct cob_error *match(void *arg, const struct cob_solver_step *step, GArray **ret_records)
{
    const struct far *far = arg;

    for (guint i = 0; i < far->records->len; i++) {
        if (!is_one(g_ptr_array_index(far->records, i), step))
            continue;
        if (!*ret_records)
            *ret_records = g_array_new(FALSE, FALSE, sizeof(guint));
        g_array_append_val(*ret_records, i);
    }
    return NULL;
}

static void no_release(void *record)
{
    (void)record;
}

static struct cob_error *find(
    void *arg, const GArray *records, struct cob_solver_result **ret_result, bool *ret_is_here)
{
    const struct far *far = arg;

    *ret_is_here = false;
    for (guint i = 0; i < records->len && !*ret_result; i++) {
        struct far_record *record =
            g_ptr_array_index(far->records, g_array_index(records, guint, i));

        if (record->files && !record->is_given_up)
            *ret_result = cob_solver_result_new("far away", record, no_release);
    }
    return NULL;
}

static struct cob_error *fetch(void *arg, const struct cob_llb_vertex *vertex,
    struct cob_solver_result *there, struct cob_cancel *cancel,
    struct cob_solver_result **ret_result)
{
    struct far *far = arg;
    struct far_record *record = there->data;

    COB_TRY(cob_cancel_check(cancel));
    g_assert_cmpstr(record->name, ==, vertex->name);
    record->is_given_up = record->is_lying;
    if (record->is_lying)
        return NULL;
    g_mutex_lock(&far->lock);
    g_ptr_array_add(far->fetched, g_strdup(record->name));
    g_mutex_unlock(&far->lock);
    *ret_result = cob_solver_result_new(record->name, g_strdup(record->files), g_free);
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;

    return strcmp(*left, *right);
}

/* Names, sorted, with blanks between. The caller frees it. */
static char *take_fetched(struct far *far)
{
    g_ptr_array_sort(far->fetched, compare_names);
    g_ptr_array_add(far->fetched, NULL);
    char *text = g_strjoinv(" ", (char **)far->fetched->pdata);
    g_ptr_array_set_size(far->fetched, 0);
    return text;
}

/* The first world's build; names of vertices whose results are kept or lied about.
 * without, lying: names between blanks, or NULL. */
static void far_init(
    struct far *far, const struct node *nodes, const char *without, const char *lying)
{
    struct world world;

    *far = (struct far){.records = g_ptr_array_new_with_free_func(record_free),
        .fetched = g_ptr_array_new_with_free_func(g_free)};
    g_mutex_init(&far->lock);
    world_init(&world);
    world.ended = remember;
    world.ended_arg = far;
    g_free(world_solve(&world, nodes));
    world_done(&world);
    for (guint i = 0; i < far->records->len; i++) {
        struct far_record *record = g_ptr_array_index(far->records, i);

        record->is_lying = lying && strstr(lying, record->name);
        if (without && strstr(without, record->name))
            g_clear_pointer(&record->files, g_free);
    }
}

static void far_done(struct far *far)
{
    g_ptr_array_unref(far->records);
    g_ptr_array_unref(far->fetched);
    g_mutex_clear(&far->lock);
}

/* clang-format off */
#define NODES(...) ((const struct node[]){__VA_ARGS__, {.name = NULL}})
/* clang-format on */
#define RUN_ON_MAKE(text, gives, more)                                                             \
    NODES({.name = "base"},                                                                        \
        {.name = "make", .inputs = "0", .version = (text), .files = (gives), .flags = (more)},     \
        {.name = "run", .inputs = "1"})
#define COPY_OF_MAKE(text, gives, more)                                                            \
    NODES({.name = "base"},                                                                        \
        {.name = "make", .inputs = "0", .version = (text), .files = (gives), .flags = (more)},     \
        {.name = "copy", .inputs = "01", .flags = NODE_BY_CONTENT},                                \
        {.name = "after", .inputs = "2"})
#define COPY_OF_CONTEXT(gives)                                                                     \
    NODES({.name = "base"}, {.name = "context", .files = (gives), .flags = NODE_KEYLESS},          \
        {.name = "copy", .inputs = "01", .flags = NODE_BY_CONTENT},                                \
        {.name = "after", .inputs = "2"})

static void test_second_world(void)
{
    const struct {
        const char *name;
        const struct node *first, *second;
        const char *without, *lying; /* of the first world's results */
        const char *want_runs, *want_fetched;
    } rows[] = {
        {"all is known: the result alone is fetched", RUN_ON_MAKE("1", "x", 0),
            RUN_ON_MAKE("1", "x", 0), NULL, NULL, "", "run"},
        {"another command: what it stands on is fetched", RUN_ON_MAKE("1", "x", 0),
            RUN_ON_MAKE("2", "x", 0), NULL, NULL, "make run", "base"},
        {"equal files of another step: what follows is found, too", COPY_OF_MAKE("1", "x", 0),
            COPY_OF_MAKE("2", "x", 0), NULL, NULL, "make", "after base"},
        {"other files of another step are not equal", COPY_OF_MAKE("1", "x", 0),
            COPY_OF_MAKE("2", "y", 0), NULL, NULL, "after copy make", "base"},
        {"an equal context", COPY_OF_CONTEXT("x"), COPY_OF_CONTEXT("x"), NULL, NULL, "context",
            "after"},
        {"another context", COPY_OF_CONTEXT("x"), COPY_OF_CONTEXT("y"), NULL, NULL,
            "after context copy", "base"},
        {"records without results lead on", COPY_OF_MAKE("1", "x", 0), COPY_OF_MAKE("1", "x", 0),
            "base make copy", NULL, "", "after"},
        {"without its result a step runs on what is fetched", COPY_OF_MAKE("1", "x", 0),
            COPY_OF_MAKE("1", "x", 0), "after", NULL, "after", "copy"},
        {"files are looked at only when links do not do", COPY_OF_MAKE("1", "x", 0),
            COPY_OF_MAKE("1", "x", 0), "make after", NULL, "after", "copy"},
        {"a step that ignores the cache runs", RUN_ON_MAKE("1", "x", 0),
            RUN_ON_MAKE("1", "x", NODE_NO_CACHE), NULL, NULL, "make run", "base"},
        {"what takes equal files from one that ignores the cache hits", COPY_OF_MAKE("1", "x", 0),
            COPY_OF_MAKE("1", "x", NODE_NO_CACHE), NULL, NULL, "make", "after base"},
        {"a lie about the result: its step runs", RUN_ON_MAKE("1", "x", 0),
            RUN_ON_MAKE("1", "x", 0), NULL, "run", "run", "make"},
        {"lies on the way: what stands before them is used", RUN_ON_MAKE("1", "x", 0),
            RUN_ON_MAKE("1", "x", 0), NULL, "run make", "make run", "base"},
        {"nothing but lies: all of it runs", COPY_OF_MAKE("1", "x", 0), COPY_OF_MAKE("1", "x", 0),
            NULL, "base make copy after", "after base copy make", ""},
        {"a lie about what files are taken from", COPY_OF_MAKE("1", "x", 0),
            COPY_OF_MAKE("1", "x", 0), "copy after", "make", "after copy make", "base"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct world world;
        struct far far;

        far_init(&far, rows[i].first, rows[i].without, rows[i].lying);
        const struct cob_solver_elsewhere elsewhere = {
            .arg = &far, .match = match, .find = find, .fetch = fetch};
        world_init(&world);
        world.elsewhere = &elsewhere;
        g_autofree char *runs = world_solve(&world, rows[i].second);
        g_autofree char *fetched = take_fetched(&far);
        g_assert_cmpstr(runs, ==, rows[i].want_runs);
        g_assert_cmpstr(fetched, ==, rows[i].want_fetched);
        check_row(!g_strcmp0(runs, rows[i].want_runs) && !g_strcmp0(fetched, rows[i].want_fetched),
            i, rows[i].name);
        world_done(&world);
        far_done(&far);
    }
}

/* What was fetched is recorded as any result is: the next build asks nobody. */
static void test_next_build_asks_nobody(void)
{
    struct world world;
    struct far far;

    far_init(&far, RUN_ON_MAKE("1", "x", 0), NULL, NULL);
    const struct cob_solver_elsewhere elsewhere = {
        .arg = &far, .match = match, .find = find, .fetch = fetch};
    world_init(&world);
    world.elsewhere = &elsewhere;
    g_free(world_solve(&world, RUN_ON_MAKE("1", "x", 0)));
    world.elsewhere = NULL;
    g_autofree char *runs = world_solve(&world, RUN_ON_MAKE("1", "x", 0));
    g_assert_cmpstr(runs, ==, "");
    world_done(&world);
    far_done(&far);
}

/* A hit tells its end once, also when its layers had to come. */
static void test_fetched_is_told_once(void)
{
    static const char *const names[] = {"base", "make", "run"};
    struct world world;
    struct far far;

    far_init(&far, RUN_ON_MAKE("1", "x", 0), NULL, NULL);
    const struct cob_solver_elsewhere elsewhere = {
        .arg = &far, .match = match, .find = find, .fetch = fetch};
    world_init(&world);
    world.elsewhere = &elsewhere;
    g_free(world_solve(&world, RUN_ON_MAKE("1", "x", 0)));
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const struct told *told = world_told(&world, names[i]);

        g_assert_cmpint(told->n_ended, ==, 1);
        g_assert_cmpint(told->n_cached, ==, 1);
    }
    world_done(&world);
    far_done(&far);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/elsewhere/second-world", test_second_world);
    g_test_add_func("/elsewhere/next-build-asks-nobody", test_next_build_asks_nobody);
    g_test_add_func("/elsewhere/fetched-is-told-once", test_fetched_is_told_once);
    return g_test_run();
}
