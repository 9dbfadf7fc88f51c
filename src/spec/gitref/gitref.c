/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/gitref/gitref.h"

#include <string.h>

#include "spec/gitref/gitref_parts.h"
#include "util/limits.h"

#define MAX_REF_BYTES 1024

void cob_gitref_free(struct cob_gitref *ref)
{
    if (!ref)
        return;
    g_free(ref->remote);
    g_free(ref->host);
    g_free(ref->path);
    g_free(ref->user);
    g_free(ref->password);
    g_free(ref->ref);
    g_free(ref->subdir);
    g_free(ref->checksum);
    g_free(ref);
}

bool cob_gitref_is_commit(const char *text)
{
    size_t len = strlen(text);

    return (len == 40 || len == 64) && strspn(text, "0123456789abcdef") == len;
}

static bool is_name_part(const char *part, size_t len)
{
    static const char lock[] = ".lock";
    size_t n_lock = sizeof(lock) - 1;

    if (len == 0 || part[0] == '.' || part[len - 1] == '.')
        return false;
    if (len >= n_lock && memcmp(part + len - n_lock, lock, n_lock) == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)part[i] <= ' ' || part[i] == 0x7f || strchr("~^:?*[\\", part[i]) ||
            (part[i] == '.' && i + 1 < len && part[i + 1] == '.') ||
            (part[i] == '@' && i + 1 < len && part[i + 1] == '{'))
            return false;
    }
    return true;
}

bool cob_gitref_is_name(const char *text)
{
    if (text[0] == '-' || text[0] == '+' || strcmp(text, "@") == 0 || strlen(text) > MAX_REF_BYTES)
        return false;
    for (;;) {
        size_t len = strcspn(text, "/");

        if (!is_name_part(text, len))
            return false;
        if (!text[len])
            return true;
        text += len + 1;
    }
}

/* --- the URL itself --- */

/* A host, and after the last ':' a port. */
static bool is_host(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    const char *port = end ? (end[1] == ':' ? end + 1 : NULL) : strchr(host, ':');
    size_t len = port ? (size_t)(port - host) : strlen(host);

    if (port &&
        (strspn(port + 1, "0123456789") != strlen(port + 1) || !port[1] || strlen(port + 1) > 5))
        return false;
    if (end)
        return (size_t)(end + 1 - host) == len && end > host + 1 &&
               strspn(host + 1, "0123456789abcdefABCDEF:.") == (size_t)(end - host - 1);
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(host[i]) && !strchr("-._", host[i]))
            return false;
    }
    return len > 0 && host[0] != '-';
}

/* What may stand in a path without being taken for something else on the way. */
static bool is_path(const char *path)
{
    for (const char *c = path; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("\"'\\<>|`^{}", *c))
            return false;
    }
    return path[0] && path[0] != '-' && strlen(path) <= COB_LIMIT_PATH_BYTES;
}

static bool is_user(const char *user)
{
    for (const char *c = user; *c; c++) {
        if (!g_ascii_isalnum(*c) && !strchr("-._+", *c))
            return false;
    }
    return user[0] && user[0] != '-';
}

/* "user:password@host" -> its parts. The user of http is anything that can be written there. */
static struct cob_error *take_authority(struct cob_gitref *ref, const char *text, size_t len)
{
    g_autofree char *authority = g_strndup(text, len);
    char *at = strrchr(authority, '@');
    bool is_web = ref->scheme == COB_GITREF_HTTPS || ref->scheme == COB_GITREF_HTTP;

    ref->host = g_ascii_strdown(at ? at + 1 : authority, -1);
    if (!is_host(ref->host))
        return cob_fail(COB_INVALID, "\"%.100s\" is not the name of a host", ref->host);
    if (!at)
        return NULL;
    *at = '\0';
    char *colon = strchr(authority, ':');
    if (colon)
        *colon = '\0';
    ref->user = gitref_unescape(authority, /* is_query= */ false);
    ref->password = colon ? gitref_unescape(colon + 1, /* is_query= */ false) : NULL;
    if (!ref->user || (colon && !ref->password) || (!is_web && !is_user(ref->user)))
        return cob_fail(COB_INVALID, "the user before the host cannot be read");
    if (ref->password && !is_web)
        return cob_fail(COB_INVALID, "a password is for http and https alone; ssh asks an agent");
    return NULL;
}

static const struct {
    const char *prefix; /* in lower case */
    enum cob_gitref_scheme scheme;
} schemes[] = {
    {"https://", COB_GITREF_HTTPS},
    {"http://", COB_GITREF_HTTP},
    {"ssh://", COB_GITREF_SSH},
    {"git://", COB_GITREF_GIT},
};

static const char *scheme_text(enum cob_gitref_scheme scheme)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (schemes[i].scheme == scheme)
            return schemes[i].prefix;
    }
    g_assert_not_reached();
}

/* text: behind the scheme. */
static struct cob_error *take_url(struct cob_gitref *ref, const char *text)
{
    size_t n_authority = strcspn(text, "/");
    bool is_ssh = ref->scheme == COB_GITREF_SSH;

    COB_TRY(take_authority(ref, text, n_authority));
    ref->path = g_strdup(text + n_authority);
    if (!is_path(ref->path))
        return cob_fail(COB_INVALID, "\"%.100s\" is not the path of a repository", ref->path);
    ref->remote = g_strconcat(scheme_text(ref->scheme), is_ssh && ref->user ? ref->user : "",
        is_ssh && ref->user ? "@" : "", ref->host, ref->path, NULL);
    return NULL;
}

