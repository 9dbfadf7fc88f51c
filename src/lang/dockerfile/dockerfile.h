/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dockerfiles: bytes -> instructions and stages -> the LLB and the image config of one target.
 *
 *     bytes --cob_dockerfile_parse()--> cob_dockerfile --cob_dockerfile_to_llb()--> definition
 *                                             |                     ^                + config
 *                                cob_dockerfile_images() --> engine resolves them
 *
 * Nothing here does I/O: what a base image is, the caller says through a cob_image_resolver. Every
 * error that a user can cause is COB_INVALID, quotes the Dockerfile's lines, and has BuildKit's
 * words. What is parsed but not carried out yet is COB_UNIMPLEMENTED.
 *
 * threads:  a parsed Dockerfile is immutable and may be shared; the functions are free.
 * spec:     BuildKit docs/reference.md; frontend/dockerfile for what that leaves open.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

struct cob_ignore;         /* lang/ignore/ignore.h */
struct cob_llb_definition; /* lang/llb/llb.h */
struct cob_llb_ulimit;

/* A parsed Dockerfile. One owner; cob_dockerfile_free() frees all that hangs below it. */
struct cob_dockerfile;

/*
 * Parse a whole file.
 *
 * file:    kept by reference, for errors.
 * errors:  COB_INVALID, at its line: "dockerfile parse error on line 3: unknown instruction: RUNN
 *          (did you mean RUN?)"; COB_EXHAUSTED past COB_LIMIT_DOCKERFILE_BYTES.
 */
COB_RESULT struct cob_error *cob_dockerfile_parse(
    struct cob_srcfile *file, struct cob_dockerfile **ret_dockerfile);
void cob_dockerfile_free(struct cob_dockerfile *dockerfile);

/* The same, whatever `# syntax=` says.
 * frontend:  of BUILDKIT_SYNTAX: only "docker/dockerfile:..." will do; NULL: `# syntax=` counts. */
COB_RESULT struct cob_error *cob_dockerfile_parse_as(
    struct cob_srcfile *file, const char *frontend, struct cob_dockerfile **ret_dockerfile);
COB_AUTOPTR(cob_dockerfile, cob_dockerfile_free)

/* Stages from first to last; a name is NULL where FROM gives none. Borrowed from the Dockerfile. */
size_t cob_dockerfile_n_stages(const struct cob_dockerfile *dockerfile);
const char *cob_dockerfile_stage_name(const struct cob_dockerfile *dockerfile, size_t index);

/* What to build, and how; zero is the default of everything. All borrowed. */
struct cob_dockerfile_request {
    const char *target;          /* stage name or number; NULL: the last stage */
    GHashTable *build_args;      /* name -> value, both char *; NULL: none */
    GHashTable *labels;          /* name -> value, set on top of those of the Dockerfile */
    GHashTable *contexts;        /* named ones: "alpine", "alpine::linux/arm64" -> "local:NAME",
                                    "docker-image://REF", "oci-layout://STORE@DIGEST", a URL;
                                    both char *; NULL: none */
    const char *target_platform; /* "linux/arm64"; NULL: the build platform */
    const char *build_platform;  /* where steps run; NULL: linux/amd64 or what cob was built for */
    bool is_multi_platform;      /* names begin with the platform: "[linux/arm64 1/3] RUN ..." */
    bool is_no_cache;            /* for every stage */
    const char *const *no_cache_stages; /* NULL-terminated; NULL: none */
    const char *network;                /* "default", "none", "host"; NULL: default */
    int64_t shm_size_bytes;             /* of /dev/shm; 0: the executor's */
    const char *cgroup_parent;          /* NULL: the executor's */
    const struct cob_llb_ulimit *ulimits;
    size_t n_ulimits;
    const char *hostname;              /* NULL: the executor's */
    const char *cache_mount_namespace; /* before the "/" of every cache mount's id; NULL: "" */
    const char *epoch; /* the number that a global ARG SOURCE_DATE_EPOCH is instead of what it says;
                          "": it is not there; NULL: as it says */
    const char *const
        *context_excludes;          /* of .dockerignore, for local.excludepatterns; NULL: none */
    const char *const *extra_hosts; /* "name=address"; NULL: none */
    const char *context_session;    /* local.session of the build context; NULL: not set */
    const struct cob_ignore
        *ignore;         /* of the context, to warn of copies that it prevents; or NULL */
    GPtrArray *warnings; /* cob_dockerfile_warnings_new(): emptied, then filled, also by a call that
                            fails; NULL: nothing is checked */
    bool is_check;       /* only warnings are wanted: of every stage, when no target is named */
    bool has_auto_mounts; /* RUN steps get the caches of the tools they call as mounts */
};

/* A base image that a target needs. */
struct cob_dockerfile_image {
    char *ref;              /* normalized: docker.io/library/golang:1.21; or
                             * oci-layout://STORE@DIGEST */
    char *platform;         /* "linux/amd64" */
    char *context;          /* the key of the named context that it is; NULL: none */
    struct cob_range range; /* the line that names it */
};

/* What asks for the image config of a base image. */
struct cob_image_resolver {
    void *arg;
    /*
     * image:       one of cob_dockerfile_images(), or one that only a trigger of ONBUILD names.
     * ret_digest:  of its manifest or index, "sha256:..."; the caller g_free()s it; NULL: unknown,
     *              the reference stays as it is.
     * ret_config:  the image config's JSON; the caller unrefs it.
     */
    struct cob_error *(*resolve)(void *arg, const struct cob_dockerfile_image *image,
        char **ret_digest, GBytes **ret_config);
};

