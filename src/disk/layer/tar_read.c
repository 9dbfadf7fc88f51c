/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "disk/layer/tar_block.h"
#include "util/limits.h"

/*
 *     HEADER --x, g, L, K--> META -----------------------------+
 *       ^  ^                  (the next header is theirs)       |
 *       |  +----------------------------------------------------+
 *       |--S with more--> OLD_MAP --+
 *       |--sparse 1.0---> MAP ------+--> DATA --> PADDING --> HEADER
 *       |--entry with data ---------+
 *       |--entry without------------------------------------> HEADER
 *       +--zeros--> ZEROS --zeros--> END
 */
enum state {
    STATE_HEADER,
    STATE_META,    /* data of an extension header, into meta */
    STATE_OLD_MAP, /* blocks that go on with GNU's old sparse map */
    STATE_MAP,     /* blocks with the map of sparse format 1.0, into meta */
    STATE_DATA,
    STATE_PADDING,
    STATE_ZEROS, /* one block of zeros was there */
    STATE_END,
};

struct tar_reader {
    const struct tar_events *events;
    void *arg;
    enum state state;
    uint64_t at;         /* bytes read so far */
    uint64_t n_entries;  /* extension headers count, too */
    uint64_t n_in_a_row; /* extension headers since the last entry */
    struct tar_entry entry;
    struct tar_pax pax;
    bool has_pax, has_long_name, has_long_link;
    GString *long_name, *long_link;
    uint8_t meta_type;
    GByteArray *meta;
    uint64_t left;                    /* of data or meta, without padding */
    unsigned padding;                 /* bytes until the next block */
    size_t extent;                    /* DATA of a sparse file: in which extent */
    uint64_t extent_done;             /* and how much of it was there */
    uint64_t n_lines, n_lines_wanted; /* MAP */
    uint8_t block[TAR_BLOCK];
    size_t block_len;
};

struct tar_reader *tar_reader_new(const struct tar_events *events, void *arg)
{
    struct tar_reader *reader = g_new0(struct tar_reader, 1);

    reader->events = events;
    reader->arg = arg;
    tar_entry_init(&reader->entry);
    tar_pax_init(&reader->pax);
    reader->long_name = g_string_new(NULL);
    reader->long_link = g_string_new(NULL);
    reader->meta = g_byte_array_new();
    return reader;
}

void tar_reader_free(struct tar_reader *reader)
{
    if (!reader)
        return;
    tar_entry_done(&reader->entry);
    tar_pax_done(&reader->pax);
    g_string_free(reader->long_name, TRUE);
    g_string_free(reader->long_link, TRUE);
    g_byte_array_unref(reader->meta);
    g_free(reader);
}

static unsigned padding_of(uint64_t size)
{
    return (unsigned)(-size & (TAR_BLOCK - 1));
}

/* --- extension headers --- */

static struct cob_error *begin_meta(struct tar_reader *reader, uint8_t type, uint64_t size)
{
    bool is_pax = type == 'x', is_gnu = type == 'L' || type == 'K';

    if (size > COB_LIMIT_TAR_HEADER_BYTES)
        return cob_fail(COB_EXHAUSTED,
            "an extension header of %" PRIu64 " bytes is past the limit of %" PRIu64, size,
            COB_LIMIT_TAR_HEADER_BYTES);
    if ((is_pax && reader->has_pax) || (type == 'L' && reader->has_long_name) ||
        (type == 'K' && reader->has_long_link))
        return cob_fail(COB_INVALID, "two extension headers of one kind for one entry");
    if (type == 'g' && (reader->has_pax || reader->has_long_name || reader->has_long_link))
        return cob_fail(COB_INVALID, "a global header between an extension header and its entry");
    if ((is_pax && (reader->has_long_name || reader->has_long_link)) || (is_gnu && reader->has_pax))
        return cob_fail(COB_INVALID, "extension headers of pax and GNU for one entry");
    if (++reader->n_in_a_row > 1000) /* global headers may come often, but not for ever */
        return cob_fail(COB_INVALID, "more than 1000 extension headers in a row");
    reader->meta_type = type;
    reader->left = size;
    reader->padding = padding_of(size);
    g_byte_array_set_size(reader->meta, 0);
    reader->state = STATE_META;
    return NULL;
}

