/* SPDX-License-Identifier: Apache-2.0 */
#include "build/solver/solver.h"

#include <poll.h>
#include <string.h>

#include "check.h"
#include "solver_world.h"

/* --- keys: a history of builds, and what each of them runs --- */

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

static void test_history(void)
{
    const struct {
        const char *name;
        const struct node *builds[3];
        const char *want[3]; /* what each runs */
    } rows[] = {
        {"the same again runs nothing", {RUN_ON_MAKE(NULL, NULL, 0), RUN_ON_MAKE(NULL, NULL, 0)},
            {"base make run", ""}},
        {"another command runs all that stands on it",
            {RUN_ON_MAKE("1", "x", 0), RUN_ON_MAKE("2", "x", 0), RUN_ON_MAKE("1", "x", 0)},
            {"base make run", "make run", ""}},
        {"equal files of another step are the same to COPY",
            {COPY_OF_MAKE("1", "x", 0), COPY_OF_MAKE("2", "x", 0), COPY_OF_MAKE("2", "x", 0)},
            {"after base copy make", "make", ""}},
        {"other files of another step are not",
            {COPY_OF_MAKE("1", "x", 0), COPY_OF_MAKE("2", "y", 0), COPY_OF_MAKE("1", "x", 0)},
            {"after base copy make", "after copy make", ""}},
        {"a step that ignores the cache runs, with what stands on its new result",
            {RUN_ON_MAKE(NULL, "x", 0), RUN_ON_MAKE(NULL, "x", NODE_NO_CACHE),
                RUN_ON_MAKE(NULL, "x", 0)},
            {"base make run", "make run", ""}},
        {"what takes equal files from a step that ignores the cache hits",
            {COPY_OF_MAKE(NULL, "x", 0), COPY_OF_MAKE(NULL, "x", NODE_NO_CACHE),
                COPY_OF_MAKE(NULL, "x", 0)},
            {"after base copy make", "make", ""}},
        {"what takes other files from a step that ignores the cache does not",
            {COPY_OF_MAKE(NULL, "x", 0), COPY_OF_MAKE(NULL, "y", NODE_NO_CACHE),
                COPY_OF_MAKE(NULL, "y", 0)},
            {"after base copy make", "after copy make", ""}},
        {"a context is read in every build, and its files are part of the key",
            {COPY_OF_CONTEXT("x"), COPY_OF_CONTEXT("y"), COPY_OF_CONTEXT("x")},
            {"after base context copy", "after context copy", "context"}},
        {"equal vertices run once",
            {NODES({.name = "a"}, {.name = "b", .inputs = "0"}, {.name = "c", .inputs = "00"},
                {.name = "d", .inputs = "012"})},
            {"a b c d"}},
        {"what the result does not need is not run, but for contexts",
            {NODES({.name = "unused"}, {.name = "a"}, {.name = "b", .inputs = "1"})}, {"a b"}},
        {"scratch is an input like others",
            {NODES({.name = "copy", .inputs = "-"}), NODES({.name = "copy", .inputs = "-"}),
                NODES({.name = "copy", .inputs = ""})},
            {"copy", "", "copy"}},
        {"the order of inputs matters",
            {NODES({.name = "a"}, {.name = "b"}, {.name = "c", .inputs = "01"}),
                NODES({.name = "a"}, {.name = "b"}, {.name = "c", .inputs = "10"})},
            {"a b c", "c"}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct world world;

        world_init(&world);
        for (size_t build = 0; build < 3 && rows[i].builds[build]; build++) {
            g_autofree char *got = world_solve(&world, rows[i].builds[build]);

            g_assert_cmpstr(got, ==, rows[i].want[build]);
            check_row(g_strcmp0(got, rows[i].want[build]) == 0, i, rows[i].name);
        }
        world_done(&world);
    }
}

/* Of a chain that is there, only the last key is asked for. */
static void test_definition_hit_asks_once(void)
{
    struct world world;

    world_init(&world);
    g_free(world_solve(&world, RUN_ON_MAKE(NULL, NULL, 0)));
    g_free(world_solve(&world, RUN_ON_MAKE(NULL, NULL, 0)));
    g_assert_cmpint(world.n_lookups, ==, 1);
    g_assert_cmpstr(world.order->str, ==, "base make run ");
    world_done(&world);
}

/* What two steps take of a context is digested side by side; the second one's key waits for the
 * first one's all the same, or it would stand for any first step. */
static void test_keys_wait_for_their_inputs(void)
{
    static const char *const versions[] = {"1", "2"};
    struct world world;

    world_init(&world);
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        world.n_digested = 0;
        g_autofree char *got =
            world_solve(&world, NODES({.name = "context", .files = "x", .flags = NODE_KEYLESS},
                                    {.name = "first",
                                        .inputs = "0",
                                        .version = versions[i],
                                        .flags = NODE_LATE_CONTENT},
                                    {.name = "second", .inputs = "10"}));

        g_assert_cmpstr(got, ==, "context first second");
        check_row(g_strcmp0(got, "context first second") == 0, i, versions[i]);
    }
    world_done(&world);
}

