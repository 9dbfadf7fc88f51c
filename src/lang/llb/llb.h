/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LLB: the graph of what is to be done, as BuildKit writes it.
 *
 *     frontend -> builder -> definition (bytes and digests) -> graph -> solver
 *                                ^ the wire, cob debug llb
 *
 * A vertex is one op: a source, a command, file actions, a merge, a difference. It is known by the
 * SHA-256 of its bytes, which hold the digests of its inputs; equal work has equal bytes, the same
 * that BuildKit's own client writes, so equal ops become one vertex. What is only for people, or
 * says how to cache, stands beside the bytes: struct cob_llb_about.
 *
 * The structs that protobuf-c makes of BuildKit's messages show here: Pb__Op and below.
 *
 * spec:  BuildKit solver/pb/ops.proto; client/llb for the order of mounts, inputs and outputs.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "spec/proto/proto.h"
#include "util/error.h"

/* One output of one vertex. The number of a vertex is its place in its builder or its graph. */
struct cob_llb_ref {
    int vertex; /* -1: scratch, the empty root file system */
    int output;
};
#define COB_LLB_SCRATCH ((struct cob_llb_ref){.vertex = -1})

/* What is not part of a vertex' digest. Zero and NULL mean: default. All of it is borrowed. */
struct cob_llb_about {
    const char *name; /* for progress; NULL: made from the op */
    bool is_ignoring_cache;
    const char *group_id, *group_name; /* a progress group, NULL: none */
    bool is_weak_group;                /* spec: ProgressGroup.weak */
    struct cob_srcfile *file;          /* whose lines the op comes from */
    const struct cob_range *ranges;
    size_t n_ranges;
};

struct cob_llb_platform {
    const char *os, *architecture, *variant, *os_version; /* NULL and "" are the same */
};

/* ---- building ---- */

struct cob_llb_builder; /* a graph that grows; vertices only refer to those that are there */

/* platform: of the ops that say none; borrowed. NULL: linux on this machine's architecture. */
struct cob_llb_builder *cob_llb_builder_new(const struct cob_llb_platform *platform);
void cob_llb_builder_free(struct cob_llb_builder *builder);
COB_AUTOPTR(cob_llb_builder, cob_llb_builder_free)

struct cob_llb_attr {
    const char *key, *value;
};

/*
 * Add a source: "docker-image://docker.io/library/busybox:latest", "local://context".
 *
 * attrs:     ended by a NULL key, in any order; NULL: none.
 * platform:  NULL: the builder's. Only image sources have one.
 * about:     NULL: nothing to say.
 */
struct cob_llb_ref cob_llb_add_source(struct cob_llb_builder *builder, const char *identifier,
    const struct cob_llb_attr *attrs, const struct cob_llb_platform *platform,
    const struct cob_llb_about *about);

/* A mount of a command. Which fields count depends on its type; the rest stays zero. */
struct cob_llb_mount {
    Pb__MountType type;
    const char *dest;          /* NULL: a secret that is only in the environment */
    struct cob_llb_ref source; /* BIND, CACHE: what is mounted, or lies below. Zero is vertex 0! */
    const char *selector;      /* BIND, CACHE: a path within source; NULL: all of it */
    bool is_readonly;
    bool is_without_output; /* BIND: what is written there is dropped */
    bool is_optional;       /* SECRET, SSH */
    const char *id;         /* CACHE, SECRET, SSH */
    Pb__CacheSharingOpt sharing;
    bool is_automatic; /* CACHE: nobody wrote it; "~/" in dest and id is the home of the user */
    const char *env;   /* SECRET: the variable that holds it; NULL: none */
    uint32_t uid, gid, mode;
    int64_t size_bytes; /* TMPFS; 0: no limit of its own */
    Pb__MountContentCache content_cache;
};

/* A limit of a process: of "nofile", "core", ...; -1: none. */
struct cob_llb_ulimit {
    const char *name;
    int64_t soft, hard;
};

