/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that warn, and when each is held against a Dockerfile.
 *
 *     parsed     lint_file.c    single instructions, then stage names and casing
 *     planned    lint_from.c    FROM: its variables and its platform
 *     converted  lint_step.c    what takes variables, configs or the context to be judged
 *
 * A rule is a bit. Which bits are on is said for the whole file, and by comments above an
 * instruction for that one: the code asks no rule whether it is on, dockerfile_lint_add() does.
 *
 * docs/checks.md has them all in a table.
 *
 * spec: BuildKit frontend/dockerfile/linter (linter.go, ruleset.go), dockerfile2llb/validations.go.
 */
#pragma once

#include "lang/dockerfile/dockerfile_ast.h"
#include "lang/dockerfile/dockerfile_expand.h"

enum dockerfile_rule {
    DOCKERFILE_RULE_STAGE_NAME_CASING,
    DOCKERFILE_RULE_FROM_AS_CASING,
    DOCKERFILE_RULE_EMPTY_CONTINUATION,
    DOCKERFILE_RULE_INSTRUCTION_CASING,
    DOCKERFILE_RULE_DUPLICATE_STAGE,
    DOCKERFILE_RULE_RESERVED_STAGE,
    DOCKERFILE_RULE_JSON_ARGS,
    DOCKERFILE_RULE_MAINTAINER,
    DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM,
    DOCKERFILE_RULE_WORKDIR,
    DOCKERFILE_RULE_UNDEFINED_VAR,
    DOCKERFILE_RULE_MULTIPLE,
    DOCKERFILE_RULE_LEGACY_PAIR,
    DOCKERFILE_RULE_BASE_PLATFORM,
    DOCKERFILE_RULE_REDUNDANT_PLATFORM,
    DOCKERFILE_RULE_SECRET,
    DOCKERFILE_RULE_DEFAULT_ARG,
    DOCKERFILE_RULE_CONST_PLATFORM,
    DOCKERFILE_RULE_IGNORED_FILE,
    DOCKERFILE_RULE_DESCRIPTION,
    DOCKERFILE_RULE_EXPOSE_CASING,
    DOCKERFILE_RULE_EXPOSE_FORMAT,
    DOCKERFILE_RULE_MOUNT_SYNTAX,
    DOCKERFILE_RULE_CACHE_MOUNT,
    DOCKERFILE_RULE_TOO_MANY, /* not a rule: it says that there would be more */
    DOCKERFILE_N_RULES,
};

struct dockerfile_rule_spec {
    const char *name;
    const char *description;
    const char *url;      /* NULL: none */
    bool is_experimental; /* off, unless it is asked for */
};

/* In the order of enum dockerfile_rule. */
extern const struct dockerfile_rule_spec dockerfile_rules[];

/* Which rules are on; bits of enum dockerfile_rule. */
struct dockerfile_lint_options {
    uint32_t skipped, wanted;
    bool is_error;
};

/* One Dockerfile being checked. Without an output nothing is, and every function below is free. */
struct dockerfile_lint {
    GPtrArray *out;                 /* borrowed from the request; NULL: nothing is checked */
    uint32_t for_file;              /* rules on for the whole file */
    uint32_t on;                    /* for what is looked at */
    uint32_t broken;                /* rules that were */
    bool is_error;                  /* a broken rule is one */
    GPtrArray *matched, *unmatched; /* char *: names in the words that are expanded now */
};

/* A stage being checked; struct dockerfile_build has it. */
struct dockerfile_lint_stage {
    bool has_workdir;                         /* this Dockerfile said one */
    struct cob_range cmd, entrypoint, health; /* the last one; line 0: none yet */
    GHashTable *args;                         /* names of build->args, borrowed; made when needed */
    guint n_args;                             /* of them are in it */
};

/*
 * Begin to check, as the request's build arguments or the file want it.
 *
 * errors: COB_INVALID: options that cannot be read.
 */
