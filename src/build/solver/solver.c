/* SPDX-License-Identifier: Apache-2.0 */
#include "build/solver/solver.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "build/solver/solver_state.h"
#include "util/log.h"

struct cob_solver_result *cob_solver_result_new(
    const char *id, void *data, void (*release)(void *data))
{
    struct cob_solver_result *result = g_new(struct cob_solver_result, 1);

    *result =
        (struct cob_solver_result){.refs = 1, .id = g_strdup(id), .data = data, .release = release};
    return result;
}

struct cob_solver_result *cob_solver_result_ref(struct cob_solver_result *result)
{
    g_atomic_int_inc(&result->refs);
    return result;
}

void cob_solver_result_unref(struct cob_solver_result *result)
{
    if (!result || !g_atomic_int_dec_and_test(&result->refs))
        return;
    if (result->release)
        result->release(result->data);
    g_free(result->id);
    g_free(result);
}

/* --- one solve, from new to free --- */

static void step_done(struct step *step)
{
    for (size_t i = 0; step->contents && i < cob_solver_n_inputs(step); i++)
        g_free(step->contents[i]);
    g_free(step->contents);
    g_free(step->key.digest);
    g_free(step->definition_key);
    g_free(step->result_key);
    cob_solver_result_unref(step->result);
    cob_solver_result_unref(step->outcome.result);
    g_clear_pointer(&step->records, g_array_unref);
    cob_error_free(step->outcome.err);
}

static void solve_done(struct solve *solve)
{
    if (solve->pool)
        g_thread_pool_free(solve->pool, /* immediate= */ FALSE, /* wait= */ TRUE);
    for (size_t i = 0; i < solve->n_steps; i++) {
        step_done(&solve->steps[i]);
        g_ptr_array_unref(solve->users[i]);
    }
    g_free(solve->steps);
    g_free(solve->users);
    g_queue_clear(&solve->todo);
    g_ptr_array_unref(solve->hits);
    g_ptr_array_unref(solve->runs);
    g_clear_pointer(&solve->reports, g_async_queue_unref);
    cob_closep(&solve->wake_fd);
    cob_cancel_unref(solve->stop);
}

/* Vertices come inputs first, so what a step inherits from its inputs is known when it is made. */
static struct cob_error *add_step(struct solve *solve, size_t number)
{
    const struct cob_solver_ops *ops = solve->request->ops;
    struct step *step = &solve->steps[number];

    *step = (struct step){
        .number = number, .vertex = g_ptr_array_index(solve->request->graph->vertices, number)};
    step->contents = g_new0(char *, cob_solver_n_inputs(step) + 1);
    step->is_tainted = step->vertex->is_ignoring_cache;
    solve->users[number] = g_ptr_array_new();
    solve->n_steps++;
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        if (input) {
            step->is_tainted |= input->is_tainted;
            g_ptr_array_add(solve->users[input->number], step);
        }
    }
    struct cob_error *err = ops->key(ops->arg, step->vertex, &step->key);
    return step->vertex->file ? cob_error_at(err, step->vertex->file, step->vertex->range) : err;
}

static unsigned parallelism(const struct cob_solver_request *request)
{
    return request->n_parallel ? request->n_parallel : MAX(8, 4 * g_get_num_processors());
}

static struct cob_error *solve_init(
    struct solve *solve, const struct cob_solver_request *request, struct cob_cancel *cancel)
{
    const GPtrArray *vertices = request->graph->vertices;