/* A command. Lists end with NULL and may be NULL; so may texts. */
struct cob_llb_exec {
    const char *const *args;
    const char *const *env; /* "NAME=value" */
    const char *cwd;
    const char *user;
    const char *hostname;
    const char *cgroup_parent;
    const char *const *hosts;   /* "name=address" */
    const char *const *proxies; /* HTTP, HTTPS, FTP, NO, ALL: five texts, or NULL: no proxy_env */
    const struct cob_llb_ulimit *ulimits;
    size_t n_ulimits;
    Pb__NetMode network;
    Pb__SecurityMode security;
    const struct cob_llb_mount *mounts; /* in any order, one of them on "/" */
    size_t n_mounts;
    const struct cob_llb_platform *platform; /* NULL: the builder's */
};

/* Add a command. Returns its root file system afterwards: the output of the mount on "/". */
struct cob_llb_ref cob_llb_add_exec(struct cob_llb_builder *builder,
    const struct cob_llb_exec *exec, const struct cob_llb_about *about);

enum cob_llb_action_kind {
    COB_LLB_COPY,    /* `source` of `from` to `path` */
    COB_LLB_MKFILE,  /* `data` at `path` */
    COB_LLB_MKDIR,   /* a directory at `path` */
    COB_LLB_RM,      /* `path` */
    COB_LLB_SYMLINK, /* at `path`, saying `source` */
};

enum cob_llb_action_flags {
    COB_LLB_FOLLOW_LINKS = 1 << 0,   /* COPY: a symlink as source */
    COB_LLB_CONTENTS_ONLY = 1 << 1,  /* COPY: of a directory, not the directory itself */
    COB_LLB_UNPACK = 1 << 2,         /* COPY: archives, as ADD does */
    COB_LLB_MAKE_PARENTS = 1 << 3,   /* COPY, MKDIR */
    COB_LLB_WILDCARD = 1 << 4,       /* COPY, RM */
    COB_LLB_ALLOW_NOTHING = 1 << 5,  /* COPY: no match for a wildcard; RM: not there */
    COB_LLB_REPLACE_OTHERS = 1 << 6, /* COPY: what is there and of another type */
};

#define COB_LLB_MODE_KEEP (-1)
#define COB_LLB_TIME_KEEP INT64_C(-1)

/* One change to a root file system. Paths are absolute and clean. */
struct cob_llb_action {
    enum cob_llb_action_kind kind;
    unsigned flags; /* enum cob_llb_action_flags */
    const char *path;
    const char *source;
    struct cob_llb_ref from;    /* COPY */
    GBytes *data;               /* MKFILE; NULL: empty */
    int mode;                   /* permission bits; COPY: or COB_LLB_MODE_KEEP */
    const char *mode_text;      /* COPY: "u=rwX,go=rX", in place of mode; NULL: mode */
    const char *owner;          /* "user[:group]", names or numbers; NULL: of the source, or root */
    int64_t time_ns;            /* since 1970, or COB_LLB_TIME_KEEP; 0 is 1970! */
    const char *const *include; /* COPY: patterns; the lists end with NULL and may be NULL */
    const char *const *exclude;
    const char *const *required;
};

/* Add file actions, each on what the one before it left, the first on `base`. */
struct cob_llb_ref cob_llb_add_file(struct cob_llb_builder *builder, struct cob_llb_ref base,
    const struct cob_llb_action *actions, size_t n_actions, const struct cob_llb_about *about);

/* Lay root file systems over each other, the last on top. Scratch adds nothing; one alone is
 * itself, none is scratch. */
struct cob_llb_ref cob_llb_add_merge(struct cob_llb_builder *builder,
    const struct cob_llb_ref *refs, size_t n_refs, const struct cob_llb_about *about);

/* What `upper` changed against `lower`. Against scratch, it is upper. */
struct cob_llb_ref cob_llb_add_diff(struct cob_llb_builder *builder, struct cob_llb_ref lower,
    struct cob_llb_ref upper, const struct cob_llb_about *about);

/* ---- definitions ---- */

struct cob_llb_place {
    int file; /* into the definition's files */
    struct cob_range range;
};

