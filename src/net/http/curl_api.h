/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, found when it is needed: the functions of it that are used here, by their own names less
 * "curl_". Loading it takes longer than a build with nothing to fetch.
 *
 * threads:  any, once loaded.
 */
#pragma once

#define CURL_DISABLE_TYPECHECK /* its macros would name the functions themselves */
#include <curl/curl.h>

#include "util/error.h"

/* All NULL: not loaded. */
struct curl_api {
    typeof(curl_global_init) *global_init;
    typeof(curl_easy_init) *easy_init;
    typeof(curl_easy_setopt) *easy_setopt;
    typeof(curl_easy_getinfo) *easy_getinfo;
    typeof(curl_easy_cleanup) *easy_cleanup;
    typeof(curl_easy_strerror) *easy_strerror;
    typeof(curl_multi_init) *multi_init;
    typeof(curl_multi_setopt) *multi_setopt;
    typeof(curl_multi_add_handle) *multi_add_handle;
    typeof(curl_multi_remove_handle) *multi_remove_handle;
    typeof(curl_multi_perform) *multi_perform;
    typeof(curl_multi_poll) *multi_poll;
    typeof(curl_multi_info_read) *multi_info_read;
    typeof(curl_multi_cleanup) *multi_cleanup;
    typeof(curl_slist_append) *slist_append;
    typeof(curl_slist_free_all) *slist_free_all;
    typeof(curl_url) *url;
    typeof(curl_url_set) *url_set;
    typeof(curl_url_get) *url_get;
    typeof(curl_url_cleanup) *url_cleanup;
    typeof(curl_url_strerror) *url_strerror;
    typeof(curl_free) *free;
    typeof(curl_getdate) *getdate;
};

/* Load libcurl, for good.
 * errors: COB_UNIMPLEMENTED when this machine has none. */
COB_RESULT struct cob_error *http_curl_load(struct curl_api *ret_api);
