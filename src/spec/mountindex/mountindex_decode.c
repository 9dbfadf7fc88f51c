/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index from outside. Every count is held against its limit, and against the bytes that are
 * left, before room is made for it.
 */
#include <inttypes.h>
#include <string.h>

#include "spec/mountindex/mountindex.h"
#include "spec/mountindex/mountindex_wire.h"
#include "util/limits.h"

struct reader {
    const uint8_t *start, *at, *end;
    struct cob_mountindex *index;
    GString *path;    /* of the entry before */
    GArray *parents;  /* size_t: how long the paths of open directories are, the mount's first */
    GArray *groups;   /* guint: the first entry of each group */
    uint64_t n_bytes; /* of all files */
    uint32_t n_entries;
};

static struct cob_error *bad(const struct reader *reader, const char *what)
{
    return cob_fail(COB_INVALID, "%s, at byte %zu", what, (size_t)(reader->at - reader->start));
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static struct cob_error *get_number(struct reader *reader, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    for (unsigned n = 0; n < MOUNTINDEX_NUMBER_BYTES; n++) {
        if (left(reader) == 0)
            return bad(reader, "it ends early");
        uint8_t byte = *reader->at++;
        if (n == MOUNTINDEX_NUMBER_BYTES - 1 && byte > 1)
            break;
        number |= (uint64_t)(byte & 0x7f) << (7 * n);
        if (byte & 0x80)
            continue;
        if (byte == 0 && n > 0)
            return bad(reader, "a number is longer than it need be");
        if (number > max)
            return bad(reader, "a number is too large");
        *ret_number = number;
        return NULL;
    }
    return bad(reader, "a number has no end");
}

static struct cob_error *get_u32(struct reader *reader, uint32_t max, uint32_t *ret_number)
{
    uint64_t number = 0;

    COB_TRY(get_number(reader, max, &number));
    *ret_number = (uint32_t)number;
    return NULL;
}

/* How many things follow, each of at least min_bytes. */
static struct cob_error *get_count(
    struct reader *reader, const char *what, uint64_t limit, size_t min_bytes, uint32_t *ret_count)
{
    uint64_t count = 0;

    COB_TRY(get_number(reader, UINT64_MAX, &count));
    if (count > limit)
        return cob_fail(COB_EXHAUSTED, "%" PRIu64 " %s are more than the limit of %" PRIu64, count,
            what, limit);
    if (count > left(reader) / min_bytes)
        return bad(reader, "it ends early");
    *ret_count = (uint32_t)count;
    return NULL;
}

static struct cob_error *get_bytes(
    struct reader *reader, uint64_t max, const uint8_t **ret_data, size_t *ret_len)
{
    uint64_t len = 0;

    COB_TRY(get_number(reader, max, &len));
    if (len > left(reader))
        return bad(reader, "it ends early");
    *ret_data = reader->at;
    *ret_len = (size_t)len;
    reader->at += len;
    return NULL;
}

/* Text without a NUL, into the index's texts. */
static struct cob_error *get_text(struct reader *reader, uint64_t max, const char **ret_text)
{
    const uint8_t *data = NULL;
    size_t len = 0;

    COB_TRY(get_bytes(reader, max, &data, &len));
    if (memchr(data, '\0', len))
        return bad(reader, "a text has a NUL");
    *ret_text = g_string_chunk_insert_len(reader->index->texts, (const char *)data, (gssize)len);
    return NULL;
}

static struct cob_error *get_sha(struct reader *reader, struct cob_sha256 *ret_sha)
{
    if (left(reader) < sizeof(ret_sha->bytes))
        return bad(reader, "it ends early");
    memcpy(ret_sha->bytes, reader->at, sizeof(ret_sha->bytes));
    reader->at += sizeof(ret_sha->bytes);
    return NULL;
}

static struct cob_error *get_packs(struct reader *reader)
{
    struct cob_mountindex_pack pack, before = {0};
    uint32_t count = 0;

    COB_TRY(get_count(reader, "packs", COB_LIMIT_MOUNT_PACKS, COB_SHA256_BYTES + 2, &count));
    for (uint32_t i = 0; i < count; i++) {
        COB_TRY(get_sha(reader, &pack.sha));
        COB_TRY(get_u32(reader, COB_LIMIT_MOUNT_PACK_BYTES, &pack.stored_len));
        COB_TRY(get_u32(reader, COB_LIMIT_MOUNT_PACK_BYTES, &pack.plain_len));
        if (i > 0 && memcmp(before.sha.bytes, pack.sha.bytes, COB_SHA256_BYTES) >= 0)
            return bad(reader, "packs are out of order");
        g_array_append_val(reader->index->packs, pack);
        before = pack;
    }
    return NULL;
}

static struct cob_error *get_chunks(struct reader *reader)
{
    const GArray *packs = reader->index->packs;
    struct cob_mountindex_chunk chunk;
    uint32_t count = 0;

