/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "spec/gitref/gitref_parts.h"
#include "util/limits.h"

#define MAX_OPTIONS 32

/* What a query said, before it is held against the fragment. */
struct query {
    char *tag, *branch; /* with refs/... before them; NULL: not there */
    bool is_seen[16];   /* by row of `options` */
};

char *gitref_unescape(const char *text, bool is_query)
{
    GString *out = g_string_new(NULL);

    for (; *text; text++) {
        char c = is_query && *text == '+' ? ' ' : *text;

        if (*text == '%' && g_ascii_isxdigit(text[1]) && g_ascii_isxdigit(text[2])) {
            c = (char)(g_ascii_xdigit_value(text[1]) * 16 + g_ascii_xdigit_value(text[2]));
            text += 2;
        } else if (*text == '%') {
            g_string_free(out, TRUE);
            return NULL;
        }
        if ((unsigned char)c < ' ' || c == 0x7f) {
            g_string_free(out, TRUE);
            return NULL;
        }
        g_string_append_c(out, c);
    }
    return g_string_free(out, FALSE);
}

static struct cob_error *set_once(char **slot, const char *what, const char *value)
{
    if (*slot && strcmp(*slot, value) != 0)
        return cob_fail(COB_INVALID, "%s conflicts: \"%s\" vs \"%s\"", what, *slot, value);
    g_free(*slot);
    *slot = g_strdup(value);
    return NULL;
}

static struct cob_error *set_ref(struct cob_gitref *ref, const char *value)
{
    if (!cob_gitref_is_name(value))
        return cob_fail(
            COB_INVALID, "\"%.200s\" is not the name of a branch, tag or commit", value);
    return set_once(&ref->ref, "ref", value);
}

/* "/a//b/./c/" -> "a/b/c"; ".." goes up, no further than the top. */
static char *clean_path(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    for (char **part = parts; *part; part++) {
        if (strcmp(*part, "..") == 0 && kept->len > 0)
            g_ptr_array_set_size(kept, (gint)kept->len - 1);
        else if (**part && strcmp(*part, ".") != 0 && strcmp(*part, "..") != 0)
            g_ptr_array_add(kept, *part);
    }
    g_ptr_array_add(kept, NULL);
    return g_strjoinv("/", (char **)kept->pdata);
}

static struct cob_error *set_subdir(struct cob_gitref *ref, const char *value)
{
    g_autofree char *clean = clean_path(value);

    if (strlen(clean) > COB_LIMIT_PATH_BYTES)
        return cob_fail(COB_INVALID, "the subdirectory has a name that is too long");
    return *clean ? set_once(&ref->subdir, "subdir", clean) : NULL;
}

static struct cob_error *set_checksum(struct cob_gitref *ref, const char *value)
{
    size_t len = strlen(value);

    if (len == 0 || len > 64 || strspn(value, "0123456789abcdefABCDEF") != len)
        return cob_fail(
            COB_INVALID, "invalid checksum %.100s for Git URL, expected hex commit hash", value);
    return set_once(&ref->checksum, "checksum", value);
}

/* spec: Go strconv.ParseBool; nothing is true. */
static struct cob_error *read_choice(
    const char *name, const char *value, enum cob_gitref_choice *ret_choice)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True", "", NULL};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False", NULL};

    if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
        return cob_fail(COB_INVALID, "invalid %s value: \"%.100s\"", name, value);
    *ret_choice = g_strv_contains(yes, value) ? COB_GITREF_YES : COB_GITREF_NO;
    return NULL;
}

static struct cob_error *set_mtime(struct cob_gitref *ref, const char *value)
{
    ref->is_mtime_of_commit = strcmp(value, "commit") == 0;
    if (!ref->is_mtime_of_commit && strcmp(value, "checkout") != 0)
        return cob_fail(COB_INVALID,
            "invalid mtime value: \"%.100s\" (must be \"checkout\" or \"commit\")", value);
    return NULL;
}

static char *with_prefix(const char *prefix, const char *value)
{
    return g_strconcat(g_str_has_prefix(value, prefix) ? "" : prefix, value, NULL);
}

enum option {
    OPTION_REF,
    OPTION_TAG,
    OPTION_BRANCH,
    OPTION_SUBDIR,
    OPTION_CHECKSUM,
    OPTION_KEEP,
    OPTION_SUBMODULES,
    OPTION_MTIME,
    OPTION_BY_COMMIT,
};

