/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "build/remote/remote_parts.h"
#include "net/download/download.h"
#include "util/fs.h"
#include "util/limits.h"

/* A file on its way into the store. */
struct transfer {
    struct cob_remote_source *source;
    const struct cob_remote_file *file;
    const struct cob_remote_client *client;
    struct cob_store_blob *blob; /* NULL: nothing came yet */
    int64_t started_us;
};

/* What an earlier download of the same URL left. */
struct past {
    char *etag, *last_modified, *filename, *digest; /* digest NULL: nothing of use */
    int64_t mtime_s;
};

static void past_done(struct past *past)
{
    g_free(past->etag);
    g_free(past->last_modified);
    g_free(past->filename);
    g_free(past->digest);
}

void cob_remote_blob_done(struct cob_remote_blob *blob)
{
    g_clear_pointer(&blob->digest, g_free);
    g_clear_pointer(&blob->filename, g_free);
}

/* --- what is known of a URL --- */

/* The name of a URL in the table: it may hold a signature, so it is not kept as it is. */
static char *url_key(const struct cob_remote_file *file)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update_text(hasher, "cob.download.v1");
    cob_hasher_update_text(hasher, file->url);
    cob_hasher_update_text(hasher, file->auth_secret);
    for (const char *const *line = file->headers; line && *line; line++)
        cob_hasher_update_text(hasher, *line);
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    return cob_sha256_text(&sha);
}

static struct cob_error *take_past(void *arg, const struct cob_db_row *row)
{
    *(struct past *)arg = (struct past){.etag = g_strdup(cob_db_row_text(row, 0)),
        .last_modified = g_strdup(cob_db_row_text(row, 1)),
        .filename = g_strdup(cob_db_row_text(row, 2)),
        .digest = g_strdup(cob_db_row_text(row, 3)),
        .mtime_s = cob_db_row_int(row, 4)};
    return NULL;
}

/* --- what a checksum says --- */

/* The checksum that is also the digest of a blob; NULL: none, or it is by another algorithm. */
static const char *digest_wanted(const struct cob_remote_file *file)
{
    return file->checksum && g_str_has_prefix(file->checksum, COB_DIGEST_PREFIX) ? file->checksum
                                                                                 : NULL;
}

/* What a blob has for a checksum, by the algorithm of the one that is wanted. */
static struct cob_error *measure(
    struct cob_remote_source *source, const char *wanted, const char *digest, char **ret_checksum)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new_for(wanted);
    g_autofree char *bytes = g_malloc(COB_MIB);
    cob_autoclose int fd = -1;
    ssize_t n = 0;

    COB_TRY(cob_store_blob_open(source->store, digest, &fd, NULL));
    if (fd < 0)
        return cob_fail(COB_ABORTED, "blob %s was removed meanwhile", digest);
    do {
        n = TEMP_FAILURE_RETRY(read(fd, bytes, COB_MIB));
        if (n < 0)
            return cob_fail_errno(errno, "read blob %s", digest);
        cob_hasher_update(hasher, bytes, (size_t)n);
    } while (n > 0);
    *ret_checksum = cob_hasher_finish_checksum(hasher);
    return NULL;
}

/* Refuse a blob for its checksum, as the store does for its digest. */
static struct cob_error *check_blob(
    struct cob_remote_source *source, const struct cob_remote_file *file, const char *digest)
{
    g_autofree char *checksum = NULL;

    if (!file->checksum || digest_wanted(file))
        return NULL; /* the store compared, or there is nothing to compare with */
    COB_TRY(measure(source, file->checksum, digest, &checksum));
    if (strcmp(checksum, file->checksum) != 0)
        return cob_fail(COB_DATA_LOSS, "the content has digest %s, but %s was expected", checksum,
            file->checksum);
    return NULL;
}

/* Is a blob that an earlier download left what is wanted? */
static struct cob_error *is_wanted(struct cob_remote_source *source,
    const struct cob_remote_file *file, const char *digest, bool *ret_is_wanted)
{
    g_autofree char *checksum = NULL;

    if (file->checksum && !digest_wanted(file))
        COB_TRY(measure(source, file->checksum, digest, &checksum));
    *ret_is_wanted = !file->checksum || strcmp(file->checksum, checksum ? checksum : digest) == 0;
    return NULL;
}

/* Only what is still in the store, and is what is wanted, counts. */
static struct cob_error *load_past(
    struct cob_remote_source *source, const struct cob_remote_file *file, struct past *past)
{
    g_autofree char *key = url_key(file);
    cob_autoclose int fd = -1;
    bool is_there = false, is_good = false;

    COB_TRY(cob_db_run(cob_store_db(source->store), take_past, past,
        "SELECT etag, last_modified, filename, digest, mtime_s FROM downloads WHERE key = ?1",
        COB_DB_T(key)));
    if (!past->digest)
        return NULL;
    COB_TRY(cob_store_blob_touch(source->store, past->digest, &is_there));
    COB_TRY(cob_store_blob_open(source->store, past->digest, &fd, NULL));
    if (fd >= 0)
        COB_TRY(is_wanted(source, file, past->digest, &is_good));
    if (!is_good)
        g_clear_pointer(&past->digest, g_free);
    return NULL;
}

