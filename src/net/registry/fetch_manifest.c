/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "net/registry/fetch.h"
#include "util/digest.h"
#include "util/limits.h"
#include "util/log.h"

#define ACCEPT                                                                                     \
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "        \
    "application/vnd.docker.distribution.manifest.list.v2+json, "                                  \
    "application/vnd.docker.distribution.manifest.v2+json"

void cob_registry_manifest_free(struct cob_registry_manifest *manifest)
{
    if (!manifest)
        return;
    g_clear_pointer(&manifest->bytes, g_bytes_unref);
    g_free(manifest->media_type);
    g_free(manifest->digest);
    g_free(manifest);
}

/* "Application/JSON; charset=utf-8" -> "application/json". The caller frees it. */
static char *bare_type(const char *content_type)
{
    const char *text = content_type ? content_type : "";
    g_autofree char *type = g_ascii_strdown(text, (gssize)strcspn(text, ";"));

    return g_strdup(g_strstrip(type));
}

/* The digest that was asked for decides; what the server says of its own bytes only may not differ
 * from them. */
static struct cob_error *check_digest(
    const struct cob_ref *ref, const struct cob_http_response *response, const char *digest)
{
    const char *claim = cob_http_header(response, "docker-content-digest");
    struct cob_sha256 said;

    if (ref->digest && strcmp(ref->digest, digest) != 0)
        return cob_fail(COB_DATA_LOSS, "the registry sent a manifest with digest %s", digest);
    if (claim && cob_sha256_parse(claim, &said) && strcmp(claim, digest) != 0)
        return cob_fail(COB_DATA_LOSS, "the registry says digest %s of a manifest with digest %s",
            claim, digest);
    return NULL;
}

static struct cob_error *make_manifest(const struct cob_ref *ref,
    struct cob_http_response *response, struct cob_registry_manifest **ret_manifest)
{
    COB_TRY(registry_check_status(response));
    if (response->status != 200)
        return cob_fail(COB_UNKNOWN, "unexpected status %ld", response->status);
    g_autofree char *digest = cob_digest_of(response->body->data, response->body->len);

    COB_TRY(check_digest(ref, response, digest));
    *ret_manifest = g_new(struct cob_registry_manifest, 1);
    **ret_manifest = (struct cob_registry_manifest){
        .bytes = g_byte_array_free_to_bytes(g_steal_pointer(&response->body)),
        .media_type = bare_type(cob_http_header(response, "content-type")),
        .digest = g_steal_pointer(&digest)};
    return NULL;
}

static struct cob_error *get_from(const struct exchange_tools *tools,
    const struct endpoint *endpoint, const struct cob_ref *ref, struct cob_cancel *cancel,
    struct cob_registry_manifest **ret_manifest)
{
    g_autofree char *url = g_strconcat(
        endpoint->base, ref->path, "/manifests/", ref->digest ? ref->digest : ref->tag, NULL);
    struct exchange exchange = {.tools = tools,
        .server = endpoint->server,
        .url = url,
        .repository = ref->path,
        .accept = ACCEPT,
        .max_body = COB_LIMIT_MANIFEST_BYTES,
        .cancel = cancel};
    struct cob_http_response response;

    cob_http_response_init(&response);
    struct cob_error *err = registry_exchange(&exchange, &response);
    if (!err)
        err = make_manifest(ref, &response, ret_manifest);
    cob_http_response_done(&response);
    return err;
}

static struct cob_error *check_kind(const struct cob_ref *ref)
{
    if (ref->digest && !g_str_has_prefix(ref->digest, COB_DIGEST_PREFIX))
        return cob_fail(COB_UNIMPLEMENTED, "digests other than sha256 are not supported");
    return NULL;
}

static struct cob_error *get_from_any(struct cob_registry *registry, const struct cob_ref *ref,
    struct cob_cancel *cancel, struct cob_registry_manifest **ret_manifest)
{
    const struct exchange_tools *tools = NULL;
    g_autoptr(GPtrArray) endpoints = NULL;
    struct cob_error *err = NULL;

    COB_TRY(check_kind(ref));
    COB_TRY(registry_tools(registry, &tools));
    COB_TRY(registry_endpoints(tools, ref->domain, &endpoints));
    for (unsigned i = 0; i < endpoints->len; i++) {
        const struct endpoint *endpoint = g_ptr_array_index(endpoints, i);

        cob_error_free(err);
        err = get_from(tools, endpoint, ref, cancel, ret_manifest);
        if (!err || cob_error_code(err) == COB_CANCELLED)
            break;
        cob_trace(1, "registry: no manifest from %s", endpoint->base);
    }
    return err;
}

struct cob_error *cob_registry_get_manifest(struct cob_registry *registry,
    const struct cob_ref *ref, struct cob_cancel *cancel,
    struct cob_registry_manifest **ret_manifest)
{
    g_autofree char *name = cob_ref_text(ref);

    return cob_wrap(get_from_any(registry, ref, cancel, ret_manifest), "%s", name);
}

static struct cob_error *get_from_home(struct cob_registry *registry, const struct cob_ref *ref,
    struct cob_cancel *cancel, struct cob_registry_manifest **ret_manifest)
{
    const struct exchange_tools *tools = NULL;
    struct endpoint home = {NULL, NULL};

    COB_TRY(check_kind(ref));
    COB_TRY(registry_tools(registry, &tools));
    COB_TRY(registry_home(tools, ref->domain, &home));
    struct cob_error *err = get_from(tools, &home, ref, cancel, ret_manifest);
    g_free(home.base);
    return err;
}

struct cob_error *cob_registry_get_pushed(struct cob_registry *registry, const struct cob_ref *ref,
    struct cob_cancel *cancel, struct cob_registry_manifest **ret_manifest)
{
    g_autofree char *name = cob_ref_text(ref);

    return cob_wrap(get_from_home(registry, ref, cancel, ret_manifest), "%s", name);
}