static const struct {
    const char *name;
    enum option option;
    bool is_choice; /* its value may be left out */
} options[] = {
    {"ref", OPTION_REF, false},
    {"tag", OPTION_TAG, false},
    {"branch", OPTION_BRANCH, false},
    {"subdir", OPTION_SUBDIR, false},
    {"checksum", OPTION_CHECKSUM, false},
    {"commit", OPTION_CHECKSUM, false},
    {"keep-git-dir", OPTION_KEEP, true},
    {"submodules", OPTION_SUBMODULES, true},
    {"mtime", OPTION_MTIME, false},
    {"fetch-by-commit", OPTION_BY_COMMIT, true},
};

static struct cob_error *take_value(
    struct cob_gitref *ref, struct query *query, size_t row, const char *value)
{
    enum cob_gitref_choice choice = COB_GITREF_UNSAID;

    switch (options[row].option) {
    case OPTION_REF:
        return set_ref(ref, value);
    case OPTION_TAG:
        query->tag = with_prefix("refs/tags/", value);
        return NULL;
    case OPTION_BRANCH:
        query->branch = with_prefix("refs/heads/", value);
        return NULL;
    case OPTION_SUBDIR:
        return set_subdir(ref, value);
    case OPTION_CHECKSUM:
        return set_checksum(ref, value);
    case OPTION_KEEP:
        return read_choice(options[row].name, value, &ref->keep_git_dir);
    case OPTION_SUBMODULES:
        return read_choice(options[row].name, value, &ref->submodules);
    case OPTION_MTIME:
        return set_mtime(ref, value);
    case OPTION_BY_COMMIT:
        COB_TRY(read_choice(options[row].name, value, &choice));
        ref->is_by_commit = choice == COB_GITREF_YES;
        return NULL;
    }
    g_assert_not_reached();
}

static struct cob_error *take_pair(
    struct cob_gitref *ref, struct query *query, const char *name, const char *value)
{
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        if (strcmp(name, options[i].name) != 0)
            continue;
        if (query->is_seen[i])
            return cob_fail(COB_INVALID, "query \"%s\" has multiple values", name);
        query->is_seen[i] = true;
        if (!*value && !options[i].is_choice)
            return cob_fail(COB_INVALID, "query \"%s\" has no value", name);
        return take_value(ref, query, i, value);
    }
    return cob_fail(COB_INVALID, "unexpected query \"%.100s\"", name);
}

static struct cob_error *take_query(struct cob_gitref *ref, struct query *query, const char *text)
{
    g_auto(GStrv) pairs = g_strsplit(text, "&", MAX_OPTIONS);

    for (char **pair = pairs; *pair; pair++) {
        char *equals = strchr(*pair, '=');

        if (!**pair)
            continue;
        if (equals)
            *equals++ = '\0';
        g_autofree char *name = gitref_unescape(*pair, /* is_query= */ true);
        g_autofree char *value = gitref_unescape(equals ? equals : "", /* is_query= */ true);
        if (!name || !value)
            return cob_fail(COB_INVALID, "the query cannot be read");
        COB_TRY(take_pair(ref, query, name, value));
    }
    if (query->tag && query->branch)
        return cob_fail(COB_INVALID, "branch conflicts with tag");
    if (query->tag || query->branch)
        COB_TRY(set_ref(ref, query->tag ? query->tag : query->branch));
    return NULL;
}

static struct cob_error *take_fragment(struct cob_gitref *ref, const char *text)
{
    g_autofree char *plain = gitref_unescape(text, /* is_query= */ false);

    if (!plain)
        return cob_fail(COB_INVALID, "what follows '#' cannot be read");
    char *colon = strchr(plain, ':');
    if (colon) {
        *colon = '\0';
        COB_TRY(set_subdir(ref, colon + 1));
    }
    return *plain ? set_ref(ref, plain) : NULL;
}

struct cob_error *gitref_take_options(
    struct cob_gitref *ref, const char *query, const char *fragment)
{
    struct query said = {0};
    struct cob_error *err = fragment ? take_fragment(ref, fragment) : NULL;

    if (!err && query)
        err = take_query(ref, &said, query);
    g_free(said.tag);
    g_free(said.branch);
    return err;
}
