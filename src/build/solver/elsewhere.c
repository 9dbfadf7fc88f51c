/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps as caches elsewhere know them: by records that stand on each other, not by keys of ours.
 */
#include "build/solver/solver_state.h"
#include "util/log.h"

struct cob_error *cob_solver_match(struct solve *solve, struct step *step)
{
    const struct cob_solver_elsewhere *elsewhere = solve->request->elsewhere;
    const size_t n = cob_solver_n_inputs(step);

    if (!elsewhere || !step->key.digest || step->is_barred || step->vertex->is_ignoring_cache)
        return NULL;
    g_autofree struct cob_solver_input *inputs = g_new0(struct cob_solver_input, n + 1);
    for (size_t i = 0; i < n; i++) {
        const struct step *input = cob_solver_input(solve, step, i);

        inputs[i] = (struct cob_solver_input){
            .content = step->contents[i], .records = input ? input->records : NULL};
    }
    const struct cob_solver_step asked = {.op = step->key.digest, .inputs = inputs, .n_inputs = n};
    g_clear_pointer(&step->records, g_array_unref);
    return elsewhere->match(elsewhere->arg, &asked, &step->records);
}

struct cob_error *cob_solver_find(struct solve *solve, struct step *step,
    struct cob_solver_result **ret_result, bool *ret_is_here)
{
    const struct cob_solver_elsewhere *elsewhere = solve->request->elsewhere;

    if (!elsewhere || !step->records || step->is_barred)
        return NULL;
    COB_TRY(elsewhere->find(elsewhere->arg, step->records, ret_result, ret_is_here));
    cob_trace(1, "%s elsewhere: %s", *ret_result ? "hit " : "miss", step->vertex->name);
    return NULL;
}

bool cob_solver_is_input_elsewhere(
    const struct solve *solve, const struct step *step, bool only_contents)
{
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        const struct step *input = cob_solver_input(solve, step, i);

        if (input && input->is_elsewhere && (!only_contents || cob_solver_is_by_content(step, i)))
            return true;
    }
    return false;
}

struct cob_error *cob_solver_fetch(struct solve *solve, struct step *step)
{
    const struct cob_solver_elsewhere *elsewhere = solve->request->elsewhere;

    COB_TRY(elsewhere->fetch(
        elsewhere->arg, step->vertex, step->result, solve->stop, &step->outcome.result));
    return step->outcome.result ? cob_solver_save(solve, step, step->outcome.result) : NULL;
}

void cob_solver_tell_end(const struct solve *solve)
{
    const struct cob_solver_request *request = solve->request;

    if (!request->ended)
        return;
    g_autofree struct cob_solver_outcome *outcomes =
        g_new0(struct cob_solver_outcome, solve->n_steps + 1);
    for (size_t i = 0; i < solve->n_steps; i++) {
        const struct step *step = &solve->steps[i];

        outcomes[i] = (struct cob_solver_outcome){.vertex = step->vertex,
            .op = step->key.digest,
            .definition_key = step->definition_key,
            .contents = (const char *const *)step->contents,
            .by_content = step->key.by_content,
            .records = step->records,
            .result = step->state == STEP_DONE ? step->result : NULL,
            .is_elsewhere = step->is_elsewhere};
    }
    request->ended(request->ended_arg, outcomes, solve->n_steps);
}
