/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands as tables: what a command is called, which options it takes, what they mean. The parser,
 * the help, the completions and the man page all read them, so nothing is said twice.
 *
 * A command is one file, cmd_<verb>.c, that defines one of the tables declared below.
 */
#pragma once

#include <stdbool.h>

#include "util/cancel.h"

enum cli_option_kind {
    CLI_FLAG, /* --pull, --pull=false */
    CLI_TEXT, /* --file=x; the last one counts */
    CLI_LIST, /* --tag=x; all count */
    CLI_SOME, /* --no-cache-mounts, --no-cache-mounts=x; all count, without a value as "" */
};

struct cli_option {
    const char *name; /* without its dashes */
    char letter;      /* 0: none */
    enum cli_option_kind kind;
    const char *placeholder; /* of the value, in help: "string"; NULL for a flag */
    const char *help;        /* NULL: taken, but not shown */
    bool is_refused;         /* known to docker build, and not carried out yet: an error */
};

struct cli_call; /* a command line, parsed */

struct cli_command {
    const char *name;  /* "build", "debug llb" */
    const char *usage; /* what follows "cob <name> ": "[OPTIONS] PATH | -" */
    const char *summary;
    const char *description;          /* for the man page; NULL: the summary does */
    const struct cli_option *options; /* the last one is {0}; NULL: none */
    unsigned min_args, max_args;
    bool is_program;       /* options end at the first argument: the rest is for another program */
    bool is_hidden;        /* not in the list of commands */
    int error_code;        /* exit code of an error; 0: 1 */
    const char *completes; /* what its arguments are, for `cob debug complete`; NULL: files */
    struct cob_error *(*run)(struct cli_call *call);
};

#define CLI_ANY_NUMBER 1000000

/* The first word of several commands: "cache". */
struct cli_group {
    const char *name, *summary;
};

/* All of them, in the order of their names, then {0}. */
extern const struct cli_group cli_groups[];

/* The group of that name; NULL: there is none. */
const struct cli_group *cli_group_find(const char *name);

/* Is a command of a group's? */
bool cli_group_has(const struct cli_group *group, const struct cli_command *command);

/* One for each cmd_<verb>.c. */
extern const struct cli_command cli_build, cli_cache_cp, cli_cache_export, cli_cache_import,
    cli_cache_inspect, cli_cache_ls, cli_cache_pin, cli_cache_quota, cli_cache_rm, cli_cache_unpin,
    cli_completion, cli_debug_complete, cli_debug_llb, cli_debug_man, cli_du, cli_help,
    cli_history_export, cli_history_import, cli_history_inspect, cli_history_logs, cli_history_ls,
    cli_history_open, cli_history_rm, cli_history_trace, cli_images, cli_prune, cli_pull, cli_rmi,
    cli_run, cli_version, cli_why;

/* All of them, in the order of their names, then NULL. */
extern const struct cli_command *const cli_commands[];

/* What `cob build` takes; `cob debug llb` takes the same. */
extern const struct cli_option cli_build_options[];

/* How many options a command has. */
size_t cli_n_options(const struct cli_command *command);

/* --- what a command sees of its command line --- */

struct cli_call {
    const struct cli_command *command;
    GPtrArray **values;        /* for each option, NULL or char *, NULL-terminated; owned */
    GPtrArray *args;           /* char *, owned, NULL-terminated */
    bool is_help;              /* --help was there: nothing else counts */
    bool is_debug;             /* --debug: warnings are told whole */
    struct cob_cancel *cancel; /* Ctrl-C; borrowed */
    int exit_code;             /* for run(), when it returns no error */
};

/* Options by name; one that the command's table does not have is a mistake of ours. */
bool cli_call_has(const struct cli_call *call, const char *name);
bool cli_call_flag(const struct cli_call *call, const char *name);
const char *cli_call_text(const struct cli_call *call, const char *name); /* NULL: not given */
const char *const *cli_call_list(
    const struct cli_call *call, const char *name);                /* NULL: not given */
const char *cli_call_arg(const struct cli_call *call, unsigned n); /* NULL: not given */

/*
 * Parse a command's own part of a command line.
 *
 * args:   NULL-terminated; behind the command's name.
 * errors: COB_INVALID: an unknown flag, with the one that may have been meant; a value that is
 *         missing; too many or too few arguments.
 */
COB_RESULT struct cob_error *cli_call_parse(
    const struct cli_command *command, const char *const *args, struct cli_call *ret_call);
void cli_call_done(struct cli_call *call);

/* The command that a command line begins with; "debug llb" has two words.
 * ret_n_words: how many words were its name.  errors: COB_INVALID: there is none of that name. */
COB_RESULT struct cob_error *cli_command_find(
    const char *const *args, const struct cli_command **ret_command, unsigned *ret_n_words);

/* --- texts, made from the tables --- */

/* `cob --help`, and `cob <command> --help`, laid out like docker's. */
void cli_help_append_all(GString *out);
void cli_help_append_group(GString *out, const struct cli_group *group);
void cli_help_append_command(GString *out, const struct cli_command *command);

/* The man page cob(1), for troff with the man macros. */
void cli_man_append(GString *out);

/* shell: "bash", "zsh" or "fish".  errors: COB_INVALID for another one. */
COB_RESULT struct cob_error *cli_completion_append(GString *out, const char *shell);

/* The git revision that cob was built from; "" when it was not built from git. */
extern const char cli_revision[];

/* Write to standard output.  errors: a full disk, a reader that went away. */
COB_RESULT struct cob_error *cli_print(const GString *text);

/* The whole program.  argv: NULL-terminated.  Returns its exit code. */
int cli_main(int argc, char **argv);