    COB_TRY(get_count(reader, "chunks", COB_LIMIT_MOUNT_CHUNKS, COB_SHA256_BYTES + 3, &count));
    for (uint32_t i = 0; i < count; i++) {
        COB_TRY(get_sha(reader, &chunk.sha));
        COB_TRY(get_u32(reader, UINT32_MAX, &chunk.pack));
        COB_TRY(get_u32(reader, COB_LIMIT_MOUNT_PACK_BYTES, &chunk.offset));
        COB_TRY(get_u32(reader, COB_LIMIT_MOUNT_PACK_BYTES, &chunk.len));
        if (chunk.pack >= packs->len)
            return bad(reader, "a chunk is in no pack");
        uint32_t plain_len = g_array_index(packs, struct cob_mountindex_pack, chunk.pack).plain_len;
        if (chunk.len == 0 || (uint64_t)chunk.offset + chunk.len > plain_len)
            return bad(reader, "a chunk lies outside of its pack");
        g_array_append_val(reader->index->chunks, chunk);
    }
    return NULL;
}

static struct cob_error *get_content(struct reader *reader)
{
    struct cob_mountindex *index = reader->index;
    struct cob_mountindex_content content = {.first_ref = index->refs->len};

    COB_TRY(get_count(reader, "chunks of a file", COB_LIMIT_MOUNT_CHUNKS, 1, &content.n_refs));
    if (content.n_refs == 0)
        return bad(reader, "a content has no chunks");
    if ((uint64_t)index->refs->len + content.n_refs > COB_LIMIT_MOUNT_CHUNKS)
        return cob_fail(COB_EXHAUSTED, "the files have more chunks than the limit of %d",
            COB_LIMIT_MOUNT_CHUNKS);
    if (content.n_refs > 1)
        COB_TRY(get_sha(reader, &content.sha));
    for (uint32_t i = 0; i < content.n_refs; i++) {
        uint32_t number = 0;

        COB_TRY(get_u32(reader, UINT32_MAX, &number));
        if (number >= index->chunks->len)
            return bad(reader, "there is no such chunk");
        const struct cob_mountindex_chunk *chunk =
            &g_array_index(index->chunks, struct cob_mountindex_chunk, number);
        content.size += chunk->len;
        if (content.n_refs == 1)
            content.sha = chunk->sha;
        g_array_append_val(index->refs, number);
    }
    g_array_append_val(index->contents, content);
    return NULL;
}

/* --- entries --- */

static bool is_bad_name(const char *name, size_t len)
{
    return len == 0 || len > COB_LIMIT_NAME_BYTES || (len == 1 && name[0] == '.') ||
           (len == 2 && name[0] == '.' && name[1] == '.');
}

/* The names of a path, and how many they are. */
static struct cob_error *check_path(const struct reader *reader, const char *path)
{
    unsigned depth = 0;

    while (path) {
        const char *slash = strchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : strlen(path);

        if (is_bad_name(path, len))
            return bad(reader, "a path has a part that is empty, too long, \".\" or \"..\"");
        if (++depth > COB_LIMIT_TREE_DEPTH)
            return cob_fail(
                COB_EXHAUSTED, "a path has more than the limit of %d parts", COB_LIMIT_TREE_DEPTH);
        path = slash ? slash + 1 : NULL;
    }
    return NULL;
}

/* Its directory must be one of those that are open: the walk is depth first. */
static struct cob_error *check_parent(struct reader *reader, const char *before)
{
    const char *slash = strrchr(reader->path->str, '/');
    size_t dir_len = slash ? (size_t)(slash - reader->path->str) : 0;

    while (g_array_index(reader->parents, size_t, reader->parents->len - 1) > dir_len)
        g_array_set_size(reader->parents, reader->parents->len - 1);
    if (g_array_index(reader->parents, size_t, reader->parents->len - 1) != dir_len ||
        strncmp(before, reader->path->str, dir_len) != 0)
        return bad(reader, "a path lies in what is no directory");
    return NULL;
}

static struct cob_error *get_path(struct reader *reader, struct cob_mountindex_entry *entry)
{
    g_autofree char *before = g_strdup(reader->path->str);
    const uint8_t *data = NULL;
    uint32_t n_shared = 0;
    size_t len = 0;

