/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "net/git/git_run.h"

#define MIN_SHORT_ID 7

void cob_git_commit_done(struct cob_git_commit *commit)
{
    g_clear_pointer(&commit->id, g_free);
    g_clear_pointer(&commit->commit, g_free);
    g_clear_pointer(&commit->ref, g_free);
}

/* One line of ls-remote, "<id>\t<name>", taken apart in place. */
struct advert {
    const char *id, *name;
};

/* ret_adverts: those that are written as they should be; they borrow from `text`. */
static GArray *read_adverts(char *text)
{
    GArray *adverts = g_array_new(FALSE, FALSE, sizeof(struct advert));

    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n');
        char *tab = strchr(line, '\t');
        bool is_pair = tab && (!end || tab < end);

        if (end)
            *end = '\0';
        if (is_pair) {
            struct advert advert = {line, tab + 1};

            *tab = '\0';
            g_array_append_val(adverts, advert);
        }
        line = end ? end + 1 : NULL;
    }
    return adverts;
}

/* The id of a name, less one that is no id; NULL when it is not there. */
static const char *id_of(const GArray *adverts, const char *name)
{
    for (guint i = 0; i < adverts->len; i++) {
        const struct advert *advert = &g_array_index(adverts, struct advert, i);

        if (strcmp(advert->name, name) == 0 && cob_gitref_is_commit(advert->id))
            return advert->id;
    }
    return NULL;
}

static struct cob_error *list(const struct cob_git_remote *remote, const char *option,
    const char *const *patterns, struct cob_cancel *cancel, GString **ret_text)
{
    const struct git_call call = {
        .args = {"ls-remote", option, "--", remote->place->remote, patterns[0], patterns[1], NULL},
        .is_without_repository = true};

    return git_run(remote, &call, cancel, ret_text);
}

static void take(struct cob_git_commit *commit, const char *id, const char *peeled, const char *ref)
{
    commit->id = g_strdup(id);
    commit->commit = g_strdup(peeled ? peeled : id);
    commit->ref = g_strdup(ref);
}

/* Where HEAD is, "ref: refs/heads/main\tHEAD" before its id. What a server says there is a name
 * only when it looks like one. */
static struct cob_error *resolve_head(
    const struct cob_git_remote *remote, struct cob_cancel *cancel, struct cob_git_commit *commit)
{
    static const char *const patterns[] = {"HEAD", NULL};
    g_autoptr(GString) text = NULL;
    const char *ref = NULL;

    COB_TRY(list(remote, "--symref", patterns, cancel, &text));
    g_autoptr(GArray) adverts = read_adverts(text->str);
    const char *id = id_of(adverts, "HEAD");
    for (guint i = 0; i < adverts->len; i++) {
        const struct advert *advert = &g_array_index(adverts, struct advert, i);

        if (g_str_has_prefix(advert->id, "ref: ") && strcmp(advert->name, "HEAD") == 0)
            ref = advert->id + strlen("ref: ");
    }
    if (!id)
        return cob_fail(COB_NOT_FOUND, "the repository has no HEAD: name a branch, tag or commit");
    if (ref && (!g_str_has_prefix(ref, "refs/") || !cob_gitref_is_name(ref)))
        return cob_fail(COB_DATA_LOSS, "the server's HEAD is \"%.100s\", which is no ref", ref);
    take(commit, id, NULL, ref ? ref : "HEAD");
    return NULL;
}

static bool is_short_id(const char *ref)
{
    size_t len = strlen(ref);

    return len >= MIN_SHORT_ID && len < 40 && strspn(ref, "0123456789abcdef") == len;
}

/* The first digits of an id: nobody can be asked for it but a whole mirror. */
static struct cob_error *resolve_short(const struct cob_git_remote *remote, const char *ref,
    struct cob_cancel *cancel, struct cob_git_commit *commit)
{
    g_autofree char *name = g_strconcat(ref, "^{commit}", NULL);
    const struct git_call parse = {
        .args = {"rev-parse", "--verify", "--quiet", "--end-of-options", name, NULL},
        .is_quiet = true};
    g_autoptr(GString) id = NULL;
    bool is_here = false;

