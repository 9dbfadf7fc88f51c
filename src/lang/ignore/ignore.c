/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path asks four tables for the last pattern that matches it, each entry a pattern's number:
 *
 *     exact     foo, a/b          by the whole path
 *     below     a/??              by the directory it is in
 *     tails     ??/foo, ??/a/b    by each end of it that begins behind a slash
 *     wild      the rest          by literal directory in front and literal bytes at the end, then
 *                                 run one by one, last first
 *
 * (?? stands for two asterisks.)
 */
#include "lang/ignore/ignore.h"

#include <string.h>

#include "lang/ignore/wildcard.h"
#include "util/limits.h"

#define TAIL_BYTES 4 /* of the literal end of a wildcard that its key has */

struct wild {
    unsigned number;
    char *head; /* literal bytes it begins with */
    char *tail; /* literal bytes it ends with */
    struct cob_wildcard *wildcard;
};

struct cob_ignore {
    GArray *is_return;   /* bool for each pattern: it has a "!" */
    GHashTable *exact;   /* path, owned -> number */
    GHashTable *below;   /* directory, owned -> number */
    GHashTable *tails;   /* end of a path, owned -> number */
    GHashTable *wild;    /* key, owned -> GPtrArray of struct wild, owned, in order */
    GHashTable *heads;   /* literal directories in front of wildcards, owned */
    unsigned everything; /* the last pattern that matches all paths */
    bool has_all_names;  /* a pattern matches whatever stands in the root */
    GPtrArray *returns;  /* char *, owned, sorted: the literal paths of "!" patterns */
    GHashTable *open;    /* directories below which a "!" with a wildcard may match, owned */
};

static void wild_free(void *data)
{
    struct wild *wild = data;

    g_free(wild->head);
    g_free(wild->tail);
    cob_wildcard_free(wild->wildcard);
    g_free(wild);
}

void cob_ignore_free(struct cob_ignore *ignore)
{
    if (!ignore)
        return;
    g_array_unref(ignore->is_return);
    g_hash_table_unref(ignore->exact);
    g_hash_table_unref(ignore->below);
    g_hash_table_unref(ignore->tails);
    g_hash_table_unref(ignore->wild);
    g_hash_table_unref(ignore->heads);
    g_hash_table_unref(ignore->open);
    g_ptr_array_unref(ignore->returns);
    g_free(ignore);
}

static GHashTable *table_new(GDestroyNotify value_free)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, value_free);
}

static struct cob_ignore *ignore_alloc(void)
{
    struct cob_ignore *ignore = g_new(struct cob_ignore, 1);

    *ignore = (struct cob_ignore){
        .is_return = g_array_new(false, false, sizeof(bool)),
        .exact = table_new(NULL),
        .below = table_new(NULL),
        .tails = table_new(NULL),
        .wild = table_new((GDestroyNotify)g_ptr_array_unref),
        .heads = table_new(NULL),
        .open = table_new(NULL),
        .returns = g_ptr_array_new_with_free_func(g_free),
    };
    return ignore;
}

/* ---- reading ---- */

/* A path without "//", "/./", "x/.." and a slash at the end, never empty. The caller frees it.
 * spec: Go path.Clean. */
static char *clean(const char *path)
{
    bool is_rooted = *path == '/';
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    for (size_t i = 0; parts[i]; i++) {
        const char *last = kept->len ? g_ptr_array_index(kept, kept->len - 1) : NULL;

        if (*parts[i] == '\0' || strcmp(parts[i], ".") == 0)
            continue;
        if (strcmp(parts[i], "..") == 0 && last && strcmp(last, "..") != 0)
            g_ptr_array_set_size(kept, (int)kept->len - 1);
        else if (strcmp(parts[i], "..") != 0 || !is_rooted)
            g_ptr_array_add(kept, parts[i]);
    }
    g_ptr_array_add(kept, NULL);
    g_autofree char *joined = g_strjoinv("/", (char **)kept->pdata);
    if (is_rooted)
        return g_strconcat("/", joined, NULL);
    return g_strdup(*joined ? joined : ".");
}

/* The bytes of a pattern before its first wildcard, without escapes. */
static size_t literal_head(const char *pattern)
{
    return strcspn(pattern, "*?[\\");
}

