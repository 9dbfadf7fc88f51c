/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/tar_block.h"

#include <string.h>

#define CHKSUM_AT 148
#define CHKSUM_LEN 8
#define TYPE_AT 156
#define MAGIC_AT 257
#define PREFIX_AT 345

bool tar_block_is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

static uint64_t sum_of(const uint8_t *block)
{
    uint64_t sum = (uint64_t)CHKSUM_LEN * ' ';

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= CHKSUM_AT && i < CHKSUM_AT + CHKSUM_LEN ? 0 : block[i];
    return sum;
}

static bool parse_octal(const uint8_t *field, size_t len, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t i = 0;

    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        number = number << 3 | (uint64_t)(field[i] - '0'); /* 12 digits at most: 36 bits */
    for (; i < len; i++) {
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    }
    *ret_number = number;
    return true;
}

/* Base 256: 0x80 and a positive number, or 0xff and a negative one, most significant byte first. */
static bool parse_binary(const uint8_t *field, size_t len, int64_t *ret_number)
{
    uint8_t fill = field[0] == 0xff ? 0xff : 0;
    uint64_t number = fill ? UINT64_MAX : 0;

    if (field[0] != 0x80 && field[0] != 0xff)
        return false;
    for (size_t i = 1; i < len; i++) {
        if (i + 8 < len && field[i] != fill)
            return false; /* more than 64 bits */
        number = number << 8 | field[i];
    }
    if (((int64_t)number < 0) != (fill == 0xff))
        return false;
    *ret_number = (int64_t)number;
    return true;
}

struct cob_error *tar_block_signed(
    const uint8_t *field, size_t len, const char *what, int64_t *ret_number)
{
    uint64_t number;

    if (field[0] & 0x80) {
        if (parse_binary(field, len, ret_number))
            return NULL;
    } else if (parse_octal(field, len, &number)) {
        *ret_number = (int64_t)number;
        return NULL;
    }
    return cob_fail(COB_INVALID, "header: its %s is no number", what);
}

struct cob_error *tar_block_number(
    const uint8_t *field, size_t len, const char *what, uint64_t *ret_number)
{
    int64_t number = 0;

    COB_TRY(tar_block_signed(field, len, what, &number));
    if (number < 0)
        return cob_fail(COB_INVALID, "header: its %s is negative", what);
    *ret_number = (uint64_t)number;
    return NULL;
}

struct cob_error *tar_block_check(const uint8_t *block, enum tar_flavour *ret_flavour)
{
    static const uint8_t none[8] = {0};
    const uint8_t *magic = block + MAGIC_AT;
    uint64_t sum;

    if (!parse_octal(block + CHKSUM_AT, CHKSUM_LEN, &sum) || sum != sum_of(block))
        return cob_fail(COB_INVALID, "header: its checksum is wrong");
    if (memcmp(magic, "ustar  ", 8) == 0)
        *ret_flavour = TAR_GNU;
    else if (memcmp(magic, "ustar", 6) == 0)
        *ret_flavour = TAR_USTAR;
    else if (memcmp(magic, none, 8) == 0)
        *ret_flavour = TAR_V7;
    else
        return cob_fail(COB_INVALID, "header: an unknown kind of tar");
    return NULL;
}

bool tar_block_is_header(const uint8_t block[TAR_BLOCK])
{
    uint64_t sum;

    return !tar_block_is_zero(block) && parse_octal(block + CHKSUM_AT, CHKSUM_LEN, &sum) &&
           sum == sum_of(block);
}

/* star gives the end of the prefix other fields; readers that do not know it would see a name. */
static struct cob_error *check_star(const uint8_t *block)
{
    if (memcmp(block + 508, "tar", 4) == 0 && block[PREFIX_AT + 130] != '\0')
        return cob_fail(COB_INVALID, "header: a name in star's way, which cob does not read");
    return NULL;
}

static void append_field(GString *out, const uint8_t *field, size_t len)
{
    g_string_append_len(out, (const char *)field, (gssize)strnlen((const char *)field, len));
}

static struct cob_error *read_names(
    const uint8_t *block, enum tar_flavour flavour, struct tar_entry *entry)
{
    /* old GNU tar keeps times there, some Go programs a name; Python sees a name in any case */
    if (flavour != TAR_USTAR && block[PREFIX_AT] != '\0')
        return cob_fail(COB_INVALID, "header: it has a prefix, which readers take differently");
    if (block[PREFIX_AT] != '\0') {
        bool is_star = memcmp(block + 508, "tar", 4) == 0;

        COB_TRY(check_star(block));
        append_field(entry->name, block + PREFIX_AT, is_star ? 131 : 155);
        g_string_append_c(entry->name, '/');
    }
    append_field(entry->name, block, 100);
    append_field(entry->link, block + 157, 100);
    return NULL;
}

static struct cob_error *read_id(const uint8_t *field, const char *what, uint64_t *ret_id)
{
    COB_TRY(tar_block_number(field, 8, what, ret_id));
    if (*ret_id >= UINT32_MAX)
        return cob_fail(COB_INVALID, "header: its %s is too large", what);
    return NULL;
}

static struct cob_error *read_device(const uint8_t *block, struct tar_entry *entry)
{
    uint64_t major = 0, minor = 0;

    COB_TRY(tar_block_number(block + 329, 8, "device number", &major));
    COB_TRY(tar_block_number(block + 337, 8, "device number", &minor));
    if (major > 0xfff || minor > 0xfffff)
        return cob_fail(COB_INVALID, "header: its device number is too large");
    entry->major = (uint32_t)major;
    entry->minor = (uint32_t)minor;
    return NULL;
}

struct cob_error *tar_block_entry(const uint8_t *block, enum tar_flavour flavour,
    struct tar_entry *entry, uint64_t *ret_size, uint8_t *ret_type)
{
    uint8_t type = block[TYPE_AT];
    uint64_t mode = 0;

    COB_TRY(tar_block_number(block + 100, 8, "mode", &mode));
    COB_TRY(read_id(block + 108, "uid", &entry->uid));
    COB_TRY(read_id(block + 116, "gid", &entry->gid));
    COB_TRY(tar_block_number(block + 124, 12, "size", ret_size));
    COB_TRY(tar_block_signed(block + 136, 12, "mtime", &entry->mtime));
    COB_TRY(read_names(block, flavour, entry));
    if (type == TAR_CHAR_DEVICE || type == TAR_BLOCK_DEVICE)
        COB_TRY(read_device(block, entry));
    entry->mode = (uint32_t)mode & 07777;
    *ret_type = type;
    return NULL;
}
