/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder with an OCI layout.
 *
 *     folder/oci-layout         shared lock: an exporter is at work; alone: it is swept
 *           /index.json         tag -> manifest, replaced as a whole
 *           /index.json.lock    held while index.json is read and replaced, as BuildKit does
 *           /ingest/cob-<x>     blobs on their way
 *           /blobs/sha256/<hex>
 *
 * spec:  OCI image-spec image-layout.md; BuildKit client/ociindex.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

#include "build/cachebackend/local_parts.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

#define PIECE_BYTES (256 * 1024)
#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define LAYOUT_MAX_BYTES 4096

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void layout_folder_free(struct layout_folder *local)
{

    if (!local)
        return;
    close_fd(local->layout_fd);
    close_fd(local->ingest_fd);
    close_fd(local->blobs_fd);
    close_fd(local->folder_fd);
    g_free(local);
}
COB_AUTOPTR(layout_folder, layout_folder_free)

static void local_close(void *own)
{
    layout_folder_free(own);
}

/* --- open --- */

/* Make a folder of ours, or take the one that is there; never through a symlink. */
static struct cob_error *make_folder(int folder_fd, const char *path, int *ret_fd)
{
    if (mkdirat(folder_fd, path, 0755) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s", path);
    return cob_wrap(
        cob_open_beneath(folder_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd), "directory %s", path);
}

/* Another version would be another format. */
static struct cob_error *check_layout(int folder_fd)
{
    cob_autoclose int fd = -1;
    g_autoptr(GBytes) bytes = NULL;
    json_auto_t *json = NULL;
    const char *version = NULL;

    COB_TRY(cob_local_open_file(folder_fd, "oci-layout", &fd));
    if (fd < 0)
        return NULL;
    COB_TRY(cob_fs_read_fd(fd, LAYOUT_MAX_BYTES, &bytes));
    if (g_bytes_get_size(bytes) == 0) /* BuildKit truncates it before it writes it again */
        return NULL;
    COB_TRY(cob_json_parse(
        g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "oci-layout", &json));
    COB_TRY(cob_json_get_text(json, "imageLayoutVersion", &version));
    if (!version || !g_str_has_prefix(version, "1."))
        return cob_fail(
            COB_INVALID, "oci-layout: version %.20s is not known", version ? version : "(none)");
    return NULL;
}

/* The mark that an exporter is at work here, and the file that it hangs on. */
static struct cob_error *lock_layout(struct layout_folder *local, struct cob_cancel *cancel)
{
    struct stat st;

    COB_TRY(cob_wrap(cob_open_beneath(local->folder_fd, "oci-layout", O_RDWR | O_CREAT | O_NONBLOCK,
                         0644, &local->layout_fd),
        "oci-layout"));
    if (fstat(local->layout_fd, &st) < 0)
        return cob_fail_errno(errno, "stat oci-layout");
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "oci-layout: not a regular file");
    COB_TRY(cob_wrap(cob_local_lock_file(local->layout_fd, LOCK_SH, cancel), "oci-layout"));
    local->is_locked = 1;
    if (st.st_size == 0 && pwrite(local->layout_fd, LAYOUT, strlen(LAYOUT), 0) < 0)
        return cob_fail_errno(errno, "write oci-layout");
    return NULL;
}

static struct cob_error *open_export(
    struct layout_folder *local, const char *path, struct cob_cancel *cancel)
{
    cob_autoclose int above_fd = -1;

    COB_TRY(cob_fs_make_dirs(AT_FDCWD, path, 0755, &local->folder_fd));
    COB_TRY(make_folder(local->folder_fd, "blobs", &above_fd));
    COB_TRY(make_folder(above_fd, "sha256", &local->blobs_fd));
    COB_TRY(make_folder(local->folder_fd, "ingest", &local->ingest_fd));
    COB_TRY(check_layout(local->folder_fd));
    return lock_layout(local, cancel);
}

static struct cob_error *open_import(struct layout_folder *local, const char *path)
{
    local->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (local->folder_fd < 0)
        return cob_fail_errno(errno, "open directory");
    return check_layout(local->folder_fd);
}

static struct cob_error *local_open(struct cob_cachebackend *backend)
{
    const struct cob_cachebackend_options *options = backend->options;
    g_autoptr(layout_folder) local = g_new(struct layout_folder, 1);

    *local =
        (struct layout_folder){.folder_fd = -1, .blobs_fd = -1, .ingest_fd = -1, .layout_fd = -1};
    if (options->way == COB_CACHEBACKEND_EXPORT)
        COB_TRY(open_export(local, options->folder, backend->cancel));
    else
        COB_TRY(open_import(local, options->folder));
    backend->own = g_steal_pointer(&local);
    return NULL;
}

/* --- blobs --- */