/* The name in an L or K header ends with the data, or with NULs at its end. */
static struct cob_error *take_long_text(const GByteArray *meta, GString *ret_text)
{
    size_t len = meta->len > 0 ? strnlen((const char *)meta->data, meta->len) : 0;

    for (size_t i = len; i < meta->len; i++) {
        if (meta->data[i] != '\0')
            return cob_fail(COB_INVALID, "a long name has a NUL in the middle");
    }
    if (len == 0 || len > COB_LIMIT_PATH_BYTES)
        return cob_fail(COB_INVALID, "a long name of %zu bytes", len);
    g_string_truncate(ret_text, 0);
    g_string_append_len(ret_text, (const char *)meta->data, (gssize)len);
    return NULL;
}

static struct cob_error *end_meta(struct tar_reader *reader)
{
    const GByteArray *meta = reader->meta;

    reader->state = STATE_HEADER;
    switch (reader->meta_type) {
    case 'x':
        reader->has_pax = true;
        return tar_pax_parse(&reader->pax, (const char *)meta->data, meta->len);
    case 'g':
        return tar_pax_check_global((const char *)meta->data, meta->len);
    case 'L':
        reader->has_long_name = true;
        return take_long_text(meta, reader->long_name);
    default:
        reader->has_long_link = true;
        return take_long_text(meta, reader->long_link);
    }
}

/* --- an entry's header --- */

/* A pax size is for what the header cannot hold. One that contradicts a header is how archives show
 * other members to other readers. */
static struct cob_error *apply_pax_size(const struct tar_pax *pax, uint64_t *size)
{
    if (!tar_pax_has(pax, TAR_PAX_SIZE))
        return NULL;
    if (pax->size != *size && pax->size <= TAR_OCTAL11_MAX)
        return cob_fail(COB_INVALID,
            "its size is %" PRIu64 " in the header and %" PRIu64 " in the pax record", *size,
            pax->size);
    *size = pax->size;
    return NULL;
}

static void apply_pax_xattrs(struct tar_pax *pax, struct tar_entry *entry)
{
    for (guint i = 0; i < pax->xattrs->len; i++) {
        const struct tar_xattr *xattr = g_ptr_array_index(pax->xattrs, i);

        tar_entry_add_xattr(entry, xattr->name, g_bytes_ref(xattr->value));
    }
}

static struct cob_error *apply_pax(struct tar_reader *reader, uint64_t *size)
{
    struct tar_pax *pax = &reader->pax;
    struct tar_entry *entry = &reader->entry;

    COB_TRY(apply_pax_size(pax, size));
    if (tar_pax_has(pax, TAR_PAX_PATH))
        g_string_assign(entry->name, pax->path->str);
    if (tar_pax_has(pax, TAR_PAX_LINKPATH))
        g_string_assign(entry->link, pax->linkpath->str);
    if (tar_pax_has(pax, TAR_PAX_UID))
        entry->uid = pax->uid;
    if (tar_pax_has(pax, TAR_PAX_GID))
        entry->gid = pax->gid;
    if (tar_pax_has(pax, TAR_PAX_MTIME)) {
        entry->mtime = pax->mtime;
        entry->mtime_ns = pax->mtime_ns;
    }
    apply_pax_xattrs(pax, entry);
    return NULL;
}

static void apply_long_names(struct tar_reader *reader)
{
    if (reader->has_long_name)
        g_string_assign(reader->entry.name, reader->long_name->str);
    if (reader->has_long_link)
        g_string_assign(reader->entry.link, reader->long_link->str);
}

/* Old archives mark a directory by a slash at its name's end alone.
 * has_other_name: it is not the header's. */
static struct cob_error *set_type(struct tar_entry *entry, uint8_t flag, bool has_other_name)
{
    bool has_slash = entry->name->len > 0 && entry->name->str[entry->name->len - 1] == '/';

