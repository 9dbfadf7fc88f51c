/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of ADD on other people's servers: a URL of http or https, and a git repository.
 *
 * spec: BuildKit frontend/dockerfile/dockerfile2llb/convert_copy.go, client/llb/source.go.
 */
#pragma once

#include "lang/dockerfile/dockerfile_convert.h"
#include "spec/gitref/gitref.h"

/* What a source is. Neither: a path. */
struct dockerfile_remote {
    bool is_http;
    struct cob_gitref *git; /* owned */
};

/* errors: it means a git repository, and is wrong. */
COB_RESULT struct cob_error *dockerfile_remote_parse(
    const char *source, struct dockerfile_remote *ret_remote);
void dockerfile_remote_done(struct dockerfile_remote *remote);

/* How ADD wants it. */
struct dockerfile_remote_wish {
    const char *source;   /* as written, expanded */
    const char *checksum; /* NULL: none */
    const char *filename; /* of a URL's file; NULL: the last part of its path */
    enum dockerfile_choice keep_git_dir;
};

/* Add its vertex.
 * ret_path: where in it the files are, the caller's. */
COB_RESULT struct cob_error *dockerfile_remote_add(struct cob_llb_builder *builder,
    const struct dockerfile_remote *remote, const struct dockerfile_remote_wish *wish,
    const struct cob_llb_about *about, struct cob_llb_ref *ret_from, char **ret_path);
