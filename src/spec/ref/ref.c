/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/ref/ref.h"

#include <string.h>

#include "util/digest.h"

#define MAX_TEXT_BYTES 1024
#define MAX_DOMAIN_BYTES 255
#define MAX_PATH_BYTES 255
#define MAX_TAG_BYTES 128

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

#define bad(text, ...) bad_reference(COB_HERE, (text), g_strdup_printf(__VA_ARGS__))

/* why: taken. */
static struct cob_error *bad_reference(struct cob_here here, const char *text, char *why)
{
    g_autofree char *owned = why;

    return cob_error_new(here, COB_INVALID, 0, "invalid reference format: \"%.*s\": %s",
        MAX_TEXT_BYTES, text, owned);
}

bool cob_ref_tag_is_valid(const char *tag)
{
    size_t len = strspn(tag, DIGITS LOWER UPPER "_.-");

    return len > 0 && len <= MAX_TAG_BYTES && tag[len] == '\0' && tag[0] != '.' && tag[0] != '-';
}

/* Labels of letters, digits and inner dashes, with dots between. */
static bool is_host_name(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool is_edge = i == 0 || i + 1 == len || host[i - 1] == '.' || host[i + 1] == '.';

        if (!g_ascii_isalnum(host[i]) && (is_edge || (host[i] != '-' && host[i] != '.')))
            return false;
    }
    return len > 0;
}