COB_RESULT struct cob_error *dockerfile_lint_new(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, struct dockerfile_lint **ret_lint);
void dockerfile_lint_free(struct dockerfile_lint *lint);
COB_AUTOPTR(dockerfile_lint, dockerfile_lint_free)

/* Look at an instruction: comments above it may switch rules. Ends with dockerfile_lint_leave(). */
void dockerfile_lint_enter(
    struct dockerfile_lint *lint, const struct dockerfile_instruction *instruction);
void dockerfile_lint_leave(struct dockerfile_lint *lint);

/* Warn, if the rule is on. */
void dockerfile_lint_add(struct dockerfile_lint *lint, enum dockerfile_rule rule,
    struct cob_range range, const char *fmt, ...) G_GNUC_PRINTF(4, 5);

/* Would dockerfile_lint_add() keep a warning? To save the work of finding out. */
bool dockerfile_lint_wants(const struct dockerfile_lint *lint, enum dockerfile_rule rule);

/* The error that broken rules are, when the options want it so. */
COB_RESULT struct cob_error *dockerfile_lint_verdict(const struct dockerfile_lint *lint);

/* Read "skip=A,B;error=true;experimental=all". */
COB_RESULT struct cob_error *dockerfile_lint_options_parse(
    const char *text, struct dockerfile_lint_options *ret_options);

/* Have the expander note its names in the lint's lists, which are emptied. */
void dockerfile_lint_watch(struct dockerfile_lint *lint, struct dockerfile_expander *expander);

/* --- lint_file.c --- */

/* Single instructions, as far as they need nothing but themselves. */
void dockerfile_lint_instructions(
    struct dockerfile_lint *lint, const struct cob_dockerfile *dockerfile);

/* The stages together. */
void dockerfile_lint_stages(struct dockerfile_lint *lint, const struct cob_dockerfile *dockerfile);

/* What follows "name " in one of the comments; NULL: there is none. Borrowed. */
const char *dockerfile_doc_comment(
    const struct dockerfile_instruction *instruction, const char *name);

/* --- lint_from.c --- */

struct dockerfile_plan;

/* FROM's image when only the defaults of ARGs count. */
void dockerfile_lint_defaults(const struct dockerfile_plan *plan);

/* FROM's image and platform, after each was expanded under dockerfile_lint_watch(). */
void dockerfile_lint_base(
    const struct dockerfile_plan *plan, const struct dockerfile_instruction *from);
void dockerfile_lint_platform(const struct dockerfile_plan *plan,
    const struct dockerfile_instruction *from, const char *platform);

/* The error, with the global ARG that one of the unmatched names may mean. err: may be NULL. */
COB_RESULT struct cob_error *dockerfile_lint_suggesting(
    const struct dockerfile_plan *plan, struct cob_error *err);

/* --- lint_step.c --- */

struct dockerfile_build;
struct dockerfile_convert;
struct dockerfile_job;

/* A stage or image, once its base is known. */
void dockerfile_lint_start(
    const struct dockerfile_convert *convert, struct dockerfile_build *build);
void dockerfile_lint_stage_done(struct dockerfile_lint_stage *stage);

/* An instruction, after the words that have variables were expanded. */
void dockerfile_lint_step(const struct dockerfile_job *job);

/* Where words of a step note their names; dockerfile_lint_undefined() looks at them. */
GPtrArray *dockerfile_lint_names(const struct dockerfile_job *job);
void dockerfile_lint_undefined(const struct dockerfile_job *job);

/* Single values of a step, expanded but for the mount's. */
void dockerfile_lint_arg(const struct dockerfile_job *job, const char *name);
void dockerfile_lint_copy(const struct dockerfile_job *job, const char *source);
void dockerfile_lint_mount(const struct dockerfile_job *job, const char *text);
void dockerfile_lint_pairs(const struct dockerfile_job *job, const GPtrArray *words);
void dockerfile_lint_port(const struct dockerfile_job *job, const char *port);
void dockerfile_lint_workdir(const struct dockerfile_job *job, const char *path);