    COB_TRY(get_u32(reader, COB_LIMIT_PATH_BYTES, &n_shared));
    COB_TRY(get_bytes(reader, COB_LIMIT_PATH_BYTES, &data, &len));
    if (n_shared > reader->path->len || memchr(data, '\0', len))
        return bad(reader, "a path is no path");
    g_string_truncate(reader->path, n_shared);
    g_string_append_len(reader->path, (const char *)data, (gssize)len);
    if (reader->path->len > COB_LIMIT_PATH_BYTES)
        return bad(reader, "a path is too long");
    if (reader->index->entries->len > 0) {
        if (cob_mountindex_compare(before, reader->path->str) >= 0)
            return bad(reader, "paths are out of order, or one is there twice");
        COB_TRY(check_path(reader, reader->path->str));
        COB_TRY(check_parent(reader, before));
    } else if (reader->path->len > 0) {
        return bad(reader, "the first entry is not the mount itself");
    }
    entry->path = g_string_chunk_insert_len(
        reader->index->texts, reader->path->str, (gssize)reader->path->len);
    return NULL;
}

static struct cob_error *get_xattrs(struct reader *reader, struct cob_mountindex_entry *entry)
{
    size_t total = 0;

    COB_TRY(get_count(reader, "xattrs", COB_LIMIT_XATTR_BYTES, 2, &entry->n_xattrs));
    if (entry->n_xattrs == 0)
        return bad(reader, "an entry that has xattrs has none");
    entry->first_xattr = reader->index->xattrs->len;
    for (uint32_t i = 0; i < entry->n_xattrs; i++) {
        struct cob_mountindex_xattr xattr = {0};
        const uint8_t *data = NULL;
        size_t len = 0;

        COB_TRY(get_text(reader, COB_LIMIT_NAME_BYTES, &xattr.name));
        COB_TRY(get_bytes(reader, COB_LIMIT_XATTR_BYTES, &data, &len));
        total += strlen(xattr.name) + len;
        if (!cob_mountindex_xattr_is_allowed(xattr.name))
            return bad(reader, "an xattr may not travel");
        if (total > COB_LIMIT_XATTR_BYTES)
            return cob_fail(COB_EXHAUSTED,
                "the xattrs of one file are past the limit of %" PRIu64 " bytes",
                COB_LIMIT_XATTR_BYTES);
        xattr.value = g_bytes_new(data, len);
        g_array_append_val(reader->index->xattrs, xattr);
    }
    return NULL;
}

static bool is_same_file(const struct cob_mountindex_entry *a, const struct cob_mountindex_entry *b)
{
    return a->content == b->content && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           a->mtime_ns == b->mtime_ns;
}

/* Groups are numbered in the order in which they are met. */
static struct cob_error *check_group(
    struct reader *reader, const struct cob_mountindex_entry *entry)
{
    guint number = reader->index->entries->len;

    if (entry->group == 0)
        return NULL;
    if (entry->group > reader->groups->len + 1)
        return bad(reader, "hard links are numbered in another order");
    if (entry->group == reader->groups->len + 1) {
        g_array_append_val(reader->groups, number);
        return NULL;
    }
    guint first = g_array_index(reader->groups, guint, entry->group - 1);
    return is_same_file(cob_mountindex_at(reader->index, first), entry)
               ? NULL
               : bad(reader, "the names of one file say different things of it");
}

static struct cob_error *get_file(struct reader *reader, struct cob_mountindex_entry *entry)
{
    const GArray *contents = reader->index->contents;
    uint32_t number = 0;

    COB_TRY(get_u32(reader, UINT32_MAX, &number));
    COB_TRY(get_u32(reader, UINT32_MAX, &entry->group));
    if (number > contents->len)
        return bad(reader, "there is no such content");
    if (number > 0) {
        entry->content = number - 1;
        entry->size = g_array_index(contents, struct cob_mountindex_content, entry->content).size;
    }
    reader->n_bytes += entry->size; /* cannot wrap: each is held against the limit first */
    if (entry->size > COB_LIMIT_MOUNT_BYTES || reader->n_bytes > COB_LIMIT_MOUNT_BYTES)
        return cob_fail(COB_EXHAUSTED, "the files are larger than the limit of %" PRIu64 " GiB",
            COB_LIMIT_MOUNT_BYTES / COB_GIB);
    return check_group(reader, entry);
}

static struct cob_error *get_kind(struct reader *reader, struct cob_mountindex_entry *entry)
{
    if (left(reader) == 0)
        return bad(reader, "it ends early");
    uint8_t byte = *reader->at++;
    uint8_t kind = byte & (uint8_t)~MOUNTINDEX_HAS_XATTRS;
    if (kind < COB_MOUNTINDEX_DIR || kind > COB_MOUNTINDEX_SYMLINK)
        return bad(reader, "an entry is of no kind that travels");
    if (reader->index->entries->len == 0 && kind != COB_MOUNTINDEX_DIR)
        return bad(reader, "the mount itself is no directory");
    entry->kind = (enum cob_mountindex_kind)kind;
    entry->n_xattrs = (byte & MOUNTINDEX_HAS_XATTRS) != 0; /* until they are counted */
    return NULL;
}

static struct cob_error *get_metadata(struct reader *reader, struct cob_mountindex_entry *entry)
{
    uint64_t mtime;

