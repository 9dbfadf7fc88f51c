/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials as docker keeps them: config.json and the helper programs it names.
 *
 * spec:  docker/cli config/configfile/file.go; docker-credential-helpers client/client.go.
 */
#pragma once

#include "util/cancel.h"
#include "util/cleanup.h"
#include "util/error.h"
#include "util/json.h"

/* What is known for a registry; each may be NULL. */
struct credential_set {
    char *username, *password;
    char *identity_token; /* for the realm, instead of a password */
    char *registry_token; /* for the registry itself */
};

/* Parse a document that holds secrets: an error has none of its text.
 * what: names it. */
COB_RESULT struct cob_error *registry_parse_secret(
    const void *data, size_t len, const char *what, json_t **ret_json);

/* NULL is passed over. */
void registry_credentials_free(struct credential_set *credentials);
COB_AUTOPTR(credential_set, registry_credentials_free)

/*
 * Look up a registry: its own helper, else the common one, else the file.
 *
 * config_path:      need not exist; "" is none.
 * server:           as in image names: "docker.io", "localhost:5000".
 * helper_ms:        for the helper to answer.
 * ret_credentials:  the caller's; NULL when there are none.
 * errors:           the file is broken; the helper failed, which the text names. No secret is in
 *                   any text.
 */
COB_RESULT struct cob_error *registry_credentials_find(const char *config_path, const char *server,
    unsigned helper_ms, struct cob_cancel *cancel, struct credential_set **ret_credentials);