/* --- what is told --- */

static void check_told_once(struct world *world, const char *name)
{
    const struct told *told = world_told(world, name);

    g_assert_cmpint(told->n_ended, ==, 1);
    check_row(told->n_ended == 1, 0, name);
}

static void test_each_is_told_once(void)
{
    static const char *const names[] = {"base", "make", "copy", "after"};
    const struct node *const builds[] = {COPY_OF_MAKE("1", "x", 0), COPY_OF_MAKE("1", "x", 0),
        COPY_OF_MAKE("2", "x", 0), COPY_OF_MAKE("3", "y", 0)};
    static const int want_cached[G_N_ELEMENTS(builds)] = {0, 4, 3, 1};
    struct world world;

    world_init(&world);
    for (size_t build = 0; build < G_N_ELEMENTS(builds); build++) {
        int n_cached = 0;

        g_free(world_solve(&world, builds[build]));
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
            check_told_once(&world, names[i]);
            n_cached += world_told(&world, names[i])->n_cached;
        }
        g_assert_cmpint(n_cached, ==, want_cached[build]);
    }
    world_done(&world);
}

/* --- several at a time --- */

#define N_SIDES 6

/* All sides are inside at once, or it times out. */
static struct cob_error *meet(struct world *world, struct cob_cancel *cancel)
{
    (void)cancel;
    world_add(world, &world->n_inside);
    if (!world_wait(world, &world->n_inside, N_SIDES))
        return cob_fail(COB_TIMEOUT, "the others do not come");
    return NULL;
}

static void test_independent_run_together(void)
{
    struct world world;

    world_init(&world);
    CHECK_OK(world_try(&world,
        NODES({.name = "a", .run = meet}, {.name = "b", .run = meet}, {.name = "c", .run = meet},
            {.name = "d", .run = meet}, {.name = "e", .run = meet}, {.name = "f", .run = meet},
            {.name = "end", .inputs = "012345"}),
        N_SIDES, NULL));
    g_assert_cmpint(world_runs(&world, "end"), ==, 1);
    world_done(&world);
}

static struct cob_error *be_alone(struct world *world, struct cob_cancel *cancel)
{
    (void)cancel;
    g_mutex_lock(&world->lock);
    int n_inside = ++world->n_inside;
    g_mutex_unlock(&world->lock);
    g_thread_yield();
    g_mutex_lock(&world->lock);
    world->n_inside--;
    g_mutex_unlock(&world->lock);
    return n_inside == 1 ? NULL : cob_fail(COB_INTERNAL, "not alone");
}

static void test_one_at_a_time(void)
{
    struct world world;

    world_init(&world);
    CHECK_OK(world_try(&world,
        NODES({.name = "a", .run = be_alone}, {.name = "b", .run = be_alone},
            {.name = "c", .run = be_alone}, {.name = "d", .run = be_alone},
            {.name = "end", .inputs = "0123", .run = be_alone}),
        1, NULL));
    world_done(&world);
}

/* A second solve of the same nodes, in a thread of its own. */
struct second {
    struct world *world;
    const struct node *nodes;
    struct cob_error *err;
};

static void *solve_second(void *data)
{
    struct second *second = data;

    second->err = world_try(second->world, second->nodes, 0, NULL);
    return NULL;
}

/* The first one inside waits until the other has been refused the lock. */
static struct cob_error *lead(struct world *world, struct cob_cancel *cancel)
{
    (void)cancel;
    if (!world_wait(world, &world->n_refused_locks, 1))
        return cob_fail(COB_TIMEOUT, "the other does not come");
    return NULL;
}

