/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/contextref/contextref.h"

#include <glib.h>
#include <string.h>

#include "spec/gitref/gitref.h"
#include "spec/ref/ref.h"
#include "util/digest.h"

#define LAYOUT "oci-layout://"

static bool is_http(const char *text)
{
    return g_str_has_prefix(text, "http://") || g_str_has_prefix(text, "https://");
}

struct cob_error *cob_contextref_kind(const char *text, enum cob_contextref_kind *ret_kind)
{
    static const struct {
        const char *prefix;
        enum cob_contextref_kind kind;
    } rows[] = {
        {"docker-image://", COB_CONTEXTREF_IMAGE},
        {LAYOUT, COB_CONTEXTREF_LAYOUT},
        {"target:", COB_CONTEXTREF_OTHER},
        {"input:", COB_CONTEXTREF_OTHER},
    };
    g_autoptr(cob_gitref) git = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (g_str_has_prefix(text, rows[i].prefix)) {
            *ret_kind = rows[i].kind;
            return NULL;
        }
    }
    COB_TRY(cob_gitref_parse(text, &git));
    if (git)
        *ret_kind = git->is_like_a_path ? COB_CONTEXTREF_MAYBE_GIT : COB_CONTEXTREF_GIT;
    else if (is_http(text))
        *ret_kind = COB_CONTEXTREF_HTTP;
    else
        *ret_kind = strcmp(text, "-") == 0 ? COB_CONTEXTREF_STDIN : COB_CONTEXTREF_PATH;
    return NULL;
}

/* "docker.io/library/alpine:latest::linux/arm64/v8" -> "alpine::linux/arm64". */
static struct cob_error *read_key(const char *name, char **ret_key)
{
    const char *mark = strstr(name, "::");
    g_autofree char *image = mark ? g_strndup(name, (gsize)(mark - name)) : g_strdup(name);
    g_autoptr(cob_ref) ref = NULL;
    g_autoptr(cob_platform) platform = NULL;

    COB_TRY(cob_wrap(cob_ref_parse(image, &ref), "invalid context name %s", name));
    if (mark)
        COB_TRY(cob_wrap(
            cob_platform_parse(mark + 2, NULL, &platform), "invalid context name %s", name));
    g_autofree char *key = cob_ref_familiar(ref);
    if (g_str_has_suffix(key, ":latest"))
        key[strlen(key) - strlen(":latest")] = '\0';
    g_autofree char *text = platform ? cob_platform_text(platform) : NULL;
    *ret_key = text ? g_strconcat(key, "::", text, NULL) : g_steal_pointer(&key);
    return NULL;
}

struct cob_error *cob_contextref_parse(const char *text, struct cob_contextref **ret_ref)
{
    g_autoptr(cob_contextref) ref = g_new0(struct cob_contextref, 1);
    const char *equals = strchr(text, '=');

    if (!equals)
        return cob_fail(COB_INVALID, "invalid context value: %s, expected key=value", text);
    g_autofree char *name = g_strndup(text, (gsize)(equals - text));
    COB_TRY(read_key(name, &ref->key));
    ref->value = g_strdup(equals + 1);
    COB_TRY(cob_wrap(cob_contextref_kind(ref->value, &ref->kind), "context %s", name));
    *ret_ref = g_steal_pointer(&ref);
    return NULL;
}

void cob_contextref_free(struct cob_contextref *ref)
{
    if (!ref)
        return;
    g_free(ref->key);
    g_free(ref->value);
    g_free(ref);
}

struct cob_error *cob_layoutref_parse(const char *text, struct cob_layoutref *ret_ref)
{
    struct cob_layoutref ref = {.path = g_strdup(text)};
    char *at = strrchr(ref.path, '@');

    if (at && cob_digest_is_valid(at + 1)) {
        ref.digest = g_strdup(at + 1);
        *at = '\0';
    }
    char *colon = strrchr(ref.path, ':');
    if (colon && cob_ref_tag_is_valid(colon + 1)) {
        ref.tag = g_strdup(colon + 1);
        *colon = '\0';
    }
    if (!*ref.path) {
        cob_layoutref_done(&ref);
        return cob_fail(COB_INVALID, "%s%s: there is no path in it", LAYOUT, text);
    }
    if (!ref.tag && !ref.digest)
        ref.tag = g_strdup(COB_REF_DEFAULT_TAG);
    *ret_ref = ref;
    return NULL;
}

void cob_layoutref_done(struct cob_layoutref *ref)
{
    g_clear_pointer(&ref->path, g_free);
    g_clear_pointer(&ref->tag, g_free);
    g_clear_pointer(&ref->digest, g_free);
}