/* The bytes behind its last wildcard. */
static const char *literal_tail(const char *pattern)
{
    const char *tail = pattern;

    for (const char *at = pattern; *at; at++)
        if (strchr("*?[]\\", *at))
            tail = at + (*at == '\\' && at[1] ? 2 : 1);
    /* two stars eat the slash behind them, which need not be there, then */
    if (tail > pattern + 1 && tail[-1] == '*' && tail[-2] == '*' && *tail == '/')
        tail++;
    return tail;
}

/* The directory that a text names before its last slash; "" when it has none. */
static char *dir_of(const char *text, size_t len)
{
    while (len > 0 && text[len - 1] != '/')
        len--;
    return g_strndup(text, len ? len - 1 : 0);
}

/* What a wildcard is found by: "dir\1tail". The caller frees it. */
static char *wild_key(const char *dir, size_t dir_len, const char *tail)
{
    return g_strdup_printf("%.*s\1%s", (int)dir_len, dir, tail);
}

static struct cob_error *add_wild(
    struct cob_ignore *ignore, const char *pattern, unsigned number, bool is_suffix)
{
    g_autoptr(cob_wildcard) wildcard = NULL;
    size_t head_len = literal_head(pattern);
    const char *tail = literal_tail(pattern);

    COB_TRY(wildcard_compile(is_suffix ? pattern + 2 : pattern, WILDCARD_IGNORE, &wildcard));
    if (is_suffix)
        wildcard_prepend(wildcard, STEP_ALL);
    struct wild *wild = g_new(struct wild, 1);
    *wild = (struct wild){.number = number,
        .head = g_strndup(pattern, head_len),
        .tail = g_strdup(tail),
        .wildcard = g_steal_pointer(&wildcard)};
    size_t tail_len = strlen(tail);
    g_autofree char *dir = dir_of(pattern, head_len);
    char *key =
        wild_key(dir, strlen(dir), tail + (tail_len > TAIL_BYTES ? tail_len - TAIL_BYTES : 0));
    GPtrArray *list = g_hash_table_lookup(ignore->wild, key);
    if (!list) {
        list = g_ptr_array_new_with_free_func(wild_free);
        g_hash_table_insert(ignore->wild, key, list);
    } else {
        g_free(key);
    }
    g_ptr_array_add(list, wild);
    g_hash_table_add(ignore->heads, g_steal_pointer(&dir));
    return NULL;
}

static void add_literal(GHashTable *table, const char *key, size_t len, unsigned number)
{
    g_hash_table_replace(table, g_strndup(key, len), GUINT_TO_POINTER(number));
}

/* Put a clean pattern into the table that is for it. moby takes what begins or ends with two stars,
 * and has no other wildcard, as a suffix or a prefix of any bytes. */
static struct cob_error *add_pattern(
    struct cob_ignore *ignore, const char *pattern, unsigned number)
{
    size_t len = strlen(pattern), head = literal_head(pattern);
    bool has_stars = strncmp(pattern, "**", 2) == 0;

    if (head == len) {
        add_literal(ignore->exact, pattern, len, number);
    } else if (strcmp(pattern, "**") == 0) {
        ignore->everything = number;
    } else if (has_stars && pattern[2] == '/' && !cob_wildcard_is_one(pattern + 3)) {
        add_literal(ignore->tails, pattern + 3, len - 3, number);
    } else if (has_stars && !cob_wildcard_is_one(pattern + 2)) {
        return add_wild(ignore, pattern, number, /* is_suffix= */ true);
    } else if (len > 3 && head == len - 2 && strcmp(pattern + len - 3, "/**") == 0) {
        add_literal(ignore->below, pattern, len - 3, number);
    } else {
        return add_wild(ignore, pattern, number, /* is_suffix= */ false);
    }
    return NULL;
}

/* Keep where a "!" may match. */
static void add_return(struct cob_ignore *ignore, const char *pattern)
{
    size_t head = literal_head(pattern);

    if (pattern[head] == '\0') {
        g_ptr_array_add(ignore->returns, g_strdup(pattern));
        return;
    }
    char *dir = dir_of(pattern, head);
    g_ptr_array_add(ignore->returns, g_strconcat(dir, "/", NULL));
    g_hash_table_add(ignore->open, dir);
}

/* A pattern without its "!", made clean; NULL when nothing is left. moby cleans twice, as it reads
 * the file and when it makes the matcher, so that a space before a last slash goes, too. The caller
 * frees it. */
