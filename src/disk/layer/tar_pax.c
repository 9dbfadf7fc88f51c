/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "disk/layer/tar.h"
#include "util/limits.h"

#define SECONDS_MAX ((uint64_t)1 << 40) /* tens of thousands of years, either way */
#define ID_MAX ((uint64_t)UINT32_MAX - 1)

/* One record's value: bytes, not ended by a NUL. */
struct value {
    const char *data;
    size_t len;
};

static struct cob_error *bad_value(const char *key)
{
    return cob_fail(COB_INVALID, "pax record %s: bad value", key);
}

/* Decimal digits and nothing else. */
static bool parse_decimal(struct value value, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (value.len == 0 || value.len > 20)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)(value.data[i] - '0');

        if (digit > 9 || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

static struct cob_error *take_number(
    struct value value, const char *key, uint64_t max, uint64_t *ret_number)
{
    return parse_decimal(value, max, ret_number) ? NULL : bad_value(key);
}

static struct cob_error *take_text(struct value value, const char *key, GString *ret_text)
{
    if (memchr(value.data, '\0', value.len))
        return bad_value(key);
    if (value.len > COB_LIMIT_PATH_BYTES)
        return cob_fail(COB_INVALID, "pax record %s: longer than the limit of %d bytes", key,
            COB_LIMIT_PATH_BYTES);
    g_string_truncate(ret_text, 0);
    g_string_append_len(ret_text, value.data, (gssize)value.len);
    return NULL;
}

/* "-12.345": seconds and a fraction, which is rounded down. */
static struct cob_error *take_time(
    struct value value, const char *key, int64_t *ret_seconds, uint32_t *ret_ns)
{
    bool is_negative = value.len > 0 && value.data[0] == '-';
    struct value whole = {value.data + is_negative, value.len - is_negative};
    const char *dot = memchr(whole.data, '.', whole.len);
    uint64_t seconds = 0;
    uint32_t ns = 0, unit = 100000000;

    if (dot) {
        const char *end = whole.data + whole.len;

        whole.len = (size_t)(dot - whole.data);
        for (const char *at = dot + 1; at < end; at++, unit /= 10) {
            if (*at < '0' || *at > '9')
                return bad_value(key);
            ns += (uint32_t)(*at - '0') * unit;
        }
    }
    COB_TRY(take_number(whole, key, SECONDS_MAX, &seconds));
    *ret_seconds = is_negative ? -(int64_t)seconds : (int64_t)seconds;
    if (is_negative && ns > 0) {
        --*ret_seconds;
        ns = 1000000000 - ns;
    }
    *ret_ns = ns;
    return NULL;
}

static struct cob_error *check_extents(const struct tar_pax *pax)
{
    /* an extent costs 2 header bytes at least, so this holds without a count from outside */
    return pax->extents->len > COB_LIMIT_TAR_HEADER_BYTES
               ? cob_fail(COB_EXHAUSTED, "the sparse map is too long")
               : NULL;
}

/* "offset,len,offset,len": GNU's sparse format 0.1. */
static struct cob_error *take_map(struct value value, struct tar_pax *pax)
{
    uint64_t pair[2] = {0, 0};
    unsigned n = 0;

    while (value.len > 0) {
        const char *comma = memchr(value.data, ',', value.len);
        struct value number = {value.data, comma ? (size_t)(comma - value.data) : value.len};

        COB_TRY(take_number(number, "GNU.sparse.map", INT64_MAX, &pair[n % 2]));
        if (n++ % 2 == 1) {
            struct tar_extent extent = {pair[0], pair[1]};

            g_array_append_val(pax->extents, extent);
        }
        if (comma && number.len + 1 == value.len)
            return bad_value("GNU.sparse.map");
        value.data += number.len + (comma ? 1 : 0);
        value.len -= number.len + (comma ? 1 : 0);
    }
    if (n % 2 != 0)
        return bad_value("GNU.sparse.map");
    return check_extents(pax);
}

/* GNU's sparse format 0.0: offsets and lengths in turn, as records of their own. */
static struct cob_error *take_extent_half(struct value value, const char *key, struct tar_pax *pax)
{
    bool is_offset = strcmp(key, "GNU.sparse.offset") == 0;
    struct tar_extent extent = {0, 0};

    if (is_offset == pax->half_extent)
        return cob_fail(COB_INVALID, "pax record %s: out of order", key);
    pax->half_extent = is_offset;
    if (is_offset) {
        COB_TRY(take_number(value, key, INT64_MAX, &extent.offset));
        g_array_append_val(pax->extents, extent);
        return check_extents(pax);
    }
    return take_number(value, key, INT64_MAX,
        &g_array_index(pax->extents, struct tar_extent, pax->extents->len - 1).len);
}

static struct cob_error *take_xattr(struct value value, const char *name, struct tar_pax *pax)
{
    size_t name_len = strlen(name);

    if (name_len == 0 || name_len > COB_LIMIT_NAME_BYTES)
        return cob_fail(COB_INVALID, "an xattr has a name of %zu bytes", name_len);
    pax->xattr_bytes += name_len + value.len;
    if (pax->xattr_bytes > COB_LIMIT_XATTR_BYTES)
        return cob_fail(COB_EXHAUSTED, "its xattrs are larger than the limit of %" PRIu64 " bytes",
            COB_LIMIT_XATTR_BYTES);
    struct tar_xattr *xattr = g_new(struct tar_xattr, 1);
    *xattr =
        (struct tar_xattr){.name = g_strdup(name), .value = g_bytes_new(value.data, value.len)};
    g_ptr_array_add(pax->xattrs, xattr);
    return NULL;
}

static const char *const known_keys[TAR_PAX_N_KEYS] = {
    [TAR_PAX_PATH] = "path",
    [TAR_PAX_LINKPATH] = "linkpath",
    [TAR_PAX_SIZE] = "size",
    [TAR_PAX_UID] = "uid",
    [TAR_PAX_GID] = "gid",
    [TAR_PAX_MTIME] = "mtime",
    [TAR_PAX_SPARSE_MAJOR] = "GNU.sparse.major",
    [TAR_PAX_SPARSE_MINOR] = "GNU.sparse.minor",
    [TAR_PAX_SPARSE_NAME] = "GNU.sparse.name",
    [TAR_PAX_SPARSE_REALSIZE] = "GNU.sparse.realsize",
    [TAR_PAX_SPARSE_SIZE] = "GNU.sparse.size",
    [TAR_PAX_SPARSE_NUMBLOCKS] = "GNU.sparse.numblocks",
    [TAR_PAX_SPARSE_MAP] = "GNU.sparse.map",
};

static struct cob_error *take_known(struct value value, enum tar_pax_key which, struct tar_pax *pax)
{
    const char *key = known_keys[which];

    switch (which) {
    case TAR_PAX_PATH:
        return take_text(value, key, pax->path);
    case TAR_PAX_LINKPATH:
        return take_text(value, key, pax->linkpath);
    case TAR_PAX_SPARSE_NAME:
        return take_text(value, key, pax->sparse_name);
    case TAR_PAX_SIZE:
        return take_number(value, key, INT64_MAX, &pax->size);
    case TAR_PAX_UID:
        return take_number(value, key, ID_MAX, &pax->uid);
    case TAR_PAX_GID:
        return take_number(value, key, ID_MAX, &pax->gid);
    case TAR_PAX_MTIME:
        return take_time(value, key, &pax->mtime, &pax->mtime_ns);
    case TAR_PAX_SPARSE_MAJOR:
        return take_number(value, key, INT64_MAX, &pax->sparse_major);
    case TAR_PAX_SPARSE_MINOR:
        return take_number(value, key, INT64_MAX, &pax->sparse_minor);
    case TAR_PAX_SPARSE_REALSIZE:
    case TAR_PAX_SPARSE_SIZE:
        return take_number(value, key, INT64_MAX, &pax->sparse_realsize);
    case TAR_PAX_SPARSE_NUMBLOCKS:
        return take_number(value, key, INT64_MAX, &pax->numblocks);
    case TAR_PAX_SPARSE_MAP:
        return take_map(value, pax);
    case TAR_PAX_N_KEYS:
        break;
    }
    return NULL;
}

/* An empty value takes an earlier record back; with each key allowed once, it says nothing. */
static struct cob_error *take_record(struct tar_pax *pax, const char *key, struct value value)
{
    int64_t seconds;
    uint32_t ns;

    if (strcmp(key, "atime") == 0 || strcmp(key, "ctime") == 0) /* others stop at a bad one */
        return take_time(value, key, &seconds, &ns);
    if (g_str_has_prefix(key, "SCHILY.xattr."))
        return take_xattr(value, key + strlen("SCHILY.xattr."), pax);
    if (strcmp(key, "GNU.sparse.offset") == 0 || strcmp(key, "GNU.sparse.numbytes") == 0)
        return take_extent_half(value, key, pax);
    if (strcmp(key, "SCHILY.realsize") == 0)
        return cob_fail(COB_INVALID, "it is sparse in star's way, which cob does not read");
    for (unsigned i = 0; i < TAR_PAX_N_KEYS; i++) {
        if (strcmp(key, known_keys[i]) != 0)
            continue;
        if (tar_pax_has(pax, i))
            return cob_fail(COB_INVALID, "pax record %s comes twice", key);
        if (value.len == 0)
            return cob_fail(COB_INVALID, "pax record %s is empty", key);
        pax->seen |= 1u << i;
        return take_known(value, i, pax);
    }
    return NULL;
}

/* Take "len key=value\n" from the front.
 * ret_key: the caller frees it. */
static struct cob_error *next_record(struct value *rest, char **ret_key, struct value *ret_value)
{
    const char *space = memchr(rest->data, ' ', MIN(rest->len, (size_t)20));
    uint64_t len;

    if (!space || rest->data[0] == '0' ||
        !parse_decimal((struct value){rest->data, (size_t)(space - rest->data)},
            COB_LIMIT_TAR_HEADER_BYTES, &len))
        return cob_fail(COB_INVALID, "pax records: bad length");
    const char *key = space + 1, *end = rest->data + len;
    if (len > rest->len || end <= key || end[-1] != '\n')
        return cob_fail(COB_INVALID, "pax records: a length does not fit");
    const char *equals = memchr(key, '=', (size_t)(end - key));
    if (!equals || equals == key || memchr(key, '\0', (size_t)(equals - key)))
        return cob_fail(COB_INVALID, "pax records: bad key");
    *ret_key = g_strndup(key, (gsize)(equals - key));
    *ret_value = (struct value){equals + 1, (size_t)(end - 1 - (equals + 1))};
    rest->data += len;
    rest->len -= len;
    return NULL;
}

struct cob_error *tar_pax_parse(struct tar_pax *pax, const char *data, size_t len)
{
    struct value rest = {data, len};

    while (rest.len > 0) {
        g_autofree char *key = NULL;
        struct value value;

        COB_TRY(next_record(&rest, &key, &value));
        COB_TRY(take_record(pax, key, value));
    }
    if (pax->half_extent)
        return cob_fail(COB_INVALID, "pax records: the sparse map ends in the middle");
    if (tar_pax_has(pax, TAR_PAX_SPARSE_NUMBLOCKS) && pax->numblocks != pax->extents->len)
        return cob_fail(COB_INVALID, "pax records: the sparse map has another length than it says");
    return NULL;
}

struct cob_error *tar_pax_check_global(const char *data, size_t len)
{
    struct value rest = {data, len};

    while (rest.len > 0) {
        g_autofree char *key = NULL;
        struct value value;

        COB_TRY(next_record(&rest, &key, &value));
        if (strcmp(key, "comment") != 0)
            return cob_fail(COB_INVALID, "global pax record %s: readers disagree on those", key);
    }
    return NULL;
}
