/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/why/why_parts.h"
#include "util/limits.h"

#define MAGIC "cobw\1"
#define MAGIC_BYTES 5
#define MARK_BYTES 4
#define MAX_NAMES 5 /* in one line */
#define TYPE_MASK 0170000
#define TYPE_DIR 0040000

/* --- writing --- */

struct cob_why_list {
    GByteArray *bytes;
    GString *last;           /* path */
    uint32_t mode, uid, gid; /* of the last one */
    size_t n_files;
    bool is_too_large;
};

struct cob_why_list *cob_why_list_new(void)
{
    struct cob_why_list *list = g_new(struct cob_why_list, 1);

    *list = (struct cob_why_list){.bytes = g_byte_array_new(), .last = g_string_new(NULL)};
    g_byte_array_append(list->bytes, (const guint8 *)MAGIC, MAGIC_BYTES);
    return list;
}

void cob_why_list_free(struct cob_why_list *list)
{
    if (!list)
        return;
    if (list->bytes)
        g_byte_array_unref(list->bytes);
    g_string_free(list->last, TRUE);
    g_free(list);
}

static void put_number(GByteArray *bytes, uint64_t number)
{
    guint8 text[10];
    guint n = 0;

    for (; number >= 0x80; number >>= 7)
        text[n++] = (guint8)(number | 0x80);
    text[n++] = (guint8)number;
    g_byte_array_append(bytes, text, n);
}

static size_t shared_len(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

void cob_why_list_add(struct cob_why_list *list, const struct cob_why_file *file)
{
    const size_t shared = shared_len(list->last->str, file->path);
    const size_t rest = strlen(file->path + shared);
    const bool is_same_owner = list->uid == file->uid && list->gid == file->gid;
    const uint32_t mark = GUINT32_TO_LE(file->mark);

    if (++list->n_files > COB_LIMIT_WHY_FILES || list->bytes->len > COB_LIMIT_WHY_LIST_BYTES)
        list->is_too_large = true;
    if (list->is_too_large)
        return;
    put_number(list->bytes, shared);
    put_number(list->bytes, rest);
    g_byte_array_append(list->bytes, (const guint8 *)file->path + shared, (guint)rest);
    put_number(list->bytes, (uint64_t)(list->mode ^ file->mode) << 1 | !is_same_owner);
    if (!is_same_owner) {
        put_number(list->bytes, file->uid);
        put_number(list->bytes, file->gid);
    }
    g_byte_array_append(list->bytes, (const guint8 *)&mark, MARK_BYTES);
    g_string_truncate(list->last, shared);
    g_string_append(list->last, file->path + shared);
    list->mode = file->mode;
    list->uid = file->uid;
    list->gid = file->gid;
}

GBytes *cob_why_list_finish(struct cob_why_list *list)
{
    return list->is_too_large ? NULL : g_byte_array_free_to_bytes(g_steal_pointer(&list->bytes));
}

/* --- reading --- */

struct reader {
    const uint8_t *at, *end;
};

static bool get_number(struct reader *reader, uint64_t *ret)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 63 && reader->at < reader->end; shift += 7) {
        const uint8_t byte = *reader->at++;

        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = number;
            return true;
        }
    }
    return false;
}

static bool get_id(struct reader *reader, uint32_t *ret)
{
    uint64_t number = 0;

    if (!get_number(reader, &number) || number > UINT32_MAX)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static bool get_path(struct reader *reader, GString *path)
{
    uint64_t shared = 0, rest = 0;

    if (!get_number(reader, &shared) || !get_number(reader, &rest) || shared > path->len ||
        rest > COB_LIMIT_PATH_BYTES || rest > (uint64_t)(reader->end - reader->at))
        return false;
    g_string_truncate(path, shared);
    g_string_append_len(path, (const char *)reader->at, (gssize)rest);
    reader->at += rest;
    return path->len <= COB_LIMIT_PATH_BYTES;
}

/* An entry; its path goes into `path`, its mode and owner stay for the next one. */
static bool get_file(struct reader *reader, GString *path, struct cob_why_file *file)
{
    uint64_t change = 0;
    uint32_t mark = 0;

    if (!get_path(reader, path) || !get_number(reader, &change) || change >> 1 > UINT32_MAX)
        return false;
    if ((change & 1) && (!get_id(reader, &file->uid) || !get_id(reader, &file->gid)))
        return false;
    if (reader->end - reader->at < MARK_BYTES)
        return false;
    memcpy(&mark, reader->at, MARK_BYTES);
    reader->at += MARK_BYTES;
    file->mode ^= (uint32_t)(change >> 1);
    file->mark = GUINT32_FROM_LE(mark);
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct cob_why_file *)a)->path, ((const struct cob_why_file *)b)->path);
}

