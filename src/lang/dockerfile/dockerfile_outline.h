/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target may be given: its build arguments, secrets and ssh sockets. Steps note what they
 * use while they are converted; what is noted is gathered from the target and all that it needs.
 *
 * spec: BuildKit dockerfile2llb/outline.go.
 */
#pragma once

#include "lang/dockerfile/dockerfile_ast.h"

struct dockerfile_convert;
struct dockerfile_job;

enum dockerfile_found_kind { DOCKERFILE_FOUND_ARG, DOCKERFILE_FOUND_SECRET, DOCKERFILE_FOUND_SSH };

/* One thing that a step uses. */
struct dockerfile_found {
    enum dockerfile_found_kind kind;
    char *name;
    char *value;             /* of an argument; NULL: none */
    const char *description; /* borrowed from the Dockerfile; NULL: none */
    bool is_global;          /* an argument that says nothing of its own: see the global one */
    bool is_required;
    struct cob_range range;
};

/* Note it, if an outline is wanted. value: NULL: the ARG has none. */
void dockerfile_found_arg(
    const struct dockerfile_job *job, const struct dockerfile_pair *pair, const char *value);
void dockerfile_found_mount(const struct dockerfile_job *job, const struct dockerfile_mount *mount);

/* Gather it. */
COB_RESULT struct cob_error *dockerfile_outline_make(
    const struct dockerfile_convert *convert, struct cob_dockerfile_outline *ret);
