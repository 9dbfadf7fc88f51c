/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by URL: one GET, as often as it takes, with what an earlier one learned.
 *
 * Bytes go to the caller, who stores them; nothing here knows a store. A transfer that breaks goes
 * on where it broke when the server names the version of what it sends (a strong ETag) and sends
 * the rest of just that one; else it begins anew.
 *
 * threads:  any; each call runs in its caller's.
 * spec:     RFC 9110 sections 8.8 (validators), 13 (conditions), 14 (ranges); RFC 6266.
 */
#pragma once

#include "net/http/http.h"

/* Where the bytes go. All of it is called from the thread of the call, in order. */
struct cob_download_sink {
    /* Take the next bytes. An error ends the download and is its error. */
    struct cob_error *(*write)(void *arg, const void *data, size_t len);
    /* What was written is of no use: begin anew. */
    struct cob_error *(*restart)(void *arg);
    /* So many bytes are there, of `total`; 0: not said. NULL function: nobody asks. */
    void (*progress)(void *arg, uint64_t n_done, uint64_t total);
    void *arg;
};

/* What to get. NULL means: without. All borrowed. */
struct cob_download_request {
    const char *url;
    const char *authorization;  /* the header's value, for the origin of the URL alone */
    const char *const *headers; /* others, NULL-terminated: "Name: value" */
    const char *etag;           /* of what the caller has already */
    const char *last_modified;  /* likewise; asked with when there is no ETag */
    uint64_t max_bytes;         /* more is COB_EXHAUSTED */
    const struct cob_download_sink *sink;
};

/* What the server says of the file; each text may be NULL. */
struct cob_download_answer {
    bool is_unmodified; /* it is still what the caller has: nothing was written */
    char *etag;
    char *last_modified;
    int64_t mtime_s; /* last_modified in seconds since 1970; 0 when there is none */
    char *filename;  /* never NULL: see cob_download_filename() */
    uint64_t size;
};
void cob_download_answer_done(struct cob_download_answer *answer);

/*
 * Get a file.
 *
 * ret_answer:  the caller's, for cob_download_answer_done().
 * errors:      each begins with the URL, less what follows '?'. COB_NOT_FOUND; COB_DENIED;
 *              COB_UNAVAILABLE when tries ran out; COB_EXHAUSTED; COB_CANCELLED.
 */
COB_RESULT struct cob_error *cob_download_get(struct cob_http *http,
    const struct cob_download_request *request, struct cob_cancel *cancel,
    struct cob_download_answer *ret_answer);

/* The last part of a path as the name of a file: "download" for what is none, such as "..", or has
 * control characters, or is longer than a name may be. The caller frees it.
 * spec: BuildKit source/util/pathutil/pathutil.go. */
char *cob_download_safe_name(const char *path);

/*
 * The name of what a URL gives: what Content-Disposition says, else the last part of its path.
 *
 * path:         of the URL, percent-encoded.
 * disposition:  NULL: there is none.
 */
char *cob_download_filename(const char *path, const char *disposition);