/* A blob that is there in its whole size; -1: there is none. */
static struct cob_error *open_blob(
    const struct layout_folder *local, const char *digest, uint64_t size, int *ret_fd)
{
    g_autofree char *path = cob_local_blob_path(digest);
    cob_autoclose int fd = -1;
    struct stat st;

    *ret_fd = -1;
    COB_TRY(cob_local_open_file(local->folder_fd, path, &fd));
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", path);
    if ((uint64_t)st.st_size != size)
        return cob_fail(COB_DATA_LOSS, "it has %" PRIu64 " bytes there, not %" PRIu64,
            (uint64_t)st.st_size, size);
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

static struct cob_error *local_has_blob(
    struct cob_cachebackend *backend, const char *digest, uint64_t size, bool *ret_has)
{
    cob_autoclose int fd = -1;
    struct cob_error *err = open_blob(backend->own, digest, size, &fd);

    *ret_has = !err && fd >= 0;
    if (err && cob_error_code(err) == COB_DATA_LOSS)
        g_clear_pointer(&err, cob_error_free);
    return err;
}

static struct cob_error *copy_to_sink(int fd, struct cob_hasher *hasher,
    const struct cob_registry_sink *sink, struct cob_cancel *cancel)
{
    g_autofree char *buffer = g_malloc(PIECE_BYTES);
    uint64_t n_done = 0;

    for (;;) {
        COB_TRY(cob_cancel_check(cancel));
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, buffer, PIECE_BYTES, (off_t)n_done));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            return NULL;
        cob_hasher_update(hasher, buffer, (size_t)n);
        COB_TRY(sink->write(sink->arg, buffer, (size_t)n));
        n_done += (uint64_t)n;
        if (sink->progress)
            sink->progress(sink->arg, n_done);
    }
}

static struct cob_error *check_hash(struct cob_hasher *hasher, const char *digest)
{
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    g_autofree char *got = cob_sha256_text(&sha);

    if (strcmp(got, digest) != 0)
        return cob_fail(COB_DATA_LOSS, "its bytes have digest %s", got);
    return NULL;
}

static struct cob_error *local_get_blob(struct cob_cachebackend *backend, const char *digest,
    uint64_t size, const struct cob_registry_sink *sink)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    cob_autoclose int fd = -1;

    COB_TRY(open_blob(backend->own, digest, size, &fd));
    if (fd < 0)
        return cob_fail(COB_NOT_FOUND, "not there");
    COB_TRY(copy_to_sink(fd, hasher, sink, backend->cancel));
    return check_hash(hasher, digest);
}

static struct cob_error *write_draft(void *arg, const void *data, size_t len)
{
    const int *fd = arg;

    return cob_fs_write_fd(*fd, data, len);
}

static struct cob_error *fill_draft(
    int draft_fd, const char *digest, int from_fd, struct cob_cancel *cancel)
{
    const struct cob_registry_sink sink = {.write = write_draft, .arg = &draft_fd};
    g_autoptr(cob_hasher) hasher = cob_hasher_new();

    COB_TRY(copy_to_sink(from_fd, hasher, &sink, cancel));
    COB_TRY(check_hash(hasher, digest));
    return fsync(draft_fd) < 0 ? cob_fail_errno(errno, "sync") : NULL;
}

/* Hold the lock of exporters, which a sweep may have given up. */
static struct cob_error *be_at_work(struct cob_cachebackend *backend)
{
    struct layout_folder *local = backend->own;

    if (local->layout_fd < 0)
        return cob_fail(COB_PRECONDITION, "it was opened to import from");
    if (g_atomic_int_get(&local->is_locked))
        return NULL;
    COB_TRY(cob_local_lock_file(local->layout_fd, LOCK_SH, backend->cancel));
    g_atomic_int_set(&local->is_locked, 1);
    return NULL;
}

static struct cob_error *local_put_blob(struct cob_cachebackend *backend, const char *digest,
    uint64_t size, int from_fd, bool *ret_is_new)
{
    const struct layout_folder *local = backend->own;
    g_autofree char *draft = cob_fs_draft_name("cob-");
    const char *name = digest + strlen(COB_DIGEST_PREFIX);
    cob_autoclose int fd = -1;
    bool has = false;

    COB_TRY(be_at_work(backend));
    COB_TRY(local_has_blob(backend, digest, size, &has));
    *ret_is_new = !has;
    if (has)
        return NULL;
    COB_TRY(cob_open_beneath(local->ingest_fd, draft, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd));
    struct cob_error *err = fill_draft(fd, digest, from_fd, backend->cancel);
    if (close(g_steal_fd(&fd)) < 0 && !err)
        err = cob_fail_errno(errno, "close");
    if (!err && renameat(local->ingest_fd, draft, local->blobs_fd, name) < 0)
        err = cob_fail_errno(errno, "rename");
    if (err)
        unlinkat(local->ingest_fd, draft, 0);
    return err;
}

/* --- index.json --- */

/* The entry of a tag, or of a digest; borrowed, NULL when there is none. */
static const json_t *find_entry(const json_t *index, const char *tag, const char *digest)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(index, "manifests"), i, entry)
    {
        const char *have =
            digest ? json_string_value(json_object_get(entry, "digest")) : cob_local_name_of(entry);

        if (g_strcmp0(have, digest ? digest : tag) == 0)
            return entry;
    }
    return NULL;
}

/* --- documents --- */

