/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One header block: where its fields are, and how they are read.
 *
 *     0 name 100  mode 108 uid 116 gid 124 size 136 mtime 148 chksum 156 type 157 link 257 magic
 *     265 uname 297 gname 329 devmajor 337 devminor 345 prefix 500
 *     GNU's own, magic "ustar  ":  386 four extents  482 is there more?  483 real size 495
 */
#pragma once

#include "disk/layer/tar.h"

#define TAR_GNU_EXTENTS_AT 386
#define TAR_GNU_N_EXTENTS 4
#define TAR_GNU_MORE_AT 482
#define TAR_GNU_REALSIZE_AT 483
#define TAR_GNU_EXTENSION_N 21 /* extents in a block of their own; the flag is at 504 */
#define TAR_GNU_EXTENSION_MORE_AT 504

enum tar_flavour { TAR_V7, TAR_USTAR, TAR_GNU };

/* Check sum and magic.
 * errors: COB_INVALID. */
COB_RESULT struct cob_error *tar_block_check(const uint8_t *block, enum tar_flavour *ret_flavour);

/* Is it all zeros? */
bool tar_block_is_zero(const uint8_t *block);

/* A number of a header: octal digits, after spaces and before spaces or NULs, or base 256.
 * errors: COB_INVALID for anything else, named `what`. */
COB_RESULT struct cob_error *tar_block_number(
    const uint8_t *field, size_t len, const char *what, uint64_t *ret_number);
COB_RESULT struct cob_error *tar_block_signed(
    const uint8_t *field, size_t len, const char *what, int64_t *ret_number);

/* Fill an entry's numbers and names.
 * ret_size: bytes of data that follow.
 * ret_type: the type flag as it is. */
COB_RESULT struct cob_error *tar_block_entry(const uint8_t *block, enum tar_flavour flavour,
    struct tar_entry *entry, uint64_t *ret_size, uint8_t *ret_type);