    COB_TRY(get_u32(reader, 07777, &entry->mode));
    COB_TRY(get_u32(reader, UINT32_MAX - 1, &entry->uid));
    COB_TRY(get_u32(reader, UINT32_MAX - 1, &entry->gid));
    if (left(reader) < sizeof(mtime))
        return bad(reader, "it ends early");
    memcpy(&mtime, reader->at, sizeof(mtime));
    reader->at += sizeof(mtime);
    entry->mtime_ns = (int64_t)GUINT64_FROM_LE(mtime);
    return NULL;
}

static struct cob_error *get_entry(struct reader *reader)
{
    struct cob_mountindex_entry entry = {.content = COB_MOUNTINDEX_NONE};

    COB_TRY(get_path(reader, &entry));
    COB_TRY(get_kind(reader, &entry));
    COB_TRY(get_metadata(reader, &entry));
    if (entry.kind == COB_MOUNTINDEX_FILE)
        COB_TRY(get_file(reader, &entry));
    if (entry.kind == COB_MOUNTINDEX_SYMLINK)
        COB_TRY(get_text(reader, COB_LIMIT_PATH_BYTES, &entry.target));
    if (entry.kind == COB_MOUNTINDEX_SYMLINK && !entry.target[0])
        return bad(reader, "a symlink leads nowhere");
    if (entry.n_xattrs)
        COB_TRY(get_xattrs(reader, &entry));
    if (entry.kind == COB_MOUNTINDEX_DIR)
        g_array_append_val(reader->parents, reader->path->len);
    g_array_append_val(reader->index->entries, entry);
    return NULL;
}

/* --- all of it --- */

static struct cob_error *get_names(struct reader *reader)
{
    const char *namespace = NULL, *id = NULL;

    if (left(reader) < COB_MOUNTINDEX_MAGIC_BYTES ||
        memcmp(reader->at, COB_MOUNTINDEX_MAGIC, COB_MOUNTINDEX_MAGIC_BYTES - 2) != 0)
        return cob_fail(COB_INVALID, "it is no index of a cache mount");
    if (memcmp(reader->at, COB_MOUNTINDEX_MAGIC, COB_MOUNTINDEX_MAGIC_BYTES) != 0)
        return cob_fail(COB_UNIMPLEMENTED, "it is of another version of the format");
    reader->at += COB_MOUNTINDEX_MAGIC_BYTES;
    COB_TRY(get_text(reader, COB_LIMIT_PATH_BYTES, &namespace));
    COB_TRY(get_text(reader, COB_LIMIT_PATH_BYTES, &id));
    if (!id[0])
        return bad(reader, "it has no id");
    reader->index->namespace = g_strdup(namespace);
    reader->index->id = g_strdup(id);
    return NULL;
}

static struct cob_error *get_all(struct reader *reader)
{
    uint32_t count = 0;

    COB_TRY(get_names(reader));
    COB_TRY(get_packs(reader));
    COB_TRY(get_chunks(reader));
    COB_TRY(get_count(reader, "contents", COB_LIMIT_MOUNT_CHUNKS, 2, &count));
    for (uint32_t i = 0; i < count; i++)
        COB_TRY(get_content(reader));
    COB_TRY(get_count(reader, "entries", COB_LIMIT_MOUNT_ENTRIES, 14, &count));
    if (count == 0)
        return bad(reader, "the mount itself is missing");
    for (uint32_t i = 0; i < count; i++)
        COB_TRY(get_entry(reader));
    return left(reader) ? bad(reader, "something follows its end") : NULL;
}

struct cob_error *cob_mountindex_decode(GBytes *bytes, struct cob_mountindex **ret_index)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autoptr(cob_mountindex) index = cob_mountindex_new(NULL, NULL);
    struct reader reader = {.start = data,
        .at = data,
        .end = data + len,
        .index = index,
        .path = g_string_new(NULL),
        .parents = g_array_new(false, false, sizeof(size_t)),
        .groups = g_array_new(false, false, sizeof(guint))};
    struct cob_error *err = get_all(&reader);

    g_string_free(reader.path, true);
    g_array_unref(reader.parents);
    g_array_unref(reader.groups);
    if (!err)
        *ret_index = g_steal_pointer(&index);
    return cob_wrap(err, "index of a cache mount");
}
