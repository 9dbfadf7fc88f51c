/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of the schema: script i leads from version i to version i + 1. A script that has
 * been released is never changed; a change is one more script.
 */
#pragma once

extern const char *const cob_db_schema[];
extern const int cob_db_schema_version; /* how many scripts there are */