/* Two copies of one instruction may take the same file. */
static void sort_once(GArray *files)
{
    struct cob_why_file *all = (struct cob_why_file *)(void *)files->data;
    guint n = 0;

    g_array_sort(files, by_path);
    for (guint i = 0; i < files->len; i++) {
        if (n == 0 || strcmp(all[n - 1].path, all[i].path) != 0)
            all[n++] = all[i];
    }
    g_array_set_size(files, n);
}

/* All of a list, sorted by path.  texts: owns the paths.  NULL: it is damaged. */
static GArray *read_list(GBytes *bytes, GStringChunk *texts)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    struct reader reader = {data + MIN(len, MAGIC_BYTES), data + len};
    struct cob_why_file file = {0};
    g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(struct cob_why_file));
    g_autoptr(GString) path = g_string_new(NULL);

    if (len < MAGIC_BYTES || memcmp(data, MAGIC, MAGIC_BYTES) != 0)
        return NULL;
    while (reader.at < reader.end) {
        if (files->len >= COB_LIMIT_WHY_FILES || !get_file(&reader, path, &file))
            return NULL;
        file.path = g_string_chunk_insert(texts, path->str);
        g_array_append_val(files, file);
    }
    sort_once(files);
    return g_steal_pointer(&files);
}

/* --- comparing --- */

/* The kinds of change, in the order in which they are told. */
enum change { CHANGED, ADDED, REMOVED, MODE, OWNER, N_CHANGES };

/* A file before and now; one of them is NULL where it was added or removed. */
struct pair {
    const struct cob_why_file *before, *now;
};

static bool is_dir(const struct cob_why_file *file)
{
    return (file->mode & TYPE_MASK) == TYPE_DIR;
}

static void note(GArray *const *changes, enum change kind, const struct cob_why_file *before,
    const struct cob_why_file *now)
{
    const struct pair pair = {before, now};

    g_array_append_val(changes[kind], pair);
}

static void note_both(
    GArray *const *changes, const struct cob_why_file *before, const struct cob_why_file *now)
{
    if ((before->mode & TYPE_MASK) != (now->mode & TYPE_MASK) || before->mark != now->mark)
        note(changes, CHANGED, before, now);
    else if (before->mode != now->mode)
        note(changes, MODE, before, now);
    else if (before->uid != now->uid || before->gid != now->gid)
        note(changes, OWNER, before, now);
}

static const char *path_of(const GArray *pairs, guint i)
{
    const struct pair *pair = &g_array_index(pairs, struct pair, i);

    return pair->now ? pair->now->path : pair->before->path;
}

/* What came or went with its files need not be named itself. */
static void drop_dirs(GArray *pairs)
{
    struct pair *all = (struct pair *)(void *)pairs->data;
    guint n = 0;

    for (guint i = 0; i < pairs->len; i++) {
        const struct cob_why_file *file = all[i].now ? all[i].now : all[i].before;
        const char *next = i + 1 < pairs->len ? path_of(pairs, i + 1) : "";
        const size_t len = strlen(file->path);
        bool has_more = strncmp(next, file->path, len) == 0 && (len == 0 || next[len] == '/');

        if (!is_dir(file) || !has_more)
            all[n++] = all[i];
    }
    g_array_set_size(pairs, n);
}

/* How many bytes of the first path are the directory that all of them lie in, its slash counted. */
static size_t common_dir(const GArray *pairs)
{
    const char *first = path_of(pairs, 0);
    size_t len = strlen(first);

    for (guint i = 1; i < pairs->len; i++)
        len = MIN(len, shared_len(first, path_of(pairs, i)));
    while (len > 0 && first[len - 1] != '/')
        len--;
    return len;
}