static void test_same_step_in_two_builds_runs_once(void)
{
    const struct node *nodes = NODES({.name = "a", .run = lead}, {.name = "b", .inputs = "0"});
    struct world world;
    struct second second = {.world = &world, .nodes = nodes};

    world_init(&world);
    GThread *thread = g_thread_new("second", solve_second, &second);
    CHECK_OK(world_try(&world, nodes, 0, NULL));
    g_thread_join(thread);
    CHECK_OK(second.err);
    g_assert_cmpint(world_runs(&world, "a"), ==, 1);
    g_assert_cmpint(world_told(&world, "a")->n_ended, ==, 2);
    g_assert_cmpint(world_told(&world, "a")->n_cached, ==, 1);
    world_done(&world);
}

static struct cob_error *lead_and_fail(struct world *world, struct cob_cancel *cancel)
{
    world_add(world, &world->n_inside);
    COB_TRY(lead(world, cancel));
    return world_runs(world, "a") == 1 ? cob_fail(COB_UNKNOWN, "the first one fails") : NULL;
}

static void test_failing_leader_leaves_the_step_to_the_other(void)
{
    const struct node *nodes = NODES({.name = "a", .run = lead_and_fail});
    struct world world;
    struct second second = {.world = &world, .nodes = nodes};

    world_init(&world);
    GThread *thread = g_thread_new("second", solve_second, &second);
    struct cob_error *err = world_try(&world, nodes, 0, NULL);
    g_thread_join(thread);
    g_assert_true((err == NULL) != (second.err == NULL));
    CHECK_ERROR(err ? err : second.err, COB_UNKNOWN, "*the first one fails");
    g_assert_cmpint(world_runs(&world, "a"), ==, 2);
    g_assert_cmpint(world_told(&world, "a")->n_ended, ==, 2);
    world_done(&world);
}

/* --- failures and wishes to stop --- */

/* The error has a text that ends like this, and quotes a line of the file. */
static void check_place(
    struct cob_error *err, enum cob_code code, const char *line, const char *end)
{
    g_autoptr(cob_error) owned = err;
    g_autofree char *text = err ? g_strchomp(cob_error_text(err)) : g_strdup("none");
    g_autofree char *glob = g_strdup_printf("*>>> %s\n*ERROR: %s", line, end);

    (void)owned;
    g_assert_cmpint(err ? (int)cob_error_code(err) : 0, ==, code);
    if (!g_pattern_match_simple(glob, text))
        g_assert_cmpstr(text, ==, glob);
}

static struct cob_error *wait_for_stop(struct world *world, struct cob_cancel *cancel)
{
    struct pollfd stop = {.fd = cob_cancel_fd(cancel), .events = POLLIN};

    world_add(world, &world->n_inside);
    if (poll(&stop, 1, 30000) != 1)
        return cob_fail(COB_TIMEOUT, "nobody stops it");
    return cob_cancel_check(cancel);
}

/* It ends well, but only after the wish to stop. */
static struct cob_error *finish_in_spite(struct world *world, struct cob_cancel *cancel)
{
    cob_error_free(wait_for_stop(world, cancel));
    return NULL;
}

static struct cob_error *fail_late(struct world *world, struct cob_cancel *cancel)
{
    (void)cancel;
    if (!world_wait(world, &world->n_inside, 2))
        return cob_fail(COB_TIMEOUT, "the others do not come");
    return cob_fail(COB_EXHAUSTED, "no space");
}

static void test_first_error_stops_the_others(void)
{
    static const char *const sides[] = {"patient", "slow", "bad"};
    const struct node *nodes =
        NODES({.name = "patient", .run = wait_for_stop}, {.name = "slow", .run = finish_in_spite},
            {.name = "bad", .run = fail_late}, {.name = "end", .inputs = "012"});
    struct world world;

    world_init(&world);
    check_place(world_try(&world, nodes, 4, NULL), COB_EXHAUSTED, "three", "no space");
    for (size_t i = 0; i < G_N_ELEMENTS(sides); i++)
        check_told_once(&world, sides[i]);
    g_assert_cmpstr(world_told(&world, "bad")->error, ==, "no space");
    g_assert_cmpstr(world_told(&world, "patient")->error, ==, "context canceled");
    g_assert_cmpstr(world_told(&world, "slow")->error, ==, NULL);
    g_assert_cmpint(world_told(&world, "end")->n_ended, ==, 0);
    world_done(&world);
}

struct stopper {
    struct world *world;
    struct cob_cancel *cancel;
};

static void *stop_when_inside(void *data)
{
    struct stopper *stopper = data;

    g_assert_true(world_wait(stopper->world, &stopper->world->n_inside, 1));
    cob_cancel_trigger(stopper->cancel);
    return NULL;
}