    *solve = (struct solve){
        .request = request,
        .steps = g_new0(struct step, vertices->len + 1),
        .users = g_new0(GPtrArray *, vertices->len + 1),
        .hits = g_ptr_array_new(),
        .runs = g_ptr_array_new(),
        .reports = g_async_queue_new(),
        .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (solve->wake_fd < 0)
        return cob_fail_errno(errno, "make an eventfd");
    COB_TRY(cob_cancel_new_below(cancel, &solve->stop));
    for (size_t i = 0; i < vertices->len; i++)
        COB_TRY(add_step(solve, i));
    solve->pool = g_thread_pool_new(
        cob_solver_do_task, solve, (gint)parallelism(request), /* exclusive= */ FALSE, NULL);
    return NULL;
}

/* --- the coordinator's moves --- */

/* Steps that may go on stand in a queue, not on the stack: a graph may be a chain of any length. */
static void look_at(struct solve *solve, struct step *step)
{
    g_queue_push_tail(&solve->todo, step);
}

static void look_at_users(struct solve *solve, const struct step *step)
{
    const GPtrArray *users = solve->users[step->number];

    for (size_t i = 0; i < users->len; i++)
        look_at(solve, g_ptr_array_index(users, i));
}

static void fail(struct solve *solve, struct cob_error *err)
{
    cob_cancel_trigger(solve->stop);
    if (!solve->err)
        solve->err = err;
    else
        cob_error_free(err);
}

static void start_task(struct solve *solve, struct step *step, enum step_task task)
{
    step->state = STEP_TASK;
    step->task = task;
    if (task == TASK_RUN || task == TASK_FETCH) {
        step->started_us = g_get_real_time();
        cob_solver_tell(solve, step, 0, NULL);
    }
    solve->n_running++;
    g_thread_pool_push(solve->pool, step, NULL);
}

/* Runs begin when all hits were told, so that steps begin in the order in which they are known. */
static void start_runs(struct solve *solve)
{
    for (guint i = 0; i < solve->runs->len; i++)
        start_task(solve, g_ptr_array_index(solve->runs, i), TASK_RUN);
    g_ptr_array_set_size(solve->runs, 0);
}

static int compare_steps(const void *a, const void *b)
{
    const struct step *const *left = a;
    const struct step *const *right = b;

    return (*left)->number < (*right)->number ? -1 : (*left)->number > (*right)->number;
}

/* What is on its way to a result of its own tells its end itself. */
static bool is_shown_with_users(const struct step *step)
{
    return !step->is_shown && step->definition_key && !step->is_demanded;
}

static void collect_inputs(const struct solve *solve, const struct step *step, GPtrArray *list)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        if (!input || !is_shown_with_users(input))
            continue;
        input->is_shown = true;
        g_ptr_array_add(list, input);
    }
}

/* Tell of the hits since the last call. What stands before a step that hits was not looked at, and
 * need not be: BuildKit's users see all of it as cached. */
static void show_hits(struct solve *solve)
{
    GPtrArray *list = solve->hits;

    for (size_t at = 0; at < list->len; at++)
        collect_inputs(solve, g_ptr_array_index(list, at), list);
    g_ptr_array_sort(list, compare_steps);
    for (size_t at = 0; at < list->len; at++) {
        struct step *step = g_ptr_array_index(list, at);

        step->outcome.is_cached = true;
        if (step->state == STEP_TASK) /* it is fetched, and tells its end then */
            continue;
        step->started_us = g_get_real_time();
        cob_solver_tell(solve, step, step->started_us, NULL);
    }
    g_ptr_array_set_size(list, 0);
}

/* result: taken. */
static void finish(struct solve *solve, struct step *step, struct cob_solver_result *result)
{
    step->result = result;
    step->state = STEP_DONE;
    if (step->is_elsewhere && step->is_wanted_here)
        look_at(solve, step);
    look_at_users(solve, step);
}

/* result: taken. */
static void finish_cached(struct solve *solve, struct step *step, struct cob_solver_result *result)
{
    if (!step->is_shown)
        g_ptr_array_add(solve->hits, step);
    step->is_shown = true;
    finish(solve, step, result);
}

static struct cob_error *lookup(
    struct solve *solve, const char *key, struct cob_solver_result **ret_result)
{
    const struct cob_solver_index *index = solve->request->index;

    COB_TRY(index->lookup(index->arg, key, ret_result));
    cob_trace(1, "%s %s", *ret_result ? "hit " : "miss", key);
    return NULL;
}