/* " under src/: a, b, c, and 12 more" */
static void append_names(GString *line, const GArray *pairs)
{
    const size_t dir_len = common_dir(pairs);

    if (dir_len > 0)
        g_string_append_printf(line, " under %.*s", (int)dir_len, path_of(pairs, 0));
    for (guint i = 0; i < MIN(pairs->len, MAX_NAMES); i++)
        g_string_append_printf(line, "%s%s", i ? ", " : ": ", path_of(pairs, i) + dir_len);
    if (pairs->len > MAX_NAMES)
        g_string_append_printf(line, ", and %u more", pairs->len - MAX_NAMES);
}

static const char *shown(const char *path)
{
    return *path ? path : ".";
}

static void append_mode(GString *line, const struct pair *pair)
{
    g_string_append_printf(line, "mode of %s changed %04o → %04o", shown(pair->now->path),
        pair->before->mode & 07777, pair->now->mode & 07777);
}

static void append_owner(GString *line, const struct pair *pair)
{
    g_string_append_printf(line, "owner of %s changed %u:%u → %u:%u", shown(pair->now->path),
        pair->before->uid, pair->before->gid, pair->now->uid, pair->now->gid);
}

/* One change of a kind. */
static void append_one(GString *line, const GArray *pairs, enum change kind)
{
    static const char *const words[] = {
        [CHANGED] = "changed", [ADDED] = "added", [REMOVED] = "removed"};
    const struct pair *pair = &g_array_index(pairs, struct pair, 0);

    if (kind == MODE)
        append_mode(line, pair);
    else if (kind == OWNER)
        append_owner(line, pair);
    else
        g_string_append_printf(line, "%s %s", shown(path_of(pairs, 0)), words[kind]);
}

static void add_line(const GArray *pairs, enum change kind, GPtrArray *reasons)
{
    static const struct {
        const char *before, *behind; /* the number */
    } words[] = {[CHANGED] = {"", "files changed"},
        [ADDED] = {"", "files added"},
        [REMOVED] = {"", "files removed"},
        [MODE] = {"modes of ", "files changed"},
        [OWNER] = {"owners of ", "files changed"}};
    GString *line = g_string_new(NULL);

    if (pairs->len == 1) {
        append_one(line, pairs, kind);
    } else {
        g_string_append_printf(line, "%s%u %s", words[kind].before, pairs->len, words[kind].behind);
        append_names(line, pairs);
    }
    g_ptr_array_add(reasons, g_string_free(line, FALSE));
}

/* Both are sorted: go along them together. */
static void find_changes(const GArray *before, const GArray *now, GArray *const *changes)
{
    guint b = 0, n = 0;

    while (b < before->len || n < now->len) {
        const struct cob_why_file *old =
            b < before->len ? &g_array_index(before, struct cob_why_file, b) : NULL;
        const struct cob_why_file *new =
            n < now->len ? &g_array_index(now, struct cob_why_file, n) : NULL;
        const int order = !old ? 1 : !new ? -1 : strcmp(old->path, new->path);

        if (order < 0)
            note(changes, REMOVED, old, NULL);
        else if (order > 0)
            note(changes, ADDED, NULL, new);
        else
            note_both(changes, old, new);
        b += order <= 0;
        n += order >= 0;
    }
}

bool cob_why_compare_files(GBytes *before, GBytes *now, GPtrArray *reasons)
{
    g_autoptr(GStringChunk) texts = g_string_chunk_new(64 * (gsize)1024);
    g_autoptr(GArray) old = before ? read_list(before, texts) : NULL;
    g_autoptr(GArray) new = now ? read_list(now, texts) : NULL;
    const guint n_before = reasons->len;
    GArray *changes[N_CHANGES];

    if (!old || !new)
        return false;
    for (int kind = 0; kind < N_CHANGES; kind++)
        changes[kind] = g_array_new(FALSE, FALSE, sizeof(struct pair));
    find_changes(old, new, changes);
    drop_dirs(changes[ADDED]);
    drop_dirs(changes[REMOVED]);
    for (enum change kind = 0; kind < N_CHANGES; kind++) {
        if (changes[kind]->len > 0)
            add_line(changes[kind], kind, reasons);
        g_array_unref(changes[kind]);
    }
    return reasons->len > n_before;
}
