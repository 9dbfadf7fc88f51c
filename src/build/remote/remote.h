/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources on other people's servers: a file by URL, a git repository. Each becomes a snapshot; what
 * has not changed since the last time is not transferred again.
 *
 *     file   blobs/sha256/<hex>      the bytes, by their digest
 *            downloads (table)       URL -> ETag, Last-Modified, digest: asked with the next time
 *     git    <root>/git/<hash>/      a bare mirror of each remote, so that a fetch brings only what
 *                                    is new; <hash>.busy beside it while somebody works on it
 *            <root>/git/known_hosts  the ssh keys that were seen
 *     both   remotes (table)         digest or commit, and how it was wanted -> snapshot
 *
 * Credentials come from the client's secrets, each for one host, and are kept nowhere.
 *
 * threads:  any.
 * spec:     BuildKit source/http/source.go, source/git/source.go.
 */
#pragma once

#include "build/event.h"
#include "disk/snapshot/snapshot.h"
#include "spec/gitref/gitref.h"
#include "util/cancel.h"

struct cob_remote_source;

/* store: borrowed. Nothing is loaded yet. */
struct cob_remote_source *cob_remote_source_new(struct cob_store *store);
void cob_remote_source_free(struct cob_remote_source *source);
COB_AUTOPTR(cob_remote_source, cob_remote_source_free)

/* Who wants it: whose secrets are used, and who is told. All borrowed. */
struct cob_remote_client {
    void *arg;
    /* ret_secret: the caller's; NULL when there is no such secret. NULL function: there are
     * none. */
    struct cob_error *(*get_secret)(void *arg, const char *id, GBytes **ret_secret);
    /* The socket of an ssh agent, by its id. ret_path: the caller's; NULL: there is none. NULL
     * function: likewise. */
    struct cob_error *(*get_ssh)(void *arg, const char *id, char **ret_path);
    const struct cob_observer *observer;
    const char *vertex; /* digest */
};

/* A file by URL. NULL and zero mean: without. All borrowed. */
struct cob_remote_file {
    const char *url;
    const char *checksum;       /* as cob_checksum_is_valid() has it: of its bytes; NULL: any */
    const char *auth_secret;    /* the id of one that is the Authorization header; NULL:
                                 * HTTP_AUTH_HEADER_<host>, HTTP_AUTH_TOKEN_<host> */
    const char *const *headers; /* NULL-terminated: "Name: value" */
    const char *filename;       /* in the snapshot; NULL: by Content-Disposition, or the URL */
    mode_t mode;                /* 0: 0600 */
    uid_t uid;
    gid_t gid;
};

/* What was downloaded. */
struct cob_remote_blob {
    char *digest;   /* of a blob in the store */
    char *filename; /* a safe one */
    int64_t mtime_s;
};
void cob_remote_blob_done(struct cob_remote_blob *blob);

/*
 * Bring a file into the store's blobs, unless it is there and still the same. With a checksum that
 * this URL had before, nobody is asked.
 *
 * errors:  those of net/download; COB_DATA_LOSS for another digest than the checksum.
 */
COB_RESULT struct cob_error *cob_remote_download(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_remote_blob *ret_blob);

/* The same as a snapshot that holds this one file, with the server's Last-Modified as its time. */
COB_RESULT struct cob_error *cob_remote_file_fetch(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot);

/* A build context by URL. */
struct cob_remote_context {
    struct cob_snapshot *snapshot; /* the caller's reference */
    bool is_archive;               /* it was unpacked; else it is one file */
    int64_t mtime_s;               /* the server's Last-Modified; 0: it says none */
};

/*
 * The same for a build context: an archive, plain or compressed, is unpacked; any other file is
 * itself, under file->filename.
 *
 * errors:  also those of disk/layer for a bad archive.
 */
COB_RESULT struct cob_error *cob_remote_context_fetch(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_remote_context *ret_context);

/* A part of a git repository. All borrowed. */
struct cob_remote_git {
    const struct cob_gitref *place; /* all of it counts but keep_git_dir and submodules */
    bool keeps_git_dir;             /* when it is not a subdirectory */
    bool skips_submodules;
    const char *token_secret;  /* "GIT_AUTH_TOKEN"; with ".<host>" it is looked for first */
    const char *header_secret; /* "GIT_AUTH_HEADER", likewise */
    const char *ssh_id;        /* of the agent to use for ssh */
};

/*
 * Bring the files of a commit, or of a directory in it.
 *
 * ret_snapshot:  one layer, with nothing else in it.
 * errors:        those of net/git; COB_INVALID for a subdirectory that is none: each part of its
 *                path must be a directory, and no symlink.
 */
COB_RESULT struct cob_error *cob_remote_git_fetch(struct cob_remote_source *source,
    const struct cob_remote_git *git, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot);

/* A mirror of a git repository: a folder below git/. */
struct cob_remote_mirror {
    char *name;   /* of its folder */
    char *remote; /* NULL: not known */
    uint64_t size_bytes;
    int64_t created_us, last_used_us, n_uses;
};
void cob_remote_mirror_free(struct cob_remote_mirror *mirror);

/* All of them; those that nothing is known of are measured.
 * ret_mirrors: GPtrArray of struct cob_remote_mirror, owned, by name. */
COB_RESULT struct cob_error *cob_remote_mirror_list(
    struct cob_store *store, GPtrArray **ret_mirrors);

/* Remove the mirror of that folder.  ret_is_removed: false: somebody works on it. */
COB_RESULT struct cob_error *cob_remote_mirror_remove(
    struct cob_store *store, const char *name, bool *ret_is_removed);

/* Forget answers of servers whose bytes are not in the store any more. */
COB_RESULT struct cob_error *cob_remote_tidy(struct cob_store *store);
