/* SPDX-License-Identifier: Apache-2.0 */
#include "build/solver/solver_state.h"
#include "util/digest.h"

struct step *cob_solver_input(const struct solve *solve, const struct step *step, size_t input)
{
    const struct cob_llb_ref *ref = &g_array_index(step->vertex->inputs, struct cob_llb_ref, input);

    return ref->vertex < 0 ? NULL : &solve->steps[ref->vertex];
}

size_t cob_solver_n_inputs(const struct step *step)
{
    return step->vertex->inputs->len;
}

bool cob_solver_is_keyless(const struct step *input)
{
    return input && !input->key.digest;
}

bool cob_solver_is_by_content(const struct step *step, size_t input)
{
    return input < 64 && (step->key.by_content >> input & 1);
}

struct cob_error *cob_solver_digest_contents(
    struct solve *solve, struct step *step, bool are_keyless)
{
    const struct cob_solver_ops *ops = solve->request->ops;

    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        if (!input || step->contents[i] || cob_solver_is_keyless(input) != are_keyless)
            continue;
        if (are_keyless || cob_solver_is_by_content(step, i))
            COB_TRY(ops->content(
                ops->arg, step->vertex, i, input->result, solve->stop, &step->contents[i]));
    }
    return NULL;
}

/* Which output of an input is taken is part of either key. */
static void add_output(struct cob_hasher *hasher, const struct step *step, size_t input)
{
    const struct cob_llb_ref *ref = &g_array_index(step->vertex->inputs, struct cob_llb_ref, input);

    cob_hasher_update_number(hasher, (uint64_t)ref->output);
}

static char *finish_key(struct cob_hasher *hasher)
{
    struct cob_sha256 sha = cob_hasher_finish(hasher);

    return cob_sha256_text(&sha);
}

char *cob_solver_definition_key(const struct solve *solve, const struct step *step)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update_text(hasher, "cob.definition.v1");
    cob_hasher_update_text(hasher, step->key.digest);
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        add_output(hasher, step, i);
        if (cob_solver_is_keyless(input))
            cob_hasher_update_text(hasher, step->contents[i]);
        else
            cob_hasher_update_text(hasher, input ? input->definition_key : NULL);
    }
    return finish_key(hasher);
}

char *cob_solver_result_key(const struct solve *solve, const struct step *step)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update_text(hasher, "cob.result.v1");
    cob_hasher_update_text(hasher, step->key.digest);
    for (size_t i = 0; i < cob_solver_n_inputs(step); i++) {
        struct step *input = cob_solver_input(solve, step, i);

        add_output(hasher, step, i);
        if (step->contents[i])
            cob_hasher_update_text(hasher, step->contents[i]);
        else
            cob_hasher_update_text(hasher, input && input->result ? input->result->id : NULL);
    }
    return finish_key(hasher);
}

static json_t *input_ingredients(const struct solve *solve, const struct step *step, size_t i)
{
    struct step *input = cob_solver_input(solve, step, i);

    if (!input)
        return json_object();
    return json_pack("{s:s, s:s?, s:s?, s:s?}", "name", input->vertex->name, "definition",
        input->definition_key, "result", input->result ? input->result->id : NULL, "content",
        step->contents[i]);
}

json_t *cob_solver_ingredients(const struct solve *solve, const struct step *step)
{
    json_t *inputs = json_array();

    for (size_t i = 0; i < cob_solver_n_inputs(step); i++)
        json_array_append_new(inputs, input_ingredients(solve, step, i));
    return json_pack("{s:s, s:s, s:o}", "op", step->key.digest, "vertex", step->vertex->digest,
        "inputs", inputs);
}

static struct cob_solver_ingredient ingredient_of(
    const struct solve *solve, const struct step *step, size_t i)
{
    const struct step *input = cob_solver_input(solve, step, i);

    if (!input)
        return (struct cob_solver_ingredient){.content = step->contents[i]};
    return (struct cob_solver_ingredient){.vertex = input->vertex,
        .definition = input->definition_key,
        .content = step->contents[i],
        .result = input->result,
        .has_run = input->has_run};
}

void *cob_solver_tell_miss(const struct solve *solve, const struct step *step)
{
    const struct cob_solver_witness *witness = solve->request->witness;
    const size_t n = cob_solver_n_inputs(step);
    g_autofree struct cob_solver_ingredient *inputs = g_new0(struct cob_solver_ingredient, n + 1);
    const struct cob_solver_miss miss = {.vertex = step->vertex,
        .op = step->key.digest,
        .definition_key = step->definition_key,
        .result_key = step->result_key,
        .inputs = inputs,
        .n_inputs = n,
        .is_tainted = step->is_tainted};

    if (!witness)
        return NULL;
    for (size_t i = 0; i < n; i++)
        inputs[i] = ingredient_of(solve, step, i);
    return witness->missed(witness->arg, &miss, solve->stop);
}

void cob_solver_tell_ran(const struct solve *solve, void *note, bool is_well)
{
    const struct cob_solver_witness *witness = solve->request->witness;

    if (witness)
        witness->ran(witness->arg, note, is_well);
}
