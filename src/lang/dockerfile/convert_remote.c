/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_remote.h"
#include "util/digest.h"
#include "util/limits.h"

#define UNNAMED "__unnamed__"

static bool is_http(const char *source)
{
    return g_str_has_prefix(source, "http://") || g_str_has_prefix(source, "https://");
}

struct cob_error *dockerfile_remote_parse(const char *source, struct dockerfile_remote *ret)
{
    g_autoptr(cob_gitref) git = NULL;

    *ret = (struct dockerfile_remote){0};
    COB_TRY(cob_gitref_parse(source, &git));
    if (git && git->is_like_a_path) /* what looks like a file is one */
        return NULL;
    ret->is_http = !git && is_http(source);
    ret->git = g_steal_pointer(&git);
    return NULL;
}

void dockerfile_remote_done(struct dockerfile_remote *remote)
{
    g_clear_pointer(&remote->git, cob_gitref_free);
}

/* The last part of the URL's path, as the name of the file that it gives.
 * spec: BuildKit dockerfile2llb/convert_copy.go. There ".." and the like fail later. */
static char *file_name(const char *url)
{
    const char *authority = strstr(url, "://") + strlen("://");
    const char *path = authority + strcspn(authority, "/?#");
    g_autofree char *plain = g_strndup(path, strcspn(path, "?#"));
    size_t len = strlen(plain);

    while (len > 0 && plain[len - 1] == '/')
        plain[--len] = '\0';
    const char *slash = strrchr(plain, '/');
    g_autofree char *name = g_uri_unescape_string(slash ? slash + 1 : plain, "/");
    if (!name || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) > COB_LIMIT_NAME_BYTES)
        return g_strdup(UNNAMED);
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return g_strdup(UNNAMED);
    }
    return g_steal_pointer(&name);
}

static struct cob_error *refuse_user(const char *secret)
{
    return cob_fail(COB_INVALID,
        "a user or password in a URL would be kept in the image's history: use a secret, --secret "
        "id=%s",
        secret);
}

static struct cob_error *check_url(const struct dockerfile_remote_wish *wish)
{
    const char *authority = strstr(wish->source, "://") + strlen("://");
    size_t len = strcspn(authority, "/?#");
    const char *fault = NULL;

    if (memchr(authority, '@', len))
        return refuse_user("HTTP_AUTH_TOKEN_<host>");
    if (wish->checksum && !cob_checksum_is_valid(wish->checksum, &fault))
        return cob_fail(COB_INVALID,
            "%s: %s: it must be sha256:<64 hex digits>, or sha384 or sha512 with 96 or 128", fault,
            wish->checksum);
    return NULL;
}

static struct cob_error *add_http(struct cob_llb_builder *builder,
    const struct dockerfile_remote_wish *wish, const struct cob_llb_about *about,
    struct cob_llb_ref *ret_from, char **ret_path)
{
    g_autofree char *name = wish->filename ? g_strdup(wish->filename) : file_name(wish->source);
    struct cob_llb_attr attrs[3] = {{"http.filename", name}};

    COB_TRY(check_url(wish));
    if (wish->checksum)
        attrs[1] = (struct cob_llb_attr){"http.checksum", wish->checksum};
    *ret_from = cob_llb_add_source(builder, wish->source, attrs, NULL, about);
    *ret_path = g_strconcat("/", name, NULL);
    return NULL;
}

/* The flags of ADD and the query of its source say the same, or one of them nothing. */
static struct cob_error *agree(const struct dockerfile_remote *remote,
    const struct dockerfile_remote_wish *wish, const char **ret_checksum, bool *ret_keeps)
{
    enum cob_gitref_choice said = remote->git->keep_git_dir;
    enum dockerfile_choice flag = wish->keep_git_dir;
    const char *checksum = remote->git->checksum;

    if (said && flag != DOCKERFILE_UNSAID && (said == COB_GITREF_YES) != (flag == DOCKERFILE_YES))
        return cob_fail(COB_INVALID, "inconsistent keep-git-dir configuration");
    if (checksum && wish->checksum && strcmp(checksum, wish->checksum) != 0)
        return cob_fail(
            COB_INVALID, "checksum mismatch \"%s\" != \"%s\"", wish->checksum, checksum);
    *ret_checksum = checksum ? checksum : wish->checksum;
    *ret_keeps = said == COB_GITREF_YES || flag == DOCKERFILE_YES;
    if (*ret_checksum && strspn(*ret_checksum, "0123456789abcdefABCDEF") != strlen(*ret_checksum))
        return cob_fail(COB_INVALID, "invalid checksum %s for Git URL, expected hex commit hash",
            *ret_checksum);
    return NULL;
}

/* The repository less its protocol, so that it is the same over https and ssh. */
static char *git_identifier(const struct cob_gitref *git)
{
    g_autofree char *rooted = g_strconcat("/", git->path, NULL);
    g_autofree char *path = dockerfile_clean_path(rooted);
    GString *text = g_string_new("git://");

    g_string_append_printf(text, "%s%s", git->host, path);
    if (git->ref || git->subdir)
        g_string_append_printf(text, "#%s", git->ref ? git->ref : "");
    if (git->subdir)
        g_string_append_printf(text, ":%s", git->subdir);
    return g_string_free(text, FALSE);
}

static struct cob_error *add_git(struct cob_llb_builder *builder,
    const struct dockerfile_remote *remote, const struct dockerfile_remote_wish *wish,
    const struct cob_llb_about *about, struct cob_llb_ref *ret_from)
{
    const struct cob_gitref *git = remote->git;
    const char *checksum = NULL;
    bool keeps = false;

    if (git->user && git->scheme != COB_GITREF_SSH)
        return refuse_user("GIT_AUTH_TOKEN");
    COB_TRY(agree(remote, wish, &checksum, &keeps));
    const struct {
        bool is_wanted;
        struct cob_llb_attr attr;
    } rows[] = {
        {true, {"git.authheadersecret", "GIT_AUTH_HEADER"}},
        {true, {"git.authtokensecret", "GIT_AUTH_TOKEN"}},
        {checksum != NULL, {"git.checksum", checksum}},
        {git->is_by_commit, {"git.fetchbycommit", "true"}},
        {true, {"git.fullurl", git->remote}},
        {keeps, {"git.keepgitdir", "true"}},
        {git->scheme == COB_GITREF_SSH, {"git.mountsshsock", "default"}},
        {git->is_mtime_of_commit, {"git.mtime", "commit"}},
        {git->submodules == COB_GITREF_NO, {"git.skipsubmodules", "true"}},
    };
    struct cob_llb_attr attrs[G_N_ELEMENTS(rows) + 1] = {{0}};
    g_autofree char *identifier = git_identifier(git);
    size_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].is_wanted)
            attrs[n++] = rows[i].attr;
    }
    *ret_from = cob_llb_add_source(builder, identifier, attrs, NULL, about);
    return NULL;
}

struct cob_error *dockerfile_remote_add(struct cob_llb_builder *builder,
    const struct dockerfile_remote *remote, const struct dockerfile_remote_wish *wish,
    const struct cob_llb_about *about, struct cob_llb_ref *ret_from, char **ret_path)
{
    if (remote->is_http)
        return add_http(builder, wish, about, ret_from, ret_path);
    COB_TRY(add_git(builder, remote, wish, about, ret_from));
    *ret_path = g_strdup("/");
    return NULL;
}