static bool is_ipv6(const char *host, size_t len)
{
    if (len < 4 || host[0] != '[' || host[len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < len; i++) {
        if (!g_ascii_isxdigit(host[i]) && host[i] != ':')
            return false;
    }
    return true;
}

static bool is_port(const char *port)
{
    return g_ascii_string_to_unsigned(port, 10, 1, 65535, NULL, NULL);
}

/* host, host:port, or an IPv6 address in brackets. */
static bool is_domain(const char *domain)
{
    const char *bracket = strrchr(domain, ']');
    const char *colon = strchr(bracket ? bracket : domain, ':');
    size_t len = colon ? (size_t)(colon - domain) : strlen(domain);

    if (strlen(domain) > MAX_DOMAIN_BYTES || (colon && !is_port(colon + 1)))
        return false;
    return domain[0] == '[' ? is_ipv6(domain, len) : is_host_name(domain, len);
}

/* How long is the separator between two words of a path component: one of . _ __ or dashes? */
static size_t separator_len(const char *at)
{
    if (at[0] == '_' && at[1] == '_')
        return 2;
    if (at[0] == '_' || at[0] == '.')
        return 1;
    return strspn(at, "-");
}

/* Words of lower-case letters and digits, with separators between, in components with '/'. */
static bool is_path(const char *path)
{
    const char *at = path;

    for (;;) {
        size_t word_len = strspn(at, DIGITS LOWER);

        if (word_len == 0)
            return false;
        at += word_len;
        if (*at == '\0')
            return true;
        size_t len = *at == '/' ? 1 : separator_len(at);
        if (len == 0)
            return false;
        at += len;
    }
}

/* An image id is no name: it would be read as a repository of docker.io. */
static bool is_image_id(const char *name)
{
    return strspn(name, DIGITS "abcdef") == COB_SHA256_HEX && name[COB_SHA256_HEX] == '\0';
}

static bool has_upper(const char *text)
{
    return text[strcspn(text, UPPER)] != '\0';
}

/* Is the first part of a name, before its first slash, a registry? */
static bool is_registry(const char *part)
{
    return strpbrk(part, ".:") || has_upper(part) || strcmp(part, "localhost") == 0;
}

/* Cut a name in two.
 * name: without tag and digest. */
static void split_name(const char *name, char **ret_domain, char **ret_path)
{
    const char *slash = strchr(name, '/');
    g_autofree char *first = slash ? g_strndup(name, (size_t)(slash - name)) : NULL;
    bool has_domain = first && is_registry(first);
    const char *path = has_domain ? slash + 1 : name;
    bool is_default = !has_domain || strcmp(first, "index.docker.io") == 0 ||
                      strcmp(first, COB_REF_DEFAULT_DOMAIN) == 0;

    *ret_domain = is_default ? g_strdup(COB_REF_DEFAULT_DOMAIN) : g_steal_pointer(&first);
    *ret_path =
        is_default && !strchr(path, '/') ? g_strconcat("library/", path, NULL) : g_strdup(path);
}

/* Take "@digest" and ":tag" off the end of a name.
 * name: cut short in place. */
static struct cob_error *cut_tail(const char *text, char *name, struct cob_ref *ref)
{
    char *at = strchr(name, '@');

    if (at) {
        *at = '\0';
        ref->digest = g_strdup(at + 1);
        if (!cob_digest_is_valid(ref->digest))
            return bad(text, "the digest must be sha256: and 64 hex digits, in lower case");
    }
    char *slash = strrchr(name, '/');
    char *colon = strrchr(slash ? slash : name, ':');
    if (colon) {
        *colon = '\0';
        ref->tag = g_strdup(colon + 1);
        if (!cob_ref_tag_is_valid(ref->tag))
            return bad(text,
                "a tag has 1 to %d letters, digits, '_', '.' and '-', and begins with "
                "none of the last two",
                MAX_TAG_BYTES);
    }
    if (!at && !colon)
        ref->tag = g_strdup(COB_REF_DEFAULT_TAG);
    return NULL;
}

static struct cob_error *check_name(const char *text, const char *name, const struct cob_ref *ref)
{
    if (is_image_id(name))
        return cob_fail(COB_INVALID,
            "invalid repository name (%s), cannot specify 64-byte hexadecimal strings", name);
    if (!is_domain(ref->domain))
        return bad(text, "\"%s\" is not the name of a registry", ref->domain);
    if (has_upper(ref->path))
        return cob_fail(COB_INVALID,
            "invalid reference format: repository name (%s) must be lowercase", ref->path);
    if (!is_path(ref->path))
        return bad(text, "a repository has lower-case letters and digits, with '/', '.', '_', '__' "
                         "or '-' between them");
    if (strlen(ref->path) > MAX_PATH_BYTES)
        return bad(text, "the repository name is longer than %d bytes", MAX_PATH_BYTES);
    return NULL;
}

struct cob_error *cob_ref_parse(const char *text, struct cob_ref **ret_ref)
{
    if (text[0] == '\0')
        return bad(text, "it is empty");
    if (strnlen(text, MAX_TEXT_BYTES + 1) > MAX_TEXT_BYTES)
        return cob_fail(COB_INVALID, "invalid reference format: \"%.64s...\": longer than %d bytes",
            text, MAX_TEXT_BYTES);
    g_autoptr(cob_ref) ref = g_new0(struct cob_ref, 1);
    g_autofree char *name = g_strdup(text);

    COB_TRY(cut_tail(text, name, ref));
    split_name(name, &ref->domain, &ref->path);
    COB_TRY(check_name(text, name, ref));
    *ret_ref = g_steal_pointer(&ref);
    return NULL;
}

struct cob_ref *cob_ref_with(const struct cob_ref *ref, const char *tag, const char *digest)
{
    struct cob_ref *copy = g_new(struct cob_ref, 1);

    g_assert(tag || digest);
    g_assert((!tag || cob_ref_tag_is_valid(tag)) && (!digest || cob_digest_is_valid(digest)));
    *copy = (struct cob_ref){
        g_strdup(ref->domain), g_strdup(ref->path), g_strdup(tag), g_strdup(digest)};
    return copy;
}

/* name, with what the ref has of tag and digest. */
static char *append_tail(const struct cob_ref *ref, const char *name)
{
    return g_strconcat(name, ref->tag ? ":" : "", ref->tag ? ref->tag : "", ref->digest ? "@" : "",
        ref->digest ? ref->digest : "", NULL);
}

char *cob_ref_name(const struct cob_ref *ref)
{
    return g_strconcat(ref->domain, "/", ref->path, NULL);
}

char *cob_ref_text(const struct cob_ref *ref)
{
    g_autofree char *name = cob_ref_name(ref);

    return append_tail(ref, name);
}

char *cob_ref_familiar(const struct cob_ref *ref)
{
    const char *path = ref->path;
    const char *slash = strchr(path, '/');
    g_autofree char *first = slash ? g_strndup(path, (size_t)(slash - path)) : NULL;

    /* docker.io/localhost/a keeps its registry, or it would be read back as another one's */
    if (strcmp(ref->domain, COB_REF_DEFAULT_DOMAIN) != 0 || (first && is_registry(first)))
        return cob_ref_text(ref);
    if (g_str_has_prefix(path, "library/") && !strchr(path + strlen("library/"), '/'))
        path += strlen("library/");
    return append_tail(ref, path);
}

void cob_ref_free(struct cob_ref *ref)
{
    if (!ref)
        return;
    g_free(ref->domain);
    g_free(ref->path);
    g_free(ref->tag);
    g_free(ref->digest);
    g_free(ref);
}