    if (entry->name->len == 0)
        return cob_fail(COB_INVALID, "an entry without a name");
    if (flag == '\0' && has_slash && has_other_name) /* Python looks for it in the header */
        return cob_fail(COB_INVALID, "its name is a directory's, its type is none");
    if (flag == '\0')
        entry->type = has_slash ? TAR_DIR : TAR_FILE;
    else if (flag == '7' || flag == 'S')
        entry->type = TAR_FILE;
    else if (flag >= '0' && flag <= '6')
        entry->type = (enum tar_type)flag;
    else
        return cob_fail(COB_INVALID, "an entry of type 0x%02x, which cob does not read", flag);
    if (entry->type == TAR_FILE && has_slash)
        return cob_fail(COB_INVALID, "its name is a directory's, its type is a file's");
    if ((entry->type == TAR_SYMLINK || entry->type == TAR_HARD_LINK) && entry->link->len == 0)
        return cob_fail(COB_INVALID, "a link to nothing");
    return NULL;
}

/* --- sparse files --- */

static struct cob_error *take_old_extents(struct tar_reader *reader, const uint8_t *at, unsigned n)
{
    for (unsigned i = 0; i < n; i++, at += 24) {
        struct tar_extent extent;

        if (at[0] == '\0' || at[12] == '\0')
            break;
        COB_TRY(tar_block_number(at, 12, "sparse map", &extent.offset));
        COB_TRY(tar_block_number(at + 12, 12, "sparse map", &extent.len));
        g_array_append_val(reader->entry.extents, extent);
    }
    if (reader->entry.extents->len > COB_LIMIT_TAR_HEADER_BYTES / 24)
        return cob_fail(COB_EXHAUSTED, "the sparse map is too long");
    return NULL;
}

/* Extents ascend, do not overlap, end within the file and hold what the archive has. */
static struct cob_error *check_extents(const struct tar_entry *entry)
{
    uint64_t end = 0, sum = 0;

    for (guint i = 0; i < entry->extents->len; i++) {
        struct tar_extent extent = g_array_index(entry->extents, struct tar_extent, i);

        if (extent.offset < end || extent.len > (uint64_t)INT64_MAX - extent.offset)
            return cob_fail(COB_INVALID, "its sparse map is not in order");
        end = extent.offset + extent.len;
        sum += extent.len;
    }
    if (end > entry->size)
        return cob_fail(COB_INVALID, "its sparse map ends beyond the file");
    if (sum != entry->stored)
        return cob_fail(COB_INVALID, "its sparse map does not fit its data");
    return NULL;
}

/* --- from header to data --- */

static void forget_extensions(struct tar_reader *reader)
{
    tar_pax_reset(&reader->pax);
    reader->has_pax = reader->has_long_name = reader->has_long_link = false;
    reader->n_in_a_row = 0;
}

static struct cob_error *end_entry(struct tar_reader *reader)
{
    reader->state = reader->padding > 0 ? STATE_PADDING : STATE_HEADER;
    return reader->events->end(reader->arg);
}

/* Everything is known of the entry; entry->stored bytes follow. */
static struct cob_error *begin_data(struct tar_reader *reader)
{
    struct tar_entry *entry = &reader->entry;

    if (entry->is_sparse)
        COB_TRY(check_extents(entry));
    else
        entry->size = entry->stored;
    if (entry->type != TAR_FILE && entry->stored > 0)
        return cob_fail(COB_INVALID, "it is no file, but has %" PRIu64 " bytes", entry->stored);
    reader->left = entry->stored;
    reader->padding = padding_of(entry->stored);
    reader->extent = 0;
    reader->extent_done = 0;
    reader->state = STATE_DATA;
    COB_TRY(reader->events->entry(reader->arg, entry));
    return reader->left == 0 ? end_entry(reader) : NULL;
}

/* The three ways in which pax headers tell of holes. */
static struct cob_error *begin_pax_sparse(struct tar_reader *reader, uint64_t size)
{
    struct tar_pax *pax = &reader->pax;
    struct tar_entry *entry = &reader->entry;

