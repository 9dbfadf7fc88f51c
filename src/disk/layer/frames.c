/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/frames.h"

#include <string.h>

#include "util/limits.h"

#define ID_MAX (UINT32_MAX - 1)

/* --- the worker's side --- */

static void append(GByteArray *out, const void *data, size_t len)
{
    g_byte_array_append(out, data, (guint)len);
}

void frame_put(GByteArray *out, enum frame_type type, uint64_t at, const void *data, size_t len)
{
    const struct frame_head head = {.type = type, .len = (uint32_t)len, .at = at};

    append(out, &head, sizeof(head));
    if (len > 0)
        append(out, data, len);
}

static void put_xattr(GByteArray *out, const struct tar_xattr *xattr)
{
    gsize value_len;
    const void *value = g_bytes_get_data(xattr->value, &value_len);
    const uint32_t lens[2] = {(uint32_t)strlen(xattr->name), (uint32_t)value_len};

    append(out, lens, sizeof(lens));
    append(out, xattr->name, lens[0]);
    if (value_len > 0)
        append(out, value, value_len);
}

void frame_put_entry(GByteArray *out, const struct tar_entry *entry, uint64_t at)
{
    const struct frame_entry fixed = {.size = entry->size,
        .stored = entry->stored,
        .mtime = entry->mtime,
        .mtime_ns = entry->mtime_ns,
        .mode = entry->mode,
        .uid = (uint32_t)entry->uid,
        .gid = (uint32_t)entry->gid,
        .major = entry->major,
        .minor = entry->minor,
        .type = entry->type,
        .is_sparse = entry->is_sparse,
        .name_len = (uint32_t)entry->name->len,
        .link_len = (uint32_t)entry->link->len,
        .n_xattrs = entry->xattrs->len};
    guint begin = out->len;

    frame_put(out, FRAME_ENTRY, at, &fixed, sizeof(fixed));
    append(out, entry->name->str, entry->name->len);
    append(out, entry->link->str, entry->link->len);
    for (guint i = 0; i < entry->xattrs->len; i++)
        put_xattr(out, g_ptr_array_index(entry->xattrs, i));
    uint32_t len = out->len - begin - (uint32_t)sizeof(struct frame_head);
    memcpy(out->data + begin + offsetof(struct frame_head, len), &len, sizeof(len));
}

/* --- the side with rights --- */

static struct cob_error *breach(const char *what)
{
    return cob_fail(COB_INTERNAL, "the sealed worker breaks the rules: %s", what);
}

/* What is left of a frame. */
struct rest {
    const uint8_t *at;
    size_t len;
};

/* ret_data: borrowed from the frame. */
static bool take(struct rest *rest, size_t len, const uint8_t **ret_data)
{
    if (rest->len < len)
        return false;
    *ret_data = rest->at;
    rest->at += len;
    rest->len -= len;
    return true;
}

static bool take_text(struct rest *rest, size_t len, size_t max, GString *ret_text)
{
    const uint8_t *data;

    if (len > max || !take(rest, len, &data) || memchr(data, '\0', len))
        return false;
    g_string_truncate(ret_text, 0);
    g_string_append_len(ret_text, (const char *)data, (gssize)len);
    return true;
}

static bool take_xattr(struct rest *rest, size_t *bytes, struct tar_entry *entry)
{
    const uint8_t *data;
    uint32_t lens[2];

    if (!take(rest, sizeof(lens), &data))
        return false;
    memcpy(lens, data, sizeof(lens));
    if (lens[0] == 0 || lens[0] > COB_LIMIT_NAME_BYTES || lens[1] > COB_LIMIT_XATTR_BYTES)
        return false;
    *bytes += (size_t)lens[0] + lens[1];
    if (*bytes > COB_LIMIT_XATTR_BYTES || !take(rest, lens[0], &data) ||
        memchr(data, '\0', lens[0]))
        return false;
    g_autofree char *name = g_strndup((const char *)data, lens[0]);
    if (!take(rest, lens[1], &data))
        return false;
    tar_entry_add_xattr(entry, name, g_bytes_new(data, lens[1]));
    return true;
}

static struct cob_error *check_fixed(const struct frame_entry *fixed)
{
    bool is_link = fixed->type == TAR_SYMLINK || fixed->type == TAR_HARD_LINK;