/* "git@host:path". */
static struct cob_error *take_scp(struct cob_gitref *ref, const char *text)
{
    const char *at = strchr(text, '@');
    const char *colon = strchr(text, ':');

    ref->scheme = COB_GITREF_SSH;
    ref->user = g_strndup(text, (size_t)(at - text));
    ref->host = g_ascii_strdown(at + 1, colon - at - 1);
    ref->path = g_strdup(colon + 1);
    if (!is_user(ref->user) || !is_host(ref->host) || !is_path(ref->path))
        return cob_fail(COB_INVALID, "it must be user@host:path");
    ref->remote = g_strconcat(ref->user, "@", ref->host, ":", ref->path, NULL);
    return NULL;
}

/* user@host:path, with letters, digits and few others before ':'.
 * spec: BuildKit util/sshutil/scpurl.go. */
static bool is_scp(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t n_user = strspn(text, letters);
    const char *host = text + n_user + 1;

    if (n_user == 0 || text[n_user] != '@')
        return false;
    while (*host && (strchr(letters, *host) || *host == '.'))
        host++;
    return *host == ':' && host > text + n_user + 1;
}

/* What a text could be, by its beginning. */
enum shape { SHAPE_OTHER, SHAPE_URL, SHAPE_SCP, SHAPE_OLD };

static enum shape shape_of(const char *text, size_t *ret_n_scheme, enum cob_gitref_scheme *ret)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_ascii_strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
            *ret_n_scheme = strlen(schemes[i].prefix);
            *ret = schemes[i].scheme;
            return SHAPE_URL;
        }
    }
    if (g_str_has_prefix(text, "github.com/"))
        return SHAPE_OLD;
    return is_scp(text) ? SHAPE_SCP : SHAPE_OTHER;
}

/* A URL of the web means a repository only when it says so. */
static bool is_repository(enum cob_gitref_scheme scheme, const char *place)
{
    bool is_web = scheme == COB_GITREF_HTTPS || scheme == COB_GITREF_HTTP;
    const char *path = strchr(place, '/');

    return !is_web || (path && g_str_has_suffix(path, ".git"));
}

static struct cob_error *parse_place(
    struct cob_gitref *ref, enum shape shape, const char *place, bool *ret_is_one)
{
    *ret_is_one = shape != SHAPE_URL || is_repository(ref->scheme, place);
    if (!*ret_is_one)
        return NULL;
    if (shape == SHAPE_SCP)
        return take_scp(ref, place);
    ref->is_like_a_path = shape == SHAPE_OLD;
    return take_url(ref, place);
}

struct cob_error *cob_gitref_parse(const char *text, struct cob_gitref **ret_ref)
{
    g_autoptr(cob_gitref) ref = g_new0(struct cob_gitref, 1);
    size_t n_scheme = 0;
    enum shape shape = shape_of(text, &n_scheme, &ref->scheme);
    bool is_one = false;

    *ret_ref = NULL;
    if (shape == SHAPE_OTHER)
        return NULL;
    g_autofree char *place = g_strdup(text + n_scheme);
    char *fragment = strchr(place, '#');
    if (fragment)
        *fragment++ = '\0';
    char *query = strchr(place, '?');
    if (query)
        *query++ = '\0';
    struct cob_error *err = parse_place(ref, shape, place, &is_one);
    if (!err && !is_one)
        return NULL;
    if (!err)
        err = gitref_take_options(ref, query, fragment);
    if (err)
        return cob_wrap(
            err, "git reference%s%s", ref->remote ? " " : "", ref->remote ? ref->remote : "");
    *ret_ref = g_steal_pointer(&ref);
    return NULL;
}

/* --- submodules --- */

/* The parent's remote, with as many parts of its path taken away as the URL has "../". */
static char *join_relative(const struct cob_gitref *parent, const char *url)
{
    g_autofree char *base = g_strdup(parent->remote);
    char *path = base + strlen(base) - strlen(parent->path);

    while (g_str_has_suffix(path, "/"))
        path[strlen(path) - 1] = '\0';
    for (;;) {
        if (g_str_has_prefix(url, "./")) {
            url += 2;
        } else if (g_str_has_prefix(url, "../")) {
            char *slash = strrchr(path, '/');

            url += 3;
            *(slash ? slash : path) = '\0';
        } else {
            break;
        }
    }
    return g_strconcat(base, *path || parent->path[0] == '/' ? "/" : "", url, NULL);
}

struct cob_error *cob_gitref_of_url(
    const struct cob_gitref *parent, const char *url, struct cob_gitref **ret_ref)
{
    bool is_relative = parent && (g_str_has_prefix(url, "./") || g_str_has_prefix(url, "../"));
    g_autofree char *whole = is_relative ? join_relative(parent, url) : g_strdup(url);
    g_autoptr(cob_gitref) ref = g_new0(struct cob_gitref, 1);
    size_t n_scheme = 0;
    enum shape shape = shape_of(whole, &n_scheme, &ref->scheme);

    if (shape != SHAPE_URL && shape != SHAPE_SCP)
        return cob_fail(COB_INVALID, "\"%.100s\" is not a URL of https, http, ssh or git", whole);
    if (strpbrk(whole, "?#"))
        return cob_fail(COB_INVALID, "\"%.100s\" has a query or a fragment", whole);
    COB_TRY(cob_wrap(shape == SHAPE_SCP ? take_scp(ref, whole) : take_url(ref, whole + n_scheme),
        "git repository %.200s", ref->host ? ref->host : ""));
    *ret_ref = g_steal_pointer(&ref);
    return NULL;
}
