/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic cache mounts: which directories the tools that a RUN calls keep their caches in.
 *
 *     RUN line -> shell_words.c -> commands -> auto_calls.c -> calls of tools -> auto_mounts.c
 *                                                ^                                   |
 *                                          auto_tools_table.c        cache mounts, or a suggestion
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

/* Is the path the other one, or below it? Both are clean. */
bool auto_is_at_or_below(const char *path, const char *top);

/* Is one of the two clean paths at or below the other? */
bool auto_is_related(const char *one, const char *other);