static struct cob_error *save_answer(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_download_answer *answer,
    const char *digest)
{
    g_autofree char *key = url_key(file);

    return cob_db_run(cob_store_db(source->store), NULL, NULL,
        "INSERT OR REPLACE INTO downloads"
        "(key, etag, last_modified, filename, digest, mtime_s, used_us)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        COB_DB_T(key), COB_DB_T(answer->etag), COB_DB_T(answer->last_modified),
        COB_DB_T(answer->filename), COB_DB_T(digest), COB_DB_I(answer->mtime_s),
        COB_DB_I(g_get_real_time()));
}

/* --- bytes --- */

static struct cob_error *on_write(void *arg, const void *data, size_t len)
{
    struct transfer *transfer = arg;

    if (!transfer->blob)
        COB_TRY(cob_store_blob_create(
            transfer->source->store, digest_wanted(transfer->file), &transfer->blob));
    return cob_store_blob_write(transfer->blob, data, len);
}

static struct cob_error *on_restart(void *arg)
{
    struct transfer *transfer = arg;

    g_clear_pointer(&transfer->blob, cob_store_blob_free);
    return NULL;
}

static void on_progress(void *arg, uint64_t n_done, uint64_t total)
{
    const struct transfer *transfer = arg;
    const struct cob_observer *observer = transfer->client->observer;
    const struct cob_event_status event = {.vertex = transfer->client->vertex,
        .id = "downloading",
        .current = n_done,
        .total = total,
        .started_us = transfer->started_us,
        .completed_us = n_done == total ? g_get_real_time() : 0};

    if (observer)
        observer->status(observer->arg, &event);
}

static struct cob_error *open_http(struct cob_remote_source *source, struct cob_http **ret_http)
{
    struct cob_error *err = NULL;

    g_mutex_lock(&source->lock);
    if (!source->http)
        err = cob_http_open(NULL, &source->http);
    *ret_http = source->http;
    g_mutex_unlock(&source->lock);
    return err;
}

/* The Authorization header for a URL; NULL: none. */
static struct cob_error *authorize(
    struct cob_http *http, const struct transfer *transfer, char **ret_authorization)
{
    const struct cob_remote_client *client = transfer->client;
    g_autoptr(cob_url) url = NULL;
    g_autofree char *token = NULL;

    if (transfer->file->auth_secret) {
        const char *id = transfer->file->auth_secret;

        COB_TRY(remote_secret(client, id, NULL, NULL, ret_authorization));
        return *ret_authorization ? NULL : cob_fail(COB_NOT_FOUND, "there is no secret %s", id);
    }
    COB_TRY(cob_url_parse(http, NULL, transfer->file->url, &url));
    COB_TRY(remote_secret(client, "HTTP_AUTH_HEADER", "_", url->host, ret_authorization));
    if (*ret_authorization)
        return NULL;
    COB_TRY(remote_secret(client, "HTTP_AUTH_TOKEN", "_", url->host, &token));
    if (token)
        *ret_authorization = g_strconcat("Bearer ", token, NULL);
    return NULL;
}

static struct cob_error *get(struct transfer *transfer, const struct past *past,
    struct cob_cancel *cancel, struct cob_download_answer *ret_answer)
{
    const struct cob_download_sink sink = {
        .write = on_write, .restart = on_restart, .progress = on_progress, .arg = transfer};
    g_autofree char *authorization = NULL;
    struct cob_http *http = NULL;

    COB_TRY(open_http(transfer->source, &http));
    COB_TRY(authorize(http, transfer, &authorization));
    const struct cob_download_request request = {.url = transfer->file->url,
        .authorization = authorization,
        .headers = transfer->file->headers,
        .etag = past->digest ? past->etag : NULL,
        .last_modified = past->digest ? past->last_modified : NULL,
        .max_bytes = COB_LIMIT_DOWNLOAD_BYTES,
        .sink = &sink};
    return cob_download_get(http, &request, cancel, ret_answer);
}

/* Put what came into the store, and note what it is. */
static struct cob_error *keep(struct transfer *transfer, const struct cob_download_answer *answer,
    struct cob_remote_blob *ret_blob)
{
    const struct cob_remote_file *file = transfer->file;
    g_autofree char *digest = NULL;

    if (!transfer->blob) /* an empty file */
        COB_TRY(on_write(transfer, "", 0));
    struct cob_error *err = cob_store_blob_commit(transfer->blob, &digest, NULL);
    if (!err)
        err = check_blob(transfer->source, file, digest);
    if (err)
        return cob_wrap(
            err, "checksum of %.*s", (int)MIN(strcspn(file->url, "?"), 200U), file->url);
    COB_TRY(save_answer(transfer->source, file, answer, digest));
    on_progress(transfer, answer->size, answer->size);
    *ret_blob = (struct cob_remote_blob){.digest = g_steal_pointer(&digest),
        .filename = g_strdup(answer->filename),
        .mtime_s = answer->mtime_s};
    return NULL;
}