static void test_users_wish_to_stop(void)
{
    g_autoptr(cob_cancel) cancel = NULL;
    struct world world;

    world_init(&world);
    CHECK_OK(cob_cancel_new(&cancel));
    struct stopper stopper = {&world, cancel};
    GThread *thread = g_thread_new("stopper", stop_when_inside, &stopper);
    CHECK_ERROR(
        world_try(&world,
            NODES({.name = "a", .run = wait_for_stop}, {.name = "end", .inputs = "0"}), 0, cancel),
        COB_CANCELLED, "*");
    g_thread_join(thread);
    check_told_once(&world, "a");
    g_assert_cmpint(world_told(&world, "end")->n_started, ==, 0);

    /* and before anything began */
    CHECK_ERROR(world_try(&world, NODES({.name = "b"}), 0, cancel), COB_CANCELLED, "*");
    g_assert_cmpint(world_runs(&world, "b"), ==, 0);
    world_done(&world);
}

static void test_broken_tables(void)
{
    struct world world;

    world_init(&world);
    check_place(
        world_try(&world, NODES({.name = "a"}, {.name = "b", .version = "broken"}), 0, NULL),
        COB_UNIMPLEMENTED, "two", "b has no key");
    world.is_index_broken = true;
    CHECK_ERROR(
        world_try(&world, NODES({.name = "a"}), 0, NULL), COB_DATA_LOSS, "the index is broken");
    g_assert_cmpint(world_runs(&world, "a"), ==, 0);
    world_done(&world);
}

static void test_scratch_result(void)
{
    struct world world;
    struct cob_llb_graph *graph = world_graph(NULL, 0);

    world_init(&world);
    g_assert_cmpint(g_array_index(graph->results, struct cob_llb_ref, 0).vertex, ==, -1);
    CHECK_OK(world_try_graph(&world, graph, NULL, 0, NULL));
    world_graph_free(graph);
    world_done(&world);
}

/* --- several results --- */

/* A graph with results besides the last node. They end with -1; -2 is scratch. */
static struct cob_llb_graph *graph_of(const struct node *nodes, const int *results)
{
    size_t n = 0;

    while (nodes[n].name)
        n++;
    struct cob_llb_graph *graph = world_graph(nodes, n);
    for (; *results != -1; results++) {
        const struct cob_llb_ref ref = {.vertex = *results == -2 ? -1 : *results};

        g_array_append_val(graph->results, ref);
    }
    return graph;
}

/* Both results come out, in their order; what both need runs once, also where one stands on the
 * other, or is asked for twice. */
