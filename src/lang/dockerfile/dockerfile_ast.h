/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Dockerfile says, before any variable is expanded: struct cob_dockerfile and below.
 *
 *     cob_dockerfile
 *      |- directives: escape, syntax, check
 *      |- global_args: instructions (ARG) before the first FROM
 *      '- stages
 *          |- from: the FROM instruction
 *          '- instructions: those after it, in order
 *
 * Each instruction keeps what every kind has (its lines, its text, its flags, its heredocs), then a
 * union of what its own kind has. Strings are never NULL unless it says so.
 */
#pragma once

#include <stdint.h>

#include "lang/dockerfile/dockerfile.h"

enum dockerfile_kind {
    DOCKERFILE_ADD,
    DOCKERFILE_ARG,
    DOCKERFILE_CMD,
    DOCKERFILE_COPY,
    DOCKERFILE_ENTRYPOINT,
    DOCKERFILE_ENV,
    DOCKERFILE_EXPOSE,
    DOCKERFILE_FROM,
    DOCKERFILE_HEALTHCHECK,
    DOCKERFILE_LABEL,
    DOCKERFILE_MAINTAINER,
    DOCKERFILE_ONBUILD,
    DOCKERFILE_RUN,
    DOCKERFILE_SHELL,
    DOCKERFILE_STOPSIGNAL,
    DOCKERFILE_USER,
    DOCKERFILE_VOLUME,
    DOCKERFILE_WORKDIR,
};

/* <<EOF ... EOF */
struct dockerfile_heredoc {
    char *name;       /* quotes removed */
    char *content;    /* every line with its end; tabs of <<- still there */
    unsigned fd;      /* of "3<<EOF", else 0 */
    bool is_expanded; /* the word was not quoted */
    bool is_chomped;  /* <<-: leading tabs are to go */
};

/* One of ENV, LABEL and ARG. */
struct dockerfile_pair {
    char *key;
    char *value;    /* NULL: "ARG name" alone */
    bool is_legacy; /* "ENV name value" */
};

/* --name=value of an instruction. */
struct dockerfile_flag {
    char *name;  /* without the dashes */
    char *value; /* NULL: no "=" */
};

/* Flags that may be true, false, or not there. */
enum dockerfile_choice { DOCKERFILE_UNSAID, DOCKERFILE_NO, DOCKERFILE_YES };

enum dockerfile_mount_type {
    DOCKERFILE_MOUNT_BIND,
    DOCKERFILE_MOUNT_CACHE,
    DOCKERFILE_MOUNT_TMPFS,
    DOCKERFILE_MOUNT_SECRET,
    DOCKERFILE_MOUNT_SSH,
};

enum dockerfile_sharing {
    DOCKERFILE_SHARING_UNSAID,
    DOCKERFILE_SHARING_SHARED,
    DOCKERFILE_SHARING_PRIVATE,
    DOCKERFILE_SHARING_LOCKED,
};

/* RUN --mount=. Values may hold variables, so that all but `text` and `from` are known only once
 * the instruction is converted: dockerfile_mount_parse(). */
struct dockerfile_mount {
    char *text; /* as written, quotes removed */
    char *from; /* NULL: not said */
    enum dockerfile_mount_type type;
    char *source, *target, *id; /* NULL: not said */
    char *env;                  /* NULL: not said */
    bool is_readonly, is_required;
    enum dockerfile_sharing sharing;
    int64_t size_bytes; /* tmpfs; 0: no limit */
    bool has_mode, has_uid, has_gid;
    uint32_t mode, uid, gid;
};

struct dockerfile_device {
    char *name;
    bool is_required;
};

/* RUN, CMD, ENTRYPOINT, SHELL, and HEALTHCHECK's test. */
struct dockerfile_command {
    GPtrArray *words; /* char *: of the JSON form, or the one line for the shell; maybe empty */
    bool is_json;
};

struct dockerfile_files { /* ADD, COPY */
    GPtrArray *sources;   /* char *: without the heredocs */
    GPtrArray *documents; /* struct dockerfile_heredoc *, borrowed: those that are sources */
    char *dest;
    char *from, *chown, *chmod, *checksum; /* NULL: not said */
    GPtrArray *excludes;                   /* char * */
    bool is_link, is_parents;
    enum dockerfile_choice unpack, keep_git_dir;
};

struct dockerfile_from {
    char *base;       /* may hold variables */
    char *platform;   /* may hold variables; NULL: not said */
    char *stage_name; /* lower case; NULL: none */
};

struct dockerfile_health {
    bool is_none;
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns; /* 0: inherit */
    int retries;                                                         /* 0: inherit */
};

struct dockerfile_run {
    GPtrArray *mounts;    /* struct dockerfile_mount *, owned */
    GPtrArray *devices;   /* struct dockerfile_device *, owned */
    const char *network;  /* "default", "none", "host"; static */
    const char *security; /* "sandbox", "insecure"; static */
};

struct dockerfile_instruction {
    enum dockerfile_kind kind;
    char *word;             /* "Run", as written */
    char *text;             /* the whole instruction, continuations joined, trimmed, no heredocs */
    struct cob_range range; /* with its heredocs */
    GPtrArray *comments;    /* char *: those right above it, without "#" */
    GPtrArray *flags;       /* struct dockerfile_flag *, owned */
    GPtrArray *heredocs;    /* struct dockerfile_heredoc *, owned */
    GPtrArray *words;       /* char *: EXPOSE, VOLUME; one: USER, WORKDIR, STOPSIGNAL, MAINTAINER */
    GPtrArray *pairs;       /* struct dockerfile_pair *, owned: ENV, LABEL, ARG */
    struct dockerfile_command command; /* RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK */
    union {
        struct dockerfile_files files;
        struct dockerfile_from from;
        struct dockerfile_health health;
        struct dockerfile_run run;
        char *trigger; /* ONBUILD: the instruction, heredocs included, for the image config */
    };
};

struct dockerfile_stage {
    struct dockerfile_instruction *from; /* owned */
    GPtrArray *instructions;             /* struct dockerfile_instruction *, owned */
};

struct dockerfile_directive {
    char *value; /* NULL: not there */
    struct cob_range range;
};

struct cob_dockerfile {
    struct cob_srcfile *file;
    char escape;          /* '\\' or '`' */
    const char *frontend; /* borrowed while it is parsed: in place of syntax; NULL: that counts */
    struct dockerfile_directive syntax, check, escape_directive;
    GPtrArray *global_args;      /* struct dockerfile_instruction *, owned */
    GPtrArray *stages;           /* struct dockerfile_stage *, owned; at least one */
    GArray *empty_continuations; /* int: the last line of each instruction that has one */
};