/* What is named, as a document; NULL when a file of it is missing. */
static struct cob_error *read_entry(const struct layout_folder *local, const char *digest,
    const json_t *entry, struct cob_cachebackend_document **ret_document)
{
    const char *type = json_string_value(json_object_get(entry, "mediaType"));
    struct cob_sha256 sha;
    g_autoptr(GBytes) bytes = NULL;

    if (!cob_sha256_parse(digest, &sha))
        return cob_fail(COB_UNIMPLEMENTED, "digests other than sha256 are not supported");
    COB_TRY(cob_local_read_blob(local->folder_fd, digest, COB_LIMIT_CACHE_DOCUMENT_BYTES, &bytes));
    *ret_document = bytes ? cob_backend_document_new(bytes, type, NULL) : NULL;
    return NULL;
}

static struct cob_error *local_get_document(struct cob_cachebackend *backend, const char *name,
    struct cob_cancel *cancel, struct cob_cachebackend_document **ret_document)
{
    const struct layout_folder *local = backend->own;
    const char *tag = name ? name : backend->options->tag;
    const char *digest = name ? NULL : backend->options->digest;
    json_auto_t *index = NULL;

    if (name && cob_digest_is_valid(name))
        digest = name;
    COB_TRY(cob_local_wait_for_writers(local->folder_fd, cancel));
    COB_TRY(cob_local_read_index(local->folder_fd, &index));
    const json_t *entry = find_entry(index, tag, digest);
    if (!digest && !entry)
        return NULL;
    return read_entry(local, digest ? digest : json_string_value(json_object_get(entry, "digest")),
        entry, ret_document);
}

/* Is what the index has for a tag now what the caller has seen? An entry whose file is gone is
 * nothing. */
static struct cob_error *is_as_seen(const struct layout_folder *local, const json_t *index,
    const char *tag, const struct cob_cachebackend_document *seen, bool *ret_is)
{
    const json_t *entry = find_entry(index, tag, NULL);
    const char *digest = entry ? json_string_value(json_object_get(entry, "digest")) : NULL;
    struct cob_sha256 sha;

    if (digest && cob_sha256_parse(digest, &sha)) {
        g_autofree char *path = cob_local_blob_path(digest);
        cob_autoclose int fd = -1;

        COB_TRY(cob_local_open_file(local->folder_fd, path, &fd));
        if (fd < 0)
            digest = NULL;
    }
    *ret_is = g_strcmp0(digest, seen ? seen->digest : NULL) == 0;
    return NULL;
}

static void set_entry(json_t *index, const char *tag, json_t *entry)
{
    json_t *manifests = json_object_get(index, "manifests");

    for (size_t i = json_array_size(manifests); i-- > 0;) {
        if (g_strcmp0(cob_local_name_of(json_array_get(manifests, i)), tag) == 0)
            json_array_remove(manifests, i);
    }
    json_array_append_new(manifests, entry);
}

static struct cob_error *put_entry(struct cob_cachebackend *backend, const char *tag, json_t *entry,
    const struct cob_cachebackend_document *seen, bool *ret_is_put)
{
    struct layout_folder *local = backend->own;
    cob_autoclose int lock_fd = -1;
    json_auto_t *index = NULL;
    bool is_seen = true;

    COB_TRY(cob_local_lock_index(local->folder_fd, backend->cancel, &lock_fd));
    COB_TRY(cob_local_read_index(local->folder_fd, &index));
    if (ret_is_put)
        COB_TRY(is_as_seen(local, index, tag, seen, &is_seen));
    if (ret_is_put)
        *ret_is_put = is_seen;
    if (!is_seen)
        return NULL;
    COB_TRY(cob_fs_sync_dir(local->blobs_fd)); /* what is named must be there after a crash */
    set_entry(index, tag, json_incref(entry));
    return cob_local_write_index(local->folder_fd, index);
}

static struct cob_error *local_put_document(struct cob_cachebackend *backend, const char *name,
    const char *media_type, GBytes *bytes, const struct cob_cachebackend_document *seen,
    bool *ret_is_put)
{
    const char *tag = name ? name : backend->options->tag;
    g_autofree char *digest = NULL;

    COB_TRY(cob_cachebackend_put_bytes(backend, bytes, &digest));
    json_auto_t *entry =
        json_pack("{s:s, s:s, s:I, s:{s:s}}", "mediaType", media_type, "digest", digest, "size",
            (json_int_t)g_bytes_get_size(bytes), "annotations", COB_LOCAL_REF_NAME, tag);
    if (!entry)
        return cob_fail(COB_INVALID, "tag %.100s is not text", tag);
    COB_TRY(put_entry(backend, tag, entry, seen, ret_is_put));
    cob_backend_puts_add(backend->options->puts, tag);
    return NULL;
}

const struct backend_impl cob_backend_local = {.is_oci = true,
    .open = local_open,
    .close = local_close,
    .get_document = local_get_document,
    .put_document = local_put_document,
    .has_blob = local_has_blob,
    .get_blob = local_get_blob,
    .put_blob = local_put_blob,
    .sweep = cob_local_sweep};
