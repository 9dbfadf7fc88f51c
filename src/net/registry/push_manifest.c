/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "net/registry/push.h"
#include "util/digest.h"
#include "util/limits.h"

struct cob_error *registry_check_push(const struct cob_http_response *response, uint64_t size)
{
    g_autofree char *message = registry_server_message(response);

    switch (response->status) {
    case 200:
    case 201:
    case 202:
    case 204:
        return NULL;
    case 401:
    case 403:
        return cob_fail(COB_DENIED,
            "push access denied, repository does not exist or may require authorization%s",
            message);
    case 404:
        return cob_fail(COB_NOT_FOUND, "the registry has no such repository, or upload%s", message);
    case 405:
        return cob_fail(COB_UNIMPLEMENTED, "the registry takes no pushes%s", message);
    case 407:
        return cob_fail(COB_UNAUTHENTICATED,
            "the proxy asks for a login: http_proxy=http://user:password@host:port");
    case 413:
        return cob_fail(
            COB_EXHAUSTED, "%" PRIu64 " bytes are too many for the registry%s", size, message);
    default:
        return cob_fail(COB_UNKNOWN, "unexpected status %ld%s", response->status, message);
    }
}

struct cob_error *registry_check_pushed(
    const struct cob_http_response *response, const char *digest)
{
    const char *claim = cob_http_header(response, "docker-content-digest");
    struct cob_sha256 said;

    if (claim && cob_sha256_parse(claim, &said) && strcmp(claim, digest) != 0)
        return cob_fail(COB_DATA_LOSS, "the registry says that it has %s now", claim);
    return NULL;
}

static struct cob_error *put_at(const struct exchange_tools *tools, const struct endpoint *home,
    const struct cob_ref *ref, const char *media_type, GBytes *bytes, struct cob_cancel *cancel)
{
    g_autofree char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_autofree char *url = g_strconcat(
        home->base, ref->path, "/manifests/", ref->digest ? ref->digest : ref->tag, NULL);
    const struct cob_http_body body = cob_http_body_of(bytes);
    struct exchange exchange = {.tools = tools,
        .server = home->server,
        .url = url,
        .method = "PUT",
        .body = &body,
        .content_type = media_type,
        .repository = ref->path,
        .is_push = true,
        .max_body = COB_LIMIT_ERROR_BODY_BYTES,
        .cancel = cancel};
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    if (!err)
        err = registry_check_push(&response, body.size);
    if (!err)
        err = registry_check_pushed(&response, digest);
    cob_http_response_done(&response);
    return err;
}

static struct cob_error *put_manifest(struct cob_registry *registry, const struct cob_ref *ref,
    const char *media_type, GBytes *bytes, struct cob_cancel *cancel)
{
    g_autofree char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    const struct exchange_tools *tools = NULL;
    struct endpoint home = {NULL, NULL};

    if (ref->digest && strcmp(ref->digest, digest) != 0)
        return cob_fail(COB_INVALID, "the manifest has digest %s", digest);
    COB_TRY(registry_tools(registry, &tools));
    COB_TRY(registry_home(tools, ref->domain, &home));
    struct cob_error *err = put_at(tools, &home, ref, media_type, bytes, cancel);
    g_free(home.base);
    return err;
}

struct cob_error *cob_registry_push_manifest(struct cob_registry *registry,
    const struct cob_ref *ref, const char *media_type, GBytes *bytes, struct cob_cancel *cancel)
{
    g_autofree char *name = cob_ref_text(ref);

    return cob_wrap(put_manifest(registry, ref, media_type, bytes, cancel), "push %s", name);
}
