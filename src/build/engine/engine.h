/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: what a command asks for, done. It ties the parts together and holds no ideas of its
 * own: request -> frontend (lang/dockerfile) -> LLB -> solver -> ops -> exporters.
 *
 * A process that uses it without being root has entered its user namespace before (build/userns);
 * one that mounts has a mount namespace of its own.
 *
 * threads:  one build at a time in an engine; observers are called from many threads.
 */
#pragma once

#include "build/event.h"
#include "disk/store/store.h"
#include "util/cancel.h"

struct cob_llb_ulimit; /* lang/llb/llb.h */
struct cob_registry;   /* net/registry/registry.h */
struct cob_engine; /* an open store, and what reaches registries and runs steps, made when needed */

/* root_path: NULL: cob_store_default_path(). */
COB_RESULT struct cob_error *cob_engine_open(const char *root_path, struct cob_engine **ret_engine);
void cob_engine_close(struct cob_engine *engine);
COB_AUTOPTR(cob_engine, cob_engine_close)

struct cob_store *cob_engine_store(struct cob_engine *engine);       /* borrowed */
struct cob_registry *cob_engine_registry(struct cob_engine *engine); /* borrowed */

/* A secret that steps may mount: from a file or from a variable of cob's own environment. */
struct cob_engine_secret {
    const char *id;
    const char *path; /* NULL: from env */
    const char *env;
};

/* A build. Zero and NULL mean: default. Lists end with NULL and may be NULL. All is borrowed. */
struct cob_engine_request {
    const char *context;  /* a directory, a URL, a git reference; "-": what follows */
    GBytes *context_head; /* the first bytes of an archive that is the context; NULL: it is empty */
    int context_fd;       /* and where the others come from */
    const char *const *build_contexts; /* "NAME=VALUE", see spec/contextref */
    const char *dockerfile; /* a path, in a remote context within it, or a URL; NULL: Dockerfile in
                             * the context */
    GBytes *dockerfile_bytes; /* instead of reading it: what came on standard input */
    const char *target;
    const char *const
        *build_args;           /* "NAME=value", or "NAME": from the environment if it is there */
    const char *const *labels; /* "key=value" */
    const char *const *tags;   /* image names */
    bool is_no_cache;          /* every step runs; cache mounts stay */
    bool has_auto_mounts;      /* RUN steps get the caches of their tools as mounts */
    const char *const *no_cache_stages;
    bool is_no_cache_mounts;            /* empty the cache mounts before the build: */
    const char *const *no_cache_mounts; /* those of these ids; NULL: of all steps */
    bool is_pulling;                    /* ask the registry although the image is here */
    const char *const *platforms;       /* "linux/arm64"; none: this machine's */
    const char *network;                /* "default", "host", "none" */
    const char *const *allow;           /* entitlements: "network.host" */
    const char *const *extra_hosts;     /* "name=address" */
    int64_t shm_size_bytes;             /* of /dev/shm in steps */
    const char *cgroup_parent;          /* of the cgroups of steps */
    const struct cob_llb_ulimit *ulimits;
    size_t n_ulimits;
    const struct cob_engine_secret *secrets;
    size_t n_secrets;
    const char *const *ssh;        /* "default", "ID=SOCKET", "ID=KEY,KEY" */
    const char *const *attests;    /* "type=sbom,disabled=true"; of a type the last one counts */
    const char *const *outputs;    /* "type=oci,dest=x.tar"; NULL: only the image store */
    const char *const *cache_from; /* "type=local,src=x", or a reference to a registry */
    const char *const *cache_to;   /* "type=local,dest=x,mode=max" */
    unsigned n_parallel;
    bool is_explaining; /* for each step that runs, tell why: cob_event_warning.is_reason */
};

struct cob_engine_result {
    char *image_id; /* digest of the config; NULL when no image was asked for. Of several platforms
                      * it is this machine's, or else the first one's */
    char **platforms;     /* of an image for several of them; else NULL */
    char **image_ids;     /* likewise, the digest of each */
    char *names;          /* the image's, in full, with a comma between them; NULL: it has none */
    char *cache_manifest; /* descriptor of the cache that was exported, as JSON; NULL: none was */
    char *build_id;       /* in the history, see build/history */
};
void cob_engine_result_done(struct cob_engine_result *result);

