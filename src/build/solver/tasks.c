/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <sys/eventfd.h>

#include "build/solver/solver_state.h"
#include "util/log.h"

/* How often a lock that another process holds is asked for. */
#define LOCK_POLL_MS 25

void cob_solver_tell(
    const struct solve *solve, const struct step *step, int64_t completed_us, const char *error)
{
    const struct cob_observer *observer = solve->request->observer;
    struct cob_event_vertex event = {
        .digest = step->vertex->digest,
        .name = step->vertex->name,
        .started_us = step->started_us,
        .completed_us = completed_us,
        .is_cached = step->outcome.is_cached,
        .error = error,
    };

    observer->vertex(observer->arg, &event);
}

static void tell_wait(const struct solve *solve, const struct step *step)
{
    static const char text[] = "waiting for another build that runs the same step\n";
    const struct cob_observer *observer = solve->request->observer;
    const struct cob_event_log event = {.vertex = step->vertex->digest,
        .stream = 2,
        .data = text,
        .len = sizeof(text) - 1,
        .at_us = g_get_real_time()};

    observer->log(observer->arg, &event);
}

/* Wait for the right to run a step. The holder runs the same one: its result will be ours. */
static struct cob_error *lock_step(struct solve *solve, const struct step *step, void **ret_lock)
{
    const struct cob_solver_index *index = solve->request->index;
    void *lock = NULL;

    for (bool is_told = false;; is_told = true) {
        COB_TRY(cob_cancel_check(solve->stop));
        COB_TRY(index->try_lock(index->arg, step->definition_key, &lock));
        if (lock)
            break;
        if (!is_told)
            tell_wait(solve, step);
        struct pollfd stop = {.fd = cob_cancel_fd(solve->stop), .events = POLLIN};
        poll(&stop, 1, LOCK_POLL_MS);
    }
    *ret_lock = lock;
    return NULL;
}

/* Has somebody run the step since it was looked up? */
static struct cob_error *look_again(struct solve *solve, struct step *step)
{
    const struct cob_solver_index *index = solve->request->index;

    if (!step->is_tainted)
        COB_TRY(index->lookup(index->arg, step->definition_key, &step->outcome.result));
    if (!step->outcome.result && step->result_key)
        COB_TRY(index->lookup(index->arg, step->result_key, &step->outcome.result));
    step->outcome.is_cached = step->outcome.result != NULL;
    return NULL;
}

struct cob_error *cob_solver_save(
    const struct solve *solve, const struct step *step, struct cob_solver_result *result)
{
    const struct cob_solver_index *index = solve->request->index;
    json_auto_t *ingredients = cob_solver_ingredients(solve, step);
    struct cob_solver_record record = {
        .definition_key = step->definition_key,
        .result_key = step->result_key,
        .name = step->vertex->name,
        .ingredients = ingredients,
        .result = result,
    };

    return index->save(index->arg, &record);
}

static struct cob_error *run_op(struct solve *solve, struct step *step)
{
    const struct cob_solver_ops *ops = solve->request->ops;
    size_t n = cob_solver_n_inputs(step);
    g_autofree struct cob_solver_result **inputs = g_new0(struct cob_solver_result *, n + 1);

    for (size_t i = 0; i < n; i++) {
        struct step *input = cob_solver_input(solve, step, i);

        inputs[i] = input ? input->result : NULL;
    }
    return ops->run(ops->arg, step->vertex, inputs, solve->stop, &step->outcome.result);
}

static struct cob_error *run_and_save(struct solve *solve, struct step *step)
{
    void *note = cob_solver_tell_miss(solve, step);
    struct cob_error *err = run_op(solve, step);

    if (!err && step->outcome.result)
        err = cob_solver_save(solve, step, step->outcome.result);
    cob_solver_tell_ran(solve, note, !err);
    return err;
}

static struct cob_error *run_locked(struct solve *solve, struct step *step)
{
    COB_TRY(look_again(solve, step));
    return step->outcome.is_cached ? NULL : run_and_save(solve, step);
}

static struct cob_error *run_step(struct solve *solve, struct step *step)
{
    const struct cob_solver_index *index = solve->request->index;
    void *lock = NULL;

    if (!step->definition_key) /* it must be read anew in every build */
        return run_op(solve, step);
    if (step->vertex->is_ignoring_cache) /* nobody's result but its own will do */
        return run_and_save(solve, step);
    COB_TRY(lock_step(solve, step, &lock));
    struct cob_error *err = run_locked(solve, step);
    index->unlock(index->arg, lock);
    return err;
}

static struct cob_error *do_task(struct solve *solve, struct step *step)
{
    switch (step->task) {
    case TASK_KEY:
        return cob_solver_digest_contents(solve, step, /* are_keyless= */ true);
    case TASK_CONTENT:
        return cob_solver_digest_contents(solve, step, /* are_keyless= */ false);
    case TASK_RUN:
        return run_step(solve, step);
    case TASK_FETCH:
        return cob_solver_fetch(solve, step);
    }
    return NULL;
}

void cob_solver_do_task(void *step_data, void *solve_data)
{
    struct step *step = step_data;
    struct solve *solve = solve_data;
    const uint64_t one = 1;

    step->outcome.err = cob_cancel_check(solve->stop);
    if (!step->outcome.err)
        step->outcome.err = do_task(solve, step);
    cob_trace(2, "task %d of %s ended", (int)step->task, step->vertex->name);
    g_async_queue_push(solve->reports, step);
    ssize_t n = write(solve->wake_fd, &one, sizeof(one));
    (void)n; /* fails only when the counter is full: the coordinator is awake then */
}