    if (entry->type != TAR_FILE)
        return cob_fail(COB_INVALID, "it is no file, but sparse");
    if (!tar_pax_has(pax, TAR_PAX_SPARSE_SIZE) == !tar_pax_has(pax, TAR_PAX_SPARSE_REALSIZE))
        return cob_fail(COB_INVALID, "it is sparse, but its size is not told once");
    entry->is_sparse = true;
    entry->size = pax->sparse_realsize;
    entry->stored = size;
    if (tar_pax_has(pax, TAR_PAX_SPARSE_NAME))
        g_string_assign(entry->name, pax->sparse_name->str);
    if (!tar_pax_has(pax, TAR_PAX_SPARSE_MAJOR)) {
        if (!tar_pax_has(pax, TAR_PAX_SPARSE_NUMBLOCKS)) /* GNU tar needs it */
            return cob_fail(COB_INVALID, "its sparse map does not say how long it is");
        g_array_append_vals(entry->extents, pax->extents->data, pax->extents->len);
        return begin_data(reader);
    }
    if (pax->sparse_major != 1 || !tar_pax_has(pax, TAR_PAX_SPARSE_MINOR) ||
        pax->sparse_minor != 0 || pax->extents->len > 0)
        return cob_fail(COB_INVALID, "it is sparse in a way that cob does not read");
    g_byte_array_set_size(reader->meta, 0);
    reader->n_lines = 0;
    reader->n_lines_wanted = 1;
    reader->state = STATE_MAP;
    return NULL;
}

static bool is_pax_sparse(const struct tar_pax *pax)
{
    uint32_t any = 1u << TAR_PAX_SPARSE_MAJOR | 1u << TAR_PAX_SPARSE_MINOR |
                   1u << TAR_PAX_SPARSE_NAME | 1u << TAR_PAX_SPARSE_REALSIZE |
                   1u << TAR_PAX_SPARSE_SIZE | 1u << TAR_PAX_SPARSE_NUMBLOCKS |
                   1u << TAR_PAX_SPARSE_MAP;

    return pax->seen & any || pax->extents->len > 0;
}

static struct cob_error *begin_old_sparse(
    struct tar_reader *reader, const uint8_t *block, enum tar_flavour flavour)
{
    struct tar_entry *entry = &reader->entry;

    if (flavour != TAR_GNU || reader->has_pax)
        return cob_fail(COB_INVALID, "it is sparse in a way that cob does not read");
    entry->is_sparse = true;
    COB_TRY(tar_block_number(block + TAR_GNU_REALSIZE_AT, 12, "real size", &entry->size));
    COB_TRY(take_old_extents(reader, block + TAR_GNU_EXTENTS_AT, TAR_GNU_N_EXTENTS));
    if (!block[TAR_GNU_MORE_AT])
        return begin_data(reader);
    reader->state = STATE_OLD_MAP;
    return NULL;
}

static struct cob_error *take_entry(
    struct tar_reader *reader, const uint8_t *block, enum tar_flavour flavour)
{
    struct tar_entry *entry = &reader->entry;
    uint64_t size;
    uint8_t flag;

    COB_TRY(tar_block_entry(block, flavour, entry, &size, &flag));
    if (flag == 'x' || flag == 'g' || flag == 'L' || flag == 'K')
        return begin_meta(reader, flag, size);
    apply_long_names(reader);
    COB_TRY(apply_pax(reader, &size));
    bool has_other_name = reader->has_long_name || tar_pax_has(&reader->pax, TAR_PAX_PATH);
    COB_TRY(set_type(entry, flag, has_other_name));
    if (size > COB_LIMIT_LAYER_BYTES)
        return cob_fail(COB_EXHAUSTED,
            "its %" PRIu64 " bytes are more than the limit of %" PRIu64 " for a whole layer", size,
            COB_LIMIT_LAYER_BYTES);
    entry->stored = size;
    if (flag == 'S')
        return begin_old_sparse(reader, block, flavour);
    if (!is_pax_sparse(&reader->pax))
        return begin_data(reader);
    if (flavour != TAR_USTAR || flag != '0') /* others see no holes there, or stop */
        return cob_fail(COB_INVALID, "it is sparse in pax's way, its header is of another kind");
    return begin_pax_sparse(reader, size);
}

static struct cob_error *take_header(struct tar_reader *reader, const uint8_t *block)
{
    enum tar_flavour flavour;

