/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "disk/layer/tar.h"

#define NAME_LEN 100
#define PREFIX_LEN 155

static bool is_ascii(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80)
            return false;
    }
    return true;
}

/* Octal digits and a NUL, right-aligned; zero for what does not fit: a pax record has it. */
static void put_octal(uint8_t *field, unsigned n_digits, uint64_t number)
{
    if (number >> (3 * n_digits))
        number = 0;
    for (unsigned i = n_digits; i > 0; i--, number >>= 3)
        field[i - 1] = (uint8_t)('0' + (number & 7));
    field[n_digits] = '\0';
}

/* Where to cut a name into prefix and name; NULL: at no slash. */
static const char *find_cut(const char *name, size_t len)
{
    const char *first = len > NAME_LEN + 1 ? name + len - NAME_LEN - 1 : name + 1;

    for (const char *at = first; at < name + len - 1 && at - name <= PREFIX_LEN; at++) {
        if (*at == '/')
            return at;
    }
    return NULL;
}

/* Put a name where it fits. False: it needs a pax record, and the field has its beginning. */
static bool put_name(uint8_t *block, const char *name)
{
    size_t len = strlen(name);
    const char *cut;

    if (len <= NAME_LEN || !is_ascii(name)) {
        memcpy(block, name, MIN(len, (size_t)NAME_LEN));
        return len <= NAME_LEN && is_ascii(name);
    }
    cut = find_cut(name, len);
    if (!cut) {
        memcpy(block, name, NAME_LEN);
        return false;
    }
    memcpy(block + 345, name, (size_t)(cut - name));
    memcpy(block, cut + 1, len - (size_t)(cut + 1 - name));
    return true;
}

static void seal(uint8_t *block)
{
    unsigned sum = 0;

    memcpy(block + 257,
        "ustar\0"
        "00",
        8);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    put_octal(block + 148, 6, sum);
    block[155] = ' ';
}

/* A length counts its own digits. */
static void add_record(GString *records, const char *key, const void *value, size_t len)
{
    size_t rest = 1 + strlen(key) + 1 + len + 1, total = rest + 1;
    char digits[24];

    while (rest + (size_t)g_snprintf(digits, sizeof(digits), "%zu", total) != total)
        total = rest + strlen(digits);
    g_string_append_printf(records, "%zu %s=", total, key);
    g_string_append_len(records, value, (gssize)len);
    g_string_append_c(records, '\n');
}

static void add_text(GString *records, const char *key, const char *text)
{
    add_record(records, key, text, strlen(text));
}

static void add_number(GString *records, const char *key, uint64_t number)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" PRIu64, number);
    add_text(records, key, text);
}

static void add_xattrs(GString *records, const GPtrArray *xattrs)
{
    for (guint i = 0; i < xattrs->len; i++) {
        const struct tar_xattr *xattr = g_ptr_array_index(xattrs, i);
        g_autofree char *key = g_strconcat("SCHILY.xattr.", xattr->name, NULL);
        gsize len;
        const void *value = g_bytes_get_data(xattr->value, &len);

        add_record(records, key, value, len);
    }
}

static void add_mtime(GString *records, int64_t mtime)
{
    g_autofree char *text = g_strdup_printf("%" PRId64, mtime);

    add_text(records, "mtime", text);
}

static bool needs_mtime(int64_t mtime)
{
    return mtime < 0 || (uint64_t)mtime > TAR_OCTAL11_MAX;
}

/* The header of the records themselves, and they. */
static void append_pax(GByteArray *out, const GString *records, const char *name)
{
    static const uint8_t zeros[TAR_BLOCK] = {0};
    uint8_t block[TAR_BLOCK] = {0};
    const char *slash = strrchr(name, '/');
    const char *leaf = slash && slash[1] ? slash + 1 : name;

    memcpy(block, "PaxHeaders.0/", 13);
    for (size_t i = 13; *leaf && i < NAME_LEN - 1; leaf++) { /* a name for who does not know pax */
        if ((unsigned char)*leaf < 0x80)
            block[i++] = (uint8_t)*leaf;
    }
    put_octal(block + 100, 7, 0644);
    put_octal(block + 108, 7, 0);
    put_octal(block + 116, 7, 0);
    put_octal(block + 124, 11, records->len);
    put_octal(block + 136, 11, 0);
    block[156] = 'x';
    seal(block);
    g_byte_array_append(out, block, TAR_BLOCK);
    g_byte_array_append(out, (const uint8_t *)records->str, (guint)records->len);
    g_byte_array_append(out, zeros, (guint)(-records->len & (TAR_BLOCK - 1)));
}

void tar_write_header(GByteArray *out, const struct tar_entry *entry)
{
    g_autoptr(GString) records = g_string_new(NULL);
    uint8_t block[TAR_BLOCK] = {0};
    const char *name = entry->name->str, *link = entry->link->str;
    bool name_fits = put_name(block, name);
    bool link_fits = entry->link->len <= NAME_LEN && is_ascii(link);

    memcpy(block + 157, link, MIN(entry->link->len, (gsize)NAME_LEN));
    put_octal(block + 100, 7, entry->mode);
    put_octal(block + 108, 7, entry->uid);
    put_octal(block + 116, 7, entry->gid);
    put_octal(block + 124, 11, entry->size);
    put_octal(block + 136, 11, needs_mtime(entry->mtime) ? 0 : (uint64_t)entry->mtime);
    put_octal(block + 329, 7, entry->major);
    put_octal(block + 337, 7, entry->minor);
    block[156] = (uint8_t)entry->type;
    seal(block);

    if ((!name_fits && !g_utf8_validate(name, -1, NULL)) ||
        (!link_fits && !g_utf8_validate(link, -1, NULL)))
        add_text(records, "hdrcharset", "BINARY");
    if (!name_fits)
        add_text(records, "path", name);
    if (!link_fits)
        add_text(records, "linkpath", link);
    if (entry->size > TAR_OCTAL11_MAX)
        add_number(records, "size", entry->size);
    if (entry->uid > TAR_OCTAL7_MAX)
        add_number(records, "uid", entry->uid);
    if (entry->gid > TAR_OCTAL7_MAX)
        add_number(records, "gid", entry->gid);
    if (needs_mtime(entry->mtime))
        add_mtime(records, entry->mtime);
    add_xattrs(records, entry->xattrs);
    if (records->len > 0)
        append_pax(out, records, name);
    g_byte_array_append(out, block, TAR_BLOCK);
}
