/* SPDX-License-Identifier: Apache-2.0 */
/* What the two directions of the index's bytes share. */
#pragma once

#define MOUNTINDEX_NUMBER_BYTES 10 /* of 7 bits each */
#define MOUNTINDEX_HAS_XATTRS 0x80 /* in an entry's kind */