    if (tar_block_is_zero(block)) {
        if (reader->has_pax || reader->has_long_name || reader->has_long_link)
            return cob_fail(
                COB_INVALID, "the archive ends between an extension header and its entry");
        reader->state = STATE_ZEROS;
        return NULL;
    }
    COB_TRY(tar_block_check(block, &flavour));
    if (++reader->n_entries > COB_LIMIT_LAYER_ENTRIES)
        return cob_fail(
            COB_EXHAUSTED, "more entries than the limit of %d", COB_LIMIT_LAYER_ENTRIES);
    tar_entry_reset(&reader->entry);
    struct cob_error *err = take_entry(reader, block, flavour);
    if (reader->state != STATE_META && reader->state != STATE_MAP)
        forget_extensions(reader);
    return reader->entry.name->len > 0 ? cob_wrap(err, "entry %s", reader->entry.name->str) : err;
}

/* --- blocks that are not headers --- */

static struct cob_error *take_old_map(struct tar_reader *reader, const uint8_t *block)
{
    COB_TRY(take_old_extents(reader, block, TAR_GNU_EXTENSION_N));
    return block[TAR_GNU_EXTENSION_MORE_AT] ? NULL : begin_data(reader);
}

/* A decimal number and a newline from the front of the map of format 1.0. */
static struct cob_error *next_map_number(const char **at, const char *end, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *begin = *at;

    for (; *at < end && **at != '\n'; (*at)++) {
        unsigned digit = (unsigned)(**at - '0');

        if (digit > 9 || *at - begin > 18)
            return cob_fail(COB_INVALID, "its sparse map has no numbers");
        number = number * 10 + digit;
    }
    if (*at == end || *at == begin)
        return cob_fail(COB_INVALID, "its sparse map has no numbers");
    (*at)++;
    *ret_number = number;
    return NULL;
}

static struct cob_error *parse_map(struct tar_reader *reader)
{
    const char *at = (const char *)reader->meta->data, *end = at + reader->meta->len;
    struct tar_entry *entry = &reader->entry;
    uint64_t n;

    COB_TRY(next_map_number(&at, end, &n));
    for (uint64_t i = 0; i < n; i++) {
        struct tar_extent extent;

        COB_TRY(next_map_number(&at, end, &extent.offset));
        COB_TRY(next_map_number(&at, end, &extent.len));
        g_array_append_val(entry->extents, extent);
    }
    if (reader->meta->len > entry->stored)
        return cob_fail(COB_INVALID, "its sparse map is longer than its data");
    entry->stored -= reader->meta->len;
    forget_extensions(reader);
    return begin_data(reader);
}

/* Gather blocks until there are as many lines as the first of them says. */
static struct cob_error *take_map(struct tar_reader *reader, const uint8_t *block)
{
    g_byte_array_append(reader->meta, block, TAR_BLOCK);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        reader->n_lines += block[i] == '\n';
    if (reader->n_lines > 0 && reader->n_lines_wanted == 1) {
        const char *at = (const char *)reader->meta->data;
        uint64_t n;

        COB_TRY(next_map_number(&at, at + reader->meta->len, &n));
        if (n > COB_LIMIT_TAR_HEADER_BYTES / 4)
            return cob_fail(COB_EXHAUSTED, "the sparse map is too long");
        reader->n_lines_wanted = 1 + 2 * n;
    }
    if (reader->n_lines >= reader->n_lines_wanted && reader->n_lines > 0)
        return parse_map(reader);
    if (reader->meta->len > COB_LIMIT_TAR_HEADER_BYTES)
        return cob_fail(COB_EXHAUSTED, "the sparse map is too long");
    return NULL;
}

static struct cob_error *take_block(struct tar_reader *reader, const uint8_t *block)
{
    struct cob_error *err = NULL;

    switch (reader->state) {
    case STATE_HEADER:
        return take_header(reader, block);
    case STATE_OLD_MAP:
        err = take_old_map(reader, block);
        break;
    case STATE_MAP:
        err = take_map(reader, block);
        break;
    case STATE_ZEROS:
        if (!tar_block_is_zero(block))
            return cob_fail(COB_INVALID, "a single block of zeros in the middle");
        reader->state = STATE_END;
        return NULL;
    case STATE_META:
    case STATE_DATA:
    case STATE_PADDING:
    case STATE_END:
        g_assert_not_reached();
    }
    return cob_wrap(err, "entry %s", reader->entry.name->str);
}

/* --- bytes --- */

static struct cob_error *take_data(struct tar_reader *reader, const uint8_t *data, size_t len)
{
    const struct tar_entry *entry = &reader->entry;
    uint64_t offset = entry->stored - reader->left;

