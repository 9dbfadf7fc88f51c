/* SPDX-License-Identifier: Apache-2.0 */
#include "build/remote/remote_parts.h"
#include "disk/layer/layer.h"
#include "util/fs.h"

static char *archive_key(const char *digest)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    cob_hasher_update_text(hasher, "cob.remote.archive.v1");
    cob_hasher_update_text(hasher, digest);
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    return cob_sha256_text(&sha);
}

static void tell_left_out(void *arg, const char *text)
{
    const struct cob_remote_client *client = arg;
    const struct cob_event_warning event = {.vertex = client->vertex, .text = text};

    if (client->observer)
        client->observer->warning(client->observer->arg, &event);
}

/* An archive on its way. */
struct arrival {
    struct cob_remote_source *source;
    const struct cob_remote_file *file;
    const struct cob_remote_client *client;
    struct cob_cancel *cancel;
};

static struct cob_error *unpack(
    const struct arrival *arrival, const char *key, int blob_fd, struct cob_snapshot **ret_snapshot)
{
    g_autoptr(cob_snapshot_draft) draft = NULL;
    const char *url = arrival->file->url;
    g_autofree char *text = g_strdup_printf("unpacked %.*s", (int)strcspn(url, "?#"), url);

    COB_TRY(cob_snapshot_draft_new(arrival->source->store, NULL, &draft));
    const struct cob_layer_unpack_request request = {.dir_fd = cob_snapshot_draft_fd(draft),
        .is_archive = true,
        .cancel = arrival->cancel,
        .on_warning = tell_left_out,
        .warning_arg = (void *)(uintptr_t)arrival->client};
    g_autoptr(cob_layer_unpack) unpacker = cob_layer_unpack_new(&request);
    COB_TRY(cob_layer_unpack_write_fd(unpacker, blob_fd));
    COB_TRY(cob_layer_unpack_finish(unpacker, NULL));
    g_clear_pointer(&unpacker, cob_layer_unpack_free);
    return remote_commit(arrival->source, key, text, g_steal_pointer(&draft), ret_snapshot);
}

static struct cob_error *begins_archive(int fd, bool *ret_is_archive)
{
    char head[COB_LAYER_HEAD_BYTES];
    ssize_t n = TEMP_FAILURE_RETRY(pread(fd, head, sizeof(head), 0));

    if (n < 0)
        return cob_fail_errno(errno, "read the download");
    *ret_is_archive = cob_layer_begins_archive(head, (size_t)n);
    return NULL;
}

static struct cob_error *make(const struct arrival *arrival, const struct cob_remote_blob *blob,
    struct cob_snapshot **ret_snapshot, bool *ret_is_archive)
{
    g_autofree char *key = archive_key(blob->digest);
    cob_autoclose int fd = -1;
    uint64_t size;

    *ret_is_archive = true;
    COB_TRY(remote_find_snapshot(arrival->source, key, ret_snapshot));
    if (*ret_snapshot)
        return NULL;
    COB_TRY(cob_store_blob_open(arrival->source->store, blob->digest, &fd, &size));
    if (fd < 0)
        return cob_fail(COB_ABORTED, "blob %s was removed meanwhile", blob->digest);
    COB_TRY(begins_archive(fd, ret_is_archive));
    if (*ret_is_archive)
        return cob_wrap(unpack(arrival, key, fd, ret_snapshot), "unpack %.*s",
            (int)strcspn(arrival->file->url, "?#"), arrival->file->url);
    return remote_file_snapshot(arrival->source, arrival->file, blob, ret_snapshot);
}

struct cob_error *cob_remote_context_fetch(struct cob_remote_source *source,
    const struct cob_remote_file *file, const struct cob_remote_client *client,
    struct cob_cancel *cancel, struct cob_remote_context *ret_context)
{
    const struct arrival arrival = {source, file, client, cancel};
    struct cob_remote_blob blob = {0};
    struct cob_remote_context context = {0};

    COB_TRY(cob_remote_download(source, file, client, cancel, &blob));
    struct cob_error *err = make(&arrival, &blob, &context.snapshot, &context.is_archive);
    context.mtime_s = blob.mtime_s;
    cob_remote_blob_done(&blob);
    if (!err)
        *ret_context = context;
    return err;
}
