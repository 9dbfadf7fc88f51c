/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WWW-Authenticate: what a registry asks for with a 401.
 *
 * spec:  RFC 9110 section 11.6.1; distribution docs/spec/auth/token.md.
 */
#pragma once

#include <glib.h>

#include "util/cleanup.h"

/* One challenge. Unknown parameters are dropped. */
struct challenge {
    char *scheme; /* lower case: "bearer", "basic" */
    char *realm;  /* these three may be NULL */
    char *service;
    char *scope;
};

/* Append the challenges of one header to an array of struct challenge, made by
 * registry_challenges_new(). What does not parse ends the reading: what came before it counts. */
void registry_challenge_parse(const char *header, GPtrArray *challenges);

/* An empty array that owns its challenges. */
GPtrArray *registry_challenges_new(void);

/* The first of a scheme, or NULL; borrowed. */
const struct challenge *registry_challenge_find(const GPtrArray *challenges, const char *scheme);