/* List the images that the target's stages begin with or copy from, each (ref, platform) once, in
 * the order of the file.
 * ret_images: of struct cob_dockerfile_image *, with a free function; the caller unrefs it.
 * errors:     those of cob_dockerfile_to_llb() up to there: unknown target, cycles, bad names. */
COB_RESULT struct cob_error *cob_dockerfile_images(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, GPtrArray **ret_images);

/*
 * What is odd, but no error. The rules, their words and what triggers them are BuildKit's; two
 * are cob's own. A comment "# check=skip=A,B;error=true" at the top of the file, or above an
 * instruction, and the build argument BUILDKIT_DOCKERFILE_CHECK say which count; with error=true,
 * one that was broken is an error of the build. There are at most COB_LIMIT_LINT_WARNINGS.
 * spec: BuildKit frontend/dockerfile/linter.
 */
struct cob_dockerfile_warning {
    const char *rule;        /* "LegacyKeyValueFormat"; static */
    const char *description; /* what the rule asks for; static */
    const char *url;         /* where it is explained; static; NULL: nowhere */
    char *text;              /* "... (line 3)" is left to who shows it */
    struct cob_range range;
    bool is_suggestion; /* nothing is wrong: not counted, and no error with error=true */
};

/* An empty list of struct cob_dockerfile_warning *, owned. The caller unrefs it. */
GPtrArray *cob_dockerfile_warnings_new(void);

/* Warn of what stands before the place where cob_dockerfile_parse() failed. */
void cob_dockerfile_warn_unparsed(
    struct cob_srcfile *file, const struct cob_dockerfile_request *request);

struct cob_dockerfile_result {
    struct cob_llb_definition *definition; /* its result is the target's root file system */
    GBytes *config;                        /* the image config's JSON: history without times, */
                                           /* rootfs with no diff ids: exporters add both */
};

/*
 * Convert the target to LLB and its image config. Stages that it does not need are not looked at.
 *
 * resolver:  asked for each image once.
 * ret:       untouched on failure, else the caller's: cob_dockerfile_result_done().
 * errors:    COB_INVALID and COB_UNIMPLEMENTED at their line; the resolver's, at the FROM.
 */
COB_RESULT struct cob_error *cob_dockerfile_to_llb(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver,
    struct cob_dockerfile_result *ret);
void cob_dockerfile_result_done(struct cob_dockerfile_result *result);

/*
 * Convert for the warnings alone, with request->is_check.
 *
 * errors: those of cob_dockerfile_to_llb(). An image that the resolver fails for does not end the
 *         check: it is taken for one without a config, and the first such error is returned after
 *         all else was looked at.
 */
COB_RESULT struct cob_error *cob_dockerfile_check(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver);

/* Does the name of a variable say that its value is nobody's business? By the words of the rule
 * SecretsUsedInArgOrEnv. */
bool cob_dockerfile_is_secret_name(const char *name);

/* What a stage that is named by SOURCE_DATE_EPOCH gets its time from. */
struct cob_dockerfile_epoch {
    char *source;   /* as ADD has it, expanded */
    char *checksum; /* likewise; NULL: none */
};

#define COB_DOCKERFILE_EPOCH "SOURCE_DATE_EPOCH"

/* What an ARG of that name before the first FROM says.
 * ret_text: the caller's; NULL: there is none, or it is empty.  errors: COB_INVALID. */
COB_RESULT struct cob_error *cob_dockerfile_epoch_default(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, char **ret_text);

/* Find it.  ret: untouched on failure, else the caller's: cob_dockerfile_epoch_done().
 * errors: COB_INVALID: there is no such stage, or more in it than FROM scratch, ARGs, one ADD. */
COB_RESULT struct cob_error *cob_dockerfile_epoch(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const char *name,
    struct cob_dockerfile_epoch *ret_epoch);
void cob_dockerfile_epoch_done(struct cob_dockerfile_epoch *epoch);

/* A stage that may be built. */
struct cob_dockerfile_target {
    const char *name;        /* NULL: none */
    const char *description; /* of a comment "# name description" above its FROM; NULL: none */
    const char *base;        /* as written */
    const char *platform;    /* as written; NULL: none */
    bool is_default;
    struct cob_range range;
};

/* All stages, in order; what the targets borrow is the Dockerfile's.
 * ret_targets: of struct cob_dockerfile_target; the caller unrefs it. */
void cob_dockerfile_targets(const struct cob_dockerfile *dockerfile, GArray **ret_targets);

/* Something that a build may be given. */
struct cob_dockerfile_input {
    char *name;
    char *value;       /* of an argument: what it is now; NULL: nothing */
    char *description; /* of a comment "# name description" above the ARG; NULL: none */
    bool is_required;  /* of secrets and ssh */
    struct cob_range range;
};

/* What the target, and the stages that it needs, use; struct cob_dockerfile_input *, owned, in the
 * order of their lines. */
struct cob_dockerfile_outline {
    char *name;        /* of the target; NULL: none */
    char *description; /* NULL: none */
    GPtrArray *args, *secrets, *ssh;
};

/* Find out.  ret: untouched on failure, else the caller's: cob_dockerfile_outline_done().
 * errors: those of cob_dockerfile_to_llb(). */
COB_RESULT struct cob_error *cob_dockerfile_outline(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver,
    struct cob_dockerfile_outline *ret);
void cob_dockerfile_outline_done(struct cob_dockerfile_outline *outline);