    reader->left -= len;
    if (!entry->is_sparse)
        return reader->events->data(reader->arg, offset, data, len);
    while (len > 0) {
        struct tar_extent extent = g_array_index(entry->extents, struct tar_extent, reader->extent);
        size_t n = (size_t)MIN((uint64_t)len, extent.len - reader->extent_done);

        if (n > 0)
            COB_TRY(
                reader->events->data(reader->arg, extent.offset + reader->extent_done, data, n));
        reader->extent_done += n;
        if (reader->extent_done == extent.len) {
            reader->extent++;
            reader->extent_done = 0;
        }
        data += n;
        len -= n;
    }
    return NULL;
}

/* Bytes that need no block: how many of them were used is ret_used. */
static struct cob_error *take_stream(
    struct tar_reader *reader, const uint8_t *data, size_t len, size_t *ret_used)
{
    size_t n = (size_t)MIN((uint64_t)len, reader->left);

    *ret_used = n;
    if (reader->state == STATE_PADDING) {
        n = MIN(len, (size_t)reader->padding);
        *ret_used = n;
        reader->padding -= (unsigned)n;
        if (reader->padding == 0)
            reader->state = STATE_HEADER;
        return NULL;
    }
    if (reader->state == STATE_DATA) {
        COB_TRY(take_data(reader, data, n));
        return reader->left == 0 ? end_entry(reader) : NULL;
    }
    /* META: its padding is read here, too, so that it ends on a block */
    if (reader->left > 0) {
        g_byte_array_append(reader->meta, data, (guint)n);
        reader->left -= n;
    } else {
        n = MIN(len, (size_t)reader->padding);
        *ret_used = n;
        reader->padding -= (unsigned)n;
    }
    return reader->left == 0 && reader->padding == 0 ? end_meta(reader) : NULL;
}

/* Bytes that make a block, from the caller's own memory when it has a whole one. */
static struct cob_error *take_blockwise(
    struct tar_reader *reader, const uint8_t *data, size_t len, size_t *ret_used)
{
    if (reader->block_len == 0 && len >= TAR_BLOCK) {
        *ret_used = TAR_BLOCK;
        return take_block(reader, data);
    }
    size_t n = MIN(len, TAR_BLOCK - reader->block_len);
    memcpy(reader->block + reader->block_len, data, n);
    reader->block_len += n;
    *ret_used = n;
    if (reader->block_len < TAR_BLOCK)
        return NULL;
    reader->block_len = 0;
    return take_block(reader, reader->block);
}

struct cob_error *tar_reader_write(struct tar_reader *reader, const uint8_t *data, size_t len)
{
    while (len > 0 && reader->state != STATE_END) {
        bool is_stream = reader->state == STATE_META || reader->state == STATE_DATA ||
                         reader->state == STATE_PADDING;
        size_t used = 0;
        struct cob_error *err = is_stream ? take_stream(reader, data, len, &used)
                                          : take_blockwise(reader, data, len, &used);

        if (err)
            return cob_wrap(err, "archive, at byte %" PRIu64, reader->at / TAR_BLOCK * TAR_BLOCK);
        data += used;
        len -= used;
        reader->at += used;
    }
    return NULL;
}

uint64_t tar_reader_at(const struct tar_reader *reader)
{
    return reader->at;
}

uint64_t tar_reader_unneeded(const struct tar_reader *reader)
{
    return reader->state == STATE_END ? UINT64_MAX : reader->state == STATE_DATA ? reader->left : 0;
}

struct cob_error *tar_reader_finish(struct tar_reader *reader)
{
    bool is_between = reader->state == STATE_HEADER && reader->block_len == 0;

    if (reader->state == STATE_END || (reader->state == STATE_ZEROS && reader->block_len == 0))
        return NULL;
    if (is_between && !reader->has_pax && !reader->has_long_name && !reader->has_long_link)
        return reader->n_entries > 0
                   ? NULL
                   : cob_fail(COB_INVALID, "archive: it is empty: not even the end mark");
    return cob_fail(COB_INVALID, "archive: cut short after %" PRIu64 " bytes%s%s", reader->at,
        reader->entry.name->len > 0 ? ", in or after " : "", reader->entry.name->str);
}