static void test_what_results_share_runs_once(void)
{
    static const struct {
        const char *name;
        struct node nodes[5];
        int results[4];
    } rows[] = {
        {"a-base-of-two",
            {{.name = "base"}, {.name = "a", .inputs = "0"}, {.name = "b", .inputs = "0"}},
            {1, -1}},
        {"one-on-the-other", {{.name = "base"}, {.name = "a", .inputs = "0"}}, {0, -1}},
        {"twice-the-same", {{.name = "base"}, {.name = "a", .inputs = "0"}}, {1, 1, -1}},
        {"scratch-beside", {{.name = "base"}, {.name = "a", .inputs = "0"}}, {-2, -1}},
        {"nothing-in-common", {{.name = "base"}, {.name = "a"}}, {0, -1}},
        {"a-context",
            {{.name = "base", .files = "f", .flags = NODE_KEYLESS},
                {.name = "a", .inputs = "0", .flags = NODE_BY_CONTENT},
                {.name = "b", .inputs = "0", .flags = NODE_BY_CONTENT}},
            {1, -1}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cob_llb_graph *graph = graph_of(rows[i].nodes, rows[i].results);
        struct world world;

        world_init(&world);
        CHECK_OK(world_try_graph(&world, graph, rows[i].nodes, 0, NULL));
        for (const struct node *node = rows[i].nodes; node->name; node++) {
            check_row(world_runs(&world, node->name) == 1, i, rows[i].name);
            check_told_once(&world, node->name);
        }
        CHECK_OK(world_try_graph(&world, graph, rows[i].nodes, 0, NULL));
        check_row(world_runs(&world, "a") == 1, i, rows[i].name); /* the second time it is a hit */
        world_graph_free(graph);
        world_done(&world);
    }
}

/* The other result's step is told to stop, and its user is not begun. */
static void test_failing_result_stops_the_others(void)
{
    const struct node *nodes =
        NODES({.name = "patient", .run = wait_for_stop}, {.name = "after", .inputs = "0"},
            {.name = "slow", .run = finish_in_spite}, {.name = "bad", .run = fail_late});
    static const int results[] = {1, 2, -1};
    struct cob_llb_graph *graph = graph_of(nodes, results);
    struct world world;

    world_init(&world);
    CHECK_ERROR(world_try_graph(&world, graph, nodes, 0, NULL), COB_EXHAUSTED, "no space");
    g_assert_cmpint(world_runs(&world, "after"), ==, 0);
    g_assert_cmpstr(world_told(&world, "patient")->error, ==, "context canceled");
    world_graph_free(graph);
    world_done(&world);
}

/* --- what is told, once more --- */

static gboolean is_of_slow(void *key, void *result, void *data)
{
    const struct cob_solver_result *record = result;

    (void)key;
    (void)data;
    return g_str_has_prefix(record->id, "slow ");
}

/* "late" is there; what it was made from got lost, and is run for "other": it is not cached. */
static void test_what_runs_is_not_told_as_cached(void)
{
    static const char *const orders[] = {"12", "21"};

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        struct world world;

        world_init(&world);
        g_free(world_solve(&world, NODES({.name = "slow"}, {.name = "late", .inputs = "0"})));
        g_assert_cmpint(g_hash_table_foreach_remove(world.records, is_of_slow, NULL), ==, 1);
        g_free(world_solve(
            &world, NODES({.name = "slow"}, {.name = "other", .inputs = "0"},
                        {.name = "late", .inputs = "0"}, {.name = "end", .inputs = orders[i]})));
        check_told_once(&world, "slow");
        g_assert_cmpint(world_told(&world, "slow")->n_cached, ==, 0);
        check_row(world_told(&world, "slow")->n_cached == 0, i, orders[i]);
        g_assert_cmpint(world_told(&world, "late")->n_cached, ==, 1);
        world_done(&world);
    }
}

/* --- size --- */

static void test_long_chain(void)
{
    enum { N = 20000 };
    g_autofree struct node *nodes = g_new0(struct node, N);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct world world;

    world_init(&world);
    for (int i = 0; i < N; i++) {
        g_ptr_array_add(names, g_strdup_printf("step %d", i));
        nodes[i] = (struct node){.name = g_ptr_array_index(names, i)};
    }
    struct cob_llb_graph *graph = world_graph(nodes, N);
    for (int i = 1; i < N; i++)
        world_link(graph, (size_t)i, i - 1);
    CHECK_OK(world_try_graph(&world, graph, nodes, 0, NULL));
    g_assert_cmpuint(g_hash_table_size(world.runs), ==, N);
    CHECK_OK(world_try_graph(&world, graph, nodes, 0, NULL));
    g_assert_cmpint(world_runs(&world, "step 0"), ==, 1);
    g_assert_cmpint(world_told(&world, "step 0")->n_cached, ==, 1);
    world_graph_free(graph);
    world_done(&world);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/solver/history", test_history);
    g_test_add_func("/solver/definition-hit-asks-once", test_definition_hit_asks_once);
    g_test_add_func("/solver/keys-wait-for-their-inputs", test_keys_wait_for_their_inputs);
    g_test_add_func("/solver/each-is-told-once", test_each_is_told_once);
    g_test_add_func("/solver/what-results-share-runs-once", test_what_results_share_runs_once);
    g_test_add_func("/solver/failing-result-stops-others", test_failing_result_stops_the_others);
    g_test_add_func("/solver/running-is-not-told-as-cached", test_what_runs_is_not_told_as_cached);
    g_test_add_func("/solver/independent-run-together", test_independent_run_together);
    g_test_add_func("/solver/one-at-a-time", test_one_at_a_time);
    g_test_add_func(
        "/solver/same-step-in-two-builds-runs-once", test_same_step_in_two_builds_runs_once);
    g_test_add_func("/solver/failing-leader-leaves-the-step-to-the-other",
        test_failing_leader_leaves_the_step_to_the_other);
    g_test_add_func("/solver/first-error-stops-the-others", test_first_error_stops_the_others);
    g_test_add_func("/solver/users-wish-to-stop", test_users_wish_to_stop);
    g_test_add_func("/solver/broken-tables", test_broken_tables);
    g_test_add_func("/solver/scratch-result", test_scratch_result);
    g_test_add_func("/solver/long-chain", test_long_chain);
    return g_test_run();
}