static struct cob_error *use_past(struct past *past, struct cob_remote_blob *ret_blob)
{
    *ret_blob = (struct cob_remote_blob){.digest = g_steal_pointer(&past->digest),
        .filename = g_steal_pointer(&past->filename),
        .mtime_s = past->mtime_s};
    return NULL;
}

static struct cob_error *transfer_file(struct transfer *transfer, struct past *past,
    struct cob_cancel *cancel, struct cob_remote_blob *ret_blob)
{
    struct cob_download_answer answer = {0};

    COB_TRY(load_past(transfer->source, transfer->file, past));
    if (past->digest && transfer->file->checksum)
        return use_past(past, ret_blob);
    COB_TRY(get(transfer, past, cancel, &answer));
    struct cob_error *err =
        answer.is_unmodified ? use_past(past, ret_blob) : keep(transfer, &answer, ret_blob);
    cob_download_answer_done(&answer);
    return err;
}

struct cob_error *cob_remote_download(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_remote_blob *ret_blob)
{
    g_autoptr(cob_store_lock) lock = NULL;
    g_autofree char *key = url_key(file);
    const char *fault = NULL;
    struct past past = {0};

    if (file->checksum && !cob_checksum_is_valid(file->checksum, &fault))
        return cob_fail(COB_INVALID,
            "%s: %.200s: it must be sha256:<64 hex digits>, or sha384 or sha512 with 96 or 128",
            fault, file->checksum);
    COB_TRY(remote_lock(source, key, cancel, &lock)); /* whoever comes second finds it here */
    struct transfer transfer = {
        .source = source, .file = file, .client = client, .started_us = g_get_real_time()};
    struct cob_error *err = transfer_file(&transfer, &past, cancel, ret_blob);
    cob_store_blob_free(transfer.blob);
    past_done(&past);
    return err;
}

/* --- a snapshot of it --- */

static mode_t mode_of(const struct cob_remote_file *file)
{
    return file->mode ? file->mode : 0600;
}

static char *snapshot_key(
    const struct cob_remote_file *file, const struct cob_remote_blob *blob, const char *name)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update_text(hasher, "cob.remote.file.v1");
    cob_hasher_update_text(hasher, blob->digest);
    cob_hasher_update_text(hasher, name);
    cob_hasher_update_number(hasher, mode_of(file));
    cob_hasher_update_number(hasher, file->uid);
    cob_hasher_update_number(hasher, file->gid);
    cob_hasher_update_number(hasher, (uint64_t)blob->mtime_s);
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    return cob_sha256_text(&sha);
}

static struct cob_error *write_file(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_blob *blob, int dir_fd,
    const char *name)
{
    const struct timespec times[] = {{.tv_sec = blob->mtime_s}, {.tv_sec = blob->mtime_s}};
    cob_autoclose int blob_fd = -1;
    uint64_t size = 0;

    COB_TRY(cob_store_blob_open(source->store, blob->digest, &blob_fd, &size));
    if (blob_fd < 0)
        return cob_fail(COB_ABORTED, "blob %s was removed meanwhile", blob->digest);
    cob_autoclose int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create %s", name);
    COB_TRY(cob_wrap(cob_fs_copy_bytes(blob_fd, fd, size), "write %s", name));
    if (fchown(fd, file->uid, file->gid) < 0 || fchmod(fd, mode_of(file)) < 0 ||
        futimens(fd, times) < 0)
        return cob_fail_errno(errno, "set owner, mode and time of %s", name);
    if (close(g_steal_fd(&fd)) < 0)
        return cob_fail_errno(errno, "close %s", name);
    return NULL;
}

struct cob_error *remote_file_snapshot(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_blob *blob,
    struct cob_snapshot **ret_snapshot)
{
    g_autofree char *name =
        file->filename ? cob_download_safe_name(file->filename) : g_strdup(blob->filename);
    g_autofree char *key = snapshot_key(file, blob, name);
    g_autofree char *text =
        g_strdup_printf("downloaded %.*s", (int)strcspn(file->url, "?#"), file->url);
    g_autoptr(cob_snapshot_draft) draft = NULL;

    COB_TRY(remote_find_snapshot(source, key, ret_snapshot));
    if (*ret_snapshot)
        return NULL;
    COB_TRY(cob_snapshot_draft_new(source->store, NULL, &draft));
    COB_TRY(write_file(source, file, blob, cob_snapshot_draft_fd(draft), name));
    return remote_commit(source, key, text, g_steal_pointer(&draft), ret_snapshot);
}

struct cob_error *cob_remote_file_fetch(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_snapshot **ret_snapshot)
{
    struct cob_remote_blob blob = {0};

    COB_TRY(cob_remote_download(source, file, client, cancel, &blob));
    struct cob_error *err = remote_file_snapshot(source, file, &blob, ret_snapshot);
    cob_remote_blob_done(&blob);
    return err;
}