    COB_TRY(git_make_mirror(remote, "", cancel));
    COB_TRY(git_succeeds(remote, &parse, cancel, &is_here));
    if (!is_here)
        COB_TRY(git_fetch_all(remote, cancel));
    struct cob_error *err = git_run(remote, &parse, cancel, &id);
    if (!err && cob_gitref_is_commit(g_strstrip(id->str)) && g_str_has_prefix(id->str, ref)) {
        take(commit, id->str, NULL, NULL);
        return NULL;
    }
    if (err && cob_error_code(err) == COB_CANCELLED)
        return err;
    cob_error_free(err);
    return cob_fail(COB_NOT_FOUND, "repository does not contain ref %s", ref);
}

/* spec: BuildKit source/git/source.go, resolveMetadataFromURL: "refs/<ref>", a branch, a tag. */
static struct cob_error *resolve_name(const struct cob_git_remote *remote, const char *ref,
    struct cob_cancel *cancel, struct cob_git_commit *commit)
{
    bool is_full = g_str_has_prefix(ref, "refs/");
    g_autofree char *peeled = g_strconcat(ref, "^{}", NULL);
    const char *const patterns[] = {ref, peeled, NULL};
    static const char *const prefixes[] = {"refs/", "refs/heads/", "refs/tags/"};
    g_autoptr(GString) text = NULL;

    COB_TRY(list(remote, "--quiet", patterns, cancel, &text));
    g_autoptr(GArray) adverts = read_adverts(text->str);
    for (size_t i = 0; i < (is_full ? 1 : G_N_ELEMENTS(prefixes)); i++) {
        g_autofree char *full = g_strconcat(is_full ? "" : prefixes[i], ref, NULL);
        g_autofree char *tag = g_strconcat(full, "^{}", NULL);
        const char *id = id_of(adverts, full);

        if (id) {
            take(commit, id, id_of(adverts, tag), full);
            return NULL;
        }
    }
    if (is_short_id(ref))
        return resolve_short(remote, ref, cancel, commit);
    return cob_fail(COB_NOT_FOUND, "repository does not contain ref %s", ref);
}

static bool has_prefix(const char *id, const char *prefix)
{
    return g_ascii_strncasecmp(id, prefix, strlen(prefix)) == 0;
}

static struct cob_error *check(const struct cob_gitref *place, const struct cob_git_commit *commit)
{
    const char *checksum = place->checksum;

    if (!checksum || has_prefix(commit->id, checksum) || has_prefix(commit->commit, checksum))
        return NULL;
    if (strcmp(commit->id, commit->commit) == 0)
        return cob_fail(
            COB_PRECONDITION, "expected checksum to match %s, got %s", checksum, commit->id);
    return cob_fail(COB_PRECONDITION, "expected checksum to match %s, got %s or %s", checksum,
        commit->id, commit->commit);
}

/* Without asking: the commit is named by its id. */
static struct cob_error *take_named(const struct cob_gitref *place, struct cob_git_commit *commit)
{
    const char *ref = place->ref;

    if (ref && cob_gitref_is_commit(ref)) {
        take(commit, ref, NULL, NULL);
        return NULL;
    }
    if (!place->is_by_commit)
        return NULL;
    if (!place->checksum || !cob_gitref_is_commit(place->checksum))
        return cob_fail(COB_INVALID, "fetch-by-commit requires a full commit as checksum");
    g_autofree char *full =
        ref ? g_strconcat(g_str_has_prefix(ref, "refs/") ? "" : "refs/heads/", ref, NULL) : NULL;
    take(commit, place->checksum, NULL, full);
    return NULL;
}

static struct cob_error *resolve(
    const struct cob_git_remote *remote, struct cob_cancel *cancel, struct cob_git_commit *commit)
{
    const struct cob_gitref *place = remote->place;

    COB_TRY(take_named(place, commit));
    if (!commit->id && place->ref)
        COB_TRY(resolve_name(remote, place->ref, cancel, commit));
    else if (!commit->id)
        COB_TRY(resolve_head(remote, cancel, commit));
    return check(place, commit);
}

struct cob_error *cob_git_resolve(
    const struct cob_git_remote *remote, struct cob_cancel *cancel, struct cob_git_commit *ret)
{
    struct cob_git_commit commit = {0};
    struct cob_error *err = resolve(remote, cancel, &commit);

    if (!err)
        *ret = commit;
    else
        cob_git_commit_done(&commit);
    return cob_wrap(err, "%s", remote->place->remote);
}
