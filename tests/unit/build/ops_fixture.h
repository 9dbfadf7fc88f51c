/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of ops stand on: Dockerfiles, solved for real in a scratch store. The images
 * "base" and "other" and the build context are made by shell scripts, and results are looked at by
 * shell scripts, so that a row reads as what a user would type.
 */
#pragma once

#include <glib.h>

#include "build/ops/ops.h"

struct ops_fixture {
    char *scratch; /* context/ and store/ lie in it */
    struct cob_store *store;
    struct cob_snapshot *base, *other; /* NULL: an image without layers */
    struct cob_executor *executor;     /* NULL until something runs */
    struct cob_cachemount_pool *cachemounts;
    struct cob_snapshot *result; /* of the last build; NULL: it failed, or is scratch */
    GHashTable *records;         /* key -> struct cob_solver_result, owned: the cache index */
    GHashTable *secrets;         /* id -> text, both static */
    struct cob_cancel *cancel;   /* NULL: nobody stops it */
    const char *build_name;
    GMutex lock;  /* guards records, log and ran */
    GCond news;   /* log has grown */
    GString *log; /* all that steps print, and cob beside it */
    GString *ran; /* names of vertices that ended without being cached, each on a line */
    struct cob_error *(*before_copy)(struct ops_fixture *fixture); /* once keys are there */
};
void ops_fixture_init(struct ops_fixture *fixture);
void ops_fixture_done(struct ops_fixture *fixture);

/* As after ops_fixture_init(), but for what lies in the store. */
void ops_fixture_reset(struct ops_fixture *fixture);

/* This process may make mounts: it has its own mount namespace now. Else the test is skipped. */
bool ops_fixture_can_run(void);
/* After that: it is the system's root, who can make devices. */
extern bool ops_fixture_is_root;

/* Run a script in the context; in a new layer of an image. It must succeed. */
void ops_fixture_context(struct ops_fixture *fixture, const char *script);
void ops_fixture_layer(
    struct ops_fixture *fixture, struct cob_snapshot **snapshot, const char *script);

/* busybox, as a layer on `base`. */
void ops_fixture_busybox(struct ops_fixture *fixture);

/* Build the last stage. */
COB_RESULT struct cob_error *ops_fixture_build(struct ops_fixture *fixture, const char *dockerfile);

/* What a script prints in the result. The caller frees it. */
char *ops_fixture_look(struct ops_fixture *fixture, const char *script);
