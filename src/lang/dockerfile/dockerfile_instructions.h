/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a line to a typed instruction, in three steps: the line is split and its text read in the
 * form that its instruction has; its here-documents are read; then its fill function checks the
 * flags and sets what is its kind's own.
 */
#pragma once

#include "lang/dockerfile/dockerfile_expand.h"
#include "lang/dockerfile/dockerfile_lex.h"

/* How the text after the flags is to be read. */
enum dockerfile_form {
    DOCKERFILE_FORM_COMMAND,       /* a JSON array, or a line for the shell */
    DOCKERFILE_FORM_JSON_OR_WORDS, /* a JSON array, or words between white space */
    DOCKERFILE_FORM_WORDS,         /* words between white space */
    DOCKERFILE_FORM_PAIRS,         /* key=value..., or key value */
    DOCKERFILE_FORM_NAMES,         /* key[=value]... */
    DOCKERFILE_FORM_TEXT,          /* all of it, as one word */
    DOCKERFILE_FORM_HEALTH,        /* a type, then a command */
    DOCKERFILE_FORM_INSTRUCTION,   /* another instruction */
};

enum dockerfile_flag_type { DOCKERFILE_FLAG_BOOL, DOCKERFILE_FLAG_TEXT, DOCKERFILE_FLAG_TEXTS };

struct dockerfile_flag_spec {
    const char *name; /* NULL ends a list */
    enum dockerfile_flag_type type;
};

#define DOCKERFILE_MAX_FLAGS 8

struct dockerfile_instruction_spec {
    const char *name; /* upper case */
    enum dockerfile_kind kind;
    enum dockerfile_form form;
    bool has_heredocs;
    struct dockerfile_flag_spec flags[DOCKERFILE_MAX_FLAGS];
    /* NULL: its form is all there is to it. Flags are checked before. */
    struct cob_error *(*fill)(
        struct cob_dockerfile *dockerfile, struct dockerfile_instruction *instruction);
};

/* Every instruction, in the order of enum dockerfile_kind. */
extern const struct dockerfile_instruction_spec dockerfile_instruction_specs[];
extern const size_t dockerfile_n_instruction_specs;

/*
 * Make the instruction that a line holds.
 *
 * lexer:   gives the lines of here-documents.
 * range:   of the line; grows with them.
 * errors:  at the instruction's lines; "dockerfile parse error on line N" before what is wrong with
 *          it, as in BuildKit, but not before what is wrong with its form.
 */
COB_RESULT struct cob_error *dockerfile_instruction_new(struct dockerfile_lexer *lexer,
    const char *text, struct cob_range range, struct dockerfile_instruction **ret_instruction);
void dockerfile_instruction_free(struct dockerfile_instruction *instruction);
COB_AUTOPTR(dockerfile_instruction, dockerfile_instruction_free)

/* Make the instruction that an ONBUILD keeps, here-documents with it. Its range means nothing.
 * errors: without a place. */
COB_RESULT struct cob_error *dockerfile_trigger_parse(
    const char *trigger, char escape, struct dockerfile_instruction **ret_instruction);

/* Read `rest` in the form of the instruction's kind, into words, pairs or command. */
COB_RESULT struct cob_error *dockerfile_form_read(
    struct dockerfile_instruction *instruction, const char *rest, char escape);

/* What can be parsed of a file, up to the first error. */
struct cob_dockerfile *dockerfile_parse_part(struct cob_srcfile *file);

/* An empty list of struct dockerfile_pair, owned. */
GPtrArray *dockerfile_pairs_new(void);

/* Refuse flags that the instruction does not have, and values that they may not have. */
COB_RESULT struct cob_error *dockerfile_flags_check(
    const struct dockerfile_instruction_spec *spec, const GPtrArray *flags);

/* The value of a flag, NULL when it is not there. Borrowed. */
const char *dockerfile_flag_text(
    const struct dockerfile_instruction *instruction, const char *name);

/* The value of a flag of type BOOL. */
enum dockerfile_choice dockerfile_flag_choice(
    const struct dockerfile_instruction *instruction, const char *name);

/* The values of a flag that may be there many times. The caller unrefs it. */
GPtrArray *dockerfile_flag_texts(
    const struct dockerfile_instruction *instruction, const char *name);

/* The fill functions of the table. */
struct cob_error *dockerfile_fill_arg(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_expose(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_files(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_from(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_health(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_onbuild(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_one_word(
    struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_pairs(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_run(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_shell(struct cob_dockerfile *, struct dockerfile_instruction *);
struct cob_error *dockerfile_fill_volume(struct cob_dockerfile *, struct dockerfile_instruction *);

/*
 * Read RUN --mount=.
 *
 * expander:  of its values. NULL: only `text` and `from` are read, which have no variables.
 */
COB_RESULT struct cob_error *dockerfile_mount_parse(const char *text,
    const struct dockerfile_expander *expander, struct dockerfile_mount **ret_mount);
void dockerfile_mount_free(struct dockerfile_mount *mount);
COB_AUTOPTR(dockerfile_mount, dockerfile_mount_free)

/* Read RUN --device=. */
COB_RESULT struct cob_error *dockerfile_device_parse(
    const char *text, struct dockerfile_device **ret_device);
void dockerfile_device_free(struct dockerfile_device *device);
