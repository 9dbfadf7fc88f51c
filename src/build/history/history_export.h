/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of an export share.
 *
 *     history_export.c   the archive: an OCI layout, packed and compressed
 *     history_status.c   events as BuildKit's messages
 */
#pragma once

#include "build/history/history_parts.h"

/* All events of a build.  ret_bytes: the caller's. */
COB_RESULT struct cob_error *history_status_bytes(
    struct cob_store *store, const struct cob_history_build *build, GBytes **ret_bytes);