static void demand(struct solve *solve, struct step *step)
{
    step->is_demanded = true;
    look_at(solve, step);
}

/* A result that is elsewhere, if there is one. */
static struct cob_error *try_elsewhere(struct solve *solve, struct step *step, bool *ret_is_found)
{
    g_autoptr(cob_solver_result) result = NULL;
    bool is_here = false;

    *ret_is_found = false;
    COB_TRY(cob_solver_find(solve, step, &result, &is_here));
    if (!result)
        return NULL;
    if (is_here)
        COB_TRY(cob_solver_save(solve, step, result));
    step->is_elsewhere = !is_here;
    *ret_is_found = true;
    finish_cached(solve, step, g_steal_pointer(&result));
    return NULL;
}

/* The step cannot go on without the files of its inputs: have them brought.
 * only_contents: of those that are keyed by content.  Returns whether there was one to bring. */
static bool want_inputs_here(struct solve *solve, const struct step *step, bool only_contents)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        if (!input || !input->is_elsewhere || (only_contents && !cob_solver_is_by_content(step, i)))
            continue;
        input->is_wanted_here = true;
        look_at(solve, input);
    }
    return cob_solver_is_input_elsewhere(solve, step, only_contents);
}

/* A key for what its inputs turned out to be; none where they are not here. */
static void set_result_key(struct solve *solve, struct step *step)
{
    g_clear_pointer(&step->result_key, g_free);
    if (step->definition_key && cob_solver_n_inputs(step) > 0 &&
        !cob_solver_is_input_elsewhere(solve, step, /* only_contents= */ false))
        step->result_key = cob_solver_result_key(solve, step);
}

/* All inputs are done, and what it takes from them is digested: the second key, then the run. */
static struct cob_error *try_result_key(struct solve *solve, struct step *step)
{
    g_autoptr(cob_solver_result) result = NULL;
    bool is_found = false;

    set_result_key(solve, step);
    COB_TRY(cob_solver_match(solve, step));
    if (step->result_key && !step->vertex->is_ignoring_cache)
        COB_TRY(lookup(solve, step->result_key, &result));
    if (result) {
        COB_TRY(cob_solver_save(solve, step, result)); /* next time, the definition key hits */
        finish_cached(solve, step, g_steal_pointer(&result));
        return NULL;
    }
    COB_TRY(try_elsewhere(solve, step, &is_found));
    if (!is_found && !want_inputs_here(solve, step, /* only_contents= */ false)) {
        step->state = STEP_TASK;
        g_ptr_array_add(solve->runs, step);
    }
    return NULL;
}

/* All inputs are done. What they are may be enough to be found elsewhere, without any files. */
static struct cob_error *go_on(struct solve *solve, struct step *step)
{
    bool is_found = false;

    if (!step->key.by_content || step->are_contents_done)
        return try_result_key(solve, step);
    COB_TRY(cob_solver_match(solve, step));
    COB_TRY(try_elsewhere(solve, step, &is_found));
    if (!is_found && !want_inputs_here(solve, step, /* only_contents= */ true))
        start_task(solve, step, TASK_CONTENT);
    return NULL;
}

static bool are_inputs_done(const struct solve *solve, const struct step *step)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        const struct step *input = cob_solver_input(solve, step, i);

        if (input && input->state != STEP_DONE)
            return false;
    }
    return true;
}

static bool has_keyless_input(const struct solve *solve, const struct step *step)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        if (cob_solver_is_keyless(cob_solver_input(solve, step, i)))
            return true;
    }
    return false;
}

/* Are all inputs keyed, and those without a key digested? A key that were made earlier would stand
 * for another history than its own. */
static bool is_ready_for_key(const struct solve *solve, const struct step *step)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        const struct step *input = cob_solver_input(solve, step, i);

        if (input && !cob_solver_is_keyless(input) && !input->definition_key)
            return false;
    }
    return step->are_keyless_digested || !has_keyless_input(solve, step);
}

/* What is taken from inputs without a key can be digested as soon as those are done, beside the
 * keying of the others. */
