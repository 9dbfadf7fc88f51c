/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this module share.
 */
#pragma once

#include "net/http/curl_api.h"
#include "net/http/http.h"

struct cob_http {
    struct curl_api api;
    struct cob_http_timing timing; /* complete */
    GMutex lock;                   /* guards idle */
    GPtrArray *idle;               /* of CURLM, each with its open connections */
};
