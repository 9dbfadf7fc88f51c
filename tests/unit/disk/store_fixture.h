/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open store in a folder of its own.
 */
#pragma once

#include "disk/store/store.h"

struct fixture {
    char *path;
    struct cob_store *store;
};

/* The caller has the memory, and calls done. */
void fixture_init(struct fixture *f);
void fixture_done(struct fixture *f);
