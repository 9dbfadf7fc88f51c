/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a challenge to an Authorization header: what to send, and to whom it may be sent.
 *
 * threads:  any.
 * spec:     distribution docs/spec/auth/{token,oauth}.md.
 */
#pragma once

#include "net/registry/challenge.h"
#include "net/registry/server.h"

struct token_cache; /* the headers that worked, and the realm that each server named first */

/* config_path: as for registry_credentials_find(); copied. The rest is borrowed, and outlives the
 * cache. */
struct token_cache *registry_tokens_new(struct cob_http *http, struct server_table *servers,
    const char *config_path, unsigned helper_ms);

/* NULL is passed over. */
void registry_tokens_free(struct token_cache *cache);

/* The header to send to a server about a repository; NULL when none is known. The caller frees
 * it. */
char *registry_token_known(
    struct token_cache *cache, const struct server_config *server, const char *repository);

/*
 * Answer a 401, by credentials or a token, and remember the answer.
 *
 * is_push:            a token is to allow that, too.
 * challenges:         what the server sent.
 * ret_authorization:  the header's value, the caller's; NULL when there is none to give.
 * errors:             the realm is not one to talk to, or says no; a credential helper failed.
 */
COB_RESULT struct cob_error *registry_token_get(struct token_cache *cache,
    const struct server_config *server, const char *repository, bool is_push,
    const GPtrArray *challenges, struct cob_cancel *cancel, char **ret_authorization);