static char *normalise(const char *text, bool is_return)
{
    g_autofree char *bare = g_strstrip(g_strdup(text));
    g_autofree char *once = clean(bare);
    char *rest = once + (once[0] == '/' && once[1] != '\0');

    if (*bare == '\0' || (is_return && strcmp(rest, "/") == 0))
        return NULL;
    rest = is_return ? g_strchomp(rest) : g_strstrip(rest);
    return *rest ? clean(rest) : NULL;
}

/* One pattern as it was written. */
static struct cob_error *add_text(struct cob_ignore *ignore, const char *text)
{
    bool is_return = *text == '!';
    g_autofree char *pattern = normalise(text + is_return, is_return);
    g_autoptr(cob_wildcard) checked = NULL;

    if (!pattern && !is_return)
        return NULL;
    if (!pattern)
        return cob_fail(COB_INVALID, "illegal exclusion pattern: \"!\"");
    if (ignore->is_return->len >= COB_LIMIT_IGNORE_PATTERNS)
        return cob_fail(COB_EXHAUSTED, "more than %d patterns", COB_LIMIT_IGNORE_PATTERNS);
    COB_TRY(cob_wildcard_new(pattern, &checked));
    g_array_append_val(ignore->is_return, is_return);
    if (is_return)
        add_return(ignore, pattern);
    else if (strcmp(pattern, "*") == 0 || strcmp(pattern, "**/*") == 0)
        ignore->has_all_names = true;
    return add_pattern(ignore, pattern, ignore->is_return->len);
}

static int by_text(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*one, *other);
}

struct cob_error *cob_ignore_new(const char *const *patterns, struct cob_ignore **ret_ignore)
{
    g_autoptr(cob_ignore) ignore = ignore_alloc();

    for (size_t i = 0; patterns[i]; i++) {
        g_autofree char *text = g_strstrip(g_strdup(patterns[i]));

        if (*text)
            COB_TRY(add_text(ignore, text));
    }
    g_ptr_array_sort(ignore->returns, by_text);
    *ret_ignore = g_steal_pointer(&ignore);
    return NULL;
}

/* One line of the file, which has no line end and may have any byte. */
static struct cob_error *add_line(struct cob_ignore *ignore, const char *line, size_t len)
{
    if (len > 0 && *line == '#')
        return NULL;
    if (memchr(line, '\0', len))
        return cob_fail(COB_INVALID, "a pattern has a NUL byte");
    if (len > COB_LIMIT_PATH_BYTES)
        return cob_fail(
            COB_EXHAUSTED, "a pattern has %zu bytes, more than %d", len, COB_LIMIT_PATH_BYTES);
    g_autofree char *text = g_strstrip(g_strndup(line, len));
    return *text ? add_text(ignore, text) : NULL;
}

struct cob_error *cob_ignore_parse(struct cob_srcfile *file, struct cob_ignore **ret_ignore)
{
    g_autoptr(cob_ignore) ignore = ignore_alloc();
    size_t len = 0;
    const char *at = g_bytes_get_data(file->data, &len), *end = at ? at + len : NULL;
    struct cob_range range = {1, 1};

    if (len > COB_LIMIT_IGNORE_BYTES)
        return cob_fail(COB_EXHAUSTED, "%s has %zu bytes, more than %" G_GUINT64_FORMAT, file->name,
            len, (guint64)COB_LIMIT_IGNORE_BYTES);
    if (len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) /* a mark of byte order */
        at += 3;
    while (at && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t line_len = (size_t)((stop ? stop : end) - at);
        struct cob_error *err = add_line(ignore, at, line_len);

        if (err)
            return cob_error_at(
                cob_wrap(err, "%s line %d", file->name, (int)range.first_line), file, range);
        at += line_len + 1;
        range.last_line = ++range.first_line;
    }
    g_ptr_array_sort(ignore->returns, by_text);
    *ret_ignore = g_steal_pointer(&ignore);
    return NULL;
}

/* ---- matching ---- */

static unsigned look_up(GHashTable *table, const char *key)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(table, key));
}

