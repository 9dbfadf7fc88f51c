/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic cache mounts: which directories the tools that a RUN calls keep their caches in.
 *
 *     RUN line -> shell_words.c -> commands -> auto_calls.c -> calls -> auto_tools.c
 *                                                                            |  auto_tools_table.c
 *                      cache mounts, or a suggestion <- auto_mounts.c <- directories
 *
 * A tool is a row of a table: names of its programs, what of them uses a cache, and where that is,
 * by its variables and options. A directory gets a mount unless this could change what the step
 * leaves behind or break it: auto_mounts.c has the list.
 *
 * docs/automatic-mounts.md has the table for users.
 */
#pragma once

#include "lang/dockerfile/dockerfile_convert.h"
#include "lang/dockerfile/dockerfile_shell.h"

#define AUTO_MAX_WORDS 24
#define AUTO_MAX_SOURCES 7
#define AUTO_MAX_DIRS 3

/* Who says where a directory is. */
struct auto_source {
    const char *variable; /* NULL: the call's own arguments */
    const char *option;   /* "--cache-dir": its value; of a variable: in its words. NULL: all */
    const char *suffix;   /* behind it; NULL: nothing */
    bool is_list;         /* the first path of several with colons */
};

enum auto_kind {
    AUTO_KIND_CACHE,
    AUTO_KIND_PACKAGES, /* of apt, which must be told to keep them */
    AUTO_KIND_LISTS,    /* of apt, which a later step may want */
};

struct auto_dir {
    struct auto_source sources[AUTO_MAX_SOURCES]; /* the first that says something */
    const char *fallback;                         /* "~/.npm", "/var/cache/apt" */
    const char *fallback_root;                    /* of root; NULL: the same */
    bool is_of_passwd; /* "~" is what the user database says, whatever HOME is */
    bool is_locked;    /* only one build at a time */
    enum auto_kind kind;
};

struct auto_tool {
    const char *name;
    const char *programs[AUTO_MAX_WORDS];
    const char *uses[AUTO_MAX_WORDS]; /* one of these is an argument; none: every call counts */
    bool is_used_bare;                /* a call with options alone counts, too */
    const char *offs[AUTO_MAX_WORDS]; /* arguments that go without the cache or empty it; two words
                                         are two arguments in a row */
    const char *off_variables[3];     /* set to something but no, it is off */
    struct auto_dir dirs[AUTO_MAX_DIRS];
};

extern const struct auto_tool auto_tools[];
extern const size_t auto_n_tools;

/* A cache that a RUN uses. */
struct auto_mount {
    const struct auto_tool *tool;
    const struct auto_dir *dir;
    char *target; /* clean; "~/...": below the home of the user, known once there is an image */
};

/* What a RUN calls. */
struct auto_calls {
    GPtrArray *mounts;  /* struct auto_mount *, owned, each target once */
    GPtrArray *touched; /* char *: clean paths that it makes, moves or removes, up to the first
                         * wildcard; "~" as in a target */
    GHashTable *off;    /* names of tools that it has go without a cache, borrowed */
    bool has_apt_update, has_apt_install;
    bool is_apt_configured; /* it does something to apt's configuration itself */
};

/* Find the calls.
 * script: for the shell; NULL: the instruction's words are the command. */
void auto_calls_init(
    struct auto_calls *calls, const struct dockerfile_job *job, const char *script);
void auto_calls_done(struct auto_calls *calls);

/* --- what auto_calls.c, auto_paths.c and auto_tools.c share --- */

/* A RUN being read. */
struct auto_finder {
    struct auto_calls *calls;
    const struct dockerfile_build *build;
    GHashTable *assigned; /* name -> value, of the script's own assignments; NULL: not known */
    char *cwd;            /* NULL: not known */
    bool is_of_root;
    size_t n_left; /* bytes to be read */
};

/* A command from its program on. */
struct auto_command {
    const GPtrArray *words; /* struct dockerfile_shell_word *, borrowed */
    guint first;            /* the program */
    unsigned depth;
};

/* A word of the command, NULL past its end; is it known? */
const char *auto_word(const struct auto_command *command, guint i);
bool auto_is_known(const struct auto_command *command, guint i);

/* --- auto_paths.c --- */

/* The last part of a path. */
const char *auto_name_of(const char *path);

/* Is the path the other one, or below it? Both are clean. */
bool auto_is_at_or_below(const char *path, const char *top);

/* Is one of the two clean paths at or below the other? */
bool auto_is_related(const char *one, const char *other);

/* Is a USER root? Others' homes are known once there is an image. */
bool auto_is_root(const char *user);

/* Of the user database: "/root" or "~". */
const char *auto_home_of_user(const struct auto_finder *finder);

/* ret_value: NULL: it is not set. Returns false when only the step will know. */
bool auto_look_up(const struct auto_finder *finder, const char *name, const char **ret_value);

/* The same as a dockerfile_env's get(); HOME is always set. arg: struct auto_finder. */
const char *auto_get(const void *arg, const char *name);

/* Note the assignment that a word is.  Returns whether it is one. */
bool auto_assign(struct auto_finder *finder, const struct auto_command *command, guint i);

/* A clean path from the root or from "~"; NULL when it is none. The caller frees it. */
char *auto_place(const char *path, const char *home);

/* Note the paths that a command makes, moves or removes: its arguments. */
void auto_touch(struct auto_finder *finder, const struct auto_command *command);

/* cd */
void auto_change_directory(struct auto_finder *finder, const struct auto_command *command);

/* --- auto_tools.c --- */

/* The tool of a program; NULL: none. */
const struct auto_tool *auto_find_tool(const char *program);

/* Note the caches that a call uses. */
void auto_call_tool(
    struct auto_finder *finder, const struct auto_tool *tool, const struct auto_command *command);

/* Is the program one that a variable has call compilers through ccache? */
bool auto_is_cached_build(const struct auto_finder *finder, const char *program);

/* "python" of "python3.11". The caller frees it. */
char *auto_without_version(const char *name);