static bool is_ready_to_digest(const struct solve *solve, const struct step *step)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        const struct step *input = cob_solver_input(solve, step, i);

        if (cob_solver_is_keyless(input) && input->state != STEP_DONE)
            return false;
    }
    return !step->are_keyless_digested && has_keyless_input(solve, step);
}

static struct cob_error *set_keyed(struct solve *solve, struct step *step)
{
    if (step->key.digest)
        step->definition_key = cob_solver_definition_key(solve, step);
    COB_TRY(cob_solver_match(solve, step));
    step->state = STEP_KEYED;
    look_at_users(solve, step);
    look_at(solve, step);
    return NULL;
}

/* Nothing is known of its result: wait for its inputs'. */
static void wait_for_inputs(struct solve *solve, struct step *step)
{
    step->state = STEP_WAITING;
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        if (input)
            demand(solve, input);
    }
    look_at(solve, step);
}

/* A step that somebody wants the result of, and that is keyed: the first key, then its inputs. */
static struct cob_error *start_solving(struct solve *solve, struct step *step)
{
    g_autoptr(cob_solver_result) result = NULL;
    bool is_found = false;

    if (step->definition_key && !step->is_tainted)
        COB_TRY(lookup(solve, step->definition_key, &result));
    if (result) {
        finish_cached(solve, step, g_steal_pointer(&result));
        return NULL;
    }
    COB_TRY(try_elsewhere(solve, step, &is_found));
    if (!is_found)
        wait_for_inputs(solve, step);
    return NULL;
}

/* Something about a step or its inputs changed: may it go on? */
static struct cob_error *advance(struct solve *solve, struct step *step)
{
    if (step->state == STEP_KEYING && is_ready_to_digest(solve, step)) {
        start_task(solve, step, TASK_KEY);
    } else if (step->state == STEP_KEYING && is_ready_for_key(solve, step)) {
        return set_keyed(solve, step);
    } else if (step->state == STEP_KEYED && (step->is_demanded || !step->key.digest)) {
        return start_solving(solve, step);
    } else if (step->state == STEP_WAITING && are_inputs_done(solve, step)) {
        return go_on(solve, step);
    } else if (step->state == STEP_DONE && step->is_elsewhere && step->is_wanted_here) {
        start_task(solve, step, TASK_FETCH);
    }
    return NULL;
}

/* Do all that can be done now. Hits are told at the end of it, when it is known which steps before
 * them are wanted for something else. */
static void settle(struct solve *solve)
{
    struct step *step;

    while ((step = g_queue_pop_head(&solve->todo))) {
        struct cob_error *err = solve->err ? NULL : advance(solve, step);

        if (err)
            fail(solve, err);
    }
    show_hits(solve);
    if (solve->err)
        g_ptr_array_set_size(solve->runs, 0);
    start_runs(solve);
}

/* --- reports --- */

static void end_run(struct solve *solve, struct step *step)
{
    step->is_shown = true;
    step->has_run = !step->outcome.is_cached;
    cob_solver_tell(solve, step, g_get_real_time(), NULL);
    finish(solve, step, g_steal_pointer(&step->outcome.result));
}

/* What was elsewhere is here, or cannot be had: then the step was never found. */
static void end_fetch(struct solve *solve, struct step *step)
{
    g_clear_pointer(&step->result, cob_solver_result_unref);
    step->is_elsewhere = false;
    if (step->outcome.result) {
        step->outcome.is_cached = true;
        cob_solver_tell(solve, step, g_get_real_time(), NULL);
        finish(solve, step, g_steal_pointer(&step->outcome.result));
        return;
    }
    step->is_barred = true;
    step->outcome.is_cached = false;
    g_clear_pointer(&step->records, g_array_unref);
    wait_for_inputs(solve, step);
}