/* The last of a list that matches and comes behind `best`. */
static unsigned run_list(const GPtrArray *list, const char *path, size_t len, unsigned best)
{
    for (unsigned i = list ? list->len : 0; i-- > 0;) {
        const struct wild *wild = g_ptr_array_index(list, i);
        size_t tail_len = strlen(wild->tail);

        if (wild->number <= best)
            break;
        if (tail_len > len || memcmp(path + len - tail_len, wild->tail, tail_len) != 0 ||
            strncmp(path, wild->head, strlen(wild->head)) != 0)
            continue;
        if (cob_wildcard_matches(wild->wildcard, path))
            return wild->number;
    }
    return best;
}

/* The same over all lists whose literal directory is the first dir_len bytes of the path. */
static unsigned run_dir(
    const struct cob_ignore *ignore, const char *path, size_t dir_len, unsigned best)
{
    size_t len = strlen(path);

    for (size_t tail = 0; tail <= TAIL_BYTES && tail <= len; tail++) {
        g_autofree char *key = wild_key(path, dir_len, path + len - tail);

        best = run_list(g_hash_table_lookup(ignore->wild, key), path, len, best);
    }
    return best;
}

static unsigned run_wild(const struct cob_ignore *ignore, const char *path, unsigned best)
{
    if (g_hash_table_size(ignore->heads) == 0)
        return best;
    if (g_hash_table_contains(ignore->heads, ""))
        best = run_dir(ignore, path, 0, best);
    if (g_hash_table_size(ignore->heads) == 1 && g_hash_table_contains(ignore->heads, ""))
        return best;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        g_autofree char *dir = g_strndup(path, (size_t)(slash - path));

        if (g_hash_table_contains(ignore->heads, dir))
            best = run_dir(ignore, path, (size_t)(slash - path), best);
    }
    return best;
}

cob_ignore_state cob_ignore_enter(
    const struct cob_ignore *ignore, cob_ignore_state parent, const char *path)
{
    unsigned best = MAX(parent, ignore->everything);
    unsigned number = look_up(ignore->exact, path);

    best = MAX(best, number);
    if (g_hash_table_size(ignore->below) > 0) {
        g_autofree char *dir = dir_of(path, strlen(path));

        number = look_up(ignore->below, dir);
        best = MAX(best, number);
    }
    for (const char *at = path; at && g_hash_table_size(ignore->tails) > 0;) {
        const char *slash = strchr(at, '/');

        number = look_up(ignore->tails, at);
        best = MAX(best, number);
        at = slash ? slash + 1 : NULL;
    }
    return run_wild(ignore, path, best);
}

bool cob_ignore_is_out(const struct cob_ignore *ignore, cob_ignore_state state)
{
    return state > 0 && !g_array_index(ignore->is_return, bool, state - 1);
}

bool cob_ignore_matches(const struct cob_ignore *ignore, const char *path)
{
    g_autofree char *part = g_strdup(path);
    cob_ignore_state state = 0;

    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        state = cob_ignore_enter(ignore, state, part);
        *slash = '/';
    }
    return cob_ignore_is_out(ignore, cob_ignore_enter(ignore, state, part));
}

/* Is there a text with this prefix in a sorted list? */
static bool has_prefix(const GPtrArray *sorted, const char *prefix)
{
    unsigned low = 0, high = sorted->len;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (strcmp(g_ptr_array_index(sorted, middle), prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sorted->len && g_str_has_prefix(g_ptr_array_index(sorted, low), prefix);
}

bool cob_ignore_may_return(const struct cob_ignore *ignore, const char *dir_path)
{
    g_autofree char *dir = g_strconcat(dir_path, "/", NULL);

    if (ignore->returns->len == 0)
        return false;
    if (g_hash_table_contains(ignore->open, "") || has_prefix(ignore->returns, dir))
        return true;
    if (g_hash_table_size(ignore->open) == 0)
        return false;
    for (char *slash = strchr(dir, '/'); slash; slash = strchr(slash + 1, '/')) {
        bool is_open = false;

        *slash = '\0';
        is_open = g_hash_table_contains(ignore->open, dir);
        *slash = '/';
        if (is_open)
            return true;
    }
    return false;
}

bool cob_ignore_has_returns(const struct cob_ignore *ignore)
{
    return ignore->returns->len > 0;
}

bool cob_ignore_is_all_out(const struct cob_ignore *ignore)
{
    return !cob_ignore_has_returns(ignore) && (ignore->has_all_names || ignore->everything > 0);
}
