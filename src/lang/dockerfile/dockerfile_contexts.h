/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named contexts: what the request puts in the place of a stage, of a base image, or of what --from
 * names, looked for in this order.
 *
 *     local:NAME                 a tree of the client's       a source of its own, not as a base
 *     docker-image://REF         an image                     as if the Dockerfile had named it
 *     oci-layout://STORE@DIGEST  an image in a directory      likewise
 *     a git URL                  the files of a commit
 *     http://, https://          one file, "context"
 *
 * spec: BuildKit frontend/dockerui/namedcontext.go, dockerfile2llb/convert.go.
 */
#pragma once

#include "lang/dockerfile/dockerfile_plan.h"
#include "lang/llb/llb.h"

enum dockerfile_context_kind {
    DOCKERFILE_CONTEXT_LOCAL,
    DOCKERFILE_CONTEXT_IMAGE,
    DOCKERFILE_CONTEXT_LAYOUT,
    DOCKERFILE_CONTEXT_REMOTE,
};

struct dockerfile_context {
    enum dockerfile_context_kind kind;
    char *key;   /* as the request has it: "alpine", "alpine::linux/arm64" */
    char *input; /* LOCAL: the name of the source; IMAGE: "alpine:3"; else as the request has it */
};
void dockerfile_context_free(struct dockerfile_context *context);

/* Put what the request has for a node into it: by the name of its stage, else by that of its base.
 * errors: what stands for it is nothing that there is. */
COB_RESULT struct cob_error *dockerfile_context_place(
    const struct dockerfile_plan *plan, struct dockerfile_node *node);

/* The reference by which an image of a node is asked for.
 * errors: COB_INVALID. */
COB_RESULT struct cob_error *dockerfile_context_ref(
    const struct dockerfile_context *context, char **ret_ref);

struct dockerfile_convert;
struct dockerfile_build;

/* Start a node whose files are a context that is no image. */
COB_RESULT struct cob_error *dockerfile_context_start(
    struct dockerfile_convert *convert, struct dockerfile_build *build);

/* Add the source of an image that a context names; full: with its digest. */
struct cob_llb_ref dockerfile_context_add_image(
    struct dockerfile_convert *convert, const struct dockerfile_build *build, const char *full);

/* The root file system of a node as something that steps may stand on. */
struct cob_llb_ref dockerfile_context_base(
    struct dockerfile_convert *convert, const struct dockerfile_build *build);

/* Note that a step takes this path from a node. */
void dockerfile_context_use(
    struct dockerfile_convert *convert, const struct dockerfile_node *node, const char *path);
