/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What users write for build contexts: the one that a build has, and those with a name.
 *
 *     /dir, ../dir                      a directory, or what is no other kind
 *     -                                 standard input
 *     https://host/x.tar.gz             an archive, or a Dockerfile
 *     https://host/r.git#ref:dir        a git repository: see spec/gitref
 *     docker-image://ref                only with a name, as all below
 *     oci-layout://dir[:tag][@digest]
 *     target:..., input:...             of other programs
 *
 *     NAME=VALUE      a name is an image's as docker's users write it, less ":latest", or a stage's
 *     NAME::PLATFORM=VALUE              for one platform
 *
 * spec: buildx util/buildflags/context.go, util/ocilayout/parse.go, build/opt.go.
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

enum cob_contextref_kind {
    COB_CONTEXTREF_PATH,
    COB_CONTEXTREF_STDIN,
    COB_CONTEXTREF_HTTP,
    COB_CONTEXTREF_GIT,
    COB_CONTEXTREF_MAYBE_GIT, /* the old form of it, when there is no such directory */
    COB_CONTEXTREF_IMAGE,
    COB_CONTEXTREF_LAYOUT,
    COB_CONTEXTREF_OTHER, /* of other programs */
};

/* errors: COB_INVALID: it means a git repository, and is wrong. */
COB_RESULT struct cob_error *cob_contextref_kind(
    const char *text, enum cob_contextref_kind *ret_kind);

/* A named context. Immutable. */
struct cob_contextref {
    char *key;   /* "alpine", "alpine:3", "alpine::linux/arm64" */
    char *value; /* as written */
    enum cob_contextref_kind kind;
};

/* Read NAME=VALUE.
 * errors: COB_INVALID, in buildx' words. */
COB_RESULT struct cob_error *cob_contextref_parse(
    const char *text, struct cob_contextref **ret_ref);
void cob_contextref_free(struct cob_contextref *ref);
COB_AUTOPTR(cob_contextref, cob_contextref_free)

/* Where an image lies in a directory. */
struct cob_layoutref {
    char *path;
    char *tag;    /* NULL beside a digest: none */
    char *digest; /* NULL: by tag */
};

/* Read what stands behind "oci-layout://"; without a tag or a digest it is "latest".
 * errors: COB_INVALID: there is no path. */
COB_RESULT struct cob_error *cob_layoutref_parse(const char *text, struct cob_layoutref *ret_ref);
void cob_layoutref_done(struct cob_layoutref *ref);