/* The failure of a step, with the place that the user wrote it at. */
static void end_in_error(struct solve *solve, struct step *step)
{
    struct cob_error *err = g_steal_pointer(&step->outcome.err);
    bool is_stopped = cob_error_code(err) == COB_CANCELLED;
    g_autofree char *message = is_stopped ? g_strdup("context canceled") : cob_error_message(err);

    if (step->started_us == 0)
        step->started_us = g_get_real_time();
    cob_solver_tell(solve, step, g_get_real_time(), message);
    if (step->vertex->file && !is_stopped)
        err = cob_error_at(err, step->vertex->file, step->vertex->range);
    step->state = STEP_DONE;
    fail(solve, err);
}

static void take_report(struct solve *solve, struct step *step)
{
    solve->n_running--;
    if (step->outcome.err) {
        end_in_error(solve, step);
        return;
    }
    if (solve->err && step->task != TASK_RUN) /* too late; what was told to run is told to end */
        return;
    switch (step->task) {
    case TASK_KEY:
        step->are_keyless_digested = true;
        step->state = STEP_KEYING;
        look_at(solve, step);
        break;
    case TASK_CONTENT:
        step->are_contents_done = true;
        step->state = STEP_WAITING;
        look_at(solve, step);
        break;
    case TASK_FETCH:
        end_fetch(solve, step);
        break;
    case TASK_RUN:
        end_run(solve, step);
        break;
    }
}

/* Wait until a task ends; when the user has had enough, the tasks see it themselves. */
static struct cob_error *wait_for_news(struct solve *solve)
{
    struct pollfd wake = {.fd = solve->wake_fd, .events = POLLIN};
    uint64_t n;

    if (TEMP_FAILURE_RETRY(poll(&wake, 1, -1)) < 0)
        return cob_fail_errno(errno, "wait for the build");
    if (read(solve->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        return cob_fail_errno(errno, "wait for the build");
    return NULL;
}

/* The step of the graph's result number `i`, or NULL for scratch. */
static struct step *result_step(const struct solve *solve, unsigned i)
{
    int vertex = g_array_index(solve->request->graph->results, struct cob_llb_ref, i).vertex;

    return vertex < 0 ? NULL : &solve->steps[vertex];
}

static struct cob_error *run_to_the_end(struct solve *solve, struct cob_cancel *cancel)
{
    for (size_t i = 0; i < solve->n_steps; i++)
        look_at(solve, &solve->steps[i]);
    for (unsigned i = 0; i < solve->request->graph->results->len; i++) {
        struct step *last = result_step(solve, i);

        if (!last)
            continue;
        last->is_wanted_here = true;
        demand(solve, last);
    }
    settle(solve);
    while (solve->n_running > 0) {
        struct step *step;

        struct cob_error *err = wait_for_news(solve);
        if (err) {
            cob_cancel_trigger(solve->stop); /* solve_done() waits for the tasks */
            return err;
        }
        while ((step = g_async_queue_try_pop(solve->reports)))
            take_report(solve, step);
        settle(solve);
    }
    if (cob_cancel_is_set(cancel)) {
        cob_error_free(g_steal_pointer(&solve->err));
        return cob_cancel_check(cancel);
    }
    return g_steal_pointer(&solve->err);
}

static void release(void *result)
{
    cob_solver_result_unref(result);
}

static GPtrArray *results_of(const struct solve *solve)
{
    GPtrArray *results = g_ptr_array_new_with_free_func(release);

    for (unsigned i = 0; i < solve->request->graph->results->len; i++) {
        const struct step *last = result_step(solve, i);

        g_ptr_array_add(results, last && last->result ? cob_solver_result_ref(last->result) : NULL);
    }
    return results;
}

struct cob_error *cob_solver_solve(
    const struct cob_solver_request *request, struct cob_cancel *cancel, GPtrArray **ret_results)
{
    struct solve solve;

    struct cob_error *err = solve_init(&solve, request, cancel);
    if (!err)
        err = run_to_the_end(&solve, cancel);
    if (!err)
        *ret_results = results_of(&solve);
    if (solve.n_running == 0)
        cob_solver_tell_end(&solve);
    solve_done(&solve);
    return err;
}
