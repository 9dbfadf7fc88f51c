/* SPDX-License-Identifier: Apache-2.0 */
/* spec: OCI image-spec image-layout.md; BuildKit client/ociindex. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "build/cachebackend/local_parts.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"

#define LOCK_WAIT_US (20 * 1000)

struct cob_error *cob_local_lock_file(int fd, int kind, struct cob_cancel *cancel)
{
    while (TEMP_FAILURE_RETRY(flock(fd, kind | LOCK_NB)) < 0) {
        if (errno != EWOULDBLOCK)
            return cob_fail_errno(errno, "lock");
        COB_TRY(cob_cancel_check(cancel));
        g_usleep(LOCK_WAIT_US);
    }
    return NULL;
}

struct cob_error *cob_local_open_file(int folder_fd, const char *path, int *ret_fd)
{
    cob_autoclose int path_fd = -1;
    struct stat st;
    struct cob_error *err = cob_open_beneath(folder_fd, path, O_PATH, 0, &path_fd);

    if (err && (cob_error_errno(err) == ENOENT || cob_error_errno(err) == ENOTDIR)) {
        cob_error_free(err);
        *ret_fd = -1;
        return NULL;
    }
    COB_TRY(cob_wrap(err, "%s", path));
    if (fstat(path_fd, &st) < 0)
        return cob_fail_errno(errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "%s: not a regular file", path);
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", path_fd);
    *ret_fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open %s", path) : NULL;
}

char *cob_local_blob_path(const char *digest)
{
    return g_strconcat("blobs/sha256/", digest + strlen(COB_DIGEST_PREFIX), NULL);
}

struct cob_error *cob_local_read_blob(
    int folder_fd, const char *digest, uint64_t max_bytes, GBytes **ret_bytes)
{
    g_autofree char *path = cob_local_blob_path(digest);
    g_autoptr(GBytes) bytes = NULL;
    cob_autoclose int fd = -1;

    *ret_bytes = NULL;
    COB_TRY(cob_local_open_file(folder_fd, path, &fd));
    if (fd < 0)
        return NULL;
    COB_TRY(cob_wrap(cob_fs_read_fd(fd, max_bytes, &bytes), "%s", path));
    g_autofree char *got = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    if (strcmp(got, digest) != 0)
        return cob_fail(COB_DATA_LOSS, "%s: its bytes have digest %s", path, got);
    *ret_bytes = g_steal_pointer(&bytes);
    return NULL;
}

/* --- index.json --- */

struct cob_error *cob_local_lock_index(int folder_fd, struct cob_cancel *cancel, int *ret_fd)
{
    for (;;) {
        cob_autoclose int fd = -1;
        struct stat locked, named;

        COB_TRY(cob_wrap(cob_open_beneath(folder_fd, "index.json.lock",
                             O_RDWR | O_CREAT | O_NONBLOCK, 0644, &fd),
            "index.json.lock"));
        COB_TRY(cob_wrap(cob_local_lock_file(fd, LOCK_EX, cancel), "index.json.lock"));
        if (fstat(fd, &locked) < 0)
            return cob_fail_errno(errno, "stat index.json.lock");
        if (!S_ISREG(locked.st_mode))
            return cob_fail(COB_INVALID, "index.json.lock: not a regular file");
        /* BuildKit removes the file when it is done: then this is the lock of nothing */
        if (fstatat(folder_fd, "index.json.lock", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
            named.st_dev == locked.st_dev && named.st_ino == locked.st_ino) {
            *ret_fd = g_steal_fd(&fd);
            return NULL;
        }
    }
}

struct cob_error *cob_local_wait_for_writers(int folder_fd, struct cob_cancel *cancel)
{
    cob_autoclose int fd = -1;

    COB_TRY(cob_local_open_file(folder_fd, "index.json.lock", &fd));
    return fd < 0 ? NULL : cob_wrap(cob_local_lock_file(fd, LOCK_SH, cancel), "index.json.lock");
}

struct cob_error *cob_local_read_index(int folder_fd, json_t **ret_index)
{
    g_autoptr(cob_oci_index) checked = NULL;
    g_autoptr(GBytes) bytes = NULL;
    cob_autoclose int fd = -1;

    COB_TRY(cob_local_open_file(folder_fd, "index.json", &fd));
    if (fd >= 0)
        COB_TRY(cob_wrap(cob_fs_read_fd(fd, COB_LIMIT_MANIFEST_BYTES, &bytes), "index.json"));
    if (!bytes || g_bytes_get_size(bytes) == 0) {
        *ret_index = json_pack(
            "{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", COB_OCI_TYPE_INDEX, "manifests");
        return NULL;
    }
    COB_TRY(cob_wrap(cob_oci_index_parse(bytes, NULL, &checked), "index.json"));
    return cob_json_parse(
        g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "index.json", ret_index);
}

struct cob_error *cob_local_write_index(int folder_fd, const json_t *index)
{
    g_autoptr(GBytes) bytes = cob_json_bytes(index);

    if (g_bytes_get_size(bytes) > COB_LIMIT_MANIFEST_BYTES)
        return cob_fail(COB_EXHAUSTED, "index.json has too many entries");
    COB_TRY(cob_fs_replace_file(
        folder_fd, "index.json", 0644, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)));
    return cob_fs_sync_dir(folder_fd);
}

const char *cob_local_name_of(const json_t *entry)
{
    return json_string_value(
        json_object_get(json_object_get(entry, "annotations"), COB_LOCAL_REF_NAME));
}
