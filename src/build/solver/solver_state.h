/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the solver's files share: one solve, and what is known of each of its vertices.
 *
 * One thread, the coordinator, owns everything here; it alone changes a step, and only while no
 * task of that step runs. A task reads its own step and its inputs' results, which are fixed by
 * then, writes its step's `outcome`, and reports through `reports`.
 */
#pragma once

#include "build/solver/solver.h"

enum step_state {
    STEP_KEYING,  /* its definition key is not there yet */
    STEP_KEYED,   /* it is (or the step has none); nobody asked for a result so far */
    STEP_WAITING, /* for its inputs' results */
    STEP_TASK,    /* a task works on it; `task` says at what */
    STEP_DONE,
};

enum step_task {
    TASK_KEY,     /* digest what it takes from inputs without a key */
    TASK_CONTENT, /* digest what it takes from other inputs */
    TASK_RUN,     /* lock, look once more, run, save */
    TASK_FETCH,   /* bring a result from elsewhere */
};

/* What a task brings back. */
struct outcome {
    struct cob_error *err;
    struct cob_solver_result *result; /* of TASK_RUN and TASK_FETCH */
    bool is_cached;                   /* of TASK_RUN: somebody else was faster */
};

struct step {
    size_t number; /* in the graph */
    const struct cob_llb_vertex *vertex;
    enum step_state state;
    enum step_task task;
    bool is_demanded;
    bool is_tainted; /* it, or what it stands on, ignores the cache: no definition key is used */
    bool is_shown;   /* its end was told, or is about to be */
    bool has_run;    /* once DONE: in this build, by this process */
    bool is_wanted_here;       /* somebody needs the files of its result */
    bool is_elsewhere;         /* its result is elsewhere; once DONE */
    bool is_barred;            /* what was elsewhere could not be had: it is not asked for again */
    bool are_keyless_digested; /* the contents that its definition key is made of */
    bool are_contents_done;    /* and those of inputs with a key */
    struct cob_solver_key key;
    char **contents;                  /* one an input; NULL where not digested */
    char *definition_key;             /* NULL: it has none */
    char *result_key;                 /* NULL until its inputs are done */
    struct cob_solver_result *result; /* once DONE; NULL is scratch */
    GArray *records; /* of caches elsewhere; NULL: none. It may grow until the step is DONE */
    struct outcome outcome;
    int64_t started_us;
};

struct solve {
    const struct cob_solver_request *request;
    struct cob_cancel *stop; /* set by the user's cancel and by the first failure */
    struct step *steps;
    size_t n_steps;
    GPtrArray **users; /* by step number: the steps that have it as an input, borrowed */
    GQueue todo;       /* steps to look at, borrowed */
    GPtrArray *hits;   /* steps that were found and are not told yet, borrowed */
    GPtrArray *runs;   /* steps that are to run and are not told yet, borrowed */
    GThreadPool *pool;
    GAsyncQueue *reports;  /* of steps whose task ended, borrowed */
    int wake_fd;           /* an eventfd: a report came */
    size_t n_running;      /* tasks */
    struct cob_error *err; /* the first one */
};

/* --- keys.c --- */

/* The input's step, or NULL for scratch. */
struct step *cob_solver_input(const struct solve *solve, const struct step *step, size_t input);
size_t cob_solver_n_inputs(const struct step *step);

/* Is the input one whose files are part of the definition key? */
bool cob_solver_is_keyless(const struct step *input);

/* Does the step take only files from the input? */
bool cob_solver_is_by_content(const struct step *step, size_t input);

/* Digest the files of some inputs into step->contents: the keyless ones, or the rest of those that
 * are keyed by content. */
COB_RESULT struct cob_error *cob_solver_digest_contents(
    struct solve *solve, struct step *step, bool are_keyless);

/* Both need the contents they are made of. The caller frees the key. */
char *cob_solver_definition_key(const struct solve *solve, const struct step *step);
char *cob_solver_result_key(const struct solve *solve, const struct step *step);

/* The ingredients of both keys, for `explain`. The caller decrefs it. */
json_t *cob_solver_ingredients(const struct solve *solve, const struct step *step);

/* Tell the witness that a step is about to run, and that it ended. NULL without a witness. */
void *cob_solver_tell_miss(const struct solve *solve, const struct step *step);
void cob_solver_tell_ran(const struct solve *solve, void *note, bool is_well);

/* --- elsewhere.c --- */

/* Find the step's records anew, from what is known of its inputs now. */
COB_RESULT struct cob_error *cob_solver_match(struct solve *solve, struct step *step);

/* The result of one of its records.  ret_result: NULL: there is none. */
COB_RESULT struct cob_error *cob_solver_find(struct solve *solve, struct step *step,
    struct cob_solver_result **ret_result, bool *ret_is_here);

/* Is an input's result elsewhere?  only_contents: look at inputs that are keyed by content. */
bool cob_solver_is_input_elsewhere(
    const struct solve *solve, const struct step *step, bool only_contents);

/* Bring the result of a step here, and keep it: TASK_FETCH. */
COB_RESULT struct cob_error *cob_solver_fetch(struct solve *solve, struct step *step);

/* Tell who wants to hear it how all of it ended. */
void cob_solver_tell_end(const struct solve *solve);

/* --- tasks.c --- */

/* What a thread of the pool does with a step. */
void cob_solver_do_task(void *step, void *solve);

/* Keep a result under both keys of a step. */
COB_RESULT struct cob_error *cob_solver_save(
    const struct solve *solve, const struct step *step, struct cob_solver_result *result);

/* Tell the observer how a step stands. */
void cob_solver_tell(
    const struct solve *solve, const struct step *step, int64_t completed_us, const char *error);