/*
 * Build.
 *
 * observer:  hears of everything, also of the steps that cob adds ([internal] ...).
 * errors:    begin with "failed to solve"; COB_CANCELLED when `cancel` was set.
 */
COB_RESULT struct cob_error *cob_engine_build(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, struct cob_engine_result *ret_result);

/* Drop what is past the limits of what is kept of builds: their records, and what explains steps.
 * The end of a build does so with the engine's own limits. */
struct cob_history_limits;
COB_RESULT struct cob_error *cob_engine_trim_history(
    struct cob_engine *engine, const struct cob_history_limits *limits);

/* The limits from now on.  limits: copied. */
void cob_engine_set_history_limits(
    struct cob_engine *engine, const struct cob_history_limits *limits);

/* What can be asked of a Dockerfile without building it.
 * spec: BuildKit frontend/subrequests; the versions are in subrequest_table.c. */
enum cob_engine_method {
    COB_ENGINE_LINT,
    COB_ENGINE_OUTLINE,
    COB_ENGINE_TARGETS,
    COB_ENGINE_CONVERT_LLB, /* the build as JSON: cob_llb_json() */
    COB_ENGINE_DESCRIBE,    /* what can be asked */
};

struct cob_engine_answer {
    char *json, *text;       /* BuildKit's result.json and result.txt; text: NULL: there is none */
    const char *version;     /* of the question, static */
    char *suggestions;       /* of COB_ENGINE_LINT, as the text; NULL, or empty: none */
    unsigned n_warnings;     /* of COB_ENGINE_LINT */
    struct cob_error *error; /* of COB_ENGINE_LINT: what keeps the Dockerfile from being built */
};
void cob_engine_answer_done(struct cob_engine_answer *answer);

/* Ask. Base images are looked up, nothing else is fetched. An image that cannot be reached does
 * not keep COB_ENGINE_LINT from checking the rest.  ret_answer: untouched on failure. */
COB_RESULT struct cob_error *cob_engine_ask(struct cob_engine *engine,
    const struct cob_engine_request *request, enum cob_engine_method method,
    const struct cob_observer *observer, struct cob_cancel *cancel,
    struct cob_engine_answer *ret_answer);

/* The LLB of a build, as text for people, without running any of it.  ret_text: the caller's. */
COB_RESULT struct cob_error *cob_engine_llb(struct cob_engine *engine,
    const struct cob_engine_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, char **ret_text);

/* Bring an image with all its layers here, also when a tag of that name is here already.
 * ret_image: the caller's; may be NULL. */
COB_RESULT struct cob_error *cob_engine_pull(struct cob_engine *engine, const char *name,
    const char *platform, const struct cob_observer *observer, struct cob_cancel *cancel,
    struct cob_store_image **ret_image);

/* Run an image, as `docker run` does. */
struct cob_engine_run_request {
    const char *image;
    const char *platform;       /* NULL: this machine's if it is there */
    const char *const *args;    /* instead of the image's Cmd */
    const char *entrypoint;     /* instead of the image's; NULL: the image's */
    const char *const *env;     /* "NAME=value", or "NAME": from the environment */
    const char *const *volumes; /* "host-path:path[:ro]" */
    const char *workdir;
    const char *user;
    const char *hostname;
    const char *network; /* "default", "host", "none" */
    bool is_terminal;    /* -t */
    bool is_interactive; /* -i: standard input is passed on */
    bool is_kept;        /* no --rm: keep what it wrote as an unnamed snapshot */
};

/* ret_exit_code: the program's own, 128 + signal; beside an error: 126 when the program may not be
 * executed, 127 when there is none of that name. */
COB_RESULT struct cob_error *cob_engine_run(struct cob_engine *engine,
    const struct cob_engine_run_request *request, const struct cob_observer *observer,
    struct cob_cancel *cancel, int *ret_exit_code);