    if (fixed->type < TAR_FILE || fixed->type > TAR_FIFO)
        return breach("an entry of no type");
    if (fixed->type != TAR_FILE && (fixed->stored > 0 || fixed->size > 0 || fixed->is_sparse))
        return breach("data of what is no file");
    if (fixed->stored > COB_LIMIT_LAYER_BYTES || fixed->is_sparse > 1 ||
        (!fixed->is_sparse && fixed->size != fixed->stored))
        return breach("an entry's size");
    if (fixed->mode > 07777 || fixed->uid > ID_MAX || fixed->gid > ID_MAX ||
        fixed->mtime_ns >= 1000000000)
        return breach("an entry's mode, owner or time");
    return is_link && fixed->link_len == 0 ? breach("a link to nothing") : NULL;
}

struct cob_error *frame_get_entry(const uint8_t *data, size_t len, struct tar_entry *entry)
{
    struct rest rest = {data, len};
    struct frame_entry fixed;
    const uint8_t *at;
    size_t xattr_bytes = 0;

    if (!take(&rest, sizeof(fixed), &at))
        return breach("an entry is cut short");
    memcpy(&fixed, at, sizeof(fixed));
    COB_TRY(check_fixed(&fixed));
    tar_entry_reset(entry);
    if (!take_text(&rest, fixed.name_len, COB_LIMIT_PATH_BYTES, entry->name) ||
        !take_text(&rest, fixed.link_len, COB_LIMIT_PATH_BYTES, entry->link))
        return breach("an entry's names");
    for (uint32_t i = 0; i < fixed.n_xattrs; i++) {
        if (!take_xattr(&rest, &xattr_bytes, entry))
            return breach("an entry's xattrs");
    }
    if (rest.len > 0)
        return breach("an entry is too long");
    entry->type = (enum tar_type)fixed.type;
    entry->size = fixed.size;
    entry->stored = fixed.stored;
    entry->mode = fixed.mode;
    entry->uid = fixed.uid;
    entry->gid = fixed.gid;
    entry->mtime = fixed.mtime;
    entry->mtime_ns = fixed.mtime_ns;
    entry->major = fixed.major;
    entry->minor = fixed.minor;
    entry->is_sparse = fixed.is_sparse;
    return NULL;
}

static struct cob_error *check_entry(
    struct frame_check *check, const struct frame_head *head, const uint8_t *data)
{
    if (check->is_in_entry)
        return breach("an entry in an entry");
    if (++check->n_entries > COB_LIMIT_LAYER_ENTRIES)
        return cob_fail(
            COB_EXHAUSTED, "more entries than the limit of %d", COB_LIMIT_LAYER_ENTRIES);
    COB_TRY(frame_get_entry(data, head->len, check->entry));
    check->is_in_entry = true;
    check->data_left = check->entry->stored;
    check->file_end = 0;
    return NULL;
}

static struct cob_error *check_data(
    struct frame_check *check, const struct frame_head *head, const uint8_t *data)
{
    struct frame_data place;

    if (!check->is_in_entry || head->len != sizeof(place))
        return breach("data of nothing");
    memcpy(&place, data, sizeof(place));
    if (place.len == 0 || place.at < check->chunk_end || place.at > check->chunk_len ||
        place.len > check->chunk_len - place.at || place.len > check->data_left)
        return breach("data that is not there");
    if (place.offset < check->file_end || place.offset > check->entry->size ||
        place.len > check->entry->size - place.offset)
        return breach("data beyond the file");
    check->chunk_end = place.at + place.len;
    check->file_end = place.offset + place.len;
    check->data_left -= place.len;
    return NULL;
}

struct cob_error *frame_check_next(
    struct frame_check *check, const struct frame_head *head, const uint8_t *data)
{
    switch (head->type) {
    case FRAME_ENTRY:
        return check_entry(check, head, data);
    case FRAME_DATA:
        return check_data(check, head, data);
    case FRAME_END:
        if (!check->is_in_entry || head->len > 0 || check->data_left > 0)
            return breach("an end of nothing");
        check->is_in_entry = false;
        return NULL;
    case FRAME_DONE:
        return head->len == sizeof(struct frame_done) ? NULL : breach("no end of a chunk");
    default:
        return breach("an unknown frame");
    }
}