struct cob_llb_op {
    char *digest;  /* "sha256:<hex>" of bytes */
    GBytes *bytes; /* a Pb__Op */
    char *name;    /* NULL: none given */
    bool is_ignoring_cache;
    char *group_id, *group_name; /* NULL: none */
    bool is_weak_group;
    GArray *places; /* struct cob_llb_place */
};

/* A graph as it travels: immutable. */
struct cob_llb_definition {
    GPtrArray *ops;   /* struct cob_llb_op, owned; inputs before users. The last one has only
                       * inputs, the first of which is the result. Empty: scratch */
    GPtrArray *files; /* struct cob_srcfile, owned */
};

/* All that `result` needs, as a definition; nothing else of the builder. */
struct cob_llb_definition *cob_llb_builder_finish(
    struct cob_llb_builder *builder, struct cob_llb_ref result);
void cob_llb_definition_free(struct cob_llb_definition *definition);
COB_AUTOPTR(cob_llb_definition, cob_llb_definition_free)

/* The definition as BuildKit's Definition message, and back.
 * errors: COB_INVALID. What the ops hold is looked at by cob_llb_graph_new(). */
GBytes *cob_llb_definition_bytes(const struct cob_llb_definition *definition);
COB_RESULT struct cob_error *cob_llb_definition_parse(
    GBytes *bytes, struct cob_llb_definition **ret_definition);

/* The definition for people and for tests: a block of lines for each op, with "#1", "#2" for
 * digests, and every field that is set. The caller frees it. */
COB_RESULT struct cob_error *cob_llb_dump(
    const struct cob_llb_definition *definition, char **ret_text);

/* The definition as JSON, as BuildKit's frontend.convertllb answers: "def" has the ops by their
 * digests, "metadata" what stands beside each, "source" its lines. Without "caps": what BuildKit's
 * clients ask of a server, a definition here does not have.
 * ret_json: the caller's.
 * spec: frontend/subrequests/convertllb; protobuf.dev/programming-guides/json. */
COB_RESULT struct cob_error *cob_llb_json(
    const struct cob_llb_definition *definition, json_t **ret_json);

/* ---- graphs ---- */

struct cob_llb_vertex {
    char *digest;
    const Pb__Op *op; /* checked: see cob_llb_graph_new() */
    GArray *inputs;   /* struct cob_llb_ref, as op->inputs; never scratch */
    int n_outputs;
    char *name; /* never NULL */
    bool is_ignoring_cache;
    char *group_id, *group_name; /* NULL: none */
    bool is_weak_group;
    struct cob_srcfile *file; /* NULL: unknown */
    struct cob_range range;   /* the first of the op's */
};

struct cob_llb_graph {
    GPtrArray *vertices; /* struct cob_llb_vertex, owned; inputs before users */
    GArray *results;     /* struct cob_llb_ref, one a definition */
};

/*
 * Decode and check a definition. Afterwards holds for each op, whoever wrote it:
 * - its kind is set, and so is what the kind needs: meta, args and a mount on "/" for a command, an
 *   action for file actions, both sides of a difference;
 * - every index of an input, an output or an action is there, or -1 where that is allowed;
 * - every enum has one of its values;
 * - an input is an op that comes before it: there is no loop.
 * Ops that the result does not need are checked and left out.
 *
 * errors: COB_INVALID, COB_EXHAUSTED past a limit.
 */
COB_RESULT struct cob_error *cob_llb_graph_new(
    const struct cob_llb_definition *definition, struct cob_llb_graph **ret_graph);

/* The same of several definitions, as one graph: an op that two of them have is one vertex, with
 * the name and the place that it has in the first. */
COB_RESULT struct cob_error *cob_llb_graph_join(const struct cob_llb_definition *const *definitions,
    size_t n, struct cob_llb_graph **ret_graph);
void cob_llb_graph_free(struct cob_llb_graph *graph);
COB_AUTOPTR(cob_llb_graph, cob_llb_graph_free)

/* The value of a source's attribute, NULL when it is not there. Borrowed from the op. */
const char *cob_llb_source_attr(const Pb__SourceOp *source, const char *key);
